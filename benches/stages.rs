//! Records a second by stage, each stage with all that comes before it taken away or, where it says so, with it.
//!
//! `README.md` beside this file tells what the stages are and how the figures are to be read.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use apiwarden::calls::{Calls, CallsBuilder, FingerprintKey, VendorPack};
use apiwarden::catalog::{Catalog, Limits};
use apiwarden::ingest::{DecodeSpec, Decoder, FORMATS, FileReader, FormatKind, Inputs, Place, Reading};
use apiwarden::models::bundle::Bundle;
use apiwarden::rollup::Rollup;
use apiwarden::rules::Rules;
use apiwarden::state::KeptRollups;
use apiwarden::stream::{Engine, EngineSettings};
use apiwarden::train::{History, Settings, train};
use criterion::{Criterion, Throughput};
use tempfile::{NamedTempFile, TempDir};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Names another file of records than the demo's: NDJSON, plain or zstd.
const LOGS_VARIABLE: &str = "APIWARDEN_LOGS";
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/demo/egress.ndjson.zst");
/// Records that are measured, the first of the file.
const RECORDS: usize = 50_000;
/// Calls of a frame, as the commands read them.
const CALLS_A_FRAME: usize = 16_384;
/// Times that each stage is measured.
const SAMPLES: usize = 10;
/// Time for which each format is measured: there are many.
const MOMENT: Duration = Duration::from_millis(500);

/// The records, and what the later stages need of the earlier ones.
struct Bench {
    lines: Vec<String>,
    file: NamedTempFile,
    format: &'static FormatKind,
    key: Arc<FingerprintKey>,
    frames: Vec<Calls>,
    bundle: Arc<Bundle>,
    /// What `run` keeps beside the engine, and the next part of it.
    kept: KeptRollups,
    catalog: RefCell<Catalog>,
    part: Cell<u64>,
    _home: TempDir,
}

impl Bench {
    /// Reads all records; the first are measured, and the bundle is learned from all.
    fn prepare() -> Self {
        let path = std::env::var(LOGS_VARIABLE).unwrap_or_else(|_| DEMO.to_owned());
        let mut lines = read_lines(Path::new(&path));
        let mut secret = NamedTempFile::new().expect("a file for the key");
        secret.write_all(b"only ever used in benches").expect("the key is written");
        let key = Arc::new(FingerprintKey::from_file(secret.path()).expect("a fingerprint key"));
        let first = lines.first().expect("a record");
        let format = FORMATS.iter().find(|format| matches!(format.decode(first), Ok(Reading::Call(_))));

        let mut history = History::default();
        for frame in frames(&lines, &key) {
            history.add(frame);
        }
        let vendors = VendorPack::embedded();
        let settings = Settings { fingerprint_key: key.id(), alerts_per_day: 1.0, records_left_out: 0, vendors };
        let (bundle, _) = train(history, &settings, &|_| {}).expect("a history");

        lines.truncate(RECORDS);
        let mut file = NamedTempFile::new().expect("a file for the records");
        file.write_all((lines.join("\n") + "\n").as_bytes()).expect("the records are written");
        let frames = frames(&lines, &key);
        let home = tempfile::tempdir().expect("a directory");
        let kept = KeptRollups::of(&home.path().join("rollups"));
        let catalog = Catalog::open(&home.path().join("catalog"), VendorPack::embedded(), Limits::default());
        let (catalog, part) = (RefCell::new(catalog.expect("a catalogue")), Cell::new(0));
        let (format, bundle) = (format.expect("a known format"), Arc::new(bundle));
        Self { format, frames, lines, file, key, bundle, kept, catalog, part, _home: home }
    }

    /// The alternative: what a program gets that parses first and looks for fields then.
    fn parse(&self) {
        for line in &self.lines {
            let _ = black_box(serde_json::from_str::<serde_json::Value>(black_box(line)));
        }
    }

    /// The baseline: the format's reader into a call's fields, and nothing kept.
    fn decode_bare(&self) {
        for line in &self.lines {
            let _ = black_box(self.format.decode(black_box(line)));
        }
    }

    /// The decoder and the builder, to frames of calls.
    fn build(&self) -> Vec<Calls> {
        frames(&self.lines, &self.key)
    }

    fn roll_up(&self) -> Rollup {
        let mut rollup = Rollup::default();
        self.frames.iter().for_each(|calls| rollup.add(calls));
        rollup
    }

    /// Rollups, features and the judgement of closed buckets, frame after frame as the stream does.
    fn judge(&self) -> usize {
        let mut engine = Engine::new(Arc::clone(&self.bundle), EngineSettings::default()).unwrap();
        let pushed = self.frames.iter().map(|calls| engine.push("logs-0", calls.clone()).expect("calls").len());
        let alerts: usize = pushed.sum();
        alerts + engine.finish().expect("calls").len()
    }

