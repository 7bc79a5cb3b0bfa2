//! More bytes to or from a vendor than the pair ever moved.
//!
//! # Finds
//! Bulk uploads and downloads by their sum: twenty megabytes from a service that only ever read, a tenant's records pulled
//! page by page, an upload by a new endpoint of a vendor that is called all day. Over an hour, six hours and a day. At a vendor
//! that nobody here knows, more than nine pairs in ten ever moved.
//!
//! # Why it matters
//! What leaves is counted in bytes, whatever the number of calls that carry it.
//!
//! # Misses
//! Under one megabyte out, or four in, beyond the record; pairs without a history of their own (a novelty has those).
//!
//! # Tuning
//! The share of `alerts_per_day` is fixed (5 %). A larger day in the training history raises the record.
//!
//! # Example alert
//! `geo-svc moved more to google than ever: 20.1 MB over an hour, at most 11 kB before`.
//!
//! # When it is wrong
//! The first backfill that sends larger objects. A campaign is none: its calls are as large as ever.
//!
//! # Source
//! Sums against the largest of the pair's other days (see `models::peak`).

use super::{Analytic, Category, Cause, CauseClass, Detector, Impact};

/// More bytes than ever.
pub(super) const DETECTOR: Detector = Detector {
    name: "bulk_transfer",
    title: "More bytes than ever",
    category: Category::Exfiltration,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    claims: |cause| matches!(cause.name, "bytes_out_peak" | "bytes_in_peak"),
    cause_class: |_| CauseClass::DataLeft,
    technique: |cause: &Cause| Some(if cause.name == "bytes_in_peak" { "T1530" } else { "T1567" }),
    page: include_str!("bulk_transfer.rs"),
};
