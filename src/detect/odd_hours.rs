//! Calls at an hour of the day at which the caller never called.
//!
//! # Finds
//! An office tool at three in the morning, a weekday job on a Sunday: an hour (of weekdays or of weekends, UTC) in which, and
//! in the hours beside which, the caller was never seen.
//!
//! # Why it matters
//! A thief works when the owner sleeps.
//!
//! # Misses
//! Callers that work around the clock have no odd hour.
//!
//! # Tuning
//! Alone it is a notice. It pages together with another novelty of the same caller within the hour (a new network, a new
//! client), whose rates multiply.
//!
//! # Example alert
//! `10.55.200.11 at windowsupdate.com: an hour of the day at which the caller never called: 07 h (expected 0.58 times a
//! day)`
//!
//! # When it is wrong
//! On-call work, a release by night, a change of summer time for callers that keep to the minute.
//!
//! # Source
//! First-seen events as rates (see `models::novelty`).

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// At an hour never worked.
pub(super) const DETECTOR: Detector = Detector {
    name: "odd_hours",
    title: "Calls at an hour never worked",
    category: Category::Abuse,
    impact: Impact::Low,
    analytic: Analytic::Behavioural,
    claims: |cause| cause.name == "hour_new",
    cause_class: |_| CauseClass::Unknown,
    technique: |_| Some("T1078"),
    page: include_str!("odd_hours.rs"),
};
