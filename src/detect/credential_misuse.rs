//! A credential from a new network, with a new client, or in another caller's hands.
//!
//! # Finds
//! A stolen key used from elsewhere, a key that two services share, a person with curl where a program was, many new
//! credentials at once, a principal in a network or region that nobody used.
//!
//! # Why it matters
//! Third-party keys live for years and have no second factor: the place of use is all that distinguishes the owner from a thief.
//!
//! # Misses
//! A thief within the owner's network with the owner's client; an address within a known /24 or /48; logs that hold neither
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
//! # What to do first
//! 1. Ask the credential's owner whether the use was theirs; if nobody knows it, revoke the credential.
//! 2. List what the credential did since it was first used from there, at the vendor's own log.
//! 3. Find where it could be read: a repository, a build log, a shared machine.
//!
//! # When it is wrong
//! A move to another cloud or office. A deploy (new pods beside known ones, a new version of a known client) does not page.
//!
//! # Source
//! First-seen events as rates, joined within an hour (see `models::novelty`).

use super::sentence::{new_at, new_from, new_shown, new_with};
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, KeyKind, Meta};

static META: Meta = Meta {
    name: "credential_misuse",
    title: "Credential used from a new place",
    category: Category::Abuse,
    impact: Impact::High,
    analytic: Analytic::Behavioural,
    correlates: &[KeyKind::Credential, KeyKind::Caller],
    page: include_str!("credential_misuse.rs"),
};

static NETWORK_PUBLIC_NEW: Class = Class::new("network_public_new", &META, CauseClass::CredentialMisused, new_from)
    .technique("T1550.001")
    .joined_by(KeyKind::Network);
static NETWORK_PUBLIC_KNOWN: Class = Class::new("network_public_known", &META, CauseClass::Unknown, new_from)
    .technique("T1550.001")
    .joined_by(KeyKind::Network);
static NETWORK_PRIVATE_FAR: Class = Class::new("network_private_far", &META, CauseClass::ServiceChanged, new_from)
    .technique("T1550.001")
    .joined_by(KeyKind::Network);
static NETWORK_PRIVATE_NEAR: Class = Class::new("network_private_near", &META, CauseClass::ServiceChanged, new_from)
    .technique("T1550.001")
    .joined_by(KeyKind::Network);
static NETWORK_HOSTING_NEW: Class = Class::new("network_hosting_new", &META, CauseClass::CredentialMisused, new_from)
    .technique("T1550.001")
    .joined_by(KeyKind::Network);
static COUNTRY_NEW: Class =
    Class::new("country_new", &META, CauseClass::CredentialMisused, new_from).technique("T1550.001");
static CLIENT_NEW: Class =
    Class::new("client_new", &META, CauseClass::Unknown, new_with).technique("T1550.001").joined_by(KeyKind::Client);
static CLIENT_TOOL: Class = Class::new("client_tool", &META, CauseClass::CredentialMisused, new_with)
    .technique("T1550.001")
    .joined_by(KeyKind::Client);
static CLIENT_KNOWN: Class =
    Class::new("client_known", &META, CauseClass::ServiceChanged, new_with).technique("T1550.001");
static CREDENTIAL_OF_ANOTHER: Class =
    Class::new("credential_of_another", &META, CauseClass::CredentialMisused, new_with)
        .technique("T1550.001")
        .joined_by(KeyKind::Credential);
static CREDENTIAL_NEW: Class =
    Class::new("credential_new", &META, CauseClass::ServiceChanged, new_with).technique("T1550.001");
static CREDENTIAL_DORMANT: Class =
    Class::new("credential_dormant", &META, CauseClass::CredentialMisused, new_with).technique("T1550.001");
static CREDENTIAL_BURST: Class =
    Class::new("credential_burst", &META, CauseClass::CredentialMisused, new_shown).technique("T1110.004");
static AUDIT_CREDENTIAL_NEW: Class =
    Class::new("credential_new", &META, CauseClass::ServiceChanged, new_with).technique("T1078.004").in_audit();
static AUDIT_CREDENTIAL_DORMANT: Class =
    Class::new("credential_dormant", &META, CauseClass::CredentialMisused, new_with).technique("T1078.004").in_audit();
