//! Failed sign-ins over the company: many tries, or few tries at many entities.
//!
//! # Finds
//! Bursts of failed sign-ins, and sprays of one try an state that are paced over a day.
//!
//! # Why it matters
//! One try an state locks nobody out, and among a thousand entities one password is guessed.
//!
//! # Misses
//! A spray slower than the company's usual failures a day. Sign-ins at an identity provider whose log is not read.
//!
//! # Tuning
//! `alerts_per_day`: a tenth of it is the most that an audit alarm may cost; what pages is set by a replay of the history.
//!
//! # Example alert
//! `callers of aws at it: more entities with failed sign-ins than usual: 5 entities with failed sign-ins over a day, usually 0.59`
//!
//! # When it is wrong
//! The day on which passwords expire, or the identity provider is broken.
//!
//! # Source
//! Counts of the company against its own history; a failed sign-in says nothing of the one whom it names.

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// Failed sign-ins.
pub(super) const DETECTOR: Detector = Detector {
    name: "password_spray",
    title: "Failed sign-ins over the company",
    category: Category::Abuse,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    claims: |cause| matches!(cause.name, "failed_sign_ins" | "failing_accounts"),
    cause_class: |_| CauseClass::CredentialMisused,
    technique: |cause| Some(if cause.name == "failing_accounts" { "T1110.003" } else { "T1110" }),
    page: include_str!("password_spray.rs"),
};
