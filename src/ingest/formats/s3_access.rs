//! Amazon S3 server access log: a line a request, or the same columns as JSON.
//!
//! Traps: fields are parted by blanks, times stand in brackets, texts in quotes; `-` is nothing; what is sent is the answer, and of an
//! upload the size of the object is what came in; the requester is an ARN with a session, a canonical user id, or nobody; a batch
//! deletes many objects under one request id. Keys of objects are part of the path.
//!
//! Source: docs.aws.amazon.com, "Amazon S3 server access log format".

use std::borrow::Cow;

use super::bedrock::principal_kind;
use super::cloudtrail::{name_of_arn, outcome};
use super::url::part;
use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Channel, Outcome, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "s3_access",
    summary: "Amazon S3: server access log",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: Some(line),
    read,
};

const SAMPLE: &str = r#"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be acme-exports [01/Sep/2026:00:00:01 +0000] 198.51.100.3 arn:aws:sts::123837392027:assumed-role/etl/i-0abc 3E57427F33A59F07 REST.GET.OBJECT q3/a.csv "GET /acme-exports/q3/a.csv HTTP/1.1" 200 - 2662992 3462992 70 10 "-" "aws-cli/2.15" - s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234= SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader acme-exports.s3.us-west-1.amazonaws.com TLSv1.2 - -"#;

const VENDOR: &str = "aws";
const HOST: &str = "s3.amazonaws.com";
/// Beginnings of operations.
const INTERFACES: [&str; 5] = ["REST.", "S3.", "SOAP.", "WEBSITE.", "BATCH."];
/// The requester where S3 itself acts, for a rule of the bucket.
const OWN_REQUESTERS: [&str; 2] = ["AmazonS3", "AmazonS3 - Lifecycle"];

paths! { Path:
    Owner = "bucketowner",
    Bucket = "bucket",
    Time = "time",
    Address = "remoteip",
    Requester = "requester",
    RequestId = "requestid",
    Operation = "operation",
    Key = "key",
    RequestUri = "requesturi",
    Status = "httpstatus",
    Error = "errorcode",
    BytesSent = "bytessent",
    ObjectSize = "objectsize",
    TotalTime = "totaltime",
    TurnaroundTime = "turnaroundtime",
    Referrer = "referrer",
    UserAgent = "useragent",
    Version = "versionid",
    HostId = "hostid",
    Signature = "signatureversion",
    Cipher = "ciphersuite",
    Authentication = "authenticationtype",
    HostHeader = "hostheader",
    Tls = "tlsversion",
}

/// The columns of a line, in their order.
#[rustfmt::skip]
const COLUMNS: [Path; 24] = [
    Path::Owner, Path::Bucket, Path::Time, Path::Address, Path::Requester, Path::RequestId, Path::Operation, Path::Key, Path::RequestUri,
    Path::Status, Path::Error, Path::BytesSent, Path::ObjectSize, Path::TotalTime, Path::TurnaroundTime, Path::Referrer, Path::UserAgent,
    Path::Version, Path::HostId, Path::Signature, Path::Cipher, Path::Authentication, Path::HostHeader, Path::Tls,
];
/// Columns that every line has had since the log exists.
const FEWEST_COLUMNS: usize = 17;

fn is_operation(text: &str) -> bool {
    INTERFACES.iter().any(|interface| text.starts_with(interface))
}

fn looks_like(probe: &Probe<'_>) -> bool {
    probe.has("bucket")
        && probe.has("requestid")
        && probe.text("operation").is_some_and(|operation| is_operation(&operation))
}

fn line<'a>(line: &'a str, fields: &mut Fields<'a>) -> bool {
    let columns = columns(line);
    let is_one = columns.len() >= FEWEST_COLUMNS && columns[2].starts_with('[') && is_operation(columns[6]);
    if is_one {
        for (path, text) in COLUMNS.into_iter().zip(columns) {
            fields.set(path, text.trim_matches('"'));
        }
    }
    is_one
}

