//! Classes of findings: what a detector can say has happened, as static values.
//!
//! A class belongs to one detector and carries all that is said and decided by kind: ATT&CK technique, cause class, sentence, and what
//! may explain it. Several classes may share the name of their measure (`bytes_in` of one caller is a download, of all callers a change
//! of the vendor); `Change` tells them apart.
//!
//! Not here: which classes there are (each in its detector's file), and whether something is found at all.

use super::attribution::Sharing;
use super::contribution::Contribution;
use crate::calls::View;
use serde::{Deserialize, Serialize};

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
    /// A policy of the company is violated.
    Governance,
    /// The service itself, or what it reads, needs attention.
    Operations,
}

impl Category {
    /// The name in alerts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exfiltration => "exfiltration",
            Self::Abuse => "abuse",
            Self::Drift => "drift",
            Self::Governance => "governance",
            Self::Operations => "operations",
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

/// What a detector is called and how it is rated.
#[derive(Debug)]
pub struct Meta {
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
    /// What of a paging finding leads further findings to its incident, whatever they are of.
    pub correlates: &'static [KeyKind],
    /// Its own source, whose header is its page: [`Meta::page`] renders it.
    pub(in crate::detect) page: &'static str,
}

/// What joins findings about different subjects into one incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyKind {
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

/// Which change of its measure a class is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Every one.
    Any,
    /// One caller's.
    Own,
    /// A rise of one caller's.
    OwnRise,
    /// A fall of one caller's.
    OwnFall,
    /// What all callers of a vendor see.
    OfVendor,
}

impl Change {
    /// Whether it is a rise or a fall of a measure, of one caller or of a vendor.
    pub const fn covers(self, is_rise: bool, is_of_vendor: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Own => !is_of_vendor,
            Self::OwnRise => !is_of_vendor && is_rise,
            Self::OwnFall => !is_of_vendor && !is_rise,
            Self::OfVendor => is_of_vendor,
        }
    }
}

/// A class of findings.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Name of its measure: a statistic, a class of novelties, a test of the audit view, or the detector's own.
    pub name: &'static str,
    /// Whose it is.
    pub detector: &'static Meta,
    /// The view.
    pub view: View,
    /// Which change of its measure.
    pub change: Change,
    /// What it says has happened.
    pub cause_class: CauseClass,
    /// MITRE ATT&CK technique: a uid of `technique`.
    pub technique: Option<&'static str>,
    /// The finding in one plain sentence.
    pub sentence: fn(&Sentence<'_>) -> String,
    /// Whether an outage of the vendor explains it.
    pub is_explained_by_outage: bool,
    /// Whether it pages only if it lasts: what passes within a quarter of an hour is a notice.
    pub must_last: bool,
    /// Whether a campaign that was declared explains it.
    pub is_explained_by_campaign: bool,
    /// What kind of key the new thing is that it is about, if findings about the same thing are one incident.
    pub key: Option<KeyKind>,
}

impl Class {
    /// A class of egress that covers every change of its measure and that nothing explains.
    pub const fn new(
        name: &'static str,
        detector: &'static Meta,
        cause_class: CauseClass,
        sentence: fn(&Sentence<'_>) -> String,
    ) -> Self {
        Self {
            name,
            detector,
            view: View::Egress,
            change: Change::Any,
            cause_class,
            technique: None,
            sentence,
            is_explained_by_outage: false,
            must_last: false,
            is_explained_by_campaign: false,
            key: None,
        }
    }

    /// The same with a technique of ATT&CK.
    pub const fn technique(self, uid: &'static str) -> Self {
        Self { technique: Some(uid), ..self }
    }

    /// The same for one kind of change only.
    pub const fn of(self, change: Change) -> Self {
        Self { change, ..self }
    }

    /// The same in the audit view.
    pub const fn in_audit(self) -> Self {
        Self { view: View::Audit, ..self }
    }

    /// The same, as what an outage of the vendor explains.
    pub const fn explained_by_outage(self) -> Self {
        Self { is_explained_by_outage: true, ..self }
    }

    /// The same, as what pages only if it lasts.
    pub const fn if_it_lasts(self) -> Self {
        Self { must_last: true, ..self }
    }

    /// The same, as what a declared campaign explains.
    pub const fn explained_by_campaign(self) -> Self {
        Self { is_explained_by_campaign: true, ..self }
    }

    /// The same, with what joins findings about the same new thing.
    pub const fn joined_by(self, key: KeyKind) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Whether it is about a vendor as a whole.
    pub const fn is_of_vendor(&self) -> bool {
        matches!(self.change, Change::OfVendor)
    }
}

impl PartialEq for Class {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.view, self.change) == (other.name, other.view, other.change)
    }
}

impl Eq for Class {}

/// What the sentence of a finding is made of.
#[derive(Clone, Copy, Debug)]
pub struct Sentence<'a> {
    /// What it is about.
    pub class: &'static Class,
    /// Whether there is more of it than usual; `false` where a mean fell.
    pub is_rise: bool,
    /// Who called; empty where it is about the vendor as a whole.
    pub caller: &'a str,
    /// Whom.
    pub vendor: &'a str,
    /// The endpoint that the evidence names.
    pub endpoint: Option<&'a str>,
    /// The strongest reason.
    pub leading: Option<&'a Contribution>,
    /// What else the caller showed for the first time within the hour, in words.
    pub also: &'a [String],
    /// Whether others call the vendor.
    pub has_others: bool,
    /// Whether they see it; `None` where nobody asked.
    pub sharing: Option<Sharing>,
}

impl Sentence<'_> {
    /// Who called.
    pub fn who(&self) -> String {
        if self.caller.is_empty() { format!("callers of {}", self.vendor) } else { self.caller.to_owned() }
    }

    /// Whom, after `who`.
    pub fn whom(&self) -> &str {
        if self.caller.is_empty() { "it" } else { self.vendor }
    }
}
