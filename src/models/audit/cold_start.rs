//! The cold start: how surprising a call is where nothing was learned of its principal.
//!
//! During the first hour of an operation of a principal it scores `-log10` of its class's prior, plus `-log10 p` of the calls
//! of its class within ten minutes against what is usual for anybody, after twenty minutes against the principal's own busiest
//! ten. A role that goes on in another network by another client is a stolen one.
//!
//! Not here: habits of a history (`evidence`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::Role;
use super::marks::prior_of;
use super::memory::key;
use crate::calls::{Name, StepClass, combine};
use crate::models::normal::log_survival;
use crate::models::statistic::deviance;

/// Score from which a call pages: p about 1/80.
pub const COLD_START_PAGE: f64 = 1.9;
const MINUTE: i64 = 60_000_000;
/// Window of counts; time after which the principal's own habit counts; how long an operation is new.
const WINDOW: i64 = 10 * MINUTE;
const HABIT_AFTER: i64 = 20 * MINUTE;
const NEW_FOR: i64 = 60 * MINUTE;
/// What a role in two places adds.
const IN_TWO_PLACES: f64 = 2.0;
/// Principals and operations that are remembered.
const MAX_REMEMBERED: usize = 200_000;

/// Calls in ten minutes that are usual for anybody, by class.
fn usual(step: StepClass) -> f64 {
    match step {
        StepClass::List | StepClass::Read | StepClass::Use => 20.0,
        StepClass::Write => 3.0,
        StepClass::Login | StepClass::Identity => 1.0,
        StepClass::Secret | StepClass::Bulk => 0.5,
        StepClass::Delete => 0.2,
        StepClass::Grant => 0.1,
        StepClass::Share => 0.02,
        StepClass::Defence => 0.01,
    }
}
const USUAL_DENIED: f64 = 0.5;

/// What is looked at of a call, or of some alike.
#[derive(Clone, Copy, Debug)]
pub struct ColdStartCall<'a> {
    /// When, microseconds since the epoch.
    pub time: i64,
    /// Vendor, account and principal.
    pub principal: [&'a Name; 3],
    /// Operation.
    pub operation: &'a Name,
    /// Its class.
    pub step: StepClass,
    /// Network and client.
    pub place: [&'a Name; 2],
    /// What the principal looks like.
    pub role: Role,
    /// Whether a session's key was used, and no console.
    pub is_session: bool,
    /// Calls, and of them those denied.
    pub calls: [i64; 2],
}

impl ColdStartCall<'_> {
    /// The key by which a history knows the operation.
    pub fn operation_key(&self) -> u64 {
        key(b'o', [self.who(), self.operation.id()])
    }

    fn who(&self) -> u64 {
        combine(self.principal.map(Name::id))
    }
}

/// Calls of one class within ten minutes, and the principal's habit.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pace {
    since: i64,
    recent: VecDeque<(i64, i64)>,
    busiest: i64,
}

impl Pace {
    /// Adds calls; how many came within ten minutes, and how many are usual by now.
    fn add(&mut self, time: i64, calls: i64, usual: f64) -> (f64, f64) {
        self.recent.push_back((time, calls));
        while self.recent.front().is_some_and(|(at, _)| *at < time - WINDOW) {
            let before = self.recent.iter().map(|(_, calls)| calls).sum::<i64>() - calls;
            self.busiest = self.busiest.max(before);
            self.recent.pop_front();
        }
        let count = self.recent.iter().map(|(_, calls)| calls).sum::<i64>() as f64;
        let own = if time - self.since > HABIT_AFTER { self.busiest as f64 } else { 0.0 };
        (count, usual.max(own))
    }
}

/// What was seen since the start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ColdStart {
    operations: BTreeMap<u64, i64>,
    paces: BTreeMap<(u64, Option<StepClass>), Pace>,
    /// Novelty of each place of a session: network, client, time.
    places: BTreeMap<u64, Vec<(u64, u64, i64)>>,
}

