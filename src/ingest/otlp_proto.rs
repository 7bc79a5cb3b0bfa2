//! OTLP in Protobuf, as the collector's Kafka exporter writes it (`otlp_proto`): the same export in JSON, which `otlp` reads.
//!
//! Nothing announces such a payload, so it must prove itself: field 1 again and again to the last byte, every field of the type that OTLP
//! gives it, and a time or trace id in it. Logs and traces differ in the types of their first fields.
//!
//! Not here: what an export means (`otlp`).

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::prost::encoding::decode_varint;
use prost_reflect::{DescriptorPool, MessageDescriptor, SerializeOptions};
use serde_json::Value;

use super::protobuf;

/// Field 1, of a length that follows.
const FIRST_FIELD: u8 = 0x0a;
/// Fields of which a log record or a span has one at least.
const PROOFS: [&str; 4] = ["timeUnixNano", "observedTimeUnixNano", "startTimeUnixNano", "traceId"];

/// Exports, each with the names of its lists.
static EXPORTS: LazyLock<Vec<(MessageDescriptor, [&str; 3])>> = LazyLock::new(|| {
    let mut pool = DescriptorPool::new();
    let file = protox_parse::parse("otlp.proto", include_str!("otlp.proto"));
    // A test reads the file, so nothing is lost here but what could not be built.
    let is_known = file.is_ok_and(|file| pool.add_file_descriptor_proto(file).is_ok());
    debug_assert!(is_known, "otlp.proto");
    [
        ("otlp.Logs", ["resourceLogs", "scopeLogs", "logRecords"]),
        ("otlp.Traces", ["resourceSpans", "scopeSpans", "spans"]),
    ]
    .into_iter()
    .filter_map(|(name, lists)| Some((pool.get_message_by_name(name)?, lists)))
    .collect()
});

/// The export in JSON; `None` where the bytes are none.
pub(super) fn json(bytes: &[u8]) -> Option<Vec<u8>> {
    if !is_list(bytes) {
        return None;
    }
    let options = SerializeOptions::new().use_enum_numbers(true);
    EXPORTS.iter().find_map(|(message, lists)| {
        let mut export: Value = serde_json::from_slice(&protobuf::json(message.clone(), bytes, &options)?).ok()?;
        let mut is_proven = false;
        for item in items(&mut export, lists) {
            is_proven |= PROOFS.iter().any(|field| item.get(field).is_some());
            for key in ["traceId", "spanId"] {
                if let Some(id) = item.get_mut(key) {
                    *id = hex(id);
                }
            }
        }
        is_proven.then(|| export.to_string().into_bytes())
    })
}

/// Whether the bytes are field 1 and nothing else.
fn is_list(mut bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return false;
    }
    while let Some((&FIRST_FIELD, rest)) = bytes.split_first() {
        bytes = rest;
        let length = decode_varint(&mut bytes).ok().and_then(|length| usize::try_from(length).ok());
        let Some(rest) = length.and_then(|length| bytes.get(length..)) else { return false };
        bytes = rest;
    }
    bytes.is_empty()
}

fn items<'v>(
    export: &'v mut Value,
    [resources, scopes, items]: &[&'static str; 3],
) -> impl Iterator<Item = &'v mut Value> {
    let (scopes, items) = (*scopes, *items);
    let resources = list(export, resources);
    resources.flat_map(move |resource| list(resource, scopes)).flat_map(move |scope| list(scope, items))
}

fn list<'v>(value: &'v mut Value, key: &str) -> impl Iterator<Item = &'v mut Value> + use<'v> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Bytes as OTLP's JSON has its ids, which is not how Protobuf's has bytes.
fn hex(base64: &Value) -> Value {
    let bytes = STANDARD.decode(base64.as_str().unwrap_or_default()).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_begins_with_a_line_break_is_no_export() {
        let long = format!("\n{}", " ".repeat(200));
        for text in ["\n", "\n\n", "", "\n{\"a\":1}", "\n\x02ab", &long] {
            assert_eq!(json(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(EXPORTS.len(), 2);
    }
}
