//! The alert store: every step of every incident, in one SQLite file, for whoever delivers or asks.
//!
//! An alert is durable here before any sink is asked to take it, and each sink has a place of its own up to which it has delivered: a sink that
//! is away holds up nobody else, and goes on where it was. Appending an alert again, as after a crash, changes nothing: its uid is its identity.
//!
//! It is a file beside the catalogue's, not in it: a long transaction of the catalogue must not hold up an alert.
//!
//! Not here: delivery (`stream`), and how a target is spoken to (`sinks`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::{Alert, Severity, to_ocsf};

/// Name of the file in the state directory.
const FILE: &str = "alerts.sqlite";
/// How long somebody else may be writing.
const BUSY: Duration = Duration::from_secs(30);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS alerts (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, incident TEXT NOT NULL, revision INTEGER NOT NULL,
        activity INTEGER NOT NULL, severity INTEGER NOT NULL, time INTEGER NOT NULL, view TEXT NOT NULL, detector TEXT NOT NULL,
        caller TEXT, vendor TEXT NOT NULL, message TEXT NOT NULL, ocsf TEXT NOT NULL, alert BLOB NOT NULL);
    CREATE INDEX IF NOT EXISTS alerts_by_incident ON alerts (incident, revision);
    CREATE INDEX IF NOT EXISTS alerts_by_time ON alerts (time);
    CREATE TABLE IF NOT EXISTS sinks (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, position BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS undelivered (
        sink TEXT NOT NULL, uid TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (sink, uid));";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}{}", path.display(), advice(problem))]
pub struct StoreError {
    path: PathBuf,
    problem: rusqlite::Error,
}

fn advice(problem: &rusqlite::Error) -> &'static str {
    match problem.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => ": make room on the disk; nothing is lost meanwhile",
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            ": the file is damaged; put it aside, and alerts that were not delivered are lost"
        }
        Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => ": make it writable for this user",
        _ => "",
    }
}

/// A step as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its place among all.
    pub seq: i64,
    /// The step.
    pub alert: Alert,
    /// It as OCSF.
    pub ocsf: String,
}

/// Which steps are asked for. What is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// At least so severe.
    pub severity: Option<Severity>,
    /// Of this caller.
    pub caller: Option<String>,
    /// Of this vendor.
    pub vendor: Option<String>,
    /// By this detector.
    pub detector: Option<String>,
    /// Of this incident.
    pub incident: Option<String>,
    /// From this time on, microseconds since the epoch.
    pub since: Option<i64>,
    /// Only the newest step of each incident.
    pub newest_only: bool,
    /// At most so many, the newest.
    pub limit: Option<u32>,
}

impl Filter {
    /// Whether a step is one of those asked for, whatever its place among others.
    pub fn lets_through(&self, alert: &Alert) -> bool {
        let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|wanted| wanted == own);
        self.severity.is_none_or(|least| alert.severity >= least)
            && is(&self.caller, alert.caller.as_deref().unwrap_or_default())
            && is(&self.vendor, &alert.vendor)
            && is(&self.detector, &alert.detector)
            && is(&self.incident, &alert.id)
            && self.since.is_none_or(|since| alert.time >= since)
    }
}

/// The store, open for one user of it.
pub struct AlertStore {
    path: PathBuf,
    connection: Connection,
}

