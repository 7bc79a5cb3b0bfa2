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
//! # What to do first
//! 1. Ask the principal's owner whether the step was theirs; if nobody knows it, undo it and revoke the credential.
//! 2. List who has rights now that had none before, and remove them.
//! 3. See that logging still runs.
//!
//! # When it is wrong
//! The first use of a new administrative feature by those who may.
//!
//! # Source
//! First-seen events as rates, by class of operation (see `models::novelty`).

use super::sentence::{counted, new_at, new_endpoint};
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "privileged_endpoint",
    title: "First privileged operation",
    category: Category::Abuse,
    impact: Impact::High,
    analytic: Analytic::Behavioural,
    correlates: &[],
    page: include_str!("privileged_endpoint.rs"),
};

static ENDPOINT_SENSITIVE: Class =
    Class::new("endpoint_sensitive", &META, CauseClass::CredentialMisused, new_endpoint).technique("T1098");
static OPERATION_SECRET: Class =
    Class::new("operation_secret", &META, CauseClass::CredentialMisused, new_at).technique("T1552").in_audit();
static OPERATION_BULK: Class =
    Class::new("operation_bulk", &META, CauseClass::DataLeft, new_at).technique("T1530").in_audit();
static OPERATION_DELETE: Class =
    Class::new("operation_delete", &META, CauseClass::CredentialMisused, new_at).technique("T1485").in_audit();
static OPERATION_GRANT: Class =
    Class::new("operation_grant", &META, CauseClass::CredentialMisused, new_at).technique("T1098").in_audit();
static OPERATION_DEFENCE: Class =
    Class::new("operation_defence", &META, CauseClass::CredentialMisused, new_at).technique("T1562.008").in_audit();
static GRANT_OPERATIONS: Class =
    Class::new("grant_operations", &META, CauseClass::CredentialMisused, counted).technique("T1098").in_audit();

/// A privileged endpoint for the first time.
pub(super) struct PrivilegedEndpoint;

impl Detector for PrivilegedEndpoint {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[
        &ENDPOINT_SENSITIVE,
        &OPERATION_SECRET,
        &OPERATION_BULK,
        &OPERATION_DELETE,
        &OPERATION_GRANT,
        &OPERATION_DEFENCE,
        &GRANT_OPERATIONS,
    ];
    type Model = ();
    type Memory = ();
    type Part = ();
}
