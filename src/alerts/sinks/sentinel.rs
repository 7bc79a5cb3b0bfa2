//! Microsoft Sentinel, by the Logs Ingestion API: each step a row of a table, through a data collection rule.
//!
//! A token of Microsoft Entra ID is asked for with a client secret and kept until shortly before it ends, or until it is refused. The API has
//! no key that would make a row that comes twice one: `Uid` tells them apart. Columns are those of `dist/sentinel/stream.json`, which the
//! rule must declare.
//!
//! Not here: analytics rules that make incidents of rows, and managed identities.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Address, Hidden, Http, Request, Secret};
use super::remote::{Memory, Remote, Step, Target};
use super::{SinkError, SinkPlan, SinkSpec, Surroundings, cef};
use crate::alerts::brief::{Brief, Link};
use crate::alerts::risk_score;

/// Rows in one request: a megabyte at most, with evidence.
const AT_ONCE: usize = 20;
/// For how long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_secs(300);
const LOGIN: &str = "https://login.microsoftonline.com";
const SCOPE: &str = "https://monitor.azure.com//.default";

/// `type = "sentinel"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentinel {
    /// The ingestion endpoint, of the rule or of a data collection endpoint.
    pub url: Secret,
    /// The immutable id of the data collection rule, `dcr-…`.
    pub rule: String,
    /// The stream that the rule declares, `Custom-…`.
    pub stream: String,
    /// The tenant's id.
    pub tenant: String,
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: Secret,
    /// Where tokens are given, in clouds of their own.
    #[serde(default)]
    pub authority: Option<Secret>,
    /// What the token is for, in clouds of their own.
    #[serde(default)]
    pub scope: Option<String>,
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

impl SinkSpec for Sentinel {
    const NAME: &'static str = "sentinel";
    const SUMMARY: &'static str = "Sends each step as a row to Microsoft Sentinel, by the Logs Ingestion API.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        let url = Address::of(&self.url, around)?;
        let authority = match &self.authority {
            Some(authority) => Address::of(authority, around)?,
            None => Address::known(LOGIN),
        };
        // Each becomes a part of an address.
        let is_part = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !is_part(&self.rule) || !self.rule.starts_with("dcr-") {
            return Err(SinkError::Spec("field rule: is no immutable id, write `dcr-…`"));
        }
        if !is_part(&self.stream) || !self.stream.starts_with("Custom-") {
            return Err(SinkError::Spec("field stream: is none, write `Custom-…`"));
        }
        if !is_part(&self.tenant) {
            return Err(SinkError::Spec("field tenant: is none, write its id"));
        }
        let scope = self.scope.as_deref().unwrap_or(SCOPE);
        let secret = self.client_secret.reveal("client_secret", around)?;
        let login = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("scope", scope),
            ("client_secret", secret.expose()),
        ]
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .join("&");
        Ok(Remote::of(Open {
            name: super::named(Self::NAME, self.name.as_deref(), url.host()),
            rows: url
                .with(&format!("/dataCollectionRules/{}/streams/{}?api-version=2023-01-01", self.rule, self.stream)),
            tokens: authority.with(&format!("/{}/oauth2/v2.0/token", self.tenant)),
            login: Hidden::of(login),
            token: Mutex::new(None),
            link: self.link,
            http: Http::new(self.ca_file.as_deref(), around)?,
        }))
    }
}

/// A value of a form.
fn encoded(value: &str) -> String {
    percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string()
}

struct Open {
    name: String,
    /// Where rows go.
    rows: String,
    /// Where tokens are given.
    tokens: String,
    /// What a token is asked for with.
    login: Hidden,
    /// The token, and until when it is used.
    token: Mutex<Option<(Hidden, Instant)>>,
    link: Option<Link>,
    http: Http,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Open {
    /// The value of the header `Authorization`.
    fn authorization(&self) -> Result<String, SinkError> {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, _)) = kept.as_ref().filter(|(_, until)| Instant::now() < *until) {
            return Ok(token.bearer());
        }
        let request = Request {
            url: self.tokens.clone(),
            headers: Vec::new(),
            content_type: "application/x-www-form-urlencoded",
            body: self.login.expose().as_bytes().to_vec(),
        };
        let answer = self.http.send(&self.name, &request)?;
        let (status, body) = (answer.status, answer.json());
        // A secret or tenant that is wrong is answered with 400.
        let status = if status == 400 { 401 } else { status };
        let (200, Some(token)) = (status, body["access_token"].as_str()) else {
            return Err(SinkError::Http { target: self.name.clone(), status, retry_after: answer.retry_after });
        };
        let token = Hidden::of(token.to_owned());
        let seconds = Duration::from_secs(body["expires_in"].as_u64().unwrap_or_default().min(86_400));
        let bearer = token.bearer();
        *kept = Some((token, Instant::now() + seconds.saturating_sub(MARGIN)));
        Ok(bearer)
    }

    fn row(&self, step: &Step<'_>) -> Value {
        let alert = step.alert;
        let brief = Brief::of(alert, self.link.as_ref());
        json!({
            "TimeGenerated": super::rfc3339(alert.time),
            "Uid": step.uid, "Incident": alert.id, "Revision": alert.revision, "Activity": cef::activity(alert),
            "Severity": alert.severity.as_str(), "RiskScore": risk_score(alert.severity, alert.alarms_per_day),
            "Title": alert.title, "Message": brief.sentence, "Detector": alert.detector,
            "Category": alert.category.as_str(), "Technique": alert.technique, "View": alert.view.as_str(),
            "Caller": alert.caller, "Vendor": alert.vendor, "Account": alert.account, "Host": alert.hosts.first(),
            "Credential": alert.credential, "Endpoint": alert.endpoint, "FirstSeen": super::rfc3339(alert.first_seen),
            "LastSeen": super::rfc3339(alert.last_seen), "Reasons": brief.reasons.join("; "), "Link": brief.link,
            "Ocsf": step.value(),
        })
    }
}

