//! Incidents as findings make them: what joins, what is told, and when it ends.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::alerts::Activity;
use crate::calls::View;
use crate::detect::{Contribution, class_of};

pub(in crate::alerts) const HOUR: i64 = 3_600_000_000;

pub(in crate::alerts) fn subject(caller: &str, vendor: &str) -> Subject {
    let vendor = vendor.to_owned();
    Subject { view: View::Egress, vendor, account: String::new(), caller: caller.to_owned(), rule: String::new() }
}

pub(in crate::alerts) fn finding(name: &'static str, time: i64) -> Finding {
    Finding {
        class: class_of(View::Egress, name, true, false).unwrap(),
        time,
        first_seen: time - HOUR,
        last_seen: time,
        alarms_per_day: 0.1,
        p_value: 0.01,
        threshold: None,
        message: name.to_owned(),
        contributions: Vec::new(),
        counterfactual: None,
        likely: None,
        destination: None,
        novelty: None,
        hosts: Vec::new(),
        credential: None,
        endpoint: None,
        calls: 1,
        trace_ids: Vec::new(),
    }
}

/// A finding about a new thing.
fn about(name: &'static str, novelty: &str, time: i64) -> Finding {
    Finding { novelty: Some(novelty.to_owned()), ..finding(name, time) }
}

/// What is reported of paging findings, each at its time: the step, and its incident by order of opening.
fn steps_of(findings: &[(Subject, Finding)]) -> Vec<(Activity, usize)> {
    let mut incidents = IncidentStore::default();
    let mut ids = Vec::new();
    let mut steps = Vec::new();
    for (subject, finding) in findings {
        steps.extend(incidents.close(finding.time));
        incidents.add(subject, finding, Severity::High, "b");
        steps.extend(incidents.report(finding.time));
    }
    let step = |alert: Alert| {
        let place = ids.iter().position(|id| *id == alert.id).unwrap_or_else(|| {
            ids.push(alert.id.clone());
            ids.len() - 1
        });
        (alert.activity, place)
    };
    steps.into_iter().map(step).collect()
}

const CREATE: Activity = Activity::Create;
const UPDATE: Activity = Activity::Update;
const CLOSE: Activity = Activity::Close;

#[test]
fn an_incident_is_created_updated_for_news_and_closed_when_quiet() {
    let (mut incidents, billing) = (IncidentStore::default(), subject("billing", "stripe"));
    let steps = |reported: Vec<Alert>| reported.into_iter().map(|a| (a.activity, a.revision)).collect::<Vec<_>>();
    incidents.add(&billing, &finding("bytes_out", HOUR), Severity::Medium, "b");
    incidents.add(&billing, &finding("denied", HOUR), Severity::Medium, "b");
    assert_eq!(steps(incidents.report(HOUR)), [(CREATE, 1)], "one step a bucket");
    incidents.add(&billing, &finding("denied", HOUR + 5), Severity::Medium, "b");
    assert_eq!(steps(incidents.report(HOUR + 5)), [], "nothing new");
    incidents.add(&billing, &finding("latency", HOUR + 9), Severity::Medium, "b");
    assert_eq!(steps(incidents.report(HOUR + 9)), [(UPDATE, 2)]);
    assert!(incidents.close(7 * HOUR + 9).is_empty());
    let closed = incidents.close(7 * HOUR + 10);
    assert_eq!((closed[0].activity, closed[0].revision, closed[0].time), (CLOSE, 3, 7 * HOUR + 9));
}

#[test]
fn the_same_findings_have_the_same_id_and_a_later_episode_another() {
    let id = |time: i64| {
        let mut incidents = IncidentStore::default();
        incidents.add(&subject("billing", "stripe"), &finding("bytes_out", time), Severity::Medium, "b");
        incidents.report(time)[0].id.clone()
    };
    assert_eq!(id(HOUR), id(HOUR));
    assert_ne!(id(HOUR), id(20 * HOUR));
}

#[test]
fn a_notice_that_grows_into_a_page_is_closed_and_the_page_points_at_it_and_knows_its_facts() {
    let (mut incidents, billing) = (IncidentStore::default(), subject("billing", "stripe"));
    let fact = Contribution {
        name: "client_known".to_owned(),
        window: String::new(),
        observed: "a client".to_owned(),
        baseline: String::new(),
        observed_value: None,
        baseline_value: None,
        unit: String::new(),
        share: 1.0,
        p_value: 0.5,
    };
    let first = Finding { contributions: vec![fact], ..finding("client_known", HOUR) };
    incidents.add(&billing, &first, Severity::Low, "b");
    let notice = incidents.report(HOUR)[0].id.clone();
    incidents.add(&billing, &finding("bytes_out", HOUR + 1), Severity::High, "b");
    let reported = incidents.report(HOUR + 1);
    assert_eq!(reported.iter().map(|alert| alert.activity).collect::<Vec<_>>(), [CLOSE, CREATE]);
    assert_eq!(reported[0].id, notice);
    assert_ne!(reported[1].id, notice);
    assert_eq!(reported[1].related[0].id, notice);
    assert_eq!(reported[1].first_time_facts().count(), 1);
}

