//! Detection: what, who, since when, how unlikely, on what evidence.
//!
//! Calibration and budget have settled whether something pages before it comes here as a [`Cause`] with its evidence. A
//! detector claims causes and gives them a name, a category, a technique and an impact; `attribution` tells a vendor's change
//! from a caller's, `outage` knows when a vendor is down.
//!
//! Not here: statistics and p-values (`models`), incidents, severity and delivery (`alerts`).

mod account_transfer;
mod attribution;
mod audit_words;
mod beacon;
mod benign;
mod bulk_transfer;
mod burst;
mod call_volume;
mod counterfactual;
mod credential_misuse;
mod endpoint_mix;
mod last_seen;
mod mass_operation;
mod model_drift;
mod multivariate;
mod new_behaviour;
mod new_destination;
mod odd_hours;
mod outage;
mod outcome_shift;
mod page;
mod password_spray;
mod permission_probing;
mod privileged_endpoint;
mod reconnaissance;
mod sentence;
mod silence;
mod slow_leak;
mod spend;
mod techniques;
mod vendor_drift;
mod weak_transport;
mod words;

use serde::{Deserialize, Serialize};

use crate::calls::{VendorCategory, View};
use crate::models::audit::{COMPANY_TESTS, TESTS};
use crate::models::leak::LEAKS;
use crate::models::novelty::{NOVELTIES, novelty_named};
use crate::models::peak::PEAKS;
use crate::models::statistic::STATISTICS;

pub use attribution::{Sharing, sharing};
pub use audit_words::{audit_contribution, cold_start_contribution};
pub use benign::Benign;
pub use counterfactual::Counterfactual;
pub use last_seen::{LastSeen, Silence, SilenceGroup};
pub use outage::{Outages, STORM};
pub use page::index;
pub use sentence::{Sentence, sentence};
pub use techniques::{Technique, technique};
pub use words::{
    class_in_words, contribution, in_bytes, in_numbers, in_window, leak_contribution, leak_per_cent, left_out,
    misfit_contribution, multivariate_contribution, novelty_contribution, peak_contribution, silence_contribution,
};

/// What kind of trouble a detector looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Data leaves.
    Exfiltration,
    /// An API or a credential is misused.
    Abuse,
    /// A vendor or a service behaves differently.
    Drift,
    /// A rule of the house is broken.
    Governance,
}

impl Category {
    /// The name in alerts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exfiltration => "exfiltration",
            Self::Abuse => "abuse",
            Self::Drift => "drift",
            Self::Governance => "governance",
        }
    }
}

/// What a finding says has happened. In the order of precedence within an incident: what explains more comes later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseClass {
    /// The evidence does not tell.
    #[default]
    Unknown,
    /// A service of ours behaves differently: a release, a new pod, a new integration.
    ServiceChanged,
    /// The vendor behaves differently, for all who call it.
    VendorChanged,
    /// Data left, or was fetched to leave.
    DataLeft,
    /// A credential or a right was used by whom, from where, or for what it never was.
    CredentialMisused,
}

impl CauseClass {
    /// Every class.
    pub const ALL: [Self; 5] =
        [Self::Unknown, Self::ServiceChanged, Self::VendorChanged, Self::DataLeft, Self::CredentialMisused];

    /// The name in alerts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::ServiceChanged => "service_changed",
            Self::VendorChanged => "vendor_changed",
            Self::DataLeft => "data_left",
            Self::CredentialMisused => "credential_misused",
        }
    }
}

/// How much harm a finding of its kind does where it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Impact {
    /// Somebody should know.
    Low,
    /// Somebody should look today.
    Medium,
    /// Somebody should look now.
    High,
}

/// How a detector comes to its findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Analytic {
    /// By a rule.
    Rule,
    /// By what was seen before.
    Behavioural,
    /// By statistics of one measure.
    Statistical,
    /// By a model of several measures.
    Learning,
}

/// One reason of a finding: a measure, what is usual for it, and what was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Name of the measure (`bytes_out`, `denied`) or of the novelty (`network_public_new`).
    pub name: String,
    /// Trailing window that it was seen in (`5m` to `24h`); empty for a novelty.
    pub window: String,
    /// What was seen, in words with its unit.
    pub observed: String,
    /// What is usual, in words with its unit.
    pub baseline: String,
    /// What was seen, in `unit`; `None` where it is no number.
    pub observed_value: Option<f64>,
    /// What is usual, in `unit`; `None` where nothing is usual for it.
    pub baseline_value: Option<f64>,
    /// Unit of both values.
    pub unit: String,
    /// Its part of the finding's surprise, 0 to 1: of a test, its weight over its p-value among the entity's tests; of a
    /// novelty, its logarithm among all that its caller showed within the hour.
    pub share: f64,
    /// How often an entity-day would show as much by chance.
    pub p_value: f64,
}

impl Contribution {
    /// Whether it tells of something that was never there before.
    pub fn is_novelty(&self) -> bool {
        novelty_named(&self.name).is_some()
    }
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// Name of a statistic, of a class of first-seen events, of a slow leak or record, `multivariate`, `silence` or `model_drift`.
    pub name: &'static str,
    /// Whether there is more of it than usual; `false` where a mean fell.
    pub is_rise: bool,
    /// Whether the vendor shows it to all its callers.
    pub is_of_vendor: bool,
    /// The view.
    pub view: View,
}

