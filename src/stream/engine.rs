//! The engine: a deterministic state machine from calls to alerts.
//!
//! The same calls in the same order within their partitions give the same alerts, whatever the batches and wherever it was
//! stopped and restored. Event time drives it. No clock, no network, no file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use polars::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::judge::{Judge, Memory};
use super::watermark::{Arrival, Watermark};
use crate::alerts::{Alert, Budget};
use crate::calls::Templates;
use crate::features::{Entity, feature_rows};
use crate::models::audit;
use crate::models::bundle::Bundle;
use crate::models::first_sight::relations;
use crate::pipeline::{Campaign, Detection};
use crate::rollup::{Rollup, StoredRollup, bucket_of};

/// Version of the snapshot's layout.
const SNAPSHOT_VERSION: u32 = 2;
/// Rolled-up parts that are merged into one before more are gathered.
const MOST_PARTS: usize = 64;

/// What the pipeline file decides for the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineSettings {
    /// Alerts a day that somebody is willing to look at.
    pub alerts_per_day: f64,
    /// How far a call may come after later ones.
    pub allowed_lateness_seconds: u64,
    /// Whether the input has an end: then nothing is late, and all is judged when it has come.
    pub is_bounded: bool,
    /// Campaigns that are known beforehand.
    pub campaigns: Vec<Campaign>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { alerts_per_day: 1.0, allowed_lateness_seconds: 60, is_bounded: false, campaigns: Vec::new() }
    }
}

impl From<&Detection> for EngineSettings {
    fn from(detection: &Detection) -> Self {
        Self {
            alerts_per_day: detection.alerts_per_day,
            allowed_lateness_seconds: detection.allowed_lateness_seconds,
            is_bounded: false,
            campaigns: detection.campaigns.clone(),
        }
    }
}

impl EngineSettings {
    pub(super) fn budget(&self) -> Budget {
        Budget { alerts_per_day: self.alerts_per_day }
    }

    /// How long a bucket's alert waits for stragglers, microseconds.
    pub(super) fn lateness_micros(&self) -> i64 {
        i64::try_from(self.allowed_lateness_seconds).unwrap_or(i64::MAX / 2_000_000).saturating_mul(1_000_000)
    }

    /// How far the watermark stays behind.
    fn hold_back(&self) -> i64 {
        if self.is_bounded { i64::MAX / 2 } else { self.lateness_micros() }
    }
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
struct Snapshot {
    version: u32,
    bundle: String,
    watermark: Watermark,
    open: StoredRollup,
    records: BTreeMap<i64, BTreeSet<u64>>,
    templates: Templates,
    counters: Counters,
    memory: Memory,
}

/// The state machine.
pub struct Engine {
    bundle: Arc<Bundle>,
    settings: EngineSettings,
    watermark: Watermark,
    /// Rollups of buckets that are still open.
    open: Vec<Rollup>,
    /// Ids of the records of open buckets, where the source gives one.
    records: BTreeMap<i64, BTreeSet<u64>>,
    /// Learned templates, and those that the stream itself made necessary.
    templates: Templates,
    counters: Counters,
    judge: Judge,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(bundle: Arc<Bundle>, settings: EngineSettings) -> Self {
        Self {
            watermark: Watermark::default(),
            open: Vec::new(),
            records: BTreeMap::new(),
            templates: bundle.templates.clone(),
            counters: Counters::default(),
            judge: Judge::new(Arc::clone(&bundle), settings.clone(), Memory::default()),
            bundle,
            settings,
        }
    }

    /// Takes in calls of one partition, in their order, and returns what is to be told.
    ///
    /// # Errors
    /// Where the frame lacks a column of the call.
    pub fn push(&mut self, partition: &str, calls: DataFrame) -> Result<Vec<Alert>, EngineError> {
        let calls = self.admit(partition, calls)?;
        if calls.height() > 0 {
            self.counters.calls += calls.height() as u64;
            self.open.push(Rollup::of(&calls)?);
            if self.open.len() >= MOST_PARTS {
                let merged = Rollup::merge(std::mem::take(&mut self.open))?;
                self.open.push(merged);
            }
        }
        self.close_what_is_complete()
    }

    /// The calls that are neither too late nor repeated.
    fn admit(&mut self, partition: &str, calls: DataFrame) -> Result<DataFrame, EngineError> {
        let times = calls.column("time")?.i64()?;
        let records = calls.column("record_hash")?.u64()?;
        let arrivals = self.watermark.observe(partition, times.iter().flatten(), self.settings.hold_back());
        let (known, counters) = (&mut self.records, &mut self.counters);
        let admitted: BooleanChunked = arrivals
            .into_iter()
            .zip(times.iter().flatten().zip(records.iter()))
            .map(|(arrival, (time, record))| {
                if arrival == Arrival::TooLate {
                    counters.too_late += 1;
                    return false;
                }
                if record.is_some_and(|record| !known.entry(bucket_of(time)).or_default().insert(record)) {
                    counters.repeated += 1;
                    return false;
                }
                counters.late += u64::from(arrival == Arrival::Late);
                true
            })
            .collect();
        Ok(if admitted.all() { calls } else { calls.filter(&admitted)? })
    }

