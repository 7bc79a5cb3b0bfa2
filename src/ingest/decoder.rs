//! The decoder: bytes of one message or line in, calls into the builder, diagnostics out.
//!
//! One payload may hold many records, packed and wrapped in many ways. Each is read for itself: a broken one becomes a [`DecodeError`] and
//! harms no neighbour. The format is declared, or found by the first record of a topic or file and kept until others fit better.
//!
//! Not here: what binary payloads are in text (`framing`), how payloads are cut (`payload`), what shippers wrap (`envelope`), what a format means (`formats`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::declared::CUSTOM;
use super::envelope::{self, Opened};
use super::fields::Fields;
use super::formats::{FormatKind, Probe, Reading};
use super::framing::unframe;
use super::payload::{self, Codec, MAX_CONTENT_BYTES};
use super::place::{DecodeError, Place, Problem, RecordError};
use super::registry::Registry;
use super::rules::Rules;
use super::spec::{DecodeSpec, SpecError};
use crate::calls::{Call, CallsBuilder, View, workload_of_replica};

/// Longest Kafka message that is read, bytes.
const MAX_MESSAGE: usize = 10 << 20;
/// Most records in one payload.
const MAX_RECORDS: usize = 100_000;
/// Envelopes within envelopes that are opened.
const DEEPEST_ENVELOPE: usize = 4;
/// Records of another format in a row after which that format is expected.
const MISSES_TO_SWITCH: u32 = 3;
/// Room for inflated content that is kept between payloads, bytes.
const KEPT_CAPACITY: usize = 1 << 20;

/// What came of one payload. Every record in it is a call, another kind of event, or an error.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Calls given to the builder.
    pub calls: usize,
    /// Records that tell of no call of ours, by what they are.
    pub not_calls: BTreeMap<&'static str, u64>,
    /// Fields of calls that could not be read and are unknown, by name.
    pub unreadable: BTreeMap<String, u64>,
    /// Records that could not be read, in order.
    pub errors: Vec<DecodeError>,
}

impl Decoded {
    /// Records that tell of no call of ours.
    pub fn skipped(&self) -> u64 {
        self.not_calls.values().sum()
    }

    fn add(&mut self, read: Read, place: &Place) {
        match read {
            Ok(Found::Call) => self.calls += 1,
            Ok(Found::NotACall(kind)) => *self.not_calls.entry(kind).or_default() += 1,
            Err((format, error)) => self.errors.push(error.at(place, format)),
        }
    }
}

/// What a record was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Call,
    NotACall(&'static str),
}

/// What a record was, or which format complains of what.
type Read = Result<Found, (Option<&'static str>, RecordError)>;

/// Decodes the records of one topic or, one after another, of several files.
#[derive(Debug)]
pub struct Decoder {
    rules: Rules,
    source: Source,
    /// Where schemas of framed records are found.
    registry: Option<Arc<Registry>>,
    /// Room for what the records of a payload are.
    reads: Vec<Read>,
    inflated: Vec<u8>,
}

/// What is known of the topic or file that is read.
#[derive(Debug, Default)]
struct Source {
    /// A place in it.
    place: Option<Place>,
    /// The format that its records have shown.
    kept: Option<&'static FormatKind>,
    misses: u32,
}

impl Source {
    /// The format of a record that the expected one found no call in: another that recognises it, which is expected itself after a few such.
    fn reconsider(&mut self, text: &str) -> Option<&'static FormatKind> {
        let recognised = FormatKind::detect(text)?;
        if self.kept.is_some_and(|kept| kept.name != recognised.name) {
            self.misses += 1;
            if self.misses >= MISSES_TO_SWITCH {
                self.kept = Some(recognised);
                self.misses = 0;
            }
        }
        Some(recognised)
    }
}

/// What is known of a record from outside it.
#[derive(Clone, Copy)]
struct Outside<'e, 'a> {
    /// The workload that a shipper found it at.
    caller: Option<&'e str>,
    /// The service that an envelope says logged it.
    service: Option<&'e str>,
    /// Declared fields of its envelopes.
    declared: Option<&'e Fields<'a>>,
    /// Envelopes that may still be opened.
    depth: usize,
    /// Whether it was cut from a line of several already; what still looks like several then is broken.
    is_part: bool,
}

