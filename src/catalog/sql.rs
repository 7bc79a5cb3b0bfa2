//! What reading and writing share of SQL.
//!
//! Not here: the tables (`schema`).

use foldhash::HashMap;
use rusqlite::types::FromSql;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Result, Row, ToSql, params_from_iter};

use super::schema::Facts;
use crate::calls::Measures;

/// Calls `take` with each row of a query without parameters.
pub(super) fn each(connection: &Connection, query: &str, mut take: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

/// An entry of `meta`.
pub(super) fn meta<T: FromSql>(connection: &Connection, key: &str) -> Result<Option<T>> {
    connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// Writes an entry of `meta`.
pub(super) fn set_meta(connection: &Connection, key: &str, value: impl ToSql) -> Result<()> {
    let insert = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)";
    connection.prepare_cached(insert)?.execute(rusqlite::params![key, value]).map(drop)
}

/// Adds sums to a table of facts.
pub(super) fn store<const N: usize>(
    connection: &Connection,
    facts: &Facts,
    sums: &HashMap<[i64; N], Measures>,
) -> Result<()> {
    let mut statement = connection.prepare(&facts.upsert())?;
    // By key, as the table lies on disk.
    let mut sums: Vec<_> = sums.iter().collect();
    sums.sort_unstable_by_key(|(key, _)| **key);
    for (key, measures) in sums {
        let counted = facts.measures.iter().map(|&measure| measures.get(measure));
        statement.execute(params_from_iter(key.iter().copied().chain(counted)))?;
    }
    Ok(())
}

/// Names by id, each looked up once.
pub(super) struct Names<'a> {
    statement: CachedStatement<'a>,
    known: HashMap<i64, String>,
}

impl<'a> Names<'a> {
    pub fn new(connection: &'a Connection) -> Result<Self> {
        let statement = connection.prepare_cached("SELECT text FROM name WHERE id = ?1")?;
        Ok(Self { statement, known: HashMap::default() })
    }

    pub fn text(&mut self, id: i64) -> Result<String> {
        if let Some(text) = self.known.get(&id) {
            return Ok(text.clone());
        }
        let text: String = self.statement.query_row([id], |row| row.get(0))?;
        self.known.insert(id, text.clone());
        Ok(text)
    }
}

/// An endpoint as calls have it, of its method and its template; an audit operation has no method, a tunnel no template.
pub(super) fn joined(method: &str, template: &str) -> String {
    format!("{method} {template}").trim().to_owned()
}
