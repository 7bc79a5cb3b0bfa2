//! A vendor that nobody here has called before, or that this caller has not.
//!
//! # Finds
//! An upload to a destination never seen, a service that begins to talk to somebody else's vendor.
//!
//! # Why it matters
//! Data leaves most easily to where nobody looks yet.
//!
//! # Example alert
//! `support-portal → transfer.sh: a vendor that takes files, texts or messages, and that nobody here has called before`.
//!
//! # When it is wrong
//! A new integration that nobody announced: which the catalogue wants to know of as well.
//!
//! # Source
//! First sights as rates (see `models::first_sight`).

use super::{Analytic, Category, Cause, CauseClass, Detector, Impact};

/// A vendor never seen.
pub(super) const DETECTOR: Detector = Detector {
    name: "new_destination",
    title: "First call to a vendor",
    category: Category::Exfiltration,
    impact: Impact::Medium,
    analytic: Analytic::Behavioural,
    claims: |cause| matches!(cause.name, "vendor_new" | "vendor_new_drop" | "pair_new"),
    cause_class,
    technique: |_| Some("T1567"),
};

fn cause_class(cause: &Cause) -> CauseClass {
    if cause.name == "pair_new" { CauseClass::ServiceChanged } else { CauseClass::DataLeft }
}