/// Cuts a line at its blanks, but not within brackets and quotes.
fn columns(line: &str) -> Vec<&str> {
    let mut columns = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let close = match rest.as_bytes()[0] {
            b'[' => ']',
            b'"' => '"',
            _ => ' ',
        };
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let end = rest[first..].find(close).map_or(rest.len(), |at| at + first + usize::from(close != ' '));
        let (column, after) = rest.split_at(end);
        columns.push(column);
        rest = after.trim_start();
    }
    columns
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let name = fields.text(Path::Operation).ok_or_else(|| fields.missing(Path::Operation))?;
    let requester = fields.text(Path::Requester);
    let address = fields.text(Path::Address);
    let agent = fields.text(Path::UserAgent);
    let is_own = requester.as_deref().is_some_and(|name| OWN_REQUESTERS.contains(&name));
    let caller = requester
        .as_ref()
        .and_then(|name| part(name, |name| Some(if name.starts_with("arn:") { name_of_arn(name) } else { name })));
    let status = fields.status(Path::Status);
    let by_status = status.map(|status| Outcome::of_status(Some(status)));
    let by_error = fields.text(Path::Error).map(|error| outcome(Some(&error)));
    let is_upload = name.contains(".PUT.OBJECT") || name.contains(".PUT.PART") || name.contains(".POST.OBJECT");
    Ok(Reading::Call(Call {
        time: audit::time(fields, &[Path::Time]),
        view: View::Audit,
        vendor: Some(VENDOR),
        account: fields.text(Path::Owner),
        principal: match requester.as_deref() {
            _ if is_own => PrincipalKind::VendorService,
            Some(requester) => principal_kind(requester),
            None => PrincipalKind::Unknown,
        },
        channel: match agent.as_deref() {
            _ if is_own => Channel::Vendor,
            Some(agent) if agent.starts_with("S3Console/") => Channel::Console,
            agent => audit::channel(agent),
        },
        caller: audit::caller(caller, address.as_ref()),
        host: fields.text(Path::HostHeader).unwrap_or(Cow::Borrowed(HOST)),
        status,
        outcome: by_status.or(by_error),
        bytes_out: fields.whole(Path::ObjectSize).filter(|_| is_upload),
        bytes_in: fields.whole(Path::BytesSent),
        latency_ms: fields.real(Path::TotalTime),
        tls_version: fields.text(Path::Tls),
        src_ip: address,
        user_agent: agent,
        record_id: fields.text(Path::RequestId).filter(|_| !name.starts_with("BATCH.")),
        operation: Some(format!("s3:{name}").into()),
        ..Call::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::StepClass;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_sample_is_a_download_by_a_role() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, call.status), (1_788_220_801_000_000, "etl", Some(200)));
        assert_eq!((call.bytes_out, call.bytes_in, call.latency_ms), (None, Some(2_662_992), Some(70.0)));
        assert_eq!(
            (&*call.host, call.tls_version.as_deref()),
            ("acme-exports.s3.us-west-1.amazonaws.com", Some("TLSv1.2"))
        );
        assert_eq!(call.operation.as_deref(), Some("s3:REST.GET.OBJECT"));
        assert_eq!((call.principal, StepClass::of("s3:REST.GET.OBJECT")), (PrincipalKind::Role, StepClass::Read));
    }

    #[test]
    fn an_upload_as_json_that_nobody_may_do() {
        let record = r#"{"bucket":"b","bucketowner":"79a5","time":"2026-09-01 00:00:01.000","remoteip":"203.0.113.3","requestid":"8EFD","operation":"REST.PUT.OBJECT",
            "httpstatus":403,"errorcode":"AccessDenied","objectsize":747,"useragent":"curl/8"}"#;
        assert!(looks_like(&Probe::of(record).unwrap()));
        let call = call(record);
        assert_eq!((&*call.caller, call.outcome, call.bytes_out), ("203.0.113.3", Some(Outcome::Denied), Some(747)));
    }

    #[test]
    fn s3_itself_expires_objects_and_a_batch_has_no_id_of_its_own() {
        let record = r#"{"bucket":"b","time":"2026-09-01T00:00:01Z","requester":"AmazonS3","requestid":"1","operation":"S3.CREATE.DELETEMARKER"}"#;
        let own = call(record);
        assert_eq!((own.principal, own.channel, own.outcome), (PrincipalKind::VendorService, Channel::Vendor, None));
        let record = record.replace("S3.CREATE.DELETEMARKER", "BATCH.DELETE.OBJECT");
        assert_eq!(call(&record).record_id, None);
    }

    #[test]
    fn other_lines_are_none_and_broken_ones_do_no_harm() {
        for text in
            ["", " ", "[", "\"", "é [", r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 9"#, "a b [c"]
        {
            assert!(!line(text, &mut Fields::new(&PATHS, None)), "{text}");
        }
    }
}
