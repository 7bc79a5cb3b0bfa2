//! Training: history → bundle. The same modules as the stream, from calls to features, then fit and calibrate.
//!
//! Calls are rolled up as they are read; all else is learned from the rollups, so a history of any size costs memory by what
//! was done, not by how often.
//!
//! Not here: the command line, progress and printing (`cli`).

mod audit;
mod calibrate;
mod curves;
mod entities;
pub mod evaluate;
mod inspect;
mod multivariate;
mod oddities;
mod report;
pub mod triage;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashSet;
use polars::prelude::PolarsError;
use thiserror::Error;

use self::calibrate::{Calibration, calibrate};
use self::curves::HeldOut;
use self::entities::{EntityHistory, Gatherer};
use self::oddities::{Aside, EXPECTED_NOVELTIES, MAX_PASSES, Odd};
use crate::calls::{Calls, Exclude, Excluded, Relation, TemplateLearner, Templates, VendorPack, View};
use crate::features::{Level, catalogue_hash, features_of};
use crate::models::baseline::{Baselines, ViewBaseline};
use crate::models::bundle::{Bundle, FORMAT_VERSION, Manifest};
use crate::models::calibration::Tail;
use crate::models::expectation::{CallHistory, Expectations};
use crate::models::novelty::{NoveltyRates, SeenHistory, SeenSet};
use crate::models::peak::{self, KINDS};
use crate::models::peers::{Peers, behaviour};
use crate::models::seasonality::{Seasonality, Span};
use crate::rollup::{Records, Rollup, Row, bucket_of, bucket_start, rename_endpoints};

pub use self::inspect::Inspection;
pub use self::oddities::OddDay;
pub use self::report::{LeftOut, Report};

/// Most records whose ids are remembered, to recognise one that comes again: some 500 MB.
const MAX_RECORDS: u64 = 32 << 20;
/// Seed of everything random in training: the same history gives the same bundle.
const SEED: u64 = 20_260_901;

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
    /// What a detector learned cannot be stored.
    #[error("what detectors learned cannot be stored: {0}")]
    Detectors(postcard::Error),
}

/// The history, rolled up as it is read.
#[derive(Default)]
pub struct History {
    rollup: Rollup,
    calls: i64,
    excluded: Excluded,
    is_none: bool,
    records: Records,
    /// Records that are remembered.
    remembered: u64,
    repeated: u64,
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

    /// Adds calls, but for those whose record was added before.
    pub fn add(&mut self, mut calls: Calls) {
        let (records, remembered, repeated) = (&mut self.records, &mut self.remembered, &mut self.repeated);
        calls.retain(|call, _| {
            let is_repeated = records.is_repeated(bucket_of(call.time), call);
            *repeated += u64::from(is_repeated);
            *remembered += u64::from(!is_repeated && call.record.is_some());
            !is_repeated
        });
        while self.remembered > MAX_RECORDS {
            self.remembered -= self.records.forget_oldest() as u64;
        }
        self.excluded.apply(&mut calls);
        self.calls += calls.len() as i64;
        self.rollup.add(&calls);
    }

    /// Adds calls that are rolled up already, but for those that a rule matches; of a rule with a time, by the start of their bucket.
    /// Returns how many there were.
    pub fn add_rolled_up(&mut self, rollup: Rollup) -> u64 {
        let mut all = 0;
        let excluded = &mut self.excluded;
        let kept = rollup.into_rows().into_iter().filter(|row| {
            let calls = row.calls().unsigned_abs();
            all += calls;
            !excluded.excludes(bucket_start(row.bucket), &row.relation, calls)
        });
        let kept: Rollup = kept.collect();
        self.calls += kept.buckets().flat_map(|bucket| kept.bucket(bucket)).map(Row::calls).sum::<i64>();
        self.rollup.merge(kept);
        all
    }

    /// Calls read so far, but for those that a rule matched.
    pub fn calls(&self) -> i64 {
        self.calls
    }

    /// Calls that were left out because their record had been added before.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    fn into_rows(self) -> Result<Vec<Row>, TrainError> {
        if self.rollup.is_empty() && !self.is_none {
            return Err(TrainError::NoCalls);
        }
        Ok(self.rollup.into_rows())
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
    let mut history = history;
    let excluded = history.excluded.counts();
    let trimmed = history.rollup.trim();
    let repeated = history.repeated;
    let rows = history.into_rows()?;
    let templates = learn_templates(&rows);
    let rename = |relation: &Relation| templates.renamed(relation.vendor().as_str(), relation.endpoint().as_str());
    let rows = rename_endpoints(rows, rename);
    // Without a history: no bucket.
    let (first, last) = rows.first().zip(rows.last()).map_or((0, -1), |(first, last)| (first.bucket, last.bucket));
    let span = Span { first, last };

