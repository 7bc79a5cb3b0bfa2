//! Correlation keys: what joins findings about different subjects into one incident.
//!
//! A network, a client or a credential that is unusual at one vendor is the same anomaly at the next; so is a destination that nobody had
//! called, whoever calls it. A caller whose credential was misused, or who called such a destination, is itself a key: what it shows
//! elsewhere within six hours belongs to the same incident.
//!
//! Not here: the incidents that keys lead to (`incidents`).

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::calls::View;
use crate::detect::Finding;

/// What a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Kind {
    /// A network that was new.
    Network,
    /// A client that was new.
    Client,
    /// A credential in the wrong place or hands.
    Credential,
    /// A destination that nobody had called.
    Vendor,
    /// A caller whose credential was misused, or who called such a destination.
    Caller,
}

/// A correlation key. Views never share one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct CorrelationKey {
    kind: Kind,
    view: View,
    name: String,
}

/// The kind of key that a class of novelties makes.
fn kind_of(class: &str) -> Option<Kind> {
    let is_of = |prefixes: [&str; 2]| prefixes.iter().any(|prefix| class.starts_with(prefix));
    match class {
        "vendor_new" | "vendor_new_drop" => Some(Kind::Vendor),
        "credential_of_another" => Some(Kind::Credential),
        _ if is_of(["network_", "principal_network_"]) => Some(Kind::Network),
        _ if is_of(["client_new", "principal_client_new"]) || class == "client_tool" => Some(Kind::Client),
        _ => None,
    }
}

impl CorrelationKey {
    /// The key of the novelty that a finding is about, if it is about one.
    pub(super) fn of_novelty(subject: &Subject, finding: &Finding) -> Option<Self> {
        let kind = kind_of(finding.cause.name)?;
        finding.novelty.as_deref().map(|name| Self { kind, view: subject.view, name: name.to_owned() })
    }

    /// The keys of a finding's credential and caller.
    pub(super) fn of_subject(subject: &Subject, finding: &Finding) -> Vec<Self> {
        let key = |kind, name: &str| Self { kind, view: subject.view, name: name.to_owned() };
        let credential = finding.credential.as_deref().map(|name| key(Kind::Credential, name));
        let caller = Some(subject.caller.as_str()).filter(|caller| !caller.is_empty());
        credential.into_iter().chain(caller.map(|name| key(Kind::Caller, name))).collect()
    }

    /// Whether a paging finding makes this key lead to its incident.
    pub(super) fn is_set_by(&self, finding: &Finding) -> bool {
        let is_misuse = finding.detector.name == "credential_misuse";
        match self.kind {
            Kind::Network | Kind::Client | Kind::Vendor => true,
            Kind::Credential => is_misuse,
            Kind::Caller => is_misuse || finding.detector.name == "new_destination",
        }
    }
}
