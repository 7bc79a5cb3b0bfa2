//! Plaintext HTTP, or a TLS version that is broken, to a vendor that is called better.
//!
//! # Finds
//! `http://` where it was `https://`, TLS below 1.2.
//!
//! # Why it matters
//! The key and the data are there for everybody on the way to read.
//!
//! # Misses
//! Logs that hold neither scheme nor TLS version; weak ciphers and certificates; what was plaintext already in the history.
//!
//! # Tuning
//! A class pages if it is expected no more often than 0.09 times `alerts_per_day`, and all together a quarter of it.
//!
//! # Example alert
//! `geo-svc called google over plaintext HTTP, a vendor that is called over TLS (expected 0.03 times a day)`
//!
//! # What to do first
//! 1. Find where the caller's address or TLS setting comes from, and set it to `https` with TLS 1.2 or later.
//! 2. If credentials went in plaintext, rotate them.
//!
//! # When it is wrong
//! A health check that redirects. It is still worth mending.
//!
//! # Source
//! First-seen events as rates (see `models::novelty`).

use super::sentence::{new_over, new_said};
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "weak_transport",
    title: "Plaintext or outdated TLS",
    category: Category::Governance,
    impact: Impact::Medium,
    analytic: Analytic::Rule,
    correlates: &[],
    page: include_str!("weak_transport.rs"),
};

static PLAINTEXT: Class = Class::new("plaintext", &META, CauseClass::ServiceChanged, |of| {
    new_said(of, &format!("{} called {} over plaintext HTTP, a vendor that is called over TLS", of.who(), of.vendor))
})
.technique("T1040");
static TLS_OLD: Class = Class::new("tls_old", &META, CauseClass::ServiceChanged, new_over).technique("T1040");

/// Plaintext or old TLS.
pub(super) struct WeakTransport;

impl Detector for WeakTransport {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&PLAINTEXT, &TLS_OLD];
    type Model = ();
    type Memory = ();
    type Part = ();
}
