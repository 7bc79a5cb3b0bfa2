//! Ages of credentials, and which are due for rotation or should be revoked.
//!
//! Not here: how a rotation is recognised (`catalog`).

use std::collections::BTreeMap;

use serde::Serialize;

use super::time::moment;
use crate::catalog::{CredentialFacts, CredentialState, Facts};

/// Days before its age is over on which a credential is said to be due soon.
const SOON_DAYS: i64 = 14;
/// Upper ends of the classes of ages, days.
const AGES: [i64; 6] = [7, 30, 60, 90, 180, 365];

/// Credentials by state and age.
#[derive(Debug, Serialize)]
pub(super) struct Credentials {
    pub known: usize,
    pub max_age_days: i64,
    pub idle_days: i64,
    /// The age of the oldest that is in use.
    pub oldest_days: Option<i64>,
    /// State → how many.
    pub states: BTreeMap<&'static str, usize>,
    /// Ages of those that are in use.
    pub ages: Vec<Age>,
    /// What is to be done, the most urgent first.
    pub due: Vec<Due>,
    /// Credentials of several callers.
    pub shared: usize,
}

/// A class of ages.
#[derive(Debug, Serialize)]
pub(super) struct Age {
    /// Days, `31–60`.
    pub days: String,
    pub credentials: usize,
    /// Older than they may be.
    pub is_overdue: bool,
}

/// A credential that something is to be done about.
#[derive(Debug, Serialize)]
pub(super) struct Due {
    pub credential: String,
    pub state: &'static str,
    /// `rotate`, `rotate soon`, `revoke the old key`, `revoke`.
    pub action: &'static str,
    pub age_days: i64,
    /// Days until it is overdue; negative once it is.
    pub days_left: i64,
    pub callers: Vec<String>,
    pub vendors: Vec<String>,
    pub calls: i64,
    pub last_seen: String,
}

impl Credentials {
    pub fn of(facts: &Facts, max_age_days: i64, idle_days: i64) -> Self {
        let mut states: BTreeMap<&'static str, usize> = BTreeMap::new();
        facts.credentials.values().for_each(|one| *states.entry(one.state.as_str()).or_default() += 1);
        let in_use = || facts.credentials.values().filter(|one| is_in_use(one.state));
        let mut due: Vec<(u8, Due)> =
            facts.credentials.iter().filter_map(|(name, one)| due(name, one, max_age_days)).collect();
        due.sort_by(|(a_rank, a), (b_rank, b)| {
            (a_rank, a.days_left, &a.credential).cmp(&(b_rank, b.days_left, &b.credential))
        });
        Self {
            known: facts.credentials.len(),
            max_age_days,
            idle_days,
            oldest_days: in_use().map(|one| one.age_days).max(),
            states,
            ages: ages(in_use().map(|one| one.age_days), max_age_days),
            due: due.into_iter().map(|(_, due)| due).collect(),
            shared: in_use().filter(|one| one.callers.len() > 1).count(),
        }
    }

    /// How many need an action.
    pub fn count(&self, action: &str) -> usize {
        self.due.iter().filter(|due| due.action == action).count()
    }
}

/// Whether a credential can still be used by who should not.
fn is_in_use(state: CredentialState) -> bool {
    !matches!(state, CredentialState::Replaced | CredentialState::Idle)
}

fn due(name: &str, one: &CredentialFacts, max_age_days: i64) -> Option<(u8, Due)> {
    let days_left = max_age_days - one.age_days;
    let (rank, action) = match one.state {
        CredentialState::StillUsed => (0, "revoke the old key"),
        CredentialState::Overdue => (1, "rotate"),
        CredentialState::Idle => (3, "revoke"),
        CredentialState::NeverRotated | CredentialState::Rotated if days_left <= SOON_DAYS => (2, "rotate soon"),
        _ => return None,
    };
    Some((
        rank,
        Due {
            credential: name.to_owned(),
            state: one.state.as_str(),
            action,
            age_days: one.age_days,
            days_left,
            callers: one.callers.iter().cloned().collect(),
            vendors: one.vendors.iter().cloned().collect(),
            calls: one.span.calls,
            last_seen: moment(one.span.last_seen),
        },
    ))
}

/// Ages in classes, of which one ends where a credential becomes overdue.
fn ages(ages: impl Iterator<Item = i64>, max_age_days: i64) -> Vec<Age> {
    let mut ends: Vec<i64> = AGES.into_iter().chain([max_age_days]).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut counts = vec![0; ends.len() + 1];
    for age in ages {
        counts[ends.partition_point(|end| *end < age)] += 1;
    }
    let begins = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
    let class = |((at, begin), credentials): ((usize, i64), usize)| {
        let days = ends.get(at).map_or_else(|| format!("≥ {begin}"), |end| format!("{begin}–{end}"));
        Age { days, credentials, is_overdue: begin > max_age_days }
    };
    begins.enumerate().zip(counts).map(class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_ages_ends_where_a_key_becomes_overdue() {
        let classes = |max| {
            let classes = ages([0, 7, 8, 45, 46, 500].into_iter(), max).into_iter();
            classes
                .map(|class| format!("{} {}{}", class.days, class.credentials, if class.is_overdue { "!" } else { "" }))
        };
        let classes = classes(45).collect::<Vec<_>>();
        let expected = ["0–7 2", "8–30 1", "31–45 1", "46–60 1!", "61–90 0!", "91–180 0!", "181–365 0!", "≥ 366 1!"];
        assert_eq!(classes, expected);
    }
}
