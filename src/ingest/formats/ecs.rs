//! Elastic Common Schema: what an egress proxy, a client library or Packetbeat logs of one HTTP call.
//!
//! Keys come nested, or dotted (`"http.request.method"`): those are nested first (`envelope`). `http.request.bytes` has the headers in it,
//! `http.request.body.bytes` has not, and stands in only where the former is absent. `cloud.*` is where the caller runs: our own cloud
//! account, never the vendor's, so the account of a call stays unknown.
//!
//! Source: elastic.co, "ECS field reference".

use serde::Deserialize;

use super::url::{Url, credential, part};
use super::values::{Number, Section, Text, time};
use super::{FormatKind, Probe};
use crate::calls::{Call, View};
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "ecs",
    summary: "Elastic Common Schema: HTTP calls as Elastic's shippers, proxies and loggers write them",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    decode,
};

const SAMPLE: &str = r#"{"@timestamp":"2026-09-01T00:00:00.905Z","ecs":{"version":"8.17.0"},"event":{"duration":418605259,"outcome":"success"},
"service":{"name":"crm-sync"},"source":{"ip":"10.20.3.180"},"destination":{"domain":"acme.my.salesforce.com","port":443},
"url":{"scheme":"https","domain":"acme.my.salesforce.com","path":"/services/data/v59.0/query"},
"http":{"request":{"method":"GET","bytes":663},"response":{"status_code":200,"bytes":12179}},
"user_agent":{"original":"node-fetch/3.3.2"},"labels":{"credential_id":"sf_ZKNDBcHf"},"tls":{"version":"1.3"}}"#;

const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;

fn looks_like(probe: &Probe<'_>) -> bool {
    probe.has_section("ecs") || (probe.has("@timestamp") && probe.has_section("http"))
}

fn decode(record: &str) -> Result<Option<Call<'_>>, RecordError> {
    let record: Record<'_> = serde_json::from_str(record)?;
    if record.http.0.is_none() && record.url.0.is_none() {
        return Ok(None);
    }
    let (event, url, http) = (record.event.take(), record.url.take(), record.http.take());
    let (request, response) = (http.request.take(), http.response.take());
    let (source, destination) = (record.source.take(), record.destination.take());
    let headers = request.headers.take();
    let whole_url = url.full.0.or(url.original.0).unwrap_or_default();
    let time = match event.start.0 {
        Some(start) => time(Text(Some(start)), "event.start")?,
        None => time(record.timestamp, "@timestamp")?,
    };
    let caller = record.service.take().name.0;
    let caller = caller.or_else(|| record.kubernetes.take().deployment.take().name.0);
    let caller = caller.or_else(|| record.host.take().name.0).or_else(|| source.ip.0.clone());
    let host = url.domain.0.or(destination.domain.0).or_else(|| record.server.take().domain.0);
    let duration = event.duration.real("event.duration")?;
    let usage = record.gen_ai.take().usage.take();
    let secret = || headers.authorization.0.or(headers.api_key.0).map(credential);
    Ok(Some(Call {
        time,
        view: View::Egress,
        caller: caller.unwrap_or_default(),
        credential: record.labels.take().credential_id.0.or_else(secret),
        host: host.or_else(|| part(&whole_url, |url| Url::cut(url).host)).unwrap_or_default(),
        scheme: url.scheme.0.or_else(|| part(&whole_url, |url| Url::cut(url).scheme)),
        method: request.method.0,
        path: url.path.0.or_else(|| part(&whole_url, |url| Url::cut(url).path)),
        content_type: response.mime_type.0.or(response.headers.take().content_type.0),
        status: response.status_code.status("http.response.status_code")?,
        bytes_out: size(request.bytes, request.body, "http.request.bytes")?,
        bytes_in: size(response.bytes, response.body, "http.response.bytes")?,
        tokens_in: usage.input.or(usage.prompt).whole("gen_ai.usage.input_tokens")?,
        tokens_out: usage.output.or(usage.completion).whole("gen_ai.usage.output_tokens")?,
        latency_ms: duration.map(|nanoseconds| nanoseconds / NANOSECONDS_PER_MILLISECOND),
        tls_version: record.tls.take().version.0,
        src_ip: source.ip.0,
        user_agent: record.user_agent.take().original.0,
        region: record.cloud.take().region.0,
        trace_id: record.trace.take().id.0,
        record_id: event.id.0.or(request.id.0),
        ..Call::default()
    }))
}

