//! Squid: `access.log` in its native format, with a user agent behind it or none, in Squid's `combined`, as
//! JSON by common keys, and in any `logformat` that is declared.
//!
//! Traps: the time is the end of the call; fields are padded with blanks, and a URL may hold some; the native format has no request size.
//! A tunnel (`CONNECT`) lasts as long as its connection. With TLS inspection a `CONNECT` that Squid itself answered (`NONE/200`) precedes
//! what it carries, which is logged too. `TCP_DENIED` never left the house, but somebody tried; a
//! 407 only asks who it is, and the request comes again.
//!
//! Source: wiki.squid-cache.org, "Features/LogFormat"; squid-cache.org, "logformat".

use std::sync::LazyLock;

use regex::Regex;

use super::line::{Common, Token, Tokens};
use super::request::{Request, begin_of, client_of};
use super::url::part;
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, Outcome, View};
use crate::ingest::fields::Fields;
use crate::ingest::log_format::Syntax;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "squid",
    summary: "Squid access logs: native, `combined`, JSON by common keys, any `logformat`",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: Some(line),
    read,
};

const SAMPLE: &str =
    "1788220800.512     87 192.0.2.23 TCP_TUNNEL/200 48213 CONNECT api.stripe.com:443 - HIER_DIRECT/198.51.100.7 -";

paths! { Path:
    Time = "timestamp",
    TimeShort = "ts",
    TimePlain = "time",
    AtTimestamp = "@timestamp",
    Elapsed = "response_time",
    ElapsedPlain = "elapsed",
    ElapsedMs = "elapsed_ms",
    Duration = "duration",
    Client = "client_ip",
    ClientPlain = "client",
    Source = "src_ip",
    RemoteAddress = "remote_addr",
    /// `TCP_MISS`, or `TCP_MISS/200`.
    ResultCode = "result_code",
    CacheResult = "cache_result",
    CacheStatus = "cache_status",
    RequestStatus = "request_status",
    SquidStatus = "squid_status",
    SquidRequestStatus = "squid_request_status",
    Status = "status",
    HttpStatus = "http_status",
    StatusCode = "status_code",
    HttpCode = "http_code",
    ReplySize = "reply_size",
    Bytes = "bytes",
    BytesSent = "bytes_sent",
    Size = "size",
    RequestSize = "request_size",
    BytesReceived = "bytes_received",
    Method = "method",
    HttpMethod = "http_method",
    RequestMethod = "request_method",
    Url = "url",
    Uri = "uri",
    RequestUrl = "request_url",
    RequestUri = "request_uri",
    RequestLine = "request",
    User = "user",
    UserName = "username",
    MimeType = "mime_type",
    ContentType = "content_type",
    ServerName = "sni",
    Tls = "tls_version",
    UserAgent = "user_agent",
    UserAgentHttp = "http_user_agent",
}

const RESULTS: [Path; 6] = [
    Path::ResultCode,
    Path::CacheResult,
    Path::CacheStatus,
    Path::RequestStatus,
    Path::SquidStatus,
    Path::SquidRequestStatus,
];

/// `logformat`, with a name before it. A time in two parts is one variable.
pub(super) static LOG_FORMAT: Syntax = Syntax {
    directive: "logformat",
    is_quoted: false,
    variable: r#"%["'#/\[-]*(?P<width>\d+)?(?:\.\d+)?(?:\{(?P<argument>[^}]*)\})?(?P<name>ts\.%\d*tu|[<>]?(?:\w+::)?[<>]?[a-zA-Z_]+|%)(?:\{(?P<argument_behind>[^}]*)\})?"#,
    variables: &[
        ("ts.%03tu", "ts"),
        ("ts.%tu", "ts"),
        ("ts", "ts"),
        ("tl", "time"),
        ("tg", "time"),
        ("{}tl", "time"),
        ("{}tg", "time"),
        ("tr", "response_time"),
        (">a", "client_ip"),
        (">A", "client"),
        ("un", "user"),
        ("ul", "user"),
        ("ue", "username"),
        ("rm", "method"),
        (">rm", "method"),
        ("ru", "url"),
        (">ru", "url"),
        ("Ss", "result_code"),
        (">Hs", "http_status"),
        ("Hs", "http_status"),
        (">st", "request_size"),
        ("<st", "reply_size"),
        ("mt", "mime_type"),
        ("ssl::>sni", "sni"),
        ("ssl::<negotiated_version", "tls_version"),
        ("{user-agent}>h", "user_agent"),
    ],
};

/// Time, elapsed, client, result/status, size, method, URL, user, hierarchy/peer, media type, and what follows.
static NATIVE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = r"^(\d{9,10}\.\d{3})\s+(-?\d+)\s+(\S+)\s+([A-Z_]+)/(\d{3})\s+(-?\d+|-)\s+([A-Za-z_-]+)\s+(.+?)\s+(\S+)\s+[A-Z_0-9]+/\S+\s+(\S+)(?:\s+(.*))?$";
    Regex::new(pattern).ok()
});

