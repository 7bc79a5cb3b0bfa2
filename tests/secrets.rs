//! No secret is ever written: keys of real shapes in every field of every format's sample, through training, scanning, the engine's
//! snapshot, kept rollups, the catalogue and all that is made of it, and every diagnostic.
//!
//! Formats are those of [`FORMATS`]: a new one is covered by its sample. [`FULLER`] holds records with more fields than a sample has.
//!
//! A dead letter keeps the record it is about, and so its secrets: it says so, and is not looked at here.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use apiwarden::catalog::LISTS;
use apiwarden::ingest::{FORMATS, FormatKind, Reading};
use apiwarden::models::bundle::Bundle;
use apiwarden::state::KeptRollups;
use apiwarden::stream::{Engine, EngineSettings};
use common::{decode, key, later, logs, program, write_lines, written};
use serde_json::{Value, json};

/// Keys as vendors shape them, made up for this test. In two halves, so that no scanner of repositories takes them for real.
const KEYS: [(&str, &str); 14] = [
    ("sk_live_", "51NfYq2KJh8sV3mTzLw0PbXc9Rg"),
    ("rk_live_", "Tq82HsbXv0Lr5YzMn3WdKc7E"),
    ("AKIA", "QZ7NVX3KPLWM4TYB"),
    ("ASIA", "W5RTKQ9ZXPLM3VNB"),
    ("", "wJq7rXUtnFEMI/K7MDENG+bPxRfiCYzX8kLq2Vt3"),
    ("ghp_", "R8sKq2VtXw5LnZb7YcMd3FgHj9TpEu4A6iQo"),
    ("github_pat_", "11BQ7XKVY0ZtLm4sRw8NcPd_fG5hJkUe2TaXvYq9"),
    ("eyJhbGciOiJIUzI1NiJ9.", "eyJzdWIiOiJwYXlyb2xsLXN2YyJ9.q7VxKtR2mZs9LwYbN4cPdFgHjUeTa8Xo"),
    ("xoxb-", "2714098831-5520917743-Qm8XvKzT3sLwRyBnPc7dFgHj"),
    ("/services/T0", "4KQ7XBZ/B05MRW2YVN/hT9sXqLvK3mZ8wRbNcPdYgFj"),
    ("sk-proj-", "Lq8XvT3sKzWm5RyBnPc7dFgHjUeTa2YoQi9EuM4"),
    ("AIza", "SyC7vXq2KtLm9sRw4NbPdFgHjUeTa8YoZ3c"),
    ("SG.", "qX7vKtL2mZs9RwYbN4cPdF.gHjUeTa8XoQi5Eu3MvKzLw7RyBnPcTdFgHj"),
    ("", "9fK2mXq7VtLz4sRwYbN8cPdFgHjUeTa3XoQi5EuMvKzL"),
];
/// Keys from this place on are not in the history: they come first in what is scanned.
const NEW_KEYS: usize = 7;
/// Shortest part of a key that gives it away.
const TELLING: usize = 12;

/// Fields of which one stands in for the next where it is absent.
const STAND_INS: [&[&str]; 7] = [
    &["/service/name", "/kubernetes/deployment/name", "/host/name", "/source/ip"],
    &["/url/domain", "/destination/domain", "/server/domain", "/url/full", "/url/original"],
    &["/labels/credential_id", "/http/request/headers/authorization", "/http/request/headers/x-api-key"],
    &["/url/path", "/url/full", "/url/original"],
    &["/url/scheme", "/url/full", "/url/original"],
    &["/event/id", "/http/request/id"],
    &[
        "/userIdentity/sessionContext/sessionIssuer/userName",
        "/userIdentity/userName",
        "/userIdentity/invokedBy",
        "/userIdentity/principalId",
    ],
];

/// Records of one call with every field that a format reads, and more, where its sample has only the usual ones.
const FULLER: [(&str, Make); 4] = [("ecs", ecs), ("cloudtrail", cloudtrail), ("har", har), ("otel", otel)];

/// Makes a record.
type Make = fn() -> Value;

