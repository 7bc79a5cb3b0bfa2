//! HTTP as sinks speak it: one request at a time, with a bound on everything, and an answer that is read and never repeated.
//!
//! TLS is verified, by the certificates of the web or by a file; redirects are not followed; proxies are those of the usual variables. Addresses and
//! headers may be secrets, so errors name the target and a status, and nothing of either side's text.
//!
//! Not here: what is sent, and what an answer means (`remote`).

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use ureq::tls::{RootCerts, TlsConfig};

use super::{SinkError, Surroundings};
use crate::ingest::connection::{Property, resolve};
use crate::ingest::roots_in;

/// Longest time of a request.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Most of an answer that is read, bytes.
const MAX_ANSWER: u64 = 1 << 20;
/// Longest pause that a target may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A value that must not be shown: written as it is, as `"${NAME}"` or as `"file:PATH"`.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(Property);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Secret {
    /// The value; `field` names it in errors.
    ///
    /// # Errors
    /// [`SinkError::Connection`], where variable or file cannot be read, and [`SinkError::Value`], where no header could hold the value.
    pub fn reveal(&self, field: &'static str, around: &Surroundings) -> Result<Hidden, SinkError> {
        let value = resolve(field, &self.0, &around.directory)?;
        if value.trim().is_empty() || value.contains(char::is_control) {
            return Err(SinkError::Value { field });
        }
        Ok(Hidden(value))
    }
}

/// A secret's value.
#[derive(Clone)]
pub struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Hidden {
    /// What was found out and must not be shown.
    pub fn of(text: String) -> Self {
        Self(text)
    }

    /// It as a bearer's token.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// The text, for a request alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The address of a target.
#[derive(Clone)]
pub struct Address(String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host())
    }
}

impl Address {
    /// Reads an address, which may be a secret.
    ///
    /// # Errors
    /// [`SinkError::Connection`] or [`SinkError::Spec`].
    pub fn of(url: &Secret, around: &Surroundings) -> Result<Self, SinkError> {
        let url = url.reveal("url", around)?.0;
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        match rest {
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !rest.contains([' ', '@']) => {
                Ok(Self(url.trim_end_matches('/').to_owned()))
            }
            _ => Err(SinkError::Spec("field url: is no address, write `https://host/path`")),
        }
    }

    /// An address that everybody knows.
    pub fn known(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// Its host and port: what may be shown of it.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or_default()
    }

    /// The address with a path behind it.
    pub fn with(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// What is sent.
#[derive(Debug)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// Headers, beside the content type.
    pub headers: Vec<(&'static str, String)>,
    /// The type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A value as JSON.
    pub fn json(url: String, value: &serde_json::Value) -> Self {
        Self { url, headers: Vec::new(), content_type: "application/json", body: value.to_string().into_bytes() }
    }

    /// With the header `Authorization`, where there is a value for it.
    #[must_use]
    pub fn authorization(self, value: Option<String>) -> Self {
        match value {
            Some(value) => self.header("authorization", value),
            None => self,
        }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// How long to wait before the next attempt, where the target says so.
    pub retry_after: Option<Duration>,
    /// The body, at most a megabyte.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A client.
#[derive(Clone, Debug)]
pub struct Http {
    agent: ureq::Agent,
}

impl Http {
    /// A client that trusts the certificates of the web, or those of a file alone.
    ///
    /// # Errors
    /// [`SinkError::File`] or [`SinkError::Spec`].
    pub fn new(ca_file: Option<&Path>, around: &Surroundings) -> Result<Self, SinkError> {
        let roots = ca_file.map(|path| certificates(&around.path(path))).transpose()?;
        let tls = TlsConfig::builder().root_certs(roots.unwrap_or(RootCerts::WebPki)).build();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("apiwarden/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Ok(Self { agent: config.new_agent() })
    }

    /// Sends a request of `target`, which errors name.
    ///
    /// # Errors
    /// [`SinkError::Unreachable`], where no answer came.
    pub fn send(&self, target: &str, request: &Request) -> Result<Answer, SinkError> {
        let mut builder = self.agent.post(&request.url).header("content-type", request.content_type);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let unreachable =
            |problem: ureq::Error| SinkError::Unreachable { target: target.to_owned(), problem: reason(&problem) };
        let mut answer = builder.send(&request.body[..]).map_err(unreachable)?;
        let retry_after = answer.headers().get("retry-after").and_then(|value| after(value.to_str().ok()?));
        let status = answer.status().as_u16();
        // What is longer is no answer that anybody reads; its status counts all the same.
        let mut body = Vec::new();
        let read = answer.body_mut().as_reader().take(MAX_ANSWER).read_to_end(&mut body);
        read.map_err(|problem| unreachable(problem.into()))?;
        Ok(Answer { status, retry_after, body })
    }
}

const TLS_FAILED: &str = "TLS failed: is its certificate for this host, and of an authority that is known? See ca_file";

/// Why no answer came, without the address, which may be a secret.
fn reason(problem: &ureq::Error) -> String {
    match problem {
        // As rustls is told what is wrong with a certificate.
        ureq::Error::Io(problem) if problem.kind() == std::io::ErrorKind::InvalidData => TLS_FAILED.to_owned(),
        ureq::Error::Io(problem) => problem.kind().to_string(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "the host is not known".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => TLS_FAILED.to_owned(),
        _ => "the request failed".to_owned(),
    }
}

/// Seconds, or a date.
fn after(text: &str) -> Option<Duration> {
    let seconds = text.trim().parse().ok().or_else(|| {
        let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
        u64::try_from(date.timestamp().duration_since(jiff::Timestamp::now()).as_secs()).ok()
    })?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn certificates(path: &Path) -> Result<RootCerts, SinkError> {
    let roots = roots_in(path).map_err(|problem| SinkError::File { path: path.to_owned(), problem })?;
    roots.ok_or(SinkError::Spec("field ca_file: holds no certificate in PEM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown_of_an_address() {
        let url = Secret(Property::Text("https://hooks.slack.com/services/T0/B0/secret".to_owned()));
        let address = Address::of(&url, &Surroundings::default()).unwrap();
        assert_eq!(format!("{url:?} {address:?}"), "*** hooks.slack.com");
    }

    #[test]
    fn a_value_that_no_header_can_hold_is_refused_and_not_shown() {
        for wrong in ["", " ", "Bearer x\r\nX-Admin: 1"] {
            let problem = Secret(Property::Text(wrong.to_owned())).reveal("authorization", &Surroundings::default());
            let problem = problem.unwrap_err().to_string();
            assert!(problem.starts_with("field authorization: ") && !problem.contains("Admin"), "{problem}");
        }
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("99999999"), Some(MAX_RETRY_AFTER));
        let soon = jiff::Timestamp::now() + Duration::from_secs(100);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_string(&soon).unwrap();
        assert!(after(&date).is_some_and(|pause| pause <= Duration::from_secs(100) && pause > Duration::from_secs(90)));
        assert_eq!(after("soon"), None);
    }
}
