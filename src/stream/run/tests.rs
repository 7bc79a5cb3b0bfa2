//! The run loop against the mock cluster, with a simpler machine in the place of the engine.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use rdkafka::Offset;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::alerts::sample;
use crate::calls::{CallsBuilder, VendorPack};
use crate::ingest::kafka::mock::Mock;
use crate::ingest::registry::double::Double;
use crate::ingest::{Decoder, Place};
use crate::pipeline;
use crate::train::{History, Settings, train};

const RECORDS_PER_PARTITION: usize = 20;
const RECORDS: usize = 2 * RECORDS_PER_PARTITION;

/// Raises an alert for every call; remembers all callers that it saw.
struct Echo {
    seen: Vec<String>,
    /// Breaks down, as a crash would, once it has seen so many.
    crash_at: usize,
    /// Asks to stop once it has seen so many.
    stop_at: usize,
    shutdown: Shutdown,
}

impl Machine for Echo {
    fn push(&mut self, _partition: &str, calls: crate::calls::Calls) -> Result<Vec<Alert>, EngineError> {
        assert!(self.seen.len() < self.crash_at, "the crash that the test asked for");
        let callers: Vec<String> = calls.rows().iter().map(|call| calls.relation(call).caller().to_string()).collect();
        let alerts = callers.iter().map(|caller| alert(caller)).collect();
        self.seen.extend(callers);
        if self.seen.len() >= self.stop_at {
            self.shutdown.request();
        }
        Ok(alerts)
    }
    fn assign(&mut self, _partitions: &[String]) {}
    fn go_over_to(&mut self, _bundle: Arc<Bundle>, _rows: Rollup) -> Result<(), EngineError> {
        Ok(())
    }
    fn bound(&mut self, _bounds: &[(String, i64)]) -> Result<Vec<Alert>, EngineError> {
        Ok(Vec::new())
    }
    fn idle(&mut self, _partition: &str) -> Result<Vec<Alert>, EngineError> {
        Ok(Vec::new())
    }
    fn tick(&mut self, _time: i64) -> Vec<Alert> {
        Vec::new()
    }
    fn newest(&self) -> Option<i64> {
        None
    }
    fn take_ahead(&mut self) -> Vec<Ahead> {
        Vec::new()
    }
    fn take_closed_rows(&mut self) -> Vec<crate::rollup::Row> {
        Vec::new()
    }
    fn changes(&self) -> Result<EngineState, EngineError> {
        let mut state = EngineState { is_whole: true, ..EngineState::default() };
        state.put("seen", &self.seen).map_err(EngineError::Snapshot)?;
        Ok(state)
    }
    fn saved(&mut self) {}
    fn watermark(&self) -> Option<i64> {
        None
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }
    fn kept(&self) -> Vec<Kept<Share>> {
        Vec::new()
    }
}

pub(in crate::stream) fn alert(caller: &str) -> Alert {
    Alert {
        id: format!("aw-{caller}"),
        caller: Some(caller.to_owned()),
        vendor: "stripe".to_owned(),
        time: 0,
        ..sample()
    }
}

fn record(caller: &str) -> String {
    record_at("2026-09-01T00:00:00.000Z", caller)
}

fn record_at(time: &str, caller: &str) -> String {
    serde_json::json!({
        "@timestamp": time,
        "event": { "id": format!("{caller} {time}") },
        "service": { "name": caller },
        "http": { "request": { "method": "POST" }, "response": { "status_code": 200 } },
        "url": { "full": "https://api.stripe.com/v1/charges" },
    })
    .to_string()
}

fn plan(mock: &Mock, directory: &Path, idle_seconds: u64) -> Plan {
    let file = directory.join("pipeline.toml");
    let brokers = &mock.brokers;
    let text = format!(
        r#"
        [source.kafka]
        brokers = "{brokers}"
        topics = ["calls"]
        properties = {{ "session.timeout.ms" = 6000, "heartbeat.interval.ms" = 500, "max.poll.interval.ms" = 60000 }}
        [decode]
        format = "ecs"
        [fingerprint]
        key_file = "key"
        [model]
        bundle = "bundle"
        [[sinks]]
        type = "kafka"
        topic = "alerts"
        [[sinks]]
        type = "file"
        path = "alerts.ndjson"
        [dead_letter]
        topic = "dead"
        [state]
        checkpoint_seconds = 3600
        idle_seconds = {idle_seconds}
        [admin]
        listen = "127.0.0.1:0"
        "#
    );
    std::fs::write(&file, text).unwrap();
    pipeline::load(&file).unwrap()
}

