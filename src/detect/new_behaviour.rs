//! What a caller never did before, where that alone is hardly worth a page.
//!
//! # Finds
//! New endpoints and methods, first operations of a principal.
//!
//! # Why it matters
//! Alone it is a release; beside another finding of the same caller it is the story.
//!
//! # Example alert
//! `checkout-api → stripe: a reading endpoint that nobody here has called: GET /v1/payouts`.
//!
//! # When it is wrong
//! Most of the time, which is why it seldom pages.
//!
//! # Source
//! First sights as rates (see `models::first_sight`).

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
};
