//! AWS Application Load Balancer: access logs, a line a request. Calls to an interface of one's own, by the client's address.
//!
//! Traps: the line's time is that of the end, `request_creation_time` that of the start; times of -1 were not reached; lines grow: fields
//! past those that we know are left alone. A request that could not be read is `- http://host:80- -`. Status 460 is a client that left.
//!
//! Not here: logs of network and classic load balancers, which have other columns.
//!
//! Source: docs.aws.amazon.com, "Access logs for your Application Load Balancer".

use super::url::{Url, part, without_port};
use super::{FormatKind, Probe, Reading};
use crate::calls::{Call, Outcome, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;
use crate::ingest::time::parse_rfc3339;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "alb",
    summary: "AWS Application Load Balancer: access logs",
    view: View::Egress,
    sample: SAMPLE,
    looks_like: |_: &Probe<'_>| false,
    paths: &PATHS,
    line: Some(line),
    read,
};

const SAMPLE: &str = "https 2026-09-01T00:00:00.989641Z app/edge/50dc6c495c0c9188 203.0.113.7:2817 10.0.0.1:80 0.001 0.048 0.035 200 200 412 \
1057 \"GET https://api.acme.io:443/v1/orders?p=1 HTTP/1.1\" \"curl/8.5.0\" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 \
arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/orders/73e2d6bc24d8a067 \"Root=1-58337262-36d228ad5d99923122bbe354\" \
\"api.acme.io\" \"arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012\" 0 2026-09-01T00:00:00.905000Z \
\"forward\" \"-\" \"-\" \"10.0.0.1:80\" \"200\" \"-\" \"-\" TID_1234abcd5678ef90";

const KINDS: [&str; 6] = ["http", "https", "h2", "grpcs", "ws", "wss"];
const MILLISECONDS: f64 = 1e3;
const CLIENT_LEFT: u16 = 460;
/// Columns up to the trace id: older lines end there.
const MIN_COLUMNS: usize = 18;

paths! { Path:
    End = "time",
    Balancer = "elb",
    Client = "client:port",
    RequestTime = "request_processing_time",
    TargetTime = "target_processing_time",
    ResponseTime = "response_processing_time",
    Status = "elb_status_code",
    Received = "received_bytes",
    Sent = "sent_bytes",
    Request = "request",
    UserAgent = "user_agent",
    Protocol = "ssl_protocol",
    Trace = "trace_id",
    Domain = "domain_name",
    Start = "request_creation_time",
}

/// The columns in their order; those that are not read have no path.
const COLUMNS: [Option<Path>; 22] = [
    None, // type
    Some(Path::End),
    Some(Path::Balancer),
    Some(Path::Client),
    None, // target:port
    Some(Path::RequestTime),
    Some(Path::TargetTime),
    Some(Path::ResponseTime),
    Some(Path::Status),
    None, // target_status_code
    Some(Path::Received),
    Some(Path::Sent),
    Some(Path::Request),
    Some(Path::UserAgent),
    None, // ssl_cipher
    Some(Path::Protocol),
    None, // target_group_arn
    Some(Path::Trace),
    Some(Path::Domain),
    None, // chosen_cert_arn
    None, // matched_rule_priority
    Some(Path::Start),
];

fn line<'a>(text: &'a str, fields: &mut Fields<'a>) -> bool {
    if !KINDS.iter().any(|kind| text.strip_prefix(kind).is_some_and(|rest| rest.starts_with(' '))) {
        return false;
    }
    let columns: Vec<&str> = Columns(text).take(COLUMNS.len()).collect();
    let is_line = columns.len() >= MIN_COLUMNS
        && matches!(&columns[..], [_, time, balancer, _, _, _, _, _, status, ..]
            if parse_rfc3339(time).is_some() && balancer.contains('/') && is_status(status));
    if is_line {
        let known = COLUMNS.into_iter().zip(columns).filter_map(|(path, column)| Some((path?, column)));
        known.for_each(|(path, column)| fields.set(path, column));
    }
    is_line
}

