//! The inventory: vendors, and what is new and gone.
//!
//! What the catalogue met in its first week counts as known: it was there before the logs.
//!
//! Not here: owners and classes of data (`ownership`).

use serde::Serialize;

use super::time::{date, moment};
use crate::catalog::{Facts, Known, Novel, Span, VendorFacts};
use crate::rules::Policy;

/// What is called, and what changed.
#[derive(Debug, Serialize)]
pub(super) struct Inventory {
    /// The first call of the catalogue.
    pub catalogue_begins: Option<String>,
    /// From when on something counts as new.
    pub new_from: String,
    pub totals: Vec<Total>,
    /// Those with most calls in the period first.
    pub vendors: Vec<Vendor>,
    /// The newest first, by kind.
    pub changes: Vec<Change>,
    /// By day of the period.
    pub days: Vec<Day>,
}

/// How many things of a kind there are.
#[derive(Debug, Serialize)]
pub(super) struct Total {
    pub kind: &'static str,
    pub known: usize,
    pub new: usize,
    /// Called before the period and not within; `null` where the catalogue cannot tell.
    pub gone: Option<usize>,
}

/// A vendor.
#[derive(Debug, Serialize)]
pub(super) struct Vendor {
    pub vendor: String,
    pub category: String,
    pub callers: usize,
    pub credentials: usize,
    pub endpoints: usize,
    /// Calls within the period.
    pub calls: i64,
    pub failed: i64,
    pub bytes_out: i64,
    pub first_seen: String,
    pub last_seen: String,
    pub is_new: bool,
    /// `yes`, `no`, or `for some` of its callers; `null` where no policy approves vendors.
    pub approved: Option<&'static str>,
}

/// Something new, or gone.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub change: &'static str,
    pub kind: &'static str,
    pub name: String,
    pub vendor: String,
    /// When it was called for the first time, or the last.
    pub time: String,
}

/// Calls of a day.
#[derive(Debug, Serialize)]
pub(super) struct Day {
    pub day: String,
    pub calls: i64,
    pub failed: i64,
}

impl Inventory {
    pub fn of(facts: &Facts, policy: Option<&Policy>) -> Self {
        let (mut totals, mut changes) = (Vec::new(), Vec::new());
        let vendors = facts.vendors.iter().map(|(name, vendor)| (name.clone(), String::new(), &vendor.span));
        compare(facts, "vendor", vendors, &mut totals, &mut changes);
        let callers = facts.callers.iter().map(|(name, caller)| (name.clone(), String::new(), &caller.span));
        compare(facts, "caller", callers, &mut totals, &mut changes);
        let credentials = facts.credentials.iter().map(|(name, credential)| {
            let vendors: Vec<&str> = credential.vendors.iter().map(String::as_str).collect();
            (name.clone(), vendors.join(" "), &credential.span)
        });
        compare(facts, "credential", credentials, &mut totals, &mut changes);
        let pairs = facts.pairs.iter().map(|((caller, vendor), span)| (caller.clone(), vendor.clone(), span));
        compare(facts, "pair", pairs, &mut totals, &mut changes);
        count("host", &facts.hosts, &mut totals, &mut changes);
        count("endpoint", &facts.endpoints, &mut totals, &mut changes);
        Self {
            catalogue_begins: facts.begin.map(moment),
            new_from: date(facts.novel_from),
            totals,
            vendors: vendors_of(facts, policy),
            changes,
            days: facts
                .days_known()
                .map(|day| {
                    let calls = facts.days.get(&day).copied().unwrap_or_default();
                    Day { day: super::time::day(day), calls: calls.calls, failed: calls.failed }
                })
                .collect(),
        }
    }

    /// New things of a kind.
    pub fn new_of(&self, kind: &str) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.change == "new" && change.kind == kind)
    }
}

/// What is new and what is gone of things with spans: name, vendor, span.
fn compare<'a>(
    facts: &Facts,
    kind: &'static str,
    things: impl Iterator<Item = (String, String, &'a Span)>,
    totals: &mut Vec<Total>,
    changes: &mut Vec<Change>,
) {
    let mut found: Vec<(bool, i64, Change)> = Vec::new();
    let mut known = 0;
    for (name, vendor, span) in things {
        known += 1;
        let is_new = span.first_seen >= facts.novel_from;
        if !is_new && span.last_seen >= facts.period.start() {
            continue;
        }
        let (change, time) = if is_new { ("new", span.first_seen) } else { ("gone", span.last_seen) };
        found.push((!is_new, -time, Change { change, kind, name, vendor, time: moment(time) }));
    }
    found.sort_by(|a, b| (a.0, a.1, &a.2.name, &a.2.vendor).cmp(&(b.0, b.1, &b.2.name, &b.2.vendor)));
    let gone = found.iter().filter(|change| change.0).count();
    totals.push(Total { kind, known, new: found.len() - gone, gone: Some(gone) });
    changes.extend(found.into_iter().map(|change| change.2));
}

fn count(kind: &'static str, known: &Known, totals: &mut Vec<Total>, changes: &mut Vec<Change>) {
    totals.push(Total { kind, known: known.known, new: known.new, gone: None });
    changes.extend(known.newest.iter().map(|Novel { vendor, name, first_seen }| Change {
        change: "new",
        kind,
        name: name.clone(),
        vendor: vendor.clone(),
        time: moment(*first_seen),
    }));
}

fn vendors_of(facts: &Facts, policy: Option<&Policy>) -> Vec<Vendor> {
    let row = |(name, vendor): (&String, &VendorFacts)| {
        let is_approved = |caller: &String| policy.and_then(|policy| policy.approves(caller, name));
        let answers: Vec<bool> = vendor.callers.iter().filter_map(is_approved).collect();
        let approved = match (answers.contains(&true), answers.contains(&false)) {
            (false, false) => None,
            (true, false) => Some("yes"),
            (false, true) => Some("no"),
            (true, true) => Some("for some"),
        };
        Vendor {
            vendor: name.clone(),
            category: vendor.category.clone(),
            callers: vendor.callers.len(),
            credentials: vendor.credentials,
            endpoints: vendor.endpoints,
            calls: vendor.span.calls,
            failed: vendor.span.failed,
            bytes_out: vendor.span.bytes_out,
            first_seen: moment(vendor.span.first_seen),
            last_seen: moment(vendor.span.last_seen),
            is_new: vendor.span.first_seen >= facts.novel_from,
            approved: approved.filter(|_| vendor.span.is_egress),
        }
    };
    let mut vendors: Vec<Vendor> = facts.vendors.iter().map(row).collect();
    vendors.sort_by(|a, b| (-a.calls, &a.vendor).cmp(&(-b.calls, &b.vendor)));
    vendors
}
