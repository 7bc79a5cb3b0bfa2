//! Alerts: what leaves the house.
//!
//! Findings that belong together become one incident with a life (create, update, close) and a stable id; each step of that
//! life is an [`Alert`], written as an OCSF Detection Finding to every sink.
//!
//! Not here: what is unusual (`detect`), and when it is delivered (`stream`).

pub mod sinks;
pub mod triage;

mod budget;
mod card;
mod correlation;
mod incident;
mod incidents;
mod ocsf;
mod reading;
mod severity;

use serde::{Deserialize, Serialize};

use crate::calls::View;
use crate::detect::{Benign, Category, CauseClass, Contribution, Counterfactual};

pub use budget::Budget;
pub(crate) use card::printable;
pub use card::{Style, card};
pub use incident::Subject;
pub use incidents::IncidentStore;
pub use ocsf::to_ocsf;
pub use reading::from_ocsf;
pub use severity::{risk_score, severity};
pub use triage::Triaged;

/// How loud an alert is: OCSF's `severity_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// For the record.
    Informational = 1,
    /// For hunting: does not page.
    Low = 2,
    /// Pages.
    Medium = 3,
    /// Pages.
    High = 4,
    /// Pages.
    Critical = 5,
}

impl Severity {
    /// OCSF's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}

/// Where in its incident's life an alert stands: OCSF's `activity_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activity {
    /// The incident opens.
    Create = 1,
    /// It goes on, or grew.
    Update = 2,
    /// It has been quiet for long enough.
    Close = 3,
}

/// Parts of an incident that an alert names, and other incidents that it points at.
pub const MAX_INVOLVED: usize = 10;

/// One subject's part in an incident: a caller at a vendor, or a vendor as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Involved {
    /// The caller; `None` for a vendor as a whole.
    pub caller: Option<String>,
    /// The vendor.
    pub vendor: String,
    /// One of the vendor's hosts.
    pub host: Option<String>,
    /// Fingerprint of the credential last used.
    pub credential: Option<String>,
    /// Endpoint that the evidence names.
    pub endpoint: Option<String>,
    /// Calls in the strongest reason's window.
    pub calls: u64,
}

/// Another incident that may be of the same story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
}

/// One step in the life of an incident. What it is about (caller, vendor, message, reasons) is the part of the incident that
/// this step tells of; `involved` names all its parts. All times are event time, microseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Incident id (`aw-` and 16 hex digits): the same after a retry, a replay or a restart.
    pub id: String,
    /// 1 at creation, then one more a step: `{id}-{revision}` names this alert.
    pub revision: u32,
    /// Create, update or close.
    pub activity: Activity,
    /// How loud.
    pub severity: Severity,
    /// When the alert could first be raised: the watermark that its evidence needed.
    pub time: i64,
    /// First call of the evidence.
    pub first_seen: i64,
    /// End of the evidence.
    pub last_seen: i64,
    /// Name of the detector (`burst`).
    pub detector: String,
    /// Title of the detector, for people.
    pub title: String,
    /// One plain sentence.
    pub message: String,
    /// Drift, abuse, exfiltration or governance.
    pub category: Category,
    /// What has happened, by all that the incident has shown so far.
    pub cause_class: CauseClass,
    /// The harmless change that it looks like; only of what does not page.
    pub likely: Option<Benign>,
    /// MITRE ATT&CK technique or sub-technique (`T1567.002`), if one fits: a uid of `detect::technique`.
    pub technique: Option<String>,
    /// Egress or audit.
    pub view: View,
    /// The caller, unless the alert is about a vendor as a whole.
    pub caller: Option<String>,
    /// The vendor's name (`stripe`).
    pub vendor: String,
    /// Hosts of the vendor that the evidence names.
    pub hosts: Vec<String>,
    /// Fingerprint of the credential last used.
    pub credential: Option<String>,
    /// Endpoint template that the evidence names.
    pub endpoint: Option<String>,
    /// Chance that an entity shows as much on a day.
    pub p_value: f64,
    /// Alarms a day expected at this level, over all entities.
    pub alarms_per_day: f64,
    /// Reasons, strongest first.
    pub contributions: Vec<Contribution>,
    /// What would have to be left out for the window to be usual.
    pub counterfactual: Option<Counterfactual>,
    /// Every part of the incident, the one that this step tells of first; at most [`MAX_INVOLVED`].
    pub involved: Vec<Involved>,
    /// Other incidents that share a caller, a vendor or a credential with this one.
    pub related: Vec<Related>,
    /// Calls in the strongest reason's window.
    pub calls: u64,
    /// A few trace ids of the evidence.
    pub trace_ids: Vec<String>,
    /// Version of the model bundle that judged.
    pub bundle: String,
    /// What triage says of it; the engine knows of none, so its snapshots hold none.
    #[serde(skip)]
    pub triaged: Option<Triaged>,
}

