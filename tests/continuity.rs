//! What goes on while the service does: calls that come hours late, and a new bundle.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use apiwarden::alerts::{Alert, Severity};
use apiwarden::calls::Calls;
use apiwarden::rollup::Rollup;
use apiwarden::stream::{Engine, EngineSettings};
use common::{bundle, decode, later};

const HOUR: i64 = 3_600_000_000;

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

/// The calls in the order in which they come if those that `is_held_up` says come so many hours after their time.
fn held_up(calls: &Calls, hours: i64, is_held_up: impl Fn(&str, i64) -> bool) -> Calls {
    let comes = |row: usize| {
        let call = &calls.rows()[row];
        let caller = calls.relation(call).caller().as_str();
        call.time + if is_held_up(caller, call.time) { hours * HOUR } else { 0 }
    };
    let mut order: Vec<usize> = (0..calls.len()).collect();
    order.sort_by_key(|row| comes(*row));
    calls.select(order)
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

#[test]
fn calls_that_come_hours_late_are_judged_and_what_pages_says_so() {
    let calls = calls();
    let mut in_time = engine();
    let expected = pages(&push(&mut in_time, &calls));
    for (caller, vendor) in [("billing-worker", "stripe"), ("ml-gateway", "openai")] {
        let attack = (caller.to_owned(), vendor.to_owned());
        assert!(expected.contains(&attack), "{expected:?}");
        for hours in [1, 5, 20] {
            let mut engine = engine();
            let mut alerts = push(&mut engine, &held_up(&calls, hours, |who, _| who == caller));
            alerts.extend(engine.finish().expect("calls are judged"));
            let late: Vec<&Alert> = alerts.iter().filter(|alert| alert.message.contains("came late")).collect();
            assert!(!late.is_empty(), "{caller} {hours} h: {:?}", pages(&alerts));
            let counters = engine.counters();
            assert_eq!((counters.calls, counters.too_late), (calls.len() as u64, 0), "{caller} {hours} h");
            let told = pages(&alerts);
            assert!(told.contains(&attack), "{caller} {hours} h: {told:?}");
        }
    }
}
