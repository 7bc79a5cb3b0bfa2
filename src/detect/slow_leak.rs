//! A little more in every call, for days.
//!
//! # Finds
//! Requests whose size has risen a few per cent and stays there: data that leaves in small helpings beside what
//! a service sends anyway.
//!
//! # Why it matters
//! Whoever has time keeps every hour ordinary. Sums over days do not forget.
//!
//! # Misses
//! Shifts below what the pair's own hours dispersion by; pairs with a handful of calls an hour; anything faster than a day,
//! which `burst` has; answers that grow.
//!
//! # Tuning
//! The share is fixed (5 % of the view's budget). A leak is reported once; from then on only what goes
//! beyond it adds up.
//!
//! # Example alert
//! `analytics-loader sent segment a little more in every call: request size about 3.85 % larger a call for 28 hours,
//! usually no lasting shift`
//!
//! # What to do first
//! 1. Compare requests of today with those of a week ago: which field grew, and by which release.
//! 2. If no release explains it, have the caller's owner look at what is sent; block the way to the vendor if nobody can
//!    say.
//!
//! # When it is wrong
//! A release that adds a field to every request, or data that grow.
//!
//! # Source
//! Prewhitened cumulative sums of hourly normal scores (see `models::leak`), after Page 1954.

use super::sentence::shifted;
use super::words::{in_numbers, usual_call};
use super::{
    Analytic, Candidate, Category, CauseClass, Class, Context, Contribution, Detector, Evaluated, Impact, Meta, Own,
};
use crate::calls::QUANTITIES;
use crate::features::{Column, DAY, Level, WINDOWS};
use crate::models::calibration::p_value;
use crate::models::leak::{LEAKING, Leak, LeakSum};
use crate::models::statistic::STATISTICS;

/// Growth of a call, per cent, below which a lasting shift is nobody's leak: releases bring as much.
const MIN_LEAK_PER_CENT: f64 = 4.0;

static META: Meta = Meta {
    name: "slow_leak",
    title: "A little more in every call, for days",
    category: Category::Exfiltration,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("slow_leak.rs"),
};

static BYTES_OUT_LEAK: Class = Class::new("bytes_out_leak", &META, CauseClass::DataLeft, |of| {
    shifted(of, &format!("{} sent {} a little more in every call", of.who(), of.whom()))
})
.technique("T1030");

/// A little more, for days.
pub(super) struct SlowLeak;

impl Detector for SlowLeak {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&BYTES_OUT_LEAK];
    type Model = ();
    type Memory = ();
    type Part = [LeakSum; LEAKING.len()];

    fn evaluate(
        context: &Context<'_>,
        entity: &Evaluated<'_>,
        _own: Own<'_, Self>,
        sums: &mut Self::Part,
    ) -> Vec<Candidate> {
        let level = entity.state.entity.level;
        let known = entity.baseline.filter(|baseline| baseline.is_known && level == Level::Pair);
        let (Some(hour), Some(baseline)) = (entity.hour, known) else { return Vec::new() };
        let Some(tracking) = &entity.state.part.tracking else { return Vec::new() };
        let mut leaks = Vec::new();
        for ((quantity, known), sum) in LEAKING.iter().zip(&baseline.leaks).zip(sums) {
            let mean = hour.means[*quantity] - tracking.adaptation.offset(*quantity);
            let dispersion = baseline.hourly_dispersion(level, *quantity);
            sum.add(mean, hour.counts[*quantity], dispersion, known.persistence);
            if let Some(leak) = sum.leak(known) {
                leaks.extend(leaking(context, entity, *quantity, sum, &leak));
            }
        }
        leaks
    }
}

/// A leak of a quantity (index in `QUANTITIES`), where it is rare enough to report.
fn leaking(
    context: &Context<'_>,
    of: &Evaluated<'_>,
    quantity: usize,
    sum: &mut LeakSum,
    leak: &Leak,
) -> Option<Candidate> {
    let Context { bundle, budget, bucket, .. } = *context;
    let entity = &of.state.entity;
    let view = bundle.views.get(&entity.view)?;
    let p_value = p_value(view.leak.as_ref(), leak.times);
    let rate = bundle.alarms_per_day(view.entities() * LEAKING.len(), p_value);
    let threshold = budget.leak(entity.view);
    if !threshold.admits(rate, p_value) {
        return None;
    }
    sum.report(leak);
    // A shift that is being reported, or was reported to be the level, is no leak beside it.
    let of_mean = STATISTICS.iter().position(|statistic| statistic.name == QUANTITIES[quantity]);
    if of_mean.is_some_and(|mean| of.state.part.shifts.has(mean)) {
        return None;
    }
    let (_, deviation) = usual_call((of.state, bucket), &bundle.expectations, DAY, quantity);
    let per_cent = 100.0 * (leak.shift * deviation).exp_m1();
    if per_cent < MIN_LEAK_PER_CENT {
        return None;
    }
    Some(Candidate {
        window: WINDOWS[DAY].buckets,
        rate,
        p_value,
        threshold: Some(threshold),
        contributions: vec![reason(quantity, per_cent, leak.hours, p_value)],
        calls: of.state.sum(Column::Calls, DAY, bucket).max(0) as u64,
        ..Candidate::new(entity.clone(), &BYTES_OUT_LEAK)
    })
}

/// A slow leak in words: how much larger a call is, per cent, over hours with calls.
fn reason(quantity: usize, per_cent: f64, hours: u32, p_value: f64) -> Contribution {
    let size = if quantity == 0 { "request size" } else { "answer size" };
    Contribution {
        name: BYTES_OUT_LEAK.name.to_owned(),
        window: String::new(),
        observed: format!("{size} about {} % larger a call for {hours} hours", in_numbers(per_cent)),
        baseline: "no lasting shift".to_owned(),
        observed_value: Some(per_cent),
        baseline_value: Some(0.0),
        unit: "% a call".to_owned(),
        share: 1.0,
        p_value,
    }
}
