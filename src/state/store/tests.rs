//! The store: change by change, after a crash, with damaged and foreign files, and on a disk that is full or read-only.

use std::collections::BTreeMap;
use std::process::Command;

use super::*;
use crate::alerts::sinks::SinkPosition;
use crate::ingest::Tally;

type Changed = Vec<(u64, Option<Vec<u8>>)>;

fn checkpoint(next: i64, is_whole: bool, entities: Changed) -> Checkpoint {
    let section: Vec<u8> = (0..20_000_u32).flat_map(|number| (number / 7 + next as u32 / 5).to_le_bytes()).collect();
    Checkpoint {
        engine: EngineState {
            is_whole,
            entities: entities.into_iter().collect(),
            sections: BTreeMap::from([("open".to_owned(), section), ("empty".to_owned(), Vec::new())]),
        },
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

fn entity(id: u64, version: u8) -> (u64, Option<Vec<u8>>) {
    (id, Some(vec![version; 300 + id as usize]))
}

/// A store with hundreds of entities, saved in several steps, and its last two checkpoints as they are to be read.
fn saved_in(directory: &Path) -> (Store, [Checkpoint; 2]) {
    let store = Store::open(directory).unwrap();
    assert_eq!(store.load().unwrap(), None);
    store.save(&checkpoint(1, true, (0..400).map(|id| entity(id, 1)).collect())).unwrap();
    store.save(&checkpoint(2, false, vec![entity(7, 2), entity(900, 2), (8, None)])).unwrap();
    let all = |changed: &[(u64, u8)], gone: &[u64]| {
        let mut all: BTreeMap<u64, Option<Vec<u8>>> = (0..400).map(|id| entity(id, 1)).collect();
        all.extend(changed.iter().map(|(id, version)| entity(*id, *version)));
        all.retain(|id, _| !gone.contains(id));
        all.into_iter().collect()
    };
    let before = checkpoint(2, true, all(&[(7, 2), (900, 2)], &[8]));
    assert_eq!(store.load().unwrap().as_ref(), Some(&before));
    store.save(&checkpoint(30, false, vec![(7, None), (7_777, None), entity(8, 3)])).unwrap();
    (store, [before, checkpoint(30, true, all(&[(900, 2), (8, 3)], &[7]))])
}

const FILE: &str = "checkpoint.redb";

/// The store's file as a crash leaves it: copied while the store is open, never closed.
fn crash(from: &Path, to: &Path) {
    std::fs::copy(from.join(FILE), to.join(FILE)).unwrap();
}

fn read_in(directory: &Path) -> Result<Option<Checkpoint>, StateError> {
    Store::open(directory)?.load()
}

#[test]
fn the_last_saved_checkpoint_survives_a_crash_whole_though_only_changes_were_written() {
    let (living, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, [_, last]) = saved_in(living.path());
    crash(living.path(), crashed.path());
    assert_eq!(read_in(crashed.path()).unwrap(), Some(last));
    let bytes = store.save(&checkpoint(30, false, vec![entity(3, 4)])).unwrap();
    assert!(bytes < 2_000, "one entity and the manifest: {bytes}");
    // Another engine's state takes the place of all.
    let other = checkpoint(1, true, vec![entity(5, 5)]);
    store.save(&other).unwrap();
    assert_eq!(store.load().unwrap(), Some(other));
}

#[test]
fn a_kill_before_the_first_checkpoint_begins_anew_without_a_word() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("checkpoint.redb.new"), "cut sh").unwrap();
    drop(Store::open(home.path()).unwrap());
    assert_eq!(read_in(home.path()).unwrap(), None);
    assert!(!home.path().join("checkpoint.redb.new").exists());
}

#[test]
fn two_processes_never_share_a_state() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Store::open(directory.path()).unwrap();
    assert!(matches!(Store::open(directory.path()), Err(StateError::InUse { .. })));
}

/// What is told of a file with this content.
fn refusal(content: &[u8]) -> String {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(FILE), content).unwrap();
    let problem = read_in(home.path()).unwrap_err();
    assert!(matches!(problem, StateError::Damaged { .. } | StateError::Format { .. }), "{problem}");
    assert!(problem.to_string().contains(FILE), "{problem}");
    problem.to_string()
}

#[test]
fn an_empty_a_cut_and_a_foreign_file_are_refused_by_name_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    drop(saved_in(home.path()));
    let whole = std::fs::read(home.path().join(FILE)).unwrap();
    assert!(refusal(b"").contains("the file is empty"));
    for length in [1, 100, 320, 4_096, whole.len() / 2, whole.len() - 4_096, whole.len() - 1] {
        assert!(refusal(&whole[..length]).contains("put the [state] directory of a backup back"), "cut to {length}");
    }
    assert!(refusal(b"SQLite format 3\0 and more").contains("damaged"));
    let foreign = Database::create(home.path().join("foreign")).unwrap();
    let transaction = foreign.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    drop(foreign);
    assert!(refusal(&std::fs::read(home.path().join("foreign")).unwrap()).contains("damaged"));
}

