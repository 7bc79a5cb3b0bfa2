//! The engine: a deterministic state machine from calls to alerts.
//!
//! The same calls in the same order within their partitions give the same alerts, whatever the batches and wherever it was
//! stopped and restored. Event time drives it. No clock, no network, no file.

use std::collections::BTreeMap;
use std::sync::Arc;

use polars::prelude::PolarsError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::evaluator::{Evaluator, Memory};
use super::preparation::{Looked, Preparation, Prepared};
use super::progress::Ahead;
use super::settings::EngineSettings;
use super::watermark::{Arrival, Watermark};
use crate::alerts::Alert;
use crate::calls::{Calls, Templates, View};
use crate::detect::Share;
use crate::features::Entity;
use crate::models::bundle::Bundle;
use crate::models::pacing::Kept;
use crate::rollup::{Records, Rollup, Row, bucket_of, bucket_start};
use crate::rules::Rules;

/// Version of the snapshot's layout.
const SNAPSHOT_VERSION: u32 = 11;
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
    /// Calls whose times lie apart from all others, in a bounded input: not judged, though taken in.
    pub trimmed: u64,
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
    looked: std::borrow::Cow<'a, Looked>,
    records: std::borrow::Cow<'a, Records>,
    templates: std::borrow::Cow<'a, Templates>,
    counters: Counters,
    ticked: Option<i64>,
    memory: std::borrow::Cow<'a, Memory>,
}

