//! What the catalogue answers: a table of named columns.
//!
//! Not here: how it is printed (`cli`).

use serde_json::{Map, Value as Json, json};

use super::time::rfc3339;

/// One value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Not known.
    Null,
    /// A text.
    Text(String),
    /// Several texts, sorted.
    Texts(Vec<String>),
    /// A whole number.
    Count(i64),
    /// Any number.
    Number(f64),
    /// A time, microseconds since the epoch.
    Time(i64),
}

impl Value {
    /// The value in JSON; times in RFC 3339.
    pub fn json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Text(text) => json!(text),
            Self::Texts(texts) => json!(texts),
            Self::Count(count) => json!(count),
            Self::Number(number) => json!(number),
            Self::Time(micros) => json!(rfc3339(*micros)),
        }
    }

    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as plain text.
    pub fn plain(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Text(text) => text.clone(),
            Self::Texts(texts) => texts.join(" "),
            Self::Count(count) => count.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Time(micros) => rfc3339(*micros),
        }
    }
}

/// Rows of named columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<&'static str>,
    /// The rows, each with a value a column.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    /// The rows as objects.
    pub fn json(&self) -> Vec<Json> {
        let object = |row: &Vec<Value>| {
            let fields = self.columns.iter().zip(row).map(|(name, value)| ((*name).to_owned(), value.json()));
            Json::Object(fields.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    /// Index of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| *column == name)
    }
}

/// A number without digits that nobody reads: three decimals.
pub(super) fn rounded(number: f64) -> Value {
    if number.is_finite() { Value::Number((number * 1e3).round() / 1e3) } else { Value::Null }
}
