//! Syslog: each step a message of RFC 5424 over TCP (RFC 6587) or TLS (RFC 5425), octets counted, in OCSF, CEF or LEEF.
//!
//! Syslog has no acknowledgement, and a write succeeds long after the receiver is gone. So every batch has a connection of its own, and counts as
//! delivered when the receiver, having read to its end, has ended its side, too. What it holds in memory then is lost with it, unless its
//! queue is on disk. A connection that breaks brings the whole batch again: `MSGID` and the structured data name the step.
//!
//! A message that is larger than the receiver takes is cut where it hurts least, and stays valid OCSF, CEF or LEEF.
//!
//! Not here: CEF and LEEF (`cef`), the connection (`tcp`), UDP, which loses without a word.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::Value;

use super::tcp::{Certificates, Endpoint, own_host};
use super::{Delivery, Sink, SinkError, SinkPlan, SinkPosition, SinkSpec, Surroundings, cef};
use crate::alerts::brief::{Link, cut};
use crate::alerts::{Alert, Severity, printable, to_ocsf};

/// What every receiver should take over TLS, and rsyslog takes as installed.
const MAX_BYTES: usize = 8192;
/// What every receiver should take at least.
const MIN_MAX_BYTES: usize = 2048;
/// The number for structured data without a registered one (RFC 5612).
const SD_ID: &str = "apiwarden@32473";
/// What OCSF can do without, the least needed first.
const DISPENSABLE: [&str; 5] = ["anomaly_analyses", "evidences", "unmapped", "observables", "resources"];
/// Longest sentence where nothing else is left, characters.
const SHORT: usize = 200;
/// Names of facilities, by their number.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// `type = "syslog"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Syslog {
    /// The receiver, `host:port`.
    pub address: String,
    /// Whether TLS is spoken.
    #[serde(default)]
    pub tls: bool,
    /// What a message holds: `json` (OCSF), `cef` or `leef`.
    #[serde(default)]
    pub format: Format,
    /// The facility, `local0` where none is named.
    #[serde(default)]
    pub facility: Option<String>,
    /// The name of this machine in messages; the system's where none is named.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The largest message that the receiver takes, bytes.
    #[serde(default)]
    pub max_bytes: Option<usize>,
    /// Whether to wait until the receiver ends its side of the connection. Only for receivers that never do: `false`.
    #[serde(default = "yes")]
    pub confirm: bool,
    /// Tells several such sinks apart.
    #[serde(default)]
    pub name: Option<String>,
    /// The address of an incident, with `{id}`; in CEF and LEEF.
    #[serde(default)]
    pub link: Option<Link>,
    /// Certificates in PEM to trust instead of the web's.
    #[serde(default)]
    pub ca_file: Option<std::path::PathBuf>,
    /// Our own certificate, where the receiver asks for one.
    #[serde(default)]
    pub certificate: Option<std::path::PathBuf>,
    /// Its key.
    #[serde(default)]
    pub key: Option<std::path::PathBuf>,
}

const fn yes() -> bool {
    true
}

/// What a message holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// OCSF.
    #[default]
    Json,
    /// ArcSight's.
    Cef,
    /// QRadar's.
    Leef,
}

impl SinkSpec for Syslog {
    const NAME: &'static str = "syslog";
    const SUMMARY: &'static str = "Sends each step to a syslog receiver (RFC 5424, TCP or TLS), as OCSF, CEF or LEEF.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        let facility = self.facility.as_deref().unwrap_or("local0");
        let Some(facility) = FACILITIES.iter().position(|known| *known == facility) else {
            return Err(SinkError::Spec("field facility: is none, write `local0` to `local7`, `audit`, `auth`, …"));
        };
        let max_bytes = self.max_bytes.unwrap_or(MAX_BYTES);
        if max_bytes < MIN_MAX_BYTES {
            return Err(SinkError::Spec("field max_bytes: must be at least 2048"));
        }
        let hostname = self.hostname.unwrap_or_else(own_host);
        if hostname.is_empty() || hostname.len() > 255 || !hostname.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SinkError::Spec("field hostname: must be of 1 to 255 printable ASCII characters"));
        }
        let files = Certificates { ca_file: self.ca_file, certificate: self.certificate, key: self.key };
        let endpoint = Endpoint::of(&self.address, &files, around)?;
        Ok(Box::new(Plan {
            name: super::named(Self::NAME, self.name.as_deref(), endpoint.address()),
            endpoint,
            tls: self.tls,
            confirm: self.confirm,
            message: Message { facility, hostname, format: self.format, link: self.link, max_bytes },
        }))
    }
}

#[derive(Clone, Debug)]
struct Plan {
    name: String,
    endpoint: Endpoint,
    tls: bool,
    confirm: bool,
    message: Message,
}

impl SinkPlan for Plan {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn takes_suppressed(&self) -> bool {
        true
    }

    fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(self.clone()))
    }
}

impl Plan {
    fn send(&self, frames: &[u8]) -> io::Result<()> {
        let mut connection = self.endpoint.connect()?;
        if self.tls {
            connection = self.endpoint.secure(connection)?;
        }
        connection.write_all(frames)?;
        if self.confirm { connection.close() } else { connection.flush() }
    }
}