    /// What `apiwarden scan` does, without writing the alerts.
    fn scan(&self) -> usize {
        let settings = EngineSettings { is_bounded: true, ..EngineSettings::default() };
        let mut engine = Engine::new(Arc::clone(&self.bundle), settings).unwrap();
        self.push_all(&mut engine)
    }

    /// The same with what `run` does beside it: all shipped rules are judged, closed rollups are kept, and the catalogue is brought up to date.
    fn scan_governed(&self) -> usize {
        let settings = EngineSettings { is_bounded: true, keeps_rows: true, ..EngineSettings::default() };
        let mut engine = Engine::new(Arc::clone(&self.bundle), settings).unwrap();
        engine.govern(Arc::new(Rules::default()));
        let alerts = self.push_all(&mut engine);
        let rows = engine.take_closed_rows();
        let part = self.part.replace(self.part.get() + 1);
        self.kept.write(part, &rows).expect("the rollups are kept");
        self.catalog.borrow_mut().add(Some(part), &rows).expect("the rows are added");
        alerts
    }

    fn push_all(&self, engine: &mut Engine) -> usize {
        let inputs = Inputs::resolve(&[self.file.path().display().to_string()]).expect("the file");
        let (mut reader, mut decoder) = (FileReader::new(&inputs), decoder());
        let mut calls = CallsBuilder::new(Arc::clone(&self.key));
        loop {
            let batch = reader.next_batch(&mut decoder, &mut calls, CALLS_A_FRAME).expect("the file is read");
            engine.push("files", calls.finish()).expect("calls");
            if batch.finished {
                return engine.finish().expect("calls").len();
            }
        }
    }
}

fn decoder() -> Decoder {
    Decoder::new(&DecodeSpec::default()).expect("no specification, nothing wrong")
}

fn read_lines(path: &Path) -> Vec<String> {
    let file = std::fs::File::open(path).expect("the file of records");
    let reader: Box<dyn BufRead> = if path.extension().is_some_and(|ending| ending == "zst") {
        Box::new(BufReader::new(zstd::Decoder::new(file).expect("zstd")))
    } else {
        Box::new(BufReader::new(file))
    };
    reader.lines().map(|line| line.expect("UTF-8")).collect()
}

fn frames(lines: &[String], key: &Arc<FingerprintKey>) -> Vec<Calls> {
    let (mut decoder, mut calls) = (decoder(), CallsBuilder::new(Arc::clone(key)));
    let path: Arc<Path> = Path::new("records").into();
    let mut frames = Vec::new();
    for (line, record) in (1..).zip(lines) {
        decoder.decode(record.as_bytes(), &Place::File { path: Arc::clone(&path), line }, &mut calls);
        if calls.len() == CALLS_A_FRAME {
            frames.push(calls.finish());
        }
    }
    frames.push(calls.finish());
    frames
}

/// Each format's reader beside bare serde_json on the same bytes: the sample of the format, in one line; lines of text have no such alternative.
fn compare_formats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("formats");
    group.sample_size(SAMPLES).warm_up_time(MOMENT).measurement_time(MOMENT);
    for format in FORMATS {
        let parsed: Option<serde_json::Value> = serde_json::from_str(format.sample).ok();
        let record = parsed.as_ref().map_or_else(|| format.sample.to_owned(), serde_json::Value::to_string);
        group.throughput(Throughput::Bytes(record.len() as u64));
        group.bench_function(format!("{} decode", format.name), |run| {
            run.iter(|| drop(black_box(format.decode(black_box(&record)))));
        });
        if parsed.is_some() {
            group.bench_function(format!("{} serde_json", format.name), |run| {
                run.iter(|| drop(black_box(serde_json::from_str::<serde_json::Value>(black_box(&record)))));
            });
        }
    }
    group.finish();
}

fn main() {
    // One thread, as the program itself sets it.
    // SAFETY: no other thread exists yet.
    unsafe { std::env::set_var("POLARS_MAX_THREADS", "1") };
    let bench = Bench::prepare();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("stages");
    group.sample_size(SAMPLES).throughput(Throughput::Elements(bench.lines.len() as u64));
    group.bench_function("0 serde_json", |run| run.iter(|| bench.parse()));
    group.bench_function("1 bare decode", |run| run.iter(|| bench.decode_bare()));
    group.bench_function("2 decode and build", |run| run.iter(|| bench.build()));
    group.bench_function("3 rollup", |run| run.iter(|| bench.roll_up()));
    group.bench_function("4 rollup, features and judge", |run| run.iter(|| bench.judge()));
    group.bench_function("5 scan, end to end", |run| run.iter(|| bench.scan()));
    group.bench_function("6 scan, rules and catalogue", |run| run.iter(|| bench.scan_governed()));
    group.finish();
    compare_formats(&mut criterion);
    criterion.final_summary();
}
