//! Somebody looks around: lists, counts and describes what it never did, in an order that it never had.
//!
//! # Finds
//! The steps before a theft or a change of rights: who am I, what is there, what may I do. More distinct operations and
//! services than a principal uses, operations that it never did, steps in an order that is not its own.
//!
//! # Why it matters
//! A thief does not know the house. Looking around is the first thing that a stolen credential is used for, and the last
//! moment to stop it.
//!
//! # Misses
//! Looking around by one who does so daily, and by a person in the usual place with the usual client.
//!
//! # Tuning
//! `alerts_per_day`: a tenth of it is the most that an audit alarm may cost; what pages is set by a replay of the history.
//!
//! # Example alert
//! `svc-3 at aws: more operations never done before than usual: 11 operations never done before over an hour, usually 0.1`
//!
//! # When it is wrong
//! A new posture scanner or an audit, which is reconnaissance by trade.
//!
//! # Source
//! Counts of classes of step against a principal's own (see `models::audit`), a Markov chain over classes of step.

use super::{Analytic, Category, CauseClass, Detector, Impact};

/// Somebody looks around.
pub(super) const DETECTOR: Detector = Detector {
    name: "reconnaissance",
    title: "Reconnaissance by a principal",
    category: Category::Abuse,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    claims: |cause| {
        matches!(
            cause.name,
            "list_operations" | "distinct_operations" | "distinct_services" | "new_operations" | "step_sequence"
        )
    },
    cause_class: |_| CauseClass::CredentialMisused,
    technique: |_| Some("T1526"),
    page: include_str!("reconnaissance.rs"),
};
