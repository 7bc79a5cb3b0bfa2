//! What rules remember of earlier rows: credentials, what endpoints answered and asked for, what a day took, what was told.
//!
//! All of it is bounded, and the oldest goes first. Nothing of it is a secret: credentials are fingerprints.
//!
//! Not here: what follows from it (`pack`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::calls::{Dimension, Measure, Name, Relation, View, combine};
use crate::rollup::{Row, bucket_start, day_of};

/// Credentials that are remembered.
const MAX_CREDENTIALS: usize = 50_000;
/// Callers that a credential is remembered with: past these it is shared, whoever else has it.
const MAX_CALLERS: usize = 8;
/// Hosts and endpoints of which something is remembered.
const MAX_ENDPOINTS: usize = 100_000;
/// Pairs whose calls of the day are added up.
const MAX_PAIRS: usize = 100_000;
/// Violations that are remembered as told.
const MAX_TOLD: usize = 100_000;

/// What rules remember. Nothing, where no rules are configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The newest bucket, and whether it began its day.
    bucket: Option<(i64, bool)>,
    /// By view and fingerprint.
    credentials: BTreeMap<u64, Used>,
    /// Hosts that answered a call with a credential well: when last, by bucket.
    authenticated: BTreeMap<u64, i64>,
    /// Endpoints that answered with JSON: when last, by bucket.
    json: BTreeMap<u64, i64>,
    /// Sizes of the answers of endpoints.
    answers: BTreeMap<u64, Answers>,
    /// What pairs of caller and vendor called today: calls, bytes out, bytes in, micro-dollars.
    today: BTreeMap<u64, [i64; 4]>,
    /// The same of vendors, by all their callers.
    today_of_vendors: BTreeMap<u64, [i64; 4]>,
    /// The day on which each violation was told last.
    told: BTreeMap<u64, i64>,
}

/// Good answers of an endpoint: how many, and the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Answers {
    bucket: i64,
    answers: i64,
    max_bytes: i64,
    /// Before the newest bucket.
    pub answers_before: i64,
    pub max_bytes_before: i64,
}

/// A credential's use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Used {
    pub credential: Name,
    pub view: View,
    /// First and last call, microseconds since the epoch.
    pub first_seen: i64,
    pub last_seen: i64,
    /// Callers, up to a limit.
    pub callers: BTreeSet<Name>,
    /// Environments that the callers' names tell.
    pub environments: BTreeSet<String>,
    /// Who called last, whom, in which account.
    pub caller: Name,
    pub vendor: Name,
    pub account: Name,
    /// Whether it was told that nobody uses it.
    pub is_idle: bool,
}

