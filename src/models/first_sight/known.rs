//! What is known: every value that was ever seen, by kind, and on which days.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashSet;
use serde::{Deserialize, Serialize};

use super::relation::Relation;
use crate::calls::Direction;
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
    if !region.is_empty() {
        facts.push((Fact::Region, vec![region]));
        facts.push((Fact::CallerRegion, vec![caller, region]));
    }
    facts
}

/// Facts of a history with the days that showed them.
#[derive(Debug, Default)]
pub struct FactHistory(BTreeMap<String, Days>);

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
            for (fact, parts) in facts_of(relation) {
                key(&mut buffer, relation.direction, fact, &parts);
                match history.0.get_mut(&buffer) {
                    Some(days) => {
                        if !matches!(days, Days::One(day) if *day == today) {
                            *days = Days::More;
                        }
                    }
                    None => {
                        history.0.insert(buffer.clone(), Days::One(today));
                    }
                }
            }
        }
        history
    }

    /// What is known of all days, or of all but one.
    pub fn known(&self, left_out: Option<i64>) -> Known {
        let kept = self.0.iter().filter(|(_, days)| !matches!(days, Days::One(day) if Some(*day) == left_out));
        Known(kept.map(|(key, _)| key.clone()).collect())
    }
}

/// What is known.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "BTreeSet<String>", into = "BTreeSet<String>")]
pub struct Known(HashSet<String>);

impl From<BTreeSet<String>> for Known {
    fn from(keys: BTreeSet<String>) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl From<Known> for BTreeSet<String> {
    fn from(known: Known) -> Self {
        known.0.into_iter().collect()
    }
}

impl Known {
    /// Number of callers of a view.
    pub fn callers(&self, direction: Direction) -> usize {
        let mut prefix = String::new();
        key(&mut prefix, direction, Fact::Caller, &[""]);
        self.0.iter().filter(|key| key.starts_with(&prefix)).count()
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
        self.known.0.contains(&self.buffer)
    }
}
