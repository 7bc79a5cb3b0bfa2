//! The lists that the catalogue is asked for, each one query: [`LISTS`].
//!
//! A query groups facts and gives ids; names are looked up afterwards, once each. A new list is an entry here.
//!
//! Not here: states of credentials (`rotation`), and how tables are printed (`cli`).

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row};
use thiserror::Error;

use super::rotation::{RotationLimits, states};
use super::sql::{Names, each};
use super::table::{Table, Value, rounded};
use super::time::Since;
use super::{CatalogError, Reader};
use crate::calls::fixed_to_f64;

/// How a column's expression is read.
#[derive(Clone, Copy, Debug)]
enum Read {
    /// A text.
    Text,
    /// The id of a name.
    Name,
    /// A JSON array of ids of names.
    Names,
    /// A whole number.
    Count,
    /// A number.
    Number,
    /// A fixed-point mean of logarithms, of which the exponential is meant.
    Exponential,
    /// A time.
    Time,
}

type Column = (&'static str, Read, &'static str);

/// A list: what it is grouped by, and its columns.
#[derive(Debug)]
pub struct List {
    /// Name on the command line.
    pub name: &'static str,
    /// What its rows are.
    pub summary: &'static str,
    from: &'static str,
    group: &'static str,
    /// Which facts it is of.
    filter: &'static str,
    columns: &'static [Column],
    /// What every list of usages ends with, or of traits.
    tail: &'static [Column],
}

const CALLERS: Column = ("callers", Read::Names, "json_group_array(DISTINCT u.caller)");
const VENDORS: Column = ("vendors", Read::Names, "json_group_array(DISTINCT u.vendor)");
const CREDENTIALS: Column = ("credentials", Read::Count, "count(DISTINCT nullif(u.credential, :none))");
const ENDPOINTS: Column = ("endpoints", Read::Count, "count(DISTINCT u.endpoint)");
const CALLS: Column = ("calls", Read::Count, "sum(u.calls)");
const FIRST: Column = ("first_seen", Read::Time, "min(u.first_seen)");
const LAST: Column = ("last_seen", Read::Time, "max(u.last_seen)");

const USAGE_TAIL: &[Column] = &[
    CALLS,
    ("error_share", Read::Number, "1.0 * sum(u.denied + u.client_error + u.throttled + u.server_error) / sum(u.calls)"),
    ("bytes_out", Read::Count, "sum(u.bytes_out_sum)"),
    ("bytes_in", Read::Count, "sum(u.bytes_in_sum)"),
    ("latency_ms", Read::Exponential, "1.0 * sum(u.latency_ln_sum) / nullif(sum(u.latency_count), 0)"),
    FIRST,
    LAST,
];
const SHORT_TAIL: &[Column] = &[CALLS, FIRST, LAST];
const WITH_ENDPOINT: &str = "usage u JOIN endpoint e ON e.id = u.endpoint";

