//! `apiwarden demo`: the whole pipeline, from a Kafka-protocol broker to alerts, with nothing to set up.
//!
//! The broker is librdkafka's in-process mock cluster. It keeps only 5 MiB per partition and silently drops the rest, so the
//! producer waits for the consumer; the summary shows that every record sent was read.
//!
//! Beside the stream it fills a catalogue, so that `apiwarden audit` has something to report on.
//!
//! Not here: checkpoints and sinks. The demo keeps no state and prints its alerts as cards; the file of alerts is written at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::output::{print_line, print_text};
use super::output_file::OutputFile;
use super::reading::{Setup, bytes_bar};
use crate::alerts::{Activity, Alert, Severity, Style, card, to_ocsf};
use crate::calls::Calls;
use crate::calls::CallsBuilder;
use crate::catalog::annotations::{self, Annotations};
use crate::catalog::{Catalog, Limits, Reader, Since};
use crate::ingest::kafka::{Consumer, Event, Spec, Start};
use crate::ingest::{Decoder, Place};
use crate::models::aside::Aside;
use crate::pipeline;
use crate::report::{Report, ReportError, Sources};
use crate::rollup::Rollup;
use crate::rules::Rules;
use crate::stream::{Engine, EngineSettings};
use crate::train::{History, Settings, train};

/// Two weeks of calls by seven services: ten benign days, then four days with attacks, faults and harmless changes.
const SAMPLE: &[u8] = include_bytes!("../../datasets/demo/egress.ndjson.zst");
/// Start of the test days: earlier calls are the training history. 2026-09-15T00:00:00Z, microseconds since the epoch.
const SPLIT: i64 = 1_789_430_400_000_000;
/// The same as the day that times of records begin with; text sorts as time does.
const SPLIT_DAY: &str = "2026-09-15";
/// The file of the test days, for a scan that repeats what the demo shows.
const TEST_DAYS: &str = "test-days.ndjson.zst";
/// What the company of the sample allows, and what it declares of its vendors.
const POLICY: &str = include_str!("../../datasets/demo/policy.toml");
const DECLARED: &str = include_str!("../../datasets/demo/annotations.toml");
const PIPELINE: &str = "[governance]\npolicy = \"policy.toml\"\n";
/// Days that `apiwarden audit` reports on unless told otherwise.
const REPORTED_DAYS: i64 = 30;
const TOPIC: &str = "api-logs";
/// Limit on bytes sent and not yet read: less than the mock cluster keeps.
const MAX_IN_FLIGHT: u64 = 3 << 20;
/// Time without a record after which the demo gives up.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the whole pipeline in about twenty seconds: an in-process broker, two weeks of logs, training, alerts.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden demo")]
pub(super) struct Demo {
    /// Directory for the sample logs and the trained bundle [default: apiwarden-demo in the temporary directory].
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

/// Counters that producer and consumer share: bytes sent and read, records sent.
#[derive(Debug, Default)]
struct Traffic {
    sent_bytes: AtomicU64,
    read_bytes: AtomicU64,
    sent: AtomicU64,
}

impl Demo {
    pub fn run(self) -> anyhow::Result<()> {
        let began = Instant::now();
        let directory = match self.directory {
            Some(directory) => {
                fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
                directory
            }
            None => own_directory(std::env::temp_dir().join("apiwarden-demo"))?,
        };
        let setup = Setup::of(None)?;

        let cluster = MockCluster::new(1).context("cannot start the embedded broker")?;
        cluster.create_topic(TOPIC, 1, 1).context("cannot create the topic on the embedded broker")?;
        let brokers = cluster.bootstrap_servers();
        print_line(format_args!(
            "Embedded broker at {brokers}, topic {TOPIC}. Replaying two weeks of calls by seven services …\n"
        ))?;
        let traffic = Arc::new(Traffic::default());
        let replay = {
            let (brokers, traffic) = (brokers.clone(), Arc::clone(&traffic));
            thread::spawn(move || replay(&brokers, &traffic))
        };
        let mut show = Show::new(setup, &directory)?;
        consume(&brokers, &traffic, &replay, &mut show)?;
        replay.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
        show.finish(&traffic, began.elapsed(), &directory)
    }
}

/// Makes a directory for this user alone, at a path that everybody knows: what somebody else has put there, or a link, is refused.
fn own_directory(directory: PathBuf) -> anyhow::Result<PathBuf> {
    let name = || directory.display().to_string();
    match DirBuilder::new().mode(0o700).create(&directory) {
        Err(problem) if problem.kind() != io::ErrorKind::AlreadyExists => return Err(problem).with_context(name),
        _ => {}
    }
    let found = fs::symlink_metadata(&directory).with_context(name)?;
    anyhow::ensure!(found.is_dir(), "{}: is a link or a file: name a directory with --directory", name());
    // A file of our own has our user id.
    let mut file = Aside::of(&directory.join(TEST_DAYS));
    let owner = file.create_file().and_then(|file| file.metadata()).with_context(name)?.uid();
    anyhow::ensure!(owner == found.uid(), "{}: belongs to another user: name another with --directory", name());
    Ok(directory)
}

/// Sends the sample, with never more in flight than the broker keeps.
fn replay(brokers: &str, traffic: &Traffic) -> anyhow::Result<()> {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "5").create()?;
    let mut lines = BufReader::new(zstd::Decoder::new(SAMPLE)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let record = line.trim_ascii_end();
        let in_flight =
            || traffic.sent_bytes.load(Ordering::Acquire).saturating_sub(traffic.read_bytes.load(Ordering::Acquire));
        while in_flight() > MAX_IN_FLIGHT {
            producer.poll(Duration::from_millis(1));
        }
        while let Err((error, _)) = producer.send(BaseRecord::<(), [u8]>::to(TOPIC).payload(record)) {
            anyhow::ensure!(
                error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
                "a record could not be sent: {error}"
            );
            producer.poll(Duration::from_millis(5));
        }
        traffic.sent_bytes.fetch_add(record.len() as u64, Ordering::AcqRel);
        traffic.sent.fetch_add(1, Ordering::AcqRel);
        line.clear();
    }
    producer.flush(TIMEOUT)?;
    Ok(())
}

