//! The survey: what a log contains, collected in one pass, so that what is planted fits it.
//!
//! Callers with their networks, clients and hours; pairs with their credentials, volumes and endpoints; and of each endpoint a few
//! records to make new ones from. Bounded, and in the order of names, so that the same log gives the same survey.
//!
//! Not here: the choice of victims (`schedule`). Credentials are held as logged, to be written again into records and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::scenario::Selection;
use crate::calls::{Call, Outcome, StepClass, View, is_write, shape};

/// Records kept of an endpoint to make new ones from.
const TEMPLATES: usize = 3;
/// Endpoints of a pair that are distinguished.
const ENDPOINTS: usize = 24;
/// Addresses, clients and credentials kept of a caller or pair.
const NAMES: usize = 64;
/// Fields of metered tokens.
const METERED: [&str; 2] = ["input_tokens\":", "output_tokens\":"];
/// Pairs that are surveyed: enough to choose victims from in a larger log.
const PAIRS: usize = 20_000;

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const HOUR: i64 = 3_600 * SECOND;
pub(super) const DAY: i64 = 24 * HOUR;

/// What a log contains.
#[derive(Debug, Default)]
pub struct Survey {
    /// Records read.
    pub records: u64,
    /// Records that are a call.
    pub calls: u64,
    /// The first call, microseconds since the epoch.
    pub first: i64,
    /// The last call, microseconds since the epoch.
    pub last: i64,
    pub(super) formats: BTreeSet<&'static str>,
    pub(super) callers: BTreeMap<String, CallerFacts>,
    pub(super) hosts: BTreeMap<String, BTreeSet<String>>,
    pub(super) networks: BTreeSet<String>,
    pairs: usize,
}

#[derive(Debug, Default)]
pub(super) struct CallerFacts {
    pub view: View,
    /// Calls by hour of the day, UTC.
    pub hours: [u64; 24],
    pub addresses: BTreeMap<String, u64>,
    pub clients: BTreeMap<String, u64>,
    pub pairs: BTreeMap<String, PairFacts>,
}

#[derive(Debug, Default)]
pub(super) struct PairFacts {
    pub calls: u64,
    /// Calls by hour since the epoch.
    pub hourly: BTreeMap<i64, u64>,
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub with_latency: u64,
    pub schemes: BTreeMap<String, u64>,
    pub credentials: BTreeMap<String, u64>,
    pub endpoints: BTreeMap<String, EndpointFacts>,
}

#[derive(Debug, Default)]
pub(super) struct EndpointFacts {
    pub calls: u64,
    pub failed: u64,
    pub is_write: bool,
    pub has_tokens: bool,
    pub templates: Vec<String>,
}

/// Someone to whom a scenario may happen: a caller at a host, with the credential that it uses most.
#[derive(Clone, Debug)]
pub(super) struct Victim {
    pub caller: String,
    pub host: String,
    pub credential: Option<String>,
}

impl Survey {
    /// Notes a record.
    pub(super) fn add(&mut self, format: &'static str, call: &Call<'_>, record: &str) {
        self.first = if self.calls == 0 { call.time } else { self.first.min(call.time) };
        self.last = if self.calls == 0 { call.time } else { self.last.max(call.time) };
        self.calls += 1;
        self.formats.insert(format);
        let host = host_of(call);
        let is_new = !self.callers.get(&*call.caller).is_some_and(|caller| caller.pairs.contains_key(&host));
        if is_new {
            if self.pairs == PAIRS {
                return;
            }
            self.pairs += 1;
            self.hosts.entry(host.clone()).or_default().insert(call.caller.to_string());
        }
        if let Some(network) = call.src_ip.as_deref().and_then(prefix) {
            self.networks.insert(network.to_owned());
        }
        let caller = self.callers.entry(call.caller.to_string()).or_default();
        caller.view = call.view;
        if let Some(hour) =
            usize::try_from(call.time.rem_euclid(DAY) / HOUR).ok().and_then(|at| caller.hours.get_mut(at))
        {
            *hour += 1;
        }
        count(&mut caller.addresses, call.src_ip.as_deref());
        count(&mut caller.clients, call.user_agent.as_deref());
        caller.pairs.entry(host).or_default().add(call, record);
    }

    /// The pair's facts.
    pub(super) fn pair(&self, caller: &str, host: &str) -> Option<&PairFacts> {
        self.callers.get(caller)?.pairs.get(host)
    }
}

