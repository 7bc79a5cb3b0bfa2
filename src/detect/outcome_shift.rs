//! The answers of one caller change: more denials, client errors, throttling or failures than its calls usually meet.
//!
//! # Finds
//! Enumeration (404 after 404), credential stuffing and spray (401), a key that lost its rights (403), a client that outruns
//! its limits (429), an endpoint that broke for this caller alone.
//!
//! # Why it matters
//! Whoever does not know the house tries doors.
//!
//! # Misses
//! Fewer than five failures above the expected; failures that are usual for the endpoint; a walk through ids that all
//! exist.
//!
//! # Tuning
//! `alerts_per_day` in the pipeline file: three quarters of it are for the tests.
//!
//! # Example alert
//! `crm-sync met more client errors at hubspot than usual: 45 client errors over 15 minutes, usually 0.87 (52 times as
//! much); its other callers are too quiet to tell whether they see it`
//!
//! # When it is wrong
//! A release that calls with a wrong id. Where all callers of the vendor see it, it is `vendor_drift`.
//!
//! # Source
//! Negative binomial deviance of the count given the number of calls (see `models::statistic`).

use super::{Analytic, Category, Cause, CauseClass, Detector, Impact};

/// The answers of one caller change.
pub(super) const DETECTOR: Detector = Detector {
    name: "outcome_shift",
    title: "Calls end differently than usual",
    category: Category::Abuse,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    claims: |cause| matches!(cause.name, "denied" | "client_error" | "throttled" | "server_error"),
    cause_class,
    technique,
    page: include_str!("outcome_shift.rs"),
};

fn technique(cause: &Cause) -> Option<&'static str> {
    match cause.name {
        "denied" => Some("T1110"),
        "client_error" => Some("T1119"),
        "throttled" => Some("T1499"),
        _ => None,
    }
}

fn cause_class(cause: &Cause) -> CauseClass {
    match cause.name {
        "denied" => CauseClass::CredentialMisused,
        "throttled" | "server_error" => CauseClass::ServiceChanged,
        // Enumeration, or a release that calls with a wrong id: the count does not tell.
        _ => CauseClass::Unknown,
    }
}
