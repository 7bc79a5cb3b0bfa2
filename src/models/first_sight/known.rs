//! What is known: every value that was ever seen, by kind, and on which days.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashSet;
use serde::{Deserialize, Serialize};

use super::dormancy::{CredentialDays, Rests};
use super::relation::Relation;
use crate::calls::Direction;
use crate::models::clock::day_type;
use crate::rollup::day_of;

/// What is known, as keys of a kind and its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Fact {
    Caller = b'a',
    Vendor = b'b',
    Pair = b'c',
    Network = b'd',
    NetworkBlock = b'e',
    CallerNetwork = b'f',
    Client = b'g',
    CallerClient = b'h',
    Credential = b'i',
    CallerCredential = b'j',
    Endpoint = b'k',
    CallerEndpoint = b'l',
    CallerMethod = b'm',
    VendorScheme = b'n',
    CallerTls = b'o',
    Region = b'p',
    CallerRegion = b'q',
    CallerHour = b'r',
}

/// Writes the key of a fact.
fn key(buffer: &mut String, direction: Direction, fact: Fact, parts: &[&str]) {
    buffer.clear();
    buffer.push(if direction == Direction::Audit { 'A' } else { 'E' });
    buffer.push(char::from(fact as u8));
    for part in parts {
        buffer.push('\u{1f}');
        buffer.push_str(part);
    }
}

/// The wider block of a network: its first two groups (`10.20.3.0/24` is in `10.20`).
pub(super) fn block_of(network: &str) -> &str {
    let mut groups = network.match_indices(['.', ':']).skip(1);
    groups.next().map_or(network, |(end, _)| &network[..end])
}

pub(super) fn method_of(endpoint: &str) -> &str {
    endpoint.split_once(' ').map_or("", |(method, _)| method)
}

/// The hours of weekdays and of weekends, UTC, by name.
const HOURS: [[&str; 24]; 2] = [
    [
        "00 h", "01 h", "02 h", "03 h", "04 h", "05 h", "06 h", "07 h", "08 h", "09 h", "10 h", "11 h", "12 h", "13 h",
        "14 h", "15 h", "16 h", "17 h", "18 h", "19 h", "20 h", "21 h", "22 h", "23 h",
    ],
    [
        "00 h at weekends",
        "01 h at weekends",
        "02 h at weekends",
        "03 h at weekends",
        "04 h at weekends",
        "05 h at weekends",
        "06 h at weekends",
        "07 h at weekends",
        "08 h at weekends",
        "09 h at weekends",
        "10 h at weekends",
        "11 h at weekends",
        "12 h at weekends",
        "13 h at weekends",
        "14 h at weekends",
        "15 h at weekends",
        "16 h at weekends",
        "17 h at weekends",
        "18 h at weekends",
        "19 h at weekends",
        "20 h at weekends",
        "21 h at weekends",
        "22 h at weekends",
        "23 h at weekends",
    ],
];

/// The hour of a time (microseconds since the epoch, UTC), by the kind of its day.
pub(super) fn hour_of(time: i64) -> &'static str {
    let hours = time.div_euclid(3_600_000_000);
    HOURS[day_type(hours.div_euclid(24))][hours.rem_euclid(24) as usize]
}

/// All facts that a relation shows.
fn facts_of<'a>(relation: &Relation<'a>) -> Vec<(Fact, Vec<&'a str>)> {
    let Relation { caller, vendor, endpoint, credential, network, client, region, scheme, tls_version, .. } = *relation;
    let mut facts = vec![
        (Fact::Caller, vec![caller]),
        (Fact::Vendor, vec![vendor]),
        (Fact::Pair, vec![caller, vendor]),
        (Fact::Endpoint, vec![vendor, endpoint]),
        (Fact::CallerEndpoint, vec![caller, vendor, endpoint]),
        (Fact::CallerMethod, vec![caller, vendor, method_of(endpoint)]),
        (Fact::VendorScheme, vec![vendor, scheme]),
        (Fact::CallerTls, vec![caller, vendor, tls_version]),
    ];
    if !network.is_empty() {
        facts.push((Fact::Network, vec![network]));
        facts.push((Fact::NetworkBlock, vec![block_of(network)]));
        facts.push((Fact::CallerNetwork, vec![caller, network]));
    }
    if !client.is_empty() {
        facts.push((Fact::Client, vec![client]));
        facts.push((Fact::CallerClient, vec![caller, client]));
    }
    if !credential.is_empty() {
        facts.push((Fact::Credential, vec![credential]));
        facts.push((Fact::CallerCredential, vec![caller, credential]));
    }
    // An hour early or late is no new hour.
    for hour in [-3_600_000_000, 0, 3_600_000_000] {
        facts.push((Fact::CallerHour, vec![caller, hour_of(relation.time + hour)]));
    }
    if !region.is_empty() {
        facts.push((Fact::Region, vec![region]));
        facts.push((Fact::CallerRegion, vec![caller, region]));
    }
    facts
}

