//! Sums beyond a pair's peak, for the detectors of single kinds of peaks.
//!
//! Not here: the peaks and their tails (`models::peak`), and what a kind means (its detector's file).

use super::candidate::Candidate;
use super::class::Class;
use super::contribution::Contribution;
use super::detector::{Context, Evaluated};
use super::tracking::Shifts;
use crate::features::{Column, Level, WINDOWS};
use crate::models::calibration::p_value;
use crate::models::peak::{PeakExcess, excess};
use crate::models::statistic::Kind;

/// A sum beyond the peak of a kind (index in `PEAKS`), where that is rare enough to report: the pair's own, or, at a vendor that nobody
/// knows, that of nine pairs in ten. A new pair at a known vendor is a service that goes live, and moves what it moves. `unit` is that
/// of the sum, and how it is worded.
pub(super) fn above_peak(
    context: &Context<'_>,
    of: &Evaluated<'_>,
    kind: usize,
    class: &'static Class,
    shifts: &mut Shifts,
    unit: (&str, fn(f64) -> String),
) -> Option<Candidate> {
    let Context { bundle, budget, time, .. } = *context;
    let entity = &of.state.entity;
    let view = bundle.views.get(&entity.view)?;
    let own = of.baseline.and_then(|baseline| baseline.peaks);
    let is_unknown = || entity.level == Level::Pair && !bundle.known.has_vendor(entity.view, &entity.vendor);
    let peaks = own.or_else(|| is_unknown().then_some(view.usual_peaks))?;
    let excess = excess(&peaks, of.sums, kind, of.is_open)?;
    let p_value = p_value(view.peaks.get(kind).and_then(Option::as_ref), excess.times);
    let rate = bundle.alarms_per_day(view.pairs(), p_value);
    let threshold = budget.peak(entity.view);
    if !threshold.admits(rate, p_value) || is_level(shifts, kind, excess.times, time) {
        return None;
    }
    Some(Candidate {
        window: WINDOWS[excess.window].buckets,
        rate,
        p_value,
        threshold: Some(threshold),
        contributions: vec![reason(class, &excess, unit, p_value)],
        calls: of.sums[excess.window][Column::Calls as usize].max(0) as u64,
        ..Candidate::new(entity.clone(), class)
    })
}

/// Whether a peak that was reported for a day is by now the pair's level; else remembers that it is being reported.
fn is_level(shifts: &mut Shifts, kind: usize, times: f64, time: i64) -> bool {
    let effect = times.ln();
    let explains = shifts.explain(kind, Kind::Volume, effect, time);
    if !explains {
        shifts.remember(kind, time, effect);
    }
    explains
}

/// A sum beyond a peak, in words.
fn reason(class: &Class, beyond: &PeakExcess, unit: (&str, fn(f64) -> String), p_value: f64) -> Contribution {
    let (unit, in_words) = unit;
    Contribution {
        name: class.name.to_owned(),
        window: WINDOWS[beyond.window].name.to_owned(),
        observed: in_words(beyond.sum),
        baseline: format!("at most {}", in_words(beyond.peak)),
        observed_value: Some(beyond.sum),
        baseline_value: Some(beyond.peak),
        unit: unit.to_owned(),
        share: 1.0,
        p_value,
    }
}
