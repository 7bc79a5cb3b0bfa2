//! A principal does far more of something than it does: reads, secrets, exports, deletes, uses.
//!
//! # Finds
//! A mass download or a harvest of secrets from the usual place, a mass deletion, a model that is run for somebody else.
//!
//! # Why it matters
//! Each call is one that the principal may make and makes; only their number is unusual.
//!
//! # Misses
//! The usual mix of calls, many times: a backfill looks the same. A harvest by one who reads secrets anyway, since which
//! objects were read is not counted. People who export are judged by wide tails.
//!
//! # Tuning
//! `alerts_per_day`: a tenth of it is the most that an audit alarm may cost; what pages is set by a replay of the history.
//!
//! # Example alert
//! `svc-7 at aws: more reading calls than usual: 76 reading calls over an hour, usually 6.8 (11 times as much)`
//!
//! # What to do first
//! 1. Ask the principal's owner whether the operation was theirs; if nobody knows it, suspend the principal.
//! 2. List the objects in the vendor's own log: what was read, exported or deleted.
//! 3. Restore what was deleted, and rotate the secrets that were read.
//!
//! # When it is wrong
//! A person who exports more than ever. A backfill with the usual mix of calls does not page.
//!
//! # Source
//! Counts given the number of calls, by the negative binomial deviance (see `models::audit`).

use super::sentence::counted;
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "mass_operation",
    title: "Mass operation by a principal",
    category: Category::Exfiltration,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("mass_operation.rs"),
};

static READ_OPERATIONS: Class =
    Class::new("read_operations", &META, CauseClass::DataLeft, counted).technique("T1530").in_audit();
static USE_OPERATIONS: Class = Class::new("use_operations", &META, CauseClass::CredentialMisused, counted).in_audit();
static SECRET_OPERATIONS: Class =
    Class::new("secret_operations", &META, CauseClass::DataLeft, counted).technique("T1552").in_audit();
static BULK_OPERATIONS: Class =
    Class::new("bulk_operations", &META, CauseClass::DataLeft, counted).technique("T1530").in_audit();
static WRITE_OPERATIONS: Class =
    Class::new("write_operations", &META, CauseClass::CredentialMisused, counted).in_audit();
static DELETE_OPERATIONS: Class =
    Class::new("delete_operations", &META, CauseClass::CredentialMisused, counted).technique("T1485").in_audit();
static BYTES_OF_OPERATIONS: Class =
    Class::new("bytes_of_operations", &META, CauseClass::DataLeft, counted).technique("T1530").in_audit();

/// Far more operations than usual.
pub(super) struct MassOperation;

impl Detector for MassOperation {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[
        &READ_OPERATIONS,
        &USE_OPERATIONS,
        &SECRET_OPERATIONS,
        &BULK_OPERATIONS,
        &WRITE_OPERATIONS,
        &DELETE_OPERATIONS,
        &BYTES_OF_OPERATIONS,
    ];
    type Model = ();
    type Memory = ();
    type Part = ();
}
