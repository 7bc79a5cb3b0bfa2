//! What a simulation is asked for: a TOML file as written, and as checked.

use std::path::Path;

use jiff::Span;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::{Deserialize, Deserializer, de};

use crate::pipeline::PipelineError;
use crate::pipeline::diagnostic::Text;

/// The file, as anyone may write it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// All chance follows from it.
    pub seed: u64,
    /// What the records look like.
    pub format: Format,
    /// First day, UTC, as `2026-09-01`.
    #[serde(deserialize_with = "date")]
    pub start: Date,
    /// How many days.
    pub days: usize,
    /// Who calls: services, jobs and tools; in an audit log, principals.
    #[serde(default = "callers")]
    pub callers: usize,
    /// Whom they call: how many, or which hosts. Not for an audit log, which has one vendor.
    pub vendors: Option<Vendors>,
    /// Calls of all callers on a usual working day.
    pub calls_a_day: f64,
    /// Calls of a weekend's day, as a share of a working day's.
    #[serde(default = "weekend_level")]
    pub weekend_level: f64,
    /// In what ways days differ.
    #[serde(default)]
    pub untidiness: Untidiness,
}

/// A log format that can be written.
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
    /// The first so many of the table, then invented ones.
    Number(usize),
    /// These hosts; those that the table does not know get invented endpoints.
    Hosts(Vec<String>),
}

/// In what ways days differ: rates and strengths of what is harmless and happens anyway. The defaults are realistic; 0 is off.
///
/// An audit log has some of them in its own way: a campaign is a service's peak, a burst of errors is throttling, new pods are an engineer
/// at another place, silence is an engineer's absence, and a new caller is a colleague or a service.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Untidiness {
    /// Whether sizes have tails and point masses, and latencies wander and have tails.
    pub heavy_tails: bool,
    /// Standard deviation of the logarithm of a relation's level, which wanders within a day and between days.
    pub level_wander: f64,
    /// Standard deviation of the logarithm of a vendor's latency, which wanders from hour to hour.
    pub latency_wander: f64,
    /// Share of calls that are answered by 404, 429 or a server's error on a good day.
    pub background_errors: f64,
    /// Growth of calls a month, as a share.
    pub growth_a_month: f64,
    /// How much more callers with a month end do on its days, as a factor.
    pub month_end_peak: f64,
    /// Releases a caller and working day.
    pub releases: f64,
    /// Restarts on other pods, a caller and day.
    pub new_pods: f64,
    /// Campaigns (5 to 14 times the calls for hours), a caller and day.
    pub campaigns: f64,
    /// Backfills, a batch job and day.
    pub backfills: f64,
    /// Planned key rotations, a caller and working day.
    pub key_rotations: f64,
    /// Debugging by hand with curl, a caller and working day.
    pub debugging: f64,
    /// Callers that fall silent for two weeks, a caller and day.
    pub silences: f64,
    /// New callers a working day, in the whole company: they use their peers' vendors.
    pub new_callers: f64,
    /// Brownouts (slow for 10 to 40 minutes), a vendor and day.
    pub brownouts: f64,
    /// Bursts of server errors for 5 to 20 minutes, a vendor and day.
    pub error_bursts: f64,
    /// Outages for 15 to 90 minutes, a vendor and day.
    pub outages: f64,
    /// Share of working days that are holidays.
    pub holidays: f64,
    /// Audit log: sessions in which an engineer looks around, as a share.
    pub exploring: f64,
    /// Audit log: responses to an incident a day, in the whole company; every third at night.
    pub incidents: f64,
    /// Audit log: large rebuilds by infrastructure code a working day.
    pub rebuilds: f64,
}

impl Default for Untidiness {
    fn default() -> Self {
        Self {
            heavy_tails: true,
            level_wander: 0.16,
            latency_wander: 0.14,
            background_errors: 0.012,
            growth_a_month: 0.04,
            month_end_peak: 1.8,
            releases: 0.13,
            new_pods: 0.04,
            campaigns: 0.006,
            backfills: 0.02,
            key_rotations: 0.008,
            debugging: 0.008,
            silences: 0.002,
            new_callers: 0.06,
            brownouts: 0.015,
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
        let whole = |field: &str, value: usize, most: usize| {
            if (1..=most).contains(&value) {
                return Ok(());
            }
            Err(text.at(&[field], format!("expected 1 to {most}")))
        };
        whole("days", spec.days, 3660)?;
        whole("callers", spec.callers, 5_000)?;
        match (&spec.vendors, spec.format) {
            (Some(_), Format::Cloudtrail) => {
                return Err(text.at(&["vendors"], "an audit log has one vendor: leave this out"));
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
        for (field, value, most) in spec.untidiness.numbers() {
            if !(0.0..=most).contains(&value) {
                return Err(text.at(&["untidiness", field], format!("expected 0 to {most}")));
            }
        }
        Ok(spec)
    }

    /// Whether the day after so many days is a Saturday or Sunday.
    pub(super) fn is_weekend(&self, day: usize) -> bool {
        self.date(day).weekday().to_monday_zero_offset() >= 5
    }

    /// The date after so many days.
    pub(super) fn date(&self, day: usize) -> Date {
        self.start.saturating_add(Span::new().days(day as i32))
    }

    /// The first instant, microseconds since the epoch.
    pub(super) fn first_instant(&self) -> i64 {
        let midnight = Offset::UTC.to_timestamp(self.start.at(0, 0, 0, 0));
        midnight.map_or(0, |midnight| midnight.as_microsecond())
    }
}

impl Untidiness {
    /// Each number with its name and what it may be at most.
    fn numbers(&self) -> [(&'static str, f64, f64); 20] {
        [
            ("level_wander", self.level_wander, 2.0),
            ("latency_wander", self.latency_wander, 2.0),
            ("background_errors", self.background_errors, 0.5),
            ("growth_a_month", self.growth_a_month, 1.0),
            ("month_end_peak", self.month_end_peak, 20.0),
            ("releases", self.releases, 1.0),
            ("new_pods", self.new_pods, 1.0),
            ("campaigns", self.campaigns, 1.0),
            ("backfills", self.backfills, 1.0),
            ("key_rotations", self.key_rotations, 1.0),
            ("debugging", self.debugging, 1.0),
            ("silences", self.silences, 1.0),
            ("new_callers", self.new_callers, 1.0),
            ("brownouts", self.brownouts, 1.0),
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

    const MIN_RATE: &str = "seed = 1\nformat = \"ecs\"\nstart = \"2026-09-01\"\ndays = 2\ncalls_a_day = 100\n";

    fn complaint(more: &str) -> String {
        Spec::parse(Path::new("a.toml"), &format!("{MIN_RATE}{more}")).unwrap_err().to_string()
    }

    #[test]
    fn a_complaint_names_line_and_field() {
        assert!(complaint("vendor = 3\n").starts_with("a.toml:6: vendor: unknown field"));
        assert_eq!(complaint("[untidiness]\nreleases = 2\n"), "a.toml:7: untidiness.releases: expected 0 to 1");
        assert!(complaint("vendors = [\"a\\\"b\"]\n").starts_with("a.toml:6: vendors: expected host names"));
        assert_eq!(complaint("callers = 0\n"), "a.toml:6: callers: expected 1 to 5000");
    }

    #[test]
    fn an_audit_log_has_no_list_of_vendors() {
        let text = MIN_RATE.replace("ecs", "cloudtrail") + "vendors = 3\n";
        let complaint = Spec::parse(Path::new("a.toml"), &text).unwrap_err().to_string();
        assert_eq!(complaint, "a.toml:6: vendors: an audit log has one vendor: leave this out");
    }
}
