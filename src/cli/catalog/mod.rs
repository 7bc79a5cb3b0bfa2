//! `apiwarden catalog`: which third-party APIs are used, by whom, with which keys.
//!
//! Not here: the catalogue itself (`catalog`).

mod build;
mod declared;
mod lists;

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Shows which third-party APIs are used, by whom, with which keys, since when: built from logs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden catalog build --input logs/2026-09/ --store catalog
  apiwarden catalog vendors --store catalog
  apiwarden catalog credentials --store catalog --vendor stripe --format json
  apiwarden catalog diff --store catalog --since 7d
  apiwarden catalog export openapi stripe --store catalog > stripe.json
  apiwarden catalog sheet stripe --store catalog")]
pub(super) struct Catalog {
    #[command(subcommand)]
    command: Command,
}

/// The directory of a catalogue.
#[derive(Debug, Args)]
pub(super) struct Store {
    /// Directory of the catalogue.
    #[arg(long, value_name = "DIR")]
    pub store: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Build),
    /// Lists the third parties that are called.
    Vendors(lists::ListArguments),
    /// Lists their hosts.
    Hosts(lists::ListArguments),
    /// Lists their endpoints: methods and path templates, or operations of audit logs.
    Endpoints(lists::ListArguments),
    /// Lists workloads, and principals of audit logs.
    Callers(lists::ListArguments),
    /// Lists fingerprints of keys and tokens, and whether they are rotated.
    Credentials(lists::CredentialArguments),
    /// Lists which caller calls which vendor, in which accounts.
    Pairs(lists::ListArguments),
    /// Lists networks, clients, regions, protocols, content types and other traits of calls to each vendor.
    Traits(lists::ListArguments),
    /// Lists classes of data (personal, card, secrets …) that are sent to each vendor and received from it.
    Classes(lists::ListArguments),
    /// Lists versions of each vendor's API that are in use, and which the vendor retires.
    Versions(lists::ListArguments),
    /// Lists callers with more names than are kept.
    Findings(lists::ListArguments),
    /// Lists credentials that took the place of others.
    Rotations(lists::Rotations),
    /// Lists what was seen for the first time, the newest first.
    Changes(lists::ListArguments),
    Diff(lists::Diff),
    Export(declared::Export),
    Sheet(declared::Sheet),
    Annotate(declared::Annotate),
}

impl Catalog {
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Build(command) => command.run(),
            Command::Vendors(command) => command.run("vendors"),
            Command::Hosts(command) => command.run("hosts"),
            Command::Endpoints(command) => command.run("endpoints"),
            Command::Callers(command) => command.run("callers"),
            Command::Credentials(command) => command.run(),
            Command::Pairs(command) => command.run("pairs"),
            Command::Traits(command) => command.run("traits"),
            Command::Classes(command) => command.run("classes"),
            Command::Versions(command) => command.run("versions"),
            Command::Findings(command) => command.run("findings"),
            Command::Rotations(command) => command.run(),
            Command::Changes(command) => command.changes(),
            Command::Diff(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Sheet(command) => command.run(),
            Command::Annotate(command) => command.run(),
        }
    }
}
