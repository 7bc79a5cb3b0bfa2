//! Editing a record: one trait, one file per format.
//!
//! A change names an attribute of the call; the format's editor knows which fields hold it, and keeps dependent fields consistent. Missing fields
//! are created only where the call could not be read without them.
//!
//! Not here: which changes are made (`plant`).

mod cloudtrail;
mod ecs;

use jiff::Timestamp;
use serde_json::{Map, Value};

/// One change of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'a> {
    /// Start, microseconds since the epoch.
    Time(i64),
    /// Ids of record, request and trace.
    Ids(u128),
    Caller(&'a str),
    Host(&'a str),
    Scheme(&'a str),
    Method(&'a str),
    /// Path, perhaps with a query.
    Path(&'a str),
    /// An HTTP status, and the error code in audit logs.
    Status(u16, Option<&'a str>),
    BytesOut(u64),
    BytesIn(u64),
    /// Milliseconds.
    Latency(f64),
    Address(&'a str),
    Client(&'a str),
    Credential(Option<&'a str>),
    Tls(&'a str),
    /// Metered tokens, both ways, times this.
    Tokens(f64),
    /// `service:Operation`, and whether it only reads.
    Operation(&'a str, bool),
    Region(&'a str),
    Parameters(&'a Value),
}

/// Changes records of one format.
pub(super) trait Editor: Sync {
    /// Makes the change. One that the format has no field for is passed over.
    fn apply(&self, record: &mut Value, change: Change<'_>);
}

/// The editor of a format.
pub(super) fn editor(format: &str) -> Option<&'static dyn Editor> {
    match format {
        "ecs" => Some(&ecs::Ecs),
        "cloudtrail" => Some(&cloudtrail::CloudTrail),
        _ => None,
    }
}

/// The value at a path of keys, where it exists.
fn find<'a>(record: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').try_fold(record, |value, key| value.get_mut(key))
}

/// Sets what exists at a path.
fn replace(record: &mut Value, path: &str, value: impl Into<Value>) -> bool {
    let slot = find(record, path).filter(|slot| !slot.is_null());
    slot.map(|slot| *slot = value.into()).is_some()
}

/// Sets a path, and makes what leads to it.
fn set(record: &mut Value, path: &str, value: impl Into<Value>) {
    let slot = path.split('.').try_fold(record, |value, key| {
        if value.is_null() {
            *value = Map::new().into();
        }
        value.as_object_mut().map(|object| object.entry(key).or_insert(Value::Null))
    });
    if let Some(slot) = slot {
        *slot = value.into();
    }
}

fn remove(record: &mut Value, path: &str) {
    let (parent, key) = match path.rsplit_once('.') {
        Some((parent, key)) => (find(record, parent), key),
        None => (Some(record), path),
    };
    if let Some(object) = parent.and_then(Value::as_object_mut) {
        object.remove(key);
    }
}

/// RFC 3339, UTC, with so many digits of a second.
pub(super) fn instant(micros: i64, digits: usize) -> String {
    Timestamp::from_microsecond(micros).map(|time| format!("{time:.digits$}")).unwrap_or_default()
}

/// Digits of a second in a time as logged.
fn digits(text: &str) -> usize {
    let fraction = text.split('.').nth(1).unwrap_or_default();
    fraction.bytes().take_while(u8::is_ascii_digit).count().min(6)
}

/// `8-4-4-4-12` hex digits.
fn uuid(id: u128) -> String {
    let hex = format!("{id:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}
