//! The audit view in the stream: each bucket's rows become ticks, and each principal's last hour is judged as a whole.
//!
//! Where the bundle knows too few days, the priors judge alone. Pure, like the judge that it belongs to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::evaluator::{Candidate, Evaluator, Store};
use super::findings::Details;
use crate::alerts::Subject;
use crate::calls::{StepClass, View};
use crate::detect::{Cause, Contribution, audit_contribution, cold_start_contribution};
use crate::features::{Column, Entity, HOUR};
use crate::models::audit::{
    Audit, COLD_START_PAGE, COMPANY_TESTS, ColdStart, Evidence, Expected, Group, HOUR_BUCKETS, Known, Observer, Over,
    Principal, Role, Row, Tick, Verdict, advance, judge, operation_class, values_of,
};
use crate::models::dispersion::UNKNOWN_COUNT_DISPERSION;
use crate::rollup::day_of;

/// Reasons that a finding tells.
const MAX_REASONS: usize = 4;
/// Reasons below this are told in the sentence.
const WORTH_A_WORD: f64 = 0.05;
/// A window of a day that an incident has told says it again for as long, and while the incident goes on.
const ECHO: i64 = 30 * 3_600_000_000;
/// Principals that nothing was learned of and that are remembered.
const MAX_STRANGERS: usize = 100_000;

/// What the stream remembers of the audit view.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct AuditMemory {
    observer: Observer,
    /// Each principal's last day.
    recent: BTreeMap<Principal, VecDeque<Tick>>,
    /// What principals without history look like.
    strangers: BTreeMap<Principal, Role>,
    /// When a principal was last told of.
    told: BTreeMap<Principal, i64>,
    cold: ColdStart,
}

