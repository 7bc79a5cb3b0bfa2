//! Each number usual, all together not.
//!
//! # Finds
//! An hour whose combination of sizes, outcomes and mix (egress) or of kinds of operation (audit) no earlier hour had.
//!
//! # Why it matters
//! Whoever keeps every number low still does other things than the owner.
//!
//! # Misses
//! Callers that are still judged by their peers, hours in which hardly anything differs from usual, and oddities that last
//! for less than an hour.
//!
//! # Tuning
//! The share is fixed (5 % of the view's budget). The models drop the oddest 5 % of their training rows by themselves.
//!
//! # Example alert
//! `etl-nightly had an hour at salesforce unlike any before, most of all by its latency`
//!
//! # What to do first
//! 1. Ask the caller's owner what ran in that hour; a rare job is the usual answer.
//! 2. Compare the numbers that stand out most with the same hour of other days.
//!
//! # When it is wrong
//! The first run of a rare job. It has a small share of the budget of its own.
//!
//! # Source
//! Isolation forest and nearest neighbours, harmonic mean of their p-values (see `models::multivariate`).

use super::sentence::bare;
use super::{
    Analytic, Candidate, Category, CauseClass, Class, Context, Contribution, Counterfactual, Details, Detector,
    Evaluated, Impact, Meta, Own, Sentence,
};
use crate::calls::View;
use crate::features::{Column, HOUR, WINDOWS};
use crate::models::bundle::CalibratedMultivariate;
use crate::models::multivariate_row;

/// Reasons that a finding names.
const MAX_REASONS: usize = 3;

static META: Meta = Meta {
    name: "multivariate",
    title: "An hour unlike any before",
    category: Category::Abuse,
    impact: Impact::Low,
    analytic: Analytic::Learning,
    correlates: &[],
    page: include_str!("multivariate.rs"),
};

static MULTIVARIATE: Class = Class::new("multivariate", &META, CauseClass::Unknown, sentence).explained_by_outage();

/// All together unusual.
pub(super) struct Multivariate;

impl Detector for Multivariate {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&MULTIVARIATE];
    type Model = ();
    type Memory = ();
    type Part = ();

    fn evaluate(context: &Context<'_>, entity: &Evaluated<'_>, _own: Own<'_, Self>, (): &mut ()) -> Vec<Candidate> {
        entity.row.and_then(|row| odd_hour(context, entity, row)).into_iter().collect()
    }
}

fn sentence(of: &Sentence<'_>) -> String {
    let Some(leading) = of.leading else { return bare(of) };
    let column = leading.name.replace('_', " ");
    format!("{} had an hour at {} unlike any before, most of all by its {column}", of.who(), of.whom())
}

/// An hour whose numbers are usual one by one and odd together.
fn odd_hour(context: &Context<'_>, of: &Evaluated<'_>, row: &[f64]) -> Option<Candidate> {
    let Context { bundle, budget, .. } = *context;
    let entity = &of.state.entity;
    let multivariate = bundle.multivariate.get(&entity.view)?;
    let p_value = multivariate.p_value(row);
    let rate = bundle.alarms_per_day(multivariate.entities, p_value);
    if rate > budget.multivariate_notice(entity.view) {
        return None;
    }
    let shares = multivariate.multivariate.contributions(ndarray::ArrayView1::from(row));
    Some(Candidate {
        window: WINDOWS[HOUR].buckets,
        rate,
        p_value,
        // A notice: what it paged for was found by others, or was false (benches/README.md).
        pages: false,
        contributions: shares.iter().take(MAX_REASONS).map(|(column, part)| reason(column, *part, p_value)).collect(),
        calls: of.state.sum(Column::Calls, HOUR, of.state.last_seen).max(0) as u64,
        details: Details {
            counterfactual: Some(without_columns(context, entity.view, multivariate, row, &shares)),
            ..Details::default()
        },
        ..Candidate::new(entity.clone(), &MULTIVARIATE)
    })
}

/// The fewest columns without which an hour is like those before; a column that is left out counts as typical.
fn without_columns(
    context: &Context<'_>,
    view: View,
    multivariate: &CalibratedMultivariate,
    row: &[f64],
    order: &[(String, f64)],
) -> Counterfactual {
    let columns = multivariate.multivariate.columns();
    let rate_without = |count: usize| {
        let is_left_out = |name: &String| order.iter().take(count).any(|(column, _)| column == name);
        let left: Vec<f64> =
            row.iter().zip(columns).map(|(value, name)| if is_left_out(name) { f64::NAN } else { *value }).collect();
        context.bundle.alarms_per_day(multivariate.entities, multivariate.p_value(&left))
    };
    let names: Vec<String> = order.iter().map(|(column, _)| format!("the {}", column.replace('_', " "))).collect();
    Counterfactual::find(&names, rate_without, context.budget.multivariate_notice(view))
}

/// A column's share in an odd row, in words.
fn reason(column: &str, share: f64, p_value: f64) -> Contribution {
    Contribution {
        name: column.to_owned(),
        window: multivariate_row::window_name().to_owned(),
        observed: format!("{:.0} % of what sets the hour apart", 100.0 * share),
        baseline: "hours like those before".to_owned(),
        observed_value: Some(100.0 * share),
        baseline_value: None,
        unit: "%".to_owned(),
        share,
        p_value,
    }
}
