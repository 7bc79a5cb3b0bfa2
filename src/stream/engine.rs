//! The engine: a deterministic state machine from calls to alerts.
//!
//! The same calls in the same order within their partitions give the same alerts, whatever the batches and wherever it was
//! stopped and restored. Event time drives it. No clock, no network, no file.

use std::collections::BTreeMap;
use std::sync::Arc;

use polars::prelude::PolarsError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::bursts::{Bursts, MINUTE, end_of_minute};
use super::evaluator::{Evaluator, Memory};
use super::preparation::{Looked, Preparation, Prepared, ROWS_PER_CHUNK};
use super::progress::Ahead;
use super::settings::EngineSettings;
use super::watermark::{Arrival, Heard, Watermark};
use crate::alerts::Alert;
use crate::calls::{Calls, Templates, View};
use crate::detect::Share;
use crate::features::Entity;
use crate::models::bundle::Bundle;
use crate::models::pacing::Kept;
use crate::rollup::{Records, Rollup, Row, bucket_of, bucket_start};
use crate::rules::Rules;
use crate::state::EngineState;

/// Version of the state's layout.
const STATE_VERSION: u32 = 16;

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

/// Where a call is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// With the others of its bucket.
    Open,
    /// Apart from them until its bucket is closed, since it came out of order.
    Late,
    /// In a bucket that was closed.
    Past,
}

/// Names of what [`Counters::past`] counts.
pub const LATENESS: [&str; 4] = ["10m", "1h", "6h", "24h"];
const LATENESS_MINUTES: [i64; 3] = [10, 60, 360];

/// What the engine has counted, over its whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Calls taken in.
    pub calls: u64,
    /// Of them, calls that came after the watermark and were still merged.
    pub late: u64,
    /// Of them, calls whose bucket had been judged, by how late they came (see [`LATENESS`]): it was judged again.
    pub past: [u64; 4],
    /// Calls that came too late even for that: not taken in.
    pub too_late: u64,
    /// Calls whose record had been delivered before: not taken in.
    pub repeated: u64,
    /// Calls whose times lie apart from all others, in a bounded input: not judged, though taken in.
    pub trimmed: u64,
    /// Buckets judged.
    pub buckets: u64,
}

impl Counters {
    fn note_past(&mut self, late_by: i64) {
        let index = LATENESS_MINUTES.iter().take_while(|minutes| late_by > **minutes * MINUTE).count();
        self.past[index] += 1;
    }
}

/// What says whether the rest of a saved state can be read, with what is small.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    bundle: String,
    counters: Counters,
    ticked: Option<i64>,
    judged_to: i64,
}

/// The head of a state of this version.
fn head_of(state: &EngineState) -> Result<Head, EngineError> {
    let head: Head = state.get("head").map_err(EngineError::Snapshot)?;
    if head.version != STATE_VERSION {
        return Err(EngineError::Snapshot(format!("version {}, this program reads {STATE_VERSION}", head.version)));
    }
    Ok(head)
}

