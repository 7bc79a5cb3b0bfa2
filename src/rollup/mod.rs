//! Rollups: calls counted into time buckets.
//!
//! A batch of calls comes in, a row per relation (who called what, with which credential, from where) and bucket goes out.
//! Every measure is an integer that merges by a sum, a minimum or a maximum, so batches may arrive in any order, split
//! anywhere, on any replica, and the merged row is the same to the bit. That one property carries the whole stream.
//!
//! Not here: clocks (event time is a column), models and thresholds, anything that knows of Kafka.

mod records;

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;
use serde::{Deserialize, Serialize};

use crate::calls::{CallRow, Calls, Measure, Measures, Name, Relation, TraceId};

pub use records::Records;

/// Length of a bucket, seconds of event time.
pub const BUCKET_SECONDS: i64 = 300;
/// Length of a bucket, microseconds.
pub const BUCKET_MICROS: i64 = BUCKET_SECONDS * 1_000_000;
/// Buckets in an hour.
pub const BUCKETS_PER_HOUR: i64 = 3_600 / BUCKET_SECONDS;
/// Buckets in a day.
pub const BUCKETS_PER_DAY: i64 = 86_400 / BUCKET_SECONDS;

/// Buckets without a call after which times lie apart from those before: a week.
const APART: i64 = 7 * BUCKETS_PER_DAY;
/// Calls apart from all others are a clock's fault where they are fewer than one in so many.
const MAX_SHARE_APART: i64 = 100;

/// Bucket of a time in microseconds since the epoch.
pub const fn bucket_of(time: i64) -> i64 {
    time.div_euclid(BUCKET_MICROS)
}

/// Start of a bucket, microseconds since the epoch.
pub const fn bucket_start(bucket: i64) -> i64 {
    bucket * BUCKET_MICROS
}

/// Hour (since the epoch) of a bucket.
pub const fn hour_of(bucket: i64) -> i64 {
    bucket.div_euclid(BUCKETS_PER_HOUR)
}

/// Day (since the epoch) of a bucket.
pub const fn day_of(bucket: i64) -> i64 {
    bucket.div_euclid(BUCKETS_PER_DAY)
}

/// Calls of one relation in one bucket.
#[derive(Clone, Debug)]
pub struct Row {
    /// The bucket.
    pub bucket: i64,
    /// What it is about.
    pub relation: Arc<Relation>,
    /// What was counted.
    pub measures: Measures,
    /// The smallest of its trace ids: a sample that does not depend on the order of calls.
    pub trace_id: Option<TraceId>,
}

impl Row {
    /// First call, microseconds since the epoch.
    pub fn first_seen(&self) -> i64 {
        self.measures.get(Measure::FirstSeen)
    }

    /// Last call, microseconds since the epoch.
    pub fn last_seen(&self) -> i64 {
        self.measures.get(Measure::LastSeen)
    }

    /// Number of calls.
    pub fn calls(&self) -> i64 {
        self.measures.get(Measure::Calls)
    }

    fn merge(&mut self, measures: &Measures, trace_id: Option<TraceId>) {
        self.measures.merge(measures);
        self.trace_id = match (self.trace_id, trace_id) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        };
    }
}

/// The rows of one bucket, by the address of their relation.
#[derive(Clone, Debug, Default)]
struct Bucket {
    rows: Vec<Row>,
    index: HashMap<u64, u32>,
}

impl Bucket {
    fn add(&mut self, bucket: i64, relation: &Arc<Relation>, measures: &Measures, trace_id: Option<TraceId>) {
        let next = self.rows.len() as u32;
        let index = *self.index.entry(relation.id()).or_insert(next);
        match self.rows.get_mut(index as usize) {
            Some(row) => row.merge(measures, trace_id),
            None => self.rows.push(Row { bucket, relation: Arc::clone(relation), measures: *measures, trace_id }),
        }
    }
}

/// Rows by bucket and relation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Rollup {
    buckets: BTreeMap<i64, Bucket>,
    len: usize,
}

impl Rollup {
    /// Rolls up a batch of calls.
    pub fn of(calls: &Calls) -> Self {
        let mut rollup = Self::default();
        rollup.add(calls);
        rollup
    }

    /// Counts calls.
    pub fn add(&mut self, calls: &Calls) {
        let relations = calls.relations();
        // Calls come nearly in order: those of one bucket stand together.
        for of_bucket in calls.rows().chunk_by(|a, b| bucket_of(a.time) == bucket_of(b.time)) {
            let at = bucket_of(of_bucket[0].time);
            let bucket = self.buckets.entry(at).or_default();
            let before = bucket.rows.len();
            for call in of_bucket {
                bucket.add(at, &relations[call.relation as usize], &Measures::of(call), call.trace_id);
            }
            self.len += bucket.rows.len() - before;
        }
    }

    /// Counts one call.
    pub fn add_call(&mut self, call: &CallRow, relation: &Arc<Relation>) {
        self.add_row(bucket_of(call.time), relation, &Measures::of(call), call.trace_id);
    }

