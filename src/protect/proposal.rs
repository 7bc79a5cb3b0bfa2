//! From the catalogue to entries: what belongs on a least-privilege list, and what does not, with the reason.
//!
//! Left out is what a caller has done for less than a day (an attack that still runs would else be allowed for good), what never succeeded, and
//! what was not seen within the span that is asked for. Entries are as fine as the catalogue's templates; a caller that calls more hosts
//! directly under one domain than a path has children before they are an id gets the domain. Newcomers, callers without entries, get what others call
//! already, without what is sensitive, or nothing.
//!
//! Not here: what a format can express (`formats`), and how templates are learned (`calls::template`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::entry::{Caller, Entry, Fact, Schemes};
use super::error::ProtectError;
use super::names::{is_caller, is_host, is_path};
use super::pattern::domain_of;
use crate::calls::{MAX_CHILDREN, sensitive_endpoint};
use crate::catalog::{EgressScheme, EgressUse, Incomplete, MORE, Reader, Since};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// The method where none was logged.
const NO_METHOD: &str = "CALL";
/// The method that stands for those which are not kept by name.
const OTHER_METHOD: &str = "OTHER";

/// What callers without entries may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Newcomers {
    /// What some caller does already, without sensitive endpoints.
    #[default]
    Known,
    /// Nothing.
    Deny,
}

/// What belongs on the list.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Called since.
    pub since: Since,
    /// Called for the first time so many days before the newest call.
    pub min_days: u32,
    /// Called so often.
    pub min_calls: u32,
    /// What callers without entries may do.
    pub newcomers: Newcomers,
}

/// Why something that was called is not on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// First seen too short a time ago.
    Recent,
    /// Not seen since.
    Stale,
    /// Every call was answered with an error.
    Failing,
    /// Too few calls.
    Rare,
    /// The catalogue has more names than it keeps.
    Uncounted,
    /// The log does not name the caller or the host.
    Unnamed,
    /// A name that cannot stand in a policy.
    Name,
    /// An operation that is no HTTP request.
    Operation,
    /// A method whose name is not kept.
    Method,
    /// The format has no way to name the caller.
    FormatCaller,
    /// The format has no way to name the host.
    FormatHost,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Recent => "first seen too short a time ago (--min-days)",
            Self::Stale => "not seen since (--from)",
            Self::Failing => "no call succeeded",
            Self::Rare => "too few calls (--min-calls)",
            Self::Uncounted => "past the limits of the catalogue",
            Self::Unnamed => "the log does not name caller or host",
            Self::Name => "a name that cannot stand in a policy",
            Self::Operation => "an operation, no HTTP request",
            Self::Method => "a method that the catalogue does not keep by name",
            Self::FormatCaller => "the format cannot name the caller",
            Self::FormatHost => "the format cannot name the host",
        })
    }
}

/// Something that was called and is not on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Why.
    pub reason: Reason,
    /// Caller, as logged.
    pub caller: String,
    /// Host, as logged.
    pub host: String,
    /// Endpoint, or `plaintext http`.
    pub endpoint: String,
    /// Calls.
    pub calls: i64,
    /// First call, microseconds since the epoch.
    pub first_seen: i64,
    /// Last call, microseconds since the epoch.
    pub last_seen: i64,
}

/// What the catalogue implies.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The entries, by caller, host, path and method; newcomers last.
    pub entries: Vec<Entry>,
    /// What is not on the list.
    pub left_out: Vec<LeftOut>,
    /// Callers of whom the catalogue does not know all.
    pub incomplete: Vec<Incomplete>,
    /// The first time that counts, microseconds since the epoch.
    pub from: i64,
    /// The newest call, microseconds since the epoch.
    pub to: i64,
}

impl Proposal {
    /// What a catalogue implies.
    ///
    /// # Errors
    /// [`ProtectError`]: also where the catalogue covers too short a time.
    pub fn of(reader: &Reader, terms: &Terms) -> Result<Self, ProtectError> {
        let uses = reader.egress()?;
        let newest = uses.iter().map(|one| one.last_seen).max().ok_or(ProtectError::NoCalls)?;
        let oldest = uses.iter().map(|one| one.first_seen).min().ok_or(ProtectError::NoCalls)?;
        let settled = newest.saturating_sub(i64::from(terms.min_days) * DAY);
        if oldest > settled {
            return Err(ProtectError::TooShort { hours: (newest - oldest) / HOUR, days: terms.min_days });
        }
        let bounds = Bounds { from: terms.since.time(newest), settled, min_calls: i64::from(terms.min_calls) };
        let (kept, mut left_out) = sift(uses, &bounds);
        let schemes = schemes_of(&reader.egress_schemes()?, &bounds, &mut left_out);
        let mut entries = entries_of(kept, &schemes);
        if terms.newcomers == Newcomers::Known {
            entries.extend(for_newcomers(&entries));
        }
        Ok(Self { entries, left_out, incomplete: reader.incomplete()?, from: bounds.from, to: newest })
    }
}