#[test]
fn one_flipped_byte_anywhere_never_panics_and_is_never_read_as_something_else() {
    let (home, flipped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, [before, last]) = saved_in(home.path());
    let crashed = std::fs::read(home.path().join(FILE)).unwrap();
    drop(store);
    let closed = std::fs::read(home.path().join(FILE)).unwrap();
    let mut refused = 0;
    for whole in [crashed, closed] {
        // All of the header, then here and there.
        for at in (0..400).chain((400..whole.len()).step_by(whole.len() / 300)) {
            let mut content = whole.clone();
            content[at] ^= 1 << (at % 8);
            std::fs::write(flipped.path().join(FILE), &content).unwrap();
            match read_in(flipped.path()) {
                // redb goes back to the transaction before where the last one is not whole.
                Ok(read) => assert!(read == Some(last.clone()) || read == Some(before.clone()), "byte {at}"),
                Err(StateError::Damaged { .. }) => refused += 1,
                Err(problem) => panic!("byte {at}: {problem}"),
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

/// Changes a table behind the checkpoint's back.
fn tamper(store: &Store, change: impl FnOnce(&WriteTransaction)) -> String {
    let transaction = store.database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
    store.load().unwrap_err().to_string()
}

#[test]
fn an_entity_or_chunk_that_is_missing_altered_or_of_another_time_is_found() {
    let home = tempfile::tempdir().unwrap();
    let fresh = || {
        let _ = std::fs::remove_file(home.path().join(FILE));
        saved_in(home.path()).0
    };
    let gone = tamper(&fresh(), |transaction| drop(transaction.open_table(ENTITIES).unwrap().remove(3).unwrap()));
    assert!(gone.contains("entities"), "{gone}");
    let older = tamper(&fresh(), |transaction| {
        let bytes = Compressor::new().unwrap().compress(&entity(900, 1).1.unwrap()).unwrap();
        drop(transaction.open_table(ENTITIES).unwrap().insert(900, &*bytes).unwrap());
    });
    assert!(older.contains("entities"), "{older}");
    let chunk = tamper(&fresh(), |transaction| drop(transaction.open_table(CHUNKS).unwrap().pop_first().unwrap()));
    assert!(chunk.contains("section"), "{chunk}");
    let root = tamper(&fresh(), |transaction| {
        drop(transaction.open_table(CHECKPOINT).unwrap().insert("checkpoint", [0_u8].as_slice()).unwrap());
    });
    assert!(root.contains("checksum"), "{root}");
}

#[test]
fn a_file_of_another_format_is_refused_by_its_number() {
    let home = tempfile::tempdir().unwrap();
    let (store, _) = saved_in(home.path());
    let newer = tamper(&store, |transaction| {
        let format = (FORMAT + 1).to_le_bytes();
        drop(transaction.open_table(CHECKPOINT).unwrap().insert("format", format.as_slice()).unwrap());
    });
    assert!(newer.contains(FILE) && newer.contains(&format!("format {} is unknown", FORMAT + 1)), "{newer}");
    drop(store);
    assert!(matches!(Store::open(home.path()), Err(StateError::Format { .. })), "also before anything is loaded");
}

/// A file system of some kilobytes, for as long as this lives; `None` where this user may mount none.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(kilobytes: usize) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let small = Self(home);
        let is_mounted = small.run("mount", &["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "none"]);
        if !is_mounted {
            eprintln!("run without a file system of its own: this user may not mount one");
        }
        is_mounted.then_some(small)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let output = Command::new(program).args(arguments).arg(self.0.path()).output();
        output.is_ok_and(|output| output.status.success())
    }

    fn remount(&self, options: &str) {
        assert!(self.run("mount", &["-o", &format!("remount,{options}")]));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.run("umount", &["-l"]);
    }
}

/// Entities that do not compress.
fn noise(entities: u64) -> Changed {
    let bytes = |id: u64| {
        let mut reader = blake3::Hasher::new().update(&id.to_le_bytes()).finalize_xof();
        let mut bytes = vec![0; 4_000];
        reader.fill(&mut bytes);
        bytes
    };
    (0..entities).map(|id| (id, Some(bytes(id)))).collect()
}

#[test]
fn on_a_full_disk_a_save_fails_by_name_and_the_checkpoint_before_it_stays_until_there_is_room() {
    let Some(disk) = Small::mount(4_000) else { return };
    let store = Store::open(disk.0.path()).unwrap();
    store.save(&checkpoint(1, true, noise(100))).unwrap();
    let problem = store.save(&checkpoint(2, false, noise(2_000))).unwrap_err().to_string();
    assert!(problem.contains(FILE) && problem.contains("make room and start again"), "{problem}");
    drop(store);
    crate::state::rollups::tests::assert_full(disk.0.path());
    // It can be read before there is room, or says again that there is none.
    match read_in(disk.0.path()) {
        Ok(read) => assert_eq!(read, Some(checkpoint(1, true, noise(100)))),
        Err(problem) => assert!(problem.to_string().contains("make room"), "{problem}"),
    }
    disk.remount("size=40000k");
    let store = Store::open(disk.0.path()).unwrap();
    assert_eq!(store.load().unwrap(), Some(checkpoint(1, true, noise(100))));
    store.save(&checkpoint(2, false, noise(2_000))).unwrap();
    assert_eq!(store.load().unwrap(), Some(checkpoint(2, true, noise(2_000))));
}

#[test]
fn a_read_only_directory_is_refused_by_name_and_read_once_it_may_be_written_again() {
    let Some(disk) = Small::mount(8_000) else { return };
    drop(saved_in(disk.0.path()));
    disk.remount("ro");
    let problem = Store::open(disk.0.path()).err().unwrap().to_string();
    assert!(problem.contains(FILE) && problem.contains("must be writable"), "{problem}");
    disk.remount("rw");
    assert!(read_in(disk.0.path()).unwrap().is_some());
}
