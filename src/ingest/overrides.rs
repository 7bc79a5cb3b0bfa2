//! Overrides: call fields that the user says lie elsewhere than their format would look.
//!
//! Records are parsed a second time for them, generically, so who declares none pays nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::formats::values::Number;
use super::place::{RecordError, Shape};
use super::spec::SpecError;
use super::time::parse_rfc3339;
use crate::calls::Call;

/// Puts a value into one field of a call.
type Set = for<'a> fn(&mut Call<'a>, &Value, &'static str) -> Result<(), RecordError>;

/// The fields of a call that may be declared.
static FIELDS: &[(&str, Set)] = &[
    ("account", |call, value, field| set(&mut call.account, Some(text(value, field)?))),
    ("bytes_in", |call, value, field| set(&mut call.bytes_in, number(value).whole(field)?)),
    ("bytes_out", |call, value, field| set(&mut call.bytes_out, number(value).whole(field)?)),
    ("caller", |call, value, field| text(value, field).map(|text| call.caller = text)),
    ("content_type", |call, value, field| set(&mut call.content_type, Some(text(value, field)?))),
    ("credential", |call, value, field| set(&mut call.credential, Some(text(value, field)?))),
    ("host", |call, value, field| text(value, field).map(|text| call.host = text)),
    ("latency_ms", |call, value, field| set(&mut call.latency_ms, number(value).real(field)?)),
    ("method", |call, value, field| set(&mut call.method, Some(text(value, field)?))),
    ("operation", |call, value, field| set(&mut call.operation, Some(text(value, field)?))),
    ("path", |call, value, field| set(&mut call.path, Some(text(value, field)?))),
    ("record_id", |call, value, field| set(&mut call.record_id, Some(text(value, field)?))),
    ("region", |call, value, field| set(&mut call.region, Some(text(value, field)?))),
    ("scheme", |call, value, field| set(&mut call.scheme, Some(text(value, field)?))),
    ("src_ip", |call, value, field| set(&mut call.src_ip, Some(text(value, field)?))),
    ("status", |call, value, field| set(&mut call.status, number(value).status(field)?)),
    ("time", |call, value, field| time(value, field).map(|time| call.time = time)),
    ("tls_version", |call, value, field| set(&mut call.tls_version, Some(text(value, field)?))),
    ("tokens_in", |call, value, field| set(&mut call.tokens_in, number(value).whole(field)?)),
    ("tokens_out", |call, value, field| set(&mut call.tokens_out, number(value).whole(field)?)),
    ("trace_id", |call, value, field| set(&mut call.trace_id, Some(text(value, field)?))),
    ("user_agent", |call, value, field| set(&mut call.user_agent, Some(text(value, field)?))),
];

/// The declared fields, each with the path where it lies.
#[derive(Debug)]
pub(super) struct Overrides(Vec<(&'static (&'static str, Set), String)>);

impl Overrides {
    /// Checks the names of the fields.
    pub(super) fn new(fields: &BTreeMap<String, String>) -> Result<Self, SpecError> {
        let known = || FIELDS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let find = |(name, path): (&String, &String)| {
            let field = FIELDS.iter().find(|(known, _)| known == name);
            let field = field.ok_or_else(|| SpecError::UnknownField { field: name.clone(), known: known() })?;
            match path.split('.').any(str::is_empty) {
                true => Err(SpecError::BadPath { field: name.clone(), path: path.clone() }),
                false => Ok((field, path.clone())),
            }
        };
        fields.iter().map(find).collect::<Result<_, _>>().map(Self)
    }

    /// Sets the declared fields. Where the record has nothing at a path, what its format found stands.
    pub(super) fn apply(&self, record: &str, call: &mut Call<'_>) -> Result<(), RecordError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let record: Value = serde_json::from_str(record)?;
        for ((field, set), path) in &self.0 {
            if let Some(value) = find(&record, path).filter(|value| !is_unset(value)) {
                set(call, value, field)?;
            }
        }
        Ok(())
    }
}

/// The value at a dotted path. A key may itself hold dots, and is compared without case, as header names are. Of a list, the first.
fn find<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let object = match value {
        Value::Object(object) => object,
        Value::Array(list) => return find(list.first()?, path),
        _ => return None,
    };
    object.iter().find_map(|(key, inner)| {
        let (head, tail) = path.split_at_checked(key.len())?;
        match tail.strip_prefix('.') {
            _ if !head.eq_ignore_ascii_case(key) => None,
            Some(tail) => find(inner, tail),
            None => tail.is_empty().then_some(inner),
        }
    })
}

fn is_unset(value: &Value) -> bool {
    matches!(value, Value::Null) || value.as_str().is_some_and(|text| matches!(text.trim(), "" | "-"))
}

fn set<T>(field: &mut T, value: T) -> Result<(), RecordError> {
    *field = value;
    Ok(())
}

fn text(value: &Value, field: &'static str) -> Result<Cow<'static, str>, RecordError> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned().into()),
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Array(list) if !list.is_empty() => text(&list[0], field),
        other => Err(RecordError::expected("text", field, shape(other))),
    }
}

fn number(value: &Value) -> Number {
    match value {
        Value::Number(number) => number.as_u64().map_or_else(|| number.as_f64().into(), Number::Whole),
        Value::String(text) => Number::of_text(text),
        Value::Array(list) => list.first().map_or(Number::Absent, number),
        Value::Null => Number::Absent,
        other => Number::Not(shape(other)),
    }
}

fn time(value: &Value, field: &'static str) -> Result<i64, RecordError> {
    let time = value.as_str().and_then(parse_rfc3339);
    time.ok_or_else(|| RecordError::expected("an RFC 3339 time", field, shape(value)))
}

fn shape(value: &Value) -> Shape {
    match value {
        Value::String(text) => Shape::Text(text.len()),
        Value::Number(_) => Shape::Number,
        Value::Bool(_) => Shape::Boolean,
        Value::Array(_) => Shape::List,
        Value::Object(_) => Shape::Object,
        Value::Null => Shape::Text(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(fields: &[(&str, &str)]) -> Result<Overrides, SpecError> {
        Overrides::new(&fields.iter().map(|(field, path)| (field.to_string(), path.to_string())).collect())
    }

    #[test]
    fn a_declared_field_is_taken_from_its_path_and_else_stays() {
        let declared =
            [("credential", "http.request.headers.x-api-key"), ("bytes_out", "sent"), ("region", "cloud.zone")];
        let overrides = overrides(&declared).unwrap();
        let mut call = Call { region: Some("eu-west-1".into()), ..Call::default() };
        let record = r#"{"http":{"request":{"headers":{"X-Api-Key":["key-1"]}}},"sent":"812","cloud":{"zone":null}}"#;
        overrides.apply(record, &mut call).unwrap();
        assert_eq!(call.credential.as_deref(), Some("key-1"));
        assert_eq!(call.bytes_out, Some(812));
        assert_eq!(call.region.as_deref(), Some("eu-west-1"));
        let error = overrides.apply(r#"{"sent":"lots"}"#, &mut call).unwrap_err();
        assert_eq!(error, RecordError::expected("a number", "bytes_out", Shape::Text(4)));
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_known_ones() {
        let message = overrides(&[("secret", "a.b")]).unwrap_err().to_string();
        assert!(message.contains("secret") && message.contains("credential"), "{message}");
        assert!(overrides(&[("caller", "a..b")]).is_err());
    }
}
