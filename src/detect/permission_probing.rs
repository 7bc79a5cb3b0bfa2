//! Somebody tries what it may do: calls that are denied or refused.
//!
//! # Finds
//! Far more denied calls, or calls refused as wrong, than a principal has.
//!
//! # Why it matters
//! A stolen credential's rights are not written on it: its new owner tries.
//!
//! # Misses
//! Few denied calls. A person in the usual place with the usual client is not judged by them.
//!
//! # Tuning
//! `alerts_per_day`: a tenth of it is the most that an audit alarm may cost; what pages is set by a replay of the history.
//!
//! # Example alert
//! `svc-5 at aws: more denied calls than usual: 60 denied calls over an hour, usually 0.1`
//!
//! # What to do first
//! 1. Ask the principal's owner which program was denied; if nobody knows, suspend the principal.
//! 2. List what was tried and what succeeded beside it, at the vendor's own log.
//!
//! # When it is wrong
//! A broken release that repeats one denied call.
//!
//! # Source
//! Counts against a principal's own (see `models::audit`).

use super::sentence::counted;
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "permission_probing",
    title: "Denied calls of a principal",
    category: Category::Abuse,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("permission_probing.rs"),
};

static DENIED_OPERATIONS: Class =
    Class::new("denied_operations", &META, CauseClass::Unknown, counted).technique("T1526").in_audit();
static FAILED_OPERATIONS: Class =
    Class::new("failed_operations", &META, CauseClass::Unknown, counted).technique("T1526").in_audit();

/// Somebody tries.
pub(super) struct PermissionProbing;

impl Detector for PermissionProbing {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&DENIED_OPERATIONS, &FAILED_OPERATIONS];
    type Model = ();
    type Memory = ();
    type Part = ();
}
