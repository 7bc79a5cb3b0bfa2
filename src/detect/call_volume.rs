//! Many more calls than the clock knows, with every ratio unchanged.
//!
//! # Finds
//! A metered API called far beyond any campaign, a job that loops, a key that somebody else uses for the same thing.
//!
//! # Why it matters
//! Calls cost money, and a flood against a vendor gets the key blocked for all.
//!
//! # Example alert
//! `ml-gateway → openai: 57 calls over 15m, usual: 1.9 calls`.
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
    claims: |cause| matches!(cause.name, "calls" | "calls_record"),
    cause_class: |_| CauseClass::Unknown,
    technique: |_| Some("T1496"),
};
