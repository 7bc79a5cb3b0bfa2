//! The fused tests: all tests of an entity in one p-value, attributed to the caller or the vendor.
//!
//! Which class a statistic's change is of, its detector says; here is what all of them share.
//!
//! Not here: the statistics and how they are fused (`models`), and who else shows a change (`attribution`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attribution::{Sharing, sharing};
use super::candidate::{Candidate, Details};
use super::class_of;
use super::counterfactual::Counterfactual;
use super::detector::{Context, Evaluated};
use super::harmless::likely;
use super::memory::{State, Store};
use super::subject::Subject;
use super::words::{contribution, left_out};
use crate::calls::{Name, View};
use crate::features::{Column, Entity, Level};
use crate::models::baseline::{Verdict, fused, share_of};
use crate::models::calibration::p_value;
use crate::models::novelty::INCIDENT;
use crate::models::statistic::{Kind, Observation};
use crate::rollup::BUCKET_MICROS;

/// Reasons that a finding names.
const MAX_REASONS: usize = 3;
/// A caller makes most of a vendor's change from this part of it.
const MAJORITY_OF_CHANGE: f64 = 0.5;
/// A day, microseconds: the longest window that a change explains.
const DAY: i64 = 24 * 3_600_000_000;

/// When a vendor was last confirmed to have changed, by statistic (index). It explains its callers' windows for as long as they overlap
/// it, and as long as an incident stays open after it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Changes(BTreeMap<(View, Name, usize), i64>);

impl Changes {
    /// Forgets what explains nothing any more.
    pub fn forget(&mut self, time: i64) {
        self.0.retain(|_, at| time - *at <= DAY + INCIDENT);
    }
}

/// The verdict that says most among those that join the fused score.
pub fn leading(verdicts: &[Verdict]) -> Option<&Verdict> {
    let fused = verdicts.iter().filter(|verdict| verdict.test.weight() > 0.0);
    fused.min_by(|a, b| a.p_value.total_cmp(&b.p_value))
}

/// An entity whose tests together are too rare, attributed to the caller or the vendor; `None` where they are not, or something else
/// explains it better. Also the statistic (index) that it is owed to, and its effect.
pub fn unusual(context: &Context<'_>, of: &Evaluated<'_>, changes: &mut Changes) -> Option<(Candidate, Shift)> {
    let Context { bundle, store, bucket, .. } = *context;
    let Evaluated { state, verdicts, .. } = *of;
    let entity = &state.entity;
    let threshold = context.budget.tests(entity.view);
    if !threshold.admits(of.rate, of.p_value) {
        return None;
    }
    let mut reasons: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.test.weight() > 0.0).collect();
    reasons.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
    let leading = *reasons.first()?;
    let statistic = leading.test.statistic();
    let subject_state = match entity.level {
        Level::Pair => state,
        Level::Vendor => most_changed(store.pairs_of(entity.view, &entity.vendor), leading, store.now())?,
        Level::VendorEndpoint | Level::Credential => most_changed(users_of(store, state), leading, store.now())?,
    };
    let seen = Verdict { seen: observed_of(subject_state, leading, bucket), ..leading.clone() };
    let shared = if statistic.of_vendor {
        sharing(store, &bundle.baselines, subject_state, if entity.level == Level::Pair { leading } else { &seen })
    } else {
        Sharing::Own
    };
    if entity.level == Level::Vendor && shared < Sharing::Likely {
        return None; // one caller only: its own test judges it
    }
    let makes_most = share_of_change(store, subject_state, leading) >= MAJORITY_OF_CHANGE;
    let Attribution { subject, takes_over } =
        attributed(context, subject_state, leading, (entity.level, shared, makes_most), changes)?;
    let is_rise = leading.seen.effect(statistic.kind) >= 0.0;
    let class = class_of(entity.view, statistic.name, is_rise, subject.caller.is_empty())?;
    // A vendor has no endpoints of its own to say what is usual by: its most changed caller has.
    let said_of = if entity.level == Level::Vendor { subject_state } else { state };
    let words = |verdict: &&Verdict| {
        contribution((said_of, bucket), verdict, &bundle.expectations, share_of(entity.level, verdict, verdicts))
    };
    // Whether others see it is said also of what a vendor cannot cause.
    let is_asked = matches!(statistic.kind, Kind::Mean(..) | Kind::Count(..));
    let seen_by = is_asked.then(|| sharing(store, &bundle.baselines, subject_state, &seen));
    let worth_naming = reasons.iter().take(MAX_REASONS).filter(|verdict| verdict.p_value < 1.0);
    let of_endpoint = || (entity.level == Level::VendorEndpoint).then_some(&entity.part);
    let mut candidate = Candidate {
        subject,
        is_rise,
        window: leading.test.buckets(),
        rate: of.rate,
        p_value: of.p_value,
        threshold: Some(threshold),
        contributions: worth_naming.map(words).collect(),
        endpoint: leading.endpoint.as_ref().or_else(of_endpoint).map(Name::to_string),
        calls: state.sum(Column::Calls, leading.test.window, bucket).max(0) as u64,
        takes_over,
        details: Details {
            counterfactual: without_statistics(context, entity, verdicts),
            sharing: seen_by,
            ..Details::default()
        },
        ..Candidate::new(subject_state.entity.clone(), class)
    };
    candidate.details.likely = likely(context, &candidate, (state, subject_state), leading);
    candidate.pages = candidate.details.likely.is_none();
    let shift = Shift { statistic: leading.test.statistic, effect: leading.seen.effect(statistic.kind) };
    Some((candidate, shift))
}

/// A shift that is being reported.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    /// Its statistic, as an index in `STATISTICS`.
    pub statistic: usize,
    /// Its effect.
    pub effect: f64,
}