    stage("learning the audit view");
    let audit = audit::learn(&crate::models::audit::rows(&rows));

    stage("learning what detectors keep by themselves");
    let detectors = crate::detect::fit(&rows).map_err(TrainError::Detectors)?;

    let manifest = Manifest { excluded, ..manifest(&rows, span, settings)? };
    let mut bundle = Bundle {
        detectors,
        manifest,
        span,
        templates,
        expectations: Expectations::default(),
        baselines: Baselines::default(),
        views: BTreeMap::new(),
        peers: BTreeMap::new(),
        known: SeenSet::default(),
        novelty_rates: NoveltyRates::default(),
        multivariate: BTreeMap::new(),
        audit,
    };
    let (mut odd, mut aside, mut held_out) = (Vec::new(), Aside::default(), HeldOut::default());
    for pass in 1..=MAX_PASSES {
        let (stands_out, of_pass) = learn_usual(&mut bundle, &rows, &aside, settings, stage)?;
        odd.extend(stands_out);
        held_out = of_pass;
        let chosen = Aside::choose(&odd, &rows, span);
        if pass == MAX_PASSES || chosen == aside {
            break;
        }
        aside = chosen;
    }
    let odd_days = aside.report(&odd, span);
    let report = Report { trimmed, repeated, odd_days, ..Report::of(&bundle, held_out, settings) };
    report.complete(&mut bundle.manifest);
    Ok((bundle, report))
}

/// Learns what is usual of all rows that are not set aside, and returns what of it stands out, and how well calls of left out folds are expected.
fn learn_usual(
    bundle: &mut Bundle,
    rows: &[Row],
    aside: &Aside,
    settings: &Settings,
    stage: &dyn Fn(&str),
) -> Result<(Vec<Odd>, HeldOut), TrainError> {
    let span = bundle.span;
    stage("learning what was ever seen");
    let learned: Cow<'_, [Row]> = match aside.is_empty() {
        true => Cow::Borrowed(rows),
        false => rows.iter().filter(|row| !aside.has(row, span)).cloned().collect(),
    };
    let facts = SeenHistory::of(&learned, span).with_vendors(Arc::clone(&settings.vendors));
    let unexpected = NoveltyRates::unexpected(&learned, &facts, span, EXPECTED_NOVELTIES);
    let mut odd: Vec<Odd> = unexpected.iter().map(|unexpected| Odd::of_novelty(unexpected, span)).collect();
    bundle.novelty_rates = NoveltyRates::fit(&learned, &facts, span);
    bundle.known = facts.known();

    stage("learning what is usual for a call");
    let calls = CallHistory::of(learned.iter(), span);
    bundle.expectations = calls.fit(None);
    bundle.baselines = Baselines::default();
    let mut held_out = HeldOut::default();
    for (view, gatherer) in gather_out_of_fold(rows, &calls, aside, span)? {
        stage(&format!("calibrating the {} view", view.as_str()));
        let (stands_out, of_view) = calibrate_view(bundle, view, &gatherer.finish(), aside.tested(view));
        odd.extend(stands_out);
        held_out += of_view;
    }
    Ok((odd, held_out))
}

fn learn_templates(rows: &[Row]) -> Templates {
    let mut learner = TemplateLearner::default();
    let mut seen: HashSet<(u64, u64)> = HashSet::default();
    for relation in rows.iter().map(|row| &row.relation) {
        if seen.insert((relation.vendor().id(), relation.endpoint().id())) {
            learner.observe(relation.vendor().as_str(), relation.endpoint().as_str());
        }
    }
    learner.learn()
}

/// The history of each view's entities, each fold's features by what the other folds expect.
fn gather_out_of_fold(
    rows: &[Row],
    calls: &CallHistory,
    aside: &Aside,
    span: Span,
) -> Result<BTreeMap<View, Gatherer>, TrainError> {
    let mut gathered: BTreeMap<View, Gatherer> = BTreeMap::new();
    for of_fold in rows.chunk_by(|a, b| span.fold_of(a.bucket) == span.fold_of(b.bucket)) {
        let Some(first) = of_fold.first() else { continue };
        // A single fold has no others to be judged with.
        let left_out = (span.fold_count() > 1).then_some(span.fold_of(first.bucket));
        let vectors = features_of(of_fold, calls.fit(left_out).columns(of_fold))?;
        for (row, values) in of_fold.iter().zip(&vectors) {
            let gatherer = gathered.entry(row.relation.view()).or_default();
            if aside.has(row, span) { gatherer.set_aside(row) } else { gatherer.add(row, values) }
        }
    }
    Ok(gathered)
}