/// Runs until the machine asks to stop or breaks down; true if it drained.
fn run_until(plan: &Plan, crash_at: usize) -> bool {
    let store = Store::open(&plan.state.directory).unwrap();
    let saved = store.load().unwrap();
    let seen: Vec<String> = saved.as_ref().map(|saved| saved.engine.get("seen").unwrap()).unwrap_or_default();
    let shutdown = Shutdown::default();
    let watchdog = shutdown.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(60));
        watchdog.request();
    });
    let machine = Echo { seen, crash_at, stop_at: RECORDS, shutdown: shutdown.clone() };
    let key = Arc::new(plan.fingerprint_key().unwrap());
    let run = || run_machine(plan, machine, "1".to_owned(), key, store, saved, &shutdown);
    std::thread::scope(|scope| scope.spawn(run).join()).is_ok_and(|ended| ended.is_ok())
}

#[test]
fn records_whose_registry_is_down_wait_for_it_and_none_is_a_dead_letter() {
    let mock = Mock::with_topics(&[("calls", 2), ("alerts", 2), ("dead", 1)]);
    let directory = tempfile::tempdir().unwrap();
    let registry = Double::start();
    registry.set_down(true);
    let message = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/protobuf-ecs.bin")).unwrap();
    for partition in 0..2 {
        mock.produce("calls", partition, vec![&message; RECORDS_PER_PARTITION]);
    }
    let plan = Plan { registry: Some(registry.client()), ..plan(&mock, directory.path(), 600) };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while registry.asked() < 2 {
                std::thread::sleep(Duration::from_millis(50));
            }
            registry.set_down(false);
        });
        assert!(run_until(&plan, usize::MAX));
    });
    assert!(mock.read("dead", 1).is_empty());
    assert_eq!(mock.committed("apiwarden", "calls", 2), [Offset::Offset(20), Offset::Offset(20)]);
}

#[test]
fn a_crash_loses_nothing_and_doubles_nothing() {
    let mock = Mock::with_topics(&[("calls", 2), ("alerts", 2), ("dead", 1)]);
    for partition in 0..2 {
        let callers = (0..RECORDS_PER_PARTITION).map(|number| record(&format!("caller-{partition}-{number:02}")));
        mock.produce("calls", partition, callers);
    }
    mock.produce("calls", 0, ["not json".to_owned()]);
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(&mock, directory.path(), 600);

    // The first partition's alerts are out, and no checkpoint knows of them.
    assert!(!run_until(&plan, RECORDS_PER_PARTITION));
    let before = mock.read("alerts", 2).len();
    assert!((1..RECORDS).contains(&before), "{before}");
    assert!(run_until(&plan, usize::MAX));

    let uids: Vec<_> = mock.read("alerts", 2).into_iter().map(|record| record.headers["aw-uid"].clone()).collect();
    assert_eq!(uids.len(), RECORDS);
    assert_eq!(uids.iter().collect::<BTreeSet<_>>().len(), RECORDS);
    let lines = std::fs::read_to_string(directory.path().join("alerts.ndjson")).unwrap();
    assert_eq!(lines.lines().collect::<BTreeSet<_>>().len(), RECORDS);
    assert_eq!(lines.lines().count(), RECORDS);

    let dead = mock.read("dead", 1);
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].value.as_str(), dead[0].headers["aw-offset"].as_str()), ("not json", "20"));

    let store = Store::open(&plan.state.directory).unwrap();
    let checkpoint = store.load().unwrap().unwrap();
    assert_eq!(checkpoint.offsets, BTreeMap::from([("calls/0".to_owned(), 21), ("calls/1".to_owned(), 20)]));
    assert_eq!(mock.committed("apiwarden", "calls", 2), [Offset::Offset(21), Offset::Offset(20)]);
}

