//! What is worked out before rows are judged: names of endpoints, first calls and bursts in the order in which they came, features.
//!
//! None of it depends on what was judged before, so that the rows of one chunk are prepared while those of the chunk before are
//! judged.
//!
//! Not here: when a bucket is complete (`engine`), and what its rows mean (`evaluator`).

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;
use polars::prelude::PolarsError;
use serde::{Deserialize, Serialize};

use super::bursts::{Burst, Bursts};
use crate::calls::{CallRow, Measures, Relation, Templates};
use crate::features::{FeatureVector, features_of};
use crate::models::bundle::Bundle;
use crate::rollup::{Rollup, Row, bucket_of, bucket_start, rename_endpoints};

/// Rows whose features are worked out at once.
pub(super) const ROWS_PER_CHUNK: usize = 16_384;

/// First calls by when each is due, the time of the call, and the address of its relation. A row is large, and is moved from here to where it
/// is judged.
type Waiting = BTreeMap<(i64, i64, u64), Box<Row>>;

/// First calls of relations in open buckets: those that nobody looked at yet, and which were.
///
/// They are looked at in the order of their times, of stragglers in the order in which they came: neither batches nor the pace of partitions
/// change it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Looked {
    #[serde(with = "stored_first_calls")]
    waiting: Waiting,
    /// Addresses of the relations of each open bucket: of those that wait, by when they are due and the time of the call; none of those that
    /// were looked at.
    relations: BTreeMap<i64, HashMap<u64, Option<(i64, i64)>>>,
    /// The first open bucket.
    open_from: i64,
}

impl Looked {
    /// Takes note of a call at `time`, due at another. Where its relation waits already, the earlier of both is kept.
    fn note(&mut self, (due, time): (i64, i64), relation: &Arc<Relation>, measures: impl FnOnce() -> Measures) {
        let (bucket, id) = (bucket_of(time), relation.id());
        let of_bucket = self.relations.entry(bucket).or_default();
        match of_bucket.get(&id) {
            None => {}
            Some(Some(waiting)) if (due, time) < *waiting => {
                self.waiting.remove(&(waiting.0, waiting.1, id));
            }
            Some(_) => return,
        }
        of_bucket.insert(id, Some((due, time)));
        let row = Row { bucket, relation: Arc::clone(relation), measures: measures(), trace_id: None };
        self.waiting.insert((due, time, id), Box::new(row));
    }

    /// Whether a relation of a bucket was neither looked at nor waits; it counts as looked at from now on.
    fn is_first(&mut self, bucket: i64, relation: &Relation) -> bool {
        self.relations.entry(bucket).or_default().insert(relation.id(), None).is_none()
    }

    /// The first calls that are due before `until`, microseconds of event time.
    fn take_before(&mut self, until: i64) -> Vec<((i64, i64, u64), Box<Row>)> {
        let later = self.waiting.split_off(&(until, i64::MIN, 0));
        let taken: Vec<_> = std::mem::replace(&mut self.waiting, later).into_iter().collect();
        for (_, row) in &taken {
            self.is_first(row.bucket, &row.relation);
        }
        taken
    }
}

/// First calls as they are stored: what they are kept by follows from them.
mod stored_first_calls {
    use serde::{Deserializer, Serializer};

    use super::{Arc, Deserialize, Measures, Relation, Row, Serialize, Waiting, bucket_of};

