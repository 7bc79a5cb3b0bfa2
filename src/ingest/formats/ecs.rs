//! Elastic Common Schema: what an egress proxy, a client library or Packetbeat logs of one HTTP call.
//!
//! `http.request.bytes` has the headers in it, `http.request.body.bytes` has not, and stands in only where the former is absent. `cloud.*` is where the caller runs: our own cloud
//! account, never the vendor's, so the account of a call stays unknown.
//!
//! Source: elastic.co, "ECS field reference".

use std::borrow::Cow;

use super::graphql;
use super::outcome::{of_grpc, of_status_and_word, of_word};
use super::url::{Url, credential, kind, part};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, View, workload_of_pod};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "ecs",
    summary: "Elastic Common Schema: HTTP calls as Elastic's shippers, proxies and loggers write them, and audit events in its shape",
    view: View::Egress,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"@timestamp":"2026-09-01T00:00:00.905Z","ecs":{"version":"8.17.0"},"event":{"duration":418605259,"outcome":"success"},
"service":{"name":"crm-sync"},"source":{"ip":"10.20.3.180"},"destination":{"domain":"acme.my.salesforce.com","port":443},
"url":{"scheme":"https","domain":"acme.my.salesforce.com","path":"/services/data/v59.0/query"},
"http":{"request":{"method":"GET","bytes":663},"response":{"status_code":200,"bytes":12179}},
"user_agent":{"original":"node-fetch/3.3.2"},"labels":{"credential_id":"sf_ZKNDBcHf"},"tls":{"version":"1.3"}}"#;

const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;
/// Values of `event.category` that tell of what was done at a vendor, not of a call on the wire.
const AUDIT_CATEGORIES: [&str; 6] = ["iam", "database", "configuration", "authentication", "file", "session"];

paths! { Path:
    Timestamp = "@timestamp",
    Start = "event.start",
    EventId = "event.id",
    Duration = "event.duration",
    Outcome = "event.outcome",
    Action = "event.action",
    Category = "event.category",
    Dataset = "event.dataset",
    Module = "event.module",
    Provider = "event.provider",
    ErrorCode = "error.code",
    ErrorType = "error.type",
    Direction = "network.direction",
    Service = "service.name",
    Deployment = "kubernetes.deployment.name",
    StatefulSet = "kubernetes.statefulset.name",
    DaemonSet = "kubernetes.daemonset.name",
    CronJob = "kubernetes.cronjob.name",
    Job = "kubernetes.job.name",
    PodLabel = "kubernetes.labels.app.kubernetes.io/name",
    PodLabelDeDotted = "kubernetes.labels.app_kubernetes_io/name",
    PodApp = "kubernetes.labels.app",
    Pod = "kubernetes.pod.name",
    PodFluent = "kubernetes.pod_name",
    Host = "host.name",
    Hostname = "host.hostname",
    HostText = "host",
    UserName = "user.name",
    UserEmail = "user.email",
    UserId = "user.id",
    Organization = "organization.id",
    Account = "cloud.account.id",
    SourceIp = "source.ip",
    SourceAddress = "source.address",
    ClientIp = "client.ip",
    ClientAddress = "client.address",
    Destination = "destination.domain",
    DestinationAddress = "destination.address",
    DestinationIp = "destination.ip",
    Server = "server.domain",
    ServerAddress = "server.address",
    ServerName = "tls.client.server_name",
    Http = "http",
    Url = "url",
    UrlFull = "url.full",
    UrlOriginal = "url.original",
    UrlScheme = "url.scheme",
    UrlDomain = "url.domain",
    UrlTarget = "url.path",
    UrlQuery = "url.query",
    RequestId = "http.request.id",
    Method = "http.request.method",
    BytesOut = "http.request.bytes",
    BodyOut = "http.request.body.bytes",
    RequestType = "http.request.mime_type",
    RequestBody = "http.request.body.content",
    ResponseBody = "http.response.body.content",
    Location = "http.response.headers.location",
    ApiVersion = "http.request.headers.api-version",
    StripeVersion = "http.request.headers.stripe-version",
    AnthropicVersion = "http.request.headers.anthropic-version",
    GitHubVersion = "http.request.headers.x-github-api-version",
    NotionVersion = "http.request.headers.notion-version",
    AzureVersion = "http.request.headers.x-ms-version",
    /// Of a body in GraphQL, which stands here as text.
    Operation = "http.request.body.content.operationName",
    Document = "http.request.body.content.query",
    /// ECS has no field for headers; Packetbeat and loggers write them here.
    HostHeader = "http.request.headers.host",
    Authorization = "http.request.headers.authorization",
    ApiKey = "http.request.headers.x-api-key",
    Status = "http.response.status_code",
    BytesIn = "http.response.bytes",
    BodyIn = "http.response.body.bytes",
    MimeType = "http.response.mime_type",
    ContentType = "http.response.headers.content-type",
    GrpcHeader = "http.response.headers.grpc-status",
    HttpVersion = "http.version",
    GrpcStatus = "grpc.status_code",
    RpcGrpcStatus = "rpc.grpc.status_code",
    Credential = "labels.credential_id",
    UserAgent = "user_agent.original",
    Trace = "trace.id",
    Tls = "tls.version",
    Region = "cloud.region",
    TokensIn = "gen_ai.usage.input_tokens",
    TokensOut = "gen_ai.usage.output_tokens",
    /// The names until 2024.
    PromptTokens = "gen_ai.usage.prompt_tokens",
    CompletionTokens = "gen_ai.usage.completion_tokens",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has_call = probe.has_section("http") || probe.has_section("url");
    probe.has_section("ecs") || (probe.has("@timestamp") && (has_call || probe.has("event.dataset")))
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let http = [
        Path::Http,
        Path::Method,
        Path::Status,
        Path::BytesOut,
        Path::BodyOut,
        Path::BytesIn,
        Path::BodyIn,
        Path::HttpVersion,
    ];
    let url = [Path::Url, Path::UrlFull, Path::UrlOriginal, Path::UrlDomain, Path::UrlTarget];
    let is_http = http.into_iter().chain(url).any(|path| fields.has(path));
    if let Some(direction) = fields.text(Path::Direction)
        && ["inbound", "ingress", "internal"].iter().any(|known| direction.eq_ignore_ascii_case(known))
    {
        return Ok(Reading::NotACall("inbound"));
    }
    if !fields.has(Path::Status) && fields.has(Path::Action) && is_audit(fields) {
        return audit(fields).map(Reading::Call);
    }
    Ok(if is_http { Reading::Call(egress(fields)) } else { Reading::NotACall("no_http") })
}

