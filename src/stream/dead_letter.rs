//! Dead letters: records that could not be read, kept with the reason.
//!
//! A dead letter is a delivery like an alert, so it is neither lost nor duplicated. To a topic goes the record as it came,
//! with its own headers and ours beside them; to a file goes a line of JSON. Both hold what the record held, secrets too:
//! guard them as the source topic is guarded.
//!
//! Not here: why a record cannot be read (`ingest`).

use rdkafka::message::{BorrowedMessage, Headers, Message};
use serde_json::{Value, json};

use crate::alerts::sinks::Delivery;
use crate::ingest::DecodeError;

/// The form in which dead letters are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The record as it came; the reason in headers.
    Record,
    /// A line of JSON.
    Line,
}

/// What the names of our own headers begin with.
const OWN_HEADER: &str = "aw-";
/// The header with the size of a value that is not all there.
const SIZE: &str = "aw-bytes";
/// Longest value that a dead letter keeps whole, bytes: a topic takes a million by default, and headers and escapes need room.
const MAX_VALUE: usize = 400 << 10;
/// What is kept of a longer one, bytes.
const KEPT_OF_LONGER: usize = 64 << 10;

/// Longest key that a letter without its payload keeps, bytes: a topic may demand one.
const MAX_KEY: usize = 1 << 10;

/// Whether a record is one that we wrote: an alert or a dead letter. Reading it would write the next.
pub(super) fn is_own(record: &BorrowedMessage<'_>) -> bool {
    record.headers().is_some_and(|headers| headers.iter().any(|header| header.key.starts_with(OWN_HEADER)))
}

/// What is kept of a value: all of it, or its beginning with the size and the hash (BLAKE3) of the whole.
struct Kept<'a> {
    value: &'a [u8],
    whole: Option<(usize, String)>,
}

impl<'a> Kept<'a> {
    fn of(value: &'a [u8]) -> Self {
        if value.len() <= MAX_VALUE {
            return Self { value, whole: None };
        }
        Self { value: &value[..KEPT_OF_LONGER], whole: Some((value.len(), hash_of(value))) }
    }
}

/// The delivery that keeps `record`; `error` is its first decode error.
pub(super) fn letter(record: &BorrowedMessage<'_>, error: &DecodeError, form: Form) -> Delivery {
    let uid = format!("{}/{}@{}", record.topic(), record.partition(), record.offset());
    match form {
        Form::Record => Delivery {
            uid,
            key: record.key().map(<[u8]>::to_vec),
            headers: headers(record, error),
            body: Kept::of(record.payload().unwrap_or_default()).value.to_vec(),
            alert: None,
        },
        Form::Line => Delivery { uid, key: None, headers: Vec::new(), body: line(record, error), alert: None },
    }
}

/// What is left of a letter that a topic refused: place, reason, size and hash, without what the record held. `None` where that is all
/// it was.
pub(super) fn without_payload(letter: &Delivery) -> Option<Delivery> {
    let is_own = |(name, _): &&(String, Vec<u8>)| name.starts_with(OWN_HEADER);
    let mut headers: Vec<_> = letter.headers.iter().filter(is_own).cloned().collect();
    let is_bare = letter.body.is_empty() && headers.len() == letter.headers.len();
    if is_bare || headers.is_empty() {
        return None;
    }
    if !headers.iter().any(|(name, _)| name == SIZE) {
        headers.extend(size_and_hash(letter.body.len(), &hash_of(&letter.body)));
    }
    let key = letter.key.clone().filter(|key| key.len() <= MAX_KEY);
    Some(Delivery { uid: letter.uid.clone(), key, headers, body: Vec::new(), alert: None })
}

fn headers(record: &BorrowedMessage<'_>, error: &DecodeError) -> Vec<(String, Vec<u8>)> {
    let theirs = record.headers().into_iter().flat_map(|headers| headers.iter());
    let mut headers: Vec<_> = theirs
        .filter(|header| !header.key.starts_with(OWN_HEADER))
        .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
        .collect();
    for (name, value) in [
        ("aw-reason", error.reason().to_owned()),
        ("aw-field", error.field.as_deref().unwrap_or_default().to_owned()),
        ("aw-topic", record.topic().to_owned()),
        ("aw-partition", record.partition().to_string()),
        ("aw-offset", record.offset().to_string()),
    ] {
        headers.push((name.to_owned(), value.into_bytes()));
    }
    if let Some((bytes, hash)) = Kept::of(record.payload().unwrap_or_default()).whole {
        headers.extend(size_and_hash(bytes, &hash));
    }
    headers
}

/// The headers that stand for a value that is not all there.
fn size_and_hash(bytes: usize, hash: &str) -> [(String, Vec<u8>); 2] {
    [(SIZE.to_owned(), bytes.to_string().into_bytes()), ("aw-blake3".to_owned(), hash.as_bytes().to_vec())]
}

fn hash_of(value: &[u8]) -> String {
    blake3::hash(value).to_hex().to_string()
}

fn line(record: &BorrowedMessage<'_>, error: &DecodeError) -> Vec<u8> {
    let kept = record.payload().map(Kept::of);
    let mut line = json!({
        "reason": error.reason(),
        "field": error.field,
        "topic": record.topic(),
        "partition": record.partition(),
        "offset": record.offset(),
        "key": record.key().map_or(Value::Null, text),
        "value": kept.as_ref().map_or(Value::Null, |kept| text(kept.value)),
    });
    if let Some((bytes, hash)) = kept.and_then(|kept| kept.whole) {
        line["bytes"] = bytes.into();
        line["blake3"] = hash.into();
    }
    line.to_string().into_bytes()
}

/// Text as text; anything else as `{"hex": …}`, which loses nothing.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_value_too_long_for_a_topic_the_beginning_is_kept_with_size_and_hash() {
        let long = vec![b'x'; MAX_VALUE + 1];
        let kept = Kept::of(&long);
        assert_eq!(kept.value.len(), KEPT_OF_LONGER);
        assert_eq!(kept.whole, Some((MAX_VALUE + 1, blake3::hash(&long).to_hex().to_string())));
        let short = Kept::of(&long[1..]);
        assert_eq!((short.value.len(), short.whole), (MAX_VALUE, None));
    }

    #[test]
    fn a_letter_without_its_payload_has_place_reason_size_and_hash_and_nothing_of_the_record() {
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let letter = Delivery {
            uid: "calls/0@7".to_owned(),
            key: Some(vec![b'k'; MAX_KEY + 1]),
            headers: vec![header("authorization", "theirs"), header("aw-reason", "not_json")],
            body: b"payload".to_vec(),
            alert: None,
        };
        let rest = without_payload(&letter).unwrap();
        let hash = blake3::hash(b"payload").to_hex().to_string();
        let expected = [header("aw-reason", "not_json"), header("aw-bytes", "7"), header("aw-blake3", &hash)];
        assert_eq!((rest.uid.as_str(), &rest.key, rest.body.as_slice()), ("calls/0@7", &None, &b""[..]));
        assert_eq!(rest.headers, expected);
        assert_eq!(without_payload(&rest), None);
    }
}
