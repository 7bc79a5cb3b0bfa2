//! What the catalogue knew at the end of a period of whole days (UTC), and what moved within it.
//!
//! First calls, and the calls of a day that is over, stay as they are. So a period that is over reads the same however far the catalogue has
//! gone on since, as long as days are kept ([`super::DAYS_KEPT`]); totals of all time would not, and are not read here.
//!
//! Not here: what a report makes of it (`report`).

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;
use rusqlite::Connection;

use super::rotation::{CredentialState, Pairs, RotationLimits, Use, states_of};
use super::sql::{Names, joined};
use super::time::Since;
use super::{CatalogError, MORE, Reader};

const DAY: i64 = 86_400_000_000;
/// Days before the end of a period that the habits of callers are read from.
const HABIT_DAYS: i64 = 90;
/// Days from the first call of a catalogue on in which what comes is known rather than new: it was there before the logs.
const SETTLING_DAYS: i64 = 7;
/// New hosts and endpoints that are named; all are counted.
const MAX_NEW: i64 = 1_000;
/// Traits that say how a vendor is called and what it answers with. Few values each, unlike networks and clients.
const TRAITS: &str = "'scheme', 'tls_version', 'content_type', 'region', 'sent', 'received'";

/// Whole days, UTC, since the epoch; both are part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first day.
    pub first: i64,
    /// The last day.
    pub last: i64,
}

impl Period {
    /// The days from a time to a last day; at least that one. A span counts back from the end of the last day.
    pub fn new(since: Since, last: i64) -> Self {
        let end = last.saturating_add(1).saturating_mul(DAY);
        Self { first: since.time(end).div_euclid(DAY).min(last), last }
    }

    /// Its first moment, microseconds since the epoch.
    pub fn start(self) -> i64 {
        self.first.saturating_mul(DAY)
    }

    /// The first moment after it.
    pub fn end(self) -> i64 {
        self.last.saturating_add(1).saturating_mul(DAY)
    }

    /// How many days it has.
    pub fn days(self) -> i64 {
        self.last - self.first + 1
    }

    /// The day of a time.
    pub fn day_of(time: i64) -> i64 {
        time.div_euclid(DAY)
    }
}

/// Since when something is called, until when, and how much within the period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first call of all time.
    pub first_seen: i64,
    /// The last call by the end of the period.
    pub last_seen: i64,
    /// Calls within the period.
    pub calls: i64,
    /// Those of them that failed.
    pub failed: i64,
    /// Bytes that were sent within the period.
    pub bytes_out: i64,
    /// Whether calls of ours are among them, and not records of audit logs alone.
    pub is_egress: bool,
}

impl Span {
    fn add(&mut self, other: &Self) {
        let is_first = self.last_seen == 0 && self.first_seen == 0;
        self.first_seen = if is_first { other.first_seen } else { self.first_seen.min(other.first_seen) };
        self.last_seen = self.last_seen.max(other.last_seen);
        self.calls += other.calls;
        self.failed += other.failed;
        self.bytes_out += other.bytes_out;
        self.is_egress |= other.is_egress;
    }
}

/// A vendor, as known at the end of the period.
#[derive(Clone, Debug, Default)]
pub struct VendorFacts {
    /// Category of the vendor pack; empty where it has none.
    pub category: String,
    /// Since when and how much.
    pub span: Span,
    /// Who called it, ever.
    pub callers: BTreeSet<String>,
    /// How many credentials were used at it, ever.
    pub credentials: usize,
    /// How many endpoints were called, ever.
    pub endpoints: usize,
    /// Whether a call to one of them writes.
    pub writes: bool,
    /// Kind of trait → its values.
    pub traits: BTreeMap<String, BTreeSet<String>>,
}

/// A caller, as known at the end of the period.
#[derive(Clone, Debug, Default)]
pub struct CallerFacts {
    /// Since when and how much.
    pub span: Span,
    /// Vendors that it called, ever.
    pub vendors: usize,
    /// Day → calls, of the last ninety days and all days of the period.
    pub days: BTreeMap<i64, i64>,
}

/// A credential, as known at the end of the period.
#[derive(Clone, Debug)]
pub struct CredentialFacts {
    /// Since when and how much.
    pub span: Span,
    /// Where it stands.
    pub state: CredentialState,
    /// Days since its first call.
    pub age_days: i64,
    /// Who used it.
    pub callers: BTreeSet<String>,
    /// At whom.
    pub vendors: BTreeSet<String>,
}

