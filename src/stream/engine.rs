//! The engine: a deterministic state machine from calls to alerts.
//!
//! The same calls in the same order within their partitions give the same alerts, whatever the batches and wherever it was
//! stopped and restored. Event time drives it. No clock, no network, no file.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use polars::prelude::PolarsError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::evaluator::{Evaluator, Look, Memory};
use super::settings::EngineSettings;
use super::watermark::{Arrival, Watermark};
use crate::alerts::Alert;
use crate::calls::{Calls, Relation, Templates};
use crate::features::{Entity, FeatureVector, features_of};
use crate::models::bundle::Bundle;
use crate::rollup::{Rollup, Row, bucket_of, rename_endpoints};

/// Version of the snapshot's layout.
const SNAPSHOT_VERSION: u32 = 6;
/// A minute, microseconds: the pace of novelties.
const MINUTE: i64 = 60_000_000;

fn minute_of(time: i64) -> i64 {
    time.div_euclid(MINUTE)
}

/// Why the engine cannot go on.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Grouping or joining columns failed.
    #[error("calls cannot be rolled up")]
    Columns(#[from] PolarsError),
    /// The snapshot is not one of this version.
    #[error("the snapshot does not fit: {0}")]
    Snapshot(String),
    /// The bundle holds what a detector cannot read.
    #[error("the model bundle does not fit: {0}")]
    Bundle(String),
}

/// What the engine has counted, over its whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Calls taken in.
    pub calls: u64,
    /// Of them, calls that came after the watermark and were still merged.
    pub late: u64,
    /// Calls whose bucket was closed: not taken in.
    pub too_late: u64,
    /// Calls whose record had been delivered before: not taken in.
    pub repeated: u64,
    /// Buckets judged.
    pub buckets: u64,
}

/// All that must survive a stop.
#[derive(Serialize, Deserialize)]
struct Snapshot<'a> {
    version: u32,
    bundle: std::borrow::Cow<'a, str>,
    watermark: std::borrow::Cow<'a, Watermark>,
    open: std::borrow::Cow<'a, Rollup>,
    late: std::borrow::Cow<'a, Rollup>,
    looked: Looked,
    records: std::borrow::Cow<'a, BTreeMap<i64, HashSet<u64>>>,
    templates: std::borrow::Cow<'a, Templates>,
    counters: Counters,
    memory: std::borrow::Cow<'a, Memory>,
}

/// How far novelties were looked for in open buckets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Looked {
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

impl Looked {
    fn forget_before(&mut self, bucket: i64) {
        self.rows = self.rows.split_off(&bucket);
        self.waiting = self.waiting.split_off(&bucket);
        self.relations = self.relations.split_off(&bucket);
    }

    fn has(&self, bucket: i64, relation: &Relation) -> bool {
        self.relations.get(&bucket).is_some_and(|relations| relations.contains(&relation.id()))
    }
}

/// The state machine.
pub struct Engine {
    bundle: Arc<Bundle>,
    settings: EngineSettings,
    watermark: Watermark,
    /// Rows of buckets that are still open, and of what came late for them.
    open: Rollup,
    late: Rollup,
    looked: Looked,
    /// Ids of the records of open buckets, where the source gives one.
    records: BTreeMap<i64, HashSet<u64>>,
    /// Learned templates, and those that the stream itself made necessary.
    templates: Templates,
    counters: Counters,
    evaluator: Evaluator,
}

impl Engine {
    /// An engine that has seen nothing.
    ///
    /// # Errors
    /// [`EngineError::Bundle`].
    pub fn new(bundle: Arc<Bundle>, settings: EngineSettings) -> Result<Self, EngineError> {
        Ok(Self {
            watermark: Watermark::default(),
            open: Rollup::default(),
            late: Rollup::default(),
            looked: Looked { until: i64::MIN, ..Looked::default() },
            records: BTreeMap::new(),
            templates: bundle.templates.clone(),
            counters: Counters::default(),
            evaluator: Evaluator::new(Arc::clone(&bundle), settings.clone(), Memory::default())
                .map_err(EngineError::Bundle)?,
            bundle,
            settings,
        })
    }