    pub fn serialize<S: Serializer>(waiting: &Waiting, serializer: S) -> Result<S::Ok, S::Error> {
        let stored: Vec<(i64, &Relation, &Measures)> =
            waiting.iter().map(|((due, ..), row)| (*due, &*row.relation, &row.measures)).collect();
        stored.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Waiting, D::Error> {
        let stored: Vec<(i64, Relation, Measures)> = Deserialize::deserialize(deserializer)?;
        let row = |(due, relation, measures): (i64, Relation, Measures)| {
            let mut row = Box::new(Row { bucket: 0, relation: Arc::new(relation), measures, trace_id: None });
            row.bucket = bucket_of(row.first_seen());
            ((due, row.first_seen(), row.relation.id()), row)
        };
        Ok(stored.into_iter().map(row).collect())
    }
}

/// A relation that is called for the first time in a bucket.
pub(super) struct Look {
    /// Its first call, under the name that its endpoint has by then.
    pub row: Box<Row>,
    /// When it is looked at, microseconds of event time: its own, but of a straggler.
    pub due: i64,
    /// Whether its bucket had been judged when it came.
    pub is_late: bool,
}

/// What is judged before the end of a bucket.
pub(super) enum Early {
    /// A first call.
    Look(Look),
    /// What large calls moved so far.
    Burst(Burst),
}

/// The rows of one closed bucket, in the order of their first calls.
pub(super) struct ClosedBucket<'a> {
    pub bucket: i64,
    pub rows: &'a [Row],
    /// The features of each row.
    pub vectors: &'a [FeatureVector],
    /// What is judged before it, in order.
    pub early: &'a [Early],
}

/// Rows of closed buckets, ready to be judged.
#[derive(Default)]
pub(super) struct Prepared {
    rows: Vec<Row>,
    vectors: Vec<FeatureVector>,
    early: HashMap<i64, Vec<Early>>,
}

impl Prepared {
    /// The buckets, in order.
    pub fn buckets(&self) -> impl Iterator<Item = ClosedBucket<'_>> {
        let mut vectors: &[FeatureVector] = &self.vectors;
        self.rows.chunk_by(|a, b| a.bucket == b.bucket).map(move |rows| {
            let (own, later) = vectors.split_at(rows.len());
            vectors = later;
            let bucket = rows[0].bucket;
            ClosedBucket { bucket, rows, vectors: own, early: self.early.get(&bucket).map_or(&[], Vec::as_slice) }
        })
    }
}

/// Prepares rows by a bundle.
pub(super) struct Preparation {
    bundle: Arc<Bundle>,
    /// Learned templates, and those that the stream itself made necessary.
    pub templates: Templates,
    pub looked: Looked,
    pub bursts: Bursts,
}

impl Preparation {
    pub fn new(bundle: Arc<Bundle>, templates: Templates, looked: Looked, bursts: Bursts) -> Self {
        Self { bundle, templates, looked, bursts }
    }

    /// Takes note of a call that is due at a time, microseconds of event time: only the first of its relation in its bucket is kept.
    pub fn note(&mut self, call: &CallRow, relation: &Arc<Relation>, due: i64) {
        self.looked.note((due, call.time), relation, || Measures::of(call));
    }

    /// Takes note of the first calls of rows that were read as a whole, each due at its time.
    pub fn note_rows(&mut self, rows: &[Row]) {
        for row in rows {
            self.looked.note((row.first_seen(), row.first_seen()), &row.relation, || row.measures);
        }
    }

    /// What is judged without waiting for the end of a bucket, in the order in which it is due, up to where all partitions have been read,
    /// microseconds of event time: first calls, and at the end of each minute what large calls moved.
    ///
    /// A call is late by what its partition had shown before it (`lateness` microseconds are allowed), whatever was closed meanwhile.
    pub fn early_before(&mut self, until: i64, lateness: i64) -> Vec<Early> {
        let mut early = Vec::new();
        while let Some(end) = self.bursts.next_before(until) {
            self.look_before(end, lateness, &mut early);
            for mut burst in self.bursts.take_next() {
                burst.relation = self.named(&burst.relation);
                early.push(Early::Burst(burst));
            }
        }
        self.look_before(until, lateness, &mut early);
        early
    }

    fn look_before(&mut self, until: i64, lateness: i64, early: &mut Vec<Early>) {
        for ((due, ..), row) in self.looked.take_before(until) {
            early.push(Early::Look(self.look(row, due, lateness)));
        }
    }

