//! An endpoint that answers with a content type that it never answered with.
//!
//! # Finds
//! HTML from a JSON API (a captive portal, a proxy's login page, a consent screen, a parked domain after a takeover), a file where
//! there was a document, a vendor that moved to another format.
//!
//! # Why it matters
//! Who answers in place of the vendor seldom speaks its format; and a client that parses what it did not expect fails, or worse,
//! does not.
//!
//! # Misses
//! Logs without the media type of answers; endpoints with fewer than 100 good answers in the history; a forger who keeps the type.
//! Error pages are left out: only answers to calls that succeeded count.
//!
//! # Tuning
//! It never pages: how often endpoints change their type is learned, but nothing of `alerts_per_day` is set aside for it.
//!
//! # Example alert
//! `geo-svc got answers of a new content type from GET /maps/api/geocode/json at google: 12 answers of text/html over 5 minutes, usually application/json`
//!
//! # What to do first
//! 1. Call the endpoint by hand from a trusted network, and compare the answer with what the caller got.
//! 2. If only one network gets it, look for a proxy or portal between; if all do, ask the vendor.
//!
//! # When it is wrong
//! A vendor that adds a format, an export that is asked for as CSV for the first time.
//!
//! # Source
//! The types of each endpoint's good answers in the history. How often an endpoint shows a further one is counted there, as a rate a
//! day with the weight of ten days without: `rate = (times + 1) / (days + 10)`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::sentence::measured;
use super::{
    Analytic, Candidate, Category, CauseClass, Change, Class, Context, Contribution, Detector, Impact, Meta, Own,
    Sentence,
};
use crate::calls::{Dimension, Measure, Name, View, combine};
use crate::features::{Entity, WINDOWS};
use crate::rollup::{Row, day_of};

/// Good answers of an endpoint in the history from which its types are known.
const MIN_ANSWERS: i64 = 100;
/// Weight of no further type, in days.
const PRIOR_DAYS: f64 = 10.0;
/// Endpoints with a type each that are remembered as reported, the newest.
const MAX_REPORTED: usize = 10_000;
/// Types that the usual ones are named by.
const MAX_NAMED: usize = 3;

static META: Meta = Meta {
    name: "content_type",
    title: "Answers of a new content type",
    category: Category::Drift,
    impact: Impact::Medium,
    analytic: Analytic::Behavioural,
    correlates: &[],
    page: include_str!("content_type.rs"),
};

static OF_CALLER: Class = Class::new("content_type_new", &META, CauseClass::Unknown, sentence).of(Change::Own);
static OF_VENDOR: Class =
    Class::new("content_type_new", &META, CauseClass::VendorChanged, sentence).of(Change::OfVendor);

/// Answers of a type never seen.
pub(super) struct ContentType;

impl Detector for ContentType {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&OF_CALLER, &OF_VENDOR];
    type Model = Types;
    type Memory = Reported;
    type Part = ();

    fn fit(rows: &[Row]) -> Types {
        Types::learn(rows)
    }

    fn close(context: &Context<'_>, rows: &[Row], own: Own<'_, Self>) -> Vec<Candidate> {
        let found = new_types(own.model, rows);
        let unreported = found.iter().filter(|new| own.memory.report(new.key, context.bucket));
        unreported.map(|new| candidate(new, own.model)).collect()
    }
}

/// The types of good answers, by endpoint of a vendor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Types {
    known: BTreeMap<u64, BTreeSet<Name>>,
    /// Days of the history, and how often an endpoint showed a further type in them.
    days: f64,
    times: f64,
}

impl Types {
    /// From rows in the order of their buckets.
    fn learn(rows: &[Row]) -> Self {
        let mut answers: BTreeMap<u64, (i64, BTreeSet<Name>)> = BTreeMap::new();
        let mut times = 0.0;
        for (endpoint, content_type, ok, _) in rows.iter().filter_map(answers_of) {
            let (count, types) = answers.entry(endpoint).or_default();
            if types.insert(content_type.clone()) && *count >= MIN_ANSWERS {
                times += 1.0;
            }
            *count += ok;
        }
        let days =
            rows.first().zip(rows.last()).map_or(0, |(first, last)| day_of(last.bucket) - day_of(first.bucket) + 1);
        let known = answers.into_iter().filter(|(_, (count, _))| *count >= MIN_ANSWERS);
        Self { known: known.map(|(endpoint, (_, types))| (endpoint, types)).collect(), days: days as f64, times }
    }

    /// Times a day that an endpoint shows a further type.
    fn rate(&self) -> f64 {
        (self.times + 1.0) / (self.days + PRIOR_DAYS)
    }
}

/// What was reported: the bucket that showed it last, by endpoint and type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reported(BTreeMap<u64, i64>);

impl Reported {
    /// Whether it is reported now: once.
    fn report(&mut self, key: u64, bucket: i64) -> bool {
        let is_new = self.0.insert(key, bucket).is_none();
        if self.0.len() > MAX_REPORTED {
            let oldest = self.0.iter().min_by_key(|(_, bucket)| **bucket).map(|(key, _)| *key);
            oldest.and_then(|key| self.0.remove(&key));
        }
        is_new
    }
}

/// Good answers of a type that their endpoint never answered with.
#[derive(Clone, Debug, PartialEq)]
struct NewType {
    key: u64,
    endpoint: u64,
    /// The pair with most of the answers.
    pair: Entity,
    /// Callers that got them.
    callers: usize,
    name: Name,
    content_type: Name,
    answers: i64,
}

