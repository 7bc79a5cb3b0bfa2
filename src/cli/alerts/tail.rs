//! `apiwarden alerts tail`: what comes to the alert store of a service, as it comes.
//!
//! Not here: what it holds (`list`).

use std::time::Duration;

use clap::Args;

use super::kept::{Asked, Form};
use crate::alerts::store::Filter;

/// How often the store is looked at.
const PAUSE: Duration = Duration::from_millis(500);

/// Prints the last steps of a service's alert store, and goes on with what comes until it is interrupted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden alerts tail --state state --severity medium
  apiwarden alerts tail --state state --lines 0 --json | jq .message")]
pub(super) struct Tail {
    #[command(flatten)]
    asked: Asked,
    /// How many of the last steps to begin with.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    lines: usize,
    #[command(flatten)]
    form: Form,
}

impl Tail {
    pub fn run(self) -> anyhow::Result<()> {
        let (store, filter) = self.asked.open()?;
        let mut place = store.newest()?;
        let filter = Filter { limit: Some(self.lines), ..filter };
        let last = store.find(&filter)?;
        last.iter().filter(|kept| kept.seq <= place).try_for_each(|kept| self.form.print(kept))?;
        loop {
            for kept in store.after(place, 1_000)? {
                place = kept.seq;
                if filter.lets_through(&kept) {
                    self.form.print(&kept)?;
                }
            }
            std::thread::sleep(PAUSE);
        }
    }
}
