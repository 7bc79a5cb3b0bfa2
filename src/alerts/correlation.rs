//! Correlation keys: what joins findings about different subjects into one incident.
//!
//! A network, a client or a credential that is unusual at one vendor is the same anomaly at the next; so is a destination that nobody had
//! called, whoever calls it. A caller whose credential was misused, or who called such a destination, is itself a key: what it shows
//! elsewhere within six hours belongs to the same incident.
//!
//! Not here: the incidents that keys lead to (`incidents`), and which class makes which key (`detect`).

use serde::{Deserialize, Serialize};

use crate::calls::View;
use crate::detect::{Finding, KeyKind, Subject};

/// A correlation key. Views never share one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct CorrelationKey {
    kind: KeyKind,
    view: View,
    name: String,
}

impl CorrelationKey {
    /// The key of the novelty that a finding is about, if it is about one.
    pub(super) fn of_novelty(subject: &Subject, finding: &Finding) -> Option<Self> {
        let kind = finding.class.key?;
        finding.novelty.as_deref().map(|name| Self { kind, view: subject.view, name: name.to_owned() })
    }

    /// The keys of a finding's credential and caller; a violated rule is an incident of its own.
    pub(super) fn of_subject(subject: &Subject, finding: &Finding) -> Vec<Self> {
        if !subject.rule.is_empty() {
            return Vec::new();
        }
        let key = |kind, name: &str| Self { kind, view: subject.view, name: name.to_owned() };
        let credential = finding.credential.as_deref().map(|name| key(KeyKind::Credential, name));
        let caller = Some(subject.caller.as_str()).filter(|caller| !caller.is_empty());
        credential.into_iter().chain(caller.map(|name| key(KeyKind::Caller, name))).collect()
    }

    /// Whether a paging finding makes this key lead to its incident.
    pub(super) fn is_set_by(&self, finding: &Finding) -> bool {
        matches!(self.kind, KeyKind::Network | KeyKind::Client | KeyKind::Vendor)
            || finding.class.detector.correlates.contains(&self.kind)
    }
}
