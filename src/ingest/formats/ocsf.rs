//! OCSF: classes HTTP Activity (4002), what was sent, and API Activity (6003), what a vendor's audit log tells; nested, or with columns
//! flattened as tables of Amazon Security Lake have them. Other classes are no calls.
//!
//! CloudTrail through Security Lake is 6003 and reads as `cloudtrail` does: the operation is `s3:GetObject`, a role is itself and never its
//! session, a session's key is no credential. It has no sizes. Traps: `traffic.bytes_out` goes from source to destination; times are
//! milliseconds; `status_id` 2 is a failure, whatever a status says.
//!
//! Source: schema.ocsf.io 1.6.0, classes `http_activity` and `api_activity`.

use std::borrow::Cow;

use super::cloudtrail;
use super::outcome::{of_status_and_word, of_word};
use super::url::{Url, credential, part, without_port};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "ocsf",
    summary: "OCSF: HTTP Activity (4002) and API Activity (6003), Amazon Security Lake's too",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"class_uid":6003,"category_uid":6,"activity_id":2,"type_uid":600302,"time":1788220800905,"severity_id":1,"status_id":1,
"metadata":{"version":"1.1.0","uid":"b69c41d9-ccc8-41d7-82f1-d3f27cb2fb3c","event_code":"AwsApiCall",
"product":{"name":"CloudTrail","vendor_name":"AWS","feature":{"name":"Data"}}},"cloud":{"provider":"AWS","region":"us-east-1"},
"api":{"operation":"GetObject","service":{"name":"s3.amazonaws.com"},"request":{"uid":"4T5S3PTEMJZ5BCX2"}},
"actor":{"user":{"type":"AssumedRole","uid":"arn:aws:sts::123456789012:assumed-role/exporter/i-0abc","uid_alt":"AROAEXAMPLE:i-0abc",
"credential_uid":"ASIAEXAMPLE","account":{"uid":"123456789012"}},"session":{"issuer":"arn:aws:iam::123456789012:role/exporter"}},
"src_endpoint":{"ip":"10.0.0.7"},"http_request":{"user_agent":"Boto3/1.26.165"}}"#;

const AWS_DOMAIN: &str = ".amazonaws.com";

paths! { Path:
    Class = "class_uid",
    Start = "start_time",
    Time = "time",
    StartText = "start_time_dt",
    TimeText = "time_dt",
    Id = "metadata.uid",
    EventCode = "metadata.event_code",
    Product = "metadata.product.name",
    DirectionId = "connection_info.direction_id",
    App = "actor.app_name",
    InvokedBy = "actor.invoked_by",
    User = "actor.user.name",
    UserEmail = "actor.user.email_addr",
    UserId = "actor.user.uid",
    UserIdAlt = "actor.user.uid_alt",
    UserKind = "actor.user.type",
    UserCredential = "actor.user.credential_uid",
    UserAccount = "actor.user.account.uid",
    SessionCredential = "actor.session.credential_uid",
    SessionIssuer = "actor.session.issuer",
    SourceService = "src_endpoint.svc_name",
    SourceName = "src_endpoint.name",
    SourceHost = "src_endpoint.hostname",
    SourceDomain = "src_endpoint.domain",
    SourceIp = "src_endpoint.ip",
    Host = "dst_endpoint.hostname",
    Domain = "dst_endpoint.domain",
    ServerName = "tls.sni",
    DestinationIp = "dst_endpoint.ip",
    Method = "http_request.http_method",
    UrlHost = "http_request.url.hostname",
    Uri = "http_request.url.path",
    UrlScheme = "http_request.url.scheme",
    Url = "http_request.url.url_string",
    RequestId = "http_request.uid",
    UserAgent = "http_request.user_agent",
    Authorization = "http_request.http_headers.authorization",
    RequestLength = "http_request.length",
    RequestBody = "http_request.body_length",
    ResponseLength = "http_response.length",
    ResponseBody = "http_response.body_length",
    MediaType = "http_response.content_type",
    Status = "http_response.code",
    Latency = "http_response.latency",
    Duration = "duration",
    BytesOut = "traffic.bytes_out",
    BytesIn = "traffic.bytes_in",
    StatusId = "status_id",
    Operation = "api.operation",
    Service = "api.service.name",
    ApiError = "api.response.error",
    ApiStatus = "api.response.code",
    Tls = "tls.version",
    Region = "cloud.region",
    Account = "cloud.account.uid",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has_kin = ["category_uid", "type_uid", "activity_id"].iter().any(|key| probe.has(key));
    probe.has("class_uid") && (has_kin || probe.has_section("metadata"))
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    match fields.whole(Path::Class) {
        Some(4002) if fields.is(Path::DirectionId, "1") => Ok(Reading::NotACall("inbound")),
        Some(4002) => Ok(Reading::Call(egress(fields))),
        Some(6003) if fields.is(Path::EventCode, "AwsServiceEvent") => Ok(Reading::NotACall("service_event")),
        Some(6003) => audit(fields).map(Reading::Call),
        Some(_) => Ok(Reading::NotACall("other_class")),
        None => Err(fields.missing(Path::Class)),
    }
}