impl Memory {
    /// Takes note of all rows of a bucket, before any of them is judged: their order then does not matter.
    /// Each row comes with the environment that its caller's name tells.
    pub(super) fn learn<'a>(&mut self, rows: impl Iterator<Item = (&'a Row, Option<&'a str>)>, bucket: i64) {
        let day = day_of(bucket);
        let is_new_day = self.bucket.is_none_or(|(last, _)| day_of(last) < day);
        if is_new_day {
            self.today.clear();
            self.today_of_vendors.clear();
        }
        self.bucket = Some((bucket, is_new_day));
        for (row, environment) in rows {
            self.learn_row(row, environment);
        }
        keep_newest(&mut self.credentials, MAX_CREDENTIALS, |used| used.last_seen);
        keep_newest(&mut self.authenticated, MAX_ENDPOINTS, |bucket| *bucket);
        keep_newest(&mut self.json, MAX_ENDPOINTS, |bucket| *bucket);
        keep_newest(&mut self.answers, MAX_ENDPOINTS, |answers| answers.bucket);
        keep_newest(&mut self.told, MAX_TOLD, |day| *day);
        keep_newest(&mut self.today, MAX_PAIRS, |sums| sums[0]);
        keep_newest(&mut self.today_of_vendors, MAX_PAIRS, |sums| sums[0]);
    }

    fn learn_row(&mut self, row: &Row, environment: Option<&str>) {
        let relation = &row.relation;
        let is_answered = row.measures.get(Measure::Ok) > 0;
        if !relation.credential().is_empty() {
            self.use_credential(row, environment);
            if is_answered {
                self.authenticated.insert(host_key(relation), row.bucket);
            }
        }
        if is_answered && is_json(relation.name(Dimension::ContentType)) {
            self.json.insert(endpoint_key(relation), row.bucket);
        }
        let max_bytes = row.measures.get(Measure::BytesInMax);
        if is_answered && max_bytes > 0 {
            let known = self.answers.entry(endpoint_key(relation)).or_default();
            if known.bucket < row.bucket {
                (known.answers_before, known.max_bytes_before) = (known.answers, known.max_bytes);
                known.bucket = row.bucket;
            }
            known.answers += row.measures.get(Measure::Ok);
            known.max_bytes = known.max_bytes.max(max_bytes);
        }
        let own = [Measure::Calls, Measure::BytesOutSum, Measure::BytesInSum, Measure::Cost];
        let own = own.map(|measure| row.measures.get(measure));
        let of_pair = self.today.entry(pair_key(relation)).or_default();
        let of_vendor = self.today_of_vendors.entry(vendor_key(relation)).or_default();
        for sums in [of_pair, of_vendor] {
            sums.iter_mut().zip(own).for_each(|(sum, own)| *sum = sum.saturating_add(own));
        }
    }

    fn use_credential(&mut self, row: &Row, environment: Option<&str>) {
        let relation = &row.relation;
        let start = bucket_start(row.bucket);
        let used = self.credentials.entry(credential_key(relation)).or_insert_with(|| Used {
            credential: relation.credential().clone(),
            view: relation.view(),
            first_seen: start,
            last_seen: start,
            callers: BTreeSet::new(),
            environments: BTreeSet::new(),
            caller: relation.caller().clone(),
            vendor: relation.vendor().clone(),
            account: relation.account().clone(),
            is_idle: false,
        });
        // Of a bucket's rows the last by name: no order of rows shows.
        if (start, relation.caller(), relation.vendor()) >= (used.last_seen, &used.caller, &used.vendor) {
            (used.caller, used.vendor) = (relation.caller().clone(), relation.vendor().clone());
            used.account = relation.account().clone();
        }
        used.is_idle = false;
        used.last_seen = used.last_seen.max(start);
        used.first_seen = used.first_seen.min(start);
        if used.callers.len() < MAX_CALLERS {
            used.callers.insert(relation.caller().clone());
        }
        if let Some(environment) = environment.filter(|environment| !used.environments.contains(*environment)) {
            used.environments.insert(environment.to_owned());
        }
    }

    /// The use of a relation's credential.
    pub(super) fn credential(&self, relation: &Relation) -> Option<&Used> {
        self.credentials.get(&credential_key(relation)).filter(|_| !relation.credential().is_empty())
    }

    /// All credentials.
    pub(super) fn credentials_mut(&mut self) -> impl Iterator<Item = &mut Used> {
        self.credentials.values_mut()
    }

    /// Whether the host of a relation answered anybody who had a credential.
    pub(super) fn authenticates(&self, relation: &Relation) -> bool {
        self.authenticated.contains_key(&host_key(relation))
    }

    /// Whether the endpoint of a relation ever answered with JSON.
    pub(super) fn answers_json(&self, relation: &Relation) -> bool {
        self.json.contains_key(&endpoint_key(relation))
    }

    /// Sizes of the answers of the endpoint of a relation.
    pub(super) fn answers(&self, relation: &Relation) -> Option<&Answers> {
        self.answers.get(&endpoint_key(relation))
    }

    /// What the pair of a relation called today: calls, bytes out, bytes in, micro-dollars.
    pub(super) fn today(&self, relation: &Relation) -> [i64; 4] {
        self.today.get(&pair_key(relation)).copied().unwrap_or_default()
    }

    /// The same of its vendor, by all callers.
    pub(super) fn today_of_vendor(&self, relation: &Relation) -> [i64; 4] {
        self.today_of_vendors.get(&vendor_key(relation)).copied().unwrap_or_default()
    }

    /// Whether the newest bucket is the first of its day that has rows.
    pub(super) fn is_first_of_day(&self) -> bool {
        self.bucket.is_some_and(|(_, is_first)| is_first)
    }

    /// Whether a violation is told now: once a day.
    pub(super) fn tell(&mut self, key: u64, day: i64) -> bool {
        self.told.insert(key, day).is_none_or(|last| last < day)
    }
}

/// Whether a media type is JSON.
pub(super) fn is_json(content_type: &str) -> bool {
    content_type.ends_with("/json") || content_type.ends_with("+json")
}

fn credential_key(relation: &Relation) -> u64 {
    combine([relation.view() as u64, relation.credential().id()])
}

fn host_key(relation: &Relation) -> u64 {
    combine([relation.view() as u64, relation.vendor().id(), relation.host().id()])
}

fn endpoint_key(relation: &Relation) -> u64 {
    combine([host_key(relation), relation.endpoint().id()])
}

fn vendor_key(relation: &Relation) -> u64 {
    combine([relation.view() as u64, relation.vendor().id()])
}

fn pair_key(relation: &Relation) -> u64 {
    combine([relation.view() as u64, relation.caller().id(), relation.vendor().id()])
}

/// Drops the smallest by `age` until a tenth is free, where there are too many: the work is done seldom.
fn keep_newest<T>(map: &mut BTreeMap<u64, T>, max: usize, age: impl Fn(&T) -> i64) {
    if map.len() <= max {
        return;
    }
    let mut order: Vec<(i64, u64)> = map.iter().map(|(key, value)| (age(value), *key)).collect();
    order.sort_unstable();
    let too_many = map.len() - max + max / 10;
    for (_, key) in order.into_iter().take(too_many) {
        map.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_told_once_a_day() {
        let mut memory = Memory::default();
        assert!(memory.tell(7, 1) && !memory.tell(7, 1) && memory.tell(8, 1) && memory.tell(7, 2));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut map: BTreeMap<u64, i64> = (0..101).map(|key| (key, -(key as i64))).collect();
        keep_newest(&mut map, 100, |age| *age);
        assert_eq!((map.len(), map.contains_key(&0), map.contains_key(&100)), (90, true, false));
    }
}
