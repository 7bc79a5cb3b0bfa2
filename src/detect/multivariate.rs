//! Each number usual, all together not.
//!
//! # Finds
//! An hour whose combination of sizes, outcomes and mix (egress) or of kinds of operation (audit) no earlier hour had.
//!
//! # Why it matters
//! Whoever keeps every number low still does other things than the owner.
//!
//! # Misses
//! Callers that are still judged by their peers, hours in which hardly anything differs from usual, and oddities that last
//! for less than an hour.
//!
//! # Tuning
//! The share of `alerts_per_day` is fixed (5 %). The models drop the oddest 5 % of their training rows by themselves.
//!
//! # Example alert
//! `etl-nightly had an hour at salesforce unlike any before, most of all by its latency`
//!
//! # When it is wrong
//! The first run of a rare job. It has a small share of the budget of its own.
//!
//! # Source
//! Isolation forest and nearest neighbours, harmonic mean of their p-values (see `models::multivariate`).

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// All together unusual.
pub(super) const DETECTOR: Detector = Detector {
    name: "multivariate",
    title: "An hour unlike any before",
    category: Category::Abuse,
    impact: Impact::Low,
    analytic: Analytic::Learning,
    claims: |cause| cause.name == "multivariate",
    cause_class: |_| CauseClass::Unknown,
    technique: |_| None,
    page: include_str!("multivariate.rs"),
};
