//! Audit events as CloudTrail records. Key ids are invented and end in EXAMPLE.
//!
//! Source: docs.aws.amazon.com, "CloudTrail record contents" and "CloudTrail userIdentity element".
//!
//! Not here: what principals do (`audit`).

use std::io::{self, Write};

use super::audit::{Account, AuditEvent};
use super::callers::letters;
use super::operations::{is_data, is_read_only};
use super::principals::{Principal, Role};
use super::random::mix;
use super::time::TimeFormat;

/// Account id.
const ACCOUNT: &str = "111122223333";

/// Writes the events of one day.
pub(super) struct Writer<'a> {
    account: &'a Account,
    time: TimeFormat,
}

impl<'a> Writer<'a> {
    pub(super) fn new(account: &'a Account, start: i64) -> Self {
        Self { account, time: TimeFormat::of(start) }
    }

    /// Writes an event as a line.
    pub(super) fn write(&self, event: &AuditEvent, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(principal) = self.account.principals.get(event.principal as usize) else { return Ok(()) };
        let (service, name) = event.operation.split_once(':').unwrap_or((event.operation, ""));
        out.write_all(br#"{"eventVersion":"1.09","userIdentity":"#)?;
        self.identity(principal, event, out)?;
        out.write_all(br#","eventTime":""#)?;
        self.time.write_seconds(event.time, out)?;
        write!(
            out,
            r#"Z","eventSource":"{service}.amazonaws.com","eventName":"{name}","awsRegion":"{}","#,
            event.region
        )?;
        if principal.role == Role::Internal {
            write!(out, r#""sourceIPAddress":"{0}","userAgent":"{0}","#, principal.name)?;
        } else {
            let [a, b, c, d] = event.address;
            write!(out, r#""sourceIPAddress":"{a}.{b}.{c}.{d}","userAgent":"{}{}","#, event.client, event.version)?;
        }
        if !event.error.is_empty() {
            write!(out, r#""errorCode":"{}","#, event.error)?;
        }
        let is_data = is_data(event.operation);
        if is_data {
            let (received, sent) = if name == "PutObject" { (event.bytes, 0) } else { (0, event.bytes) };
            write!(out, r#""additionalEventData":{{"bytesTransferredIn":{received},"bytesTransferredOut":{sent}}},"#)?;
        }
        let (high, low) = (mix(event.id), mix(event.id ^ 1));
        writeln!(
            out,
            r#""requestID":"{low:016x}","eventID":"{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}","readOnly":{},"eventType":"AwsApiCall","managementEvent":{},"recipientAccountId":"{ACCOUNT}","eventCategory":"{}","tlsDetails":{{"tlsVersion":"TLSv1.3"}}}}"#,
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0xfff,
            low & 0xffff_ffff_ffff,
            is_read_only(event.operation),
            !is_data,
            if is_data { "Data" } else { "Management" },
        )
    }

    fn identity(&self, principal: &Principal, event: &AuditEvent, out: &mut Vec<u8>) -> io::Result<()> {
        let name = &principal.name;
        let hash = name.bytes().fold(self.account.spec.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        let id = |hash: u64| letters(hash).take(9).collect::<String>().to_ascii_uppercase();
        match principal.role {
            Role::Internal => write!(out, r#"{{"type":"AWSService","invokedBy":"{name}"}}"#),
            Role::Builder | Role::Job => write!(
                out,
                r#"{{"type":"IAMUser","principalId":"AIDA{}EXAMPLE","arn":"arn:aws:iam::{ACCOUNT}:user/{name}","accountId":"{ACCOUNT}","accessKeyId":"AKIA{}EXAMPLE","userName":"{name}"}}"#,
                id(hash),
                id(hash ^ mix(u64::from(event.key)))
            ),
            role => {
                let (session, path) = match role {
                    Role::Engineer => (person(name), "aws-reserved/sso.amazonaws.com/"),
                    _ => (format!("session-{:08x}", event.session), ""),
                };
                let role_id = id(hash);
                let is_person = role == Role::Engineer;
                write!(
                    out,
                    r#"{{"type":"AssumedRole","principalId":"AROA{role_id}EXAMPLE:{session}","arn":"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session}","accountId":"{ACCOUNT}","accessKeyId":"ASIA{}EXAMPLE","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{role_id}EXAMPLE","arn":"arn:aws:iam::{ACCOUNT}:role/{path}{name}","accountId":"{ACCOUNT}","userName":"{name}"}},"attributes":{{"mfaAuthenticated":"{is_person}"}}}}}}"#,
                    id(mix(u64::from(event.session)))
                )
            }
        }
    }
}

/// The name under which a person signs in: `anna1@acme.example`.
fn person(role: &str) -> String {
    format!("{}@acme.example", role.split('_').nth(1).unwrap_or_default().to_ascii_lowercase())
}
