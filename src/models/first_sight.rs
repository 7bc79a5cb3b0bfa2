//! First sights: what was never there before, as a rate a day.
//!
//! A pair nobody has seen has no distribution to be far out in; what can be learned is how often such a thing turns up at
//! all. Each class has a prior rate (what releases and people do without any attack, in a company of some tens of services)
//! that is updated by a replay of the history, each day judged with what the others know:
//! `rate = (times seen + 10 x prior) / (days + 10)`.
//!
//! A class is graded by who else does it: the caller alone is new to it, or the whole company.
//!
//! Not here: what a first sight means (`detect`).

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashSet;
use polars::prelude::{Column, DataFrame, Int64Chunked, PolarsResult, StringChunked, polars_err};
use serde::{Deserialize, Serialize};

use crate::calls::{Direction, StepClass, is_interactive_tool, is_private, is_write, sensitive_endpoint};
use crate::rollup::{Rollup, day_of};

/// Weight of a prior rate, in days.
const PRIOR_DAYS: f64 = 10.0;
/// New credentials of a pair within a day that are a burst.
const BURST_OF_CREDENTIALS: usize = 5;
const DAY: i64 = 86_400_000_000;
/// First sights that are remembered so as not to be told again.
const MOST_REMEMBERED: usize = 100_000;

/// A class of first sights.
#[derive(Debug)]
pub struct SightClass {
    /// Name in files and alerts.
    pub name: &'static str,
    /// What it is, in words.
    pub says: &'static str,
    /// Expected times a day before any history is read.
    pub prior: f64,
    /// Whether one release brings it about together with others: such classes never add weight to one another.
    pub of_release: bool,
}

const fn class(name: &'static str, says: &'static str, prior: f64, of_release: bool) -> SightClass {
    SightClass { name, says, prior, of_release }
}

/// Every class of egress and audit. Priors are judgement, not measurement: histories hardly contain any.
#[rustfmt::skip]
pub const SIGHTS: &[SightClass] = &[
    class("vendor_new", "a vendor that nobody here has called before", 0.05, false),
    class("pair_new", "a caller's first call to a vendor that others use", 0.5, true),
    class("network_public_new", "a public network that nobody here has called from", 0.05, false),
    class("network_public_known", "a public network that only others have called from", 0.2, false),
    class("network_private_far", "a private network apart from all known ones", 0.2, true),
    class("network_private_near", "a private network beside known ones", 1.0, true),
    class("client_new", "a client that nobody here uses", 0.2, false),
    class("client_tool", "an interactive tool that nobody here uses", 0.05, false),
    class("client_known", "a client that only others use", 1.0, true),
    class("credential_of_another", "another caller's credential", 0.05, false),
    class("credential_new", "a credential never seen", 0.5, true),
    class("credential_burst", "many new credentials within a day", 0.05, false),
    class("endpoint_sensitive", "a sensitive or deleting endpoint that nobody here has called", 0.05, false),
    class("endpoint_write", "a writing endpoint that nobody here has called", 0.3, false),
    class("endpoint_read", "a reading endpoint that nobody here has called", 1.0, true),
    class("method_new", "a method that the caller never used at the vendor", 0.3, true),
    class("plaintext", "plaintext HTTP to a vendor that is called over TLS", 0.05, false),
    class("tls_old", "a TLS version below 1.2", 0.05, false),
    class("principal_new", "a principal never seen", 0.3, false),
    class("principal_network_new", "a principal in a network that nobody here has used", 0.05, false),
    class("principal_network_known", "a principal in a network that only others use", 0.2, false),
    class("principal_client_new", "a principal with a client that nobody here uses", 0.1, false),
    class("principal_client_known", "a principal with a client that only others use", 0.3, false),
    class("region_new", "a region that nobody here has used", 0.05, false),
    class("region_known", "a principal in a region that only others use", 0.2, false),
    class("operation_login", "a first sign-in operation", 1.0, false),
    class("operation_list", "a first listing operation", 1.0, true),
    class("operation_read", "a first reading operation", 1.0, true),
    class("operation_identity", "a first identity check", 0.3, true),
    class("operation_use", "a first use of a service", 0.3, true),
    class("operation_write", "a first writing operation", 0.3, true),
    class("operation_secret", "a first read of secrets", 0.1, false),
    class("operation_bulk", "a first bulk read", 0.1, false),
    class("operation_delete", "a first deleting operation", 0.1, false),
    class("operation_grant", "a first grant of rights or credentials", 0.05, false),
    class("operation_share", "a first sharing with others", 0.02, false),
    class("operation_defence", "a first change of logging or protection", 0.02, false),
];