fn consume(
    brokers: &str,
    traffic: &Traffic,
    replay: &thread::JoinHandle<anyhow::Result<()>>,
    show: &mut Show,
) -> anyhow::Result<()> {
    let source = Spec {
        brokers: brokers.to_owned(),
        topics: vec![TOPIC.to_owned()],
        group: "apiwarden-demo".to_owned(),
        keyed_by_caller: false,
        start: Start::Earliest,
        properties: BTreeMap::new(),
    };
    let consumer = Consumer::open(&source.check(Path::new("."))?, None)?;
    let mut last_read = Instant::now();
    loop {
        match consumer.poll()? {
            Event::Records(batches) => {
                last_read = Instant::now();
                for batch in &batches {
                    let mut bytes = 0;
                    for record in &batch.records {
                        let value = record.payload().unwrap_or_default();
                        bytes += value.len() as u64;
                        let topic = Arc::clone(&batch.partition.topic);
                        let place = Place::Kafka { topic, partition: record.partition(), offset: record.offset() };
                        show.read(value, &place);
                    }
                    traffic.read_bytes.fetch_add(bytes, Ordering::AcqRel);
                    show.judge()?;
                }
            }
            Event::Assigned(partitions) => drop(consumer.take(&partitions, &BTreeMap::new())?),
            Event::Revoked(partitions) => consumer.release(&partitions)?,
            Event::Quiet => {
                if replay.is_finished() && show.records >= traffic.sent.load(Ordering::Acquire) {
                    return Ok(());
                }
                anyhow::ensure!(last_read.elapsed() < TIMEOUT, "no record from the embedded broker for 30 seconds");
            }
        }
    }
}

/// Where the demo puts what it leaves behind.
struct Places {
    model: PathBuf,
    catalog: PathBuf,
    pipeline: PathBuf,
    alerts: PathBuf,
}

impl Places {
    /// The places in a directory, with the files of the sample's company.
    fn in_directory(directory: &Path) -> anyhow::Result<Self> {
        let path = |name: &str| directory.join(name);
        let places = Self {
            model: path("model"),
            catalog: path("catalog"),
            pipeline: path("pipeline.toml"),
            alerts: path("alerts.ndjson"),
        };
        fs::create_dir_all(&places.catalog).with_context(|| places.catalog.display().to_string())?;
        let declared = places.catalog.join(annotations::FILE);
        for (path, text) in [(&places.pipeline, PIPELINE), (&path("policy.toml"), POLICY), (&declared, DECLARED)] {
            Aside::write(path, text.as_bytes()).with_context(|| path.display().to_string())?;
        }
        Ok(places)
    }
}

