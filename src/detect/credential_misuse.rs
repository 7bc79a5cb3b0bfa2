//! A credential from a new network, with a new client, or in another caller's hands.
//!
//! # Finds
//! A stolen key used from elsewhere, a key that two services share, a person with curl where a program was, many new
//! credentials at once, a principal in a network or region that nobody used.
//!
//! # Why it matters
//! Third-party keys live for years and have no second factor: the place of use is all that tells owner from thief.
//!
//! # Misses
//! A thief within the owner's network with the owner's client; an address within a known /24 or /48; logs that tell neither
//! address, user agent nor credential.
//!
//! # Tuning
//! A class pages if it is expected no more often than 0.09 times `alerts_per_day`, and all together a quarter of it. Before a
//! move to another cloud, train again with logs from there. Databases of owners under `[enrichment]` call public networks by
//! autonomous system and country, and grade hosting providers and new countries apart: train with them, too.
//!
//! # Example alert
//! `billing-worker called stripe with an interactive tool that nobody here uses: curl (expected 0.03 times a day); within
//! the hour also a public network that nobody here has called from: 185.220.101.0/24`
//!
//! # When it is wrong
//! A move to another cloud or office. A deploy (new pods beside known ones, a new version of a known client) does not page.
//!
//! # Source
//! First-seen events as rates, joined within an hour (see `models::novelty`).

use super::{Analytic, Category, Cause, CauseClass, Detector, Impact};
use crate::calls::View;

/// A credential where it never was.
pub(super) const DETECTOR: Detector = Detector {
    name: "credential_misuse",
    title: "Credential used from a new place",
    category: Category::Abuse,
    impact: Impact::High,
    analytic: Analytic::Behavioural,
    claims: |cause| {
        ["network_", "country_", "client_", "credential_", "principal_", "region_"]
            .iter()
            .any(|kind| cause.name.starts_with(kind))
            && cause.name != "client_error"
    },
    cause_class,
    technique,
    page: include_str!("credential_misuse.rs"),
};

fn technique(cause: &Cause) -> Option<&'static str> {
    match cause.name {
        "credential_burst" => Some("T1110.004"),
        _ if cause.view == View::Audit => Some("T1078.004"),
        _ => Some("T1550.001"),
    }
}

fn cause_class(cause: &Cause) -> CauseClass {
    match cause.name {
        "network_private_near" | "network_private_far" | "client_known" | "credential_new" => {
            CauseClass::ServiceChanged
        }
        "client_new" | "network_public_known" | "principal_client_known" | "principal_new" => CauseClass::Unknown,
        _ => CauseClass::CredentialMisused,
    }
}
