//! The checkpoint on disk: one redb file, `checkpoint.redb`, with one table of three entries.
//!
//! | key | value |
//! |---|---|
//! | `format` | [`FORMAT`], 4 bytes, little-endian |
//! | `checkpoint` | the checkpoint in postcard, the engine's part compressed with zstd |
//! | `checksum` | BLAKE3 of `format` and `checkpoint` |
//!
//! redb replaces all three in one synced transaction, and locks the file against a second process.
//!
//! Not here: what the checkpoint's parts mean ([`Checkpoint`]).

use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, TableDefinition, TableError};

use super::Checkpoint;

/// Format version written here. A file with another version is refused.
const FORMAT: u32 = 3;
const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("checkpoint");
/// Size of redb's page cache, bytes: a checkpoint is written repeatedly and read once.
const CACHE_BYTES: usize = 8 << 20;
/// zstd level: the fastest regular one, since a checkpoint is written every few seconds.
const COMPRESSION_LEVEL: i32 = 1;
/// Limit on the uncompressed engine snapshot, bytes: a larger length is taken for corruption.
const MAX_ENGINE_BYTES: usize = 8 << 30;

/// Why the state cannot be used. Each variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has the file open.
    #[error("{}: another apiwarden is using this state; give each its own [state] directory", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The directory or the file cannot be created, read or written.
    #[error("{}: {problem}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// The error of redb or the system.
        problem: redb::Error,
    },
    /// Written by another version of the program, in an unknown format.
    #[error("{}: checkpoint format {found} is unknown (this program reads {FORMAT}); run the version that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
    },
    /// The content is not what was written: it is corrupted.
    #[error("{}: the checkpoint is damaged ({what}); remove the file to start from the group's committed offsets", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The part that does not match.
        what: &'static str,
    },
}

/// The checkpoint file, open in one process at a time.
pub struct Store {
    path: PathBuf,
    database: Database,
}

impl Store {
    /// Opens the store in `directory`, or creates it.
    ///
    /// # Errors
    /// [`StateError::InUse`] or [`StateError::Storage`].
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let path = directory.join("checkpoint.redb");
        std::fs::create_dir_all(directory)
            .map_err(|problem| StateError::Storage { path: path.clone(), problem: redb::Error::Io(problem) })?;
        match Database::builder().set_cache_size(CACHE_BYTES).create(&path) {
            Ok(database) => Ok(Self { path, database }),
            Err(DatabaseError::DatabaseAlreadyOpen) => Err(StateError::InUse { path }),
            Err(problem) => Err(StateError::Storage { path, problem: problem.into() }),
        }
    }

    /// Replaces the checkpoint, and returns its size in bytes once it is on disk.
    ///
    /// # Errors
    /// [`StateError::Storage`]; the previous checkpoint then stays valid.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<usize, StateError> {
        let body = encode(checkpoint).map_err(|what| self.damaged(what))?;
        self.write(&body).map_err(|problem| self.storage(problem))?;
        Ok(body.len())
    }

    /// The last saved checkpoint, if any.
    ///
    /// # Errors
    /// [`StateError::Storage`], [`StateError::Format`] or [`StateError::Damaged`].
    pub fn load(&self) -> Result<Option<Checkpoint>, StateError> {
        let Some([format, body, checksum]) = self.read().map_err(|problem| self.storage(problem))? else {
            return Ok(None);
        };
        let format: [u8; 4] = format.try_into().map_err(|_| self.damaged("format version"))?;
        if u32::from_le_bytes(format) != FORMAT {
            return Err(StateError::Format { path: self.path.clone(), found: u32::from_le_bytes(format) });
        }
        if checksum_of(format, &body).as_bytes().as_slice() != checksum {
            return Err(self.damaged("checksum"));
        }
        decode(&body).map(Some).map_err(|what| self.damaged(what))
    }

    fn write(&self, body: &[u8]) -> Result<(), redb::Error> {
        let format = FORMAT.to_le_bytes();
        // Immediate durability is redb's default: commit returns after the sync.
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(TABLE)?;
            table.insert("format", format.as_slice())?;
            table.insert("checkpoint", body)?;
            table.insert("checksum", checksum_of(format, body).as_bytes().as_slice())?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn read(&self) -> Result<Option<[Vec<u8>; 3]>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = match transaction.open_table(TABLE) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(problem) => return Err(problem.into()),
        };
        let entry = |key: &str| -> Result<Vec<u8>, redb::Error> {
            Ok(table.get(key)?.map(|value| value.value().to_vec()).unwrap_or_default())
        };
        Ok(Some([entry("format")?, entry("checkpoint")?, entry("checksum")?]))
    }

    fn storage(&self, problem: redb::Error) -> StateError {
        StateError::Storage { path: self.path.clone(), problem }
    }

    fn damaged(&self, what: &'static str) -> StateError {
        StateError::Damaged { path: self.path.clone(), what }
    }
}