/// What the demo does with calls: trains on those before [`SPLIT`], judges the rest, and prints the alerts. All are catalogued.
struct Show {
    setup: Setup,
    places: Places,
    rules: Option<Arc<Rules>>,
    rows: Rollup,
    alerts: Vec<Alert>,
    decoder: Decoder,
    calls: CallsBuilder,
    records: u64,
    unreadable: u64,
    history: Option<History>,
    engine: Option<Engine>,
    progress: ProgressBar,
    style: Style,
    pages: BTreeSet<String>,
    notices: BTreeSet<String>,
}

impl Show {
    fn new(setup: Setup, directory: &Path) -> anyhow::Result<Self> {
        let decoder = setup.decoder()?;
        let places = Places::in_directory(directory)?;
        Ok(Self {
            calls: CallsBuilder::with_vendors(Arc::clone(&setup.key), Arc::clone(&setup.vendors)),
            setup,
            rules: pipeline::load_reading(&places.pipeline)?.rules,
            places,
            rows: Rollup::default(),
            alerts: Vec::new(),
            decoder,
            records: 0,
            unreadable: 0,
            history: Some(History::default()),
            engine: None,
            progress: bytes_bar(UNPACKED_BYTES),
            style: if std::io::stdout().is_terminal() { Style::Colour } else { Style::Plain },
            pages: BTreeSet::new(),
            notices: BTreeSet::new(),
        })
    }

    fn read(&mut self, record: &[u8], place: &Place) {
        self.records += 1;
        self.progress.inc(record.len() as u64 + 1);
        let decoded = self.decoder.decode(record, place, &mut self.calls);
        self.unreadable += decoded.errors.len() as u64;
    }

    fn judge(&mut self) -> anyhow::Result<()> {
        let calls = self.calls.finish();
        self.rows.add(&calls);
        let is_early = |row: &usize| calls.rows()[*row].time < SPLIT;
        let (early, later): (Vec<usize>, Vec<usize>) = (0..calls.len()).partition(is_early);
        if let Some(history) = &mut self.history {
            self.progress.set_message("reading history");
            history.add(calls.select(early));
        }
        let later = calls.select(later);
        if !later.is_empty() {
            self.progress.set_message("judging");
            if let Some(history) = self.history.take() {
                self.learn(history)?;
            }
            self.push(later)?;
        }
        Ok(())
    }

    fn learn(&mut self, history: History) -> anyhow::Result<()> {
        let settings = Settings {
            fingerprint_key: self.setup.key.id(),
            alerts_per_day: self.setup.detection.alerts_per_day,
            records_left_out: self.unreadable,
            vendors: Arc::clone(&self.setup.vendors),
        };
        let progress = &self.progress;
        let (mut bundle, report) = train(history, &settings, &|stage| progress.set_message(stage.to_owned()))?;
        bundle.save(&self.places.model)?;
        self.progress.suspend(|| print_text(format_args!("{report}\nJudging the four days after …\n")))?;
        let mut engine = Engine::new(Arc::new(bundle), EngineSettings::from(&self.setup.detection))?;
        if let Some(rules) = &self.rules {
            engine.govern(Arc::clone(rules));
        }
        self.engine = Some(engine);
        Ok(())
    }

    fn push(&mut self, calls: Calls) -> anyhow::Result<()> {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let alerts = engine.push(TOPIC, calls)?;
        self.show(&alerts)
    }

    fn show(&mut self, alerts: &[Alert]) -> anyhow::Result<()> {
        self.alerts.extend_from_slice(alerts);
        for alert in alerts {
            if alert.severity < Severity::Medium {
                self.notices.insert(alert.id.clone());
            } else if self.pages.insert(alert.id.clone()) && alert.activity != Activity::Close {
                self.progress.suspend(|| print_line(card(alert, self.style)))?;
            }
        }
        Ok(())
    }

