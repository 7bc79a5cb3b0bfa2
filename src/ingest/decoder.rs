//! The decoder: bytes of one message or line in, calls into the builder, diagnostics out.
//!
//! One payload may hold many records, packed and wrapped in many ways. Each is read for itself: a broken one becomes a [`DecodeError`] and
//! harms no neighbour. The format is declared, or found by the first record of a topic or file and kept until others fit better.
//!
//! Not here: how payloads are cut (`payload`), what shippers wrap (`envelope`), what a format means (`formats`).

use std::borrow::Cow;
use std::mem;

use super::envelope;
use super::formats::{FORMATS, FormatKind};
use super::overrides::Overrides;
use super::payload::{self, Codec};
use super::place::{DecodeError, Place, Problem, RecordError};
use super::spec::{DecodeSpec, SpecError};
use crate::calls::{Call, CallsBuilder};

/// Longest Kafka message that is read, bytes.
const MAX_MESSAGE: usize = 10 << 20;
/// Longest payload of a file, and longest content of a compressed message, bytes.
pub(super) const MAX_CONTENT_BYTES: usize = 64 << 20;
/// Most records in one payload.
const MAX_RECORDS: usize = 100_000;
/// Envelopes within envelopes that are opened.
const DEEPEST_ENVELOPE: usize = 4;
/// Records of another format in a row after which that format is expected.
const MISSES_TO_SWITCH: u32 = 3;
/// Room for inflated content that is kept between payloads, bytes.
const KEPT_CAPACITY: usize = 1 << 20;

/// What came of one payload.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Calls given to the builder.
    pub calls: usize,
    /// Records that tell of no call, and empty payloads.
    pub skipped: usize,
    /// Records that could not be read, in order.
    pub errors: Vec<DecodeError>,
}

/// Decodes the records of one topic or, one after another, of several files.
#[derive(Debug)]
pub struct Decoder {
    declared: Option<&'static FormatKind>,
    overrides: Overrides,
    /// The format that the source's records have shown.
    kept: Option<&'static FormatKind>,
    misses: u32,
    /// A place in the source that `kept` belongs to.
    source: Option<Place>,
    inflated: Vec<u8>,
}

