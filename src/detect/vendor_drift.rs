//! A vendor answers differently: slower, larger or smaller, or with other outcomes for all who call it.
//!
//! # Finds
//! A latency shift, answers that grow or collapse to nothing, a rise of errors that several callers share.
//!
//! # Why it matters
//! The vendor is a black box that the house depends on; a changed answer may be a changed contract, a breach at the vendor, or
//! the first hour of an outage.
//!
//! # Misses
//! Means that move by less than a quarter of what single calls vary by; fewer than five failures above the expected; what
//! changes in the content of answers.
//!
//! # Tuning
//! `alerts_per_day` in the pipeline file: three quarters of it are for the tests. A change that stays is followed by the
//! baselines within days; train again to learn it.
//!
//! # Example alert
//! `callers of plaid waited longer for it than usual: about 1.42 s a call over an hour, usually about 622 ms a call (2.3
//! times as much); its callers see it alike`
//!
//! # When it is wrong
//! A vendor with a single caller: then the change is told as the caller's. Shifts below a factor of two need an hour or two.
//!
//! # Source
//! Pooled means by endpoint; attribution by effect and power (see `detect::attribution`).

use super::{Analytic, Category, Cause, CauseClass, Detector, Impact};

/// A vendor answers differently.
pub(super) const DETECTOR: Detector = Detector {
    name: "vendor_drift",
    title: "A vendor answers differently",
    category: Category::Drift,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    claims: |cause| {
        cause.name == "latency"
            || (cause.name == "bytes_in" && (cause.is_of_vendor || !cause.is_rise))
            || (cause.is_of_vendor && matches!(cause.name, "denied" | "client_error" | "throttled" | "server_error"))
    },
    cause_class,
    technique: |_| None,
    page: include_str!("vendor_drift.rs"),
};

fn cause_class(cause: &Cause) -> CauseClass {
    // A change that the vendor's other callers do not share may as well lie on this caller's side of the wire.
    if cause.is_of_vendor { CauseClass::VendorChanged } else { CauseClass::Unknown }
}
