//! How far one partition is in event time, where no caller's clock is trusted.
//!
//! It is at the newest event time of its calls, unless that lies far ahead of all before: such a call waits in its bucket until others
//! say so too. A few are enough where nobody contradicts them, so that a pause ends with the first calls behind it. Once many that
//! followed had the time of before, a clock is wrong, or several are alike: for a day from then what is ahead must outnumber the rest by
//! far. Of times that differ the earliest is believed first.
//!
//! Not here: the other partitions, and what is late (`watermark`).

use serde::{Deserialize, Serialize};

use crate::calls::Name;

/// What is so far ahead of a partition's newest waits until it is confirmed, microseconds.
const AHEAD: i64 = 120_000_000;
/// By how many calls what is ahead must outnumber what is not (a sum that never falls below zero); and where a clock is in doubt.
const NEEDED: u32 = 4;
const NEEDED_IN_DOUBT: u32 = 32;
/// Calls in a row by which one caller confirms a time by itself where nobody else was ever heard, where others are, and where a clock is in
/// doubt.
const ALONE_EVER: u32 = 8;
const ALONE: u32 = 32;
const ALONE_IN_DOUBT: u32 = 512;
/// Calls at the time of before by which a clock is in doubt, and those by which its caller is named; so many for each call that is ahead.
const DOUBTED: usize = 8;
const NAMED: usize = 32;
const FOR_EACH: usize = 2;
/// How long a doubt lasts, microseconds of event time.
const DOUBT: i64 = 86_400_000_000;
/// Most calls that wait to be confirmed: the latest is forgotten first.
const MAX_WAITING: usize = 64;

/// A call that is ahead.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    time: i64,
    /// The newest time of the others when it came.
    others: i64,
    caller: Name,
    /// Whether its caller was named.
    is_named: bool,
}

/// A caller whose clock is ahead of all others' of its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ahead {
    /// Who.
    pub caller: Name,
    /// The time of its call, and the newest of the others' when it came, microseconds since the epoch.
    pub time: i64,
    pub others: i64,
}

/// One partition's progress.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Newest event time seen, as far as it is confirmed.
    newest: Option<i64>,
    /// What is still to come is of this time or later, by the clock of one who knows that all was read.
    bound: Option<i64>,
    /// Calls ahead of it that are not confirmed, by time.
    waiting: Vec<Waiting>,
    /// By how many calls what is ahead outnumbers what is not.
    confirmed_by: u32,
    /// Calls that were not ahead, since the first of those that wait.
    contradicted_by: usize,
    /// Until when what is ahead is doubted.
    doubted_until: Option<i64>,
    /// Who called last, how often in a row, and whether anybody else ever did.
    caller: u64,
    in_a_row: u32,
    has_others: bool,
    /// Whether nothing more is expected for now.
    pub is_idle: bool,
    /// Whether another member reads it for now: its progress is kept for when it comes back.
    pub is_away: bool,
}

impl Progress {
    /// The event time up to which it was read, as far as that is confirmed, microseconds: its newest call's, or the clock's where there is no
    /// more.
    pub fn read_to(&self) -> Option<i64> {
        self.newest.max(self.bound)
    }

    /// All that it is still to show is of `time`, microseconds, or later.
    pub fn bound(&mut self, time: i64) {
        self.bound = self.bound.max(Some(time));
        let believed = self.waiting.iter().map(|call| call.time).filter(|call| *call <= time.saturating_add(AHEAD));
        self.newest = self.newest.max(believed.max());
        self.catch_up(time);
    }

    /// The newest time, where nothing more is to come that could confirm one.
    pub fn last(&self) -> Option<i64> {
        let is_contradicted = self.contradicted_by > 0 || self.is_in_doubt();
        self.waiting.last().filter(|_| !is_contradicted).map(|call| call.time).or(self.newest)
    }

    /// Moves the newest time on to that of a call, unless it is ahead and not confirmed. Names a caller that turns out to be ahead of all.
    pub fn advance(&mut self, time: i64, caller: &Name) -> Option<Ahead> {
        let is_same = self.caller == caller.id() || self.in_a_row == 0;
        self.in_a_row = if is_same { self.in_a_row.saturating_add(1) } else { 1 };
        self.has_others |= !is_same;
        self.caller = caller.id();
        match self.read_to().filter(|read_to| time <= read_to.saturating_add(AHEAD)) {
            Some(_) => self.stay(self.newest.map_or(time, |newest| newest.max(time))),
            None => {
                self.wait(time, caller);
                None
            }
        }
    }

    /// Takes in a call that is not ahead.
    fn stay(&mut self, newest: i64) -> Option<Ahead> {
        self.newest = Some(newest);
        self.confirmed_by = self.confirmed_by.saturating_sub(1);
        if self.waiting.is_empty() {
            return None;
        }
        self.contradicted_by += 1;
        let of_each = FOR_EACH * self.waiting.len();
        if self.contradicted_by >= DOUBTED.max(of_each) {
            self.doubted_until = Some(newest.saturating_add(DOUBT));
        }
        let is_clear = self.contradicted_by >= NAMED.max(of_each);
        let wrong = self.waiting.iter_mut().find(|call| is_clear && !call.is_named).map(|call| {
            call.is_named = true;
            Ahead { caller: call.caller.clone(), time: call.time, others: call.others }
        });
        self.catch_up(newest);
        wrong
    }

