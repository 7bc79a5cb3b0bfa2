//! A sensitive, deleting or administrative endpoint for the first time.
//!
//! # Finds
//! A collaborator added by a build agent, a first DELETE, and in audit logs the first read of secrets, grant of rights,
//! or change of logging.
//!
//! # Why it matters
//! Three calls are enough to stay for ever, and three calls move no average.
//!
//! # Misses
//! A privileged operation that somebody here has done before, in egress also one that the vendor's path does not betray.
//!
//! # Tuning
//! A class pages if it is expected no more often than 0.09 times `alerts_per_day`, and all together a quarter of it.
//!
//! # Example alert
//! `ci-runner called a sensitive or deleting endpoint that nobody here has called: PUT
//! /repos/acme/infra/collaborators/{id}, at github (expected 0.03 times a day)`
//!
//! # When it is wrong
//! The first use of a new administrative feature by those who may.
//!
//! # Source
//! First-seen events as rates, by class of operation (see `models::novelty`).

use super::{Analytic, Category, Cause, CauseClass, Detector, Impact};

/// A privileged endpoint for the first time.
pub(super) const DETECTOR: Detector = Detector {
    name: "privileged_endpoint",
    title: "First privileged operation",
    category: Category::Abuse,
    impact: Impact::High,
    analytic: Analytic::Behavioural,
    claims: |cause| {
        matches!(
            cause.name,
            "endpoint_sensitive"
                | "operation_secret"
                | "operation_bulk"
                | "operation_delete"
                | "operation_grant"
                | "operation_defence"
                | "grant_operations"
        )
    },
    cause_class,
    technique,
    page: include_str!("privileged_endpoint.rs"),
};

fn technique(cause: &Cause) -> Option<&'static str> {
    match cause.name {
        "operation_secret" => Some("T1552"),
        "operation_bulk" => Some("T1530"),
        "operation_delete" => Some("T1485"),
        "operation_defence" => Some("T1562.008"),
        _ => Some("T1098"),
    }
}

fn cause_class(cause: &Cause) -> CauseClass {
    match cause.name {
        "operation_share" | "operation_bulk" => CauseClass::DataLeft,
        _ => CauseClass::CredentialMisused,
    }
}
