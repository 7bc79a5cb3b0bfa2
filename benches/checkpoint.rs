//! Size and time of a checkpoint over the number of entities that are known and of those that called since the one before, beside the
//! method before it: all of the state in one value, compressed and written. And the time that reading it back takes.
//!
//! `README.md` beside this file tells how the figures are to be read.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apiwarden::calls::{Calls, CallsBuilder, FingerprintKey, VendorPack};
use apiwarden::ingest::{DecodeSpec, Decoder, Place};
use apiwarden::models::bundle::Bundle;
use apiwarden::state::{Checkpoint, EngineState, Store};
use apiwarden::stream::{Engine, EngineSettings};
use apiwarden::train::{History, Settings, train};
use redb::{Database, TableDefinition};
use tempfile::NamedTempFile;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Numbers of pairs, separated by commas, in place of these.
const PAIRS_VARIABLE: &str = "APIWARDEN_PAIRS";
const PAIRS: &str = "1000,10000,100000";
const TOUCHED: [usize; 2] = [100, 1_000];
/// Checkpoints of each kind, of which the median counts.
const SAMPLES: usize = 5;
const WHOLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("whole");
/// 2026-09-01T00:00:00Z, minutes since the epoch.
const START: i64 = 1_788_220_800 / 60;
const DAY: i64 = 24 * 60;

/// Calls of these pairs in each minute.
struct Caller {
    key: Arc<FingerprintKey>,
    decoder: Decoder,
}

impl Caller {
    fn new() -> Self {
        let mut secret = NamedTempFile::new().expect("a file for the key");
        secret.write_all(b"only ever used in benches").expect("the key is written");
        let key = Arc::new(FingerprintKey::from_file(secret.path()).expect("a fingerprint key"));
        Self { key, decoder: Decoder::new(&DecodeSpec::default()).expect("no specification, nothing wrong") }
    }

    /// A call of each pair at a minute since the epoch.
    fn call(&mut self, pairs: impl Iterator<Item = usize>, minute: i64) -> Calls {
        let time = jiff::Timestamp::from_second(minute * 60).expect("a time");
        let place = Place::File { path: Path::new("records").into(), line: 1 };
        let mut calls = CallsBuilder::new(Arc::clone(&self.key));
        for pair in pairs {
            let (caller, vendor) = (pair / 10, pair % 10 + pair / 1_000);
            // As different as real ones, so that they do not compress to nothing beside each other.
            let noise = blake3::hash(format!("{pair} {minute}").as_bytes());
            let [endpoint, size, latency, host] = [0, 1, 3, 5].map(|at| u64::from(noise.as_bytes()[at]));
            let bytes = 500 + size * 71;
            let record = serde_json::json!({
                "@timestamp": time.to_string(),
                "event": { "id": format!("{pair}-{minute}"), "duration": 1_000_000 * (20 + latency) },
                "service": { "name": format!("service-{caller}") },
                "trace": { "id": noise.to_hex()[..32].to_owned() },
                "source": { "ip": format!("10.{}.{}.7", caller % 200, host % 4) },
                "http": { "request": { "method": "GET" }, "response": { "status_code": 200, "body": { "bytes": bytes } } },
                "url": { "full": format!("https://api.vendor-{vendor}.com/v1/items-{}", endpoint % 8) },
            });
            let record = record.to_string();
            self.decoder.decode(record.as_bytes(), &place, &mut calls);
        }
        calls.finish()
    }

    fn learn(&mut self, pairs: usize) -> Arc<Bundle> {
        let mut history = History::default();
        for hour in 0..4 {
            history.add(self.call(0..pairs, START + hour * 360));
        }
        let vendors = VendorPack::embedded();
        let settings = Settings { fingerprint_key: self.key.id(), alerts_per_day: 1.0, records_left_out: 0, vendors };
        Arc::new(train(history, &settings, &|_| {}).expect("a history").0)
    }
}

fn checkpoint(engine: EngineState) -> Checkpoint {
    Checkpoint { engine, ..Checkpoint::default() }
}

