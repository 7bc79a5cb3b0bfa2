//! A view (egress or audit) of which nothing is logged any more.
//!
//! # Finds
//! That all records of a view stopped: a shipper, a gateway or an audit trail that was switched off. One incident for all callers, told
//! by the end of the second bucket in a company of some hundred calls an hour. Where the stream itself is empty, time goes on by the
//! clock, as long as the brokers confirm that everything was read. In files, and where records of later times come first, the pause is
//! told when it is over.
//!
//! # Why it matters
//! Without records nothing else is found; whoever wants to be unseen begins here. And a collector that died quietly is the most
//! common reason why an attack is missed.
//!
//! # Misses
//! A view whose history has pauses as long as this one, such as nights without any call. One of several sources that stops while
//! others go on is `silence`'s.
//!
//! # Tuning
//! The share of the budget is that of silences. It ends by itself when records come again, and says since when; if these are the
//! missing ones, that they were late.
//!
//! # Example alert
//! `nothing is logged of egress any more: no call from anybody for 10 minutes, usually about 420 calls in this time`
//!
//! # What to do first
//! 1. See whether the log shipper, the gateway or the audit trail runs, and who stopped it.
//! 2. If nobody did, treat it as an attempt to go unseen: read the vendors' own logs of the time.
//! 3. When records come again, look whether those of the pause are delivered late or lost.
//!
//! # When it is wrong
//! A planned shutdown of the whole pipeline, a history of one working week before the first weekend.
//!
//! # Source
//! Calls expected of all callers together since the last one, by time of day, against the longest pause of the history but one
//! (see `models::silence`): an outage in the history does not make the next one usual.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::company::MIN_MISSED;
use super::sentence::measured;
use super::silence::{LOG_SOURCE, reason};
use super::{Analytic, Candidate, Category, CauseClass, Class, Context, Detector, Impact, Meta, Own, Sentence};
use crate::calls::View;
use crate::features::{Entity, Level};
use crate::models::calibration::p_value;
use crate::models::seasonality::{Seasonality, Span};
use crate::models::silence::{at_level, is_reportable, longest_by_fold, missed_calls, times_longest};
use crate::rollup::{BUCKET_SECONDS, Row};

/// Buckets whose calls say how much is called these days: six hours.
const LEVEL_BUCKETS: i64 = 72;

static META: Meta = Meta {
    name: "logs_stopped",
    title: "Nothing is logged any more",
    category: Category::Drift,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("logs_stopped.rs"),
};

static EGRESS: Class = Class::new("logs_stopped", &META, CauseClass::Unknown, |of| sentence(of, "egress"));
static AUDIT: Class = Class::new("logs_stopped", &META, CauseClass::Unknown, |of| sentence(of, "audit")).in_audit();

static EGRESS_GAP: Class = Class::new("logs_missing", &META, CauseClass::Unknown, |of| gap(of, "egress"));
static AUDIT_GAP: Class = Class::new("logs_missing", &META, CauseClass::Unknown, |of| gap(of, "audit")).in_audit();

fn gap(of: &Sentence<'_>, view: &str) -> String {
    measured(of, &format!("nothing was logged of {view} for a while"), "")
}

fn sentence(of: &Sentence<'_>, view: &str) -> String {
    match of.leading {
        Some(again) if again.observed_value > Some(0.0) => format!("{view} is logged again: {}", again.observed),
        _ => measured(of, &format!("nothing is logged of {view} any more"), ""),
    }
}

/// Nothing is logged any more.
pub(super) struct LogsStopped;

impl Detector for LogsStopped {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&EGRESS, &AUDIT, &EGRESS_GAP, &AUDIT_GAP];
    type Model = Model;
    type Memory = Told;
    type Part = ();

    fn fit(rows: &[Row]) -> Self::Model {
        let Some((first, last)) = rows.first().zip(rows.last()) else { return BTreeMap::new() };
        let span = Span { first: first.bucket, last: last.bucket };
        let mut views: BTreeMap<View, BTreeMap<i64, i64>> = BTreeMap::new();
        for row in rows {
            *views.entry(row.relation.view()).or_default().entry(row.bucket).or_default() += row.calls();
        }
        views
            .into_iter()
            .map(|(view, calls)| (view, Pulse::fit(&calls.into_iter().collect::<Vec<_>>(), span)))
            .collect()
    }

    fn close(context: &Context<'_>, rows: &[Row], own: Own<'_, Self>) -> Vec<Candidate> {
        let views = own.model.keys().copied();
        let found = views.filter_map(|view| {
            let calls = rows.iter().filter(|row| row.relation.view() == view).map(|row| row.calls()).sum();
            if calls > 0 {
                own.memory.hear(context, own.model, view, calls)
            } else {
                own.memory.miss(context, own.model, view)
            }
        });
        found.collect()
    }

    fn tick(context: &Context<'_>, heard: &BTreeMap<View, i64>, own: Own<'_, Self>) -> Vec<Candidate> {
        let is_silent = |view: &View| heard.get(view).is_some_and(|heard| *heard < context.bucket);
        let views = own.model.keys().copied().filter(is_silent);
        let found = views.filter_map(|view| {
            let since = heard.get(&view).copied()?;
            own.memory.told_at(context, own.model, view, since)
        });
        found.collect()
    }
}

