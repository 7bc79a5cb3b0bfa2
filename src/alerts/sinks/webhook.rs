//! Any webhook: OCSF, a CloudEvent or a text of one's own, signed as Standard Webhooks are.
//!
//! `webhook-id` is the step's and the same after a retry: the receiver tells by it what comes twice. With templates an incident can be opened in Jira
//! or ServiceNow (`pipelines/sinks`).
//!
//! Not here: answers of the receiver beyond their status.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Environment, UndefinedBehavior};
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Address, Hidden, Http, Request, Secret};
use super::remote::{Memory, Remote, Step, Target};
use super::{SinkError, SinkPlan, SinkSpec, Surroundings};
use crate::alerts::brief::{Brief, Link};
use crate::alerts::{Activity, Alert, to_ocsf, trial};

/// `type = "webhook"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The receiver's address.
    pub url: Secret,
    /// What is sent: `ocsf`, `cloudevents`, or `template`.
    #[serde(default)]
    pub body: Body,
    /// File of a minijinja template that gives JSON: `alert` is the OCSF finding, `brief` the words for people; with `body = "template"`.
    #[serde(default)]
    pub template: Option<PathBuf>,
    /// The secret of the signature, `whsec_` and 24 to 64 bytes in base64.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// The value of the header `Authorization`.
    #[serde(default)]
    pub authorization: Option<Secret>,
    /// Tells several such sinks apart.
    #[serde(default)]
    pub name: Option<String>,
    /// The address of an incident, with `{id}`.
    #[serde(default)]
    pub link: Option<Link>,
    /// Certificates in PEM to trust instead of the web's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// The OCSF finding.
    #[default]
    Ocsf,
    /// A CloudEvent 1.0 around it.
    CloudEvents,
    /// What a template makes of it.
    Template,
}

impl SinkSpec for Webhook {
    const NAME: &'static str = "webhook";
    const SUMMARY: &'static str =
        "Posts each step to any address: OCSF, CloudEvents or a template, signed if there is a secret.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        let url = Address::of(&self.url, around)?;
        let template = match (self.body, &self.template) {
            (Body::Template, Some(path)) => Some(template(&around.path(path))?),
            (Body::Template, None) => {
                return Err(SinkError::Spec("field template: is missing, write the file of the template"));
            }
            (_, Some(_)) => return Err(SinkError::Spec("field template: needs body = \"template\"")),
            (_, None) => None,
        };
        Ok(Remote::of(Open {
            name: super::named(Self::NAME, self.name.as_deref(), url.host()),
            url,
            body: self.body,
            template,
            key: self.secret.map(|secret| key(&secret.reveal("secret", around)?)).transpose()?,
            authorization: self.authorization.map(|value| value.reveal("authorization", around)).transpose()?,
            http: Http::new(self.ca_file.as_deref(), around)?,
            link: self.link,
        }))
    }
}

const TEMPLATE: &str = "webhook.json";

fn template(path: &std::path::Path) -> Result<Environment<'static>, SinkError> {
    let text = std::fs::read_to_string(path).map_err(|problem| SinkError::File { path: path.to_owned(), problem })?;
    let mut environment = Environment::new();
    let added = environment.add_template_owned(TEMPLATE, text);
    added.map_err(|_| SinkError::Spec("field template: is no minijinja template"))?;
    // Alerts differ in what they have: what is missing is nothing, and no reason to lose one.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    let wrong = |what: String| SinkError::File { path: path.to_owned(), problem: std::io::Error::other(what) };
    for alert in trial(0) {
        let text = render(&environment, &alert, to_ocsf(&alert), None);
        let text = text.map_err(|problem| wrong(format!("the template cannot be rendered: {problem:#}")))?;
        let read: Result<Value, _> = serde_json::from_str(&text);
        read.map_err(|problem| {
            wrong(format!("the template gives no JSON ({problem}): values are JSON already, so write `{{{{ activity }}}}` without quotation marks"))
        })?;
    }
    Ok(environment)
}

/// What a template makes of an alert.
fn render(
    environment: &Environment<'_>,
    alert: &Alert,
    ocsf: Value,
    link: Option<&Link>,
) -> Result<String, minijinja::Error> {
    let brief = Brief::of(alert, link);
    let context = json!({
        "alert": ocsf,
        "brief": {
            "headline": brief.headline, "sentence": brief.sentence, "subject": brief.subject, "reasons": brief.reasons,
            "first_seen": brief.first_seen, "likely": brief.likely, "owner": brief.owner, "first_step": brief.first_step, "link": brief.link, "text": brief.to_text(),
        },
        "activity": word(alert.activity),
    });
    environment.get_template(TEMPLATE)?.render(context)
}