impl Decoder {
    /// A decoder that has seen nothing.
    ///
    /// # Errors
    /// The specification names a format, a field, a unit or a zone that does not exist; the message lists those that do.
    pub fn new(spec: &DecodeSpec) -> Result<Self, SpecError> {
        let rules = Rules::new(spec)?;
        Ok(Self { rules, source: Source::default(), registry: None, reads: Vec::new(), inflated: Vec::new() })
    }

    /// The same decoder, with a registry for the schemas of framed records.
    #[must_use]
    pub fn with_registry(self, registry: Option<Arc<Registry>>) -> Self {
        Self { registry, ..self }
    }

    /// Reads a payload: one record or many, perhaps compressed. Never fails as a whole.
    pub fn decode(&mut self, bytes: &[u8], place: &Place, calls: &mut CallsBuilder) -> Decoded {
        if !self.source.place.as_ref().is_some_and(|source| source.shares_source_with(place)) {
            self.source = Source { place: Some(place.clone()), ..Source::default() };
        }
        let Self { rules, source, registry, reads, inflated } = self;
        let mut decoded = Decoded::default();
        match content(bytes, limit_of(place), inflated) {
            Ok(plain) => {
                let unframed = unframe(plain, registry.as_deref());
                let (plain, problem) = match &unframed {
                    Some(unframed) => (unframed.text.as_ref(), unframed.problem.clone()),
                    None => (plain, None),
                };
                let text = payload::text(plain);
                let mut reader = Reader { rules, source, calls, unreadable: &mut decoded.unreadable };
                reader.read_all(
                    payload::trim(&text),
                    Outside { caller: None, service: None, declared: None, depth: DEEPEST_ENVELOPE, is_part: false },
                    reads,
                );
                reads.extend(problem.map(|problem| Err((None, problem.into()))));
                if reads.is_empty() {
                    reads.push(Ok(Found::NotACall(if bytes.is_empty() { "tombstone" } else { "blank" })));
                }
            }
            Err(problem) => reads.push(Err((None, problem.into()))),
        }
        inflated.clear();
        inflated.shrink_to(KEPT_CAPACITY);
        reads.drain(..).for_each(|read| decoded.add(read, place));
        decoded
    }
}

/// Reads the records of one payload.
struct Reader<'d> {
    rules: &'d Rules,
    source: &'d mut Source,
    calls: &'d mut CallsBuilder,
    unreadable: &'d mut BTreeMap<String, u64>,
}

impl<'d> Reader<'d> {
    fn read_all(&mut self, text: &str, outside: Outside<'_, '_>, reads: &mut Vec<Read>) {
        for record in payload::records(text) {
            if reads.len() >= MAX_RECORDS {
                reads.push(Err((None, Problem::TooManyRecords { limit: MAX_RECORDS }.into())));
                return;
            }
            self.read(record, outside, reads);
        }
    }

    /// Reads one record: as the expected format, else what it wraps, else as the format that it looks like, else by what is declared.
    fn read(&mut self, text: &str, outside: Outside<'_, '_>, reads: &mut Vec<Read>) {
        let rules = self.rules;
        let mut declared = outside.declared.cloned().unwrap_or_else(|| rules.declared.values());
        if !rules.declared.is_empty() {
            rules.declared.read(text, &mut declared);
            if let Some(log_format) = &rules.log_format {
                log_format.fill_declared(text, &mut declared);
            }
        }
        if rules.format.or(self.source.kept).is_none() && !rules.is_custom {
            self.source.kept = FormatKind::detect(text);
        }
        let expected = rules.format.or(self.source.kept);
        let own = expected.map(|format| self.read_as(format, text, &declared, outside));
        if let Some(Ok(Found::Call)) = own {
            self.source.misses = 0;
            reads.push(Ok(Found::Call));
            return;
        }
        if let Some(joined) = payload::joined(text).filter(|_| !outside.is_part) {
            joined.for_each(|record| self.read(record, Outside { is_part: true, ..outside }, reads));
            return;
        }
        if let Some(inside) = self.read_inside(text, &declared, outside)
            && (own.is_none() || !inside.iter().all(is_nothing) || is_explained(own.as_ref(), &inside))
        {
            reads.extend(inside);
            return;
        }
        let read = match own {
            Some(Ok(Found::NotACall(_)))
                if rules.format.is_some_and(|format| !format.recognises(text)) && !rules.knows(text) =>
            {
                Err((rules.format.map(|format| format.name), Problem::OtherFormat.into()))
            }
            Some(own) if rules.format.is_some() => own,
            own => match self.source.reconsider(text) {
                Some(format) if expected.is_none_or(|expected| expected.name != format.name) => {
                    self.read_as(format, text, &declared, outside)
                }
                Some(_) => own.unwrap_or_else(|| Err((None, Problem::UnknownFormat.into()))),
                None if rules.is_custom || rules.declared.is_call(&declared) => {
                    self.push(None, Call::default(), &mut declared, outside)
                }
                None => match own {
                    Some(Err(problem)) => Err(problem),
                    _ => Err((None, broken_or_unknown(text))),
                },
            },
        };
        reads.push(read);
    }

