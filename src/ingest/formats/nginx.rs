//! NGINX and OpenResty: access logs as JSON by the names of the variables or common aliases, and the format `combined` with what is often
//! added to it; the default of ingress-nginx; and any `log_format` that is declared. Apache's `combined` is the same line as NGINX's, and is
//! read here.
//!
//! The time is the end of the call. `combined` names no host: `[decode.constants] host` does, else such calls are refused. `$host` is what
//! the caller asked for, `$proxy_host` the vendor behind it, unless it names a group of servers. `$upstream_*` are lists, one entry a try.
//! `$scheme` is that of the caller's way to the proxy: it says nothing of a vendor that the proxy names.
//!
//! Source: nginx.org, "Alphabetical index of variables" and "Module ngx_http_log_module".

use std::borrow::Cow;
use std::sync::LazyLock;

use super::line::{Common, Token};
use super::outcome::of_gateway;
use super::request::{Request, begin_of, client_of, is_domain};
use super::url::{credential, kind, part};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, View};
use crate::ingest::fields::Fields;
use crate::ingest::log_format::{LogFormat, Syntax};
use crate::ingest::paths::{Paths, paths};
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "nginx",
    summary: "NGINX access logs: JSON by the names of variables, `combined` (Apache's too), ingress-nginx, any `log_format`",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: Some(line),
    read,
};

const SAMPLE: &str = r#"{"time_iso8601":"2026-09-01T00:00:01+00:00","msec":"1788220801.323","remote_addr":"10.0.0.7","remote_user":"billing",
"request_method":"POST","request_uri":"/v1/charges","server_protocol":"HTTP/1.1","host":"egress.internal","proxy_host":"api.stripe.com",
"status":"200","body_bytes_sent":"902","request_length":"663","request_time":"0.418","upstream_addr":"34.200.1.1:443",
"upstream_status":"200","upstream_response_time":"0.416","http_user_agent":"stripe-go/76","ssl_protocol":"TLSv1.3",
"request_id":"7fb3a1d0c5b84f5e9d0f4c9a8e1b2c3d"}"#;

paths! { Path:
    Msec = "msec",
    TimeIso = "time_iso8601",
    TimeLocal = "time_local",
    Time = "time",
    Timestamp = "timestamp",
    AtTimestamp = "@timestamp",
    RemoteUser = "remote_user",
    ClientCertificate = "ssl_client_s_dn_cn",
    RemoteAddress = "remote_addr",
    ClientIp = "client_ip",
    ClientIpJoined = "clientip",
    ForwardedFor = "http_x_forwarded_for",
    ForwardedForShort = "xff",
    Request = "request",
    Method = "request_method",
    MethodShort = "method",
    RequestUri = "request_uri",
    Uri = "uri",
    Url = "url",
    ProxyHost = "proxy_host",
    HostHeader = "http_host",
    Host = "host",
    ServerNamePreread = "ssl_preread_server_name",
    Domain = "domain",
    Upstream = "upstream_addr",
    UpstreamHost = "upstreamhost",
    Status = "status",
    UpstreamStatus = "upstream_status",
    BodyBytesSent = "body_bytes_sent",
    BytesSent = "bytes_sent",
    UpstreamReceived = "upstream_bytes_received",
    Size = "size",
    RequestLength = "request_length",
    UpstreamSent = "upstream_bytes_sent",
    RequestTime = "request_time",
    ResponseTime = "responsetime",
    UpstreamTime = "upstream_response_time",
    Authorization = "http_authorization",
    ApiKey = "http_x_api_key",
    ContentType = "sent_http_content_type",
    Location = "sent_http_location",
    UpstreamLocation = "upstream_http_location",
    RequestType = "content_type",
    UpstreamContentType = "upstream_http_content_type",
    UserAgent = "http_user_agent",
    UserAgentShort = "user_agent",
    Agent = "agent",
    Scheme = "scheme",
    Tls = "ssl_protocol",
    RequestId = "request_id",
    IngressRequestId = "req_id",
    Trace = "trace_id",
    OtelTrace = "otel_trace_id",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has_own = ["body_bytes_sent", "request_uri", "request_method", "upstream_addr", "upstreamhost", "upstreamtime"];
    probe.has("status") && has_own.iter().any(|key| probe.has(key)) && !probe.has_section("ecs")
}