/// The bytes of a signature's secret.
fn key(secret: &Hidden) -> Result<Key, SinkError> {
    let encoded = secret.expose().strip_prefix("whsec_").unwrap_or(secret.expose());
    let bytes = STANDARD.decode(encoded).ok().filter(|bytes| (24..=64).contains(&bytes.len()));
    bytes.map(Key).ok_or(SinkError::Spec("field secret: write whsec_ and 24 to 64 bytes in base64"))
}

struct Key(Vec<u8>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Debug)]
struct Open {
    name: String,
    url: Address,
    body: Body,
    template: Option<Environment<'static>>,
    key: Option<Key>,
    authorization: Option<Hidden>,
    http: Http,
    link: Option<Link>,
}

impl Open {
    fn body(&self, step: &Step<'_>) -> Result<Vec<u8>, SinkError> {
        if let Some(environment) = &self.template {
            let rendered = render(environment, step.alert, step.value(), self.link.as_ref());
            let refused =
                |_| SinkError::RefusedBy { target: self.name.clone(), uid: step.uid.to_owned(), status: None };
            return rendered.map(String::into_bytes).map_err(refused);
        }
        Ok(match self.body {
            Body::CloudEvents => cloud_event(step).to_string().into_bytes(),
            _ => step.ocsf.to_vec(),
        })
    }
}

const fn word(activity: Activity) -> &'static str {
    match activity {
        Activity::Create => "created",
        Activity::Update => "updated",
        Activity::Close => "closed",
    }
}

fn cloud_event(step: &Step<'_>) -> Value {
    json!({
        "specversion": "1.0", "id": step.uid, "source": "/apiwarden", "type": format!("io.apiwarden.finding.{}", word(step.alert.activity)),
        "time": super::rfc3339(step.alert.time), "subject": step.alert.id, "datacontenttype": "application/json", "data": step.value(),
    })
}

/// The signature of Standard Webhooks: HMAC-SHA256 over id, time and body.
fn signature(key: &[u8], id: &str, time: i64, body: &[u8]) -> String {
    let signed = [format!("{id}.{time}.").as_bytes(), body].concat();
    format!(
        "v1,{}",
        STANDARD.encode(ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), &signed).as_ref())
    )
}

impl Target for Open {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn http(&self) -> &Http {
        &self.http
    }

    fn request(&self, steps: &[Step<'_>], _memory: &Memory) -> Result<Request, SinkError> {
        let Some(step) = steps.first() else { return Ok(Request::json(self.url.with(""), &json!({}))) };
        let content_type =
            if self.body == Body::CloudEvents { "application/cloudevents+json" } else { "application/json" };
        let body = self.body(step)?;
        let time = jiff::Timestamp::now().as_second();
        let mut headers = vec![("webhook-id", step.uid.to_owned()), ("webhook-timestamp", time.to_string())];
        headers.extend(self.key.as_ref().map(|Key(key)| ("webhook-signature", signature(key, step.uid, time, &body))));
        headers.extend(self.authorization.as_ref().map(|value| ("authorization", value.expose().to_owned())));
        Ok(Request { url: self.url.with(""), headers, content_type, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standards_own_example() {
        // https://github.com/standard-webhooks/standard-webhooks, the specification's example.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_template_that_gives_no_json_is_refused_at_the_start_and_what_an_alert_lacks_is_no_fault() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ticket.json.j2");
        let tried = |text: &str| {
            std::fs::write(&path, text).unwrap();
            template(&path).map(drop).map_err(|problem| problem.to_string())
        };
        assert_eq!(tried(r#"{"state": {{ activity }}, "title": {{ alert.finding_info.title | tojson }}}"#), Ok(()));
        assert_eq!(tried(r#"{"owner": {{ alert.no.such.field | default("nobody") }}}"#), Ok(()));
        let quoted = tried(r#"{"state": "{{ activity }}"}"#).unwrap_err();
        assert!(quoted.contains("ticket.json.j2") && quoted.contains("without quotation marks"), "{quoted}");
        assert!(tried("{{ activity | no_such_filter }}").unwrap_err().contains("cannot be rendered"));
    }
}
