//! Where a record came from, and what was wrong with it there.
//!
//! Messages name the place, the format and the field, and the shape of what was found. They never carry the value.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use crate::calls::CallProblem;

/// Where a record was found. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A Kafka message.
    Kafka {
        /// The topic.
        topic: Arc<str>,
        /// The partition of the topic.
        partition: i32,
        /// The message's offset in the partition.
        offset: i64,
    },
    /// A line of a file or, in a Parquet file, a row. A document that spans lines is at line 1.
    File {
        /// The file as it was named; `-` is standard input.
        path: Arc<Path>,
        /// Line or row, from 1.
        line: u64,
    },
}

impl Place {
    /// Whether both lie in the same topic, or in the same file.
    pub fn shares_source_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Kafka { topic: a, .. }, Self::Kafka { topic: b, .. }) => Arc::ptr_eq(a, b) || a == b,
            (Self::File { path: a, .. }, Self::File { path: b, .. }) => Arc::ptr_eq(a, b) || a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka { topic, partition, offset } => write!(f, "{topic}[{partition}]@{offset}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// A record that could not be read: where it lies and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Error)]
pub struct DecodeError {
    /// Where the record lies.
    pub place: Place,
    /// The format that it was read as; `None` where none was found.
    pub format: Option<&'static str>,
    /// The field that is wrong, as the format or, for a declared field, the call names it; `None` where the record as a whole is wrong.
    pub field: Option<Cow<'static, str>>,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

impl DecodeError {
    /// A short code for metrics and dead letters, such as `not_json` or `missing_field`.
    pub const fn reason(&self) -> &'static str {
        self.problem.reason()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if let Some(format) = self.format {
            write!(f, "{format}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "field {field}: ")?;
        }
        write!(f, "{}", self.problem)
    }
}

/// What is wrong with a record, before anyone has said where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordError {
    /// The field; `None` for the whole record.
    pub field: Option<Cow<'static, str>>,
    /// What is wrong.
    pub problem: Problem,
}

impl RecordError {
    /// A field that every record of its format has is absent.
    pub fn missing(field: impl Into<Cow<'static, str>>) -> Self {
        Self { field: Some(field.into()), problem: Problem::Missing }
    }

    /// A field holds something else than it should.
    pub fn expected(what: &'static str, field: impl Into<Cow<'static, str>>, found: Shape) -> Self {
        Self { field: Some(field.into()), problem: Problem::Expected { what, found } }
    }

    pub(super) fn at(self, place: &Place, format: Option<&'static str>) -> DecodeError {
        DecodeError { place: place.clone(), format, field: self.field, problem: self.problem }
    }
}

impl From<Problem> for RecordError {
    fn from(problem: Problem) -> Self {
        Self { field: None, problem }
    }
}

/// serde_json quotes the value in its message: only the kind of fault and its position are kept.
impl From<serde_json::Error> for RecordError {
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        let fault = match error.classify() {
            Category::Eof => JsonFault::Truncated,
            Category::Data => JsonFault::Unexpected,
            Category::Syntax | Category::Io => JsonFault::Syntax,
        };
        Problem::NotJson { fault, line: error.line(), column: error.column() }.into()
    }
}

