//! What is worked out of rolled-up rows before they are judged: names of endpoints, first calls by the minute, features.
//!
//! None of it depends on what was judged before, so that the rows of one chunk are prepared while those of the chunk before are
//! judged.
//!
//! Not here: when a bucket is complete (`engine`), and what its rows mean (`evaluator`).

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use polars::prelude::PolarsError;
use serde::{Deserialize, Serialize};

use crate::calls::{Relation, Templates};
use crate::features::{FeatureVector, features_of};
use crate::models::bundle::Bundle;
use crate::rollup::{Rollup, Row, rename_endpoints};

/// A minute, microseconds: the pace of novelties.
const MINUTE: i64 = 60_000_000;

fn minute_of(time: i64) -> i64 {
    time.div_euclid(MINUTE)
}

/// How far novelties were looked for in open buckets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Looked {
    /// Up to when, microseconds since the epoch.
    until: i64,
    /// Rows of each open bucket, in the order in which they were added, that were looked at or wait for their minute to end. Not
    /// stored: a rollup that was read back has its rows in another order, and `relations` says which of them were looked at.
    #[serde(skip)]
    rows: BTreeMap<i64, usize>,
    /// Of them, those that wait, as indices.
    #[serde(skip)]
    waiting: BTreeMap<i64, Vec<usize>>,
    /// Addresses of the relations of each open bucket that were looked at.
    relations: BTreeMap<i64, HashSet<u64>>,
}

impl Default for Looked {
    fn default() -> Self {
        Self { until: i64::MIN, rows: BTreeMap::new(), waiting: BTreeMap::new(), relations: BTreeMap::new() }
    }
}

impl Looked {
    fn has(&self, bucket: i64, relation: &Relation) -> bool {
        self.relations.get(&bucket).is_some_and(|relations| relations.contains(&relation.id()))
    }
}

/// The relations that were called for the first time in a minute of a bucket.
pub(super) struct Look {
    pub bucket: i64,
    /// End of the minute, microseconds since the epoch.
    pub end: i64,
    /// Each with its first call, microseconds since the epoch; in the order of these.
    pub first_calls: Vec<(Arc<Relation>, i64)>,
}

/// The rows of one closed bucket, in the order of their first calls.
pub(super) struct ClosedBucket<'a> {
    pub bucket: i64,
    pub rows: &'a [Row],
    /// The features of each row.
    pub vectors: &'a [FeatureVector],
    /// What nobody looked at while the bucket was open.
    pub looks: &'a [Look],
}

/// Rows of closed buckets, ready to be judged.
#[derive(Default)]
pub(super) struct Prepared {
    rows: Vec<Row>,
    vectors: Vec<FeatureVector>,
    looks: HashMap<i64, Vec<Look>>,
}

impl Prepared {
    /// The buckets, in order.
    pub fn buckets(&self) -> impl Iterator<Item = ClosedBucket<'_>> {
        let mut vectors: &[FeatureVector] = &self.vectors;
        self.rows.chunk_by(|a, b| a.bucket == b.bucket).map(move |rows| {
            let (own, later) = vectors.split_at(rows.len());
            vectors = later;
            let bucket = rows[0].bucket;
            ClosedBucket { bucket, rows, vectors: own, looks: self.looks.get(&bucket).map_or(&[], Vec::as_slice) }
        })
    }
}

/// Prepares rows by a bundle.
pub(super) struct Preparation {
    bundle: Arc<Bundle>,
    /// Learned templates, and those that the stream itself made necessary.
    pub templates: Templates,
    pub looked: Looked,
}

impl Preparation {
    pub fn new(bundle: Arc<Bundle>, templates: Templates, looked: Looked) -> Self {
        Self { bundle, templates, looked }
    }

