//! Far more than usual, now: larger requests or larger answers.
//!
//! # Finds
//! A bulk upload to a known vendor (bytes a call, or one huge call), a bulk export (answers far larger than the endpoint's
//! usual), an upload that is spread thin (the mean over a day).
//!
//! # Why it matters
//! Data that leaves does so as bytes.
//!
//! # Misses
//! Means that move by less than a quarter of what single calls vary by; a single call below 1 MiB; more calls of the usual
//! size (`call_volume`); a rise that takes more than a day (`slow_leak`).
//!
//! # Tuning
//! `alerts_per_day` in the pipeline file: three quarters of it are for the tests. A backfill that was learned from hides
//! others like it: leave it out with `train --exclude`.
//!
//! # Example alert
//! `payroll-svc sent dropbox larger requests than usual: about 40.1 kB a call over an hour, usually about 23 kB a call (1.7
//! times as much); its other callers do not see it`
//!
//! # What to do first
//! 1. Ask the caller's owner what was sent or fetched; if nobody knows, block the caller's way to the vendor and rotate
//!    the credential.
//! 2. Compare the first unusual call with deployments of the caller at that time.
//! 3. Follow the trace ids of the alert to the data that the calls carried.
//!
//! # When it is wrong
//! A backfill that sends larger objects through the same endpoint. More calls of the usual size are no burst: see
//! `call_volume`.
//!
//! # Source
//! Means by endpoint with day-to-day dispersion; largest of n (see `models::statistic`).

use super::sentence::shifted;
use super::{Analytic, Category, CauseClass, Change, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "burst",
    title: "Far more than usual",
    category: Category::Exfiltration,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("burst.rs"),
};

static BYTES_OUT: Class = Class::new("bytes_out", &META, CauseClass::DataLeft, |of| {
    let size = if of.is_rise { "larger" } else { "smaller" };
    shifted(of, &format!("{} sent {} {size} requests than usual", of.who(), of.whom()))
})
.technique("T1567");
static BYTES_OUT_MAX: Class = Class::new("bytes_out_max", &META, CauseClass::DataLeft, |of| {
    shifted(of, &format!("{} sent {} one request far larger than usual", of.who(), of.whom()))
})
.technique("T1567");
static BYTES_IN: Class = Class::new("bytes_in", &META, CauseClass::DataLeft, |of| {
    shifted(of, &format!("{} got larger answers from {} than usual", of.who(), of.whom()))
})
.technique("T1530")
.of(Change::OwnRise)
.explained_by_outage();
static BYTES_IN_MAX: Class = Class::new("bytes_in_max", &META, CauseClass::DataLeft, |of| {
    shifted(of, &format!("{} got one answer from {} far larger than usual", of.who(), of.whom()))
})
.technique("T1530");

/// Far more than usual, now.
pub(super) struct Burst;

impl Detector for Burst {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&BYTES_OUT, &BYTES_OUT_MAX, &BYTES_IN, &BYTES_IN_MAX];
    type Model = ();
    type Memory = ();
    type Part = ();
}
