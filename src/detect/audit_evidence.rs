//! The evidence of the audit view: each bucket's rows become ticks, and each principal's last hour is judged as a whole.
//!
//! Where the bundle knows too few days, the priors judge alone. Which class a piece of evidence is of, its detector says.
//!
//! Not here: what is evidence and how it is weighed (`models::audit`).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::budget::Threshold;
use super::candidate::{Candidate, Details};
use super::class_of;
use super::contribution::Contribution;
use super::detector::Context;
use super::subject::Subject;
use super::words::{class_in_words, in_numbers};
use crate::calls::{StepClass, View};
use crate::features::{Column, Entity, HOUR};
use crate::models::audit::{
    Audit, COLD_START_PAGE, COMPANY_TESTS, ColdStart, Evidence, Expected, Group, HOUR_BUCKETS, Known, Observer, Over,
    Principal, Role, Row, Tick, Verdict, advance, judge, operation_class, values_of,
};
use crate::models::dispersion::UNKNOWN_COUNT_DISPERSION;
use crate::rollup::day_of;

/// Most reasons that a finding lists.
const MAX_REASONS: usize = 4;
/// p-value below which the sentence names a reason.
const WORTH_A_WORD: f64 = 0.05;
/// How long, microseconds, what an incident has reported stays in windows of a day, and is not reported again.
const ECHO: i64 = 30 * 3_600_000_000;
/// Principals that nothing was learned of and that are remembered.
const MAX_STRANGERS: usize = 100_000;

/// What the stream remembers of the audit view.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuditMemory {
    observer: Observer,
    /// Each principal's last day.
    recent: BTreeMap<Principal, VecDeque<Tick>>,
    /// What principals without history look like.
    strangers: BTreeMap<Principal, Role>,
    /// When a principal was last reported.
    reported: BTreeMap<Principal, i64>,
    cold: ColdStart,
}

impl AuditMemory {
    /// What a bucket's rows of the audit view show, also of one that is past: then as much of the hour after it counts as was seen.
    pub fn evaluate(&mut self, context: &Context<'_>, rows: &[Row<'_>]) -> Vec<Candidate> {
        if rows.is_empty() {
            Vec::new()
        } else if context.bundle.audit.is_warm() {
            self.evaluate_habits(context, rows)
        } else {
            self.evaluate_cold_start(context, rows)
        }
    }

    fn evaluate_habits(&mut self, context: &Context<'_>, rows: &[Row<'_>]) -> Vec<Candidate> {
        let Context { bucket, time, .. } = *context;
        let audit = &context.bundle.audit;
        let threshold = context.budget.evidence().map(|pages| audit.threshold(pages));
        let ticks = self.observe(context, rows);
        let reach =
            |ticks: &VecDeque<Tick>| ticks.back().is_some_and(|last| last.bucket > bucket - 2 * HOUR_BUCKETS * 24);
        self.recent.retain(|_, ticks| reach(ticks));
        self.reported.retain(|_, at| time - *at <= ECHO);
        let mut candidates = Vec::new();
        for (principal, mut tick) in ticks {
            let role = self.role_of(audit, &principal);
            tick.count_sequence(&audit.sequence, &principal, role);
            let recent = self.recent.entry(principal.clone()).or_default();
            advance(recent, tick);
            let bucket = last_of_hour(recent, bucket);
            let verdict = if principal.name.is_empty() {
                company_verdict(audit, &principal, recent, bucket)
            } else {
                verdict_of(audit, &principal, role, recent, bucket)
            };
            let Some(verdict) = verdict.filter(|verdict| threshold.admits(verdict.rate, verdict.p_value)) else {
                continue;
            };
            let last = self.reported.get(&principal).copied();
            let is_echo = verdict.evidence.first().is_some_and(|(_, leading)| leading.is_of_day());
            if is_echo && last.is_some_and(|last| time - last <= ECHO) {
                continue;
            }
            if verdict.may_page {
                let reported = self.reported.entry(principal.clone()).or_insert(time);
                *reported = time.max(*reported);
            }
            let entity = entity_of(&principal, rows);
            candidates.extend(entity.and_then(|entity| candidate(context, entity, &principal, &verdict, threshold)));
        }
        candidates
    }

    /// The ticks of a bucket. Of principals whose incident goes on nothing is learned.
    fn observe(&mut self, context: &Context<'_>, rows: &[Row<'_>]) -> BTreeMap<Principal, Tick> {
        let audit = &context.bundle.audit;
        for row in rows {
            let principal = row.whose();
            if !audit.habits.contains_key(&principal) && self.strangers.len() < MAX_STRANGERS {
                self.strangers.entry(principal).or_insert_with(|| row.apparent_role());
            }
        }
        let strangers = &self.strangers;
        let role_of = |principal: &Principal, row: &Row<'_>| {
            strangers.get(principal).copied().unwrap_or_else(|| audit.role_of(principal, row))
        };
        let is_held = |principal: &Principal| context.incidents.is_paging(&subject_of(principal));
        self.observer.observe(rows, audit, &role_of, &is_held)
    }

    fn role_of(&self, audit: &Audit, principal: &Principal) -> Role {
        let stranger = self.strangers.get(principal);
        audit.habits.get(principal).map(|habits| habits.role).or(stranger.copied()).unwrap_or_default()
    }

    /// Without a history: by the priors of the classes of step.
    fn evaluate_cold_start(&mut self, context: &Context<'_>, rows: &[Row<'_>]) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for row in rows {
            let score = self.cold.score(&row.cold_start_call(row.last), &context.bundle.audit.known).page;
            let step = row.step;
            let is_grave = matches!(step, StepClass::Share | StepClass::Defence) && score > 0.0;
            if score < COLD_START_PAGE && !is_grave {
                continue;
            }
            let Some(class) = class_of(View::Audit, operation_class(step), true, false) else { continue };
            let rate = 10.0_f64.powf(-score);
            candidates.push(Candidate {
                rate,
                p_value: -(-rate).exp_m1(),
                contributions: vec![cold_start_reason(class.name, row.operation.as_str(), row.calls, rate)],
                endpoint: Some(row.operation.to_string()),
                calls: row.calls.max(0) as u64,
                details: Details {
                    credential: some(row.credential.as_str()),
                    seen: Some([row.time, row.last]),
                    ..Details::default()
                },
                ..Candidate::new(row.whose().entity(), class)
            });
        }
        candidates
    }
}