    fn finish(mut self, traffic: &Traffic, took: Duration, directory: &Path) -> anyhow::Result<()> {
        if let Some(engine) = &mut self.engine {
            let alerts = engine.finish()?;
            self.show(&alerts)?;
        }
        self.progress.finish_and_clear();
        let test_days = directory.join(TEST_DAYS);
        write_test_days(&test_days)?;
        let sent = traffic.sent.load(Ordering::Acquire);
        print_line(format_args!(
            "Sent {sent} records, read {}, unreadable {}. {} incidents page, {} notices do not. {:.0} seconds.",
            self.records,
            self.unreadable,
            self.pages.len(),
            self.notices.len(),
            took.as_secs_f64()
        ))?;
        anyhow::ensure!(sent == self.records, "sent {sent} records, read {}", self.records);
        self.leave_behind()?;
        let Places { model, catalog, pipeline, alerts } = &self.places;
        let (model, test_days) = (model.display(), test_days.display());
        let (catalog, pipeline, alerts) = (catalog.display(), pipeline.display(), alerts.display());
        print_line(format_args!(
            "\nNext:
  # the audit report of these two weeks, to open in a browser
  apiwarden audit --store {catalog} --alerts {alerts} --pipeline {pipeline} --output report.html
  # the same four days from a file, with alerts as OCSF
  apiwarden scan --model {model} --input {test_days} --output alerts.ndjson
  # train on your own logs, then watch your Kafka topic
  apiwarden train --input YOUR-LOGS/ --out models/egress
  apiwarden run --pipeline pipelines/egress-ecs.toml"
        ))
    }
}

impl Show {
    /// Writes alerts and catalogue, and prints what is in the catalogue.
    fn leave_behind(&mut self) -> anyhow::Result<()> {
        let Places { catalog, alerts, .. } = &self.places;
        let lines: String = self.alerts.iter().map(|alert| format!("{}\n", to_ocsf(alert))).collect();
        Aside::write(alerts, lines.as_bytes()).with_context(|| alerts.display().to_string())?;
        let mut store = Catalog::open(catalog, Arc::clone(&self.setup.vendors), Limits::default())?;
        let mut rebuild = store.rebuild()?;
        rebuild.add(&std::mem::take(&mut self.rows).into_rows())?;
        rebuild.finish(None)?;
        let reader = Reader::open(catalog)?;
        let declared = Annotations::load(&catalog.join(annotations::FILE))?;
        let period = reader.period(Since::Before(REPORTED_DAYS * 86_400_000_000), None)?.ok_or(ReportError::Empty)?;
        let files = [alerts.clone()];
        let sources = Sources { alerts: Some(&files[..]), rules: self.rules.as_deref(), declared: Some(&declared) };
        let report = Report::new(&reader, period, &sources)?;
        print_text(format_args!("\nThe catalogue of these two weeks\n{}", report.summary()))
    }
}

/// Writes the records that the demo judged: those after its history.
fn write_test_days(path: &Path) -> anyhow::Result<()> {
    let mut lines = BufReader::new(zstd::Decoder::new(SAMPLE)?);
    let mut file = zstd::Encoder::new(OutputFile::create(path)?, 1)?;
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        // `@timestamp` comes first.
        if line.split('"').nth(3).is_some_and(|time| time >= SPLIT_DAY) {
            file.write_all(line.as_bytes())?;
        }
        line.clear();
    }
    Ok(file.finish()?.finish()?)
}

/// Length of the progress bar: size of the uncompressed sample, bytes.
const UNPACKED_BYTES: u64 = 107_138_652;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_days_are_the_records_after_the_history() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(TEST_DAYS);
        write_test_days(&path).unwrap();
        let written = String::from_utf8(zstd::decode_all(fs::File::open(&path).unwrap()).unwrap()).unwrap();
        assert!(written.starts_with("{\"@timestamp\":\"2026-09-15T00:"), "{:?}", written.get(..60));
        assert_eq!(written.lines().count(), 123_321 - 82_188);
        let split: jiff::Timestamp = format!("{SPLIT_DAY}T00:00:00Z").parse().unwrap();
        assert_eq!(split.as_microsecond(), SPLIT);
    }

    #[test]
    fn a_link_at_the_well_known_path_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let [link, elsewhere] = ["demo", "elsewhere"].map(|name| home.path().join(name));
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        assert!(own_directory(link).is_err());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        let own = own_directory(home.path().join("own")).unwrap();
        assert_eq!(fs::metadata(&own).unwrap().mode() & 0o777, 0o700);
        assert!(own_directory(own).is_ok());
    }

    #[test]
    fn the_sample_is_as_long_as_the_progress_bar() {
        let mut sample = zstd::Decoder::new(SAMPLE).unwrap();
        assert_eq!(std::io::copy(&mut sample, &mut std::io::sink()).unwrap(), UNPACKED_BYTES);
    }
}
