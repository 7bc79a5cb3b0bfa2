//! What goes on while the service does: calls that come hours late, and a new bundle.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use apiwarden::alerts::{Alert, Severity};
use apiwarden::calls::Calls;
use apiwarden::rollup::Rollup;
use apiwarden::stream::{Engine, EngineSettings};
use common::{bundle, decode, later};

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
