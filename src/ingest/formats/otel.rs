//! OpenTelemetry: client spans and log records, as `otlp` makes them flat out of an export.
//!
//! Attributes are read by their stable names, else by those until 2023. Sizes are opt-in and usually absent. Only client spans count:
//! the server's span tells of the same call. Calls by RPC and to language models count where they name their server; a model's span may
//! stand above an HTTP span of the same call.
//!
//! Source: opentelemetry.io, "Semantic conventions 1.37" (HTTP, RPC, GenAI) and "HTTP semantic convention stability migration".

use std::borrow::Cow;

use super::graphql;
use super::outcome::{of_grpc, of_status_and_word};
use super::url::{Url, credential, kind, part};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, Outcome, View, workload_of_pod};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "otel",
    summary: "OpenTelemetry: client spans and log records of an OTLP export (JSON)",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"service.name":"billing","cloud.region":"eu-west-1","http.request.method":"POST","server.address":"api.stripe.com",
"server.port":"443","url.full":"https://api.stripe.com/v1/charges","http.response.status_code":"200","network.protocol.version":"2",
"user_agent.original":"stripe-go/76","otlp.traceId":"963bab3a466bc61344f7711006627ab7","otlp.spanId":"00f067aa0ba902b7","otlp.kind":3,
"otlp.startTimeUnixNano":"1788220800905000000","otlp.endTimeUnixNano":"1788220801323605259","otlp.status":{}}"#;