/// Every list.
pub const LISTS: &[List] = &[
    List {
        name: "vendors",
        summary: "the third parties that are called",
        from: "usage u JOIN endpoint e ON e.id = u.endpoint JOIN vendor v ON v.id = u.vendor",
        group: "u.vendor",
        filter: "true",
        columns: &[
            ("vendor", Read::Name, "u.vendor"),
            // Of the domains of its hosts, the one with most calls: `vendor_domains` puts it here.
            ("domain", Read::Text, "''"),
            ("category", Read::Text, "max(v.category)"),
            ("hosts", Read::Names, "json_group_array(DISTINCT u.host)"),
            CALLERS,
            CREDENTIALS,
            ENDPOINTS,
            ("write_share", Read::Number, "1.0 * sum(u.calls * e.writes) / sum(u.calls)"),
        ],
        tail: USAGE_TAIL,
    },
    List {
        name: "hosts",
        summary: "their hosts",
        from: "usage u JOIN host h ON h.id = u.host",
        group: "u.host, u.vendor",
        filter: "u.host <> :none",
        columns: &[
            ("host", Read::Name, "u.host"),
            ("vendor", Read::Name, "u.vendor"),
            ("domain", Read::Text, "max(h.domain)"),
            CALLERS,
            CREDENTIALS,
            ENDPOINTS,
        ],
        tail: USAGE_TAIL,
    },
    List {
        name: "endpoints",
        summary: "methods and path templates, or operations of audit logs",
        from: WITH_ENDPOINT,
        group: "u.endpoint",
        filter: "true",
        columns: &[
            ("vendor", Read::Name, "max(e.vendor)"),
            ("method", Read::Text, "max(e.method)"),
            ("template", Read::Text, "max(e.template)"),
            ("verb", Read::Text, "max(e.verb)"),
            ("version", Read::Text, "max(e.version)"),
            // What the vendor says to call instead.
            ("deprecated", Read::Text, "max(e.deprecated)"),
            CALLERS,
            CREDENTIALS,
        ],
        tail: USAGE_TAIL,
    },
    List {
        name: "callers",
        summary: "workloads, and principals of audit logs",
        from: WITH_ENDPOINT,
        group: "u.caller",
        filter: "true",
        columns: &[
            ("caller", Read::Name, "u.caller"),
            VENDORS,
            CREDENTIALS,
            ENDPOINTS,
            ("write_share", Read::Number, "1.0 * sum(u.calls * e.writes) / sum(u.calls)"),
        ],
        tail: USAGE_TAIL,
    },
    List {
        name: "credentials",
        summary: "fingerprints of keys and tokens, and whether they are rotated",
        from: "usage u",
        group: "u.credential",
        filter: "u.credential <> :none",
        columns: &[
            ("credential", Read::Name, "u.credential"),
            // `rotation` puts both here.
            ("state", Read::Text, "''"),
            ("age_days", Read::Count, "0"),
            VENDORS,
            CALLERS,
            (
                "networks",
                Read::Names,
                "(SELECT json_group_array(DISTINCT t.value) FROM trait t JOIN name k ON k.id = t.kind \
                 WHERE t.credential = u.credential AND k.text = 'network')",
            ),
            (
                "kinds",
                Read::Names,
                "(SELECT json_group_array(DISTINCT t.value) FROM trait t JOIN name k ON k.id = t.kind \
                 WHERE t.credential = u.credential AND k.text = 'credential_kind')",
            ),
        ],
        tail: SHORT_TAIL,
    },
    List {
        name: "pairs",
        summary: "which caller calls which vendor, in which accounts",
        from: WITH_ENDPOINT,
        group: "u.caller, u.vendor",
        filter: "true",
        columns: &[
            ("caller", Read::Name, "u.caller"),
            ("vendor", Read::Name, "u.vendor"),
            ("accounts", Read::Names, "json_group_array(DISTINCT u.account)"),
            CREDENTIALS,
            ENDPOINTS,
            ("write_share", Read::Number, "1.0 * sum(u.calls * e.writes) / sum(u.calls)"),
        ],
        tail: USAGE_TAIL,
    },
    List {
        name: "traits",
        summary: "networks, clients, regions, protocols, content types and other traits of calls to each vendor",
        from: "trait u",
        group: "u.vendor, u.kind, u.value",
        filter: "true",
        columns: &[
            ("vendor", Read::Name, "u.vendor"),
            ("kind", Read::Name, "u.kind"),
            ("value", Read::Name, "u.value"),
            CALLERS,
        ],
        tail: SHORT_TAIL,
    },
    List {
        name: "classes",
        summary: "classes of data that are sent to each vendor and received from it",
        from: "trait u JOIN name k ON k.id = u.kind",
        group: "u.vendor, u.kind, u.value",
        filter: "k.text IN ('sent', 'received')",
        columns: &[
            ("vendor", Read::Name, "u.vendor"),
            ("direction", Read::Name, "u.kind"),
            ("class", Read::Name, "u.value"),
            CALLERS,
        ],
        tail: SHORT_TAIL,
    },
    List {
        name: "versions",
        summary: "versions of each vendor's API that are in use, and which the vendor retires",
        from: "trait u JOIN name k ON k.id = u.kind LEFT JOIN version v ON v.vendor = u.vendor AND v.value = u.value",
        group: "u.vendor, u.value",
        filter: "k.text = 'api_version'",
        columns: &[
            ("vendor", Read::Name, "u.vendor"),
            ("version", Read::Name, "u.value"),
            ("deprecated", Read::Text, "max(coalesce(v.deprecated, ''))"),
            CALLERS,
        ],
        tail: SHORT_TAIL,
    },
    List {
        name: "findings",
        summary: "callers with more names than are kept",
        from: "overflow u",
        group: "u.caller, u.kind",
        filter: "true",
        columns: &[
            ("caller", Read::Name, "u.caller"),
            ("kind", Read::Text, "u.kind"),
            ("names", Read::Count, "sum(u.names)"),
            (
                "finding",
                Read::Text,
                "'about ' || sum(u.names) || ' further names, more than are kept: they are counted as (more)'",
            ),
        ],
        tail: SHORT_TAIL,
    },
];

