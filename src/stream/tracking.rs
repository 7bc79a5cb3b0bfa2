//! The tracking of a known entity since training: how its means move, what adds up slowly, and which shifts are its new level.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::evaluator::{Candidate, Evaluator, State, Store};
use super::findings::Details;
use crate::alerts::Subject;
use crate::calls::QUANTITIES;
use crate::calls::View;
use crate::detect::{Cause, leak_contribution, leak_per_cent, misfit_contribution};
use crate::features::{Column, DAY, Entity, Level, WINDOWS};
use crate::models::adaptation::{Adaptation, Shift};
use crate::models::baseline::Verdict;
use crate::models::calibration::p_value;
use crate::models::hourly::Hourly;
use crate::models::leak::{LEAKING, LEAKS, Leak, LeakSum};
use crate::models::model_drift::Misfit;
use crate::models::statistic::STATISTICS;
use crate::rollup::day_of;

/// Growth of a call, per cent, below which a lasting shift is nobody's leak: releases bring as much.
const MIN_LEAK_PER_CENT: f64 = 4.0;

/// Whom a notice is about that concerns the model itself.
const MODEL: &str = "model";

/// What goes on of one entity.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tracking {
    hourly: Hourly,
    pub adaptation: Adaptation,
    leaks: [LeakSum; LEAKING.len()],
}

impl Evaluator {
    /// Follows a known entity: a whole hour moves its baseline and its sums. Returns the leaks that this makes worth reporting.
    pub fn follow(&mut self, store: &mut Store, index: usize, bucket: i64) -> Vec<Candidate> {
        let bundle = Arc::clone(&self.bundle);
        let Some(state) = store.at_mut(index) else { return Vec::new() };
        let baseline = bundle.baselines.get(state.entity.id()).filter(|baseline| baseline.is_known);
        let Some(baseline) = baseline else { return Vec::new() };
        let Some(values) = state.windows.bucket(bucket) else { return Vec::new() };
        let tracking = state.part.tracking.get_or_insert_default();
        let Some(hour) = tracking.hourly.add(bucket, values) else { return Vec::new() };
        let is_frozen = self.has_incident(&state.entity);
        if !is_frozen {
            tracking.adaptation.follow(&hour);
        }
        let level = state.entity.level;
        if level != Level::Pair {
            return Vec::new();
        }
        let mut leaks = Vec::new();
        for (index, quantity) in LEAKING.iter().enumerate() {
            let (sum, known) = (&mut tracking.leaks[index], &baseline.leaks[index]);
            let mean = hour.means[*quantity] - tracking.adaptation.offset(*quantity);
            let dispersion = baseline.hourly_dispersion(level, *quantity);
            sum.add(mean, hour.counts[*quantity], dispersion, known.persistence);
            if let Some(leak) = sum.leak(known) {
                leaks.push((index, leak));
            }
        }
        leaks.into_iter().filter_map(|(index, leak)| self.leaking(state, &bundle, index, &leak, bucket)).collect()
    }

    /// Whether an incident that pages goes on about an entity, or about its vendor.
    fn has_incident(&self, entity: &Entity) -> bool {
        let own = Subject::of(entity);
        let vendor = Subject { caller: String::new(), ..own.clone() };
        self.memory.incidents.is_paging(&own) || self.memory.incidents.is_paging(&vendor)
    }

