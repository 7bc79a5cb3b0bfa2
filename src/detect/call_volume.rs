//! Many more calls than the clock knows, with every ratio unchanged.
//!
//! # Finds
//! A metered API called far beyond any campaign, a job that loops, a key that somebody else uses for the same thing.
//!
//! # Why it matters
//! Calls cost money, and a flood against a vendor gets the key blocked for all.
//!
//! # Misses
//! Less than thirty times the usual (eight while the company rests), fewer than twenty calls, and pairs without a clock: a
//! history of less than four days has none. From three times the usual it is told as a campaign, without a page.
//!
//! # Tuning
//! The share of `alerts_per_day` is fixed (5 %), and so are the multiples. A campaign that was learned from widens the
//! clock: leave it out with `train --exclude`.
//!
//! # Example alert
//! `marketing-mailer called sendgrid far more often than usual: 943 calls over an hour, usually 57.6 (16 times as much)`
//!
//! # When it is wrong
//! A campaign of more than thirty times the usual. It pages only from there (from eight times while the company rests): below
//! that nothing but a price or a calendar tells a campaign from abuse.
//!
//! # Source
//! Negative binomial deviance against the clock (see `models::clock`), and a floor by argument.

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// Many more calls than the clock knows.
pub(super) const DETECTOR: Detector = Detector {
    name: "call_volume",
    title: "Far more calls than usual",
    category: Category::Abuse,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    claims: |cause| matches!(cause.name, "calls" | "calls_peak"),
    cause_class: |_| CauseClass::Unknown,
    technique: |_| Some("T1496"),
    page: include_str!("call_volume.rs"),
};
