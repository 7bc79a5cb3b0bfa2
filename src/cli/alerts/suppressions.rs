//! `apiwarden alerts suppressions`: which alerts call nobody for a while, under a service that runs.
//!
//! Not here: what a suppression does (`alerts::suppression`).

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::kept::incident;
use crate::alerts::Severity;
use crate::alerts::store::AlertStore;
use crate::alerts::suppression::{Scope, Suppression, Wanted};
use crate::calls::View;
use crate::cli::output::{print_line, print_row, print_text};

/// Holds alerts back for a while, says which are, and ends that.
#[derive(Debug, Args)]
pub(super) struct Suppressions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Box<Add>),
    List(List),
    End(End),
}

impl Suppressions {
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Add(command) => command.run(),
            Command::List(command) => command.run(),
            Command::End(command) => command.run(),
        }
    }
}

/// Holds back what fits in all that is named, from now or a later time on: alerts stay in the store, marked, and call nobody.
///
/// What is graver than --max-severity, or involves another caller, vendor, credential or account as well, calls as ever. An incident that is still
/// open at the end goes out then. Names may have `*`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden alerts suppressions add --state state --caller 'load-*' --vendor stripe --for 4h --reason 'load test'
  apiwarden alerts suppressions add --state state --account 123456789012 --from 2026-12-05T22:00:00Z --for 6h --reason 'move of the account'")]
struct Add {
    /// The state directory of the service.
    #[arg(long, value_name = "DIRECTORY")]
    state: PathBuf,
    #[command(flatten)]
    scope: ScopeArguments,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who says so [default: the user of this session].
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// From when on: a time in RFC 3339 [default: now]. One that is planned is a maintenance window.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// For how long: 30m, 12h, 7d; a year at most.
    #[arg(long = "for", value_name = "SPAN", value_parser = span, required_unless_present = "until", conflicts_with = "until")]
    length: Option<i64>,
    /// Until when: a time in RFC 3339.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct ScopeArguments {
    /// Of these detectors.
    #[arg(long, value_name = "NAME")]
    detector: Vec<String>,
    /// Of incidents in which only these callers are involved.
    #[arg(long, value_name = "NAME")]
    caller: Vec<String>,
    /// Of incidents in which only these vendors are involved.
    #[arg(long, value_name = "NAME")]
    vendor: Vec<String>,
    /// Of incidents in which only these credentials are involved, by fingerprint.
    #[arg(long, value_name = "FINGERPRINT")]
    credential: Vec<String>,
    /// Of incidents in which only these accounts of a vendor are involved.
    #[arg(long, value_name = "ACCOUNT")]
    account: Vec<String>,
    /// Of these owners.
    #[arg(long, value_name = "NAME")]
    team: Vec<String>,
    /// Of these incidents.
    #[arg(long = "id", value_name = "ID", value_parser = incident)]
    incident: Vec<String>,
    /// Of one view: egress or audit.
    #[arg(long, value_name = "VIEW")]
    view: Option<View>,
    /// Nothing graver: informational, low, medium, high or critical.
    #[arg(long, value_name = "SEVERITY")]
    max_severity: Option<Severity>,
    /// Of everything, whatever it is.
    #[arg(
        long,
        conflicts_with_all = ["detector", "caller", "vendor", "credential", "account", "team", "incident", "view", "max_severity"]
    )]
    everything: bool,
}

impl From<ScopeArguments> for Scope {
    fn from(arguments: ScopeArguments) -> Self {
        let ScopeArguments {
            detector, caller, vendor, credential, account, team, incident, view, max_severity, ..
        } = arguments;
        Self { detector, caller, vendor, credential, account, team, incident, view, max_severity }
    }
}

