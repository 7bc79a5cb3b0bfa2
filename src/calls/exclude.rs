//! Exclusions: calls of the history that training skips because they were not ordinary.
//!
//! A rule is a list of conditions separated by commas, all of which must hold: `caller=payroll-svc`,
//! `vendor=stripe,from=2026-09-03T00:00:00Z,to=2026-09-03T06:00:00Z`. A call is excluded if any rule matches.
//!
//! Not here: outliers that training trims by itself (`models::multivariate`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use thiserror::Error;

use super::batch::Calls;
use super::schema::{Dimension, Relation};
use super::secret::looks_secret;

/// Columns of a call that a rule can name.
const COLUMNS: [Dimension; 7] = [
    Dimension::Caller,
    Dimension::Vendor,
    Dimension::Host,
    Dimension::Endpoint,
    Dimension::Credential,
    Dimension::Network,
    Dimension::Client,
];

/// Why a rule is invalid. Names the condition, not its value.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ExcludeError {
    /// A condition is not `name=value`.
    #[error("condition {condition}: write NAME=VALUE, as in caller=payroll-svc")]
    NoCondition {
        /// Number of the condition in the rule, from 1.
        condition: usize,
    },
    /// A condition names what no rule knows.
    #[error("condition {condition}: unknown name: write one of {}, from, to", COLUMNS.map(Dimension::name).join(", "))]
    UnknownName {
        /// Number of the condition in the rule, from 1.
        condition: usize,
    },
    /// Two conditions of one rule have the same name.
    #[error("{name}: written twice: write a rule for each, since within one all conditions must hold")]
    Twice {
        /// Its name.
        name: String,
    },
    /// A time is not RFC 3339.
    #[error("{name}: write an RFC 3339 time, as in 2026-09-03T00:00:00Z")]
    NoTime {
        /// `from` or `to`.
        name: &'static str,
    },
    /// A value looks like a secret. Rules are written into reports and bundles.
    #[error("{name}: looks like a secret: write the fingerprint that alerts show")]
    Secret {
        /// Name of the column.
        name: &'static str,
    },
    /// The window ends before it begins.
    #[error("to: must be later than from")]
    EmptyWindow,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Exclude {
    /// As written.
    rule: String,
    /// Column and the value that it must have.
    values: Vec<(Dimension, String)>,
    /// First time left out and first that is not, microseconds since the epoch.
    from: Option<i64>,
    to: Option<i64>,
}

impl TryFrom<String> for Exclude {
    type Error = ExcludeError;

    fn try_from(rule: String) -> Result<Self, ExcludeError> {
        rule.parse()
    }
}

impl std::str::FromStr for Exclude {
    type Err = ExcludeError;

    fn from_str(rule: &str) -> Result<Self, ExcludeError> {
        let mut read = Self { rule: rule.to_owned(), values: Vec::new(), from: None, to: None };
        for (condition, written) in (1..).zip(rule.split(',')) {
            let (name, value) = written.split_once('=').ok_or(ExcludeError::NoCondition { condition })?;
            let (name, value) = (name.trim(), value.trim());
            let is_twice = match name {
                "from" => read.from.replace(time("from", value)?).is_some(),
                "to" => read.to.replace(time("to", value)?).is_some(),
                _ => {
                    let column = COLUMNS.into_iter().find(|column| column.name() == name);
                    let column = column.ok_or(ExcludeError::UnknownName { condition })?;
                    if looks_secret(value) {
                        return Err(ExcludeError::Secret { name: column.name() });
                    }
                    let is_twice = read.values.iter().any(|(known, _)| *known == column);
                    read.values.push((column, value.to_owned()));
                    is_twice
                }
            };
            if is_twice {
                return Err(ExcludeError::Twice { name: name.to_owned() });
            }
        }
        if read.from.zip(read.to).is_some_and(|(from, to)| from >= to) {
            return Err(ExcludeError::EmptyWindow);
        }
        Ok(read)
    }
}

fn time(name: &'static str, value: &str) -> Result<i64, ExcludeError> {
    value.parse().map(Timestamp::as_microsecond).map_err(|_| ExcludeError::NoTime { name })
}

