//! The audit report: what the catalogue, the alerts and the policy say of a period, on one page for people who decide.
//!
//! A report follows from its sources and its period alone: no clock is read, and the same period gives the same bytes. It is one value, which is
//! written as HTML, Markdown or JSON. Every number is counted in a section, which the summary leads to.
//!
//! Not here: the audit view of the detectors (`models::audit`), which judges audit logs; when reports are written (`stream`, `cli`).

mod alerts;
mod archive;
mod attention;
mod chain;
mod chart;
mod coverage;
mod credentials;
mod error;
mod frameworks;
mod governance;
mod incident;
mod inventory;
mod ownership;
mod page;
mod summary;
mod time;

use std::path::PathBuf;

use serde::Serialize;

use self::alerts::Alerts;
use self::attention::{Attention, attention};
use self::coverage::Coverage;
use self::credentials::Credentials;
use self::frameworks::{BLIND, Blind, CONTROLS, Control, Owasp, owasp};
use self::governance::Governance;
use self::inventory::Inventory;
use self::ownership::{Data, Ownership};
use crate::catalog::annotations::Annotations;
use crate::catalog::{Period, Reader, RotationLimits};
use crate::rules::{Policy, Rules};

pub use self::archive::{Archive, Written};
pub use self::chain::{Broken, Seal, seal_of, verify};
pub use self::error::ReportError;
pub use self::page::Format;
pub use self::time::day_number;

/// Version of the report as JSON (`docs/audit.md`).
const SCHEMA: u32 = 1;

/// What a report is made from, besides a catalogue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources<'a> {
    /// Files of alerts, as sinks and `scan` write them; `None` where nothing is known of alerts, which is not the same as none raised.
    pub alerts: Option<&'a [PathBuf]>,
    /// The rules in force, with their policy.
    pub rules: Option<&'a Rules>,
    /// What is declared of vendors.
    pub declared: Option<&'a Annotations>,
}

/// A report. Its fields are the JSON that is documented in `docs/audit.md`.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: u32,
    program: &'static str,
    period: Days,
    attention: Vec<Attention>,
    inventory: Inventory,
    governance: Governance,
    credentials: Credentials,
    alerts: Alerts,
    coverage: Coverage,
    ownership: Ownership,
    data: Vec<Data>,
    owasp: Vec<Owasp>,
    controls: &'static [Control],
    not_shown: &'static [Blind],
}

/// The period as text.
#[derive(Debug, Serialize)]
struct Days {
    /// The first day, UTC.
    since: String,
    /// The last day.
    until: String,
    days: i64,
    newest_call: String,
}

impl Report {
    /// Makes the report of a period.
    ///
    /// # Errors
    /// [`ReportError`]: also where no call is as old as the period.
    pub fn new(reader: &Reader, period: Period, sources: &Sources<'_>) -> Result<Self, ReportError> {
        let policy = sources.rules.map(Rules::policy);
        let limits = limits(policy);
        let facts = reader.facts(period, &limits)?;
        let Some(newest) = facts.newest else {
            return Err(match reader.newest()? {
                Some(newest) => ReportError::TooEarly { newest: time::date(newest) },
                None => ReportError::Empty,
            });
        };
        let incidents = incident::read(sources.alerts.unwrap_or_default(), period)?;
        let given = sources.alerts.is_some();
        let nothing = Annotations::default();
        let mut report = Self {
            schema: SCHEMA,
            program: concat!("apiwarden ", env!("CARGO_PKG_VERSION")),
            period: Days {
                since: time::day(period.first),
                until: time::day(period.last),
                days: period.days(),
                newest_call: time::moment(newest),
            },
            attention: Vec::new(),
            inventory: Inventory::of(&facts, policy),
            governance: Governance::of(&facts, sources.rules, &incidents),
            credentials: Credentials::of(&facts, limits.max_age_days, limits.idle_days),
            alerts: Alerts::of(&facts, given, &incidents),
            coverage: Coverage::of(&facts, &incidents),
            ownership: Ownership::of(&facts, sources.declared.unwrap_or(&nothing)),
            data: Data::of(&facts),
            owasp: owasp(given, &incidents),
            controls: &CONTROLS,
            not_shown: &BLIND,
        };
        report.attention = attention(&report);
        Ok(report)
    }

    /// The last day, `2026-09-18`.
    pub fn until(&self) -> &str {
        &self.period.until
    }
}

/// When credentials are overdue and idle: as the policy says.
fn limits(policy: Option<&Policy>) -> RotationLimits {
    let limits = RotationLimits::default();
    policy.map_or(limits, |policy| {
        let (max_age, idle) = policy.credential_days();
        RotationLimits { max_age_days: max_age.into(), idle_days: idle.into(), ..limits }
    })
}
