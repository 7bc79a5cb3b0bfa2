//! `[audit]`: audit reports that `run` writes by itself.
//!
//! Not here: what a report says (`report`), and when one is due (`stream`).

use std::path::PathBuf;

use serde::Deserialize;

use crate::alerts::sinks::{Routed, Surroundings};
use crate::catalog::Since;
use crate::report::Format;

const DAY: i64 = 86_400_000_000;

/// The section as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    directory: PathBuf,
    #[serde(default = "a_day")]
    every: String,
    #[serde(default = "a_month")]
    since: String,
    #[serde(default = "for_people_and_programs")]
    formats: Vec<Format>,
    alerts: Option<Vec<PathBuf>>,
    annotations: Option<PathBuf>,
}

fn a_day() -> String {
    "1d".to_owned()
}

fn a_month() -> String {
    "30d".to_owned()
}

fn for_people_and_programs() -> Vec<Format> {
    vec![Format::Html, Format::Json]
}

/// Where reports go, how often, and what they are about.
#[derive(Clone, Debug)]
pub struct AuditPlan {
    /// Directory of the reports.
    pub directory: PathBuf,
    /// Days from one report to the next.
    pub every_days: i64,
    /// How far each goes back.
    pub since: Since,
    /// In which formats.
    pub formats: Vec<Format>,
    /// Files of alerts.
    pub alerts: Vec<PathBuf>,
    /// File of what is declared of vendors; without one, that beside the catalogue.
    pub annotations: Option<PathBuf>,
}

impl Audit {
    /// Checks the section; alerts come from file sinks unless it names files.
    ///
    /// # Errors
    /// The field, and what to write instead.
    pub fn check(
        self,
        around: &Surroundings,
        sinks: &[Routed],
        keep_rollups_days: u64,
    ) -> Result<AuditPlan, (&'static str, &'static str)> {
        let whole_days = |text: &str| match text.parse() {
            Ok(Since::Before(span)) if span >= DAY && span % DAY == 0 => Some(span / DAY),
            _ => None,
        };
        let span = "write whole days or weeks, as in \"1d\" or \"4w\"";
        let every_days = whole_days(&self.every).ok_or(("every", span))?;
        let days = whole_days(&self.since).ok_or(("since", span))?;
        if self.formats.is_empty() {
            return Err(("formats", "name one of \"html\", \"markdown\", \"json\", or remove the line"));
        }
        if keep_rollups_days == 0 {
            return Err(("directory", "reports are made from the catalogue: set state.keep_rollups_days above 0"));
        }
        let of_sinks = || sinks.iter().filter_map(|sink| sink.plan.file()).map(PathBuf::from).collect();
        let alerts: Vec<PathBuf> = match self.alerts {
            Some(files) => files.iter().map(|file| around.path(file)).collect(),
            None => of_sinks(),
        };
        Ok(AuditPlan {
            directory: around.path(&self.directory),
            every_days,
            since: Since::Before(days * DAY),
            formats: self.formats,
            alerts,
            annotations: self.annotations.map(|file| around.path(&file)),
        })
    }
}