fn egress<'a>(fields: &mut Fields<'a>) -> Call<'a> {
    let url = fields.text(Path::Url).unwrap_or_default();
    let of_url = |cut: for<'t> fn(Url<'t>) -> Option<&'t str>| part(&url, |url| cut(Url::cut(url)));
    let hosts = [Path::Host, Path::Domain, Path::ServerName, Path::DestinationIp];
    let host = fields.text(Path::UrlHost).or_else(|| of_url(|url| url.host)).or_else(|| fields.first(hosts));
    let callers = [Path::App, Path::SourceService, Path::SourceName, Path::SourceHost, Path::User, Path::UserId];
    let (status, no_answer) = fields.answer(Path::Status);
    Call {
        view: View::Egress,
        caller: fields.first(callers).or_else(|| address(fields)).unwrap_or_default(),
        credential: key(fields).or_else(|| fields.text(Path::Authorization).map(credential)),
        host: host.unwrap_or_default(),
        scheme: fields.text(Path::UrlScheme).or_else(|| of_url(|url| url.scheme)),
        method: fields.text(Path::Method),
        path: fields.text(Path::Uri).or_else(|| of_url(|url| url.path)),
        content_type: fields.text(Path::MediaType),
        status,
        outcome: of_status_and_word(status, word(fields)).or(no_answer),
        bytes_out: fields.first_whole([Path::BytesOut, Path::RequestLength, Path::RequestBody]),
        bytes_in: fields.first_whole([Path::BytesIn, Path::ResponseLength, Path::ResponseBody]),
        latency_ms: fields.first_real([Path::Duration, Path::Latency]),
        record_id: fields.first([Path::Id, Path::RequestId]),
        ..common(fields)
    }
}

fn audit<'a>(fields: &mut Fields<'a>) -> Result<Call<'a>, RecordError> {
    let name = fields.text(Path::Operation).ok_or_else(|| fields.missing(Path::Operation))?;
    let host = fields.first([Path::Service, Path::Product]).ok_or_else(|| fields.missing(Path::Service))?;
    let service = host.strip_suffix(AWS_DOMAIN).map(|service| format!("{service}:{name}"));
    let error = fields.text(Path::ApiError);
    // An API may have codes of its own, such as those of gRPC.
    let code = fields.whole(Path::ApiStatus).and_then(|code| u16::try_from(code).ok());
    let status = code.filter(|code| (100..600).contains(code)).or_else(|| fields.status(Path::Status));
    let outcome = match &error {
        Some(code) if service.is_some() => Some(cloudtrail::outcome(Some(code))),
        Some(code) => of_word(code).or_else(|| of_status_and_word(status, Some("failure"))),
        None => of_status_and_word(status, word(fields)),
    };
    Ok(Call {
        view: View::Audit,
        caller: principal(fields),
        principal: principal_kind(fields),
        credential: key(fields),
        vendor: service.is_some().then_some("aws"),
        operation: Some(service.map_or(name, Cow::Owned)),
        host,
        account: fields.first([Path::Account, Path::UserAccount]),
        status,
        outcome,
        latency_ms: fields.real(Path::Duration),
        record_id: fields.text(Path::Id),
        ..common(fields)
    })
}

/// What both classes have at the same places.
fn common<'a>(fields: &mut Fields<'a>) -> Call<'a> {
    Call {
        time: fields.first_time([Path::Start, Path::StartText, Path::Time, Path::TimeText]),
        src_ip: address(fields).or_else(|| fields.text(Path::SourceDomain)),
        user_agent: fields.text(Path::UserAgent),
        region: fields.text(Path::Region),
        tls_version: fields.text(Path::Tls),
        ..Call::default()
    }
}

fn address<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    fields.text(Path::SourceIp).and_then(|ip| part(&ip, |ip| Some(without_port(ip))))
}

fn word(fields: &Fields<'_>) -> Option<&'static str> {
    match fields.text(Path::StatusId).as_deref() {
        Some("1") => Some("success"),
        Some("2") => Some("failure"),
        _ => None,
    }
}

/// The id of the key; that of a session in AWS lives for an hour.
fn key<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let key = fields.first([Path::SessionCredential, Path::UserCredential]);
    key.filter(|key| !key.starts_with(cloudtrail::TEMPORARY_KEY))
}

/// Who acts, under the name that stays.
fn principal<'a>(fields: &Fields<'a>) -> Cow<'a, str> {
    if fields.is(Path::UserKind, "Root") {
        return "root".into();
    }
    let named = fields.first([Path::User, Path::UserEmail]);
    let others = || fields.first([Path::InvokedBy, Path::App, Path::UserIdAlt]).or_else(|| address(fields));
    role(fields).or(named).or_else(|| user_of_arn(fields)).or_else(others).unwrap_or_default()
}

/// The role that a session was issued for.
fn role<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let issuer = fields.text(Path::SessionIssuer).filter(|issuer| issuer.starts_with("arn:"));
    issuer.and_then(|arn| part(&arn, |arn| Some(cloudtrail::name_of_arn(arn))))
}

