//! Calls at an hour of the day at which the caller never called.
//!
//! # Finds
//! An office tool at three in the morning, a weekday job on a Sunday: an hour (of weekdays or of weekends, UTC) in which, and
//! in the hours beside which, the caller was never seen.
//!
//! # Why it matters
//! A thief works when the owner sleeps.
//!
//! # Misses
//! Callers that work around the clock have no odd hour.
//!
//! # Tuning
//! Alone it is a notice. It pages together with another novelty of the same caller within the hour (a new network, a new
//! client), whose rates multiply.
//!
//! # Example alert
//! `10.55.200.11 at windowsupdate.com: an hour of the day at which the caller never called: 07 h (expected 0.58 times a
//! day)`
//!
//! # What to do first
//! 1. Ask the caller's owner whether they or a job worked at that time.
//! 2. Look for other novelties of the caller within the hour: a new network or client makes it grave.
//!
//! # When it is wrong
//! On-call work, a release by night, a change of summer time for callers that keep to the minute.
//!
//! # Source
//! First-seen events as rates (see `models::novelty`).

use super::sentence::new_at;
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "odd_hours",
    title: "Calls at an hour never worked",
    category: Category::Abuse,
    impact: Impact::Low,
    analytic: Analytic::Behavioural,
    correlates: &[],
    page: include_str!("odd_hours.rs"),
};

static HOUR_NEW: Class = Class::new("hour_new", &META, CauseClass::Unknown, new_at).technique("T1078");

/// At an hour never worked.
pub(super) struct OddHours;

impl Detector for OddHours {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&HOUR_NEW];
    type Model = ();
    type Memory = ();
    type Part = ();
}
