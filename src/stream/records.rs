//! Sums beyond a pair's record.

use std::sync::Arc;

use super::findings::Told;
use super::judge::{Event, Judge};
use crate::alerts::Subject;
use crate::detect::{Cause, record_contribution};
use crate::features::{Account, Column, Level, WINDOWS};
use crate::models::baseline::Baseline;
use crate::models::calibration::p_value;
use crate::models::record::{KINDS, RECORDS, Records, SPENDING, beyond};
use crate::models::statistic::{Kind, STATISTICS};

impl Judge {
    /// The kinds of records that a pair is beyond, where that is rare enough to tell: its own, or, at a vendor that nobody knows,
    /// those of nine pairs in ten. A new pair at a known vendor is a service that goes live, and moves what it moves.
    pub fn beyond_records<'a>(
        &mut self,
        account: &'a Account,
        baseline: Option<&Baseline>,
        time: i64,
    ) -> Vec<Event<'a>> {
        let entity = &account.entity;
        let own = baseline.and_then(|baseline| baseline.records);
        let bundle = Arc::clone(&self.bundle);
        let is_unknown = || entity.level == Level::Pair && !bundle.known.has_vendor(entity.direction, &entity.vendor);
        let usual = || bundle.views.get(&entity.direction).filter(|_| is_unknown()).map(|view| view.usual_records);
        let Some(records) = own.or_else(usual) else { return Vec::new() };
        (0..KINDS).filter_map(|place| self.beyond_record(account, &records, place, time)).collect()
    }

    fn beyond_record<'a>(
        &mut self,
        account: &'a Account,
        records: &Records,
        place: usize,
        time: i64,
    ) -> Option<Event<'a>> {
        let entity = &account.entity;
        let view = self.bundle.views.get(&entity.direction)?;
        if place == SPENDING && !self.is_metered(&entity.vendor) {
            return None;
        }
        let beyond = beyond(records, account, place)?;
        let p_value = p_value(view.records.get(place).and_then(Option::as_ref), beyond.times);
        let rate = self.bundle.alarms_per_day(view.pairs(), p_value);
        let share = self.settings.budget().record();
        if rate > share || self.is_level(account, place, beyond.times, time) {
            return None;
        }
        Some(Event {
            account,
            subject: Subject::of(entity),
            cause: Cause { name: RECORDS[place].name, is_rise: true, is_of_vendor: false, direction: entity.direction },
            window: WINDOWS[beyond.window].buckets,
            rate,
            p_value,
            share,
            pages: true,
            contributions: vec![record_contribution(place, &beyond, p_value)],
            endpoint: None,
            calls: account.sum(Column::Calls, beyond.window).max(0) as u64,
            told: Told::default(),
        })
    }

    /// Whether a record that was told for a day is by now the pair's level; else remembers that it is being told.
    fn is_level(&mut self, account: &Account, place: usize, times: f64, time: i64) -> bool {
        let (key, effect) = ((account.entity.clone(), STATISTICS.len() + place), times.ln());
        let shift = self.memory.shifts.get_mut(&key);
        let explains = shift.is_some_and(|shift| shift.explains(Kind::Volume, effect, time));
        if !explains {
            self.tell_shift(key, time, effect);
        }
        explains
    }
}
