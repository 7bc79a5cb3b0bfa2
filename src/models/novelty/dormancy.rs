//! Dormancy: a credential that nobody has used for long, and that is used again.
//!
//! Keys outlive the jobs that they were made for; whoever finds one uses it. Only days that were watched count: the days of
//! the history, and those of the stream, not the time between the two.

use std::collections::BTreeMap;

use foldhash::HashMap;
use serde::{Deserialize, Serialize};

use crate::calls::{Name, View, combine};

/// Fewest days unused that are dormancy, and times the credential's own longest rest.
const MIN_DAYS: i64 = 7;
const TIMES_OWN_REST: i64 = 2;

/// Credentials of a history with the days that used them.
#[derive(Debug, Default)]
pub struct CredentialDays(BTreeMap<u64, Vec<i64>>);

impl CredentialDays {
    /// Notes a use; days must come in order.
    pub fn add(&mut self, view: View, credential: &Name, day: i64) {
        if credential.is_empty() {
            return;
        }
        let days = self.0.entry(key(view, credential)).or_default();
        if days.last() != Some(&day) {
            days.push(day);
        }
    }

    /// Times that a credential of a view came back from dormancy within the history.
    pub fn returns(&self) -> usize {
        let returns = |days: &Vec<i64>| {
            let mut rests = Rest::default();
            days.iter().filter(|day| rests.wake(**day)).count()
        };
        self.0.values().map(returns).sum()
    }

    /// What the stream begins with: when each credential was used last, in days before the end of the history.
    pub fn rests(&self, last_day: i64) -> Rests {
        let rest = |days: &Vec<i64>| {
            let mut rest = Rest::default();
            days.iter().for_each(|day| {
                rest.wake(*day);
            });
            Rest { last: rest.last.map(|day| day - last_day - 1), ..rest }
        };
        Rests(self.0.iter().map(|(key, days)| (*key, rest(days))).collect())
    }
}

fn key(view: View, credential: &Name) -> u64 {
    combine([view as u64, credential.id()])
}

/// One credential's rests.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Rest {
    /// The last day with a use.
    last: Option<i64>,
    /// Longest run of days without one.
    longest: i64,
}

impl Rest {
    /// Notes a use on a day; whether the credential had been dormant.
    fn wake(&mut self, day: i64) -> bool {
        let rest = self.last.map_or(0, |last| day - last - 1);
        let was_dormant = rest >= MIN_DAYS && rest >= TIMES_OWN_REST * self.longest;
        self.longest = self.longest.max(rest);
        self.last = self.last.max(Some(day));
        was_dormant
    }
}

/// When each known credential was used last. Days before the stream count backwards from its first day.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<u64, Rest>", into = "BTreeMap<u64, Rest>")]
pub struct Rests(HashMap<u64, Rest>);

impl From<BTreeMap<u64, Rest>> for Rests {
    fn from(rests: BTreeMap<u64, Rest>) -> Self {
        Self(rests.into_iter().collect())
    }
}

impl From<Rests> for BTreeMap<u64, Rest> {
    fn from(rests: Rests) -> Self {
        rests.0.into_iter().collect()
    }
}

/// What the stream saw of the known credentials.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Awake {
    /// The stream's first day.
    first_day: Option<i64>,
    rests: BTreeMap<u64, Rest>,
}

impl Awake {
    /// Notes a use of a credential on a day; whether it had been dormant.
    pub fn wake(&mut self, known: &Rests, view: View, credential: &Name, day: i64) -> bool {
        let first = *self.first_day.get_or_insert(day);
        let key = key(view, credential);
        let Some(of_history) = known.0.get(&key) else { return false };
        self.rests.entry(key).or_insert(*of_history).wake(day - first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(days: &[i64]) -> CredentialDays {
        let mut history = CredentialDays::default();
        days.iter().for_each(|day| history.add(View::Egress, &"fp_1".into(), *day));
        history
    }

    fn wakes(days: &[i64], stream: &[i64]) -> Vec<bool> {
        let rests = history(days).rests(13);
        let mut awake = Awake::default();
        stream.iter().map(|day| awake.wake(&rests, View::Egress, &"fp_1".into(), *day)).collect()
    }

    #[test]
    fn a_credential_unused_for_a_week_of_watching_comes_back_once() {
        assert_eq!(wakes(&[0, 1, 2], &[14, 15]), [true, false]);
        assert_eq!(wakes(&[0, 1, 13], &[14]), [false]);
        assert_eq!(wakes(&[0, 1, 13], &[90]), [false], "nobody watched from day 14 to 90");
    }

    #[test]
    fn a_credential_that_rests_every_week_is_not_dormant() {
        assert_eq!(wakes(&[0, 7], &[20]), [false]);
        assert_eq!(history(&[0, 7]).returns(), 0);
        assert_eq!(history(&[0, 9]).returns(), 1);
    }
}
