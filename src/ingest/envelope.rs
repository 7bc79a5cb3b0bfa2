//! Envelopes: what shippers, buses and clouds wrap around records. Opened only where no format could read the outside.
//!
//! One table, [`ENVELOPES`]: each names the keys that mark it and takes the records out. What is inside is text, or JSON as it is
//! written; base64 is decoded, and what is compressed below it inflated.
//!
//! Not here: lists of records and compression of a whole payload (`payload`), and OTLP (`otlp`), whose records are spread over lists.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fields::Fields;
use super::formats::{FormatKind, Probe};
use super::json::{elements, text_of};
use super::otlp;
use super::paths::paths;
use super::payload::Codec;
use crate::calls::workload_of_pod;

/// Longest content of base64 inside an envelope, bytes.
const MAX_INFLATED: usize = 64 << 20;

/// What an envelope holds.
#[derive(Debug, PartialEq)]
pub(super) struct Inside<'a> {
    /// The records.
    pub records: Vec<Enclosed<'a>>,
    /// The workload that the shipper found them at: the caller, unless a record knows better.
    pub caller: Option<Cow<'a, str>>,
}

/// A record inside an envelope.
#[derive(Debug, PartialEq)]
pub(super) struct Enclosed<'a> {
    pub text: Cow<'a, str>,
    /// The service that the envelope says logged it: the caller, unless the record knows more than an address.
    pub service: Option<Cow<'a, str>>,
}

impl<'a> From<Cow<'a, str>> for Enclosed<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self { text, service: None }
    }
}

/// What came of opening a record.
#[derive(Debug, PartialEq)]
pub(super) enum Opened<'a> {
    /// There were records inside, perhaps none.
    Inside(Inside<'a>),
    /// It is a message of the bus itself, under its name in metrics.
    NotACall(&'static str),
}

/// A kind of envelope: takes out what is inside, `None` where the record is none of it.
type Open = for<'a> fn(&Probe<'a>) -> Option<Opened<'a>>;

/// Whether a line of text is a record by what the user declared.
pub(super) type Knows<'k> = &'k dyn Fn(&str) -> bool;

/// Every envelope of JSON that is known by its keys alone, in the order in which they are tried; what shippers read comes last.
const ENVELOPES: &[Open] =
    &[connect, cloudwatch, event_bridge, cloud_event, pub_sub, notification, list, element, zeek, audit_data];

/// Keys under which a file, a bus or an interface lists records.
const LISTS: [&str; 8] = ["Records", "records", "Events", "events", "logEvents", "value", "items", "entries"];
/// Keys under which shippers put the line that they read.
const LINES: [&str; 9] = ["message", "log", "MESSAGE", "line", "_raw", "raw", "full_message", "short_message", "body"];

/// The records inside a record, if it is an envelope. What is text in it must be a line of a known format, or one that `knows` does.
pub(super) fn open<'a>(record: &'a str, knows: Knows<'_>) -> Option<Opened<'a>> {
    if !record.starts_with('{') {
        return line(record).map(|inside| inside_of(vec![Cow::Borrowed(inside)]));
    }
    let probe = Probe::of(record).ok()?;
    let known = || ENVELOPES.iter().find_map(|open| open(&probe)).or_else(|| shipped(&probe, knows));
    otlp(&probe, knows).or_else(known).map(|opened| match opened {
        Opened::Inside(inside) => Opened::Inside(Inside { caller: workload(record), ..inside }),
        other => other,
    })
}

fn inside_of(records: Vec<Cow<'_, str>>) -> Opened<'_> {
    Opened::Inside(Inside { records: records.into_iter().map(Enclosed::from).collect(), caller: None })
}

/// A value as a record: an object as it is written, or the text that holds one.
fn record_of(value: &str) -> Option<Cow<'_, str>> {
    if value.starts_with('{') { Some(value.into()) } else { text_of(value).filter(|text| !text.trim().is_empty()) }
}

/// Whether a text is a record by itself: JSON, or a line of a known format.
fn is_record(text: &str, knows: Knows<'_>) -> bool {
    text.trim().starts_with(['{', '[']) || is_line(text, knows)
}

/// Whether a text is a line of a known format, perhaps behind a prefix.
fn is_line(text: &str, knows: Knows<'_>) -> bool {
    let text = text.trim();
    FormatKind::detect(text).is_some() || knows(text) || line(text).is_some_and(|text| is_record(text, knows))
}

fn otlp<'a>(probe: &Probe<'a>, knows: Knows<'_>) -> Option<Opened<'a>> {
    let records = otlp::records(probe, &|text| is_line(text, knows))?;
    let records =
        records.into_iter().map(|(text, service)| Enclosed { text: text.into(), service: service.map(Cow::Owned) });
    Some(Opened::Inside(Inside { records: records.collect(), caller: None }))
}