fn looks_like(probe: &Probe<'_>) -> bool {
    let is_result = |text: &str| ["TCP_", "NONE", "UDP_"].iter().any(|start| text.starts_with(start));
    RESULTS.iter().any(|path| probe.text(PATHS.name(usize::from(*path))).is_some_and(|text| is_result(&text)))
}

fn line<'a>(text: &'a str, fields: &mut Fields<'a>) -> bool {
    native(text, fields).or_else(|| combined(text, fields)).is_some()
}

fn native<'a>(text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    let found = NATIVE.as_ref()?.captures(text.trim_end())?;
    let own = [
        Path::Time,
        Path::Elapsed,
        Path::Client,
        Path::ResultCode,
        Path::Status,
        Path::ReplySize,
        Path::Method,
        Path::Url,
        Path::User,
        Path::MimeType,
    ];
    for (path, group) in own.into_iter().zip(1..) {
        fields.set(path, found.get(group)?.as_str());
    }
    // Of what is added the user agent is the last in quotes.
    let added = found.get(11).map_or("", |rest| rest.as_str());
    let quoted = |token| if let Token::Quoted(text) = token { Some(text) } else { None };
    if let Some(agent) = Tokens::of(added).filter_map(quoted).last() {
        fields.set(Path::UserAgent, agent);
    }
    Some(())
}