fn ecs() -> Value {
    let time = "2026-09-01T00:00:00.000Z";
    json!({
        "@timestamp": time, "message": "answered", "ecs": { "version": "8.17.0" },
        "event": { "start": time, "id": "e-1", "duration": 41_860_000, "outcome": "success", "action": "call" },
        "service": { "name": "billing-worker" }, "kubernetes": { "deployment": { "name": "billing" } },
        "host": { "name": "billing-1" }, "source": { "ip": "10.20.3.180", "domain": "billing.internal" },
        "destination": { "domain": "api.stripe.com", "ip": "3.18.12.63", "port": 443 }, "server": { "domain": "api.stripe.com" },
        "url": {
            "full": "https://api.stripe.com/v1/charges?limit=3", "original": "https://api.stripe.com/v1/charges?limit=3",
            "scheme": "https", "domain": "api.stripe.com", "path": "/v1/charges", "query": "limit=3",
        },
        "http": {
            "version": "2",
            "request": {
                "id": "r-1", "method": "GET", "bytes": 663, "referrer": "https://example.com", "body": { "content": "x" },
                "headers": {
                    "authorization": "Bearer x", "x-api-key": "x", "cookie": "x", "api-version": "2024-10", "stripe-version": "2024-10",
                },
                "mime_type": "application/json",
            },
            "response": {
                "status_code": 200, "bytes": 12_179, "body": { "content": "x" },
                "headers": { "location": "https://files.stripe.com/a", "content-type": "application/json" },
            },
        },
        "user_agent": { "original": "node-fetch/3.3.2" }, "trace": { "id": "a204a3d21b48d983eb5a6b5271226cf6" },
        "labels": { "credential_id": "sk_label" }, "tls": { "version": "1.3" }, "cloud": { "region": "eu-west-1" },
    })
}

fn har() -> Value {
    json!({
        "startedDateTime": "2026-09-01T00:00:00.000Z", "time": 41.8,
        "request": {
            "method": "POST", "url": "https://api.stripe.com/v1/charges?email=jo", "headersSize": 412, "bodySize": 93,
            "headers": [
                { "name": "Origin", "value": "https://shop.acme.io" }, { "name": "Authorization", "value": "Basic x" },
                { "name": "Stripe-Version", "value": "2024-10-28" }, { "name": "X-Api-Key", "value": "x" },
            ],
            "postData": { "mimeType": "application/json", "text": "{\"card\":{\"number\":1}}" },
        },
        "response": {
            "status": 308, "headersSize": 310, "bodySize": 811, "redirectURL": "https://files.stripe.com/a",
            "content": { "mimeType": "application/json", "text": "{\"client_secret\":1}" },
        },
    })
}

fn otel() -> Value {
    json!({
        "service.name": "billing-worker", "otlp.kind": 3, "otlp.startTimeUnixNano": "1788220800000000000", "otlp.traceId": "a204a3d21b48d983eb5a6b5271226cf6",
        "otlp.spanId": "ab00a067aa0ba902", "url.full": "https://api.stripe.com/v1/charges", "url.query": "email=jo", "http.request.method": "POST",
        "http.response.status_code": 302, "http.request.header.authorization": ["Bearer x"], "http.request.header.stripe-version": ["2024-10-28"],
        "http.request.header.content-type": ["application/json"], "http.response.header.location": ["https://files.stripe.com/a"],
    })
}

fn cloudtrail() -> Value {
    json!({
        "eventVersion": "1.08", "eventTime": "2026-09-01T00:00:00Z", "eventSource": "s3.amazonaws.com", "eventName": "GetObject",
        "eventID": "b69c41d9", "eventType": "AwsApiCall", "eventCategory": "Data", "awsRegion": "us-east-1",
        "sourceIPAddress": "10.248.16.43", "userAgent": "Boto3/1.26.165", "errorCode": "AccessDenied", "errorMessage": "no",
        "userIdentity": {
            "type": "AssumedRole", "principalId": "AROAEXAMPLE:session", "arn": "arn:aws:sts::1:assumed-role/lab/session",
            "accessKeyId": "ASIAEXAMPLE", "userName": "benjamin", "invokedBy": "lambda.amazonaws.com",
            "sessionContext": { "sessionIssuer": { "userName": "lab", "arn": "arn:aws:iam::1:role/lab" } },
        },
        "requestParameters": { "bucketName": "reports", "key": "a.csv" }, "responseElements": { "token": "x" },
        "additionalEventData": { "bytesTransferredIn": 0, "bytesTransferredOut": 289 },
        "tlsDetails": { "tlsVersion": "TLSv1.2" }, "resources": [{ "ARN": "arn:aws:s3:::reports" }],
    })
}

/// Paths of all values of a record that hold no others.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| leaves(inner, &format!("{path}/{name}"), found))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, inner)| leaves(inner, &format!("{path}/{at}"), found));
        }
        _ => found.push(path.to_owned()),
    }
}

