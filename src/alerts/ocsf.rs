//! An alert as an OCSF 1.6.0 Detection Finding (class 2004), the form in which every sink delivers it.
//!
//! OCSF attributes are used where they exist, so that a SIEM needs no knowledge of apiwarden; the rest is in `unmapped.apiwarden`. The same alert
//! gives the same bytes: keys have a fixed order and no clock is read. Times are whole milliseconds.
//!
//! Resources are those of the part that the step reports, with every vendor, account and credential of the incident. Each part of the
//! incident, with its caller, is an evidence and an entry of `unmapped.apiwarden.involved`; `callers`, `vendors`, `accounts` and `credentials`
//! beside it list the names.
//!
//! Not here: other shapes and delivery (`sinks`).

use serde_json::{Value, json};

use super::digest::DIGEST;
use super::{Activity, Alert, Involved, NoticeKind, Owner, Severity, risk_score};
use crate::detect::{Analytic, Contribution, Counterfactual, Technique, detector_named, technique};

const VERSION: &str = "1.6.0";
const CATEGORY_FINDINGS: u32 = 2;
const CLASS_DETECTION_FINDING: u32 = 2004;
/// OCSF's `observable.type_id`.
const HOSTNAME: u8 = 1;
const USER_CREDENTIAL_ID: u8 = 19;
/// Most trace ids that an alert carries: evidence is to stay small.
const MAX_TRACE_IDS: usize = 20;

/// The alert as an OCSF Detection Finding, valid against the published JSON Schema.
pub fn to_ocsf(alert: &Alert) -> Value {
    let activity = alert.activity as u32;
    let (status_id, status) = status(alert);
    let resources = resources(alert);
    without_blanks(json!({
        "class_uid": CLASS_DETECTION_FINDING,
        "class_name": "Detection Finding",
        "category_uid": CATEGORY_FINDINGS,
        "category_name": "Findings",
        "activity_id": activity,
        "activity_name": activity_name(alert.activity),
        "type_uid": CLASS_DETECTION_FINDING * 100 + activity,
        "time": milliseconds(alert.time),
        "start_time": milliseconds(alert.first_seen),
        "end_time": milliseconds(alert.last_seen),
        "severity_id": alert.severity as u8,
        "severity": alert.severity.as_str(),
        "confidence_score": alert.triaged.map(|triaged| percent(triaged.score)),
        "risk_score": risk_score(alert.severity, alert.alarms_per_day),
        // OCSF counts risk levels from 0 (Info), severities from 1.
        "risk_level_id": alert.severity as u8 - Severity::Informational as u8,
        "status_id": status_id,
        "status": status,
        "is_alert": is_alert(alert),
        "count": alert.calls,
        "message": alert.message,
        "metadata": {
            "version": VERSION,
            "uid": format!("{}-{}", alert.id, alert.revision),
            "product": { "name": "apiwarden", "vendor_name": "apiwarden", "version": env!("CARGO_PKG_VERSION") },
        },
        "finding_info": finding_info(alert),
        "observables": observables(&resources),
        "resources": resources,
        "evidences": evidences(alert),
        "anomaly_analyses": alert.contributions.iter().map(|reason| anomaly_analysis(alert, reason)).collect::<Vec<_>>(),
        "unmapped": { "apiwarden": own(alert) },
    }))
}

/// The extension: what OCSF has no attribute for.
fn own(alert: &Alert) -> Value {
    json!({
        "p_value": alert.p_value,
        "alarms_per_day": alert.alarms_per_day,
        "threshold": alert.threshold,
        "bundle": alert.bundle,
        "category": alert.category.as_str(),
        "cause_class": alert.cause_class.as_str(),
        "likely": alert.likely,
        "view": alert.view.as_str(),
        "callers": alert.callers(),
        "vendors": alert.vendors(),
        "accounts": alert.accounts(),
        "credentials": alert.credentials(),
        "involved": alert.involved,
        "first_time_facts": alert.first_time_facts().collect::<Vec<_>>(),
        "counterfactual": alert.counterfactual,
        "joined": alert.joined,
        "owners": alert.owners,
        "suppression": alert.suppression,
        "contributions": alert.contributions,
        "triage_score": alert.triaged.map(|triaged| triaged.score),
        "untriaged_severity_id": alert.triaged.and_then(|triaged| triaged.lowered_from).map(|severity| severity as u8),
    })
}

