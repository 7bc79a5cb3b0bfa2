//! Sums excess a pair's peak.

use super::evaluator::{Candidate, Evaluator, State};
use super::findings::Details;
use super::tracking::remember_shift;
use crate::alerts::Subject;
use crate::detect::{Cause, peak_contribution};
use crate::features::{Column, Level, WINDOWS, WindowSums};
use crate::models::baseline::Baseline;
use crate::models::calibration::p_value;
use crate::models::peak::{KINDS, PEAKS, Peaks, SPENDING, excess};
use crate::models::statistic::{Kind, STATISTICS};

impl Evaluator {
    /// The kinds of peaks that a pair exceeds, where that is rare enough to report: its own, or, at a vendor that nobody knows,
    /// those of nine pairs in ten. A new pair at a known vendor is a service that goes live, and moves what it moves.
    pub fn above_peaks(
        &self,
        state: &mut State,
        sums: &WindowSums,
        baseline: Option<&Baseline>,
        time: i64,
    ) -> Vec<Candidate> {
        let entity = &state.entity;
        let own = baseline.and_then(|baseline| baseline.peaks);
        let is_unknown = || entity.level == Level::Pair && !self.bundle.known.has_vendor(entity.view, &entity.vendor);
        let usual = || self.bundle.views.get(&entity.view).filter(|_| is_unknown()).map(|view| view.usual_peaks);
        let Some(peaks) = own.or_else(usual) else { return Vec::new() };
        (0..KINDS).filter_map(|kind| self.above_peak(state, sums, &peaks, kind, time)).collect()
    }

    fn above_peak(
        &self,
        state: &mut State,
        sums: &WindowSums,
        peaks: &Peaks,
        kind: usize,
        time: i64,
    ) -> Option<Candidate> {
        let entity = state.entity.clone();
        let view = self.bundle.views.get(&entity.view)?;
        let excess = excess(peaks, sums, kind)?;
        if kind == SPENDING && !self.is_metered(entity.vendor.as_str()) {
            return None;
        }
        let p_value = p_value(view.peaks.get(kind).and_then(Option::as_ref), excess.times);
        let rate = self.bundle.alarms_per_day(view.pairs(), p_value);
        let share = self.budget.peak(entity.view);
        if rate > share || is_level(state, kind, excess.times, time) {
            return None;
        }
        Some(Candidate {
            subject: Subject::of(&entity),
            cause: Cause { name: PEAKS[kind].name, is_rise: true, is_of_vendor: false, view: entity.view },
            entity,
            window: WINDOWS[excess.window].buckets,
            rate,
            p_value,
            share,
            pages: true,
            contributions: vec![peak_contribution(kind, &excess, p_value)],
            endpoint: None,
            calls: sums[excess.window][Column::Calls as usize].max(0) as u64,
            details: Details::default(),
        })
    }
}

/// Whether a peak that was reported for a day is by now the pair's level; else remembers that it is being reported.
fn is_level(state: &mut State, kind: usize, times: f64, time: i64) -> bool {
    let (statistic, effect) = (STATISTICS.len() + kind, times.ln());
    let shift = state.part.shifts.iter_mut().find(|(known, _)| *known == statistic);
    let explains = shift.is_some_and(|(_, shift)| shift.explains(Kind::Volume, effect, time));
    if !explains {
        remember_shift(state, statistic, time, effect);
    }
    explains
}
