//! An entry of an allow list: who may call what, and the fact behind it. Every format writes these.
//!
//! Not here: which entries there are (`proposal`), and rules as they are read from a policy (`policy`).

use std::collections::BTreeMap;

/// Stands for a time that no calendar has.
const NO_TIME: &str = "an unknown time";

/// Whom an entry allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caller {
    /// A caller, by the name that its log has.
    Named(String),
    /// Every caller that has no entry of its own.
    Newcomers,
}

/// By which schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Schemes {
    /// HTTPS.
    pub tls: bool,
    /// HTTP in plaintext.
    pub plain: bool,
}

impl Schemes {
    /// HTTPS alone.
    pub const TLS: Self = Self { tls: true, plain: false };

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [(self.tls, "https"), (self.plain, "http")].into_iter().filter_map(|(is_in, name)| is_in.then_some(name))
    }
}

/// What the catalogue knows of the calls that an entry allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Calls.
    pub calls: i64,
    /// First call, microseconds since the epoch.
    pub first_seen: i64,
    /// Last call, microseconds since the epoch.
    pub last_seen: i64,
    /// Callers, where the entry is no single caller's.
    pub callers: usize,
    /// Method and path templates that became one, because the format tells no paths apart.
    pub endpoints: usize,
    /// Hosts that became one pattern; 1 where the host is a name.
    pub hosts: usize,
}

impl Fact {
    pub(super) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
    }

    /// The fact in words, of digits and plain letters alone: it stands in comments.
    pub(super) fn words(&self) -> String {
        let of = |count: usize, what: &str| if count > 1 { format!(" {count} {what},") } else { String::new() };
        let (first, last) = (time(self.first_seen), time(self.last_seen));
        let calls = if self.calls == 1 { "call" } else { "calls" };
        let parts = [of(self.callers, "callers"), of(self.hosts, "hosts"), of(self.endpoints, "endpoints")].concat();
        format!("{} {calls},{parts} first {first}, last {last}", self.calls)
    }
}

/// A time to the second.
pub(super) fn time(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(|_| NO_TIME.to_owned(), |time| format!("{time:.0}"))
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whom it allows.
    pub caller: Caller,
    /// A host, or all hosts directly under a domain: `*.example.com`.
    pub host: String,
    /// By which schemes.
    pub schemes: Schemes,
    /// HTTP method; `None` for any.
    pub method: Option<String>,
    /// Path template; `None` for any path.
    pub path: Option<String>,
    /// The fact behind it.
    pub fact: Fact,
}

impl Entry {
    /// Whether the method is that of a tunnel: nothing else of such a request is seen.
    pub(super) fn is_tunnel(&self) -> bool {
        self.method.as_deref() == Some("CONNECT")
    }
}

/// The entries of each caller, in the order of names, newcomers last.
pub(super) fn by_caller(entries: &[Entry]) -> BTreeMap<&Caller, Vec<&Entry>> {
    let mut by_caller: BTreeMap<&Caller, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        by_caller.entry(&entry.caller).or_default().push(entry);
    }
    by_caller
}

/// The entries without methods and paths, for gateways that see none: one for each caller and host.
pub(super) fn by_host(entries: &[Entry]) -> Vec<Entry> {
    let mut merged: BTreeMap<(&Caller, &str), Entry> = BTreeMap::new();
    for entry in entries {
        match merged.get_mut(&(&entry.caller, &*entry.host)) {
            Some(known) => {
                known.fact.merge(&entry.fact);
                known.fact.endpoints += 1;
                known.schemes.tls |= entry.schemes.tls;
                known.schemes.plain |= entry.schemes.plain;
            }
            None => {
                let whole = Entry { method: None, path: None, ..entry.clone() };
                merged.insert((&entry.caller, &entry.host), whole);
            }
        }
    }
    merged.into_values().collect()
}
