//! Stalls longer than `idle_seconds`, of the input, a sink and the process itself: catching up drops no call.
//!
//! Partitions are read one after the other then. One that was taken for idle while it had unread records would have its buckets closed
//! by those that come first.

use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;

use super::assert_same;
use super::cluster::Cluster;
use super::fixture::{self, Fixture};
use super::service::{Deployment, IDLE, Service, eventually};

const PARTITIONS: i32 = 12;

/// Waits until every partition was idle and the bucket of the newest of these calls was closed.
fn await_idleness(service: &Service, records: &[&str]) {
    let newest = records.iter().map(|record| fixture::time_of(record)).fold(f64::MIN, f64::max);
    eventually("idleness", || service.metric("apiwarden_watermark_seconds") > newest);
}

#[test]
fn a_stall_of_a_sink_drops_no_call() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(16_000);
    let mut run = Deployment::new(&cluster, fixture, "sink-stall", PARTITIONS);
    // The alerts go to a cluster that can be away while the input is not.
    let sink = MockCluster::new(1).unwrap();
    let elsewhere = cluster.elsewhere(sink.bootstrap_servers());
    sink.create_topic(&run.alerts, 3, 1).unwrap();
    run.alert_brokers = Some(elsewhere.brokers.clone());
    // The group takes the partitions away during the stall, as it does after five minutes by default.
    run.max_poll_interval_ms = 6000;

    let parts = fixture::cut_at_buckets(&records, &[4000, 10_000]);
    let service = run.start_impatient();
    cluster.produce(&run.calls, &parts[0]);
    service.await_calls(parts[0].len());
    sink.broker_down(1).unwrap();
    cluster.produce(&run.calls, &parts[1]);
    eventually("a stall", || service.metric("apiwarden_sink_retries_total") > 0.0);
    cluster.produce(&run.calls, &parts[2]);
    std::thread::sleep(2 * IDLE);
    sink.broker_up(1).unwrap();
    service.await_calls(records.len());
    await_idleness(&service, &records);
    assert!(service.stop().success());
    assert_same(&elsewhere.alerts(&run.alerts), &run.scan(&records));
}

#[test]
fn a_stall_of_the_input_or_of_the_process_drops_no_call() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(16_000);
    let run = Deployment::new(&cluster, fixture, "input-stall", PARTITIONS);
    let parts = fixture::cut_at_buckets(&records, &[3000, 6000, 9000, 12_000]);
    let mut count = parts[0].len();
    let service = run.start_impatient();
    cluster.produce(&run.calls, &parts[0]);
    service.await_calls(count);

    // Nobody produces for a while.
    await_idleness(&service, &parts[0]);
    cluster.produce(&run.calls, &parts[1]);
    count += parts[1].len();
    service.await_calls(count);

    // The process stands still, and finds a backlog.
    await_idleness(&service, &parts[1]);
    service.freeze(2 * IDLE, || cluster.produce(&run.calls, &parts[2]));
    count += parts[2].len();
    service.await_calls(count);

    // The broker is away in the midst of a backlog.
    await_idleness(&service, &parts[2]);
    service.freeze(Duration::ZERO, || cluster.produce(&run.calls, &parts[3]));
    if let Some(outage) = cluster.pause() {
        std::thread::sleep(2 * IDLE);
        drop(outage);
    }
    count += parts[3].len();
    service.await_calls(count);

    // A restart finds partitions that were idle, and a backlog.
    await_idleness(&service, &parts[3]);
    assert!(service.stop().success());
    cluster.produce(&run.calls, &parts[4]);
    let service = run.start_impatient();
    service.await_calls(records.len());
    await_idleness(&service, &parts[4]);
    assert!(service.stop().success());
    assert_same(&cluster.alerts(&run.alerts), &run.scan(&records));
}

#[test]
fn a_partition_without_records_does_not_hold_the_others_up() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(20_000);
    let caller = fixture::caller_of(records[0]);
    // Of one caller all records go to one partition.
    let records: Vec<_> = records.into_iter().filter(|record| fixture::caller_of(record) == caller).collect();
    let run = Deployment::new(&cluster, fixture, "quiet", 2);
    let service = run.start_impatient();
    let first = fixture::time_of(records[records.len() / 8]);
    let started = Instant::now();
    for (number, slice) in records.chunks(records.len() / 40).enumerate() {
        assert!(number < 39, "the watermark waits for a partition that has no records");
        cluster.produce(&run.calls, slice);
        std::thread::sleep(IDLE / 6);
        if service.metric("apiwarden_watermark_seconds") > first {
            break;
        }
    }
    assert!(started.elapsed() > IDLE);
    assert!(service.stop().success());
}
