//! The watermark: the event time up to which every partition has been read.
//!
//! Each partition has its own watermark, the newest event time that it has shown; the slowest partition that is being read rules. A
//! call is late if it lies before its own partition's watermark, and too late if its bucket does: that depends on the order
//! within the partition alone, not on how records were batched nor on what other partitions do.
//!
//! Not here: how far a partition is where callers disagree about the time (`progress`), when it is idle (`partitions`), and any clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::progress::{Ahead, Progress};
use crate::calls::Name;
use crate::rollup::{bucket_of, bucket_start};

/// A call as its partition stood when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub arrival: Arrival,
    /// What it shows by itself is looked at once all partitions have been read beyond this event time, microseconds: its own, or where its
    /// partition was by then.
    pub due: i64,
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
    /// First bucket that is not closed.
    open_from: Option<i64>,
    /// Callers whose clocks are ahead of all others' of their partition, until somebody takes them.
    #[serde(skip)]
    ahead: Vec<Ahead>,
}

impl Watermark {
    /// Takes note of the calls of a partition, in order: their times, and who called.
    pub fn observe<'a>(
        &mut self,
        partition: &str,
        calls: impl Iterator<Item = (i64, &'a Name)>,
        lateness: i64,
    ) -> Vec<Heard> {
        let open_from = self.open_from;
        let ahead = &mut self.ahead;
        let progress = self.partitions.entry(partition.to_owned()).or_default();
        (progress.is_idle, progress.is_away) = (false, false);
        calls
            .map(|(time, caller)| {
                let own = progress.read_to().map(|newest| newest.saturating_sub(lateness));
                ahead.extend(progress.advance(time, caller));
                let end = bucket_start(bucket_of(time) + 1);
                let arrival =
                    if open_from.is_some_and(|open| bucket_of(time) < open) || own.is_some_and(|own| end <= own) {
                        Arrival::TooLate
                    } else if own.is_some_and(|own| time < own) {
                        Arrival::Late
                    } else {
                        Arrival::OnTime
                    };
                Heard { arrival, due: progress.read_to().map_or(time, |read_to| read_to.max(time)) }
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

    /// All that a partition is still to show is of `time` (microseconds of event time) or later.
    pub fn bound(&mut self, partition: &str, time: i64) {
        if let Some(progress) = self.partitions.get_mut(partition) {
            progress.bound(time);
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
            let bound =
                read().filter_map(Progress::read_to).max().map_or(i64::MIN, |bound| bound.saturating_sub(lateness));
            return Some(bucket_start(bucket_of(newest) + 1).max(bound));
        }
        // A partition of which nothing was read yet holds all back.
        let times: Option<Vec<i64>> = waited_for.map(Progress::read_to).collect();
        Some(times?.into_iter().min()?.saturating_sub(lateness))
    }

    /// The newest event time of any partition, microseconds.
    pub fn newest(&self) -> Option<i64> {
        self.partitions.values().filter_map(Progress::last).max()
    }

    /// The callers that were found to be ahead since the last time this was asked.
    pub fn take_ahead(&mut self) -> Vec<Ahead> {
        std::mem::take(&mut self.ahead)
    }

    /// Buckets before this one were closed, as of the last time that this was settled.
    pub fn closed_before(&self) -> Option<i64> {
        self.open_from
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

    fn observe(
        watermark: &mut Watermark,
        partition: &str,
        calls: impl IntoIterator<Item = (i64, u64)>,
        lateness: i64,
    ) -> Vec<Arrival> {
        let calls: Vec<_> =
            calls.into_iter().map(|(time, caller)| (time, Name::new(&format!("caller-{caller}")))).collect();
        let heard = watermark.observe(partition, calls.iter().map(|(time, caller)| (*time, caller)), lateness);
        heard.into_iter().map(|heard| heard.arrival).collect()
    }

    /// Calls at the time that `seen` makes.
    const SEEN: usize = 4;

    /// A time that two callers show, often enough to be believed.
    fn seen(time: i64) -> [(i64, u64); SEEN] {
        [(time, 1), (time, 2), (time, 1), (time, 2)]
    }

    #[test]
    fn whether_a_call_is_late_does_not_depend_on_batches() {
        let times: Vec<i64> = [0, 4, 9, 3, 12, 1, 10, 11].map(|minute| minute * MINUTE).into();
        let calls = times.iter().flat_map(|time| seen(*time));
        let whole = observe(&mut Watermark::default(), "a", calls.clone(), MINUTE);
        let mut watermark = Watermark::default();
        let single: Vec<_> = calls.flat_map(|call| observe(&mut watermark, "a", [call], MINUTE)).collect();
        assert_eq!(whole, single);
        assert_eq!(whole[SEEN * 3], Arrival::TooLate);
        assert_eq!(whole[SEEN * 6], Arrival::Late);
    }

    #[test]
    fn the_slowest_partition_rules_until_it_is_idle() {
        let mut watermark = Watermark::default();
        watermark.assign(&["a".to_owned(), "b".to_owned()]);
        observe(&mut watermark, "a", seen(10 * BUCKET_MICROS), 0);
        assert_eq!(watermark.time(0), None, "nothing of b was read");
        observe(&mut watermark, "b", seen(2 * BUCKET_MICROS), 0);
        assert_eq!(watermark.time(0), Some(2 * BUCKET_MICROS));
        watermark.idle("b");
        assert_eq!(watermark.time(0), Some(10 * BUCKET_MICROS));
        watermark.idle("a");
        assert_eq!(watermark.time(0), Some(11 * BUCKET_MICROS));
    }

    #[test]
    fn a_partition_that_comes_back_goes_on_where_it_was() {
        let mut watermark = Watermark::default();
        observe(&mut watermark, "a", seen(10 * BUCKET_MICROS), 0);
        observe(&mut watermark, "b", seen(4 * BUCKET_MICROS), 0);
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
        observe(&mut watermark, "a", seen(10 * BUCKET_MICROS), 0);
        observe(&mut watermark, "b", seen(10 * BUCKET_MICROS), 0);
        watermark.idle("b");
        // As after a restart, with a backlog in both.
        watermark.assign(&both);
        observe(&mut watermark, "a", seen(20 * BUCKET_MICROS), 0);
        assert_eq!(watermark.open_from(0), Some(10));
        assert_eq!(observe(&mut watermark, "b", seen(11 * BUCKET_MICROS), 0), [Arrival::OnTime; SEEN]);
    }

    #[test]
    fn what_idleness_closed_stays_closed() {
        let mut watermark = Watermark::default();
        observe(&mut watermark, "a", seen(10 * BUCKET_MICROS), 0);
        watermark.finish();
        assert_eq!(watermark.open_from(0), Some(11));
        assert_eq!(observe(&mut watermark, "a", seen(10 * BUCKET_MICROS + 5), 0), [Arrival::TooLate; SEEN]);
    }
}