/// Facts of a history with the days that showed them.
#[derive(Debug, Default)]
pub struct FactHistory {
    facts: BTreeMap<String, Days>,
    credentials: CredentialDays,
    last_day: i64,
}

/// Whether a fact was seen on one day only, and on which.
#[derive(Clone, Copy, Debug)]
enum Days {
    One(i64),
    More,
}

impl FactHistory {
    /// Gathers the facts of relations, any order.
    pub fn of(relations: &[(i64, Relation<'_>)]) -> Self {
        let mut history = Self::default();
        let mut buffer = String::new();
        for (bucket, relation) in relations {
            let today = day_of(*bucket);
            history.last_day = history.last_day.max(today);
            history.credentials.add(relation.direction, relation.credential, today);
            for (fact, parts) in facts_of(relation) {
                key(&mut buffer, relation.direction, fact, &parts);
                match history.facts.get_mut(&buffer) {
                    Some(days) => {
                        if !matches!(days, Days::One(day) if *day == today) {
                            *days = Days::More;
                        }
                    }
                    None => {
                        history.facts.insert(buffer.clone(), Days::One(today));
                    }
                }
            }
        }
        history
    }

    /// What is known of all days, or of all but one.
    pub fn known(&self, left_out: Option<i64>) -> Known {
        let kept = self.facts.iter().filter(|(_, days)| !matches!(days, Days::One(day) if Some(*day) == left_out));
        Known {
            facts: kept.map(|(key, _)| key.clone()).collect(),
            // A day of the middle has a future as well: only the whole history tells who rests at its end.
            rests: if left_out.is_none() { self.credentials.rests(self.last_day) } else { Rests::default() },
        }
    }

    /// Times that a credential came back from dormancy.
    pub(super) fn returns(&self) -> usize {
        self.credentials.returns()
    }
}

/// What is known.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "(BTreeSet<String>, Rests)", into = "(BTreeSet<String>, Rests)")]
pub struct Known {
    facts: HashSet<String>,
    pub(super) rests: Rests,
}

impl From<(BTreeSet<String>, Rests)> for Known {
    fn from((facts, rests): (BTreeSet<String>, Rests)) -> Self {
        Self { facts: facts.into_iter().collect(), rests }
    }
}

impl From<Known> for (BTreeSet<String>, Rests) {
    fn from(known: Known) -> Self {
        (known.facts.into_iter().collect(), known.rests)
    }
}

impl Known {
    /// Number of callers of a view.
    pub fn callers(&self, direction: Direction) -> usize {
        let mut prefix = String::new();
        key(&mut prefix, direction, Fact::Caller, &[""]);
        self.facts.iter().filter(|key| key.starts_with(&prefix)).count()
    }

    /// Whether a caller was ever seen.
    pub fn has_caller(&self, direction: Direction, caller: &str) -> bool {
        Looker::new(self, direction).has(Fact::Caller, &[caller])
    }
}

/// Looks up facts with one reused buffer.
pub(super) struct Looker<'a> {
    known: &'a Known,
    direction: Direction,
    buffer: String,
}

impl<'a> Looker<'a> {
    pub fn new(known: &'a Known, direction: Direction) -> Self {
        Self { known, direction, buffer: String::new() }
    }

    pub fn has(&mut self, fact: Fact, parts: &[&str]) -> bool {
        key(&mut self.buffer, self.direction, fact, parts);
        self.known.facts.contains(&self.buffer)
    }
}
