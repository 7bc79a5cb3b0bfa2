//! What goes on while the service does: calls that come hours late, and a new bundle.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use apiwarden::alerts::{Alert, Severity};
use apiwarden::calls::Calls;
use apiwarden::rollup::Rollup;
use apiwarden::stream::{Engine, EngineSettings};
use common::{bundle, decode, later, learn, program};
use rand::{Rng, SeedableRng};

const MINUTE: i64 = 60_000_000;

fn engine() -> Engine {
    let settings =
        EngineSettings { alerts_per_day: common::ALERTS_PER_DAY, keeps_rows: true, ..EngineSettings::default() };
    Engine::new(Arc::clone(bundle()), settings).unwrap()
}

/// Two days in which a stolen key is used and a bill is run up.
fn calls() -> Calls {
    decode(&later("2026-09-16T00", "2026-09-18T00")).0
}

/// Who is paged about, at which vendor.
fn pages(alerts: &[Alert]) -> BTreeSet<(String, String)> {
    let pages = alerts.iter().filter(|alert| alert.severity >= Severity::Medium);
    pages.map(|alert| (alert.caller.clone().unwrap_or_default(), alert.vendor.clone())).collect()
}

fn push(engine: &mut Engine, calls: &Calls) -> Vec<Alert> {
    let pieces = (0..calls.len()).step_by(500).map(|from| calls.slice(from..from + 500));
    pieces.flat_map(|piece| engine.push("logs/0", piece).expect("calls are judged")).collect()
}

/// Takes in the calls as they come where those of one caller have a partition of their own, whose shipper is away but for a moment each
/// `minutes`: what comes then is as late as that.
fn push_held_up(engine: &mut Engine, calls: &Calls, minutes: i64, caller: &str) -> Vec<Alert> {
    let is_held_up = |row: usize| calls.relation(&calls.rows()[row]).caller().as_str() == caller;
    let comes = |row: &usize| {
        let time = calls.rows()[*row].time;
        if is_held_up(*row) { (time / (minutes * MINUTE) + 1) * minutes * MINUTE } else { time }
    };
    let mut order: Vec<usize> = (0..calls.len()).collect();
    order.sort_by_key(comes);
    let mut alerts = Vec::new();
    for piece in order.chunk_by(|a, b| is_held_up(*a) == is_held_up(*b)) {
        let partition = if is_held_up(piece[0]) { "logs/1" } else { "logs/0" };
        alerts.extend(engine.push(partition, calls.select(piece.iter().copied())).expect("calls are judged"));
        alerts.extend(engine.idle("logs/1").expect("calls are judged"));
    }
    alerts
}

#[test]
fn a_new_bundle_in_the_middle_of_a_stream_changes_nothing_that_it_does_not_know_better() {
    let calls = calls();
    let (mut undisturbed, mut engine) = (engine(), engine());
    let expected = pages(&push(&mut undisturbed, &calls));
    assert!(expected.len() > 2, "{expected:?}");
    let half = calls.len() / 2;
    let mut alerts = push(&mut engine, &calls.slice(0..half));
    let rows: Rollup = engine.take_closed_rows().into_iter().collect();
    engine.go_over_to(Arc::clone(bundle()), rows).expect("it fits");
    alerts.extend(push(&mut engine, &calls.slice(half..calls.len())));
    assert_eq!(pages(&alerts), expected);
    assert_eq!(engine.counters(), undisturbed.counters());
    let ids: Vec<String> = alerts.iter().map(|alert| format!("{}-{}", alert.id, alert.revision)).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "no step is told twice");
}

/// Whose incidents paged, by what their first page said; but for silence: until they come, late calls are missing.
fn attacks(alerts: &[Alert]) -> BTreeSet<(String, String)> {
    let mut seen = BTreeSet::new();
    let opening: Vec<Alert> = alerts.iter().filter(|alert| alert.severity >= Severity::Medium).cloned().collect();
    let opening = opening.into_iter().filter(|alert| alert.detector != "silence" && seen.insert(alert.id.clone()));
    pages(&opening.collect::<Vec<_>>())
}

