//! Failed sign-ins over the company: many tries, or few tries at many entities.
//!
//! # Finds
//! Bursts of failed sign-ins, and sprays of one try an account that are paced over a day.
//!
//! # Why it matters
//! One try an account locks nobody out, and among a thousand accounts one password is guessed.
//!
//! # Misses
//! A spray slower than the company's usual failures a day. Sign-ins at an identity provider whose log is not read.
//!
//! # Tuning
//! `alerts_per_day`: a tenth of it is the most that an audit alarm may cost; what pages is set by a replay of the history.
//!
//! # Example alert
//! `callers of aws at it: more entities with failed sign-ins than usual: 5 entities with failed sign-ins over a day, usually 0.59`
//!
//! # What to do first
//! 1. Find the network that the failed sign-ins come from, and block it at the identity provider.
//! 2. Look for a sign-in that succeeded from there: that account's password is lost.
//! 3. Force a second factor for the accounts that were tried.
//!
//! # When it is wrong
//! The day on which passwords expire, or the identity provider is broken.
//!
//! # Source
//! Counts of the company against its own history; a failed sign-in says nothing of the one whom it names.

use super::sentence::counted;
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "password_spray",
    title: "Failed sign-ins over the company",
    category: Category::Abuse,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("password_spray.rs"),
};

static FAILED_SIGN_INS: Class =
    Class::new("failed_sign_ins", &META, CauseClass::CredentialMisused, counted).technique("T1110").in_audit();
static FAILING_ACCOUNTS: Class =
    Class::new("failing_accounts", &META, CauseClass::CredentialMisused, counted).technique("T1110.003").in_audit();

/// Failed sign-ins.
pub(super) struct PasswordSpray;

impl Detector for PasswordSpray {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&FAILED_SIGN_INS, &FAILING_ACCOUNTS];
    type Model = ();
    type Memory = ();
    type Part = ();
}
