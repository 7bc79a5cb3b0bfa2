//! HAR 1.2: one entry of `log.entries`, as browsers, mitmproxy and Charles export them; the list itself is opened as an envelope.
//!
//! Who calls is in no field of HAR. A client that says so in a header is believed: Envoy's `x-envoy-downstream-service-cluster`, else the
//! host of `origin`, the web application whose page calls. All others need `[decode.constants] caller`.
//!
//! Traps: -1 is unknown; what came out of the browser's cache was no call; `content.size` is decoded, so no size on the wire. Headers,
//! cookies, query and posted data are full of secrets: only named headers are read, the name of a GraphQL operation, and of bodies which
//! classes of data are in them.
//!
//! Source: w3c.github.io/web-performance, "HTTP Archive (HAR) format".

use super::graphql;
use super::url::{Url, credential, kind, part};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "har",
    summary: "HAR: entries of an HTTP archive, as browsers and intercepting proxies export them",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"startedDateTime":"2026-09-01T00:00:00.905Z","time":418.6,"request":{"method":"POST",
"url":"https://api.stripe.com/v1/tokens","httpVersion":"HTTP/2.0","headersSize":412,"bodySize":93,"cookies":[],"queryString":[],
"headers":[{"name":"Host","value":"api.stripe.com"},{"name":"Origin","value":"https://shop.acme.io"},
{"name":"User-Agent","value":"Mozilla/5.0"},{"name":"Authorization","value":"Bearer pk_example"}]},
"response":{"status":200,"statusText":"OK","headersSize":310,"bodySize":811,"redirectURL":"","headers":[],
"content":{"size":9120,"mimeType":"application/json"}},"cache":{},"timings":{"send":1,"wait":400,"receive":17.6},
"serverIPAddress":"203.0.113.7"}"#;

paths! { Path:
    Time = "startedDateTime",
    Duration = "time",
    Url = "request.url",
    Method = "request.method",
    HeadersOut = "request.headersSize",
    BodyOut = "request.bodySize",
    Cluster = "request.headers.x-envoy-downstream-service-cluster",
    Origin = "request.headers.origin",
    UserAgent = "request.headers.user-agent",
    Authorization = "request.headers.authorization",
    ApiKey = "request.headers.x-api-key",
    ApiVersion = "request.headers.api-version",
    StripeVersion = "request.headers.stripe-version",
    AnthropicVersion = "request.headers.anthropic-version",
    GitHubVersion = "request.headers.x-github-api-version",
    NotionVersion = "request.headers.notion-version",
    AzureVersion = "request.headers.x-ms-version",
    RequestType = "request.postData.mimeType",
    RequestBody = "request.postData.text",
    /// Of a body in GraphQL, which stands here as text.
    Operation = "request.postData.text.operationName",
    Document = "request.postData.text.query",
    Status = "response.status",
    HeadersIn = "response.headersSize",
    BodyIn = "response.bodySize",
    /// Chrome's: all that was received on the wire.
    Transfer = "response._transferSize",
    MediaType = "response.content.mimeType",
    ResponseBody = "response.content.text",
    Location = "response.redirectURL",
    FromCache = "_fromCache",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has_url = probe.has("request.url") || probe.inside("request").is_some_and(|request| request.has("url"));
    probe.has("startedDateTime") && has_url
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    if fields.has(Path::FromCache) && !fields.is(Path::FromCache, "false") {
        return Ok(Reading::NotACall("from_cache"));
    }
    let url = fields.text(Path::Url).ok_or_else(|| fields.missing(Path::Url))?;
    // `data:`, `blob:`, `chrome-extension:`: never sent.
    if !["http:", "https:", "ws:", "wss:"]
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme)))
    {
        return Ok(Reading::NotACall("no_http"));
    }
    let of_url = |cut: for<'t> fn(Url<'t>) -> Option<&'t str>| part(&url, |url| cut(Url::cut(url)));
    let host_of = |origin| part(&origin, |origin| Url::cut(origin).host);
    let (status, outcome) = fields.answer(Path::Status);
    let bytes_out = message(fields, Path::HeadersOut, Path::BodyOut);
    let bytes_in = message(fields, Path::HeadersIn, Path::BodyIn).or_else(|| fields.whole(Path::Transfer));
    let is_answered = status.is_some();
    let path = of_url(|url| url.path);
    let is_graphql = path.as_deref().is_some_and(graphql::is_served_at);
    let body =
        |fields: &Fields<'a>| graphql::of_body(fields.text(Path::Operation), fields.text(Path::Document).as_deref());
    Ok(Reading::Call(Call {
        time: fields.time(Path::Time),
        view: View::Egress,
        caller: fields.text(Path::Cluster).or_else(|| fields.text(Path::Origin).and_then(host_of)).unwrap_or_default(),
        credential: fields.first([Path::Authorization, Path::ApiKey]).map(credential),
        host: of_url(|url| url.host).unwrap_or_default(),
        scheme: of_url(|url| url.scheme),
        method: fields.text(Path::Method),
        path,
        graphql: is_graphql.then(|| body(fields)).flatten(),
        credential_kind: kind(fields.text(Path::Authorization)),
        api_version: fields.first(VERSIONS),
        content_type: fields.text(Path::MediaType),
        request_type: fields.text(Path::RequestType),
        request_body: fields.text(Path::RequestBody),
        response_body: fields.text(Path::ResponseBody),
        location: fields.text(Path::Location),
        status,
        outcome,
        bytes_out,
        // Of an answer that never came nothing is known, although zeros stand there.
        bytes_in: bytes_in.filter(|_| is_answered),
        latency_ms: fields.real(Path::Duration),
        user_agent: fields.text(Path::UserAgent),
        ..Call::default()
    }))
}