/// What entries have to keep to.
struct Bounds {
    from: i64,
    settled: i64,
    min_calls: i64,
}

/// Parts what belongs on the list from what does not.
fn sift(uses: Vec<EgressUse>, bounds: &Bounds) -> (Vec<EgressUse>, Vec<LeftOut>) {
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for one in uses {
        match reason_against(&one, bounds) {
            None => kept.push(one),
            Some(reason) => left_out.push(LeftOut {
                reason,
                endpoint: format!("{} {}", one.method, one.template).trim().to_owned(),
                caller: one.caller,
                host: one.host,
                calls: one.calls,
                first_seen: one.first_seen,
                last_seen: one.last_seen,
            }),
        }
    }
    (kept, left_out)
}

fn reason_against(one: &EgressUse, bounds: &Bounds) -> Option<Reason> {
    let names = [&one.caller, &one.host];
    let is_more = names.iter().any(|name| *name == MORE) || one.template == MORE;
    [
        (is_more, Reason::Uncounted),
        (names.iter().any(|name| name.is_empty()), Reason::Unnamed),
        (one.method.is_empty(), Reason::Operation),
        (one.method == OTHER_METHOD, Reason::Method),
        (!is_caller(&one.caller) || !is_host(&one.host) || !is_path(path_of(&one.template)), Reason::Name),
        (one.last_seen < bounds.from, Reason::Stale),
        (one.first_seen > bounds.settled, Reason::Recent),
        (one.failed >= one.calls, Reason::Failing),
        (one.calls < bounds.min_calls, Reason::Rare),
    ]
    .into_iter()
    .find_map(|(is_against, reason)| is_against.then_some(reason))
}

/// The path of a template: what stands behind a blank is the operation of a GraphQL request, which no gateway sees.
fn path_of(template: &str) -> &str {
    template.split(' ').next().unwrap_or_default()
}

/// The schemes of each caller at each vendor, in settled use.
fn schemes_of(
    seen: &[EgressScheme],
    bounds: &Bounds,
    left_out: &mut Vec<LeftOut>,
) -> BTreeMap<(String, String), Schemes> {
    let mut schemes: BTreeMap<(String, String), Schemes> = BTreeMap::new();
    for one in seen {
        let reason = match (one.last_seen < bounds.from, one.first_seen > bounds.settled) {
            (true, _) => Some(Reason::Stale),
            (_, true) => Some(Reason::Recent),
            _ => None,
        };
        let of_pair =
            schemes.entry((one.caller.clone(), one.vendor.clone())).or_insert(Schemes { tls: false, plain: false });
        match (&*one.scheme, reason) {
            ("https", _) => of_pair.tls = true,
            ("http", None) => of_pair.plain = true,
            ("http", Some(reason)) => left_out.push(LeftOut {
                reason,
                caller: one.caller.clone(),
                host: one.vendor.clone(),
                endpoint: "plaintext http".to_owned(),
                calls: one.calls,
                first_seen: one.first_seen,
                last_seen: one.last_seen,
            }),
            _ => {}
        }
    }
    schemes
}

/// Entries by what tells them apart.
type Merged = BTreeMap<(Caller, String, Option<String>, Option<String>), Entry>;

fn merge(merged: &mut Merged, entry: Entry) {
    let key = (entry.caller.clone(), entry.host.clone(), entry.path.clone(), entry.method.clone());
    match merged.get_mut(&key) {
        Some(known) => {
            known.fact.merge(&entry.fact);
            known.schemes.tls |= entry.schemes.tls;
            known.schemes.plain |= entry.schemes.plain;
        }
        None => drop(merged.insert(key, entry)),
    }
}

fn entries_of(uses: Vec<EgressUse>, schemes: &BTreeMap<(String, String), Schemes>) -> Vec<Entry> {
    let domains = wide_domains(&uses);
    let mut merged = Merged::new();
    for one in uses {
        let pair = (one.caller, one.vendor);
        // A log that does not tell the scheme is taken to be of HTTPS; what is settled of neither is of HTTPS too.
        let schemes = schemes.get(&pair).copied().filter(|schemes| schemes.tls || schemes.plain);
        let wide = parent(&one.host, &one.domain)
            .and_then(|parent| Some((parent.to_owned(), *domains.get(&(pair.0.clone(), parent.to_owned()))?)));
        let (method, path) = request(&one.method, path_of(&one.template));
        let fact = Fact {
            calls: one.calls,
            first_seen: one.first_seen,
            last_seen: one.last_seen,
            callers: 1,
            endpoints: 1,
            hosts: wide.as_ref().map_or(1, |(_, hosts)| *hosts),
        };
        let host = wide.map_or(one.host, |(parent, _)| format!("*.{parent}"));
        let schemes = schemes.unwrap_or(Schemes::TLS);
        merge(&mut merged, Entry { caller: Caller::Named(pair.0), host, schemes, method, path, fact });
    }
    merged.into_values().collect()
}

