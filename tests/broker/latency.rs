//! How soon what needs no window is told: from the record's arrival in Kafka to the alert in its topic.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::message::Message;

use super::cluster::Cluster;
use super::fixture::{self, Fixture};
use super::service::{Deployment, eventually};

/// Callers that nobody knows, one a second.
const STRANGERS: usize = 12;
/// Records a second beside them; `APIWARDEN_RATE` says another number.
const RATE: f64 = 200.0;

#[test]
fn a_first_seen_caller_is_told_within_a_second_though_most_partitions_are_quiet() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let run = Deployment::new(&cluster, fixture, "latency", 12);
    let service = run.start();
    let records = fixture.stream(2000);
    let is_over = AtomicBool::new(false);
    let mut latencies = std::thread::scope(|scope| {
        scope.spawn(|| {
            let rate = std::env::var("APIWARDEN_RATE").ok().and_then(|text| text.parse().ok()).unwrap_or(RATE);
            let (began, mut sent) = (Instant::now(), 0);
            while !is_over.load(Ordering::Relaxed) {
                let due = (began.elapsed().as_secs_f64() * rate) as usize;
                let now = jiff::Timestamp::now();
                let next: Vec<String> = (sent..due).map(|at| fixture::at(records[at % records.len()], now)).collect();
                cluster.produce(&run.calls, &next.iter().map(String::as_str).collect::<Vec<_>>());
                sent = due;
                std::thread::sleep(Duration::from_millis(5));
            }
            println!("{:.0} records a second", sent as f64 / began.elapsed().as_secs_f64());
        });
        eventually("some records to be read", || service.metric("apiwarden_calls_total") > 500.0);
        let latencies = latencies_of(&cluster, &run, records[0]);
        is_over.store(true, Ordering::Relaxed);
        latencies
    });
    assert!(service.stop().success());
    latencies.sort_unstable();
    let (median, last) = (latencies[STRANGERS / 2], latencies[STRANGERS - 1]);
    println!("from arrival to alert: median {median:?}, longest of {STRANGERS} {last:?}");
    assert!(median < Duration::from_secs(1), "{latencies:?}");
    // The machine may be busy with other tests.
    assert!(last < Duration::from_secs(3), "{latencies:?}");
}

/// How long each stranger's alert took from when its record was acknowledged.
fn latencies_of(cluster: &Cluster, run: &Deployment, record: &str) -> Vec<Duration> {
    let alerts = cluster.follow(&run.alerts);
    let mut arrived = BTreeMap::new();
    let mut latencies = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut next = Instant::now();
    while latencies.len() < STRANGERS {
        assert!(Instant::now() < deadline, "{} of {STRANGERS} strangers were told", latencies.len());
        if arrived.len() + latencies.len() < STRANGERS && Instant::now() >= next {
            let name = format!("stranger-{}", arrived.len() + latencies.len());
            let stranger = fixture::by(&fixture::at(record, jiff::Timestamp::now()), &name);
            cluster.produce(&run.calls, &[&stranger]);
            arrived.insert(name, Instant::now());
            next = Instant::now() + Duration::from_secs(1);
        }
        let Some(Ok(alert)) = alerts.poll(Duration::from_millis(5)) else { continue };
        let text = String::from_utf8_lossy(alert.payload().unwrap_or_default()).into_owned();
        let told: Vec<String> = arrived.keys().filter(|name| text.contains(name.as_str())).cloned().collect();
        latencies.extend(told.iter().filter_map(|name| Some(arrived.remove(name)?.elapsed())));
    }
    latencies
}