/// Takes away what is read in place of `field`.
fn without_what_comes_before(field: &str, record: &mut Value) {
    for fields in STAND_INS {
        let place = fields.iter().position(|name| *name == field).unwrap_or_default();
        for before in &fields[..place] {
            if let Some(value) = record.pointer_mut(before) {
                *value = Value::Null;
            }
        }
    }
}

/// A record to plant keys in, and which of its fields tell when it was and which record it is.
struct Template {
    name: String,
    record: Value,
    /// Fields with the time, and what it is written in: `None` for RFC 3339, else units of so many microseconds.
    times: Vec<(String, Option<f64>)>,
    ids: Vec<String>,
}

/// How a field writes a time, if it holds this one.
fn layout_of(value: &Value, time: i64) -> Option<Option<f64>> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.parse::<jiff::Timestamp>().is_ok_and(|own| own.as_microsecond() == time) {
        return Some(None);
    }
    let number: f64 = text.parse().ok()?;
    [1e6, 1e3, 1.0, 1e-3].into_iter().find(|unit| (number * unit - time as f64).abs() < 1e3).map(Some)
}

impl Template {
    /// Finds the fields by what the format reads in the record: whatever holds the call's time, or its record's id.
    fn of(name: &str, format: &'static FormatKind, record: Value) -> Self {
        let text = record.to_string();
        let call = format.decode(&text).ok().and_then(Reading::call).expect("a record of a call");
        let (mut fields, id) = (Vec::new(), call.record_id.as_deref().unwrap_or_default());
        leaves(&record, "", &mut fields);
        let value = |field: &String| record.pointer(field).unwrap_or(&Value::Null);
        let is_id = |field: &&String| !id.is_empty() && value(field).as_str() == Some(id);
        let time = |field: &String| Some((field.clone(), layout_of(value(field), call.time)?));
        let times = fields.iter().filter_map(time).collect();
        Self { name: name.to_owned(), times, ids: fields.iter().filter(is_id).cloned().collect(), record }
    }

    /// The record at another time, under another id. A time that the call's does not follow from alone stays.
    fn at(&self, time: &str, id: &str) -> Value {
        let mut record = self.record.clone();
        let micros = time.parse::<jiff::Timestamp>().expect("a time").as_microsecond();
        for (field, unit) in &self.times {
            let slot = record.pointer_mut(field).expect("a field of the record");
            *slot = match unit {
                None => Value::from(time),
                Some(unit) => {
                    let number = (micros as f64 / unit) as i64;
                    if slot.is_string() { Value::from(number.to_string()) } else { Value::from(number) }
                }
            };
        }
        for field in &self.ids {
            *record.pointer_mut(field).expect("a field of the record") = Value::from(id);
        }
        record
    }
}

/// A record for every field and key: once the key alone, once in what the field holds.
fn tainted(template: &Template, from: &str, keys: &[(&str, &str)]) -> Vec<String> {
    let from: jiff::Timestamp = from.parse().expect("a time");
    if let Value::String(line) = &template.record {
        return tainted_line(line, keys);
    }
    let mut fields = Vec::new();
    leaves(&template.record, "", &mut fields);
    let mut records = Vec::new();
    for (beginning, rest) in keys {
        let key = format!("{beginning}{rest}");
        for field in &fields {
            let second = records.len() / 2;
            let time = (from + jiff::SignedDuration::from_secs(second as i64)).to_string();
            for is_alone in [true, false] {
                let mut record = template.at(&time, &format!("{}-{}", template.name, records.len()));
                without_what_comes_before(field, &mut record);
                let Some(value) = record.pointer_mut(field) else { continue };
                let held = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                *value = Value::from(if is_alone { key.clone() } else { format!("{held}/{key}?token={key}") });
                records.push(record.to_string());
            }
        }
    }
    records
}

