//! Violations of rules, exceptions, and who calls what nobody approved.
//!
//! Not here: the rules (`rules`), and incidents of other detectors (`alerts`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::incident::Incident;
use super::time::moment;
use crate::catalog::{Facts, Span};
use crate::rules::{Builtin, RULES, Rules};

/// Days before its end on which an exception is said to end soon.
const SOON: i64 = 14 * 86_400_000_000;

/// Rules, violations and exceptions.
#[derive(Debug, Serialize)]
pub(super) struct Governance {
    /// Rules in force; `null` where no pipeline with `[governance]` was given.
    pub rules_in_force: Option<usize>,
    /// Sigma rules that call logs cannot answer.
    pub not_evaluable: usize,
    /// By rule, the one with most incidents first.
    pub violations: Vec<Violations>,
    /// Each violation, the newest first.
    pub incidents: Vec<Violation>,
    pub exceptions: Vec<Excepted>,
    /// Pairs with calls in the period that the policy does not approve; `null` where it approves no vendors.
    pub unapproved: Option<Vec<Unapproved>>,
}

/// Violations of one rule.
#[derive(Debug, Serialize)]
pub(super) struct Violations {
    pub rule: String,
    /// What it finds.
    pub finds: String,
    pub incidents: usize,
    /// Those that page.
    pub pages: usize,
    pub callers: BTreeSet<String>,
    pub vendors: BTreeSet<String>,
}

/// A violation.
#[derive(Debug, Serialize)]
pub(super) struct Violation {
    pub opened: String,
    pub rule: String,
    pub severity: &'static str,
    pub message: String,
    pub id: String,
}

/// An exception of the policy.
#[derive(Debug, Serialize)]
pub(super) struct Excepted {
    pub scope: String,
    pub reason: String,
    /// The last day.
    pub expires: String,
    /// `in force`, `ends soon`, `ended`.
    pub state: &'static str,
}

/// Who calls what nobody approved.
#[derive(Debug, Serialize)]
pub(super) struct Unapproved {
    pub caller: String,
    pub vendor: String,
    pub calls: i64,
    pub bytes_out: i64,
    pub first_seen: String,
    /// The last day of the exception that tolerates it.
    pub excepted_until: Option<String>,
}

/// The rule that exceptions for vendors name.
const NOT_APPROVED: &str = "vendor_not_approved";

impl Governance {
    pub fn of(facts: &Facts, rules: Option<&Rules>, incidents: &[Incident]) -> Self {
        let now = facts.newest.unwrap_or_else(|| facts.period.end());
        let policy = rules.map(Rules::policy);
        let exceptions = policy.map_or(&[][..], |policy| policy.exceptions()).iter().map(|exception| Excepted {
            scope: exception.scope(),
            reason: exception.reason.clone(),
            expires: exception.expires.to_string(),
            state: match exception.until() - now {
                left if left <= 0 => "ended",
                left if left <= SOON => "ends soon",
                _ => "in force",
            },
        });
        let approves = |caller: &str, vendor: &str| policy.and_then(|policy| policy.approves(caller, vendor));
        let says_anything = policy.is_some_and(|policy| policy.approves("", "").is_some());
        Self {
            rules_in_force: rules.map(|rules| {
                let is_on = |rule: &&Builtin| rules.policy().level(rule.name, rule.level).is_some();
                RULES.iter().filter(is_on).count() + rules.sigma().len()
            }),
            not_evaluable: rules.map_or(0, |rules| rules.unevaluable().len()),
            violations: violations(rules, incidents),
            incidents: each(incidents),
            exceptions: exceptions.collect(),
            unapproved: says_anything.then(|| {
                let of_period = facts.pairs.iter().filter(|(_, span)| span.is_egress && span.calls > 0);
                let refused = of_period.filter(|((caller, vendor), _)| approves(caller, vendor) == Some(false));
                let mut refused: Vec<_> = refused.collect();
                refused.sort_by_key(|(pair, span)| (-span.calls, *pair));
                let row = |((caller, vendor), span): (&(String, String), &Span)| Unapproved {
                    caller: caller.clone(),
                    vendor: vendor.clone(),
                    calls: span.calls,
                    bytes_out: span.bytes_out,
                    first_seen: moment(span.first_seen),
                    excepted_until: policy
                        .and_then(|policy| policy.exception(NOT_APPROVED, caller, vendor, now))
                        .map(|exception| exception.expires.to_string()),
                };
                refused.into_iter().map(row).collect()
            }),
        }
    }

    /// Exceptions in a state.
    pub fn exceptions_in(&self, state: &str) -> usize {
        self.exceptions.iter().filter(|exception| exception.state == state).count()
    }
}

fn violations(rules: Option<&Rules>, incidents: &[Incident]) -> Vec<Violations> {
    let mut by_rule: BTreeMap<&str, Violations> = BTreeMap::new();
    for incident in incidents {
        let Some(rule) = &incident.rule else { continue };
        let shipped = RULES.iter().find(|one| one.name == rule).map(|one| one.summary.to_owned());
        let sigma = || rules?.sigma().iter().find(|one| one.name == *rule).map(|one| one.title.to_string());
        let of_rule = by_rule.entry(rule).or_insert_with(|| Violations {
            rule: rule.clone(),
            finds: shipped.or_else(sigma).unwrap_or_default(),
            incidents: 0,
            pages: 0,
            callers: BTreeSet::new(),
            vendors: BTreeSet::new(),
        });
        of_rule.incidents += 1;
        of_rule.pages += usize::from(incident.pages());
        of_rule.callers.extend(incident.callers.iter().cloned());
        of_rule.vendors.extend(incident.vendors.iter().cloned());
    }
    let mut violations: Vec<_> = by_rule.into_values().collect();
    violations.sort_by(|a, b| (b.pages, b.incidents, &a.rule).cmp(&(a.pages, a.incidents, &b.rule)));
    violations
}

fn each(incidents: &[Incident]) -> Vec<Violation> {
    let mut of_rules: Vec<_> = incidents.iter().filter(|incident| incident.rule.is_some()).collect();
    of_rules.sort_by(|a, b| (-a.opened, &a.id).cmp(&(-b.opened, &b.id)));
    let row = |incident: &Incident| Violation {
        opened: moment(incident.opened),
        rule: incident.rule.clone().unwrap_or_default(),
        severity: incident.severity.as_str(),
        message: incident.message.clone(),
        id: incident.id.clone(),
    };
    of_rules.into_iter().map(row).collect()
}
