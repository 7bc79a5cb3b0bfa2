//! OpenTelemetry: each step a log record, by OTLP over HTTP in JSON, to a collector or a backend.
//!
//! OTLP has no key that would make a record that comes twice one: the attribute `apiwarden.uid` tells them apart.
//!
//! Not here: traces and metrics of our own.

use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Address, Answer, Hidden, Http, Request, Secret};
use super::remote::{Memory, Remote, Step, Target, Verdict};
use super::{SinkError, SinkPlan, SinkSpec, Surroundings};
use crate::alerts::Severity;

const AT_ONCE: usize = 100;

/// `type = "otlp"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// The receiver's address, up to `/v1`.
    pub url: Secret,
    /// A token for the header `Authorization: Bearer`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// Tells several such sinks apart.
    #[serde(default)]
    pub name: Option<String>,
    /// Certificates in PEM to trust instead of the web's.
    #[serde(default)]
    pub ca_file: Option<std::path::PathBuf>,
}

impl SinkSpec for Otlp {
    const NAME: &'static str = "otlp";
    const SUMMARY: &'static str = "Sends each step as an OpenTelemetry log record (OTLP over HTTP).";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        let url = Address::of(&self.url, around)?;
        Ok(Remote::of(Open {
            name: super::named(Self::NAME, self.name.as_deref(), url.host()),
            token: self.token.map(|token| token.reveal("token", around)).transpose()?,
            url,
            http: Http::new(self.ca_file.as_deref(), around)?,
        }))
    }
}

#[derive(Debug)]
struct Open {
    name: String,
    url: Address,
    token: Option<Hidden>,
    http: Http,
}

fn record(step: &Step<'_>) -> Value {
    let attribute = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let number = match step.alert.severity {
        Severity::Informational => 9,
        Severity::Low => 10,
        Severity::Medium => 13,
        Severity::High => 17,
        Severity::Critical => 21,
    };
    let attributes = [
        ("event.name", "apiwarden.alert"),
        ("apiwarden.uid", step.uid),
        ("apiwarden.incident", &step.alert.id),
        ("apiwarden.detector", &step.alert.detector),
        ("apiwarden.vendor", &step.alert.vendor),
        ("apiwarden.caller", step.alert.caller.as_deref().unwrap_or_default()),
        ("apiwarden.ocsf", &String::from_utf8_lossy(step.ocsf)),
    ]
    .map(|(key, value)| attribute(key, value));
    json!({
        "timeUnixNano": (i128::from(step.alert.time) * 1_000).to_string(),
        "severityNumber": number, "severityText": step.alert.severity.as_str(),
        "body": { "stringValue": step.alert.message }, "attributes": attributes,
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
        let records: Vec<_> = steps.iter().map(record).collect();
        let service = json!({ "key": "service.name", "value": { "stringValue": "apiwarden" } });
        let logs = json!({ "resourceLogs": [{
            "resource": { "attributes": [service] },
            "scopeLogs": [{ "scope": { "name": "apiwarden", "version": env!("CARGO_PKG_VERSION") }, "logRecords": records }],
        }] });
        Ok(Request::json(self.url.with("/v1/logs"), &logs).authorization(self.token.as_ref().map(Hidden::bearer)))
    }

    fn judge(&self, steps: &[Step<'_>], answer: &Answer, _memory: &mut Memory) -> Verdict {
        // What was rejected is a number, and not said which.
        let rejected = &answer.json()["partialSuccess"]["rejectedLogRecords"];
        let rejected = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or_default();
        if rejected == 0 { Verdict::Landed } else { Verdict::Refused((0..steps.len()).collect()) }
    }
}
