//! Alerts: incidents, and how they reach a SIEM or a person.
//!
//! Correlated findings form one incident with a stable id, which is created, updated and closed. Each of these steps is an [`Alert`], delivered
//! as an OCSF Detection Finding to every sink.
//!
//! Not here: what is unusual (`detect`), and when it is delivered (`stream`).

pub mod brief;
pub mod sinks;
pub mod store;
pub mod suppression;
pub mod triage;

mod card;
mod correlation;
mod digest;
mod floods;
mod incident;
mod incidents;
mod ocsf;
mod owner;
mod reading;
mod route;
mod sample;
mod service;
mod severity;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::calls::View;
use crate::detect::{Benign, Category, CauseClass, Contribution, Counterfactual, Threshold};

pub use card::{Style, card};
pub(crate) use card::{printable, printable_lines};
pub use digest::NOTICES_PER_DAY;
pub use incidents::IncidentStore;
pub use ocsf::to_ocsf;
pub use owner::Owner;
pub use reading::from_ocsf;
pub use route::Route;
#[doc(hidden)]
pub use sample::sample;
pub use service::{Notice, NoticeKind, sink_failing, trial};
pub use severity::{risk_score, severity};
pub use triage::Triaged;

/// How urgent an alert is: OCSF's `severity_id`.
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
    /// Every severity, the mildest first.
    pub const ALL: [Self; 5] = [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

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

/// What is no severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write informational, low, medium, high or critical")]
pub struct NoSeverity;

impl FromStr for Severity {
    type Err = NoSeverity;

    fn from_str(text: &str) -> Result<Self, NoSeverity> {
        Self::ALL.into_iter().find(|severity| severity.as_str().eq_ignore_ascii_case(text)).ok_or(NoSeverity)
    }
}

/// Which step of its incident an alert is: OCSF's `activity_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activity {
    /// The incident opens.
    Create = 1,
    /// It continues, or its severity rose.
    Update = 2,
    /// It has been quiet for long enough.
    Close = 3,
}

/// The names that `detector` of an alert may have: of detectors, of notices of the service, of digests and tests.
pub(crate) fn detector_names() -> impl Iterator<Item = &'static str> {
    let own = NoticeKind::ALL.map(NoticeKind::as_str).into_iter().chain([digest::DIGEST, service::TEST]);
    crate::detect::DETECTORS.iter().map(|kind| kind.meta.name).chain(own)
}

/// What no alert has as its detector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no detector `{0}`: `apiwarden detectors` lists them")]
pub struct NoDetector(String);

/// A name that `detector` of an alert may have.
///
/// # Errors
/// [`NoDetector`].
pub fn known_detector(name: &str) -> Result<String, NoDetector> {
    if detector_names().any(|known| known == name) { Ok(name.to_owned()) } else { Err(NoDetector(name.to_owned())) }
}

/// Reasons of a shortened alert.
const SHORT_REASONS: usize = 3;
/// Characters of a text in a shortened alert.
const SHORT_TEXT: usize = 500;

/// Most parts of an incident, and most related incidents, that an alert names.
pub const MAX_INVOLVED: usize = 10;

/// One subject's part in an incident: a caller at a vendor, or a vendor as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Involved {
    /// The caller; `None` for a vendor as a whole.
    pub caller: Option<String>,
    /// The vendor.
    pub vendor: String,
    /// The vendor's account, where it is known.
    #[serde(default)]
    pub account: Option<String>,
    /// One of the vendor's hosts.
    pub host: Option<String>,
    /// Fingerprint of the credential last used.
    pub credential: Option<String>,
    /// Endpoint that the evidence names.
    pub endpoint: Option<String>,
    /// Calls in the strongest reason's window.
    pub calls: u64,
}

/// What joined an incident: calls of one operation or kind, from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The endpoint or operation; where the evidence names none, the class of the finding.
    pub what: String,
    /// First call, microseconds since the epoch.
    pub first_seen: i64,
    /// Last call, microseconds since the epoch.
    pub last_seen: i64,
}

/// Another incident that may have the same origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
}

