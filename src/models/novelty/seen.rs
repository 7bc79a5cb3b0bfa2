//! What is known: every value that was ever seen, by kind, and since when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashSet;
use serde::{Deserialize, Serialize};

use super::dormancy::{CredentialDays, Rests};
use super::relation::Relation;
use crate::calls::{VendorPack, View, country_of};
use crate::models::seasonality::{Span, day_type};
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
    Country = b's',
    /// Whether networks had countries at all.
    Countries = b't',
}

/// Writes the key of a fact.
fn key(buffer: &mut String, view: View, fact: Fact, parts: &[&str]) {
    buffer.clear();
    buffer.push(if view == View::Audit { 'A' } else { 'E' });
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
#[rustfmt::skip]
const HOURS: [[&str; 24]; 2] = [
    [
        "00 h", "01 h", "02 h", "03 h", "04 h", "05 h", "06 h", "07 h", "08 h", "09 h", "10 h", "11 h",
        "12 h", "13 h", "14 h", "15 h", "16 h", "17 h", "18 h", "19 h", "20 h", "21 h", "22 h", "23 h",
    ],
    [
        "weekend 00 h", "weekend 01 h", "weekend 02 h", "weekend 03 h", "weekend 04 h", "weekend 05 h",
        "weekend 06 h", "weekend 07 h", "weekend 08 h", "weekend 09 h", "weekend 10 h", "weekend 11 h",
        "weekend 12 h", "weekend 13 h", "weekend 14 h", "weekend 15 h", "weekend 16 h", "weekend 17 h",
        "weekend 18 h", "weekend 19 h", "weekend 20 h", "weekend 21 h", "weekend 22 h", "weekend 23 h",
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
        if !country_of(network).is_empty() {
            facts.push((Fact::Country, vec![country_of(network)]));
            facts.push((Fact::Countries, vec![]));
        }
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

/// Facts of a history with the fold that showed them first.
#[derive(Debug, Default)]
pub struct SeenHistory {
    facts: BTreeMap<String, i64>,
    credentials: CredentialDays,
    last_day: i64,
    vendors: Arc<VendorPack>,
}

impl SeenHistory {
    /// Gathers the facts of relations, in the order of their buckets.
    pub fn of(relations: &[(i64, Relation<'_>)], span: Span) -> Self {
        let vendors = VendorPack::embedded();
        let mut history = Self { last_day: day_of(span.last), vendors, ..Self::default() };
        let mut buffer = String::new();
        for (bucket, relation) in relations {
            history.credentials.add(relation.view, relation.credential, day_of(*bucket));
            for (fact, parts) in facts_of(relation) {
                key(&mut buffer, relation.view, fact, &parts);
                if !history.facts.contains_key(&buffer) {
                    history.facts.insert(buffer.clone(), span.fold_of(*bucket));
                }
            }
        }
        history
    }

    /// The same, with these vendors instead of those that the program brings along.
    pub fn with_vendors(self, vendors: Arc<VendorPack>) -> Self {
        Self { vendors, ..self }
    }

    /// What is known at the end of the history.
    pub fn known(&self) -> SeenSet {
        let facts = self.facts.keys().cloned().collect();
        SeenSet { facts, rests: self.credentials.rests(self.last_day), vendors: Arc::clone(&self.vendors) }
    }

    /// What was known before a fold. Credentials are all awake: their returns are counted apart.
    pub(super) fn known_before(&self, fold: i64) -> SeenSet {
        let earlier = self.facts.iter().filter(|(_, first)| **first < fold);
        let facts = earlier.map(|(key, _)| key.clone()).collect();
        SeenSet { facts, rests: Rests::default(), vendors: Arc::clone(&self.vendors) }
    }

    /// Times that a credential came back from dormancy.
    pub(super) fn returns(&self) -> usize {
        self.credentials.returns()
    }
}

/// What is known: what was seen, and what the vendor pack says. The pack is not stored: the pipeline file decides it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "(BTreeSet<String>, Rests)", into = "(BTreeSet<String>, Rests)")]
pub struct SeenSet {
    facts: HashSet<String>,
    pub(super) rests: Rests,
    vendors: Arc<VendorPack>,
}

impl Default for SeenSet {
    fn default() -> Self {
        Self::from((BTreeSet::new(), Rests::default()))
    }
}

impl From<(BTreeSet<String>, Rests)> for SeenSet {
    fn from((facts, rests): (BTreeSet<String>, Rests)) -> Self {
        Self { facts: facts.into_iter().collect(), rests, vendors: VendorPack::embedded() }
    }
}

impl From<SeenSet> for (BTreeSet<String>, Rests) {
    fn from(known: SeenSet) -> Self {
        (known.facts.into_iter().collect(), known.rests)
    }
}

impl SeenSet {
    /// The vendors.
    pub fn vendors(&self) -> &VendorPack {
        &self.vendors
    }

    /// Takes these vendors for those that the program brings along.
    pub fn set_vendors(&mut self, vendors: Arc<VendorPack>) {
        self.vendors = vendors;
    }

    /// Number of callers of a view.
    pub fn callers(&self, view: View) -> usize {
        let mut prefix = String::new();
        key(&mut prefix, view, Fact::Caller, &[""]);
        self.facts.iter().filter(|key| key.starts_with(&prefix)).count()
    }

    /// Whether a vendor was ever called.
    pub fn has_vendor(&self, view: View, vendor: &str) -> bool {
        Looker::new(self, view).has(Fact::Vendor, &[vendor])
    }

    /// Whether a caller was ever seen.
    pub fn has_caller(&self, view: View, caller: &str) -> bool {
        Looker::new(self, view).has(Fact::Caller, &[caller])
    }
}

/// Looks up facts with one reused buffer.
pub(super) struct Looker<'a> {
    known: &'a SeenSet,
    view: View,
    buffer: String,
}

impl<'a> Looker<'a> {
    pub fn new(known: &'a SeenSet, view: View) -> Self {
        Self { known, view, buffer: String::new() }
    }

    pub fn vendors(&self) -> &'a VendorPack {
        &self.known.vendors
    }

    pub fn has(&mut self, fact: Fact, parts: &[&str]) -> bool {
        key(&mut self.buffer, self.view, fact, parts);
        self.known.facts.contains(&self.buffer)
    }
}
