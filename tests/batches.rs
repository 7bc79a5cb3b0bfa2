//! Batches and restarts are not seen in the alerts: the same calls give the same alerts, however they come.

mod common;

use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use apiwarden::alerts::{Alert, NOTICES_PER_DAY, Severity};
use apiwarden::calls::Calls;
use apiwarden::stream::{Engine, EngineSettings};
use common::{bundle, decode, later, theft, time, with, written};
use proptest::prelude::*;
use serde_json::Value;

const SETTINGS: EngineSettings = EngineSettings {
    alerts_per_day: common::ALERTS_PER_DAY,
    notices_per_day: NOTICES_PER_DAY,
    allowed_lateness_seconds: 60,
    late_calls_hours: 24,
    is_bounded: false,
    campaigns: Vec::new(),
    keeps_rows: false,
};

fn engine() -> Engine {
    Engine::new(Arc::clone(bundle()), SETTINGS).unwrap()
}

/// A day and a half in which a stolen key is used, a bill is run up, and much is sent within half a minute.
fn calls() -> &'static Calls {
    static CALLS: OnceLock<Calls> = OnceLock::new();
    CALLS.get_or_init(|| {
        let mut lines = later("2026-09-16T00", "2026-09-17T05");
        lines.extend(theft(THEFT));
        lines.sort_unstable_by(|a, b| time(a).cmp(time(b)));
        decode(&lines).0
    })
}

/// The minute of the theft: the second of its five.
const THEFT: &str = "2026-09-16T12:01";

/// Frames of calls, cut behind each of `places`.
fn cut(calls: &Calls, places: impl Iterator<Item = usize>) -> Vec<Calls> {
    let mut frames = Vec::new();
    let mut from = 0;
    for to in places.chain([calls.len()]).filter(|to| *to <= calls.len()) {
        frames.push(calls.slice(from..to));
        from = to;
    }
    frames
}

/// The alerts of frames that one engine is given.
fn alerts_of(mut engine: Engine, frames: &[Calls]) -> Vec<Value> {
    let mut alerts: Vec<Alert> = Vec::new();
    for frame in frames {
        alerts.extend(engine.push("logs-0", frame.clone()).expect("calls are judged"));
    }
    alerts.extend(engine.finish().expect("calls are judged"));
    written(&alerts)
}

/// The alerts of all calls in one go.
fn expected() -> &'static Vec<Value> {
    static EXPECTED: OnceLock<Vec<Value>> = OnceLock::new();
    EXPECTED.get_or_init(|| {
        let alerts = alerts_of(engine(), std::slice::from_ref(calls()));
        for caller in ["billing-worker", "ml-gateway"] {
            let pages = |alert: &&Value| alert["severity_id"].as_u64() >= Some(3) && alert.to_string().contains(caller);
            assert!(alerts.iter().any(|alert| pages(&alert)), "the sample has no finding about {caller}");
        }
        alerts
    })
}

/// What each alert says, and when: for people who read a failure.
fn brief(alerts: &[Value]) -> Vec<String> {
    let text = |alert: &Value| format!("{} {} {}", alert["time"], alert["metadata"]["uid"], alert["message"]);
    alerts.iter().map(text).collect()
}

/// Who is paged about, and why. What is first seen is told in the order in which it comes, so a straggler may change which of several facts is
/// told first.
fn pages(alerts: &[Value]) -> std::collections::BTreeSet<String> {
    let is_page = |alert: &&Value| alert["severity_id"].as_u64() >= Some(3);
    let whom =
        |alert: &Value| format!("{} {}", alert["finding_info"]["analytic"]["name"], alert["resources"][0]["name"]);
    alerts.iter().filter(is_page).map(whom).collect()
}

/// Calls in the order in which they come if each is held up for less than the allowed lateness.
fn delayed(calls: &Calls, seed: u64) -> Calls {
    use rand::{Rng, SeedableRng};
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
    let delay = |time: i64| time + random.gen_range(0..SETTINGS.allowed_lateness_seconds as i64 * 1_000_000);
    let mut arrivals: Vec<(i64, usize)> = calls.rows().iter().map(|call| call.time).map(delay).zip(0..).collect();
    arrivals.sort_unstable();
    calls.select(arrivals.into_iter().map(|(_, row)| row))
}

/// Calls in the order in which they come if one caller's are held up until two hours are over.
fn held_up(calls: &Calls) -> Calls {
    const PERIOD: i64 = 7_200_000_000;
    let comes = |row: usize| {
        let call = &calls.rows()[row];
        let is_held_up = calls.relation(call).caller().as_str() == "billing-worker";
        if is_held_up { (call.time / PERIOD + 1) * PERIOD } else { call.time }
    };
    let mut arrivals: Vec<(i64, usize)> = (0..calls.len()).map(|row| (comes(row), row)).collect();
    arrivals.sort_unstable();
    calls.select(arrivals.into_iter().map(|(_, row)| row))
}

