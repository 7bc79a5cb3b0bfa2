//! `apiwarden alerts learn`: verdicts → a triage model and its measured quality.

use std::path::PathBuf;

use clap::Args;

use super::files::existing;
use crate::cli::output::print_line;
use crate::cli::output_file::refuse_inputs;
use crate::train::triage::learn;

/// Trains a triage model on verdicts, reports its quality on held-out verdicts, and writes it for `[triage] model` or
/// `scan --triage`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden alerts learn --verdicts verdicts.ndjson --out triage.json")]
pub(super) struct Learn {
    /// File of verdicts.
    #[arg(long, value_name = "FILE")]
    verdicts: PathBuf,
    /// File to write the model to.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Learn {
    pub fn run(self) -> anyhow::Result<()> {
        let store = existing(&self.verdicts)?;
        refuse_inputs(&self.out, [self.verdicts.as_path()])?;
        let (triage, report) = learn(&store.newest())?;
        triage.save(&self.out)?;
        if self.json {
            print_line(serde_json::to_string_pretty(&report)?)?;
        } else {
            print_line(&report)?;
            eprintln!("\nWrote {}.", self.out.display());
        }
        Ok(())
    }
}
