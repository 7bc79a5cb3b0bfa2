//! Amazon API Gateway: access logs in JSON, of REST, HTTP and WebSocket interfaces. Calls to an interface of one's own; the gateway's
//! caller is a user or key, else the client's address.
//!
//! The keys are the administrator's choice: those of the console's templates, and the variables' own names, nested or not, are read. All
//! values are text, `-` is missing. The host is `domainName`, else the interface's id; where neither is logged, declare it. The size
//! of the request is in no variable.
//!
//! Source: docs.aws.amazon.com, "Variables for access logging for API Gateway".

use std::borrow::Cow;

use super::url::{credential, part, without_port};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "api_gateway",
    summary: "Amazon API Gateway: access logs in JSON",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"requestId":"c6af9ac6-7b61-11e6-9a41-93e8deadbeef","extendedRequestId":"JKJaXmPLvHcESHA=","ip":"203.0.113.7",
"caller":"-","user":"-","requestTime":"01/Sep/2026:00:00:00 +0000","requestTimeEpoch":"1788220800905","httpMethod":"GET",
"resourcePath":"/orders/{id}","path":"/prod/orders/812","domainName":"orders.acme.io","apiId":"a1b2c3d4e5","stage":"prod","status":"200",
"protocol":"HTTP/1.1","responseLength":"1024","responseLatency":"35","apiKeyId":"k9f2x","userAgent":"okhttp/4.12.0"}"#;

paths! { Path:
    RequestId = "requestId",
    ExtendedId = "extendedRequestId",
    Epoch = "requestTimeEpoch",
    Time = "requestTime",
    Principal = "authorizer.principalId",
    PrincipalFlat = "principalId",
    Client = "authorizer.claims.client_id",
    Caller = "caller",
    IdentityCaller = "identity.caller",
    User = "user",
    IdentityUser = "identity.user",
    UserArn = "userArn",
    IdentityArn = "identity.userArn",
    Ip = "ip",
    SourceIp = "sourceIp",
    IdentityIp = "identity.sourceIp",
    KeyId = "apiKeyId",
    IdentityKeyId = "identity.apiKeyId",
    Key = "apiKey",
    IdentityKey = "identity.apiKey",
    Domain = "domainName",
    ApiId = "apiId",
    Method = "httpMethod",
    RouteKey = "routeKey",
    Resource = "resourcePath",
    Uri = "path",
    Status = "status",
    Length = "responseLength",
    Latency = "responseLatency",
    UserAgent = "userAgent",
    IdentityAgent = "identity.userAgent",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has_route = probe.has("routeKey") || probe.has("resourcePath");
    probe.has("requestId") && has_route && (probe.has("requestTime") || probe.has("requestTimeEpoch"))
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    if !fields.has(Path::RequestId) {
        return Err(fields.missing(Path::RequestId));
    }
    let users = [
        Path::Client,
        Path::Principal,
        Path::PrincipalFlat,
        Path::User,
        Path::IdentityUser,
        Path::UserArn,
        Path::IdentityArn,
        Path::Caller,
        Path::IdentityCaller,
    ];
    let ip = fields.first([Path::Ip, Path::SourceIp, Path::IdentityIp]);
    let ip = ip.and_then(|ip| part(&ip, |ip| Some(without_port(ip))));
    let key = fields.first([Path::KeyId, Path::IdentityKeyId, Path::Key, Path::IdentityKey]);
    let (status, outcome) = fields.answer(Path::Status);
    let (method, path) = route(fields);
    Ok(Reading::Call(Call {
        time: fields.first_time([Path::Epoch, Path::Time]),
        view: View::Egress,
        caller: fields.first(users).or_else(|| ip.clone()).unwrap_or_default(),
        credential: key.map(credential),
        host: fields.first([Path::Domain, Path::ApiId]).unwrap_or_default(),
        scheme: Some("https".into()),
        method,
        path,
        status,
        outcome,
        bytes_in: fields.whole(Path::Length),
        latency_ms: fields.real(Path::Latency),
        src_ip: ip,
        user_agent: fields.first([Path::UserAgent, Path::IdentityAgent]),
        record_id: fields.first([Path::ExtendedId, Path::RequestId]),
        ..Call::default()
    }))
}

/// Method and path: the template of the path where there is one. `GET /orders/{id}` is a route; `$default` and `$connect` name none.
fn route<'a>(fields: &Fields<'a>) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
    let route = fields.text(Path::RouteKey).unwrap_or_default();
    let cut = |at: usize| part(&route, |route| route.split_once(' ').map(|(method, path)| [method, path][at]));
    let method = fields.text(Path::Method).or_else(|| cut(0)).filter(|method| method != "ANY");
    let path = fields.text(Path::Resource).or_else(|| cut(1)).filter(|path| path.starts_with('/'));
    (method, path.or_else(|| fields.text(Path::Uri)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Outcome;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        assert_eq!(FormatKind::detect(record).unwrap().name, "api_gateway");
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn numbers_are_text_and_a_dash_is_nothing() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_800_905_000, "203.0.113.7", "orders.acme.io"));
        assert_eq!(
            (call.status, call.bytes_in, call.bytes_out, call.latency_ms),
            (Some(200), Some(1024), None, Some(35.0))
        );
        assert_eq!((call.method.as_deref(), call.path.as_deref()), (Some("GET"), Some("/orders/{id}")));
        assert_eq!((call.credential.as_deref(), call.record_id.as_deref()), (Some("k9f2x"), Some("JKJaXmPLvHcESHA=")));
    }

    #[test]
    fn an_http_interface_has_a_route_key_and_a_time_in_apaches_layout() {
        let record = r#"{"requestId":"QsZqFhGKPHcEPBQ=","ip":"2001:db8::7","requestTime":"01/Sep/2026:02:00:01 +0200","httpMethod":"-",
            "routeKey":"POST /v1/charges","status":"429","protocol":"HTTP/1.1","responseLength":"-","apiId":"a1b2c3d4e5"}"#;
        let call = call(record);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_801_000_000, "2001:db8::7", "a1b2c3d4e5"));
        assert_eq!((call.method.as_deref(), call.path.as_deref()), (Some("POST"), Some("/v1/charges")));
        assert_eq!((call.status, call.bytes_in, call.latency_ms), (Some(429), None, None));
    }

    #[test]
    fn variables_may_nest_and_a_client_comes_before_its_address() {
        let record = r#"{"requestId":"1","requestTimeEpoch":1788220800905,"routeKey":"$default","path":"/v1/a","domainName":"x.acme.io","status":0,
            "identity":{"sourceIp":"10.0.0.1:5000","userAgent":"curl/8","apiKey":"k-secret"},"authorizer":{"claims":{"client_id":"crm"}}}"#;
        let call = call(record);
        assert_eq!(
            (&*call.caller, call.src_ip.as_deref(), call.credential.as_deref()),
            ("crm", Some("10.0.0.1"), Some("k-secret"))
        );
        assert_eq!((call.path.as_deref(), call.method, call.outcome), (Some("/v1/a"), None, Some(Outcome::NoResponse)));
    }
}
