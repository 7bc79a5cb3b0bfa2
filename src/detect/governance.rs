//! A rule of governance that somebody violates: of the shipped pack, the policy, or a Sigma rule.
//!
//! # Finds
//! Whatever the rules that a pipeline names in `[governance]` say: plaintext and weak TLS, addresses instead of names, calls without a
//! credential, credentials that are shared, old, idle, out of place or in a URL, vendors that nobody approved, data that is not approved for them,
//! calls past a gateway, deprecated endpoints, budgets, unsafe answers (redirects, HTML for JSON, jumps of size, none for minutes), and what
//! Sigma rules select.
//!
//! # Why it matters
//! What is forbidden is wrong on the first day too, when nothing of it is unusual yet.
//!
//! # Misses
//! What no column of a call holds; `docs/rules.md` lists it. Without `[governance]` it finds nothing.
//!
//! # Tuning
//! A rule of level `high` or `critical` pages, all others are notices; `[levels]` of the policy changes that, exceptions silence a rule
//! for a scope until a day. Nothing of `alerts_per_day` is set aside for it: a rule is not a matter of chance.
//!
//! # Example alert
//! `geo-svc violates the rule plaintext at google: called maps.googleapis.com over plaintext HTTP (required: https)`
//!
//! # What to do first
//! 1. Tell the caller's owner which rule it breaks, and until when it is to be mended.
//! 2. If it has to be so, write an exception into the policy, with a reason and a last day.
//!
//! # When it is wrong
//! Where the rule is: `apiwarden rules rehearse` says before it goes live what it would have found.
//!
//! # Source
//! Sigma rules (sigmahq.io), OWASP API Security Top 10 2023 (API10, unsafe consumption), RFC 8996 (TLS 1.0 and 1.1 withdrawn).

use super::sentence::bare;
use super::{
    Analytic, Candidate, Category, CauseClass, Class, Context, Contribution, Detector, Impact, Meta, Own, Sentence,
    Subject,
};
use crate::calls::View;
use crate::features::{Entity, WINDOWS};
use crate::rollup::Row;
use crate::rules::{Level, Memory, Violation};

static META: Meta = Meta {
    name: "governance",
    title: "Governance rule violated",
    category: Category::Governance,
    impact: Impact::High,
    analytic: Analytic::Rule,
    correlates: &[],
    page: include_str!("governance.rs"),
};

static EGRESS: Class = Class::new("rule_violated", &META, CauseClass::Unknown, sentence);
static AUDIT: Class = Class::new("rule_violated", &META, CauseClass::Unknown, sentence).in_audit();

/// A rule that is violated.
pub(super) struct Governance;

impl Detector for Governance {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&EGRESS, &AUDIT];
    type Model = ();
    type Memory = Memory;
    type Part = ();
    const LOOKS: bool = true;

    fn look(context: &Context<'_>, row: &Row, own: Own<'_, Self>) -> Vec<Candidate> {
        let Some(rules) = context.rules else { return Vec::new() };
        rules.judge_call(row, own.memory).iter().map(candidate).collect()
    }

    fn close(context: &Context<'_>, rows: &[Row], own: Own<'_, Self>) -> Vec<Candidate> {
        let Some(rules) = context.rules else { return Vec::new() };
        rules.judge(rows, context.bucket, own.memory).iter().map(candidate).collect()
    }
}

fn candidate(violation: &Violation) -> Candidate {
    let Violation { rule, level, broken, view, caller, vendor, account, endpoint, credential, calls, .. } = violation;
    let reason = Contribution {
        name: rule.clone(),
        window: WINDOWS[0].name.to_owned(),
        observed: broken.observed.clone(),
        baseline: broken.required.clone(),
        observed_value: Some(*calls as f64),
        baseline_value: None,
        unit: "calls".to_owned(),
        share: 1.0,
        p_value: 1.0,
    };
    let class = if *view == View::Audit { &AUDIT } else { &EGRESS };
    let entity = Entity::pair_in(*view, caller.clone(), vendor.clone(), account.clone());
    let subject = Subject { rule: rule.clone(), ..Subject::of(&entity) };
    let mut candidate = Candidate { subject, ..Candidate::new(entity, class) };
    candidate.details.credential = Some(credential.to_string()).filter(|credential| !credential.is_empty());
    Candidate {
        // Within its own share, so that it pages whatever the budget; the rarer, the more severe.
        rate: if *level == Level::Critical { CRITICAL_RATE } else { 1.0 },
        pages: level.pages(),
        contributions: vec![reason],
        endpoint: Some(endpoint.to_string()).filter(|endpoint| !endpoint.is_empty()),
        calls: calls.unsigned_abs(),
        ..candidate
    }
}

/// Alarms a day that make a page critical.
const CRITICAL_RATE: f64 = 0.001;

fn sentence(of: &Sentence<'_>) -> String {
    let Some(leading) = of.leading else { return bare(of) };
    let Contribution { name, observed, baseline, .. } = leading;
    format!("{} violates the rule {name} at {}: {observed} (required: {baseline})", of.who(), of.vendor)
}