/// `… "referer" "agent" TCP_MISS:HIER_DIRECT`
fn combined<'a>(text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    let (Common { host: None, client, user, time, request, status, bytes }, mut tokens) = Common::cut(text)? else {
        return None;
    };
    let (_referer, agent) = (tokens.quoted()?, tokens.quoted()?);
    let (result, _hierarchy) = tokens.bare()?.split_once(':')?;
    let is_result = result.contains('_') && result.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    (is_result && tokens.rest().is_empty()).then_some(())?;
    let own = [
        (Path::Client, client),
        (Path::User, user),
        (Path::Time, time),
        (Path::RequestLine, request),
        (Path::Status, status),
        (Path::ReplySize, bytes),
        (Path::ResultCode, result),
        (Path::UserAgent, agent),
    ];
    own.into_iter().for_each(|(path, text)| fields.set(path, text));
    Some(())
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let target = fields.first([Path::Url, Path::Uri, Path::RequestUrl, Path::RequestUri, Path::RequestLine]);
    if target.as_deref().is_some_and(|url| url.starts_with("error:")) {
        return Ok(Reading::NotACall("no_request"));
    }
    if target.as_deref().is_some_and(|url| url.starts_with("cache_object:")) {
        return Ok(Reading::NotACall("cache_manager"));
    }
    let request = Request::cut(fields.first([Path::Method, Path::HttpMethod, Path::RequestMethod]), target);
    let result = fields.first(RESULTS).unwrap_or_default();
    let (code, joined) = result.split_once('/').unwrap_or((&result, ""));
    let statuses = [Path::HttpStatus, Path::StatusCode, Path::HttpCode, Path::Status];
    let (mut status, mut no_answer) =
        statuses.into_iter().find(|path| fields.has(*path)).map_or((None, None), |path| fields.answer(path));
    if let (None, None, Ok(number)) = (status, no_answer, joined.parse::<u16>()) {
        (status, no_answer) =
            (Some(number).filter(|number| (100..600).contains(number)), (number == 0).then_some(Outcome::NoResponse));
    }
    if code.starts_with("NONE") && status == Some(200) && request.method.as_deref() == Some("CONNECT") {
        return Ok(Reading::NotACall("tunnel_opened"));
    }
    if code.starts_with("NONE") && status == Some(400) {
        return Ok(Reading::NotACall("no_request"));
    }
    if status == Some(407) {
        return Ok(Reading::NotACall("proxy_challenge"));
    }
    let by_code = match code {
        code if code.contains("DENIED") => Some(Outcome::Denied),
        code if code.contains("TIMEDOUT") || code.contains("TIMEOUT") => Some(Outcome::NoResponse),
        _ => None,
    };
    let latency_ms = fields.first_real([Path::Elapsed, Path::ElapsedPlain, Path::ElapsedMs, Path::Duration]);
    let times = [Path::Time, Path::TimeShort, Path::TimePlain, Path::AtTimestamp];
    let address = fields.first([Path::Client, Path::Source, Path::ClientPlain, Path::RemoteAddress]);
    let user = fields.first([Path::User, Path::UserName]);
    // A tunnel to an address: whom it is for stands in the handshake.
    let server_name = fields.text(Path::ServerName);
    Ok(Reading::Call(Call {
        time: begin_of(fields.first_time(times), latency_ms),
        view: View::Egress,
        caller: user.or_else(|| address.as_ref().map(client_of)).unwrap_or_default(),
        host: server_name.or(request.host).unwrap_or_default(),
        scheme: request.scheme,
        method: request.method,
        path: request.path,
        content_type: fields.first([Path::MimeType, Path::ContentType]),
        status,
        outcome: by_code.or(no_answer),
        bytes_out: fields.first_whole([Path::RequestSize, Path::BytesReceived]),
        bytes_in: fields.first_whole([Path::ReplySize, Path::BytesSent, Path::Bytes, Path::Size]),
        latency_ms,
        tls_version: fields.text(Path::Tls),
        src_ip: address.map(|address| part(&address, |address| Some(address.trim())).unwrap_or_default()),
        user_agent: fields.first([Path::UserAgent, Path::UserAgentHttp]),
        ..Call::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn reading(record: &str) -> Reading<'_> {
        FORMAT_KIND.decode(record).unwrap()
    }

    fn call(record: &str) -> Call<'_> {
        reading(record).call().unwrap()
    }

    #[test]
    fn a_tunnel_began_before_it_was_logged_and_its_request_size_is_unknown() {
        let call = call(SAMPLE);
        assert_eq!((call.time, call.latency_ms), (1_788_220_800_425_000, Some(87.0)));
        assert_eq!(
            (&*call.caller, &*call.host, call.method.as_deref()),
            ("192.0.2.23", "api.stripe.com:443", Some("CONNECT"))
        );
        assert_eq!((call.bytes_out, call.bytes_in, call.status), (None, Some(48_213), Some(200)));
        assert_eq!((call.path, call.content_type, call.user_agent), (None, None, None));
    }

    #[test]
    fn a_url_with_blanks_a_user_and_a_user_agent_behind_the_line_are_read() {
        let call = call(
            r#"1788220800.512    187 2001:db8::5 TCP_MISS/404 912 GET http://api.x.io/a b?c=d crm FIRSTUP_PARENT/proxy.x.io application/json "-" "curl/8 \"x\"""#,
        );
        assert_eq!((&*call.caller, &*call.host, call.path.as_deref()), ("crm", "api.x.io", Some("/a b?c=d")));
        assert_eq!((call.scheme.as_deref(), call.content_type.as_deref()), (Some("http"), Some("application/json")));
        assert_eq!(
            (call.src_ip.as_deref(), call.user_agent.as_deref()),
            (Some("2001:db8::5"), Some(r#"curl/8 \"x\""#))
        );
    }

    #[test]
    fn what_was_denied_or_not_answered_says_so_and_what_squid_did_for_itself_is_no_call() {
        let of = |code: &str, url: &str| format!("1788220800.512  0 10.0.0.7 {code} 0 CONNECT {url} - HIER_NONE/- -");
        for (code, status, outcome) in [
            ("TCP_DENIED/403", Some(403), Some(Outcome::Denied)),
            ("TCP_MISS_ABORTED/000", None, Some(Outcome::NoResponse)),
            ("TCP_TUNNEL/503", Some(503), None),
        ] {
            let record = of(code, "api.x.io:443");
            let call = call(&record);
            assert_eq!((call.status, call.outcome), (status, outcome), "{code}");
        }
        let challenge = of("TCP_DENIED/407", "api.x.io:443");
        assert!(matches!(reading(&challenge), Reading::NotACall("proxy_challenge")));
        let bumped = of("NONE_NONE/200", "api.x.io:443");
        assert!(matches!(reading(&bumped), Reading::NotACall("tunnel_opened")));
        let empty = of("NONE/000", "error:transaction-end-before-headers");
        assert!(matches!(reading(&empty), Reading::NotACall("no_request")));
        for (line, kind) in [
            ("NONE_NONE/400 1545 garbage error:invalid-request", "no_request"),
            ("NONE_NONE/400 1741 GET /relative", "no_request"),
            ("TCP_MISS/200 2565 GET cache_object://localhost/info", "cache_manager"),
        ] {
            let record = format!("1788220800.512  0 10.0.0.7 {line} - HIER_NONE/- text/html");
            assert!(matches!(reading(&record), Reading::NotACall(own) if own == kind), "{line}");
        }
    }

    #[test]
    fn squids_combined_and_its_json_are_read() {
        let combined = call(
            r#"10.0.0.7 - crm [01/Sep/2026:00:00:01 +0000] "GET http://api.x.io/a HTTP/1.1" 200 902 "-" "go/1.22" TCP_MISS:HIER_DIRECT"#,
        );
        assert_eq!((&*combined.host, &*combined.caller, combined.latency_ms), ("api.x.io", "crm", None));
        let record = r#"{"timestamp":"2026-09-01T00:00:01+0000","response_time":"87","src_ip":"10.0.0.7","cache_result":"TCP_MISS/200",
            "bytes":"902","method":"GET","url":"https://api.x.io/a","user":"-","user_agent":"go"}"#;
        assert_eq!(FormatKind::detect(record).map(|format| format.name), Some("squid"));
        let json = call(record);
        assert_eq!((json.time, json.status, json.bytes_in), (1_788_220_800_913_000, Some(200), Some(902)));
        assert_eq!((&*json.host, &*json.caller), ("api.x.io", "10.0.0.7"));
    }
}