    fn add_row(&mut self, at: i64, relation: &Arc<Relation>, measures: &Measures, trace_id: Option<TraceId>) {
        let bucket = self.buckets.entry(at).or_default();
        let before = bucket.rows.len();
        bucket.add(at, relation, measures, trace_id);
        self.len += bucket.rows.len() - before;
    }

    /// Merges another rollup into this one.
    pub fn merge(&mut self, other: Self) {
        for (at, other) in other.buckets {
            match self.buckets.entry(at) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    self.len += other.rows.len();
                    entry.insert(other);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    let bucket = entry.get_mut();
                    let before = bucket.rows.len();
                    for row in &other.rows {
                        bucket.add(at, &row.relation, &row.measures, row.trace_id);
                    }
                    self.len += bucket.rows.len() - before;
                }
            }
        }
    }

    /// Drops the buckets whose times lie apart from all others: a week or more from the next, with less than a hundredth of the calls
    /// on their side of the gap. A clock that is years wrong would else stretch the history over them. Returns the calls dropped.
    pub fn trim(&mut self) -> u64 {
        let calls_of = |bucket: &Bucket| bucket.rows.iter().map(Row::calls).sum::<i64>();
        let mut clusters: Vec<(i64, i64, i64)> = Vec::new();
        for (at, bucket) in &self.buckets {
            match clusters.last_mut() {
                Some((_, last, calls)) if at - *last < APART => (*last, *calls) = (*at, *calls + calls_of(bucket)),
                _ => clusters.push((*at, *at, calls_of(bucket))),
            }
        }
        let all: i64 = clusters.iter().map(|(_, _, calls)| calls).sum();
        let mut trimmed = 0;
        for (first, last, calls) in clusters.into_iter().filter(|(_, _, calls)| calls * MAX_SHARE_APART < all) {
            let apart: Vec<i64> = self.buckets.range(first..=last).map(|(at, _)| *at).collect();
            for bucket in apart.into_iter().filter_map(|at| self.buckets.remove(&at)) {
                self.len -= bucket.rows.len();
            }
            trimmed += calls;
        }
        trimmed.unsigned_abs()
    }

    /// The oldest bucket, if there is a row.
    pub fn first_bucket(&self) -> Option<i64> {
        self.buckets.keys().next().copied()
    }

    /// The newest bucket, if there is a row.
    pub fn last_bucket(&self) -> Option<i64> {
        self.buckets.keys().next_back().copied()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Splits the buckets before `bucket` off.
    #[must_use]
    pub fn split_before(&mut self, bucket: i64) -> Self {
        let later = self.buckets.split_off(&bucket);
        let buckets = std::mem::replace(&mut self.buckets, later);
        let len = buckets.values().map(|bucket| bucket.rows.len()).sum();
        self.len -= len;
        Self { buckets, len }
    }

    /// The rows of a bucket, in the order in which they were added.
    pub fn bucket(&self, bucket: i64) -> &[Row] {
        self.buckets.get(&bucket).map_or(&[], |bucket| &bucket.rows)
    }

    /// The buckets that have rows, in order.
    pub fn buckets(&self) -> impl Iterator<Item = i64> {
        self.buckets.keys().copied()
    }

    /// Takes the oldest buckets out, as many as have about `rows` rows together, and at least one; their rows as by
    /// [`Self::into_rows`].
    pub fn take_oldest(&mut self, rows: usize) -> Vec<Row> {
        let mut taken = Self::default();
        while taken.len < rows
            && let Some((at, bucket)) = self.buckets.pop_first()
        {
            taken.len += bucket.rows.len();
            taken.buckets.insert(at, bucket);
        }
        self.len -= taken.len;
        taken.into_rows()
    }

    /// All rows by bucket, each bucket's in the order of their first calls; where these are equal, of their relations.
    pub fn into_rows(self) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.len);
        for (_, mut bucket) in self.buckets {
            bucket.rows.sort_unstable_by_key(|row| (row.first_seen(), row.relation.id()));
            rows.append(&mut bucket.rows);
        }
        rows
    }
}

/// Gives the endpoints of rows other names, `None` keeps one, and merges the rows that have become one relation. Each relation is
/// asked for once. The order is that of [`Rollup::into_rows`].
pub fn rename_endpoints(rows: Vec<Row>, mut name: impl FnMut(&Relation) -> Option<String>) -> Vec<Row> {
    let mut renamed: HashMap<u64, Option<Arc<Relation>>> = HashMap::default();
    let mut new_name = |relation: &Arc<Relation>| {
        let rename = || name(relation).map(|name| Arc::new(relation.with_endpoint(Name::new(&name))));
        renamed.entry(relation.id()).or_insert_with(rename).clone()
    };
    let names: Vec<Option<Arc<Relation>>> = rows.iter().map(|row| new_name(&row.relation)).collect();
    if names.iter().all(Option::is_none) {
        return rows;
    }
    let with_name = |(mut row, relation): (Row, Option<Arc<Relation>>)| {
        row.relation = relation.unwrap_or(row.relation);
        row
    };
    rows.into_iter().zip(names).map(with_name).collect::<Rollup>().into_rows()
}

