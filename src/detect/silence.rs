//! A caller, a credential's owner or a log source that no longer calls.
//!
//! # Finds
//! A service that stopped calling a vendor (or all of its vendors) while its clock expects calls, all callers of a vendor
//! gone at once, and a log source that died: most of what is logged falls silent together, which is told as one.
//!
//! # Why it matters
//! Whoever switches logs off wants something unseen; and a silent payment service loses money before anybody looks.
//!
//! # Misses
//! Pairs with fewer than eight expected calls until somebody would notice anyway; a log that stops as a whole, since without
//! records event time stands still (watch the consumer's lag for that); a caller that calls less, but calls.
//!
//! # Tuning
//! The share of `alerts_per_day` is fixed (5 %). A planned shutdown is told once and closes by itself after six hours.
//!
//! # Example alert
//! `billing-worker stopped calling stripe: no call for 10 minutes, usually about 10 calls in this time`
//!
//! # When it is wrong
//! A service that was retired, a holiday that falls on a working day, a nightly job that starts later than it ever did.
//!
//! # Source
//! Expected calls since the last one by the clock, against the longest silence of the pair's own history
//! (see `models::silence`).

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// No calls where calls were expected.
pub(super) const DETECTOR: Detector = Detector {
    name: "silence",
    title: "Expected calls do not come",
    category: Category::Drift,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    claims: |cause| cause.name == "silence",
    cause_class: |cause| if cause.is_of_vendor { CauseClass::Unknown } else { CauseClass::ServiceChanged },
    technique: |_| None,
    page: include_str!("silence.rs"),
};
