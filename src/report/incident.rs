//! Incidents of a period, from files of alerts as the sinks wrote them.
//!
//! Of each incident the last step by the end of the period counts: what came later does not change a report on it.
//!
//! Not here: what a finding is in OCSF (`alerts`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::error::ReportError;
use crate::alerts::{Activity, Alert, Severity, from_ocsf};
use crate::catalog::Period;
use crate::detect::Category;

/// The detector of governance rules; its first reason is named after the rule.
const GOVERNANCE: &str = "governance";

/// An incident, as it stood at the end of the period.
#[derive(Clone, Debug)]
pub(super) struct Incident {
    pub id: String,
    /// When its first step was raised, of those that are in the files.
    pub opened: i64,
    pub last_seen: i64,
    pub revision: u32,
    /// The highest of its steps.
    pub severity: Severity,
    pub detector: String,
    pub category: Category,
    pub title: String,
    pub message: String,
    /// The rule that was violated.
    pub rule: Option<String>,
    pub callers: Vec<String>,
    pub vendors: Vec<String>,
    pub is_closed: bool,
}

impl Incident {
    fn of(alert: Alert) -> Self {
        let mut callers: Vec<String> = alert.callers().into_iter().map(str::to_owned).collect();
        let mut vendors: Vec<String> = alert.vendors().into_iter().map(str::to_owned).collect();
        callers.extend(alert.caller.clone().filter(|caller| !callers.contains(caller)));
        vendors.extend(Some(alert.vendor.clone()).filter(|vendor| !vendor.is_empty() && !vendors.contains(vendor)));
        let reason = alert.contributions.first().map(|reason| reason.name.clone());
        Self {
            rule: reason.filter(|_| alert.detector == GOVERNANCE),
            id: alert.id,
            opened: alert.time,
            last_seen: alert.last_seen,
            revision: alert.revision,
            severity: alert.severity,
            detector: alert.detector,
            category: alert.category,
            title: alert.title,
            message: alert.message,
            callers,
            vendors,
            is_closed: alert.activity == Activity::Close,
        }
    }

    /// Whether somebody was called.
    pub fn pages(&self) -> bool {
        self.severity >= Severity::Medium
    }
}

/// The incidents that files of alerts tell of a period, by their ids.
///
/// # Errors
/// Where a file cannot be read, or a line is no alert: with file and line, never with what the line holds.
pub(super) fn read(files: &[PathBuf], period: Period) -> Result<Vec<Incident>, ReportError> {
    let mut incidents: BTreeMap<String, Incident> = BTreeMap::new();
    for path in files {
        read_file(path, &mut |alert| {
            if alert.time >= period.end() {
                return;
            }
            let step = Incident::of(alert);
            match incidents.get_mut(&step.id) {
                None => drop(incidents.insert(step.id.clone(), step)),
                Some(known) => {
                    let (opened, severity) = (known.opened.min(step.opened), known.severity.max(step.severity));
                    if step.revision >= known.revision {
                        *known = step;
                    }
                    (known.opened, known.severity) = (opened, severity);
                }
            }
        })?;
    }
    let is_within = |incident: &Incident| incident.opened.max(incident.last_seen) >= period.start();
    Ok(incidents.into_values().filter(is_within).collect())
}

fn read_file(path: &Path, take: &mut dyn FnMut(Alert)) -> Result<(), ReportError> {
    let io = ReportError::io(path);
    let mut input: Box<dyn BufRead> = match path.as_os_str() == "-" {
        true => Box::new(BufReader::new(std::io::stdin())),
        false => Box::new(BufReader::new(File::open(path).map_err(&io)?)),
    };
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        if input.read_until(b'\n', &mut text).map_err(&io)? == 0 {
            break;
        }
        let fault = |problem: String| ReportError::Alert { path: path.to_owned(), line, problem };
        if text.trim_ascii().is_empty() {
            continue;
        }
        let value = match serde_json::from_slice(&text) {
            Ok(value) => value,
            // The stream is writing it right now.
            Err(_) if !text.ends_with(b"\n") => break,
            // serde_json's own message may quote the line.
            Err(error) => return Err(fault(format!("column {}: expected one JSON object a line", error.column()))),
        };
        let expected = "expected an OCSF Detection Finding, as `apiwarden scan` and sinks write it";
        take(from_ocsf(&value).ok_or_else(|| fault(expected.to_owned()))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::{sample, to_ocsf};
    use crate::catalog::Since;

    fn file(alerts: &[Alert], end: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: String = alerts.iter().map(|alert| format!("{}\n", to_ocsf(alert))).collect();
        std::fs::write(file.path(), format!("{lines}{end}")).unwrap();
        file
    }

    #[test]
    fn the_last_step_by_the_end_of_the_period_counts() {
        let day = Period::day_of(sample().time);
        let step = |revision, days: i64, severity| {
            let time = sample().time + days * 86_400_000_000;
            Alert { revision, time, last_seen: time, severity, ..sample() }
        };
        let steps = [step(1, 0, Severity::High), step(2, 1, Severity::Low), step(3, 9, Severity::Critical)];
        let file = file(&steps, "");
        let found = |last: i64| {
            let found = read(&[file.path().to_owned()], Period::new(Since::Before(86_400_000_000), last)).unwrap();
            found.into_iter().map(|one| (one.revision, one.severity)).collect::<Vec<_>>()
        };
        assert_eq!(found(day), [(1, Severity::High)]);
        assert_eq!(found(day + 1), [(2, Severity::High)]);
        assert_eq!(found(day + 5), []);
        assert_eq!(found(day + 9), [(3, Severity::Critical)]);
        assert_eq!(found(day - 1), []);
    }

    #[test]
    fn a_line_that_is_still_being_written_is_left_for_later_and_any_other_is_named() {
        let period = Period::new(Since::At(0), Period::day_of(sample().time));
        let half = file(&[sample()], "{\"class_uid\": 20");
        assert_eq!(read(&[half.path().to_owned()], period).unwrap().len(), 1);
        let broken = file(&[sample()], "{\"secret\": \n");
        let error = read(&[broken.path().to_owned()], period).unwrap_err().to_string();
        assert!(error.contains(":2: ") && error.contains("one JSON object") && !error.contains("secret"), "{error}");
        let other = file(&[], "{\"class_uid\": 4002}\n");
        assert!(read(&[other.path().to_owned()], period).unwrap_err().to_string().contains("OCSF Detection Finding"));
    }
}