/// Place of a class in [`SIGHTS`], by its name.
fn place_of(name: &str) -> usize {
    SIGHTS.iter().position(|class| class.name == name).unwrap_or_default()
}

/// One first sight.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// Its class.
    pub class: &'static str,
    /// The new thing: a vendor, a network, an endpoint … never a secret.
    pub detail: String,
    /// First call that showed it, microseconds since the epoch.
    pub time: i64,
    /// The view.
    pub direction: Direction,
    /// Who called.
    pub caller: String,
    /// Whom.
    pub vendor: String,
    /// The endpoint called.
    pub endpoint: String,
    /// Credential used; may be empty.
    pub credential: String,
}

/// One rolled-up relation: the columns in which something can be new.
#[derive(Clone, Copy, Debug)]
pub struct Relation<'a> {
    /// First call, microseconds since the epoch.
    pub time: i64,
    /// The view.
    pub direction: Direction,
    /// Who called.
    pub caller: &'a str,
    /// Whom.
    pub vendor: &'a str,
    /// Which host of theirs.
    pub host: &'a str,
    /// Endpoint template or audit operation.
    pub endpoint: &'a str,
    /// Credential fingerprint.
    pub credential: &'a str,
    /// Source network.
    pub network: &'a str,
    /// Client family.
    pub client: &'a str,
    /// Cloud region.
    pub region: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// TLS version.
    pub tls_version: &'a str,
    /// Trace id of one of the calls.
    pub trace_id: Option<&'a str>,
}

/// The columns of a rollup or of calls that make a relation.
struct RelationColumns<'a> {
    /// In the order of [`TEXTS`].
    texts: [&'a StringChunked; TEXTS.len()],
    time: &'a Int64Chunked,
}

const TEXTS: [&str; 12] = [
    "direction",
    "caller",
    "vendor",
    "host",
    "endpoint",
    "credential",
    "network",
    "client",
    "region",
    "scheme",
    "tls_version",
    "trace_id",
];

impl<'a> RelationColumns<'a> {
    fn of(frame: &'a DataFrame, time: &str) -> PolarsResult<Self> {
        let texts = TEXTS.map(|name| frame.column(name).and_then(Column::str));
        let mut columns = Vec::with_capacity(TEXTS.len());
        for text in texts {
            columns.push(text?);
        }
        let texts = columns.try_into().map_err(|_| polars_err!(ShapeMismatch: "columns of a relation"))?;
        Ok(Self { texts, time: frame.column(time)?.i64()? })
    }

    fn row(&self, row: usize) -> Relation<'a> {
        let [
            direction,
            caller,
            vendor,
            host,
            endpoint,
            credential,
            network,
            client,
            region,
            scheme,
            tls_version,
            trace_id,
        ] = self.texts.map(|column| column.get(row));
        Relation {
            time: self.time.get(row).unwrap_or_default(),
            direction: Direction::named(direction),
            caller: caller.unwrap_or_default(),
            vendor: vendor.unwrap_or_default(),
            host: host.unwrap_or_default(),
            endpoint: endpoint.unwrap_or_default(),
            credential: credential.unwrap_or_default(),
            network: network.unwrap_or_default(),
            client: client.unwrap_or_default(),
            region: region.unwrap_or_default(),
            scheme: scheme.unwrap_or_default(),
            tls_version: tls_version.unwrap_or_default(),
            trace_id,
        }
    }
}