/// Whether the record was a call, or which format complains of what.
type Read = Result<bool, (Option<&'static str>, RecordError)>;

impl Decoder {
    /// A decoder that has seen nothing.
    ///
    /// # Errors
    /// The specification names a format or a field that does not exist; the message lists those that do.
    pub fn new(spec: &DecodeSpec) -> Result<Self, SpecError> {
        let declared = spec.format.as_deref().map(declared_format).transpose()?;
        let overrides = Overrides::new(&spec.fields)?;
        Ok(Self { declared, overrides, kept: None, misses: 0, source: None, inflated: Vec::new() })
    }

    /// Reads a payload: one record or many, perhaps compressed. Never fails as a whole.
    pub fn decode(&mut self, bytes: &[u8], place: &Place, calls: &mut CallsBuilder) -> Decoded {
        self.enter(place);
        let mut decoded = Decoded::default();
        let mut inflated = mem::take(&mut self.inflated);
        match content(bytes, limit_of(place), &mut inflated) {
            Ok(plain) => self.unpack(plain, place, calls, &mut decoded),
            Err(problem) => decoded.errors.push(RecordError::from(problem).at(place, None)),
        }
        inflated.clear();
        inflated.shrink_to(KEPT_CAPACITY);
        self.inflated = inflated;
        decoded
    }

    /// Forgets the format when another topic or file begins.
    fn enter(&mut self, place: &Place) {
        if !self.source.as_ref().is_some_and(|source| source.shares_source_with(place)) {
            self.source = Some(place.clone());
            self.kept = None;
            self.misses = 0;
        }
    }

    fn unpack(&mut self, plain: &[u8], place: &Place, calls: &mut CallsBuilder, decoded: &mut Decoded) {
        // Whole text is checked much faster at once than searched for its first flaw.
        let text = std::str::from_utf8(plain).map_or_else(|_| String::from_utf8_lossy(plain), Cow::Borrowed);
        let text = payload::trim(&text);
        if text.is_empty() {
            decoded.skipped += 1;
            return;
        }
        for (at, record) in payload::records(text).enumerate() {
            if at == MAX_RECORDS {
                let problem = Problem::TooManyRecords { limit: MAX_RECORDS };
                decoded.errors.push(RecordError::from(problem).at(place, None));
                break;
            }
            match self.read(record, None, DEEPEST_ENVELOPE, calls) {
                Ok(true) => decoded.calls += 1,
                Ok(false) => decoded.skipped += 1,
                Err((format, error)) => decoded.errors.push(error.at(place, format)),
            }
        }
    }

    /// Reads one record as the expected format, else what it wraps, else as the format that it looks like.
    fn read(&mut self, text: &str, shipper: Option<&str>, envelopes: usize, calls: &mut CallsBuilder) -> Read {
        if self.declared.or(self.kept).is_none() {
            self.kept = FormatKind::detect(text).map_err(|error| (None, error))?;
        }
        let expected = self.declared.or(self.kept);
        let first = expected.map(|format| (format, (format.decode)(text)));
        if let Some((format, Ok(Some(call)))) = first
            && is_whole(&call)
        {
            self.misses = 0;
            return self.push(format, text, call, shipper, calls);
        }
        if envelopes > 0
            && let Some(inside) = envelope::peel(text)
        {
            let read = self.read(&inside.record, inside.caller.as_deref().or(shipper), envelopes - 1, calls);
            if !is_no_record(&read) {
                return read;
            }
        }
        let Some(format) = self.declared.or_else(|| self.reconsider(text)) else {
            return Err((None, Problem::UnknownFormat.into()));
        };
        match (format.decode)(text) {
            Ok(Some(call)) => self.push(format, text, call, shipper, calls),
            Ok(None) => Ok(false),
            Err(error) => Err((Some(format.name), error)),
        }
    }

    /// The format of a record that the expected one found no call in: another that recognises it, which is expected itself after a few such.
    fn reconsider(&mut self, text: &str) -> Option<&'static FormatKind> {
        let recognised = FormatKind::detect(text).ok().flatten().or(self.kept)?;
        if self.kept.is_some_and(|kept| kept.name != recognised.name) {
            self.misses += 1;
            if self.misses >= MISSES_TO_SWITCH {
                self.kept = Some(recognised);
                self.misses = 0;
            }
        }
        Some(recognised)
    }

    fn push<'a>(
        &self,
        format: &'static FormatKind,
        text: &'a str,
        mut call: Call<'a>,
        shipper: Option<&'a str>,
        calls: &mut CallsBuilder,
    ) -> Read {
        if call.caller.is_empty() {
            call.caller = shipper.unwrap_or_default().into();
        }
        let report = |error| (Some(format.name), error);
        self.overrides.apply(text, &mut call).map_err(report)?;
        calls.push(&call, format.name).map_err(|problem| report(Problem::Call(problem).into()))?;
        Ok(true)
    }
}

fn declared_format(name: &str) -> Result<&'static FormatKind, SpecError> {
    FormatKind::named(name).ok_or_else(|| {
        let described = FORMATS.iter().map(|format| format!("`{}` ({})", format.name, format.summary));
        let known = described.collect::<Vec<_>>().join(", ");
        SpecError::UnknownFormat { format: name.to_owned(), known }
    })
}

/// Whether nothing is missing that an envelope might still hold.
fn is_whole(call: &Call<'_>) -> bool {
    !call.caller.is_empty() && !call.host.is_empty()
}

/// Whether what an envelope seemed to wrap was only text with a brace, or tells of no call: then the envelope itself may be the record.
fn is_no_record(read: &Read) -> bool {
    match read {
        Ok(is_call) => !is_call,
        Err((_, error)) => matches!(error.problem, Problem::NotJson { .. } | Problem::UnknownFormat),
    }
}

const fn limit_of(place: &Place) -> usize {
    match place {
        Place::Kafka { .. } => MAX_MESSAGE,
        Place::File { .. } => MAX_CONTENT_BYTES,
    }
}

