//! Traefik: access logs as JSON, and in its extension of the common log format, which is the default.
//!
//! The vendor is the server behind the route (`ServiceURL`) where that has a name; where it is an address, the host that was asked for.
//! Durations are nanoseconds in JSON and milliseconds in text. Fields may be dropped by configuration, and headers are kept only where it
//! says so. A status of the origin of 0 beside an error is Traefik's own answer.
//!
//! Source: doc.traefik.io, "Access Logs".

use std::borrow::Cow;

use super::line::Common;
use super::outcome::of_gateway;
use super::request::{Request, client_of, is_domain};
use super::url::{Url, credential, kind, part};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "traefik",
    summary: "Traefik access logs: JSON, and its common log format",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: Some(line),
    read,
};

const SAMPLE: &str = r#"{"StartUTC":"2026-09-01T00:00:00.905123456Z","StartLocal":"2026-09-01T02:00:00.905123456+02:00","Duration":230000000,
"OriginDuration":228000000,"Overhead":2000000,"RequestMethod":"GET","RequestHost":"egress.internal","RequestAddr":"egress.internal","RequestPath":"/v1/a?b=c",
"RequestProtocol":"HTTP/1.1","RequestScheme":"https","RequestContentSize":0,"DownstreamStatus":200,"OriginStatus":200,"DownstreamContentSize":512,
"OriginContentSize":512,"ClientHost":"10.0.0.7","ClientAddr":"10.0.0.7:46520","ClientUsername":"-","RetryAttempts":0,"RouterName":"stripe@file",
"ServiceName":"stripe@file","ServiceURL":"https://api.stripe.com","ServiceAddr":"api.stripe.com","TLSVersion":"1.3","request_User-Agent":"go/1.22",
"level":"info","msg":"","time":"2026-09-01T00:00:01Z"}"#;

const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;

paths! { Path:
    StartUtc = "StartUTC",
    StartLocal = "StartLocal",
    Time = "time",
    Duration = "Duration",
    /// Of the text format, milliseconds.
    DurationMs = "duration_ms",
    RequestLine = "request_line",
    Method = "RequestMethod",
    Target = "RequestPath",
    RequestScheme = "RequestScheme",
    RequestHost = "RequestHost",
    RequestAddress = "RequestAddr",
    ServiceUrl = "ServiceURL",
    /// Older versions wrote the parts of the URL.
    ServiceUrlHost = "ServiceURL.Host",
    ServiceUrlScheme = "ServiceURL.Scheme",
    ServiceAddress = "ServiceAddr",
    Status = "DownstreamStatus",
    OriginStatus = "OriginStatus",
    BytesOut = "RequestContentSize",
    BytesIn = "DownstreamContentSize",
    OriginBytesIn = "OriginContentSize",
    User = "ClientUsername",
    ClientHost = "ClientHost",
    ClientAddress = "ClientAddr",
    Authorization = "request_Authorization",
    ApiKey = "request_X-Api-Key",
    UserAgent = "request_User-Agent",
    RequestId = "request_X-Request-Id",
    ContentType = "downstream_Content-Type",
    OriginContentType = "origin_Content-Type",
    Tls = "TLSVersion",
    Trace = "TraceId",
    Span = "SpanId",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has_own = ["RequestMethod", "RequestPath", "RouterName", "ServiceURL"].iter().any(|key| probe.has(key));
    has_own && (probe.has("DownstreamStatus") || probe.has("OriginStatus"))
}

fn line<'a>(text: &'a str, fields: &mut Fields<'a>) -> bool {
    cut(text, fields).is_some()
}

