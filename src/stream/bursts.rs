//! Bursts: what large calls moved in a bucket that goes on, by the minute of event time in which they came.
//!
//! A sum only grows, so one that is beyond the pair's peak by now is so at the end of the bucket too: a theft is told while it goes on.
//! Small calls are left to the end of the bucket: most calls are, and nothing is kept of them here.
//!
//! Not here: peaks (`models::peak`), and what a burst means (`evaluator`).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::calls::{CallRow, Relation};
use crate::features::{Column, EntityId, WindowSums};
use crate::models::peak;
use crate::rollup::bucket_of;

/// A minute, microseconds.
pub(super) const MINUTE: i64 = 60_000_000;

/// The end of the minute that a time is in, both in microseconds of event time.
pub(super) const fn end_of_minute(time: i64) -> i64 {
    (time.div_euclid(MINUTE) + 1) * MINUTE
}

/// What large calls of a pair moved in one bucket: calls, bytes to and from the vendor, millionths of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moved([i64; MOVED.len()]);

/// The features that these are part of.
const MOVED: [Column; 4] = [Column::Calls, Column::BytesOutSum, Column::BytesInSum, Column::Cost];

impl Moved {
    fn of(call: &CallRow) -> Self {
        let [bytes_out, bytes_in, cost] = [call.bytes_out, call.bytes_in, call.cost].map(Option::unwrap_or_default);
        Self([1, bytes_out, bytes_in, cost])
    }

    fn add(&mut self, more: Self) {
        self.0.iter_mut().zip(more.0).for_each(|(sum, value)| *sum += value);
    }

    /// Adds it to the windows that end with its bucket.
    pub fn add_to(&self, sums: &mut WindowSums) {
        for window in sums {
            self.0.iter().zip(MOVED).for_each(|(moved, column)| window[column as usize] += moved);
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
    /// What the first of the minute's large calls is about, for what an alert names.
    pub relation: Arc<Relation>,
    /// The end of the minute, microseconds of event time.
    pub due: i64,
    /// By the large calls of the bucket so far.
    pub moved: Moved,
}

/// The large calls of a pair in a minute: the time and the relation of the first, and what they moved.
#[derive(Clone, Debug)]
struct Large {
    time: i64,
    relation: Arc<Relation>,
    moved: Moved,
}

impl Large {
    fn of(call: &CallRow, relation: &Arc<Relation>) -> Self {
        Self { time: call.time, relation: Arc::clone(relation), moved: Moved::of(call) }
    }

    /// The order of first calls, as of a rollup's rows.
    fn order(&self) -> (i64, u64) {
        (self.time, self.relation.id())
    }

    fn add(&mut self, other: Self) {
        self.moved.add(other.moved);
        if other.order() < self.order() {
            (self.time, self.relation) = (other.time, other.relation);
        }
    }
}

/// Large calls by the end of their minute, their bucket and their pair.
type Minutes = BTreeMap<(i64, i64, EntityId), Large>;

/// Minutes as they are stored: bucket and pair follow from the first call.
mod stored_minutes {
    use serde::{Deserializer, Serializer};

    use super::{Arc, Deserialize, EntityId, Large, Minutes, Moved, Relation, Serialize, bucket_of};

    pub fn serialize<S: Serializer>(minutes: &Minutes, serializer: S) -> Result<S::Ok, S::Error> {
        let stored: Vec<(i64, i64, &Relation, Moved)> =
            minutes.iter().map(|((due, ..), large)| (*due, large.time, &*large.relation, large.moved)).collect();
        stored.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Minutes, D::Error> {
        let stored: Vec<(i64, i64, Relation, Moved)> = Deserialize::deserialize(deserializer)?;
        let large = |(due, time, relation, moved): (i64, i64, Relation, Moved)| {
            let key = (due, bucket_of(time), EntityId::pair(&relation));
            (key, Large { time, relation: Arc::new(relation), moved })
        };
        Ok(stored.into_iter().map(large).collect())
    }
}

/// Large calls of open buckets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Bursts {
    /// Those of each minute that is not over: a call is of the minute that its partition had reached when it came.
    #[serde(with = "stored_minutes")]
    minutes: Minutes,
    /// What was moved in the minutes that are over, by bucket and pair.
    moved: BTreeMap<(i64, EntityId), Moved>,
}

impl Bursts {
    /// Takes note of a call that is due at a time, microseconds of event time.
    pub fn note(&mut self, call: &CallRow, relation: &Arc<Relation>, due: i64) {
        if !peak::is_large(call.bytes_out, call.bytes_in, call.cost) {
            return;
        }
        let large = Large::of(call, relation);
        match self.minutes.entry((end_of_minute(due), bucket_of(call.time), EntityId::pair(relation))) {
            Entry::Vacant(entry) => drop(entry.insert(large)),
            Entry::Occupied(mut entry) => entry.get_mut().add(large),
        }
    }

    /// The end of the first minute that was over before `until`, microseconds of event time.
    pub fn next_before(&self, until: i64) -> Option<i64> {
        self.minutes.keys().next().map(|(end, ..)| *end).filter(|end| *end < until)
    }

    /// The bursts of the first minute, in the order of their first calls.
    pub fn take_next(&mut self) -> Vec<Burst> {
        let first = self.minutes.keys().next().map(|(end, ..)| *end);
        let mut bursts = Vec::new();
        while let Some(entry) = self.minutes.first_entry()
            && first == Some(entry.key().0)
        {
            let ((due, bucket, pair), large) = entry.remove_entry();
            let moved = self.moved.entry((bucket, pair)).or_default();
            moved.add(large.moved);
            let (time, id) = large.order();
            bursts.push(((bucket, time, id), Burst { bucket, relation: large.relation, due, moved: *moved }));
        }
        bursts.sort_unstable_by_key(|(order, _)| *order);
        bursts.into_iter().map(|(_, burst)| burst).filter(|burst| burst.moved.is_reportable()).collect()
    }

    /// Forgets what was moved in buckets that are closed.
    pub fn forget_before(&mut self, bucket: i64) {
        self.moved = self.moved.split_off(&(bucket, EntityId(0)));
    }
}
