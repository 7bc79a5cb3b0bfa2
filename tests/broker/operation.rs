//! What operators do and meet: a check before the start, topics that are missing, a second process, a crash, a backup put back.

use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;

use super::assert_same;
use super::cluster::Cluster;
use super::fixture::{self, Fixture};
use super::service::{Deployment, Service, eventually};

#[test]
fn a_check_names_all_that_would_fail_and_creates_nothing() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let run = Deployment::new(&cluster, fixture, "check", 1);
    let good = run.check();
    assert_eq!(good.code, Some(0), "{}", good.text);

    let mut bad = run.beside();
    bad.calls = cluster.name("nowhere");
    bad.alerts = "not a name".to_owned();
    bad.bundle = "/nowhere".into();
    let checked = bad.check();
    assert_eq!(checked.code, Some(1), "{}", checked.text);
    for failed in [
        format!("fails topic {}: does not exist", bad.calls),
        "fails kafka:not a name: topic not a name does not exist (".to_owned(),
        "fails model bundle /nowhere:".to_owned(),
    ] {
        assert!(checked.text.contains(&failed), "{failed} is missing in\n{}", checked.text);
    }
    assert!(checked.text.contains(&format!("ok    kafka:{}", bad.dead_letters)), "{}", checked.text);
    assert!(!run.state().exists() && !bad.state().exists());
    assert!(!cluster.topics().contains(&bad.calls));
}

#[test]
fn a_missing_topic_for_alerts_is_created_at_the_start() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let mut run = Deployment::new(&cluster, fixture, "created", 1);
    run.alerts = cluster.name("created-at-start");
    assert_eq!(run.check().code, Some(0), "it may be created");
    assert!(!cluster.topics().contains(&run.alerts), "the check only asks");
    let service = run.start();
    eventually("the topic", || cluster.topics().contains(&run.alerts));
    eventually("readiness", || service.get("/readyz").is_some_and(|answer| answer.status == 200));
    assert!(service.stop().success());

    run.alerts = "not a name".to_owned();
    let began = Instant::now();
    let ended = run.start().end();
    let is_said = ended.reason().contains("topic not a name does not exist") && ended.reason().contains("create it");
    assert!(ended.code == Some(1) && is_said, "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "it was tried for long");
}

#[test]
fn a_second_process_of_a_group_refuses_to_start_unless_callers_are_in_one_partition() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let mut first = Deployment::new(&cluster, fixture, "second", 2);
    let service = first.start();
    let ready = |service: &Service| service.get("/readyz").is_some_and(|answer| answer.status == 200);
    eventually("readiness", || ready(&service));
    let checked = first.beside().check();
    assert!(checked.text.contains("fails group"), "{}", checked.text);
    let ended = first.beside().start().end();
    assert!(ended.code == Some(1) && ended.reason().contains("another process reads in it"), "{ended:?}");
    assert!(ready(&service), "the first goes on");
    assert!(service.stop().success());

    first.keyed_by_caller = true;
    let second = first.beside();
    let (one, other) = (first.start(), second.start());
    eventually("readiness of both", || ready(&one) && ready(&other));
    cluster.produce(&first.calls, &fixture.stream(2000));
    eventually("all calls to be read by both", || {
        one.metric("apiwarden_calls_total") + other.metric("apiwarden_calls_total") >= 2000.0
    });
    assert!(one.metric("apiwarden_calls_total") > 0.0 && other.metric("apiwarden_calls_total") > 0.0);
}

#[test]
fn of_two_processes_that_start_at_the_same_moment_exactly_one_goes_on() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(2000);
    for round in 1..=5 {
        let one = Deployment::new(&cluster, fixture, &format!("same-moment-{round}"), 2);
        cluster.produce(&one.calls, &records);
        let other = one.beside();
        let services = [one.start(), other.start()];
        let read = |service: &Service| service.metric("apiwarden_calls_total") as usize;
        eventually("one of them to read all", || services.iter().any(|service| read(service) == records.len()));
        let is_first = read(&services[0]) == records.len();
        let [one, other] = services;
        let (goes_on, gives_way) = if is_first { (one, other) } else { (other, one) };
        let ended = gives_way.end();
        assert!(ended.code == Some(1) && ended.reason().contains("another process reads in it"), "{ended:?}");
        goes_on.await_calls(records.len());
        assert_eq!(goes_on.metric("apiwarden_calls_total") as usize, records.len(), "it reads all of them");
        assert!(goes_on.stop().success());
    }
}