/// A line for every word and key: once the key alone, once behind what the word is.
fn tainted_line(line: &str, keys: &[(&str, &str)]) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let with = |at: usize, word: String| {
        let words = words.iter().enumerate().map(|(index, own)| if index == at { word.as_str() } else { own });
        words.collect::<Vec<_>>().join(" ")
    };
    let keys = keys.iter().map(|(beginning, rest)| format!("{beginning}{rest}"));
    keys.flat_map(|key| {
        (0..words.len())
            .flat_map(|at| {
                let (word, quote) = words[at].strip_suffix('"').map_or((words[at], ""), |word| (word, "\""));
                [with(at, format!("{key}{quote}")), with(at, format!("{word}/{key}?token={key}{quote}"))]
            })
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Every format's sample, and the fuller records. What is no JSON is a line.
fn templates() -> Vec<Template> {
    let samples = FORMATS.iter().map(|format| match serde_json::from_str(format.sample) {
        Ok(record) => Template::of(format.name, format, record),
        Err(_) => Template {
            name: format.name.to_owned(),
            record: Value::from(format.sample),
            times: Vec::new(),
            ids: Vec::new(),
        },
    });
    let named = |name| FormatKind::named(name).expect("a format");
    let fuller = FULLER.iter().map(|(name, record)| Template::of(&format!("fuller-{name}"), named(name), record()));
    samples.chain(fuller).collect()
}

/// Parts of keys that give them away, in lower case.
fn telling_parts() -> Vec<String> {
    let key = |(beginning, rest): &(&str, &str)| format!("{beginning}{rest}").to_ascii_lowercase();
    let is_cut = |symbol: char| !(symbol.is_ascii_alphanumeric() || symbol == '_' || symbol == '+');
    KEYS.iter()
        .map(key)
        .flat_map(|key| key.split(is_cut).map(str::to_owned).collect::<Vec<_>>())
        .filter(|part| part.len() >= TELLING)
        .map(|part| part[part.len() - TELLING..].to_owned())
        .collect()
}

/// What stands before and up to a key, where one was written.
fn key_in(written: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(written).to_ascii_lowercase();
    telling_parts().iter().find_map(|part| {
        let at = text.find(part)?;
        let from = text[..at].char_indices().rev().nth(120).map_or(0, |(from, _)| from);
        Some(text[from..at + part.len()].to_owned())
    })
}

/// All that an engine keeps.
fn bytes_of(engine: &Engine) -> Vec<u8> {
    let state = engine.snapshot().expect("a snapshot");
    state.entities.into_values().flatten().chain(state.sections.into_values()).collect::<Vec<_>>().concat()
}

fn assert_no_key_in(place: &str, written: &[u8]) {
    let found = key_in(written);
    assert_eq!(found, None, "{place} holds a key");
}

/// Looks for keys in all files of a bundle, unpacked.
fn assert_no_key_in_bundle(directory: &Path) {
    let mut parts = 0;
    for entry in fs::read_dir(directory).expect("a bundle") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a part");
        let is_packed = path.extension().is_some_and(|ending| ending == "zst");
        let plain = if is_packed { zstd::decode_all(bytes.as_slice()).expect("zstd") } else { bytes };
        assert_no_key_in(&path.display().to_string(), &plain);
        parts += usize::from(is_packed);
    }
    assert!(parts > 3, "a bundle of {parts} parts");
}

/// Looks for keys in kept rollups, in the catalogue that is built of the same logs, and in all that is made of it: lists, sheets, exports,
/// reports and policies.
fn assert_no_key_in_the_catalogue(home: &Path) {
    let kept = KeptRollups::of(&home.join("rollups"));
    for day in kept.days().expect("the days") {
        let rows = kept.read(day).expect("the rows").into_rows();
        assert_no_key_in("a kept row", format!("{rows:?}").as_bytes());
    }
    let store = home.join("store");
    let ran = |arguments: &[&str], paths: &[&Path]| -> Vec<u8> {
        let done = program().args(arguments).args(paths).arg("--store").arg(&store).assert().success();
        let output = done.get_output();
        assert_no_key_in(&arguments.join(" "), &output.stderr);
        assert_no_key_in(&arguments.join(" "), &output.stdout);
        output.stdout.clone()
    };
    ran(&["catalog", "build", "--input"], &[&home.join("today")]);
    for file in fs::read_dir(&store).expect("the store").flatten() {
        assert_no_key_in(&file.path().display().to_string(), &fs::read(file.path()).expect("a file"));
    }
    for list in LISTS {
        ran(&["catalog", list.name, "--format", "json"], &[]);
    }
    let vendors: Value = serde_json::from_slice(&ran(&["catalog", "vendors", "--format", "json"], &[])).expect("JSON");
    for vendor in vendors.as_array().expect("rows").iter().filter_map(|row| row["vendor"].as_str()).take(20) {
        ran(&["catalog", "sheet", vendor, "--json"], &[]);
        ran(&["catalog", "export", "openapi", vendor], &[]);
        ran(&["impact", vendor, "--json"], &[]);
    }
    ran(&["catalog", "export", "cyclonedx"], &[]);
    for format in ["html", "markdown", "json"] {
        ran(&["audit", "--format", format, "--alerts"], &[&home.join("alerts.ndjson")]);
    }
    for format in ["envoy", "kong", "squid", "networkpolicy", "opa"] {
        ran(&["protect", "propose", "--min-days", "0", "--format", format], &[]);
    }
}

#[test]
fn a_key_that_is_written_would_be_found() {
    for (beginning, rest) in KEYS {
        let text = format!("alert about {beginning}{rest} in a path");
        assert!(key_in(text.as_bytes()).is_some(), "{beginning}…");
        assert!(key_in(text.to_uppercase().as_bytes()).is_some(), "{beginning}…");
    }
}

#[test]
fn no_secret_is_written_anywhere() {
    let home = tempfile::tempdir().expect("a directory");
    let [history, today, bundle, alerts] =
        ["history", "today", "bundle", "alerts.ndjson"].map(|name| home.path().join(name));
    for directory in [&history, &today] {
        fs::create_dir(directory).expect("a directory");
    }
    write_lines(&history.join("logs.ndjson"), &logs().history);
    let templates = templates();
    let mut scanned = vec![("logs".to_owned(), later("2026-09-15", "2026-09-16"))];
    for (at, template) in templates.iter().enumerate() {
        let name = &template.name;
        write_lines(
            &history.join(format!("{name}.ndjson")),
            &tainted(template, "2026-09-14T00:00:00Z", &KEYS[..NEW_KEYS]),
        );
        let from = format!("2026-09-{:02}T{:02}:00:00Z", 16 + at / 4, at % 4 * 6);
        scanned.push((name.clone(), tainted(template, &from, &KEYS)));
    }
    for (name, records) in &scanned {
        write_lines(&today.join(name), records);
    }
    let planted: usize = scanned[1..].iter().map(|(_, records)| records.len()).sum();
    assert!(planted > 1_000, "{planted} records with a key");

    let trained = program().arg("train").arg("--json").arg("--input").arg(&history).arg("--out").arg(&bundle).assert();
    let trained = trained.success().get_output().clone();
    let scan = program()
        .arg("scan")
        .arg("--input")
        .arg(&today)
        .arg("--model")
        .arg(&bundle)
        .arg("--output")
        .arg(&alerts)
        .arg("--keep-rollups")
        .arg(home.path().join("rollups"))
        .assert();
    let scan = scan.success().get_output().clone();
    assert_no_key_in_bundle(&bundle);
    assert_no_key_in_the_catalogue(home.path());
    for (place, written) in [
        ("train's report", &trained.stdout),
        ("train's diagnostics", &trained.stderr),
        ("scan's results", &scan.stdout),
        ("scan's diagnostics", &scan.stderr),
    ] {
        assert_no_key_in(place, written);
    }
    assert_no_key_in("an alert", &fs::read(&alerts).expect("alerts"));

    let bundle = Arc::new(Bundle::load(&bundle, &key().id()).expect("the bundle"));
    // With a large budget, so that whatever held a key is reported.
    let mut engine =
        Engine::new(bundle, EngineSettings { alerts_per_day: 1000.0, ..EngineSettings::default() }).unwrap();
    let mut alerts = String::new();
    for (_, records) in &scanned {
        let (calls, diagnostics) = decode(records);
        let diagnostics: String =
            diagnostics.iter().map(|diagnostic| format!("{diagnostic}\n{}\n", diagnostic.reason())).collect();
        assert_no_key_in("a diagnostic", diagnostics.as_bytes());
        alerts += &Value::from(written(&engine.push("logs-0", calls).expect("calls are judged"))).to_string();
        assert_no_key_in("a snapshot", &bytes_of(&engine));
    }
    alerts += &Value::from(written(&engine.finish().expect("calls are judged"))).to_string();
    assert_no_key_in("an alert of a large budget", alerts.as_bytes());
    assert_no_key_in("the last snapshot", &bytes_of(&engine));
    assert!(alerts.contains("redacted_"), "no alert is about a field that held a key: nothing was tried");
    assert!(alerts.contains("fp_"), "no alert tells a credential");
}

#[test]
fn every_format_is_tried_with_secrets() {
    let templates = templates();
    for format in FORMATS {
        let template = templates.iter().find(|template| template.name == format.name).expect("the format's sample");
        let records = tainted(template, "2026-09-14T00:00:00Z", &KEYS[..1]);
        let reads = |record: &&String| matches!(format.decode(record), Ok(Reading::Call(_)));
        let read = records.iter().filter(reads).count();
        // A line with a key in the place of a number or a quote is no line of its format.
        let share = if template.record.is_string() { 4 } else { 2 };
        assert!(
            share * read > records.len(),
            "{}: {read} of {} records with a key are read",
            format.name,
            records.len()
        );
    }
}