paths! { Path:
    Start = "otlp.startTimeUnixNano",
    End = "otlp.endTimeUnixNano",
    Time = "otlp.timeUnixNano",
    Observed = "otlp.observedTimeUnixNano",
    Kind = "otlp.kind",
    SpanStatus = "otlp.status.code",
    Trace = "otlp.traceId",
    Span = "otlp.spanId",
    LogId = "log.record.uid",
    Service = "service.name",
    Deployment = "k8s.deployment.name",
    StatefulSet = "k8s.statefulset.name",
    DaemonSet = "k8s.daemonset.name",
    CronJob = "k8s.cronjob.name",
    Function = "faas.name",
    Pod = "k8s.pod.name",
    Host = "host.name",
    PodIp = "k8s.pod.ip",
    LocalAddress = "network.local.address",
    LocalAddressOld = "net.sock.host.addr",
    Region = "cloud.region",
    Method = "http.request.method",
    OriginalMethod = "http.request.method_original",
    MethodOld = "http.method",
    Url = "url.full",
    UrlOld = "http.url",
    Scheme = "url.scheme",
    SchemeOld = "http.scheme",
    UrlTarget = "url.path",
    Target = "http.target",
    UrlQuery = "url.query",
    Location = "http.response.header.location",
    ApiVersion = "http.request.header.api-version",
    StripeVersion = "http.request.header.stripe-version",
    AnthropicVersion = "http.request.header.anthropic-version",
    GitHubVersion = "http.request.header.x-github-api-version",
    NotionVersion = "http.request.header.notion-version",
    AzureVersion = "http.request.header.x-ms-version",
    RequestType = "http.request.header.content-type",
    Template = "url.template",
    HostHeader = "http.request.header.host",
    HostOld = "http.host",
    Server = "server.address",
    PeerName = "net.peer.name",
    PeerAddress = "network.peer.address",
    PeerAddressOld = "net.sock.peer.addr",
    PeerIp = "net.peer.ip",
    Authorization = "http.request.header.authorization",
    ApiKey = "http.request.header.x-api-key",
    ContentType = "http.response.header.content-type",
    Status = "http.response.status_code",
    StatusOld = "http.status_code",
    Error = "error.type",
    RpcSystem = "rpc.system",
    RpcSystemName = "rpc.system.name",
    RpcService = "rpc.service",
    RpcMethod = "rpc.method",
    RpcStatus = "rpc.response.status_code",
    GrpcStatus = "rpc.grpc.status_code",
    SizeOut = "http.request.size",
    BodyOut = "http.request.body.size",
    LengthOut = "http.request.header.content-length",
    LengthOutOld = "http.request_content_length",
    SizeIn = "http.response.size",
    BodyIn = "http.response.body.size",
    LengthIn = "http.response.header.content-length",
    LengthInOld = "http.response_content_length",
    Tls = "tls.protocol.version",
    UserAgent = "user_agent.original",
    UserAgentOld = "http.user_agent",
    GraphQlName = "graphql.operation.name",
    GraphQlType = "graphql.operation.type",
    ModelAction = "gen_ai.operation.name",
    Model = "gen_ai.request.model",
    TokensIn = "gen_ai.usage.input_tokens",
    TokensOut = "gen_ai.usage.output_tokens",
    PromptTokens = "gen_ai.usage.prompt_tokens",
    CompletionTokens = "gen_ai.usage.completion_tokens",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    probe.has_section("otlp")
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let is_kind = |number: &str, name: &str| fields.is(Path::Kind, number) || fields.is(Path::Kind, name);
    if is_kind("2", "SPAN_KIND_SERVER") {
        return Ok(Reading::NotACall("inbound"));
    }
    let is_span = fields.has(Path::Start);
    let http = [Path::Method, Path::MethodOld, Path::Url, Path::UrlOld, Path::Status, Path::StatusOld];
    let is_http = http.into_iter().any(|path| fields.has(path));
    let named = [Path::RpcSystem, Path::RpcSystemName, Path::Model, Path::ModelAction];
    let is_other_call = named.into_iter().any(|path| fields.has(path)) && fields.has(Path::Server);
    if (is_span && !is_kind("3", "SPAN_KIND_CLIENT")) || !(is_http || is_other_call) {
        return Ok(Reading::NotACall("no_http"));
    }
    let url = fields.first([Path::Url, Path::UrlOld]).unwrap_or_default();
    let of_url = |cut: for<'t> fn(Url<'t>) -> Option<&'t str>| part(&url, |url| cut(Url::cut(url)));
    let names = [Path::HostOld, Path::HostHeader, Path::Server, Path::PeerName];
    let addresses = [Path::PeerAddress, Path::PeerAddressOld, Path::PeerIp];
    let host = of_url(|url| url.host).or_else(|| fields.first(names)).or_else(|| fields.first(addresses));
    let path = of_url(|url| url.path).or_else(|| fields.first([Path::UrlTarget, Path::Target, Path::Template]));
    let grpc_path = if path.is_none() { grpc_path(fields) } else { None };
    let method = fields.first([Path::Method, Path::MethodOld]);
    let method = method.filter(|method| method != "_OTHER").or_else(|| fields.text(Path::OriginalMethod));
    // Every call by gRPC is a POST.
    let method = method.or_else(|| grpc_path.is_some().then_some("POST".into()));
    let operation = if is_http || grpc_path.is_some() { None } else { operation(fields) };
    let status = fields.status(Path::Status).or_else(|| fields.status(Path::StatusOld));
    let latency_ms = latency_ms(fields);
    let secret = fields.first([Path::Authorization, Path::ApiKey]).map(credential);
    let addresses = [Path::LocalAddress, Path::LocalAddressOld, Path::PodIp];
    Ok(Reading::Call(Call {
        outcome: outcome(fields, status, is_http),
        time: time(fields),
        view: View::Egress,
        caller: caller(fields),
        credential: secret,
        host: host.unwrap_or_default(),
        scheme: of_url(|url| url.scheme).or_else(|| fields.first([Path::Scheme, Path::SchemeOld])),
        method,
        path: path.or(grpc_path),
        graphql: graphql::of_name(fields.text(Path::GraphQlType), fields.text(Path::GraphQlName)),
        operation,
        credential_kind: kind(fields.text(Path::Authorization)),
        query: fields.text(Path::UrlQuery),
        api_version: fields.first(VERSIONS),
        request_type: fields.text(Path::RequestType),
        location: fields.text(Path::Location),
        content_type: fields.text(Path::ContentType),
        status,
        bytes_out: fields.first_whole([Path::SizeOut, Path::BodyOut, Path::LengthOut, Path::LengthOutOld]),
        bytes_in: fields.first_whole([Path::SizeIn, Path::BodyIn, Path::LengthIn, Path::LengthInOld]),
        tokens_in: fields.first_whole([Path::TokensIn, Path::PromptTokens]),
        tokens_out: fields.first_whole([Path::TokensOut, Path::CompletionTokens]),
        latency_ms,
        tls_version: fields.text(Path::Tls),
        src_ip: fields.first(addresses),
        user_agent: fields.first([Path::UserAgent, Path::UserAgentOld]),
        region: fields.text(Path::Region),
        trace_id: fields.text(Path::Trace),
        record_id: record_id(fields, is_span),
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

/// Protobuf writes 0 for a time that is not known.
fn time(fields: &mut Fields<'_>) -> i64 {
    let known = [Path::Start, Path::Time].into_iter().find(|path| fields.has(*path) && !fields.is(*path, "0"));
    fields.time(known.unwrap_or(Path::Observed))
}

/// Whole nanoseconds: a float would lose the last three digits of a time.
fn latency_ms(fields: &Fields<'_>) -> Option<f64> {
    let nanoseconds = |path| fields.text(path)?.parse::<u64>().ok().filter(|time| *time > 0);
    let elapsed = nanoseconds(Path::End)?.checked_sub(nanoseconds(Path::Start)?)?;
    Some(elapsed as f64 / 1e6)
}

fn outcome(fields: &Fields<'_>, status: Option<u16>, is_http: bool) -> Option<Outcome> {
    let has_failed = fields.is(Path::SpanStatus, "2") || fields.is(Path::SpanStatus, "STATUS_CODE_ERROR");
    let grpc = fields.first([Path::GrpcStatus, Path::RpcStatus]);
    let by_grpc = grpc.as_deref().and_then(of_grpc).filter(|_| status.is_none_or(|status| status < 400));
    let of_error = || fields.text(Path::Error)?.parse().ok().map(|status| Outcome::of_status(Some(status)));
    let word = has_failed.then_some("failure");
    match status {
        Some(_) => by_grpc.or_else(|| of_status_and_word(status, word)),
        // A client span has a status whenever one was received.
        None if is_http => {
            by_grpc.or_else(of_error).or((has_failed || fields.has(Path::Error)).then_some(Outcome::NoResponse))
        }
        None => by_grpc.or_else(of_error).or_else(|| of_status_and_word(None, word)),
    }
}

/// `/package.Service/Method`, as it stands on the wire.
fn grpc_path<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let is_grpc = fields.is(Path::RpcSystem, "grpc") || fields.is(Path::RpcSystemName, "grpc");
    let method = fields.text(Path::RpcMethod).filter(|_| is_grpc)?;
    match fields.text(Path::RpcService) {
        _ if method.contains('/') => Some(format!("/{}", method.trim_start_matches('/')).into()),
        Some(service) => Some(format!("/{service}/{method}").into()),
        None => None,
    }
}

/// What was done, of calls that are not told in terms of HTTP: `S3:GetObject`, `chat gpt-4o`.
fn operation<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let both = |first, mark, second| match (fields.text(first), fields.text(second)) {
        (Some(first), Some(second)) => Some(format!("{first}{mark}{second}").into()),
        (first, second) => first.or(second),
    };
    both(Path::RpcService, ":", Path::RpcMethod).or_else(|| both(Path::ModelAction, " ", Path::Model))
}

/// The service, else the workload, else the host. `unknown_service` is what an SDK writes that was not told.
fn caller<'a>(fields: &Fields<'a>) -> Cow<'a, str> {
    let service = fields.text(Path::Service).filter(|name| !name.starts_with("unknown_service"));
    let workloads = [Path::Deployment, Path::StatefulSet, Path::DaemonSet, Path::CronJob, Path::Function];
    let of_pod = || part(&fields.text(Path::Pod)?, |pod| Some(workload_of_pod(pod)));
    let named = service.or_else(|| fields.first(workloads)).or_else(of_pod);
    named.or_else(|| fields.first([Path::Host, Path::LocalAddress, Path::LocalAddressOld])).unwrap_or_default()
}