/// The method before: all of the state, compressed, as one value. Returns its bytes.
fn save_whole(database: &Database, engine: &Engine) -> usize {
    let state = engine.snapshot().expect("a snapshot");
    let all: Vec<u8> = state.entities.values().flatten().chain(state.sections.values()).flatten().copied().collect();
    let all = zstd::bulk::compress(&all, 1).expect("it compresses");
    let transaction = database.begin_write().expect("a transaction");
    transaction.open_table(WHOLE).expect("a table").insert("checkpoint", &*all).expect("it is written");
    transaction.commit().expect("it is synced");
    all.len()
}

fn median(mut times: Vec<(Duration, usize)>) -> (f64, usize) {
    times.sort_unstable();
    let (time, bytes) = times[times.len() / 2];
    (time.as_secs_f64(), bytes)
}

fn measure(pairs: usize) {
    let mut caller = Caller::new();
    let bundle = caller.learn(pairs);
    let settings = EngineSettings::default();
    let mut engine = Engine::new(Arc::clone(&bundle), settings.clone()).expect("the bundle fits");
    let mut minute = START + DAY;
    for _ in 0..12 {
        engine.push("logs-0", caller.call(0..pairs, minute)).expect("calls");
        minute += 6;
    }
    let home = tempfile::tempdir().expect("a directory");
    let store = Store::open(home.path()).expect("a store");
    let whole = Database::create(home.path().join("whole.redb")).expect("a database");
    let save = |engine: &mut Engine| {
        let started = Instant::now();
        let bytes = store.save(&checkpoint(engine.changes().expect("changes"))).expect("it is saved");
        engine.saved();
        (started.elapsed(), bytes)
    };
    save(&mut engine);
    for touched in TOUCHED {
        let (mut changed, mut all) = (Vec::new(), Vec::new());
        for sample in 0..SAMPLES {
            let first = sample * touched * 7;
            // The second call closes the bucket of the first.
            for count in [touched, 1] {
                let of = (0..count).map(|pair| (first + pair * 7) % pairs);
                engine.push("logs-0", caller.call(of, minute)).expect("calls");
                minute += 6;
            }
            changed.push(save(&mut engine));
            let started = Instant::now();
            let bytes = save_whole(&whole, &engine);
            all.push((started.elapsed(), bytes));
        }
        let ((time, bytes), (time_of_all, bytes_of_all)) = (median(changed), median(all));
        println!(
            "| {pairs} | {touched} | {:.1} | {:.1} | {:.3} | {} | {} | {:.3} |",
            time * 1e3,
            time_of_all * 1e3,
            time / time_of_all,
            bytes / 1_000,
            bytes_of_all / 1_000,
            bytes as f64 / bytes_of_all as f64
        );
    }
    let state = engine.snapshot().expect("a snapshot");
    drop(store);
    let started = Instant::now();
    let saved = Store::open(home.path()).and_then(|store| store.load()).expect("it is read").expect("a checkpoint");
    let read = started.elapsed();
    let again = Engine::restore(bundle, settings, &saved.engine).expect("it fits");
    let restored = started.elapsed();
    assert_eq!(again.snapshot().expect("a snapshot").entities, state.entities, "what is restored is what was saved");
    let mut sections: Vec<(usize, &String)> =
        state.sections.iter().map(|(name, bytes)| (bytes.len() / 1_000, name)).collect();
    sections.sort_unstable_by(|one, other| other.cmp(one));
    eprintln!("{pairs} pairs: {} entities, read in {read:.2?}, restored in {restored:.2?}", state.entities.len());
    eprintln!("  sections, kB: {:?}", &sections[..8]);
}

fn main() {
    // One thread, as the program itself sets it.
    // SAFETY: no other thread exists yet.
    unsafe { std::env::set_var("POLARS_MAX_THREADS", "1") };
    let pairs = std::env::var(PAIRS_VARIABLE).unwrap_or_else(|_| PAIRS.to_owned());
    println!("| pairs | touched | ms | ms, all | ratio | kB | kB, all | ratio |\n|---|---|---|---|---|---|---|---|");
    for pairs in pairs.split(',') {
        measure(pairs.parse().expect("a number of pairs"));
    }
}
