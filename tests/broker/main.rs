//! apiwarden against a real Apache Kafka: killed, stopped, stalled, cut off, and the alerts that it delivers all the same.
//!
//! Without a broker in `KAFKA_BOOTSTRAP_SERVERS` (`tests/kafka`) the tests skip themselves and one line says so; with
//! `APIWARDEN_REQUIRE_BROKER=1` they fail instead. `APIWARDEN_BINARY` names another binary than the one just built,
//! `APIWARDEN_KILL_RECORDS` and `APIWARDEN_KILLS` another size of the test that kills:
//!
//! ```sh
//! cargo build --release
//! APIWARDEN_BINARY=target/release/apiwarden APIWARDEN_KILL_RECORDS=200000 APIWARDEN_KILLS=20 \
//!     cargo test --test broker killed -- --nocapture
//! ```

mod cluster;
mod continuity;
mod disk;
mod fixture;
mod latency;
mod operation;
mod service;
mod stalls;

use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

use cluster::Cluster;
use fixture::{Fixture, number_from_env};
use service::{Deployment, eventually};

/// Longest time until a killed service is killed again: from before it has joined the group to after it has read all there is.
const MAX_LIFETIME: Duration = Duration::from_millis(4000);
/// Longest time that it goes on after its first alert. A checkpoint comes after a second: those alerts landed, and none knows.
const MAX_AFTERLIFE: Duration = Duration::from_millis(300);

#[test]
fn a_run_that_is_killed_again_and_again_gives_the_alerts_of_an_undisturbed_one() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let (count, kills) = (number_from_env("APIWARDEN_KILL_RECORDS", 40_000), number_from_env("APIWARDEN_KILLS", 6));
    let records = fixture.stream(count);
    let newest = fixture::time_of(records.last().expect("records"));

    let undisturbed = Deployment::new(&cluster, fixture, "undisturbed", 4);
    cluster.produce(&undisturbed.calls, &records);
    undisturbed.run_to_the_end(newest);
    let expected = cluster.alerts(&undisturbed.alerts);
    assert!(expected.len() >= 20, "too few alerts to compare: {}", expected.len());

    // Records come in slices, so that each life has some before it and none sees the end of the stream.
    let killed = Deployment::new(&cluster, fixture, "killed", 4);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut up_to = |longest: Duration| Duration::from_millis(random.next_u64() % longest.as_millis() as u64);
    let mut landed = Vec::new();
    for (number, slice) in records.chunks(count.div_ceil(kills + 1)).take(kills).enumerate() {
        cluster.produce(&killed.calls, slice);
        let service = killed.start();
        if number % 2 == 0 {
            service.await_alert(MAX_LIFETIME);
            service.kill_after(up_to(MAX_AFTERLIFE));
        } else {
            service.kill_after(up_to(MAX_LIFETIME));
        }
        landed.push(cluster.ends(&killed.alerts).values().sum::<i64>());
    }
    cluster.produce(&killed.calls, &records[count.div_ceil(kills + 1) * kills..]);
    killed.run_to_the_end(newest);

    println!("{count} records, {kills} kills, {} alerts; those landed at each kill: {landed:?}", expected.len());
    assert_same(&cluster.alerts(&killed.alerts), &expected);
    let kept = undisturbed.kept();
    assert_eq!(kept.iter().map(|(_, _, calls)| *calls as usize).sum::<usize>(), count, "each call is kept once");
    assert!(killed.kept() == kept, "the rows kept are not those of an undisturbed run");
    assert!(
        landed.windows(2).any(|ends| ends[0] < ends[1]),
        "no life delivered an alert before it was killed: {landed:?}"
    );
}

#[test]
fn a_scan_and_a_run_give_the_same_alerts_however_the_records_are_partitioned() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(40_000);
    let newest = fixture::time_of(records.last().expect("records"));
    for partitions in [1, 4] {
        let run = Deployment::new(&cluster, fixture, &format!("scan-{partitions}"), partitions);
        cluster.produce(&run.calls, &records);
        run.run_to_the_end(newest);
        let scanned = run.scan(&records);
        assert!(scanned.len() >= 20, "too few alerts to compare: {}", scanned.len());
        assert_same(&cluster.alerts(&run.alerts), &scanned);
    }
}

