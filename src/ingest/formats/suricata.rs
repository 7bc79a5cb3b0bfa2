//! Suricata EVE JSON: events `http` (and `http2`) and `tls` of a sensor beside the network. All other events are no calls.
//!
//! Traps: `length` is the size of the answer's body, that of the request is not logged; the time is that of logging, near the end of the
//! exchange, and no event has a duration. Headers are logged only if told to (`dump-all-headers`), as lists of names and values. A `tls`
//! event is written once the handshake is done: whether anything failed behind it is unknown.
//!
//! Source: docs.suricata.io, "Eve JSON Format".

use super::url::{Url, credential, kind, part};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "suricata",
    summary: "Suricata EVE JSON: HTTP requests and TLS connections",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"timestamp":"2026-09-01T00:00:00.905063+0000","flow_id":1805461738637437,"in_iface":"eth0","event_type":"http",
"src_ip":"10.0.1.4","src_port":57006,"dest_ip":"192.0.2.16","dest_port":80,"proto":"TCP","tx_id":2,"http":{"hostname":"api.acme.io",
"url":"/v1/orders?limit=5","http_user_agent":"python-requests/2.31.0","http_content_type":"application/json","http_method":"GET",
"protocol":"HTTP/1.1","status":200,"length":8121}}"#;

paths! { Path:
    Time = "timestamp",
    Kind = "event_type",
    Flow = "flow_id",
    Transaction = "tx_id",
    Client = "src_ip",
    Server = "dest_ip",
    Host = "http.hostname",
    Url = "http.url",
    Method = "http.http_method",
    Status = "http.status",
    Length = "http.length",
    UserAgent = "http.http_user_agent",
    MediaType = "http.http_content_type",
    Redirect = "http.redirect",
    Authority = "http.request_headers.:authority",
    HostHeader = "http.request_headers.host",
    Authorization = "http.request_headers.authorization",
    ApiKey = "http.request_headers.x-api-key",
    AuthorizationField = "http.authorization",
    ServerName = "tls.sni",
    TlsVersion = "tls.version",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has_flow = probe.has("flow_id") || (probe.has("src_ip") && probe.has("dest_ip")) || probe.has("stats");
    probe.has("event_type") && probe.has("timestamp") && has_flow
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    match fields.text(Path::Kind).as_deref() {
        Some("http" | "http2") => Ok(Reading::Call(http(fields))),
        Some("tls") => Ok(Reading::Call(tls(fields))),
        Some("flow" | "netflow") => Ok(Reading::NotACall("connection")),
        Some("dns") => Ok(Reading::NotACall("dns")),
        // A repetition of what its own event told.
        Some("alert") => Ok(Reading::NotACall("alert")),
        Some(_) => Ok(Reading::NotACall("other_event")),
        None => Err(fields.missing(Path::Kind)),
    }
}

fn http<'a>(fields: &mut Fields<'a>) -> Call<'a> {
    let url = fields.text(Path::Url).unwrap_or_default();
    let of_url = |cut: for<'t> fn(Url<'t>) -> Option<&'t str>| part(&url, |url| cut(Url::cut(url)));
    let is_tunnel = fields.is(Path::Method, "CONNECT");
    let host =
        of_url(|url| url.host).or_else(|| fields.first([Path::Host, Path::Authority, Path::HostHeader, Path::Server]));
    let (status, outcome) = fields.answer(Path::Status);
    let secret = fields.first([Path::Authorization, Path::AuthorizationField, Path::ApiKey]);
    Call {
        host: host.unwrap_or_default(),
        credential: secret.map(credential),
        credential_kind: kind(fields.first([Path::Authorization, Path::AuthorizationField])),
        location: fields.text(Path::Redirect),
        scheme: of_url(|url| url.scheme).or_else(|| (!is_tunnel).then_some("http".into())),
        method: fields.text(Path::Method),
        path: of_url(|url| url.path).filter(|_| !is_tunnel),
        content_type: fields.text(Path::MediaType),
        status,
        outcome,
        // Of a tunnel the length is that of the proxy's own answer.
        bytes_in: if is_tunnel { None } else { fields.whole(Path::Length) },
        user_agent: fields.text(Path::UserAgent),
        ..connection(fields)
    }
}

