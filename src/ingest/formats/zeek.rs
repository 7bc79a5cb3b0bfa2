//! Zeek: the `http` and `ssl` logs of a sensor beside the network, as JSON (`_path`, or `@stream` behind Kafka) or as rows of its
//! tab-separated files (`table`). A request of `http` is a call; a TLS connection of `ssl` is one call of unknown content to its server
//! name. `conn`, `dns` and all other logs are no calls.
//!
//! Traps: the client's address is all that is known of the caller. Through a proxy `uri` is absolute and the other side's address the
//! proxy's; of a tunnel (`CONNECT`) the body sizes are those of the proxy's own answer, so of one that opened the bytes are unknown, and
//! the TLS connection inside is in `ssl` again: read only one of the two logs. `ssl` has no bytes, `http` no duration. SIP looks like HTTP.
//!
//! Source: docs.zeek.org, "http.log", "ssl.log" and "Log Formats".

use std::borrow::Cow;

use super::url::{Url, part};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, Outcome, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "zeek",
    summary: "Zeek: requests of http.log and TLS connections of ssl.log, as JSON or tab-separated",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"_path":"http","ts":1788220800.905063,"uid":"CaaraU35luC769A89g","id.orig_h":"10.0.1.4","id.orig_p":57006,
"id.resp_h":"192.0.2.16","id.resp_p":80,"trans_depth":1,"method":"GET","host":"ports.ubuntu.com","uri":"/pool/main/libecap3.deb",
"version":"1.1","user_agent":"Debian APT-HTTP/1.3 (2.0.9)","request_body_len":0,"response_body_len":16452,"status_code":200,
"status_msg":"OK","tags":[],"resp_fuids":["F4anYK1DfyF1iAnut2"],"resp_mime_types":["application/x-debian-package"]}"#;

paths! { Path:
    Log = "_path",
    /// The name behind Kafka, as RockNSM and others write it.
    Stream = "@stream",
    Time = "ts",
    Uid = "uid",
    Depth = "trans_depth",
    Client = "id.orig_h",
    ClientFlat = "id_orig_h",
    Server = "id.resp_h",
    ServerFlat = "id_resp_h",
    ConnectionState = "conn_state",
    DnsId = "trans_id",
    SipCall = "call_id",
    Method = "method",
    Host = "host",
    Uri = "uri",
    Status = "status_code",
    RequestBody = "request_body_len",
    ResponseBody = "response_body_len",
    User = "username",
    UserAgent = "user_agent",
    MediaTypes = "resp_mime_types",
    Cipher = "cipher",
    Established = "established",
    ServerName = "server_name",
    Version = "version",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let is_named = probe.has("_path") || probe.has("@stream");
    let has_client =
        probe.has("id.orig_h") || probe.has("id_orig_h") || probe.inside("id").is_some_and(|id| id.has("orig_h"));
    probe.has("ts") && (is_named || (probe.has("uid") && has_client))
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    match &*log_name(fields) {
        "http" => Ok(Reading::Call(http(fields))),
        "ssl" => Ok(Reading::Call(ssl(fields))),
        "conn" => Ok(Reading::NotACall("connection")),
        "dns" => Ok(Reading::NotACall("dns")),
        _ => Ok(Reading::NotACall("other_log")),
    }
}

/// The log that the record is of: its name, else told by fields that its rows always have.
fn log_name<'a>(fields: &Fields<'a>) -> Cow<'a, str> {
    let has = |path: Path| fields.has(path);
    let known = fields.first([Path::Log, Path::Stream]);
    known.unwrap_or_else(|| {
        Cow::Borrowed(match () {
            () if has(Path::SipCall) => "sip",
            () if has(Path::RequestBody) || (has(Path::Method) && has(Path::Host)) => "http",
            () if has(Path::Cipher) || has(Path::Established) => "ssl",
            () if has(Path::ConnectionState) => "conn",
            () if has(Path::DnsId) => "dns",
            () => "",
        })
    })
}

fn http<'a>(fields: &mut Fields<'a>) -> Call<'a> {
    let uri = fields.text(Path::Uri).unwrap_or_default();
    let of_uri = |cut: for<'t> fn(Url<'t>) -> Option<&'t str>| part(&uri, |uri| cut(Url::cut(uri)));
    let is_tunnel = fields.is(Path::Method, "CONNECT");
    let named = fields.text(Path::Host).or_else(|| is_tunnel.then(|| uri.clone()));
    let host = of_uri(|url| url.host).or(named).filter(|host| !host.is_empty());
    let (status, no_answer) = fields.answer(Path::Status);
    let is_open_tunnel = is_tunnel && status.is_none_or(|status| status < 300);
    let mut body = |path: Path| (!is_open_tunnel).then(|| fields.whole(path)).flatten();
    let (bytes_out, bytes_in) = (body(Path::RequestBody), body(Path::ResponseBody));
    let id = fields.text(Path::Uid).zip(fields.text(Path::Depth)).map(|(uid, depth)| format!("{uid}-{depth}"));
    Call {
        host: host.or_else(|| server(fields)).unwrap_or_default(),
        credential: fields.text(Path::User),
        scheme: of_uri(|url| url.scheme).or_else(|| (!is_tunnel).then_some("http".into())),
        method: fields.text(Path::Method),
        path: of_uri(|url| url.path).filter(|_| !is_tunnel),
        content_type: fields.text(Path::MediaTypes).and_then(|types| part(&types, |types| types.split(',').next())),
        status,
        outcome: no_answer,
        bytes_out,
        bytes_in,
        user_agent: fields.text(Path::UserAgent),
        record_id: id.map(Cow::Owned),
        ..connection(fields)
    }
}