/// Kafka Connect's JSON converter: `schema` and `payload`.
fn connect<'a>(probe: &Probe<'a>) -> Option<Opened<'a>> {
    let payload = probe.raw("schema").and_then(|_| probe.raw("payload"))?;
    Some(match record_of(payload) {
        Some(record) => inside_of(vec![record]),
        None if payload == "null" => Opened::NotACall("tombstone"),
        None => return None,
    })
}

/// A subscription of CloudWatch Logs.
fn cloudwatch<'a>(probe: &Probe<'a>) -> Option<Opened<'a>> {
    let kind = probe.text("messageType")?;
    if kind == "CONTROL_MESSAGE" {
        return Some(Opened::NotACall("control_message"));
    }
    let events = elements(probe.raw("logEvents")?);
    let message = |event: &str| Probe::of(event).ok().and_then(|event| record_of(event.raw("message")?).map(owned));
    Some(inside_of(events.into_iter().map(|event| message(event).unwrap_or(Cow::Borrowed(event))).collect()))
}

fn owned<'b>(text: Cow<'_, str>) -> Cow<'b, str> {
    Cow::Owned(text.into_owned())
}

/// Amazon EventBridge.
fn event_bridge<'a>(probe: &Probe<'a>) -> Option<Opened<'a>> {
    probe.text("detail-type")?;
    Some(inside_of(vec![record_of(probe.raw("detail")?)?]))
}

/// CloudEvents in structured mode (cloudevents.io, JSON format 1.0).
fn cloud_event<'a>(probe: &Probe<'a>) -> Option<Opened<'a>> {
    probe.raw("specversion")?;
    if let Some(encoded) = probe.text("data_base64") {
        return Some(inside_of(decoded(&encoded)?));
    }
    let data = probe.raw("data")?;
    Some(match data.starts_with('[') {
        true => inside_of(elements(data).into_iter().map(Cow::Borrowed).collect()),
        false => inside_of(vec![record_of(data)?]),
    })
}

/// A push message of Google Pub/Sub.
fn pub_sub<'a>(probe: &Probe<'a>) -> Option<Opened<'a>> {
    let message = probe.inside("message")?;
    Some(inside_of(decoded(&message.text("data")?)?))
}

/// A notification of Amazon SNS.
fn notification<'a>(probe: &Probe<'a>) -> Option<Opened<'a>> {
    (probe.text("Type").as_deref() == Some("Notification")).then_some(())?;
    Some(inside_of(vec![record_of(probe.raw("Message")?)?]))
}

/// Lists of records under a key of their own, each perhaps wrapped once more: Kinesis, Firehose, SQS, SNS, `lookup-events`, Event Hubs, HAR.
fn list<'a>(probe: &Probe<'a>) -> Option<Opened<'a>> {
    let of = |probe: &Probe<'a>| LISTS.iter().find_map(|key| probe.raw(key)).filter(|list| list.starts_with('['));
    let nested = || ["data", "log"].iter().find_map(|key| of(&probe.inside(key)?));
    let list = of(probe).or_else(nested)?;
    let mut records = Vec::new();
    for element in elements(list) {
        match Probe::of(element).ok().and_then(|element| wrapped(&element)) {
            Some(inside) => records.extend(inside.into_iter().map(owned)),
            // What is no record is rejected like any other.
            None => records.push(record_of(element).unwrap_or(Cow::Borrowed(element))),
        }
    }
    Some(inside_of(records))
}

/// An element of such a list that comes by itself.
fn element<'a>(probe: &Probe<'a>) -> Option<Opened<'a>> {
    wrapped(probe).map(inside_of)
}

/// A record of Zeek's Kafka writer: its log's name as the only key.
fn zeek<'a>(probe: &Probe<'a>) -> Option<Opened<'a>> {
    let mut keys = probe.keys();
    let name = keys.next().filter(|name| matches!(*name, "http" | "ssl" | "conn" | "dns"))?;
    keys.next().is_none().then(|| probe.raw(name)).flatten().and_then(record_of).map(|record| inside_of(vec![record]))
}

/// What an element of a list wraps.
fn wrapped<'a>(probe: &Probe<'a>) -> Option<Vec<Cow<'a, str>>> {
    let data = probe.inside("kinesis").and_then(|kinesis| kinesis.text("data")).or_else(|| probe.text("data"));
    let data = data.or_else(|| probe.inside("awslogs")?.text("data"));
    if let Some(records) =
        data.and_then(|data| decoded(&data)).filter(|records| records.iter().all(|text| is_record(text, &|_| false)))
    {
        return Some(records);
    }
    let event = probe.text("CloudTrailEvent");
    let event = event.or_else(|| probe.inside("Sns")?.text("Message"));
    let event = event.or_else(|| probe.text("messageId").and_then(|_| probe.text("body")));
    event.map(|event| vec![event])
}

