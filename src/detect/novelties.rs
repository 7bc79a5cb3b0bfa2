//! Novelties of egress: what was never there before, judged by itself and with all that its caller showed within the hour.
//!
//! Which class of findings a novelty is of, its detector says; here is what all of them share.
//!
//! Not here: what is new, and how often a day it is expected (`models::novelty`).

use serde::{Deserialize, Serialize};

use super::benign::Benign;
use super::budget::{Budget, Threshold};
use super::candidate::{Candidate, Details};
use super::class_of;
use super::contribution::Contribution;
use super::counterfactual::Counterfactual;
use super::words::{class_in_words, in_numbers};
use crate::calls::{Relation, View};
use crate::features::Entity;
use crate::models::bundle::Bundle;
use crate::models::novelty::{Novelty, NoveltyClass, NoveltyRates, NoveltyTracker, Together, classes};
use crate::rollup::Row;

/// Further new things that the sentence of a novelty names.
const MAX_ALSO: usize = 2;

/// What was seen, and what callers showed for the first time within the last hour.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Novelties {
    tracker: NoveltyTracker,
    together: Together,
}

impl Novelties {
    /// After it was read back.
    pub fn restored(self) -> Self {
        Self { tracker: self.tracker.restored(), ..self }
    }

    /// The new things of a relation with a first call at `time`, microseconds since the epoch.
    pub fn look(&mut self, relation: &std::sync::Arc<Relation>, time: i64, bundle: &Bundle) -> Vec<Novelty> {
        // Where no history was learned, all is new and nothing is news.
        if !bundle.has_history_of(relation.view()) {
            return Vec::new();
        }
        self.tracker.look(relation, time, &bundle.known)
    }

    /// Whether a row makes its pair a beacon.
    pub fn beacon(&mut self, row: &Row, bundle: &Bundle) -> Option<Novelty> {
        let is_known = bundle.has_history_of(row.relation.view());
        is_known.then(|| self.tracker.beacon(row, &bundle.known)).flatten()
    }

    /// A novelty, judged by itself and with all that its caller showed within the hour.
    pub fn evaluate(&mut self, novelty: &Novelty, bundle: &Bundle, budget: Budget) -> Option<Candidate> {
        self.together.show(novelty);
        let shown = self.together.shown(novelty);
        let relation = &novelty.relation;
        let view = relation.view();
        let class = class_of(view, novelty.class.name, true, false)?;
        let callers = bundle.known.callers(view);
        let (rates, threshold) = (&bundle.novelty_rates, threshold(bundle, budget, view));
        let rate = rates.together(callers, shown.iter().map(|(class, _)| *class));
        let p_value = 1.0 - (-rate).exp();
        let pages = threshold.pages(rate, p_value);
        let part = share_of(rates, callers, novelty.class, &shown);
        let is_new_caller = !bundle.known.has_caller(view, relation.caller());
        let others = shown.iter().filter(|(class, _)| *class != novelty.class);
        let shown_classes: Vec<&'static NoveltyClass> = shown.iter().map(|(class, _)| *class).collect();
        let credential = relation.credential();
        Some(Candidate {
            rate,
            p_value,
            threshold: Some(threshold),
            pages,
            contributions: vec![reason(novelty, rates.of(novelty.class), part)],
            endpoint: Some(relation.endpoint().to_string()),
            // At least the one that showed it: its bucket is still open.
            calls: 1,
            details: Details {
                counterfactual: pages.then(|| without(rates, callers, &shown, threshold.in_force)),
                likely: Benign::of_novelties(&shown_classes, is_new_caller),
                sharing: None,
                also: others
                    .take(MAX_ALSO)
                    .map(|(class, detail)| format!("{}: {detail}", class_in_words(class.name)))
                    .collect(),
                novelty: Some(novelty.detail.clone()),
                seen: None,
                credential: (!credential.is_empty()).then(|| credential.to_string()),
            },
            ..Candidate::new(Entity::pair_of(relation), class)
        })
    }
}

/// The rate up to which a novelty pages.
fn threshold(bundle: &Bundle, budget: Budget, view: View) -> Threshold {
    budget.novelties(view).map(|all| Budget::novelty(all).min(bundle.novelty_rates.threshold(all)))
}

/// Part of what a caller showed for the first time that one class has: its logarithm, of the sum of all.
fn share_of(
    rates: &NoveltyRates,
    callers: usize,
    class: &NoveltyClass,
    shown: &[(&'static NoveltyClass, &str)],
) -> f64 {
    let part = |class: &NoveltyClass| (callers.max(1) as f64 / rates.of(class)).max(1.0).ln();
    let all: f64 = shown.iter().map(|(class, _)| part(class)).sum();
    if all > 0.0 { part(class) / all } else { 1.0 }
}

/// The fewest new things without which what a caller showed within the hour would not page.
fn without(
    rates: &NoveltyRates,
    callers: usize,
    shown: &[(&'static NoveltyClass, &str)],
    threshold: f64,
) -> Counterfactual {
    let mut order = shown.to_vec();
    order.sort_by(|(a, _), (b, _)| rates.of(a).total_cmp(&rates.of(b)));
    let name = |(class, detail): &(&'static NoveltyClass, &str)| {
        if *class == &classes::PLAINTEXT {
            "plaintext HTTP".to_owned()
        } else if *class == &classes::TLS_OLD {
            format!("TLS {detail}")
        } else {
            (*detail).to_owned()
        }
    };
    let names: Vec<String> = order.iter().map(name).collect();
    let rate_without = |count| rates.together(callers, order.iter().skip(count).map(|(class, _)| *class));
    Counterfactual::find(&names, rate_without, threshold)
}

/// A novelty in words; `rate` is how often a day its class is expected, `share` its part of what its caller showed.
fn reason(novelty: &Novelty, rate: f64, share: f64) -> Contribution {
    Contribution {
        name: novelty.class.name.to_owned(),
        window: String::new(),
        observed: format!("{}: {}", novelty.class.summary, novelty.detail),
        baseline: format!("expected {} times a day", in_numbers(rate)),
        observed_value: None,
        baseline_value: Some(rate),
        unit: "times a day".to_owned(),
        share,
        p_value: 1.0 - (-rate).exp(),
    }
}
