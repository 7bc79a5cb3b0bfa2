//! Plaintext HTTP, or a TLS version that is broken, to a vendor that is called better.
//!
//! # Finds
//! `http://` where it was `https://`, TLS below 1.2.
//!
//! # Why it matters
//! The key and the data are there for everybody on the way to read.
//!
//! # Misses
//! Logs that tell neither scheme nor TLS version; weak ciphers and certificates; what was plaintext already in the history.
//!
//! # Tuning
//! A class pages if it is expected no more often than 0.09 times `alerts_per_day`, and all together a quarter of it.
//!
//! # Example alert
//! `geo-svc called google over plaintext HTTP, a vendor that is called over TLS (expected 0.03 times a day)`
//!
//! # When it is wrong
//! A health check that redirects. It is still worth mending.
//!
//! # Source
//! First-seen events as rates (see `models::novelty`).

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// Plaintext or old TLS.
pub(super) const DETECTOR: Detector = Detector {
    name: "weak_transport",
    title: "Plaintext or outdated TLS",
    category: Category::Governance,
    impact: Impact::Medium,
    analytic: Analytic::Rule,
    claims: |cause| matches!(cause.name, "plaintext" | "tls_old"),
    cause_class: |_| CauseClass::ServiceChanged,
    technique: |_| Some("T1040"),
    page: include_str!("weak_transport.rs"),
};