/// `log_format`, which may stand in several pieces.
pub(super) static LOG_FORMAT: Syntax = Syntax {
    directive: "log_format",
    is_quoted: true,
    variable: r"\$(?:\{(?P<argument>\w+)\}|(?P<name>\w+))",
    variables: &[
        ("time_local", "time_local"),
        ("time_iso8601", "time_iso8601"),
        ("msec", "msec"),
        ("remote_addr", "remote_addr"),
        ("realip_remote_addr", "client_ip"),
        ("http_x_forwarded_for", "http_x_forwarded_for"),
        ("proxy_add_x_forwarded_for", "http_x_forwarded_for"),
        ("remote_user", "remote_user"),
        ("ssl_client_s_dn_cn", "ssl_client_s_dn_cn"),
        ("request", "request"),
        ("request_method", "request_method"),
        ("request_uri", "request_uri"),
        ("uri", "uri"),
        ("document_uri", "uri"),
        ("scheme", "scheme"),
        ("host", "host"),
        ("http_host", "http_host"),
        ("proxy_host", "proxy_host"),
        ("ssl_preread_server_name", "ssl_preread_server_name"),
        ("upstream_addr", "upstream_addr"),
        ("status", "status"),
        ("upstream_status", "upstream_status"),
        ("request_length", "request_length"),
        ("upstream_bytes_sent", "upstream_bytes_sent"),
        ("body_bytes_sent", "body_bytes_sent"),
        ("bytes_sent", "bytes_sent"),
        ("upstream_bytes_received", "upstream_bytes_received"),
        ("request_time", "request_time"),
        ("upstream_response_time", "upstream_response_time"),
        ("http_user_agent", "http_user_agent"),
        ("http_authorization", "http_authorization"),
        ("http_x_api_key", "http_x_api_key"),
        ("sent_http_content_type", "sent_http_content_type"),
        ("sent_http_location", "sent_http_location"),
        ("upstream_http_location", "upstream_http_location"),
        ("content_type", "content_type"),
        ("upstream_http_content_type", "upstream_http_content_type"),
        ("ssl_protocol", "ssl_protocol"),
        ("request_id", "request_id"),
        ("req_id", "req_id"),
        ("trace_id", "trace_id"),
        ("otel_trace_id", "otel_trace_id"),
    ],
};

/// What ingress-nginx writes unless it is told otherwise (kubernetes.github.io/ingress-nginx, "Log format").
const INGRESS: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"#;
static INGRESS_FORMAT: LazyLock<Option<LogFormat>> =
    LazyLock::new(|| LogFormat::parse(INGRESS, &LOG_FORMAT, &PATHS, &Paths::default()).ok());

fn line<'a>(text: &'a str, fields: &mut Fields<'a>) -> bool {
    cut(text, fields).or_else(|| ingress(text, fields)).is_some()
}

fn ingress<'a>(text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    Common::cut(text)?;
    INGRESS_FORMAT.as_ref()?.fill(text, fields).then_some(())
}

fn cut<'a>(text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    let (Common { host, client, user, time, request, status, bytes }, mut tokens) = Common::cut(text)?;
    let (_referer, agent) = (tokens.quoted()?, tokens.quoted()?);
    // Apache's `vhost_combined`.
    (host.is_none() || !tokens.rest().is_empty()).then_some(())?;
    for (index, token) in tokens.enumerate() {
        match token {
            // The format `main` of the configuration that NGINX comes with.
            Token::Quoted(chain) if index == 0 => fields.set(Path::ForwardedFor, chain),
            Token::Bare(seconds) if is_seconds(seconds) => fields.set(Path::RequestTime, seconds),
            Token::Bare(pair) => named(pair, fields)?,
            _ => return None,
        }
    }
    let own = [
        (Path::HostHeader, host.unwrap_or_default()),
        (Path::RemoteAddress, client),
        (Path::RemoteUser, user),
        (Path::TimeLocal, time),
        (Path::Request, request),
        (Path::Status, status),
        (Path::BodyBytesSent, bytes),
        (Path::UserAgent, agent),
    ];
    own.into_iter().for_each(|(path, text)| fields.set(path, text));
    Some(())
}

/// `rt=0.418`, `host="api.x.io"`: what is added by name.
fn named<'a>(pair: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    let (name, value) = pair.split_once('=').filter(|(name, _)| !name.is_empty())?;
    let path = match name {
        "rt" | "request_time" => Some(Path::RequestTime),
        "host" => Some(Path::Host),
        "proxy_host" => Some(Path::ProxyHost),
        "rl" | "request_length" => Some(Path::RequestLength),
        "upstream" | "ua" | "upstream_addr" => Some(Path::Upstream),
        _ => None,
    };
    if let Some(path) = path {
        fields.set(path, value.trim_matches('"'));
    }
    Some(())
}

