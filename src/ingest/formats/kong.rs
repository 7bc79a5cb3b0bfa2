//! Kong Gateway: what its logging plugins (`http-log`, `file-log`, `kafka-log` …) write of a request, or of a stream.
//!
//! The service behind the route is the vendor; the host of the request is the gateway's. Without a service nothing was called. Kong redacts
//! `authorization` alone: other headers and the query hold secrets, so only named keys are read. Sizes have the headers in them, and were
//! text in old versions; a latency of -1 means that the vendor was not reached.
//!
//! Source: developer.konghq.com, "kong.log.serialize" and "HTTP Log".

use super::outcome::of_gateway;
use super::request::client_of;
use super::url::{credential, kind};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "kong",
    summary: "Kong Gateway: records of its logging plugins (JSON)",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"started_at":1788220800905,"request":{"id":"5c1d7a1b2f1c4e6d","method":"POST","uri":"/stripe/v1/charges","url":"https://gw:8443/stripe/v1/charges",
"size":663,"querystring":{},"headers":{"host":"gw","user-agent":"stripe-go/76","authorization":"REDACTED"},"tls":{"version":"TLSv1.3","cipher":"TLS_AES_256_GCM_SHA384"}},
"upstream_uri":"/v1/charges","upstream_status":"200","service":{"name":"stripe","host":"api.stripe.com","port":443,"protocol":"https"},
"route":{"name":"stripe"},"response":{"status":200,"size":9982,"headers":{"content-type":"application/json"}},
"latencies":{"request":230,"proxy":224,"kong":6},"tries":[{"ip":"34.200.1.1","port":443,"balancer_latency":0}],
"consumer":{"username":"billing","id":"c1"},"authenticated_entity":{"id":"e1"},"client_ip":"10.20.3.1","workspace":"w"}"#;

/// What Kong writes in the place of a credential.
const REDACTED: &str = "REDACTED";

