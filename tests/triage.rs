//! Triage never hides a theft: a pair whose alerts analysts always dismissed is still found when it steals.

mod common;

use std::sync::Arc;

use apiwarden::alerts::triage::{Judged, Line, Said, Triage, Verdict};
use apiwarden::alerts::{Alert, NOTICES_PER_DAY, Severity};
use apiwarden::stream::{Engine, EngineSettings};
use apiwarden::train::triage::learn;
use common::{bundle, decode, later};

/// The alerts of the day on which support-portal uploads to a host never seen.
fn alerts() -> Vec<Alert> {
    let settings = EngineSettings {
        late_calls_hours: 24,
        alerts_per_day: common::ALERTS_PER_DAY,
        notices_per_day: NOTICES_PER_DAY,
        allowed_lateness_seconds: 60,
        is_bounded: true,
        campaigns: Vec::new(),
        keeps_rows: false,
    };
    let mut engine = Engine::new(Arc::clone(bundle()), settings).unwrap();
    let calls = decode(&later("2026-09-15T00", "2026-09-16T00")).0;
    let mut alerts = engine.push("logs-0", calls).expect("calls are judged");
    alerts.extend(engine.finish().expect("calls are judged"));
    alerts
}

fn is_theft(alert: &Alert) -> bool {
    alert.caller.as_deref() == Some("support-portal") && alert.severity >= Severity::Medium
}

/// What the theft would look like if it were small, and an everyday matter.
fn noise(theft: &Alert) -> Alert {
    Alert { severity: Severity::High, alarms_per_day: 0.9, p_value: 0.01, calls: 20, ..theft.clone() }
}

/// Sixty dismissals of the theft's own pair, detector and causes, and twenty true alerts of somebody else.
fn dismissing(theft: &Alert) -> Triage {
    let elsewhere = Alert {
        caller: Some("billing-worker".to_owned()),
        detector: "credential_misuse".to_owned(),
        contributions: Vec::new(),
        severity: Severity::Medium,
        ..noise(theft)
    };
    let line = |number: i64| {
        let (alert, verdict) = match number % 4 {
            3 => (elsewhere.clone(), Verdict::TruePositive),
            _ => (noise(theft), Verdict::FalsePositive),
        };
        let said = Said { id: format!("aw-{number}"), verdict, analyst: None, note: None };
        Line::new(said, Judged::of(&alert), number)
    };
    let lines: Vec<Line> = (0..80).map(line).collect();
    let (triage, report) = learn(&lines.iter().collect::<Vec<_>>()).expect("verdicts of both kinds");
    assert!(report.lowering.is_ok(), "{report}");
    triage
}

#[test]
fn a_theft_by_a_pair_that_analysts_always_dismissed_still_pages() {
    let alerts = alerts();
    let theft = alerts.iter().find(|alert| is_theft(alert)).expect("the sample has a theft");
    let triage = dismissing(theft);
    assert_eq!(triage.apply(noise(theft)).severity, Severity::Medium, "the noise is lowered by a step");

    let triaged: Vec<Alert> = alerts.iter().cloned().map(|alert| triage.apply(alert)).collect();
    let steps = |alerts: &[Alert]| alerts.iter().map(|alert| (alert.id.clone(), alert.revision)).collect::<Vec<_>>();
    assert_eq!(steps(&triaged), steps(&alerts), "no alert is lost");
    for (before, after) in alerts.iter().zip(&triaged).filter(|(before, _)| is_theft(before)) {
        assert_eq!(after.severity, before.severity, "as loud as ever");
    }
}
