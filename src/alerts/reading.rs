//! Alerts read back from OCSF, as the sinks wrote them: for cards, triage and evaluation.
//!
//! The inverse of `to_ocsf`, except that times are whole milliseconds and hosts are those of all parts of the incident. Of another product's
//! finding, what is understood is read.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Activity, Alert, Involved, Related, Severity, Triaged};
use crate::calls::View;
use crate::detect::{Benign, Category, CauseClass};

/// The alert of an OCSF Detection Finding; `None` where it is no such finding or has no id.
pub fn from_ocsf(ocsf: &Value) -> Option<Alert> {
    let id = text(ocsf, "/finding_info/uid")?;
    let ours = ocsf.pointer("/unmapped/apiwarden").unwrap_or(&Value::Null);
    let revision = text(ocsf, "/metadata/uid").and_then(|uid| uid.rsplit_once('-')?.1.parse().ok());
    let time = ocsf.get("time")?.as_i64()?;
    let instant = |pointer: &str| ocsf.pointer(pointer).and_then(Value::as_i64).unwrap_or(time).saturating_mul(1_000);
    let number = |field: &str| ours.get(field).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let involved: Vec<Involved> = field(ours, "involved").unwrap_or_default();
    Some(Alert {
        id,
        revision: revision.unwrap_or(1),
        activity: activity(ocsf)?,
        severity: severity(ocsf.get("severity_id")?)?,
        time: time.saturating_mul(1_000),
        first_seen: instant("/finding_info/first_seen_time"),
        last_seen: instant("/finding_info/last_seen_time"),
        detector: text(ocsf, "/finding_info/analytic/name").unwrap_or_default(),
        title: text(ocsf, "/finding_info/title").unwrap_or_default(),
        message: text(ocsf, "/message").unwrap_or_default(),
        category: field::<Category>(ours, "category").unwrap_or(Category::Abuse),
        cause_class: field::<CauseClass>(ours, "cause_class").unwrap_or_default(),
        likely: field::<Benign>(ours, "likely"),
        technique: text(ocsf, "/finding_info/attacks/0/sub_technique/uid")
            .or_else(|| text(ocsf, "/finding_info/attacks/0/technique/uid")),
        view: field::<View>(ours, "view").unwrap_or(View::Egress),
        caller: resources(ocsf, "caller", "name").into_iter().next(),
        vendor: resources(ocsf, "vendor", "name").into_iter().next().unwrap_or_default(),
        // The resources also name the accounts of other parts: the first part is the one that the step reports.
        account: involved.first().and_then(|part| part.account.clone()),
        hosts: resources(ocsf, "vendor host", "name"),
        credential: resources(ocsf, "credential", "uid").into_iter().next(),
        endpoint: resources(ocsf, "endpoint", "name").into_iter().next(),
        p_value: number("p_value"),
        alarms_per_day: number("alarms_per_day"),
        threshold: field(ours, "threshold"),
        joined: field(ours, "joined").unwrap_or_default(),
        contributions: field(ours, "contributions").unwrap_or_default(),
        counterfactual: field(ours, "counterfactual"),
        related: list(ocsf, "/finding_info/related_events").iter().filter_map(related).collect(),
        calls: ocsf.get("count").and_then(Value::as_u64).unwrap_or_default(),
        trace_ids: strings(ocsf, "/evidences/0/data/trace_ids"),
        bundle: text(ours, "/bundle").unwrap_or_default(),
        involved,
        triaged: triaged(ours),
        owners: field(ours, "owners").unwrap_or_default(),
        suppression: field(ours, "suppression"),
    })
}

fn triaged(ours: &Value) -> Option<Triaged> {
    let lowered_from = ours.get("untriaged_severity_id").and_then(severity);
    Some(Triaged { score: ours.get("triage_score")?.as_f64()?, lowered_from })
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn strings(value: &Value, pointer: &str) -> Vec<String> {
    list(value, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn field<T: DeserializeOwned>(ours: &Value, name: &str) -> Option<T> {
    T::deserialize(ours.get(name)?).ok()
}

fn activity(ocsf: &Value) -> Option<Activity> {
    let activities = [Activity::Create, Activity::Update, Activity::Close];
    let id = ocsf.get("activity_id")?.as_u64()?;
    activities.into_iter().find(|activity| *activity as u64 == id)
}

fn severity(id: &Value) -> Option<Severity> {
    use Severity::{Critical, High, Informational, Low, Medium};
    let id = id.as_u64()?;
    [Informational, Low, Medium, High, Critical].into_iter().find(|severity| *severity as u64 == id)
}

/// The names of the resources of a type.
fn resources(ocsf: &Value, kind: &str, name: &str) -> Vec<String> {
    let of_kind = list(ocsf, "/resources").iter().filter(|resource| resource["type"] == kind);
    of_kind.filter_map(|resource| resource[name].as_str()).map(str::to_owned).collect()
}

fn related(event: &Value) -> Option<Related> {
    Some(Related { id: text(event, "/uid")?, title: text(event, "/title").unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::super::Owner;
    use super::super::sample;
    use super::super::to_ocsf;
    use super::*;

    #[test]
    fn an_alert_that_was_written_comes_back_as_it_was() {
        let lowered = Triaged { score: 0.12, lowered_from: Some(Severity::High) };
        for triaged in [None, Some(lowered)] {
            let owner = Owner { team: "storage".to_owned(), vendor: Some("dropbox".to_owned()), ..Owner::default() };
            let alert = Alert { triaged, owners: vec![owner], suppression: Some(7), ..sample() };
            assert_eq!(from_ocsf(&to_ocsf(&alert)), Some(alert));
        }
    }

    #[test]
    fn what_is_no_finding_is_no_alert() {
        assert_eq!(from_ocsf(&serde_json::json!({ "class_uid": 2004, "time": 1 })), None);
        assert_eq!(from_ocsf(&Value::Null), None);
    }
}