/// The relations of a rollup by bucket, each bucket's in the order of their first calls.
///
/// # Errors
/// Where the rollup lacks a column.
pub fn relations(rollup: &Rollup) -> PolarsResult<Vec<(i64, Relation<'_>)>> {
    let columns = RelationColumns::of(rollup.frame(), "first_seen")?;
    let buckets = rollup.frame().column("bucket")?.i64()?;
    let row = |row: usize| (buckets.get(row).unwrap_or_default(), columns.row(row));
    let mut relations: Vec<(i64, Relation<'_>)> = (0..rollup.len()).map(row).collect();
    // Stable: rows of one bucket and time keep the rollup's order, which is that of their keys.
    relations.sort_by_key(|(bucket, relation)| (*bucket, relation.time));
    Ok(relations)
}

/// How surprising each call is by itself, by the hash of its record: `-log10` of the rate a day of the rarest class that it
/// shows against what the history knows, whether or not another call showed it before; 0 where nothing is new.
///
/// # Errors
/// Where the frame lacks a column of the call.
pub fn surprise_of_calls(calls: &DataFrame, known: &Known, rates: &SightRates) -> PolarsResult<Vec<(u64, f64)>> {
    let columns = RelationColumns::of(calls, "time")?;
    let records = calls.column("record_hash")?.u64()?;
    let surprise = |(row, record): (usize, Option<u64>)| {
        let rarest = news(&columns.row(row), known).into_iter().map(|(class, ..)| rates.of(class)).fold(1.0, f64::min);
        record.map(|record| (record, -rarest.log10()))
    };
    Ok(records.iter().enumerate().filter_map(surprise).collect())
}

/// What is known, as keys of a kind and its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Fact {
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
fn block_of(network: &str) -> &str {
    let mut groups = network.match_indices(['.', ':']).skip(1);
    groups.next().map_or(network, |(end, _)| &network[..end])
}

fn method_of(endpoint: &str) -> &str {
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
struct Looker<'a> {
    known: &'a Known,
    direction: Direction,
    buffer: String,
}

impl Looker<'_> {
    fn has(&mut self, fact: Fact, parts: &[&str]) -> bool {
        key(&mut self.buffer, self.direction, fact, parts);
        self.known.0.contains(&self.buffer)
    }
}

/// The new things of a relation: class, what tells one such sight from another, and the new thing itself.
fn news<'a>(relation: &Relation<'a>, known: &Known) -> Vec<(&'static str, [&'a str; 3], &'a str)> {
    let mut look = Looker { known, direction: relation.direction, buffer: String::new() };
    match relation.direction {
        Direction::Egress => egress_news(relation, &mut look),
        Direction::Audit => audit_news(relation, &mut look),
    }
}

fn egress_news<'a>(relation: &Relation<'a>, look: &mut Looker<'_>) -> Vec<(&'static str, [&'a str; 3], &'a str)> {
    let Relation { caller, vendor, endpoint, credential, network, client, scheme, tls_version, .. } = *relation;
    let mut news = Vec::new();
    let is_new_caller = !look.has(Fact::Caller, &[caller]);
    if !look.has(Fact::Vendor, &[vendor]) {
        return vec![("vendor_new", [caller, vendor, ""], vendor)];
    }
    let is_new_pair = !look.has(Fact::Pair, &[caller, vendor]);
    if is_new_pair && !is_new_caller {
        news.push(("pair_new", [caller, vendor, ""], vendor));
    }
    if !network.is_empty() && !look.has(Fact::CallerNetwork, &[caller, network]) {
        let class = match (is_private(network), look.has(Fact::Network, &[network])) {
            (false, true) => "network_public_known",
            (false, false) => "network_public_new",
            (true, _) if look.has(Fact::NetworkBlock, &[block_of(network)]) => "network_private_near",
            (true, _) => "network_private_far",
        };
        news.push((class, [caller, network, ""], network));
    }
    if !client.is_empty() && !look.has(Fact::CallerClient, &[caller, client]) {
        let class = if look.has(Fact::Client, &[client]) {
            "client_known"
        } else if is_interactive_tool(client) {
            "client_tool"
        } else {
            "client_new"
        };
        news.push((class, [caller, client, ""], client));
    }
    if !credential.is_empty() && !look.has(Fact::CallerCredential, &[caller, credential]) {
        if look.has(Fact::Credential, &[credential]) {
            news.push(("credential_of_another", [caller, credential, ""], credential));
        } else if !is_new_caller {
            news.push(("credential_new", [caller, vendor, credential], credential));
        }
    }
    let is_known_endpoint =
        look.has(Fact::CallerEndpoint, &[caller, vendor, endpoint]) || look.has(Fact::Endpoint, &[vendor, endpoint]);
    let method = method_of(endpoint);
    if !is_known_endpoint && !is_new_caller {
        let class = if method == "DELETE" || (is_write(endpoint) && sensitive_endpoint(endpoint)) {
            "endpoint_sensitive"
        } else if is_write(endpoint) {
            "endpoint_write"
        } else {
            "endpoint_read"
        };
        news.push((class, [caller, vendor, endpoint], endpoint));
    } else if !is_new_pair && !look.has(Fact::CallerMethod, &[caller, vendor, method]) {
        news.push(("method_new", [caller, vendor, method], method));
    }
    if scheme == "http" && !look.has(Fact::VendorScheme, &[vendor, scheme]) {
        news.push(("plaintext", [caller, vendor, ""], scheme));
    }
    if matches!(tls_version, "1.0" | "1.1" | "ssl3") && !look.has(Fact::CallerTls, &[caller, vendor, tls_version]) {
        news.push(("tls_old", [caller, vendor, ""], tls_version));
    }
    news
}