/// The state machine.
pub struct Engine {
    bundle: Arc<Bundle>,
    settings: EngineSettings,
    watermark: Watermark,
    /// Rows of buckets that are still open, and of what came late for them.
    open: Rollup,
    late: Rollup,
    /// Rows of calls whose buckets were closed when they came, by the end of their minute of event time, at which they are judged.
    past: BTreeMap<i64, Rollup>,
    /// Up to when all was judged, microseconds of event time.
    judged_to: i64,
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
            past: BTreeMap::new(),
            judged_to: i64::MIN,
            preparation: Preparation::new(
                Arc::clone(&bundle),
                bundle.templates.clone(),
                Looked::default(),
                Bursts::default(),
            ),
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
        let heard = self.watermark.observe(partition, called, self.settings.hold_back());
        let open_from = self.watermark.closed_before().unwrap_or(i64::MIN);
        let late_from = open_from.saturating_sub(self.settings.late_buckets());
        let Self { records, counters, preparation, past, settings, .. } = self;
        let mut heard = heard.into_iter();
        let mut places = Vec::new();
        calls.retain(|call, relation| {
            let (bucket, Some(Heard { arrival, due })) = (bucket_of(call.time), heard.next()) else { return false };
            let place = match arrival {
                Arrival::OnTime => Counted::Open,
                Arrival::Late => Counted::Late,
                // Without the ids of its bucket, nobody knows whether it was counted.
                _ if bucket >= late_from && (call.record.is_none() || records.knows(bucket)) => Counted::Past,
                _ => {
                    counters.too_late += 1;
                    return false;
                }
            };
            if records.is_repeated(bucket, call) {
                counters.repeated += 1;
                return false;
            }
            match place {
                Counted::Open => {}
                Counted::Late => counters.late += 1,
                Counted::Past => {
                    counters.note_past(due - call.time);
                    past.entry(end_of_minute(due)).or_default().add_call(call, relation);
                }
            }
            let due = if settings.is_bounded { call.time } else { due };
            if !settings.is_bounded {
                preparation.note(call, relation, due);
            }
            if place != Counted::Past {
                preparation.bursts.note(call, relation, due);
            }
            places.push(place);
            true
        });
        counters.calls += calls.len() as u64;
        if places.iter().all(|place| *place == Counted::Open) {
            self.open.add(&calls);
            return;
        }
        let of = |wanted: Counted| calls.select((0..places.len()).filter(|row| places[*row] == wanted));
        self.open.add(&of(Counted::Open));
        self.late.add(&of(Counted::Late));
    }

    /// Goes on to where all was read: what is late is judged between buckets, whenever its minute of event time is over.
    fn go_on(&mut self) -> Result<Vec<Alert>, EngineError> {
        let open_from = self.watermark.open_from(self.settings.hold_back());
        let read_to = self.watermark.time(0);
        let mut alerts = self.revise_before(read_to)?;
        if let Some(open_from) = open_from {
            alerts.extend(self.close_before(open_from)?);
        }
        if let Some(read_to) = read_to {
            alerts.extend(self.look_before(read_to));
        }
        Ok(alerts)
    }

    /// Judges again what calls belong to whose buckets were closed, of the minutes that were over by `read_to` (microseconds of event time).
    fn revise_before(&mut self, read_to: Option<i64>) -> Result<Vec<Alert>, EngineError> {
        let mut alerts = Vec::new();
        while let Some(next) = self.past.first_entry()
            && read_to.is_some_and(|read_to| *next.key() <= read_to)
        {
            let (time, past) = next.remove_entry();
            alerts.extend(self.close_before(bucket_of(time.saturating_sub(self.settings.hold_back())))?);
            alerts.extend(self.look_before(time));
            self.judged_to = self.judged_to.max(time);
            if self.settings.keeps_rows {
                self.closed.extend(past.clone().into_rows());
            }
            let prepared = self.preparation.prepare_all(past, self.settings.lateness_micros())?;
            alerts.extend(self.evaluator.revise(&prepared, self.judged_to));
        }
        Ok(alerts)
    }

    /// What was called for the first time in open buckets, and bursts: a stolen key is reported before its bucket ends. No straggler is waited
    /// for, so what comes after later calls of its partition is looked at after them.
    fn look_before(&mut self, until: i64) -> Vec<Alert> {
        if self.settings.is_bounded {
            return Vec::new();
        }
        let early = self.preparation.early_before(until, self.settings.lateness_micros());
        early.iter().flat_map(|early| self.evaluator.judge_early(early)).collect()
    }

    /// Closes the buckets before one.
    fn close_before(&mut self, open_from: i64) -> Result<Vec<Alert>, EngineError> {
        let oldest = self.open.first_bucket().into_iter().chain(self.late.first_bucket()).min();
        if oldest.is_none_or(|bucket| bucket >= open_from) {
            return Ok(Vec::new());
        }
        let mut closed = self.open.split_before(open_from);
        closed.merge(self.late.split_before(open_from));
        self.records.close_before(open_from, open_from.saturating_sub(self.settings.late_buckets()));
        if self.settings.keeps_rows {
            self.closed.extend(closed.clone().into_rows());
        }
        self.judged_to = self.judged_to.max(bucket_start(open_from).saturating_add(self.settings.lateness_micros()));
        let alerts = self.judge_buckets(closed)?;
        self.preparation.forget_before(open_from);
        Ok(alerts)
    }

    /// Judges closed buckets, in chunks, so that the features of some million rows are never held at once. While a chunk is
    /// judged, the next is prepared on another core.
    fn judge_buckets(&mut self, mut closed: Rollup) -> Result<Vec<Alert>, EngineError> {
        let ends = closed.first_bucket().zip(closed.last_bucket());
        self.judged = ends.map(|(first, last)| (self.judged.map_or(first, |(begin, _)| begin), last));
        let Self { preparation, evaluator, counters, settings, .. } = self;
        let lateness = settings.lateness_micros();
        let mut alerts = Vec::new();
        let mut judge = |prepared: &Prepared| {
            for bucket in prepared.buckets() {
                alerts.extend(evaluator.close(&bucket));
                counters.buckets += 1;
            }
        };
        let is_bounded = settings.is_bounded;
        let mut prepare_next = || {
            let rows = closed.take_oldest(ROWS_PER_CHUNK);
            if is_bounded {
                // As in a stream, in which the first calls of the next buckets have come when one is closed.
                let until = rows.last().map_or(i64::MIN, |row| bucket_start(row.bucket + 1) + lateness);
                preparation.note_rows(&rows);
                let next = closed.buckets().take_while(|bucket| bucket_start(*bucket) < until);
                next.for_each(|bucket| preparation.note_rows(closed.bucket(bucket)));
            }
            preparation.prepare(rows, lateness).map(|prepared| (prepared, closed.is_empty()))
        };
        let (mut prepared, mut is_last) = prepare_next()?;
        while !is_last {
            let ((), next) = rayon::join(|| judge(&prepared), &mut prepare_next);
            (prepared, is_last) = next?;
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

    /// All that partitions are still to show is of these times (microseconds of event time) or later, by the clock of one who knows that they
    /// were read to their ends.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn bound(&mut self, bounds: &[(String, i64)]) -> Result<Vec<Alert>, EngineError> {
        bounds.iter().for_each(|(partition, time)| self.watermark.bound(partition, *time));
        self.go_on()
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
        let mut alerts = match self.watermark.open_from(self.settings.hold_back()) {
            Some(open_from) => self.close_before(open_from)?,
            None => Vec::new(),
        };
        alerts.extend(self.revise_before(Some(i64::MAX))?);
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

    /// All of the state.
    ///
    /// # Errors
    /// None in practice: all of the state serializes.
    pub fn snapshot(&self) -> Result<EngineState, EngineError> {
        self.state(true).map_err(EngineError::Snapshot)
    }

    /// The state, of entities only what changed since [`Self::saved`]; asked again it is given again.
    ///
    /// # Errors
    /// None in practice: all of the state serializes.
    pub fn changes(&self) -> Result<EngineState, EngineError> {
        self.state(false).map_err(EngineError::Snapshot)
    }

    /// All changes so far are saved.
    pub fn saved(&mut self) {
        self.evaluator.memory.saved();
    }

    fn state(&self, is_whole: bool) -> Result<EngineState, String> {
        let mut state = EngineState::default();
        self.evaluator.memory.write(&mut state, is_whole)?;
        let head = Head {
            version: STATE_VERSION,
            bundle: self.bundle.manifest.version.clone(),
            counters: self.counters,
            ticked: self.ticked,
            judged_to: self.judged_to,
        };
        state.put("head", &head)?;
        state.put("watermark", &self.watermark)?;
        state.put("open", &self.open)?;
        state.put("late", &self.late)?;
        state.put("past", &self.past)?;
        state.put("looked", &self.preparation.looked)?;
        state.put("bursts", &self.preparation.bursts)?;
        state.put("records", &self.records)?;
        state.put("templates", &self.preparation.templates)?;
        Ok(state)
    }

    /// An engine that goes on where its state was saved: all of it.
    ///
    /// # Errors
    /// Where the state is of another version, damaged, or was saved with another bundle.
    pub fn restore(bundle: Arc<Bundle>, settings: EngineSettings, state: &EngineState) -> Result<Self, EngineError> {
        let head = head_of(state)?;
        if head.bundle != bundle.manifest.version {
            let (taken, given) = (head.bundle, &bundle.manifest.version);
            return Err(EngineError::Snapshot(format!("taken with model bundle {taken}, the bundle given is {given}")));
        }
        let templates = state.get("templates").map_err(EngineError::Snapshot)?;
        let memory = Memory::read(state).map_err(EngineError::Snapshot)?;
        Self::read((bundle, settings), &head, state, templates, memory).map_err(EngineError::Snapshot)
    }

    /// An engine that goes on under another bundle where a state was saved; `rows` are those of closed buckets of the last day, as they were
    /// counted. Without them, windows hold for a day what the bundle before expected.
    ///
    /// # Errors
    /// Where the state is of another version or damaged, or the bundle holds what a detector cannot read.
    pub fn succeed(
        bundle: Arc<Bundle>,
        settings: EngineSettings,
        state: &EngineState,
        rows: Rollup,
    ) -> Result<Self, EngineError> {
        let head = head_of(state)?;
        let mut memory = Memory::read(state).map_err(EngineError::Snapshot)?;
        // Names are those that the new bundle learned, and what the last day makes of them.
        let mut preparation =
            Preparation::new(Arc::clone(&bundle), bundle.templates.clone(), Looked::default(), Bursts::default());
        let prepared = preparation.prepare_all(rows, settings.lateness_micros())?;
        memory.succeed(&prepared, &bundle);
        Self::read((bundle, settings), &head, state, preparation.templates, memory).map_err(EngineError::Snapshot)
    }

    /// Goes on under another bundle, by the same rules; as [`Self::succeed`].
    ///
    /// # Errors
    /// As [`Self::succeed`]: the engine is then as before.
    pub fn go_over_to(&mut self, bundle: Arc<Bundle>, rows: Rollup) -> Result<(), EngineError> {
        let mut next = Self::succeed(bundle, self.settings.clone(), &self.snapshot()?, rows)?;
        next.closed = std::mem::take(&mut self.closed);
        next.judged = self.judged;
        next.evaluator.observer = self.evaluator.observer.take();
        if let Some(rules) = self.evaluator.rules() {
            next.govern(rules);
        }
        *self = next;
        Ok(())
    }

    fn read(
        (bundle, settings): (Arc<Bundle>, EngineSettings),
        head: &Head,
        state: &EngineState,
        templates: Templates,
        memory: Memory,
    ) -> Result<Self, String> {
        Ok(Self {
            watermark: state.get("watermark")?,
            open: state.get("open")?,
            late: state.get("late")?,
            past: state.get("past")?,
            judged_to: head.judged_to,
            preparation: Preparation::new(Arc::clone(&bundle), templates, state.get("looked")?, state.get("bursts")?),
            records: state.get("records")?,
            counters: head.counters,
            ticked: head.ticked,
            closed: Vec::new(),
            judged: None,
            evaluator: Evaluator::new(Arc::clone(&bundle), settings.clone(), memory)?,
            bundle,
            settings,
        })
    }
}
