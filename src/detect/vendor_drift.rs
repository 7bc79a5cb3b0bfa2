//! A vendor answers differently: slower, larger or smaller, or with other outcomes for all who call it.
//!
//! # Finds
//! A latency shift, answers that grow or collapse to nothing, a part of the answers that turns empty or far larger while the mean
//! hardly moves, a rise of errors that several callers share.
//!
//! # Why it matters
//! The vendor is a black box that the company depends on; a changed answer may be a changed contract, a breach at the vendor, or
//! the first hour of an outage.
//!
//! # Misses
//! What is over within a quarter of an hour: it is a notice. Means that move by less than a quarter of what single calls vary by;
//! fewer than five server errors, or eight other failures or answers of an unusual size, above the expected; sizes of an endpoint from which
//! the caller had fewer than 100 answers; what changes in the content of answers.
//!
//! # Tuning
//! `alerts_per_day` in the pipeline file: three quarters of it are for the tests. A change that stays is followed by the
//! baselines within days; train again to learn it.
//!
//! # Example alert
//! `callers of plaid waited longer for it than usual: about 1.42 s a call over an hour, usually about 622 ms a call (2.3
//! times as much); its callers see it alike`
//!
//! # What to do first
//! 1. Look at the vendor's status page, and tell the callers.
//! 2. Compare an answer of today with one of before the change.
//! 3. If the vendor changed its contract on purpose, train again once the new level is a few days old.
//!
//! # When it is wrong
//! A vendor with a single caller: then the change is reported as the caller's. Shifts below a factor of two need an hour or two. It pages when a
//! change has lasted for 25 minutes (`detect::lasting`).
//!
//! # Source
//! Pooled means by endpoint; sizes outside of a Gaussian mixture (see `models::odd_sizes`); attribution by likelihood, effect and power (see
//! `detect::attribution`).

use super::sentence::shifted;
use super::{Analytic, Category, CauseClass, Change, Class, Detector, Impact, Meta, Sentence};

static META: Meta = Meta {
    name: "vendor_drift",
    title: "A vendor answers differently",
    category: Category::Drift,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("vendor_drift.rs"),
};

static LATENCY: Class =
    Class::new("latency", &META, CauseClass::Unknown, latency).of(Change::Own).explained_by_outage().if_it_lasts();
static LATENCY_OF_VENDOR: Class = Class::new("latency", &META, CauseClass::VendorChanged, latency)
    .of(Change::OfVendor)
    .explained_by_outage()
    .if_it_lasts();
static ANSWERS_FELL: Class =
    Class::new("bytes_in", &META, CauseClass::Unknown, answers).of(Change::OwnFall).explained_by_outage().if_it_lasts();
static ANSWERS_OF_VENDOR: Class = Class::new("bytes_in", &META, CauseClass::VendorChanged, answers)
    .of(Change::OfVendor)
    .explained_by_outage()
    .if_it_lasts();
static ODD_ANSWERS: Class = Class::new("odd_answers", &META, CauseClass::Unknown, odd_answers)
    .of(Change::Own)
    .explained_by_outage()
    .if_it_lasts();
static ODD_ANSWERS_OF_VENDOR: Class = Class::new("odd_answers", &META, CauseClass::VendorChanged, odd_answers)
    .of(Change::OfVendor)
    .explained_by_outage()
    .if_it_lasts();
static DENIED: Class = Class::new("denied", &META, CauseClass::VendorChanged, |of| {
    shifted(of, &format!("{} had more calls denied by {} than usual", of.who(), of.whom()))
})
.of(Change::OfVendor)
.explained_by_outage();
static CLIENT_ERROR: Class = Class::new("client_error", &META, CauseClass::VendorChanged, |of| {
    shifted(of, &format!("{} met more client errors at {} than usual", of.who(), of.whom()))
})
.of(Change::OfVendor)
.explained_by_outage()
.if_it_lasts();
static THROTTLED: Class = Class::new("throttled", &META, CauseClass::VendorChanged, |of| {
    shifted(of, &format!("{} had more calls throttled by {} than usual", of.who(), of.whom()))
})
.of(Change::OfVendor)
.explained_by_outage()
.if_it_lasts();
static SERVER_ERROR: Class = Class::new("server_error", &META, CauseClass::VendorChanged, |of| {
    shifted(of, &format!("{} met more server errors at {} than usual", of.who(), of.whom()))
})
.of(Change::OfVendor)
.explained_by_outage()
.if_it_lasts();

/// A vendor answers differently.
pub(super) struct VendorDrift;

impl Detector for VendorDrift {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[
        &LATENCY,
        &LATENCY_OF_VENDOR,
        &ANSWERS_FELL,
        &ANSWERS_OF_VENDOR,
        &ODD_ANSWERS,
        &ODD_ANSWERS_OF_VENDOR,
        &DENIED,
        &CLIENT_ERROR,
        &THROTTLED,
        &SERVER_ERROR,
    ];
    type Model = ();
    type Memory = ();
    type Part = ();
}

fn latency(of: &Sentence<'_>) -> String {
    let longer = if of.is_rise { "longer" } else { "less" };
    shifted(of, &format!("{} waited {longer} for {} than usual", of.who(), of.whom()))
}

fn answers(of: &Sentence<'_>) -> String {
    let size = if of.is_rise { "larger" } else { "smaller" };
    shifted(of, &format!("{} got {size} answers from {} than usual", of.who(), of.whom()))
}

fn odd_answers(of: &Sentence<'_>) -> String {
    shifted(of, &format!("{} got more answers of an unusual size from {} than usual", of.who(), of.whom()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Contribution, Sharing};

    fn slow(class: &'static Class, caller: &str, is_rise: bool) -> String {
        let leading = Contribution {
            name: class.name.to_owned(),
            window: "15m".to_owned(),
            observed: "about 1.64 s a call".to_owned(),
            baseline: "about 532 ms a call".to_owned(),
            observed_value: Some(1640.0),
            baseline_value: Some(532.0),
            unit: String::new(),
            share: 1.0,
            p_value: 1e-6,
        };
        (class.sentence)(&Sentence {
            class,
            is_rise,
            caller,
            vendor: "plaid",
            endpoint: None,
            leading: Some(&leading),
            also: &[],
            has_others: true,
            sharing: Some(Sharing::Own),
        })
    }

    #[test]
    fn a_shift_names_how_much_over_which_time_and_who_else_sees_it() {
        assert_eq!(
            slow(&LATENCY, "fraud-scorer", true),
            "fraud-scorer waited longer for plaid than usual: about 1.64 s a call over 15 minutes, \
             usually about 532 ms a call (3.1 times as much); its other callers do not see it"
        );
        assert_eq!(
            slow(&LATENCY_OF_VENDOR, "", true),
            "callers of plaid waited longer for it than usual: about 1.64 s a call over 15 minutes, \
             usually about 532 ms a call (3.1 times as much); its callers see it alike"
        );
    }

    #[test]
    fn what_all_callers_see_is_the_vendors_change_and_what_one_sees_may_be_its_own() {
        assert_eq!(LATENCY.cause_class, CauseClass::Unknown);
        assert_eq!(LATENCY_OF_VENDOR.cause_class, CauseClass::VendorChanged);
    }
}