/// What rows are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those of a vendor.
    pub vendor: Option<String>,
    /// Only those of a caller.
    pub caller: Option<String>,
    /// Only those of a credential.
    pub credential: Option<String>,
    /// Only those that were seen since.
    pub since: Option<Since>,
}

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The catalogue cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A name is not in the catalogue.
    #[error("no {kind} `{name}` in the catalogue; `apiwarden catalog {kind}s` lists them")]
    Unknown {
        /// What was asked for.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Nothing is known of the time yet.
    #[error("the newest call of the catalogue is of {newest}: of a later time it knows nothing")]
    NotYet {
        /// The time of the newest call.
        newest: String,
    },
    /// The list has no such filter.
    #[error("--{filter} does not apply to `{list}`")]
    Inapplicable {
        /// The filter.
        filter: &'static str,
        /// The list.
        list: &'static str,
    },
}

impl List {
    /// A list by its name.
    pub fn named(name: &str) -> Option<&'static Self> {
        LISTS.iter().find(|list| list.name == name)
    }

    /// Its rows, those with most calls first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn rows(&self, reader: &Reader, filter: &Filter, limits: &RotationLimits) -> Result<Table, QueryError> {
        let newest = reader.newest()?.unwrap_or_default();
        let having = filter.since.map(|since| format!(" HAVING max(u.last_seen) >= {}", since.time(newest)));
        self.rows_having(reader, filter, limits, &having.unwrap_or_default())
    }

    /// The rows of which something holds, as SQL says it.
    fn rows_having(
        &self,
        reader: &Reader,
        filter: &Filter,
        limits: &RotationLimits,
        having: &str,
    ) -> Result<Table, QueryError> {
        let mut wheres = vec![self.filter.to_owned()];
        for (kind, name) in [("vendor", &filter.vendor), ("caller", &filter.caller), ("credential", &filter.credential)]
        {
            let Some(name) = name else { continue };
            if self.name == "findings" && kind != "caller" {
                return Err(QueryError::Inapplicable { filter: kind, list: self.name });
            }
            wheres.push(format!("u.{kind} = {}", reader.id(kind, name)?));
        }
        let mut table = reader.ask(|connection| self.query(connection, &wheres.join(" AND "), having))?;
        match self.name {
            _ if table.rows.is_empty() => {}
            "vendors" => reader.ask(|connection| put_domains(connection, &mut table))?,
            "credentials" => {
                let states = states(reader, limits)?;
                for row in &mut table.rows {
                    if let Some(known) = row[0].text().and_then(|credential| states.get(credential)) {
                        row[1] = Value::Text(known.state.as_str().to_owned());
                        row[2] = Value::Count(known.age_days);
                    }
                }
            }
            _ => {}
        }
        Ok(table)
    }

    fn query(&self, connection: &Connection, wheres: &str, having: &str) -> rusqlite::Result<Table> {
        let columns: Vec<&Column> = self.columns.iter().chain(self.tail).collect();
        let expressions: Vec<_> = columns.iter().map(|(name, _, sql)| format!("{sql} AS \"{name}\"")).collect();
        let none: Option<i64> =
            connection.query_row("SELECT id FROM name WHERE text = ''", [], |row| row.get(0)).optional()?;
        let sql = format!(
            "SELECT {} FROM {} WHERE {wheres} GROUP BY {}{having} ORDER BY sum(u.calls) DESC",
            expressions.join(", "),
            self.from,
            self.group
        )
        .replace(":none", &none.unwrap_or(-1).to_string());
        let mut names = Names::new(connection)?;
        let mut table = Table { columns: columns.iter().map(|column| column.0).collect(), rows: Vec::new() };
        each(connection, &sql, |row| {
            let values = columns.iter().enumerate().map(|(at, column)| column.1.value(row, at, &mut names));
            table.rows.push(values.collect::<rusqlite::Result<_>>()?);
            Ok(())
        })?;
        // Equal numbers of calls in an order that does not depend on ids.
        let calls = table.column("calls").unwrap_or_default();
        let key = |row: &Vec<Value>| row.iter().take(3).map(Value::plain).collect::<Vec<_>>();
        let count = |row: &Vec<Value>| if let Value::Count(count) = row[calls] { -count } else { 0 };
        table.rows.sort_by_cached_key(|row| (count(row), key(row)));
        Ok(table)
    }
}