    /// Novelties of open buckets, minute by minute up to `until`, microseconds since the epoch.
    pub fn look_ahead(&mut self, open: &Rollup, until: i64) -> Vec<Look> {
        let until = minute_of(until).saturating_mul(MINUTE);
        if until <= self.looked.until {
            return Vec::new();
        }
        let mut looks = Vec::new();
        for bucket in open.buckets() {
            let rows = open.bucket(bucket);
            let seen = self.looked.rows.insert(bucket, rows.len()).unwrap_or_default();
            let mut waiting = self.looked.waiting.remove(&bucket).unwrap_or_default();
            waiting.extend(seen..rows.len());
            let (mut due, waiting): (Vec<usize>, Vec<usize>) =
                waiting.into_iter().partition(|row| (minute_of(rows[*row].first_seen()) + 1) * MINUTE <= until);
            self.looked.waiting.insert(bucket, waiting);
            due.sort_unstable_by_key(|row| (rows[*row].first_seen(), rows[*row].relation.id()));
            let due: Vec<&Row> = due.into_iter().map(|row| &rows[row]).collect();
            looks.extend(self.looks(&due));
        }
        self.looked.until = until;
        looks
    }

    /// Rows of a bucket, in the order of their first calls, that were not looked at: by minute, with the names that their endpoints
    /// have by then.
    fn looks(&mut self, of_bucket: &[&Row]) -> Vec<Look> {
        let mut looks = Vec::new();
        for of_minute in of_bucket.chunk_by(|a, b| minute_of(a.first_seen()) == minute_of(b.first_seen())) {
            let (bucket, end) = (of_minute[0].bucket, (minute_of(of_minute[0].first_seen()) + 1) * MINUTE);
            let new: Vec<&Row> =
                of_minute.iter().copied().filter(|row| !self.looked.has(bucket, &row.relation)).collect();
            let looked = self.looked.relations.entry(bucket).or_default();
            for row in &new {
                looked.insert(row.relation.id());
                self.templates.observe_new(row.relation.vendor().as_str(), row.relation.endpoint().as_str());
            }
            let named = |row: &Row| match self.new_name(&row.relation) {
                Some(name) => Arc::new(row.relation.with_endpoint(name.as_str().into())),
                None => Arc::clone(&row.relation),
            };
            let first_calls = new.into_iter().map(|row| (named(row), row.first_seen())).collect();
            // A late call may move a relation to a minute that is past: it is reported now.
            looks.push(Look { bucket, end: end.max(self.looked.until), first_calls });
        }
        looks
    }

    fn new_name(&self, relation: &Relation) -> Option<String> {
        self.templates.renamed(relation.vendor().as_str(), relation.endpoint().as_str())
    }

    /// Prepares rows of closed buckets, in the order of [`Rollup::into_rows`].
    ///
    /// # Errors
    /// Where a column is missing, which rows do not cause.
    pub fn prepare(&mut self, raw: Vec<Row>) -> Result<Prepared, PolarsError> {
        let mut looks = HashMap::default();
        // Endpoints that training never saw are watched, bucket by bucket, so that a path with ids of a new shape cannot grow the
        // state for ever.
        let mut names: HashMap<(i64, u64), String> = HashMap::default();
        for of_bucket in raw.chunk_by(|a, b| a.bucket == b.bucket) {
            let bucket = of_bucket[0].bucket;
            looks.insert(bucket, self.looks(&of_bucket.iter().collect::<Vec<_>>()));
            for row in of_bucket {
                self.templates.observe_new(row.relation.vendor().as_str(), row.relation.endpoint().as_str());
            }
            let new_name = |row: &Row| Some(((bucket, row.relation.id()), self.new_name(&row.relation)?));
            names.extend(of_bucket.iter().filter_map(new_name));
        }
        let rows = if names.is_empty() { raw } else { renamed(&raw, &names) };
        let vectors = features_of(&rows, self.bundle.expectations.columns(&rows))?;
        Ok(Prepared { rows, vectors, looks })
    }

    /// Forgets what was looked at in buckets that are closed.
    pub fn forget_before(&mut self, bucket: i64) {
        let looked = &mut self.looked;
        looked.rows = looked.rows.split_off(&bucket);
        looked.waiting = looked.waiting.split_off(&bucket);
        looked.relations = looked.relations.split_off(&bucket);
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
