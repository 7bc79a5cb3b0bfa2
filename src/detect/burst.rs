//! Far more than usual, now: larger requests or larger answers.
//!
//! # Finds
//! A bulk upload to a known vendor (bytes a call, or one huge call), a bulk export (answers far larger than the endpoint's
//! usual), an upload that is spread thin (the mean over a day).
//!
//! # Why it matters
//! Data that leaves does so as bytes.
//!
//! # Example alert
//! `payroll-svc → dropbox: request size about 6.1 MB a call over 15m, usual about 41 kB`.
//!
//! # When it is wrong
//! A backfill that sends larger objects through the same endpoint. More calls of the usual size are no burst: see
//! `call_volume`.
//!
//! # Source
//! Means by endpoint with day-to-day wander; largest of n (see `models::statistic`).

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
};

fn technique(cause: &Cause) -> Option<&'static str> {
    match cause.name {
        "bytes_in" | "bytes_in_max" => Some("T1530"),
        _ => Some("T1567"),
    }
}
