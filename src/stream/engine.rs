//! The engine: a deterministic state machine from calls to alerts.
//!
//! The same calls in the same order within their partitions give the same alerts, whatever the batches and wherever it was
//! stopped and restored. Event time drives it. No clock, no network, no file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use polars::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::evaluator::{Evaluator, Look, Memory};
use super::watermark::{Arrival, Watermark};
use crate::alerts::Alert;
use crate::calls::Templates;
use crate::features::{Entity, feature_rows};
use crate::models::audit;
use crate::models::bundle::Bundle;
use crate::models::novelty::{Relation, relations};
use crate::pipeline::{Campaign, Detection};
use crate::rollup::{Rollup, StoredRollup, bucket_of};

/// Version of the snapshot's layout.
const SNAPSHOT_VERSION: u32 = 3;
/// Rolled-up parts that are merged into one before more are gathered.
const MAX_PARTS: usize = 64;
/// A minute, microseconds: the pace of first-seen events.
const MINUTE: i64 = 60_000_000;

fn minute_of(time: i64) -> i64 {
    time.div_euclid(MINUTE)
}

/// Rolls up calls and puts them to the parts that were gathered.
fn gather(parts: &mut Vec<Rollup>, calls: &DataFrame) -> Result<(), EngineError> {
    if calls.height() > 0 {
        parts.push(Rollup::of(calls)?);
        if parts.len() >= MAX_PARTS {
            let merged = Rollup::merge(std::mem::take(parts))?;
            parts.push(merged);
        }
    }
    Ok(())
}

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
    late: StoredRollup,
    looked_until: i64,
    looked: BTreeSet<(i64, u64)>,
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
    /// Rollups of buckets that are still open, and of what came late for them.
    open: Vec<Rollup>,
    late: Vec<Rollup>,
    /// Up to when first-seen events were looked for in open buckets, and the relations of open buckets that were looked at.
    looked_until: i64,
    looked: BTreeSet<(i64, u64)>,
    /// Ids of the records of open buckets, where the source gives one.
    records: BTreeMap<i64, BTreeSet<u64>>,
    /// Learned templates, and those that the stream itself made necessary.
    templates: Templates,
    counters: Counters,
    judge: Evaluator,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(bundle: Arc<Bundle>, settings: EngineSettings) -> Self {
        Self {
            watermark: Watermark::default(),
            open: Vec::new(),
            late: Vec::new(),
            looked_until: i64::MIN,
            looked: BTreeSet::new(),
            records: BTreeMap::new(),
            templates: bundle.templates.clone(),
            counters: Counters::default(),
            judge: Evaluator::new(Arc::clone(&bundle), settings.clone(), Memory::default()),
            bundle,
            settings,
        }
    }

    /// Takes in calls of one partition, in their order, and returns what is to be told.
    ///
    /// # Errors
    /// Where the frame lacks a column of the call.
    pub fn push(&mut self, partition: &str, calls: DataFrame) -> Result<Vec<Alert>, EngineError> {
        let (calls, late) = self.admit(partition, calls)?;
        self.counters.calls += (calls.height() + late.height()) as u64;
        gather(&mut self.open, &calls)?;
        gather(&mut self.late, &late)?;
        self.go_on()
    }

    /// The calls that are neither too late nor repeated: those on time, and those that come late.
    fn admit(&mut self, partition: &str, calls: DataFrame) -> Result<(DataFrame, DataFrame), EngineError> {
        let times = calls.column("time")?.i64()?;
        let records = calls.column("record_hash")?.u64()?;
        let arrivals = self.watermark.observe(partition, times.iter().flatten(), self.settings.hold_back());
        let (known, counters) = (&mut self.records, &mut self.counters);
        let mut is_late = Vec::with_capacity(calls.height());
        let admitted: BooleanChunked = arrivals
            .into_iter()
            .zip(times.iter().flatten().zip(records.iter()))
            .map(|(arrival, (time, record))| {
                is_late.push(arrival == Arrival::Late);
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
        let is_late: BooleanChunked = is_late.into_iter().collect();
        if !is_late.any() {
            let none = calls.clear();
            return Ok((if admitted.all() { calls } else { calls.filter(&admitted)? }, none));
        }
        Ok((calls.filter(&(&admitted & &!&is_late))?, calls.filter(&(&admitted & &is_late))?))
    }

    /// Closes what is complete, then looks at what has come since.
    fn go_on(&mut self) -> Result<Vec<Alert>, EngineError> {
        let mut alerts = self.close_what_is_complete()?;
        alerts.extend(self.look_ahead()?);
        Ok(alerts)
    }

    /// First-seen events of open buckets, minute by minute up to the watermark: a stolen key is told before its bucket ends. What came
    /// late is left for the end of its bucket, so that what is seen does not depend on how calls were batched.
    fn look_ahead(&mut self) -> Result<Vec<Alert>, EngineError> {
        let until = self.watermark().map_or(i64::MIN, |time| time.div_euclid(MINUTE) * MINUTE);
        if self.settings.is_bounded || until <= self.looked_until || self.open.is_empty() {
            return Ok(Vec::new());
        }
        let open = Rollup::merge(std::mem::take(&mut self.open))?;
        let relations = relations(&open)?;
        let mut alerts = Vec::new();
        for of_bucket in relations.chunk_by(|(a, _), (b, _)| a == b) {
            for look in self.looks(of_bucket, until) {
                self.looked.extend(look.relations.iter().map(|relation| (look.bucket, relation.key())));
                alerts.extend(self.judge.look(&look));
            }
        }
        self.looked_until = until;
        self.open.push(open);
        Ok(alerts)
    }

    /// Relations of a bucket, in the order of their first calls, that were not looked at and whose minute has ended: by minute, with
    /// the names that their endpoints have by then.
    fn looks<'a>(&mut self, of_bucket: &[(i64, Relation<'a>)], until: i64) -> Vec<Look<'a>> {
        let mut looks = Vec::new();
        for of_minute in of_bucket.chunk_by(|(_, a), (_, b)| minute_of(a.time) == minute_of(b.time)) {
            let Some((bucket, first)) = of_minute.first() else { continue };
            let end = (minute_of(first.time) + 1) * MINUTE;
            if end > until {
                break;
            }
            let is_new = |(bucket, relation): &&(i64, Relation<'_>)| {
                self.looked.is_empty() || !self.looked.contains(&(*bucket, relation.key()))
            };
            let new: Vec<Relation<'a>> = of_minute.iter().filter(is_new).map(|(_, relation)| *relation).collect();
            for relation in &new {
                self.templates.observe_new(relation.vendor, relation.endpoint);
            }
            let names = new.iter().map(|relation| self.templates.renamed(relation.vendor, relation.endpoint)).collect();
            // A late call may move a relation to a minute that is past: it is told now.
            looks.push(Look { bucket: *bucket, end: end.max(self.looked_until), relations: new, names });
        }
        looks
    }

    fn close_what_is_complete(&mut self) -> Result<Vec<Alert>, EngineError> {
        let Some(open_from) = self.watermark.open_from(self.settings.hold_back()) else { return Ok(Vec::new()) };
        let mut oldest = self.open.iter().chain(&self.late).filter_map(|part| part.first_bucket());
        if oldest.all(|bucket| bucket >= open_from) {
            return Ok(Vec::new());
        }
        let mut closed = Vec::new();
        for parts in [&mut self.open, &mut self.late] {
            let (complete, open) = Rollup::merge(std::mem::take(parts))?.split_before(open_from)?;
            closed.extend(Some(complete).filter(|complete| !complete.is_empty()));
            parts.extend(Some(open).filter(|open| !open.is_empty()));
        }
        let closed = match closed.len() {
            1 => closed.remove(0),
            _ => Rollup::merge(closed)?,
        };
        self.records = self.records.split_off(&open_from);
        let alerts = self.judge_buckets(&closed)?;
        self.looked = self.looked.split_off(&(open_from, 0));
        Ok(alerts)
    }

    fn judge_buckets(&mut self, raw: &Rollup) -> Result<Vec<Alert>, EngineError> {
        let seen = relations(raw)?;
        let (looks, names) = self.looked_and_named(raw, &seen)?;
        // Hardly ever is an endpoint renamed: then what was worked out holds.
        let renamed = names.iter().any(Option::is_some).then(|| raw.clone().with_endpoints(&names)).transpose()?;
        let closed = renamed.as_ref().unwrap_or(raw);
        let rows = feature_rows(closed, self.bundle.expectations.columns(closed)?)?;
        let relations = renamed.as_ref().map_or_else(|| Ok(seen), relations)?;
        let mut alerts = Vec::new();
        let mut relations = relations.as_slice();
        let mut looks = looks.as_slice();
        let audit = audit::rows(closed)?;
        let mut audit = audit.as_slice();
        for of_bucket in rows.chunk_by(|a, b| a.bucket == b.bucket) {
            let Some(bucket) = of_bucket.first().map(|row| row.bucket) else { continue };
            let end = relations.iter().position(|(at, _)| *at > bucket).unwrap_or(relations.len());
            let (own, later) = relations.split_at(end);
            relations = later;
            let end = audit.iter().position(|row| row.bucket > bucket).unwrap_or(audit.len());
            let (of_audit, later) = audit.split_at(end);
            audit = later;
            let end = looks.iter().position(|look| look.bucket > bucket).unwrap_or(looks.len());
            let (of_looks, later) = looks.split_at(end);
            looks = later;
            alerts.extend(of_looks.iter().flat_map(|look| self.judge.look(look)));
            alerts.extend(self.judge.close(bucket, of_bucket, own, of_audit));
            self.counters.buckets += 1;
        }
        Ok(alerts)
    }

    /// What is still to be looked at of each closed bucket, and the template of each row's endpoint, where it differs. Endpoints
    /// that training never saw are watched, bucket by bucket, so that a path with ids of a new shape cannot grow the state for
    /// ever.
    fn looked_and_named<'a>(
        &mut self,
        closed: &Rollup,
        seen: &[(i64, Relation<'a>)],
    ) -> Result<(Vec<Look<'a>>, Vec<Option<String>>), EngineError> {
        let rows: Vec<(i64, &str, &str)> = closed.endpoints()?.collect();
        let mut names = Vec::with_capacity(rows.len());
        let mut relations = seen.chunk_by(|(a, _), (b, _)| a == b);
        let mut looks = Vec::new();
        for of_bucket in rows.chunk_by(|a, b| a.0 == b.0) {
            looks.extend(relations.next().map(|of_bucket| self.looks(of_bucket, i64::MAX)).unwrap_or_default());
            for (_, vendor, endpoint) in of_bucket {
                self.templates.observe_new(vendor, endpoint);
            }
            names.extend(of_bucket.iter().map(|(_, vendor, endpoint)| self.templates.renamed(vendor, endpoint)));
        }
        Ok((looks, names))
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
        let snapshot = Snapshot {
            version: SNAPSHOT_VERSION,
            bundle: self.bundle.manifest.version.clone(),
            watermark: self.watermark.clone(),
            open: StoredRollup::of(&Rollup::merge(self.open.clone())?)?,
            late: StoredRollup::of(&Rollup::merge(self.late.clone())?)?,
            looked_until: self.looked_until,
            looked: self.looked.clone(),
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
        let parts = |stored: StoredRollup| -> PolarsResult<Vec<Rollup>> {
            let rollup = stored.restore()?;
            Ok(if rollup.is_empty() { Vec::new() } else { vec![rollup] })
        };
        Ok(Self {
            watermark: snapshot.watermark,
            open: parts(snapshot.open)?,
            late: parts(snapshot.late)?,
            looked_until: snapshot.looked_until,
            looked: snapshot.looked,
            records: snapshot.records,
            templates: snapshot.templates,
            counters: snapshot.counters,
            judge: Evaluator::new(Arc::clone(&bundle), settings.clone(), snapshot.memory.restored()),
            bundle,
            settings,
        })
    }
}
