//! One plausible alert, which tests change where they must: `Alert { severity, ..sample() }`.
//!
//! Public, for the tests of other modules and those in `tests/`, and no part of the documented interface.

use super::{Activity, Alert, Involved, Joined, Related, Severity};
use crate::calls::View;
use crate::detect::{Category, CauseClass, Contribution, Counterfactual, Family, Threshold};

/// The first step of an incident: a bulk upload by `payroll-svc` to Dropbox, High, at 2026-09-01T01:00:00Z.
pub fn sample() -> Alert {
    const OPENED: i64 = 1_788_224_400_000_000;
    Alert {
        id: "aw-7f3c".to_string(),
        revision: 1,
        activity: Activity::Create,
        severity: Severity::High,
        time: OPENED,
        first_seen: OPENED - 3_600_000_000,
        last_seen: OPENED,
        detector: "burst".to_string(),
        title: "Bulk upload to a known vendor".to_string(),
        message: "payroll-svc sent 412 MB to content.dropboxapi.com, usual 1.1 MB".to_string(),
        category: Category::Exfiltration,
        cause_class: CauseClass::DataLeft,
        likely: None,
        technique: Some("T1567.002".to_string()),
        view: View::Egress,
        caller: Some("payroll-svc".to_string()),
        vendor: "dropbox".to_string(),
        account: None,
        hosts: vec!["content.dropboxapi.com".to_string()],
        credential: Some("fp_9a1c".to_string()),
        endpoint: Some("POST /2/files/upload".to_string()),
        p_value: 3e-7,
        alarms_per_day: 0.025,
        threshold: Some(Threshold { family: Family::Tests, calibrated: 0.55, in_force: 0.2 }),
        joined: vec![Joined {
            what: "POST /2/files/upload".to_string(),
            first_seen: OPENED - 3_600_000_000,
            last_seen: OPENED,
        }],
        contributions: vec![Contribution {
            name: "bytes_out".to_string(),
            window: "1h".to_string(),
            observed: "412 MB".to_string(),
            baseline: "1.1 MB".to_string(),
            observed_value: Some(412e6),
            baseline_value: Some(1.1e6),
            unit: "bytes".to_string(),
            share: 0.97,
            p_value: 3e-7,
        }],
        counterfactual: Some(Counterfactual {
            without: vec!["the change of request size".to_string()],
            alarms_per_day: Some(12.0),
        }),
        involved: vec![Involved {
            caller: Some("payroll-svc".to_string()),
            vendor: "dropbox".to_string(),
            account: None,
            host: Some("content.dropboxapi.com".to_string()),
            credential: Some("fp_9a1c".to_string()),
            endpoint: Some("POST /2/files/upload".to_string()),
            calls: 212,
        }],
        related: vec![Related { id: "aw-51aa".to_string(), title: "First call to a vendor".to_string() }],
        calls: 212,
        trace_ids: vec!["4bf92f3577b34da6".to_string()],
        bundle: "2026-09-01".to_string(),
        triaged: None,
        owners: Vec::new(),
        suppression: None,
    }
}
