//! `apiwarden scan`: files → alerts, through the engine of the stream, for hunting and backfill.
//!
//! Not here: decoding and detection (`ingest`, `stream`).

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use super::output::{STDOUT, stdout};
use super::output_file::{OutputFile, refuse_bundle, refuse_inputs};
use super::reading::{Intake, Reading, Setup, read};
use crate::alerts::{Alert, Severity, to_ocsf};
use crate::calls::Calls;
use crate::ingest::Inputs;
use crate::models::bundle::Bundle;
use crate::state::KeptRollups;
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
    /// Directory to write the rolled-up calls to, as Parquet by day, as the stream keeps them.
    #[arg(long, value_name = "DIR")]
    keep_rollups: Option<PathBuf>,
}

/// The result of a scan.
pub(super) struct Scanned {
    pub alerts: Vec<Alert>,
    pub intake: Intake,
    pub counters: Counters,
    /// The first and the last bucket judged.
    pub judged: Option<(i64, i64)>,
}

impl Scanned {
    /// What became of every record.
    pub fn account(&self) -> String {
        let Counters { calls, too_late, repeated, trimmed, .. } = self.counters;
        let became = [("judged", calls - trimmed), ("late", too_late), ("repeated", repeated), ("trimmed", trimmed)];
        let became: Vec<_> = became.into_iter().filter(|(what, count)| *what != "trimmed" || *count > 0).collect();
        self.intake.account(&became)
    }

    /// # Errors
    /// Where there were records, and no call among them: whatever is wrong, it is not that all is well.
    pub fn ensure_judged(&self) -> anyhow::Result<()> {
        let records = self.intake.tally.records();
        anyhow::ensure!(
            records == 0 || self.counters.calls > 0,
            "none of {records} records is a call: `apiwarden formats detect FILE` says what they are"
        );
        Ok(())
    }
}

/// Runs inputs through an engine, whose rolled-up calls are kept where told. `prepare` configures the engine, `observe` gets each frame of calls before the engine does.
///
/// # Errors
/// Where no input can be read, or a callback fails.
pub(super) fn scan(
    inputs: &[String],
    setup: &Setup,
    bundle: &Arc<Bundle>,
    kept: Option<&KeptRollups>,
    prepare: impl FnOnce(&mut Engine),
    mut observe: impl FnMut(&Calls) -> anyhow::Result<()>,
) -> anyhow::Result<Scanned> {
    let settings =
        EngineSettings { is_bounded: true, keeps_rows: kept.is_some(), ..EngineSettings::from(&setup.detection) };
    let mut engine = Engine::new(Arc::clone(bundle), settings)?;
    prepare(&mut engine);
    let mut alerts = Vec::new();
    let intake = read(inputs, setup, |calls| {
        observe(&calls)?;
        alerts.extend(engine.push("files", calls)?);
        Ok(())
    })?;
    alerts.extend(engine.finish()?);
    if let Some(kept) = kept {
        kept.write(0, &engine.take_closed_rows())?;
    }
    if let Some(triage) = &setup.triage {
        alerts = alerts.into_iter().map(|alert| triage.apply(alert)).collect();
    }
    Ok(Scanned { alerts, intake, counters: engine.counters(), judged: engine.judged() })
}

impl Scan {
    pub fn run(self) -> anyhow::Result<()> {
        let setup = Setup::of(self.reading.pipeline.as_deref())?.triaged_by(self.triage.as_deref())?;
        let bundle = setup.bundle(&self.model)?;
        // Opened first: a path that cannot be written is reported before an hour of reading.
        let mut file = (self.output.as_os_str() != "-").then(|| self.open_output()).transpose()?;
        let kept = self.keep_rollups.as_deref().map(KeptRollups::of);
        kept.as_ref().map_or(Ok(()), KeptRollups::ensure_empty)?;
        let govern = |engine: &mut Engine| setup.rules.iter().for_each(|rules| engine.govern(Arc::clone(rules)));
        let scanned = scan(&self.reading.inputs, &setup, &bundle, kept.as_ref(), govern, |_| Ok(()))?;
        match &mut file {
            Some(file) => write(&scanned.alerts, file)?,
            None => write(&scanned.alerts, BufWriter::new(stdout())).context(STDOUT)?,
        }
        file.map_or(Ok(()), OutputFile::finish)?;
        let pages: std::collections::BTreeSet<&str> = scanned
            .alerts
            .iter()
            .filter(|alert| alert.severity >= Severity::Medium)
            .map(|alert| alert.id.as_str())
            .collect();
        eprintln!("{} alerts, {} incidents that page; {}", scanned.alerts.len(), pages.len(), scanned.account());
        scanned.ensure_judged()
    }

    /// Opens the output file, which must be none of the files that are read.
    fn open_output(&self) -> anyhow::Result<OutputFile> {
        let inputs = Inputs::resolve(&self.reading.inputs)?;
        let settings = self.reading.pipeline.iter().chain(&self.triage).map(PathBuf::as_path);
        refuse_inputs(&self.output, inputs.paths().iter().map(|path| Path::new(&**path)).chain(settings))?;
        refuse_bundle(&self.output, &self.model)?;
        Ok(OutputFile::create(&self.output)?)
    }
}

fn write(alerts: &[Alert], mut output: impl Write) -> std::io::Result<()> {
    alerts.iter().try_for_each(|alert| writeln!(output, "{}", to_ocsf(alert)))?;
    output.flush()
}