/// A span in microseconds.
fn span(text: &str) -> Result<i64, String> {
    let seconds = |unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    };
    let count = |text: &str| text.parse::<u32>().ok().map(i64::from);
    let micros =
        text.char_indices().last().and_then(|(end, unit)| Some(count(&text[..end])? * seconds(unit)? * 1_000_000));
    micros.ok_or_else(|| "write a span, as in 30m, 12h or 7d".to_owned())
}

/// The user of this session.
fn user() -> anyhow::Result<String> {
    let known = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    known.into_iter().find(|name| !name.is_empty()).context("say who suppresses, with --author")
}

impl Add {
    fn run(self) -> anyhow::Result<()> {
        let now = Timestamp::now().as_microsecond();
        let starts = self.from.map_or(now, Timestamp::as_microsecond);
        let ends = self.until.map_or_else(|| starts + self.length.unwrap_or_default(), Timestamp::as_microsecond);
        let author = self.author.map_or_else(user, Ok)?;
        let wanted = Wanted { scope: self.scope.into(), reason: self.reason, author, starts, ends };
        wanted.check()?;
        if ends <= now {
            bail!("it would be over already");
        }
        let id = store(&self.state)?.suppress(&wanted, now)?;
        let scope = wanted.scope.in_words();
        print_row(format_args!("suppression {id}: {scope}, from {} to {}", instant(starts), instant(ends)))
    }
}

/// Opens the store of a service. A wrong directory is a slip, and gets no store.
fn store(state: &std::path::Path) -> anyhow::Result<AlertStore> {
    AlertStore::read(state)?;
    Ok(AlertStore::open(state)?)
}

/// Lists suppressions in force and planned: what they hold back, why, who said so, and how much they held back.
#[derive(Debug, Args)]
struct List {
    /// The state directory of the service.
    #[arg(long, value_name = "DIRECTORY")]
    state: PathBuf,
    /// Those that are over, too.
    #[arg(long)]
    all: bool,
    /// As JSON, a line each.
    #[arg(long)]
    json: bool,
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let now = Timestamp::now().as_microsecond();
        let found = AlertStore::read(&self.state)?.suppressions((!self.all).then_some(now))?;
        for one in &found {
            if self.json {
                print_line(serde_json::to_string(one)?)?;
            } else {
                print_row(in_words(one, now))?;
            }
        }
        Ok(())
    }
}

fn in_words(one: &Suppression, now: i64) -> String {
    let Suppression { id, scope, reason, author, created, starts, ends, ended_by, held } = one;
    let ended = ended_by.as_ref().map_or_else(String::new, |by| format!(", ended by {by}"));
    format!(
        "{id} {}, {} to {}{ended}: {}; {held} alerts held back; \"{reason}\" ({author}, {})",
        one.state(now),
        instant(*starts),
        instant(*ends),
        scope.in_words(),
        instant(*created)
    )
}

/// Ends a suppression before its time: what is open and it held back goes out.
#[derive(Debug, Args)]
struct End {
    /// Its number, as the list has it.
    number: i64,
    /// The state directory of the service.
    #[arg(long, value_name = "DIRECTORY")]
    state: PathBuf,
    /// Who ends it [default: the user of this session].
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

impl End {
    fn run(self) -> anyhow::Result<()> {
        let author = self.author.map_or_else(user, Ok)?;
        let now = Timestamp::now().as_microsecond();
        if !store(&self.state)?.end_suppression(self.number, &author, now)? {
            bail!("there is no suppression {} that is not over", self.number);
        }
        print_text(format_args!("suppression {} is over; open incidents go out within seconds", self.number))
    }
}

fn instant(time: i64) -> String {
    Timestamp::from_microsecond(time).map(|time| format!("{time:.0}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_unit() {
        let spans = ["90s", "30m", "2h", "7d"].map(span);
        assert_eq!(spans, [Ok(90_000_000), Ok(1_800_000_000), Ok(7_200_000_000), Ok(604_800_000_000)]);
        assert!(["", "7", "h", "-1h", "1y", "9é"].iter().all(|wrong| span(wrong).is_err()));
    }
}