/// The payload itself, or what is compressed in it.
fn content<'a>(bytes: &'a [u8], limit: usize, inflated: &'a mut Vec<u8>) -> Result<&'a [u8], Problem> {
    if bytes.len() > limit {
        return Err(Problem::TooLarge { limit });
    }
    let Some(codec) = Codec::of(bytes) else { return Ok(bytes) };
    codec.inflate(bytes, MAX_CONTENT_BYTES, inflated)?;
    Ok(inflated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Dimension;
    use crate::calls::FingerprintKey;
    use std::io::Write;
    use std::path::Path;
    use std::sync::Arc;

    const ECS: &str =
        r#"{"@timestamp":"2026-09-01T00:00:00Z","service":{"name":"crm"},"url":{"domain":"api.stripe.com"},"http":{}}"#;

    fn builder() -> CallsBuilder {
        let home = tempfile::tempdir().unwrap();
        CallsBuilder::new(Arc::new(FingerprintKey::load_or_create(&home.path().join("key")).unwrap()))
    }

    fn message(topic: &str, offset: i64) -> Place {
        Place::Kafka { topic: topic.into(), partition: 0, offset }
    }

    fn cloudtrail() -> &'static str {
        FormatKind::named("cloudtrail").unwrap().sample
    }

    /// Calls, skipped records and the reasons of errors, of one message that a new decoder reads.
    fn check(payload: &[u8]) -> (usize, usize, Vec<&'static str>) {
        let decoded =
            Decoder::new(&DecodeSpec::default()).unwrap().decode(payload, &message("logs", 1), &mut builder());
        (decoded.calls, decoded.skipped, decoded.errors.iter().map(DecodeError::reason).collect())
    }

    fn texts(calls: &mut CallsBuilder, column: &str) -> Vec<String> {
        let calls = calls.finish();
        let dimension = Dimension::ALL.iter().find(|dimension| dimension.name() == column).unwrap();
        calls.rows().iter().map(|call| calls.relation(call).name(*dimension).to_string()).collect()
    }

    #[test]
    fn one_message_may_hold_many_records_and_a_broken_one_harms_no_other() {
        let record = cloudtrail().replace('\n', "");
        assert_eq!(check(ECS.as_bytes()), (1, 0, vec![]));
        assert_eq!(check(format!("\u{feff}{ECS}\n{{broken\n{ECS}\n").as_bytes()), (2, 0, vec!["not_json"]));
        assert_eq!(check(format!("{{\"Records\":[{record},{record}]}}").as_bytes()), (2, 0, vec![]));
        assert_eq!(check(format!("[{ECS},7,{record}]").as_bytes()), (2, 0, vec!["not_json"]));
        assert_eq!(check(b" \n"), (0, 1, vec![]));
        assert_eq!(check(b""), (0, 1, vec![]));
        assert_eq!(check(b"{\"a\":1}"), (0, 0, vec!["unknown_format"]));
        assert_eq!(check(b"\xff\xfe"), (0, 0, vec!["not_json"]));
        assert_eq!(check(ECS.replace("crm", "cr\\u0000").as_bytes()).0, 1);
    }

    #[test]
    fn compressed_messages_are_read_and_bombs_and_giants_are_not() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(ECS.as_bytes()).unwrap();
        assert_eq!(check(&gzip.finish().unwrap()), (1, 0, vec![]));
        assert_eq!(check(&zstd::encode_all(ECS.as_bytes(), 1).unwrap()), (1, 0, vec![]));
        assert_eq!(
            check(&zstd::encode_all(&vec![b' '; MAX_CONTENT_BYTES + 1][..], 1).unwrap()),
            (0, 0, vec!["too_large"])
        );
        assert_eq!(check(&vec![b' '; MAX_MESSAGE + 1]), (0, 0, vec!["too_large"]));
        assert_eq!(check(b"\x1f\x8bjunk"), (0, 0, vec!["broken_compression"]));
    }

    #[test]
    fn a_shipped_line_and_dotted_keys_are_read_like_the_record_itself() {
        let without_caller = ECS.replace("crm", "");
        let shipped = serde_json::json!({
            "@timestamp": "2026-09-02T00:00:00Z", "ecs": {"version": "8.0.0"}, "host": {"name": "web-1"}, "message": without_caller,
        });
        let dotted = r#"{"@timestamp":"2026-09-01T00:00:00Z","service.name":"crm","url":{"domain":"api.stripe.com"},"http.version":"2"}"#;
        let mut decoder = Decoder::new(&DecodeSpec::default()).unwrap();
        let mut calls = builder();
        for payload in [shipped.to_string(), dotted.to_owned(), ECS.to_owned()] {
            assert_eq!(decoder.decode(payload.as_bytes(), &message("logs", 1), &mut calls).calls, 1, "{payload}");
        }
        assert_eq!(texts(&mut calls, "caller"), ["web-1", "crm", "crm"]);
    }

    #[test]
    fn what_only_looks_like_a_wrapped_record_leaves_the_outer_one_as_it_is() {
        let chatter =
            ECS.replace(r#","url":{"domain":"api.stripe.com"},"http":{}"#, r#","ecs":{},"message":"{id=5} done""#);
        assert_eq!(check(chatter.as_bytes()), (0, 1, vec![]));
        let spec: DecodeSpec = toml::from_str("[fields]\ncaller = 'labels.team'").unwrap();
        let original = r#","labels":{"team":"growth"},"event":{"original":"{\"level\":\"info\"}"},"url""#;
        let record = ECS.replace("crm", "").replace(r#","url""#, original);
        let mut calls = builder();
        let decoded = Decoder::new(&spec).unwrap().decode(record.as_bytes(), &message("logs", 1), &mut calls);
        assert_eq!((decoded.calls, decoded.skipped, decoded.errors), (1, 0, vec![]));
        assert_eq!(texts(&mut calls, "caller"), ["growth"]);
    }

    #[test]
    fn a_wrapped_record_with_a_broken_field_is_a_complaint() {
        let broken = cloudtrail().replace("2023-07-10T11:42:23Z", "yesterday").replace('\n', "");
        let shipped = serde_json::json!({ "@timestamp": "2026-09-02T00:00:00Z", "ecs": {}, "message": broken });
        assert_eq!(check(shipped.to_string().as_bytes()), (0, 0, vec!["unexpected_value"]));
    }

    #[test]
    fn an_envelope_of_envelopes_is_opened_only_so_deep() {
        let wrap = |inner: &str| serde_json::json!({ "message": inner }).to_string();
        let deep = (0..DEEPEST_ENVELOPE).fold(ECS.to_owned(), |inner, _| wrap(&inner));
        assert_eq!(check(deep.as_bytes()), (1, 0, vec![]));
        assert_eq!(check(wrap(&deep).as_bytes()), (0, 0, vec!["unknown_format"]));
    }

    #[test]
    fn a_topic_keeps_its_format_until_three_records_in_a_row_are_of_another() {
        let mut decoder = Decoder::new(&DecodeSpec::default()).unwrap();
        let mut calls = builder();
        let mut kept_after = |payload: &str, topic: &str| {
            assert_eq!(decoder.decode(payload.as_bytes(), &message(topic, 1), &mut calls).calls, 1);
            decoder.kept.unwrap().name
        };
        let read = [ECS, cloudtrail(), cloudtrail(), ECS, cloudtrail(), cloudtrail(), cloudtrail()];
        let kept = read.map(|payload| kept_after(payload, "logs"));
        assert_eq!(kept, ["ecs", "ecs", "ecs", "ecs", "ecs", "ecs", "cloudtrail"]);
        assert_eq!(kept_after(ECS, "other"), "ecs");
    }

    #[test]
    fn a_declared_format_reads_nothing_else_and_a_declared_field_is_obeyed() {
        let spec = |text: &str| toml::from_str::<DecodeSpec>(text).unwrap();
        let mut decoder = Decoder::new(&spec("format = 'ecs'\n[fields]\ncaller = 'labels.team'")).unwrap();
        let mut calls = builder();
        let decoded = decoder.decode(cloudtrail().as_bytes(), &message("logs", 1), &mut calls);
        assert_eq!((decoded.calls, decoded.skipped), (0, 1));
        let record = ECS.replace("\"http\":{}", "\"http\":{},\"labels\":{\"team\":\"growth\"}");
        decoder.decode(record.as_bytes(), &message("logs", 2), &mut calls);
        assert_eq!(texts(&mut calls, "caller"), ["growth"]);
        let unknown = Decoder::new(&spec("format = 'elf'")).unwrap_err().to_string();
        assert!(unknown.contains("elf") && unknown.contains("`cloudtrail` (AWS CloudTrail: "), "{unknown}");
    }

    #[test]
    fn an_error_names_the_place_of_its_message_and_no_value() {
        let place = Place::File { path: Path::new("a.ndjson").into(), line: 3 };
        let record = ECS.replace("2026-09-01T00:00:00Z", "sk_live_1");
        let decoded = Decoder::new(&DecodeSpec::default()).unwrap().decode(record.as_bytes(), &place, &mut builder());
        let message = decoded.errors[0].to_string();
        assert_eq!(message, "a.ndjson:3: ecs: field @timestamp: expected an RFC 3339 time, found 9 bytes of text");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0..cloudtrail().len(), flip: u8) {
            let mut broken = cloudtrail().as_bytes().to_vec();
            broken[cut] = flip;
            let (mut decoder, mut calls) = (Decoder::new(&DecodeSpec::default()).unwrap(), builder());
            for payload in [&bytes, &broken[..], &broken[..cut]] {
                decoder.decode(payload, &message("logs", 1), &mut calls);
            }
        }
    }
}
