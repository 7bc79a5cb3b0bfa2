//! `apiwarden inject`: labelled attacks and harmless changes, injected into the user's own logs.
//!
//! Not here: the scenarios and how they change records (`inject`).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::output::print_line;
use super::output_file::{OutputFile, refuse_inputs};
use super::reading::Setup;
use crate::alerts::printable;
use crate::ingest::Inputs;
use crate::inject::{Outputs, Report, Scenario, Strength, Wish, choose, inject, scenarios};

/// Injects labelled attacks and harmless changes into your own logs, to measure detection on them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden inject --list
  apiwarden inject --input today.ndjson.zst --out injected.ndjson.zst --labels labels.csv
  apiwarden inject --input logs/ --out injected.ndjson.zst --labels labels.csv --scenario slow-leak stolen-credential --strength all
  apiwarden evaluate --model models/egress --input injected.ndjson.zst --labels labels.csv

ECS and CloudTrail, one JSON record a line, uncompressed, gzip or zstd. See docs/inject.md.")]
pub(super) struct Inject {
    /// Benign log files, directories or globs, in time order. They are read twice, so standard input is not accepted.
    #[arg(long = "input", short, value_name = "PATH", num_args = 1.., required_unless_present = "list")]
    inputs: Vec<String>,
    /// File to write the log to; compressed if its name ends in .zst or .gz.
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// File to write the labels to, CSV.
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    labels: Option<PathBuf>,
    /// Scenarios to inject [default: all that fit the view of the log].
    #[arg(long = "scenario", value_name = "NAME", num_args = 1..)]
    names: Vec<String>,
    /// Directory with scenarios of your own (TOML), in addition to those shipped.
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
    /// How easy the scenarios are to detect.
    #[arg(long, value_name = "STRENGTH", default_value = "medium")]
    strength: Strengths,
    /// Seed for victims, times and values.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many times to inject each scenario.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// Inject only after this time, RFC 3339; earlier records are history.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// File for the history, the records before --from. Train on this file, not on the original log.
    #[arg(long, value_name = "FILE", requires = "from")]
    history_out: Option<PathBuf>,
    /// Pipeline file; uses its [fingerprint], so that labels name credentials by the fingerprints that alerts show.
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// List the scenarios and exit.
    #[arg(long)]
    list: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Strengths {
    Easy,
    Medium,
    Hard,
    All,
}

impl Strengths {
    fn strengths(self) -> Vec<Strength> {
        match self {
            Self::Easy => vec![Strength::Easy],
            Self::Medium => vec![Strength::Medium],
            Self::Hard => vec![Strength::Hard],
            Self::All => Strength::ALL.to_vec(),
        }
    }
}

impl Inject {
    pub fn run(self) -> anyhow::Result<()> {
        let all = scenarios(self.scenarios.as_deref())?;
        let chosen = choose(all, &self.names)?;
        if self.list {
            return list(&chosen);
        }
        let (Some(out), Some(labels)) = (&self.out, &self.labels) else {
            anyhow::bail!("--out and --labels are required");
        };
        let setup = Setup::of(self.pipeline.as_deref())?;
        let inputs = Inputs::resolve(&self.inputs)?;
        for path in [Some(out), Some(labels), self.history_out.as_ref()].into_iter().flatten() {
            let read = inputs.paths().iter().map(|path| Path::new(&**path)).chain(self.pipeline.as_deref());
            refuse_inputs(path, read)?;
        }
        let wish = Wish {
            scenarios: chosen,
            strengths: self.strength.strengths(),
            copies: self.repeat,
            seed: self.seed,
            from: self.from.map(Timestamp::as_microsecond),
        };
        let mut log = Output::create(out)?;
        let mut history = self.history_out.as_deref().map(Output::create).transpose()?;
        let mut label_file = OutputFile::create(labels)?;
        let outputs = Outputs {
            log: &mut log,
            history: history.as_mut().map(|history| history as &mut dyn Write),
            labels: &mut label_file,
        };
        let report = inject(&inputs, &wish, &setup.key, outputs)?;
        log.finish()?;
        history.map_or(Ok(()), Output::finish)?;
        label_file.finish()?;
        report_injected(&report);
        Ok(())
    }
}

fn list(chosen: &[Scenario]) -> anyhow::Result<()> {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_header(["scenario", "view", "category", "description"]);
    for scenario in chosen {
        table.add_row([&*scenario.name, scenario.view.as_str(), scenario.category.as_str(), &*scenario.kind]);
    }
    print_line(table)
}

fn report_injected(report: &Report) {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(["injected", "from", "to", "caller", "host", "added", "altered", "dropped"]);
    let time = |micros| Timestamp::from_microsecond(micros).map(|time| time.strftime("%m-%d %H:%M").to_string());
    for planted in &report.planted {
        let [caller, host] = [&planted.caller, &planted.host].map(|name| printable(name));
        let [added, altered, dropped] = planted.records.map(|count| count.to_string());
        let [from, to] = [planted.start, planted.end].map(|at| time(at).unwrap_or_default());
        table.add_row([&planted.label, &from, &to, &caller, &host, &added, &altered, &dropped]);
    }
    eprintln!("{table}");
    for skipped in &report.skipped {
        super::output::report(format_args!("not injected: {}: {}", skipped.label, skipped.reason));
    }
    let survey = &report.survey;
    eprintln!(
        "{} records read, {} of them calls; {} scenarios injected, {} not",
        survey.records,
        survey.calls,
        report.planted.len(),
        report.skipped.len()
    );
}

/// A file, compressed according to its extension.
enum Output {
    Plain(OutputFile),
    Gzip(flate2::write::GzEncoder<OutputFile>),
    Zstd(zstd::Encoder<'static, OutputFile>),
}

impl Output {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let file = OutputFile::create(path)?;
        Ok(match path.extension().and_then(std::ffi::OsStr::to_str) {
            Some("gz") => Self::Gzip(flate2::write::GzEncoder::new(file, flate2::Compression::default())),
            Some("zst" | "zstd") => Self::Zstd(zstd::Encoder::new(file, 3).context("cannot start the zstd encoder")?),
            _ => Self::Plain(file),
        })
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.finish(),
            Self::Gzip(gzip) => gzip.finish()?.finish(),
            Self::Zstd(zstd) => zstd.finish()?.finish(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(gzip) => gzip.write(bytes),
            Self::Zstd(zstd) => zstd.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(gzip) => gzip.flush(),
            Self::Zstd(zstd) => zstd.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::calls::FingerprintKey;
    use crate::ingest::FORMATS;
    use crate::train::evaluate::Labels;

    #[test]
    fn labels_are_read_by_evaluate_and_name_whom_an_alert_would_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let sample = FORMATS.iter().find(|format| format.name == "ecs").unwrap().sample.replace('\n', "");
        let at = |minute: u32| format!("2026-09-01T{:02}:{:02}:00.905Z", minute / 60, minute % 60);
        let log: Vec<String> = (0..600).map(|minute| sample.replace("2026-09-01T00:00:00.905Z", &at(minute))).collect();
        fs::write(path("log"), log.join("\n")).unwrap();
        let key = FingerprintKey::load_or_create(&path("key")).unwrap();
        let scenarios = choose(scenarios(None).unwrap(), &["stolen-credential".to_owned()]).unwrap();
        let wish = Wish { scenarios, strengths: vec![Strength::Hard], copies: 2, seed: 1, from: None };
        let mut labels = File::create(path("labels.csv")).unwrap();
        let outputs = Outputs { log: &mut io::sink(), history: None, labels: &mut labels };
        inject(&Inputs::resolve(&[path("log").display().to_string()]).unwrap(), &wish, &key, outputs).unwrap();

        let read = Labels::read(&path("labels.csv")).unwrap().cases;
        let [one, other] = &read[..] else { panic!("{read:?}") };
        let subject = one.subject.clone().unwrap();
        assert_eq!(subject.caller.as_deref(), Some("crm-sync"));
        assert_eq!(subject.vendor_host.as_deref(), Some("acme.my.salesforce.com"));
        assert_eq!(subject.credential, Some(key.fingerprint("sf_ZKNDBcHf")));
        assert!(one.malicious && one.category == "abuse" && one.id != other.id && one.end < other.start);
    }
}
