//! Caddy: its JSON access logs (`http.log.access`). Other loggers share the stream and are no calls, though some write of the same request
//! once more: `http.log.error` why it failed, `http.handlers.reverse_proxy` each try.
//!
//! The time is the end of the call; time and duration are seconds unless configured otherwise. Caddy redacts credentials by default. TLS
//! versions are the numbers of the protocol.
//!
//! Source: caddyserver.com, "How Logging Works" and `caddyhttp.ResponseRecorder`.

use std::borrow::Cow;

use super::request::{begin_of, client_of};
use super::url::{credential, kind};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "caddy",
    summary: "Caddy access logs (JSON)",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"level":"info","ts":1788220801.0493366,"logger":"http.log.access.egress","msg":"handled request","request":{"remote_ip":"172.18.0.9",
"remote_port":"41342","client_ip":"10.0.0.7","proto":"HTTP/2.0","method":"POST","host":"api.stripe.com","uri":"/v1/charges?expand=a",
"headers":{"User-Agent":["stripe-go/76"],"Authorization":["REDACTED"]},"tls":{"resumed":false,"version":772,"cipher_suite":4865,
"proto":"h2","server_name":"api.stripe.com"}},"bytes_read":663,"user_id":"","duration":0.144336934,"size":5457,"status":200,
"resp_headers":{"Content-Type":["application/json"]}}"#;

/// Of all that is logged of requests.
const LOGGERS: &str = "http.";
const ACCESS: &str = "http.log.access";
const ERROR: &str = "http.log.error";
/// What Caddy writes in the place of a credential.
const REDACTED: &str = "REDACTED";

paths! { Path:
    Logger = "logger",
    Time = "ts",
    TimePlain = "time",
    Timestamp = "timestamp",
    Duration = "duration",
    RemoteIp = "request.remote_ip",
    /// The name until 2.5, with the port.
    RemoteAddress = "request.remote_addr",
    ClientIp = "request.client_ip",
    User = "user_id",
    Method = "request.method",
    Host = "request.host",
    Uri = "request.uri",
    Tls = "request.tls.version",
    UserAgent = "request.headers.User-Agent",
    Authorization = "request.headers.Authorization",
    ApiKey = "request.headers.X-Api-Key",
    BytesRead = "bytes_read",
    Size = "size",
    Status = "status",
    ContentType = "resp_headers.Content-Type",
    Location = "resp_headers.Location",
    Trace = "traceID",
    RequestId = "uuid",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let logger = probe.text("logger");
    logger.is_some_and(|logger| logger.starts_with(ACCESS) || (logger.starts_with(LOGGERS) && probe.has("request")))
}

/// A duration as Go writes it, of one unit: `1.5001s`, `48ms`, `100µs`.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("ms", 1.0), ("µs", 1e-3), ("us", 1e-3), ("ns", 1e-6), ("s", 1e3)];
    let (number, unit) = units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, *scale)))?;
    number.parse::<f64>().ok().filter(|number| *number >= 0.0).map(|number| number * unit)
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    if !fields.has(Path::Method) && !fields.has(Path::Host) {
        return Ok(Reading::NotACall("no_http"));
    }
    match fields.text(Path::Logger) {
        Some(logger) if logger.starts_with(ERROR) => return Ok(Reading::NotACall("error_log")),
        Some(logger) if !logger.starts_with(ACCESS) => return Ok(Reading::NotACall("other_log")),
        _ => {}
    }
    let in_words = fields.text(Path::Duration).and_then(|text| milliseconds(&text));
    let latency_ms = in_words.or_else(|| fields.real(Path::Duration).map(|seconds| seconds * 1e3));
    let (status, no_answer) = fields.answer(Path::Status);
    let address = fields.first([Path::ClientIp, Path::RemoteIp, Path::RemoteAddress]);
    let secret = [Path::Authorization, Path::ApiKey].into_iter().filter_map(|path| fields.text(path));
    let secret = secret.map(credential).find(|key| key != REDACTED);
    Ok(Reading::Call(Call {
        time: begin_of(fields.first_time([Path::Time, Path::TimePlain, Path::Timestamp]), latency_ms),
        view: View::Egress,
        caller: fields.text(Path::User).or_else(|| address.as_ref().map(client_of)).unwrap_or_default(),
        credential: secret,
        host: fields.text(Path::Host).unwrap_or_default(),
        method: fields.text(Path::Method),
        path: fields.text(Path::Uri),
        credential_kind: kind(fields.text(Path::Authorization)),
        location: fields.text(Path::Location),
        content_type: fields.text(Path::ContentType),
        status,
        outcome: no_answer,
        bytes_out: fields.whole(Path::BytesRead),
        bytes_in: fields.whole(Path::Size),
        latency_ms,
        tls_version: fields.text(Path::Tls).map(tls_version),
        src_ip: address,
        user_agent: fields.text(Path::UserAgent),
        trace_id: fields.text(Path::Trace),
        record_id: fields.text(Path::RequestId),
        ..Call::default()
    }))
}

