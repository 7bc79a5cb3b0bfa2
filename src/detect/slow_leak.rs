//! A little more in every call, for days.
//!
//! # Finds
//! Requests whose size has risen a few per cent and stays there: data that leaves in small helpings beside what
//! a service sends anyway.
//!
//! # Why it matters
//! Whoever has time keeps every hour ordinary. Sums over days do not forget.
//!
//! # Misses
//! Shifts below what the pair's own hours dispersion by; pairs with a handful of calls an hour; anything faster than a day,
//! which `burst` has; answers that grow.
//!
//! # Tuning
//! The share of `alerts_per_day` is fixed (5 %). A leak is told once; from then on only what goes
//! beyond it adds up.
//!
//! # Example alert
//! `analytics-loader sent segment a little more in every call: request size about 3.85 % larger a call for 28 hours,
//! usually no lasting shift`
//!
//! # When it is wrong
//! A release that adds a field to every request, or data that grow.
//!
//! # Source
//! Prewhitened cumulative sums of hourly normal scores (see `models::leak`), after Page 1954.

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// A little more, for days.
pub(super) const DETECTOR: Detector = Detector {
    name: "slow_leak",
    title: "A little more in every call, for days",
    category: Category::Exfiltration,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    claims: |cause| cause.name == "bytes_out_leak",
    cause_class: |_| CauseClass::DataLeft,
    technique: |_| Some("T1030"),
    page: include_str!("slow_leak.rs"),
};
