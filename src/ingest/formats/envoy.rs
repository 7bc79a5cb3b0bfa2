//! Envoy and what is built on it (Istio, Envoy Gateway, Contour): access logs as JSON by the usual keys, and the default formats of Envoy
//! and Istio as text.
//!
//! Traps: the keys are the admin's, and numbers may be text; sizes are of bodies; both sidecars of a mesh log a call, only the outbound one
//! tells of ours; `PassthroughCluster` names nobody; a connection (no method) has a status of 0 that says nothing. Istio's text has three
//! more fields behind the flags, older versions two.
//!
//! Source: envoyproxy.io, "Access logging"; istio.io, "Default access log format"; gateway.envoyproxy.io, "Proxy access logs".

use std::borrow::Cow;

use super::line::{Token, Tokens, is_count};
use super::outcome::of_grpc;
use super::request::{Request, client_of};
use super::url::{credential, kind, part};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, Outcome, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;
use crate::ingest::time::parse_rfc3339;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "envoy",
    summary: "Envoy and Istio access logs: JSON by the usual keys, and their default text",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: Some(line),
    read,
};

const SAMPLE: &str = r#"{"start_time":"2026-09-01T00:00:00.310Z","method":"POST","path":"/v1/charges","protocol":"HTTP/2","authority":"api.stripe.com",
"response_code":200,"response_flags":"-","response_code_details":"via_upstream","bytes_received":154,"bytes_sent":902,"duration":226,
"upstream_service_time":"224","upstream_cluster":"outbound|443||api.stripe.com","upstream_host":"34.200.1.1:443","route_name":null,
"downstream_local_address":"34.200.1.1:443","downstream_remote_address":"10.44.1.23:46520","requested_server_name":null,
"request_id":"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2","user_agent":"stripe-go/76","x_forwarded_for":null}"#;

paths! { Path:
    Start = "start_time",
    /// Contour's name for the start.
    Timestamp = "@timestamp",
    /// The request line of the text formats.
    RequestLine = "request_line",
    Method = "method",
    MethodHeader = ":method",
    OriginalTarget = "x-envoy-original-path",
    OriginTarget = "x-envoy-origin-path",
    Target = "path",
    TargetHeader = ":path",
    Scheme = "scheme",
    Authority = "authority",
    AuthorityHeader = ":authority",
    ServerName = "requested_server_name",
    Cluster = "upstream_cluster",
    Upstream = "upstream_host",
    Status = "response_code",
    Flags = "response_flags",
    Grpc = "grpc_status",
    GrpcHeader = "grpc-status",
    BytesReceived = "bytes_received",
    BytesSent = "bytes_sent",
    Duration = "duration",
    TlsUpstream = "upstream_tls_version",
    TlsDownstream = "downstream_tls_version",
    Identity = "downstream_peer_uri_san",
    Remote = "downstream_remote_address",
    ForwardedFor = "x_forwarded_for",
    ForwardedForHeader = "x-forwarded-for",
    Authorization = "authorization",
    ContentType = "content_type",
    UserAgent = "user_agent",
    UserAgentHeader = "user-agent",
    RequestId = "request_id",
    RequestIdHeader = "x-request-id",
    Trace = "trace_id",
}

/// The fields of the text formats behind the flags; Envoy's own ends with the upstream, Istio's goes on.
const BEHIND_FLAGS: [Option<Path>; 14] = [
    Some(Path::BytesReceived),
    Some(Path::BytesSent),
    Some(Path::Duration),
    // The upstream's service time is part of the duration.
    None,
    Some(Path::ForwardedFor),
    Some(Path::UserAgent),
    Some(Path::RequestId),
    Some(Path::Authority),
    Some(Path::Upstream),
    Some(Path::Cluster),
    // Our own address towards the vendor, and the vendor's as the caller wanted it.
    None,
    None,
    Some(Path::Remote),
    Some(Path::ServerName),
];

fn looks_like(probe: &Probe<'_>) -> bool {
    probe.has("response_flags") && ["start_time", "upstream_cluster", "response_code"].iter().any(|key| probe.has(key))
}

fn line<'a>(text: &'a str, fields: &mut Fields<'a>) -> bool {
    cut(text, fields).is_some()
}