/// A share as OCSF's whole score from 0 to 100.
fn percent(share: f64) -> u8 {
    (share.clamp(0.0, 1.0) * 100.0).round() as u8
}

fn milliseconds(microseconds: i64) -> i64 {
    microseconds.div_euclid(1_000)
}

fn activity_name(activity: Activity) -> &'static str {
    match activity {
        Activity::Create => "Create",
        Activity::Update => "Update",
        Activity::Close => "Close",
    }
}

/// What is held back and over is resolved, too.
fn status(alert: &Alert) -> (u8, &'static str) {
    match alert.activity {
        Activity::Create | Activity::Update if alert.suppression.is_some() => (3, "Suppressed"),
        Activity::Create => (1, "New"),
        Activity::Update => (2, "In Progress"),
        Activity::Close => (4, "Resolved"),
    }
}

/// Whether it should notify. An update alone does not know whether the severity rose, so nothing is claimed.
fn is_alert(alert: &Alert) -> Option<bool> {
    match alert.activity {
        _ if alert.suppression.is_some() => Some(false),
        Activity::Create => Some(true),
        Activity::Update => None,
        Activity::Close => Some(false),
    }
}

fn finding_info(alert: &Alert) -> Value {
    json!({
        "uid": alert.id,
        "title": alert.title,
        "desc": description(alert),
        "types": [alert.category.as_str()],
        "created_time": (alert.activity == Activity::Create).then(|| milliseconds(alert.time)),
        "modified_time": milliseconds(alert.time),
        "first_seen_time": milliseconds(alert.first_seen),
        "last_seen_time": milliseconds(alert.last_seen),
        "analytic": { "uid": alert.detector, "name": alert.detector, "type_id": analytic_type(&alert.detector) },
        "attacks": alert.technique.as_deref().and_then(technique).map(|technique| [attack(technique)]),
        "related_events": alert.related.iter().map(|related| json!({ "uid": related.id, "title": related.title })).collect::<Vec<_>>(),
    })
}

/// The contributions, then the counterfactual.
fn description(alert: &Alert) -> String {
    let reasons = alert.contributions.iter().map(in_words).collect::<Vec<_>>().join("; ");
    let counterfactual = alert.counterfactual.as_ref().map(Counterfactual::sentence);
    [Some(reasons), counterfactual].into_iter().flatten().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(". ")
}

fn in_words(reason: &Contribution) -> String {
    let Contribution { name, window, observed, baseline, .. } = reason;
    match window.as_str() {
        "" => format!("{name}: {observed}, usual {baseline}"),
        _ => format!("{name} over {window}: {observed}, usual {baseline}"),
    }
}

/// OCSF's `analytic.type_id`; unknown for a detector that this version does not have.
fn analytic_type(detector: &str) -> u8 {
    match detector_named(detector).map(|detector| detector.meta.analytic) {
        // Notices of the service about itself compare shares with limits, a digest counts.
        None if detector == DIGEST || NoticeKind::ALL.iter().any(|kind| kind.as_str() == detector) => 1,
        None => 0,
        Some(Analytic::Rule) => 1,
        Some(Analytic::Behavioural) => 2,
        Some(Analytic::Statistical) => 3,
        Some(Analytic::Learning) => 4,
    }
}

fn attack(technique: &Technique) -> Value {
    let named = |technique: &Technique| json!({ "uid": technique.uid, "name": technique.name });
    json!({
        "version": Technique::ATTACK_VERSION,
        "tactic": { "uid": technique.tactic_uid, "name": technique.tactic },
        "technique": named(technique.parent().unwrap_or(technique)),
        "sub_technique": technique.parent().map(|_| named(technique)),
    })
}

