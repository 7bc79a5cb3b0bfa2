//! A principal does far more of something than it does: reads, secrets, exports, deletes, uses.
//!
//! # Finds
//! A mass download or a harvest of secrets from the usual place, a mass deletion, a model that is run for somebody else.
//!
//! # Why it matters
//! Each call is one that the principal may make and makes; only their number tells.
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
//! # When it is wrong
//! A person who exports more than ever. A backfill with the usual mix of calls does not page.
//!
//! # Source
//! Counts given the number of calls, by the negative binomial deviance (see `models::audit`).

use super::{Analytic, Category, Cause, CauseClass, Detector, Impact};

/// Far more than usual.
pub(super) const DETECTOR: Detector = Detector {
    name: "mass_operation",
    title: "Mass operation by a principal",
    category: Category::Exfiltration,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    claims: |cause| {
        matches!(
            cause.name,
            "read_operations"
                | "use_operations"
                | "secret_operations"
                | "bulk_operations"
                | "write_operations"
                | "delete_operations"
                | "bytes_of_operations"
        )
    },
    cause_class,
    technique,
    page: include_str!("mass_operation.rs"),
};

fn cause_class(cause: &Cause) -> CauseClass {
    match cause.name {
        "write_operations" | "delete_operations" | "use_operations" => CauseClass::CredentialMisused,
        _ => CauseClass::DataLeft,
    }
}

fn technique(cause: &Cause) -> Option<&'static str> {
    match cause.name {
        "secret_operations" => Some("T1552"),
        "delete_operations" => Some("T1485"),
        "read_operations" | "bulk_operations" | "bytes_of_operations" => Some("T1530"),
        _ => None,
    }
}
