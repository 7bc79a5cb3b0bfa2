//! Incidents end to end: what an attack, a planned change and an ordinary evening page.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use apiwarden::alerts::{Activity, Alert, NOTICES_PER_DAY, Severity};
use apiwarden::stream::{Engine, EngineSettings};
use common::{bundle, decode, later, logs, with};

const SETTINGS: EngineSettings = EngineSettings {
    alerts_per_day: common::ALERTS_PER_DAY,
    notices_per_day: NOTICES_PER_DAY,
    allowed_lateness_seconds: 60,
    late_calls_hours: 24,
    is_bounded: true,
    campaigns: Vec::new(),
    keeps_rows: false,
};

/// The alerts of records, in the order of time.
fn alerts_of(mut lines: Vec<String>) -> Vec<Alert> {
    lines.sort_by(|a, b| common::time(a).cmp(common::time(b)));
    let mut engine = Engine::new(Arc::clone(bundle()), SETTINGS).unwrap();
    let mut alerts = engine.push("logs-0", decode(&lines).0).expect("calls are judged");
    alerts.extend(engine.finish().expect("calls are judged"));
    alerts
}

/// A minute, microseconds.
const MINUTE: i64 = 60_000_000;

const ADDRESS: &str = r#""source":{"ip":""#;
const CLIENT: &str = r#""original":""#;
const CREDENTIAL: &str = r#""credential_id":""#;

/// An evening without an attack.
fn evening() -> Vec<String> {
    later("2026-09-15T16", "2026-09-15T22")
}

/// The alerts of a stream that runs until `stop`, is then silent for `minutes` by the clock, and goes on with `then`.
fn with_pause(stop: &str, minutes: i64, then: &[String]) -> [Vec<Alert>; 2] {
    let mut engine = Engine::new(Arc::clone(bundle()), EngineSettings { is_bounded: false, ..SETTINGS }).unwrap();
    engine.push("logs-0", decode(&later("2026-09-15T06", stop)).0).expect("calls are judged");
    let newest = engine.newest().expect("calls were pushed");
    let silence = (1..=minutes).flat_map(|minute| engine.tick(newest + minute * MINUTE)).collect();
    let mut after = engine.push("logs-0", decode(then).0).expect("calls are judged");
    after.extend(engine.idle("logs-0").expect("calls are judged"));
    [silence, after]
}

fn pages(alerts: &[Alert]) -> Vec<&Alert> {
    alerts.iter().filter(|alert| alert.severity >= Severity::Medium).collect()
}

fn opened(alerts: &[Alert]) -> Vec<&Alert> {
    alerts.iter().filter(|alert| alert.activity == Activity::Create).collect()
}

#[test]
fn a_log_that_stops_is_told_within_two_buckets_and_ends_when_records_come_again() {
    let [silence, after] = with_pause("2026-09-15T12:02", 60, &later("2026-09-15T13:02", "2026-09-15T16"));
    assert_eq!(pages(&silence).len(), 1, "one page for all callers: {silence:#?}");
    assert!(silence[0].message.starts_with("nothing is logged of egress any more"), "{}", silence[0].message);
    let told = with_pause("2026-09-15T12:02", 13, &[])[0].len();
    assert_eq!(told, 1, "by the end of the second bucket, and the minute for stragglers");
    let ended: Vec<&Alert> = after.iter().filter(|alert| alert.id == silence[0].id).collect();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].activity, Activity::Close);
    assert!(ended[0].message.contains("records come again, after 55 minutes"), "{}", ended[0].message);
    let is_of_silence =
        |alert: &&Alert| alert.id != silence[0].id && alert.contributions.iter().any(|r| r.name == "silence");
    assert_eq!(after.iter().find(is_of_silence), None, "a resumed stream is no news of any caller");
}

