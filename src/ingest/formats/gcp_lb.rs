//! Google Cloud load balancers, and whatever else writes a `LogEntry` with an `httpRequest` (Cloud Run, App Engine): calls to an
//! interface of one's own, by the client's address.
//!
//! Traps: the latency is text with its unit (`0.048180s`), sizes are text or numbers; the time is that of the request's arrival. Copies
//! written again by others have lower-case keys and times without an offset, which are UTC.
//!
//! Source: cloud.google.com, "LogEntry", "HttpRequest" and "External Application Load Balancer logging".

use super::url::{Url, part, without_port};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "gcp_lb",
    summary: "Google Cloud load balancers and services: log entries with an httpRequest",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"insertId":"u94qwjf25yzns","timestamp":"2026-09-01T00:00:00.905123Z","receiveTimestamp":"2026-09-01T00:00:01.392Z",
"logName":"projects/acme-prod/logs/requests","severity":"INFO","resource":{"type":"http_load_balancer","labels":{"project_id":"acme-prod",
"backend_service_name":"web-backend","zone":"global"}},"httpRequest":{"requestMethod":"GET","requestUrl":"https://api.acme.io/v1/orders?p=1",
"requestSize":"77","status":200,"responseSize":"211","userAgent":"curl/8.5.0","remoteIp":"203.0.113.7","serverIp":"10.0.0.9",
"latency":"0.048180s"},"jsonPayload":{"statusDetails":"response_sent_by_backend"},"spanId":"d75cc31c93528953",
"trace":"projects/acme-prod/traces/dd43c6eb7046da54fa3724d2753262e6"}"#;

const MILLISECONDS: f64 = 1e3;

paths! { Path:
    Time = "timestamp",
    Id = "insertId",
    Trace = "trace",
    Location = "resource.labels.location",
    Region = "resource.labels.region",
    Method = "httpRequest.requestMethod",
    Url = "httpRequest.requestUrl",
    Status = "httpRequest.status",
    RequestSize = "httpRequest.requestSize",
    ResponseSize = "httpRequest.responseSize",
    UserAgent = "httpRequest.userAgent",
    Client = "httpRequest.remoteIp",
    Latency = "httpRequest.latency",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has_url = probe.has("httpRequest.requestUrl")
        || probe.inside("httpRequest").is_some_and(|request| request.has("requestUrl"));
    has_url && !probe.has_section("protoPayload")
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let url = fields.text(Path::Url).ok_or_else(|| fields.missing(Path::Url))?;
    let of_url = |cut: for<'t> fn(Url<'t>) -> Option<&'t str>| part(&url, |url| cut(Url::cut(url)));
    let client = fields.text(Path::Client).and_then(|ip| part(&ip, |ip| Some(without_port(ip))));
    let (status, outcome) = fields.answer(Path::Status);
    let trace = fields.text(Path::Trace).and_then(|trace| part(&trace, |trace| trace.rsplit('/').next()));
    // An id is unique among the entries of one time.
    let id = fields.text(Path::Id).zip(fields.text(Path::Time)).map(|(id, time)| format!("{id}@{time}"));
    Ok(Reading::Call(Call {
        time: fields.utc_time(Path::Time),
        view: View::Egress,
        caller: client.clone().unwrap_or_default(),
        host: of_url(|url| url.host).unwrap_or_default(),
        scheme: of_url(|url| url.scheme),
        method: fields.text(Path::Method),
        path: of_url(|url| url.path),
        status,
        outcome,
        bytes_out: fields.whole(Path::RequestSize),
        bytes_in: fields.whole(Path::ResponseSize),
        latency_ms: latency(fields),
        src_ip: client,
        user_agent: fields.text(Path::UserAgent),
        region: fields.first([Path::Location, Path::Region]),
        trace_id: trace,
        record_id: id.map(Into::into),
        ..Call::default()
    }))
}

/// A duration in the text form of protocol buffers; exports to tables have seconds without their unit.
fn latency(fields: &mut Fields<'_>) -> Option<f64> {
    let text = fields.text(Path::Latency)?;
    let seconds = match text.strip_suffix('s') {
        Some(seconds) => seconds.parse().ok(),
        None => fields.real(Path::Latency),
    };
    seconds.map(|seconds: f64| seconds * MILLISECONDS).filter(|latency| latency.is_finite() && *latency >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        assert_eq!(FormatKind::detect(record).unwrap().name, "gcp_lb");
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn a_latency_with_its_unit_and_sizes_as_text_are_read() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_800_905_123, "203.0.113.7", "api.acme.io"));
        assert_eq!((call.bytes_out, call.bytes_in, call.latency_ms), (Some(77), Some(211), Some(48.18)));
        assert_eq!(call.trace_id.as_deref(), Some("dd43c6eb7046da54fa3724d2753262e6"));
        assert_eq!((call.path.as_deref(), call.region), (Some("/v1/orders?p=1"), None));
        assert_eq!(call.record_id.as_deref(), Some("u94qwjf25yzns@2026-09-01T00:00:00.905123Z"));
    }

    /// From panther-analysis (Apache-2.0), shortened.
    #[test]
    fn a_copy_with_lower_case_keys_and_a_time_without_zone_is_read() {
        let record = r#"{"httprequest":{"latency":"0.048180s","remoteIp":"1.2.3.4","requestMethod":"GET","requestSize":77,
            "requestUrl":"http://6.7.8.9/","responseSize":211,"status":403,"userAgent":"curl/7.85.0"},"insertid":"u94qwjf25yzns",
            "resource":{"labels":{"project_id":"gcp-project1","zone":"global"},"type":"http_load_balancer"},"timestamp":"2023-03-09 23:19:25.712"}"#;
        let call = call(record);
        assert_eq!((call.time, &*call.host, call.status), (1_678_403_965_712_000, "6.7.8.9", Some(403)));
    }

    #[test]
    fn what_is_missing_or_no_number_is_unknown() {
        let record = r#"{"timestamp":"2026-09-01T00:00:00Z","httpRequest":{"requestUrl":"https://[2001:db8::1]:8443/a","status":0,"latency":"-1s",
            "remoteIp":"[2001:db8::7]:555","responseSize":"-"}}"#;
        let call = call(record);
        assert_eq!((call.latency_ms, call.bytes_in, call.bytes_out, call.record_id), (None, None, None, None));
        assert_eq!((&*call.caller, &*call.host), ("2001:db8::7", "[2001:db8::1]:8443"));
    }
}
