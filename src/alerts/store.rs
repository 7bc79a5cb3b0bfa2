//! The alert store: every step of every incident, in one SQLite file, for whoever delivers or asks.
//!
//! An alert is durable here before any sink is asked to take it, and each sink has a place of its own up to which it has delivered: a sink that
//! is away holds up nobody else, and goes on where it was. Appending an alert again, as after a crash, changes nothing: its uid is its identity.
//!
//! Whether a suppression holds a step back is decided with its append, in one transaction, so that a suppression holds from the moment in which it is
//! kept. What goes out later than it came takes a new place behind all others.
//!
//! It is a file beside the catalogue's, not in it: a long transaction of the catalogue must not hold up an alert.
//!
//! Not here: delivery (`stream`), and how a target is spoken to (`sinks`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};

use super::suppression::{self, Before, Fate, Suppression, Wanted};
use super::{Activity, Alert, Owner, Route, from_ocsf, to_ocsf};

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
/// Version of the file, and what each further one adds: when a step was stored by the clock, who owns it, which suppression holds it back, and when
/// it was released from it.
const VERSION: i64 = 1;
const SINCE_VERSION_1: &str = "
    ALTER TABLE alerts ADD COLUMN stored INTEGER;
    ALTER TABLE alerts ADD COLUMN owners TEXT;
    ALTER TABLE alerts ADD COLUMN suppression INTEGER;
    ALTER TABLE alerts ADD COLUMN released INTEGER;
    CREATE INDEX alerts_by_suppression ON alerts (suppression) WHERE suppression IS NOT NULL;
    PRAGMA user_version = 1;";
/// What is read of a step.
const STEP: &str = "seq, alert, ocsf, owners, suppression, released";

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
        Some(rusqlite::ErrorCode::SystemIoFailure) => {
            ": the disk is full, read-only or broken; mend that and start again: nothing is lost meanwhile"
        }
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
    /// The suppression that holds or held it back.
    pub suppression: Option<i64>,
    /// Whether it went out later, when that was over.
    pub is_released: bool,
}

/// What became of steps that were appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// The newest place, where any was new.
    pub newest: Option<i64>,
    /// How many suppressions hold back.
    pub held: u64,
}

