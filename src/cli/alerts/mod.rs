//! `apiwarden alerts`: what can be done with alerts after they were raised, one file a command.

mod show;

use clap::{Args, Subcommand};

/// Reads alerts that were written as OCSF NDJSON.
#[derive(Debug, Args)]
pub(super) struct Alerts {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(show::Show),
}

impl Alerts {
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Show(command) => command.run(),
        }
    }
}