/// An export of the unified audit log of Microsoft 365: the event is text in a column.
fn audit_data<'a>(probe: &Probe<'a>) -> Option<Opened<'a>> {
    Some(inside_of(vec![probe.text("AuditData").filter(|text| text.starts_with('{'))?]))
}

/// A line that a shipper read, or the text of the event beside what an ingest pipeline made of it.
fn shipped<'a>(probe: &Probe<'a>, knows: Knows<'_>) -> Option<Opened<'a>> {
    let original = || probe.inside("event")?.text("original");
    let lines = LINES.iter().filter_map(|key| record_of(probe.raw(key)?));
    let dotted = probe.text("event.original");
    let carried = lines.chain(dotted).chain(original());
    Some(inside_of(vec![carried.into_iter().find(|text| is_record(text, knows))?]))
}

/// The records in base64, perhaps compressed, one or several.
fn decoded<'a>(encoded: &str) -> Option<Vec<Cow<'a, str>>> {
    let bytes = STANDARD.decode(encoded.trim()).ok()?;
    let bytes = match Codec::of(&bytes) {
        Some(codec) => {
            let mut inflated = Vec::new();
            codec.inflate(&bytes, MAX_INFLATED, &mut inflated).ok()?;
            inflated
        }
        None => bytes,
    };
    Some(vec![Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())])
}

/// What stands behind a syslog header (RFC 5424 or 3164) or the prefix of a Kubernetes log file.
fn line(text: &str) -> Option<&str> {
    kubernetes(text).or_else(|| syslog(text))
}