impl AlertStore {
    /// Opens the store of a state directory, or makes it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let opened = Connection::open(&path).and_then(|connection| {
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        });
        Self::with(path, opened)
    }

    /// Opens the store of a state directory to read it.
    ///
    /// # Errors
    /// [`StoreError`], also where there is none.
    pub fn read(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&path, flags).and_then(|connection| {
            connection.busy_timeout(BUSY)?;
            Ok(connection)
        });
        Self::with(path, opened)
    }

    fn with(path: PathBuf, opened: rusqlite::Result<Connection>) -> Result<Self, StoreError> {
        match opened {
            Ok(connection) => Ok(Self { path, connection }),
            Err(problem) => Err(StoreError { path, problem }),
        }
    }

    fn told<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|problem| StoreError { path: self.path.clone(), problem })
    }

    /// Appends steps, in order, and returns when they are durable. Those that are there stay as they are.
    ///
    /// # Errors
    /// [`StoreError`]: none of them was appended.
    pub fn append(&mut self, alerts: &[Alert]) -> Result<(), StoreError> {
        let result = append(&mut self.connection, alerts);
        self.told(result)
    }

    /// The place up to which a sink has delivered, and its position as bytes. One that is new begins behind what is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn place_of(&self, sink: &str) -> Result<(i64, Vec<u8>), StoreError> {
        let select = "SELECT seq, position FROM sinks WHERE name = ?1";
        let known = self.connection.query_row(select, [sink], |row| Ok((row.get(0)?, row.get(1)?))).optional();
        match self.told(known)? {
            Some(known) => Ok(known),
            None => {
                let place = (self.newest()?, Vec::new());
                self.move_to(sink, place.0, &place.1)?;
                Ok(place)
            }
        }
    }

    /// The place up to which a sink has delivered, where it has ever been started.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn known_place(&self, sink: &str) -> Result<Option<i64>, StoreError> {
        let select = "SELECT seq FROM sinks WHERE name = ?1";
        self.told(self.connection.query_row(select, [sink], |row| row.get(0)).optional())
    }

    /// A sink has delivered all up to a place.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn move_to(&self, sink: &str, seq: i64, position: &[u8]) -> Result<(), StoreError> {
        let replace = "INSERT OR REPLACE INTO sinks (name, seq, position) VALUES (?1, ?2, ?3)";
        self.told(self.connection.execute(replace, params![sink, seq, position]).map(drop))
    }

    /// A sink will not take a step, whatever is tried.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn give_up(&self, sink: &str, uid: &str, reason: &str) -> Result<(), StoreError> {
        let insert = "INSERT OR REPLACE INTO undelivered (sink, uid, reason) VALUES (?1, ?2, ?3)";
        self.told(self.connection.execute(insert, params![sink, uid, reason]).map(drop))
    }

    /// The newest place; 0 where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn newest(&self) -> Result<i64, StoreError> {
        self.told(self.connection.query_row("SELECT coalesce(max(seq), 0) FROM alerts", [], |row| row.get(0)))
    }

    /// The place before the first step at or after a time, microseconds since the epoch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn place_before(&self, time: i64) -> Result<i64, StoreError> {
        let select =
            "SELECT coalesce(min(seq) - 1, (SELECT coalesce(max(seq), 0) FROM alerts)) FROM alerts WHERE time >= ?1";
        self.told(self.connection.query_row(select, [time], |row| row.get(0)))
    }

    /// At most `limit` steps behind a place, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn after(&self, seq: i64, limit: u32) -> Result<Vec<Kept>, StoreError> {
        let select = "SELECT seq, alert, ocsf FROM alerts WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        self.kept(select, params![seq, limit])
    }

    /// The steps that a filter lets through, in order of time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn find(&self, filter: &Filter) -> Result<Vec<Kept>, StoreError> {
        let select = "SELECT seq, alert, ocsf FROM (SELECT * FROM alerts AS one WHERE (?1 IS NULL OR severity >= ?1)
            AND (?2 IS NULL OR caller = ?2) AND (?3 IS NULL OR vendor = ?3) AND (?4 IS NULL OR detector = ?4)
            AND (?5 IS NULL OR incident = ?5) AND (?6 IS NULL OR time >= ?6)
            AND (NOT ?7 OR revision = (SELECT max(revision) FROM alerts WHERE incident = one.incident))
            ORDER BY time DESC, seq DESC LIMIT coalesce(?8, -1)) ORDER BY time, seq";
        let Filter { severity, caller, vendor, detector, incident, since, newest_only, limit } = filter;
        let severity = severity.map(|severity| severity as u8);
        self.kept(select, params![severity, caller, vendor, detector, incident, since, newest_only, limit])
    }

    fn kept(&self, select: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<Kept>, StoreError> {
        let read = |row: &Row<'_>| {
            let alert: Vec<u8> = row.get(1)?;
            let wrong = |error: postcard::Error| {
                rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error))
            };
            Ok(Kept { seq: row.get(0)?, alert: postcard::from_bytes(&alert).map_err(wrong)?, ocsf: row.get(2)? })
        };
        let query = || self.connection.prepare_cached(select)?.query_map(params, read)?.collect();
        self.told(query())
    }

    /// Forgets steps before a time (microseconds since the epoch) that all these sinks have delivered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_before(&self, time: i64, sinks: &[String]) -> Result<(), StoreError> {
        let mut delivered = self.newest()?;
        for sink in sinks {
            delivered = delivered.min(self.place_of(sink)?.0);
        }
        let delete = "DELETE FROM alerts WHERE time < ?1 AND seq <= ?2";
        self.told(self.connection.execute(delete, params![time, delivered]).map(drop))
    }
}

