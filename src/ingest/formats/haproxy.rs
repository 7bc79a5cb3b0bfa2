//! HAProxy: `httplog`, `httpslog` and `tcplog` as text, with or without the program's name of syslog before it, and JSON by common keys.
//!
//! Traps: the time has no zone (`[decode] zone` names it); timers of -1 were not reached; a `+` before the total time or the bytes
//! (`option logasap`) is of a call that still ran: unknown. The host stands only in a captured header, in a proxy request, or as the
//! server's name. `%B` counts with headers; a long line may end within the request. The sample is JSON as the text's time has no zone.
//!
//! Source: docs.haproxy.org, "Configuration Manual", 8.2 Log formats and 8.5 Session state at disconnection.

use std::borrow::Cow;

use super::line::Tokens;
use super::request::{Request, client_of, is_domain};
use super::url::{credential, kind, part};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, Outcome, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "haproxy",
    summary: "HAProxy logs: `httplog`, `httpslog`, `tcplog`, and JSON by common keys",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: Some(line),
    read,
};

const SAMPLE: &str = r#"{"type":"haproxy","timestamp":1788220800,"http_status":200,"http_request":"POST /v1/charges HTTP/1.1",
"host":"api.stripe.com","remote_addr":"10.0.1.2","bytes_read":2750,"bytes_uploaded":663,"upstream_addr":"34.200.1.1","backend_name":"stripe",
"retries":0,"upstream_response_time":"69","upstream_connect_time":"30","session_duration":"109","termination_state":"----"}"#;

paths! { Path:
    Time = "timestamp",
    TimePlain = "time",
    TimeLocal = "time_local",
    AcceptDate = "accept_date",
    RequestDate = "request_date",
    AtTimestamp = "@timestamp",
    Client = "client_ip",
    ClientPlain = "client",
    RemoteAddress = "remote_addr",
    Source = "src_ip",
    Frontend = "frontend_name",
    Backend = "backend_name",
    Server = "server_name",
    Upstream = "upstream_addr",
    ServerIp = "server_ip",
    TimeActive = "time_active",
    SessionDuration = "session_duration",
    TimeTotal = "time_total",
    Status = "status",
    HttpStatus = "http_status",
    StatusCode = "status_code",
    BytesRead = "bytes_read",
    BytesUploaded = "bytes_uploaded",
    Termination = "termination_state",
    /// The captured headers of the request, with bars between them.
    Captured = "captured_request_headers",
    Request = "request",
    HttpRequest = "http_request",
    Method = "method",
    HttpMethod = "http_method",
    Target = "path",
    RequestUri = "request_uri",
    Host = "host",
    HttpHost = "http_host",
    ServerNameIndication = "sni",
    ServerNameIndicationLong = "ssl_fc_sni",
    Tls = "ssl_version",
    Authorization = "authorization",
    UserAgent = "user_agent",
    UserAgentHttp = "http_user_agent",
    UniqueId = "unique_id",
    RequestId = "request_id",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has_names = probe.has("frontend_name") && probe.has("backend_name");
    has_names || (probe.has("termination_state") && (probe.has("backend_name") || probe.has("http_request")))
}

fn line<'a>(text: &'a str, fields: &mut Fields<'a>) -> bool {
    cut(text, fields).is_some()
}

/// `client:port [time] frontend backend/server timers status bytes cookie cookie flags connections queues {captured} {captured} "request" …`
fn cut<'a>(text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    let prefixed = text.split_once("]: ").filter(|(head, _)| head.contains("haproxy["));
    let mut tokens = Tokens::of(prefixed.map_or(text, |(_, line)| line));
    let (client, port) = tokens.bare()?.rsplit_once(':')?;
    let time = tokens.bracketed()?;
    let (frontend, (backend, server)) = (tokens.bare()?, tokens.bare()?.split_once('/')?);
    // Some put the host before the timers.
    let word = tokens.bare()?;
    let (host, timers) = if word.contains('/') { ("", word) } else { (word, tokens.bare()?) };
    let timers: Vec<_> = timers.split('/').collect();
    let is_timer = |text: &&str| text.trim_start_matches(['-', '+']).bytes().all(|byte| byte.is_ascii_digit());
    let is_http = timers.len() == 5;
    let is_line = port.bytes().all(|byte| byte.is_ascii_digit()) && timers.iter().all(is_timer);
    (is_line && (is_http || timers.len() == 3)).then_some(())?;
    let status = if is_http { tokens.bare()? } else { "" };
    let bytes = Some(tokens.bare()?).filter(is_timer)?;
    if is_http {
        let (_request_cookie, _response_cookie) = (tokens.bare()?, tokens.bare()?);
    }
    let flags = tokens.bare()?;
    let is_counts =
        |text: &str| text.contains('/') && text.bytes().all(|byte| byte.is_ascii_digit() || b"/+-".contains(&byte));
    (is_counts(tokens.bare()?) && is_counts(tokens.bare()?)).then_some(())?;
    let captured = tokens.braced().unwrap_or_default();
    let _of_response = tokens.braced();
    let (request, tls) = request_of(tokens);
    let complete = |text: &'a str| if text.starts_with('+') { "" } else { text };
    let own = [
        (Path::Client, client),
        (Path::Time, time),
        (Path::Frontend, frontend),
        (Path::Backend, backend),
        (Path::Server, server),
        (Path::Host, host),
        (Path::TimeActive, timers.last().copied().map(complete)?),
        (Path::Status, status),
        (Path::BytesRead, complete(bytes)),
        (Path::Termination, flags),
        (Path::Captured, captured),
        (Path::Request, request),
        (Path::Tls, tls),
    ];
    own.into_iter().for_each(|(path, text)| fields.set(path, text));
    Some(())
}