fn audit_news<'a>(relation: &Relation<'a>, look: &mut Looker<'_>) -> Vec<(&'static str, [&'a str; 3], &'a str)> {
    let Relation { caller, vendor, endpoint, credential, network, client, region, .. } = *relation;
    let mut news = Vec::new();
    let is_new_principal = !look.has(Fact::Caller, &[caller]);
    if is_new_principal {
        news.push(("principal_new", [caller, "", ""], caller));
    }
    let mut graded = |fact: Fact, own: Fact, value: &'a str, [by_none, by_others]: [&'static str; 2]| {
        if value.is_empty() || look.has(own, &[caller, value]) {
            return;
        }
        if !look.has(fact, &[value]) {
            news.push((by_none, [caller, value, ""], value));
        } else if !is_new_principal {
            news.push((by_others, [caller, value, ""], value));
        }
    };
    graded(Fact::Network, Fact::CallerNetwork, network, ["principal_network_new", "principal_network_known"]);
    graded(Fact::Client, Fact::CallerClient, client, ["principal_client_new", "principal_client_known"]);
    graded(Fact::Region, Fact::CallerRegion, region, ["region_new", "region_known"]);
    if !credential.is_empty() && !look.has(Fact::CallerCredential, &[caller, credential]) {
        let others = look.has(Fact::Credential, &[credential]);
        news.push((
            if others { "credential_of_another" } else { "credential_new" },
            [caller, credential, ""],
            credential,
        ));
    }
    let step = StepClass::of(endpoint);
    let is_done_by_none = !look.has(Fact::Endpoint, &[vendor, endpoint]);
    let is_new_to_principal = !look.has(Fact::CallerEndpoint, &[caller, vendor, endpoint]);
    if is_new_to_principal && (!is_new_principal || is_done_by_none || step.is_sensitive()) {
        news.push((operation_class(step), [caller, vendor, endpoint], endpoint));
    }
    news
}

fn operation_class(step: StepClass) -> &'static str {
    match step {
        StepClass::Login => "operation_login",
        StepClass::Identity => "operation_identity",
        StepClass::List => "operation_list",
        StepClass::Read => "operation_read",
        StepClass::Use => "operation_use",
        StepClass::Secret => "operation_secret",
        StepClass::Bulk => "operation_bulk",
        StepClass::Write => "operation_write",
        StepClass::Grant => "operation_grant",
        StepClass::Share => "operation_share",
        StepClass::Delete => "operation_delete",
        StepClass::Defence => "operation_defence",
    }
}

/// Tells each first sight once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watch {
    /// Hashes of what was told, oldest first.
    told: std::collections::VecDeque<u64>,
    #[serde(skip)]
    index: HashSet<u64>,
    /// New credentials of a pair and when they came.
    credentials: BTreeMap<(String, String), BTreeMap<String, i64>>,
    /// Relations without any news: most of them, most of the time. Follows from what is known.
    #[serde(skip)]
    quiet: HashSet<u64>,
}