/// Whom a change is about.
struct Attribution {
    subject: Subject,
    /// Whether the incident of one of the vendor's callers becomes the vendor's.
    takes_over: bool,
}

/// Whether a change is the caller's or the vendor's; `None` where it was reported already, and is over. A caller that makes most of a
/// change has it until others confirm it: its own doing shows in the vendor's numbers too.
fn attributed(
    context: &Context<'_>,
    subject_state: &State,
    leading: &Verdict,
    (level, shared, makes_most): (Level, Sharing, bool),
    changes: &mut Changes,
) -> Option<Attribution> {
    let (statistic, entity) = (leading.test.statistic(), &subject_state.entity);
    let own = Subject::of(entity);
    let vendor = own.of_vendor();
    let changed = (entity.view, entity.vendor.clone(), leading.test.statistic);
    if shared == Sharing::Confirmed {
        changes.0.insert(changed.clone(), context.time);
    }
    let explained = leading.test.buckets() * BUCKET_MICROS + INCIDENT;
    let is_known = changes.0.get(&changed).is_some_and(|at| context.time - at <= explained);
    let is_vendor_open = context.incidents.is_open(&vendor);
    if is_known && !is_vendor_open && shared != Sharing::Confirmed {
        return None;
    }
    let is_explainable = statistic.of_vendor || statistic.kind == Kind::Mix;
    let is_explained = is_vendor_open && is_explainable && (is_known || shared >= Sharing::Unknown);
    // What several callers of an endpoint show together is the vendor's, however quiet each of them is.
    let is_of_several = shared == Sharing::Unknown && !makes_most && level == Level::VendorEndpoint;
    let is_likely_own = shared == Sharing::Likely && makes_most && !is_vendor_open;
    let is_own = (shared < Sharing::Likely && !is_of_several) || is_likely_own;
    if is_own && !is_explained {
        return Some(Attribution { subject: own, takes_over: false });
    }
    Some(Attribution { subject: vendor, takes_over: !is_vendor_open })
}

/// The fewest statistics without which an entity's window would not page.
fn without_statistics(context: &Context<'_>, entity: &Entity, verdicts: &[Verdict]) -> Option<Counterfactual> {
    let Context { bundle, budget, .. } = *context;
    let score = &bundle.views.get(&entity.view)?.score;
    let mut parts: BTreeMap<usize, (f64, &Verdict)> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.test.weight() > 0.0 && verdict.p_value < 1.0) {
        let (part, strongest) = parts.entry(verdict.test.statistic).or_insert((0.0, verdict));
        *part += verdict.test.weight() / verdict.p_value;
        if verdict.p_value < strongest.p_value {
            *strongest = verdict;
        }
    }
    let mut order: Vec<(usize, f64, &Verdict)> =
        parts.into_iter().map(|(index, (part, strongest))| (index, part, strongest)).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let rate_without = |count: usize| {
        let is_left_out =
            |verdict: &Verdict| order.iter().take(count).any(|(index, ..)| *index == verdict.test.statistic);
        let left =
            verdicts.iter().map(|verdict| (verdict.test, if is_left_out(verdict) { 1.0 } else { verdict.p_value }));
        bundle.alarms_per_day(bundle.entities(entity.view), p_value(score.as_ref(), fused(entity.level, left)))
    };
    let names: Vec<String> = order.iter().map(|(.., strongest)| left_out(strongest)).collect();
    Some(Counterfactual::find(&names, rate_without, budget.tests(entity.view).in_force))
}

/// What a test sees of an entity at the end of a bucket.
fn observed_of(state: &State, verdict: &Verdict, bucket: i64) -> Observation {
    let sums = state.windows.sums(bucket);
    Observation::of(verdict.test.statistic().kind, &sums[verdict.test.window], &[0; _], 0.0)
}

/// The pairs behind a shared credential or endpoint.
fn users_of<'a>(store: &'a Store, state: &'a State) -> impl Iterator<Item = &'a State> {
    let entity = &state.entity;
    store.pairs_of(entity.view, &entity.vendor).filter(|pair| match entity.level {
        Level::Credential => pair.trail.credential == entity.part,
        _ => pair.endpoint(&entity.part).is_some_and(|counts| !counts.is_idle(store.now())),
    })
}

/// Of some pairs, the one whose calls make most of a change: whether the vendor changed is what is left without them.
fn most_changed<'a>(pairs: impl Iterator<Item = &'a State>, verdict: &Verdict, bucket: i64) -> Option<&'a State> {
    let parts = pairs.map(|pair| (part_of_change(pair, verdict, bucket), pair));
    let most = parts.max_by(|(a, of), (b, other)| a.total_cmp(b).then_with(|| other.entity.cmp(&of.entity)));
    most.map(|(_, pair)| pair)
}

/// Part of a change at a vendor that one pair's calls make, 0 to 1.
fn share_of_change(store: &Store, pair: &State, verdict: &Verdict) -> f64 {
    let part = |pair: &State| part_of_change(pair, verdict, store.now()).max(0.0);
    let all: f64 = store.pairs_of(pair.entity.view, &pair.entity.vendor).map(part).sum();
    if all > 0.0 { part(pair) / all } else { 0.0 }
}

/// What a pair's calls add to a change: residuals in its direction, or counts above those expected.
fn part_of_change(pair: &State, verdict: &Verdict, bucket: i64) -> f64 {
    let (kind, seen) = (verdict.test.statistic().kind, observed_of(pair, verdict, bucket));
    match kind {
        Kind::Mean(..) => seen.observed * verdict.seen.effect(kind).signum(),
        _ => seen.observed - seen.against,
    }
}
