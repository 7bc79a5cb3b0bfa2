//! The specification of a simulation: a TOML file, read and checked.
//!
//! Not here: what the settings do (`changes`, `traffic`, `audit`).

use std::path::Path;

use jiff::Span;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::{Deserialize, Deserializer, de};

use crate::pipeline::PipelineError;
use crate::pipeline::diagnostic::Text;

/// A checked specification.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Seed of all random numbers.
    pub seed: u64,
    /// Format of the records.
    pub format: Format,
    /// First day, UTC, as `2026-09-01`.
    #[serde(deserialize_with = "date")]
    pub start: Date,
    /// Number of days.
    pub days: usize,
    /// Number of callers: services, jobs and tools; in an audit log, principals.
    #[serde(default = "callers")]
    pub callers: usize,
    /// Vendors, by number or by host. Not for an audit log, which has one vendor.
    pub vendors: Option<Vendors>,
    /// Calls on a usual working day, over all callers.
    pub calls_a_day: f64,
    /// Calls on a day of the weekend, as a share of a working day's.
    #[serde(default = "weekend_level")]
    pub weekend_level: f64,
    /// How days differ.
    #[serde(default)]
    pub variability: Variability,
}

/// Log format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Egress calls in the Elastic Common Schema.
    Ecs,
    /// Management and data events of AWS.
    Cloudtrail,
}

/// Vendors by number or by host.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Vendors {
    /// This many: those of the table first, then invented ones.
    Number(usize),
    /// These hosts; those not in the table get invented endpoints.
    Hosts(Vec<String>),
}

/// How days differ: rates and strengths of harmless changes. The defaults are realistic; 0 turns a change off.
///
/// In an audit log some have another meaning: a campaign is a service's peak, a burst of errors is throttling, new pods are an engineer
/// on another network, a silence is an engineer's absence, and a new caller is a new engineer or service.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Variability {
    /// Whether sizes and latencies have heavy tails, and sizes have point masses.
    pub heavy_tails: bool,
    /// Standard deviation of the logarithm of a pair's level, which varies within a day and between days.
    pub level_sigma: f64,
    /// Standard deviation of the logarithm of a vendor's latency, which varies from hour to hour.
    pub latency_sigma: f64,
    /// Share of calls that fail on a good day (404, 429, server errors …).
    pub background_errors: f64,
    /// Growth of calls per month, as a share.
    pub growth_a_month: f64,
    /// Factor on the calls at the end of a month, for callers that have one.
    pub month_end_peak: f64,
    /// Releases per caller and working day.
    pub releases: f64,
    /// Share of releases after which a few percent of the calls to one vendor are refused, for one to two hours.
    pub failing_releases: f64,
    /// Restarts on other pods, per caller and day.
    pub new_pods: f64,
    /// Campaigns (5 to 14 times the calls for 1 to 4 hours), per caller and day.
    pub campaigns: f64,
    /// Backfills, per batch job and day.
    pub backfills: f64,
    /// Nights with three to six times the work, per batch job and day.
    pub job_peaks: f64,
    /// Planned key rotations, per caller and working day.
    pub key_rotations: f64,
    /// Debugging by hand with curl, per caller and working day.
    pub debugging: f64,
    /// Silences of two weeks, per caller and day.
    pub silences: f64,
    /// New callers per working day, in the whole company; they use their peers' vendors.
    pub new_callers: f64,
    /// Brownouts (slow for 10 to 40 minutes), per vendor and day.
    pub brownouts: f64,
    /// Quarters of an hour with twice the latency, per vendor and day.
    pub slow_quarters: f64,
    /// Bursts of server errors (5 to 20 minutes), per vendor and day.
    pub error_bursts: f64,
    /// Outages (15 to 90 minutes), per vendor and day.
    pub outages: f64,
    /// Share of working days that are holidays.
    pub holidays: f64,
    /// Audit log: share of an engineer's sessions that explore.
    pub exploring: f64,
    /// Audit log: incident responses per day, in the whole company; every third at night.
    pub incidents: f64,
    /// Audit log: large rebuilds by infrastructure as code, per working day.
    pub rebuilds: f64,
}

impl Default for Variability {
    fn default() -> Self {
        Self {
            heavy_tails: true,
            level_sigma: 0.16,
            latency_sigma: 0.14,
            background_errors: 0.012,
            growth_a_month: 0.04,
            month_end_peak: 1.8,
            releases: 0.13,
            failing_releases: 0.1,
            new_pods: 0.04,
            campaigns: 0.006,
            backfills: 0.02,
            job_peaks: 0.02,
            key_rotations: 0.008,
            debugging: 0.008,
            silences: 0.002,
            new_callers: 0.06,
            brownouts: 0.015,
            slow_quarters: 0.015,
            error_bursts: 0.01,
            outages: 0.003,
            holidays: 0.02,
            exploring: 0.03,
            incidents: 0.12,
            rebuilds: 0.08,
        }
    }
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| de::Error::custom("expected a date, as \"2026-09-01\""))
}

fn callers() -> usize {
    20
}

fn weekend_level() -> f64 {
    0.55
}

impl Spec {
    /// Reads and checks a specification.
    ///
    /// # Errors
    /// If the file cannot be read, or a field is missing, unknown or out of its range: with line and field.
    pub fn load(file: &Path) -> Result<Self, PipelineError> {
        let text = std::fs::read_to_string(file)
            .map_err(|problem| PipelineError::Unreadable { file: file.to_owned(), problem })?;
        Self::parse(file, &text)
    }

