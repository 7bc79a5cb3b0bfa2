//! Findings: a candidate with its sentence, and with all that an alert names.
//!
//! Not here: whether it is reported at all (each detector), and to which incident it belongs (`alerts`).

use super::benign::Benign;
use super::budget::Threshold;
use super::candidate::Candidate;
use super::class::{Class, Sentence};
use super::contribution::Contribution;
use super::counterfactual::Counterfactual;
use super::memory::{State, Store};
use super::techniques::to_destination;
use crate::calls::{Name, VendorCategory, View};
use crate::features::Entity;
use crate::models::bundle::Bundle;
use crate::rollup::bucket_start;

/// What was found in one entity's closed window, before it joins an incident. Times are event time, microseconds.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What has happened, and who claims it.
    pub class: &'static Class,
    /// When it could first be reported: the watermark that its evidence needed.
    pub time: i64,
    /// Start of the evidence.
    pub first_seen: i64,
    /// End of the evidence.
    pub last_seen: i64,
    /// Alarms a day expected at this level, over all entities.
    pub alarms_per_day: f64,
    /// Chance that an entity shows as much on a day.
    pub p_value: f64,
    /// Up to which rate it would page; `None` for what spends no budget.
    pub threshold: Option<Threshold>,
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
    /// What becomes of a candidate at the end of a bucket.
    pub fn of(candidate: Candidate, store: &Store, bundle: &Bundle, bucket: i64, time: i64) -> Self {
        let Candidate { subject, class, details, contributions, entity, .. } = candidate;
        let of_vendor = store.get(Entity::vendor(subject.view, Name::new(&subject.vendor)).id());
        let own = || store.get(entity.id());
        let trail = of_vendor.filter(|_| subject.caller.is_empty()).or_else(own).map(|state| &state.trail);
        let credential = details.credential.or_else(|| trail.map(|trail| trail.credential.to_string()));
        let credential = credential.filter(|credential| !credential.is_empty() && !subject.caller.is_empty());
        let endpoint = candidate.endpoint.filter(|endpoint| !endpoint.is_empty());
        let is_other = |pair: &State| pair.entity.caller != entity.caller;
        let message = (class.sentence)(&Sentence {
            class,
            is_rise: candidate.is_rise,
            caller: &subject.caller,
            vendor: &subject.vendor,
            endpoint: endpoint.as_deref(),
            leading: contributions.first(),
            also: &details.also,
            has_others: store.pairs_of(subject.view, &Name::new(&subject.vendor)).any(is_other),
            sharing: details.sharing,
        });
        let window = [bucket_start(bucket + 1 - candidate.window), bucket_start(bucket + 1).min(time)];
        let [first_seen, last_seen] = details.seen.unwrap_or(window);
        let is_egress = subject.view == View::Egress;
        Self {
            class,
            time,
            first_seen,
            last_seen,
            alarms_per_day: candidate.rate,
            p_value: candidate.p_value,
            threshold: candidate.threshold,
            message,
            contributions,
            counterfactual: details.counterfactual,
            likely: details.likely.filter(|_| !candidate.pages),
            destination: bundle.known.vendors().category(&subject.vendor).filter(|_| is_egress),
            novelty: details.novelty,
            hosts: trail.map(|trail| trail.hosts.iter().map(Name::to_string).collect()).unwrap_or_default(),
            credential,
            endpoint,
            calls: candidate.calls,
            trace_ids: trail
                .map(|trail| trail.trace_ids.iter().map(|id| id.as_str().to_owned()).collect())
                .unwrap_or_default(),
        }
    }

    /// MITRE ATT&CK technique: the class's, refined by where data went.
    pub fn technique(&self) -> Option<&'static str> {
        self.class.technique.map(|uid| to_destination(uid, self.destination))
    }
}
