//! OpenSearch and Elasticsearch, by `_bulk`: each step a document of a data stream, in ECS with the whole alert beside it.
//!
//! A document's id is the step's, and `create` refuses a second one: a step that comes twice is there once.
//!
//! Not here: the index template (`dist/opensearch/index-template.json`), which somebody installs once.

use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Address, Answer, Http, Request, Secret};
use super::remote::{Memory, Remote, Step, Target, Verdict};
use super::{SinkError, SinkPlan, SinkSpec, Surroundings};
use crate::alerts::{Activity, Alert, Severity, risk_score};
use crate::detect::technique;

const AT_ONCE: usize = 200;
const INDEX: &str = "logs-apiwarden.alert-default";

/// `type = "opensearch"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenSearch {
    /// The cluster's address.
    pub url: Secret,
    /// The data stream or index.
    #[serde(default)]
    pub index: Option<String>,
    /// User and password; or an API key.
    #[serde(default)]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// An API key of Elasticsearch, encoded.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// Tells several such sinks apart.
    #[serde(default)]
    pub name: Option<String>,
    /// Certificates in PEM to trust instead of the web's.
    #[serde(default)]
    pub ca_file: Option<std::path::PathBuf>,
}

impl SinkSpec for OpenSearch {
    const NAME: &'static str = "opensearch";
    const SUMMARY: &'static str =
        "Writes each step once, as an ECS document, to a data stream of OpenSearch or Elasticsearch.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        use base64::Engine;
        let url = Address::of(&self.url, around)?;
        let authorization = match (&self.username, &self.password, &self.api_key) {
            (Some(user), Some(password), None) => {
                let password = password.reveal("password", around)?;
                let both = format!("{user}:{}", password.expose());
                Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)))
            }
            (None, None, Some(key)) => Some(format!("ApiKey {}", key.reveal("api_key", around)?.expose())),
            (None, None, None) => None,
            _ => {
                return Err(SinkError::Spec(
                    "fields username, password, api_key: write the first two, the last, or none",
                ));
            }
        };
        Ok(Remote::of(Open {
            name: super::named(Self::NAME, self.name.as_deref(), url.host()),
            url,
            index: self.index.unwrap_or_else(|| INDEX.to_owned()),
            authorization: authorization.map(Authorization),
            http: Http::new(self.ca_file.as_deref(), around)?,
        }))
    }
}

struct Authorization(String);

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Debug)]
struct Open {
    name: String,
    url: Address,
    index: String,
    authorization: Option<Authorization>,
    http: Http,
}

/// An alert as an ECS document, the OCSF finding beside it.
fn document(step: &Step<'_>) -> Value {
    let Alert { id, detector, title, message, activity, severity, caller, vendor, hosts, .. } = step.alert;
    let action = match activity {
        Activity::Create => "incident-opened",
        Activity::Update => "incident-updated",
        Activity::Close => "incident-closed",
    };
    let number = match severity {
        Severity::Informational | Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    };
    let attack = step.alert.technique.as_deref().and_then(technique).map(|technique| {
        json!({ "framework": "MITRE ATT&CK", "technique": { "id": [technique.uid], "name": [technique.name] } })
    });
    json!({
        "@timestamp": super::rfc3339(step.alert.time),
        "ecs": { "version": "8.17.0" },
        "message": message,
        "event": {
            "kind": "alert", "category": ["intrusion_detection"], "type": ["info"], "id": step.uid, "action": action, "severity": number,
            "risk_score": risk_score(*severity, step.alert.alarms_per_day), "start": super::rfc3339(step.alert.first_seen),
            "end": super::rfc3339(step.alert.last_seen), "dataset": "apiwarden.alert", "module": "apiwarden",
        },
        "rule": { "id": detector, "name": title, "category": step.alert.category.as_str() },
        "threat": attack,
        "service": { "name": caller, "target": { "name": vendor } },
        "destination": { "domain": hosts.first() },
        "related": { "hosts": hosts },
        "labels": { "incident": id, "revision": step.alert.revision.to_string(), "view": step.alert.view.as_str() },
        "apiwarden": { "ocsf": String::from_utf8_lossy(step.ocsf) },
    })
}

impl Target for Open {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn http(&self) -> &Http {
        &self.http
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn takes_suppressed(&self) -> bool {
        true
    }

    fn request(&self, steps: &[Step<'_>], _memory: &Memory) -> Result<Request, SinkError> {
        let mut body = Vec::new();
        for step in steps {
            for line in [json!({ "create": { "_index": self.index, "_id": step.uid } }), document(step)] {
                body.extend(line.to_string().into_bytes());
                body.push(b'\n');
            }
        }
        let request =
            Request { url: self.url.with("/_bulk"), headers: Vec::new(), content_type: "application/x-ndjson", body };
        Ok(request.authorization(self.authorization.as_ref().map(|Authorization(value)| value.clone())))
    }

    fn judge(&self, steps: &[Step<'_>], answer: &Answer, _memory: &mut Memory) -> Verdict {
        let answer = answer.json();
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        let statuses: Vec<u64> =
            items.iter().map(|item| item["create"]["status"].as_u64().unwrap_or_default()).collect();
        if statuses.len() != steps.len()
            || statuses.iter().any(|status| matches!(status, 0 | 401 | 403 | 404 | 429 | 500..))
        {
            return Verdict::Again;
        }
        // 409: it is there already.
        let is_refused = |status: u64| !matches!(status, 200..=299 | 409);
        let refused: Vec<usize> = (0..steps.len()).filter(|index| is_refused(statuses[*index])).collect();
        if refused.is_empty() { Verdict::Landed } else { Verdict::Refused(refused) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::sample;

    #[test]
    fn a_step_that_is_there_is_no_failure_and_one_that_is_refused_is_named() {
        let target = Open {
            name: "opensearch".to_owned(),
            url: Address::known("http://localhost"),
            index: INDEX.to_owned(),
            authorization: None,
            http: Http::new(None, &Surroundings::default()).unwrap(),
        };
        let alert = sample();
        let steps = ["aw-1-1", "aw-2-1"].map(|uid| Step { uid, alert: &alert, ocsf: b"{}" });
        let judge = |statuses: [u16; 2]| {
            let items = statuses.map(|status| json!({ "create": { "status": status } }));
            let body = json!({ "items": items }).to_string().into_bytes();
            target.judge(&steps, &Answer { status: 200, retry_after: None, body }, &mut Memory::default())
        };
        assert_eq!(judge([201, 409]), Verdict::Landed);
        assert_eq!(judge([201, 400]), Verdict::Refused(vec![1]));
        assert_eq!(judge([201, 429]), Verdict::Again);
    }
}