    /// What the records inside an envelope are; `None` where the record is no envelope, or may not be opened any more.
    fn read_inside(&mut self, text: &str, declared: &Fields<'_>, outside: Outside<'_, '_>) -> Option<Vec<Read>> {
        let depth = outside.depth.checked_sub(1)?;
        let inside = match envelope::open(text, &|line| self.rules.knows(line))? {
            Opened::NotACall(kind) => return Some(vec![Ok(Found::NotACall(kind))]),
            Opened::Inside(inside) => inside,
        };
        let caller = inside.caller.as_deref().or(outside.caller);
        let mut reads = Vec::new();
        for record in &inside.records {
            let service = record.service.as_deref().or(outside.service);
            let outside = Outside { caller, service, declared: Some(declared), depth, is_part: false };
            self.read_all(payload::trim(&record.text), outside, &mut reads);
        }
        if reads.is_empty() {
            reads.push(Ok(Found::NotACall("empty_list")));
        }
        Some(reads)
    }

    /// Reads a record as a format, and gives its call to the builder.
    fn read_as(
        &mut self,
        format: &'static FormatKind,
        text: &str,
        declared: &Fields<'_>,
        outside: Outside<'_, '_>,
    ) -> Read {
        let mut declared = declared.clone();
        let report = |error| (Some(format.name), error);
        let mut fields = self.rules.fields(format, text).map_err(report)?;
        let call = match (format.read)(&mut fields) {
            Ok(Reading::Call(call)) => call,
            _ if self.rules.declared.is_call(&declared) => Call { view: format.view, ..Call::default() },
            Ok(Reading::NotACall(kind)) => return Ok(Found::NotACall(kind)),
            Err(error) => return Err(report(error)),
        };
        self.push(Some((format, &mut fields)), call, &mut declared, outside)
    }

    /// Gives a call to the builder, with what is declared and known from outside.
    fn push<'a>(
        &mut self,
        format: Option<(&'static FormatKind, &mut Fields<'_>)>,
        mut call: Call<'a>,
        declared: &mut Fields<'a>,
        outside: Outside<'a, '_>,
    ) -> Read
    where
        'd: 'a,
    {
        let rules = self.rules;
        let name = format.as_ref().map_or(CUSTOM, |(format, _)| format.name);
        let report = |error| (Some(name), error);
        let mut of_format = format.map(|(_, fields)| fields);
        if call.view == View::Egress && !rules.keeps_generated_names {
            call.caller = match call.caller {
                Cow::Borrowed(caller) => workload_of_replica(caller).into(),
                Cow::Owned(caller) => workload_of_replica(&caller).to_owned().into(),
            };
        }
        // Who calls from an address has a name where its log says which service it is of.
        if let Some(service) = outside.service.filter(|_| is_address(&call.caller)) {
            call.caller = service.into();
        }
        let own_problem = of_format.as_mut().and_then(|fields| fields.time_problem());
        rules.declared.apply(declared, &mut call);
        if call.time == 0 {
            let problem = declared.time_problem().or(own_problem);
            return Err(report(problem.unwrap_or_else(|| RecordError::missing("time"))));
        }
        if call.caller.is_empty() {
            call.caller = outside.service.or(outside.caller).unwrap_or_default().into();
        }
        if let Some(direction) = rules.direction {
            call.view = direction;
        }
        if rules.is_own(&call.host) {
            return Ok(Found::NotACall("own_domain"));
        }
        let of_format = of_format.iter().flat_map(|fields| fields.unreadable());
        for field in of_format.chain(declared.unreadable()) {
            if rules.is_strict {
                return Err(report(RecordError { field: Some(field.to_owned().into()), problem: Problem::Unreadable }));
            }
            *self.unreadable.entry(field.to_owned()).or_default() += 1;
        }
        self.calls.push(&call, name).map_err(|problem| report(Problem::Call(problem).into()))?;
        Ok(Found::Call)
    }
}