fn tls_version(logged: Cow<'_, str>) -> Cow<'_, str> {
    match &*logged {
        "769" => "1.0".into(),
        "770" => "1.1".into(),
        "771" => "1.2".into(),
        "772" => "1.3".into(),
        _ => logged,
    }
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
    fn the_call_began_before_it_was_logged() {
        let call = call(SAMPLE);
        assert_eq!((call.time, call.latency_ms), (1_788_220_800_904_999, Some(144.336_934)));
        assert_eq!(
            (&*call.caller, &*call.host, call.path.as_deref()),
            ("10.0.0.7", "api.stripe.com", Some("/v1/charges?expand=a"))
        );
        assert_eq!((call.bytes_out, call.bytes_in, call.status), (Some(663), Some(5457), Some(200)));
        assert_eq!((call.tls_version.as_deref(), call.credential), (Some("1.3"), None));
        assert_eq!(call.content_type.as_deref(), Some("application/json"));
    }

    #[test]
    fn older_versions_and_other_settings_are_read() {
        let record = r#"{"level":"error","time":"2026-09-01T00:00:01Z","logger":"http.log.access","msg":"handled request","request":{
            "remote_addr":"[fd00::1]:41342","proto":"HTTP/1.1","method":"GET","host":"api.x.io:8443","uri":"/","tls":{"version":771},
            "headers":{"X-Api-Key":["k1"]}},"user_id":"billing","duration":1.5,"size":0,"status":0}"#;
        let call = call(record);
        assert_eq!(
            (call.time, &*call.caller, call.src_ip.as_deref()),
            (1_788_220_799_500_000, "billing", Some("[fd00::1]:41342"))
        );
        assert_eq!((call.status, call.outcome, call.bytes_out), (None, Some(Outcome::NoResponse), None));
        assert_eq!((call.tls_version.as_deref(), call.credential.as_deref()), (Some("1.2"), Some("k1")));
    }

    #[test]
    fn a_duration_in_words_is_read_and_another_logger_is_no_call() {
        let mut fields =
            FORMAT_KIND.fields(r#"{"ts":1788220801,"request":{"host":"x.io"},"duration":"144ms"}"#, None).unwrap();
        let call = read(&mut fields).unwrap().call().unwrap();
        assert_eq!((call.latency_ms, call.time), (Some(144.0), 1_788_220_800_856_000));
        let other = r#"{"level":"info","ts":1788220801,"logger":"tls.renew","msg":"renewing","duration":1}"#;
        assert!(matches!(FORMAT_KIND.decode(other), Ok(Reading::NotACall("no_http"))));
        assert!(FormatKind::detect(other).is_none());
    }

    #[test]
    fn a_request_that_other_loggers_tell_of_as_well_is_one_call() {
        let error = r#"{"level":"error","ts":1788220801.04,"logger":"http.log.error.egress","msg":"dial tcp 10.0.0.9:443: connection refused",
            "request":{"remote_ip":"10.0.0.7","method":"POST","host":"api.stripe.com","uri":"/v1/charges"},"duration":0.144,"status":502,
            "err_id":"p0c9wvcpn","err_trace":"reverseproxy.statusError"}"#;
        let try_of_proxy = error.replace("http.log.error.egress", "http.handlers.reverse_proxy");
        for (record, kind) in [(error, "error_log"), (try_of_proxy.as_str(), "other_log")] {
            assert_eq!(FormatKind::detect(record).map(|format| format.name), Some("caddy"));
            assert!(matches!(FORMAT_KIND.decode(record), Ok(Reading::NotACall(found)) if found == kind));
        }
    }
}