/// The entities of the step, and every vendor and credential of its incident.
fn resources(alert: &Alert) -> Vec<Value> {
    let own = |name: &Option<String>| name.clone().into_iter().collect::<Vec<_>>();
    let and_others = |own: Vec<String>, all: Vec<&str>| {
        let others: Vec<String> =
            all.into_iter().filter(|name| !own.iter().any(|own| own == name)).map(str::to_owned).collect();
        [own, others].concat()
    };
    let hosts = alert.involved.iter().filter_map(|part| part.host.as_deref()).collect();
    let hosts = and_others(alert.hosts.clone(), hosts);
    let vendors = and_others(vec![alert.vendor.clone()], alert.vendors());
    let credentials = and_others(own(&alert.credential), alert.credentials());
    let named = |kind: &'static str| move |name: String| json!({ "type": kind, "name": name });
    let caller = own(&alert.caller).into_iter().map(named("caller"));
    let hosts = hosts.into_iter().map(|host| json!({ "type": "vendor host", "name": host, "hostname": host }));
    let credentials = credentials.into_iter().map(|credential| json!({ "type": "credential", "uid": credential }));
    let endpoint = own(&alert.endpoint).into_iter().map(named("endpoint"));
    let accounts = and_others(own(&alert.account), alert.accounts());
    let accounts = accounts.into_iter().map(|account| json!({ "type": "account", "uid": account }));
    let vendors = vendors.into_iter().map(named("vendor"));
    let all = caller.chain(hosts).chain(vendors).chain(accounts).chain(credentials).chain(endpoint);
    all.map(|resource| with_owner(resource, &alert.owners)).collect()
}

/// The resource, with whoever answers for it.
fn with_owner(mut resource: Value, owners: &[Owner]) -> Value {
    let owns = |owner: &&Owner| match resource["type"].as_str() {
        Some("caller") => owner.caller.as_deref() == resource["name"].as_str(),
        Some("vendor") => owner.vendor.as_deref() == resource["name"].as_str(),
        _ => false,
    };
    if let Some(owner) = owners.iter().find(owns) {
        resource["owner"] = json!({ "name": owner.team });
    }
    resource
}

/// The resources that other tools can look up.
fn observables(resources: &[Value]) -> Vec<Value> {
    let observable = |(index, resource): (usize, &Value)| {
        let (field, type_id, says) = match resource["type"].as_str()? {
            "vendor host" => ("hostname", HOSTNAME, "Hostname"),
            "credential" => ("uid", USER_CREDENTIAL_ID, "User Credential ID"),
            _ => return None,
        };
        let name = format!("resources[{index}].{field}");
        Some(json!({ "name": name, "type_id": type_id, "type": says, "value": resource[field] }))
    };
    resources.iter().enumerate().filter_map(observable).collect()
}

/// One evidence for each part of the incident; the first is the one that the step reports, with its traces.
fn evidences(alert: &Alert) -> Vec<Value> {
    let trace_ids = &alert.trace_ids[..alert.trace_ids.len().min(MAX_TRACE_IDS)];
    let evidence = |(place, part): (usize, &Involved)| {
        let traces = if place == 0 { trace_ids } else { &[] };
        json!({
            "name": "calls of the strongest reason",
            "data": { "calls": part.calls, "trace_ids": traces },
            "actor": { "app_name": part.caller, "session": { "credential_uid": part.credential } },
            "dst_endpoint": { "hostname": part.host },
            "api": part.endpoint.as_ref().map(|endpoint| json!({ "operation": endpoint, "service": { "name": part.vendor } })),
        })
    };
    alert.involved.iter().enumerate().map(evidence).collect()
}

