//! `apiwarden alerts list`: what the alert store of a service holds, for people and as OCSF; and what comes to it.
//!
//! Not here: files of alerts (`show`).

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::alerts::store::{AlertStore, Filter, Kept};
use crate::alerts::{Activity, Severity, Style, card};
use crate::catalog::Since;
use crate::cli::output::{print_line, print_row, print_text};

/// How often `--follow` looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Lists the alerts of a service's store: the newest step of each incident.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden alerts list --state state --since 7d --severity medium
  apiwarden alerts list --state state --id aw-7f3c0a9b12d4e5f6 --all --card
  apiwarden alerts list --state state --all --json > alerts.ndjson
  apiwarden alerts list --state state --follow")]
pub(super) struct List {
    /// The state directory of the service.
    #[arg(long, value_name = "DIRECTORY")]
    state: PathBuf,
    /// At least so severe: informational, low, medium, high or critical.
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    severity: Option<Severity>,
    /// Only of this caller.
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// Only of this vendor.
    #[arg(long, value_name = "NAME")]
    vendor: Option<String>,
    /// Only by this detector.
    #[arg(long, value_name = "NAME")]
    detector: Option<String>,
    /// Only this incident.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Only what this suppression holds or held back.
    #[arg(long, value_name = "NUMBER")]
    suppression: Option<i64>,
    /// From when on: a span before the newest alert (12h, 7d), a date or a time in RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// At most so many, the newest.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
    /// Every step of an incident.
    #[arg(long)]
    all: bool,
    /// As cards.
    #[arg(long, conflicts_with = "json")]
    card: bool,
    /// As OCSF, a line each.
    #[arg(long)]
    json: bool,
    /// Goes on with what comes, until it is interrupted.
    #[arg(long)]
    follow: bool,
}

pub(super) fn severity(text: &str) -> Result<Severity, String> {
    let known = Severity::ALL.into_iter().find(|severity| severity.as_str().eq_ignore_ascii_case(text));
    known.ok_or_else(|| "write informational, low, medium, high or critical".to_owned())
}

impl List {
    pub fn run(self) -> anyhow::Result<()> {
        let store = AlertStore::read(&self.state)?;
        let mut place = store.newest()?;
        let newest = store.after(place - 1, 1)?.last().map_or(0, |kept| kept.alert.time);
        let filter = Filter {
            severity: self.severity,
            caller: self.caller.clone(),
            vendor: self.vendor.clone(),
            detector: self.detector.clone(),
            incident: self.id.clone(),
            since: self.since.map(|since| since.time(newest)),
            suppression: self.suppression,
            newest_only: !self.all,
            limit: self.limit,
        };
        store.find(&filter)?.iter().try_for_each(|kept| self.print(kept))?;
        if !self.follow {
            return Ok(());
        }
        loop {
            std::thread::sleep(PAUSE);
            for kept in store.after(place, 1_000)? {
                place = kept.seq;
                if filter.lets_through(&kept) {
                    self.print(&kept)?;
                }
            }
        }
    }

    fn print(&self, kept: &Kept) -> anyhow::Result<()> {
        if self.json {
            return print_line(&kept.ocsf);
        }
        if self.card {
            return print_text(card(&kept.alert, Style::Plain));
        }
        let alert = &kept.alert;
        let time = jiff::Timestamp::from_microsecond(alert.time).map(|time| format!("{time:.0}")).unwrap_or_default();
        let step = format!("{}-{}", alert.id, alert.revision);
        let mark = match kept.suppression {
            Some(id) if kept.is_released => format!("[was suppressed by {id}] "),
            Some(id) => format!("[suppressed by {id}] "),
            None => String::new(),
        };
        let mark = if alert.activity == Activity::Close { format!("[closed] {mark}") } else { mark };
        print_row(format_args!(
            "{time} {:<13} {step:<22} {:<18} {mark}{}",
            alert.severity.as_str(),
            alert.detector,
            alert.message
        ))
    }
}