fn size(bytes: Number, body: Section<Body>, field: &'static str) -> Result<Option<u64>, RecordError> {
    bytes.or(body.take().bytes).whole(field)
}

/// The sections of a record that a call is made of.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow, rename = "@timestamp")]
    timestamp: Text<'a>,
    #[serde(borrow)]
    event: Section<Event<'a>>,
    #[serde(borrow)]
    service: Section<Named<'a>>,
    #[serde(borrow)]
    kubernetes: Section<Kubernetes<'a>>,
    #[serde(borrow)]
    host: Section<Named<'a>>,
    #[serde(borrow)]
    source: Section<Peer<'a>>,
    #[serde(borrow)]
    destination: Section<Peer<'a>>,
    #[serde(borrow)]
    server: Section<Peer<'a>>,
    #[serde(borrow)]
    url: Section<UrlParts<'a>>,
    #[serde(borrow)]
    http: Section<Http<'a>>,
    #[serde(borrow)]
    user_agent: Section<UserAgent<'a>>,
    #[serde(borrow)]
    trace: Section<Trace<'a>>,
    #[serde(borrow)]
    labels: Section<Labels<'a>>,
    #[serde(borrow)]
    tls: Section<Tls<'a>>,
    #[serde(borrow)]
    cloud: Section<Cloud<'a>>,
    gen_ai: Section<GenAi>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Event<'a> {
    #[serde(borrow)]
    start: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    duration: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Kubernetes<'a> {
    #[serde(borrow)]
    deployment: Section<Named<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Peer<'a> {
    #[serde(borrow)]
    domain: Text<'a>,
    #[serde(borrow)]
    ip: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct UrlParts<'a> {
    #[serde(borrow)]
    full: Text<'a>,
    #[serde(borrow)]
    original: Text<'a>,
    #[serde(borrow)]
    scheme: Text<'a>,
    #[serde(borrow)]
    domain: Text<'a>,
    #[serde(borrow)]
    path: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Http<'a> {
    #[serde(borrow)]
    request: Section<Request<'a>>,
    #[serde(borrow)]
    response: Section<Response<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Request<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    method: Text<'a>,
    bytes: Number,
    body: Section<Body>,
    #[serde(borrow)]
    headers: Section<Headers<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Response<'a> {
    status_code: Number,
    bytes: Number,
    body: Section<Body>,
    #[serde(borrow)]
    mime_type: Text<'a>,
    #[serde(borrow)]
    headers: Section<ResponseHeaders<'a>>,
}

/// ECS has no field for headers; Packetbeat and loggers write them here.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseHeaders<'a> {
    #[serde(borrow, rename = "content-type", alias = "Content-Type")]
    content_type: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    bytes: Number,
}

/// Headers that hold a credential. ECS has no field for them, yet loggers write them here.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Headers<'a> {
    #[serde(borrow, alias = "Authorization")]
    authorization: Text<'a>,
    #[serde(borrow, rename = "x-api-key", alias = "X-Api-Key", alias = "X-API-Key")]
    api_key: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct UserAgent<'a> {
    #[serde(borrow)]
    original: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Trace<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Labels<'a> {
    #[serde(borrow)]
    credential_id: Text<'a>,
}

/// Calls to language models, as OpenTelemetry names them.
#[derive(Deserialize, Default)]
#[serde(default)]
struct GenAi {
    usage: Section<Usage>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    #[serde(rename = "input_tokens")]
    input: Number,
    #[serde(rename = "output_tokens")]
    output: Number,
    /// The name until 2024.
    #[serde(rename = "prompt_tokens")]
    prompt: Number,
    #[serde(rename = "completion_tokens")]
    completion: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tls<'a> {
    #[serde(borrow)]
    version: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cloud<'a> {
    #[serde(borrow)]
    region: Text<'a>,
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::ingest::place::Shape;