fn append(connection: &mut Connection, alerts: &[Alert]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO alerts (uid, incident, revision, activity, severity, time, view, detector, caller, vendor, message, ocsf, alert)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        for alert in alerts {
            let bytes =
                postcard::to_stdvec(alert).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            insert.execute(params![
                format!("{}-{}", alert.id, alert.revision),
                alert.id,
                alert.revision,
                alert.activity as u8,
                alert.severity as u8,
                alert.time,
                alert.view.as_str(),
                alert.detector,
                alert.caller,
                alert.vendor,
                alert.message,
                to_ocsf(alert).to_string(),
                bytes,
            ])?;
        }
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::sample;

    fn alert(id: &str, revision: u32, time: i64, severity: Severity) -> Alert {
        Alert { id: id.to_owned(), revision, time, severity, ..sample() }
    }

    fn ids(kept: &[Kept]) -> Vec<String> {
        kept.iter().map(|kept| format!("{}-{}", kept.alert.id, kept.alert.revision)).collect()
    }

    #[test]
    fn a_step_is_kept_once_and_comes_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = AlertStore::open(directory.path()).unwrap();
        let first = alert("aw-1", 1, 5, Severity::High);
        store.append(&[first.clone(), alert("aw-2", 1, 6, Severity::Low)]).unwrap();
        store
            .append(&[Alert { message: "changed".to_owned(), ..first.clone() }, alert("aw-1", 2, 7, Severity::High)])
            .unwrap();
        let all = AlertStore::read(directory.path()).unwrap().after(0, 10).unwrap();
        assert_eq!(ids(&all), ["aw-1-1", "aw-2-1", "aw-1-2"]);
        assert_eq!(all[0].alert, first);
        assert_eq!(all[0].ocsf, to_ocsf(&first).to_string());
    }

    #[test]
    fn each_sink_goes_on_from_its_own_place_and_a_new_one_begins_behind_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = AlertStore::open(directory.path()).unwrap();
        assert_eq!(store.place_of("old").unwrap(), (0, Vec::new()));
        store.append(&[alert("aw-1", 1, 5, Severity::High), alert("aw-2", 1, 6, Severity::High)]).unwrap();
        store.move_to("old", 1, b"here").unwrap();
        let again = AlertStore::open(directory.path()).unwrap();
        assert_eq!(again.place_of("old").unwrap(), (1, b"here".to_vec()));
        assert_eq!(again.place_of("new").unwrap().0, 2);
        assert_eq!(ids(&again.after(1, 10).unwrap()), ["aw-2-1"]);
        assert_eq!(again.place_before(6).unwrap(), 1);
        // What one has not delivered stays, however old.
        again.forget_before(100, &["old".to_owned(), "new".to_owned()]).unwrap();
        assert_eq!(ids(&again.after(0, 10).unwrap()), ["aw-2-1"]);
    }

    #[test]
    fn steps_are_found_by_what_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = AlertStore::open(directory.path()).unwrap();
        let steps = [(1, 1, Severity::High), (2, 1, Severity::Low), (1, 2, Severity::High), (3, 1, Severity::Medium)];
        for (time, (id, revision, severity)) in (1..).zip(steps) {
            store.append(&[alert(&format!("aw-{id}"), revision, time, severity)]).unwrap();
        }
        let find = |filter: Filter| ids(&store.find(&filter).unwrap());
        assert_eq!(
            find(Filter { severity: Some(Severity::Medium), ..Filter::default() }),
            ["aw-1-1", "aw-1-2", "aw-3-1"]
        );
        assert_eq!(find(Filter { newest_only: true, ..Filter::default() }), ["aw-2-1", "aw-1-2", "aw-3-1"]);
        assert_eq!(find(Filter { since: Some(2), limit: Some(2), ..Filter::default() }), ["aw-1-2", "aw-3-1"]);
        assert_eq!(find(Filter { incident: Some("aw-2".to_owned()), ..Filter::default() }), ["aw-2-1"]);
    }
}
