//! The cold start: how surprising a call is where nothing was learned of its principal.
//!
//! Pieces of evidence add up, each `-log10` of how rarely a harmless principal shows it:
//!
//! * the step: during the first hour of an operation of this principal, its class's prior;
//! * the burst: calls of its class within ten minutes against what is usual for anybody, after twenty minutes against the principal's own
//!   busiest ten; denied calls likewise. A page of a console makes dozens of reads, so those of a console do not count;
//! * the place: a role's session goes on in another network by another client than the role's sessions before, the more telling
//!   the fewer places the role has; or a virtual machine's role is used by a tool for people.
//!
//! A page asks whether all of that is rare. A ranking asks which records belong to an attack: there a burst of harmless steps, which many a
//! script makes, weighs no more than one change.
//!
//! Not here: habits of a history (`evidence`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::Role;
use super::marks::prior_of;
use super::memory::key;
use crate::calls::{Name, PrincipalKind, StepClass, combine, is_interactive_tool};
use crate::models::normal::log_survival;
use crate::models::statistic::deviance;

/// Score from which a call pages: p about 1/80.
pub const COLD_START_PAGE: f64 = 1.9;
const MINUTE: i64 = 60_000_000;
/// Window of counts; time after which the principal's own habit counts; how long an operation is new.
const WINDOW: i64 = 10 * MINUTE;
const HABIT_AFTER: i64 = 20 * MINUTE;
const NEW_FOR: i64 = 60 * MINUTE;
/// What a role that goes on in a second place adds; in a third half of it, and so on.
const IN_TWO_PLACES: f64 = 2.0;
/// What a tool for people adds, in the hands of a machine: as a first write.
const BY_HAND: f64 = 0.52;
/// The client for people that administers AWS. Services use it in scripts, so it is no interactive tool of egress calls.
const ADMIN_TOOL: &str = "aws-cli";
/// In a ranking, the most that a burst of harmless steps adds: as a first write.
const MAX_HARMLESS_BURST: f64 = 0.52;
/// Places that are remembered of a role: one with more goes anywhere.
const MAX_PLACES: usize = 64;
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
    /// What kind of principal the log names.
    pub kind: PrincipalKind,
    /// What the principal looks like.
    pub role: Role,
    /// Whether a console was used.
    pub is_console: bool,
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