fn hash(parts: &[&str]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes()).update(&[0x1f]);
    }
    let bytes = hasher.finalize();
    u64::from_le_bytes(std::array::from_fn(|place| bytes.as_bytes()[place]))
}

impl Watch {
    /// Restores what is derived, after loading.
    pub fn restored(mut self) -> Self {
        self.index = self.told.iter().copied().collect();
        self
    }

    /// First sights of a relation that were not told before.
    pub fn look(&mut self, relation: &Relation<'_>, known: &Known) -> Vec<Sight> {
        use std::hash::BuildHasher;
        let Relation { caller, vendor, endpoint, credential, network, client, region, scheme, tls_version, .. } = *relation;
        let place = (network, client, region, scheme, tls_version);
        let relation_hash = foldhash::fast::FixedState::default()
            .hash_one((relation.direction, caller, vendor, endpoint, credential, place));
        if self.quiet.contains(&relation_hash) {
            return Vec::new();
        }
        let news = news(relation, known);
        if news.is_empty() {
            if self.quiet.len() >= MOST_REMEMBERED {
                self.quiet.clear();
            }
            self.quiet.insert(relation_hash);
            return Vec::new();
        }
        let mut sights = Vec::new();
        for (class, parts, detail) in news {
            if !self.tell(relation.direction, class, parts) {
                continue;
            }
            sights.push(sight(relation, class, detail.to_owned()));
            if class == "credential_new" {
                sights.extend(self.burst_of_credentials(relation));
            }
        }
        sights
    }

    /// Whether this is to be told: it was not before.
    fn tell(&mut self, direction: Direction, class: &str, [a, b, c]: [&str; 3]) -> bool {
        let id = hash(&[direction.as_str(), class, a, b, c]);
        if !self.index.insert(id) {
            return false;
        }
        self.told.push_back(id);
        if self.told.len() > MOST_REMEMBERED
            && let Some(oldest) = self.told.pop_front()
        {
            self.index.remove(&oldest);
        }
        true
    }

    fn burst_of_credentials(&mut self, relation: &Relation<'_>) -> Option<Sight> {
        let seen = self.credentials.entry((relation.caller.to_owned(), relation.vendor.to_owned())).or_default();
        seen.retain(|_, first| *first > relation.time - DAY);
        if seen.len() < MOST_REMEMBERED {
            seen.entry(relation.credential.to_owned()).or_insert(relation.time);
        }
        let count = seen.len();
        let today = (relation.time / DAY).to_string();
        let is_burst = count >= BURST_OF_CREDENTIALS
            && self.tell(relation.direction, "credential_burst", [relation.caller, relation.vendor, &today]);
        is_burst.then(|| sight(relation, "credential_burst", format!("{count} new credentials")))
    }
}

fn sight(relation: &Relation<'_>, class: &'static str, detail: String) -> Sight {
    Sight {
        class,
        detail,
        time: relation.time,
        direction: relation.direction,
        caller: relation.caller.to_owned(),
        vendor: relation.vendor.to_owned(),
        endpoint: relation.endpoint.to_owned(),
        credential: relation.credential.to_owned(),
    }
}

/// Expected first sights a day, by class (in [`SIGHTS`] order).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SightRates(Vec<f64>);