fn is_audit(fields: &Fields<'_>) -> bool {
    fields.texts(Path::Category).iter().any(|category| AUDIT_CATEGORIES.contains(&&**category))
}

fn egress<'a>(fields: &mut Fields<'a>) -> Call<'a> {
    let whole_url = fields.first([Path::UrlFull, Path::UrlOriginal]).unwrap_or_default();
    let of_url = |cut: for<'t> fn(Url<'t>) -> Option<&'t str>| part(&whole_url, |url| cut(Url::cut(url)));
    // Of a tunnel, proxies write the authority alone: `api.stripe.com:443`.
    let authority = || {
        part(&whole_url, |url| {
            Some(url.trim_start_matches("//")).filter(|url| url.contains(['.', '[']) && !url.contains(['/', ' ', '?']))
        })
    };
    let host = fields.text(Path::UrlDomain).or_else(|| of_url(|url| url.host)).or_else(authority);
    let names = [Path::HostHeader, Path::Destination, Path::Server, Path::ServerName];
    let addresses = [Path::DestinationAddress, Path::ServerAddress, Path::DestinationIp];
    let host = host.or_else(|| fields.first(names)).or_else(|| fields.first(addresses));
    let path = fields.text(Path::UrlTarget).or_else(|| of_url(|url| url.path));
    let is_graphql = path.as_deref().is_some_and(graphql::is_served_at);
    let operation = || graphql::of_body(fields.text(Path::Operation), fields.text(Path::Document).as_deref());
    let graphql = is_graphql.then(operation).flatten();
    let (status, no_answer) = fields.answer(Path::Status);
    let grpc = fields.first([Path::RpcGrpcStatus, Path::GrpcStatus, Path::GrpcHeader]);
    let outcome = grpc.as_deref().and_then(of_grpc).filter(|_| status.is_none_or(|status| status < 400));
    let outcome = outcome.or_else(|| of_status_and_word(status, fields.text(Path::Outcome).as_deref())).or(no_answer);
    let secret = fields.first([Path::Authorization, Path::ApiKey]).map(credential);
    let has_label = fields.has(Path::Credential);
    // Of a URL in one piece the query is behind the path.
    let of_query = |url: &str| url.find('?').map(|at| at + 1);
    let query = fields
        .text(Path::UrlQuery)
        .or_else(|| part(&whole_url, |url| url.get(of_query(url)?..)).filter(|_| fields.has(Path::UrlTarget)));
    Call {
        credential_kind: kind(fields.text(Path::Authorization).filter(|_| !has_label)),
        query,
        api_version: fields.first(VERSIONS),
        request_type: fields.text(Path::RequestType),
        request_body: fields.text(Path::RequestBody),
        response_body: fields.text(Path::ResponseBody),
        location: fields.text(Path::Location),
        time: fields.first_time([Path::Start, Path::Timestamp]),
        view: View::Egress,
        caller: caller(fields),
        credential: fields.text(Path::Credential).or(secret),
        host: host.unwrap_or_default(),
        scheme: fields.text(Path::UrlScheme).or_else(|| of_url(|url| url.scheme)),
        method: fields.text(Path::Method),
        path,
        graphql,
        content_type: fields.first([Path::MimeType, Path::ContentType]),
        status,
        outcome,
        bytes_out: fields.first_whole([Path::BytesOut, Path::BodyOut]),
        bytes_in: fields.first_whole([Path::BytesIn, Path::BodyIn]),
        tokens_in: fields.first_whole([Path::TokensIn, Path::PromptTokens]),
        tokens_out: fields.first_whole([Path::TokensOut, Path::CompletionTokens]),
        latency_ms: fields.real(Path::Duration).map(|nanoseconds| nanoseconds / NANOSECONDS_PER_MILLISECOND),
        tls_version: fields.text(Path::Tls),
        src_ip: address(fields),
        user_agent: fields.text(Path::UserAgent),
        region: fields.text(Path::Region),
        trace_id: fields.text(Path::Trace),
        record_id: fields.first([Path::EventId, Path::RequestId]),
        ..Call::default()
    }
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