#[test]
fn a_topic_for_alerts_that_may_not_be_written_ends_a_start_before_anything_is_read() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let run = Deployment::new(&cluster, fixture, "forbidden", 1);
    cluster.produce(&run.calls, &fixture.stream(100));
    if !cluster.forbid_writing(&run.alerts) {
        return;
    }
    let reason = format!("topic {}: give us the right WRITE", run.alerts);
    let checked = run.check();
    assert!(checked.code == Some(1) && checked.text.contains(&reason), "{}", checked.text);
    let ended = run.start().end();
    assert!(ended.code == Some(1) && ended.reason().contains(&reason), "{ended:?}");
    assert!(cluster.committed(&run.name, &run.calls).is_empty());
}

#[test]
fn a_killed_process_is_known_again_and_reads_on_at_once() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let mut run = Deployment::new(&cluster, fixture, "known-again", 2);
    run.session_timeout_ms = 45_000;
    let records = fixture.stream(2000);
    cluster.produce(&run.calls, &records[..1000]);
    let service = run.start();
    service.await_calls(1000);
    service.kill_after(Duration::ZERO);
    cluster.produce(&run.calls, &records[1000..]);
    let began = Instant::now();
    let service = run.start();
    service.await_calls(2000);
    assert!(began.elapsed() < Duration::from_secs(20), "the group waited for the dead one: {:?}", began.elapsed());
    println!("read on {:.1} s after the start", began.elapsed().as_secs_f64());
}

#[test]
fn a_state_put_back_from_a_backup_goes_on_from_its_own_offsets() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(6000);
    let run = Deployment::new(&cluster, fixture, "backup", 1);
    let parts = fixture::cut_at_buckets(&records, &[2000]);
    let read = |count: usize| {
        let service = run.start();
        service.await_calls(count);
        let (lost, log) = (service.metric("apiwarden_lost_records_total"), service.log());
        assert!(service.stop().success());
        (lost, log.contains("the state is older than what the group committed"), log)
    };
    cluster.produce(&run.calls, &parts[0]);
    read(parts[0].len());
    let backup = run.back_up();
    cluster.produce(&run.calls, &parts[1]);
    let (lost, is_older, log) = read(6000);
    assert!(lost == 0.0 && !is_older, "{log}");

    run.put_back(&backup);
    let (lost, is_older, log) = read(6000);
    assert!(lost == 0.0 && is_older, "the group had committed all of them: {log}");
    run.run_to_the_end(fixture::time_of(records.last().expect("records")));
    assert_same(&cluster.alerts(&run.alerts), &run.scan(&records));

    // What Kafka no longer has is lost, and counted.
    run.put_back(&backup);
    cluster.delete_before(&run.calls, 0, 5000);
    let lost = 5000 - parts[0].len();
    let (counted, _, log) = read(parts[0].len() + 1000);
    assert_eq!(counted, lost as f64);
    assert!(log.contains("Kafka has deleted records") && log.contains(&format!("\"lost\":{lost}")), "{log}");
}

#[test]
fn a_sink_that_cannot_deliver_holds_no_record_up_and_readiness_says_why() {
    let Some(cluster) = Cluster::given() else { return };
    let fixture = Fixture::shared();
    let records = fixture.stream(12_000);
    let mut run = Deployment::new(&cluster, fixture, "away", 2);
    let sink = MockCluster::new(1).unwrap();
    sink.create_topic(&run.alerts, 3, 1).unwrap();
    run.alert_brokers = Some(sink.bootstrap_servers());
    let service = run.start();
    eventually("readiness", || service.get("/readyz").is_some_and(|answer| answer.status == 200));
    sink.broker_down(1).unwrap();
    cluster.produce(&run.calls, &records);
    service.await_calls(records.len());
    eventually("a sink that fails", || service.metric("apiwarden_sink_up") == 0.0);
    assert!(service.metric("apiwarden_sink_backlog") > 0.0);
    let is_said = |body: &str| body.starts_with(&format!("not ready: sink kafka:{}", run.alerts));
    eventually("the reason", || {
        service.get("/readyz").is_some_and(|answer| answer.status == 503 && is_said(&answer.body))
    });
    sink.broker_up(1).unwrap();
    eventually("readiness again", || service.get("/readyz").is_some_and(|answer| answer.status == 200));
    eventually("all to be delivered", || service.metric("apiwarden_sink_backlog") == 0.0);
    assert!(service.stop().success());
}
