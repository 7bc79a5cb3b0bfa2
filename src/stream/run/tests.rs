//! The run loop against the mock cluster, with a simpler machine in the place of the engine.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use rdkafka::Offset;

use super::*;
use crate::alerts::sample;
use crate::ingest::kafka::mock::Mock;
use crate::ingest::registry::double::Double;
use crate::pipeline;

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
    fn idle(&mut self, _partition: &str) -> Result<Vec<Alert>, EngineError> {
        Ok(Vec::new())
    }
    fn tick(&mut self, _time: i64) -> Vec<Alert> {
        Vec::new()
    }
    fn newest(&self) -> Option<i64> {
        None
    }
    fn snapshot(&self) -> Result<Vec<u8>, EngineError> {
        Ok(self.seen.join("\n").into_bytes())
    }
    fn watermark(&self) -> Option<i64> {
        None
    }
    fn counters(&self) -> Counters {
        Counters::default()
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
    serde_json::json!({
        "@timestamp": "2026-09-01T00:00:00.000Z",
        "event": { "id": caller },
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
    let seen = saved.as_ref().map(|saved| String::from_utf8(saved.engine.clone()).unwrap()).unwrap_or_default();
    let seen: Vec<String> = seen.lines().map(str::to_owned).collect();
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
    fn snapshot(&self) -> Result<Vec<u8>, EngineError> {
        Ok(Vec::new())
    }
    fn watermark(&self) -> Option<i64> {
        None
    }
    fn counters(&self) -> Counters {
        Counters::default()
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
