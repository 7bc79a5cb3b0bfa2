//! The checkpoint on disk: one redb file, `checkpoint.redb`, with three tables.
//!
//! | table | key | value |
//! |---|---|---|
//! | `checkpoint` | `format` | [`FORMAT`], 4 bytes, little-endian |
//! | | `checkpoint` | the checkpoint in postcard, but for what the other tables hold of the engine; nothing before the first one |
//! | | `checksum` | BLAKE3 of `format` and `checkpoint` |
//! | `entities` | address of an entity | its state, compressed with zstd |
//! | `chunks` | BLAKE3 of a chunk | a chunk of a section, compressed with zstd |
//!
//! A checkpoint writes the entities that changed and the chunks that are new, and removes those that are gone, in one synced transaction:
//! its size follows what changed. The checkpoint names the chunks of each section, and has the number of entities and the sum of their
//! checksums, so that whatever is missing, altered or left over is found when it is read. redb locks the file against a second process.
//!
//! Not here: what the checkpoint's parts mean ([`Checkpoint`]).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Once;

use redb::{Builder, Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::chunks::{self, Compressor, Hash};
use super::{Checkpoint, EngineState, StateError};

/// Format version written here. A file with another version is refused.
pub(super) const FORMAT: u32 = 4;
const CHECKPOINT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("checkpoint");
const ENTITIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entities");
const CHUNKS: TableDefinition<'_, Hash, &[u8]> = TableDefinition::new("chunks");
/// Size of redb's page cache, bytes: a checkpoint is written repeatedly and read once.
const CACHE_BYTES: usize = 16 << 20;
/// Limit on an entity's uncompressed state, bytes: a larger one is taken for corruption.
const MAX_ENTITY_BYTES: usize = 64 << 20;

/// The checkpoint file, open in one process at a time.
pub struct Store {
    path: PathBuf,
    database: Database,
}

/// A checkpoint, and what must stand in the other tables.
#[derive(Debug, Serialize, Deserialize)]
struct Root {
    checkpoint: Checkpoint,
    sections: BTreeMap<String, Vec<Hash>>,
    entities: Entities,
}

/// What is known of all entities together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entities {
    count: u64,
    /// The checksums of all, in any order: XOR of BLAKE3 of address and bytes.
    checksum: Hash,
}

impl Entities {
    fn toggle(&mut self, id: u64, bytes: &[u8]) {
        let hash = blake3::Hasher::new().update(&id.to_le_bytes()).update(bytes).finalize();
        self.checksum.iter_mut().zip(hash.as_bytes()).for_each(|(sum, byte)| *sum ^= byte);
    }

    fn add(&mut self, id: u64, bytes: &[u8]) {
        self.toggle(id, bytes);
        self.count = self.count.wrapping_add(1);
    }

    fn remove(&mut self, id: u64, bytes: &[u8]) {
        self.toggle(id, bytes);
        self.count = self.count.wrapping_sub(1);
    }
}

/// Why a file is not read.
enum Unread {
    Redb(redb::Error),
    Format(u32),
    Damaged(&'static str),
}

impl<E: Into<redb::Error>> From<E> for Unread {
    fn from(problem: E) -> Self {
        Self::Redb(problem.into())
    }
}

impl Store {
    /// Opens the store in `directory` and checks its file, or creates it.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let path = directory.join("checkpoint.redb");
        fs::create_dir_all(directory).map_err(|problem| StateError::io(&path, problem))?;
        // Who opens the store next waits until it is there, where the file system knows such locks.
        let guard = File::open(directory).map_err(|problem| StateError::io(&path, problem))?;
        let _ = guard.lock();
        let database = checked(&path, || {
            let is_there = path.try_exists().map_err(redb::Error::Io)?;
            let database = if is_there { open(&path)? } else { create(&path, &guard)? };
            read_root(&database)?;
            Ok(database)
        })?;
        Ok(Self { path, database })
    }

