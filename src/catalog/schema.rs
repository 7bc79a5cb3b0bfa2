//! The schema of the catalogue's SQLite file, its versions, and how one becomes the next.
//!
//! Three tables of facts: `usage` (who calls which endpoint with which credential), `trait` (from where and by which means) and `day`. Names
//! stand once, in `name`. The views say the same with texts, for people with tools of their own; `docs/catalog.md` describes them.
//!
//! Not here: what is written (`writer`) and asked (`list`).

use std::path::Path;

use rusqlite::Connection;

use super::error::CatalogError;
use crate::calls::{MEASURES, Measure, Merge};

/// Version of the schema, kept as `user_version`.
pub(super) const VERSION: i64 = 2;
/// Marks the file as a catalogue (`apwc`), kept as `application_id`.
const APPLICATION: i64 = 0x6170_7763;

/// Measures of a row of `usage`.
pub(super) const USAGE: [Measure; 17] = [
    Measure::Calls,
    Measure::Ok,
    Measure::Denied,
    Measure::ClientError,
    Measure::Throttled,
    Measure::ServerError,
    Measure::BytesOutSum,
    Measure::BytesInSum,
    Measure::BytesOutMax,
    Measure::BytesInMax,
    Measure::LatencyCount,
    Measure::LatencyLnSum,
    Measure::LatencyLnSquareSum,
    Measure::Tokens,
    Measure::Cost,
    Measure::FirstSeen,
    Measure::LastSeen,
];
/// Measures of a row of `trait`.
pub(super) const TRAIT: [Measure; 3] = [Measure::Calls, Measure::FirstSeen, Measure::LastSeen];
/// Measures of a row of `day`.
pub(super) const DAY: [Measure; 12] = [
    Measure::Calls,
    Measure::Ok,
    Measure::Denied,
    Measure::ClientError,
    Measure::Throttled,
    Measure::ServerError,
    Measure::BytesOutSum,
    Measure::BytesInSum,
    Measure::LatencyCount,
    Measure::LatencyLnSum,
    Measure::FirstSeen,
    Measure::LastSeen,
];

/// A table of facts: what tells its rows apart, and what is counted.
pub(super) struct Facts {
    pub table: &'static str,
    pub key: &'static [&'static str],
    pub measures: &'static [Measure],
}

pub(super) const USAGES: Facts = Facts {
    table: "usage",
    key: &["caller", "vendor", "credential", "endpoint", "host", "account", "view"],
    measures: &USAGE,
};
pub(super) const TRAITS: Facts =
    Facts { table: "trait", key: &["caller", "vendor", "credential", "kind", "value"], measures: &TRAIT };
pub(super) const DAYS: Facts = Facts { table: "day", key: &["vendor", "caller", "credential", "day"], measures: &DAY };

impl Facts {
    fn create(&self) -> String {
        let columns = self.key.iter().copied().chain(self.measures.iter().map(|&measure| column(measure)));
        let columns: Vec<_> = columns.map(|name| format!("{name} INTEGER NOT NULL")).collect();
        let (table, columns, key) = (self.table, columns.join(", "), self.key.join(", "));
        format!("CREATE TABLE {table} ({columns}, PRIMARY KEY ({key})) STRICT, WITHOUT ROWID;\n")
    }

    /// Adds a row, or merges it into the one of its key.
    pub fn upsert(&self) -> String {
        let names: Vec<_> =
            self.key.iter().copied().chain(self.measures.iter().map(|&measure| column(measure))).collect();
        let places: Vec<_> = (1..=names.len()).map(|at| format!("?{at}")).collect();
        let merged = self.measures.iter().map(|&measure| {
            let name = column(measure);
            match MEASURES[measure as usize].merge {
                Merge::Sum => format!("{name} = {name} + excluded.{name}"),
                Merge::Min => format!("{name} = min({name}, excluded.{name})"),
                Merge::Max => format!("{name} = max({name}, excluded.{name})"),
            }
        });
        let (table, names, places) = (self.table, names.join(", "), places.join(", "));
        let (key, merged) = (self.key.join(", "), merged.collect::<Vec<_>>().join(", "));
        format!("INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT ({key}) DO UPDATE SET {merged}")
    }
}

