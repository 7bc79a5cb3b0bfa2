//! What a caller never did before, where that alone is hardly worth a page.
//!
//! # Finds
//! New endpoints and methods, first operations of a principal.
//!
//! # Why it matters
//! Alone it is a release; beside another finding of the same caller it is the story.
//!
//! # Misses
//! An endpoint that others here call already; a caller that is itself new (`new_destination` and `credential_misuse` tell
//! of it).
//!
//! # Tuning
//! A class pages if it is expected no more often than 0.09 times `alerts_per_day`, and all together a quarter of it. Alone
//! it is a notice.
//!
//! # Example alert
//! `geo-svc called a writing endpoint that nobody here has called: POST /maps/api/geocode/json, at google (expected 0.15
//! times a day)`
//!
//! # When it is wrong
//! Most of the time, which is why it seldom pages.
//!
//! # Source
//! First-seen events as rates (see `models::novelty`).

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// New, and seldom more than that.
pub(super) const DETECTOR: Detector = Detector {
    name: "new_behaviour",
    title: "First call of its kind",
    category: Category::Drift,
    impact: Impact::Low,
    analytic: Analytic::Behavioural,
    claims: |cause| {
        cause.name.starts_with("endpoint_") || cause.name.starts_with("operation_") || cause.name == "method_new"
    },
    cause_class: |_| CauseClass::ServiceChanged,
    technique: |_| None,
    page: include_str!("new_behaviour.rs"),
};