/// One step of an incident. Caller, vendor, message and contributions describe the part of the incident that this step reports; `involved` names
/// all its parts. All times are event time, microseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Incident id (`aw-` and 16 hex digits): the same after a retry, a replay or a restart.
    pub id: String,
    /// 1 at creation, increased by one per step: `{id}-{revision}` names this alert.
    pub revision: u32,
    /// Create, update or close.
    pub activity: Activity,
    /// How urgent.
    pub severity: Severity,
    /// When the alert could first be raised: the watermark at which its evidence was complete.
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
    /// What has happened, judged by all evidence of the incident so far.
    pub cause_class: CauseClass,
    /// The benign change that it resembles; only where it does not page.
    pub likely: Option<Benign>,
    /// MITRE ATT&CK technique or sub-technique (`T1567.002`), if one fits: a uid of `detect::technique`.
    pub technique: Option<String>,
    /// Egress or audit.
    pub view: View,
    /// The caller, unless the alert is about a vendor as a whole.
    pub caller: Option<String>,
    /// The vendor's name (`stripe`).
    pub vendor: String,
    /// The vendor's account, where it is known: a cloud account's number, never a credential.
    pub account: Option<String>,
    /// Hosts of the vendor that the evidence names.
    pub hosts: Vec<String>,
    /// Fingerprint of the credential last used.
    pub credential: Option<String>,
    /// Endpoint template that the evidence names.
    pub endpoint: Option<String>,
    /// Probability that an entity shows as much on a day by chance.
    pub p_value: f64,
    /// Alarms a day expected at this level, over all entities.
    pub alarms_per_day: f64,
    /// Up to which rate it would page; `None` for what spends no budget.
    pub threshold: Option<Threshold>,
    /// What joined since the incident was last reported.
    pub joined: Vec<Joined>,
    /// Reasons, strongest first.
    pub contributions: Vec<Contribution>,
    /// The contributions without which the window would be usual.
    pub counterfactual: Option<Counterfactual>,
    /// Every part of the incident, the one that this step reports first; at most [`MAX_INVOLVED`].
    pub involved: Vec<Involved>,
    /// Other incidents that share a caller, a vendor or a credential with this one.
    pub related: Vec<Related>,
    /// Calls in the strongest reason's window.
    pub calls: u64,
    /// A few trace ids of the evidence.
    pub trace_ids: Vec<String>,
    /// Version of the model bundle that judged.
    pub bundle: String,
    /// The score of triage. Set after the engine, so no snapshot holds it.
    #[serde(skip)]
    pub triaged: Option<Triaged>,
    /// Who answers for its callers and vendors. Set after the engine, as the score of triage.
    #[serde(skip)]
    pub owners: Vec<Owner>,
    /// The suppression that holds it back. Set by the store.
    #[serde(skip)]
    pub suppression: Option<i64>,
}

impl Alert {
    /// The first step of an incident that is no finding about a subject: about operations, so without a rate.
    fn of_service(id: String, time: i64, view: View, bundle: &str) -> Self {
        Self {
            id,
            revision: 1,
            activity: Activity::Create,
            severity: Severity::Informational,
            time,
            first_seen: time,
            last_seen: time,
            detector: String::new(),
            title: String::new(),
            message: String::new(),
            category: Category::Operations,
            cause_class: CauseClass::Unknown,
            likely: None,
            technique: None,
            view,
            caller: None,
            vendor: String::new(),
            account: None,
            hosts: Vec::new(),
            credential: None,
            endpoint: None,
            p_value: f64::NAN,
            alarms_per_day: f64::NAN,
            threshold: None,
            joined: Vec::new(),
            contributions: Vec::new(),
            counterfactual: None,
            involved: Vec::new(),
            related: Vec::new(),
            calls: 0,
            trace_ids: Vec::new(),
            bundle: bundle.to_owned(),
            triaged: None,
            owners: Vec::new(),
            suppression: None,
        }
    }

    /// The severity before triage.
    pub fn untriaged_severity(&self) -> Severity {
        self.triaged.and_then(|triaged| triaged.lowered_from).unwrap_or(self.severity)
    }

    /// The same step with what a responder needs first: for a sink to which the whole is too large.
    #[must_use]
    pub fn shortened(&self) -> Self {
        let mut short = self.clone();
        short.contributions.truncate(SHORT_REASONS);
        short.involved.truncate(1);
        short.hosts.truncate(1);
        short.related.clear();
        short.owners.truncate(SHORT_REASONS);
        short.trace_ids.clear();
        short.counterfactual = None;
        let of_parts = short.involved.iter_mut().flat_map(|part| [&mut part.host, &mut part.endpoint]);
        for text in of_parts.chain([&mut short.endpoint]).flatten() {
            shorten(text);
        }
        let of_reasons = short.contributions.iter_mut().flat_map(|reason| [&mut reason.observed, &mut reason.baseline]);
        of_reasons.chain(&mut short.hosts).chain([&mut short.message]).for_each(shorten);
        short
    }

    /// What was first seen, in words: the novelties among its contributions.
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

    /// The teams that own a caller or vendor of the incident, without repetition, whoever is to be asked first leading.
    pub fn teams(&self) -> Vec<&str> {
        distinct(self.owners.iter().map(|owner| owner.team.as_str()))
    }

    /// Every account of a vendor that the incident involves, without repetition.
    pub fn accounts(&self) -> Vec<&str> {
        distinct(self.involved.iter().filter_map(|part| part.account.as_deref()))
    }

    /// Every credential that the incident involves, without repetition.
    pub fn credentials(&self) -> Vec<&str> {
        distinct(self.involved.iter().filter_map(|part| part.credential.as_deref()))
    }
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(SHORT_TEXT) {
        text.truncate(end);
        text.push('…');
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

    #[test]
    fn a_shortened_alert_is_the_same_step_and_small_whatever_its_evidence() {
        let long = "ü".repeat(100_000);
        let Alert { contributions, involved, related, .. } = sample();
        let reason = Contribution { observed: long.clone(), ..contributions[0].clone() };
        let alert = Alert {
            message: long.clone(),
            endpoint: Some(long.clone()),
            hosts: vec![long.clone(); 5],
            trace_ids: vec![long.clone(); 9],
            contributions: vec![reason; 12],
            involved: vec![Involved { endpoint: Some(long), ..involved[0].clone() }; MAX_INVOLVED],
            related: vec![related[0].clone(); MAX_INVOLVED],
            ..sample()
        };
        let short = alert.shortened();
        let step = |alert: &Alert| (alert.id.clone(), alert.revision, alert.severity, alert.caller.clone());
        assert_eq!(step(&short), step(&alert));
        let size = to_ocsf(&short).to_string().len();
        assert!(size < 40_000, "{size} bytes");
    }
}