/// The column of a measure.
pub(super) fn column(measure: Measure) -> &'static str {
    MEASURES[measure as usize].name
}

/// Names, and what is known of some.
const NAMES: &str = "
CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE vendor (id INTEGER PRIMARY KEY REFERENCES name, category TEXT NOT NULL) STRICT;
CREATE TABLE host (id INTEGER PRIMARY KEY REFERENCES name, domain TEXT NOT NULL) STRICT;
CREATE TABLE endpoint (
  id INTEGER PRIMARY KEY, vendor INTEGER NOT NULL REFERENCES name, method TEXT NOT NULL, template TEXT NOT NULL, verb TEXT NOT NULL,
  writes INTEGER NOT NULL, version TEXT NOT NULL DEFAULT '', deprecated TEXT NOT NULL DEFAULT '', UNIQUE (vendor, method, template)) STRICT;
CREATE TABLE overflow (
  caller INTEGER NOT NULL REFERENCES name, kind TEXT NOT NULL, calls INTEGER NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
  names INTEGER NOT NULL, sketch BLOB NOT NULL, PRIMARY KEY (caller, kind)) STRICT, WITHOUT ROWID;
CREATE TABLE version (
  vendor INTEGER NOT NULL REFERENCES name, value INTEGER NOT NULL REFERENCES name, deprecated TEXT NOT NULL,
  PRIMARY KEY (vendor, value)) STRICT, WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
";

const INDEXES: &str = "
CREATE INDEX usage_by_vendor ON usage (vendor);
CREATE INDEX usage_by_credential ON usage (credential);
CREATE INDEX usage_by_endpoint ON usage (endpoint);
CREATE INDEX usage_by_host ON usage (host);
CREATE INDEX trait_by_vendor ON trait (vendor);
CREATE INDEX trait_by_credential ON trait (credential);
";

/// The facts with texts. Times are RFC 3339.
const VIEWS: &str = "
CREATE VIEW usages AS
  SELECT CASE u.view WHEN 0 THEN 'egress' ELSE 'audit' END AS view, c.text AS caller, v.text AS vendor, a.text AS account, h.text AS host,
         e.method, e.template, e.verb, k.text AS credential, u.calls, u.ok, u.denied, u.client_error, u.throttled, u.server_error,
         u.bytes_out_sum AS bytes_out, u.bytes_in_sum AS bytes_in, u.tokens, u.cost / 1e6 AS cost_dollars,
         strftime('%Y-%m-%dT%H:%M:%fZ', u.first_seen / 1e6, 'unixepoch') AS first_seen,
         strftime('%Y-%m-%dT%H:%M:%fZ', u.last_seen / 1e6, 'unixepoch') AS last_seen
  FROM usage u JOIN name c ON c.id = u.caller JOIN name v ON v.id = u.vendor JOIN name a ON a.id = u.account JOIN name h ON h.id = u.host
       JOIN endpoint e ON e.id = u.endpoint JOIN name k ON k.id = u.credential;
CREATE VIEW traits AS
  SELECT c.text AS caller, v.text AS vendor, k.text AS credential, kind.text AS kind, value.text AS value, t.calls,
         strftime('%Y-%m-%dT%H:%M:%fZ', t.first_seen / 1e6, 'unixepoch') AS first_seen,
         strftime('%Y-%m-%dT%H:%M:%fZ', t.last_seen / 1e6, 'unixepoch') AS last_seen
  FROM trait t JOIN name c ON c.id = t.caller JOIN name v ON v.id = t.vendor JOIN name k ON k.id = t.credential
       JOIN name kind ON kind.id = t.kind JOIN name value ON value.id = t.value;
