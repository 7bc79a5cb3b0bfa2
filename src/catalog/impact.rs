//! Impact: who is hit where a vendor, a credential or a host is compromised, and which keys to rotate first.
//!
//! Not here: alerts (`alerts`), and whether anything is compromised.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::list::QueryError;
use super::sql::{Names, joined};
use super::table::{Table, Value, rounded};
use super::time::{Since, rfc3339};
use super::{MORE, Reader};
use crate::calls::sensitive_endpoint;

const DAY: i64 = 86_400_000_000;
/// What makes a key worth more to a thief, and how much each counts; the weights add up to 1.
const RISKS: [(&str, f64); 5] = [
    ("writes", 0.3),
    ("sensitive endpoints", 0.25),
    ("several callers", 0.2),
    ("in use within the last day", 0.15),
    ("most calls of all", 0.1),
];

/// What is compromised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A vendor.
    Vendor,
    /// A credential, by its fingerprint.
    Credential,
    /// A host.
    Host,
}

impl Target {
    /// The column of the facts, and the name in results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vendor => "vendor",
            Self::Credential => "credential",
            Self::Host => "host",
        }
    }
}

/// Who is hit, and how.
#[derive(Clone, Debug)]
pub struct Impact {
    /// What kind of thing was asked about.
    pub target: Target,
    /// Its name.
    pub name: String,
    /// Since when; `None` where all that is known was asked for.
    pub since: Option<i64>,
    /// First and last call, microseconds since the epoch; `None` where nothing was called since.
    pub seen: Option<(i64, i64)>,
    /// The callers, those with most calls first.
    pub callers: Table,
    /// The credentials, in the order in which to rotate them.
    pub credentials: Table,
    /// What was called.
    pub endpoints: Table,
    /// Classes of data that were sent and received; empty of a host, of which they are not known.
    pub classes: Table,
}

/// What is summed up of some usages.
#[derive(Clone, Default)]
struct Sum {
    calls: i64,
    bytes_out: i64,
    bytes_in: i64,
    first: Option<i64>,
    last: i64,
    callers: BTreeSet<String>,
    credentials: BTreeSet<String>,
    vendors: BTreeSet<String>,
    writes: i64,
    sensitive: BTreeSet<String>,
}

impl Sum {
    fn add(&mut self, usage: &Usage) {
        self.calls += usage.calls;
        self.bytes_out += usage.bytes_out;
        self.bytes_in += usage.bytes_in;
        self.first = Some(self.first.map_or(usage.first, |first| first.min(usage.first)));
        self.last = self.last.max(usage.last);
        self.callers.insert(usage.caller.clone());
        self.vendors.insert(usage.vendor.clone());
        if !usage.credential.is_empty() {
            self.credentials.insert(usage.credential.clone());
        }
        self.writes += if usage.writes { usage.calls } else { 0 };
        if sensitive_endpoint(&usage.endpoint) {
            self.sensitive.insert(usage.endpoint.clone());
        }
    }

    fn tail(&self) -> [Value; 5] {
        let times = [Value::Time(self.first.unwrap_or_default()), Value::Time(self.last)];
        let [first, last] = times;
        [Value::Count(self.calls), Value::Count(self.bytes_out), Value::Count(self.bytes_in), first, last]
    }
}

struct Usage {
    caller: String,
    vendor: String,
    credential: String,
    endpoint: String,
    writes: bool,
    calls: i64,
    bytes_out: i64,
    bytes_in: i64,
    first: i64,
    last: i64,
}

/// Calls, bytes to the vendor and from it since the day that was asked about.
type Volume = (i64, i64, i64);

impl Reader {
    /// What a name is of, and its number.
    pub(super) fn target(&self, name: &str) -> Result<(Target, i64), QueryError> {
        for target in [Target::Vendor, Target::Credential, Target::Host] {
            if let Some(id) = self.find(target.as_str(), name)? {
                return Ok((target, id));
            }
        }
        Err(QueryError::Unknown { kind: "vendor", name: name.to_owned() })
    }

