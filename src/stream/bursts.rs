//! Bursts: what large calls moved in a bucket that goes on, by the minute of event time in which they came.
//!
//! A sum only grows, so one that is beyond the pair's peak by now is so at the end of the bucket too: a theft is told while it goes on.
//! Small calls are left to the end of the bucket: most calls are, and nothing is kept of them here.
//!
//! Not here: peaks (`models::peak`), and what a burst means (`evaluator`).

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::calls::{CallRow, Measure, Relation};
use crate::features::{Column, EntityId, WindowSums};
use crate::models::peak;
use crate::rollup::{Rollup, Row};

/// A minute, microseconds.
pub(super) const MINUTE: i64 = 60_000_000;

/// The end of the minute that a time is in, both in microseconds of event time.
pub(super) const fn end_of_minute(time: i64) -> i64 {
    (time.div_euclid(MINUTE) + 1) * MINUTE
}

/// What the large calls of a pair moved in one bucket: calls, bytes to and from the vendor, millionths of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moved([i64; MOVED.len()]);

/// What is summed up, and the feature that it is part of.
const MOVED: [(Measure, Column); 4] = [
    (Measure::Calls, Column::Calls),
    (Measure::BytesOutSum, Column::BytesOutSum),
    (Measure::BytesInSum, Column::BytesInSum),
    (Measure::Cost, Column::Cost),
];

impl Moved {
    fn add(&mut self, row: &Row) {
        self.0.iter_mut().zip(MOVED).for_each(|(sum, (measure, _))| *sum += row.measures.get(measure));
    }

    /// Adds it to the windows that end with its bucket.
    pub fn add_to(&self, sums: &mut WindowSums) {
        for window in sums {
            self.0.iter().zip(MOVED).for_each(|(moved, (_, column))| window[column as usize] += moved);
        }
    }

    fn is_reportable(&self) -> bool {
        let [_, bytes_out, bytes_in, cost] = self.0;
        peak::is_reportable(bytes_out, bytes_in, cost)
    }
}

/// What a pair has moved, at the end of a minute with large calls.
pub(super) struct Burst {
    /// The bucket.
    pub bucket: i64,
    /// What one of the minute's large calls is about, for what an alert names.
    pub relation: Arc<Relation>,
    /// The end of the minute, microseconds of event time.
    pub due: i64,
    /// By the large calls of the bucket so far.
    pub moved: Moved,
}

/// Large calls of open buckets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Bursts {
    /// Those of each minute that is not over, by its end: a call is of the minute that its partition had reached when it came.
    minutes: BTreeMap<i64, Rollup>,
    /// What was moved in the minutes that are over, by bucket and pair.
    moved: BTreeMap<(i64, EntityId), Moved>,
}

impl Bursts {
    /// Takes note of a call that is due at a time, microseconds of event time.
    pub fn note(&mut self, call: &CallRow, relation: &Arc<Relation>, due: i64) {
        if peak::is_large(call.bytes_out, call.bytes_in, call.cost) {
            self.minutes.entry(end_of_minute(due)).or_default().add_call(call, relation);
        }
    }

    /// The end of the first minute that was over before `until`, microseconds of event time.
    pub fn next_before(&self, until: i64) -> Option<i64> {
        self.minutes.keys().next().copied().filter(|end| *end < until)
    }

    /// The bursts of the first minute, in the order of their first calls.
    pub fn take_next(&mut self) -> Vec<Burst> {
        let Some((due, minute)) = self.minutes.pop_first() else { return Vec::new() };
        let mut bursts: IndexMap<(i64, EntityId), Burst> = IndexMap::new();
        for row in minute.into_rows() {
            let key = (row.bucket, EntityId::pair(&row.relation));
            let moved = self.moved.entry(key).or_default();
            moved.add(&row);
            let Row { bucket, relation, .. } = row;
            bursts.entry(key).or_insert_with(|| Burst { bucket, relation, due, moved: *moved }).moved = *moved;
        }
        bursts.into_values().filter(|burst| burst.moved.is_reportable()).collect()
    }

    /// Forgets what was moved in buckets that are closed.
    pub fn forget_before(&mut self, bucket: i64) {
        self.moved = self.moved.split_off(&(bucket, EntityId(0)));
    }
}
