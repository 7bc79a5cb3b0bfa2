//! The log formats we read, one a file. [`FORMATS`] is the only list of them: detection, help and tests walk it.
//!
//! A format names the paths that it reads and makes a [`Call`] of their values, borrowed from the record. What is another kind of event is
//! no call, and says which; what should have been a call and cannot be is an error.
//!
//! Not here: unpacking (`payload`, `envelope`), and what is derived from a call's fields (`calls`).

mod alb;
mod anthropic;
mod apache;
mod api_gateway;
mod audit;
mod azure;
mod bedrock;
mod caddy;
mod cloudtrail;
mod ecs;
mod envoy;
mod gcp_audit;
mod gcp_lb;
mod github;
mod graph;
mod graphql;
mod haproxy;
mod har;
mod kong;
mod line;
mod m365;
mod nginx;
mod ocsf;
mod okta;
mod openai;
mod otel;
mod outcome;
mod probe;
mod request;
mod s3_access;
mod saas;
mod salesforce;
mod slack;
mod snowflake;
mod squid;
mod suricata;
mod traefik;
mod url;
mod zeek;

use std::sync::LazyLock;

use jiff::tz::TimeZone;

pub use probe::Probe;

use super::fields::Fields;
use super::log_format::{LogFormat, Syntax};
use super::paths::Paths;
use super::place::{Problem, RecordError};
use super::spec::SpecError;
use crate::calls::{Call, View};

/// Every format, in the order in which detection asks them: the first that recognises a record reads it.
pub static FORMATS: &[FormatKind] = &[
    ocsf::FORMAT,
    cloudtrail::FORMAT,
    bedrock::FORMAT,
    gcp_audit::FORMAT,
    gcp_lb::FORMAT,
    graph::FORMAT,
    azure::FORMAT,
    m365::FORMAT,
    okta::FORMAT,
    github::FORMAT,
    slack::FORMAT,
    openai::FORMAT,
    anthropic::FORMAT,
    salesforce::FORMAT,
    snowflake::FORMAT,
    zeek::FORMAT,
    suricata::FORMAT,
    envoy::FORMAT,
    kong::FORMAT,
    traefik::FORMAT,
    caddy::FORMAT,
    har::FORMAT,
    s3_access::FORMAT,
    squid::FORMAT,
    haproxy::FORMAT,
    alb::FORMAT,
    apache::FORMAT,
    nginx::FORMAT,
    ecs::FORMAT,
    api_gateway::FORMAT,
    saas::FORMAT,
    // Last: a record of another format that came in an OTLP export is that format's.
    otel::FORMAT,
];

/// The formats whose lines are as their proxy is configured, and how it writes that.
pub(super) static LOG_FORMATS: &[(&str, &Syntax)] =
    &[("nginx", &nginx::LOG_FORMAT), ("apache", &apache::LOG_FORMAT), ("squid", &squid::LOG_FORMAT)];

/// The log format that is declared of a format's source; `declared` are the paths of fields that may name its variables.
///
/// # Errors
/// The format has none, or it cannot be read.
pub(super) fn log_format(text: &str, format: Option<&FormatKind>, declared: &Paths) -> Result<LogFormat, SpecError> {
    let of = format.and_then(|format| Some((format, LOG_FORMATS.iter().find(|(name, _)| *name == format.name)?.1)));
    let Some((format, syntax)) = of else {
        let known = LOG_FORMATS.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(SpecError::BadLogFormat { reason: format!("write whose it is: `format` must be one of {known}") });
    };
    LogFormat::parse(text, syntax, format.paths, declared)
}

/// What a record is.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "made once a record and taken apart at once: a box would cost every call")]
pub enum Reading<'a> {
    /// A call.
    Call(Call<'a>),
    /// Another kind of event, under its name in metrics: `service_event`, `inbound`.
    NotACall(&'static str),
}

impl<'a> Reading<'a> {
    /// The call, if it is one.
    pub fn call(self) -> Option<Call<'a>> {
        match self {
            Self::Call(call) => Some(call),
            Self::NotACall(_) => None,
        }
    }
}