/// Headers that ask for a version of the API.
const VERSIONS: [Path; 6] = [
    Path::ApiVersion,
    Path::StripeVersion,
    Path::AnthropicVersion,
    Path::GitHubVersion,
    Path::NotionVersion,
    Path::AzureVersion,
];

/// The body's size with the headers', where those are known. Of headers alone, no size of the message is known.
fn message(fields: &mut Fields<'_>, headers: Path, body: Path) -> Option<u64> {
    let body = fields.whole(body)?;
    Some(body.saturating_add(fields.whole(headers).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Outcome;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        assert_eq!(FormatKind::detect(record).unwrap().name, "har");
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn an_entry_is_a_call_of_the_application_whose_page_calls() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_800_905_000, "shop.acme.io", "api.stripe.com"));
        assert_eq!((call.bytes_out, call.bytes_in, call.latency_ms), (Some(505), Some(1121), Some(418.6)));
        assert_eq!((call.credential.as_deref(), call.user_agent.as_deref()), (Some("pk_example"), Some("Mozilla/5.0")));
    }

    #[test]
    fn sizes_of_minus_one_are_unknown_and_a_decoded_size_stands_for_none() {
        let record = r#"{"startedDateTime":"2026-09-01T02:00:00.905+02:00","time":-1,"request":{"method":"GET","url":"https://user:pw@api.x.io:8443/v1/a?k=v",
            "headersSize":-1,"bodySize":0,"headers":[]},"response":{"status":200,"headersSize":-1,"bodySize":-1,"content":{"size":9120}}}"#;
        let call = call(record);
        assert_eq!((call.bytes_out, call.bytes_in, call.latency_ms), (Some(0), None, None));
        assert_eq!((&*call.host, call.path.as_deref(), &*call.caller), ("api.x.io:8443", Some("/v1/a?k=v"), ""));
    }

    #[test]
    fn a_failed_request_has_no_answer_and_chromes_transfer_size_counts() {
        let entry = |response: &str| {
            format!(
                r#"{{"startedDateTime":"2026-09-01T00:00:00Z","request":{{"method":"GET","url":"https://api.x.io/v1/a"}},"response":{response}}}"#
            )
        };
        let failed = entry(r#"{"status":0,"bodySize":0,"headersSize":0,"_error":"net::ERR_NAME_NOT_RESOLVED"}"#);
        assert_eq!((call(&failed).outcome, call(&failed).bytes_in), (Some(Outcome::NoResponse), None));
        let chrome = entry(r#"{"status":200,"bodySize":-1,"headersSize":-1,"_transferSize":2048}"#);
        assert_eq!(call(&chrome).bytes_in, Some(2048));
    }

    #[test]
    fn the_operation_of_a_graphql_request_is_named_and_nothing_else_of_its_body() {
        let entry = |url: &str, body: &str| {
            serde_json::json!({"startedDateTime": "2026-09-01T00:00:00Z", "request": {"method": "POST", "url": url,
                "postData": {"mimeType": "application/json", "text": body}}, "response": {"status": 200}})
            .to_string()
        };
        let body = r#"{"operationName":"GetUser","variables":{"mail":"a@b.c"},"query":"query GetUser($mail: String) { user }"}"#;
        assert_eq!(call(&entry("https://api.x.io/graphql", body)).graphql.as_deref(), Some("query GetUser"));
        let persisted = r#"{"operationName":"GetUser","extensions":{"persistedQuery":{"sha256Hash":"ab"}}}"#;
        assert_eq!(call(&entry("https://api.x.io/graphql", persisted)).graphql.as_deref(), Some("GetUser"));
        for (url, body) in [("https://api.x.io/v1/search", body), ("https://api.x.io/graphql", "a=b")] {
            assert_eq!(call(&entry(url, body)).graphql, None);
        }
    }

    #[test]
    fn bodies_versions_and_the_target_of_a_redirect_are_there_for_the_builder() {
        let record = r#"{"startedDateTime":"2026-09-01T00:00:00Z","request":{"method":"POST","url":"https://api.x.io/v1/a",
            "headers":[{"name":"Anthropic-Version","value":"2023-06-01"},{"name":"Authorization","value":"Basic dTpw"}],
            "postData":{"mimeType":"application/json","text":"{\"email\":1}"}},"response":{"status":307,"redirectURL":"https://y.io/b",
            "content":{"mimeType":"text/html","text":"<p>moved</p>"}}}"#;
        let call = call(record);
        assert_eq!((call.api_version.as_deref(), call.credential_kind.as_str()), (Some("2023-06-01"), "basic"));
        assert_eq!(
            (call.request_body.as_deref(), call.response_body.as_deref()),
            (Some("{\"email\":1}"), Some("<p>moved</p>"))
        );
        assert_eq!(
            (call.location.as_deref(), call.request_type.as_deref()),
            (Some("https://y.io/b"), Some("application/json"))
        );
    }

    #[test]
    fn what_was_never_sent_is_no_call() {
        for entry in [
            r#"{"startedDateTime":"2026-09-01T00:00:00Z","_fromCache":"disk","request":{"url":"https://api.x.io/v1/a"}}"#,
            r#"{"startedDateTime":"2026-09-01T00:00:00Z","request":{"url":"data:image/png;base64,AAAA"}}"#,
        ] {
            assert!(matches!(FORMAT_KIND.decode(entry), Ok(Reading::NotACall(_))), "{entry}");
        }
    }
}