impl Read {
    fn value(self, row: &Row<'_>, at: usize, names: &mut Names<'_>) -> rusqlite::Result<Value> {
        Ok(match self {
            Self::Text => Value::Text(row.get(at)?),
            Self::Name => Value::Text(names.text(row.get(at)?)?),
            Self::Names => {
                let ids: Option<String> = row.get(at)?;
                let ids: Vec<i64> = serde_json::from_str(&ids.unwrap_or_default()).unwrap_or_default();
                let texts = ids.into_iter().map(|id| names.text(id));
                let mut texts: Vec<_> = texts.collect::<rusqlite::Result<_>>()?;
                texts.retain(|text| !text.is_empty());
                texts.sort_unstable();
                Value::Texts(texts)
            }
            Self::Count => row.get::<_, Option<i64>>(at)?.map_or(Value::Null, Value::Count),
            Self::Number => row.get::<_, Option<f64>>(at)?.map_or(Value::Null, rounded),
            Self::Exponential => {
                let mean: Option<f64> = row.get(at)?;
                mean.map_or(Value::Null, |mean| rounded(fixed_to_f64(mean as i64).exp_m1()))
            }
            Self::Time => row.get::<_, Option<i64>>(at)?.map_or(Value::Null, Value::Time),
        })
    }
}

/// Puts the domain of each vendor in its place: of the domains of its hosts, the one with most calls.
fn put_domains(connection: &Connection, table: &mut Table) -> rusqlite::Result<()> {
    let mut domains: HashMap<String, (i64, String)> = HashMap::new();
    let sql = "SELECT n.text, h.domain, sum(u.calls) FROM usage u JOIN host h ON h.id = u.host JOIN name n ON n.id = u.vendor \
               GROUP BY u.vendor, h.domain ORDER BY h.domain";
    each(connection, sql, |row| {
        let (vendor, domain, calls) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let known = domains.entry(vendor).or_default();
        if calls > known.0 {
            *known = (calls, domain);
        }
        Ok(())
    })?;
    for row in &mut table.rows {
        if let Some((_, domain)) = row[0].text().and_then(|vendor| domains.get(vendor)) {
            row[1] = Value::Text(domain.clone());
        }
    }
    Ok(())
}