    fn parse(file: &Path, text: &str) -> Result<Self, PipelineError> {
        let text = Text { file, text };
        let spec: Self = toml::from_str(text.text).map_err(|error| text.diagnostic("", &error))?;
        let whole = |field: &str, value: usize, max: usize| {
            if (1..=max).contains(&value) {
                return Ok(());
            }
            Err(text.at(&[field], format!("expected 1 to {max}")))
        };
        whole("days", spec.days, 3660)?;
        whole("callers", spec.callers, 5_000)?;
        match (&spec.vendors, spec.format) {
            (Some(_), Format::Cloudtrail) => {
                return Err(text.at(&["vendors"], "an audit log has one vendor: remove this line"));
            }
            (Some(Vendors::Number(number)), Format::Ecs) => whole("vendors", *number, 5_000)?,
            (Some(Vendors::Hosts(hosts)), Format::Ecs) => {
                whole("vendors", hosts.len(), 5_000)?;
                let is_odd = |host: &String| {
                    host.is_empty() || host.bytes().any(|b| !(b.is_ascii_alphanumeric() || b".-".contains(&b)))
                };
                if hosts.iter().any(is_odd) {
                    return Err(text.at(&["vendors"], "expected host names of letters, digits, dots and dashes"));
                }
            }
            (None, _) => {}
        }
        if !(1.0..=1e9).contains(&spec.calls_a_day) {
            return Err(text.at(&["calls_a_day"], "expected 1 to 1000000000"));
        }
        if !(0.0..=2.0).contains(&spec.weekend_level) {
            return Err(text.at(&["weekend_level"], "expected 0 to 2"));
        }
        for (field, value, max) in spec.variability.numbers() {
            if !(0.0..=max).contains(&value) {
                return Err(text.at(&["variability", field], format!("expected 0 to {max}")));
            }
        }
        Ok(spec)
    }

    /// Whether a day (from 0) is a Saturday or Sunday.
    pub(super) fn is_weekend(&self, day: usize) -> bool {
        self.date(day).weekday().to_monday_zero_offset() >= 5
    }

    /// The date of a day (from 0).
    pub(super) fn date(&self, day: usize) -> Date {
        self.start.saturating_add(Span::new().days(day as i32))
    }

    /// Start of the first day, microseconds since the epoch.
    pub(super) fn first_instant(&self) -> i64 {
        let midnight = Offset::UTC.to_timestamp(self.start.at(0, 0, 0, 0));
        midnight.map_or(0, |midnight| midnight.as_microsecond())
    }
}

impl Variability {
    /// Each number with its name and its maximum.
    fn numbers(&self) -> [(&'static str, f64, f64); 23] {
        [
            ("level_sigma", self.level_sigma, 2.0),
            ("latency_sigma", self.latency_sigma, 2.0),
            ("background_errors", self.background_errors, 0.5),
            ("growth_a_month", self.growth_a_month, 1.0),
            ("month_end_peak", self.month_end_peak, 20.0),
            ("releases", self.releases, 1.0),
            ("failing_releases", self.failing_releases, 1.0),
            ("new_pods", self.new_pods, 1.0),
            ("campaigns", self.campaigns, 1.0),
            ("backfills", self.backfills, 1.0),
            ("job_peaks", self.job_peaks, 1.0),
            ("key_rotations", self.key_rotations, 1.0),
            ("debugging", self.debugging, 1.0),
            ("silences", self.silences, 1.0),
            ("new_callers", self.new_callers, 1.0),
            ("brownouts", self.brownouts, 1.0),
            ("slow_quarters", self.slow_quarters, 1.0),
            ("error_bursts", self.error_bursts, 1.0),
            ("outages", self.outages, 1.0),
            ("holidays", self.holidays, 1.0),
            ("exploring", self.exploring, 1.0),
            ("incidents", self.incidents, 1.0),
            ("rebuilds", self.rebuilds, 1.0),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "seed = 1\nformat = \"ecs\"\nstart = \"2026-09-01\"\ndays = 2\ncalls_a_day = 100\n";

    fn diagnostic(more: &str) -> String {
        Spec::parse(Path::new("a.toml"), &format!("{MINIMAL}{more}")).unwrap_err().to_string()
    }

    #[test]
    fn a_diagnostic_names_line_and_field() {
        assert!(diagnostic("vendor = 3\n").starts_with("a.toml:6: vendor: unknown field"));
        assert_eq!(diagnostic("[variability]\nreleases = 2\n"), "a.toml:7: variability.releases: expected 0 to 1");
        assert!(diagnostic("vendors = [\"a\\\"b\"]\n").starts_with("a.toml:6: vendors: expected host names"));
        assert_eq!(diagnostic("callers = 0\n"), "a.toml:6: callers: expected 1 to 5000");
    }

    #[test]
    fn an_audit_log_has_no_list_of_vendors() {
        let text = MINIMAL.replace("ecs", "cloudtrail") + "vendors = 3\n";
        let diagnostic = Spec::parse(Path::new("a.toml"), &text).unwrap_err().to_string();
        assert_eq!(diagnostic, "a.toml:6: vendors: an audit log has one vendor: remove this line");
    }
}