/// Expects that a partition is idle only while all of its records were pushed, and that none is when another's are.
struct Strict {
    mock: Mock,
    /// Records of each partition, as produced and as pushed.
    produced: BTreeMap<String, usize>,
    pushed: BTreeMap<String, usize>,
    idle: BTreeSet<String>,
    /// Stalls that are still to come: each a push that takes longer than it takes to be idle.
    stalls: usize,
    /// Whether the next push stalls.
    is_stall_due: bool,
    shutdown: Shutdown,
}

impl Strict {
    fn produce(&mut self, count: usize) {
        for partition in 0..2 {
            self.mock.produce("calls", partition, (0..count).map(|_| record("billing")));
            *self.produced.entry(format!("calls/{partition}")).or_default() += count;
        }
    }
}

impl Machine for Strict {
    fn push(&mut self, partition: &str, calls: crate::calls::Calls) -> Result<Vec<Alert>, EngineError> {
        assert!(self.idle.is_empty(), "{:?} may have unread records as well", self.idle);
        *self.pushed.entry(partition.to_owned()).or_default() += calls.len();
        if std::mem::take(&mut self.is_stall_due) {
            self.stalls -= 1;
            self.produce(5);
            std::thread::sleep(Duration::from_secs(3));
        }
        Ok(Vec::new())
    }
    fn assign(&mut self, partitions: &[String]) {
        self.idle.retain(|idle| !partitions.contains(idle));
    }
    fn go_over_to(&mut self, _bundle: Arc<Bundle>, _rows: Rollup) -> Result<(), EngineError> {
        Ok(())
    }
    fn bound(&mut self, _bounds: &[(String, i64)]) -> Result<Vec<Alert>, EngineError> {
        Ok(Vec::new())
    }
    fn idle(&mut self, partition: &str) -> Result<Vec<Alert>, EngineError> {
        assert_eq!(self.pushed.get(partition), self.produced.get(partition), "{partition} has unread records");
        self.idle.insert(partition.to_owned());
        if self.idle.len() == 2 && self.stalls == 0 {
            self.shutdown.request();
        } else if self.idle.len() == 2 {
            self.produce(1);
            self.is_stall_due = true;
        }
        Ok(Vec::new())
    }
    fn tick(&mut self, _time: i64) -> Vec<Alert> {
        Vec::new()
    }
    fn newest(&self) -> Option<i64> {
        None
    }
    fn take_ahead(&mut self) -> Vec<Ahead> {
        Vec::new()
    }
    fn take_closed_rows(&mut self) -> Vec<crate::rollup::Row> {
        Vec::new()
    }
    fn changes(&self) -> Result<EngineState, EngineError> {
        Ok(EngineState::default())
    }
    fn saved(&mut self) {}
    fn watermark(&self) -> Option<i64> {
        None
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }
    fn kept(&self) -> Vec<Kept<Share>> {
        Vec::new()
    }
}

#[test]
fn a_partition_with_unread_records_is_never_idle_and_none_is_when_another_is_read() {
    let mock = Mock::with_topics(&[("calls", 2), ("alerts", 2), ("dead", 1)]);
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(&mock, directory.path(), 1);
    let shutdown = Shutdown::default();
    let watchdog = shutdown.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(60));
        watchdog.request();
    });
    let machine = Strict {
        mock,
        produced: BTreeMap::new(),
        pushed: BTreeMap::new(),
        idle: BTreeSet::new(),
        stalls: 2,
        is_stall_due: false,
        shutdown: shutdown.clone(),
    };
    let key = Arc::new(plan.fingerprint_key().unwrap());
    let store = Store::open(&plan.state.directory).unwrap();
    let started = Instant::now();
    run_machine(&plan, machine, "1".to_owned(), key, store, None, &shutdown).unwrap();
    assert!(started.elapsed() < Duration::from_secs(60), "the partitions were never idle again");
}

