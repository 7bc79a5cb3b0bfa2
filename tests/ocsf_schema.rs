//! Any alert is delivered as a valid OCSF Detection Finding.

use apiwarden::alerts::{Activity, Alert, Involved, NoticeKind, Owner, Related, Severity, Triaged, to_ocsf};
use apiwarden::calls::View;
use apiwarden::detect::{Benign, Category, CauseClass, Contribution, Counterfactual, DETECTORS, Family, Threshold};
use jsonschema::Validator;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn validator() -> Validator {
    let schema =
        serde_json::from_str(include_str!("ocsf/detection_finding-1.6.0.schema.json")).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is a JSON Schema")
}

/// Any text, the empty one too.
fn text() -> impl Strategy<Value = String> {
    select(vec!["", "payroll-svc", "POST /v1/{id}", "\u{1b}[2J\n\"", "ключ", "T1567.002"]).prop_map(str::to_string)
}

/// Any detector, and one that we do not have.
fn detector() -> impl Strategy<Value = String> {
    let names = DETECTORS
        .iter()
        .map(|detector| detector.meta.name)
        .chain(NoticeKind::ALL.map(NoticeKind::as_str))
        .chain(["unheard_of"]);
    select(names.collect::<Vec<_>>()).prop_map(str::to_string)
}

/// Any number, those that JSON cannot write too.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(0.0), 1e-12..1e3]
}

fn contribution() -> impl Strategy<Value = Contribution> {
    let values = (option::of(number()), option::of(number()), text(), number(), number());
    (text(), select(vec!["", "5m", "24h"]), text(), text(), values).prop_map(
        |(name, window, observed, baseline, (observed_value, baseline_value, unit, share, p_value))| Contribution {
            name,
            window: window.to_string(),
            observed,
            baseline,
            observed_value,
            baseline_value,
            unit,
            share,
            p_value,
        },
    )
}

fn counterfactual() -> impl Strategy<Value = Counterfactual> {
    (vec(text(), 0..4), option::of(number()))
        .prop_map(|(without, alarms_per_day)| Counterfactual { without, alarms_per_day })
}

fn involved() -> impl Strategy<Value = Involved> {
    let name = || option::of(text());
    (name(), text(), name(), name(), name(), name(), any::<u64>()).prop_map(
        |(caller, vendor, account, host, credential, endpoint, calls)| Involved {
            caller,
            vendor,
            account,
            host,
            credential,
            endpoint,
            calls,
        },
    )
}

fn alert() -> impl Strategy<Value = Alert> {
    let life = (
        text(),
        any::<u32>(),
        select(vec![Activity::Create, Activity::Update, Activity::Close]),
        select(vec![Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical]),
        any::<[i64; 3]>(),
    );
    let cause = (
        detector(),
        text(),
        select(vec![
            Category::Exfiltration,
            Category::Abuse,
            Category::Drift,
            Category::Governance,
            Category::Operations,
        ]),
        option::of(select(vec!["T1567.002", "T1078", "T1595.002", "T9999", ""])),
        select(vec![View::Egress, View::Audit]),
        (select(CauseClass::ALL.to_vec()), option::of(select(Benign::ALL.to_vec()))),
    );
    let name = || option::of(text());
    let subject = (name(), text(), vec(text(), 0..3), name(), name());
    let lowered_from = option::of(Just(Severity::High));
    let triaged =
        option::of((0.0..=1.0, lowered_from).prop_map(|(score, lowered_from)| Triaged { score, lowered_from }));
    let thresholds = (number(), number()).prop_map(|(calibrated, in_force)| Threshold {
        family: Family::Tests,
        calibrated,
        in_force,
    });
    let weight = (
        number(),
        (number(), option::of(thresholds)),
        vec(contribution(), 0..7),
        any::<u64>(),
        vec(text(), 0..30),
        triaged,
    );
    let related = (text(), text()).prop_map(|(id, title)| Related { id, title });
    let story = (option::of(counterfactual()), vec(involved(), 0..4), vec(related, 0..3));
    (life, cause, subject, weight, story).prop_map(|(life, cause, subject, weight, story)| {
        let (id, revision, activity, severity, [time, first_seen, last_seen]) = life;
        let (detector, message, category, technique, view, (cause_class, likely)) = cause;
        let (counterfactual, involved, related) = story;
        let (caller, vendor, hosts, credential, endpoint) = subject;
        let (p_value, (alarms_per_day, threshold), contributions, calls, trace_ids, triaged) = weight;
        Alert {
            id,
            revision,
            activity,
            severity,
            time,
            first_seen,
            last_seen,
            title: detector.clone(),
            detector,
            message: message.clone(),
            category,
            cause_class,
            likely,
            technique: technique.map(str::to_string),
            view,
            caller: caller.clone(),
            account: involved.first().and_then(|part: &Involved| part.account.clone()),
            owners: vec![Owner { team: message.clone(), caller: caller.clone(), vendor: Some(vendor.clone()) }],
            suppression: triaged.map(|_| 7),
            vendor,
            hosts,
            credential,
            endpoint,
            p_value,
            alarms_per_day,
            threshold,
            joined: Vec::new(),
            contributions,
            counterfactual,
            involved,
            related,
            calls,
            trace_ids,
            bundle: "2026-09-01".to_string(),
            triaged,
        }
    })
}

#[test]
fn every_alert_is_a_valid_detection_finding() {
    let validator = validator();
    proptest!(|(alert in alert())| {
        let ocsf = to_ocsf(&alert);
        let diagnostics: Vec<String> = validator.iter_errors(&ocsf).map(|error| format!("{}: {error}", error.instance_path())).collect();
        prop_assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    });
}

#[test]
fn the_schema_refuses_what_it_does_not_know() {
    let refused = serde_json::json!({
        "activity_id": 1, "category_uid": 2, "class_uid": 2004, "type_uid": 200_401, "time": 0, "severity_id": 4,
        "metadata": { "version": "1.6.0", "product": { "name": "apiwarden" } },
        "finding_info": { "uid": "aw-7f3c" }, "caller": "payroll-svc",
    });
    assert!(!validator().is_valid(&refused));
}
