//! `apiwarden alerts export`: the alert store of a service as OCSF.
//!
//! Not here: delivery to a target (`sinks replay`).

use clap::Args;

use super::kept::Asked;
use crate::cli::output::print_line;

/// Writes every step in a service's alert store as OCSF, a line each, in order of time: what `alerts show`, `verdict` and `triage` read.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden alerts export --state state --since 30d > alerts.ndjson")]
pub(super) struct Export {
    #[command(flatten)]
    asked: Asked,
}

impl Export {
    pub fn run(self) -> anyhow::Result<()> {
        let (store, filter) = self.asked.open()?;
        store.find(&filter)?.iter().try_for_each(|kept| print_line(&kept.ocsf))
    }
}
