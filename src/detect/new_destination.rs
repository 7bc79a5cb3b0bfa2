//! A vendor that nobody here has called before, or that this caller has not.
//!
//! # Finds
//! An upload to a destination never seen, a service that begins to talk to somebody else's vendor.
//!
//! # Why it matters
//! Data leaves most easily to where nobody looks yet.
//!
//! # Misses
//! A known vendor's other customers: an upload to somebody else's bucket at a vendor that the caller uses anyway. Vendors
//! are distinguished by their registrable domain.
//!
//! # Tuning
//! A class pages if it is expected no more often than 0.09 times `alerts_per_day`, and all together a quarter of it. A
//! first call to a vendor that others here use is a notice at a budget of one alert a day.
//!
//! # Example alert
//! `support-portal called transfer.sh, a vendor that nobody here has called before (expected 0.03 times a day)`
//!
//! # What to do first
//! 1. Ask the caller's owner whether the vendor is meant; if nobody knows it, block the caller's way to it.
//! 2. See what was sent: bytes, endpoints and classes of data.
//! 3. If it is meant, name an owner with `apiwarden catalog annotate`, and have the vendor reviewed.
//!
//! # When it is wrong
//! A new integration that nobody announced: which the catalogue wants to know of as well.
//!
//! # Source
//! First-seen events as rates (see `models::novelty`).

use super::sentence::{new_said, new_vendor};
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, KeyKind, Meta};

static META: Meta = Meta {
    name: "new_destination",
    title: "First call to a vendor",
    category: Category::Exfiltration,
    impact: Impact::Medium,
    analytic: Analytic::Behavioural,
    correlates: &[KeyKind::Caller],
    page: include_str!("new_destination.rs"),
};

static VENDOR_NEW: Class =
    Class::new("vendor_new", &META, CauseClass::DataLeft, new_vendor).technique("T1567").joined_by(KeyKind::Vendor);
static VENDOR_NEW_DROP: Class = Class::new("vendor_new_drop", &META, CauseClass::DataLeft, new_vendor)
    .technique("T1567")
    .joined_by(KeyKind::Vendor);
static PAIR_NEW: Class = Class::new("pair_new", &META, CauseClass::ServiceChanged, |of| {
    new_said(of, &format!("{} called {} for the first time, a vendor that others use", of.who(), of.vendor))
})
.technique("T1567");

/// A vendor never seen.
pub(super) struct NewDestination;

impl Detector for NewDestination {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&VENDOR_NEW, &VENDOR_NEW_DROP, &PAIR_NEW];
    type Model = ();
    type Memory = ();
    type Part = ();
}
