//! Violations: which rule, by whom, and what shows it.
//!
//! Not here: how it is worded in an alert (`detect::governance`).

use super::level::Level;
use super::memory::Used;
use super::pack::{Broken, Builtin};
use super::sigma::SigmaRule;
use crate::calls::{Name, Relation, View, combine};
use crate::rollup::Row;

/// A rule that somebody broke in a bucket.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Name of the rule.
    pub rule: String,
    /// How grave it is.
    pub level: Level,
    /// What shows it.
    pub broken: Broken,
    /// The view.
    pub view: View,
    /// Who.
    pub caller: Name,
    /// Whom.
    pub vendor: Name,
    /// In which account of theirs.
    pub account: Name,
    /// The endpoint with most of the calls.
    pub endpoint: Name,
    /// The credential with most of the calls.
    pub credential: Name,
    /// Calls that show it; 0 where it is that there are none.
    pub calls: i64,
    /// Calls of the row that it is shown by, and its relation: the one with most stands for all.
    pub(super) largest: (i64, u64),
}

impl Violation {
    fn of(rule: &str, level: Level, relation: &Relation, calls: i64, broken: Broken) -> Self {
        Self {
            rule: rule.to_owned(),
            level,
            broken,
            view: relation.view(),
            caller: relation.caller().clone(),
            vendor: relation.vendor().clone(),
            account: relation.account().clone(),
            endpoint: relation.endpoint().clone(),
            credential: relation.credential().clone(),
            calls,
            largest: (calls, relation.id()),
        }
    }

    pub(super) fn by_pack(rule: &Builtin, level: Level, row: &Row, broken: Broken) -> Self {
        Self::of(rule.name, level, &row.relation, row.calls(), broken)
    }

    pub(super) fn by_sigma(rule: &SigmaRule, row: &Row, calls: i64) -> Self {
        let observed = format!("{}: {} of {}", rule.title, calls_of(calls), row.relation.endpoint());
        let broken = Broken { observed, required: "no such call".to_owned() };
        Self::of(&rule.name, rule.level, &row.relation, calls, broken)
    }

    pub(super) fn by_day(rule: &Builtin, level: Level, of: &Used, broken: Broken) -> Self {
        let empty = Name::default;
        Self {
            rule: rule.name.to_owned(),
            level,
            broken,
            view: of.view,
            caller: of.caller.clone(),
            vendor: of.vendor.clone(),
            account: of.account.clone(),
            endpoint: empty(),
            credential: of.credential.clone(),
            calls: 0,
            largest: (0, of.credential.id()),
        }
    }

    /// Its place among others: by rule and subject.
    pub(super) fn order(&self) -> [String; 5] {
        let [caller, vendor, account] = [&self.caller, &self.vendor, &self.account].map(Name::to_string);
        [self.rule.clone(), self.view.as_str().to_owned(), vendor, account, caller]
    }

    /// What it is remembered by.
    pub(super) fn key(&self) -> u64 {
        let [caller, vendor, account] = [&self.caller, &self.vendor, &self.account].map(Name::id);
        combine([Name::id_of(&self.rule), self.view as u64, vendor, account, caller])
    }

    /// Merges the same violation by another row. The row with most calls says what was done.
    pub(super) fn merge(&mut self, other: Self) {
        let calls = self.calls + other.calls;
        if other.largest > self.largest {
            *self = other;
        }
        self.calls = calls;
    }
}

/// `1 call`, `12 calls`.
fn calls_of(calls: i64) -> String {
    if calls == 1 { "1 call".to_owned() } else { format!("{calls} calls") }
}