    /// Takes in calls of one partition, in their order, and returns what is to be reported.
    ///
    /// # Errors
    /// [`EngineError::Columns`], which a batch of calls does not cause.
    pub fn push(&mut self, partition: &str, calls: Calls) -> Result<Vec<Alert>, EngineError> {
        self.admit(partition, calls);
        self.go_on()
    }

    /// Counts the calls that are neither too late nor repeated.
    fn admit(&mut self, partition: &str, mut calls: Calls) {
        let times = calls.rows().iter().map(|call| call.time);
        let arrivals = self.watermark.observe(partition, times, self.settings.hold_back());
        let (known, counters) = (&mut self.records, &mut self.counters);
        let mut arrivals_of_rows = arrivals.iter();
        let mut is_late = Vec::new();
        calls.retain(|call, _| {
            let arrival = *arrivals_of_rows.next().unwrap_or(&Arrival::TooLate);
            if arrival == Arrival::TooLate {
                counters.too_late += 1;
                return false;
            }
            let record = call.record.map(std::num::NonZeroU64::get);
            if record.is_some_and(|record| !known.entry(bucket_of(call.time)).or_default().insert(record)) {
                counters.repeated += 1;
                return false;
            }
            counters.late += u64::from(arrival == Arrival::Late);
            is_late.push(arrival == Arrival::Late);
            true
        });
        counters.calls += calls.len() as u64;
        if !is_late.contains(&true) {
            self.open.add(&calls);
            return;
        }
        let rows = |late: bool| (0..is_late.len()).filter(|row| is_late[*row] == late).collect::<Vec<_>>();
        self.open.add(&calls.select(rows(false)));
        self.late.add(&calls.select(rows(true)));
    }

    /// Closes what is complete, then looks at what has come since.
    fn go_on(&mut self) -> Result<Vec<Alert>, EngineError> {
        let mut alerts = self.close_what_is_complete()?;
        alerts.extend(self.look_ahead());
        Ok(alerts)
    }

    /// Novelties of open buckets, minute by minute up to the watermark: a stolen key is reported before its bucket ends. What came
    /// late is left for the end of its bucket, so that what is seen does not depend on how calls were batched.
    fn look_ahead(&mut self) -> Vec<Alert> {
        let until = self.watermark().map_or(i64::MIN, |time| time.div_euclid(MINUTE) * MINUTE);
        if self.settings.is_bounded || until <= self.looked.until || self.open.is_empty() {
            return Vec::new();
        }
        let mut alerts = Vec::new();
        for bucket in self.open.buckets().collect::<Vec<_>>() {
            let rows = self.open.bucket(bucket);
            let seen = self.looked.rows.insert(bucket, rows.len()).unwrap_or_default();
            let mut waiting = self.looked.waiting.remove(&bucket).unwrap_or_default();
            waiting.extend(seen..rows.len());
            let (mut due, waiting): (Vec<usize>, Vec<usize>) =
                waiting.into_iter().partition(|row| (minute_of(rows[*row].first_seen()) + 1) * MINUTE <= until);
            self.looked.waiting.insert(bucket, waiting);
            due.sort_unstable_by_key(|row| (rows[*row].first_seen(), rows[*row].relation.id()));
            let due: Vec<Row> = due.into_iter().map(|row| rows[row].clone()).collect();
            for look in self.looks(&due) {
                alerts.extend(self.evaluator.look(&look));
            }
        }
        self.looked.until = until;
        alerts
    }