/// `2026-09-01T00:00:00.9Z stdout F …`
fn kubernetes(text: &str) -> Option<&str> {
    let mut parts = text.splitn(4, ' ');
    let (time, stream, flag, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_prefix = super::time::parse_rfc3339(time).is_some() && matches!(stream, "stdout" | "stderr") && flag == "F";
    is_prefix.then_some(rest.trim())
}

fn syslog(text: &str) -> Option<&str> {
    let Some(framed) = text.strip_prefix('<') else { return syslog_of_file(text) };
    let (priority, rest) = framed.split_once('>')?;
    priority.parse::<u16>().ok().filter(|priority| *priority < 192)?;
    if let Some(rest) = rest.strip_prefix("1 ") {
        // Time, host, application, process, message id; then structured data, which may hold blanks between brackets.
        let body = rest.splitn(6, ' ').nth(5)?;
        let body = match body.strip_prefix('[') {
            Some(_) => body.rsplit_once("] ").map_or("", |(_, body)| body),
            None => body.strip_prefix("- ").unwrap_or(body),
        };
        return Some(body.trim_start_matches('\u{feff}').trim());
    }
    // `Sep 15 08:00:00 host program[7]: …`
    rest.split_once(": ").map(|(_, body)| body.trim())
}

/// `2026-09-15T08:00:00+00:00 host program[7]: …`, `Sep 15 08:00:00 host program: …`: rsyslog's templates for files, which it sends as well
/// where nobody names another.
fn syslog_of_file(text: &str) -> Option<&str> {
    let (time, rest) = text.split_once(' ')?;
    let rest = match super::time::parse_rfc3339(time) {
        Some(_) => rest,
        None => {
            let stamp = text.get(..15)?.as_bytes();
            let marks = [(3, b' '), (6, b' '), (9, b':'), (12, b':')];
            let is_stamp = stamp[0].is_ascii_uppercase() && marks.iter().all(|(at, mark)| stamp[*at] == *mark);
            text.get(15..).filter(|_| is_stamp)?.strip_prefix(' ')?
        }
    };
    let (head, body) = rest.split_once(": ")?;
    (head.split(' ').count() == 2).then(|| body.trim())
}

paths! { Path:
    Service = "service.name",
    Deployment = "kubernetes.deployment.name",
    StatefulSet = "kubernetes.statefulset.name",
    DaemonSet = "kubernetes.daemonset.name",
    Label = "kubernetes.labels.app.kubernetes.io/name",
    LabelDeDotted = "kubernetes.labels.app_kubernetes_io/name",
    App = "kubernetes.labels.app",
    Pod = "kubernetes.pod.name",
    PodFluent = "kubernetes.pod_name",
    Host = "host.name",
    HostText = "host",
}

/// The workload that a shipper found a record at; where that was no pod, the host.
fn workload(record: &str) -> Option<Cow<'_, str>> {
    let mut fields = Fields::new(&PATHS, None);
    fields.read(record).ok()?;
    let owners = [
        Path::Service,
        Path::Deployment,
        Path::StatefulSet,
        Path::DaemonSet,
        Path::Label,
        Path::LabelDeDotted,
        Path::App,
    ];
    let of_pod = || {
        let pod = fields.first([Path::Pod, Path::PodFluent])?;
        Some(Cow::Owned(workload_of_pod(&pod).to_owned()))
    };
    fields.first(owners).or_else(of_pod).or_else(|| fields.first([Path::Host, Path::HostText]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Vec<String> {
        match open(text, &|_| false) {
            Some(Opened::Inside(inside)) => inside.records.into_iter().map(|record| record.text.into_owned()).collect(),
            Some(Opened::NotACall(kind)) => vec![format!("not a call: {kind}")],
            None => Vec::new(),
        }
    }

    #[test]
    fn every_envelope_gives_what_is_inside() {
        let packed = STANDARD.encode(r#"{"a":1}"#);
        let gzip = {
            use std::io::Write;
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(br#"{"a":1}"#).unwrap();
            STANDARD.encode(gzip.finish().unwrap())
        };
        for envelope in [
            r#"{"schema":{"type":"string"},"payload":"{\"a\":1}"}"#.to_owned(),
            r#"{"schema":null,"payload":{"a":1}}"#.to_owned(),
            r#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":"{\"a\":1}"}]}"#.to_owned(),
            r#"{"detail-type":"x","detail":{"a":1}}"#.to_owned(),
            r#"{"specversion":"1.0","data":{"a":1}}"#.to_owned(),
            format!(r#"{{"specversion":"1.0","data_base64":"{packed}"}}"#),
            format!(r#"{{"message":{{"data":"{packed}","messageId":"7"}},"subscription":"s"}}"#),
            r#"{"Type":"Notification","Message":"{\"a\":1}"}"#.to_owned(),
            format!(r#"{{"Records":[{{"kinesis":{{"data":"{gzip}"}}}}]}}"#),
            format!(r#"{{"requestId":"r","records":[{{"data":"{packed}"}}]}}"#),
            format!(r#"{{"kinesis":{{"data":"{gzip}"}},"eventSource":"aws:kinesis"}}"#),
            format!(r#"{{"awslogs":{{"data":"{gzip}"}}}}"#),
            r#"{"http":{"a":1}}"#.to_owned(),
            r#"{"Events":[{"EventId":"e","CloudTrailEvent":"{\"a\":1}"}]}"#.to_owned(),
            r#"{"x":0,"Records":[{"a":1}]}"#.to_owned(),
            r#"{"data":{"events":[{"a":1}]}}"#.to_owned(),
            r#"{"log":{"version":"1.2","entries":[{"a":1}]}}"#.to_owned(),
            r#"{"RecordType":1,"AuditData":"{\"a\":1}"}"#.to_owned(),
            r#"{"log":"{\"a\":1}","stream":"stdout"}"#.to_owned(),
            r#"{"event":{"original":"{\"a\":1}"}}"#.to_owned(),
            r#"<134>1 2026-09-01T00:00:00Z host app 1 - - {"a":1}"#.to_owned(),
            r#"<134>Sep  1 00:00:00 host app[7]: {"a":1}"#.to_owned(),
            r#"2026-09-01T00:00:00.9Z stdout F {"a":1}"#.to_owned(),
            r#"2026-09-01T00:00:00+00:00 host nginx: {"a":1}"#.to_owned(),
            r#"Sep  1 00:00:00 host app[7]: {"a":1}"#.to_owned(),
        ] {
            assert_eq!(records(&envelope), [r#"{"a":1}"#], "{envelope}");
        }
        assert_eq!(records(r#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#), ["not a call: control_message"]);
        assert_eq!(records(r#"{"schema":null,"payload":null}"#), ["not a call: tombstone"]);
        for other in [r#"{"message":"GET / 200"}"#, r#"{"a":1}"#, "plain text", r#"{"message":"{id=5} done"#] {
            assert!(records(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn a_line_that_only_the_user_knows_is_taken_out_too() {
        let text = r#"{"message":"own line","input":{"type":"log"}}"#;
        assert_eq!(open(text, &|_| false), None);
        assert_eq!(open(text, &|line| line == "own line"), Some(inside_of(vec!["own line".into()])));
    }

    #[test]
    fn a_shipped_line_comes_out_with_the_workload_it_was_found_at() {
        let text = r#"{"message":"{\"a\":1}","host":{"name":"web-1"},"kubernetes":{"deployment":{"name":"billing"}}}"#;
        let Some(Opened::Inside(inside)) = open(text, &|_| false) else { panic!() };
        assert_eq!(inside.caller.as_deref(), Some("billing"));
    }
}
