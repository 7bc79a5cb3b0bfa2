//! AWS CloudTrail: what AWS records of the calls made in our accounts with our keys.
//!
//! Traps: a session's key (`ASIA…`) lives for an hour, so its role is the credential; S3 counts bytes from its own side; parameters and
//! responses hold secrets, so only named keys are read. Service events and insights are not calls; a failed console sign-in has no
//! error code, only its response shows the failure. A sign-in without a second factor is an operation of its own. Filebeat takes a
//! record apart under other names (`aws.cloudtrail.*`); Athena has lower-case columns, some of them JSON text.
//!
//! Not here: classes of operations that hold for every vendor (`calls::StepClass::of`).
//!
//! Source: docs.aws.amazon.com, "CloudTrail record contents" and "CloudTrail userIdentity element"; elastic.co, "AWS fields" of Filebeat.

use std::borrow::Cow;

use super::url::part;
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, Channel, Outcome, PrincipalKind, View, WITHOUT_MFA};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "cloudtrail",
    summary: "AWS CloudTrail: management and data events",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","userName":"benjamin",
"arn":"arn:aws:iam::123837392027:user/benjamin","accessKeyId":"AKIAHZG255LEIEXAMPLE"},"eventTime":"2023-07-10T11:42:23Z",
"eventSource":"s3.amazonaws.com","eventName":"GetBucketLogging","awsRegion":"us-east-1","sourceIPAddress":"10.248.16.43",
"userAgent":"[Boto3/1.26.165 Python/3.10.6]","additionalEventData":{"bytesTransferredIn":0,"bytesTransferredOut":289},
"eventID":"b69c41d9-ccc8-41d7-82f1-d3f27cb2fb3c","readOnly":true,"eventType":"AwsApiCall","eventCategory":"Management",
"tlsDetails":{"tlsVersion":"TLSv1.2"}}"#;

const DOMAIN: &str = ".amazonaws.com";
pub(super) const TEMPORARY_KEY: &str = "ASIA";
const SIGN_IN: &str = "ConsoleLogin";
/// Stands for AWS itself where an address or a service's domain is expected.
const AWS_INTERNAL: &str = "AWS Internal";
/// Prefix of the roles that IAM Identity Center creates for people.
pub(super) const SINGLE_SIGN_ON_ROLE: &str = "AWSReservedSSO_";
/// Prefix of the roles that AWS services act with in a customer's account.
const SERVICE_ROLE: &str = "AWSServiceRoleFor";
/// User agent and `invokedBy` of older console calls: a person, although it looks like a service's domain.
const SIGN_IN_SERVICE: &str = "signin.amazonaws.com";

paths! { Path:
    /// A digest file says which log files were delivered.
    Digest = "digestS3Bucket",
    Time = "eventTime",
    Source = "eventSource",
    Name = "eventName",
    Kind = "eventType",
    Category = "eventCategory",
    Id = "eventID",
    SharedId = "sharedEventID",
    Error = "errorCode",
    ReadOnly = "readOnly",
    Account = "recipientAccountId",
    ConsoleSession = "sessionCredentialFromConsole",
    Region = "awsRegion",
    Address = "sourceIPAddress",
    UserAgent = "userAgent",
    IdentityKind = "userIdentity.type",
    User = "userIdentity.userName",
    InvokedBy = "userIdentity.invokedBy",
    Principal = "userIdentity.principalId",
    Arn = "userIdentity.arn",
    IdentityAccount = "userIdentity.accountId",
    Key = "userIdentity.accessKeyId",
    CredentialId = "userIdentity.credentialId",
    OnBehalfOf = "userIdentity.onBehalfOf.userId",
    IdentityProvider = "userIdentity.identityProvider",
    IssuerKind = "userIdentity.sessionContext.sessionIssuer.type",
    Issuer = "userIdentity.sessionContext.sessionIssuer.userName",
    IssuerArn = "userIdentity.sessionContext.sessionIssuer.arn",
    Mfa = "additionalEventData.MFAUsed",
    TransferredIn = "additionalEventData.bytesTransferredIn",
    TransferredOut = "additionalEventData.bytesTransferredOut",
    Login = "responseElements.ConsoleLogin",
    Tls = "tlsDetails.tlsVersion",
    BeatTime = "@timestamp",
    BeatSource = "event.provider",
    BeatName = "event.action",
    BeatId = "event.id",
    BeatKind = "aws.cloudtrail.event_type",
    BeatCategory = "aws.cloudtrail.event_category",
    BeatSharedId = "aws.cloudtrail.shared_event_id",
    BeatError = "aws.cloudtrail.error_code",
    BeatReadOnly = "aws.cloudtrail.read_only",
    BeatAccount = "aws.cloudtrail.recipient_account_id",
    BeatCloudAccount = "cloud.account.id",
    BeatRegion = "cloud.region",
    BeatAddress = "source.address",
    BeatIp = "source.ip",
    BeatUserAgent = "user_agent.original",
    BeatIdentityKind = "aws.cloudtrail.user_identity.type",
    BeatArn = "aws.cloudtrail.user_identity.arn",
    BeatKey = "aws.cloudtrail.user_identity.access_key_id",
    BeatInvokedBy = "aws.cloudtrail.user_identity.invoked_by",
    BeatIssuerKind = "aws.cloudtrail.user_identity.session_context.session_issuer.type",
    BeatIssuer = "aws.cloudtrail.user_identity.session_context.session_issuer.arn",
    BeatUser = "user.name",
    BeatPrincipal = "user.id",
    BeatMfa = "aws.cloudtrail.console_login.additional_eventdata.mfa_used",
    BeatLogin = "aws.cloudtrail.flattened.response_elements.ConsoleLogin",
    BeatTls = "tls.version",
}

