//! Many more calls than usual at that time of day, with every ratio unchanged.
//!
//! # Finds
//! A metered API called far beyond any campaign, a job that loops, a key that somebody else uses for the same thing.
//!
//! # Why it matters
//! Calls cost money, and a flood against a vendor gets the key blocked for all.
//!
//! # Misses
//! Less than thirty times the usual (eight while the company rests), fewer than twenty calls, and pairs without a daily pattern: a
//! history of less than four days has none. From three times the usual it is reported as a campaign, without a page.
//!
//! # Tuning
//! The share is fixed (5 % of the view's budget), and so are the multiples. A campaign in the training history raises what is
//! expected: leave it out with `train --exclude`.
//!
//! # Example alert
//! `marketing-mailer called sendgrid far more often than usual: 943 calls over an hour, usually 57.6 (16 times as much)`
//!
//! # What to do first
//! 1. Ask the caller's owner whether a job loops or a campaign runs; if nobody knows, revoke the credential.
//! 2. See whether the calls come from the usual network and client.
//! 3. Declare a planned campaign under `[[detection.campaigns]]` before the next one.
//!
//! # When it is wrong
//! A campaign of more than thirty times the usual. It pages only from there (from eight times while the company rests): below
//! that nothing but a price or a calendar distinguishes a campaign from abuse.
//!
//! # Source
//! Negative binomial deviance from the count expected at that time of day (`models::seasonality`), and a floor by judgement.

use super::sentence::shifted;
use super::words::{contribution, left_out};
use super::{
    Analytic, Benign, Candidate, Category, CauseClass, Class, Context, Counterfactual, Details, Detector, Evaluated,
    Impact, Meta, Own,
};
use crate::features::{EntityId, WINDOWS};
use crate::models::baseline::Verdict;
use crate::models::bundle::Bundle;
use crate::models::peak::max_calls_per_hour;
use crate::models::statistic::Kind;
use serde::{Deserialize, Serialize};

/// Pure volume pages from this many times the expectation; at a metered vendor while the company rests; and from this many
/// calls.
const SURGE: f64 = 30.0;
const SURGE_AT_REST: f64 = 8.0;
const MIN_SURGE_CALLS: f64 = 20.0;
/// Times the calls of the busiest hour ever, from an hour on.
const SURGE_OVER_PEAK: f64 = 2.0;
/// Times the expectation from which unusual volume with usual ratios is reported, without a page, as a campaign.
const CAMPAIGN: f64 = 3.0;
/// Buckets of the level that a surge is measured against: three hours.
const LEVEL_BUCKETS: i64 = 36;
/// The company rests while the pairs that keep office hours are below this share of their mean.
const AT_REST: f64 = 0.4;
/// A pair keeps office hours if its weekends are below this share of its weekdays.
const OFFICE_WEEKEND: f64 = 0.7;

static META: Meta = Meta {
    name: "call_volume",
    title: "Far more calls than usual",
    category: Category::Abuse,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("call_volume.rs"),
};

static CALLS: Class = Class::new("calls", &META, CauseClass::Unknown, |of| {
    shifted(of, &format!("{} called {} far more often than usual", of.who(), of.whom()))
})
.technique("T1496")
.explained_by_outage()
.explained_by_campaign();

/// Many more calls than usual at that time of day.
pub(super) struct CallVolume;

impl Detector for CallVolume {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&CALLS];
    type Model = ();
    type Memory = Office;
    type Part = ();

    fn evaluate(context: &Context<'_>, entity: &Evaluated<'_>, own: Own<'_, Self>, (): &mut ()) -> Vec<Candidate> {
        entity.verdicts.iter().filter_map(|verdict| surge(context, entity, verdict, own.memory)).collect()
    }
}

/// Pairs that keep office hours: they say when the company rests. Follows from the bundle, so no snapshot holds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Office {
    #[serde(skip)]
    pairs: Option<Vec<EntityId>>,
}