impl Target for Open {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn takes_suppressed(&self) -> bool {
        true
    }

    fn http(&self) -> &Http {
        &self.http
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn request(&self, steps: &[Step<'_>], _memory: &Memory) -> Result<Request, SinkError> {
        let rows: Vec<Value> = steps.iter().map(|step| self.row(step)).collect();
        Ok(Request::json(self.rows.clone(), &Value::from(rows)).authorization(Some(self.authorization()?)))
    }

    fn failed(&self, status: u16) {
        // Rights may have been given, or the secret changed, since it was made.
        if matches!(status, 401 | 403) {
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::double::Double;
    use super::*;
    use crate::alerts::sample;
    use crate::alerts::sinks::{Delivery, Sink};

    const STREAM: &str = include_str!("../../../dist/sentinel/stream.json");

    fn sink(rows: &Double, tokens: &Double) -> Box<dyn Sink> {
        let section = format!(
            "url = '{}'\nauthority = '{}'\nrule = 'dcr-1'\nstream = 'Custom-Apiwarden_CL'\ntenant = 't-1'\nclient_id = 'c-1'\nclient_secret = 's&='",
            rows.address, tokens.address
        );
        toml::from_str::<Sentinel>(&section).unwrap().check(&Surroundings::default()).unwrap().open().unwrap()
    }

    #[test]
    fn a_token_is_asked_for_once_and_again_when_it_is_refused() {
        let (rows, tokens) = (Double::start(), Double::start());
        let mut sink = sink(&rows, &tokens);
        for _ in 0..2 {
            sink.deliver(&[Delivery::of(&sample())]).unwrap();
        }
        assert_eq!(
            tokens.tokens(),
            [
                "grant_type=client%5Fcredentials&client_id=c%2D1&scope=https%3A%2F%2Fmonitor%2Eazure%2Ecom%2F%2F%2Edefault&client_secret=s%26%3D"
            ]
        );
        let came = rows.came();
        assert_eq!(came[0].path, "/dataCollectionRules/dcr-1/streams/Custom-Apiwarden_CL?api-version=2023-01-01");
        assert!(came.iter().all(|came| came.headers.contains("authorization: Bearer token-of-the-double")), "{came:?}");
        rows.answer_with(401);
        assert!(sink.deliver(&[Delivery::of(&sample())]).is_err());
        rows.answer_with(200);
        sink.deliver(&[Delivery::of(&sample())]).unwrap();
        assert_eq!(tokens.tokens().len(), 2);
    }

    #[test]
    fn rows_have_the_columns_that_the_stream_declares() {
        let (rows, tokens) = (Double::start(), Double::start());
        sink(&rows, &tokens).deliver(&[Delivery::of(&sample()), Delivery::of(&sample())]).unwrap();
        let body: Value = serde_json::from_str(&rows.came()[0].body).unwrap();
        assert_eq!(body.as_array().map(Vec::len), Some(2), "an array of rows");
        let stream: Value = serde_json::from_str(STREAM).unwrap();
        let declared = stream["streamDeclarations"]["Custom-Apiwarden_CL"]["columns"].as_array().unwrap();
        let mut declared: Vec<_> = declared.iter().map(|column| column["name"].as_str().unwrap()).collect();
        let mut sent: Vec<_> = body[0].as_object().unwrap().keys().map(String::as_str).collect();
        declared.sort_unstable();
        sent.sort_unstable();
        assert_eq!(sent, declared);
    }

    #[test]
    fn a_wrong_secret_is_for_somebody_to_mend_and_shown_nowhere() {
        let (rows, tokens) = (Double::start(), Double::start());
        tokens.answer_with(400);
        let problem = sink(&rows, &tokens).deliver(&[Delivery::of(&sample())]).unwrap_err();
        assert_eq!(problem.patience(), super::super::Patience::None);
        assert_eq!((problem.refused(), problem.to_string().contains("s&=")), (None, false), "{problem}");
    }
}