/// The request, which a line that was cut does not close, and the TLS version that `httpslog` has behind it.
fn request_of(mut tokens: Tokens<'_>) -> (&str, &str) {
    let Some(request) = tokens.quoted() else { return (tokens.rest().strip_prefix('"').unwrap_or_default(), "") };
    let tls = tokens.last().and_then(|token| token.text().rsplit('/').find(|part| part.contains("TLSv")));
    (request, tls.unwrap_or_default())
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let target = fields.first([Path::HttpRequest, Path::Request, Path::RequestUri, Path::Target]);
    if target.as_deref().is_some_and(|request| request.contains("<BADREQ>")) {
        return Ok(Reading::NotACall("no_request"));
    }
    let request = Request::cut(fields.first([Path::Method, Path::HttpMethod]), target);
    let captured = fields.text(Path::Captured).unwrap_or_default();
    let of_capture = |is: fn(&&str) -> bool| part(&captured, |headers| headers.split('|').map(str::trim).find(is));
    let host = request
        .host
        .or_else(|| fields.first([Path::Host, Path::HttpHost]))
        .or_else(|| of_capture(|header| is_domain(header)));
    let server_names = [Path::ServerNameIndication, Path::ServerNameIndicationLong];
    let host = host.or_else(|| fields.first(server_names)).or_else(|| server(fields));
    let (status, no_answer) = [Path::HttpStatus, Path::StatusCode, Path::Status]
        .into_iter()
        .find(|path| fields.has(*path))
        .map_or((None, None), |path| fields.answer(path));
    let by_flags = fields.text(Path::Termination).and_then(|flags| of_flags(&flags, status));
    let times = [Path::Time, Path::TimePlain, Path::TimeLocal, Path::RequestDate, Path::AcceptDate, Path::AtTimestamp];
    let address = fields.first([Path::Client, Path::ClientPlain, Path::RemoteAddress, Path::Source]);
    let agents = [Path::UserAgent, Path::UserAgentHttp];
    Ok(Reading::Call(Call {
        time: fields.first_time(times),
        view: View::Egress,
        caller: address.as_ref().map(client_of).unwrap_or_default(),
        credential: fields.text(Path::Authorization).map(credential),
        credential_kind: kind(fields.text(Path::Authorization)),
        host: host.unwrap_or_default(),
        scheme: request.scheme,
        method: request.method,
        path: request.path,
        status,
        outcome: by_flags.or(no_answer),
        bytes_out: fields.whole(Path::BytesUploaded),
        bytes_in: fields.whole(Path::BytesRead),
        latency_ms: fields.first_real([Path::TimeActive, Path::SessionDuration, Path::TimeTotal]),
        tls_version: fields.text(Path::Tls),
        src_ip: address,
        user_agent: fields.first(agents).or_else(|| of_capture(is_product)),
        record_id: fields.first([Path::UniqueId, Path::RequestId]),
        ..Call::default()
    }))
}

/// A server that bears the name of a host, else its address. `<NOSRV>` is none.
fn server<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let name = fields.text(Path::Server).filter(|name| is_domain(name));
    name.or_else(|| fields.first([Path::Upstream, Path::ServerIp]))
}

/// `curl/8.5.0`: of the captured headers only a user agent begins so.
fn is_product(header: &&str) -> bool {
    header.split_once('/').is_some_and(|(name, version)| {
        !name.is_empty() && !name.contains([' ', ':']) && version.starts_with(|first: char| first.is_ascii_digit())
    })
}