paths! { Path:
    Started = "started_at",
    Request = "request",
    Session = "session",
    RequestId = "request.id",
    RequestIdHeader = "request.headers.x-kong-request-id",
    ResponseIdHeader = "response.headers.x-kong-request-id",
    Method = "request.method",
    Uri = "request.uri",
    UpstreamUri = "upstream_uri",
    SizeOut = "request.size",
    Authorization = "request.headers.authorization",
    ApiKey = "request.headers.apikey",
    ApiKeyDashed = "request.headers.x-api-key",
    UserAgent = "request.headers.user-agent",
    Tls = "request.tls.version",
    ServiceHost = "service.host",
    ServiceProtocol = "service.protocol",
    TriedIp = "tries.ip",
    Status = "response.status",
    UpstreamStatus = "upstream_status",
    SizeIn = "response.size",
    ContentType = "response.headers.content-type",
    Location = "response.headers.location",
    Latency = "latencies.request",
    ProxyLatency = "latencies.proxy",
    SessionLatency = "latencies.session",
    SessionReceived = "session.received",
    SessionSent = "session.sent",
    SessionTls = "session.tls.version",
    Consumer = "consumer.username",
    ConsumerCustomId = "consumer.custom_id",
    ConsumerId = "consumer.id",
    Entity = "authenticated_entity.id",
    ClientIp = "client_ip",
    Trace = "trace_id.w3c",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    probe.has("latencies") && (probe.has("started_at") || (probe.has("request") && probe.has("response")))
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    if !fields.has(Path::Request) && !fields.has(Path::Session) {
        return Ok(Reading::NotACall("no_http"));
    }
    let Some(host) = fields.first([Path::ServiceHost, Path::TriedIp]) else {
        return Ok(Reading::NotACall("no_service"));
    };
    let (status, no_answer) = fields.answer(Path::Status);
    let was_reached = if fields.is(Path::ProxyLatency, "-1") { Some(false) } else { None };
    let has_answered = fields.status(Path::UpstreamStatus).map(|_| true).or(was_reached);
    let keys = [Path::Authorization, Path::ApiKeyDashed, Path::ApiKey].into_iter().filter_map(|path| fields.text(path));
    let key = keys.map(credential).find(|key| key != REDACTED);
    let address = fields.text(Path::ClientIp);
    let consumer = fields.first([Path::Consumer, Path::ConsumerCustomId, Path::ConsumerId]);
    let scheme = fields.text(Path::ServiceProtocol).filter(|scheme| matches!(&**scheme, "http" | "https"));
    Ok(Reading::Call(Call {
        time: fields.time(Path::Started),
        view: View::Egress,
        caller: consumer.or_else(|| address.as_ref().map(client_of)).unwrap_or_default(),
        credential: fields.text(Path::Entity).or(key),
        host,
        scheme,
        method: fields.text(Path::Method),
        path: fields.first([Path::UpstreamUri, Path::Uri]),
        credential_kind: kind(fields.text(Path::Authorization)),
        location: fields.text(Path::Location),
        content_type: fields.text(Path::ContentType),
        status,
        outcome: of_gateway(status, has_answered).or(no_answer),
        bytes_out: fields.first_whole([Path::SizeOut, Path::SessionReceived]),
        bytes_in: fields.first_whole([Path::SizeIn, Path::SessionSent]),
        latency_ms: fields.first_real([Path::Latency, Path::SessionLatency]),
        tls_version: fields.first([Path::Tls, Path::SessionTls]),
        src_ip: address,
        user_agent: fields.text(Path::UserAgent),
        trace_id: fields.text(Path::Trace),
        record_id: fields.first([Path::RequestId, Path::RequestIdHeader, Path::ResponseIdHeader]),
        ..Call::default()
    }))
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
    fn the_service_is_the_vendor_and_the_consumer_the_caller() {
        let call = call(SAMPLE);
        assert_eq!((call.time, call.latency_ms), (1_788_220_800_905_000, Some(230.0)));
        assert_eq!(
            (&*call.caller, &*call.host, call.path.as_deref()),
            ("billing", "api.stripe.com", Some("/v1/charges"))
        );
        assert_eq!((call.bytes_out, call.bytes_in, call.status), (Some(663), Some(9982), Some(200)));
        assert_eq!((call.credential.as_deref(), call.record_id.as_deref()), (Some("e1"), Some("5c1d7a1b2f1c4e6d")));
    }

    #[test]
    fn sizes_as_text_a_key_in_a_header_and_a_vendor_that_was_not_reached_are_read() {
        let record = r#"{"started_at":1788220800905,"request":{"method":"GET","uri":"/v1/a","size":"663","headers":{"authorization":"REDACTED",
            "apikey":"k1"}},"service":{"host":"api.x.io","protocol":"grpc"},"response":{"status":503,"size":"58"},"tries":[],
            "latencies":{"request":5,"proxy":-1,"kong":5},"client_ip":"10.20.3.1"}"#;
        let call = call(record);
        assert_eq!((&*call.caller, &*call.host, call.path.as_deref()), ("10.20.3.1", "api.x.io", Some("/v1/a")));
        assert_eq!((call.bytes_out, call.bytes_in, call.outcome), (Some(663), Some(58), Some(Outcome::NoResponse)));
        assert_eq!((call.credential.as_deref(), call.scheme, call.record_id), (Some("k1"), None, None));
    }

    #[test]
    fn a_stream_is_a_call_and_a_request_without_a_service_is_none() {
        let stream = r#"{"started_at":1788220800905,"session":{"tls":{"version":"TLSv1.2"},"received":154,"sent":902,"status":200},
            "latencies":{"session":230,"kong":1},"service":{"host":"api.x.io"},"client_ip":"10.20.3.1","tries":[{"ip":"1.2.3.4"}]}"#;
        assert_eq!(FormatKind::detect(stream).map(|format| format.name), Some("kong"));
        let call = call(stream);
        assert_eq!((call.bytes_out, call.bytes_in, call.latency_ms), (Some(154), Some(902), Some(230.0)));
        assert_eq!((call.status, call.method, call.tls_version.as_deref()), (None, None, Some("TLSv1.2")));
        let lost = r#"{"started_at":1,"request":{"method":"GET"},"response":{"status":404},"latencies":{"kong":1}}"#;
        assert!(matches!(FORMAT_KIND.decode(lost), Ok(Reading::NotACall("no_service"))));
    }
}