/// Why a record could not be read.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not the JSON it should be.
    #[error("{fault} at line {line}, column {column} of the record")]
    NotJson {
        /// What kind of fault.
        fault: JsonFault,
        /// Line within the record, from 1.
        line: usize,
        /// Column within that line, in bytes.
        column: usize,
    },
    /// A field is absent, null or empty.
    #[error("missing")]
    Missing,
    /// A field holds something else.
    #[error("expected {what}, found {found}")]
    Expected {
        /// What belongs there.
        what: &'static str,
        /// What lies there.
        found: Shape,
    },
    /// A time without an offset, and nobody says of which zone.
    #[error("a time without an offset: [decode] zone says of which zone it is")]
    NoZone,
    /// A field that cannot be read, where the user wants that to be an error.
    #[error("cannot be read, and [decode] strict is set")]
    Unreadable,
    /// A record that is none of the format that its source is declared to have.
    #[error("no record of this format")]
    OtherFormat,
    /// A line of text that is none of its format.
    #[error("no line of this format")]
    OtherLine,
    /// No known format has such records.
    #[error("no known format matches")]
    UnknownFormat,
    /// Longer than anything we are willing to hold.
    #[error("longer than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// More records in one message than we are willing to read: the rest of them is not read.
    #[error("more than {limit} records in one message")]
    TooManyRecords {
        /// The limit.
        limit: usize,
    },
    /// The compressed content is broken.
    #[error("broken {codec} content")]
    BrokenCompression {
        /// `gzip` or `zstd`.
        codec: &'static str,
    },
    /// A record of a registered schema, and no registry to ask for it.
    #[error("a record of schema {id} of a registry: configure [source.registry]")]
    NoRegistry {
        /// Id of the schema.
        id: u32,
    },
    /// The registry does not answer. It may later.
    #[error("the schema registry does not answer")]
    NoAnswerOfRegistry,
    /// The registry does not know the schema.
    #[error("the schema registry does not know schema {id}")]
    UnknownSchema {
        /// Id of the schema.
        id: u32,
    },
    /// The schema, or one that it refers to, is none that can be read.
    #[error("schema {id} of the registry cannot be read")]
    UnusableSchema {
        /// Id of the schema.
        id: u32,
    },
    /// The bytes are no record of their schema.
    #[error("no {encoding} of schema {id}")]
    NotOfSchema {
        /// `Avro` or `Protobuf`.
        encoding: &'static str,
        /// Id of the schema.
        id: u32,
    },
    /// A record of the AWS Glue registry that is not JSON.
    #[error("a record of the AWS Glue schema registry, of which only JSON is read")]
    GlueFrame,
    /// The Avro container is broken: what was read of it stands.
    #[error("broken Avro container")]
    BrokenContainer,
    /// Decoded, but no call can be made of it.
    #[error(transparent)]
    Call(CallProblem),
}

impl Problem {
    /// Whether the record may be readable later, as it is.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::NoAnswerOfRegistry)
    }

    /// A short code for metrics and dead letters.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::Missing => "missing_field",
            Self::Expected { .. } => "unexpected_value",
            Self::NoZone => "no_zone",
            Self::Unreadable => "unreadable_field",
            Self::OtherFormat => "other_format",
            Self::OtherLine => "other_line",
            Self::UnknownFormat => "unknown_format",
            Self::TooLarge { .. } => "too_large",
            Self::TooManyRecords { .. } => "too_many_records",
            Self::BrokenCompression { .. } => "broken_compression",
            Self::NoRegistry { .. } => "no_registry",
            Self::NoAnswerOfRegistry => "registry_unavailable",
            Self::UnknownSchema { .. } => "unknown_schema",
            Self::UnusableSchema { .. } => "unusable_schema",
            Self::NotOfSchema { .. } => "not_of_schema",
            Self::GlueFrame => "glue_frame",
            Self::BrokenContainer => "broken_container",
            Self::Call(CallProblem::TimeAhead) => "time_ahead",
            Self::Call(CallProblem::NoCaller) => "no_caller",
            Self::Call(CallProblem::NoVendor) => "no_host",
            Self::Call(_) => "unusable_call",
        }
    }
}

/// What kind of fault a JSON reader met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// It is not JSON.
    Syntax,
    /// It ends too early.
    Truncated,
    /// It is JSON of another shape.
    Unexpected,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "no valid JSON",
            Self::Truncated => "JSON ends too early",
            Self::Unexpected => "JSON of another shape than expected",
        })
    }
}

/// The shape of a value: all that a message may tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Text of so many bytes.
    Text(usize),
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list.
    List,
    /// An object.
    Object,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(bytes) => write!(f, "{bytes} bytes of text"),
            Self::Number => f.write_str("a number"),
            Self::Boolean => f.write_str("a boolean"),
            Self::List => f.write_str("a list"),
            Self::Object => f.write_str("an object"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_one_line_that_says_where_and_what_but_not_the_value() {
        let kafka = Place::Kafka { topic: "api-logs".into(), partition: 3, offset: 918_273 };
        let error =
            RecordError::expected("an RFC 3339 time", "eventTime", Shape::Text(9)).at(&kafka, Some("cloudtrail"));
        assert_eq!(
            error.to_string(),
            "api-logs[3]@918273: cloudtrail: field eventTime: expected an RFC 3339 time, found 9 bytes of text"
        );
        let file = Place::File { path: Path::new("logs/a.ndjson").into(), line: 17 };
        let broken = serde_json::from_str::<u8>(r#""sk_live_secret""#).map_err(RecordError::from).unwrap_err();
        let message = broken.at(&file, None).to_string();
        assert!(message.starts_with("logs/a.ndjson:17: JSON of another shape"), "{message}");
        assert!(!message.contains("secret"));
    }
}