    /// Writes a checkpoint, of whose engine's state only what changed since the one before need be given, and returns how many bytes were
    /// written once they are on disk.
    ///
    /// # Errors
    /// [`StateError::Storage`]; the previous checkpoint then stays valid, and what changed must be given again.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<usize, StateError> {
        checked(&self.path, || {
            let transaction = self.database.begin_write()?;
            let written = write(&transaction, checkpoint)?;
            // Immediate durability is redb's default: commit returns after the sync.
            transaction.commit()?;
            Ok(written)
        })
    }

    /// The last saved checkpoint with all of the engine's state, if any.
    ///
    /// # Errors
    /// [`StateError::Storage`], [`StateError::Format`] or [`StateError::Damaged`].
    pub fn load(&self) -> Result<Option<Checkpoint>, StateError> {
        checked(&self.path, || read(&self.database))
    }
}

fn open(path: &Path) -> Result<Database, Unread> {
    // redb would take it for a new file.
    if fs::metadata(path).map_err(redb::Error::Io)?.len() == 0 {
        return Err(Unread::Damaged("the file is empty"));
    }
    Ok(Builder::new().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).open(path)?)
}

/// Creates the file beside its place, which it takes with a first entry: so a file without one is damaged, and a kill leaves no such file.
fn create(path: &Path, directory: &File) -> Result<Database, Unread> {
    let beside = path.with_extension("redb.new");
    if beside.exists() {
        fs::remove_file(&beside).map_err(redb::Error::Io)?;
    }
    let database = Builder::new().set_cache_size(CACHE_BYTES).create(&beside)?;
    let transaction = database.begin_write()?;
    write_root(&transaction, None)?;
    transaction.commit()?;
    fs::rename(&beside, path).map_err(redb::Error::Io)?;
    directory.sync_all().map_err(redb::Error::Io)?;
    Ok(database)
}

fn write(transaction: &WriteTransaction, checkpoint: &Checkpoint) -> Result<usize, Unread> {
    let state = &checkpoint.engine;
    let before = root_of(&transaction.open_table(CHECKPOINT)?)?;
    let (mut entities, chunks_before) = match before {
        Some(root) => (root.entities, root.sections.into_values().flatten().collect()),
        None => (Entities::default(), BTreeSet::new()),
    };
    if state.is_whole {
        transaction.delete_table(ENTITIES)?;
        entities = Entities::default();
    }
    let mut compressor = Compressor::new().map_err(redb::Error::Io)?;
    let of_entities = write_entities(transaction.open_table(ENTITIES)?, state, &mut entities, &mut compressor)?;
    let (sections, of_chunks) =
        write_sections(transaction.open_table(CHUNKS)?, state, &chunks_before, &mut compressor)?;
    let checkpoint = Checkpoint { engine: EngineState::default(), ..checkpoint.clone() };
    Ok(of_entities + of_chunks + write_root(transaction, Some(&Root { checkpoint, sections, entities }))?)
}

fn write_entities(
    mut table: Table<'_, u64, &'static [u8]>,
    state: &EngineState,
    all: &mut Entities,
    compressor: &mut Compressor,
) -> Result<usize, Unread> {
    let mut written = 0;
    for (id, bytes) in &state.entities {
        let before = match bytes {
            Some(bytes) => {
                let bytes = compressor.compress(bytes).map_err(redb::Error::Io)?;
                all.add(*id, &bytes);
                written += bytes.len();
                table.insert(*id, &*bytes)?
            }
            None => table.remove(*id)?,
        };
        if let Some(before) = before {
            all.remove(*id, before.value());
        }
    }
    Ok(written)
}

fn write_sections(
    mut table: Table<'_, Hash, &'static [u8]>,
    state: &EngineState,
    before: &BTreeSet<Hash>,
    compressor: &mut Compressor,
) -> Result<(BTreeMap<String, Vec<Hash>>, usize), Unread> {
    let (mut sections, mut now, mut written) = (BTreeMap::new(), BTreeSet::new(), 0);
    for (name, bytes) in &state.sections {
        let hashes: &mut Vec<Hash> = sections.entry(name.clone()).or_default();
        for (hash, chunk) in chunks::cut(bytes) {
            hashes.push(hash);
            if now.insert(hash) && !before.contains(&hash) {
                let chunk = compressor.compress(chunk).map_err(redb::Error::Io)?;
                written += chunk.len();
                table.insert(hash, &*chunk)?;
            }
        }
    }
    for hash in before.difference(&now) {
        table.remove(hash)?;
    }
    Ok((sections, written))
}

