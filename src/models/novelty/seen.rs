//! What is known: every value that was ever seen, by kind, and since when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::dormancy::{CredentialDays, Rests};
use crate::calls::{Dimension, Name, Relation, VendorPack, View, combine, country_of};
use crate::models::seasonality::{Span, day_type};
use crate::rollup::{Row, day_of};

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

/// Key of a fact: its kind, and the addresses of its parts.
fn key<const N: usize>(view: View, fact: Fact, parts: [u64; N]) -> u64 {
    combine([view as u64 * 256 + fact as u64].into_iter().chain(parts))
}

/// The wider block of a network: its first two groups (`10.20.3.0/24` is in `10.20`).
pub(super) fn block_of(network: &str) -> &str {
    let mut groups = network.match_indices(['.', ':']).skip(1);
    groups.next().map_or(network, |(end, _)| &network[..end])
}

pub(super) fn method_of(endpoint: &str) -> &str {
    endpoint.split_once(' ').or_else(|| crate::calls::split_endpoint(endpoint)).map_or("", |(method, _)| method)
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

/// Shows the key of every fact of a relation with a call at `time`, microseconds since the epoch.
fn facts_of(relation: &Relation, time: i64, mut show: impl FnMut(u64)) {
    let view = relation.view();
    let [caller, vendor, endpoint, credential, network, client, region, scheme, tls_version] = [
        relation.caller(),
        relation.vendor(),
        relation.endpoint(),
        relation.credential(),
        relation.network(),
        relation.client(),
        relation.region(),
        relation.name(Dimension::Scheme),
        relation.name(Dimension::TlsVersion),
    ]
    .map(Name::id);
    let method = Name::id_of(method_of(relation.endpoint().as_str()));
    show(key(view, Fact::Caller, [caller]));
    show(key(view, Fact::Vendor, [vendor]));
    show(key(view, Fact::Pair, [caller, vendor]));
    show(key(view, Fact::Endpoint, [vendor, endpoint]));
    show(key(view, Fact::CallerEndpoint, [caller, vendor, endpoint]));
    show(key(view, Fact::CallerMethod, [caller, vendor, method]));
    show(key(view, Fact::VendorScheme, [vendor, scheme]));
    show(key(view, Fact::CallerTls, [caller, vendor, tls_version]));
    if !relation.network().is_empty() {
        let text = relation.network().as_str();
        show(key(view, Fact::Network, [network]));
        show(key(view, Fact::NetworkBlock, [Name::id_of(block_of(text))]));
        show(key(view, Fact::CallerNetwork, [caller, network]));
        if !country_of(text).is_empty() {
            show(key(view, Fact::Country, [Name::id_of(country_of(text))]));
            show(key(view, Fact::Countries, []));
        }
    }
    if !relation.client().is_empty() {
        show(key(view, Fact::Client, [client]));
        show(key(view, Fact::CallerClient, [caller, client]));
    }
    if !relation.credential().is_empty() {
        show(key(view, Fact::Credential, [credential]));
        show(key(view, Fact::CallerCredential, [caller, credential]));
    }
    // An hour early or late is no new hour.
    for hour in [-3_600_000_000, 0, 3_600_000_000] {
        show(key(view, Fact::CallerHour, [caller, Name::id_of(hour_of(time + hour))]));
    }
    if !relation.region().is_empty() {
        show(key(view, Fact::Region, [region]));
        show(key(view, Fact::CallerRegion, [caller, region]));
    }
}

/// Facts of a history with the fold that showed them first.
#[derive(Debug, Default)]
pub struct SeenHistory {
    facts: HashMap<u64, i64>,
    callers: BTreeMap<u64, (View, i64)>,
    credentials: CredentialDays,
    last_day: i64,
    vendors: Arc<VendorPack>,
}

impl SeenHistory {
    /// Gathers the facts of rows, in the order of their buckets.
    pub fn of(rows: &[Row], span: Span) -> Self {
        let vendors = VendorPack::embedded();
        let mut history = Self { last_day: day_of(span.last), vendors, ..Self::default() };
        // Most rows repeat what a relation has shown in the same hour of another day.
        let mut shown: HashSet<(u64, u64)> = HashSet::default();
        for row in rows {
            let (relation, fold) = (&row.relation, span.fold_of(row.bucket));
            history.credentials.add(relation.view(), relation.credential(), day_of(row.bucket));
            if !shown.insert((relation.id(), week_hour_of(row.first_seen()))) {
                continue;
            }
            history
                .callers
                .entry(combine([relation.view() as u64, relation.caller().id()]))
                .or_insert((relation.view(), fold));
            facts_of(relation, row.first_seen(), |key| {
                history.facts.entry(key).or_insert(fold);
            });
        }
        history
    }

    /// The same, with these vendors instead of those that the program brings along.
    pub fn with_vendors(self, vendors: Arc<VendorPack>) -> Self {
        Self { vendors, ..self }
    }

    /// What is known at the end of the history.
    pub fn known(&self) -> SeenSet {
        let rests = self.credentials.rests(self.last_day);
        SeenSet { rests, ..self.known_before(i64::MAX) }
    }

    /// What was known before a fold. Credentials are all awake: their returns are counted apart.
    pub(super) fn known_before(&self, fold: i64) -> SeenSet {
        let earlier = self.facts.iter().filter(|(_, first)| **first < fold);
        let callers = |view: View| self.callers.values().filter(|(of, first)| *of == view && *first < fold).count();
        SeenSet {
            facts: earlier.map(|(key, _)| *key).collect(),
            callers: [callers(View::Egress), callers(View::Audit)],
            rests: Rests::default(),
            vendors: Arc::clone(&self.vendors),
        }
    }

    /// Times that a credential came back from dormancy.
    pub(super) fn returns(&self) -> usize {
        self.credentials.returns()
    }
}

/// The hour of a time within its kind of day, as a number.
pub(super) fn week_hour_of(time: i64) -> u64 {
    let hours = time.div_euclid(3_600_000_000);
    (day_type(hours.div_euclid(24)) as i64 * 24 + hours.rem_euclid(24)) as u64
}

/// What is known: what was seen, and what the vendor pack says. The pack is not stored: the pipeline file decides it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "StoredSeenSet", into = "StoredSeenSet")]
pub struct SeenSet {
    facts: HashSet<u64>,
    /// Callers of egress, of audit.
    callers: [usize; 2],
    pub(super) rests: Rests,
    vendors: Arc<VendorPack>,
}

type StoredSeenSet = (BTreeSet<u64>, [usize; 2], Rests);

impl Default for SeenSet {
    fn default() -> Self {
        Self::from(StoredSeenSet::default())
    }
}

impl From<StoredSeenSet> for SeenSet {
    fn from((facts, callers, rests): StoredSeenSet) -> Self {
        Self { facts: facts.into_iter().collect(), callers, rests, vendors: VendorPack::embedded() }
    }
}

impl From<SeenSet> for StoredSeenSet {
    fn from(known: SeenSet) -> Self {
        (known.facts.into_iter().collect(), known.callers, known.rests)
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
        self.callers[view as usize]
    }

    /// Whether a vendor was ever called.
    pub fn has_vendor(&self, view: View, vendor: &Name) -> bool {
        self.has(view, Fact::Vendor, [vendor.id()])
    }

    /// Whether a caller was ever seen.
    pub fn has_caller(&self, view: View, caller: &Name) -> bool {
        self.has(view, Fact::Caller, [caller.id()])
    }

    pub(super) fn has<const N: usize>(&self, view: View, fact: Fact, parts: [u64; N]) -> bool {
        self.facts.contains(&key(view, fact, parts))
    }
}