impl Office {
    fn is_at_rest(&mut self, bundle: &Bundle, bucket: i64) -> bool {
        let hour = WINDOWS[2].buckets;
        let pairs = self.pairs.get_or_insert_with(|| pairs_of(bundle));
        let levels = pairs.iter().filter_map(|entity| {
            let seasonality = bundle.baselines.get(*entity)?.seasonality.as_ref()?;
            let [weekday, weekend] = seasonality.mean();
            Some(seasonality.expected(bucket, hour) / hour as f64 / ((weekday + weekend) / 2.0).max(1e-9))
        });
        let (count, sum) = levels.fold((0_u32, 0.0), |(count, sum), level| (count + 1, sum + level));
        count > 0 && sum / f64::from(count) < AT_REST
    }
}

fn pairs_of(bundle: &Bundle) -> Vec<EntityId> {
    let known = bundle.baselines.sorted().into_iter().filter(|(_, baseline)| baseline.is_known);
    let keeps_office_hours = |weekday: f64, weekend: f64| weekend < OFFICE_WEEKEND * weekday;
    known
        .filter_map(|(entity, baseline)| {
            let [weekday, weekend] = baseline.seasonality.as_ref()?.mean();
            keeps_office_hours(weekday, weekend).then(|| entity.id())
        })
        .collect()
}

/// Pure volume: far beyond what the time of day knows, whatever the ratios say. Where the ratios are usual too, and the volume is not
/// beyond what a campaign brings, it is reported as one.
fn surge(context: &Context<'_>, of: &Evaluated<'_>, verdict: &Verdict, office: &mut Office) -> Option<Candidate> {
    if verdict.test.statistic().kind != Kind::Volume || verdict.z <= 0.0 {
        return None;
    }
    let Context { bundle, budget, bucket, .. } = *context;
    let entity = &of.state.entity;
    let rate = bundle.alarms_per_day(bundle.entities(entity.view), verdict.p_value);
    let threshold = budget.volume(entity.view);
    if !threshold.admits(rate, verdict.p_value) {
        return None;
    }
    let known = of.baseline.filter(|known| known.is_known)?;
    let seasonality = known.seasonality.as_ref()?;
    let buckets = WINDOWS[verdict.test.window].length(bucket) as f64;
    let usual_bucket = context.company.usual_bucket(entity.view, bucket);
    let level = seasonality.expected(usual_bucket, LEVEL_BUCKETS) * buckets / LEVEL_BUCKETS as f64;
    let usual = verdict.seen.against.max(level);
    let is_at_rest = office.is_at_rest(bundle, usual_bucket) && context.is_metered(entity.vendor.as_str());
    let times = if is_at_rest { SURGE_AT_REST } else { SURGE };
    // A nightly job that is made up for by day is no surge: more than ever is.
    let peak = known.peaks.as_ref().map_or(0.0, max_calls_per_hour);
    let peak = if is_at_rest { 0.0 } else { peak * if buckets < 12.0 { 1.0 } else { SURGE_OVER_PEAK } };
    let least = (seasonality.peak() * buckets).max(MIN_SURGE_CALLS).max(peak);
    let pages = verdict.seen.observed >= times * usual && verdict.seen.observed >= least;
    let tests = budget.tests(entity.view);
    let is_campaign = !tests.admits(of.rate, of.p_value) && verdict.seen.observed >= CAMPAIGN * usual;
    if !pages && (!is_campaign || verdict.seen.observed < MIN_SURGE_CALLS) {
        return None;
    }
    let counterfactual = Counterfactual::find(&[left_out(verdict)], |_| of.rate, tests.in_force);
    Some(Candidate {
        window: verdict.test.buckets(),
        rate,
        p_value: verdict.p_value,
        threshold: Some(threshold),
        pages,
        contributions: vec![contribution((of.state, bucket), verdict, &bundle.expectations, 1.0)],
        calls: verdict.seen.observed as u64,
        details: Details {
            counterfactual: pages.then_some(counterfactual),
            likely: Some(Benign::Campaign),
            ..Details::default()
        },
        ..Candidate::new(entity.clone(), &CALLS)
    })
}
