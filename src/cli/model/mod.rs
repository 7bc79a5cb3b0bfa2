//! `apiwarden model`: commands on model bundles, one file a command.

mod inspect;

use clap::{Args, Subcommand};

/// Inspects model bundles.
#[derive(Debug, Args)]
pub(super) struct Model {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(inspect::Inspect),
}

impl Model {
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Inspect(command) => command.run(),
        }
    }
}