    /// Who is hit where the vendor, credential or host of this name is compromised.
    ///
    /// # Errors
    /// [`QueryError`]: also where nothing of this name is in the catalogue.
    pub fn impact(&self, name: &str, since: Option<Since>) -> Result<Impact, QueryError> {
        let newest = self.newest()?.unwrap_or_default();
        let since = since.map(|since| since.time(newest));
        let (target, id) = self.target(name)?;
        let usages = self.ask(|connection| usages(connection, target, id, since))?;
        let volumes = match since {
            // Days know no host.
            Some(since) if target != Target::Host => {
                Some(self.ask(|connection| volumes(connection, target, id, since))?)
            }
            _ => None,
        };
        let (mut callers, mut credentials, mut endpoints) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for usage in &usages {
            sum(&mut callers, &usage.caller, usage);
            if !usage.credential.is_empty() {
                sum(&mut credentials, &usage.credential, usage);
            }
            sum(&mut endpoints, &format!("{} {}", usage.vendor, usage.endpoint), usage);
        }
        let classes = self.ask(|connection| classes_table(connection, target, id, since))?;
        let first = usages.iter().map(|usage| usage.first).min();
        let last = usages.iter().map(|usage| usage.last).max();
        Ok(Impact {
            target,
            name: name.to_owned(),
            since,
            seen: first.zip(last),
            callers: callers_table(&callers, volumes.as_ref().map(|volumes| &volumes.0)),
            credentials: credentials_table(&credentials, volumes.as_ref().map(|volumes| &volumes.1), newest),
            endpoints: endpoints_table(&endpoints),
            classes,
        })
    }
}

impl Impact {
    /// All of it in JSON.
    pub fn json(&self) -> Json {
        json!({
            "target": self.target.as_str(),
            "name": self.name,
            "since": self.since.map(rfc3339),
            "first_seen": self.seen.map(|seen| rfc3339(seen.0)),
            "last_seen": self.seen.map(|seen| rfc3339(seen.1)),
            "callers": self.callers.json(),
            "credentials": self.credentials.json(),
            "endpoints": self.endpoints.json(),
            "classes": self.classes.json(),
        })
    }

    /// First and last call as text.
    pub fn span(&self) -> Option<(String, String)> {
        self.seen.map(|(first, last)| (rfc3339(first), rfc3339(last)))
    }
}

fn sum(sums: &mut BTreeMap<String, Sum>, name: &str, usage: &Usage) {
    sums.entry(name.to_owned()).or_default().add(usage);
}

