//! `apiwarden alerts`: commands on alerts that were raised, one file a command.
//!
//! Not here: raising alerts (`scan`, `run`), and the triage model itself (`alerts::triage`, `train::triage`).

mod export;
mod files;
mod kept;
mod label;
mod learn;
mod list;
mod show;
mod suppressions;
mod tail;
mod triage;
mod verdict;

use clap::{Args, Subcommand};

pub(super) use self::files::newest_of;

/// Shows alerts, holds them back for a while, records verdicts on them, and learns from the verdicts.
#[derive(Debug, Args)]
pub(super) struct Alerts {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(show::Show),
    List(list::List),
    Tail(tail::Tail),
    Export(export::Export),
    Suppressions(suppressions::Suppressions),
    Verdict(verdict::Verdict),
    Label(label::Label),
    Learn(learn::Learn),
    Triage(triage::Triage),
}

impl Alerts {
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Show(command) => command.run(),
            Command::List(command) => command.run(),
            Command::Tail(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Suppressions(command) => command.run(),
            Command::Verdict(command) => command.run(),
            Command::Label(command) => command.run(),
            Command::Learn(command) => command.run(),
            Command::Triage(command) => command.run(),
        }
    }
}