/// A row's endpoint of a vendor, content type, good answers, and pair; `None` where it has no good answer with a type, or is of an audit
/// log.
fn answers_of(row: &Row) -> Option<(u64, &Name, i64, Entity)> {
    let relation = &row.relation;
    let (content_type, ok) = (relation.name(Dimension::ContentType), row.measures.0[Measure::Ok as usize]);
    let is_good = relation.view() == View::Egress && !content_type.is_empty() && ok > 0;
    let endpoint = combine([relation.vendor().id(), relation.endpoint().id()]);
    is_good.then(|| (endpoint, content_type, ok, Entity::pair_of(relation)))
}

fn new_types(model: &Types, rows: &[Row]) -> Vec<NewType> {
    let mut found: BTreeMap<u64, (NewType, BTreeMap<Entity, i64>)> = BTreeMap::new();
    for row in rows {
        let Some((endpoint, content_type, ok, pair)) = answers_of(row) else { continue };
        if model.known.get(&endpoint).is_none_or(|types| types.contains(content_type)) {
            continue;
        }
        let key = combine([endpoint, content_type.id()]);
        let new = || NewType {
            key,
            endpoint,
            pair: pair.clone(),
            callers: 0,
            name: row.relation.endpoint().clone(),
            content_type: content_type.clone(),
            answers: 0,
        };
        let (_, answers) = found.entry(key).or_insert_with(|| (new(), BTreeMap::new()));
        *answers.entry(pair).or_default() += ok;
    }
    let counted = |(new, answers): (NewType, BTreeMap<Entity, i64>)| {
        let most = answers.iter().max_by_key(|(_, ok)| **ok).map(|(pair, _)| pair.clone());
        let pair = most.unwrap_or_else(|| new.pair.clone());
        NewType { pair, callers: answers.len(), answers: answers.values().sum(), ..new }
    };
    found.into_values().map(counted).collect()
}

fn candidate(new: &NewType, model: &Types) -> Candidate {
    let rate = model.rate();
    let p_value = -(-rate).exp_m1();
    let types = model.known.get(&new.endpoint).into_iter().flatten().take(MAX_NAMED).map(Name::as_str);
    let reason = Contribution {
        name: OF_CALLER.name.to_owned(),
        window: WINDOWS[0].name.to_owned(),
        observed: format!("{} answers of {}", new.answers, new.content_type),
        baseline: types.collect::<Vec<_>>().join(", "),
        observed_value: Some(new.answers as f64),
        baseline_value: Some(0.0),
        unit: "answers".to_owned(),
        share: 1.0,
        p_value,
    };
    let class = if new.callers > 1 { &OF_VENDOR } else { &OF_CALLER };
    let mut candidate = Candidate::new(new.pair.clone(), class);
    if class.is_of_vendor() {
        candidate.subject.caller.clear();
    }
    Candidate {
        rate,
        p_value,
        // A notice: nothing of the budget is set aside for it.
        pages: false,
        contributions: vec![reason],
        endpoint: Some(new.name.to_string()),
        calls: new.answers.max(0) as u64,
        ..candidate
    }
}

fn sentence(of: &Sentence<'_>) -> String {
    let endpoint = of.endpoint.unwrap_or("one endpoint");
    let what = format!("{} got answers of a new content type from {endpoint} at {}", of.who(), of.vendor);
    measured(of, &what, "")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::calls::{DIMENSIONS, Measures};

    /// A row of calls of one caller that were answered with a content type, all of them well or none.
    fn row(bucket: i64, caller: &str, content_type: &str, calls: i64, is_ok: bool) -> Row {
        let mut names: [Name; DIMENSIONS] = std::array::from_fn(|_| Name::default());
        for (dimension, text) in [
            (Dimension::View, "egress"),
            (Dimension::Caller, caller),
            (Dimension::Vendor, "google"),
            (Dimension::Endpoint, "GET /geocode"),
            (Dimension::ContentType, content_type),
        ] {
            names[dimension as usize] = Name::new(text);
        }
        let mut measures = Measures([0; _]);
        measures.0[Measure::Calls as usize] = calls;
        measures.0[Measure::Ok as usize] = if is_ok { calls } else { 0 };
        Row { bucket, relation: Arc::new(names.into()), measures, trace_id: None }
    }

    const JSON: &str = "application/json";

    fn learned() -> Types {
        Types::learn(&[row(0, "geo", JSON, 500, true), row(288, "geo", JSON, 500, true)])
    }

    #[test]
    fn html_from_a_json_api_is_new_and_json_is_not() {
        let new = new_types(&learned(), &[row(600, "geo", JSON, 9, true), row(600, "geo", "text/html", 12, true)]);
        let [html] = &new[..] else { panic!("{new:?}") };
        assert_eq!((html.content_type.as_str(), html.answers, html.callers), ("text/html", 12, 1));
        let candidate = candidate(html, &learned());
        assert!(!candidate.pages && candidate.subject.caller == "geo" && candidate.rate < 0.1);
        assert_eq!(candidate.contributions[0].baseline, JSON);
    }

    #[test]
    fn an_error_page_is_no_answer_of_the_endpoint() {
        assert_eq!(new_types(&learned(), &[row(600, "geo", "text/html", 12, false)]), []);
    }

    #[test]
    fn what_several_callers_get_is_the_vendors_change() {
        let rows = [row(600, "geo", "text/html", 12, true), row(600, "shop", "text/html", 3, true)];
        let candidate = candidate(&new_types(&learned(), &rows)[0], &learned());
        assert_eq!((candidate.class, candidate.subject.caller.as_str()), (&OF_VENDOR, ""));
    }

    #[test]
    fn an_endpoint_with_few_answers_is_not_known_and_a_new_type_is_reported_once() {
        let few = Types::learn(&[row(0, "geo", JSON, 20, true)]);
        assert_eq!(new_types(&few, &[row(600, "geo", "text/html", 12, true)]), []);
        let mut reported = Reported::default();
        assert!(reported.report(7, 600) && !reported.report(7, 601));
    }
}