/// Something that was called within the period for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Novel {
    /// Its vendor.
    pub vendor: String,
    /// What.
    pub name: String,
    /// When.
    pub first_seen: i64,
}

/// Things of a kind: how many are known, how many of them are new, and the newest by name.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Known at the end of the period.
    pub known: usize,
    /// New within it.
    pub new: usize,
    /// The newest, at most a thousand.
    pub newest: Vec<Novel>,
}

impl Facts {
    /// The days of the period of which the catalogue can know something: from its first call on.
    pub fn days_known(&self) -> std::ops::RangeInclusive<i64> {
        let begin = self.begin.map_or(self.period.first, Period::day_of);
        self.period.first.max(begin)..=self.period.last
    }
}

/// All calls of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayFacts {
    /// Calls.
    pub calls: i64,
    /// Those that failed.
    pub failed: i64,
}

/// What the catalogue knew at the end of a period.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The period.
    pub period: Period,
    /// The newest call by its end; `None` where there is none.
    pub newest: Option<i64>,
    /// The first call of all; `None` where there is none.
    pub begin: Option<i64>,
    /// From when on something is new: the start of the period, and a week after the first call of all at the earliest.
    pub novel_from: i64,
    /// By name.
    pub vendors: BTreeMap<String, VendorFacts>,
    /// By name.
    pub callers: BTreeMap<String, CallerFacts>,
    /// By fingerprint.
    pub credentials: BTreeMap<String, CredentialFacts>,
    /// Caller and vendor → since when and how much.
    pub pairs: BTreeMap<(String, String), Span>,
    /// Hosts.
    pub hosts: Known,
    /// Endpoints.
    pub endpoints: Known,
    /// Day → its calls; every day of the period that has any.
    pub days: BTreeMap<i64, DayFacts>,
    /// Kind of trait → callers whose logs show it. `credential` is one of them.
    pub shown: BTreeMap<String, usize>,
}

impl Reader {
    /// The period that ends with a last day, or with the day of the newest call; `None` where there is no call.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn period(&self, since: Since, last: Option<i64>) -> Result<Option<Period>, CatalogError> {
        let last = match last {
            Some(last) => Some(last),
            None => self.newest()?.map(Period::day_of),
        };
        Ok(last.map(|last| Period::new(since, last)))
    }

    /// What the catalogue knew at the end of a period.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn facts(&self, period: Period, limits: &RotationLimits) -> Result<Facts, CatalogError> {
        self.ask(|connection| {
            // One moment of the file, whatever is written meanwhile.
            let moment = connection.unchecked_transaction()?;
            facts(&moment, period, limits)
        })
    }
}

/// Ids of a caller, a vendor and a credential.
type Relation = (i64, i64, i64);

fn facts(connection: &Connection, period: Period, limits: &RotationLimits) -> rusqlite::Result<Facts> {
    let spans = spans(connection, period)?;
    let mut names = Names::new(connection)?;
    let begin = spans.values().map(|span| span.first_seen).min();
    let settled = begin.map_or(i64::MIN, |begin| begin.saturating_add(SETTLING_DAYS * DAY));
    let novel_from = period.start().max(settled);
    let mut facts = Facts {
        period,
        begin,
        novel_from,
        newest: spans.values().map(|span| span.last_seen).max(),
        vendors: BTreeMap::new(),
        callers: BTreeMap::new(),
        credentials: BTreeMap::new(),
        pairs: BTreeMap::new(),
        hosts: known(connection, period, novel_from, &HOSTS, &mut names)?,
        endpoints: known(connection, period, novel_from, &ENDPOINTS, &mut names)?,
        days: BTreeMap::new(),
        shown: shown(connection, period)?,
    };
    let mut uses = Pairs::new();
    let mut with_credential = BTreeSet::new();
    for ((caller, vendor, credential), span) in &spans {
        let (caller, vendor) = (names.text(*caller)?, names.text(*vendor)?);
        let credential = names.text(*credential)?;
        let of_vendor = facts.vendors.entry(vendor.clone()).or_default();
        of_vendor.span.add(span);
        of_vendor.callers.insert(caller.clone());
        facts.callers.entry(caller.clone()).or_default().span.add(span);
        let pair = (caller, vendor);
        facts.pairs.entry(pair.clone()).or_default().add(span);
        if credential.is_empty() || credential == MORE {
            continue;
        }
        with_credential.insert(pair.0.clone());
        let known = facts.credentials.entry(credential.clone()).or_insert_with(|| CredentialFacts {
            span: Span::default(),
            state: CredentialState::NeverRotated,
            age_days: 0,
            callers: BTreeSet::new(),
            vendors: BTreeSet::new(),
        });
        known.span.add(span);
        known.callers.insert(pair.0.clone());
        known.vendors.insert(pair.1.clone());
        let used = Use { credential, calls: span.calls, first_seen: span.first_seen, last_seen: span.last_seen };
        uses.entry(pair).or_default().push(used);
    }
    facts.shown.insert("credential".to_owned(), with_credential.len());
    uses.values_mut()
        .for_each(|uses| uses.sort_by(|a, b| (a.first_seen, &a.credential).cmp(&(b.first_seen, &b.credential))));
    let standings = states_of(&uses, limits);
    for (credential, known) in &mut facts.credentials {
        for vendor in &known.vendors {
            if let Some(vendor) = facts.vendors.get_mut(vendor) {
                vendor.credentials += 1;
            }
        }
        if let Some(standing) = standings.get(credential) {
            (known.state, known.age_days) = (standing.state, standing.age_days);
        }
    }
    for (caller, _) in facts.pairs.keys() {
        if let Some(caller) = facts.callers.get_mut(caller) {
            caller.vendors += 1;
        }
    }
    add_days(connection, &mut facts, &mut names)?;
    add_vendors(connection, &mut facts, &mut names)?;
    // What is past a limit has no name of its own.
    facts.vendors.remove(MORE);
    facts.callers.remove(MORE);
    facts.pairs.retain(|(caller, vendor), _| caller != MORE && vendor != MORE);
    Ok(facts)
}

