//! Far more than usual, now: larger requests, larger answers, or many more calls than the clock knows.
//!
//! # Finds
//! A bulk upload to a known vendor (bytes a call, or one huge call), a bulk export (answers far larger than the endpoint's
//! usual), an upload that is spread thin (the mean over a day), a metered API called far beyond any campaign.
//!
//! # Why it matters
//! Data that leaves does so as bytes; a stolen or looping key shows as calls.
//!
//! # Example alert
//! `payroll-svc → dropbox: request size about 6.1 MB a call over 15m, usual about 41 kB`.
//!
//! # When it is wrong
//! A backfill that sends larger objects through the same endpoint. Pure volume pages only from 30 times the clock (8 times
//! while the company rests): below that nothing tells a campaign from abuse.
//!
//! # Source
//! Means by endpoint with day-to-day wander; largest of n (see `models::statistic`).

use super::{Analytic, Category, Cause, Detector, Impact};

/// Far more than usual, now.
pub(super) const DETECTOR: Detector = Detector {
    name: "burst",
    title: "Far more than usual",
    category: Category::Exfiltration,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    claims: |cause| matches!(cause.name, "bytes_out" | "bytes_out_max" | "bytes_in" | "bytes_in_max" | "calls"),
    technique,
};

fn technique(cause: &Cause) -> Option<&'static str> {
    match cause.name {
        "calls" => Some("T1496"),
        "bytes_in" | "bytes_in_max" => Some("T1530"),
        _ => Some("T1567"),
    }
}
