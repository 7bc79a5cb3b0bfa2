//! A vendor that nobody here has called before, or that this caller has not.
//!
//! # Finds
//! An upload to a destination never seen, a service that begins to talk to somebody else's vendor.
//!
//! # Why it matters
//! Data leaves most easily to where nobody looks yet.
//!
//! # Misses
//! A known vendor's other customers: an upload to somebody else's bucket at a vendor that the caller uses anyway. Vendors
//! are told apart by registrable domain.
//!
//! # Tuning
//! A class pages if it is expected no more often than 0.09 times `alerts_per_day`, and all together a quarter of it. A
//! first call to a vendor that others here use is a notice at a budget of one alert a day.
//!
//! # Example alert
//! `support-portal called transfer.sh, a vendor that nobody here has called before (expected 0.03 times a day)`
//!
//! # When it is wrong
//! A new integration that nobody announced: which the catalogue wants to know of as well.
//!
//! # Source
//! First-seen events as rates (see `models::novelty`).

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
    page: include_str!("new_destination.rs"),
};

fn cause_class(cause: &Cause) -> CauseClass {
    if cause.name == "pair_new" { CauseClass::ServiceChanged } else { CauseClass::DataLeft }
}