/// What a gateway has to look at: a tunnel shows no path, and where the log has no method any may be used.
fn request(method: &str, path: &str) -> (Option<String>, Option<String>) {
    match method {
        "CONNECT" => (Some(method.to_owned()), None),
        NO_METHOD if path == "/" => (None, None),
        NO_METHOD => (None, Some(path.to_owned())),
        _ => (Some(method.to_owned()), Some(path.to_owned())),
    }
}

/// The domain that a host lies directly under, within the registrable one.
fn parent<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let (_, parent) = host.split_once('.')?;
    let is_within = parent.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    (is_within && !domain.is_empty()).then_some(parent)
}

/// The domains directly under which a caller calls so many hosts that their names are no list, with the number of hosts. Only one label
/// varies: under a domain of many services, further down others may be tenants.
fn wide_domains(uses: &[EgressUse]) -> BTreeMap<(String, String), usize> {
    let mut hosts: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for one in uses {
        if let Some(parent) = parent(&one.host, &one.domain) {
            hosts.entry((&one.caller, parent)).or_default().insert(&one.host);
        }
    }
    hosts.retain(|_, hosts| hosts.len() > MAX_CHILDREN);
    let owned = |((caller, parent), hosts): ((&str, &str), BTreeSet<&str>)| {
        ((caller.to_owned(), parent.to_owned()), hosts.len())
    };
    hosts.into_iter().map(owned).collect()
}

