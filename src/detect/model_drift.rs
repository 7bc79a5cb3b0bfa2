//! The model's own inputs have moved: time to train again.
//!
//! # Finds
//! A day on which three pairs in ten or more behave as one in ten should: after a migration, a large release, or months
//! without training. The notice says which statistics moved, and of how many pairs.
//!
//! # Why it matters
//! A model that no longer fits either pages too much or, worse, calls everything usual.
//!
//! # Misses
//! Companies with fewer than ten pairs of caller and vendor; drift so slow that baselines follow it.
//!
//! # Tuning
//! None. It never pages.
//!
//! # Example alert
//! `model: 16 of 48 pairs had a day unlike their history (request size of 6, denied calls of 3, answer size of 2) over 24h,
//! usual: one in ten; train again`
//!
//! # When it is wrong
//! A day on which half of the vendors really had trouble.
//!
//! # Source
//! Inputs against their own history instead of textbook thresholds (see `models::model_drift`).

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// The model no longer fits.
pub(super) const DETECTOR: Detector = Detector {
    name: "model_drift",
    title: "The model no longer fits its inputs",
    category: Category::Drift,
    impact: Impact::Low,
    analytic: Analytic::Statistical,
    claims: |cause| cause.name == "model_drift",
    cause_class: |_| CauseClass::Unknown,
    technique: |_| None,
    page: include_str!("model_drift.rs"),
};
