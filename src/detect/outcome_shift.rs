//! The answers of one caller change: more denials, client errors, throttling or failures than its calls usually meet.
//!
//! # Finds
//! Enumeration (404 after 404), credential stuffing and spray (401), a key that lost its rights (403), a client that outruns
//! its limits (429), an endpoint that broke for this caller alone.
//!
//! # Why it matters
//! An intruder does not know what a credential may do, and tries.
//!
//! # Misses
//! Fewer than eight failures above the expected (five server errors); failures that are usual for the endpoint; a walk through ids that all
//! exist. Server errors that are over within a quarter of an hour, and for two hours after a release of the caller's own failures of less than
//! a fifth of its calls, are notices; denied calls never are.
//!
//! # Tuning
//! `alerts_per_day` in the pipeline file: three quarters of it are for the tests.
//!
//! # Example alert
//! `crm-sync met more client errors at hubspot than usual: 45 client errors over 15 minutes, usually 0.87 (52 times as
//! much); its other callers are too quiet to tell whether they see it`
//!
//! # What to do first
//! 1. See which status and which endpoint: 401 and 403 are about the credential, 404 about what is tried, 429 about pace,
//!    5xx about the vendor.
//! 2. Ask the caller's owner for a release at that time; if there is none, take denied calls for an intruder's and rotate
//!    the credential.
//!
//! # When it is wrong
//! A release that nobody sees in the client's version. Where all callers of the vendor see it, it is `vendor_drift`.
//!
//! # Source
//! Negative binomial deviance of the count given the number of calls (see `models::statistic`).

use super::sentence::shifted;
use super::{Analytic, Category, CauseClass, Change, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "outcome_shift",
    title: "Calls end differently than usual",
    category: Category::Abuse,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("outcome_shift.rs"),
};

static DENIED: Class = Class::new("denied", &META, CauseClass::CredentialMisused, |of| {
    shifted(of, &format!("{} had more calls denied by {} than usual", of.who(), of.whom()))
})
.technique("T1110")
.of(Change::Own)
.explained_by_outage();
static CLIENT_ERROR: Class = Class::new("client_error", &META, CauseClass::Unknown, |of| {
    shifted(of, &format!("{} met more client errors at {} than usual", of.who(), of.whom()))
})
.technique("T1119")
.of(Change::Own)
.explained_by_outage();
static THROTTLED: Class = Class::new("throttled", &META, CauseClass::ServiceChanged, |of| {
    shifted(of, &format!("{} had more calls throttled by {} than usual", of.who(), of.whom()))
})
.technique("T1499")
.of(Change::Own)
.explained_by_outage();
static SERVER_ERROR: Class = Class::new("server_error", &META, CauseClass::ServiceChanged, |of| {
    shifted(of, &format!("{} met more server errors at {} than usual", of.who(), of.whom()))
})
.of(Change::Own)
.explained_by_outage()
.if_it_lasts();

/// The answers of one caller change.
pub(super) struct OutcomeShift;

impl Detector for OutcomeShift {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&DENIED, &CLIENT_ERROR, &THROTTLED, &SERVER_ERROR];
    type Model = ();
    type Memory = ();
    type Part = ();
}
