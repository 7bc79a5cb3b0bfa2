//! The watermark: the event time up to which every partition has been read.
//!
//! Each partition has its own watermark, the newest event time that it has shown; the slowest partition that is being read rules. A
//! call is late if it lies before its own partition's watermark, and too late if its bucket does: that depends on the order
//! within the partition alone, not on how records were batched nor on what other partitions do.
//!
//! One caller whose clock is wrong must not move it: a time far ahead of the partition's counts once another caller shows it too, or the
//! same one, where nobody else is heard. Until then its calls wait in their buckets.
//!
//! Not here: when a partition is idle (`partitions`), and any clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rollup::{bucket_of, bucket_start};

/// A time so far ahead of a partition's newest is one caller's word until it is confirmed, microseconds.
const AHEAD: i64 = 120_000_000;
/// Calls in a row by which a caller confirms it by itself, in a partition that others use too.
const ALONE: u32 = 32;
/// The same where nobody else was ever heard.
const ALONE_EVER: u32 = 8;

/// A time that one caller is ahead with.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Jump {
    newest: i64,
    caller: u64,
    /// Whether others have called since, at times that do not confirm it.
    is_contradicted: bool,
}

/// One partition's progress.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// Newest event time seen, as far as it is confirmed.
    newest: Option<i64>,
    /// A time ahead of it that nobody has confirmed.
    jump: Option<Jump>,
    /// Who called last, how often in a row, and whether anybody else ever did.
    caller: u64,
    in_a_row: u32,
    has_others: bool,
    /// Whether nothing more is expected for now.
    is_idle: bool,
    /// Whether another member reads it for now: its progress is kept for when it comes back.
    is_away: bool,
}

impl Progress {
    /// Moves the newest time on to that of a call, unless only one caller's word speaks for it.
    fn advance(&mut self, time: i64, caller: u64) {
        let is_same = self.caller == caller || self.in_a_row == 0;
        self.in_a_row = if is_same { self.in_a_row.saturating_add(1) } else { 1 };
        self.has_others |= !is_same;
        self.caller = caller;
        match self.newest {
            Some(newest) if time <= newest.saturating_add(AHEAD) => {
                let newest = newest.max(time);
                self.newest = Some(newest);
                self.jump = self.jump.filter(|jump| jump.newest > newest.saturating_add(AHEAD));
                self.jump.iter_mut().for_each(|jump| jump.is_contradicted = true);
            }
            _ => self.jump(time, caller),
        }
    }

    fn jump(&mut self, time: i64, caller: u64) {
        let is_alone = self.in_a_row >= if self.has_others { ALONE } else { ALONE_EVER };
        let own = Jump { newest: time, caller, is_contradicted: false };
        match self.jump {
            // Two callers are ahead: of what they differ in, the earlier is the one to believe.
            Some(other) if other.caller != caller => {
                let (early, late) = if time < other.newest { (own, other) } else { (other, own) };
                let is_one = late.newest <= early.newest.saturating_add(AHEAD);
                self.newest = Some(if is_one { late.newest } else { early.newest });
                self.jump = (!is_one).then_some(late);
            }
            _ if is_alone => (self.newest, self.jump) = (Some(time), None),
            _ => self.jump = Some(own),
        }
    }

    /// The newest time, where nothing more is to come that could confirm one.
    fn last(&self) -> Option<i64> {
        self.jump.filter(|jump| !jump.is_contradicted).map(|jump| jump.newest).or(self.newest)
    }
}

/// How a call stands to its partition's watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// In time.
    OnTime,
    /// Before the watermark, its bucket still open.
    Late,
    /// Its bucket is closed.
    TooLate,
}

/// Progress of all partitions, event time in microseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Watermark {
    partitions: BTreeMap<String, Progress>,
    /// First bucket that is not closed by idleness.
    open_from: Option<i64>,
}