/// NGINX writes seconds with three decimals; whole numbers behind the line are Apache's microseconds.
fn is_seconds(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(whole, fraction)| digits(whole) && digits(fraction))
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let target = fields.first([Path::RequestUri, Path::Request, Path::Uri, Path::Url]);
    let mut request = Request::cut(fields.first([Path::Method, Path::MethodShort]), target);
    if request.method.is_none() {
        request.method = Request::cut(None, fields.text(Path::Request)).method;
    }
    let server_name = fields.text(Path::ServerNamePreread);
    let asked = fields.first([Path::HostHeader, Path::Host, Path::Domain]);
    // A log without its request says whom all the same, unless there was none.
    let is_refused = asked.is_none() || fields.is(Path::Status, "400");
    if request.method.is_none() && request.path.is_none() && server_name.is_none() && is_refused {
        return Ok(Reading::NotACall("no_request"));
    }
    let vendor = fields.text(Path::ProxyHost).filter(|host| is_domain(host));
    let scheme = request.scheme.or_else(|| fields.text(Path::Scheme).filter(|_| vendor.is_none()));
    let host = request.host.or(vendor).or(asked).or(server_name).or_else(|| upstream(fields));
    let times = [Path::RequestTime, Path::ResponseTime, Path::UpstreamTime];
    let latency_ms = fields.first_real(times).map(|seconds| seconds * 1e3);
    let times = [Path::Msec, Path::TimeIso, Path::TimeLocal, Path::Time, Path::Timestamp, Path::AtTimestamp];
    // Of the tries at several servers, the last was the answer.
    if let Some(tries) = fields.text(Path::UpstreamStatus).filter(|tries| tries.contains([',', ':'])) {
        let last = tries.rsplit([',', ':']).next().unwrap_or_default().to_owned();
        fields.set_owned(Path::UpstreamStatus, last);
    }
    let status = if fields.has(Path::Status) { Path::Status } else { Path::UpstreamStatus };
    let (status, no_answer) = fields.answer(status);
    let has_answered = fields.whole(Path::UpstreamReceived).map(|bytes| bytes > 0);
    let addresses =
        [Path::RemoteAddress, Path::ClientIp, Path::ClientIpJoined, Path::ForwardedFor, Path::ForwardedForShort];
    let address = fields.first(addresses);
    let user = fields.first([Path::RemoteUser, Path::ClientCertificate]);
    Ok(Reading::Call(Call {
        time: begin_of(fields.first_time(times), latency_ms),
        view: View::Egress,
        caller: user.or_else(|| address.as_ref().map(client_of)).unwrap_or_default(),
        credential: fields.first([Path::Authorization, Path::ApiKey]).map(credential),
        host: host.unwrap_or_default(),
        scheme,
        method: request.method,
        path: request.path,
        credential_kind: kind(fields.text(Path::Authorization)),
        location: fields.first([Path::UpstreamLocation, Path::Location]),
        request_type: fields.text(Path::RequestType),
        content_type: fields.first([Path::UpstreamContentType, Path::ContentType]),
        status,
        outcome: of_gateway(status, has_answered).or(no_answer),
        bytes_out: fields.first_whole([Path::RequestLength, Path::UpstreamSent]),
        bytes_in: fields.first_whole([Path::BodyBytesSent, Path::BytesSent, Path::UpstreamReceived, Path::Size]),
        latency_ms,
        tls_version: fields.text(Path::Tls),
        src_ip: address,
        user_agent: fields.first([Path::UserAgent, Path::UserAgentShort, Path::Agent]),
        trace_id: fields.first([Path::Trace, Path::OtelTrace]),
        record_id: fields.first([Path::RequestId, Path::IngressRequestId]),
        ..Call::default()
    }))
}