/// What callers without entries may do: all that somebody does at hosts by name, without what is sensitive, and in plaintext only where nobody
/// uses TLS.
fn for_newcomers(entries: &[Entry]) -> Vec<Entry> {
    let mut merged = Merged::new();
    let mut callers: BTreeMap<_, BTreeSet<&Caller>> = BTreeMap::new();
    let is_sensitive = |entry: &Entry| {
        let (method, path) = (entry.method.as_deref().unwrap_or(NO_METHOD), entry.path.as_deref().unwrap_or("/"));
        sensitive_endpoint(&format!("{method} {path}"))
    };
    for entry in entries.iter().filter(|entry| !is_sensitive(entry) && domain_of(&entry.host).is_none()) {
        let key = (entry.host.clone(), entry.path.clone(), entry.method.clone());
        callers.entry(key).or_default().insert(&entry.caller);
        merge(&mut merged, Entry { caller: Caller::Newcomers, ..entry.clone() });
    }
    let finish = |mut entry: Entry| {
        let key = (entry.host.clone(), entry.path.clone(), entry.method.clone());
        entry.fact.callers = callers.get(&key).map_or(1, BTreeSet::len);
        entry.schemes.plain &= !entry.schemes.tls;
        entry
    };
    merged.into_values().map(finish).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_789_000_000_000_000;

    fn called(caller: &str, host: &str, endpoint: &str) -> EgressUse {
        let (method, template) = endpoint.split_once(' ').unwrap_or(("", endpoint));
        EgressUse {
            caller: caller.to_owned(),
            vendor: "x".to_owned(),
            host: host.to_owned(),
            domain: "x.io".to_owned(),
            method: method.to_owned(),
            template: template.to_owned(),
            calls: 10,
            failed: 1,
            first_seen: NOON - 9 * DAY,
            last_seen: NOON,
        }
    }

    fn bounds() -> Bounds {
        Bounds { from: NOON - 30 * DAY, settled: NOON - DAY, min_calls: 1 }
    }

    fn reasons(uses: Vec<EgressUse>) -> Vec<Reason> {
        sift(uses, &bounds()).1.into_iter().map(|left| left.reason).collect()
    }

    #[test]
    fn what_is_new_failing_forgotten_or_without_a_name_is_left_out_with_the_reason() {
        let one = || called("a", "api.x.io", "GET /v1");
        assert_eq!(reasons(vec![one()]), []);
        let recent = EgressUse { first_seen: NOON - DAY / 2, ..one() };
        let stale = EgressUse { last_seen: NOON - 31 * DAY, first_seen: NOON - 32 * DAY, ..one() };
        let failing = EgressUse { failed: 10, ..one() };
        assert_eq!(reasons(vec![recent, stale, failing]), [Reason::Recent, Reason::Stale, Reason::Failing]);
        let odd = [
            called("", "api.x.io", "GET /"),
            called("a", "", "GET /"),
            called(MORE, "api.x.io", "GET /"),
            called("a", MORE, "GET /"),
            EgressUse { template: MORE.to_owned(), method: String::new(), ..one() },
            called("a", "api.x.io", "s3:GetObject"),
            called("a", "api.x.io", "OTHER /dav"),
            called("a\nb", "api.x.io", "GET /"),
            called("a", "api.x.io\"", "GET /"),
            called("a", "api.x.io", "GET /\"\n"),
        ];
        let (unnamed, more, name) = (Reason::Unnamed, Reason::Uncounted, Reason::Name);
        let expected = [unnamed, unnamed, more, more, more, Reason::Operation, Reason::Method, name, name, name];
        assert_eq!(reasons(odd.to_vec()), expected);
    }

    #[test]
    fn operations_of_graphql_are_one_entry_and_a_tunnel_has_no_path() {
        let graphql = |operation: &str| called("a", "api.x.io", &format!("POST /graphql {operation}"));
        let uses = vec![graphql("query A"), graphql("mutation B"), called("a", "t.x.io", "CONNECT /")];
        let entries = entries_of(uses, &BTreeMap::new());
        let seen: Vec<_> =
            entries.iter().map(|entry| (&*entry.host, entry.path.as_deref(), entry.fact.calls)).collect();
        assert_eq!(seen, [("api.x.io", Some("/graphql"), 20), ("t.x.io", None, 10)]);
        assert!(entries.iter().all(|entry| entry.schemes == Schemes::TLS));
    }

    #[test]
    fn more_hosts_of_a_domain_than_can_be_a_list_are_the_domain_and_only_for_their_caller() {
        let host = |n: usize| format!("h{n}.eu.x.io");
        let mut uses: Vec<_> = (0..=MAX_CHILDREN).map(|n| called("a", &host(n), "GET /v1")).collect();
        uses.extend((0..MAX_CHILDREN).map(|n| called("b", &host(n), "GET /v1")));
        let entries = entries_of(uses, &BTreeMap::new());
        let of = |caller: &str| -> Vec<_> {
            let of_caller = entries.iter().filter(|entry| entry.caller == Caller::Named(caller.to_owned()));
            of_caller.map(|entry| (&*entry.host, entry.fact.hosts, entry.fact.calls)).collect()
        };
        assert_eq!(of("a"), [("*.eu.x.io", MAX_CHILDREN + 1, 10 * (MAX_CHILDREN as i64 + 1))]);
        assert_eq!(of("b").len(), MAX_CHILDREN);
        let parents = ["a.b.x.io", "b.x.io", "x.io", "b.y.io", "evilx.io"].map(|host| parent(host, "x.io"));
        assert_eq!(parents, [Some("b.x.io"), Some("x.io"), None, None, None]);
    }

    #[test]
    fn plaintext_is_allowed_where_it_is_settled_and_told_where_it_is_new() {
        let scheme = |caller: &str, scheme: &str, first_seen| EgressScheme {
            caller: caller.to_owned(),
            vendor: "x".to_owned(),
            scheme: scheme.to_owned(),
            calls: 3,
            first_seen,
            last_seen: NOON,
        };
        let mut left_out = Vec::new();
        let (old, new) = (NOON - 9 * DAY, NOON - DAY / 2);
        let seen = [scheme("a", "https", old), scheme("a", "http", new), scheme("b", "http", old)];
        let schemes = schemes_of(&seen, &bounds(), &mut left_out);
        let uses = vec![called("a", "api.x.io", "GET /"), called("b", "api.x.io", "GET /")];
        let entries = entries_of(uses, &schemes);
        let plain: Vec<_> = entries.iter().map(|entry| (entry.schemes.tls, entry.schemes.plain)).collect();
        assert_eq!(plain, [(true, false), (false, true)]);
        assert_eq!(
            left_out.iter().map(|left| (&*left.endpoint, left.reason)).collect::<Vec<_>>(),
            [("plaintext http", Reason::Recent)]
        );
        let newcomers = for_newcomers(&entries);
        assert_eq!(
            newcomers.iter().map(|entry| (entry.schemes, entry.fact.callers)).collect::<Vec<_>>(),
            [(Schemes::TLS, 2)]
        );
    }

    #[test]
    fn newcomers_may_do_nothing_sensitive_and_use_no_bucket() {
        let bucket = called("a", "{bucket}.s3.amazonaws.com", "PUT /{rest}");
        let uses =
            vec![called("a", "api.x.io", "GET /v1/orders"), called("a", "api.x.io", "POST /v1/api_keys"), bucket];
        let newcomers = for_newcomers(&entries_of(uses, &BTreeMap::new()));
        let paths: Vec<_> = newcomers.iter().map(|entry| (entry.path.as_deref(), &entry.caller)).collect();
        assert_eq!(paths, [(Some("/v1/orders"), &Caller::Newcomers)]);
    }
}
