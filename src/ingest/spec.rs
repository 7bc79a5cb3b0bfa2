//! The decode specification: which format a source has, and where its fields lie.
//!
//! Not here: how it is carried out (`decoder`, `declared`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::calls::View;

/// How records are decoded, as written in a pipeline file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeSpec {
    /// Name of the format; absent, each topic's and file's records tell. `custom` has only what `fields` and `constants` say.
    pub format: Option<String>,
    /// Where a field of the call lies, if not where its format looks: `credential = "http.request.headers.x-api-key"`.
    pub fields: BTreeMap<String, FieldSpec>,
    /// Fields of the call that are the same in every record: `caller = "billing"`.
    pub constants: BTreeMap<String, String>,
    /// Regular expression of a record that is a line of text; its named groups are what `fields` refers to.
    pub pattern: Option<String>,
    /// The proxy's own log format, of `nginx`, `apache` and `squid`, alone or as it stands in the proxy's configuration. `fields` may
    /// name its variables.
    pub log_format: Option<String>,
    /// Time zone of times without an offset: `Europe/Berlin`.
    pub zone: Option<String>,
    /// Which view the source gives, where its format leaves that open or is wrong.
    pub direction: Option<View>,
    /// Hosts of one's own: calls to them and to hosts below them are no third-party calls.
    pub own_domains: Vec<String>,
    /// Keep names of replicas such as `billing-7d4b9c6f5d-x2x7k` as callers, instead of their deployment's.
    pub keep_generated_names: bool,
    /// Refuse records with a field that cannot be read, instead of taking that field as unknown.
    pub strict: bool,
}

/// Where a field lies, and how it is written there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FieldSpec {
    /// A dotted path, or a JSON pointer.
    Path(String),
    /// A path, with what a value there means.
    Detailed(FieldDetails),
}

/// A declared field with its unit or layout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FieldDetails {
    /// A dotted path, or a JSON pointer.
    pub from: String,
    /// Unit of a duration: `ns`, `us`, `ms`, `s`; of a size: `b`, `kb`, `kib`, `mb`, `mib`.
    pub unit: Option<String>,
    /// How a time is written: `rfc3339`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or a `strftime` pattern.
    pub layout: Option<String>,
    /// Time zone of a time without an offset.
    pub zone: Option<String>,
}

/// What is wrong with a [`DecodeSpec`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No such format.
    #[error("format `{format}` is not known; known are {known}")]
    UnknownFormat {
        /// The name given.
        format: String,
        /// The known names, each with its summary.
        known: String,
    },
    /// No such field of a call, or none that may be declared.
    #[error("field `{field}` is not known; known are {known}")]
    UnknownField {
        /// The name given.
        field: String,
        /// The names that could be.
        known: String,
    },
    /// A path with an empty part.
    #[error("field `{field}`: `{path}` is no dotted path and no JSON pointer")]
    BadPath {
        /// The field.
        field: String,
        /// The path given.
        path: String,
    },
    /// A unit, layout or constant that the field does not have.
    #[error("field `{field}`: {what} `{value}` is not known; known are {known}")]
    BadDetail {
        /// The field.
        field: String,
        /// `unit`, `layout`.
        what: &'static str,
        /// What was given.
        value: String,
        /// What could be.
        known: &'static str,
    },
    /// No such time zone.
    #[error("zone `{zone}` is not known: a name of the IANA database such as `Europe/Berlin`, or `UTC`")]
    BadZone {
        /// The name given.
        zone: String,
    },
    /// No regular expression, or one without named groups.
    #[error("pattern: {reason}")]
    BadPattern {
        /// What is wrong with it.
        reason: String,
    },
    /// A log format that cannot be read, or of a format that has none.
    #[error("log_format: {reason}")]
    BadLogFormat {
        /// What is wrong with it.
        reason: String,
    },
    /// A custom format that does not say where its calls are.
    #[error("format `custom`: `fields` or `constants` must say where {missing} lies")]
    Incomplete {
        /// The field that is missing.
        missing: &'static str,
    },
}