/// How much is called in each view.
type Model = BTreeMap<View, Pulse>;

/// How much is called in a view as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pulse {
    seasonality: Seasonality,
    /// The longest pause of the history but one, by day, in expected calls.
    longest: f64,
}

impl Pulse {
    /// From the calls of each bucket (n_buckets of bucket and calls, in order).
    fn fit(calls: &[(i64, i64)], span: Span) -> Self {
        let longest = longest_by_fold(calls, span, |fold| Some(Seasonality::fit(calls, span, Some(fold))));
        let mut pauses: Vec<f64> = longest.into_values().collect();
        pauses.sort_unstable_by(|a, b| b.total_cmp(a));
        let longest = pauses.get(1).or(pauses.first()).copied().unwrap_or_default();
        Self { seasonality: Seasonality::fit(calls, span, None), longest }
    }
}

/// What is remembered of each view.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Told(BTreeMap<View, OfView>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct OfView {
    /// The newest bucket with a call, and calls by bucket of the hours before.
    heard: i64,
    recent: BTreeMap<i64, i64>,
    /// Up to which bucket it was told to be silent, since when.
    told: Option<(i64, i64)>,
}

impl Told {
    /// Takes note of calls. What was told before is taken back; a pause that nobody could tell while it lasted, as in a file, is told now.
    fn hear(&mut self, context: &Context<'_>, model: &Model, view: View, calls: i64) -> Option<Candidate> {
        let bucket = context.bucket;
        let since = self.0.get(&view).map_or(bucket, |own| own.heard);
        let is_told = self.0.get(&view).is_some_and(|own| own.told.is_some());
        let missing = if is_told || bucket <= since + 1 {
            None
        } else {
            self.told_at(&Context { bucket: bucket - 1, ..*context }, model, view, since)
        };
        let own = self.0.entry(view).or_default();
        if missing.is_some() {
            own.told = None;
        }
        own.heard = own.heard.max(bucket);
        *own.recent.entry(bucket).or_default() += calls;
        own.recent = own.recent.split_off(&(bucket - LEVEL_BUCKETS));
        if let Some(missing) = missing {
            return Some(Candidate { class: if view == View::Audit { &AUDIT_GAP } else { &EGRESS_GAP }, ..missing });
        }
        // What was heard when it was told, and is only now judged, is no news.
        let (since, until) = own.told.take_if(|(since, _)| *since < bucket)?;
        let minutes = (bucket - since - 1) * BUCKET_SECONDS / 60;
        let observed = if bucket <= until {
            "the missing records came late".to_owned()
        } else {
            format!("records come again, after {minutes} minutes without")
        };
        let mut again = reason(1, bucket - since, 0.0, 1.0);
        (again.observed, again.observed_value) = (observed, Some(calls as f64));
        Some(Candidate { takes_back: true, contributions: vec![again], ..about(view) })
    }

    /// Looks at a view that nobody called in the bucket, though others were.
    fn miss(&mut self, context: &Context<'_>, model: &Model, view: View) -> Option<Candidate> {
        let since = self.0.get(&view).map(|own| own.heard)?;
        self.told_at(context, model, view, since)
    }

    /// What is told of a view that was called last in bucket `since`; `None` where that is not rare enough.
    fn told_at(&mut self, context: &Context<'_>, model: &Model, view: View, since: i64) -> Option<Candidate> {
        let Context { bundle, budget, .. } = *context;
        // What may still come late is not missing.
        let bucket = context.bucket - context.company.lateness(view);
        if bucket <= since {
            return None;
        }
        let (pulse, own) = (model.get(&view)?, self.0.get_mut(&view)?);
        let at = context.company.usual_bucket(view, bucket);
        // A stream that has just begun to be read says nothing of the hours before.
        let first = own.recent.keys().next().copied().unwrap_or(bucket).max(bucket - LEVEL_BUCKETS + 1);
        let called: i64 = own.recent.range(first..).map(|(_, calls)| calls).sum();
        let expected = pulse.seasonality.expected(at, bucket - first + 1);
        let missed = missed_calls(&pulse.seasonality, at - (bucket - since), at);
        let missed = at_level(missed, called as f64, expected);
        let times = times_longest(missed, pulse.longest);
        let p_value = p_value(bundle.views.get(&view)?.silence.as_ref(), times);
        let (rate, threshold) = (bundle.alarms_per_day(1, p_value), budget.silence(view));
        if missed < MIN_MISSED || !is_reportable(times) || !threshold.admits(rate, p_value) {
            return None;
        }
        own.told = Some((since, bucket));
        let mut stopped = reason(1, bucket - since, missed, p_value);
        stopped.observed = stopped.observed.replacen("no call", "no call from anybody", 1);
        Some(Candidate {
            is_rise: false,
            window: bucket - since,
            rate,
            p_value,
            threshold: Some(threshold),
            contributions: vec![stopped],
            ..about(view)
        })
    }
}

/// A candidate about a whole view.
fn about(view: View) -> Candidate {
    let source = Entity { level: Level::Vendor, ..Entity::pair(view, "", LOG_SOURCE) };
    Candidate::new(source, if view == View::Audit { &AUDIT } else { &EGRESS })
}