#[test]
fn records_that_were_only_late_take_the_alarm_back_and_are_judged() {
    let [silence, after] = with_pause("2026-09-15T12:02", 30, &later("2026-09-15T12:02", "2026-09-15T16"));
    let ended = after.iter().find(|alert| alert.id == silence[0].id).expect("it ends");
    assert!(ended.message.contains("the missing records came late"), "{}", ended.message);
    let others: Vec<&Alert> = after.iter().filter(|alert| alert.id != silence[0].id).collect();
    let [_, undisturbed] = with_pause("2026-09-15T12:02", 0, &later("2026-09-15T12:02", "2026-09-15T16"));
    assert_eq!(others, undisturbed.iter().collect::<Vec<_>>(), "the pause leaves no trace");
}

#[test]
fn an_ordinary_evening_pages_nobody() {
    assert_eq!(pages(&alerts_of(evening())).len(), 0);
}

#[test]
fn one_attacker_with_the_keys_of_several_callers_is_one_incident_that_names_them_all() {
    let mut lines = evening();
    let stolen = later("2026-09-15T18", "2026-09-15T20");
    let stolen = stolen.iter().filter(|line| !line.contains("slack.com")).step_by(5);
    lines.extend(stolen.map(|line| with(&with(line, ADDRESS, "203.0.113.9"), CLIENT, "curl/8.5.0")));
    let alerts = alerts_of(lines);
    let paged = pages(&alerts);
    let ids: Vec<&str> = opened(&alerts).iter().map(|alert| alert.id.as_str()).collect();
    let paging: Vec<&&str> = ids.iter().filter(|id| paged.iter().any(|alert| alert.id == **id)).collect();
    assert_eq!(paging.len(), 1, "{:#?}", paged.iter().map(|alert| &alert.message).collect::<Vec<_>>());
    let mut named = paged.last().expect("a page").callers();
    named.sort_unstable();
    assert_eq!(named, ["billing-worker", "ml-gateway", "support-portal"]);
    for caller in named {
        let is_reported = paged.iter().any(|alert| alert.caller.as_deref() == Some(caller));
        assert!(is_reported, "no step reports {caller}");
    }
    assert_eq!(paged[0].cause_class.as_str(), "credential_misused");
}

#[test]
fn a_planned_rotation_and_new_pods_are_reported_as_such_and_page_nobody() {
    let changes: [(&str, &str, &str); 2] =
        [("key rotation", CREDENTIAL, "sk_live_rotated000001"), ("new pods", ADDRESS, "10.20.251.7")];
    for (likely, mark, text) in changes {
        let changed = evening().into_iter().map(|line| {
            let is_changed = common::time(&line) >= "2026-09-15T18" && line.contains("billing-worker");
            if is_changed && line.contains("api.stripe.com") { with(&line, mark, text) } else { line }
        });
        let alerts = alerts_of(changed.collect());
        assert_eq!(pages(&alerts).len(), 0, "{likely}");
        let notice = alerts.iter().find(|alert| alert.message.ends_with(&format!("(likely: {likely})")));
        assert_eq!(notice.map(|notice| notice.severity), Some(Severity::Informational), "{likely}");
    }
}

#[test]
fn an_incident_is_always_closed_never_falls_in_severity_and_its_revisions_are_consecutive() {
    let alerts = alerts_of(logs().later.clone());
    let mut incidents: BTreeMap<&str, Vec<&Alert>> = BTreeMap::new();
    alerts.iter().for_each(|alert| incidents.entry(&alert.id).or_default().push(alert));
    assert!(incidents.len() > 3, "the sample has incidents");
    let last_alert = alerts.iter().map(|alert| alert.time).max().unwrap_or_default();
    for (id, steps) in incidents {
        let revisions: Vec<u32> = steps.iter().map(|step| step.revision).collect();
        assert_eq!(revisions, (1..=steps.len() as u32).collect::<Vec<_>>(), "{id}");
        assert_eq!(steps[0].activity, Activity::Create, "{id}");
        assert!(steps.is_sorted_by_key(|step| (step.time, step.severity)), "{id}");
        let newest = steps[steps.len() - 1];
        let is_recent = last_alert - newest.time < 7 * 3_600_000_000;
        assert!(newest.activity == Activity::Close || is_recent, "{id} was never closed");
    }
}