#[test]
fn what_cannot_be_read_goes_to_the_dead_letters_and_the_stream_goes_on() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(2000);
    let run = Deployment::new(&cluster, fixture, "poison", 1);
    let tomorrow_and_more = fixture::at_day(records[1000], jiff::Timestamp::now() + Duration::from_secs(3 * 86_400));
    cluster.produce(&run.calls, &records[..1000]);
    cluster.produce(&run.calls, &["{\"@timestamp\": poison", &tomorrow_and_more]);
    cluster.produce(&run.calls, &records[1000..]);

    let service = run.start();
    eventually("all records to be read", || service.metric("apiwarden_calls_total") == 2000.0);
    assert_eq!(service.metric("apiwarden_records_total"), 2002.0);
    assert_eq!(service.metric("apiwarden_rejected_records_total"), 2.0);
    assert!(service.metric("apiwarden_watermark_seconds") <= fixture::time_of(records[1999]));
    assert!(service.stop().success());

    let dead = cluster.read(&run.dead_letters);
    let headers = ["aw-reason", "aw-topic", "aw-partition", "aw-offset"];
    let delivered: Vec<_> = dead.iter().map(|letter| headers.map(|name| letter.headers[name].as_str())).collect();
    let topic = run.calls.as_str();
    assert_eq!(delivered, [["not_json", topic, "0", "1000"], ["time_ahead", topic, "0", "1001"]]);
    assert_eq!(dead[0].value, "{\"@timestamp\": poison", "kept as it came");
}

#[test]
fn a_request_to_stop_drains_commits_and_ends_well() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(5000);
    let mut run = Deployment::new(&cluster, fixture, "stop", 4);
    run.checkpoint_seconds = 3600;
    cluster.produce(&run.calls, &records);

    let service = run.start();
    eventually("all records to be read", || service.metric("apiwarden_calls_total") == 5000.0);
    assert!(cluster.committed(&run.name, &run.calls).is_empty(), "no checkpoint was due");
    assert!(service.stop().success());
    assert_eq!(cluster.committed(&run.name, &run.calls), cluster.ends(&run.calls));

    // What comes next is read once, from where it was left.
    cluster.produce(&run.calls, &fixture.stream(5100)[5000..]);
    let service = run.start();
    eventually("the new records to be read", || service.metric("apiwarden_calls_total") >= 5100.0);
    assert_eq!(service.metric("apiwarden_records_total"), 5100.0, "the account is that of the state");
    assert!(service.stop().success());
}

#[test]
fn health_readiness_and_metrics_are_answered() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let run = Deployment::new(&cluster, fixture, "admin", 1);
    cluster.produce(&run.calls, &fixture.stream(10));
    let service = run.start();
    eventually("readiness", || service.get("/readyz").is_some_and(|answer| answer.status == 200));
    eventually("the records to be read", || service.metric("apiwarden_records_total") == 10.0);
    assert_eq!(service.get("/healthz").map(|answer| answer.body), Some("ok\n".to_owned()));
    let metrics = service.get("/metrics").expect("metrics").body;
    for name in [
        "apiwarden_lag{",
        "apiwarden_ready 1",
        "apiwarden_checkpoint_bytes",
        "apiwarden_last_checkpoint_seconds",
        "apiwarden_watermark_seconds",
        "apiwarden_watermark_delay_seconds",
        "apiwarden_state_entries{kind=\"entities\"}",
        "apiwarden_identified_records_total{",
        "apiwarden_info{",
    ] {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
    assert!(service.stop().success());
}

#[test]
fn a_broker_that_is_away_for_a_while_is_survived() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(20_000);
    let newest = fixture::time_of(records.last().expect("records"));
    let run = Deployment::new(&cluster, fixture, "outage", 4);
    let service = run.start();
    cluster.produce(&run.calls, &records[..10_000]);
    eventually("some records to be read", || service.metric("apiwarden_records_total") > 1000.0);
    let status = || service.get("/readyz").map(|answer| answer.status);
    eventually("readiness", || status() == Some(200));

    let Some(outage) = cluster.pause() else { return };
    eventually("unreadiness", || status() == Some(503));
    assert_eq!(service.get("/healthz").map(|answer| answer.status), Some(200), "alive, only not ready");
    drop(outage);
    eventually("readiness again", || status() == Some(200));

    cluster.produce(&run.calls, &records[10_000..]);
    eventually("all records to be read", || service.metric("apiwarden_calls_total") >= 20_000.0);
    assert!(service.stop().success());
    run.run_to_the_end(newest);
    assert_same(&cluster.alerts(&run.alerts), &run.scan(&records));
}

/// Compares alerts by uid; a failure names those that differ, not all.
#[track_caller]
fn assert_same(delivered: &cluster::Alerts, expected: &cluster::Alerts) {
    let missing: Vec<_> = expected.keys().filter(|uid| !delivered.contains_key(*uid)).collect();
    let surplus: Vec<_> = delivered.keys().filter(|uid| !expected.contains_key(*uid)).collect();
    let changed: Vec<_> =
        expected.iter().filter(|(uid, body)| delivered.get(*uid).is_some_and(|delivered| delivered != *body)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty() && changed.is_empty(),
        "of {} alerts missing: {missing:?}, not expected: {surplus:?}, different: {} like {:?} instead of {:?}",
        expected.len(),
        changed.len(),
        changed.first().map(|(uid, _)| &delivered[*uid]),
        changed.first().map(|(_, body)| body),
    );
}