/// A format: its name, how it is recognised, how it is read.
#[derive(Debug)]
pub struct FormatKind {
    /// The name in pipeline files, errors and metrics.
    pub name: &'static str,
    /// One line for messages and docs.
    pub summary: &'static str,
    /// Which view of the relation its records give, unless a record says otherwise.
    pub view: View,
    /// One whole record as the format's source writes it.
    pub sample: &'static str,
    /// Whether the top-level keys of a JSON record identify this format.
    pub looks_like: fn(&Probe<'_>) -> bool,
    /// The paths that it reads.
    pub paths: &'static LazyLock<Paths>,
    /// Sets the fields of a record that is a line of text; `None` where the format has no such records. Returns whether the line is one.
    pub line: Option<ReadLine>,
    /// Makes a call of the fields.
    pub read: Read,
}

/// Sets the fields of a line of text.
pub type ReadLine = for<'a> fn(&'a str, &mut Fields<'a>) -> bool;
/// Makes a call of fields, which borrows from the record.
pub type Read = for<'a> fn(&mut Fields<'a>) -> Result<Reading<'a>, RecordError>;

impl FormatKind {
    /// The format of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// Whether the record looks like one of this format.
    pub(super) fn recognises(&self, record: &str) -> bool {
        if is_object(record) {
            return Probe::of(record).is_ok_and(|probe| (self.looks_like)(&probe));
        }
        self.line.is_some_and(|line| line(record, &mut Fields::new(self.paths, None)))
    }

    /// The format that recognises the record.
    pub(super) fn detect(record: &str) -> Option<&'static Self> {
        if is_object(record) {
            let probe = Probe::of(record).ok()?;
            return FORMATS.iter().find(|format| (format.looks_like)(&probe));
        }
        let reads = |format: &&Self| format.line.is_some_and(|line| line(record, &mut Fields::new(format.paths, None)));
        FORMATS.iter().find(reads)
    }

    /// The values of a record at the format's paths. Times without an offset are of `zone`.
    ///
    /// # Errors
    /// The record is broken, or a line that is none of this format.
    pub fn fields<'a>(&'static self, record: &'a str, zone: Option<TimeZone>) -> Result<Fields<'a>, RecordError> {
        let mut fields = Fields::new(self.paths, zone);
        match self.line {
            Some(line) if !is_object(record) => match line(record, &mut fields) {
                true => Ok(fields),
                false => Err(Problem::OtherLine.into()),
            },
            _ => fields.read(record).map(|()| fields),
        }
    }

    /// Reads one record.
    ///
    /// # Errors
    /// The record is broken, or lacks what every call of this format has.
    pub fn decode<'a>(&'static self, record: &'a str) -> Result<Reading<'a>, RecordError> {
        let mut fields = self.fields(record, None)?;
        (self.read)(&mut fields)
    }
}

