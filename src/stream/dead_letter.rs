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

/// The delivery that keeps `record`; `error` is its first decode error.
pub(super) fn letter(record: &BorrowedMessage<'_>, error: &DecodeError, form: Form) -> Delivery {
    let uid = format!("{}/{}@{}", record.topic(), record.partition(), record.offset());
    match form {
        Form::Record => Delivery {
            uid,
            key: record.key().map(<[u8]>::to_vec),
            headers: headers(record, error),
            body: record.payload().unwrap_or_default().to_vec(),
        },
        Form::Line => Delivery { uid, key: None, headers: Vec::new(), body: line(record, error) },
    }
}

fn headers(record: &BorrowedMessage<'_>, error: &DecodeError) -> Vec<(String, Vec<u8>)> {
    let theirs = record.headers().into_iter().flat_map(|headers| headers.iter());
    let mut headers: Vec<_> = theirs
        .filter(|header| !header.key.starts_with("aw-"))
        .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
        .collect();
    for (name, value) in [
        ("aw-reason", error.reason().to_owned()),
        ("aw-field", error.field.unwrap_or_default().to_owned()),
        ("aw-topic", record.topic().to_owned()),
        ("aw-partition", record.partition().to_string()),
        ("aw-offset", record.offset().to_string()),
    ] {
        headers.push((name.to_owned(), value.into_bytes()));
    }
    headers
}

fn line(record: &BorrowedMessage<'_>, error: &DecodeError) -> Vec<u8> {
    let line = json!({
        "reason": error.reason(),
        "field": error.field,
        "topic": record.topic(),
        "partition": record.partition(),
        "offset": record.offset(),
        "key": record.key().map_or(Value::Null, text),
        "value": record.payload().map_or(Value::Null, text),
    });
    line.to_string().into_bytes()
}

/// Text as text; anything else as `{"hex": …}`, which loses nothing.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    }
}