/// The state machine.
pub struct Engine {
    bundle: Arc<Bundle>,
    settings: EngineSettings,
    watermark: Watermark,
    /// Rows of buckets that are still open, and of what came late for them.
    open: Rollup,
    late: Rollup,
    preparation: Preparation,
    /// Ids of the records of open buckets, where the source gives one.
    records: Records,
    counters: Counters,
    /// The newest bucket up to which time went on without records.
    ticked: Option<i64>,
    /// Rows of closed buckets, as they were counted, that nobody has taken yet: who keeps them takes them before each snapshot, which has none.
    closed: Vec<Row>,
    /// The first and the last bucket judged.
    judged: Option<(i64, i64)>,
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
            preparation: Preparation::new(Arc::clone(&bundle), bundle.templates.clone(), Looked::default()),
            records: Records::default(),
            counters: Counters::default(),
            ticked: None,
            closed: Vec::new(),
            judged: None,
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
        let relations = calls.relations();
        let called = calls.rows().iter().map(|call| (call.time, relations[call.relation as usize].caller()));
        let arrivals = self.watermark.observe(partition, called, self.settings.hold_back());
        let (known, counters) = (&mut self.records, &mut self.counters);
        let mut arrivals_of_rows = arrivals.iter();
        let mut is_late = Vec::new();
        calls.retain(|call, _| {
            let arrival = *arrivals_of_rows.next().unwrap_or(&Arrival::TooLate);
            if arrival == Arrival::TooLate {
                counters.too_late += 1;
                return false;
            }
            if known.is_repeated(bucket_of(call.time), call) {
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
        let Some(until) = self.watermark().filter(|_| !self.settings.is_bounded && !self.open.is_empty()) else {
            return Vec::new();
        };
        let looks = self.preparation.look_ahead(&self.open, until);
        looks.iter().flat_map(|look| self.evaluator.look(look)).collect()
    }

    fn close_what_is_complete(&mut self) -> Result<Vec<Alert>, EngineError> {
        let Some(open_from) = self.watermark.open_from(self.settings.hold_back()) else { return Ok(Vec::new()) };
        let oldest = self.open.first_bucket().into_iter().chain(self.late.first_bucket()).min();
        if oldest.is_none_or(|bucket| bucket >= open_from) {
            return Ok(Vec::new());
        }
        let mut closed = self.open.split_before(open_from);
        closed.merge(self.late.split_before(open_from));
        self.records.forget_before(open_from);
        if self.settings.keeps_rows {
            self.closed.extend(closed.clone().into_rows());
        }
        let alerts = self.judge_buckets(closed)?;
        self.preparation.forget_before(open_from);
        Ok(alerts)
    }

    /// Judges closed buckets, in chunks, so that the features of some million rows are never held at once. While a chunk is
    /// judged, the next is prepared on another core.
    fn judge_buckets(&mut self, mut closed: Rollup) -> Result<Vec<Alert>, EngineError> {
        let ends = closed.first_bucket().zip(closed.last_bucket());
        self.judged = ends.map(|(first, last)| (self.judged.map_or(first, |(begin, _)| begin), last));
        let Self { preparation, evaluator, counters, .. } = self;
        let mut alerts = Vec::new();
        let mut judge = |prepared: &Prepared| {
            for bucket in prepared.buckets() {
                alerts.extend(evaluator.close(&bucket));
                counters.buckets += 1;
            }
        };
        let mut prepared = preparation.prepare(closed.take_oldest(ROWS_PER_CHUNK))?;
        while !closed.is_empty() {
            let mut prepare_next = || preparation.prepare(closed.take_oldest(ROWS_PER_CHUNK));
            let ((), next) = rayon::join(|| judge(&prepared), &mut prepare_next);
            prepared = next?;
        }
        judge(&prepared);
        Ok(alerts)
    }

    /// Shows each p-value of an entity's tests to an observer: who, at the end of which bucket, and the chance that an entity
    /// has such a day. Nothing that is told depends on it, and it is no part of a snapshot.
    pub fn observe(&mut self, observer: impl FnMut(&Entity, i64, f64) + Send + 'static) {
        self.evaluator.observer = Some(Box::new(observer));
    }

    /// Judges by these rules of governance from now on. They are no part of a snapshot; what they remember is.
    pub fn govern(&mut self, rules: Arc<Rules>) {
        self.evaluator.govern(rules);
    }

    /// The callers that were found to be ahead of all others since the last time this was asked.
    pub(super) fn take_ahead(&mut self) -> Vec<Ahead> {
        self.watermark.take_ahead()
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

    /// Time has gone on to `time` (microseconds of event time) without a record, and the input is read to its end: what that means. No
    /// bucket is closed by it, so records that come late are judged all the same.
    pub fn tick(&mut self, time: i64) -> Vec<Alert> {
        let bucket = bucket_of(time.saturating_sub(self.settings.lateness_micros())) - 1;
        let heard = self.heard();
        if heard.is_empty() || self.ticked.max(heard.values().max().copied()).is_some_and(|last| bucket <= last) {
            return Vec::new();
        }
        self.ticked = Some(bucket);
        self.evaluator.tick(&heard, bucket)
    }

    /// The newest bucket with a call of each view, judged or not.
    fn heard(&self) -> BTreeMap<View, i64> {
        let mut heard = self.evaluator.heard();
        for rollup in [&self.open, &self.late] {
            for bucket in rollup.buckets() {
                for row in rollup.bucket(bucket) {
                    let newest = heard.entry(row.relation.view()).or_insert(bucket);
                    *newest = (*newest).max(bucket);
                }
            }
        }
        heard
    }

    /// The input has ended: judges all that is open. Incidents stay open, as they would in the stream.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(&mut self) -> Result<Vec<Alert>, EngineError> {
        self.watermark.finish();
        if self.settings.is_bounded {
            self.counters.trimmed += self.open.trim();
        }
        let mut alerts = self.close_what_is_complete()?;
        if let Some((_, last)) = self.judged.filter(|_| self.settings.is_bounded) {
            alerts.extend(self.evaluator.finish(bucket_start(last + 1) + self.settings.lateness_micros()));
        }
        Ok(alerts)
    }

    /// Up to when all has been heard, microseconds of event time.
    pub fn watermark(&self) -> Option<i64> {
        self.watermark.time(self.settings.hold_back())
    }

    /// The newest call that was pushed, microseconds of event time.
    pub fn newest(&self) -> Option<i64> {
        self.watermark.newest()
    }

    /// The first and the last bucket that were judged since the engine was made.
    pub fn judged(&self) -> Option<(i64, i64)> {
        self.judged
    }

    /// Takes the rows of closed buckets, as they were counted: before endpoints get the names of learned templates.
    pub fn take_closed_rows(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.closed)
    }

    /// How pages keep to the budget, by view and family.
    pub fn kept(&self) -> Vec<Kept<Share>> {
        self.evaluator.kept().collect()
    }

    /// Entries of the state, by kind, for metrics.
    pub fn sizes(&self) -> Vec<(&'static str, usize)> {
        let open = [("open_rows", self.open.len() + self.late.len()), ("record_ids", self.records.len())];
        self.evaluator.sizes().into_iter().chain(open).collect()
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
            looked: Cow::Borrowed(&self.preparation.looked),
            records: Cow::Borrowed(&self.records),
            templates: Cow::Borrowed(&self.preparation.templates),
            counters: self.counters,
            ticked: self.ticked,
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
            preparation: Preparation::new(
                Arc::clone(&bundle),
                snapshot.templates.into_owned(),
                snapshot.looked.into_owned(),
            ),
            records: snapshot.records.into_owned(),
            counters: snapshot.counters,
            ticked: snapshot.ticked,
            closed: Vec::new(),
            judged: None,
            evaluator: Evaluator::new(Arc::clone(&bundle), settings.clone(), memory).map_err(EngineError::Bundle)?,
            bundle,
            settings,
        })
    }
}

/// Rows whose features are worked out at once.
const ROWS_PER_CHUNK: usize = 16_384;