impl Reader {
    /// Refuses a name that is no vendor in the catalogue.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn ensure_vendor(&self, name: &str) -> Result<(), QueryError> {
        self.id("vendor", name).map(drop)
    }

    /// The id of a name that is a vendor, caller, credential or host.
    pub(super) fn id(&self, kind: &'static str, name: &str) -> Result<i64, QueryError> {
        let found = self.find(kind, name)?;
        found.ok_or_else(|| QueryError::Unknown { kind, name: name.to_owned() })
    }

    pub(super) fn find(&self, kind: &str, name: &str) -> Result<Option<i64>, CatalogError> {
        let sql = format!(
            "SELECT n.id FROM name n WHERE n.text = ?1 AND (EXISTS (SELECT 1 FROM usage u WHERE u.{kind} = n.id){})",
            // Whoever is past a limit has no usages of that kind.
            if kind == "caller" { " OR EXISTS (SELECT 1 FROM overflow o WHERE o.caller = n.id)" } else { "" }
        );
        self.ask(|connection| connection.query_row(&sql, [name], |row| row.get(0)).optional())
    }
}

/// What is there for the first time since a time, and what was not seen since: the newest first. `gone` leaves out what is new.
///
/// # Errors
/// [`QueryError`].
pub fn diff(reader: &Reader, since: Since, with_gone: bool, filter: &Filter) -> Result<Table, QueryError> {
    let newest = reader.newest()?.unwrap_or_default();
    let since = since.time(newest);
    let columns = vec!["change", "kind", "name", "vendor", "caller", "calls", "first_seen", "last_seen"];
    let mut table = Table { columns, rows: Vec::new() };
    let gone = if with_gone { format!(" OR max(u.last_seen) < {since}") } else { String::new() };
    let having = format!(" HAVING (min(u.first_seen) >= {since}{gone})");
    let kinds = [
        ("vendor", "vendors"),
        ("host", "hosts"),
        ("endpoint", "endpoints"),
        ("caller", "callers"),
        ("credential", "credentials"),
        ("pair", "pairs"),
        ("class", "classes"),
        ("version", "versions"),
    ];
    for (kind, list) in kinds {
        let Some(list) = List::named(list) else { continue };
        let found = list.rows_having(reader, filter, &RotationLimits::default(), &having)?;
        let at = |name: &str| found.column(name);
        for row in &found.rows {
            let get = |name: &str| at(name).map_or(Value::Null, |at| row[at].clone());
            let (Value::Time(first), Value::Time(last)) = (get("first_seen"), get("last_seen")) else { continue };
            let change = match (first >= since, last < since) {
                (true, _) => "new",
                (_, true) if with_gone => "gone",
                _ => continue,
            };
            let name = match kind {
                "endpoint" => format!("{} {}", get("method").plain(), get("template").plain()).trim().to_owned(),
                "class" => format!("{} {}", get("direction").plain(), get("class").plain()),
                "version" => get("version").plain(),
                "pair" => format!("{} → {}", get("caller").plain(), get("vendor").plain()),
                _ => row[0].plain(),
            };
            let one_or_all = |one: &str, all: &str| match (get(one), get(all)) {
                (Value::Null, Value::Texts(texts)) => Value::Texts(texts),
                (Value::Null, _) => Value::Texts(Vec::new()),
                (one, _) => Value::Texts(vec![one.plain()]),
            };
            let change = Value::Text(change.to_owned());
            let (vendor, caller) = (one_or_all("vendor", "vendors"), one_or_all("caller", "callers"));
            let kind = Value::Text(kind.to_owned());
            let times = [get("calls"), Value::Time(first), Value::Time(last)];
            table.rows.push([[change, kind, Value::Text(name), vendor, caller].as_slice(), &times].concat());
        }
    }
    let key = |row: &Vec<Value>| match (row[0].text(), &row[6], &row[7]) {
        (Some("new"), Value::Time(first), _) => (0, -first),
        (_, _, Value::Time(last)) => (1, -last),
        _ => (2, 0),
    };
    table.rows.sort_by_key(key);
    Ok(table)
}