/// Calibrates a view, and returns what stands out in it, and how well calls of left out folds are expected; `aside` is the number of its
/// entities' folds that stood out before.
fn calibrate_view(
    bundle: &mut Bundle,
    view: View,
    levels: &BTreeMap<Level, Vec<EntityHistory>>,
    aside: usize,
) -> (Vec<Odd>, HeldOut) {
    let span = bundle.span;
    let between = bundle.expectations.between_callers();
    let mut baseline = ViewBaseline::default();
    let (mut scores, mut silences, mut leaks, mut peaks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut days = Vec::new();
    let rows = multivariate::Rows::new(span);
    let mut held_out = HeldOut::default();
    for (level, entities) in levels {
        let peers = if *level == Level::Pair {
            let behaviours: Vec<Vec<f64>> = entities
                .iter()
                .map(|entity| {
                    let aside: Vec<i64> = entity.folds_aside(span).into_iter().collect();
                    let [weekday, weekend] = Seasonality::fit_without(&entity.calls(), span, &aside).mean();
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
        let calibrated = calibrate(&what, |at, by| rows.take(at, by));
        baseline.levels.insert(*level, calibrated.level);
        scores.extend(calibrated.days.iter().map(|day| day.score));
        days.extend(calibrated.days);
        silences.extend(calibrated.silences);
        leaks.extend(calibrated.leaks);
        peaks.extend(calibrated.peaks);
        held_out += calibrated.held_out;
        bundle.baselines.extend(calibrated.baselines);
    }
    let largest = scores.iter().copied().fold(0.0, f32::max);
    scores.extend(std::iter::repeat_n(largest, aside));
    // With two folds each is judged by one alone, which has no tails: nothing that the scores could be held against.
    baseline.score = if span.fold_count() > 2 { Tail::fit(scores, span.fold_count()) } else { None };
    baseline.silence = tail_of(silences, span);
    baseline.leak = tail_of(leaks, span);
    let own = bundle.baselines.sorted().into_iter().filter(|(entity, _)| entity.view == view);
    baseline.usual_peaks = peak::usual(&own.filter_map(|(_, known)| known.peaks).collect::<Vec<_>>());
    baseline.peaks = (0..KINDS).map(|kind| tail_of(peaks.iter().map(|times| times[kind]).collect(), span)).collect();
    bundle.views.insert(view, baseline);
    if let Some(multivariate) = rows.fit(SEED) {
        bundle.multivariate.insert(view, multivariate);
    }
    (oddities::outliers(days), held_out)
}

/// The tail of what each entity's folds are against its other folds.
fn tail_of(times: Vec<f64>, span: Span) -> Option<Tail> {
    Tail::fit(times.into_iter().map(|times| times as f32).collect(), span.fold_count())
}

fn manifest(rows: &[Row], span: Span, settings: &Settings) -> Result<Manifest, TrainError> {
    let mut hasher = blake3::Hasher::new();
    for row in rows {
        let stored = postcard::to_stdvec(&(row.bucket, row.relation.id(), &row.measures)).map_err(TrainError::Hash)?;
        hasher.update(&stored);
    }
    let data_hash = hasher.finalize().to_hex()[..32].to_owned();
    let time = |micros: Option<i64>| {
        jiff::Timestamp::from_microsecond(micros.unwrap_or_default()).unwrap_or_default().to_string()
    };
    let last_day = time(Some(bucket_start(span.last)));
    let last_day = if rows.is_empty() { "without-history" } else { &last_day[..10.min(last_day.len())] };
    Ok(Manifest {
        format_version: FORMAT_VERSION,
        version: format!("{last_day}-{}", &data_hash[..8]),
        feature_catalogue: catalogue_hash(),
        fingerprint_key: settings.fingerprint_key.clone(),
        trained_from: time(rows.iter().map(Row::first_seen).min()),
        trained_to: time(rows.iter().map(Row::last_seen).max()),
        calls: rows.iter().map(Row::calls).sum(),
        rollup_rows: rows.len(),
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
    let named = ["apiwarden", "linfa", "linfa-clustering", "linfa-linear", "linfa-nn", "ndarray", "polars"];
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