CREATE VIEW days AS
  SELECT date(d.day * 86400, 'unixepoch') AS day, c.text AS caller, v.text AS vendor, k.text AS credential, d.calls,
         d.calls - d.ok AS not_ok, d.bytes_out_sum AS bytes_out, d.bytes_in_sum AS bytes_in
  FROM day d JOIN name c ON c.id = d.caller JOIN name v ON v.id = d.vendor JOIN name k ON k.id = d.credential;
CREATE VIEW vendors AS
  SELECT n.text AS vendor, v.category, sum(u.calls) AS calls, count(DISTINCT u.caller) AS callers,
         strftime('%Y-%m-%dT%H:%M:%fZ', min(u.first_seen) / 1e6, 'unixepoch') AS first_seen,
         strftime('%Y-%m-%dT%H:%M:%fZ', max(u.last_seen) / 1e6, 'unixepoch') AS last_seen
  FROM usage u JOIN vendor v ON v.id = u.vendor JOIN name n ON n.id = u.vendor GROUP BY u.vendor;
CREATE VIEW findings AS
  SELECT c.text AS caller, o.kind, o.names, o.calls,
         strftime('%Y-%m-%dT%H:%M:%fZ', o.first_seen / 1e6, 'unixepoch') AS first_seen,
         strftime('%Y-%m-%dT%H:%M:%fZ', o.last_seen / 1e6, 'unixepoch') AS last_seen
  FROM overflow o JOIN name c ON c.id = o.caller;
";

/// Classes of data by vendor.
const CLASSES: &str = "
CREATE VIEW classes AS
  SELECT vendor, kind AS direction, value AS class, caller, credential, calls, first_seen, last_seen FROM traits
  WHERE kind IN ('sent', 'received');
";

/// What made version 2 of 1: versions of APIs, what vendors retire, classes of data. What was catalogued before has none of them.
const TO_VERSION_2: &str = "
ALTER TABLE endpoint ADD COLUMN version TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoint ADD COLUMN deprecated TEXT NOT NULL DEFAULT '';
CREATE TABLE version (
  vendor INTEGER NOT NULL REFERENCES name, value INTEGER NOT NULL REFERENCES name, deprecated TEXT NOT NULL,
  PRIMARY KEY (vendor, value)) STRICT, WITHOUT ROWID;
";

/// Makes an empty file a catalogue, and one of an older version one of this.
///
/// # Errors
/// Where the file is something else, of a later version, or cannot be written.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), CatalogError> {
    let of = |problem| CatalogError::of(path, problem);
    let found = version(connection, path)?;
    let facts: String = [&USAGES, &TRAITS, &DAYS].map(Facts::create).concat();
    // Past versions are brought up one after another.
    let statements = match found {
        VERSION => return Ok(()),
        1 => [TO_VERSION_2, CLASSES].concat(),
        _ => [NAMES, &facts, INDEXES, VIEWS, CLASSES].concat(),
    };
    let transaction = connection.transaction().map_err(of)?;
    let marks = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};");
    transaction.execute_batch(&[statements, marks].concat()).map_err(of)?;
    transaction.commit().map_err(of)
}

/// Version of a catalogue's schema; 0 where the file is empty.
///
/// # Errors
/// Where the file is something else, or of a later version.
pub(super) fn version(connection: &Connection, path: &Path) -> Result<i64, CatalogError> {
    let of = |problem| CatalogError::of(path, problem);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(of);
    let count = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = connection.query_row(count, [], |row| row.get(0)).map_err(of)?;
    let (application, found) = (pragma("application_id")?, pragma("user_version")?);
    match (tables, application) {
        (0, _) => Ok(0),
        (_, APPLICATION) if (1..=VERSION).contains(&found) => Ok(found),
        (_, APPLICATION) => Err(CatalogError::Newer { path: path.to_owned(), found, known: VERSION }),
        _ => Err(CatalogError::Foreign { path: path.to_owned() }),
    }
}
