//! Apache HTTP Server: access logs as JSON by common keys, and the text formats `common`, `vhost_common`, `vhost_combined` and `combinedio`, with the
//! microseconds of `%D` behind any of them, and any `LogFormat` that is declared. Plain `combined` is the same line as NGINX's: `nginx` reads it.
//!
//! Whole seconds (`%T`) are too coarse to be a latency.
//!
//! The time (`%t`) is the start of the call. `%b` and `%O` count what went to the caller, `%I` what came from it with headers.
//!
//! Source: httpd.apache.org, "mod_log_config" and "mod_logio".

use super::line::{Common, Token};
use super::outcome::of_gateway;
use super::request::{Request, client_of, is_domain};
use super::url::{credential, kind};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, View};
use crate::ingest::fields::Fields;
use crate::ingest::log_format::Syntax;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "apache",
    summary: "Apache HTTP Server access logs: JSON by common keys, `vhost_combined`, `common`, `combinedio`, any `LogFormat`",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: Some(line),
    read,
};

const SAMPLE: &str = r#"api.stripe.com:443 10.0.0.7 - billing [01/Sep/2026:00:00:01 +0000] "POST /v1/charges HTTP/1.1" 200 902 "-" "go/1.22" 418605"#;

const MICROSECONDS_PER_MILLISECOND: f64 = 1e3;

paths! { Path:
    Time = "time",
    Timestamp = "timestamp",
    AtTimestamp = "@timestamp",
    User = "user",
    RemoteUser = "remote_user",
    RemoteIp = "remoteIP",
    RemoteIpSnake = "remote_ip",
    ClientIp = "clientip",
    ClientIpSnake = "client_ip",
    RemoteHost = "remote_host",
    Host = "host",
    VirtualHost = "vhost",
    VirtualHostLong = "virtual_host",
    Site = "site",
    ServerName = "server_name",
    Method = "method",
    RequestMethod = "request_method",
    /// `%r`, or `%U` alone.
    Request = "request",
    RequestLine = "request_line",
    RequestUri = "request_uri",
    Target = "urlpath",
    Status = "status",
    Bytes = "bytes",
    BytesSent = "bytes_sent",
    ResponseBytes = "response_bytes",
    BytesReceived = "bytes_received",
    RequestBytes = "request_bytes",
    Duration = "duration",
    DurationMicros = "duration_us",
    TimeMicros = "time_us",
    Process = "process",
    DurationMs = "duration_ms",
    Authorization = "authorization",
    ApiKey = "x_api_key",
    ContentType = "content_type",
    UserAgent = "userAgent",
    UserAgentSnake = "user_agent",
    Tls = "ssl_protocol",
    UniqueId = "unique_id",
    RequestId = "request_id",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has = |keys: &[&str]| keys.iter().any(|key| probe.has(key));
    let has_address = has(&["remoteip", "remote_ip", "clientip", "client_ip", "remote_host"]);
    let has_mark = has(&["vhost", "virtual_host", "urlpath", "site", "useragent", "duration_us", "time_us"]);
    probe.has("status") && has(&["request", "request_line"]) && has_address && has_mark && !probe.has_section("ecs")
}

/// `LogFormat`, with a nickname behind it.
pub(super) static LOG_FORMAT: Syntax = Syntax {
    directive: "LogFormat",
    is_quoted: true,
    variable: r"%(?:!?\d+(?:,\d+)*)?[<>]?(?:\{(?P<argument>[^}]*)\})?[<>]?(?P<name>\^t[io]|[a-zA-Z]|%)",
    variables: &[
        ("t", "time"),
        ("{}t", "time"),
        ("h", "remote_host"),
        ("a", "remoteIP"),
        ("{c}a", "client_ip"),
        ("{x-forwarded-for}i", "clientip"),
        ("u", "user"),
        ("r", "request"),
        ("m", "method"),
        ("U", "urlpath"),
        ("v", "vhost"),
        ("V", "server_name"),
        ("{host}i", "host"),
        ("s", "status"),
        ("I", "bytes_received"),
        ("O", "bytes_sent"),
        ("B", "bytes"),
        ("b", "bytes"),
        ("D", "duration_us"),
        ("{us}T", "duration_us"),
        ("{ms}T", "duration_ms"),
        ("{user-agent}i", "userAgent"),
        ("{authorization}i", "authorization"),
        ("{x-api-key}i", "x_api_key"),
        ("{content-type}o", "content_type"),
        ("{ssl_protocol}x", "ssl_protocol"),
        ("{unique_id}e", "unique_id"),
        ("L", "request_id"),
        ("{x-request-id}i", "request_id"),
    ],
};

fn line<'a>(text: &'a str, fields: &mut Fields<'a>) -> bool {
    cut(text, fields).is_some()
}