/// Whether what an envelope seemed to wrap was only text with a brace, or tells of no call: then the envelope itself may be the record.
fn is_nothing(read: &Read) -> bool {
    match read {
        Ok(found) => *found != Found::Call,
        Err((_, error)) => matches!(error.problem, Problem::NotJson { .. } | Problem::UnknownFormat),
    }
}

/// Whether the format could not read the outside, and knows everything inside.
fn is_explained(own: Option<&Read>, inside: &[Read]) -> bool {
    own.is_some_and(Result::is_err) && inside.iter().all(Result::is_ok)
}

/// Why no format knows a record: because it is broken JSON, or for no such reason.
fn broken_or_unknown(text: &str) -> RecordError {
    let is_json = text.starts_with(['{', '[']);
    let fault = is_json.then(|| Probe::of(text).err()).flatten();
    fault.unwrap_or_else(|| Problem::UnknownFormat.into())
}

/// Whether a caller is known by its address alone.
fn is_address(caller: &str) -> bool {
    caller.parse::<std::net::IpAddr>().is_ok()
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
    fn check(payload: &[u8]) -> (usize, u64, Vec<&'static str>) {
        let decoded =
            Decoder::new(&DecodeSpec::default()).unwrap().decode(payload, &message("logs", 1), &mut builder());
        (decoded.calls, decoded.skipped(), decoded.errors.iter().map(DecodeError::reason).collect())
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
        assert_eq!(check(format!("{ECS}{ECS} {record}").as_bytes()), (3, 0, vec![]));
        assert_eq!(check(format!("[{ECS}] garbage {{").as_bytes()), (1, 0, vec!["not_json"]));
        assert_eq!(check(b"{\"a\":1]{"), (0, 0, vec!["not_json"]));
        assert_eq!(check(b"{\"Records\": ["), (0, 0, vec!["not_json"]));
        assert_eq!(check(b" \n"), (0, 1, vec![]));
        assert_eq!(check(b""), (0, 1, vec![]));
        assert_eq!(check(b"{\"a\":1}"), (0, 0, vec!["unknown_format"]));
        assert_eq!(check(b"\xff\xff"), (0, 0, vec!["unknown_format"]));
        let utf16: Vec<u8> = [0xfeff].into_iter().chain(ECS.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(check(&utf16), (1, 0, vec![]));
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
        assert_eq!((decoded.calls, decoded.skipped(), decoded.errors), (1, 0, vec![]));
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
            decoder.source.kept.unwrap().name
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
        assert_eq!((decoded.calls, decoded.skipped(), decoded.errors[0].reason()), (0, 0, "other_format"));
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
        assert_eq!(message, "a.ndjson:3: ecs: field @timestamp: expected a time, found 9 bytes of text");
    }

    #[test]
    fn a_replica_is_its_deployment_unless_its_name_is_to_be_kept() {
        let record = ECS.replace("crm", "crm-7d4b9c6f5d-x2x7k");
        for (spec, caller) in [("", "crm"), ("keep_generated_names = true", "crm-7d4b9c6f5d-x2x7k")] {
            let mut calls = builder();
            let mut decoder = Decoder::new(&toml::from_str(spec).unwrap()).unwrap();
            decoder.decode(record.as_bytes(), &message("logs", 1), &mut calls);
            assert_eq!(texts(&mut calls, "caller"), [caller]);
        }
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