/// The server that answered: the last of the tries.
fn upstream<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let tries = fields.first([Path::Upstream, Path::UpstreamHost, Path::ProxyHost])?;
    part(&tries, |tries| tries.rsplit([',', ' ']).find(|server| !matches!(*server, "" | ":" | "-")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Outcome;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_call_began_before_it_was_logged_and_went_to_the_vendor_behind_the_proxy() {
        let call = call(SAMPLE);
        assert_eq!((call.time, call.latency_ms), (1_788_220_800_905_000, Some(418.0)));
        assert_eq!(
            (&*call.caller, &*call.host, call.path.as_deref()),
            ("billing", "api.stripe.com", Some("/v1/charges"))
        );
        assert_eq!((call.bytes_out, call.bytes_in, call.status, call.outcome), (Some(663), Some(902), Some(200), None));
        assert_eq!(call.record_id.as_deref(), Some("7fb3a1d0c5b84f5e9d0f4c9a8e1b2c3d"));
    }

    #[test]
    fn combined_gives_a_call_without_a_host_and_a_forward_proxys_one_with() {
        let plain = call(
            r#"10.0.0.7 - billing [01/Sep/2026:00:00:01 +0000] "POST /v1/charges HTTP/1.1" 200 902 "-" "go/1.22""#,
        );
        assert_eq!((plain.time, &*plain.caller, &*plain.host), (1_788_220_801_000_000, "billing", ""));
        assert_eq!((plain.bytes_in, plain.bytes_out, plain.latency_ms), (Some(902), None, None));
        let absolute = call(
            r#"2001:db8::5 - - [01/Sep/2026:02:00:01 +0200] "GET http://api.x.io/a b HTTP/1.1" 499 0 "-" "a \"b\" c" "10.0.0.7" 1.500"#,
        );
        assert_eq!((&*absolute.host, absolute.path.as_deref()), ("api.x.io", Some("/a b")));
        assert_eq!((absolute.time, absolute.outcome), (1_788_220_799_500_000, Some(Outcome::NoResponse)));
        assert_eq!((&*absolute.caller, absolute.user_agent.as_deref()), ("2001:db8::5", Some(r#"a \"b\" c"#)));
    }

    #[test]
    fn what_is_added_by_name_is_read_and_other_additions_are_anothers() {
        let named = call(
            r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "GET /a HTTP/1.1" 200 - "-" "go" rt=0.250 uct="0.001" host="api.x.io""#,
        );
        assert_eq!((&*named.host, named.latency_ms, named.bytes_in), ("api.x.io", Some(250.0), None));
        let main = call(
            r#"api.x.io 10.0.0.7, 10.0.0.1 - - [01/Sep/2026:00:00:01 +0000] "GET /a HTTP/1.1" 200 612 "-" "go" "-""#,
        );
        assert_eq!(
            (&*main.host, &*main.caller, main.src_ip.as_deref()),
            ("api.x.io", "10.0.0.7", Some("10.0.0.7, 10.0.0.1"))
        );
        let common = r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "GET /a HTTP/1.1" 200 12"#;
        for text in
            [common.to_owned(), format!(r#"{common} "-" "go" 8123"#), format!(r#"{common} "-" "go" 1 "r" "u" 5ms"#)]
        {
            assert!(!line(&text, &mut Fields::new(&PATHS, None)), "{text}");
        }
    }

    #[test]
    fn the_default_of_ingress_nginx_is_read_with_its_tries() {
        let line = r#"10.0.0.7 - billing [01/Sep/2026:00:00:01 +0000] "POST /v1/charges HTTP/1.1" 200 902 "-" "go/1.22" 663 0.418 [pay-stripe-443] [] 34.200.1.1:443, 34.200.1.2:443 0, 902 0.002, 0.416 502, 200 7fb3a1d0c5b84f5e9d0f4c9a8e1b2c3d"#;
        let call = call(line);
        assert_eq!((call.time, call.latency_ms), (1_788_220_800_582_000, Some(418.0)));
        assert_eq!((&*call.caller, &*call.host, call.status), ("billing", "34.200.1.2:443", Some(200)));
        assert_eq!((call.bytes_out, call.bytes_in), (Some(663), Some(902)));
        assert_eq!(call.record_id.as_deref(), Some("7fb3a1d0c5b84f5e9d0f4c9a8e1b2c3d"));
    }

    #[test]
    fn the_aliases_of_many_configurations_are_read() {
        let record = r#"{"@timestamp":"2026-09-01T00:00:01+00:00","host":"10.0.0.2","clientip":"10.0.0.7","size":902,"responsetime":0.5,
            "upstreamtime":"0.4","upstreamhost":"34.200.1.1:443","http_host":"api.x.io","url":"/v1/a","xff":"-","agent":"go","status":"200"}"#;
        assert_eq!(FormatKind::detect(record).map(|format| format.name), Some("nginx"));
        let call = call(record);
        assert_eq!((&*call.host, &*call.caller, call.path.as_deref()), ("api.x.io", "10.0.0.7", Some("/v1/a")));
        assert_eq!((call.bytes_in, call.latency_ms, call.method), (Some(902), Some(500.0), None));
    }

    #[test]
    fn a_server_that_sent_nothing_gave_no_answer_and_a_bad_request_is_no_call() {
        let failed = SAMPLE.replace(r#""status":"200""#, r#""status":"502""#);
        let of = |received: &str| {
            let received = format!(r#""upstream_bytes_received":"{received}""#);
            call(&failed.replace(r#""upstream_status":"200""#, &received)).outcome
        };
        assert_eq!((of("0"), of("-"), of("512")), (Some(Outcome::NoResponse), None, None));
        let bad = r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "\x16\x03\x01" 400 150 "-" "-""#;
        assert!(matches!(FORMAT_KIND.decode(bad), Ok(Reading::NotACall("no_request"))));
    }
}
