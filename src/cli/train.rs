//! `apiwarden train`: historical logs → model bundle.
//!
//! Not here: what is learned (`train`).

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use indicatif::ProgressBar;

use super::output::{self, print_line, print_text};
use super::reading::{Intake, Setup, kept_rollups, read};
use crate::calls::Exclude;
use crate::train::{History, Settings, train};

/// Learns what is normal from historical logs, and writes a model bundle.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden train --input logs/2026-09/ --out models/egress
  apiwarden train --from-rollups state/rollups --out models/egress
  apiwarden train --without-history --out models/first-day
  zstd -dc old.zst | apiwarden train --pipeline pipelines/egress-ecs.toml --input - --out models/egress
  apiwarden train --input logs/ --out models/egress --exclude caller=payroll-svc \\
    --exclude from=2026-09-03T00:00:00Z,to=2026-09-03T06:00:00Z,vendor=stripe

Start with two weeks of logs. Exclude days that were not ordinary.")]
pub(super) struct Train {
    /// Log files, directories or globs; `-` for standard input. NDJSON, gzip, zstd, Parquet.
    #[arg(long, short, value_name = "PATH", num_args = 1.., required_unless_present_any = ["without_history", "from_rollups"])]
    input: Vec<String>,
    /// Learn from kept rollups instead of logs: what `run` keeps in its state directory, and `scan --keep-rollups` writes.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["input", "without_history"])]
    from_rollups: Option<PathBuf>,
    /// Build a bundle without a history: audit logs are judged by prior rates alone (cold start), egress logs not at all.
    #[arg(long, conflicts_with = "input")]
    without_history: bool,
    /// Pipeline file; uses its [decode], [fingerprint], [vendors], [enrichment], [train] and [detection]. Without one the format
    /// is detected.
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// Exclude calls that match a rule: NAME=VALUE conditions separated by commas, all of which must hold. Names: caller,
    /// vendor, host, endpoint, credential, network, client, from, to. Repeatable; adds to [train] exclude of the pipeline.
    #[arg(long, value_name = "RULE")]
    exclude: Vec<Exclude>,
    /// Directory to write the bundle to; replaces an existing bundle.
    #[arg(long, value_name = "BUNDLE")]
    out: PathBuf,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Train {
    pub fn run(self) -> anyhow::Result<()> {
        let setup = Setup::of(self.pipeline.as_deref())?;
        let mut history = if self.without_history {
            History::none()
        } else {
            History::excluding([setup.exclude.clone(), self.exclude].concat())
        };
        let intake = if let Some(directory) = &self.from_rollups {
            let (kept, days) = kept_rollups(directory)?;
            let mut calls = 0;
            for day in days {
                calls += history.add_rolled_up(kept.read(day)?);
            }
            Intake::of_calls(calls)
        } else if self.without_history {
            Intake::default()
        } else {
            read(&self.input, &setup, |calls| {
                history.add(calls);
                Ok(())
            })?
        };
        let kept = u64::try_from(history.calls()).unwrap_or_default();
        let repeated = history.repeated();
        let settings = Settings {
            fingerprint_key: setup.key.id(),
            alerts_per_day: setup.detection.alerts_per_day,
            records_left_out: intake.tally.rejects() + intake.tally.other_events(),
            vendors: Arc::clone(&setup.vendors),
        };
        let progress = ProgressBar::new_spinner();
        progress.enable_steady_tick(std::time::Duration::from_millis(120));
        let (mut bundle, mut report) = train(history, &settings, &|stage| progress.set_message(stage.to_owned()))?;
        bundle.save(&self.out)?;
        progress.finish_and_clear();
        let became = [
            ("learned from", kept - report.trimmed.min(kept)),
            ("excluded", intake.tally.calls.saturating_sub(kept + repeated)),
            ("repeated", repeated),
            ("trimmed", report.trimmed),
        ];
        let became: Vec<_> = became.into_iter().filter(|(what, count)| *what == "learned from" || *count > 0).collect();
        let account = intake.account(&became);
        report.leave_out(&intake.tally, &intake.unreadable);
        if self.json {
            print_line(serde_json::to_string_pretty(&report)?)?;
        } else {
            let (out, version) = (self.out.display(), &bundle.manifest.version);
            print_text(format_args!("{report}\nWrote {out} (bundle {version})."))?;
        }
        if !self.without_history {
            output::report(account);
        }
        Ok(())
    }
}