impl Exclude {
    /// Whether a call of a relation at a time, microseconds since the epoch, is left out.
    fn matches(&self, time: i64, relation: &Relation) -> bool {
        self.values.iter().all(|(dimension, value)| relation.name(*dimension).as_str() == value)
            && self.from.is_none_or(|from| time >= from)
            && self.to.is_none_or(|to| time < to)
    }
}

/// Filters calls by rules, and counts the excluded ones.
#[derive(Clone, Debug, Default)]
pub struct Excluded {
    rules: Vec<Exclude>,
    counts: Vec<u64>,
}

impl Excluded {
    /// A filter with these rules and all counts at 0.
    pub fn new(rules: Vec<Exclude>) -> Self {
        Self { counts: vec![0; rules.len()], rules }
    }

    /// Leaves calls out of a batch. A call that several rules match counts for the first of them.
    pub fn apply(&mut self, calls: &mut Calls) {
        if self.rules.is_empty() {
            return;
        }
        let (rules, counts) = (&self.rules, &mut self.counts);
        calls.retain(|call, relation| match rules.iter().position(|rule| rule.matches(call.time, relation)) {
            Some(rule) => {
                counts[rule] += 1;
                false
            }
            None => true,
        });
    }

    /// Whether a rule matches so many calls of a relation at a time, microseconds since the epoch; they count for the first that does.
    pub fn excludes(&mut self, time: i64, relation: &Relation, calls: u64) -> bool {
        let rule = self.rules.iter().position(|rule| rule.matches(time, relation));
        rule.inspect(|rule| self.counts[*rule] += calls).is_some()
    }

    /// Each rule as written, with the number of calls it excluded.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.rules.iter().map(|rule| rule.rule.clone()).zip(self.counts.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn left(rules: &[&str]) -> (Vec<i64>, Vec<u64>) {
        let pairs = [("payroll", "aws"), ("payroll", "stripe"), ("billing", "stripe"), ("billing", "stripe")];
        let mut calls = Calls::of_pairs((0..).map(|hour| hour * HOUR).zip(pairs));
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let mut excluded = Excluded::new(rules);
        excluded.apply(&mut calls);
        let hours = calls.rows().iter().map(|call| call.time / HOUR);
        (hours.collect(), excluded.counts().into_values().collect())
    }

    #[test]
    fn conditions_of_one_rule_must_all_hold_and_any_rule_excludes() {
        assert_eq!(left(&["caller=payroll,vendor=stripe"]), (vec![0, 2, 3], vec![1]));
        assert_eq!(left(&["caller=payroll", "vendor=stripe"]), (vec![], vec![2, 2]));
        assert_eq!(left(&[]), (vec![0, 1, 2, 3], vec![]));
        assert_eq!(left(&["caller=nobody"]), (vec![0, 1, 2, 3], vec![0]));
    }

    #[test]
    fn a_window_includes_its_start_and_not_its_end() {
        let window = "from=1970-01-01T01:00:00Z, to=1970-01-01T03:00:00Z";
        assert_eq!(left(&[window]), (vec![0, 3], vec![2]));
        assert_eq!(left(&["from=1970-01-01T01:00:00Z"]), (vec![0], vec![3]));
    }

    #[test]
    fn a_refusal_says_what_to_write() {
        let refusal = |rule: &str| rule.parse::<Exclude>().unwrap_err().to_string();
        assert!(refusal("payroll").contains("condition 1: write NAME=VALUE"));
        assert!(refusal("caller=a,colour=b").contains("condition 2: unknown name: write one of caller, vendor"));
        assert!(refusal("caller=a,caller=b").contains("caller: written twice"));
        assert!(refusal("credential=AKIAIOSFODNN7EXAMPLE").contains("credential: looks like a secret"));
        assert!(refusal("from=yesterday").contains("from: write an RFC 3339 time"));
        assert!(refusal("from=2026-09-03T06:00:00Z,to=2026-09-03T00:00:00Z").contains("later than from"));
    }
}