    fn leaking(
        &self,
        state: &mut State,
        bundle: &crate::models::bundle::Bundle,
        place: usize,
        leak: &Leak,
        bucket: i64,
    ) -> Option<Candidate> {
        let entity = &state.entity;
        let view = bundle.views.get(&entity.view)?;
        let p_value = p_value(view.leak.as_ref(), leak.times);
        let rate = bundle.alarms_per_day(view.entities() * LEAKING.len(), p_value);
        if rate > self.budget.leak(entity.view) {
            return None;
        }
        if let Some(tracking) = &mut state.part.tracking {
            tracking.leaks[place].report(leak);
        }
        // A shift that is being told, or was told to be the level, is no leak beside it.
        let of_mean = STATISTICS.iter().position(|statistic| statistic.name == QUANTITIES[LEAKING[place]]);
        if of_mean.is_some_and(|mean| state.part.shifts.iter().any(|(statistic, _)| *statistic == mean)) {
            return None;
        }
        let (name, quantity) = (LEAKS[place], LEAKING[place]);
        if leak_per_cent((&*state, bucket), &bundle.expectations, quantity, leak) < MIN_LEAK_PER_CENT {
            return None;
        }
        Some(Candidate {
            entity: entity.clone(),
            subject: Subject::of(entity),
            cause: Cause { name, is_rise: true, is_of_vendor: false, view: entity.view },
            window: WINDOWS[DAY].buckets,
            rate,
            p_value,
            share: self.budget.leak(entity.view),
            pages: true,
            contributions: vec![leak_contribution(
                (&*state, bucket),
                &bundle.expectations,
                name,
                quantity,
                leak,
                p_value,
            )],
            endpoint: None,
            calls: state.sum(Column::Calls, DAY, bucket).max(0) as u64,
            details: Details::default(),
        })
    }

    /// At the end of a day, says if the model did not fit it. It never pages.
    pub fn evaluate_model_drift(&mut self, bucket: i64, time: i64) {
        let today = day_of(bucket);
        if std::mem::replace(&mut self.memory.day, today) == today {
            return;
        }
        let mut store = std::mem::take(&mut self.memory.store);
        let days = store.states_mut().filter_map(|state| state.part.day.take());
        if let Some(misfit) = Misfit::of(days) {
            let entity = Entity::pair(View::Egress, "", MODEL);
            let candidate = Candidate {
                subject: Subject::of(&entity),
                entity,
                cause: Cause { name: "model_drift", is_rise: true, is_of_vendor: false, view: View::Egress },
                window: WINDOWS[DAY].buckets,
                rate: 1.0,
                p_value: 1.0,
                share: 1.0,
                pages: false,
                contributions: vec![misfit_contribution(&misfit)],
                endpoint: None,
                calls: 0,
                details: Details::default(),
            };
            self.tell(&store, candidate, bucket, time);
        }
        self.memory.store = store;
    }

    /// What is no more than a level that was reported for a day is no news.
    pub fn pass_over_levels(&self, state: &mut State, verdicts: &mut [Verdict], time: i64) {
        for verdict in verdicts.iter_mut().filter(|verdict| verdict.p_value < 1.0) {
            let kind = verdict.test.statistic().kind;
            let effect = verdict.seen.effect(kind);
            let shift = state.part.shifts.iter_mut().find(|(statistic, _)| *statistic == verdict.test.statistic);
            if shift.is_some_and(|(_, shift)| shift.explains(kind, effect, time)) {
                verdict.p_value = 1.0;
            }
        }
    }

    /// Remembers that the statistic of a cause is being reported of an entity.
    pub fn note_shift(&self, state: &mut State, cause: &Cause, verdicts: &[Verdict], time: i64) {
        let leading = verdicts
            .iter()
            .filter(|verdict| verdict.test.statistic().name == cause.name)
            .min_by(|a, b| a.p_value.total_cmp(&b.p_value));
        let Some(leading) = leading else { return };
        let effect = leading.seen.effect(leading.test.statistic().kind);
        remember_shift(state, leading.test.statistic, time, effect);
    }
}

/// Remembers that a shift is being reported.
pub(super) fn remember_shift(state: &mut State, statistic: usize, time: i64, effect: f64) {
    match state.part.shifts.iter_mut().find(|(known, _)| *known == statistic) {
        Some((_, shift)) => shift.goes_on(time, effect),
        None => state.part.shifts.push((statistic, Shift::begun(time, effect))),
    }
}
