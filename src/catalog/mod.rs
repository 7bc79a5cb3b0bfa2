//! The catalogue: which third-party APIs are used, by whom, with which keys, since when. Discovered from traffic, never typed in.
//!
//! One SQLite file in a directory, `catalog.sqlite`, that people can query with tools of their own (`docs/catalog.md`). What it holds
//! follows from the rolled-up rows alone: it does not matter how they were split into batches, and it can be built again from them at any time.
//!
//! One process writes, and takes a lock to do so; any number read beside it.
//!
//! Not here: where rows come from (`rollup`, `stream`), and how tables are printed (`cli`).

pub mod annotations;
mod egress;
mod endpoints;
mod error;
pub mod export;
mod exposure;
mod impact;
mod limits;
mod list;
mod period;
mod rotation;
mod schema;
mod sheet;
mod sketch;
mod sql;
mod table;
mod time;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use self::sql::{meta, set_meta};
use self::writer::Writer;
use crate::calls::VendorPack;
use crate::rollup::Row;

pub use self::egress::{EgressScheme, EgressUse, Incomplete};
pub use self::error::CatalogError;
pub use self::exposure::Exposure;
pub use self::impact::{Impact, Target};
pub use self::limits::{Kind, Limit, Limits, MORE};
pub use self::list::{Filter, LISTS, List, QueryError, diff};
pub use self::period::{CallerFacts, CredentialFacts, DayFacts, Facts, Known, Novel, Period, Span, VendorFacts};
pub use self::rotation::{CredentialState, RotationLimits, rotations};
pub use self::sheet::{Sheet, Term};
pub use self::table::{Table, Value};
pub use self::time::{Since, SinceError};
pub use self::writer::DAYS_KEPT;

/// Name of the file in its directory.
const FILE: &str = "catalog.sqlite";
/// Name of the file whose lock the writer holds.
const LOCK: &str = "catalog.lock";
/// How long a statement waits for another process.
const BUSY: Duration = Duration::from_secs(5);
/// The last part that was added.
const PART: &str = "part";

/// A catalogue, open to be written.
pub struct Catalog {
    path: PathBuf,
    connection: Connection,
    limits: Limits,
    vendors: Arc<VendorPack>,
    /// `None` until the first rows, and after a transaction that failed.
    writer: Option<Writer>,
    /// Held while this is open.
    _lock: File,
}

