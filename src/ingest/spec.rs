//! The decode specification: which format a source has, and where its fields lie.
//!
//! Not here: how it is carried out (`decoder`, `overrides`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How records are decoded, as written in a pipeline file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeSpec {
    /// Name of the format; absent, each topic's and file's records tell.
    pub format: Option<String>,
    /// Where a field of the call lies, if not where its format looks: `credential = "http.request.headers.x-api-key"`.
    pub fields: BTreeMap<String, String>,
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
    #[error("field `{field}`: `{path}` is no dotted path")]
    BadPath {
        /// The field.
        field: String,
        /// The path given.
        path: String,
    },
}
