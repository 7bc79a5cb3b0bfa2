//! `apiwarden alerts list`: what the alert store of a service holds.
//!
//! Not here: files of alerts (`show`).

use clap::Args;

use super::kept::{Asked, Form};
use crate::alerts::store::Filter;

/// Lists the incidents of a service's alert store, each by its newest step.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden alerts list --state state --since 7d --severity medium
  apiwarden alerts list --state state --open --team payments
  apiwarden alerts list --state state --id aw-7f3c0a9b12d4e5f6 --all --card")]
pub(super) struct List {
    #[command(flatten)]
    asked: Asked,
    /// At most so many, the newest.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Every step of an incident.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    form: Form,
}

impl List {
    pub fn run(self) -> anyhow::Result<()> {
        let (store, filter) = self.asked.open()?;
        let filter = Filter { newest_only: !self.all, limit: self.limit, ..filter };
        store.find(&filter)?.iter().try_for_each(|kept| self.form.print(kept))
    }
}