/// Which steps are asked for. What is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of such alerts.
    pub route: Route,
    /// Of this incident.
    pub incident: Option<String>,
    /// Held back by this suppression, now or before.
    pub suppression: Option<i64>,
    /// From this time on, microseconds since the epoch.
    pub since: Option<i64>,
    /// Before this time, microseconds since the epoch.
    pub until: Option<i64>,
    /// Only of incidents that have not ended.
    pub open_only: bool,
    /// Only the newest step of each incident.
    pub newest_only: bool,
    /// At most so many, the newest.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether a step is one of those asked for, whatever other steps there are.
    pub fn lets_through(&self, kept: &Kept) -> bool {
        let alert = &kept.alert;
        self.incident.as_ref().is_none_or(|id| *id == alert.id)
            && self.suppression.is_none_or(|id| kept.suppression == Some(id))
            && self.since.is_none_or(|since| alert.time >= since)
            && self.until.is_none_or(|until| alert.time < until)
            && self.route.wants(alert)
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
        let opened = Connection::open(&path).and_then(|mut connection| {
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            upgrade(&mut connection)?;
            Ok(connection)
        });
        Self::with(path, opened)
    }

    /// Whether a state directory has one.
    pub fn is_there(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    /// Opens the store of a state directory to read it. One that an earlier version made is brought up to date.
    ///
    /// # Errors
    /// [`StoreError`], also where there is none.
    pub fn read(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        if !path.exists() {
            let none = Some("there is no alert store: name the state directory of a service".to_owned());
            let problem =
                rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTFOUND), none);
            return Err(StoreError { path, problem });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&path, flags).and_then(|connection| {
            connection.busy_timeout(BUSY)?;
            let version = version(&connection)?;
            Ok((connection, version))
        });
        match opened {
            Ok((_, version)) if version < VERSION => Self::open(directory),
            opened => Self::with(path, opened.map(|(connection, _)| connection)),
        }
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

    /// Appends steps, in order, and returns when they are durable. Those that are there stay as they are; what a suppression covers that is in force
    /// now (microseconds since the epoch) is held back.
    ///
    /// # Errors
    /// [`StoreError`]: none of them was appended.
    pub fn append(&mut self, alerts: &[Alert], now: i64) -> Result<Appended, StoreError> {
        let result = append(&mut self.connection, alerts, now);
        self.told(result)
    }

    /// Lets go of the incidents that are still open where a suppression is over; how many. One that another suppression covers stays held back.
    ///
    /// # Errors
    /// [`StoreError`]: none of them was let go of.
    pub fn settle(&mut self, now: i64) -> Result<u64, StoreError> {
        let result = settle(&mut self.connection, now);
        self.told(result)
    }

    /// Keeps a suppression, made now (microseconds since the epoch); its number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn suppress(&self, wanted: &Wanted, now: i64) -> Result<i64, StoreError> {
        self.told(suppression::add(&self.connection, wanted, now))
    }

    /// Ends a suppression before its time. Whether there was one that was not over yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn end_suppression(&self, id: i64, by: &str, now: i64) -> Result<bool, StoreError> {
        self.told(suppression::end(&self.connection, id, by, now))
    }

    /// The suppressions that are not over at a time (microseconds since the epoch), or all that there ever were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn suppressions(&self, not_over_at: Option<i64>) -> Result<Vec<Suppression>, StoreError> {
        self.told(suppression::list(&self.connection, not_over_at))
    }

    /// How many open incidents suppressions hold back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn held(&self) -> Result<u64, StoreError> {
        let select =
            "SELECT count(*) FROM alerts AS one WHERE suppression IS NOT NULL AND released IS NULL AND activity <> ?1
            AND revision = (SELECT max(revision) FROM alerts WHERE incident = one.incident)";
        self.told(self.connection.query_row(select, [Activity::Close as u8], |row| row.get(0)))
    }

    /// When the oldest step behind a place was stored, microseconds since the epoch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn oldest_after(&self, seq: i64) -> Result<Option<i64>, StoreError> {
        let select = "SELECT coalesce(stored, time) FROM alerts WHERE seq > ?1 ORDER BY seq LIMIT 1";
        let oldest = self
            .connection
            .prepare_cached(select)
            .and_then(|mut select| select.query_row([seq], |row| row.get(0)).optional());
        self.told(oldest)
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

    /// Sinks that were started once and are none of these, and how many steps each has not delivered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn abandoned(&self, sinks: &[String]) -> Result<Vec<(String, u64)>, StoreError> {
        let select = "SELECT name, (SELECT count(*) FROM alerts WHERE alerts.seq > sinks.seq) FROM sinks ORDER BY name";
        let known = self.connection.prepare_cached(select).and_then(|mut select| {
            select
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(String, u64)>>>()
        });
        Ok(self.told(known)?.into_iter().filter(|(name, _)| !sinks.contains(name)).collect())
    }

    /// Forgets a sink, which begins anew should it be started again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_sink(&self, name: &str) -> Result<(), StoreError> {
        self.told(self.connection.execute("DELETE FROM sinks WHERE name = ?1", [name]).map(drop))
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

    /// The time of the newest step, microseconds since the epoch; 0 where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn newest_time(&self) -> Result<i64, StoreError> {
        let select = "SELECT coalesce((SELECT time FROM alerts ORDER BY seq DESC LIMIT 1), 0)";
        self.told(self.connection.query_row(select, [], |row| row.get(0)))
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
        let select = format!("SELECT {STEP} FROM alerts WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        self.told(steps(&self.connection, &select, params![seq, limit]))
    }

    /// The steps that a filter lets through, in order of time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn find(&self, filter: &Filter) -> Result<Vec<Kept>, StoreError> {
        self.told(find(&self.connection, filter))
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
        let orphans = "DELETE FROM undelivered WHERE uid NOT IN (SELECT uid FROM alerts)";
        let delete = self.connection.execute(delete, params![time, delivered]);
        self.told(delete.and_then(|_| self.connection.execute(orphans, [])).map(drop))
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings the file up to date. Somebody else may be about to do the same.
fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&transaction)? < VERSION {
        transaction.execute_batch(SCHEMA)?;
        transaction.execute_batch(SINCE_VERSION_1)?;
        transaction.execute_batch(suppression::SCHEMA)?;
    }
    transaction.commit()
}