#[test]
fn a_novelty_that_waits_for_its_minute_to_end_is_reported_as_soon_by_an_engine_that_was_restored() {
    let template = later("2026-09-16T00", "2026-09-16T01").remove(0);
    let at = |time: &str| with(&template, r#""@timestamp":""#, &format!("2026-09-16T{time}Z"));
    let curl = with(&at("00:01:00.5"), r#""original":""#, "curl/8.4.0");
    // The novelty comes before a call of an earlier minute; when that minute has ended, the engine is restored.
    let known = (10..20).map(|second| at(&format!("00:00:{second}")));
    let before = decode(&known.chain([curl, at("00:00:30"), at("00:02:05")]).collect::<Vec<_>>()).0;
    let after = decode(&["00:03:10", "00:04:10", "00:06:20", "00:20:00"].map(at)).0;
    let mut alerts = [false, true].map(|is_restored| {
        let mut engine = engine();
        let mut alerts = engine.push("logs-0", before.clone()).expect("calls are judged");
        if is_restored {
            let snapshot = engine.snapshot().expect("a snapshot");
            engine = Engine::restore(Arc::clone(bundle()), SETTINGS, &snapshot).expect("the snapshot fits");
        }
        for call in 0..after.len() {
            alerts.extend(engine.push("logs-0", after.slice(call..call + 1)).expect("calls are judged"));
        }
        written(&alerts)
    });
    let is_curl = |alert: &Value| alert.to_string().contains("curl");
    assert!(alerts[0].iter().any(is_curl), "the novelty is not found, so nothing is compared");
    assert_eq!(std::mem::take(&mut alerts[0]), alerts[1]);
}

#[test]
fn a_theft_is_told_at_the_end_of_its_minute_by_a_stream_and_by_a_scan_alike() {
    let end = jiff::Timestamp::from_str("2026-09-16T12:02:00Z").unwrap().as_microsecond();
    let is_theft = |alert: &&Alert| alert.message.contains("sendgrid") && alert.message.contains("more than ever");
    let mut stream = engine();
    let mut alerts = Vec::new();
    for call in 0..calls().len() {
        let told = stream.push("logs-0", calls().slice(call..call + 1)).expect("calls are judged");
        if alerts.iter().chain(&told).find(is_theft).is_none() {
            assert!(calls().rows()[call].time <= end, "it is told with the first call of the minute after");
        }
        alerts.extend(told);
    }
    alerts.extend(stream.finish().expect("calls are judged"));
    let theft = alerts.iter().find(is_theft).expect("it is found");
    assert_eq!((theft.time, theft.severity >= Severity::Medium), (end, true), "{theft:?}");
    let mut scan = Engine::new(Arc::clone(bundle()), EngineSettings { is_bounded: true, ..SETTINGS }).unwrap();
    let mut scanned = scan.push("logs-0", calls().clone()).expect("calls are judged");
    scanned.extend(scan.finish().expect("calls are judged"));
    assert_eq!(brief(&written(&scanned)), brief(&written(&alerts)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn any_batch_size_gives_the_alerts_of_one_go(size in prop_oneof![20_usize..200, 200_usize..3000]) {
        let frames = cut(calls(), (1..).map(|batch| batch * size).take_while(|place| *place < calls().len()));
        prop_assert_eq!(&alerts_of(engine(), &frames), expected());
    }

    #[test]
    fn an_engine_that_was_stopped_and_restored_anywhere_gives_the_alerts_of_one_go(
        stops in proptest::collection::btree_set(0_usize..10_000, 1..6)
    ) {
        let places = stops.iter().map(|share| calls().len() * share / 10_000);
        let mut engine = engine();
        let mut alerts: Vec<Alert> = Vec::new();
        for frame in cut(calls(), places) {
            alerts.extend(engine.push("logs-0", frame).expect("calls are judged"));
            let snapshot = engine.snapshot().expect("a snapshot");
            engine = Engine::restore(Arc::clone(bundle()), SETTINGS, &snapshot).expect("the snapshot fits");
        }
        alerts.extend(engine.finish().expect("calls are judged"));
        prop_assert_eq!(&written(&alerts), expected());
    }

    #[test]
    fn calls_that_come_late_within_what_is_allowed_give_the_same_incidents(seed in any::<u64>(), size in 100_usize..2000) {
        let calls = delayed(calls(), seed);
        let frames = cut(&calls, (1..).map(|batch| batch * size).take_while(|place| *place < calls.len()));
        prop_assert_eq!(pages(&alerts_of(engine(), &frames)), pages(expected()));
    }

    #[test]
    fn calls_that_come_hours_late_give_the_same_alerts_whatever_the_batches(
        size in prop_oneof![20_usize..200, 200_usize..3000]
    ) {
        let calls = held_up(calls());
        let frames = cut(&calls, (1..).map(|batch| batch * size).take_while(|place| *place < calls.len()));
        let alerts = alerts_of(engine(), std::slice::from_ref(&calls));
        prop_assert!(alerts.iter().any(|alert| alert.to_string().contains("came late")));
        prop_assert_eq!(brief(&alerts_of(engine(), &frames)), brief(&alerts));
    }

    #[test]
    fn calls_spread_over_partitions_give_the_same_alerts(seed in any::<u64>(), size in 100_usize..2000) {
        use rand::{Rng, SeedableRng};
        let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
        let (first, second): (Vec<usize>, Vec<usize>) = (0..calls().len()).partition(|_| random.gen_bool(0.3));
        let partitions = [calls().select(first), calls().select(second)];
        let mut engine = engine();
        engine.assign(&["logs-0".to_owned(), "logs-1".to_owned()]);
        let mut alerts: Vec<Alert> = Vec::new();
        // Batches of one size: the partition with fewer calls is far ahead, and at its end first.
        for batch in 0..=calls().len() / size {
            for (name, calls) in ["logs-0", "logs-1"].iter().zip(&partitions) {
                let frame = calls.slice(batch * size..(batch + 1) * size);
                alerts.extend(engine.push(name, frame).expect("calls are judged"));
            }
        }
        alerts.extend(engine.finish().expect("calls are judged"));
        let alerts = written(&alerts);
        prop_assert_eq!(brief(&alerts), brief(expected()));
        prop_assert_eq!(&alerts, expected());
    }
}
