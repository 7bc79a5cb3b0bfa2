//! `apiwarden alerts learn`: verdicts → a triage model, and how well it does.

use std::path::PathBuf;

use clap::Args;

use super::files::existing;
use crate::train::triage::learn;

/// Learns from verdicts, tells how well on verdicts held out, and writes a model for `[triage] model` or `scan --triage`.
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
        let (triage, report) = learn(&store.newest())?;
        triage.save(&self.out)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            println!("{report}");
            eprintln!("\nWrote {}.", self.out.display());
        }
        Ok(())
    }
}
