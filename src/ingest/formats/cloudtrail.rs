//! AWS CloudTrail: what AWS says was done in our accounts with our keys.
//!
//! Traps: a session's key (`ASIA…`) lives for an hour, so its role is the credential; S3 counts bytes from its own side; parameters and
//! answers hold secrets, so only named keys are read. Service events and insights are no calls; a failed sign-in at the console has no
//! error code, its answer says so. A sign-in without a second factor is an operation of its own.
//!
//! Source: docs.aws.amazon.com, "CloudTrail record contents".

use std::borrow::Cow;

use serde::Deserialize;

use super::values::{Number, Section, Text, time};
use super::{FormatKind, Probe};
use crate::calls::{Call, Outcome, View, WITHOUT_MFA};
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "cloudtrail",
    says: "AWS CloudTrail: management and data events",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    decode,
};

const SAMPLE: &str = r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","userName":"benjamin",
"arn":"arn:aws:iam::123837392027:user/benjamin","accessKeyId":"AKIAHZG255LEIEXAMPLE"},"eventTime":"2023-07-10T11:42:23Z",
"eventSource":"s3.amazonaws.com","eventName":"GetBucketLogging","awsRegion":"us-east-1","sourceIPAddress":"10.248.16.43",
"userAgent":"[Boto3/1.26.165 Python/3.10.6]","additionalEventData":{"bytesTransferredIn":0,"bytesTransferredOut":289},
"eventID":"b69c41d9-ccc8-41d7-82f1-d3f27cb2fb3c","readOnly":true,"eventType":"AwsApiCall","eventCategory":"Management",
"tlsDetails":{"tlsVersion":"TLSv1.2"}}"#;

const DOMAIN: &str = ".amazonaws.com";
const TEMPORARY_KEY: &str = "ASIA";
const SIGN_IN: &str = "ConsoleLogin";

fn looks_like(probe: &Probe<'_>) -> bool {
    probe.has("eventName") && probe.text("eventSource").is_some_and(|source| source.ends_with(DOMAIN))
}

fn decode(record: &str) -> Result<Option<Call<'_>>, RecordError> {
    let record: Record<'_> = serde_json::from_str(record)?;
    let is_foreign = record.source.0.is_none() && record.name.0.is_none();
    let is_event = record.kind.is("AwsServiceEvent") || record.category.is("Insight");
    if is_foreign || is_event {
        return Ok(None);
    }
    let source = record.source.required("eventSource")?;
    let name = record.name.required("eventName")?;
    let service = source.strip_suffix(DOMAIN).unwrap_or(&source);
    let identity = record.identity.take();
    let additional = record.additional.take();
    let is_without_mfa = name == SIGN_IN && additional.mfa.is("No");
    let has_failed = record.response.take().login.is("Failure");
    Ok(Some(Call {
        time: time(record.time, "eventTime")?,
        view: View::Audit,
        operation: Some(format!("{service}:{name}{}", if is_without_mfa { WITHOUT_MFA } else { "" }).into()),
        vendor: Some("aws"),
        host: source,
        credential: identity.key.0.clone().filter(|key| !key.starts_with(TEMPORARY_KEY)),
        caller: identity.caller(),
        outcome: Some(if has_failed { Outcome::Denied } else { outcome(record.error.0.as_deref()) }),
        // S3 names them from its own side: what came in there went out here.
        bytes_out: additional.bytes_in.whole("additionalEventData.bytesTransferredIn")?,
        bytes_in: additional.bytes_out.whole("additionalEventData.bytesTransferredOut")?,
        tls_version: record.tls.take().version.0,
        src_ip: record.address.0,
        user_agent: record.user_agent.0,
        region: record.region.0,
        record_id: record.id.0,
        ..Call::default()
    }))
}

fn outcome(error: Option<&str>) -> Outcome {
    let Some(code) = error else { return Outcome::Ok };
    // EC2 says whose fault it was: `Client.UnauthorizedOperation`, `Server.InternalError`.
    let name = code.strip_prefix("Client.").unwrap_or(code);
    let begins = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
    if begins(&["AccessDenied", "UnauthorizedOperation"]) {
        Outcome::Denied
    } else if begins(&["Throttl", "SlowDown", "RequestLimitExceeded"]) {
        Outcome::Throttled
    } else if begins(&["Server", "Internal", "ServiceUnavailable"]) {
        Outcome::ServerError
    } else {
        Outcome::ClientError
    }
}

/// The fields of a record that a call is made of.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow, rename = "eventTime")]
    time: Text<'a>,
    #[serde(borrow, rename = "eventSource")]
    source: Text<'a>,
    #[serde(borrow, rename = "eventName")]
    name: Text<'a>,
    #[serde(borrow, rename = "eventType")]
    kind: Text<'a>,
    #[serde(borrow, rename = "eventCategory")]
    category: Text<'a>,
    #[serde(borrow, rename = "eventID")]
    id: Text<'a>,
    #[serde(borrow, rename = "errorCode")]
    error: Text<'a>,
    #[serde(borrow, rename = "awsRegion")]
    region: Text<'a>,
    #[serde(borrow, rename = "sourceIPAddress")]
    address: Text<'a>,
    #[serde(borrow, rename = "userAgent")]
    user_agent: Text<'a>,
    #[serde(borrow, rename = "userIdentity")]
    identity: Section<Identity<'a>>,
    #[serde(borrow, rename = "responseElements")]
    response: Section<Response<'a>>,
    #[serde(borrow, rename = "additionalEventData")]
    additional: Section<Additional<'a>>,
    #[serde(borrow, rename = "tlsDetails")]
    tls: Section<Tls<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Identity<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, rename = "userName")]
    user: Text<'a>,
    #[serde(borrow, rename = "invokedBy")]
    invoked_by: Text<'a>,
    #[serde(borrow, rename = "principalId")]
    principal: Text<'a>,
    #[serde(borrow, rename = "accessKeyId")]
    key: Text<'a>,
    #[serde(borrow, rename = "sessionContext")]
    session: Section<Session<'a>>,
}