    /// Rows of a bucket, in the order of their first calls, that were not looked at: by minute, with the names that their endpoints
    /// have by then.
    fn looks<'a>(&mut self, of_bucket: &'a [Row]) -> Vec<Look<'a>> {
        let mut looks = Vec::new();
        for of_minute in of_bucket.chunk_by(|a, b| minute_of(a.first_seen()) == minute_of(b.first_seen())) {
            let Some(first) = of_minute.first() else { continue };
            let (bucket, end) = (first.bucket, (minute_of(first.first_seen()) + 1) * MINUTE);
            let new: Vec<&Row> = of_minute.iter().filter(|row| !self.looked.has(bucket, &row.relation)).collect();
            let looked = self.looked.relations.entry(bucket).or_default();
            for row in &new {
                looked.insert(row.relation.id());
                self.templates.observe_new(row.relation.vendor().as_str(), row.relation.endpoint().as_str());
            }
            let named = |row: &&Row| {
                let name = self.templates.renamed(row.relation.vendor().as_str(), row.relation.endpoint().as_str());
                name.map(|name| Arc::new(row.relation.with_endpoint(name.as_str().into())))
            };
            let relations = new.iter().map(named).collect();
            // A late call may move a relation to a minute that is past: it is reported now.
            looks.push(Look { bucket, end: end.max(self.looked.until), rows: new, renamed: relations });
        }
        looks
    }

    fn close_what_is_complete(&mut self) -> Result<Vec<Alert>, EngineError> {
        let Some(open_from) = self.watermark.open_from(self.settings.hold_back()) else { return Ok(Vec::new()) };
        let oldest = self.open.first_bucket().into_iter().chain(self.late.first_bucket()).min();
        if oldest.is_none_or(|bucket| bucket >= open_from) {
            return Ok(Vec::new());
        }
        let mut closed = self.open.split_before(open_from);
        closed.merge(self.late.split_before(open_from));
        self.records = self.records.split_off(&open_from);
        let alerts = self.judge_buckets(closed)?;
        self.looked.forget_before(open_from);
        Ok(alerts)
    }

    /// Judges closed buckets, in chunks, so that the features of some million rows are never held at once.
    fn judge_buckets(&mut self, mut closed: Rollup) -> Result<Vec<Alert>, EngineError> {
        let mut alerts = Vec::new();
        while !closed.is_empty() {
            alerts.extend(self.judge_chunk(closed.take_oldest(ROWS_PER_CHUNK))?);
        }
        Ok(alerts)
    }

    fn judge_chunk(&mut self, raw: Vec<Row>) -> Result<Vec<Alert>, EngineError> {
        let mut looks: BTreeMap<i64, Vec<Look<'_>>> = BTreeMap::new();
        // Endpoints that training never saw are watched, bucket by bucket, so that a path with ids of a new shape cannot grow the
        // state for ever.
        let mut names: HashMap<(i64, u64), Option<String>> = HashMap::default();
        for of_bucket in raw.chunk_by(|a, b| a.bucket == b.bucket) {
            let Some(bucket) = of_bucket.first().map(|row| row.bucket) else { continue };
            looks.insert(bucket, self.looks(of_bucket));
            let parts = |row: &Row| (row.relation.vendor().clone(), row.relation.endpoint().clone());
            for (vendor, endpoint) in of_bucket.iter().map(parts) {
                self.templates.observe_new(vendor.as_str(), endpoint.as_str());
            }
            for row in of_bucket {
                let (vendor, endpoint) = parts(row);
                let name = self.templates.renamed(vendor.as_str(), endpoint.as_str());
                if name.is_some() {
                    names.insert((bucket, row.relation.id()), name);
                }
            }
        }
        let named = if names.is_empty() { None } else { Some(renamed(&raw, &names)) };
        let rows = named.as_deref().unwrap_or(&raw);
        let vectors = features_of(rows, self.bundle.expectations.columns(rows))?;
        let mut alerts = Vec::new();
        let mut vectors: &[FeatureVector] = &vectors;
        for of_bucket in rows.chunk_by(|a, b| a.bucket == b.bucket) {
            let Some(bucket) = of_bucket.first().map(|row| row.bucket) else { continue };
            let (own, later) = vectors.split_at(of_bucket.len());
            vectors = later;
            for look in looks.get(&bucket).into_iter().flatten() {
                alerts.extend(self.evaluator.look(look));
            }
            alerts.extend(self.evaluator.close(bucket, of_bucket, own));
            self.counters.buckets += 1;
        }
        Ok(alerts)
    }

    /// Shows each p-value of an entity's tests to an observer: who, at the end of which bucket, and the chance that an entity
    /// has such a day. Nothing that is told depends on it, and it is no part of a snapshot.
    pub fn observe(&mut self, observer: impl FnMut(&Entity, i64, f64) + Send + 'static) {
        self.evaluator.observer = Some(Box::new(observer));
    }

    /// The partitions that are read from now on: each holds the watermark back until it was heard or is idle.
    pub fn assign(&mut self, partitions: &[String]) {
        self.watermark.assign(partitions);
    }

    /// Nothing more is expected of a partition for now.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn idle(&mut self, partition: &str) -> Result<Vec<Alert>, EngineError> {
        self.watermark.idle(partition);
        self.go_on()
    }

    /// The input has ended: judges all that is open. Incidents stay open, as they would in the stream.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(&mut self) -> Result<Vec<Alert>, EngineError> {
        self.watermark.finish();
        self.close_what_is_complete()
    }

    /// Up to when all has been heard, microseconds of event time.
    pub fn watermark(&self) -> Option<i64> {
        self.watermark.time(self.settings.hold_back())
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The state as bytes.
    ///
    /// # Errors
    /// None in practice: all of the state serializes.
    pub fn snapshot(&self) -> Result<Vec<u8>, EngineError> {
        use std::borrow::Cow;
        let snapshot = Snapshot {
            version: SNAPSHOT_VERSION,
            bundle: Cow::Borrowed(self.bundle.manifest.version.as_str()),
            watermark: Cow::Borrowed(&self.watermark),
            open: Cow::Borrowed(&self.open),
            late: Cow::Borrowed(&self.late),
            looked: self.looked.clone(),
            records: Cow::Borrowed(&self.records),
            templates: Cow::Borrowed(&self.templates),
            counters: self.counters,
            memory: Cow::Borrowed(&self.evaluator.memory),
        };
        postcard::to_stdvec(&snapshot).map_err(|error| EngineError::Snapshot(error.to_string()))
    }

    /// An engine that goes on where a snapshot was taken.
    ///
    /// # Errors
    /// Where the snapshot is of another version, damaged, or was taken with another bundle.
    pub fn restore(bundle: Arc<Bundle>, settings: EngineSettings, bytes: &[u8]) -> Result<Self, EngineError> {
        let misfit = |reason: String| EngineError::Snapshot(reason);
        let snapshot: Snapshot<'_> = postcard::from_bytes(bytes).map_err(|error| misfit(error.to_string()))?;
        if snapshot.version != SNAPSHOT_VERSION {
            return Err(misfit(format!("version {}, this program reads {SNAPSHOT_VERSION}", snapshot.version)));
        }
        if snapshot.bundle != bundle.manifest.version {
            let given = &bundle.manifest.version;
            return Err(misfit(format!("taken with model bundle {}, the bundle given is {given}", snapshot.bundle)));
        }
        let memory = snapshot.memory.into_owned().restored();
        Ok(Self {
            watermark: snapshot.watermark.into_owned(),
            open: snapshot.open.into_owned(),
            late: snapshot.late.into_owned(),
            looked: snapshot.looked,
            records: snapshot.records.into_owned(),
            templates: snapshot.templates.into_owned(),
            counters: snapshot.counters,
            evaluator: Evaluator::new(Arc::clone(&bundle), settings.clone(), memory).map_err(EngineError::Bundle)?,
            bundle,
            settings,
        })
    }
}

/// Rows whose features are worked out at once.
const ROWS_PER_CHUNK: usize = 16_384;

/// Rows under the names that their endpoints have by the end of their bucket.
fn renamed(rows: &[Row], names: &HashMap<(i64, u64), Option<String>>) -> Vec<Row> {
    let of_buckets = rows.chunk_by(|a, b| a.bucket == b.bucket);
    of_buckets
        .flat_map(|of_bucket| {
            let name = |bucket: i64, relation: &Relation| names.get(&(bucket, relation.id())).cloned().flatten();
            let bucket = of_bucket.first().map_or(0, |row| row.bucket);
            rename_endpoints(of_bucket.to_vec(), |relation| name(bucket, relation))
        })
        .collect()
}
