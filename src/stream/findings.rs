//! What a finding says: its sentence, its share of the budget, its counterfactual, whom it names.
//!
//! Here the evidence is still at hand, so that what is left after leaving out a reason is judged anew, not guessed.
//!
//! Not here: whether it is told at all (`causes`), and to which incident it belongs (`alerts`).

use std::collections::BTreeMap;

use super::evaluator::{Candidate, Evaluator, State, Store};
use crate::alerts::Subject;
use crate::calls::{Name, View};
use crate::detect::{Benign, Counterfactual, Finding, Sentence, Sharing, detector_of, left_out, sentence};
use crate::features::Entity;
use crate::models::baseline::{Verdict, fused};
use crate::models::bundle::CalibratedMultivariate;
use crate::models::calibration::p_value;
use crate::models::novelty::{NoveltyClass, NoveltyRates, classes};
use crate::rollup::bucket_start;

/// What else a finding says of its candidate.
#[derive(Debug, Default)]
pub(super) struct Details {
    /// What would have to be left out for the window to be usual.
    pub counterfactual: Option<Counterfactual>,
    /// The harmless change that it looks like; said of what does not page.
    pub likely: Option<Benign>,
    /// Whether the vendor's other callers see it; `None` where nobody asked.
    pub sharing: Option<Sharing>,
    /// What else the caller showed for the first time within the hour, in words.
    pub also: Vec<String>,
    /// The new thing itself, of a novelty.
    pub novelty: Option<String>,
    /// The credential that showed it, where that is known; else the state's newest.
    pub credential: Option<String>,
}

/// Part of what a caller showed for the first time that one class has: its logarithm, of the sum of all.
pub(super) fn share_of_novelty(
    rates: &NoveltyRates,
    callers: usize,
    class: &NoveltyClass,
    shown: &[(&'static NoveltyClass, &str)],
) -> f64 {
    let part = |class: &NoveltyClass| (callers.max(1) as f64 / rates.of(class)).max(1.0).ln();
    let all: f64 = shown.iter().map(|(class, _)| part(class)).sum();
    if all > 0.0 { part(class) / all } else { 1.0 }
}

impl Evaluator {
    /// The fewest statistics without which an entity's window would not page.
    pub fn without_statistics(&self, entity: &Entity, verdicts: &[Verdict]) -> Option<Counterfactual> {
        let score = &self.bundle.views.get(&entity.view)?.score;
        let mut parts: BTreeMap<usize, (f64, &Verdict)> = BTreeMap::new();
        for verdict in verdicts.iter().filter(|verdict| verdict.test.weight() > 0.0 && verdict.p_value < 1.0) {
            let (part, strongest) = parts.entry(verdict.test.statistic).or_insert((0.0, verdict));
            *part += verdict.test.weight() / verdict.p_value;
            if verdict.p_value < strongest.p_value {
                *strongest = verdict;
            }
        }
        let mut order: Vec<(usize, f64, &Verdict)> =
            parts.into_iter().map(|(place, (part, strongest))| (place, part, strongest)).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        let rate_without = |count: usize| {
            let is_left_out =
                |verdict: &Verdict| order.iter().take(count).any(|(place, ..)| *place == verdict.test.statistic);
            let left =
                verdicts.iter().map(|verdict| (verdict.test, if is_left_out(verdict) { 1.0 } else { verdict.p_value }));
            self.bundle
                .alarms_per_day(self.bundle.entities(entity.view), p_value(score.as_ref(), fused(entity.level, left)))
        };
        let names: Vec<String> = order.iter().map(|(.., strongest)| left_out(strongest)).collect();
        Some(Counterfactual::find(&names, rate_without, self.budget.tests(entity.view)))
    }

    /// The fewest new things without which what a caller showed within the hour would not page.
    pub fn without_novelties(
        &self,
        callers: usize,
        shown: &[(&'static NoveltyClass, &str)],
        threshold: f64,
    ) -> Counterfactual {
        let rates = &self.bundle.novelty_rates;
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

    /// The fewest columns without which an hour is like those before; a column that is left out counts as typical.
    pub fn without_columns(
        &self,
        view: View,
        multivariate: &CalibratedMultivariate,
        row: &[f64],
        order: &[(String, f64)],
    ) -> Counterfactual {
        let columns = multivariate.multivariate.columns();
        let rate_without = |count: usize| {
            let is_left_out = |name: &String| order.iter().take(count).any(|(column, _)| column == name);
            let left: Vec<f64> = row
                .iter()
                .zip(columns)
                .map(|(value, name)| if is_left_out(name) { f64::NAN } else { *value })
                .collect();
            self.bundle.alarms_per_day(multivariate.entities, multivariate.p_value(&left))
        };
        let names: Vec<String> = order.iter().map(|(column, _)| format!("the {}", column.replace('_', " "))).collect();
        Counterfactual::find(&names, rate_without, self.budget.multivariate_notice(view))
    }

    /// What an candidate says, and whom it is about.
    pub fn finding(&self, store: &Store, candidate: Candidate, bucket: i64, time: i64) -> (Subject, Finding) {
        let Candidate { subject, cause, details, contributions, entity, .. } = candidate;
        let of_vendor = store.get(Entity::vendor(subject.view, Name::new(&subject.vendor)).id());
        let own = || store.get(entity.id());
        let trail = of_vendor.filter(|_| subject.caller.is_empty()).or_else(own).map(|state| &state.trail);
        let credential = details.credential.or_else(|| trail.map(|trail| trail.credential.to_string()));
        let credential = credential.filter(|credential| !credential.is_empty() && !subject.caller.is_empty());
        let endpoint = candidate.endpoint.filter(|endpoint| !endpoint.is_empty());
        let is_other = |pair: &&State| pair.entity.caller != entity.caller;
        let message = sentence(&Sentence {
            cause: &cause,
            caller: &subject.caller,
            vendor: &subject.vendor,
            endpoint: endpoint.as_deref(),
            leading: contributions.first(),
            also: &details.also,
            others: store.pairs_of(subject.view, &Name::new(&subject.vendor)).filter(is_other).count(),
            sharing: details.sharing,
        });
        let is_egress = subject.view == View::Egress;
        let destination = self.bundle.known.vendors().category(&subject.vendor).filter(|_| is_egress);
        let finding = Finding {
            detector: detector_of(&cause),
            cause,
            time,
            first_seen: bucket_start(bucket + 1 - candidate.window),
            last_seen: bucket_start(bucket + 1).min(time),
            alarms_per_day: candidate.rate,
            p_value: candidate.p_value,
            message,
            contributions,
            counterfactual: details.counterfactual,
            likely: details.likely.filter(|_| !candidate.pages),
            destination,
            novelty: details.novelty,
            hosts: trail.map(|trail| trail.hosts.iter().map(Name::to_string).collect()).unwrap_or_default(),
            credential,
            endpoint,
            calls: candidate.calls,
            trace_ids: trail
                .map(|trail| trail.trace_ids.iter().map(|id| id.as_str().to_owned()).collect())
                .unwrap_or_default(),
        };
        (subject, finding)
    }
}
