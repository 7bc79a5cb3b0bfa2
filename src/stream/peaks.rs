//! Sums excess a pair's peak.

use std::sync::Arc;

use super::evaluator::{Candidate, Evaluator};
use super::findings::Details;
use crate::alerts::Subject;
use crate::detect::{Cause, peak_contribution};
use crate::features::{Column, EntityState, Level, WINDOWS};
use crate::models::baseline::Baseline;
use crate::models::calibration::p_value;
use crate::models::peak::{KINDS, PEAKS, Peaks, SPENDING, excess};
use crate::models::statistic::{Kind, STATISTICS};

impl Evaluator {
    /// The kinds of peaks that a pair is excess, where that is rare enough to tell: its own, or, at a vendor that nobody knows,
    /// those of nine pairs in ten. A new pair at a known vendor is a service that goes live, and moves what it moves.
    pub fn above_peaks<'a>(
        &mut self,
        state: &'a EntityState,
        baseline: Option<&Baseline>,
        time: i64,
    ) -> Vec<Candidate<'a>> {
        let entity = &state.entity;
        let own = baseline.and_then(|baseline| baseline.peaks);
        let bundle = Arc::clone(&self.bundle);
        let is_unknown = || entity.level == Level::Pair && !bundle.known.has_vendor(entity.view, &entity.vendor);
        let usual = || bundle.views.get(&entity.view).filter(|_| is_unknown()).map(|view| view.usual_peaks);
        let Some(peaks) = own.or_else(usual) else { return Vec::new() };
        (0..KINDS).filter_map(|place| self.above_peak(state, &peaks, place, time)).collect()
    }

    fn above_peak<'a>(
        &mut self,
        state: &'a EntityState,
        peaks: &Peaks,
        place: usize,
        time: i64,
    ) -> Option<Candidate<'a>> {
        let entity = &state.entity;
        let view = self.bundle.views.get(&entity.view)?;
        if place == SPENDING && !self.is_metered(&entity.vendor) {
            return None;
        }
        let excess = excess(peaks, state, place)?;
        let p_value = p_value(view.peaks.get(place).and_then(Option::as_ref), excess.times);
        let rate = self.bundle.alarms_per_day(view.pairs(), p_value);
        let share = self.budget.peak(entity.view);
        if rate > share || self.is_level(state, place, excess.times, time) {
            return None;
        }
        Some(Candidate {
            state,
            subject: Subject::of(entity),
            cause: Cause { name: PEAKS[place].name, is_rise: true, is_of_vendor: false, view: entity.view },
            window: WINDOWS[excess.window].buckets,
            rate,
            p_value,
            share,
            pages: true,
            contributions: vec![peak_contribution(place, &excess, p_value)],
            endpoint: None,
            calls: state.sum(Column::Calls, excess.window).max(0) as u64,
            told: Details::default(),
        })
    }

    /// Whether a peak that was told for a day is by now the pair's level; else remembers that it is being told.
    fn is_level(&mut self, state: &EntityState, place: usize, times: f64, time: i64) -> bool {
        let (key, effect) = ((state.entity.clone(), STATISTICS.len() + place), times.ln());
        let shift = self.memory.shifts.get_mut(&key);
        let explains = shift.is_some_and(|shift| shift.explains(Kind::Volume, effect, time));
        if !explains {
            self.tell_shift(key, time, effect);
        }
        explains
    }
}
