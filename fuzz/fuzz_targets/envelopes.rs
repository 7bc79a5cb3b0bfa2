//! Any text inside each kind of envelope: the first byte chooses which.
#![no_main]

use std::cell::RefCell;

use apiwarden_fuzz::{Reader, reader};
use libfuzzer_sys::fuzz_target;

/// What stands around the text, with `%` where it goes as it is, and `@` where it goes as a JSON text.
const ENVELOPES: [&str; 16] = [
    "%",
    r#"{"message":@,"host":{"name":"web-1"},"service":{"name":"crm"}}"#,
    r#"{"log":@,"stream":"stdout","kubernetes":{"pod_name":"crm-7d4b9c6f5d-x2x7k"}}"#,
    r#"{"schema":null,"payload":%}"#,
    r#"{"schema":null,"payload":@}"#,
    r#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":@},{"message":@}]}"#,
    r#"{"detail-type":"x","detail":%}"#,
    r#"{"specversion":"1.0","data":%}"#,
    r#"{"specversion":"1.0","data_base64":@}"#,
    r#"{"message":{"data":@}}"#,
    r#"{"Records":[%,%]}"#,
    r#"{"Records":[{"kinesis":{"data":@}}]}"#,
    r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"crm"}}]},"scopeLogs":[{"logRecords":[{"body":{"stringValue":@}}]}]}]}"#,
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[%]}]}]}"#,
    "<134>1 2026-09-01T00:00:00Z host app 1 - - %",
    "2026-09-01T00:00:00.9Z stdout F %",
];

thread_local!(static READER: RefCell<Reader> = RefCell::new(reader()));

fuzz_target!(|bytes: &[u8]| {
    let Some((envelope, text)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let envelope = ENVELOPES[usize::from(*envelope) % ENVELOPES.len()];
    let mut message = String::new();
    for part in envelope.split_inclusive(['%', '@']) {
        match (part.strip_suffix('%'), part.strip_suffix('@')) {
            (Some(before), _) => message.extend([before, &text]),
            (_, Some(before)) => message.extend([before, &json(&text)]),
            _ => message.push_str(part),
        }
    }
    READER.with_borrow_mut(|reader| reader.read(message.as_bytes()));
});

/// A text as JSON has it.
fn json(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|character| match character {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            control if control.is_control() => format!("\\u{:04x}", u32::from(control)),
            other => other.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}
