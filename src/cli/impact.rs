//! `apiwarden impact`: who is hit where a vendor, a credential or a host is compromised.
//!
//! Not here: how it is found out (`catalog::impact`).

use std::path::PathBuf;

use clap::Args;

use super::output::{print_line, print_text};
use super::rows::for_people;
use crate::catalog::{Impact as Found, Reader, Since};

/// Shows who is hit if a vendor, a credential or a host is compromised, and which keys to rotate first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden impact stripe --store catalog --since 2026-09-01
  apiwarden impact fp_e932b24d8b6263ed --store catalog --json")]
pub(super) struct Impact {
    /// A vendor, a credential's fingerprint, or a host.
    #[arg(value_name = "VENDOR|CREDENTIAL|HOST")]
    name: String,
    /// Directory of the catalogue.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// Only who called since: a span before the newest call (12h, 7d, 4w), a date or a time in RFC 3339.
    #[arg(long, value_name = "SINCE")]
    since: Option<Since>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Impact {
    pub fn run(self) -> anyhow::Result<()> {
        let found = Reader::open(&self.store)?.impact(&self.name, self.since)?;
        if self.json {
            return print_line(serde_json::to_string_pretty(&found.json())?);
        }
        print_text(report(&found))
    }
}

fn report(found: &Found) -> String {
    let (kind, name) = (found.target.as_str(), &found.name);
    let Some((first, last)) = found.span() else { return format!("Nobody called {kind} {name} since then.") };
    let counts = [(&found.callers, "callers"), (&found.credentials, "credentials"), (&found.endpoints, "endpoints")];
    let counts = counts.map(|(table, what)| format!("{} {what}", table.rows.len())).join(", ");
    let (callers, credentials) = (for_people(&found.callers), for_people(&found.credentials));
    let endpoints = for_people(&found.endpoints);
    let classes = match found.classes.rows.is_empty() {
        true => String::new(),
        false => format!("\n\nData\n{}", for_people(&found.classes)),
    };
    format!(
        "{kind} {name}: {counts}; first call {first}, last call {last}\n\nCallers\n{callers}\n\nCredentials, in the order to rotate them\n\
         {credentials}{classes}\n\nEndpoints\n{endpoints}"
    )
}