    fn call(record: &str) -> Call<'_> {
        decode(record).unwrap().unwrap()
    }

    #[test]
    fn the_sample_gives_every_field_in_our_units_and_borrows_its_texts() {
        let call = call(SAMPLE);
        assert_eq!(call.time, 1_788_220_800_905_000);
        assert!(matches!(call.host, Cow::Borrowed("acme.my.salesforce.com")));
        assert_eq!((&*call.caller, call.credential.as_deref()), ("crm-sync", Some("sf_ZKNDBcHf")));
        assert_eq!((call.bytes_out, call.bytes_in, call.status), (Some(663), Some(12_179), Some(200)));
        assert_eq!(call.latency_ms, Some(418.605_259));
        assert_eq!((call.tls_version.as_deref(), call.src_ip.as_deref()), (Some("1.3"), Some("10.20.3.180")));
    }

    #[test]
    fn fallbacks_stand_in_where_the_first_choice_is_absent() {
        let record = r#"{"@timestamp":"2026-09-01T00:00:09Z","event":{"start":"2026-09-01T00:00:01Z","duration":"2500000"},
            "service":{"name":"-"},"host":{"name":"web-1"},"url":{"full":"https://me:secret@api.stripe.com:443/v1/charges?a=b"},
            "http":{"request":{"headers":{"Authorization":["Bearer sk_live"]},"body":{"bytes":7.0}},"response":{"status_code":"0"}}}"#;
        let call = call(record);
        assert_eq!(call.time, 1_788_220_801_000_000);
        assert_eq!((&*call.caller, &*call.host), ("web-1", "api.stripe.com:443"));
        assert_eq!((call.path.as_deref(), call.scheme.as_deref()), (Some("/v1/charges?a=b"), Some("https")));
        assert_eq!((call.bytes_out, call.bytes_in, call.status), (Some(7), None, None));
        assert_eq!((call.latency_ms, call.credential.as_deref()), (Some(2.5), Some("sk_live")));
    }

    #[test]
    fn the_media_type_is_the_bodys_else_the_headers() {
        for (response, expected) in [
            (r#"{"mime_type":"application/json"}"#, Some("application/json")),
            (r#"{"headers":{"Content-Type":["text/csv; charset=utf-8"]}}"#, Some("text/csv; charset=utf-8")),
            (r#"{"mime_type":"a/b","headers":{"content-type":"c/d"}}"#, Some("a/b")),
            (r#"{"bytes":1}"#, None),
        ] {
            let record = format!(
                r#"{{"@timestamp":"2026-09-01T00:00:00Z","cloud":{{"account":{{"id":"1"}}}},"http":{{"response":{response}}}}}"#
            );
            let call = call(&record);
            assert_eq!((call.content_type.as_deref(), call.account), (expected, None), "{response}");
        }
    }

    #[test]
    fn tokens_of_a_language_model_are_read_by_their_new_and_old_names() {
        for usage in [r#"{"input_tokens":812,"output_tokens":"40"}"#, r#"{"prompt_tokens":812,"completion_tokens":40}"#]
        {
            let record = format!(r#"{{"@timestamp":"2026-09-01T00:00:00Z","http":{{}},"gen_ai":{{"usage":{usage}}}}}"#);
            let call = call(&record);
            assert_eq!((call.tokens_in, call.tokens_out), (Some(812), Some(40)));
        }
    }

    #[test]
    fn a_record_without_http_and_url_is_not_a_call_and_one_without_time_is_broken() {
        assert!(decode(r#"{"@timestamp":"2026-09-01T00:00:00Z","ecs":{"version":"8"}}"#).unwrap().is_none());
        let broken = decode(r#"{"@timestamp":"yesterday","http":{}}"#).unwrap_err();
        assert_eq!(broken, RecordError::expected("an RFC 3339 time", "@timestamp", Shape::Text(9)));
    }
}