fn user_of_arn<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let id = fields.text(Path::UserId)?;
    part(&id, |id| Some(if id.starts_with("arn:") { cloudtrail::name_of_arn(id) } else { id }))
}

fn principal_kind(fields: &Fields<'_>) -> PrincipalKind {
    let is_single_sign_on = role(fields).is_some_and(|role| role.starts_with(cloudtrail::SINGLE_SIGN_ON_ROLE));
    match fields.text(Path::UserKind).as_deref() {
        Some("AssumedRole" | "Role") if is_single_sign_on => PrincipalKind::SingleSignOn,
        Some("AssumedRole" | "Role") => PrincipalKind::Role,
        Some("Root") => PrincipalKind::Root,
        Some("AWSService") => PrincipalKind::VendorService,
        Some("IAMUser" | "User") => PrincipalKind::User,
        _ => PrincipalKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Outcome;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        assert_eq!(FormatKind::detect(record).unwrap().name, "ocsf");
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn cloudtrail_through_security_lake_reads_as_cloudtrail_does() {
        let call = call(SAMPLE);
        assert_eq!(
            (call.operation.as_deref(), call.vendor, &*call.host),
            (Some("s3:GetObject"), Some("aws"), "s3.amazonaws.com")
        );
        assert_eq!(
            (&*call.caller, call.principal, call.credential.as_deref()),
            ("exporter", PrincipalKind::Role, None)
        );
        assert_eq!(
            (call.time, call.outcome, call.account.as_deref()),
            (1_788_220_800_905_000, Some(Outcome::Ok), Some("123456789012"))
        );
    }

    #[test]
    fn flattened_columns_and_a_denial_are_read() {
        let record = r#"{"class_uid":"6003","type_uid":"600301","time_dt":"2026-09-01T00:00:00Z","status_id":"2","metadata.uid":"e2",
            "api.operation":"CreateUser","api.service.name":"iam.amazonaws.com","api.response.error":"AccessDenied","actor.user.type":"IAMUser",
            "actor.user.name":"benjamin","actor.user.credential_uid":"AKIAEXAMPLE","src_endpoint.domain":"cloudformation.amazonaws.com"}"#;
        let call = call(record);
        assert_eq!(
            (&*call.caller, call.credential.as_deref(), call.outcome),
            ("benjamin", Some("AKIAEXAMPLE"), Some(Outcome::Denied))
        );
        assert_eq!((call.time, call.src_ip.as_deref()), (1_788_220_800_000_000, Some("cloudformation.amazonaws.com")));
    }

    #[test]
    fn an_operation_elsewhere_stands_as_it_is_and_its_failure_counts() {
        let record = r#"{"class_uid":6003,"category_uid":6,"time":1788220800905,"status_id":2,"metadata":{"product":{"name":"Okta"}},
            "api":{"operation":"user.session.start"},"actor":{"user":{"email_addr":"h@acme.io","uid":"00u1"}},"src_endpoint":{"ip":"2001:db8::1"}}"#;
        let call = call(record);
        assert_eq!((&*call.host, call.operation.as_deref(), call.vendor), ("Okta", Some("user.session.start"), None));
        assert_eq!((&*call.caller, call.src_ip.as_deref()), ("h@acme.io", Some("2001:db8::1")));
        assert!(matches!(call.outcome, Some(Outcome::ClientError | Outcome::ServerError)));
    }

    #[test]
    fn http_activity_is_what_was_sent() {
        let record = r#"{"class_uid":4002,"category_uid":4,"activity_id":6,"time":1788220801323,"start_time":1788220800905,"duration":418,
            "http_request":{"http_method":"POST","url":{"url_string":"https://api.stripe.com/v1/charges?x=1"},"user_agent":"go","length":663,
            "http_headers":[{"name":"Authorization","value":"Bearer sk_1"}]},"http_response":{"code":200,"body_length":12},
            "traffic":{"bytes_in":9000},"src_endpoint":{"ip":"10.0.0.7:4711","svc_name":"billing"},"tls":{"version":"1.3"}}"#;
        let call = call(record);
        assert_eq!((call.view, &*call.caller, &*call.host), (View::Egress, "billing", "api.stripe.com"));
        assert_eq!((call.time, call.latency_ms), (1_788_220_800_905_000, Some(418.0)));
        assert_eq!((call.bytes_out, call.bytes_in, call.status), (Some(663), Some(9000), Some(200)));
        assert_eq!((call.credential.as_deref(), call.src_ip.as_deref()), (Some("sk_1"), Some("10.0.0.7")));
    }

    #[test]
    fn other_classes_and_inbound_traffic_are_no_calls() {
        for record in [
            r#"{"class_uid":2004,"category_uid":2,"time":1788220800905}"#,
            r#"{"class_uid":4002,"category_uid":4,"time":1788220800905,"connection_info":{"direction_id":1}}"#,
        ] {
            assert!(matches!(FORMAT_KIND.decode(record), Ok(Reading::NotACall(_))), "{record}");
        }
    }
}