fn tls<'a>(fields: &mut Fields<'a>) -> Call<'a> {
    Call {
        host: fields.first([Path::ServerName, Path::Server]).unwrap_or_default(),
        scheme: Some("https".into()),
        method: Some("CONNECT".into()),
        tls_version: fields.text(Path::TlsVersion),
        ..connection(fields)
    }
}

/// What both events say. A flow has many events: one is known by its kind and its number in the flow.
fn connection<'a>(fields: &mut Fields<'a>) -> Call<'a> {
    let client = fields.text(Path::Client);
    let kind = fields.text(Path::Kind).unwrap_or_default();
    let transaction = fields.text(Path::Transaction).or_else(|| (kind == "tls").then_some("0".into()));
    let id = fields.text(Path::Flow).zip(transaction).map(|(flow, transaction)| format!("{flow}-{kind}-{transaction}"));
    Call {
        time: fields.time(Path::Time),
        view: View::Egress,
        caller: client.clone().unwrap_or_default(),
        src_ip: client,
        record_id: id.map(Into::into),
        ..Call::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        assert_eq!(FormatKind::detect(record).unwrap().name, "suricata");
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_length_is_that_of_the_answer_and_the_requests_is_unknown() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_800_905_063, "10.0.1.4", "api.acme.io"));
        assert_eq!((call.bytes_out, call.bytes_in, call.status), (None, Some(8121), Some(200)));
        assert_eq!(call.path.as_deref(), Some("/v1/orders?limit=5"));
        assert_eq!(call.record_id.as_deref(), Some("1805461738637437-http-2"));
    }

    #[test]
    fn a_tls_event_is_a_call_to_its_server_name_else_to_the_address() {
        let tls = |inside: &str| {
            format!(
                r#"{{"timestamp":"2026-09-01T02:00:00.1+0200","flow_id":7,"event_type":"tls","src_ip":"2001:db8::7","dest_ip":"203.0.113.9",
                "dest_port":443,"tls":{{"subject":"CN=*.stripe.com"{inside}}}}}"#
            )
        };
        let (named, unnamed) = (tls(r#","sni":"api.stripe.com","version":"TLS 1.3""#), tls(""));
        let call = call(&named);
        assert_eq!(
            (&*call.host, call.method.as_deref(), call.tls_version.as_deref()),
            ("api.stripe.com", Some("CONNECT"), Some("TLS 1.3"))
        );
        assert_eq!((call.time, &*call.caller, call.bytes_in), (1_788_220_800_100_000, "2001:db8::7", None));
        assert_eq!(&*self::call(&unnamed).host, "203.0.113.9");
    }

    #[test]
    fn headers_in_a_list_name_host_and_credential_and_an_answer_may_be_missing() {
        let record = r#"{"timestamp":"2026-09-01T00:00:00+0000","flow_id":8,"event_type":"http","src_ip":"10.0.0.5","dest_ip":"192.0.2.1","tx_id":0,
            "http":{"version":"2","http_method":"POST","url":"/v1/charges","request_headers":[{"name":":authority","value":"api.stripe.com"},
            {"name":"Authorization","value":"Bearer sk_live_1"},{"table_size_update":4096}],"http2":{"stream_id":1}}}"#;
        let call = call(record);
        assert_eq!((&*call.host, call.credential.as_deref()), ("api.stripe.com", Some("sk_live_1")));
        assert_eq!((call.status, call.outcome, call.bytes_in), (None, None, None));
    }

    #[test]
    fn other_events_are_no_calls() {
        for (kind, expected) in [("alert", "alert"), ("flow", "connection"), ("dns", "dns"), ("stats", "other_event")] {
            let record = format!(
                r#"{{"timestamp":"2026-09-01T00:00:00+0000","event_type":"{kind}","src_ip":"1.1.1.1","dest_ip":"2.2.2.2"}}"#
            );
            assert!(matches!(FORMAT_KIND.decode(&record), Ok(Reading::NotACall(found)) if found == expected), "{kind}");
        }
    }
}