#[test]
fn the_same_new_network_at_several_callers_and_vendors_is_one_incident() {
    let steps = steps_of(&[
        (subject("billing", "stripe"), about("network_public_new", "203.0.113.0/24", HOUR)),
        (subject("crm", "hubspot"), about("network_public_new", "203.0.113.0/24", 2 * HOUR)),
        (subject("crm", "hubspot"), about("network_public_new", "198.51.100.0/24", 2 * HOUR + 1)),
        (subject("mail", "sendgrid"), about("network_public_new", "192.0.2.0/24", 3 * HOUR)),
    ]);
    assert_eq!(steps, [(CREATE, 0), (UPDATE, 0), (CREATE, 1)]);
}

#[test]
fn a_misused_credential_joins_what_it_does_elsewhere_and_what_its_caller_shows_within_six_hours() {
    let stolen = |time| Finding { credential: Some("fp_1".to_owned()), ..finding("client_tool", time) };
    let upload = |time| Finding { credential: Some("fp_1".to_owned()), ..finding("bytes_out", time) };
    let steps = steps_of(&[
        (subject("billing", "stripe"), stolen(HOUR)),
        (subject("other", "stripe"), upload(2 * HOUR)),
        (subject("billing", "dropbox"), finding("bytes_out", 3 * HOUR)),
        (subject("other", "dropbox"), finding("bytes_out", 4 * HOUR)),
    ]);
    assert_eq!(steps, [(CREATE, 0), (UPDATE, 0), (UPDATE, 0), (CREATE, 1)]);
    let late = steps_of(&[
        (subject("billing", "stripe"), stolen(HOUR)),
        (subject("billing", "dropbox"), finding("bytes_out", 8 * HOUR)),
    ]);
    assert_eq!(late, [(CREATE, 0), (CLOSE, 0), (CREATE, 1)]);
}

#[test]
fn a_new_thing_leads_to_its_incident_even_where_the_subject_has_one_of_its_own() {
    let new = |time| about("client_tool", "curl", time);
    let steps = steps_of(&[
        (subject("crm", "hubspot"), finding("latency", HOUR)),
        (subject("billing", "stripe"), new(HOUR + 1)),
        (subject("crm", "hubspot"), new(HOUR + 2)),
        (subject("crm", "hubspot"), finding("bytes_out", HOUR + 3)),
        (subject("mail", "sendgrid"), finding("latency", 8 * HOUR)),
    ]);
    let expected = [(CREATE, 0), (CREATE, 1), (UPDATE, 1), (UPDATE, 1), (CLOSE, 0), (CLOSE, 1), (CREATE, 2)];
    assert_eq!(steps, expected);
}

#[test]
fn what_joins_names_all_and_is_never_less_severe() {
    let mut incidents = IncidentStore::default();
    let new = |time| about("network_public_new", "203.0.113.0/24", time);
    incidents.add(&subject("billing", "stripe"), &new(HOUR), Severity::Critical, "b");
    incidents.report(HOUR);
    incidents.add(&subject("crm", "hubspot"), &new(2 * HOUR), Severity::Medium, "b");
    let step = incidents.report(2 * HOUR).remove(0);
    assert_eq!(step.severity, Severity::Critical);
    assert_eq!(step.caller.as_deref(), Some("crm"), "a step reports what is new");
    assert_eq!((step.callers(), step.vendors()), (vec!["crm", "billing"], vec!["hubspot", "stripe"]));
}

#[test]
fn findings_that_share_a_vendor_or_a_caller_and_no_correlation_are_linked() {
    let mut incidents = IncidentStore::default();
    incidents.add(&subject("billing", "stripe"), &finding("bytes_out", HOUR), Severity::High, "b");
    incidents.add(&subject("crm", "stripe"), &finding("bytes_out", 2 * HOUR), Severity::High, "b");
    incidents.add(&subject("mail", "sendgrid"), &finding("bytes_out", 2 * HOUR), Severity::High, "b");
    let reported = incidents.report(2 * HOUR);
    let related: Vec<usize> = reported.iter().map(|alert| alert.related.len()).collect();
    assert_eq!(related, [1, 1, 0]);
    assert_eq!((&reported[0].related[0].id, &reported[1].related[0].id), (&reported[1].id, &reported[0].id));
}