/// What Filebeat calls what CloudTrail calls otherwise. Where two stand for one, the first that is set counts.
const BEAT: [(Path, Path); 26] = [
    (Path::Time, Path::BeatTime),
    (Path::Source, Path::BeatSource),
    (Path::Name, Path::BeatName),
    (Path::Id, Path::BeatId),
    (Path::Kind, Path::BeatKind),
    (Path::Category, Path::BeatCategory),
    (Path::SharedId, Path::BeatSharedId),
    (Path::Error, Path::BeatError),
    (Path::ReadOnly, Path::BeatReadOnly),
    (Path::Account, Path::BeatAccount),
    (Path::Account, Path::BeatCloudAccount),
    (Path::Region, Path::BeatRegion),
    (Path::Address, Path::BeatAddress),
    (Path::Address, Path::BeatIp),
    (Path::UserAgent, Path::BeatUserAgent),
    (Path::IdentityKind, Path::BeatIdentityKind),
    (Path::Arn, Path::BeatArn),
    (Path::Key, Path::BeatKey),
    (Path::InvokedBy, Path::BeatInvokedBy),
    (Path::IssuerKind, Path::BeatIssuerKind),
    (Path::IssuerArn, Path::BeatIssuer),
    (Path::User, Path::BeatUser),
    (Path::Principal, Path::BeatPrincipal),
    (Path::Mfa, Path::BeatMfa),
    (Path::Login, Path::BeatLogin),
    (Path::Tls, Path::BeatTls),
];

fn looks_like(probe: &Probe<'_>) -> bool {
    let is_domain = |source: Option<Cow<'_, str>>| source.is_some_and(|source| source.ends_with(DOMAIN));
    let of_event = |key| probe.text(&format!("event.{key}")).or_else(|| probe.inside("event")?.text(key));
    let is_parsed = || is_domain(of_event("provider")) && of_event("action").is_some() && probe.has_section("aws");
    let is_digest = || probe.has("digestS3Bucket") && probe.has("digestStartTime");
    (probe.has("eventName") && is_domain(probe.text("eventSource"))) || is_parsed() || is_digest()
}