impl Evaluator {
    /// Judges a bucket's rows of the audit view.
    pub fn judge_audit(&mut self, rows: &[Row<'_>], bucket: i64, time: i64) {
        if rows.is_empty() {
            return;
        }
        let store = std::mem::take(&mut self.memory.store);
        if self.bundle.audit.is_warm() {
            self.judge_habits(&store, rows, bucket, time);
        } else {
            self.evaluate_cold_start(&store, rows, bucket, time);
        }
        self.memory.store = store;
    }

    fn judge_habits(&mut self, store: &Store, rows: &[Row<'_>], bucket: i64, time: i64) {
        let bundle = Arc::clone(&self.bundle);
        let audit = &bundle.audit;
        let threshold = audit.threshold(self.budget.evidence());
        let ticks = self.observe(rows, audit);
        let memory = &mut self.memory.audit;
        let reach =
            |ticks: &VecDeque<Tick>| ticks.back().is_some_and(|last| last.bucket > bucket - 2 * HOUR_BUCKETS * 24);
        memory.recent.retain(|_, ticks| reach(ticks));
        memory.told.retain(|_, at| time - *at <= ECHO);
        for (principal, mut tick) in ticks {
            let role = self.role_of(audit, &principal);
            tick.count_sequence(&audit.sequence, &principal, role);
            let recent = self.memory.audit.recent.entry(principal.clone()).or_default();
            advance(recent, tick);
            let verdict = if principal.name.is_empty() {
                company_verdict(audit, &principal, recent, bucket)
            } else {
                verdict_of(audit, &principal, role, recent, bucket)
            };
            let Some(verdict) = verdict.filter(|verdict| verdict.rate <= threshold) else { continue };
            let last = self.memory.audit.told.get(&principal).copied();
            let is_echo = verdict.evidence.first().is_some_and(|(_, leading)| leading.is_of_day());
            if is_echo && last.is_some_and(|last| time - last <= ECHO) {
                continue;
            }
            if verdict.may_page {
                self.memory.audit.told.insert(principal.clone(), time);
            }
            if let Some(entity) = entity_of(&principal, rows)
                && let Some(candidate) = event_of(store, entity, &principal, &verdict, threshold)
            {
                self.tell(store, candidate, bucket, time);
            }
        }
    }

    /// The ticks of a bucket. Of principals whose incident goes on nothing is learned.
    fn observe(&mut self, rows: &[Row<'_>], audit: &Audit) -> BTreeMap<Principal, Tick> {
        for row in rows {
            let principal = row.whose();
            let strangers = &mut self.memory.audit.strangers;
            if !audit.habits.contains_key(&principal) && strangers.len() < MAX_STRANGERS {
                strangers.entry(principal).or_insert_with(|| row.apparent_role());
            }
        }
        let mut observer = std::mem::take(&mut self.memory.audit.observer);
        let role_of = |principal: &Principal, row: &Row<'_>| {
            let stranger = self.memory.audit.strangers.get(principal).copied();
            stranger.unwrap_or_else(|| audit.role_of(principal, row))
        };
        let is_held = |principal: &Principal| self.memory.incidents.is_paging(&subject_of(principal));
        let ticks = observer.observe(rows, audit, &role_of, &is_held);
        self.memory.audit.observer = observer;
        ticks
    }

    fn role_of(&self, audit: &Audit, principal: &Principal) -> Role {
        let stranger = self.memory.audit.strangers.get(principal);
        audit.habits.get(principal).map(|habits| habits.role).or(stranger.copied()).unwrap_or_default()
    }

    /// Without a history: by the priors of the classes of step.
    fn evaluate_cold_start(&mut self, store: &Store, rows: &[Row<'_>], bucket: i64, time: i64) {
        let bundle = Arc::clone(&self.bundle);
        for row in rows {
            let score = self.memory.audit.cold.score(&row.cold_start_call(row.last), &bundle.audit.known);
            let step = row.step;
            let is_grave = matches!(step, StepClass::Share | StepClass::Defence) && score > 0.0;
            if score < COLD_START_PAGE && !is_grave {
                continue;
            }
            let principal = row.whose();
            let rate = 10.0_f64.powf(-score);
            let candidate = Candidate {
                entity: principal.entity(),
                subject: subject_of(&principal),
                cause: cause(operation_class(step)),
                window: 1,
                rate,
                p_value: -(-rate).exp_m1(),
                share: 1.0,
                pages: true,
                contributions: vec![cold_start_contribution(
                    operation_class(step),
                    row.operation.as_str(),
                    row.calls,
                    rate,
                )],
                endpoint: Some(row.operation.to_string()),
                calls: row.calls.max(0) as u64,
                details: Details { credential: some(row.credential.as_str()), ..Details::default() },
            };
            self.tell(store, candidate, bucket, time);
        }
    }
}

fn subject_of(principal: &Principal) -> Subject {
    Subject::of(&principal.entity())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn cause(name: &'static str) -> Cause {
    Cause { name, is_rise: true, is_of_vendor: false, view: View::Audit }
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
    let is_of_hour = |tick: &&Tick| tick.bucket > bucket - HOUR_BUCKETS && day_of(tick.bucket) == day_of(bucket);
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

fn event_of(
    store: &Store,
    entity: Entity,
    principal: &Principal,
    verdict: &Verdict,
    threshold: f64,
) -> Option<Candidate> {
    let (_, leading) = verdict.evidence.first()?;
    let all: f64 = verdict.evidence.iter().map(|(p, _)| -p.ln()).sum();
    let part = |p: f64| if all > 0.0 { -p.ln() / all } else { 1.0 };
    let told = verdict.evidence.iter().take(MAX_REASONS);
    let contributions: Vec<Contribution> =
        told.map(|(p, evidence)| audit_contribution(evidence, *p, part(*p))).collect();
    let is_told_with = |contribution: &Contribution| contribution.p_value < WORTH_A_WORD;
    let also =
        contributions.iter().skip(1).filter(|also| is_told_with(also)).map(|also| also.observed.clone()).collect();
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
    let calls = store.get(entity.id()).map_or(0, |state| state.sum(Column::Calls, HOUR, store.now()));
    Some(Candidate {
        entity,
        subject: subject_of(principal),
        cause: cause(name),
        window,
        rate: verdict.rate,
        p_value: verdict.p_value,
        share: threshold,
        pages: verdict.may_page,
        contributions,
        endpoint: operation,
        calls: calls.max(0) as u64,
        details: Details { also, novelty, ..Details::default() },
    })
}