static PRINCIPAL_NEW: Class =
    Class::new("principal_new", &META, CauseClass::Unknown, new_at).technique("T1078.004").in_audit();
static PRINCIPAL_NETWORK_NEW: Class = Class::new("principal_network_new", &META, CauseClass::CredentialMisused, new_at)
    .technique("T1078.004")
    .in_audit()
    .joined_by(KeyKind::Network);
static PRINCIPAL_NETWORK_KNOWN: Class =
    Class::new("principal_network_known", &META, CauseClass::CredentialMisused, new_at)
        .technique("T1078.004")
        .in_audit()
        .joined_by(KeyKind::Network);
static PRINCIPAL_CLIENT_NEW: Class = Class::new("principal_client_new", &META, CauseClass::CredentialMisused, new_at)
    .technique("T1078.004")
    .in_audit()
    .joined_by(KeyKind::Client);
static PRINCIPAL_CLIENT_KNOWN: Class =
    Class::new("principal_client_known", &META, CauseClass::Unknown, new_at).technique("T1078.004").in_audit();
static PRINCIPAL_CONSOLE_NEW: Class =
    Class::new("principal_console_new", &META, CauseClass::CredentialMisused, new_at).technique("T1078.004").in_audit();
static PRINCIPAL_FACTOR_LOST: Class =
    Class::new("principal_factor_lost", &META, CauseClass::CredentialMisused, new_at).technique("T1078.004").in_audit();
static REGION_NEW: Class =
    Class::new("region_new", &META, CauseClass::CredentialMisused, new_from).technique("T1078.004").in_audit();
static REGION_KNOWN: Class =
    Class::new("region_known", &META, CauseClass::CredentialMisused, new_from).technique("T1078.004").in_audit();

/// A credential where it never was.
pub(super) struct CredentialMisuse;

impl Detector for CredentialMisuse {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[
        &NETWORK_PUBLIC_NEW,
        &NETWORK_PUBLIC_KNOWN,
        &NETWORK_PRIVATE_FAR,
        &NETWORK_PRIVATE_NEAR,
        &NETWORK_HOSTING_NEW,
        &COUNTRY_NEW,
        &CLIENT_NEW,
        &CLIENT_TOOL,
        &CLIENT_KNOWN,
        &CREDENTIAL_OF_ANOTHER,
        &CREDENTIAL_NEW,
        &CREDENTIAL_DORMANT,
        &CREDENTIAL_BURST,
        &AUDIT_CREDENTIAL_NEW,
        &AUDIT_CREDENTIAL_DORMANT,
        &PRINCIPAL_NEW,
        &PRINCIPAL_NETWORK_NEW,
        &PRINCIPAL_NETWORK_KNOWN,
        &PRINCIPAL_CLIENT_NEW,
        &PRINCIPAL_CLIENT_KNOWN,
        &PRINCIPAL_CONSOLE_NEW,
        &PRINCIPAL_FACTOR_LOST,
        &REGION_NEW,
        &REGION_KNOWN,
    ];
    type Model = ();
    type Memory = ();
    type Part = ();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Contribution, Sentence};

    #[test]
    fn a_novelty_names_what_else_was_new() {
        let leading = Contribution {
            name: "credential_new".to_owned(),
            window: String::new(),
            observed: "a credential never seen: fp_7e00".to_owned(),
            baseline: "expected 0.2 times a day".to_owned(),
            observed_value: None,
            baseline_value: Some(0.2),
            unit: "times a day".to_owned(),
            share: 1.0,
            p_value: 0.2,
        };
        let also = ["a client that nobody here uses: evil".to_owned()];
        let sentence = |also: &[String]| {
            (CREDENTIAL_NEW.sentence)(&Sentence {
                class: &CREDENTIAL_NEW,
                is_rise: true,
                caller: "billing",
                vendor: "plaid",
                endpoint: None,
                leading: Some(&leading),
                also,
                has_others: true,
                sharing: None,
            })
        };
        let alone = "billing called plaid with a credential never seen: fp_7e00 (expected 0.2 times a day)";
        assert_eq!(sentence(&[]), alone);
        assert_eq!(sentence(&also), format!("{alone}; within the hour also a client that nobody here uses: evil"));
    }
}