impl Catalog {
    /// Opens the catalogue in a directory, or makes an empty one.
    ///
    /// # Errors
    /// [`CatalogError`]: also where another process writes to it.
    pub fn open(directory: &Path, vendors: Arc<VendorPack>, limits: Limits) -> Result<Self, CatalogError> {
        let path = directory.join(FILE);
        let io = |path: &Path| {
            let path = path.to_owned();
            move |problem| CatalogError::Io { path, problem }
        };
        std::fs::create_dir_all(directory).map_err(io(directory))?;
        let lock_path = directory.join(LOCK);
        let lock = File::options().create(true).append(true).open(&lock_path).map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CatalogError::Locked { path }),
            Err(TryLockError::Error(problem)) => return Err(CatalogError::Io { path: lock_path, problem }),
        }
        let mut connection = Connection::open(&path).map_err(|problem| CatalogError::of(&path, problem))?;
        configure(&connection).map_err(|problem| CatalogError::of(&path, problem))?;
        schema::version(&connection, &path)?;
        // Readers go on while it is written.
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
            .map_err(|problem| CatalogError::of(&path, problem))?;
        schema::migrate(&mut connection, &path)?;
        Ok(Self { path, connection, limits, vendors, writer: None, _lock: lock })
    }

    /// The last part that was added.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn part(&self) -> Result<Option<u64>, CatalogError> {
        let part = meta::<i64>(&self.connection, PART).map_err(|problem| CatalogError::of(&self.path, problem))?;
        Ok(part.and_then(|part| u64::try_from(part).ok()))
    }

    /// Adds rows in one transaction. A part that is not after the last one was added before, and is skipped; whether it was added.
    ///
    /// # Errors
    /// [`CatalogError`]; the catalogue is then as it was before.
    pub fn add(&mut self, part: Option<u64>, rows: &[Row]) -> Result<bool, CatalogError> {
        let part = part.map(|part| i64::try_from(part).unwrap_or(i64::MAX));
        self.transaction(|catalog| {
            let last: Option<i64> = meta(&catalog.connection, PART)?;
            if part.is_some() && part <= last {
                return Ok(false);
            }
            catalog.write(rows)?;
            if let Some(part) = part {
                set_meta(&catalog.connection, PART, part)?;
            }
            Ok(true)
        })
    }

    /// Forgets which parts were added, and keeps what they held: parts are numbered anew from now on. Whether there were any.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn forget_parts(&mut self) -> Result<bool, CatalogError> {
        let forgotten = self.connection.execute("DELETE FROM meta WHERE key = ?1", [PART]);
        forgotten.map(|count| count > 0).map_err(|problem| CatalogError::of(&self.path, problem))
    }

    /// Begins to replace the content: what is there stays until the new content is whole.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn rebuild(&mut self) -> Result<Rebuild<'_>, CatalogError> {
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        let emptied = begun.and_then(|()| {
            let tables = ["usage", "trait", "day", "endpoint", "host", "vendor", "overflow", "version", "meta", "name"];
            self.connection.execute_batch(&tables.map(|table| format!("DELETE FROM {table};")).concat())
        });
        self.writer = Some(Writer::new(self.limits.clone(), Arc::clone(&self.vendors)));
        let rebuild = Rebuild { catalog: self, is_finished: false };
        match emptied {
            Ok(()) => Ok(rebuild),
            Err(problem) => Err(CatalogError::of(&rebuild.catalog.path, problem)),
        }
    }

    fn write(&mut self, rows: &[Row]) -> rusqlite::Result<()> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::load(self.limits.clone(), Arc::clone(&self.vendors), &self.connection)?,
        };
        writer.add(&self.connection, rows)?;
        self.writer = Some(writer);
        Ok(())
    }

    fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> rusqlite::Result<T>) -> Result<T, CatalogError> {
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        let done = begun.and_then(|()| work(self)).and_then(|done| {
            self.connection.execute_batch("COMMIT")?;
            Ok(done)
        });
        done.map_err(|problem| {
            self.roll_back();
            CatalogError::of(&self.path, problem)
        })
    }

    fn roll_back(&mut self) {
        self.writer = None;
        if !self.connection.is_autocommit() {
            // Where this fails too, the transaction ends with the connection.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

/// New content of a catalogue, which takes the place of the old when it is finished.
pub struct Rebuild<'a> {
    catalog: &'a mut Catalog,
    is_finished: bool,
}

impl Rebuild<'_> {
    /// Adds rows.
    ///
    /// # Errors
    /// [`CatalogError`]; the catalogue is then as it was before.
    pub fn add(&mut self, rows: &[Row]) -> Result<(), CatalogError> {
        self.catalog.write(rows).map_err(|problem| CatalogError::of(&self.catalog.path, problem))
    }

    /// Puts the new content in the place of the old; parts up to `part` count as added.
    ///
    /// # Errors
    /// [`CatalogError`]; the catalogue is then as it was before.
    pub fn finish(mut self, part: Option<u64>) -> Result<(), CatalogError> {
        let connection = &self.catalog.connection;
        let part = part.map(|part| i64::try_from(part).unwrap_or(i64::MAX));
        let marked = part.map_or(Ok(()), |part| set_meta(connection, PART, part));
        marked
            .and_then(|()| connection.execute_batch("COMMIT; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);"))
            .map_err(|problem| CatalogError::of(&self.catalog.path, problem))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Rebuild<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.catalog.roll_back();
        }
    }
}

/// A catalogue, open to be read.
pub struct Reader {
    path: PathBuf,
    connection: Connection,
}

impl Reader {
    /// Opens the catalogue in a directory.
    ///
    /// # Errors
    /// [`CatalogError`]: also where there is none.
    pub fn open(directory: &Path) -> Result<Self, CatalogError> {
        let path = directory.join(FILE);
        if !path.exists() {
            return Err(CatalogError::Missing { path });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&path, flags).and_then(|connection| {
            configure(&connection)?;
            Ok(connection)
        });
        let connection = opened.map_err(|problem| CatalogError::of(&path, problem))?;
        match schema::version(&connection, &path)? {
            0 => return Err(CatalogError::Missing { path }),
            found if found < schema::VERSION => {
                return Err(CatalogError::Older { path, found, known: schema::VERSION });
            }
            _ => {}
        }
        // A page that is lost may look like the end of a table: the answer would be a part of it, and nobody would know.
        let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        match checked.map_err(|problem| CatalogError::of(&path, problem))? {
            fine if fine == "ok" => Ok(Self { path, connection }),
            what => Err(CatalogError::Damaged { path, what }),
        }
    }

    /// The time of the newest call, microseconds since the epoch; `None` where there is no call.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn newest(&self) -> Result<Option<i64>, CatalogError> {
        self.ask(|connection| connection.query_row("SELECT max(last_seen) FROM usage", [], |row| row.get(0)))
    }

    /// Asks the database.
    fn ask<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, CatalogError> {
        question(&self.connection).map_err(|problem| CatalogError::of(&self.path, problem))
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "cache_size", -65_536)?;
    // Texts in the file are data: a schema that was tampered with cannot call functions.
    connection.pragma_update(None, "trusted_schema", false)
}