#[test]
fn a_change_that_turns_out_to_be_the_vendor_s_takes_its_first_caller_s_incident() {
    let mut incidents = IncidentStore::default();
    incidents.add(&subject("fraud", "plaid"), &finding("latency", HOUR), Severity::Medium, "b");
    let id = incidents.report(HOUR)[0].id.clone();
    let vendor = subject("", "plaid");
    assert!(!incidents.promote_to_vendor(&vendor, "fraud", &["latency"], 3 * HOUR), "too long ago");
    assert!(!incidents.promote_to_vendor(&vendor, "fraud", &["denied"], HOUR + 1), "another cause");
    assert!(incidents.promote_to_vendor(&vendor, "fraud", &["latency"], HOUR + 1));
    incidents.add(&vendor, &finding("latency", HOUR + 1), Severity::Medium, "b");
    let step = incidents.report(HOUR + 1).remove(0);
    assert_eq!((step.id, step.activity, step.caller), (id, UPDATE, None));
    assert!(incidents.is_open(&vendor));
}

/// Any finding that a stream may bring: of a few subjects, causes, novelties and credentials, so that they often meet.
fn any_step() -> impl Strategy<Value = (Subject, Finding, Severity, i64)> {
    let subjects = (select(vec!["billing", "crm", ""]), select(vec!["stripe", "hubspot"]));
    let causes = select(vec!["bytes_out", "latency", "client_tool", "network_public_new", "vendor_new"]);
    let shown = (option::of(select(vec!["203.0.113.0/24", "curl"])), option::of(select(vec!["fp_1", "fp_2"])));
    let severities = select(vec![Severity::Informational, Severity::Low, Severity::Medium, Severity::Critical]);
    (subjects, causes, shown, severities, 0..3 * HOUR).prop_map(
        |((caller, vendor), cause, (novelty, credential), severity, pause)| {
            let finding = Finding {
                novelty: novelty.map(str::to_owned),
                credential: credential.map(str::to_owned),
                ..finding(cause, 0)
            };
            (subject(caller, vendor), finding, severity, pause)
        },
    )
}

/// Runs findings through a store, which is written and read back before each step where `restarts`.
fn lives(findings: &[(Subject, Finding, Severity, i64)], restarts: bool) -> Vec<Alert> {
    let (mut store, mut time, mut alerts) = (IncidentStore::default(), HOUR, Vec::new());
    for (subject, finding, severity, pause) in findings {
        if restarts {
            store = postcard::from_bytes(&postcard::to_stdvec(&store).unwrap()).unwrap();
        }
        time += pause;
        alerts.extend(store.close(time));
        store.add(
            subject,
            &Finding { time, first_seen: time - HOUR, last_seen: time, ..finding.clone() },
            *severity,
            "b",
        );
        alerts.extend(store.report(time));
    }
    alerts.extend(store.close(time + 2 * INCIDENT));
    assert!(store.incidents.is_empty() && store.open.is_empty() && store.correlations.is_empty(), "nothing is left");
    alerts
}

proptest! {
    #[test]
    fn every_incident_is_created_once_never_falls_in_severity_and_is_closed_once(findings in vec(any_step(), 1..40)) {
        let alerts = lives(&findings, false);
        let mut incidents: BTreeMap<&str, Vec<&Alert>> = BTreeMap::new();
        alerts.iter().for_each(|alert| incidents.entry(&alert.id).or_default().push(alert));
        for (id, steps) in incidents {
            let revisions: Vec<u32> = steps.iter().map(|step| step.revision).collect();
            prop_assert_eq!(revisions, (1..=steps.len() as u32).collect::<Vec<_>>(), "{}", id);
            let last = steps.len() - 1;
            for (at, step) in steps.iter().enumerate() {
                let expected = if at == 0 { CREATE } else if at == last { CLOSE } else { UPDATE };
                prop_assert_eq!(step.activity, expected, "{} at {}", id, at);
                prop_assert!(step.first_seen <= step.last_seen && step.last_seen <= step.time, "{}", id);
                prop_assert!(!step.involved.is_empty() && step.related.iter().all(|related| related.id != id));
            }
            prop_assert!(steps.is_sorted_by_key(|step| (step.time, step.severity)), "{}", id);
        }
    }

    #[test]
    fn a_store_that_was_restored_goes_on_as_if_it_had_never_stopped(findings in vec(any_step(), 1..20)) {
        prop_assert_eq!(lives(&findings, false), lives(&findings, true));
    }
}