/// What was found in one entity's closed window, before it joins an incident. Times are event time, microseconds.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is about.
    pub cause: Cause,
    /// Who claims it.
    pub detector: &'static Detector,
    /// When it could first be told: the watermark that its evidence needed.
    pub time: i64,
    /// Start of the evidence.
    pub first_seen: i64,
    /// End of the evidence.
    pub last_seen: i64,
    /// Alarms a day expected at this level, over all entities.
    pub alarms_per_day: f64,
    /// Chance that an entity shows as much on a day.
    pub p_value: f64,
    /// One plain sentence.
    pub message: String,
    /// Reasons, strongest first.
    pub contributions: Vec<Contribution>,
    /// What would have to be left out for the window to be usual.
    pub counterfactual: Option<Counterfactual>,
    /// The harmless change that it looks like, where it looks like one.
    pub likely: Option<Benign>,
    /// What kind of service the vendor offers, where our services called it and the vendor pack knows.
    pub destination: Option<VendorCategory>,
    /// The new thing itself, of a novelty: a network, a client, a vendor.
    pub novelty: Option<String>,
    /// Hosts of the vendor.
    pub hosts: Vec<String>,
    /// Fingerprint of the credential last used.
    pub credential: Option<String>,
    /// Endpoint that the evidence names.
    pub endpoint: Option<String>,
    /// Calls in the strongest reason's window.
    pub calls: u64,
    /// A few trace ids.
    pub trace_ids: Vec<String>,
}

impl Finding {
    /// MITRE ATT&CK technique: the detector's, told apart by where data went.
    pub fn technique(&self) -> Option<&'static str> {
        (self.detector.technique)(&self.cause).map(|uid| techniques::to_destination(uid, self.destination))
    }
}

/// One detector: which causes it claims, and what they are called.
#[derive(Debug)]
pub struct Detector {
    /// Name in alerts, metrics and docs.
    pub name: &'static str,
    /// Title, for people.
    pub title: &'static str,
    /// What kind of trouble.
    pub category: Category,
    /// How much harm.
    pub impact: Impact,
    /// How it comes to its findings.
    pub analytic: Analytic,
    /// Whether it claims a cause.
    pub claims: fn(&Cause) -> bool,
    /// What a cause that it claims says has happened.
    pub cause_class: fn(&Cause) -> CauseClass,
    /// MITRE ATT&CK technique of a cause that it claims: a uid of [`technique`].
    pub technique: fn(&Cause) -> Option<&'static str>,
    /// Its own source, whose header is its page: [`Detector::page`] renders it.
    pub(in crate::detect) page: &'static str,
}

impl Cause {
    /// Every cause that can come about, in both views.
    pub fn all() -> impl Iterator<Item = Self> {
        let statistics = STATISTICS.iter().map(|statistic| statistic.name);
        let names = statistics.chain(NOVELTIES.iter().map(|class| class.name));
        let records = PEAKS.iter().map(|kind| kind.name);
        let of_audit = TESTS.iter().chain(&COMPANY_TESTS).map(|test| test.name);
        let names = names.chain(["multivariate", "silence", "model_drift"]).chain(LEAKS).chain(records).chain(of_audit);
        names.flat_map(|name| {
            let shapes = [(true, false), (false, false), (true, true)];
            shapes.into_iter().flat_map(move |(is_rise, is_of_vendor)| {
                let views = [View::Egress, View::Audit];
                views.map(|view| Self { name, is_rise, is_of_vendor, view })
            })
        })
    }
}

/// Every detector, the first that claims a cause has it. A new one is a file in this room and a line here.
pub const DETECTORS: &[&Detector] = &[
    &vendor_drift::DETECTOR,
    &outcome_shift::DETECTOR,
    &endpoint_mix::DETECTOR,
    &burst::DETECTOR,
    &call_volume::DETECTOR,
    &new_destination::DETECTOR,
    &credential_misuse::DETECTOR,
    &account_transfer::DETECTOR,
    &reconnaissance::DETECTOR,
    &permission_probing::DETECTOR,
    &password_spray::DETECTOR,
    &mass_operation::DETECTOR,
    &privileged_endpoint::DETECTOR,
    &weak_transport::DETECTOR,
    &bulk_transfer::DETECTOR,
    &spend::DETECTOR,
    &silence::DETECTOR,
    &slow_leak::DETECTOR,
    &beacon::DETECTOR,
    &odd_hours::DETECTOR,
    &multivariate::DETECTOR,
    &model_drift::DETECTOR,
    &new_behaviour::DETECTOR,
];

/// The detector of a cause.
pub fn detector_of(cause: &Cause) -> &'static Detector {
    DETECTORS.iter().find(|detector| (detector.claims)(cause)).copied().unwrap_or(&new_behaviour::DETECTOR)
}

/// A detector by its name.
pub fn detector_named(name: &str) -> Option<&'static Detector> {
    DETECTORS.iter().find(|detector| detector.name == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_detector_of_its_own_and_a_technique_that_exists() {
        for cause in Cause::all() {
            let claimed = DETECTORS.iter().find(|detector| (detector.claims)(&cause));
            let detector = claimed.unwrap_or_else(|| panic!("nobody claims {}", cause.name));
            if let Some(uid) = (detector.technique)(&cause) {
                assert!(technique(uid).is_some(), "{}: {uid}", cause.name);
            }
        }
    }

    #[test]
    fn no_two_detectors_share_a_name() {
        let mut names: Vec<_> = DETECTORS.iter().map(|detector| detector.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DETECTORS.len());
    }
}