fn anomaly_analysis(alert: &Alert, reason: &Contribution) -> Value {
    let (target, level) = match &alert.caller {
        Some(caller) => (format!("{caller}/{}", alert.vendor), "caller-vendor"),
        None => (alert.vendor.clone(), "vendor"),
    };
    let seen = |value: &str| {
        let window = (!reason.window.is_empty()).then_some(&reason.window);
        json!({
            "observation_parameter": reason.name,
            "observation_type": Some(&reason.unit).filter(|unit| !unit.is_empty()),
            "observed_pattern": window,
            "observations": [{ "value": value }],
        })
    };
    json!({
        "analysis_targets": [{ "name": target, "type": level }],
        "anomalies": [seen(&reason.observed)],
        "baselines": [seen(&reason.baseline)],
    })
}

/// OCSF has no null: what is unknown is absent. Lists and objects that nothing is left in go too.
fn without_blanks(value: Value) -> Value {
    let blank = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    match value {
        Value::Array(items) => items.into_iter().map(without_blanks).filter(|item| !blank(item)).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, field)| (key, without_blanks(field)))
                .filter(|(_, field)| !blank(field))
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_entity_is_named_among_the_resources() {
        let ocsf = to_ocsf(&sample());
        let names: Vec<&str> = ocsf["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|resource| resource.get("name").unwrap_or_else(|| &resource["uid"]).as_str().unwrap())
            .collect();
        assert_eq!(names, ["payroll-svc", "content.dropboxapi.com", "dropbox", "fp_9a1c", "POST /2/files/upload"]);
    }

    #[test]
    fn every_observable_points_at_its_value_in_the_event() {
        let ocsf = to_ocsf(&sample());
        let observables = ocsf["observables"].as_array().unwrap();
        assert_eq!(observables.len(), 2);
        for observable in observables {
            let pointer = observable["name"].as_str().unwrap().replace('[', "/").replace("].", "/");
            assert_eq!(ocsf.pointer(&format!("/{pointer}")), Some(&observable["value"]));
        }
    }

    #[test]
    fn a_sub_technique_comes_with_its_technique_and_tactic() {
        let attack = &to_ocsf(&sample())["finding_info"]["attacks"][0];
        assert_eq!(attack["tactic"]["name"], "Exfiltration");
        assert_eq!(attack["technique"]["uid"], "T1567");
        assert_eq!(attack["sub_technique"]["uid"], "T1567.002");
    }

    #[test]
    fn an_incident_that_closes_is_resolved_and_calls_no_one() {
        let ocsf = to_ocsf(&Alert { activity: Activity::Close, revision: 3, ..sample() });
        assert_eq!((&ocsf["type_uid"], &ocsf["status_id"]), (&json!(200_403), &json!(4)));
        assert_eq!((&ocsf["metadata"]["uid"], &ocsf["finding_info"]["uid"]), (&json!("aw-7f3c-3"), &json!("aw-7f3c")));
        assert_eq!(ocsf["is_alert"], false);
    }

    #[test]
    fn what_is_held_back_says_so_and_a_resource_names_its_owner() {
        let owner = Owner { team: "storage".to_owned(), vendor: Some("dropbox".to_owned()), ..Owner::default() };
        let ocsf = to_ocsf(&Alert { owners: vec![owner], suppression: Some(7), ..sample() });
        assert_eq!((&ocsf["status_id"], &ocsf["is_alert"]), (&json!(3), &json!(false)));
        assert_eq!(ocsf["unmapped"]["apiwarden"]["suppression"], 7);
        let resources = ocsf["resources"].as_array().unwrap();
        let owned: Vec<_> = resources.iter().filter(|resource| resource.get("owner").is_some()).collect();
        assert_eq!(owned.len(), 1);
        assert_eq!((&owned[0]["name"], &owned[0]["owner"]["name"]), (&json!("dropbox"), &json!("storage")));
    }

    #[test]
    fn the_analytic_is_of_its_detector_s_type() {
        let types = ["weak_transport", "new_destination", "burst", "multivariate", "unheard_of"].map(analytic_type);
        assert_eq!(types, [1, 2, 3, 4, 0]);
    }
}