/// How surprising a call is, 0 where nothing about it is odd.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColdStartScore {
    /// Compared with [`COLD_START_PAGE`].
    pub page: f64,
    /// Orders records, the likeliest of an attack highest.
    pub rank: f64,
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
    /// The score of a call. Calls must come in order. `history` knows operations by key.
    pub fn score(&mut self, call: &ColdStartCall<'_>, history: &BTreeSet<u64>) -> ColdStartScore {
        if call.role == Role::Internal {
            return ColdStartScore::default();
        }
        self.forget();
        let step = self.novelty(call, history) + self.place(call);
        let who = key(b'w', [call.who()]);
        let [calls, denied] = call.calls;
        let burst = self.burst(who, Some(call.step), call.time, calls, usual(call.step));
        let is_harmless = call.step.is_harmless();
        let burst = if call.is_console && is_harmless { 0.0 } else { burst };
        let refused = if denied > 0 { self.burst(who, None, call.time, denied, USUAL_DENIED) } else { 0.0 };
        let ranked = if is_harmless { burst.min(MAX_HARMLESS_BURST) } else { burst };
        ColdStartScore { page: step + burst + refused, rank: step + ranked + refused }
    }

    /// What the class of an operation says that the principal has not done before.
    fn novelty(&mut self, call: &ColdStartCall<'_>, history: &BTreeSet<u64>) -> f64 {
        let operation = call.operation_key();
        let first = *self.operations.entry(operation).or_insert(call.time);
        let is_new = call.time - first < NEW_FOR && !history.contains(&operation);
        if is_new { -prior_of(call.step).min(1.0).log10() } else { 0.0 }
    }

    /// What a role's session says that is used elsewhere, or by hand.
    fn place(&mut self, call: &ColdStartCall<'_>) -> f64 {
        let is_role = matches!(call.kind, PrincipalKind::Role | PrincipalKind::Instance);
        if !is_role || !call.is_session || call.role == Role::Human {
            return 0.0;
        }
        let client = call.place[1].as_str();
        let is_by_hand = client.starts_with(ADMIN_TOOL) || is_interactive_tool(client);
        let by_hand = if call.kind == PrincipalKind::Instance && is_by_hand { BY_HAND } else { 0.0 };
        let before = self.places_before(key(b'w', [call.who()]), call);
        by_hand + if before > 0 { IN_TWO_PLACES / before as f64 } else { 0.0 }
    }

    /// Places that a role had before this one, where none of them shares its network or its client.
    fn places_before(&mut self, who: u64, call: &ColdStartCall<'_>) -> usize {
        let [network, client] = call.place.map(Name::id);
        let places = self.places.entry(who).or_default();
        let here = places.iter().position(|(n, c, _)| (*n, *c) == (network, client));
        let at = here.unwrap_or(places.len());
        let (before, _) = places.split_at(at);
        let is_apart = before.iter().all(|(n, c, _)| *n != network && *c != client);
        let count = before.len();
        if here.is_none() && places.len() < MAX_PLACES {
            places.push((network, client, call.time));
        }
        if is_apart { count } else { 0 }
    }

    fn burst(&mut self, who: u64, step: Option<StepClass>, time: i64, calls: i64, usual: f64) -> f64 {
        let new = || Pace { since: time, recent: VecDeque::new(), busiest: 0 };
        let (count, usual) = self.paces.entry((who, step)).or_insert_with(new).add(time, calls, usual);
        if count <= usual {
            return 0.0;
        }
        -log_survival(deviance(count, usual, 1.0).max(0.0)) / std::f64::consts::LN_10
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

    const HERE: [&str; 2] = ["10.0.0.0/24", "boto3"];
    const ELSEWHERE: [&str; 2] = ["203.0.113.0/24", "aws-cli"];

    /// The score of a call of a minute, changed as a test needs it.
    fn score_of(
        cold: &mut ColdStart,
        minute: i64,
        operation: &str,
        place: [&str; 2],
        change: impl FnOnce(&mut ColdStartCall<'_>),
    ) -> ColdStartScore {
        let names = ["aws", "", "backup"].map(Name::new);
        let (operation, place) = (Name::new(operation), place.map(Name::new));
        let mut call = ColdStartCall {
            time: minute * MINUTE,
            principal: names.each_ref(),
            step: StepClass::of(operation.as_str()),
            operation: &operation,
            place: place.each_ref(),
            kind: PrincipalKind::Role,
            role: Role::Service,
            is_console: false,
            is_session: true,
            calls: [1, 0],
        };
        change(&mut call);
        cold.score(&call, &BTreeSet::new())
    }

    fn score_at(cold: &mut ColdStart, minute: i64, operation: &str, place: [&str; 2]) -> f64 {
        score_of(cold, minute, operation, place, |_| {}).page
    }

    #[test]
    fn a_listing_is_nothing_and_switching_the_log_off_is_much() {
        let mut cold = ColdStart::default();
        assert_eq!(score_at(&mut cold, 0, "s3:ListAllMyBuckets", HERE), 0.0);
        assert!(score_at(&mut cold, 1, "cloudtrail:StopLogging", HERE) > 1.6);
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
    fn a_role_that_goes_on_elsewhere_by_another_client_pages_unless_it_is_everywhere() {
        let mut cold = ColdStart::default();
        score_at(&mut cold, 0, "s3:ListAllMyBuckets", HERE);
        assert!(score_at(&mut cold, 5, "s3:ListAllMyBuckets", ELSEWHERE) >= COLD_START_PAGE);
        let mut fleet = ColdStart::default();
        for network in 0..15 {
            score_at(
                &mut fleet,
                0,
                "s3:ListAllMyBuckets",
                [&format!("10.0.{network}.0/24"), &format!("sdk-{network}")],
            );
        }
        assert!(score_at(&mut fleet, 5, "s3:ListAllMyBuckets", ELSEWHERE) < 0.2);
    }

    #[test]
    fn a_machines_role_in_the_hands_of_a_person_is_odd_from_its_first_call() {
        let of_kind = |kind| {
            let mut cold = ColdStart::default();
            score_of(&mut cold, 0, "s3:ListAllMyBuckets", ELSEWHERE, |call| call.kind = kind).page
        };
        assert_eq!((of_kind(PrincipalKind::Instance), of_kind(PrincipalKind::Role)), (BY_HAND, 0.0));
    }

    #[test]
    fn a_burst_of_reads_pages_unless_a_console_makes_it_and_ranks_no_higher_than_a_change() {
        let read = |is_console: bool| {
            let mut cold = ColdStart::default();
            let calls = |call: &mut ColdStartCall<'_>| (call.calls, call.is_console) = ([500, 0], is_console);
            score_of(&mut cold, 0, "ec2:DescribeVpcs", HERE, calls)
        };
        assert_eq!(read(true), ColdStartScore::default());
        let by_program = read(false);
        assert!(by_program.page > COLD_START_PAGE && by_program.rank <= MAX_HARMLESS_BURST);
    }
}