/// Runs a query on the days of the period.
fn each_in(
    connection: &Connection,
    query: &str,
    period: Period,
    mut take: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(query)?;
    // A query need not use all of them.
    let all = [(":first", period.first), (":last", period.last), (":end", period.end())];
    for (name, value) in all {
        if let Some(at) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(at, value)?;
        }
    }
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

fn spans(connection: &Connection, period: Period) -> rusqlite::Result<HashMap<Relation, Span>> {
    let mut spans: HashMap<Relation, Span> = HashMap::default();
    let ever = "SELECT caller, vendor, credential, min(first_seen), max(last_seen), min(view) FROM usage \
                GROUP BY caller, vendor, credential HAVING min(first_seen) < :end";
    each_in(connection, ever, period, |row| {
        let (first_seen, last_seen): (i64, i64) = (row.get(3)?, row.get(4)?);
        // A later call says nothing of this period: the days do.
        let last_seen = if last_seen < period.end() { last_seen } else { first_seen };
        // Egress is view 0.
        let is_egress = row.get::<_, i64>(5)? == 0;
        let span = Span { first_seen, last_seen, is_egress, ..Span::default() };
        spans.insert((row.get(0)?, row.get(1)?, row.get(2)?), span);
        Ok(())
    })?;
    let by_day = "SELECT caller, vendor, credential, max(last_seen), \
                  sum(CASE WHEN day >= :first THEN calls ELSE 0 END), \
                  sum(CASE WHEN day >= :first THEN denied + client_error + throttled + server_error ELSE 0 END), \
                  sum(CASE WHEN day >= :first THEN bytes_out_sum ELSE 0 END) \
                  FROM day WHERE day <= :last GROUP BY vendor, caller, credential";
    each_in(connection, by_day, period, |row| {
        if let Some(span) = spans.get_mut(&(row.get(0)?, row.get(1)?, row.get(2)?)) {
            span.last_seen = span.last_seen.max(row.get(3)?);
            (span.calls, span.failed, span.bytes_out) = (row.get(4)?, row.get(5)?, row.get(6)?);
        }
        Ok(())
    })?;
    Ok(spans)
}

/// What a kind of thing is counted by: what tells them apart, its vendor, method and name.
struct Kind {
    key: &'static str,
    from: &'static str,
    vendor: &'static str,
    method: &'static str,
    name: &'static str,
}

const HOSTS: Kind = Kind {
    key: "u.host",
    from: "usage u JOIN name n ON n.id = u.host AND n.text NOT IN ('', '(more)')",
    vendor: "min(u.vendor)",
    method: "''",
    name: "max(n.text)",
};
const ENDPOINTS: Kind = Kind {
    key: "u.endpoint",
    from: "usage u JOIN endpoint e ON e.id = u.endpoint",
    vendor: "max(e.vendor)",
    method: "max(e.method)",
    name: "max(e.template)",
};