fn write_root(transaction: &WriteTransaction, root: Option<&Root>) -> Result<usize, Unread> {
    let (format, body) = (FORMAT.to_le_bytes(), postcard::to_stdvec(&root));
    let body = body.map_err(|_| Unread::Damaged("the checkpoint does not serialize"))?;
    let mut table = transaction.open_table(CHECKPOINT)?;
    table.insert("format", format.as_slice())?;
    table.insert("checkpoint", &*body)?;
    table.insert("checksum", checksum_of(format, &body).as_bytes().as_slice())?;
    Ok(body.len())
}

fn checksum_of(format: [u8; 4], body: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update(&format).update(body).finalize()
}

fn read_root(database: &Database) -> Result<Option<Root>, Unread> {
    root_of(&database.begin_read()?.open_table(CHECKPOINT)?)
}

fn root_of(table: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<Option<Root>, Unread> {
    let entry = |key| -> Result<Vec<u8>, redb::Error> {
        Ok(table.get(key)?.map(|value| value.value().to_vec()).unwrap_or_default())
    };
    let format: [u8; 4] = entry("format")?.try_into().map_err(|_| Unread::Damaged("format version"))?;
    if format != FORMAT.to_le_bytes() {
        return Err(Unread::Format(u32::from_le_bytes(format)));
    }
    let body = entry("checkpoint")?;
    if checksum_of(format, &body).as_bytes().as_slice() != entry("checksum")? {
        return Err(Unread::Damaged("checksum"));
    }
    postcard::from_bytes(&body).map_err(|_| Unread::Damaged("layout"))
}

fn read(database: &Database) -> Result<Option<Checkpoint>, Unread> {
    let Some(Root { mut checkpoint, sections, entities }) = read_root(database)? else { return Ok(None) };
    let transaction = database.begin_read()?;
    let state = &mut checkpoint.engine;
    state.is_whole = true;
    let mut found = Entities::default();
    for entry in transaction.open_table(ENTITIES)?.iter()? {
        let (id, bytes) = entry?;
        found.add(id.value(), bytes.value());
        // Not `bulk::decompress`, which takes all the room at once that it may need.
        let bytes = zstd::stream::decode_all(bytes.value()).ok().filter(|bytes| bytes.len() <= MAX_ENTITY_BYTES);
        state.entities.insert(id.value(), Some(bytes.ok_or(Unread::Damaged("an entity"))?));
    }
    if found != entities {
        return Err(Unread::Damaged("checksum of the entities"));
    }
    let table = transaction.open_table(CHUNKS)?;
    for (name, hashes) in sections {
        let section = state.sections.entry(name).or_default();
        for hash in hashes {
            let chunk = table.get(hash)?.and_then(|bytes| chunks::restore(&hash, bytes.value()));
            section.extend(chunk.ok_or(Unread::Damaged("a section"))?);
        }
    }
    Ok(Some(checkpoint))
}

thread_local! {
    /// Whether panics of this thread are caught, and told as errors.
    static IS_CHECKED: Cell<bool> = const { Cell::new(false) };
}

/// Does something with the file. Where its content makes redb panic, it is damaged.
fn checked<T>(path: &Path, action: impl FnOnce() -> Result<T, Unread>) -> Result<T, StateError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_CHECKED.get() {
                usual(info);
            }
        }));
    });
    IS_CHECKED.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(action));
    IS_CHECKED.set(false);
    let damaged = |what: &str| StateError::Damaged { path: path.to_owned(), what: what.to_owned() };
    result.unwrap_or(Err(Unread::Damaged("its structure"))).map_err(|problem| match problem {
        Unread::Redb(problem) => StateError::of(path, problem),
        Unread::Format(found) => StateError::Format { path: path.to_owned(), found },
        Unread::Damaged(what) => damaged(what),
    })
}

#[cfg(test)]
mod tests;