/// `[time] "request" status flags … received sent duration service_time "forwarded" "agent" "id" "authority" "upstream" …`
fn cut<'a>(text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    // Ambassador marks its lines.
    let mut tokens = Tokens::of(text.strip_prefix("ACCESS ").unwrap_or(text));
    let time = tokens.bracketed().filter(|time| parse_rfc3339(time).is_some())?;
    let (request, status, flags) = (tokens.quoted()?, tokens.bare().filter(|status| is_count(status))?, tokens.bare()?);
    let rest: Vec<_> = tokens.collect();
    // What stands between the flags and the four numbers differs with the version.
    let is_numbers = |tokens: &[Token<'a>]| matches!(tokens, [numbers @ .., Token::Quoted(_)] if numbers.iter().all(|token| token.number().is_some()));
    let at = rest.windows(5).position(is_numbers)?;
    for (path, text) in
        [(Path::Start, time), (Path::RequestLine, request), (Path::Status, status), (Path::Flags, flags)]
    {
        fields.set(path, text);
    }
    for (path, token) in BEHIND_FLAGS.iter().zip(&rest[at..]) {
        if let Some(path) = path {
            fields.set(*path, token.text());
        }
    }
    Some(())
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let cluster = fields.text(Path::Cluster).unwrap_or_default();
    if cluster.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("inbound")) {
        return Ok(Reading::NotACall("inbound"));
    }
    let target =
        fields.first([Path::OriginalTarget, Path::OriginTarget, Path::Target, Path::TargetHeader, Path::RequestLine]);
    let request = Request::cut(fields.first([Path::Method, Path::MethodHeader]), target);
    let flags = fields.text(Path::Flags).unwrap_or_default();
    // What the proxy could not parse, and what it has no route for, never left it.
    if flags.contains("DPE") && request.method.is_none() {
        return Ok(Reading::NotACall("no_request"));
    }
    if flags.split(',').any(|flag| flag.trim() == "NR") {
        return Ok(Reading::NotACall("not_forwarded"));
    }
    // `outbound|443||api.stripe.com`: a name without bars is the admin's.
    let of_cluster = part(&cluster, |cluster| Some(cluster.rsplit_once('|')?.1).filter(|host| !host.is_empty()));
    let host = request.host.or_else(|| fields.first([Path::Authority, Path::AuthorityHeader, Path::ServerName]));
    let host = host.or(of_cluster).or_else(|| fields.text(Path::Upstream));
    let (status, no_answer) = fields.answer(Path::Status);
    let grpc = fields.first([Path::Grpc, Path::GrpcHeader]).and_then(|status| of_grpc(&status));
    let by_flags = of_flags(&flags, status);
    let addresses = [Path::Remote, Path::ForwardedFor, Path::ForwardedForHeader];
    let address = fields.first(addresses);
    Ok(Reading::Call(Call {
        time: fields.first_time([Path::Start, Path::Timestamp]),
        view: View::Egress,
        caller: identity(fields).or_else(|| address.as_ref().map(client_of)).unwrap_or_default(),
        credential: fields.text(Path::Authorization).map(credential),
        credential_kind: kind(fields.text(Path::Authorization)),
        host: host.unwrap_or_default(),
        scheme: request.scheme.or_else(|| fields.text(Path::Scheme)),
        path: request.path,
        content_type: fields.text(Path::ContentType),
        status,
        outcome: by_flags
            .or(grpc.filter(|_| status.is_none_or(|status| status < 400)))
            .or(no_answer.filter(|_| request.method.is_some())),
        method: request.method,
        bytes_out: fields.whole(Path::BytesReceived),
        bytes_in: fields.whole(Path::BytesSent),
        latency_ms: fields.real(Path::Duration),
        tls_version: fields.first([Path::TlsUpstream, Path::TlsDownstream]),
        src_ip: address,
        user_agent: fields.first([Path::UserAgent, Path::UserAgentHeader]),
        trace_id: fields.text(Path::Trace),
        record_id: fields.first([Path::RequestId, Path::RequestIdHeader]),
        ..Call::default()
    }))
}

/// `billing` of `spiffe://cluster.local/ns/shop/sa/billing`.
fn identity<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let identity = fields.text(Path::Identity)?;
    part(&identity, |identity| identity.split(',').next()?.rsplit_once("/sa/").map(|(_, account)| account))
}

