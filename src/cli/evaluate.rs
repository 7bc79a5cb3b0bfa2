//! `apiwarden evaluate`: the quality of a bundle on labelled logs.
//!
//! Not here: what counts as found (`train::evaluate`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clap::Args;
use foldhash::HashMap;
use jiff::Timestamp;

use super::output::{print_line, print_text, report};
use super::reading::{Reading, Setup};
use super::scan::scan;
use crate::calls::{Calls, record_hash};
use crate::detect::Budget;
use crate::ingest::FORMATS;
use crate::models::audit;
use crate::models::bundle::{Bundle, Manifest};
use crate::models::novelty::surprise_of_calls;
use crate::rollup::bucket_start;
use crate::stream::Engine;
use crate::train::evaluate::{BASELINES, EntityDays, Labels, Ranking, baselines, evaluate, rank, spending};

/// Measures a model bundle on labelled logs: scenarios found and missed, false alarms a day, minutes to detect.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden evaluate --model models/egress --input test.ndjson.zst --labels labels.csv

Labels are a CSV of scenarios (scenario,kind,category,malicious,start,end,caller,vendor_host,credential), of time windows
(technique,tactic,start,end), or of records (event_id,score_use); labels of records add AUROC and average precision.")]
pub(super) struct Evaluate {
    #[command(flatten)]
    reading: Reading,
    /// The model bundle to evaluate.
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// Triage model from `alerts learn`: scores each alert, and lowers the severity of alerts that analysts dismiss.
    #[arg(long, value_name = "FILE")]
    triage: Option<PathBuf>,
    /// Labels, CSV.
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Start of the evaluated period, RFC 3339 [default: start of the first call's day].
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// End of the evaluated period, RFC 3339 [default: end of the last call's day].
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Also report whether p-values hold on days without an incident, by age of the entity.
    #[arg(long)]
    calibration: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Microseconds.
const DAY: i64 = 86_400_000_000;

impl Evaluate {
    pub fn run(self) -> anyhow::Result<()> {
        let setup = Setup::of(self.reading.pipeline.as_deref())?.triaged_by(self.triage.as_deref())?;
        if let Some((from, to)) = self.from.zip(self.to) {
            anyhow::ensure!(from < to, "--from {from} is not before --to {to}");
        }
        let labels = Labels::read(&self.labels)?;
        let bundle = setup.bundle(&self.model)?;
        let mut scores: HashMap<u64, f64> = HashMap::default();
        let mut frames: Vec<Calls> = Vec::new();
        let entity_days = Arc::new(Mutex::new(EntityDays::new(bundle.span)));
        let observe = |engine: &mut Engine| {
            let entity_days = Arc::clone(&entity_days);
            engine.observe(move |entity, bucket, p_value| {
                if let Ok(mut entity_days) = entity_days.lock() {
                    entity_days.observe(entity, bucket, p_value);
                }
            });
        };
        let prepare = |engine: &mut Engine| {
            if self.calibration {
                observe(engine)
            }
        };
        let scanned = scan(&self.reading.inputs, &setup, &bundle, None, prepare, |calls: &Calls| {
            if !labels.records.is_empty() {
                scores.extend(surprise_of_calls(calls, &bundle.known, &bundle.novelty_rates));
                frames.push(calls.clone());
            }
            Ok(())
        })?;
        scores.extend(audit::surprise_of_calls(&frames, &bundle.audit));
        scanned.ensure_judged()?;
        let (first, last) = scanned.judged.map_or((0, 0), |(first, last)| (bucket_start(first), bucket_start(last)));
        let from = self.from.map_or(first.div_euclid(DAY) * DAY, Timestamp::as_microsecond);
        let to = self.to.map_or((last.div_euclid(DAY) + 1) * DAY, Timestamp::as_microsecond);
        if scanned.counters.calls > 0 {
            let [first, last] = [first, last].map(Timestamp::from_microsecond);
            anyhow::ensure!(from < to, "--from or --to lies outside of the logs, {} to {}", first?, last?);
        }
        if let Some(warning) = trained_on(&bundle, [from.max(first), to.min(last.saturating_add(1))], &labels) {
            report(format_args!("warning: {warning}"));
        }
        let mut evaluated = evaluate(&scanned.alerts, &labels, from, to);
        if !labels.records.is_empty() {
            let score = |id: &str| of_record(id, |hash| scores.get(&hash).copied());
            evaluated.ranking = Some(rank(&labels.records, score));
            evaluated.baselines = ranked_by_rules(&frames, &labels);
        }
        evaluated.alerts_per_day_asked = Some(setup.detection.alerts_per_day);
        let budget = Budget::new(setup.detection.alerts_per_day, bundle.views.keys().copied());
        evaluated.spending = Some(spending(&scanned.alerts, budget, from, to));
        if self.calibration
            && let Ok(entity_days) = entity_days.lock()
        {
            evaluated.calibration = entity_days.calibration(&bundle.baselines, &labels, from, to);
        }
        report(format_args!("{}", scanned.account()));
        if self.json { print_line(serde_json::to_string_pretty(&evaluated)?) } else { print_text(evaluated) }
    }
}

/// What is known of a record by its id, whichever format it was read by.
fn of_record(id: &str, known: impl Fn(u64) -> Option<f64>) -> Option<f64> {
    FORMATS.iter().find_map(|format| known(record_hash(format.name, id)))
}

/// How rules of one line rank labelled audit records.
fn ranked_by_rules(frames: &[Calls], labels: &Labels) -> Vec<(&'static str, Ranking)> {
    let ranked =
        |scores: &BTreeMap<u64, f64>| rank(&labels.records, |id| of_record(id, |hash| scores.get(&hash).copied()));
    BASELINES.into_iter().zip(baselines(frames).iter().map(ranked)).filter(|(_, ranking)| ranking.attacks > 0).collect()
}

/// What of an evaluation lies in the time that the bundle was trained on, if anything: what was learned from is no test.
fn trained_on(bundle: &Bundle, [from, to]: [i64; 2], labels: &Labels) -> Option<String> {
    let Manifest { trained_from, trained_to, calls, .. } = &bundle.manifest;
    let trained = [bucket_start(bundle.span.first), bucket_start(bundle.span.last + 1)];
    let overlaps = |[from, to]: [i64; 2]| *calls > 0 && from < trained[1] && to > trained[0];
    let cases = labels.cases.iter().filter(|case| overlaps([case.start, case.end])).count();
    let what = match (overlaps([from, to]), cases) {
        (false, 0) => return None,
        (true, 0) => "logs lie".to_owned(),
        (false, cases) => format!("{cases} labels lie"),
        (true, cases) => format!("logs and {cases} labels lie"),
    };
    Some(format!(
        "{what} in the period that the bundle was trained on, {trained_from} to {trained_to}: this is no test"
    ))
}
