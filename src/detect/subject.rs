//! Subjects: whom a finding, and the incident that it belongs to, is about.
//!
//! Not here: the incidents (`alerts`).

use serde::{Deserialize, Serialize};

use crate::calls::View;
use crate::features::Entity;

/// Whom an incident is about: a caller at a vendor, or a vendor as a whole (no caller); by which rule, where it violates one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The view.
    pub view: View,
    /// The vendor.
    pub vendor: String,
    /// The vendor's account; empty where it is not known.
    pub account: String,
    /// The caller; empty where the incident is about the vendor as a whole.
    pub caller: String,
    /// The rule of governance that is violated, each an incident of its own; empty for all else.
    pub rule: String,
}

impl Subject {
    /// Whether what is said of it is said of a pair, too: it is the pair, or its vendor.
    pub fn covers(&self, pair: &Self) -> bool {
        let is_its = self.caller.is_empty() || self.caller == pair.caller;
        self.view == pair.view && self.vendor == pair.vendor && is_its
    }

    /// A pair of caller and vendor.
    pub fn of(pair: &Entity) -> Self {
        Self {
            view: pair.view,
            vendor: pair.vendor.to_string(),
            account: pair.account().to_owned(),
            caller: pair.caller.to_string(),
            rule: String::new(),
        }
    }

    /// The vendor as a whole, in the account that it is in.
    pub fn of_vendor(&self) -> Self {
        Self { caller: String::new(), ..self.clone() }
    }
}

/// Which incidents are open: all that detectors ask of them.
pub trait OpenIncidents {
    /// Whether the subject has an open incident.
    fn is_open(&self, subject: &Subject) -> bool;
    /// Whether the subject has an open incident that pages.
    fn is_paging(&self, subject: &Subject) -> bool;
}