fn ssl<'a>(fields: &mut Fields<'a>) -> Call<'a> {
    // Where a server answered, a cipher was agreed on, although the handshake failed later on.
    let is_aborted = fields.is(Path::Established, "false") || fields.is(Path::Established, "F");
    let is_unanswered = is_aborted && !fields.has(Path::Cipher);
    Call {
        host: fields.text(Path::ServerName).or_else(|| server(fields)).unwrap_or_default(),
        scheme: Some("https".into()),
        method: Some("CONNECT".into()),
        outcome: is_unanswered.then_some(Outcome::NoResponse),
        tls_version: fields.text(Path::Version),
        record_id: fields.text(Path::Uid),
        ..connection(fields)
    }
}

/// What both logs say.
fn connection<'a>(fields: &mut Fields<'a>) -> Call<'a> {
    let client = fields.first([Path::Client, Path::ClientFlat]);
    Call {
        time: fields.utc_time(Path::Time),
        view: View::Egress,
        caller: client.clone().unwrap_or_default(),
        src_ip: client,
        ..Call::default()
    }
}

fn server<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    fields.first([Path::Server, Path::ServerFlat])
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        assert_eq!(FormatKind::detect(record).unwrap().name, "zeek");
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn a_request_is_a_call_of_the_clients_address() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_800_905_063, "10.0.1.4", "ports.ubuntu.com"));
        assert_eq!((call.bytes_out, call.bytes_in, call.status), (Some(0), Some(16_452), Some(200)));
        assert_eq!((call.path.as_deref(), call.scheme.as_deref()), (Some("/pool/main/libecap3.deb"), Some("http")));
        assert_eq!(call.content_type.as_deref(), Some("application/x-debian-package"));
        assert_eq!((call.record_id.as_deref(), call.latency_ms), (Some("CaaraU35luC769A89g-1"), None));
    }

    #[test]
    fn a_tls_connection_is_a_call_to_its_server_name_else_to_the_address() {
        let record = r#"{"ts":"2026-09-01T00:00:00.354857Z","uid":"C2s","id":{"orig_h":"2601:19e::1ec7","resp_h":"2620:2d::2a","resp_p":443},
            "version":"TLSv13","cipher":"TLS_AES_256_GCM_SHA384","server_name":"api.stripe.com","established":true}"#;
        let named = call(record);
        assert_eq!((&*named.host, named.method.as_deref(), named.outcome), ("api.stripe.com", Some("CONNECT"), None));
        assert_eq!(
            (named.tls_version.as_deref(), named.bytes_out, &*named.caller),
            (Some("TLSv13"), None, "2601:19e::1ec7")
        );
        let record = r#"{"@stream":"ssl","ts":1588205718.375722,"uid":"CN3","id_orig_h":"10.0.1.4","id_resp_h":"192.168.0.5","established":"F"}"#;
        let unnamed = call(record);
        assert_eq!((&*unnamed.host, unnamed.outcome), ("192.168.0.5", Some(Outcome::NoResponse)));
    }

    #[test]
    fn through_a_proxy_the_uri_names_the_host_and_an_open_tunnel_has_no_known_bytes() {
        let tunnel = |status: &str| {
            format!(
                r#"{{"ts":1672843056.914972,"uid":"CXH","id.orig_h":"10.136.0.18","id.resp_h":"10.136.0.16","trans_depth":1,"method":"CONNECT",
                "host":"www.google.com","uri":"www.google.com:443","request_body_len":0,"response_body_len":3678{status}}}"#
            )
        };
        let (open, refused, silent) =
            (tunnel(r#","status_code":200"#), tunnel(r#","status_code":"403""#), tunnel(r#","status_code":"-""#));
        assert_eq!((call(&open).bytes_in, call(&open).path, call(&open).scheme), (None, None, None));
        assert_eq!((call(&refused).bytes_in, call(&refused).status), (Some(3678), Some(403)));
        assert_eq!((call(&silent).bytes_in, call(&silent).status, call(&silent).outcome), (None, None, None));
        let absolute = r#"{"ts":1.5e9,"uid":"C","id_orig_h":"10.0.0.1","id_resp_h":"10.0.0.2","method":"POST","host":"ocsp.x.com",
            "uri":"http://ocsp.x.com/gts1c3?q=1","request_body_len":84}"#;
        let call = call(absolute);
        assert_eq!((&*call.host, call.path.as_deref()), ("ocsp.x.com", Some("/gts1c3?q=1")));
        assert_eq!((call.bytes_out, call.bytes_in, call.record_id), (Some(84), None, None));
    }

    #[test]
    fn other_logs_are_no_calls_and_say_which() {
        let kind = |rest: &str| {
            let record = format!(r#"{{"ts":1588205198.9,"uid":"C","id.orig_h":"10.0.1.4",{rest}}}"#);
            match FORMAT_KIND.decode(&record).unwrap() {
                Reading::NotACall(kind) => kind.to_owned(),
                Reading::Call(call) => panic!("{call:?}"),
            }
        };
        assert_eq!(kind(r#""conn_state":"SF","orig_bytes":39"#), "connection");
        assert_eq!(kind(r#""trans_id":8564,"rcode":0"#), "dns");
        assert_eq!(kind(r#""call_id":"1","method":"INVITE","request_body_len":0"#), "other_log");
        assert_eq!(kind(r#""_path":"files""#), "other_log");
    }
}