    /// A look at a row, under the name that its endpoint has by then.
    fn look(&mut self, mut row: Box<Row>, due: i64, lateness: i64) -> Look {
        self.templates.observe_new(row.relation.vendor().as_str(), row.relation.endpoint().as_str());
        row.relation = self.named(&row.relation);
        let is_late =
            row.bucket < self.looked.open_from || due >= bucket_start(row.bucket + 1).saturating_add(lateness);
        Look { row, due, is_late }
    }

    /// A relation under the name that its endpoint has by now.
    fn named(&self, relation: &Arc<Relation>) -> Arc<Relation> {
        match self.new_name(relation) {
            Some(name) => Arc::new(relation.with_endpoint(name.as_str().into())),
            None => Arc::clone(relation),
        }
    }

    fn new_name(&self, relation: &Relation) -> Option<String> {
        self.templates.renamed(relation.vendor().as_str(), relation.endpoint().as_str())
    }

    /// Prepares rows of closed buckets, in the order of [`Rollup::into_rows`]; a bucket is closed once all has been read to `lateness`
    /// (microseconds) behind its end.
    ///
    /// # Errors
    /// Where a column is missing, which rows do not cause.
    pub fn prepare(&mut self, raw: Vec<Row>, lateness: i64) -> Result<Prepared, PolarsError> {
        let mut early = HashMap::default();
        // Endpoints that training never saw are watched, bucket by bucket, so that a path with ids of a new shape cannot grow the
        // state for ever.
        let mut names: HashMap<(i64, u64), String> = HashMap::default();
        for of_bucket in raw.chunk_by(|a, b| a.bucket == b.bucket) {
            let bucket = of_bucket[0].bucket;
            let mut of_this = self.early_before(bucket_start(bucket + 1).saturating_add(lateness), lateness);
            for row in of_bucket {
                if self.looked.is_first(bucket, &row.relation) {
                    of_this.push(Early::Look(self.look(Box::new(row.clone()), row.first_seen(), lateness)));
                }
            }
            early.insert(bucket, of_this);
            for row in of_bucket {
                self.templates.observe_new(row.relation.vendor().as_str(), row.relation.endpoint().as_str());
            }
            let new_name = |row: &Row| Some(((bucket, row.relation.id()), self.new_name(&row.relation)?));
            names.extend(of_bucket.iter().filter_map(new_name));
        }
        let rows = if names.is_empty() { raw } else { renamed(&raw, &names) };
        let vectors = features_of(&rows, self.bundle.expectations.columns(&rows))?;
        Ok(Prepared { rows, vectors, early })
    }

    /// Prepares any number of rows of closed buckets, some at a time; as [`Self::prepare`].
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn prepare_all(&mut self, mut rollup: Rollup, lateness: i64) -> Result<Vec<Prepared>, PolarsError> {
        let mut prepared = Vec::new();
        while !rollup.is_empty() {
            prepared.push(self.prepare(rollup.take_oldest(ROWS_PER_CHUNK), lateness)?);
        }
        Ok(prepared)
    }

    /// Forgets what was looked at in buckets that are closed.
    pub fn forget_before(&mut self, bucket: i64) {
        self.looked.relations = self.looked.relations.split_off(&bucket);
        self.looked.open_from = bucket;
        self.bursts.forget_before(bucket);
    }
}

/// Rows under the names that their endpoints have by the end of their bucket.
fn renamed(rows: &[Row], names: &HashMap<(i64, u64), String>) -> Vec<Row> {
    let of_buckets = rows.chunk_by(|a, b| a.bucket == b.bucket);
    of_buckets
        .flat_map(|of_bucket| {
            let bucket = of_bucket[0].bucket;
            rename_endpoints(of_bucket.to_vec(), |relation| names.get(&(bucket, relation.id())).cloned())
        })
        .collect()
}