#[test]
fn calls_that_come_hours_late_are_all_judged_and_attacks_told_as_if_they_had_come_in_time() {
    let calls = calls();
    let expected = attacks(&push(&mut engine(), &calls));
    println!("{:16} {:>8} {:>6} {:>7}  paged about, of {}", "late caller", "minutes", "late", "judged", expected.len());
    for (caller, vendor) in [("billing-worker", "stripe"), ("ml-gateway", "openai"), ("support-portal", "zendesk")] {
        let attack = (caller.to_owned(), vendor.to_owned());
        assert!(expected.contains(&attack), "{expected:?}");
        for minutes in [1, 60, 1200] {
            let mut engine = engine();
            let mut alerts = push_held_up(&mut engine, &calls, minutes, caller);
            alerts.extend(engine.finish().expect("calls are judged"));
            let told = attacks(&alerts);
            let counters = engine.counters();
            let (late, found) = (counters.past.iter().sum::<u64>(), expected.intersection(&told).count());
            println!("{caller:16} {minutes:8} {late:6} {:7}  {found}", counters.calls);
            assert_eq!((counters.calls, counters.too_late), (calls.len() as u64, 0), "{caller} {minutes} minutes");
            assert!(told.contains(&attack) && found + 1 >= expected.len(), "{caller} {minutes} minutes: {told:?}");
            assert!(told.is_subset(&expected), "{caller} {minutes} minutes: {told:?}");
            let says_so = alerts.iter().any(|alert| alert.message.ends_with("; its calls came late"));
            assert_eq!(says_so, minutes > 1, "{caller} {minutes} minutes");
        }
    }
}

/// The records of two weeks and of two more days of an audit log, in which keys are stolen and much is deleted.
fn audit_log() -> [Vec<String>; 2] {
    let home = tempfile::tempdir().expect("a directory");
    let at = |name: &str| home.path().join(name);
    let specification =
        "seed = 4\nformat = \"cloudtrail\"\nstart = \"2026-09-01\"\ndays = 16\ncallers = 12\ncalls_a_day = 4000\n";
    std::fs::write(at("spec.toml"), specification).expect("it is written");
    program().arg("simulate").arg(at("spec.toml")).arg("--out").arg(at("log.ndjson")).assert().success();
    let mut inject = program();
    inject.args(["inject", "--from", "2026-09-15T00:00:00Z", "--strength", "easy", "--seed", "4", "--input"]);
    inject.arg(at("log.ndjson")).arg("--history-out").arg(at("history.ndjson"));
    inject.arg("--out").arg(at("judged.ndjson")).arg("--labels").arg(at("labels.csv"));
    inject.args(["--scenario", "audit-stolen-key", "audit-mass-delete"]).assert().success();
    ["history.ndjson", "judged.ndjson"].map(|name| {
        let text = std::fs::read_to_string(at(name)).expect("it was written");
        text.lines().map(str::to_owned).collect()
    })
}

/// The calls in the order in which they come in files of five minutes, each of which takes 5 to 40 minutes more.
fn by_files(calls: &Calls) -> Calls {
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(5);
    let mut delays = std::collections::BTreeMap::new();
    let mut comes = |row: usize| {
        let call = &calls.rows()[row];
        let file = (call.time.div_euclid(5 * MINUTE), call.relation % 8);
        let delay = delays.entry(file).or_insert_with(|| random.gen_range(5 * MINUTE..40 * MINUTE));
        (file.0 + 1) * 5 * MINUTE + *delay
    };
    let mut order: Vec<(i64, usize)> = (0..calls.len()).map(|row| (comes(row), row)).collect();
    order.sort_unstable();
    calls.select(order.into_iter().map(|(_, row)| row))
}

#[test]
fn an_audit_log_that_comes_in_files_5_to_40_minutes_late_tells_the_same_attacks_and_no_silence() {
    let [history, judged] = audit_log();
    let bundle = Arc::new(learn(&history).0);
    let calls = decode(&judged).0;
    let [in_time, late] = [calls.clone(), by_files(&calls)].map(|calls| {
        let mut engine = Engine::new(Arc::clone(&bundle), EngineSettings::default()).unwrap();
        let mut alerts = push(&mut engine, &calls);
        alerts.extend(engine.finish().expect("calls are judged"));
        let past: u64 = engine.counters().past.iter().sum();
        println!("{} calls, {past} after their bucket was judged, paged about {:?}", calls.len(), pages(&alerts));
        (alerts, past)
    });
    assert_eq!(in_time.1, 0);
    assert!(late.1 > calls.len() as u64 / 10, "{} are late", late.1);
    let of_silence = |alert: &&Alert| ["silence", "logs_stopped"].contains(&alert.detector.as_str());
    let told = late.0.iter().filter(of_silence).filter(|alert| alert.severity >= Severity::Medium).count();
    assert_eq!(told, in_time.0.iter().filter(of_silence).filter(|alert| alert.severity >= Severity::Medium).count());
    assert!(attacks(&in_time.0).len() >= 2 && attacks(&in_time.0).is_subset(&attacks(&late.0)));
}