fn usages(
    connection: &rusqlite::Connection,
    target: Target,
    id: i64,
    since: Option<i64>,
) -> rusqlite::Result<Vec<Usage>> {
    let mut names = Names::new(connection)?;
    let sql = format!(
        "SELECT u.caller, u.vendor, u.credential, e.method, e.template, e.writes, u.calls, u.bytes_out_sum, u.bytes_in_sum, u.first_seen, \
         u.last_seen FROM usage u JOIN endpoint e ON e.id = u.endpoint WHERE u.{} = ?1 AND u.last_seen >= ?2",
        target.as_str()
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([id, since.unwrap_or(i64::MIN)])?;
    let mut usages = Vec::new();
    while let Some(row) = rows.next()? {
        usages.push(Usage {
            caller: names.text(row.get(0)?)?,
            vendor: names.text(row.get(1)?)?,
            credential: names.text(row.get(2)?)?,
            endpoint: joined(row.get_ref(3)?.as_str()?, row.get_ref(4)?.as_str()?),
            writes: row.get(5)?,
            calls: row.get(6)?,
            bytes_out: row.get(7)?,
            bytes_in: row.get(8)?,
            first: row.get(9)?,
            last: row.get(10)?,
        });
    }
    Ok(usages)
}

/// Classes of data that calls showed, those with most calls first.
fn classes_table(
    connection: &rusqlite::Connection,
    target: Target,
    id: i64,
    since: Option<i64>,
) -> rusqlite::Result<Table> {
    let columns = vec!["vendor", "direction", "class", "callers", "calls", "first_seen", "last_seen"];
    let mut table = Table { columns, rows: Vec::new() };
    if target == Target::Host {
        return Ok(table);
    }
    let mut names = Names::new(connection)?;
    let sql = format!(
        "SELECT t.vendor, k.text, t.value, t.caller, t.calls, t.first_seen, t.last_seen FROM trait t JOIN name k ON k.id = t.kind \
         WHERE t.{} = ?1 AND k.text IN ('sent', 'received') AND t.last_seen >= ?2",
        target.as_str()
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([id, since.unwrap_or(i64::MIN)])?;
    let mut sums: BTreeMap<[String; 3], Sum> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let key = [names.text(row.get(0)?)?, row.get(1)?, names.text(row.get(2)?)?];
        let sum = sums.entry(key).or_default();
        let (first, last): (i64, i64) = (row.get(5)?, row.get(6)?);
        sum.calls += row.get::<_, i64>(4)?;
        sum.first = Some(sum.first.map_or(first, |known| known.min(first)));
        sum.last = sum.last.max(last);
        sum.callers.insert(names.text(row.get(3)?)?);
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_by_key(|(_, sum)| -sum.calls);
    table.rows = rows
        .into_iter()
        .map(|(key, sum)| {
            let tail = [Value::Count(sum.calls), Value::Time(sum.first.unwrap_or_default()), Value::Time(sum.last)];
            [key.map(Value::Text).as_slice(), &[texts(&sum.callers)], &tail].concat()
        })
        .collect();
    Ok(table)
}

/// What each caller, and each credential, did from the day of `since` on.
fn volumes(
    connection: &rusqlite::Connection,
    target: Target,
    id: i64,
    since: i64,
) -> rusqlite::Result<(BTreeMap<String, Volume>, BTreeMap<String, Volume>)> {
    let mut names = Names::new(connection)?;
    let sql = format!(
        "SELECT caller, credential, sum(calls), sum(bytes_out_sum), sum(bytes_in_sum) FROM day WHERE {} = ?1 AND day >= ?2 \
         GROUP BY caller, credential",
        target.as_str()
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([id, since.div_euclid(DAY)])?;
    let (mut by_caller, mut by_credential) = (BTreeMap::new(), BTreeMap::new());
    while let Some(row) = rows.next()? {
        let volume: Volume = (row.get(2)?, row.get(3)?, row.get(4)?);
        for (sums, id) in [(&mut by_caller, 0), (&mut by_credential, 1)] {
            let sum: &mut Volume = sums.entry(names.text(row.get(id)?)?).or_default();
            *sum = (sum.0 + volume.0, sum.1 + volume.1, sum.2 + volume.2);
        }
    }
    Ok((by_caller, by_credential))
}

const TAIL: [&str; 5] = ["calls", "bytes_out", "bytes_in", "first_seen", "last_seen"];
const SINCE: [&str; 2] = ["calls_since", "bytes_out_since"];

fn since_values(volumes: Option<&BTreeMap<String, Volume>>, name: &str) -> Vec<Value> {
    let volume = volumes.map(|volumes| volumes.get(name).copied().unwrap_or_default());
    volume.map_or_else(Vec::new, |(calls, bytes_out, _)| vec![Value::Count(calls), Value::Count(bytes_out)])
}

fn columns(head: &[&'static str], with_since: bool) -> Vec<&'static str> {
    let since: &[_] = if with_since { &SINCE } else { &[] };
    [head, since, &TAIL].concat()
}

fn texts(set: &BTreeSet<String>) -> Value {
    Value::Texts(set.iter().cloned().collect())
}

/// The rows of sums, those with most calls first.
fn by_calls(sums: &BTreeMap<String, Sum>) -> Vec<(&String, &Sum)> {
    let mut rows: Vec<_> = sums.iter().collect();
    rows.sort_by_key(|(_, sum)| -sum.calls);
    rows
}

fn callers_table(sums: &BTreeMap<String, Sum>, volumes: Option<&BTreeMap<String, Volume>>) -> Table {
    let row = |(name, sum): (&String, &Sum)| {
        let head = vec![Value::Text(name.clone()), texts(&sum.credentials)];
        [head, since_values(volumes, name), sum.tail().to_vec()].concat()
    };
    Table {
        columns: columns(&["caller", "credentials"], volumes.is_some()),
        rows: by_calls(sums).into_iter().map(row).collect(),
    }
}

fn endpoints_table(sums: &BTreeMap<String, Sum>) -> Table {
    let row = |(name, sum): (&String, &Sum)| {
        let (vendor, endpoint) = name.split_once(' ').unwrap_or((name, ""));
        let head = vec![Value::Text(vendor.to_owned()), Value::Text(endpoint.to_owned()), texts(&sum.callers)];
        [head, sum.tail().to_vec()].concat()
    };
    Table {
        columns: columns(&["vendor", "endpoint", "callers"], false),
        rows: by_calls(sums).into_iter().map(row).collect(),
    }
}

fn credentials_table(sums: &BTreeMap<String, Sum>, volumes: Option<&BTreeMap<String, Volume>>, newest: i64) -> Table {
    let most = sums.values().map(|sum| sum.calls).max().unwrap_or_default();
    let mut rows: Vec<(f64, i64, Vec<Value>)> = Vec::new();
    for (name, sum) in sums.iter().filter(|(name, _)| *name != MORE) {
        let holds = [
            sum.writes > 0,
            !sum.sensitive.is_empty(),
            sum.callers.len() > 1,
            newest - sum.last < DAY,
            sum.calls == most,
        ];
        let reasons = RISKS.iter().zip(holds).filter(|(_, holds)| *holds).map(|(risk, _)| risk);
        let risk: f64 = reasons.clone().map(|(_, weight)| weight).sum();
        let why: Vec<_> = reasons.map(|(why, _)| *why).collect();
        let head = vec![
            Value::Text(name.clone()),
            rounded(risk),
            Value::Text(why.join(", ")),
            texts(&sum.vendors),
            texts(&sum.callers),
        ];
        rows.push((risk, sum.calls, [head, since_values(volumes, name), sum.tail().to_vec()].concat()));
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    let columns = columns(&["credential", "risk", "why", "vendors", "callers"], volumes.is_some());
    Table { columns, rows: rows.into_iter().map(|(_, _, row)| row).collect() }
}