impl Watermark {
    /// Takes note of the calls of a partition, in order: their times, and the address of who called.
    pub fn observe(&mut self, partition: &str, calls: impl Iterator<Item = (i64, u64)>, lateness: i64) -> Vec<Arrival> {
        let open_from = self.open_from;
        let progress = self.partitions.entry(partition.to_owned()).or_default();
        (progress.is_idle, progress.is_away) = (false, false);
        calls
            .map(|(time, caller)| {
                let own = progress.newest.map(|newest| newest.saturating_sub(lateness));
                progress.advance(time, caller);
                let end = bucket_start(bucket_of(time) + 1);
                if open_from.is_some_and(|open| bucket_of(time) < open) || own.is_some_and(|own| end <= own) {
                    Arrival::TooLate
                } else if own.is_some_and(|own| time < own) {
                    Arrival::Late
                } else {
                    Arrival::OnTime
                }
            })
            .collect()
    }

    /// The partitions that are read from now on: each holds the watermark back until it is idle (again). Others no longer do.
    pub fn assign(&mut self, partitions: &[String]) {
        self.partitions.values_mut().for_each(|progress| progress.is_away = true);
        for partition in partitions {
            let progress = self.partitions.entry(partition.clone()).or_default();
            (progress.is_idle, progress.is_away) = (false, false);
        }
    }

    /// Nothing more is expected of a partition until it is observed or assigned again.
    pub fn idle(&mut self, partition: &str) {
        if let Some(progress) = self.partitions.get_mut(partition) {
            progress.is_idle = true;
        }
    }

    /// Nothing more is expected at all.
    pub fn finish(&mut self) {
        self.partitions.values_mut().for_each(|progress| progress.is_idle = true);
    }

    /// Event time (microseconds) up to which all has been read, less `lateness` (microseconds); with no partition left to wait
    /// for, the end of the newest bucket. It may go back, when an idle partition is waited for again; what is closed stays closed.
    pub fn time(&self, lateness: i64) -> Option<i64> {
        let read = || self.partitions.values().filter(|progress| !progress.is_away);
        let mut waited_for = read().filter(|progress| !progress.is_idle).peekable();
        if waited_for.peek().is_none() {
            let newest = read().filter_map(Progress::last).max()?;
            return Some(bucket_start(bucket_of(newest) + 1));
        }
        // A partition of which nothing was read yet holds all back.
        let times: Option<Vec<i64>> = waited_for.map(|progress| progress.newest).collect();
        Some(times?.into_iter().min()?.saturating_sub(lateness))
    }

    /// The newest event time of any partition, microseconds.
    pub fn newest(&self) -> Option<i64> {
        self.partitions.values().filter_map(Progress::last).max()
    }

