//! Envelopes: what shippers wrap around a record, looked into only where no format could read the outside.
//!
//! Filebeat, Fluent Bit and Logstash put the line that they read into `message`, `log` or `event.original`; and keys may come dotted
//! (`"http.request.method"`) instead of nested.
//!
//! Not here: lists of records and compression (`payload`).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::formats::Probe;
use super::formats::values::{Section, Text};

/// Most dots in a key that is nested. A level costs stack: unbounded, one hostile key would end the process.
const DEEPEST_KEY: usize = 16;

/// What an envelope holds.
pub(super) struct Inside<'a> {
    /// The text of the record inside.
    pub record: Cow<'a, str>,
    /// The workload that the shipper found the line at: the caller, unless the record knows better.
    pub caller: Option<Cow<'a, str>>,
}

/// The record inside the text, if the text is an envelope of it.
pub(super) fn peel(text: &str) -> Option<Inside<'_>> {
    let envelope: Envelope = serde_json::from_str(text).ok()?;
    let carried = [envelope.message.0, envelope.event.take().original.0, envelope.log.0];
    let caller = envelope.service.take().name.0;
    let caller = caller.or_else(|| envelope.kubernetes.take().deployment.take().name.0);
    let caller = caller.or_else(|| envelope.host.take().name.0);
    match carried.into_iter().flatten().find(|text| text.trim_start().starts_with('{')) {
        Some(record) => Some(Inside { record, caller }),
        None => nest(text).map(|nested| Inside { record: nested.into(), caller: None }),
    }
}

/// The record with its dotted keys nested; `None` where no key is dotted. Keys with more dots than a schema has stay as they are.
pub(super) fn nest(text: &str) -> Option<String> {
    if !Probe::of(text).ok()?.keys().any(is_dotted) {
        return None;
    }
    let record: Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut nested = Map::new();
    for (key, value) in record {
        if is_dotted(&key) || !key.contains('.') {
            insert(&mut nested, &key, value);
        } else {
            nested.insert(key, value);
        }
    }
    Some(Value::Object(nested).to_string())
}

fn is_dotted(key: &str) -> bool {
    (1..=DEEPEST_KEY).contains(&key.matches('.').count())
}

/// Where dotted and nested keys name the same field, the later one stands.
fn insert(object: &mut Map<String, Value>, key: &str, value: Value) {
    match (key.split_once('.'), value) {
        (Some((head, tail)), value) => {
            let slot = object.entry(head).or_insert_with(|| Map::new().into());
            if !slot.is_object() {
                *slot = Map::new().into();
            }
            if let Value::Object(inner) = slot {
                insert(inner, tail, value);
            }
        }
        (None, Value::Object(fields)) if object.get(key).is_some_and(Value::is_object) => {
            if let Some(Value::Object(inner)) = object.get_mut(key) {
                inner.extend(fields);
            }
        }
        (None, value) => {
            object.insert(key.to_owned(), value);
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    log: Text<'a>,
    #[serde(borrow)]
    event: Section<Event<'a>>,
    #[serde(borrow)]
    service: Section<Named<'a>>,
    #[serde(borrow)]
    host: Section<Named<'a>>,
    #[serde(borrow)]
    kubernetes: Section<Kubernetes<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Event<'a> {
    #[serde(borrow)]
    original: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Kubernetes<'a> {
    #[serde(borrow)]
    deployment: Section<Named<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_keys_become_nested_and_join_what_is_nested_already() {
        let text = r#"{"http.request.method":"GET","http":{"version":"2"},"http.request.bytes":7,"url.domain":"a.b"}"#;
        let nested: Value = serde_json::from_str(&nest(text).unwrap()).unwrap();
        let expected = r#"{"http":{"version":"2","request":{"method":"GET","bytes":7}},"url":{"domain":"a.b"}}"#;
        assert_eq!(nested, serde_json::from_str::<Value>(expected).unwrap());
        assert_eq!(nest(expected), None);
    }

    #[test]
    fn a_key_of_a_million_dots_is_left_alone() {
        let text = format!(r#"{{"{}":1,"http.version":"2"}}"#, "a.".repeat(1_000_000));
        assert!(nest(&text).unwrap().contains(r#""http":{"version":"2"}"#));
        assert_eq!(nest(&format!(r#"{{"{}":1}}"#, "a.".repeat(1_000_000))), None);
    }

    #[test]
    fn a_shipped_line_comes_out_with_the_workload_it_was_found_at() {
        let text = r#"{"message":"{\"a\":1}","host":{"name":"web-1"},"kubernetes":{"deployment":{"name":"billing"}}}"#;
        let inside = peel(text).unwrap();
        assert_eq!(inside.record, r#"{"a":1}"#);
        assert_eq!(inside.caller.as_deref(), Some("billing"));
        assert!(peel(r#"{"message":"GET / 200"}"#).is_none());
    }
}