/// `… "referer" "agent" count "router" "server" 230ms`
fn cut<'a>(text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    let (Common { host: None, client, user, time, request, status, bytes }, mut tokens) = Common::cut(text)? else {
        return None;
    };
    let (_referer, agent) = (tokens.quoted()?, tokens.quoted()?);
    let (_count, _router, server) = (tokens.bare()?, tokens.quoted()?, tokens.quoted()?);
    let milliseconds = tokens.bare()?.strip_suffix("ms")?;
    tokens.rest().is_empty().then_some(())?;
    let own = [
        (Path::ClientHost, client),
        (Path::User, user),
        (Path::StartUtc, time),
        (Path::RequestLine, request),
        (Path::Status, status),
        (Path::BytesIn, bytes),
        (Path::UserAgent, agent),
        (Path::ServiceUrl, server),
        (Path::DurationMs, milliseconds),
    ];
    own.into_iter().for_each(|(path, text)| fields.set(path, text));
    Some(())
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let request = Request::cut(fields.text(Path::Method), fields.first([Path::Target, Path::RequestLine]));
    if request.method.is_none() && request.path.is_none() && !fields.has(Path::Status) {
        return Ok(Reading::NotACall("no_http"));
    }
    let server = fields.text(Path::ServiceUrl).unwrap_or_default();
    let of_server = |cut: for<'t> fn(Url<'t>) -> Option<&'t str>| part(&server, |url| cut(Url::cut(url)));
    let vendor = of_server(|url| url.host).or_else(|| fields.text(Path::ServiceUrlHost));
    let named = vendor.clone().filter(|host| is_domain(host));
    let asked = fields.first([Path::RequestHost, Path::RequestAddress]);
    let scheme =
        of_server(|url| url.scheme).or_else(|| fields.text(Path::ServiceUrlScheme)).filter(|_| named.is_some());
    let host = named.or(request.host).or(asked).or(vendor).or_else(|| fields.text(Path::ServiceAddress));
    let (status, no_answer) = fields.answer(Path::Status);
    let has_answered = fields.whole(Path::OriginStatus).map(|status| status != 0);
    let latency_ms = fields.real(Path::Duration).map(|nanoseconds| nanoseconds / NANOSECONDS_PER_MILLISECOND);
    let address = fields.first([Path::ClientHost, Path::ClientAddress]);
    let user = fields.text(Path::User);
    Ok(Reading::Call(Call {
        time: fields.first_time([Path::StartUtc, Path::StartLocal, Path::Time]),
        view: View::Egress,
        caller: user.or_else(|| address.as_ref().map(client_of)).unwrap_or_default(),
        credential: fields.first([Path::Authorization, Path::ApiKey]).map(credential).filter(|key| key != "REDACTED"),
        credential_kind: kind(fields.text(Path::Authorization)),
        host: host.unwrap_or_default(),
        scheme: scheme.or(request.scheme).or_else(|| fields.text(Path::RequestScheme)),
        method: request.method,
        path: request.path,
        content_type: fields.first([Path::OriginContentType, Path::ContentType]),
        status,
        outcome: of_gateway(status, has_answered).or(no_answer),
        bytes_out: fields.whole(Path::BytesOut),
        bytes_in: fields.first_whole([Path::BytesIn, Path::OriginBytesIn]),
        latency_ms: latency_ms.or_else(|| fields.real(Path::DurationMs)),
        tls_version: fields.text(Path::Tls),
        src_ip: address,
        user_agent: fields.text(Path::UserAgent),
        trace_id: fields.text(Path::Trace),
        record_id: record_id(fields),
        ..Call::default()
    }))
}

fn record_id<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    match (fields.text(Path::Trace), fields.text(Path::Span)) {
        (Some(trace), Some(span)) => Some(format!("{trace}{span}").into()),
        _ => fields.text(Path::RequestId),
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
    fn the_server_behind_the_route_is_the_vendor() {
        let call = call(SAMPLE);
        assert_eq!((call.time, call.latency_ms), (1_788_220_800_905_123, Some(230.0)));
        assert_eq!(
            (&*call.caller, &*call.host, call.path.as_deref()),
            ("10.0.0.7", "api.stripe.com", Some("/v1/a?b=c"))
        );
        assert_eq!((call.bytes_out, call.bytes_in, call.status, call.outcome), (Some(0), Some(512), Some(200), None));
        assert_eq!((call.tls_version.as_deref(), call.user_agent.as_deref()), (Some("1.3"), Some("go/1.22")));
    }

    #[test]
    fn a_server_that_is_an_address_leaves_the_host_that_was_asked_for() {
        for server in [r#""http://10.0.0.1:8080""#, r#"{"Scheme":"http","Host":"10.0.0.1:80"}"#] {
            let record = format!(
                r#"{{"StartUTC":"2026-09-01T00:00:00Z","RequestMethod":"GET","RequestHost":"api.x.io","RequestPath":"/","DownstreamStatus":502,
                "OriginStatus":0,"ServiceURL":{server},"ClientAddr":"[fd00::1]:5","RequestContentSize":-1,"request_Authorization":"Bearer k",
                "TraceId":"ab","SpanId":"cd"}}"#
            );
            let call = call(&record);
            assert_eq!((&*call.host, &*call.caller, call.bytes_out), ("api.x.io", "fd00::1", None), "{server}");
            assert_eq!((call.outcome, call.credential.as_deref()), (Some(Outcome::NoResponse), Some("k")));
            assert_eq!((call.record_id.as_deref(), call.scheme), (Some("abcd"), None));
        }
    }

    #[test]
    fn the_default_text_is_read() {
        let text = r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "POST /v1/a HTTP/2.0" 429 17 "-" "go/1.22" 56 "stripe@file" "https://api.x.io" 230ms"#;
        let call = call(text);
        assert_eq!((call.time, call.latency_ms), (1_788_220_801_000_000, Some(230.0)));
        assert_eq!((&*call.host, call.scheme.as_deref(), call.status), ("api.x.io", Some("https"), Some(429)));
        assert_eq!((call.bytes_in, call.bytes_out, call.outcome), (Some(17), None, None));
        let without = text.replace(r#""https://api.x.io" 230ms"#, r#""-" 0ms"#);
        assert_eq!(&*FORMAT_KIND.decode(&without).unwrap().call().unwrap().host, "");
        assert!(!line(&text.replace("230ms", "230"), &mut Fields::new(&PATHS, None)));
    }
}