/// A span has an id within its trace; the span of a log record may have many.
fn record_id<'a>(fields: &Fields<'a>, is_span: bool) -> Option<Cow<'a, str>> {
    let span = fields.text(Path::Span).filter(|_| is_span);
    match (fields.text(Path::Trace), span) {
        (Some(trace), Some(span)) => Some(format!("{trace}{span}").into()),
        _ => fields.text(Path::LogId),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn reading(record: &str) -> Reading<'_> {
        FORMAT_KIND.decode(record).unwrap()
    }

    fn call(record: &str) -> Call<'_> {
        reading(record).call().unwrap()
    }

    #[test]
    fn a_client_span_gives_the_call_and_its_latency_to_the_nanosecond() {
        let call = call(SAMPLE);
        assert_eq!((call.time, call.latency_ms), (1_788_220_800_905_000, Some(418.605_259)));
        assert_eq!(
            (&*call.caller, &*call.host, call.path.as_deref()),
            ("billing", "api.stripe.com", Some("/v1/charges"))
        );
        assert_eq!((call.method.as_deref(), call.status, call.outcome), (Some("POST"), Some(200), Some(Outcome::Ok)));
        assert_eq!(call.record_id.as_deref(), Some("963bab3a466bc61344f7711006627ab700f067aa0ba902b7"));
        assert_eq!((call.bytes_out, call.bytes_in, call.tls_version), (None, None, None));
    }

    #[test]
    fn the_names_until_2023_are_read_and_a_span_that_failed_without_a_status_had_no_answer() {
        let record = r#"{"service.name":"unknown_service:java","k8s.pod.name":"crm-7d4b9c6f5d-x2x7k","http.method":"GET",
            "http.url":"http://api.x.io:8080/a?b=c","net.peer.name":"proxy","http.request_content_length":12,"http.user_agent":"okhttp",
            "otlp.kind":"SPAN_KIND_CLIENT","otlp.startTimeUnixNano":1788220800905000000,"otlp.endTimeUnixNano":"0",
            "otlp.status":{"code":2,"message":"timeout"},"error.type":"timeout"}"#;
        let call = call(record);
        assert_eq!((&*call.caller, &*call.host, call.path.as_deref()), ("crm", "api.x.io:8080", Some("/a?b=c")));
        assert_eq!((call.bytes_out, call.latency_ms, call.status), (Some(12), None, None));
        assert_eq!((call.outcome, call.user_agent.as_deref()), (Some(Outcome::NoResponse), Some("okhttp")));
        assert_eq!(call.record_id, None);
    }

    #[test]
    fn a_log_record_takes_the_time_that_is_known_and_the_lengths_of_its_headers() {
        let record = r#"{"host.name":"web-1","url.full":"https://api.x.io/a","http.request.method":"_OTHER","http.request.method_original":"PURGE",
            "http.request.header.authorization":["Bearer k1"],"http.response.header.content-length":["512"],"http.response.status_code":404,
            "otlp.timeUnixNano":"0","otlp.observedTimeUnixNano":"1788220800905000000","otlp.traceId":"ab","otlp.spanId":"cd"}"#;
        let call = call(record);
        assert_eq!((call.time, call.bytes_in, call.latency_ms), (1_788_220_800_905_000, Some(512), None));
        assert_eq!((call.credential.as_deref(), call.method.as_deref()), (Some("k1"), Some("PURGE")));
        assert_eq!((call.outcome, call.record_id), (Some(Outcome::ClientError), None));
    }

    #[test]
    fn calls_by_grpc_and_to_a_model_are_calls_and_failures_under_a_200_are_failures() {
        let span = |rest: &str| format!(r#"{{"otlp.kind":3,"otlp.startTimeUnixNano":"1788220800905000000",{rest}}}"#);
        let record = span(
            r#""rpc.system":"grpc","rpc.service":"a.B","rpc.method":"C","server.address":"x.io","rpc.grpc.status_code":"7""#,
        );
        let rpc = call(&record);
        assert_eq!(
            (rpc.method.as_deref(), rpc.path.as_deref(), rpc.outcome),
            (Some("POST"), Some("/a.B/C"), Some(Outcome::Denied))
        );
        let record = span(
            r#""gen_ai.operation.name":"chat","gen_ai.request.model":"gpt-4o","server.address":"api.openai.com",
            "gen_ai.usage.input_tokens":"812","gen_ai.usage.completion_tokens":40,"error.type":"429""#,
        );
        let model = call(&record);
        assert_eq!(
            (model.operation.as_deref(), model.tokens_in, model.tokens_out),
            (Some("chat gpt-4o"), Some(812), Some(40))
        );
        assert_eq!(model.outcome, Some(Outcome::Throttled));
        let record = span(r#""http.response.status_code":200,"url.full":"https://x.io/","otlp.status":{"code":2}"#);
        assert_eq!(call(&record).outcome, Some(Outcome::ServerError));
    }

    #[test]
    fn an_operation_of_graphql_is_named_by_its_attributes() {
        let record = r#"{"otlp.kind":3,"otlp.startTimeUnixNano":"1788220800905000000","url.full":"https://api.x.io/graphql",
            "http.request.method":"POST","graphql.operation.type":"mutation","graphql.operation.name":"CreateCharge"}"#;
        assert_eq!(call(record).graphql.as_deref(), Some("mutation CreateCharge"));
    }

    #[test]
    fn spans_of_servers_and_of_other_work_are_no_calls() {
        let of = |rest: &str| format!(r#"{{"otlp.startTimeUnixNano":"1788220800905000000",{rest}}}"#);
        for (rest, kind) in [
            (r#""otlp.kind":2,"http.request.method":"GET""#, "inbound"),
            (r#""otlp.kind":1,"http.request.method":"GET""#, "no_http"),
            (r#""otlp.kind":3,"db.system":"postgresql","server.address":"db""#, "no_http"),
        ] {
            let record = of(rest);
            assert!(matches!(reading(&record), Reading::NotACall(found) if found == kind), "{rest}");
        }
    }
}
