//! Somebody looks around: lists, counts and describes what it never did, in an order that it never had.
//!
//! # Finds
//! The steps before a theft or a change of rights: who am I, what is there, what may I do. More distinct operations and
//! services than a principal uses, operations that it never did, steps in an order that is not its own.
//!
//! # Why it matters
//! A thief does not know the environment. Looking around is the first thing that a stolen credential is used for, and the last
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
//! # What to do first
//! 1. Ask the principal's owner whether a scanner or an audit runs; if none does, suspend the principal.
//! 2. See from which network and client the calls came.
//! 3. Watch what comes next: reads of secrets, grants of rights, sharing.
//!
//! # When it is wrong
//! A new posture scanner or an audit, which is reconnaissance by trade.
//!
//! # Source
//! Counts of classes of step against a principal's own (see `models::audit`), a Markov chain over classes of step.

use super::sentence::counted;
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "reconnaissance",
    title: "Reconnaissance by a principal",
    category: Category::Abuse,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("reconnaissance.rs"),
};

static LIST_OPERATIONS: Class =
    Class::new("list_operations", &META, CauseClass::CredentialMisused, counted).technique("T1526").in_audit();
static DISTINCT_OPERATIONS: Class =
    Class::new("distinct_operations", &META, CauseClass::CredentialMisused, counted).technique("T1526").in_audit();
static DISTINCT_SERVICES: Class =
    Class::new("distinct_services", &META, CauseClass::CredentialMisused, counted).technique("T1526").in_audit();
static NEW_OPERATIONS: Class =
    Class::new("new_operations", &META, CauseClass::CredentialMisused, counted).technique("T1526").in_audit();
static STEP_SEQUENCE: Class =
    Class::new("step_sequence", &META, CauseClass::CredentialMisused, counted).technique("T1526").in_audit();

/// Somebody looks around.
pub(super) struct Reconnaissance;

impl Detector for Reconnaissance {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] =
        &[&LIST_OPERATIONS, &DISTINCT_OPERATIONS, &DISTINCT_SERVICES, &NEW_OPERATIONS, &STEP_SEQUENCE];
    type Model = ();
    type Memory = ();
    type Part = ();
}
