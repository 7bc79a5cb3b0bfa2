//! `apiwarden scan`: files → alerts, through the engine of the stream, for hunting and backfill.
//!
//! Not here: decoding and detection (`ingest`, `stream`).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use super::output::stdout;
use super::reading::{Reading, Setup, Tally, read};
use crate::alerts::{Alert, Severity, to_ocsf};
use crate::calls::Calls;
use crate::models::bundle::Bundle;
use crate::stream::{Counters, Engine, EngineSettings};

/// Detects anomalies in log files with a model bundle, and writes alerts as OCSF NDJSON.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden scan --model models/egress --input today.ndjson.zst --output alerts.ndjson
  kcat -C -t api-logs -e | apiwarden scan --model models/egress --input - | jq .message")]
pub(super) struct Scan {
    #[command(flatten)]
    reading: Reading,
    /// The model bundle.
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// Triage model from `alerts learn`: scores each alert, and lowers the severity of alerts that analysts dismiss.
    #[arg(long, value_name = "FILE")]
    triage: Option<PathBuf>,
    /// File to write alerts to; `-` for standard output.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// The result of a scan.
pub(super) struct Scanned {
    pub alerts: Vec<Alert>,
    pub tally: Tally,
    pub counters: Counters,
}

/// Runs inputs through an engine. `prepare` configures the engine, `observe` gets each frame of calls before the engine does.
///
/// # Errors
/// Where no input can be read, or a callback fails.
pub(super) fn scan(
    inputs: &[String],
    setup: &Setup,
    bundle: &Arc<Bundle>,
    prepare: impl FnOnce(&mut Engine),
    mut observe: impl FnMut(&Calls) -> anyhow::Result<()>,
) -> anyhow::Result<Scanned> {
    let settings = EngineSettings { is_bounded: true, ..EngineSettings::from(&setup.detection) };
    let mut engine = Engine::new(Arc::clone(bundle), settings)?;
    prepare(&mut engine);
    let mut alerts = Vec::new();
    let tally = read(inputs, setup, |calls| {
        observe(&calls)?;
        alerts.extend(engine.push("files", calls)?);
        Ok(())
    })?;
    alerts.extend(engine.finish()?);
    if let Some(triage) = &setup.triage {
        alerts = alerts.into_iter().map(|alert| triage.apply(alert)).collect();
    }
    Ok(Scanned { alerts, tally, counters: engine.counters() })
}

impl Scan {
    pub fn run(self) -> anyhow::Result<()> {
        let setup = Setup::of(self.reading.pipeline.as_deref())?.triaged_by(self.triage.as_deref())?;
        let bundle = setup.bundle(&self.model)?;
        // Opened first: a path that cannot be written is reported before an hour of reading.
        let mut output: Box<dyn Write> = if self.output.as_os_str() == "-" {
            Box::new(BufWriter::new(stdout()))
        } else {
            let file = File::create(&self.output).with_context(|| self.output.display().to_string())?;
            Box::new(BufWriter::new(file))
        };
        let scanned = scan(&self.reading.inputs, &setup, &bundle, |_| (), |_| Ok(()))?;
        for alert in &scanned.alerts {
            writeln!(output, "{}", to_ocsf(alert))?;
        }
        output.flush()?;
        let pages: std::collections::BTreeSet<&str> = scanned
            .alerts
            .iter()
            .filter(|alert| alert.severity >= Severity::Medium)
            .map(|alert| alert.id.as_str())
            .collect();
        let (tally, counters) = (&scanned.tally, scanned.counters);
        eprintln!(
            "{} calls in {} buckets; {} records skipped; {} alerts, {} incidents that page",
            counters.calls,
            counters.buckets,
            tally.left_out() + counters.repeated,
            scanned.alerts.len(),
            pages.len()
        );
        Ok(())
    }
}