/// Puts what Filebeat and Athena write otherwise where CloudTrail has it.
fn rename(fields: &mut Fields<'_>) {
    if fields.has(Path::Source) || !fields.has(Path::BeatSource) {
        return;
    }
    for (own, other) in BEAT {
        if let Some(text) = fields.text(other).filter(|_| !fields.has(own)) {
            fields.set_owned(own, text.into_owned());
        }
    }
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    rename(fields);
    if let Some(other) = other_event(fields) {
        return Ok(Reading::NotACall(other));
    }
    let source = fields.text(Path::Source).ok_or_else(|| fields.missing(Path::Source))?;
    let name = fields.text(Path::Name).ok_or_else(|| fields.missing(Path::Name))?;
    let service = source.strip_suffix(DOMAIN).unwrap_or(&source);
    let is_without_mfa = name == SIGN_IN && fields.is(Path::Mfa, "No");
    let has_failed = fields.is(Path::Login, "Failure");
    let operation = format!("{service}:{name}{}", if is_without_mfa { WITHOUT_MFA } else { "" });
    Ok(Reading::Call(Call {
        // Logstash moves the time of an event to its own field.
        time: fields.utc_time(if fields.has(Path::Time) { Path::Time } else { Path::BeatTime }),
        view: View::Audit,
        read_only: fields.text(Path::ReadOnly).and_then(|word| word.parse().ok()),
        operation: Some(operation.into()),
        vendor: Some("aws"),
        credential: credential(fields),
        account: fields.first([Path::Account, Path::IdentityAccount]),
        principal: principal_kind(fields),
        channel: channel(fields),
        caller: caller(fields, &source),
        host: source,
        outcome: Some(if has_failed { Outcome::Denied } else { outcome(fields.text(Path::Error).as_deref()) }),
        // S3 names them from its own side: what came in there went out here.
        bytes_out: fields.whole(Path::TransferredIn),
        bytes_in: fields.whole(Path::TransferredOut),
        tls_version: fields.text(Path::Tls),
        src_ip: fields.text(Path::Address),
        user_agent: fields.text(Path::UserAgent),
        region: fields.text(Path::Region),
        // One call that two accounts log has one shared id.
        record_id: fields.first([Path::SharedId, Path::Id]),
        ..Call::default()
    }))
}

/// What a record tells of that is no call of ours.
fn other_event(fields: &Fields<'_>) -> Option<&'static str> {
    if fields.has(Path::Digest) {
        return Some("digest_file");
    }
    if !fields.has(Path::Source) && !fields.has(Path::Name) {
        return Some("no_event");
    }
    if fields.is(Path::Category, "Insight") {
        return Some("insight");
    }
    // The owner of a VPC endpoint sees the calls that pass through it; whoever was called logs them too.
    if fields.is(Path::Category, "NetworkActivity") || fields.is(Path::Kind, "AwsVpceEvent") {
        return Some("network_activity");
    }
    fields.is(Path::Kind, "AwsServiceEvent").then_some("service_event")
}

fn credential<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let lasting = fields.text(Path::Key).filter(|key| !key.starts_with(TEMPORARY_KEY));
    lasting.or_else(|| fields.text(Path::CredentialId))
}

/// The product that a user agent begins with. S3 writes agents in brackets.
fn product(agent: &str) -> &str {
    let agent = agent.trim().trim_start_matches('[');
    agent.split(|c: char| c.is_whitespace() || "/,;()[]\"".contains(c)).next().unwrap_or_default()
}

/// Whether the user agent is a browser or a part of the console: `S3Console/0.4`, `console.amazonaws.com`, `AWS Console, aws-sdk-java/…`.
fn is_console(agent: &str) -> bool {
    let product = product(agent);
    let has_console = |text: &str| text.as_bytes().windows(7).any(|word| word.eq_ignore_ascii_case(b"console"));
    product.eq_ignore_ascii_case("mozilla")
        || product == SIGN_IN_SERVICE
        || has_console(product)
        || agent.trim_start_matches('[').starts_with("AWS Console")
}

/// Whether `invokedBy` or a source address names an AWS service that called by itself.
fn is_service(name: &str) -> bool {
    name.eq_ignore_ascii_case(AWS_INTERNAL) || (name.ends_with(DOMAIN) && !is_console(name))
}

