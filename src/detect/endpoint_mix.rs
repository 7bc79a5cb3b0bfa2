//! One endpoint takes far more of a caller's calls than it usually does.
//!
//! # Finds
//! A sweep through one collection, an export endpoint called over and over, a job that loops.
//!
//! # Why it matters
//! A stolen key is used for what its owner never needed much of; the mix shows it while the volume is still ordinary.
//!
//! # Misses
//! Fewer than five calls above the expected; endpoints with fewer than twenty calls in training (those are first-seen events);
//! callers that are still judged by their peers; anything slower than six hours.
//!
//! # Tuning
//! `alerts_per_day` in the pipeline file: three quarters of it are for the tests.
//!
//! # Example alert
//! `support-portal called POST /contacts at intercom more than usual: 34 calls of POST /contacts over 6 hours, usually 18.8
//! (1.8 times as much)`
//!
//! # What to do first
//! 1. Ask the caller's owner which release or job uses the endpoint; if nobody knows, rotate the credential.
//! 2. See whether the calls walk through ids or pages: that is a sweep.
//!
//! # When it is wrong
//! A release that moves work from one endpoint to another.
//!
//! # Source
//! Negative binomial deviance of the endpoint's calls given the pair's (see `models::statistic`).

use super::sentence::shifted;
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "endpoint_mix",
    title: "Other endpoints than usual",
    category: Category::Abuse,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("endpoint_mix.rs"),
};

static ENDPOINT_MIX: Class = Class::new("endpoint_mix", &META, CauseClass::Unknown, |of| {
    let endpoint = of.endpoint.unwrap_or("one endpoint");
    shifted(of, &format!("{} called {endpoint} at {} more than usual", of.who(), of.whom()))
})
.technique("T1213")
.explained_by_outage();

/// One endpoint takes more of the calls.
pub(super) struct EndpointMix;

impl Detector for EndpointMix {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&ENDPOINT_MIX];
    type Model = ();
    type Memory = ();
    type Part = ();
}