/// What was done at a vendor, in the shape of ECS: the user is the principal, the data set names the vendor's product.
fn audit<'a>(fields: &mut Fields<'a>) -> Result<Call<'a>, RecordError> {
    let host = fields.first([Path::Provider, Path::Dataset, Path::Module]);
    let failure = fields.first([Path::ErrorCode, Path::ErrorType]).and_then(|code| of_word(&code));
    let outcome = fields.text(Path::Outcome).and_then(|word| of_word(&word));
    Ok(Call {
        time: fields.first_time([Path::Start, Path::Timestamp]),
        view: View::Audit,
        caller: fields.first([Path::UserName, Path::UserEmail, Path::UserId]).unwrap_or_else(|| caller(fields)),
        credential: fields.text(Path::Credential),
        host: host.ok_or_else(|| fields.missing(Path::Dataset))?,
        operation: fields.text(Path::Action),
        account: fields.first([Path::Organization, Path::Account]),
        outcome: failure.or(outcome),
        src_ip: address(fields),
        user_agent: fields.text(Path::UserAgent),
        region: fields.text(Path::Region),
        trace_id: fields.text(Path::Trace),
        record_id: fields.text(Path::EventId),
        ..Call::default()
    })
}

/// The service, else the workload of the pod, else the host. In Kubernetes the host is the node, which runs anybody's pods.
fn caller<'a>(fields: &Fields<'a>) -> Cow<'a, str> {
    let workload = [Path::Service, Path::Deployment, Path::StatefulSet, Path::DaemonSet, Path::CronJob];
    let labels = [Path::PodLabel, Path::PodLabelDeDotted, Path::PodApp];
    let pods = [Path::Job, Path::Pod, Path::PodFluent];
    let named =
        fields.first(workload).filter(|name| !name.starts_with("unknown_service")).or_else(|| fields.first(labels));
    let is_in_kubernetes = pods.iter().any(|path| fields.has(*path));
    let of_pod = || fields.first(pods).map(|pod| part(&pod, |pod| Some(workload_of_pod(pod))).unwrap_or_default());
    let host = || fields.first([Path::Host, Path::Hostname, Path::HostText]).filter(|_| !is_in_kubernetes);
    named.or_else(of_pod).or_else(host).or_else(|| fields.first([Path::SourceIp, Path::ClientIp])).unwrap_or_default()
}

