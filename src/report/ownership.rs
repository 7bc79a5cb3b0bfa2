//! Who answers for a vendor, when it is due to be reviewed, and which kinds of data it is sent and answers with.
//!
//! Not here: what is declared of vendors (`catalog::annotations`).

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Serialize;

use super::time::day_number;
use crate::catalog::annotations::{Annotation, Annotations};
use crate::catalog::{Facts, Period, VendorFacts};

/// Days before a review on which it is said to be due soon.
const SOON_DAYS: i64 = 30;

/// Owners and reviews.
#[derive(Debug, Serialize)]
pub(super) struct Ownership {
    /// Vendors with calls in the period that nobody answers for, those with most calls first.
    pub without_owner: Vec<String>,
    /// Vendors with calls in the period, the most urgent review first.
    pub vendors: Vec<Owned>,
}

/// A vendor and what is declared of it.
#[derive(Debug, Serialize)]
pub(super) struct Owned {
    pub vendor: String,
    pub owner: Option<String>,
    pub contract: Option<String>,
    pub purpose: Option<String>,
    pub review: Option<String>,
    /// `overdue`, `soon`, `planned`, `none`.
    pub state: &'static str,
}

/// Kinds of data of a vendor.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    pub vendor: String,
    pub category: String,
    /// Classes of data that it was sent, and those that only its answers had.
    pub classes: BTreeSet<String>,
    pub content_types: BTreeSet<String>,
    pub regions: BTreeSet<String>,
    /// Schemes and TLS versions.
    pub transport: Vec<String>,
    pub writes: bool,
    pub bytes_out: i64,
}

/// Vendors with calls in the period, those with most calls first.
fn called(facts: &Facts) -> Vec<(&String, &VendorFacts)> {
    let mut vendors: Vec<_> = facts.vendors.iter().filter(|(_, vendor)| vendor.span.calls > 0).collect();
    vendors.sort_by_key(|(name, vendor)| (-vendor.span.calls, *name));
    vendors
}

impl Ownership {
    pub fn of(facts: &Facts, declared: &Annotations) -> Self {
        let today = facts.newest.map_or(facts.period.last, Period::day_of);
        let nothing = Annotation::default();
        let owned = |(name, _): (&String, &VendorFacts)| {
            let known = declared.vendors.get(name).unwrap_or(&nothing);
            Owned {
                vendor: name.clone(),
                owner: known.owner.clone(),
                contract: known.contract.clone(),
                purpose: known.purpose.clone(),
                review: known.review.map(|review| review.to_string()),
                state: state(known.review, today),
            }
        };
        let mut vendors: Vec<Owned> = called(facts).into_iter().map(owned).collect();
        let without_owner = vendors.iter().filter(|one| one.owner.is_none()).map(|one| one.vendor.clone()).collect();
        let rank = |one: &Owned| ["overdue", "soon", "none", "planned"].iter().position(|state| *state == one.state);
        vendors.sort_by(|a, b| (rank(a), &a.review).cmp(&(rank(b), &b.review)));
        Self { without_owner, vendors }
    }

    /// Vendors whose review is in a state.
    pub fn count(&self, state: &str) -> usize {
        self.vendors.iter().filter(|one| one.state == state).count()
    }
}

fn state(review: Option<Date>, today: i64) -> &'static str {
    match review.map(|review| day_number(review) - today) {
        None => "none",
        Some(left) if left < 0 => "overdue",
        Some(left) if left <= SOON_DAYS => "soon",
        Some(_) => "planned",
    }
}

impl Data {
    /// Of each vendor that was called. The one place where classes of data are read.
    pub fn of(facts: &Facts) -> Vec<Self> {
        let row = |(name, vendor): (&String, &VendorFacts)| {
            let values = |kind: &str| vendor.traits.get(kind).cloned().unwrap_or_default();
            let sent = values("sent");
            let received = values("received").into_iter().filter(|class| !sent.contains(class));
            let received = received.map(|class| format!("{class} (received)")).collect::<Vec<_>>();
            let tls = values("tls_version").into_iter().map(|version| format!("TLS {version}"));
            Self {
                vendor: name.clone(),
                category: vendor.category.clone(),
                classes: sent.into_iter().chain(received).collect(),
                content_types: values("content_type"),
                regions: values("region"),
                transport: values("scheme").into_iter().chain(tls).collect(),
                writes: vendor.writes,
                bytes_out: vendor.span.bytes_out,
            }
        };
        called(facts).into_iter().map(row).collect()
    }
}
