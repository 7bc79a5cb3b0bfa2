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
/// Longest value that a dead letter keeps whole, bytes: a topic takes a million by default, and headers and escapes need room.
const MAX_VALUE: usize = 400 << 10;
/// What is kept of a longer one, bytes.
const KEPT_OF_LONGER: usize = 64 << 10;

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
        let hash = blake3::hash(value).to_hex().to_string();
        Self { value: &value[..KEPT_OF_LONGER], whole: Some((value.len(), hash)) }
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
        },
        Form::Line => Delivery { uid, key: None, headers: Vec::new(), body: line(record, error) },
    }
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
        headers.push(("aw-bytes".to_owned(), bytes.to_string().into_bytes()));
        headers.push(("aw-blake3".to_owned(), hash.into_bytes()));
    }
    headers
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
}