    /// Buckets before this one are closed.
    pub fn open_from(&mut self, lateness: i64) -> Option<i64> {
        let open = bucket_of(self.time(lateness)?);
        if self.open_from.is_none_or(|before| before < open) {
            self.open_from = Some(open);
        }
        self.open_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::BUCKET_MICROS;

    const MINUTE: i64 = 60_000_000;

    /// A time that two callers show.
    fn seen(time: i64) -> impl Iterator<Item = (i64, u64)> + Clone {
        [(time, 1), (time, 2)].into_iter()
    }

    #[test]
    fn whether_a_call_is_late_does_not_depend_on_batches() {
        let times: Vec<i64> = [0, 4, 9, 3, 12, 1, 10, 11].map(|minute| minute * MINUTE).into();
        let calls = times.iter().flat_map(|time| seen(*time));
        let whole = Watermark::default().observe("a", calls.clone(), MINUTE);
        let mut watermark = Watermark::default();
        let single: Vec<_> = calls.flat_map(|call| watermark.observe("a", std::iter::once(call), MINUTE)).collect();
        assert_eq!(whole, single);
        assert_eq!(whole[2 * 3], Arrival::TooLate);
        assert_eq!(whole[2 * 6], Arrival::Late);
    }

    #[test]
    fn the_slowest_partition_rules_until_it_is_idle() {
        let mut watermark = Watermark::default();
        watermark.assign(&["a".to_owned(), "b".to_owned()]);
        watermark.observe("a", seen(10 * BUCKET_MICROS), 0);
        assert_eq!(watermark.time(0), None, "nothing of b was read");
        watermark.observe("b", seen(2 * BUCKET_MICROS), 0);
        assert_eq!(watermark.time(0), Some(2 * BUCKET_MICROS));
        watermark.idle("b");
        assert_eq!(watermark.time(0), Some(10 * BUCKET_MICROS));
        watermark.idle("a");
        assert_eq!(watermark.time(0), Some(11 * BUCKET_MICROS));
    }

    #[test]
    fn a_partition_that_comes_back_goes_on_where_it_was() {
        let mut watermark = Watermark::default();
        watermark.observe("a", seen(10 * BUCKET_MICROS), 0);
        watermark.observe("b", seen(4 * BUCKET_MICROS), 0);
        watermark.assign(&["a".to_owned()]);
        assert_eq!(watermark.time(0), Some(10 * BUCKET_MICROS));
        watermark.assign(&[]);
        assert_eq!(watermark.time(0), None, "no partition, no progress");
        watermark.assign(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(watermark.time(0), Some(4 * BUCKET_MICROS));
    }

    #[test]
    fn an_idle_partition_that_is_assigned_again_is_waited_for() {
        let both = ["a".to_owned(), "b".to_owned()];
        let mut watermark = Watermark::default();
        watermark.assign(&both);
        watermark.observe("a", seen(10 * BUCKET_MICROS), 0);
        watermark.observe("b", seen(10 * BUCKET_MICROS), 0);
        watermark.idle("b");
        // As after a restart, with a backlog in both.
        watermark.assign(&both);
        watermark.observe("a", seen(20 * BUCKET_MICROS), 0);
        assert_eq!(watermark.open_from(0), Some(10));
        assert_eq!(watermark.observe("b", seen(11 * BUCKET_MICROS), 0), [Arrival::OnTime; 2]);
    }

    #[test]
    fn what_idleness_closed_stays_closed() {
        let mut watermark = Watermark::default();
        watermark.observe("a", seen(10 * BUCKET_MICROS), 0);
        watermark.finish();
        assert_eq!(watermark.open_from(0), Some(11));
        assert_eq!(watermark.observe("a", seen(10 * BUCKET_MICROS + 5), 0), [Arrival::TooLate; 2]);
    }

    #[test]
    fn a_caller_whose_clock_runs_ahead_closes_nobodys_buckets() {
        let mut watermark = Watermark::default();
        // Each tenth call is two hours ahead: the first one too.
        let calls = (0..600).map(|number: i64| {
            let ahead = if number % 10 == 0 { 120 * MINUTE } else { 0 };
            (number * MINUTE / 10 + ahead, (number % 10) as u64)
        });
        let arrivals = watermark.observe("a", calls, MINUTE);
        assert_eq!(arrivals.iter().filter(|arrival| **arrival == Arrival::OnTime).count(), 600);
        assert!((59 * MINUTE..60 * MINUTE).contains(&watermark.time(0).unwrap()));
        watermark.idle("a");
        assert_eq!(watermark.time(0), Some(60 * MINUTE), "nor when no more calls come");
    }

    #[test]
    fn a_pause_ends_with_the_second_caller_and_a_caller_that_is_alone_ends_it_by_itself() {
        let mut watermark = Watermark::default();
        watermark.observe("a", seen(0), 0);
        watermark.observe("a", std::iter::once((180 * MINUTE, 1)), 0);
        assert_eq!(watermark.time(0), Some(0));
        watermark.observe("a", std::iter::once((181 * MINUTE, 2)), 0);
        assert_eq!(watermark.time(0), Some(181 * MINUTE));
        watermark.observe("b", (0..i64::from(ALONE_EVER)).map(|minute| (minute * 10 * MINUTE, 7)), 0);
        assert_eq!(watermark.time(0), Some(70 * MINUTE), "a partition of one caller");
        watermark.observe("b", std::iter::once((500 * MINUTE, 7)), 0);
        assert_eq!(watermark.time(0), Some(181 * MINUTE), "it goes on at once");
        watermark.observe("a", std::iter::once((600 * MINUTE, 1)), 0);
        watermark.idle("b");
        watermark.idle("a");
        assert_eq!(watermark.time(0), Some(605 * MINUTE), "nothing is left that could contradict it");
    }
}
