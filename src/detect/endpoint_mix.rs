//! One endpoint takes far more of a caller's calls than it usually does.
//!
//! # Finds
//! A sweep through one collection, an export endpoint called over and over, a job that loops.
//!
//! # Why it matters
//! A stolen key is used for what its owner never needed much of; the mix shows it while the volume is still ordinary.
//!
//! # Example alert
//! `etl-nightly → salesforce: 410 calls of GET /services/data/{id} over 1h, usual 22`.
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
};