fn subject_of(principal: &Principal) -> Subject {
    Subject::of(&principal.entity())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// The entity whose hosts and traces an alert names; of the company that of the one who failed last.
fn entity_of(principal: &Principal, rows: &[Row<'_>]) -> Option<Entity> {
    if !principal.name.is_empty() {
        return Some(principal.entity());
    }
    let is_own = |row: &&Row<'_>| *row.vendor == principal.vendor && *row.account == principal.account;
    let last = rows.iter().rev().filter(is_own).find(|row| row.is_failed_sign_in())?;
    Some(last.whose().entity())
}

/// The last bucket with calls of the hour that begins with one, on its day: of a newest one itself.
fn last_of_hour(recent: &VecDeque<Tick>, first: i64) -> i64 {
    let is_of_hour = |at: &i64| *at < first + HOUR_BUCKETS && day_of(*at) == day_of(first);
    recent.iter().map(|tick| tick.bucket).filter(is_of_hour).fold(first, i64::max)
}

fn verdict_of(
    audit: &Audit,
    principal: &Principal,
    role: Role,
    recent: &VecDeque<Tick>,
    bucket: i64,
) -> Option<Verdict> {
    let habits = audit.habits.get(principal);
    let expected = habits.map(|habits| &habits.tests).or_else(|| audit.strangers.get(&role))?;
    let over = Over::of(&values_of(recent, bucket), bucket, expected, &audit.tails, role, habits.is_none());
    let is_of_hour = |tick: &&Tick| {
        (bucket - HOUR_BUCKETS + 1..=bucket).contains(&tick.bucket) && day_of(tick.bucket) == day_of(bucket)
    };
    let known = Known { role, principals: audit.principals() };
    judge(recent.iter().filter(is_of_hour), known, |class| audit.rates.p(principal, class, None), over)
}

fn company_verdict(audit: &Audit, company: &Principal, recent: &VecDeque<Tick>, bucket: i64) -> Option<Verdict> {
    let unknown =
        || vec![Expected { dispersion: UNKNOWN_COUNT_DISPERSION as f32, ..Expected::default() }; COMPANY_TESTS.len()];
    let expected = audit.company.get(&company.vendor).cloned().unwrap_or_else(unknown);
    let mut over = Over::of_company(&values_of(recent, bucket), bucket, &expected);
    over.sort_by(|a, b| a.p.total_cmp(&b.p));
    let rate = over.first()?.company_rate();
    let evidence = over.into_iter().map(|over| (over.p, Evidence::Over(over))).collect();
    Some(Verdict { rate, p_value: rate.min(1.0), may_page: true, evidence })
}

fn candidate(
    context: &Context<'_>,
    entity: Entity,
    principal: &Principal,
    verdict: &Verdict,
    threshold: Threshold,
) -> Option<Candidate> {
    let (_, leading) = verdict.evidence.first()?;
    let all: f64 = verdict.evidence.iter().map(|(p, _)| -p.ln()).sum();
    let part = |p: f64| if all > 0.0 { -p.ln() / all } else { 1.0 };
    let strongest = verdict.evidence.iter().take(MAX_REASONS);
    let contributions: Vec<Contribution> = strongest.map(|(p, evidence)| reason(evidence, *p, part(*p))).collect();
    let is_named = |contribution: &Contribution| contribution.p_value < WORTH_A_WORD;
    let also = contributions.iter().skip(1).filter(|also| is_named(also)).map(|also| also.observed.clone()).collect();
    let operation = verdict.evidence.iter().find_map(|(_, evidence)| match evidence {
        Evidence::Mark(class, _, operation) if class.group == Group::Operation => Some(operation.to_string()),
        _ => None,
    });
    let novelty = match leading {
        Evidence::Mark(_, detail, _) => Some(detail.clone()),
        Evidence::Over(_) => None,
    };
    let (name, window) = match leading {
        Evidence::Mark(class, ..) => (class.name(), HOUR_BUCKETS),
        Evidence::Over(over) => (over.test.name, if over.test.over_day { 24 * HOUR_BUCKETS } else { HOUR_BUCKETS }),
    };
    let store = context.store;
    let calls = store.get(entity.id()).map_or(0, |state| state.sum(Column::Calls, HOUR, store.now()));
    Some(Candidate {
        subject: subject_of(principal),
        window,
        rate: verdict.rate,
        p_value: verdict.p_value,
        threshold: Some(threshold),
        pages: verdict.may_page,
        contributions,
        endpoint: operation,
        calls: calls.max(0) as u64,
        details: Details { also, novelty, ..Details::default() },
        ..Candidate::new(entity, class_of(View::Audit, name, true, false)?)
    })
}

/// A piece of evidence of the audit view, in words; `share` is its part of the surprise.
fn reason(evidence: &Evidence, p_value: f64, share: f64) -> Contribution {
    match evidence {
        Evidence::Mark(class, detail, operation) => {
            let is_operation = class.group == Group::Operation || detail == operation.as_str();
            let by = if is_operation { String::new() } else { format!(" ({operation})") };
            Contribution {
                name: class.name().to_owned(),
                window: String::new(),
                observed: format!("{}: {detail}{by}", class_in_words(class.name())),
                baseline: format!("a day in {}", in_numbers((1.0 / p_value.max(1e-12)).round())),
                observed_value: None,
                baseline_value: Some(p_value),
                unit: "times a day".to_owned(),
                share,
                p_value,
            }
        }
        Evidence::Over(over) => Contribution {
            name: over.test.name.to_owned(),
            window: if over.test.over_day { "24h" } else { "1h" }.to_owned(),
            observed: format!("{} {}", in_numbers(over.seen), over.test.summary),
            baseline: in_numbers(over.usual),
            observed_value: Some(over.seen),
            baseline_value: Some(over.usual),
            unit: over.test.summary.to_owned(),
            share,
            p_value,
        },
    }
}

/// Calls that are odd without any history, in words.
fn cold_start_reason(name: &str, operation: &str, calls: i64, rate: f64) -> Contribution {
    Contribution {
        name: name.to_owned(),
        window: String::new(),
        observed: format!("{}, or many: {operation}, {calls} calls in five minutes", class_in_words(name)),
        baseline: format!("without history expected {} times a day", in_numbers(rate)),
        observed_value: Some(calls as f64),
        baseline_value: None,
        unit: "calls".to_owned(),
        share: 1.0,
        p_value: -(-rate).exp_m1(),
    }
}