    /// Takes in a call that is ahead, and believes the earliest of those that wait where enough speaks for it.
    fn wait(&mut self, time: i64, caller: &Name) {
        let place = self.waiting.partition_point(|call| call.time <= time);
        let others = self.newest.unwrap_or(time);
        self.waiting.insert(place, Waiting { time, others, caller: caller.clone(), is_named: false });
        self.waiting.truncate(MAX_WAITING);
        let (needed, alone) = match (self.has_others, self.is_in_doubt()) {
            (false, _) => (NEEDED, ALONE_EVER),
            (true, false) => (NEEDED, ALONE),
            (true, true) => (NEEDED_IN_DOUBT, ALONE_IN_DOUBT),
        };
        self.confirmed_by = (self.confirmed_by + 1).min(needed);
        let mut callers = self.waiting.iter().map(|call| &call.caller);
        let is_shared = callers.next().is_some_and(|first| callers.any(|other| other != first));
        let believed = if is_shared && self.confirmed_by >= needed {
            // What follows it without a gap is as good.
            let with_next = |believed: i64, call: &Waiting| {
                Some(call.time).filter(|time| *time <= believed.saturating_add(AHEAD)).ok_or(believed)
            };
            let first = self.waiting.first().map_or(time, |call| call.time);
            self.waiting.iter().try_fold(first, with_next).unwrap_or_else(|believed| believed)
        } else if self.in_a_row >= alone {
            time
        } else {
            return;
        };
        self.newest = Some(believed);
        self.contradicted_by = 0;
        self.catch_up(believed);
    }

    /// What is not ahead of the newest any more waits no longer.
    fn catch_up(&mut self, newest: i64) {
        self.waiting.retain(|call| call.time > newest.saturating_add(AHEAD));
        if self.waiting.is_empty() {
            (self.confirmed_by, self.contradicted_by) = (0, 0);
        }
    }

    fn is_in_doubt(&self) -> bool {
        self.doubted_until.is_some_and(|until| self.newest.is_some_and(|newest| newest < until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    /// What a partition is at after calls, and who was named.
    fn after(calls: impl IntoIterator<Item = (i64, u64)>) -> (Progress, Vec<String>) {
        let mut progress = Progress::default();
        let named = calls
            .into_iter()
            .filter_map(|(time, caller)| progress.advance(time, &Name::new(&format!("caller-{caller}"))))
            .map(|ahead| ahead.caller.as_str().to_owned())
            .collect();
        (progress, named)
    }

    /// Ten callers, a call each six seconds; what `is_ahead` says is two hours ahead.
    fn company(calls: i64, is_ahead: impl Fn(i64) -> bool) -> impl Iterator<Item = (i64, u64)> {
        (0..calls).map(move |number| {
            let ahead = if is_ahead(number) { 120 * MINUTE } else { 0 };
            (number * MINUTE / 10 + ahead, (number * 7 % 10) as u64)
        })
    }

    #[test]
    fn a_caller_whose_clock_runs_ahead_moves_nothing_and_is_named() {
        // The first call is ahead too.
        let (progress, mut named) = after(company(600, |number| number % 10 == 0));
        assert!((59 * MINUTE..60 * MINUTE).contains(&progress.newest.unwrap()));
        assert_eq!(progress.last(), progress.newest, "nor when no more calls come");
        named.dedup();
        assert_eq!(named, ["caller-0"]);
    }

    #[test]
    fn neither_do_several_callers_that_are_ahead_alike_nor_stray_calls_of_any() {
        let (progress, _) = after(company(6_000, |number| number * 7 % 10 < 3));
        assert!((599 * MINUTE..600 * MINUTE).contains(&progress.newest.unwrap()), "three of ten callers");
        let (progress, _) = after(company(6_000, |number| number.wrapping_mul(2_654_435_761) % 1_000 < 16));
        assert!((599 * MINUTE..600 * MINUTE).contains(&progress.newest.unwrap()), "1.6 % of the calls");
    }

    #[test]
    fn a_pause_ends_with_the_calls_behind_it_also_where_a_clock_is_wrong() {
        let (progress, named) = after([(0, 1), (0, 2), (0, 1), (0, 2), (180, 1), (181, 2), (182, 1)].map(minutes));
        assert_eq!((progress.newest, progress.last()), (Some(0), Some(182 * MINUTE)));
        assert_eq!(named, [""; 0]);
        let (progress, _) =
            after([(0, 1), (0, 2), (0, 1), (0, 2), (180, 1), (181, 2), (182, 1), (183, 2)].map(minutes));
        assert_eq!(progress.newest, Some(183 * MINUTE));
        let pause = |(time, caller): (i64, u64)| (if time > 30 * MINUTE { time + 300 * MINUTE } else { time }, caller);
        let (progress, _) = after(company(900, |number| number % 10 == 0).map(pause));
        assert!((385 * MINUTE..390 * MINUTE).contains(&progress.newest.unwrap()), "{progress:?}");
    }

    #[test]
    fn a_caller_that_is_alone_goes_on_by_itself() {
        let (progress, _) = after((0..i64::from(ALONE_EVER)).map(|call| minutes((10 * call, 7))));
        assert_eq!(progress.newest, Some(70 * MINUTE));
        let (progress, _) = after((0..40).map(|call| minutes((10 * call, 7))).chain([minutes((900, 7))]));
        assert_eq!(progress.newest, Some(900 * MINUTE), "at once");
    }

    #[test]
    fn where_calls_are_rare_it_is_a_few_calls_behind() {
        let (progress, _) = after((0..50).map(|call| minutes((10 * call, call as u64 % 3))));
        assert_eq!((progress.newest, progress.last()), (Some(460 * MINUTE), Some(490 * MINUTE)));
    }

    fn minutes((time, caller): (i64, u64)) -> (i64, u64) {
        (time * MINUTE, caller)
    }
}
