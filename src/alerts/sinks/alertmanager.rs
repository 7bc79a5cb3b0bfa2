//! Prometheus Alertmanager, by its API v2: an alert fires while its incident is open.
//!
//! Labels are an alert's identity there, so they stay those of the first step that was told: an incident may get worse, or turn out to be one of all
//! callers, and its end would then resolve an alert that never fired. The newest severity is in an annotation. A step that comes twice changes
//! nothing.
//!
//! Not here: grouping, silences and who is told, which are Alertmanager's own.

use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Address, Answer, Hidden, Http, Request, Secret};
use super::remote::{Memory, Remote, Step, Target, Verdict};
use super::{SinkError, SinkPlan, SinkSpec, Surroundings};
use crate::alerts::brief::{Brief, Link};
use crate::alerts::{Activity, Alert, Severity};

/// How long an incident fires at most without a further step, microseconds: its end tells earlier.
const LASTS: i64 = 7 * 86_400_000_000;

/// `type = "alertmanager"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alertmanager {
    /// Its address, up to `/api`.
    pub url: Secret,
    /// A token for the header `Authorization: Bearer`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// Tells several such sinks apart.
    #[serde(default)]
    pub name: Option<String>,
    /// The address of an incident, with `{id}`.
    #[serde(default)]
    pub link: Option<Link>,
    /// Certificates in PEM to trust instead of the web's.
    #[serde(default)]
    pub ca_file: Option<std::path::PathBuf>,
}

impl SinkSpec for Alertmanager {
    const NAME: &'static str = "alertmanager";
    const SUMMARY: &'static str = "Fires and resolves alerts at Prometheus Alertmanager (API v2).";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        let url = Address::of(&self.url, around)?;
        Ok(Remote::of(Open {
            name: super::named(Self::NAME, self.name.as_deref(), url.host()),
            token: self.token.map(|token| token.reveal("token", around)).transpose()?,
            url,
            http: Http::new(self.ca_file.as_deref(), around)?,
            link: self.link,
        }))
    }
}

#[derive(Debug)]
struct Open {
    name: String,
    url: Address,
    token: Option<Hidden>,
    http: Http,
    link: Option<Link>,
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational | Severity::Low => "info",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "critical",
    }
}

/// What names an incident, as of this step.
fn labels(alert: &Alert) -> Value {
    json!({
        "alertname": alert.detector, "incident": alert.id, "view": alert.view.as_str(), "vendor": alert.vendor,
        "caller": alert.caller.clone().unwrap_or_default(), "severity": word(alert.severity),
    })
}

impl Target for Open {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn http(&self) -> &Http {
        &self.http
    }

    fn request(&self, steps: &[Step<'_>], memory: &Memory) -> Result<Request, SinkError> {
        let alert = |step: &Step<'_>| {
            let alert = step.alert;
            let brief = Brief::of(alert, self.link.as_ref());
            let told = memory.of(&alert.id).and_then(|text| serde_json::from_str::<Value>(text).ok());
            // An end that is still to come would lose to the later one that was told before.
            let ends = match alert.activity {
                Activity::Close => alert.time.min(jiff::Timestamp::now().as_microsecond()),
                Activity::Create | Activity::Update => alert.time.saturating_add(LASTS),
            };
            json!({
                "labels": told.unwrap_or_else(|| labels(alert)),
                "annotations": {
                    "summary": brief.sentence, "description": brief.to_text(), "severity_now": alert.severity.as_str(),
                },
                "startsAt": super::rfc3339(alert.first_seen.min(ends)), "endsAt": super::rfc3339(ends),
                "generatorURL": brief.link.unwrap_or_default(),
            })
        };
        let alerts: Vec<_> = steps.iter().map(alert).collect();
        Ok(Request::json(self.url.with("/api/v2/alerts"), &json!(alerts))
            .authorization(self.token.as_ref().map(Hidden::bearer)))
    }

    fn judge(&self, steps: &[Step<'_>], _answer: &Answer, memory: &mut Memory) -> Verdict {
        steps.iter().for_each(|step| memory.keep(&step.alert.id, &labels(step.alert).to_string()));
        Verdict::Landed
    }
}

#[cfg(test)]
mod tests {
    use super::super::double::Double;
    use super::*;
    use crate::alerts::sample;
    use crate::alerts::sinks::Delivery;

    #[test]
    fn an_incident_keeps_the_labels_of_its_opening_whatever_it_turns_out_to_be() {
        let double = Double::start();
        let plan = toml::from_str::<Alertmanager>(&format!("url = '{}'", double.address)).unwrap();
        let mut sink = plan.check(&Surroundings::default()).unwrap().open().unwrap();
        let opened = Alert { severity: Severity::Low, ..sample() };
        let widened = Alert { caller: None, severity: Severity::Critical, activity: Activity::Close, ..opened.clone() };
        for alert in [&opened, &widened] {
            sink.deliver(&[Delivery::of(alert)]).unwrap();
        }
        let came: Vec<Value> = double.came().iter().map(|came| serde_json::from_str(&came.body).unwrap()).collect();
        assert_eq!(came[0][0]["labels"]["severity"], "info");
        assert_eq!(came[1][0]["labels"], came[0][0]["labels"]);
        assert_eq!(came[1][0]["annotations"]["severity_now"], Severity::Critical.as_str());
    }
}
