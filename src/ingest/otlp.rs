//! OTLP in JSON: log records and spans, taken out of the lists of resources and scopes that they are spread over.
//!
//! Each becomes a flat JSON object: the attributes of its resource, its own, and its times and ids under the names that OTLP gives them;
//! format `otel` reads it. A log record whose body is a record of its own, JSON or a line, is that record, logged by the service that its
//! resource names.
//!
//! Source: opentelemetry.io, "OTLP Specification 1.5", JSON Protobuf Encoding.

use serde_json::{Map, Value};

use super::formats::Probe;

/// The lists of resources, of their scopes, and of what these hold, by signal.
const SIGNALS: [(&str, [&str; 2], &str); 2] = [
    ("resourceLogs", ["scopeLogs", "instrumentationLibraryLogs"], "logRecords"),
    ("resourceSpans", ["scopeSpans", "instrumentationLibrarySpans"], "spans"),
];

/// Attributes that tell of a call by themselves, whatever the text beside them.
const OF_CALLS: [&str; 4] = ["http.request.method", "http.method", "url.full", "http.url"];

/// The records of an export, those that a body is with the service that logged them; `None` where the object is none. `is_line` says
/// whether a text is a record.
pub(super) fn records(probe: &Probe<'_>, is_line: &dyn Fn(&str) -> bool) -> Option<Vec<(String, Option<String>)>> {
    let (resources, scopes, items) =
        SIGNALS.iter().find_map(|(resources, scopes, items)| Some((probe.raw(resources)?, scopes, items)))?;
    let resources: Vec<Value> = serde_json::from_str(resources).ok()?;
    let mut records = Vec::new();
    for resource in &resources {
        let shared = attributes(&resource["resource"]["attributes"]);
        for scope in scopes.iter().filter_map(|key| resource[*key].as_array()).flatten() {
            for item in scope[*items].as_array().into_iter().flatten() {
                records.push(record(item, &shared, is_line));
            }
        }
    }
    Some(records)
}

fn record(item: &Value, shared: &Map<String, Value>, is_line: &dyn Fn(&str) -> bool) -> (String, Option<String>) {
    let own = attributes(&item["attributes"]);
    let tells_of_call = || OF_CALLS.iter().any(|key| own.contains_key(*key));
    let is_record = |body: &&str| body.trim_start().starts_with('{') || (!tells_of_call() && is_line(body));
    if let Some(body) = item["body"]["stringValue"].as_str().filter(is_record) {
        let service = shared.get("service.name").and_then(Value::as_str);
        return (body.to_owned(), service.filter(|name| !name.starts_with("unknown_service")).map(str::to_owned));
    }
    let mut flat = shared.clone();
    if let Value::Object(body) = value(&item["body"]) {
        flat.extend(body);
    }
    flat.extend(own);
    let times_and_ids = [
        "timeUnixNano",
        "observedTimeUnixNano",
        "startTimeUnixNano",
        "endTimeUnixNano",
        "traceId",
        "spanId",
        "kind",
        "status",
    ];
    for key in times_and_ids {
        if let Some(value) = item.get(key) {
            flat.insert(format!("otlp.{key}"), value.clone());
        }
    }
    (Value::Object(flat).to_string(), None)
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
        let read = records(&Probe::of(export).unwrap(), &|_| false).unwrap();
        let record: Value = serde_json::from_str(&read[0].0).unwrap();
        let expected = serde_json::json!({"service.name": "billing", "http.response.status_code": "200", "tags": ["x"],
            "otlp.traceId": "ab", "otlp.kind": 3, "otlp.startTimeUnixNano": "1"});
        assert_eq!((read.len(), record), (1, expected));
        assert_eq!(records(&Probe::of("{}").unwrap(), &|_| false), None);
    }

    #[test]
    fn a_body_that_is_a_record_is_one_by_its_service_unless_attributes_tell_of_the_call() {
        let log = |body: &str, key: &str| {
            serde_json::json!({"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "billing"}}]},
                "scopeLogs": [{"logRecords": [{"body": {"stringValue": body}, "attributes": [{"key": key, "value": {"stringValue": "x"}}]}]}]}]})
            .to_string()
        };
        let read = |export: &str| records(&Probe::of(export).unwrap(), &|text| text == "a line").unwrap().remove(0);
        let of_billing = |text: &str| (text.to_owned(), Some("billing".to_owned()));
        assert_eq!(read(&log(r#"{"a":1}"#, "url.full")), of_billing(r#"{"a":1}"#));
        assert_eq!(read(&log("a line", "log.file.name")), of_billing("a line"));
        for (body, key) in [("a line", "url.full"), ("other", "log.file.name")] {
            assert!(read(&log(body, key)).0.starts_with('{'), "{body} {key}");
        }
    }
}
