//! The course of a known entity since training: how its means move, what adds up slowly, and which shifts are its new level.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::findings::Told;
use super::judge::{Event, Judge};
use crate::alerts::Subject;
use crate::detect::{Cause, leak_contribution, leak_per_cent, misfit_contribution};
use crate::features::{Account, Column, Entity, Level, WINDOWS};
use crate::models::adaptation::{Adaptation, Shift};
use crate::models::baseline::{Baseline, Verdict};
use crate::models::calibration::p_value;
use crate::models::hourly::Hourly;
use crate::models::leak::{LEAKING, LEAKS, Leak, LeakSum};
use crate::models::statistic::STATISTICS;
use crate::rollup::QUANTITIES;

/// Growth of a call, per cent, below which a lasting shift is nobody's leak: releases bring as much.
const LEAST_LEAK_PER_CENT: f64 = 4.0;

/// Whom a notice is about that concerns the model itself.
const MODEL: &str = "model";

/// What goes on of one entity.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Course {
    hourly: Hourly,
    pub adaptation: Adaptation,
    leaks: [LeakSum; LEAKING.len()],
}

impl Judge {
    /// Follows a known entity: a whole hour moves its baseline and its sums. Returns the leaks that this makes worth telling.
    pub fn follow<'a>(&mut self, account: &'a Account, baseline: &Baseline, bucket: i64) -> Vec<Event<'a>> {
        let bundle = Arc::clone(&self.bundle);
        let entity = &account.entity;
        let Some(values) = account.series.bucket(bucket).filter(|_| baseline.is_known) else { return Vec::new() };
        let is_told = self.is_told(entity);
        let course = match self.memory.courses.get_mut(entity) {
            Some(course) => course,
            None => self.memory.courses.entry(entity.clone()).or_default(),
        };
        let Some(hour) = course.hourly.add(bucket, values) else { return Vec::new() };
        if !is_told {
            course.adaptation.follow(&hour);
        }
        if entity.level != Level::Pair {
            return Vec::new();
        }
        let mut leaks = Vec::new();
        for (place, quantity) in LEAKING.iter().enumerate() {
            let (sum, known) = (&mut course.leaks[place], &baseline.leaks[place]);
            let mean = hour.means[*quantity] - course.adaptation.offset(*quantity);
            let wander = baseline.hourly_wander(entity.level, *quantity);
            sum.add(mean, hour.counts[*quantity], wander, known.persistence);
            if let Some(leak) = sum.leak(known) {
                leaks.push((place, leak));
            }
        }
        leaks.into_iter().filter_map(|(place, leak)| self.leaking(account, &bundle, place, &leak)).collect()
    }

    /// Whether an incident that pages goes on about an entity, or about its vendor.
    fn is_told(&self, entity: &Entity) -> bool {
        let own = Subject::of(entity);
        let vendor = Subject { caller: String::new(), ..own.clone() };
        self.memory.book.is_paging(&own) || self.memory.book.is_paging(&vendor)
    }

    fn leaking<'a>(
        &mut self,
        account: &'a Account,
        bundle: &crate::models::bundle::Bundle,
        place: usize,
        leak: &Leak,
    ) -> Option<Event<'a>> {
        let entity = &account.entity;
        let view = bundle.views.get(&entity.direction)?;
        let p_value = p_value(view.leak.as_ref(), leak.times);
        let rate = bundle.alarms_per_day(view.entities() * LEAKING.len(), p_value);
        if rate > self.settings.budget().leak() {
            return None;
        }
        if let Some(course) = self.memory.courses.get_mut(entity) {
            course.leaks[place].tell(leak);
        }
        // A shift that is being told, or was told to be the level, is no leak beside it.
        let of_mean = STATISTICS.iter().position(|statistic| statistic.name == QUANTITIES[LEAKING[place]]);
        if of_mean.is_some_and(|statistic| self.memory.shifts.contains_key(&(entity.clone(), statistic))) {
            return None;
        }
        let (name, quantity) = (LEAKS[place], LEAKING[place]);
        if leak_per_cent(account, &bundle.expectations, quantity, leak) < LEAST_LEAK_PER_CENT {
            return None;
        }
        let day = WINDOWS.len() - 1;
        Some(Event {
            account,
            subject: Subject::of(entity),
            cause: Cause { name, is_rise: true, is_of_vendor: false, direction: entity.direction },
            window: WINDOWS[day].buckets,
            rate,
            p_value,
            share: self.settings.budget().leak(),
            pages: true,
            contributions: vec![leak_contribution(account, &bundle.expectations, name, quantity, leak, p_value)],
            endpoint: None,
            calls: account.sum(Column::Calls, day).max(0) as u64,
            told: Told::default(),
        })
    }

    /// Notes how ordinary a pair's day is so far.
    pub fn note_fitness(&mut self, pair: &Entity, p_value: f64, verdicts: &[Verdict]) {
        let leading = verdicts.iter().filter(|verdict| verdict.test.weight() > 0.0);
        let leading = leading.min_by(|a, b| a.p_value.total_cmp(&b.p_value));
        let owed = leading.map_or("", |verdict| verdict.test.statistic().name);
        self.memory.fitness.entry(pair.direction).or_default().note(pair, p_value, owed);
    }

    /// At the end of a day, says if the model did not fit it. It never pages.
    pub fn judge_fitness(&mut self, bucket: i64, time: i64) {
        let turned = self.memory.fitness.iter_mut().filter_map(|(view, fitness)| Some((*view, fitness.turn(bucket)?)));
        let misfits: Vec<_> = turned.collect();
        for (direction, misfit) in misfits {
            let subject = Subject { direction, vendor: MODEL.to_owned(), caller: String::new() };
            let account = Account::new(Entity::pair(direction, "", MODEL));
            let ledger = std::mem::take(&mut self.memory.ledger);
            let event = Event {
                account: &account,
                subject,
                cause: Cause { name: "model_drift", is_rise: true, is_of_vendor: false, direction },
                window: WINDOWS[WINDOWS.len() - 1].buckets,
                rate: 1.0,
                p_value: 1.0,
                share: 1.0,
                pages: false,
                contributions: vec![misfit_contribution(&misfit)],
                endpoint: None,
                calls: 0,
                told: Told::default(),
            };
            self.tell(&ledger, event, bucket, time);
            self.memory.ledger = ledger;
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
