//! Training: history → bundle. The same rooms as the stream, from calls to features, then fit and calibrate.
//!
//! Calls are rolled up as they are read; all else is learned from the rollups, so a history of any size costs memory by what
//! was done, not by how often.
//!
//! Not here: the command line, progress and printing (`cli`).

mod audit;
mod calibrate;
mod entities;
pub mod evaluate;
mod inspect;
mod multivariate;
mod report;
pub mod triage;

use std::collections::BTreeMap;
use std::sync::Arc;

use polars::prelude::*;
use thiserror::Error;

use self::calibrate::{Calibration, calibrate};
use self::entities::{EntityHistory, gather};
use crate::calls::{Exclude, Excluded, TemplateLearner, Templates, VendorPack, View};
use crate::features::{FeatureRow, Level, catalogue_hash, feature_rows};
use crate::models::baseline::{Baselines, ViewBaseline};
use crate::models::bundle::{Bundle, FORMAT_VERSION, Manifest};
use crate::models::calibration::Tail;
use crate::models::expectation::CallHistory;
use crate::models::novelty::{NoveltyRates, SeenHistory, relations};
use crate::models::peak::{self, KINDS};
use crate::models::peers::{Peers, behaviour};
use crate::models::seasonality::{Seasonality, Span};
use crate::rollup::{Rollup, StoredRollup, bucket_start};

pub use self::inspect::Inspection;
pub use self::report::{LeftOut, Report};

/// Seed of everything random in training: the same history gives the same bundle.
const SEED: u64 = 20_260_901;
/// Rolled-up rows that are gathered before they are merged into the history.
const MERGE_ROWS: usize = 200_000;

/// Why nothing could be learned.
#[derive(Debug, Error)]
pub enum TrainError {
    /// There was no call in the history.
    #[error("no call in the input: nothing to learn from")]
    NoCalls,
    /// Grouping or joining columns failed.
    #[error("the history cannot be rolled up")]
    Columns(#[from] PolarsError),
    /// The history cannot be hashed.
    #[error("the history cannot be hashed: {0}")]
    Hash(postcard::Error),
}

/// The history, rolled up as it is read.
#[derive(Default)]
pub struct History {
    merged: Option<Rollup>,
    parts: Vec<Rollup>,
    rows: usize,
    calls: i64,
    excluded: Excluded,
    is_none: bool,
}

impl History {
    /// No history, on purpose: what is learned of it judges audit logs by the priors of the classes of step, and egress by nothing.
    pub fn none() -> Self {
        Self { is_none: true, ..Self::default() }
    }

    /// A history without the calls that a rule matches.
    pub fn excluding(rules: Vec<Exclude>) -> Self {
        Self { excluded: Excluded::new(rules), ..Self::default() }
    }

    /// Adds a frame of calls.
    ///
    /// # Errors
    /// Where the frame lacks a column of the call.
    pub fn add(&mut self, calls: &DataFrame) -> Result<(), TrainError> {
        let calls = self.excluded.apply(calls)?;
        self.calls += calls.height() as i64;
        let part = Rollup::of(&calls)?;
        self.rows += part.len();
        self.parts.push(part);
        if self.rows > MERGE_ROWS {
            self.merge()?;
        }
        Ok(())
    }

    /// Calls read so far, but for those that a rule matched.
    pub fn calls(&self) -> i64 {
        self.calls
    }

    fn merge(&mut self) -> Result<(), TrainError> {
        let parts = self.merged.take().into_iter().chain(self.parts.drain(..)).collect();
        self.merged = Some(Rollup::merge(parts)?);
        self.rows = 0;
        Ok(())
    }

    fn into_rollup(mut self) -> Result<Rollup, TrainError> {
        self.merge()?;
        let is_none = self.is_none;
        self.merged.filter(|rollup| is_none || !rollup.is_empty()).ok_or(TrainError::NoCalls)
    }
}

/// What the person who trains decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Id of the fingerprint key that the calls were read with.
    pub fingerprint_key: String,
    /// Budget for the report.
    pub alerts_per_day: f64,
    /// Records that could not be read or were no calls, for the manifest.
    pub records_left_out: u64,
    /// What is known of vendors: the same that the calls were read with.
    pub vendors: Arc<VendorPack>,
}

