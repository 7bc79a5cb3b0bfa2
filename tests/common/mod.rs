//! What the tests about the whole share: the demo's logs cut to three callers, and a bundle learned from them.
//!
//! Ten days are history, four are later: in those a key of billing-worker is used from elsewhere, ml-gateway runs up a bill,
//! and support-portal uploads to a host never seen.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use apiwarden::alerts::{Alert, to_ocsf};
use apiwarden::calls::{Calls, CallsBuilder, FingerprintKey, VendorPack};
use apiwarden::ingest::{DecodeError, DecodeSpec, Decoder, Place};
use apiwarden::models::bundle::Bundle;
use apiwarden::train::{History, Report, Settings, train};
use serde_json::Value;

/// What the fingerprint key is made of.
pub const PASSPHRASE: &str = "only ever used in tests";
const CALLERS: [&str; 3] = ["billing-worker", "ml-gateway", "support-portal"];
/// First day that is not history.
const LATER: &str = "2026-09-15";
/// Alerts a day that the tests ask for.
pub const ALERTS_PER_DAY: f64 = 1.0;

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The fingerprint key that [`PASSPHRASE`] gives.
pub fn key() -> Arc<FingerprintKey> {
    let mut file = tempfile::NamedTempFile::new().expect("a file for the key");
    file.write_all(PASSPHRASE.as_bytes()).expect("the key is written");
    Arc::new(FingerprintKey::from_file(file.path()).expect("a fingerprint key"))
}

/// Records, a line each.
pub struct Logs {
    /// Ten days.
    pub history: Vec<String>,
    /// The four days after.
    pub later: Vec<String>,
}

/// The demo's logs, of three callers.
pub fn logs() -> &'static Logs {
    static LOGS: OnceLock<Logs> = OnceLock::new();
    LOGS.get_or_init(|| {
        let packed = std::fs::read(repository("datasets/demo/egress.ndjson.zst")).expect("the demo's logs");
        let text = String::from_utf8(zstd::decode_all(packed.as_slice()).expect("zstd")).expect("UTF-8");
        let marks = CALLERS.map(|caller| format!(r#""service":{{"name":"{caller}""#));
        let lines = text.lines().filter(|line| marks.iter().any(|mark| line.contains(mark.as_str())));
        let (history, later) = lines.map(str::to_owned).partition(|line| time(line) < LATER);
        Logs { history, later }
    })
}

/// A record with the first field that starts with `mark` replaced, up to the next quotation mark.
pub fn with(line: &str, mark: &str, text: &str) -> String {
    let start = line.find(mark).expect("the field is there") + mark.len();
    let end = start + line[start..].find('"').expect("the field ends");
    format!("{}{text}{}", &line[..start], &line[end..])
}

/// The later records from one time of day to another, RFC 3339.
pub fn later(from: &str, to: &str) -> Vec<String> {
    logs().later.iter().filter(|line| (from..to).contains(&time(line))).cloned().collect()
}

/// A theft in half a minute: 30 calls of 2 MB, of a caller that sends its vendor some hundred bytes a call, from a minute on (`2026-09-16T12:00`).
pub fn theft(minute: &str) -> Vec<String> {
    let is_it = |line: &&String| line.contains(r#""name":"billing-worker""#) && line.contains("api.sendgrid.com");
    let template = logs().later.iter().find(is_it).expect("a call to a known vendor");
    let large = with(template, r#""bytes":"#, "2000000,");
    (20..50).map(|second| with(&large, r#""@timestamp":""#, &format!("{minute}:{second}Z"))).collect()
}

/// `@timestamp` of a record; text sorts as time does.
pub fn time(line: &str) -> &str {
    line.split('"').nth(3).expect("@timestamp comes first")
}

/// The calls of records, and what could not be read.
pub fn decode(lines: &[String]) -> (Calls, Vec<DecodeError>) {
    let mut decoder = Decoder::new(&DecodeSpec::default()).expect("no specification, nothing wrong");
    let mut calls = CallsBuilder::new(key());
    let path: Arc<Path> = Path::new("records").into();
    let mut errors = Vec::new();
    for (line, record) in (1..).zip(lines) {
        let place = Place::File { path: Arc::clone(&path), line };
        errors.extend(decoder.decode(record.as_bytes(), &place, &mut calls).errors);
    }
    (calls.finish(), errors)
}

/// Learns a bundle from records.
pub fn learn(lines: &[String]) -> (Bundle, Report) {
    let mut history = History::default();
    history.add(decode(lines).0);
    let vendors = VendorPack::embedded();
    let settings =
        Settings { fingerprint_key: key().id(), alerts_per_day: ALERTS_PER_DAY, records_left_out: 0, vendors };
    train(history, &settings, &|_| {}).expect("a history to learn from")
}

/// The bundle learned from the history, once a test file.
pub fn bundle() -> &'static Arc<Bundle> {
    static BUNDLE: OnceLock<Arc<Bundle>> = OnceLock::new();
    BUNDLE.get_or_init(|| Arc::new(learn(&logs().history).0))
}

/// Alerts as delivered.
pub fn written(alerts: &[Alert]) -> Vec<Value> {
    alerts.iter().map(to_ocsf).collect()
}

/// Writes records to a file, a line each.
pub fn write_lines(path: &Path, lines: &[String]) {
    let mut text = lines.join("\n");
    text.push('\n');
    std::fs::write(path, text).expect("records are written");
}

/// The program, with the tests' fingerprint key.
pub fn program() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_apiwarden"));
    command.env("APIWARDEN_FINGERPRINT_KEY", PASSPHRASE);
    command
}
