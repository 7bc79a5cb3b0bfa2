//! Far more than usual, now: larger requests or larger answers.
//!
//! # Finds
//! A bulk upload to a known vendor (bytes a call, or one huge call), a bulk export (answers far larger than the endpoint's
//! usual), an upload that is spread thin (the mean over a day).
//!
//! # Why it matters
//! Data that leaves does so as bytes.
//!
//! # Misses
//! Means that move by less than a quarter of what single calls vary by; a single call below 1 MiB; more calls of the usual
//! size (`call_volume`); a rise that takes more than a day (`slow_leak`).
//!
//! # Tuning
//! `alerts_per_day` in the pipeline file: three quarters of it are for the tests. A backfill that was learned from hides
//! others like it: leave it out with `train --exclude`.
//!
//! # Example alert
//! `payroll-svc sent dropbox larger requests than usual: about 40.1 kB a call over an hour, usually about 23 kB a call (1.7
//! times as much); its other callers do not see it`
//!
//! # When it is wrong
//! A backfill that sends larger objects through the same endpoint. More calls of the usual size are no burst: see
//! `call_volume`.
//!
//! # Source
//! Means by endpoint with day-to-day dispersion; largest of n (see `models::statistic`).

use super::{Analytic, Category, Cause, CauseClass, Detector, Impact};

/// Far more than usual, now.
pub(super) const DETECTOR: Detector = Detector {
    name: "burst",
    title: "Far more than usual",
    category: Category::Exfiltration,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    claims: |cause| matches!(cause.name, "bytes_out" | "bytes_out_max" | "bytes_in" | "bytes_in_max"),
    cause_class: |_| CauseClass::DataLeft,
    technique,
    page: include_str!("burst.rs"),
};

fn technique(cause: &Cause) -> Option<&'static str> {
    match cause.name {
        "bytes_in" | "bytes_in_max" => Some("T1530"),
        _ => Some("T1567"),
    }
}
