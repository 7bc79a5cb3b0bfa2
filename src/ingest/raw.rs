//! Records as they lie in files, for those who write them again: their bytes, and the call that each tells of.
//!
//! Not here: frames of calls (`file`), and records that shippers wrap in another's text: those come out with no call.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::vec;

use serde_json::{Map, Value};

use super::file::{self, Text};
use super::formats::{FormatKind, Reading};
use super::inputs::{InputError, Inputs, STDIN};
use super::payload;
use crate::calls::Call;

/// Reads records one after another, each on one line, and says nothing of what is in them.
pub struct RawReader {
    waiting: vec::IntoIter<Arc<Path>>,
    current: Option<(Arc<Path>, Text)>,
    cut: VecDeque<String>,
}

impl RawReader {
    /// A reader of those files. None is opened yet.
    pub fn new(inputs: &Inputs) -> Self {
        Self { waiting: inputs.paths().to_vec().into_iter(), current: None, cut: VecDeque::new() }
    }

    /// The next record: of a list or a document each in turn, on one line. `None` past the last file.
    ///
    /// # Errors
    /// A file cannot be read or is Parquet, Avro or a table, whose rows are no records of text; what was read of it stands.
    pub fn next_record(&mut self) -> Result<Option<String>, InputError> {
        loop {
            if let Some(record) = self.cut.pop_front() {
                return Ok(Some(record));
            }
            let Some((path, text)) = &mut self.current else {
                let Some(path) = self.waiting.next() else { return Ok(None) };
                let text = open(&path).map_err(InputError::unreadable(&path))?;
                self.current = Some((path, text));
                continue;
            };
            let read = if text.is_document { text.next_document() } else { text.next_line() };
            let fits = read.map_err(InputError::unreadable(path))?;
            if text.buffer.is_empty() {
                self.current = None;
            } else if fits {
                let content = String::from_utf8_lossy(&text.buffer);
                let records = payload::records(payload::trim(&content));
                for record in records.filter(|record| !record.is_empty()) {
                    match payload::joined(record) {
                        Some(joined) => self.cut.extend(joined.map(on_one_line)),
                        None => self.cut.push_back(on_one_line(record)),
                    }
                }
            }
        }
    }
}

/// JSON has no line break within a text: those between its values may be blanks.
fn on_one_line(record: &str) -> String {
    record.replace(['\n', '\r'], " ")
}

fn open(path: &Path) -> io::Result<Text> {
    let has_rows = |what| io::Error::other(format!("{what} has rows, not records of text: write it as NDJSON first"));
    let text = match path.as_os_str() == STDIN {
        true => Text::open(io::stdin())?,
        false => match file::open(path)? {
            (_, true) => return Err(has_rows("Parquet")),
            (file, false) => Text::open(file)?,
        },
    };
    match text.table {
        _ if text.is_container => Err(has_rows("an Avro container")),
        Some(_) => Err(has_rows("a table")),
        None => Ok(text),
    }
}

/// Finds the call in one record after another; remembers the format that fitted last.
#[derive(Debug, Default)]
pub struct CallReader {
    kept: Option<&'static FormatKind>,
}

impl CallReader {
    /// Shows the call that the record tells of, with its format. `None`: of none, or none that can be read.
    pub fn read<T>(&mut self, record: &str, see: impl FnOnce(&'static FormatKind, &Call<'_>) -> T) -> Option<T> {
        let call_of = |format: &'static FormatKind| format.decode(record).ok().and_then(Reading::call).filter(is_whole);
        if let Some((format, call)) = self.kept.and_then(|format| Some((format, call_of(format)?))) {
            return Some(see(format, &call));
        }
        let format = FormatKind::detect(record)?;
        let call = call_of(format)?;
        self.kept = Some(format);
        Some(see(format, &call))
    }
}

fn is_whole(call: &Call<'_>) -> bool {
    !call.caller.is_empty() && !call.host.is_empty()
}

/// The record as a tree of values, dotted keys nested; `None` where it is no JSON object.
pub fn parse_record(text: &str) -> Option<Value> {
    match serde_json::from_str(text).ok()? {
        Value::Object(record) => Some(Value::Object(nested(record))),
        _ => None,
    }
}

/// Most dots in a key that is nested. A level costs stack: unbounded, one hostile key would end the process.
const DEEPEST_KEY: usize = 16;

/// The record with its dotted keys nested, at any depth. Keys with more dots than a schema has stay as they are.
fn nested(record: Map<String, Value>) -> Map<String, Value> {
    let mut nest = Map::new();
    for (key, value) in record {
        let value = match value {
            Value::Object(inner) => Value::Object(nested(inner)),
            other => other,
        };
        if key.matches('.').count() <= DEEPEST_KEY {
            insert(&mut nest, &key, value);
        } else {
            nest.insert(key, value);
        }
    }
    nest
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn records_come_out_as_they_lie_there_and_of_a_document_each_on_a_line_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("a"), "{\"b\": 1}\n\nnot json\n").unwrap();
        fs::write(home.path().join("b"), "{\n \"Records\": [\n{\"c\":\n2},{\"d\":3}]}\n").unwrap();
        let inputs = Inputs::resolve(&[home.path().to_str().unwrap().to_owned()]).unwrap();
        let mut reader = RawReader::new(&inputs);
        let read: Vec<String> = std::iter::from_fn(|| reader.next_record().unwrap()).collect();
        assert_eq!(read, ["{\"b\": 1}", "not json", "{\"c\": 2}", "{\"d\":3}"]);
    }

    #[test]
    fn a_call_is_found_whether_keys_are_nested_or_dotted_and_whatever_format_came_before() {
        let mut reader = CallReader::default();
        let mut caller = |text: &str| reader.read(text, |format, call| format!("{} {}", format.name, call.caller));
        let sample = |name: &str| FormatKind::named(name).unwrap().sample;
        assert_eq!(caller(sample("ecs")).as_deref(), Some("ecs crm-sync"));
        assert_eq!(caller(sample("cloudtrail")).as_deref(), Some("cloudtrail benjamin"));
        let dotted =
            r#"{"@timestamp":"2026-09-01T00:00:00Z","service.name":"x","url.domain":"a.b","http.version":"2"}"#;
        assert_eq!(caller(dotted).as_deref(), Some("ecs x"));
        assert_eq!(caller("{}"), None);
    }

    #[test]
    fn dotted_keys_become_nested_and_join_what_is_nested_already() {
        let text = r#"{"http.request.method":"GET","http":{"version":"2"},"http.request.bytes":7,"url.domain":"a.b"}"#;
        let expected = r#"{"http":{"version":"2","request":{"method":"GET","bytes":7}},"url":{"domain":"a.b"}}"#;
        assert_eq!(parse_record(text), serde_json::from_str(expected).ok());
        assert_eq!(
            parse_record(&format!(r#"{{"{}":1}}"#, "a.".repeat(1_000_000))).unwrap().as_object().unwrap().len(),
            1
        );
    }
}