/// What response flags say where no answer of the vendor did.
fn of_flags(flags: &str, status: Option<u16>) -> Option<Outcome> {
    let has = |known: &[&str]| flags.split(',').any(|flag| known.contains(&flag.trim()));
    let is_from_vendor = status.is_some_and(|status| status < 500);
    match () {
        () if has(&["RL"]) => Some(Outcome::Throttled),
        () if has(&["UAEX"]) => Some(Outcome::Denied),
        () if is_from_vendor => None,
        () if has(&["UF", "UH", "UT", "UC", "UR", "LR", "DC", "DF", "NC", "DT", "UPE"]) => Some(Outcome::NoResponse),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_sidecars_json_gives_the_call() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_800_310_000, "10.44.1.23", "api.stripe.com"));
        assert_eq!((call.bytes_out, call.bytes_in, call.latency_ms), (Some(154), Some(902), Some(226.0)));
        assert_eq!((call.status, call.outcome), (Some(200), None));
        assert_eq!(call.record_id.as_deref(), Some("cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2"));
    }

    #[test]
    fn envoys_own_text_gives_what_is_in_it() {
        let call = call(
            r#"[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28, 10.0.0.1" "nsq2http" "cc21d9b0" "locations.x.io" "10.0.2.1:80""#,
        );
        assert_eq!(
            (&*call.host, call.path.as_deref(), call.status),
            ("locations.x.io", Some("/api/v1/locations"), Some(204))
        );
        assert_eq!((call.bytes_out, call.bytes_in, call.latency_ms), (Some(154), Some(0), Some(226.0)));
        assert_eq!((&*call.caller, call.src_ip.as_deref()), ("10.0.35.28", Some("10.0.35.28, 10.0.0.1")));
        assert_eq!((call.user_agent.as_deref(), call.trace_id), (Some("nsq2http"), None));
        let failed = r#"ACCESS [2019-04-06T06:20:05.972Z] "- - -" 0 UF,URX 0 0 0 - "-" "-" "-" "-" "127.0.0.1:9200""#;
        let failed = FORMAT_KIND.decode(failed).unwrap().call().unwrap();
        assert_eq!(
            (&*failed.host, failed.outcome, failed.latency_ms),
            ("127.0.0.1:9200", Some(Outcome::NoResponse), Some(0.0))
        );
    }

    #[test]
    fn istios_text_is_read_in_its_new_and_old_version_and_for_a_bare_connection() {
        let http = call(
            r#"[2026-09-01T00:00:00.310Z] "GET /v1/a?b=c HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{connection_failure} - "delayed connect error: 111" 0 95 12 - "-" "curl/8" "id-1" "api.x.io" "1.2.3.4:443" outbound|443||api.x.io - 1.2.3.4:443 10.44.1.23:46520 - default"#,
        );
        assert_eq!((http.status, http.outcome, &*http.caller), (Some(503), Some(Outcome::NoResponse), "10.44.1.23"));
        let old = call(
            r#"[2019-03-06T09:31:27.360Z] "GET /status/418 HTTP/1.1" 418 - "-" "-" 0 135 5 2 "-" "curl/7.60.0" "d209e46f" "httpbin:8000" "127.0.0.1:80" outbound|8000||httpbin.org - 127.0.0.1:80 172.30.146.82:38618 -"#,
        );
        assert_eq!((&*old.host, &*old.caller, old.bytes_in), ("httpbin:8000", "172.30.146.82", Some(135)));
        let connection = call(
            r#"[2026-09-01T00:00:00.310Z] "- - -" 0 - - - "-" 1234 5678 300 - "-" "-" "-" "-" "1.2.3.4:443" PassthroughCluster 10.44.1.23:5 1.2.3.4:443 [fd00::1]:46520 api.x.io -"#,
        );
        assert_eq!((&*connection.host, &*connection.caller), ("api.x.io", "fd00::1"));
        assert_eq!((connection.method, connection.status, connection.outcome), (None, None, None));
        assert_eq!((connection.bytes_out, connection.bytes_in), (Some(1234), Some(5678)));
    }

    #[test]
    fn numbers_as_text_other_names_and_an_identity_in_the_mesh_are_read() {
        let gateway = call(
            r#"{"start_time":"2026-09-01T00:00:00Z","method":"GET","x-envoy-origin-path":"/a","response_code":"0","response_flags":"DC",":authority":"api.x.io",
            "bytes_received":"7","bytes_sent":"-","duration":"12","x-request-id":"r","downstream_peer_uri_san":"spiffe://cluster.local/ns/shop/sa/billing"}"#,
        );
        assert_eq!((&*gateway.caller, &*gateway.host, gateway.path.as_deref()), ("billing", "api.x.io", Some("/a")));
        assert_eq!((gateway.bytes_out, gateway.bytes_in, gateway.outcome), (Some(7), None, Some(Outcome::NoResponse)));
        let tls = call(
            r#"{"start_time":"2026-09-01T00:00:00Z","method":null,"response_code":0,"response_flags":"-","authority":null,"upstream_cluster":"outbound|443||x.io"}"#,
        );
        assert_eq!((&*tls.host, tls.outcome, &*tls.caller), ("x.io", None, ""));
    }

    #[test]
    fn a_call_to_ourselves_is_none_and_flags_outweigh_a_status_of_the_proxys_own() {
        let inbound = SAMPLE.replace("outbound|443||api.stripe.com", "inbound|8080||");
        assert!(matches!(FORMAT_KIND.decode(&inbound), Ok(Reading::NotACall("inbound"))));
        let unrouted = r#"{"start_time":"2026-09-01T00:00:00Z","authority":"x.io","method":"GET","path":"/a","response_code":404,"response_flags":"NR"}"#;
        assert!(matches!(FORMAT_KIND.decode(unrouted), Ok(Reading::NotACall("not_forwarded"))));
        let garbage = unrouted.replace("\"GET\"", "null").replace("NR", "DPE");
        assert!(matches!(FORMAT_KIND.decode(&garbage), Ok(Reading::NotACall("no_request"))));
        for (flags, status, expected) in [
            ("RL", Some(429), Some(Outcome::Throttled)),
            ("UAEX", Some(403), Some(Outcome::Denied)),
            ("UT", Some(504), Some(Outcome::NoResponse)),
            ("DC", Some(200), None),
            ("-", Some(503), None),
        ] {
            assert_eq!(of_flags(flags, status), expected, "{flags}");
        }
    }

    #[test]
    fn other_lines_are_left_to_others() {
        for text in ["", "[x] \"a\"", r#"[2026-09-01T00:00:00Z] "GET / HTTP/1.1" 200 - 1 2"#, "é[\"]"] {
            assert!(!line(text, &mut Fields::new(&PATHS, None)), "{text}");
        }
    }
}