impl Sink for Plan {
    fn deliver(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError> {
        let alerts = deliveries.iter().filter_map(|delivery| Some((delivery, delivery.alert.as_deref()?)));
        let frames: Vec<u8> = alerts.flat_map(|(delivery, alert)| framed(&self.message.of(delivery, alert))).collect();
        if frames.is_empty() {
            return Ok(());
        }
        self.send(&frames).map_err(|problem| Endpoint::unreachable(&self.name, &problem))
    }

    fn position(&self) -> SinkPosition {
        SinkPosition::Own(Vec::new())
    }

    fn resume(&mut self, _position: &SinkPosition) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A message behind its length.
fn framed(message: &str) -> Vec<u8> {
    format!("{} {message}", message.len()).into_bytes()
}

/// How messages are written.
#[derive(Clone, Debug)]
struct Message {
    facility: usize,
    hostname: String,
    format: Format,
    link: Option<Link>,
    max_bytes: usize,
}

impl Message {
    fn of(&self, delivery: &Delivery, alert: &Alert) -> String {
        let head = self.head(&delivery.uid, alert);
        let room = self.max_bytes.saturating_sub(head.len());
        let link = self.link.as_ref();
        // Without a byte order mark, which RFC 5424 wants before UTF-8: parsers of JSON, CEF and LEEF stumble over it.
        let text = match self.format {
            Format::Json => json(&delivery.body, alert, room),
            Format::Cef => cef::cef(alert, link, room),
            Format::Leef => cef::leef(alert, link, room),
        };
        head + &text
    }

    /// All that stands before the alert: priority, time, who sends, and structured data.
    fn head(&self, uid: &str, alert: &Alert) -> String {
        let priority = self.facility * 8 + severity(alert.severity);
        let time = super::rfc3339(alert.time);
        let id: String = uid.chars().filter(char::is_ascii_graphic).take(32).collect();
        let data = [
            ("incident", alert.id.as_str()),
            ("revision", &alert.revision.to_string()),
            ("activity", cef::activity(alert)),
            ("severity", alert.severity.as_str()),
            ("detector", &cut(&alert.detector, 64)),
        ]
        .map(|(name, value)| format!(" {name}=\"{}\"", escaped(value)))
        .concat();
        format!(
            "<{priority}>1 {time} {} apiwarden - {} [{SD_ID}{data}] ",
            self.hostname,
            if id.is_empty() { "-" } else { &id }
        )
    }
}

/// Syslog's severity.
const fn severity(severity: Severity) -> usize {
    match severity {
        Severity::Informational => 6,
        Severity::Low => 5,
        Severity::Medium => 4,
        Severity::High => 3,
        Severity::Critical => 2,
    }
}

/// A value of structured data.
fn escaped(value: &str) -> String {
    printable(value).replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}

/// The OCSF finding in at most `room` bytes: as it is, else shortened, else without what a responder needs least.
fn json(body: &[u8], alert: &Alert, room: usize) -> String {
    if body.len() <= room {
        return String::from_utf8_lossy(body).into_owned();
    }
    let mut finding = to_ocsf(&alert.shortened());
    for field in DISPENSABLE {
        let text = finding.to_string();
        if text.len() <= room {
            return text;
        }
        if let Some(finding) = finding.as_object_mut() {
            finding.remove(field);
        }
    }
    let text = finding.to_string();
    if text.len() <= room {
        return text;
    }
    finding["message"] = Value::from(cut(&alert.message, SHORT));
    if let Some(info) = finding["finding_info"].as_object_mut() {
        info.remove("desc");
    }
    finding.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::sample;

    fn message(format: Format, max_bytes: usize) -> Message {
        Message { facility: 13, hostname: "soc-1".to_owned(), format, link: None, max_bytes }
    }

    #[test]
    fn a_message_names_its_step_before_the_finding() {
        let alert = sample();
        let delivery = Delivery::of(&alert);
        let text = message(Format::Json, MAX_BYTES).of(&delivery, &alert);
        let head = "<107>1 2026-09-01T01:00:00.000Z soc-1 apiwarden - aw-7f3c-1 [apiwarden@32473 incident=\"aw-7f3c\" revision=\"1\" \
            activity=\"created\" severity=\"High\" detector=\"burst\"] ";
        assert_eq!(text.strip_prefix(head).map(str::as_bytes), Some(&delivery.body[..]), "{text}");
        assert_eq!(framed("ü"), "2 ü".as_bytes(), "octets are counted, not characters");
    }

    #[test]
    fn structured_data_cannot_be_left_from_within() {
        let alert = Alert { detector: "a\"] b\\\n".to_owned(), ..sample() };
        let text = message(Format::Cef, MAX_BYTES).of(&Delivery::of(&alert), &alert);
        assert!(text.contains("detector=\"a\\\"\\] b\\\\\u{fffd}\"] CEF:0|"), "{text}");
    }

    #[test]
    fn what_is_too_large_loses_evidence_first_and_stays_ocsf() {
        let long = "ü".repeat(5000);
        let contributions = vec![sample().contributions[0].clone(); 12];
        let alert = Alert { message: long.clone(), endpoint: Some(long), contributions, ..sample() };
        let delivery = Delivery::of(&alert);
        for (max_bytes, has_resources) in [(8192, true), (MIN_MAX_BYTES, false)] {
            let text = message(Format::Json, max_bytes).of(&delivery, &alert);
            assert!(text.len() <= max_bytes, "{} of {max_bytes}", text.len());
            let finding: Value = serde_json::from_str(&text[text.find("] ").unwrap() + 2..]).unwrap();
            assert_eq!(finding["metadata"]["uid"], "aw-7f3c-1");
            assert_eq!((&finding["class_uid"], &finding["severity_id"]), (&Value::from(2004), &Value::from(4)));
            assert!(finding["message"].as_str().unwrap().starts_with('ü'));
            assert_eq!(finding.get("resources").is_some(), has_resources, "{max_bytes}");
        }
    }
}