/// Where the call came from, as logged: an address, or a chain of them.
fn address<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    [Path::SourceIp, Path::ClientIp, Path::SourceAddress, Path::ClientAddress]
        .into_iter()
        .find_map(|path| fields.joined(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Outcome;
    use crate::ingest::place::Shape;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
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
    fn the_operation_of_a_captured_graphql_body_is_named() {
        let record = r#"{"@timestamp":"2026-09-01T00:00:00Z","service":{"name":"crm"},"url":{"full":"https://api.x.io/graphql"},
            "http":{"request":{"method":"POST","body":{"content":"{\"query\":\"mutation Pay($c: C) { pay(card: $c) }\"}"}}}}"#;
        assert_eq!(call(record).graphql.as_deref(), Some("mutation Pay"));
        assert_eq!(call(&record.replace("/graphql", "/search")).graphql, None);
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
        let other = r#"{"@timestamp":"2026-09-01T00:00:00Z","ecs":{"version":"8"}}"#;
        assert!(matches!(FORMAT_KIND.decode(other), Ok(Reading::NotACall("no_http"))));
        let mut broken = FORMAT_KIND.fields(r#"{"@timestamp":"yesterday","http":{}}"#, None).unwrap();
        assert_eq!(read(&mut broken).unwrap().call().unwrap().time, 0);
        assert_eq!(broken.time_problem(), Some(RecordError::expected("a time", "@timestamp", Shape::Text(9))));
    }

    #[test]
    fn a_grpc_status_under_a_200_and_a_missing_status_are_what_they_are() {
        let outcome = |rest: &str| {
            let record = format!(r#"{{"@timestamp":"2026-09-01T00:00:00Z","url":{{"domain":"a.b"}},{rest}}}"#);
            call(&record).outcome
        };
        let ok = r#""http":{"response":{"status_code":200}}"#;
        assert_eq!(outcome(&format!(r#"{ok},"rpc":{{"grpc":{{"status_code":7}}}}"#)), Some(Outcome::Denied));
        assert_eq!(outcome(&format!(r#"{ok},"event":{{"outcome":"failure"}}"#)), Some(Outcome::ServerError));
        assert_eq!(outcome(r#""event":{"outcome":"success"}"#), Some(Outcome::Ok));
        assert_eq!(outcome(r#""http":{"response":{"status_code":0}}"#), Some(Outcome::NoResponse));
        assert_eq!(outcome(r#""http":{}"#), None);
    }

    #[test]
    fn the_caller_is_the_workload_and_never_the_node_of_a_cluster() {
        let caller = |rest: &str| {
            let record = format!(r#"{{"@timestamp":"2026-09-01T00:00:00Z","url":{{"domain":"a.b"}},{rest}}}"#);
            call(&record).caller.into_owned()
        };
        assert_eq!(caller(r#""host":"web-1""#), "web-1");
        assert_eq!(
            caller(r#""host":{"name":"node-7"},"kubernetes":{"pod":{"name":"billing-7d4b9c6f5d-x2x7k"}}"#),
            "billing"
        );
        assert_eq!(caller(r#""kubernetes.deployment.name":"crm","host.name":"node-7""#), "crm");
        assert_eq!(
            caller(r#""kubernetes":{"pod_name":"db-0","labels":{"app.kubernetes.io/name":"orders"}}"#),
            "orders"
        );
    }

    #[test]
    fn an_audit_event_in_the_shape_of_ecs_is_audit_and_an_inbound_one_no_call() {
        let record = r#"{"@timestamp":"2026-09-01T00:00:00Z","ecs":{"version":"8"},"event":{"category":["iam"],"action":"user.create",
            "dataset":"okta.system","outcome":"failure"},"user":{"name":"jo"},"source":{"ip":"198.51.100.7"}}"#;
        let call = call(record);
        assert_eq!((call.view, &*call.caller, &*call.host), (View::Audit, "jo", "okta.system"));
        assert_eq!((call.operation.as_deref(), call.outcome), (Some("user.create"), Some(Outcome::ClientError)));
        let inbound = SAMPLE.replace(r#""ecs""#, r#""network":{"direction":"inbound"},"ecs""#);
        assert!(matches!(FORMAT_KIND.decode(&inbound), Ok(Reading::NotACall("inbound"))));
    }
}