fn cut<'a>(text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    let (Common { host, client, user, time, request, status, bytes }, mut tokens) = Common::cut(text)?;
    let (_referer, agent) = (tokens.quoted(), tokens.quoted());
    let numbers = tokens.map(Token::number).collect::<Option<Vec<_>>>()?;
    let is_combined = agent.is_some() && numbers.is_empty() && host.is_none();
    if is_combined || numbers.len() > 3 {
        return None;
    }
    // `%D` alone, `%I %O`, or `%I %O %D`.
    let (sizes, micros) = numbers.split_at(if numbers.len() > 1 { 2 } else { 0 });
    let own = [
        (Path::VirtualHost, host),
        (Path::RemoteIp, Some(client)),
        (Path::User, Some(user)),
        (Path::Time, Some(time)),
        (Path::Request, Some(request)),
        (Path::Status, Some(status)),
        (Path::Bytes, Some(sizes.get(1).copied().unwrap_or(bytes))),
        (Path::BytesReceived, sizes.first().copied()),
        (Path::Duration, micros.first().copied()),
        (Path::UserAgent, agent),
    ];
    own.into_iter().filter_map(|(path, text)| Some((path, text?))).for_each(|(path, text)| fields.set(path, text));
    Some(())
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let target = fields.first([Path::RequestLine, Path::Request, Path::RequestUri, Path::Target]);
    let request = Request::cut(fields.first([Path::Method, Path::RequestMethod]), target);
    if request.method.is_none() && request.path.is_none() {
        return Ok(Reading::NotACall("no_request"));
    }
    let hosts = [Path::Host, Path::VirtualHost, Path::VirtualHostLong, Path::Site, Path::ServerName];
    let named = hosts.into_iter().find_map(|path| fields.text(path).filter(|host| is_domain(host)));
    let host = request.host.or(named).or_else(|| fields.first(hosts));
    let addresses = [Path::RemoteIp, Path::RemoteIpSnake, Path::ClientIp, Path::ClientIpSnake, Path::RemoteHost];
    let address = fields.first(addresses);
    let (status, no_answer) = fields.answer(Path::Status);
    let micros = fields.first_real([Path::DurationMicros, Path::TimeMicros, Path::Process, Path::Duration]);
    let latency_ms =
        micros.map(|micros| micros / MICROSECONDS_PER_MILLISECOND).or_else(|| fields.real(Path::DurationMs));
    let user = fields.first([Path::User, Path::RemoteUser]);
    Ok(Reading::Call(Call {
        time: fields.first_time([Path::Time, Path::Timestamp, Path::AtTimestamp]),
        view: View::Egress,
        caller: user.or_else(|| address.as_ref().map(client_of)).unwrap_or_default(),
        credential: fields.first([Path::Authorization, Path::ApiKey]).map(credential),
        credential_kind: kind(fields.text(Path::Authorization)),
        host: host.unwrap_or_default(),
        scheme: request.scheme,
        method: request.method,
        path: request.path,
        content_type: fields.text(Path::ContentType),
        status,
        outcome: of_gateway(status, None).or(no_answer),
        bytes_out: fields.first_whole([Path::BytesReceived, Path::RequestBytes]),
        bytes_in: fields.first_whole([Path::BytesSent, Path::Bytes, Path::ResponseBytes]),
        latency_ms,
        tls_version: fields.text(Path::Tls),
        src_ip: address,
        user_agent: fields.first([Path::UserAgent, Path::UserAgentSnake]),
        record_id: fields.first([Path::UniqueId, Path::RequestId]),
        ..Call::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_virtual_host_is_the_host_and_the_time_is_the_start() {
        let call = call(SAMPLE);
        assert_eq!((call.time, call.latency_ms), (1_788_220_801_000_000, Some(418.605)));
        assert_eq!(
            (&*call.caller, &*call.host, call.path.as_deref()),
            ("billing", "api.stripe.com:443", Some("/v1/charges"))
        );
        assert_eq!((call.bytes_in, call.bytes_out, call.status), (Some(902), None, Some(200)));
    }

    #[test]
    fn sizes_and_microseconds_behind_the_line_are_told_apart_by_their_number() {
        let of = |rest: &str| {
            let line = format!(
                r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "CONNECT api.x.io:443 HTTP/1.1" 200 - "-" "go" {rest}"#
            );
            let call = call(&line);
            assert_eq!((&*call.host, &*call.caller), ("api.x.io:443", "10.0.0.7"));
            (call.bytes_out, call.bytes_in, call.latency_ms)
        };
        assert_eq!(of("812"), (None, None, Some(0.812)));
        assert_eq!(of("663 1204"), (Some(663), Some(1204), None));
        assert_eq!(of("663 1204 812"), (Some(663), Some(1204), Some(0.812)));
    }

    #[test]
    fn common_is_apaches_and_combined_is_not() {
        let common = r#"::1 - - [01/Sep/2026:00:00:01 +0000] "GET http://x.io/a HTTP/1.0" 404 -"#;
        let read = call(common);
        assert_eq!((&*read.host, &*read.caller, read.bytes_in), ("x.io", "::1", None));
        for text in
            [format!(r#"{common} "-" "go""#), format!("{common} a"), format!(r#"{common} "-" "go" 1 "r" "u" 5ms"#)]
        {
            assert!(!line(&text, &mut Fields::new(&PATHS, None)), "{text}");
        }
    }

    #[test]
    fn json_by_the_keys_of_many_configurations_is_read() {
        let loggly = r#"{"time":"[01/Sep/2026:00:00:01 +0000]","process":"418605","remoteIP":"10.0.0.7","host":"api.x.io",
            "request":"/v1/a","query":"?b=c","method":"GET","status":"200","userAgent":"go","referer":"-"}"#;
        let logstash = r#"{"@timestamp":"2026-09-01T00:00:01+0000","clientip":"10.0.0.7","duration":418605,"status":200,"request":"/v1/a?b=c",
            "urlpath":"/v1/a","urlquery":"?b=c","bytes":902,"method":"GET","site":"api.x.io","useragent":"go"}"#;
        for record in [loggly, logstash] {
            assert_eq!(FormatKind::detect(record).map(|format| format.name), Some("apache"));
            let call = call(record);
            assert_eq!((call.time, call.latency_ms), (1_788_220_801_000_000, Some(418.605)), "{record}");
            assert_eq!(
                (&*call.host, call.method.as_deref(), call.user_agent.as_deref()),
                ("api.x.io", Some("GET"), Some("go"))
            );
        }
        assert_eq!(call(logstash).bytes_in, Some(902));
    }
}