fn known(
    connection: &Connection,
    period: Period,
    novel_from: i64,
    kind: &Kind,
    names: &mut Names<'_>,
) -> rusqlite::Result<Known> {
    let Kind { key, from, vendor, method, name } = kind;
    let grouped = format!("FROM {from} GROUP BY {key} HAVING min(u.first_seen) < :end");
    let mut known = Known::default();
    let counts = format!(
        "SELECT count(*), coalesce(sum(first_seen >= {novel_from}), 0) FROM (SELECT min(u.first_seen) AS first_seen {grouped})"
    );
    each_in(connection, &counts, period, |row| {
        (known.known, known.new) = (row.get::<_, i64>(0)? as usize, row.get::<_, i64>(1)? as usize);
        Ok(())
    })?;
    let newest = format!(
        "SELECT {vendor} AS vendor, {method} AS method, {name} AS name, min(u.first_seen) AS first {grouped} AND min(u.first_seen) >= {novel_from} \
         ORDER BY first DESC, method, name LIMIT {MAX_NEW}"
    );
    each_in(connection, &newest, period, |row| {
        let (vendor, method, name): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        known.newest.push(Novel { vendor: names.text(vendor)?, name: joined(&method, &name), first_seen: row.get(3)? });
        Ok(())
    })?;
    Ok(known)
}

fn shown(connection: &Connection, period: Period) -> rusqlite::Result<BTreeMap<String, usize>> {
    let mut shown = BTreeMap::new();
    let sql = "SELECT n.text, count(DISTINCT t.caller) FROM trait t JOIN name n ON n.id = t.kind WHERE t.first_seen < :end GROUP BY t.kind";
    each_in(connection, sql, period, |row| {
        shown.insert(row.get(0)?, row.get::<_, i64>(1)? as usize);
        Ok(())
    })?;
    Ok(shown)
}

fn add_days(connection: &Connection, facts: &mut Facts, names: &mut Names<'_>) -> rusqlite::Result<()> {
    let period = facts.period;
    let from = period.first.min(period.last - HABIT_DAYS + 1);
    let sql = format!(
        "SELECT caller, day, sum(calls), sum(denied + client_error + throttled + server_error) FROM day \
         WHERE day BETWEEN {from} AND :last GROUP BY caller, day"
    );
    each_in(connection, &sql, period, |row| {
        let (caller, day, calls, failed): (i64, i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        if day >= period.first {
            let all = facts.days.entry(day).or_default();
            all.calls += calls;
            all.failed += failed;
        }
        if let Some(caller) = facts.callers.get_mut(&names.text(caller)?) {
            caller.days.insert(day, calls);
        }
        Ok(())
    })
}

fn add_vendors(connection: &Connection, facts: &mut Facts, names: &mut Names<'_>) -> rusqlite::Result<()> {
    let period = facts.period;
    let vendors = &mut facts.vendors;
    each_in(connection, "SELECT id, category FROM vendor", period, |row| {
        if let Some(vendor) = vendors.get_mut(&names.text(row.get(0)?)?) {
            vendor.category = row.get(1)?;
        }
        Ok(())
    })?;
    let endpoints = "SELECT e.vendor, count(*), max(e.writes) FROM endpoint e JOIN \
                     (SELECT endpoint, min(first_seen) AS first_seen FROM usage GROUP BY endpoint) u ON u.endpoint = e.id \
                     WHERE u.first_seen < :end GROUP BY e.vendor";
    each_in(connection, endpoints, period, |row| {
        if let Some(vendor) = vendors.get_mut(&names.text(row.get(0)?)?) {
            vendor.endpoints = row.get::<_, i64>(1)? as usize;
            vendor.writes = row.get::<_, i64>(2)? != 0;
        }
        Ok(())
    })?;
    let traits = format!(
        "SELECT t.vendor, k.text, t.value FROM trait t JOIN name k ON k.id = t.kind AND k.text IN ({TRAITS}) \
         WHERE t.first_seen < :end GROUP BY t.vendor, t.kind, t.value"
    );
    each_in(connection, &traits, period, |row| {
        if let Some(vendor) = vendors.get_mut(&names.text(row.get(0)?)?) {
            let value = names.text(row.get(2)?)?;
            if !value.is_empty() {
                vendor.traits.entry(row.get(1)?).or_default().insert(value);
            }
        }
        Ok(())
    })
}
