//! More spent at a metered vendor than the pair ever spent.
//!
//! # Finds
//! A language model's API used far beyond normal, by price: tokens or calls times the list price of the vendor pack, over an
//! hour, six hours and a day, two and a half times the largest of the history and two dollars more.
//!
//! # Why it matters
//! A stolen key for a language model is sold by the token, and the bill comes at the end of the month.
//!
//! # Misses
//! Vendors without a price in the pack, logs without token counts, and the first day of a new integration. Other categories
//! than language models are left out: mail, messages and maps cost most on the days of a campaign or at month end.
//!
//! # Tuning
//! Prices stand in `datasets/vendors`, and in the directory that `[vendors]` names. A busy day in the training history raises
//! the record, which is how a campaign is learned. The share of `alerts_per_day` is fixed (5 %).
//!
//! # Example alert
//! `ml-gateway spent more at openai than ever, by list price: 61.20 dollars over 6 hours, usually at most 14.10 dollars (4.3 times as much); nobody else calls it`
//!
//! # When it is wrong
//! A launch, or a price that is not yours: the comparison is with the pair's own past at the same prices.
//!
//! # Source
//! Sums against the largest of the pair's other days (see `models::peak`).

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// More spent than ever.
pub(super) const DETECTOR: Detector = Detector {
    name: "spend",
    title: "More spent than ever",
    category: Category::Abuse,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    claims: |cause| cause.name == "spend_peak",
    cause_class: |_| CauseClass::CredentialMisused,
    technique: |_| Some("T1496.004"),
    page: include_str!("spend.rs"),
};