/// What columns and other steps answer is asked of SQLite, the rest of each step.
fn find(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Kept>> {
    let select = format!(
        "SELECT {STEP} FROM alerts AS one WHERE (?1 IS NULL OR incident = ?1) AND (?2 IS NULL OR time >= ?2) AND (?3 IS NULL OR time < ?3)
        AND (NOT ?4 OR revision = (SELECT max(revision) FROM alerts WHERE incident = one.incident))
        AND (NOT ?5 OR ?6 <> (SELECT activity FROM alerts WHERE incident = one.incident ORDER BY revision DESC LIMIT 1))
        AND (?7 IS NULL OR detector IN (SELECT value FROM json_each(?7))) AND (?8 IS NULL OR severity >= ?8)
        ORDER BY time DESC, seq DESC"
    );
    let Filter { route, incident, since, until, newest_only, open_only, .. } = filter;
    let detectors = route.detector.as_ref().map(serde_json::to_string).transpose().map_err(unwritable)?;
    let severity = route.severity.map(|least| least as u8);
    let closed = Activity::Close as u8;
    let mut select = connection.prepare_cached(&select)?;
    let steps = select
        .query_map(params![incident, since, until, newest_only, open_only, closed, detectors, severity], read_step)?;
    let is_wanted = |step: &rusqlite::Result<Kept>| step.as_ref().map_or(true, |kept| filter.lets_through(kept));
    let mut found: Vec<Kept> =
        steps.filter(is_wanted).take(filter.limit.unwrap_or(usize::MAX)).collect::<Result<_, _>>()?;
    found.reverse();
    Ok(found)
}

/// Steps that a selection of [`STEP`] gives.
fn steps(connection: &Connection, select: &str, params: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<Vec<Kept>> {
    connection.prepare_cached(select)?.query_map(params, read_step)?.collect()
}

fn read_step(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let bytes: Vec<u8> = row.get(1)?;
    let alert: Alert = postcard::from_bytes(&bytes).map_err(|error| unreadable(1, error))?;
    let owners: Option<String> = row.get(3)?;
    let owners: Vec<Owner> =
        owners.map_or(Ok(Vec::new()), |json| serde_json::from_str(&json)).map_err(|error| unreadable(3, error))?;
    let (suppression, released): (Option<i64>, Option<i64>) = (row.get(4)?, row.get(5)?);
    let is_released = released.is_some();
    let alert = Alert { owners, suppression: suppression.filter(|_| !is_released), ..alert };
    Ok(Kept { seq: row.get(0)?, alert, ocsf: row.get(2)?, suppression, is_released })
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(error))
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

fn append(connection: &mut Connection, alerts: &[Alert], now: i64) -> rusqlite::Result<Appended> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let in_force = suppression::in_force(&transaction, now)?;
    let mut appended = Appended::default();
    for alert in alerts {
        let uid = format!("{}-{}", alert.id, alert.revision);
        let select = "SELECT EXISTS (SELECT 1 FROM alerts WHERE uid = ?1)";
        if transaction.prepare_cached(select)?.query_row([&uid], |row| row.get(0))? {
            continue;
        }
        let covered_by = in_force.iter().find(|one| one.scope.covers(alert)).map(|one| one.id);
        let fate = Before::of(&transaction, &alert.id)?.fate(alert.activity, covered_by);
        if fate == Fate::OutWithTheFirst {
            release(&transaction, &alert.id, false, now)?;
        }
        let held_by = if let Fate::Held(id) = fate { Some(id) } else { None };
        if let Some(id) = held_by {
            suppression::note_held(&transaction, id)?;
            appended.held += 1;
        }
        insert(&transaction, &uid, alert, held_by, now)?;
        appended.newest = Some(transaction.last_insert_rowid());
    }
    transaction.commit()?;
    Ok(appended)
}

fn insert(
    connection: &Connection,
    uid: &str,
    alert: &Alert,
    suppression: Option<i64>,
    now: i64,
) -> rusqlite::Result<()> {
    let bytes = postcard::to_stdvec(alert).map_err(unwritable)?;
    let owners = serde_json::to_string(&alert.owners).map_err(unwritable)?;
    let ocsf = to_ocsf(&Alert { suppression, ..alert.clone() }).to_string();
    let insert = "INSERT INTO alerts (uid, incident, revision, activity, severity, time, view, detector, caller, vendor, message, ocsf, alert,
            stored, owners, suppression)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    let row = params![
        uid,
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
        ocsf,
        bytes,
        now,
        owners,
        suppression,
    ];
    connection.prepare_cached(insert)?.execute(row).map(drop)
}