/// How a call ended, by its error code.
pub(super) fn outcome(error: Option<&str>) -> Outcome {
    let Some(code) = error else { return Outcome::Ok };
    // EC2 prefixes the side at fault: `Client.UnauthorizedOperation`, `Server.InternalError`.
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

/// Through what the call was made. AWS comes first: a console page may have a service call on the person's behalf.
fn channel(fields: &Fields<'_>) -> Channel {
    let agent = fields.text(Path::UserAgent).unwrap_or_default();
    let address = fields.text(Path::Address).unwrap_or_default();
    let is_service_agent = product(&agent).ends_with(DOMAIN) && !is_console(&agent);
    if is_by_service(fields) || is_service(&address) || is_service_agent {
        Channel::Vendor
    } else if is_console(&agent)
        || fields.is(Path::ConsoleSession, "true")
        || fields.text(Path::Kind).is_some_and(|kind| kind.starts_with("AwsConsole"))
    {
        Channel::Console
    } else if agent.is_empty() {
        Channel::Unknown
    } else {
        Channel::Program
    }
}

/// Whether an AWS service acts, for itself or on behalf of the identity.
fn is_by_service(fields: &Fields<'_>) -> bool {
    let is_service = |name: Cow<'_, str>| name != SIGN_IN_SERVICE && !is_console(&name);
    fields.is(Path::IdentityKind, "AWSService") || fields.text(Path::InvokedBy).is_some_and(is_service)
}

/// What kind of principal acts. Directory and cross-account identities (`Directory`, `AWSAccount`) do not say what stands behind them.
fn principal_kind(fields: &Fields<'_>) -> PrincipalKind {
    let role = fields.text(Path::Issuer);
    let is_role = |prefix: &str| role.as_deref().is_some_and(|name| name.starts_with(prefix));
    if is_by_service(fields) || is_role(SERVICE_ROLE) {
        return PrincipalKind::VendorService;
    }
    if is_role(SINGLE_SIGN_ON_ROLE) {
        return PrincipalKind::SingleSignOn;
    }
    match fields.text(Path::IdentityKind).as_deref() {
        Some("Root") => PrincipalKind::Root,
        // A federated session (`GetFederationToken`) keeps the name and rights of the user that requested it.
        Some("IAMUser" | "FederatedUser") => PrincipalKind::User,
        Some("IdentityCenterUser" | "SAMLUser") => PrincipalKind::SingleSignOn,
        Some("AssumedRole") if is_instance(fields) => PrincipalKind::Instance,
        Some("AssumedRole" | "Role" | "WebIdentityUser") => PrincipalKind::Role,
        None if fields.is(Path::IssuerKind, "Role") => PrincipalKind::Role,
        _ => PrincipalKind::Unknown,
    }
}

/// Whether a role's session is that of a virtual machine, which EC2 names after it (`AROAEXAMPLE:i-0abc`).
fn is_instance(fields: &Fields<'_>) -> bool {
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_named = |text: Cow<'_, str>, mark: char| {
        text.rsplit(mark).next().and_then(|name| name.strip_prefix("i-")).is_some_and(is_id)
    };
    fields.text(Path::Principal).is_some_and(|id| is_named(id, ':'))
        || fields.text(Path::Arn).is_some_and(|arn| is_named(arn, '/'))
}

/// Who acts, under the name that stays: the role and never its session. A service that acts for itself and says no more is named by
/// its source, an account that is all that is known of somebody by its number, and nobody by the address that called, else the service.
fn caller<'a>(fields: &Fields<'a>, source: &Cow<'a, str>) -> Cow<'a, str> {
    if fields.is(Path::IdentityKind, "Root") {
        return "root".into();
    }
    let issuer = fields.text(Path::IssuerArn).and_then(|arn| part(&arn, |arn| Some(name_of_arn(arn))));
    let issuer = fields.text(Path::Issuer).or(issuer);
    let named = issuer.or_else(|| fields.first([Path::User, Path::OnBehalfOf, Path::InvokedBy]));
    let of_principal = || fields.text(Path::Principal).and_then(|id| part(&id, |id| Some(before_colon(id))));
    let of_arn = || fields.text(Path::Arn).and_then(|arn| part(&arn, |arn| Some(name_of_arn(arn))));
    let others = || fields.first([Path::IdentityProvider, Path::IdentityAccount, Path::Address]);
    let service = || fields.is(Path::IdentityKind, "AWSService").then(|| source.clone());
    let is_role_session = fields.text(Path::Arn).is_some_and(|arn| arn.contains(":assumed-role/"));
    let named = named.or_else(|| of_arn().filter(|_| is_role_session));
    named.or_else(of_principal).or_else(of_arn).or_else(service).or_else(others).unwrap_or_else(|| source.clone())
}

/// The name in an ARN: of `arn:aws:sts::1:assumed-role/deployer/i-0abc` the role.
pub(super) fn name_of_arn(arn: &str) -> &str {
    let resource = arn.rsplit(':').next().unwrap_or(arn);
    let mut parts = resource.split('/');
    let kind = parts.next().unwrap_or_default();
    match kind {
        "assumed-role" => parts.next().unwrap_or(resource),
        _ => resource.rsplit('/').next().unwrap_or(resource),
    }
}