fn checksum_of(format: [u8; 4], body: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update(&format).update(body).finalize()
}

fn encode(checkpoint: &Checkpoint) -> Result<Vec<u8>, &'static str> {
    let engine = zstd::bulk::compress(&checkpoint.engine, COMPRESSION_LEVEL)
        .map_err(|_| "the engine snapshot does not compress")?;
    let rest = Checkpoint { engine: Vec::new(), ..checkpoint.clone() };
    postcard::to_stdvec(&(checkpoint.engine.len(), engine, rest)).map_err(|_| "the checkpoint does not serialize")
}

fn decode(body: &[u8]) -> Result<Checkpoint, &'static str> {
    let (length, engine, rest): (usize, Vec<u8>, Checkpoint) = postcard::from_bytes(body).map_err(|_| "layout")?;
    if length > MAX_ENGINE_BYTES {
        return Err("length of the engine snapshot");
    }
    let engine = zstd::bulk::decompress(&engine, length).map_err(|_| "compression of the engine snapshot")?;
    Ok(Checkpoint { engine, ..rest })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::alerts::sinks::SinkPosition;
    use crate::ingest::Tally;

    fn checkpoint(next: i64) -> Checkpoint {
        Checkpoint {
            engine: vec![7; 100_000],
            offsets: BTreeMap::from([("api-logs/3".to_owned(), next)]),
            sinks: BTreeMap::from([("file:alerts".to_owned(), SinkPosition::Length(42))]),
            bundle: "1".to_owned(),
            tallies: BTreeMap::from([("api-logs".to_owned(), Tally { calls: 7, ..Tally::default() })]),
            delay: Some(2_000_000),
            next_part: 3,
            tick: None,
            watch: vec![1, 2],
        }
    }

    /// The store's file as a crash leaves it: copied while the store is open, never closed.
    fn crash(from: &Path, to: &Path) {
        std::fs::copy(from.join("checkpoint.redb"), to.join("checkpoint.redb")).unwrap();
    }

    #[test]
    fn the_last_saved_checkpoint_survives_a_crash() {
        let (living, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(living.path()).unwrap();
        assert_eq!(store.load().unwrap(), None);
        store.save(&checkpoint(1)).unwrap();
        let bytes = store.save(&checkpoint(2)).unwrap();
        assert!(bytes < 10_000, "the engine is compressed: {bytes}");
        crash(living.path(), crashed.path());
        assert_eq!(Store::open(crashed.path()).unwrap().load().unwrap(), Some(checkpoint(2)));
    }

    #[test]
    fn two_processes_never_share_a_state() {
        let directory = tempfile::tempdir().unwrap();
        let _first = Store::open(directory.path()).unwrap();
        assert!(matches!(Store::open(directory.path()), Err(StateError::InUse { .. })));
    }

    fn tamper(store: &Store, key: &str, value: &[u8]) {
        let transaction = store.database.begin_write().unwrap();
        transaction.open_table(TABLE).unwrap().insert(key, value).unwrap();
        transaction.commit().unwrap();
    }

    #[test]
    fn a_corrupted_or_unknown_file_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.save(&checkpoint(1)).unwrap();
        let mut body = encode(&checkpoint(1)).unwrap();
        *body.last_mut().unwrap() ^= 1;
        tamper(&store, "checkpoint", &body);
        let damaged = store.load().unwrap_err().to_string();
        assert!(damaged.contains("checkpoint.redb") && damaged.contains("checksum"), "{damaged}");
        tamper(&store, "format", &(FORMAT + 1).to_le_bytes());
        assert!(matches!(store.load(), Err(StateError::Format { found, .. }) if found == FORMAT + 1));
    }
}