fn is_status(text: &str) -> bool {
    text == "-" || (text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Words between blanks, or texts between quotes with their escapes as they stand.
struct Columns<'a>(&'a str);

impl<'a> Iterator for Columns<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let (column, rest) = match text.strip_prefix('"') {
            Some(quoted) => {
                let is_end = |at: usize| quoted.as_bytes()[at] == b'"' && !quoted[..at].ends_with('\\');
                let end = memchr::memchr_iter(b'"', quoted.as_bytes()).find(|at| is_end(*at))?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None if text.is_empty() => return None,
            None => text.split_once(' ').unwrap_or((text, "")),
        };
        self.0 = rest;
        Some(column)
    }
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let request = fields.text(Path::Request).unwrap_or_default();
    let word = |at: usize| part(&request, |request| request.split(' ').nth(at)).filter(|word| word != "-");
    let url = word(1).unwrap_or_default();
    let of_url = |cut: for<'t> fn(Url<'t>) -> Option<&'t str>| part(&url, |url| cut(Url::cut(url)));
    // Of a request that could not be read the host ends in a dash.
    let host = of_url(|url| url.host).filter(|host| !host.ends_with('-'));
    let client = fields.text(Path::Client).and_then(|client| part(&client, |client| Some(address(client))));
    let (status, no_answer) = fields.answer(Path::Status);
    let trace =
        fields.text(Path::Trace).and_then(|trace| part(&trace, |trace| trace.split("Root=").nth(1)?.split(';').next()));
    let parts = [Path::RequestTime, Path::TargetTime, Path::ResponseTime].map(|path| fields.real(path));
    let seconds = parts.into_iter().sum::<Option<f64>>();
    Ok(Reading::Call(Call {
        time: fields.first_time([Path::Start, Path::End]),
        view: View::Egress,
        caller: client.clone().unwrap_or_default(),
        host: host.or_else(|| fields.first([Path::Domain, Path::Balancer])).unwrap_or_default(),
        scheme: of_url(|url| url.scheme),
        method: word(0),
        path: of_url(|url| url.path),
        status,
        outcome: no_answer.or_else(|| (status == Some(CLIENT_LEFT)).then_some(Outcome::NoResponse)),
        bytes_out: fields.whole(Path::Received),
        bytes_in: fields.whole(Path::Sent),
        latency_ms: seconds.map(|seconds| seconds * MILLISECONDS),
        tls_version: fields.text(Path::Protocol),
        src_ip: client,
        user_agent: fields.text(Path::UserAgent),
        trace_id: trace,
        ..Call::default()
    }))
}

/// The address of `address:port`, where the port is always there and an IPv6 address may stand without brackets.
fn address(client: &str) -> &str {
    if client.starts_with('[') {
        return without_port(client);
    }
    client.rsplit_once(':').map_or(client, |(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        assert_eq!(FormatKind::detect(record).unwrap().name, "alb");
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn a_line_is_a_call_at_its_start_with_its_three_times_together() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_800_905_000, "203.0.113.7", "api.acme.io:443"));
        assert_eq!((call.bytes_out, call.bytes_in, call.status), (Some(412), Some(1057), Some(200)));
        assert!((call.latency_ms.unwrap() - 84.0).abs() < 1e-9);
        assert_eq!((call.method.as_deref(), call.path.as_deref()), (Some("GET"), Some("/v1/orders?p=1")));
        assert_eq!(
            (call.tls_version.as_deref(), call.trace_id.as_deref()),
            (Some("TLSv1.2"), Some("1-58337262-36d228ad5d99923122bbe354"))
        );
    }

    #[test]
    fn a_request_that_could_not_be_read_and_a_target_that_was_not_reached_leave_unknowns() {
        let line = "http 2018-11-30T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 2001:db8::7:2817 - -1 -1 -1 460 - 34 0 \
            \"- http://my-loadbalancer.elb.amazonaws.com:80- -\" \"-\" - - - \"Self=1-a;Root=1-58337364-23a8c76965a2ef7629b185e3\"";
        let call = call(line);
        assert_eq!((&*call.caller, &*call.host), ("2001:db8::7", "app/my-loadbalancer/50dc6c495c0c9188"));
        assert_eq!((call.latency_ms, call.method, call.tls_version, call.user_agent), (None, None, None, None));
        assert_eq!((call.outcome, call.time), (Some(Outcome::NoResponse), 1_543_616_580_186_641));
    }

    #[test]
    fn a_user_agent_may_hold_quotes_and_a_client_may_stand_in_brackets() {
        let line = SAMPLE
            .replace("curl/8.5.0", r#"a \"b\" c"#)
            .replace("203.0.113.7:2817", "[2001:db8::1]:443")
            .replace("https 2", "h2 2");
        let call = call(&line);
        assert_eq!((call.user_agent.as_deref(), &*call.caller), (Some(r#"a \"b\" c"#), "2001:db8::1"));
    }

    #[test]
    fn other_lines_are_not_taken() {
        let classic = "2015-05-13T23:39:43.945958Z my-elb 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001 0.00005 200 200 0 29 \"GET / HTTP/1.1\" \"c\" - -";
        for line in [
            classic,
            "",
            "https",
            "https \"",
            "h2 \u{e9}\"\u{e9} x",
            "http 2018-11-30T22:23:00.186641Z app/a \"open",
            &SAMPLE[..200],
        ] {
            assert!(FormatKind::detect(line).is_none_or(|format| format.name != "alb"), "{line}");
            assert!(FORMAT_KIND.decode(line).is_err());
        }
    }
}