    fn close_what_is_complete(&mut self) -> Result<Vec<Alert>, EngineError> {
        let Some(open_from) = self.watermark.open_from(self.settings.hold_back()) else { return Ok(Vec::new()) };
        let mut oldest = self.open.iter().filter_map(|part| part.first_bucket());
        if oldest.all(|bucket| bucket >= open_from) {
            return Ok(Vec::new());
        }
        let (closed, open) = Rollup::merge(std::mem::take(&mut self.open))?.split_before(open_from)?;
        if !open.is_empty() {
            self.open.push(open);
        }
        self.records = self.records.split_off(&open_from);
        self.judge_buckets(closed)
    }

    fn judge_buckets(&mut self, closed: Rollup) -> Result<Vec<Alert>, EngineError> {
        let names = self.templated(&closed)?;
        let closed = closed.with_endpoints(&names)?;
        let rows = feature_rows(&closed, self.bundle.expectations.columns(&closed)?)?;
        let relations = relations(&closed)?;
        let mut alerts = Vec::new();
        let mut relations = relations.as_slice();
        let audit = audit::rows(&closed)?;
        let mut audit = audit.as_slice();
        for of_bucket in rows.chunk_by(|a, b| a.bucket == b.bucket) {
            let Some(bucket) = of_bucket.first().map(|row| row.bucket) else { continue };
            let end = relations.iter().position(|(at, _)| *at > bucket).unwrap_or(relations.len());
            let (own, later) = relations.split_at(end);
            relations = later;
            let end = audit.iter().position(|row| row.bucket > bucket).unwrap_or(audit.len());
            let (of_audit, later) = audit.split_at(end);
            audit = later;
            alerts.extend(self.judge.close(bucket, of_bucket, own, of_audit));
            self.counters.buckets += 1;
        }
        Ok(alerts)
    }

    /// The template of each row's endpoint, where it differs. Endpoints that training never saw are watched, bucket by
    /// bucket, so that a path with ids of a new shape cannot grow the state for ever.
    fn templated(&mut self, closed: &Rollup) -> Result<Vec<Option<String>>, EngineError> {
        let rows: Vec<(i64, &str, &str)> = closed.endpoints()?.collect();
        let mut names = Vec::with_capacity(rows.len());
        for of_bucket in rows.chunk_by(|a, b| a.0 == b.0) {
            for (_, vendor, endpoint) in of_bucket {
                self.templates.observe_new(vendor, endpoint);
            }
            names.extend(of_bucket.iter().map(|(_, vendor, endpoint)| self.templates.renamed(vendor, endpoint)));
        }
        Ok(names)
    }

    /// Shows each p-value of an entity's tests to an observer: who, at the end of which bucket, and the chance that an entity
    /// has such a day. Nothing that is told depends on it, and it is no part of a snapshot.
    pub fn observe(&mut self, observer: impl FnMut(&Entity, i64, f64) + Send + 'static) {
        self.judge.observer = Some(Box::new(observer));
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
        self.close_what_is_complete()
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
        let snapshot = Snapshot {
            version: SNAPSHOT_VERSION,
            bundle: self.bundle.manifest.version.clone(),
            watermark: self.watermark.clone(),
            open: StoredRollup::of(&Rollup::merge(self.open.clone())?)?,
            records: self.records.clone(),
            templates: self.templates.clone(),
            counters: self.counters,
            memory: self.judge.memory.clone(),
        };
        postcard::to_stdvec(&snapshot).map_err(|error| EngineError::Snapshot(error.to_string()))
    }

    /// An engine that goes on where a snapshot was taken.
    ///
    /// # Errors
    /// Where the snapshot is of another version, damaged, or was taken with another bundle.
    pub fn restore(bundle: Arc<Bundle>, settings: EngineSettings, bytes: &[u8]) -> Result<Self, EngineError> {
        let misfit = |reason: String| EngineError::Snapshot(reason);
        let snapshot: Snapshot = postcard::from_bytes(bytes).map_err(|error| misfit(error.to_string()))?;
        if snapshot.version != SNAPSHOT_VERSION {
            return Err(misfit(format!("version {}, this program reads {SNAPSHOT_VERSION}", snapshot.version)));
        }
        if snapshot.bundle != bundle.manifest.version {
            let given = &bundle.manifest.version;
            return Err(misfit(format!("taken with model bundle {}, the bundle given is {given}", snapshot.bundle)));
        }
        let open = snapshot.open.restore()?;
        Ok(Self {
            watermark: snapshot.watermark,
            open: if open.is_empty() { Vec::new() } else { vec![open] },
            records: snapshot.records,
            templates: snapshot.templates,
            counters: snapshot.counters,
            judge: Judge::new(Arc::clone(&bundle), settings.clone(), snapshot.memory.restored()),
            bundle,
            settings,
        })
    }
}