/// A principal id of a role is `AROA…:session`.
fn before_colon(id: &str) -> &str {
    id.split_once(':').map_or(id, |(role, _)| role)
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn decode(text: &str) -> Result<Option<Call<'_>>, RecordError> {
        FORMAT_KIND.decode(text).map(Reading::call)
    }

    #[test]
    fn the_sample_is_a_download_by_a_user_with_a_lasting_key() {
        let call = FORMAT_KIND.decode(SAMPLE).unwrap().call().unwrap();
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
        let call = FORMAT_KIND.decode(&text).unwrap().call().unwrap();
        assert_eq!((&*call.caller, call.credential), ("deployer", None));
        let text = record(r#"{"principalId":"AROAX:i-0abc"}"#);
        assert_eq!(FORMAT_KIND.decode(&text).unwrap().call().unwrap().caller, "AROAX");
    }

    const SAMPLES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/samples/cloudtrail.ndjson"));

    /// A record of the sample with other fields, by name; `null` removes one.
    fn sample_with(fields: serde_json::Value) -> String {
        let mut record: serde_json::Value = serde_json::from_str(SAMPLE).unwrap();
        for (name, value) in fields.as_object().unwrap() {
            record[name] = value.clone();
        }
        record.to_string()
    }

    fn kinds(fields: serde_json::Value) -> (PrincipalKind, Channel) {
        let text = sample_with(fields);
        let call = FORMAT_KIND.decode(&text).unwrap().call().unwrap();
        (call.principal, call.channel)
    }

    #[test]
    fn real_records_name_account_principal_and_channel() {
        let mut seen = std::collections::BTreeMap::new();
        for call in SAMPLES.lines().filter_map(|line| decode(line).unwrap()) {
            assert_eq!(call.account.as_deref(), Some("123837392027"));
            *seen.entry((call.principal, call.channel)).or_insert(0) += 1;
        }
        let expected = [
            ((PrincipalKind::User, Channel::Program), 25),
            ((PrincipalKind::User, Channel::Console), 3),
            ((PrincipalKind::Role, Channel::Program), 3),
            ((PrincipalKind::Instance, Channel::Program), 2),
            ((PrincipalKind::VendorService, Channel::Vendor), 5),
        ];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_account_of_a_record_is_its_recipients_else_its_identitys() {
        let identity = serde_json::json!({"type": "IAMUser", "userName": "x", "accountId": "1"});
        let of = |fields| decode(&sample_with(fields)).unwrap().unwrap().account.map(Cow::into_owned);
        assert_eq!(of(serde_json::json!({"userIdentity": identity})).as_deref(), Some("1"));
        assert_eq!(of(serde_json::json!({"userIdentity": identity, "recipientAccountId": "2"})).as_deref(), Some("2"));
        assert_eq!(of(serde_json::json!({})), None);
    }

    #[test]
    fn a_principal_is_a_person_a_program_or_aws_as_its_identity_says() {
        let of_role = |role: &str| serde_json::json!({"type": "AssumedRole", "sessionContext": {"sessionIssuer": {"type": "Role", "userName": role}}});
        for (identity, kind) in [
            (serde_json::json!({"type": "Root"}), PrincipalKind::Root),
            (serde_json::json!({"type": "IAMUser", "userName": "x"}), PrincipalKind::User),
            (serde_json::json!({"type": "IdentityCenterUser"}), PrincipalKind::SingleSignOn),
            (of_role("AWSReservedSSO_Admin_0123"), PrincipalKind::SingleSignOn),
            (of_role("AWSServiceRoleForSupport"), PrincipalKind::VendorService),
            (of_role("deployer"), PrincipalKind::Role),
            (serde_json::json!({"type": "AssumedRole", "principalId": "AROAX:i-0abc"}), PrincipalKind::Instance),
            (serde_json::json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}), PrincipalKind::VendorService),
            (
                serde_json::json!({"type": "IAMUser", "userName": "x", "invokedBy": "AWS Internal"}),
                PrincipalKind::VendorService,
            ),
            (
                serde_json::json!({"type": "IAMUser", "userName": "x", "invokedBy": "signin.amazonaws.com"}),
                PrincipalKind::User,
            ),
            (serde_json::json!({"type": "AWSAccount", "accountId": "1"}), PrincipalKind::Unknown),
            (serde_json::json!({"principalId": "AROAX:i-0abc"}), PrincipalKind::Unknown),
        ] {
            let text = sample_with(serde_json::json!({ "userIdentity": identity }));
            assert!(!decode(&text).unwrap().unwrap().caller.is_empty(), "{identity}");
            assert_eq!(kinds(serde_json::json!({ "userIdentity": identity })).0, kind, "{identity}");
        }
    }

    #[test]
    fn every_shape_of_an_identity_gives_a_caller_that_stays() {
        let issuer = serde_json::json!({"sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::1:role/team/deployer"}});
        for (identity, caller) in [
            (serde_json::json!({"type": "Root", "accountId": "1", "arn": "arn:aws:iam::1:root"}), "root"),
            (serde_json::json!({"type": "IAMUser", "userName": "ana", "accessKeyId": "AKIAX"}), "ana"),
            (serde_json::json!({"type": "IAMUser", "arn": "arn:aws:iam::1:user/team/ana"}), "ana"),
            (
                serde_json::json!({"type": "AssumedRole", "principalId": "AROAX:i-1", "sessionContext": issuer}),
                "deployer",
            ),
            (serde_json::json!({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/deployer/i-1"}), "deployer"),
            (serde_json::json!({"type": "Role", "arn": "arn:aws:iam::1:role/deployer"}), "deployer"),
            (
                serde_json::json!({"type": "FederatedUser", "principalId": "1:ana", "arn": "arn:aws:sts::1:federated-user/ana"}),
                "1",
            ),
            (serde_json::json!({"type": "Directory", "userName": "ana", "accountId": "1"}), "ana"),
            (serde_json::json!({"type": "AWSAccount", "principalId": "AROAX:s", "accountId": "2"}), "AROAX"),
            (
                serde_json::json!({"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}),
                "ANONYMOUS_PRINCIPAL",
            ),
            (serde_json::json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}), "ec2.amazonaws.com"),
            (serde_json::json!({"type": "AWSService"}), "s3.amazonaws.com"),
            (
                serde_json::json!({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "544894e8"}, "credentialId": "x"}),
                "544894e8",
            ),
            (serde_json::json!({"type": "IdentityCenterUser", "accountId": "1"}), "1"),
            (serde_json::json!({"type": "SAMLUser", "userName": "ana", "principalId": "idp:ana"}), "ana"),
            (
                serde_json::json!({"type": "WebIdentityUser", "userName": "system:sa:ci", "identityProvider": "oidc"}),
                "system:sa:ci",
            ),
            (serde_json::json!({"type": "WebIdentityUser", "identityProvider": "oidc"}), "oidc"),
            (serde_json::json!({"type": "Unknown", "accountId": "1"}), "1"),
            (serde_json::json!({"type": "Unknown"}), "10.248.16.43"),
            (serde_json::Value::Null, "10.248.16.43"),
        ] {
            let text = sample_with(serde_json::json!({ "userIdentity": identity }));
            assert_eq!(decode(&text).unwrap().unwrap().caller, caller, "{identity}");
        }
        let text = sample_with(serde_json::json!({"userIdentity": null, "sourceIPAddress": null}));
        assert_eq!(decode(&text).unwrap().unwrap().caller, "s3.amazonaws.com");
    }

    #[test]
    fn what_filebeat_took_apart_is_the_same_call() {
        let record = r#"{"@timestamp":"2023-07-10T11:42:23.000Z","ecs":{"version":"8.0"},"cloud":{"account":{"id":"1"},"region":"us-east-1"},
            "event":{"dataset":"aws.cloudtrail","provider":"s3.amazonaws.com","action":"GetObject","id":"e1","outcome":"failure"},"source":{"address":"198.51.100.3","ip":"198.51.100.3"},
            "user_agent":{"original":"Boto3/1.26"},"user":{"name":"i-1","id":"AROAX:i-1"},"aws":{"cloudtrail":{"event_type":"AwsApiCall","error_code":"AccessDenied","recipient_account_id":"2",
            "user_identity":{"type":"AssumedRole","access_key_id":"ASIAX","arn":"arn:aws:sts::1:assumed-role/deployer/i-1",
            "session_context":{"session_issuer":{"type":"Role","arn":"arn:aws:iam::1:role/deployer"}}}}}}"#;
        assert_eq!(FormatKind::detect(record).unwrap().name, "cloudtrail");
        let call = decode(record).unwrap().unwrap();
        assert_eq!((call.time, &*call.caller, &*call.host), (1_688_989_343_000_000, "deployer", "s3.amazonaws.com"));
        assert_eq!((call.operation.as_deref(), call.outcome), (Some("s3:GetObject"), Some(Outcome::Denied)));
        assert_eq!(
            (call.account.as_deref(), call.principal, call.channel),
            (Some("2"), PrincipalKind::Instance, Channel::Program)
        );
        assert_eq!((call.record_id.as_deref(), call.credential), (Some("e1"), None));
    }

    #[test]
    fn a_row_of_athena_has_lower_case_columns_and_json_as_text() {
        let record = r#"{"eventversion":"1.08","useridentity":{"type":"IAMUser","username":"ana","accesskeyid":"AKIAX"},"eventtime":"2023-07-10T11:42:23Z","eventsource":"s3.amazonaws.com",
            "eventname":"GetObject","awsregion":"eu-west-1","sourceipaddress":"198.51.100.3","additionaleventdata":"{\"bytesTransferredOut\":289.0,\"bytesTransferredIn\":0}","eventid":"e2"}"#;
        assert_eq!(FormatKind::detect(record).unwrap().name, "cloudtrail");
        let call = decode(record).unwrap().unwrap();
        assert_eq!((&*call.caller, call.credential.as_deref()), ("ana", Some("AKIAX")));
        assert_eq!((call.bytes_out, call.bytes_in, call.region.as_deref()), (Some(0), Some(289), Some("eu-west-1")));
    }

    #[test]
    fn a_channel_is_the_console_aws_itself_or_a_program() {
        for (fields, channel) in [
            (serde_json::json!({}), Channel::Program),
            (serde_json::json!({"userAgent": "[S3Console/0.4, aws-internal/3]"}), Channel::Console),
            (serde_json::json!({"userAgent": "console.amazonaws.com"}), Channel::Console),
            (serde_json::json!({"userAgent": "AWS Console, aws-sdk-java/1"}), Channel::Console),
            (
                serde_json::json!({"userAgent": "AWS Internal", "sessionCredentialFromConsole": "true"}),
                Channel::Console,
            ),
            (serde_json::json!({"userAgent": null, "eventType": "AwsConsoleSignIn"}), Channel::Console),
            (serde_json::json!({"userAgent": "lambda.amazonaws.com"}), Channel::Vendor),
            (
                serde_json::json!({"sourceIPAddress": "AWS Internal", "sessionCredentialFromConsole": "true"}),
                Channel::Vendor,
            ),
            (serde_json::json!({"sourceIPAddress": "health.amazonaws.com"}), Channel::Vendor),
            (serde_json::json!({"userAgent": null}), Channel::Unknown),
        ] {
            assert_eq!(kinds(fields.clone()).1, channel, "{fields}");
        }
    }

    #[test]
    fn an_error_code_names_the_side_at_fault() {
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
    fn a_failed_sign_in_is_denied_and_service_events_are_not_calls() {
        let sign_in = SAMPLE.replace("AwsApiCall", "AwsConsoleSignIn");
        assert_eq!(decode(&sign_in).unwrap().unwrap().outcome, Some(Outcome::Ok));
        let failed = sign_in.replace(r#""readOnly":true"#, r#""responseElements":{"ConsoleLogin":"Failure"}"#);
        assert_eq!(decode(&failed).unwrap().unwrap().outcome, Some(Outcome::Denied));
        let signed_in = SAMPLE
            .replace("GetBucketLogging", "ConsoleLogin")
            .replace(r#""bytesTransferredIn":0"#, r#""MFAUsed":"No""#);
        assert_eq!(decode(&signed_in).unwrap().unwrap().operation.as_deref(), Some("s3:ConsoleLogin without MFA"));
        assert!(decode(&SAMPLE.replace("AwsApiCall", "AwsServiceEvent")).unwrap().is_none());
        assert_eq!(decode(&SAMPLE.replace("2023-07-10T11:42:23Z", "")).unwrap().unwrap().time, 0);
    }
}
