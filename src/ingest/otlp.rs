//! OTLP in JSON: log records and spans, taken out of the lists of resources and scopes that they are spread over.
//!
//! Each becomes a flat JSON object: the attributes of its resource, its own, and its times and ids under the names that OTLP gives them;
//! format `otel` reads it. A log record whose body is a record of its own is that record.
//!
//! Source: opentelemetry.io, "OTLP Specification 1.5", JSON Protobuf Encoding.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::formats::Probe;

/// The lists of resources, of their scopes, and of what these hold, by signal.
const SIGNALS: [(&str, [&str; 2], &str); 2] = [
    ("resourceLogs", ["scopeLogs", "instrumentationLibraryLogs"], "logRecords"),
    ("resourceSpans", ["scopeSpans", "instrumentationLibrarySpans"], "spans"),
];

/// The records of an export; `None` where the object is none.
pub(super) fn records<'a>(probe: &Probe<'a>) -> Option<Vec<Cow<'a, str>>> {
    let (resources, scopes, items) =
        SIGNALS.iter().find_map(|(resources, scopes, items)| Some((probe.raw(resources)?, scopes, items)))?;
    let resources: Vec<Value> = serde_json::from_str(resources).ok()?;
    let mut records = Vec::new();
    for resource in &resources {
        let shared = attributes(&resource["resource"]["attributes"]);
        for scope in scopes.iter().filter_map(|key| resource[*key].as_array()).flatten() {
            for item in scope[*items].as_array().into_iter().flatten() {
                records.push(Cow::Owned(record(item, &shared)));
            }
        }
    }
    Some(records)
}

fn record(item: &Value, shared: &Map<String, Value>) -> String {
    if let Some(body) = item["body"]["stringValue"].as_str().filter(|body| body.trim_start().starts_with('{')) {
        return body.to_owned();
    }
    let mut flat = shared.clone();
    if let Value::Object(body) = value(&item["body"]) {
        flat.extend(body);
    }
    flat.extend(attributes(&item["attributes"]));
    let own = [
        "timeUnixNano",
        "observedTimeUnixNano",
        "startTimeUnixNano",
        "endTimeUnixNano",
        "traceId",
        "spanId",
        "kind",
        "status",
    ];
    for key in own {
        if let Some(value) = item.get(key) {
            flat.insert(format!("otlp.{key}"), value.clone());
        }
    }
    Value::Object(flat).to_string()
}

fn attributes(list: &Value) -> Map<String, Value> {
    let pair = |attribute: &Value| Some((attribute["key"].as_str()?.to_owned(), value(&attribute["value"])));
    list.as_array().into_iter().flatten().filter_map(pair).collect()
}

/// A value out of its wrapper, which names its type.
fn value(wrapped: &Value) -> Value {
    let Some((kind, inner)) = wrapped.as_object().and_then(|wrapped| wrapped.iter().next()) else { return Value::Null };
    match kind.as_str() {
        "arrayValue" => inner["values"].as_array().map(|list| list.iter().map(value).collect()).unwrap_or_default(),
        "kvlistValue" => Value::Object(attributes(&inner["values"])),
        _ => inner.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_log_records_come_out_flat_with_the_attributes_of_their_resource() {
        let export = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"billing"}}]},
            "scopeSpans":[{"spans":[{"traceId":"ab","kind":3,"startTimeUnixNano":"1","attributes":[{"key":"http.response.status_code",
            "value":{"intValue":"200"}},{"key":"tags","value":{"arrayValue":{"values":[{"stringValue":"x"}]}}}]}]}]}]}"#;
        let read = records(&Probe::of(export).unwrap()).unwrap();
        let record: Value = serde_json::from_str(&read[0]).unwrap();
        let expected = serde_json::json!({"service.name": "billing", "http.response.status_code": "200", "tags": ["x"],
            "otlp.traceId": "ab", "otlp.kind": 3, "otlp.startTimeUnixNano": "1"});
        assert_eq!((read.len(), record), (1, expected));
        let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"{\"a\":1}"}}]}]}]}"#;
        assert_eq!(records(&Probe::of(logs).unwrap()).unwrap(), [r#"{"a":1}"#]);
        assert_eq!(records(&Probe::of("{}").unwrap()), None);
    }
}
