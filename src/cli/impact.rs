//! `apiwarden impact`: who is hit where a vendor, a credential or a host is compromised, and what is still not rotated.
//!
//! Not here: how it is found out (`catalog`).

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use super::alerts::newest_of;
use super::output::{print_line, print_text};
use super::rows::for_people;
use crate::alerts::Alert;
use crate::catalog::{Exposure, Impact as Found, Reader, Since, Table, Target, Value};

/// Shows who is hit if a vendor, a credential or a host is compromised, and which keys to rotate first.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  apiwarden impact stripe --store catalog --since 2026-09-01
  apiwarden impact fp_e932b24d8b6263ed --store catalog --alerts alerts.ndjson --json
  apiwarden impact watch stripe --store catalog --since 2026-09-15"
)]
pub(super) struct Impact {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    show: Option<Show>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Watch(Watch),
}

impl Impact {
    pub fn run(self) -> anyhow::Result<()> {
        match (self.command, self.show) {
            (Some(Command::Watch(watch)), _) => watch.run(),
            (None, Some(show)) => show.run(),
            (None, None) => bail!("name a vendor, a credential's fingerprint, or a host"),
        }
    }
}

#[derive(Debug, Args)]
struct Show {
    /// A vendor, a credential's fingerprint, or a host.
    #[arg(value_name = "VENDOR|CREDENTIAL|HOST")]
    name: String,
    /// Directory of the catalogue.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// Only who called since: a span before the newest call (12h, 7d, 4w), a date or a time in RFC 3339.
    #[arg(long, value_name = "SINCE")]
    since: Option<Since>,
    /// Files of alerts (OCSF NDJSON): those about it are shown, and when the first odd call was.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    alerts: Vec<PathBuf>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Show {
    fn run(self) -> anyhow::Result<()> {
        let found = Reader::open(&self.store)?.impact(&self.name, self.since)?;
        let alerts = newest_of(&self.alerts)?.into_iter().filter(|alert| is_about(alert, &found)).collect::<Vec<_>>();
        let first_odd = alerts.iter().map(|alert| alert.first_seen).min();
        let table = alerts_table(&alerts);
        if self.json {
            let mut told = found.json();
            if !self.alerts.is_empty() {
                told["alerts"] = json!(table.json());
                told["first_odd_call"] = json!(first_odd.map(|time| Value::Time(time).plain()));
            }
            return print_line(serde_json::to_string_pretty(&told)?);
        }
        print_text(report(&found))?;
        match first_odd {
            _ if self.alerts.is_empty() => Ok(()),
            None => print_text("\nAlerts\nNone is about it."),
            Some(first) => {
                let first = Value::Time(first).plain();
                print_text(format_args!("\nAlerts; first odd call {first}\n{}", for_people(&table)))
            }
        }
    }
}

/// Whether an alert is about what is compromised.
fn is_about(alert: &Alert, found: &Found) -> bool {
    let is_since = found.since.is_none_or(|since| alert.last_seen >= since);
    let is_named = match found.target {
        Target::Vendor => alert.vendor == found.name,
        Target::Credential => alert.credential.as_deref() == Some(&*found.name),
        Target::Host => alert.hosts.contains(&found.name),
    };
    is_since && is_named
}

/// Alerts, the newest first.
fn alerts_table(alerts: &[Alert]) -> Table {
    let mut rows: Vec<_> = alerts.iter().collect();
    rows.sort_by_key(|alert| -alert.last_seen);
    let text = |text: &str| Value::Text(text.to_owned());
    let row = |alert: &&Alert| {
        vec![
            text(alert.severity.as_str()),
            text(&alert.title),
            alert.caller.as_deref().map_or(Value::Null, text),
            text(&alert.id),
            Value::Time(alert.first_seen),
            Value::Time(alert.last_seen),
        ]
    };
    let columns = vec!["severity", "title", "caller", "id", "first_seen", "last_seen"];
    Table { columns, rows: rows.iter().map(row).collect() }
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

/// Shows which credentials were in use before the day of a compromise, and fails while one of them still is: for a job that runs each day.
#[derive(Debug, Args)]
#[command(after_help = "The service says the same each day, as the rule credential_compromised, where the policy has:
  [[compromised]]
  vendors = [\"stripe\"]
  since = 2026-09-15")]
struct Watch {
    /// A vendor, a credential's fingerprint, or a host.
    #[arg(value_name = "VENDOR|CREDENTIAL|HOST")]
    name: String,
    /// Directory of the catalogue.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// When it was compromised: a span before the newest call (12h, 7d, 4w), a date or a time in RFC 3339.
    #[arg(long, value_name = "SINCE")]
    since: Since,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Watch {
    fn run(self) -> anyhow::Result<()> {
        let Exposure { credentials, in_use } = Reader::open(&self.store)?.exposure(&self.name, self.since)?;
        let exposed = credentials.rows.len();
        match self.json {
            true => print_line(serde_json::to_string_pretty(&credentials.json())?)?,
            false if exposed == 0 => print_text("No credential was in use before.")?,
            false => print_text(for_people(&credentials))?,
        }
        if in_use > 0 {
            bail!(
                "{in_use} of {exposed} credentials that {} was called with before are still in use: rotate them",
                self.name
            );
        }
        Ok(())
    }
}