/// What the state at disconnection says: who ended the call, and in which phase.
fn of_flags(flags: &str, status: Option<u16>) -> Option<Outcome> {
    let mut flags = flags.chars();
    let (cause, phase) = (flags.next()?, flags.next()?);
    let has_answer = status.is_some_and(|status| status < 500);
    match (cause, phase) {
        ('P', 'R' | 'T') if matches!(status, Some(401 | 403)) => Some(Outcome::Denied),
        ('C' | 'c' | 'S' | 's', 'R' | 'Q' | 'C' | 'H') if !has_answer => Some(Outcome::NoResponse),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn reading(record: &str) -> Reading<'_> {
        let mut fields = FORMAT_KIND.fields(record, Some(TimeZone::UTC)).unwrap();
        read(&mut fields).unwrap()
    }

    fn call(record: &str) -> Call<'_> {
        reading(record).call().unwrap()
    }

    #[test]
    fn json_gives_the_call_and_both_directions() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_800_000_000, "10.0.1.2", "api.stripe.com"));
        assert_eq!((call.bytes_out, call.bytes_in, call.latency_ms), (Some(663), Some(2750), Some(109.0)));
        assert_eq!(
            (call.method.as_deref(), call.path.as_deref(), call.status),
            (Some("POST"), Some("/v1/charges"), Some(200))
        );
    }

    #[test]
    fn an_http_line_has_its_host_in_a_captured_header_and_its_time_in_the_declared_zone() {
        let line = r#"10.0.1.2:33317 [01/Sep/2026:00:00:00.655] fe~ be/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {curl/8.5.0|api.x.io} {} "GET /v1/a?b=c HTTP/1.1""#;
        let call = call(line);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_800_655_000, "10.0.1.2", "api.x.io"));
        assert_eq!((call.path.as_deref(), call.user_agent.as_deref()), (Some("/v1/a?b=c"), Some("curl/8.5.0")));
        assert_eq!((call.bytes_out, call.bytes_in, call.latency_ms), (None, Some(2750), Some(109.0)));
        let mut fields = FORMAT_KIND.fields(line, None).unwrap();
        assert_eq!(read(&mut fields).unwrap().call().unwrap().time, 0);
        assert_eq!(fields.time_problem().unwrap().problem.reason(), "no_zone");
    }

    #[test]
    fn what_was_not_reached_is_unknown_and_flags_say_how_it_ended() {
        let line = r#"Sep  1 00:00:00 lb haproxy[14389]: fe80::1:33317 [01/Sep/2026:00:00:00.655] fe be/api.x.io 0/0/-1/-1/+3002 -1 +0 - - sC-- 1/1/1/1/+3 0/0 "GET /v1/a"#;
        let failed = call(line);
        assert_eq!((&*failed.caller, &*failed.host, failed.path.as_deref()), ("fe80::1", "api.x.io", Some("/v1/a")));
        assert_eq!((failed.status, failed.latency_ms, failed.bytes_in), (None, None, None));
        assert_eq!(failed.outcome, Some(Outcome::NoResponse));
        let denied = r#"10.0.1.2:33317 [01/Sep/2026:00:00:00.655] fe fe/<NOSRV> 0/-1/-1/-1/0 403 192 - - PR-- 1/1/0/0/0 0/0 "CONNECT api.x.io:443 HTTP/1.1""#;
        assert_eq!((call(denied).outcome, &*call(denied).host), (Some(Outcome::Denied), "api.x.io:443"));
        let bad = r#"10.0.1.2:33317 [01/Sep/2026:00:00:00.655] fe fe/<NOSRV> -1/-1/-1/-1/0 400 187 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>""#;
        assert!(matches!(reading(bad), Reading::NotACall("no_request")));
    }

    #[test]
    fn a_connection_and_a_line_with_tls_are_read() {
        let tcp = call("10.0.1.2:33313 [01/Sep/2026:00:00:00.443] fnt bck/api.x.io 0/0/5007 212 -- 0/0/0/0/3 0/0");
        assert_eq!((&*tcp.host, tcp.bytes_in, tcp.latency_ms), ("api.x.io", Some(212), Some(5007.0)));
        assert_eq!((tcp.method, tcp.status, tcp.outcome), (None, None, None));
        let hosted = call(
            r#"-:22222 [22/May/2021:02:22:22.222] www-https~ myapp/node2 site.x.io 0/0/0/18/18 200 200 - - ---- 222/222/2/0/0 0/0 "OPTIONS /api/v2/app/ HTTP/1.1""#,
        );
        assert_eq!((&*hosted.host, &*hosted.caller, hosted.status), ("site.x.io", "", Some(200)));
        let tls = call(
            r#"10.0.1.2:33317 [01/Sep/2026:00:00:00.655] fe~ be/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {api.x.io} "GET / HTTP/2.0" 0/0/0/0/1 x.io/TLSv1.3/TLS_AES_128_GCM_SHA256"#,
        );
        assert_eq!((tls.tls_version.as_deref(), tls.path.as_deref()), (Some("TLSv1.3"), Some("/")));
    }

    #[test]
    fn other_lines_are_left_to_others() {
        for text in ["", "a:1 [x] b c/d 1/2/3/4/5", "a:1 [x] b c/d ///// 1 2 - - -- 1/1 0/0", "haproxy[é]: "] {
            assert!(!line(text, &mut Fields::new(&PATHS, None)), "{text}");
        }
    }
}
