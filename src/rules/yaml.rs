//! YAML with the line of every value.
//!
//! Not here: what the values mean (`sigma`).

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

/// A value of a YAML file.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a>(&'a MarkedYaml<'a>);

/// A scalar: what Sigma compares with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Text(String),
}

/// What is no YAML: the line, and the parser's words.
pub(crate) struct BadYaml {
    pub line: usize,
    pub problem: String,
}

/// Calls `read` with each document of a text.
pub(crate) fn documents<T>(text: &str, read: impl FnMut(Node<'_>) -> T) -> Result<Vec<T>, BadYaml> {
    let bad = |error: saphyr::ScanError| BadYaml { line: error.marker().line(), problem: error.info().to_owned() };
    let documents = MarkedYaml::load_from_str(text).map_err(bad)?;
    Ok(documents.iter().map(Node).map(read).collect())
}

impl<'a> Node<'a> {
    /// Its line, from 1.
    pub fn line(self) -> usize {
        self.0.span.start.line().max(1)
    }

    /// Keys and values in order; `None` for what is no mapping.
    pub fn entries(self) -> Option<Vec<(String, Node<'a>, Node<'a>)>> {
        let YamlData::Mapping(mapping) = &self.0.data else { return None };
        Some(
            mapping.iter().map(|(key, value)| (Node(key).text().unwrap_or_default(), Node(key), Node(value))).collect(),
        )
    }

    /// The value of a key, with the key.
    pub fn get(self, name: &str) -> Option<(Node<'a>, Node<'a>)> {
        self.entries()?.into_iter().find(|(key, ..)| key == name).map(|(_, key, value)| (key, value))
    }

    /// The values of a sequence.
    pub fn items(self) -> Option<Vec<Node<'a>>> {
        let YamlData::Sequence(items) = &self.0.data else { return None };
        Some(items.iter().map(Node).collect())
    }

    /// The values of a sequence, else the value itself.
    pub fn one_or_many(self) -> Vec<Node<'a>> {
        self.items().unwrap_or_else(|| vec![self])
    }

    /// A scalar.
    pub fn value(self) -> Option<Value> {
        let YamlData::Value(scalar) = &self.0.data else { return None };
        Some(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(is_true) => Value::Bool(*is_true),
            Scalar::Integer(number) => Value::Text(number.to_string()),
            Scalar::FloatingPoint(number) => Value::Text(number.to_string()),
            Scalar::String(text) => Value::Text(text.to_string()),
        })
    }

    /// A scalar's text.
    pub fn text(self) -> Option<String> {
        match self.value()? {
            Value::Text(text) => Some(text),
            Value::Bool(is_true) => Some(is_true.to_string()),
            Value::Null => None,
        }
    }
}