/// Learns a bundle from a history; `stage` is told what is being done.
///
/// # Errors
/// Where there is no call. A strange entity is no error: it is reported.
pub fn train(history: History, settings: &Settings, stage: &dyn Fn(&str)) -> Result<(Bundle, Report), TrainError> {
    stage("learning endpoint templates");
    let excluded = history.excluded.counts();
    let rollup = history.into_rollup()?;
    let templates = learn_templates(&rollup)?;
    let names = names_of(&rollup, &templates)?;
    let rollup = rollup.with_endpoints(&names)?;
    let span = span_of(&rollup)?;

    stage("learning what is usual for a call");
    let calls = CallHistory::of(&rollup, span)?;
    let expectations = calls.fit(None);
    let rows = features_out_of_fold(&rollup, &calls, span)?;

    stage("learning what was ever seen");
    let relations = relations(&rollup)?;
    let facts = SeenHistory::of(&relations, span).with_vendors(Arc::clone(&settings.vendors));
    let novelty_rates = NoveltyRates::fit(&relations, &facts, span);

    stage("learning the audit view");
    let audit = audit::learn(&crate::models::audit::rows(&rollup)?);

    let mut bundle = Bundle {
        manifest: Manifest { excluded, ..manifest(&rollup, span, settings)? },
        span,
        templates,
        expectations,
        baselines: Baselines::new(),
        views: BTreeMap::new(),
        peers: BTreeMap::new(),
        known: facts.known(),
        novelty_rates,
        multivariate: BTreeMap::new(),
        audit,
    };
    for view in [View::Egress, View::Audit] {
        let rows: Vec<FeatureRow> = rows.iter().filter(|row| row.view == view).cloned().collect();
        if !rows.is_empty() {
            stage(&format!("calibrating the {} view", view.as_str()));
            calibrate_view(&mut bundle, view, &gather(&rows));
        }
    }
    let report = Report::of(&bundle, settings);
    report.complete(&mut bundle.manifest);
    Ok((bundle, report))
}

fn learn_templates(rollup: &Rollup) -> Result<Templates, TrainError> {
    let seen = rollup.frame().select(["vendor", "endpoint"])?.unique_stable(None, UniqueKeepStrategy::Any, None)?;
    let (vendors, endpoints) = (seen.column("vendor")?.str()?, seen.column("endpoint")?.str()?);
    let mut learner = TemplateLearner::default();
    for (vendor, endpoint) in vendors.iter().zip(endpoints.iter()) {
        learner.observe(vendor.unwrap_or_default(), endpoint.unwrap_or_default());
    }
    Ok(learner.learn())
}

/// The template of each row's endpoint, where it differs.
fn names_of(rollup: &Rollup, templates: &Templates) -> Result<Vec<Option<String>>, TrainError> {
    Ok(rollup.endpoints()?.map(|(_, vendor, endpoint)| templates.renamed(vendor, endpoint)).collect())
}

fn span_of(rollup: &Rollup) -> Result<Span, TrainError> {
    let buckets = rollup.frame().column("bucket")?.i64()?;
    // Without a history: no bucket.
    let (first, last) = buckets.min().zip(buckets.max()).unwrap_or((0, -1));
    Ok(Span { first, last })
}

/// Feature rows of each fold, with what the other folds expect.
fn features_out_of_fold(rollup: &Rollup, calls: &CallHistory, span: Span) -> Result<Vec<FeatureRow>, TrainError> {
    let mut rows = Vec::new();
    let mut rest = rollup.clone();
    for fold in span.folds() {
        let (own, later) = rest.split_before((fold + 1) * span.fold_buckets())?;
        rest = later;
        if own.is_empty() {
            continue;
        }
        // A single fold has no others to be judged with.
        let expectations = calls.fit((span.fold_count() > 1).then_some(fold));
        rows.extend(feature_rows(&own, expectations.columns(&own)?)?);
    }
    Ok(rows)
}