impl PairFacts {
    fn add(&mut self, call: &Call<'_>, record: &str) {
        self.calls += 1;
        *self.hourly.entry(call.time.div_euclid(HOUR)).or_default() += 1;
        self.bytes_out += call.bytes_out.unwrap_or_default();
        self.bytes_in += call.bytes_in.unwrap_or_default();
        self.with_latency += u64::from(call.latency_ms.is_some());
        count(&mut self.schemes, call.scheme.as_deref());
        count(&mut self.credentials, call.credential.as_deref());
        let name = endpoint_of(call);
        if !self.endpoints.contains_key(&name) && self.endpoints.len() == ENDPOINTS {
            return;
        }
        let endpoint = self.endpoints.entry(name).or_default();
        endpoint.calls += 1;
        endpoint.failed += u64::from(has_failed(call));
        endpoint.is_write = writes(call);
        // The first one, then ever rarer ones: the kept are spread over the whole time, and no chance is needed.
        let is_kept = endpoint.calls.is_power_of_two();
        // What a vendor does by itself, for a customer, has a name in the place of an address: no intruder is like it.
        let has_address = call.src_ip.as_deref().is_none_or(|address| address.parse::<IpAddr>().is_ok());
        if is_kept && has_address && !has_failed(call) {
            if endpoint.templates.len() == TEMPLATES {
                endpoint.templates.remove(1);
            }
            endpoint.has_tokens |= METERED.iter().any(|field| record.contains(field));
            endpoint.templates.push(record.to_owned());
        }
    }

    /// The endpoint that is called most; of several the first by name.
    pub(super) fn busiest(&self) -> Option<&str> {
        let most = self.endpoints.values().map(|endpoint| endpoint.calls).max()?;
        self.endpoints.iter().find(|(_, endpoint)| endpoint.calls == most).map(|(name, _)| name.as_str())
    }

    /// Endpoints that are meant, with their facts.
    pub(super) fn selected(&self, selection: Selection) -> impl Iterator<Item = (&String, &EndpointFacts)> {
        let busiest = self.busiest();
        self.endpoints.iter().filter(move |(name, endpoint)| match selection {
            Selection::Any => true,
            Selection::Read => !endpoint.is_write,
            Selection::Write => endpoint.is_write,
            Selection::Busiest => Some(name.as_str()) == busiest,
            Selection::Identified => name.contains("{id}"),
            Selection::Failed => endpoint.failed > 0,
        })
    }

    /// Whether new records can be made from those that are meant.
    pub(super) fn has_templates(&self, selection: Selection) -> bool {
        self.selected(selection).any(|(_, endpoint)| !endpoint.templates.is_empty())
    }

    /// Which part of the pair's calls is meant.
    pub(super) fn share(&self, selection: Selection) -> f64 {
        let all: u64 = self.endpoints.values().map(|endpoint| endpoint.calls).sum();
        let meant: u64 = self.selected(selection).map(|(_, endpoint)| endpoint.calls).sum();
        meant as f64 / all.max(1) as f64
    }

    /// Calls in the hours that lie within the time.
    pub(super) fn calls_within(&self, start: i64, end: i64) -> u64 {
        let (from, to) = (start.div_euclid(HOUR), end.div_euclid(HOUR));
        if from >= to { 0 } else { self.hourly.range(from..to).map(|(_, calls)| calls).sum() }
    }

    /// The credential that is used most.
    pub(super) fn credential(&self) -> Option<&str> {
        let most = self.credentials.values().max()?;
        self.credentials.iter().find(|(_, calls)| *calls == most).map(|(name, _)| name.as_str())
    }
}

/// The host of a call, in lower case and without its port.
pub(super) fn host_of(call: &Call<'_>) -> String {
    let bare = match call.host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !bare.ends_with(':') => bare,
        _ => &call.host,
    };
    bare.to_ascii_lowercase()
}

/// The endpoint of a call: its operation, or method and path without what varies.
pub(super) fn endpoint_of(call: &Call<'_>) -> String {
    if let Some(operation) = &call.operation {
        return operation.to_string();
    }
    let mut endpoint = String::new();
    shape(call.method.as_deref(), call.path.as_deref().unwrap_or_default(), &mut endpoint);
    endpoint
}

fn writes(call: &Call<'_>) -> bool {
    match &call.operation {
        Some(operation) => StepClass::of(operation).is_write(),
        None => is_write(&endpoint_of(call)),
    }
}

pub(super) fn has_failed(call: &Call<'_>) -> bool {
    let outcome = call.outcome.unwrap_or_else(|| Outcome::of_status(call.status));
    !matches!(outcome, Outcome::Ok)
}

/// Whether the call is one of those that are meant; `busiest` is its pair's.
pub(super) fn is_selected(call: &Call<'_>, selection: Selection, busiest: Option<&str>) -> bool {
    match selection {
        Selection::Any => true,
        Selection::Read => !writes(call),
        Selection::Write => writes(call),
        Selection::Busiest => Some(endpoint_of(call).as_str()) == busiest,
        Selection::Identified => endpoint_of(call).contains("{id}"),
        Selection::Failed => has_failed(call),
    }
}

/// The first three numbers of an IPv4 address.
pub(super) fn prefix(address: &str) -> Option<&str> {
    address.parse::<Ipv4Addr>().ok()?;
    address.rsplit_once('.').map(|(prefix, _)| prefix)
}

fn count(names: &mut BTreeMap<String, u64>, name: Option<&str>) {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return };
    if let Some(calls) = names.get_mut(name) {
        *calls += 1;
    } else if names.len() < NAMES {
        names.insert(name.to_owned(), 1);
    }
}
