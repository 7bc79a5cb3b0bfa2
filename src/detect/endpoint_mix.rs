//! One endpoint takes far more of a caller's calls than it usually does.
//!
//! # Finds
//! A sweep through one collection, an export endpoint called over and over, a job that loops.
//!
//! # Why it matters
//! A stolen key is used for what its owner never needed much of; the mix shows it while the volume is still ordinary.
//!
//! # Misses
//! Fewer than five calls above the expected; endpoints with fewer than twenty calls in training (those are first-seen events);
//! callers that are still judged by their peers; anything slower than six hours.
//!
//! # Tuning
//! `alerts_per_day` in the pipeline file: three quarters of it are for the tests.
//!
//! # Example alert
//! `support-portal called POST /contacts at intercom more than usual: 34 calls of POST /contacts over 6 hours, usually 18.8
//! (1.8 times as much)`
//!
//! # When it is wrong
//! A release that moves work from one endpoint to another.
//!
//! # Source
//! Negative binomial deviance of the endpoint's calls given the pair's (see `models::statistic`).

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// One endpoint takes more of the calls.
pub(super) const DETECTOR: Detector = Detector {
    name: "endpoint_mix",
    title: "Other endpoints than usual",
    category: Category::Abuse,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    claims: |cause| cause.name == "endpoint_mix",
    cause_class: |_| CauseClass::Unknown,
    technique: |_| Some("T1213"),
    page: include_str!("endpoint_mix.rs"),
};