impl SightRates {
    /// Replays each day of a history with what the other days know.
    pub fn fit(relations: &[(i64, Relation<'_>)], history: &FactHistory, days: usize) -> Self {
        let mut times = vec![0.0; SIGHTS.len()];
        // A single day has no other days to be judged with.
        let replayed = if days > 1 { relations } else { &[] };
        for of_day in replayed.chunk_by(|(a, _), (b, _)| day_of(*a) == day_of(*b)) {
            let known = history.known(of_day.first().map(|(bucket, _)| day_of(*bucket)));
            let mut watch = Watch::default();
            for sight in of_day.iter().flat_map(|(_, relation)| watch.look(relation, &known)) {
                times[place_of(sight.class)] += 1.0;
            }
        }
        let rate = |(class, times): (&SightClass, f64)| (times + class.prior * PRIOR_DAYS) / (days as f64 + PRIOR_DAYS);
        Self(SIGHTS.iter().zip(times).map(rate).collect())
    }

    /// Expected times a day that a class is seen.
    pub fn of(&self, class: &str) -> f64 {
        self.0.get(place_of(class)).copied().unwrap_or(1.0)
    }
}

/// What is expected a day of all that one caller showed within an hour: independent classes multiply, those that one
/// release brings about together do not.
pub fn joint_rate<'a>(rates: &SightRates, callers: usize, classes: impl IntoIterator<Item = &'a str>) -> f64 {
    let callers = callers.max(1) as f64;
    let apart = classes.into_iter().filter(|class| !SIGHTS[place_of(class)].of_release);
    apart.fold(callers, |rate, class| rate * (rates.of(class) / callers).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation<'a>(caller: &'a str, vendor: &'a str, endpoint: &'a str, day: i64) -> (i64, Relation<'a>) {
        let relation = Relation {
            time: day * DAY,
            direction: Direction::Egress,
            caller,
            vendor,
            host: vendor,
            endpoint,
            credential: "fp_1",
            network: "10.20.3.0/24",
            client: "boto3",
            region: "",
            scheme: "https",
            tls_version: "1.3",
            trace_id: None,
        };
        (day * crate::rollup::BUCKETS_PER_DAY, relation)
    }

    fn classes(relation: &Relation<'_>, known: &Known) -> Vec<&'static str> {
        Watch::default().look(relation, known).into_iter().map(|sight| sight.class).collect()
    }

    #[test]
    fn what_was_seen_is_no_first_sight_and_what_was_not_is_one() {
        let known = FactHistory::of(&[relation("billing", "stripe", "POST /v1/charges", 0)]).known(None);
        let (_, same) = relation("billing", "stripe", "POST /v1/charges", 1);
        assert!(classes(&same, &known).is_empty());
        assert_eq!(classes(&Relation { vendor: "transfer.sh", ..same }, &known), ["vendor_new"]);
        assert_eq!(classes(&Relation { network: "203.0.113.0/24", ..same }, &known), ["network_public_new"]);
        assert_eq!(classes(&Relation { network: "10.20.9.0/24", ..same }, &known), ["network_private_near"]);
        assert_eq!(classes(&Relation { endpoint: "DELETE /v1/charges/{id}", ..same }, &known), ["endpoint_sensitive"]);
        assert_eq!(classes(&Relation { scheme: "http", ..same }, &known), ["plaintext"]);
        assert_eq!(classes(&Relation { client: "curl", ..same }, &known), ["client_tool"]);
    }

    #[test]
    fn a_first_sight_is_told_once_also_after_a_restart() {
        let known = Known::default();
        let (_, new) = relation("billing", "stripe", "POST /v1/charges", 0);
        let mut watch = Watch::default();
        assert_eq!(watch.look(&new, &known).len(), 1);
        let bytes = postcard::to_stdvec(&watch).unwrap();
        let mut watch = postcard::from_bytes::<Watch>(&bytes).unwrap().restored();
        assert!(watch.look(&new, &known).is_empty());
    }

    #[test]
    fn a_replay_raises_the_rate_of_what_happens_every_day() {
        let names: Vec<String> =
            (0..8).map(|day| format!("GET /v1/report/{}", ["a", "b", "c", "d", "e", "f", "g", "h"][day])).collect();
        let days: Vec<_> = (0..8).map(|day| relation("billing", "stripe", &names[day as usize], day)).collect();
        let rates = SightRates::fit(&days, &FactHistory::of(&days), 8);
        assert!(rates.of("endpoint_read") > 0.9 && rates.of("plaintext") < 0.05);
    }

    #[test]
    fn classes_of_one_release_do_not_multiply() {
        let days = [relation("billing", "stripe", "GET /", 0)];
        let rates = SightRates::fit(&days, &FactHistory::of(&days), 1);
        let release = BTreeSet::from(["client_known", "credential_new", "endpoint_read"]);
        assert_eq!(joint_rate(&rates, 10, release), 10.0);
        let theft = BTreeSet::from(["network_public_new", "client_tool"]);
        assert!(joint_rate(&rates, 10, theft) < rates.of("client_tool") / 50.0);
    }
}
