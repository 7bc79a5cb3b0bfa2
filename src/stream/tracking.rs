//! The tracking of a known entity since training: how its means move, what adds up slowly, and which shifts are its new level.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::evaluator::{Candidate, Evaluator};
use super::findings::Details;
use crate::alerts::Subject;
use crate::detect::{Cause, leak_contribution, leak_per_cent, misfit_contribution};
use crate::features::{Column, Entity, EntityState, Level, WINDOWS};
use crate::models::adaptation::{Adaptation, Shift};
use crate::models::baseline::{Baseline, Verdict};
use crate::models::calibration::p_value;
use crate::models::hourly::Hourly;
use crate::models::leak::{LEAKING, LEAKS, Leak, LeakSum};
use crate::models::statistic::STATISTICS;
use crate::rollup::QUANTITIES;

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
    /// Follows a known entity: a whole hour moves its baseline and its sums. Returns the leaks that this makes worth telling.
    pub fn follow<'a>(&mut self, state: &'a EntityState, baseline: &Baseline, bucket: i64) -> Vec<Candidate<'a>> {
        let bundle = Arc::clone(&self.bundle);
        let entity = &state.entity;
        let Some(values) = state.series.bucket(bucket).filter(|_| baseline.is_known) else { return Vec::new() };
        let is_told = self.is_told(entity);
        let tracking = match self.memory.tracking.get_mut(entity) {
            Some(tracking) => tracking,
            None => self.memory.tracking.entry(entity.clone()).or_default(),
        };
        let Some(hour) = tracking.hourly.add(bucket, values) else { return Vec::new() };
        if !is_told {
            tracking.adaptation.follow(&hour);
        }
        if entity.level != Level::Pair {
            return Vec::new();
        }
        let mut leaks = Vec::new();
        for (place, quantity) in LEAKING.iter().enumerate() {
            let (sum, known) = (&mut tracking.leaks[place], &baseline.leaks[place]);
            let mean = hour.means[*quantity] - tracking.adaptation.offset(*quantity);
            let dispersion = baseline.hourly_dispersion(entity.level, *quantity);
            sum.add(mean, hour.counts[*quantity], dispersion, known.persistence);
            if let Some(leak) = sum.leak(known) {
                leaks.push((place, leak));
            }
        }
        leaks.into_iter().filter_map(|(place, leak)| self.leaking(state, &bundle, place, &leak)).collect()
    }

    /// Whether an incident that pages goes on about an entity, or about its vendor.
    fn is_told(&self, entity: &Entity) -> bool {
        let own = Subject::of(entity);
        let vendor = Subject { caller: String::new(), ..own.clone() };
        self.memory.incidents.is_paging(&own) || self.memory.incidents.is_paging(&vendor)
    }

    fn leaking<'a>(
        &mut self,
        state: &'a EntityState,
        bundle: &crate::models::bundle::Bundle,
        place: usize,
        leak: &Leak,
    ) -> Option<Candidate<'a>> {
        let entity = &state.entity;
        let view = bundle.views.get(&entity.view)?;
        let p_value = p_value(view.leak.as_ref(), leak.times);
        let rate = bundle.alarms_per_day(view.entities() * LEAKING.len(), p_value);
        if rate > self.budget.leak(entity.view) {
            return None;
        }
        if let Some(tracking) = self.memory.tracking.get_mut(entity) {
            tracking.leaks[place].tell(leak);
        }
        // A shift that is being told, or was told to be the level, is no leak beside it.
        let of_mean = STATISTICS.iter().position(|statistic| statistic.name == QUANTITIES[LEAKING[place]]);
        if of_mean.is_some_and(|statistic| self.memory.shifts.contains_key(&(entity.clone(), statistic))) {
            return None;
        }
        let (name, quantity) = (LEAKS[place], LEAKING[place]);
        if leak_per_cent(state, &bundle.expectations, quantity, leak) < MIN_LEAK_PER_CENT {
            return None;
        }
        let day = WINDOWS.len() - 1;
        Some(Candidate {
            state,
            subject: Subject::of(entity),
            cause: Cause { name, is_rise: true, is_of_vendor: false, view: entity.view },
            window: WINDOWS[day].buckets,
            rate,
            p_value,
            share: self.budget.leak(entity.view),
            pages: true,
            contributions: vec![leak_contribution(state, &bundle.expectations, name, quantity, leak, p_value)],
            endpoint: None,
            calls: state.sum(Column::Calls, day).max(0) as u64,
            told: Details::default(),
        })
    }

    /// Notes how ordinary a pair's day is so far.
    pub fn note_model_drift(&mut self, pair: &Entity, p_value: f64, verdicts: &[Verdict]) {
        let leading = verdicts.iter().filter(|verdict| verdict.test.weight() > 0.0);
        let leading = leading.min_by(|a, b| a.p_value.total_cmp(&b.p_value));
        let owed = leading.map_or("", |verdict| verdict.test.statistic().name);
        self.memory.model_drift.entry(pair.view).or_default().note(pair, p_value, owed);
    }

    /// At the end of a day, says if the model did not fit it. It never pages.
    pub fn evaluate_model_drift(&mut self, bucket: i64, time: i64) {
        let turned = self
            .memory
            .model_drift
            .iter_mut()
            .filter_map(|(view, model_drift)| Some((*view, model_drift.turn(bucket)?)));
        let misfits: Vec<_> = turned.collect();
        for (view, misfit) in misfits {
            let subject = Subject { view, vendor: MODEL.to_owned(), caller: String::new() };
            let state = EntityState::new(Entity::pair(view, "", MODEL));
            let store = std::mem::take(&mut self.memory.store);
            let candidate = Candidate {
                state: &state,
                subject,
                cause: Cause { name: "model_drift", is_rise: true, is_of_vendor: false, view },
                window: WINDOWS[WINDOWS.len() - 1].buckets,
                rate: 1.0,
                p_value: 1.0,
                share: 1.0,
                pages: false,
                contributions: vec![misfit_contribution(&misfit)],
                endpoint: None,
                calls: 0,
                told: Details::default(),
            };
            self.tell(&store, candidate, bucket, time);
            self.memory.store = store;
        }
    }

    /// What is no more than a level that was told for a day is no news.
    pub fn pass_over_levels(&mut self, entity: &Entity, verdicts: &mut [Verdict], time: i64) {
        if self.memory.shifts.is_empty() {
            return;
        }
        for verdict in verdicts.iter_mut().filter(|verdict| verdict.p_value < 1.0) {
            let key = (entity.clone(), verdict.test.statistic);
            let kind = verdict.test.statistic().kind;
            let effect = verdict.seen.effect(kind);
            if self.memory.shifts.get_mut(&key).is_some_and(|shift| shift.explains(kind, effect, time)) {
                verdict.p_value = 1.0;
            }
        }
    }

    /// Remembers that the statistic of a cause is being told of an entity.
    pub fn note_shift(&mut self, entity: &Entity, cause: &Cause, verdicts: &[Verdict], time: i64) {
        let leading = verdicts
            .iter()
            .filter(|verdict| verdict.test.statistic().name == cause.name)
            .min_by(|a, b| a.p_value.total_cmp(&b.p_value));
        let Some(leading) = leading else { return };
        let effect = leading.seen.effect(leading.test.statistic().kind);
        self.tell_shift((entity.clone(), leading.test.statistic), time, effect);
    }

    /// Remembers that a shift is being told.
    pub fn tell_shift(&mut self, key: (Entity, usize), time: i64, effect: f64) {
        let shift = self.memory.shifts.entry(key).and_modify(|shift| shift.goes_on(time, effect));
        shift.or_insert_with(|| Shift::begun(time, effect));
    }
}