impl FromIterator<Row> for Rollup {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        let mut rollup = Self::default();
        for row in rows {
            rollup.add_row(row.bucket, &row.relation, &row.measures, row.trace_id);
        }
        rollup
    }
}

/// A rollup as plain data: how state and disk keep it. Relations stand once.
#[derive(Serialize, Deserialize)]
struct Stored {
    relations: Vec<Relation>,
    rows: Vec<(i64, u32, Measures, Option<TraceId>)>,
}

impl From<Rollup> for Stored {
    fn from(rollup: Rollup) -> Self {
        let mut stored = Self { relations: Vec::new(), rows: Vec::with_capacity(rollup.len) };
        let mut index: HashMap<u64, u32> = HashMap::default();
        for row in rollup.into_rows() {
            let next = stored.relations.len() as u32;
            let relation = *index.entry(row.relation.id()).or_insert_with(|| {
                stored.relations.push(Relation::clone(&row.relation));
                next
            });
            stored.rows.push((row.bucket, relation, row.measures, row.trace_id));
        }
        stored
    }
}

impl From<Stored> for Rollup {
    fn from(stored: Stored) -> Self {
        let relations: Vec<Arc<Relation>> = stored.relations.into_iter().map(Arc::new).collect();
        let rows = stored.rows.into_iter().filter_map(|(bucket, relation, measures, trace_id)| {
            let relation = Arc::clone(relations.get(relation as usize)?);
            Some(Row { bucket, relation, measures, trace_id })
        });
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> Calls {
        let pairs = [("billing", "stripe"), ("billing", "adyen"), ("crm", "stripe")];
        let call = |n: i64| (n * 40_000_000, pairs[(n * n % 7 % 3) as usize]);
        Calls::of_pairs((0..60).map(call))
    }

    fn rows(rollup: Rollup) -> Vec<(i64, u64, Measures)> {
        rollup.into_rows().into_iter().map(|row| (row.bucket, row.relation.id(), row.measures)).collect()
    }

    #[test]
    fn times_apart_from_all_others_are_dropped_and_a_pause_is_not() {
        let day = BUCKETS_PER_DAY * BUCKET_MICROS;
        let at = |days: &[i64]| {
            let times = days.iter().flat_map(|of_day| {
                (0..150).map(move |minute| (of_day * day + minute * 60_000_000, ("billing", "stripe")))
            });
            Rollup::of(&Calls::of_pairs(times))
        };
        let mut rollup = at(&[100, 101, 110]);
        assert_eq!(rollup.trim(), 0, "a pause of eight days with many calls behind it");
        let strays = [(5 * day, ("billing", "stripe")), (4_000 * day, ("billing", "stripe"))];
        rollup.merge(Rollup::of(&Calls::of_pairs(strays)));
        let before = rollup.len();
        assert_eq!((rollup.trim(), rollup.len()), (2, before - 2));
        assert_eq!((rollup.first_bucket(), rollup.last_bucket().map(day_of)), (Some(100 * BUCKETS_PER_DAY), Some(110)));
        assert_eq!(Rollup::default().trim(), 0);
    }

    #[test]
    fn a_rollup_does_not_depend_on_how_calls_were_split_or_ordered() {
        let calls = calls();
        let whole = rows(Rollup::of(&calls));
        for size in [1, 7, 23] {
            let parts = (0..calls.len()).step_by(size).map(|from| Rollup::of(&calls.slice(from..from + size)));
            let mut merged = Rollup::default();
            parts.rev().for_each(|part| merged.merge(part));
            assert_eq!(rows(merged), whole, "{size}");
        }
    }

    #[test]
    fn calls_of_one_relation_and_bucket_are_one_row_and_no_call_is_lost() {
        let rollup = Rollup::of(&calls());
        assert_eq!((rollup.first_bucket(), rollup.last_bucket()), (Some(0), Some(7)));
        let length = rollup.len();
        let rows = rollup.into_rows();
        assert_eq!(rows.len(), length);
        assert!(rows.len() <= 8 * 3 && rows.iter().map(Row::calls).sum::<i64>() == 60);
    }

    #[test]
    fn what_is_split_off_and_what_stays_are_all_there_was() {
        let mut rollup = Rollup::of(&calls());
        let all = rollup.len();
        let before = rollup.split_before(3);
        assert!(before.last_bucket() < Some(3) && rollup.first_bucket() >= Some(3));
        assert_eq!(before.len() + rollup.len(), all);
    }

    #[test]
    fn what_is_taken_bit_by_bit_is_all_there_was_in_the_same_order() {
        let mut rollup = Rollup::of(&calls());
        let (all, mut taken) = (rows(rollup.clone()), Vec::new());
        while !rollup.is_empty() {
            taken.extend(rollup.take_oldest(4).into_iter().map(|row| (row.bucket, row.relation.id(), row.measures)));
        }
        assert_eq!(taken, all);
    }

    #[test]
    fn a_stored_rollup_is_the_same_again() {
        let rollup = Rollup::of(&calls());
        let read: Rollup = postcard::from_bytes(&postcard::to_stdvec(&rollup).unwrap()).unwrap();
        assert_eq!(rows(read), rows(rollup));
    }
}
