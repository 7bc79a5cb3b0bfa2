//! A new pair of caller and vendor that calls at fixed intervals.
//!
//! # Finds
//! Calls to a destination that this caller never called before, at even intervals: an implant that reports home, a mailbox or
//! a paste that is polled for orders.
//!
//! # Why it matters
//! Command channels hide among thousands of ordinary destinations; few of those are called every 60 seconds by somebody who
//! never called them before.
//!
//! # Misses
//! Intervals below five seconds (a burst of work) or with more than a quarter of jitter, a beacon to a vendor that the caller
//! uses anyway, and anything before thirteen calls: half an hour at one call in two minutes.
//!
//! # Tuning
//! A benign poller is reported once and never again. The rate before any history is one in twenty days.
//!
//! # Example alert
//! `report-gen at updates.example: a new pair of caller and vendor that calls at fixed intervals: updates.example,
//! every 60 s (expected 0.05 times a day)`
//!
//! # What to do first
//! 1. Find the process on the caller that calls the destination, and who deployed it; if nobody did, isolate the host
//!    before it is stopped.
//! 2. Look up who owns the domain and how old it is.
//! 3. Ask whether other callers call it: `apiwarden catalog callers --vendor NAME`.
//!
//! # When it is wrong
//! A new integration that polls, deployed without a word: which the catalogue wants to know of as well.
//!
//! # Source
//! Regularity of intervals (see `models::novelty`, beacons), after RITA.

use super::sentence::new_at;
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "beacon",
    title: "Calls at fixed intervals to a new destination",
    category: Category::Exfiltration,
    impact: Impact::High,
    analytic: Analytic::Behavioural,
    correlates: &[],
    page: include_str!("beacon.rs"),
};

static BEACON: Class = Class::new("beacon", &META, CauseClass::DataLeft, new_at).technique("T1071.001");

/// Calls at fixed intervals to where this caller never called before.
pub(super) struct Beacon;

impl Detector for Beacon {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&BEACON];
    type Model = ();
    type Memory = ();
    type Part = ();
}