fn is_object(record: &str) -> bool {
    record.starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line of every format that has some.
    const LINES: &[(&str, &str)] = &[
        (
            "envoy",
            r#"[2026-09-01T00:00:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0" "locations" "10.0.2.1:80""#,
        ),
        (
            "envoy",
            r#"[2026-09-01T00:00:00.310Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 135 5 2 "-" "curl/8" "d209e46f" "x.io" "1.2.3.4:443" outbound|443||x.io - 1.2.3.4:443 10.44.1.23:46520 - -"#,
        ),
        (
            "traefik",
            r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "GET / HTTP/2.0" 200 17 "-" "go" 56 "r@file" "https://api.x.io" 230ms"#,
        ),
        (
            "squid",
            "1788220800.512     87 192.0.2.23 TCP_TUNNEL/200 48213 CONNECT api.stripe.com:443 - HIER_DIRECT/198.51.100.7 -",
        ),
        (
            "squid",
            r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "GET http://x.io/ HTTP/1.1" 200 902 "-" "go" TCP_MISS:HIER_DIRECT"#,
        ),
        (
            "haproxy",
            r#"10.0.1.2:33317 [01/Sep/2026:00:00:00.655] fe be/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {x.io} {} "GET /v1/a HTTP/1.1""#,
        ),
        ("haproxy", "10.0.1.2:33313 [01/Sep/2026:00:00:00.443] fnt bck/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0"),
        ("apache", r#"x.io:443 10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 902 "-" "go/1.22""#),
        ("apache", r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 902"#),
        ("apache", r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 902 "-" "go/1.22" 8123"#),
        (
            "nginx",
            r#"10.0.0.7 - billing [01/Sep/2026:00:00:01 +0000] "POST /v1/charges HTTP/1.1" 200 902 "-" "go/1.22""#,
        ),
        ("nginx", r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 902 "-" "go" "10.0.0.1" 0.250"#),
    ];

    #[test]
    fn a_line_is_read_by_its_own_format_and_by_no_other() {
        for (name, line) in LINES {
            let takes =
                |format: &&FormatKind| format.line.is_some_and(|read| read(line, &mut Fields::new(format.paths, None)));
            let takers: Vec<_> = FORMATS.iter().filter(takes).map(|format| format.name).collect();
            assert_eq!(takers, [*name], "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_format_panic(
            line in 0..LINES.len(),
            at in 0..200_usize,
            length in 0..20_usize,
            patch in r#"[-"\\\[\]{}<>/:|+=. a-zA-Z0-9é€]{0,12}"#,
            other in r#".{0,80}"#,
        ) {
            let line: Vec<char> = LINES[line].1.chars().collect();
            let at = at.min(line.len());
            let rest = &line[(at + length).min(line.len())..];
            let patched: String = line[..at].iter().copied().chain(patch.chars()).chain(rest.iter().copied()).collect();
            let cut: String = line[..at].iter().collect();
            for text in [&patched, &cut, &patch, &other] {
                for format in FORMATS {
                    if let Ok(Reading::Call(call)) = format.decode(text) {
                        prop_assert!(call.status.is_none_or(|status| (100..600).contains(&status)));
                    }
                }
            }
        }
    }

    #[test]
    fn every_format_recognises_and_reads_its_own_sample_and_its_name_is_its_own() {
        for format in FORMATS {
            let detected = FormatKind::detect(format.sample).map(|format| format.name);
            assert_eq!(detected, Some(format.name));
            let call = format.decode(format.sample).unwrap().call().unwrap();
            assert_eq!(call.view, format.view, "{}", format.name);
            assert!(!call.caller.is_empty() && !call.host.is_empty() && call.time > 0, "{}: {call:?}", format.name);
            assert!(std::ptr::eq(FormatKind::named(format.name).unwrap(), format));
        }
    }

    #[test]
    fn no_format_takes_the_sample_of_another_for_a_call_of_its_own_kind() {
        for format in FORMATS {
            let samples =
                FORMATS.iter().filter(|other| other.name != format.name).map(|other| (other.name, other.sample));
            for (other, sample) in samples.filter(|(_, sample)| is_object(sample)) {
                let probe = Probe::of(sample).unwrap();
                let is_first = FORMATS.iter().find(|format| (format.looks_like)(&probe)).map(|format| format.name);
                assert_eq!(is_first, Some(other), "{}", format.name);
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(16))]

        /// Of every format: its sample with bytes changed, cut, and doubled, and any text at all.
        #[test]
        fn no_record_makes_a_format_panic(at: proptest::sample::Index, byte in 0_u8..128, cut: proptest::sample::Index, text in "\\PC{0,80}") {
            for format in FORMATS {
                let mut changed = format.sample.as_bytes().to_vec();
                changed[at.index(format.sample.len())] = byte;
                let changed = String::from_utf8_lossy(&changed);
                let end = (0..=cut.index(changed.len())).rev().find(|end| changed.is_char_boundary(*end)).unwrap_or(0);
                for record in [&*changed, &changed[..end], &text, &format!("{changed}{text}"), &format!("{}{text}", &changed[..end])] {
                    let _ = (format.decode(record), FormatKind::detect(record));
                }
            }
        }
    }
}