impl<'a> Identity<'a> {
    /// Who acts, under the name that stays: the role and never its session. Empty where nobody is named.
    fn caller(self) -> Cow<'a, str> {
        if self.kind.is("Root") {
            return "root".into();
        }
        let named = self.session.take().issuer.take().user.0.or(self.user.0).or(self.invoked_by.0);
        let principal = |principal: Cow<'a, str>| match principal {
            Cow::Borrowed(id) => Cow::Borrowed(before_colon(id)),
            Cow::Owned(id) => Cow::Owned(before_colon(&id).to_owned()),
        };
        named.or_else(|| self.principal.0.map(principal)).unwrap_or_default()
    }
}

/// A principal id of a role is `AROA…:session`.
fn before_colon(id: &str) -> &str {
    id.split_once(':').map_or(id, |(role, _)| role)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Session<'a> {
    #[serde(borrow, rename = "sessionIssuer")]
    issuer: Section<Issuer<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Issuer<'a> {
    #[serde(borrow, rename = "userName")]
    user: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Additional<'a> {
    #[serde(borrow, rename = "MFAUsed")]
    mfa: Text<'a>,
    #[serde(rename = "bytesTransferredIn")]
    bytes_in: Number,
    #[serde(rename = "bytesTransferredOut")]
    bytes_out: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Response<'a> {
    #[serde(borrow, rename = "ConsoleLogin")]
    login: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tls<'a> {
    #[serde(borrow, rename = "tlsVersion")]
    version: Text<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_download_by_a_user_with_a_lasting_key() {
        let call = decode(SAMPLE).unwrap().unwrap();
        assert_eq!(call.operation.as_deref(), Some("s3:GetBucketLogging"));
        assert_eq!((&*call.caller, &*call.host), ("benjamin", "s3.amazonaws.com"));
        assert_eq!(call.credential.as_deref(), Some("AKIAHZG255LEIEXAMPLE"));
        assert_eq!((call.bytes_out, call.bytes_in), (Some(0), Some(289)));
        assert_eq!(call.outcome, Some(Outcome::Ok));
    }

    #[test]
    fn of_a_role_neither_the_session_nor_its_key_is_kept() {
        let identity = r#"{"type":"AssumedRole","principalId":"AROAX:i-0abc","accessKeyId":"ASIAX","sessionContext":
            {"sessionIssuer":{"type":"Role","userName":"deployer"}}}"#;
        let record = |identity: &str| {
            SAMPLE
                .replace("userIdentity", "_")
                .replace("{\"eventVersion", &format!("{{\"userIdentity\":{identity},\"eventVersion"))
        };
        let text = record(identity);
        let call = decode(&text).unwrap().unwrap();
        assert_eq!((&*call.caller, call.credential), ("deployer", None));
        let text = record(r#"{"principalId":"AROAX:i-0abc"}"#);
        assert_eq!(decode(&text).unwrap().unwrap().caller, "AROAX");
    }

    #[test]
    fn an_error_code_tells_whose_fault_it_was() {
        for (code, expected) in [
            ("AccessDeniedException", Outcome::Denied),
            ("Client.UnauthorizedOperation", Outcome::Denied),
            ("ThrottlingException", Outcome::Throttled),
            ("Server.InternalError", Outcome::ServerError),
            ("NoSuchBucket", Outcome::ClientError),
        ] {
            assert_eq!(outcome(Some(code)), expected, "{code}");
        }
    }

    #[test]
    fn a_failed_sign_in_is_denied_and_service_events_are_no_calls() {
        let sign_in = SAMPLE.replace("AwsApiCall", "AwsConsoleSignIn");
        assert_eq!(decode(&sign_in).unwrap().unwrap().outcome, Some(Outcome::Ok));
        let failed = sign_in.replace(r#""readOnly":true"#, r#""responseElements":{"ConsoleLogin":"Failure"}"#);
        assert_eq!(decode(&failed).unwrap().unwrap().outcome, Some(Outcome::Denied));
        let signed_in = SAMPLE
            .replace("GetBucketLogging", "ConsoleLogin")
            .replace(r#""bytesTransferredIn":0"#, r#""MFAUsed":"No""#);
        assert_eq!(decode(&signed_in).unwrap().unwrap().operation.as_deref(), Some("s3:ConsoleLogin without MFA"));
        assert!(decode(&SAMPLE.replace("AwsApiCall", "AwsServiceEvent")).unwrap().is_none());
        assert!(decode(&SAMPLE.replace("2023-07-10T11:42:23Z", "")).is_err());
    }
}
