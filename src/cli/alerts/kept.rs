//! The alert store of a service: the arguments, and the forms of a step, that the commands on it share.
//!
//! Not here: files of alerts (`files`).

use std::convert::Infallible;
use std::path::PathBuf;

use clap::Args;
use glob::Pattern;

use crate::alerts::store::{AlertStore, Filter, Kept, StoreError};
use crate::alerts::{Activity, Route, Severity, Style, card, known_detector};
use crate::calls::View;
use crate::catalog::Since;
use crate::cli::output::{print_line, print_row, print_text};

/// Which steps of which store. All that is named must fit; each of several callers, vendors, detectors or teams will do.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The state directory of the service.
    #[arg(long, value_name = "DIRECTORY")]
    state: PathBuf,
    /// At least so severe: informational, low, medium, high or critical.
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<Severity>,
    /// Only of one view: egress or audit.
    #[arg(long, value_name = "VIEW")]
    view: Option<View>,
    /// Only of this caller; `*` stands for any text.
    #[arg(long, value_name = "NAME")]
    caller: Option<Vec<Pattern>>,
    /// Only of this vendor; `*` stands for any text.
    #[arg(long, value_name = "NAME")]
    vendor: Option<Vec<Pattern>>,
    /// Only by this detector.
    #[arg(long, value_name = "NAME", value_parser = known_detector)]
    detector: Option<Vec<String>>,
    /// Only of this owner; `*` stands for any text.
    #[arg(long, value_name = "NAME")]
    team: Option<Vec<Pattern>>,
    /// Only this incident.
    #[arg(long, value_name = "ID", value_parser = incident)]
    id: Option<String>,
    /// Only what this suppression holds or held back.
    #[arg(long, value_name = "NUMBER")]
    suppression: Option<i64>,
    /// Only of incidents that have not ended.
    #[arg(long)]
    open: bool,
    /// From when on: a span before the newest alert (12h, 7d), a date or a time in RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Until when, as --since.
    #[arg(long, value_name = "TIME")]
    until: Option<Since>,
}

/// The incident that is meant, also where its step is named, as in `metadata.uid`: `aw-7f3c0a9b12d4e5f6-2`.
pub(super) fn incident(text: &str) -> Result<String, Infallible> {
    let step = text.rsplit_once('-').filter(|(id, step)| id.contains('-') && step.parse::<u32>().is_ok());
    Ok(step.map_or(text, |(id, _)| id).to_owned())
}

impl Asked {
    /// The store, and the filter that the arguments mean: every step.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(self) -> Result<(AlertStore, Filter), StoreError> {
        let store = AlertStore::read(&self.state)?;
        let newest = store.newest_time()?;
        let Self { severity, view, detector, caller, vendor, team, .. } = self;
        let filter = Filter {
            route: Route { severity, view, detector, caller, vendor, team, suppressed: None },
            incident: self.id,
            suppression: self.suppression,
            since: self.since.map(|since| since.time(newest)),
            until: self.until.map(|until| until.time(newest)),
            open_only: self.open,
            newest_only: false,
            limit: None,
        };
        Ok((store, filter))
    }
}

/// How a step is printed: a line for people, unless another form is asked for.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Form {
    /// As cards.
    #[arg(long, conflicts_with = "json")]
    card: bool,
    /// As OCSF, a line each.
    #[arg(long)]
    json: bool,
}

impl Form {
    /// Prints a step.
    ///
    /// # Errors
    /// Where standard output cannot be written.
    pub fn print(self, kept: &Kept) -> anyhow::Result<()> {
        if self.json {
            return print_line(&kept.ocsf);
        }
        if self.card {
            return print_text(card(&kept.alert, Style::Plain));
        }
        let alert = &kept.alert;
        let time = jiff::Timestamp::from_microsecond(alert.time).map(|time| format!("{time:.0}")).unwrap_or_default();
        let mark = match kept.suppression {
            Some(id) if kept.is_released => format!("[was suppressed by {id}] "),
            Some(id) => format!("[suppressed by {id}] "),
            None => String::new(),
        };
        let mark = if alert.activity == Activity::Close { format!("[closed] {mark}") } else { mark };
        print_row(format_args!(
            "{time} {:<13} {:<19} {:>3} {:<18} {mark}{}",
            alert.severity.as_str(),
            alert.id,
            alert.revision,
            alert.detector,
            alert.message
        ))
    }
}