fn calibrate_view(bundle: &mut Bundle, view: View, levels: &BTreeMap<Level, Vec<EntityHistory>>) {
    let span = bundle.span;
    let between = bundle.expectations.between_callers();
    let mut baseline = ViewBaseline::default();
    let (mut scores, mut silences, mut leaks, mut peaks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let rows = multivariate::Rows::new(view, span);
    for (level, entities) in levels {
        let peers = if *level == Level::Pair {
            let behaviours: Vec<Vec<f64>> = entities
                .iter()
                .map(|entity| {
                    let [weekday, weekend] = Seasonality::fit(&entity.calls(), span, None).mean();
                    behaviour(&entity.total(), span.day_count().max(1) as f64, weekend / weekday.max(1e-6))
                })
                .collect();
            let peers = Peers::fit(&behaviours, SEED);
            let groups = behaviours.iter().map(|behaviour| peers.assign(behaviour)).collect();
            bundle.peers.insert(view, peers);
            groups
        } else {
            Vec::new()
        };
        let what = Calibration { level: *level, entities, peers: &peers, span, between: &between };
        let calibrated = calibrate(&what, |entity, bucket, state, verdicts| {
            rows.take(entity, bucket, state, verdicts);
        });
        baseline.levels.insert(*level, calibrated.level);
        scores.extend(calibrated.scores);
        silences.extend(calibrated.silences);
        leaks.extend(calibrated.leaks);
        peaks.extend(calibrated.peaks);
        bundle.baselines.extend(calibrated.baselines);
    }
    // With two folds each is judged by one alone, which has no tails: nothing that the scores could be held against.
    baseline.score = if span.fold_count() > 2 { Tail::fit(scores, span.fold_count()) } else { None };
    baseline.silence = tail_of(silences, span);
    baseline.leak = tail_of(leaks, span);
    let own = bundle.baselines.iter().filter(|(entity, _)| entity.view == view);
    baseline.usual_peaks = peak::usual(&own.filter_map(|(_, known)| known.peaks).collect::<Vec<_>>());
    baseline.peaks = (0..KINDS).map(|kind| tail_of(peaks.iter().map(|times| times[kind]).collect(), span)).collect();
    bundle.views.insert(view, baseline);
    // Audit logs have models of their own.
    if view == View::Egress
        && let Some(multivariate) = rows.fit(SEED)
    {
        bundle.multivariate.insert(view, multivariate);
    }
}

/// The tail of what each entity's folds are against its other folds.
fn tail_of(times: Vec<f64>, span: Span) -> Option<Tail> {
    Tail::fit(times.into_iter().map(|times| times as f32).collect(), span.fold_count())
}

fn manifest(rollup: &Rollup, span: Span, settings: &Settings) -> Result<Manifest, TrainError> {
    let stored = postcard::to_stdvec(&StoredRollup::of(rollup)?).map_err(TrainError::Hash)?;
    let data_hash = blake3::hash(&stored).to_hex()[..32].to_owned();
    let frame = rollup.frame();
    let time = |micros: Option<i64>| {
        jiff::Timestamp::from_microsecond(micros.unwrap_or_default()).unwrap_or_default().to_string()
    };
    let last_day = time(Some(bucket_start(span.last)));
    let last_day = if rollup.is_empty() { "without-history" } else { &last_day[..10.min(last_day.len())] };
    Ok(Manifest {
        format_version: FORMAT_VERSION,
        version: format!("{last_day}-{}", &data_hash[..8]),
        feature_catalogue: catalogue_hash(),
        fingerprint_key: settings.fingerprint_key.clone(),
        trained_from: time(frame.column("first_seen")?.i64()?.min()),
        trained_to: time(frame.column("last_seen")?.i64()?.max()),
        calls: frame.column("calls")?.i64()?.sum().unwrap_or_default(),
        rollup_rows: rollup.len(),
        records_left_out: settings.records_left_out,
        excluded: BTreeMap::new(),
        data_hash,
        learned: BTreeMap::new(),
        calibration: BTreeMap::new(),
        libraries: libraries(),
        parts: BTreeMap::new(),
    })
}

/// Versions of the program and of the libraries whose models a bundle holds, from the lock file they were built by.
fn libraries() -> BTreeMap<String, String> {
    let named = ["apiwarden", "linfa", "linfa-clustering", "linfa-nn", "ndarray", "polars"];
    let mut lines = include_str!("../../Cargo.lock").lines();
    let mut versions = BTreeMap::new();
    while let Some(line) = lines.next() {
        let name = line.strip_prefix("name = ").map(|name| name.trim_matches('"'));
        let Some(name) = name.filter(|name| named.contains(name)) else { continue };
        if let Some(version) = lines.next().and_then(|line| line.strip_prefix("version = ")) {
            versions.entry(name.to_owned()).or_insert_with(|| version.trim_matches('"').to_owned());
        }
    }
    versions
}
