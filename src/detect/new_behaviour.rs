//! What a caller never did before, where that alone is hardly worth a page.
//!
//! # Finds
//! New endpoints and methods, first operations of a principal.
//!
//! # Why it matters
//! Alone it is a release; beside another finding of the same caller it is the story.
//!
//! # Misses
//! An endpoint that others here call already; a caller that is itself new (`new_destination` and `credential_misuse` tell
//! of it).
//!
//! # Tuning
//! A class pages if it is expected no more often than 0.09 times `alerts_per_day`, and all together a quarter of it. Alone
//! it is a notice.
//!
//! # Example alert
//! `geo-svc called a writing endpoint that nobody here has called: POST /maps/api/geocode/json, at google (expected 0.15
//! times a day)`
//!
//! # What to do first
//! 1. Ask the caller's owner whether a release brings it.
//! 2. If another alert names the same caller, read the two together.
//!
//! # When it is wrong
//! Most of the time, which is why it seldom pages.
//!
//! # Source
//! First-seen events as rates (see `models::novelty`).

use super::sentence::{new_at, new_endpoint};
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "new_behaviour",
    title: "First call of its kind",
    category: Category::Drift,
    impact: Impact::Low,
    analytic: Analytic::Behavioural,
    correlates: &[],
    page: include_str!("new_behaviour.rs"),
};

static ENDPOINT_WRITE: Class = Class::new("endpoint_write", &META, CauseClass::ServiceChanged, new_endpoint);
static ENDPOINT_READ: Class = Class::new("endpoint_read", &META, CauseClass::ServiceChanged, new_endpoint);
static METHOD_NEW: Class = Class::new("method_new", &META, CauseClass::ServiceChanged, new_at);
static OPERATION_LOGIN: Class = Class::new("operation_login", &META, CauseClass::ServiceChanged, new_at).in_audit();
static OPERATION_LIST: Class = Class::new("operation_list", &META, CauseClass::ServiceChanged, new_at).in_audit();
static OPERATION_READ: Class = Class::new("operation_read", &META, CauseClass::ServiceChanged, new_at).in_audit();
static OPERATION_IDENTITY: Class =
    Class::new("operation_identity", &META, CauseClass::ServiceChanged, new_at).in_audit();
static OPERATION_USE: Class = Class::new("operation_use", &META, CauseClass::ServiceChanged, new_at).in_audit();
static OPERATION_WRITE: Class = Class::new("operation_write", &META, CauseClass::ServiceChanged, new_at).in_audit();

/// New, and seldom more than that.
pub(super) struct NewBehaviour;

impl Detector for NewBehaviour {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[
        &ENDPOINT_WRITE,
        &ENDPOINT_READ,
        &METHOD_NEW,
        &OPERATION_LOGIN,
        &OPERATION_LIST,
        &OPERATION_READ,
        &OPERATION_IDENTITY,
        &OPERATION_USE,
        &OPERATION_WRITE,
    ];
    type Model = ();
    type Memory = ();
    type Part = ();
}