impl ColdStart {
    /// The score of a call, 0 where nothing about it is odd. Calls must come in order. `history` knows operations by key.
    pub fn score(&mut self, call: &ColdStartCall<'_>, history: &BTreeSet<u64>) -> f64 {
        if call.role == Role::Internal {
            return 0.0;
        }
        self.forget();
        let who = key(b'w', [call.who()]);
        let step = call.step;
        let mut score = if call.is_session && call.role != Role::Human && self.is_in_two_places(who, call) {
            IN_TWO_PLACES
        } else {
            0.0
        };
        let operation = call.operation_key();
        let first = *self.operations.entry(operation).or_insert(call.time);
        if call.time - first < NEW_FOR && !history.contains(&operation) {
            score -= prior_of(step).min(1.0).log10();
        }
        let [calls, denied] = call.calls;
        score += self.burst(who, Some(step), call.time, calls, usual(step));
        if denied > 0 {
            score += self.burst(who, None, call.time, denied, USUAL_DENIED);
        }
        score
    }

    fn burst(&mut self, who: u64, step: Option<StepClass>, time: i64, calls: i64, usual: f64) -> f64 {
        let new = || Pace { since: time, recent: VecDeque::new(), busiest: 0 };
        let (count, usual) = self.paces.entry((who, step)).or_insert_with(new).add(time, calls, usual);
        if count <= usual {
            return 0.0;
        }
        -log_survival(deviance(count, usual, 1.0).max(0.0)) / std::f64::consts::LN_10
    }

    /// Whether a session's role was before in another network by another client, and has by now moved here.
    fn is_in_two_places(&mut self, who: u64, call: &ColdStartCall<'_>) -> bool {
        let [network, client] = call.place.map(Name::id);
        let places = self.places.entry(who).or_default();
        let here = places.iter().find(|(n, c, _)| (*n, *c) == (network, client)).map_or(call.time, |(.., at)| *at);
        let is_elsewhere = places.iter().any(|(n, c, at)| *n != network && *c != client && *at < here);
        if !places.iter().any(|(n, c, _)| (*n, *c) == (network, client)) {
            places.push((network, client, call.time));
        }
        is_elsewhere
    }

    fn forget(&mut self) {
        if self.operations.len() > MAX_REMEMBERED {
            self.operations.clear();
            self.paces.clear();
            self.places.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `score` says of a call of a minute.
    fn score_at(cold: &mut ColdStart, minute: i64, operation: &str, place: [&str; 2]) -> f64 {
        let names = ["aws", "", "backup"].map(Name::new);
        let (operation, place) = (Name::new(operation), place.map(Name::new));
        let call = ColdStartCall {
            time: minute * MINUTE,
            principal: names.each_ref(),
            step: StepClass::of(operation.as_str()),
            operation: &operation,
            place: place.each_ref(),
            role: Role::Service,
            is_session: true,
            calls: [1, 0],
        };
        cold.score(&call, &BTreeSet::new())
    }

    const HERE: [&str; 2] = ["10.0.0.0/24", "boto3"];

    #[test]
    fn a_listing_is_nothing_and_switching_the_log_off_pages() {
        let mut cold = ColdStart::default();
        assert_eq!(score_at(&mut cold, 0, "s3:ListBuckets", HERE), 0.0);
        assert!(score_at(&mut cold, 1, "cloudtrail:StopLogging", HERE) > COLD_START_PAGE);
    }

    #[test]
    fn a_harvest_of_secrets_pages_and_a_habit_of_reading_them_does_not() {
        let mut cold = ColdStart::default();
        let harvest: Vec<f64> =
            (0..20).map(|_| score_at(&mut cold, 0, "secretsmanager:GetSecretValue", HERE)).collect();
        assert!(harvest[0] < COLD_START_PAGE && harvest[19] > COLD_START_PAGE);
        let late = (61..91).map(|minute| score_at(&mut cold, minute, "secretsmanager:GetSecretValue", HERE));
        assert!(late.last().is_some_and(|score| score < 0.5));
    }

    #[test]
    fn a_role_that_goes_on_elsewhere_by_another_client_pages() {
        let mut cold = ColdStart::default();
        score_at(&mut cold, 0, "s3:ListBuckets", HERE);
        let elsewhere = ["203.0.113.0/24", "aws-cli"];
        assert!(score_at(&mut cold, 5, "s3:ListBuckets", elsewhere) >= COLD_START_PAGE);
    }
}