impl Alert {
    /// How loud it was before triage.
    pub fn untriaged_severity(&self) -> Severity {
        self.triaged.and_then(|triaged| triaged.lowered_from).unwrap_or(self.severity)
    }

    /// What was never there before, in words: the first-time facts among its reasons.
    pub fn first_time_facts(&self) -> impl Iterator<Item = &str> {
        self.contributions.iter().filter(|reason| reason.is_novelty()).map(|reason| reason.observed.as_str())
    }

    /// Every caller that the incident involves, without repetition.
    pub fn callers(&self) -> Vec<&str> {
        distinct(self.involved.iter().filter_map(|part| part.caller.as_deref()))
    }

    /// Every vendor that the incident involves, without repetition.
    pub fn vendors(&self) -> Vec<&str> {
        distinct(self.involved.iter().map(|part| part.vendor.as_str()))
    }

    /// Every credential that the incident involves, without repetition.
    pub fn credentials(&self) -> Vec<&str> {
        distinct(self.involved.iter().filter_map(|part| part.credential.as_deref()))
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plausible alert for the tests of this room.
    pub(super) fn bulk_upload() -> Alert {
        const OPENED: i64 = 1_788_224_400_000_000;
        Alert {
            id: "aw-7f3c".to_string(),
            revision: 1,
            activity: Activity::Create,
            severity: Severity::High,
            time: OPENED,
            first_seen: OPENED - 3_600_000_000,
            last_seen: OPENED,
            detector: "burst".to_string(),
            title: "Bulk upload to a known vendor".to_string(),
            message: "payroll-svc sent 412 MB to content.dropboxapi.com, usual 1.1 MB".to_string(),
            category: Category::Exfiltration,
            cause_class: CauseClass::DataLeft,
            likely: None,
            technique: Some("T1567.002".to_string()),
            view: View::Egress,
            caller: Some("payroll-svc".to_string()),
            vendor: "dropbox".to_string(),
            hosts: vec!["content.dropboxapi.com".to_string()],
            credential: Some("fp_9a1c".to_string()),
            endpoint: Some("POST /2/files/upload".to_string()),
            p_value: 3e-7,
            alarms_per_day: 0.025,
            contributions: vec![Contribution {
                name: "bytes_out".to_string(),
                window: "1h".to_string(),
                observed: "412 MB".to_string(),
                baseline: "1.1 MB".to_string(),
                observed_value: Some(412e6),
                baseline_value: Some(1.1e6),
                unit: "bytes".to_string(),
                share: 0.97,
                p_value: 3e-7,
            }],
            counterfactual: Some(Counterfactual {
                without: vec!["the change of request size".to_string()],
                alarms_per_day: Some(12.0),
            }),
            involved: vec![Involved {
                caller: Some("payroll-svc".to_string()),
                vendor: "dropbox".to_string(),
                host: Some("content.dropboxapi.com".to_string()),
                credential: Some("fp_9a1c".to_string()),
                endpoint: Some("POST /2/files/upload".to_string()),
                calls: 212,
            }],
            related: vec![Related { id: "aw-51aa".to_string(), title: "First call to a vendor".to_string() }],
            calls: 212,
            trace_ids: vec!["4bf92f3577b34da6".to_string()],
            bundle: "2026-09-01".to_string(),
            triaged: None,
        }
    }
}
