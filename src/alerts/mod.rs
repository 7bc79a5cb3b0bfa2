//! Alerts: what leaves the house.
//!
//! Findings of one entity and cause become one incident with a life (create, update, close) and a stable id; each step of
//! that life is an [`Alert`], written as an OCSF Detection Finding to every sink.
//!
//! Not here: what is unusual (`detect`), and when it is delivered (`stream`).

pub mod sinks;

mod budget;
mod card;
mod incident;
mod ocsf;
mod severity;

use serde::{Deserialize, Serialize};

use crate::calls::Direction;
use crate::detect::{Category, Contribution};

pub use budget::Budget;
pub use card::{Style, card};
pub use incident::{Book, Subject};
pub use ocsf::to_ocsf;
pub use severity::{risk_score, severity};

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

/// One step in the life of an incident. All times are event time, microseconds since the epoch.
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
    /// MITRE ATT&CK technique or sub-technique (`T1567.002`), if one fits: a uid of `detect::technique`.
    pub technique: Option<String>,
    /// Egress or audit.
    pub direction: Direction,
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
    /// Calls in the strongest reason's window.
    pub calls: u64,
    /// A few trace ids of the evidence.
    pub trace_ids: Vec<String>,
    /// Version of the model bundle that judged.
    pub bundle: String,
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
            technique: Some("T1567.002".to_string()),
            direction: Direction::Egress,
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
                p_value: 3e-7,
            }],
            calls: 212,
            trace_ids: vec!["4bf92f3577b34da6".to_string()],
            bundle: "2026-09-01".to_string(),
        }
    }
}