#[test]
fn alerts_of_a_topic_that_may_not_be_written_wait_for_it_and_the_other_sinks_have_theirs() {
    let mock = Mock::with_topics(&[("calls", 1), ("alerts", 2), ("dead", 1)]);
    mock.produce("calls", 0, (0..RECORDS).map(|number| record(&format!("caller-{number:02}"))));
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(&mock, directory.path(), 600);
    let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    mock.cluster.request_errors(RDKafkaApiKey::Produce, &[forbidden; 500]);
    let landed = || std::fs::read_to_string(directory.path().join("alerts.ndjson")).unwrap().lines().count();
    assert!(run_until(&plan, usize::MAX), "a sink that may not be written ends nothing");
    assert_eq!((landed(), mock.read("alerts", 2).len()), (RECORDS, 0));

    mock.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    mock.produce("calls", 0, [record("one-more")]);
    assert!(run_until(&plan, usize::MAX));
    assert_eq!((landed(), mock.read("alerts", 2).len()), (RECORDS + 1, RECORDS + 1));
}

/// 2026-09-01T00:00:00Z, seconds since the epoch.
const SEPTEMBER: i64 = 1_788_220_800;

/// A caller's records from one time to another, seconds since [`SEPTEMBER`], four a minute, each with its time in milliseconds.
fn calls_between(from: i64, to: i64) -> Vec<(i64, String)> {
    let times = (from..to).step_by(15).map(|second| SEPTEMBER + second);
    let record = |second: i64| {
        (second * 1_000, record_at(&jiff::Timestamp::from_second(second).unwrap().to_string(), "billing"))
    };
    times.map(record).collect()
}

/// An engine that has learned four days of [`calls_between`].
fn trained(plan: &Plan, key: &Arc<FingerprintKey>) -> Engine {
    const DAY: i64 = 86_400;
    let (mut decoder, mut calls) = (Decoder::new(&plan.decode).unwrap(), CallsBuilder::new(Arc::clone(key)));
    let place = Place::File { path: Path::new("history").into(), line: 1 };
    for (_, record) in calls_between(-4 * DAY, 0) {
        decoder.decode(record.as_bytes(), &place, &mut calls);
    }
    let mut history = History::default();
    history.add(calls.finish());
    let vendors = VendorPack::embedded();
    let settings = Settings { fingerprint_key: key.id(), alerts_per_day: 1.0, records_left_out: 0, vendors };
    let (bundle, _) = train(history, &settings, &|_| {}).unwrap();
    Engine::new(Arc::new(bundle), EngineSettings::from(&plan.detection)).unwrap()
}

#[test]
fn a_topic_whose_envelope_changes_midway_is_one_alert() {
    const HOUR: i64 = 3_600;
    let mock = Mock::with_topics(&[("calls", 1), ("alerts", 2), ("dead", 1)]);
    let wrapped = |(time, record): (i64, String)| (time, serde_json::json!({ "v2": { "body": record } }).to_string());
    let before = calls_between(0, 4 * HOUR);
    let after: Vec<_> = calls_between(4 * HOUR, 5 * HOUR).into_iter().map(wrapped).collect();
    let count = i64::try_from(before.len() + after.len()).unwrap();
    mock.produce_at("calls", 0, before.into_iter().chain(after));

    let directory = tempfile::tempdir().unwrap();
    let plan = plan(&mock, directory.path(), 600);
    let key = Arc::new(plan.fingerprint_key().unwrap());
    let engine = trained(&plan, &key);
    let store = Store::open(&plan.state.directory).unwrap();
    let shutdown = Shutdown::default();
    let alerts = directory.path().join("alerts.ndjson");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let is_written = || std::fs::metadata(&alerts).is_ok_and(|file| file.len() > 0);
            let started = Instant::now();
            while !is_written() && started.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(200));
            }
            // Whatever else there would be.
            std::thread::sleep(Duration::from_secs(2));
            shutdown.request();
        });
        run_machine(&plan, engine, "1".to_owned(), key, store, None, &shutdown).unwrap();
    });
    assert_eq!(mock.committed("apiwarden", "calls", 1), [Offset::Offset(count)], "all was read");
    let landed = mock.read("alerts", 2);
    let alert: serde_json::Value = serde_json::from_str(&landed[0].value).unwrap();
    assert_eq!(landed.len(), 1, "{landed:?}");
    assert_eq!(alert["finding_info"]["analytic"]["name"], "service.input_unreadable");
    assert_eq!((&alert["severity"], &alert["resources"][0]["name"]), (&"Medium".into(), &"calls".into()));
}