fn settle(connection: &mut Connection, now: i64) -> rusqlite::Result<u64> {
    let over = suppression::unsettled(connection, now)?;
    if over.is_empty() {
        return Ok(0);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let in_force = suppression::in_force(&transaction, now)?;
    let mut released = 0;
    for id in over {
        // How each open incident stands that it holds back.
        let select = format!(
            "SELECT {STEP} FROM alerts AS one WHERE suppression = ?1 AND released IS NULL AND activity <> ?2
             AND revision = (SELECT max(revision) FROM alerts WHERE incident = one.incident)"
        );
        for Kept { seq, alert, .. } in steps(&transaction, &select, params![id, Activity::Close as u8])? {
            match in_force.iter().find(|one| one.scope.covers(&alert)) {
                Some(next) => {
                    transaction.execute("UPDATE alerts SET suppression = ?2 WHERE seq = ?1", [seq, next.id])?;
                    suppression::note_held(&transaction, next.id)?;
                }
                None => {
                    release(&transaction, &alert.id, true, now)?;
                    released += 1;
                }
            }
        }
        suppression::note_settled(&transaction, id)?;
    }
    transaction.commit()?;
    Ok(released)
}

/// Lets go of the first step that is held back of an incident, and perhaps of how it stands now: each takes a new place behind all others.
fn release(connection: &Connection, incident: &str, with_newest: bool, now: i64) -> rusqlite::Result<()> {
    let select = format!(
        "SELECT {STEP} FROM alerts WHERE incident = ?1 AND suppression IS NOT NULL AND released IS NULL ORDER BY revision"
    );
    let held = steps(connection, &select, params![incident])?;
    // What replaces a row of the same uid has a new place.
    let again = "INSERT OR REPLACE INTO alerts (uid, incident, revision, activity, severity, time, view, detector, caller, vendor, message, ocsf, alert,
            stored, owners, suppression, released)
        SELECT uid, incident, revision, activity, severity, time, view, detector, caller, vendor, message, ?2, alert, ?3, owners, suppression, ?3
        FROM alerts WHERE seq = ?1";
    let last = held.len().saturating_sub(1);
    for (index, Kept { seq, alert, ocsf, .. }) in held.into_iter().enumerate() {
        if index == 0 || with_newest && index == last {
            // The score of triage is in the OCSF form alone.
            let triaged = serde_json::from_str(&ocsf).ok().and_then(|ocsf| from_ocsf(&ocsf)?.triaged);
            let ocsf = to_ocsf(&Alert { suppression: None, triaged, ..alert }).to_string();
            connection.prepare_cached(again)?.execute(params![seq, ocsf, now])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
