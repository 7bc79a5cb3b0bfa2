//! What people declare of vendors, as owner, contract, purpose, when to look at it again, and who owns which caller. A TOML file, in the repository or beside the catalogue.
//!
//! Not here: anything discovered from traffic.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::models::aside::Aside;

/// Name of the file beside a catalogue.
pub const FILE: &str = "annotations.toml";
const HEAD: &str = "# What is declared of third parties. Written by `apiwarden catalog annotate`, which keeps no comments; may be edited.\n\n";

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum AnnotationsError {
    /// It cannot be read or written.
    #[error("{}: {problem}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        problem: std::io::Error,
    },
    /// It is not as it should be.
    #[error("{}:{line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

/// What is declared of one vendor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annotation {
    /// Team or person who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Contract, or where it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// What it is used for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// When it is due to be reviewed.
    #[serde(default, with = "date", skip_serializing_if = "Option::is_none")]
    pub review: Option<Date>,
}

/// What is declared of one caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// Team or person who answers for it.
    pub owner: String,
}

/// What is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annotations {
    /// By the vendor's name.
    #[serde(default)]
    pub vendors: BTreeMap<String, Annotation>,
    /// By the caller's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub callers: BTreeMap<String, Caller>,
}

/// A date as text.
mod date {
    use jiff::civil::Date;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::ref_option, reason = "serde passes the field")]
    pub fn serialize<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
        match date {
            Some(date) => serializer.collect_str(date),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Some).map_err(|_| D::Error::custom("write a date, as in \"2027-01-31\""))
    }
}

impl Annotations {
    /// The file's content; nothing where there is no file.
    ///
    /// # Errors
    /// [`AnnotationsError`], with file and line.
    pub fn load(path: &Path) -> Result<Self, AnnotationsError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(problem) => return Err(AnnotationsError::Io { path: path.to_owned(), problem }),
        };
        toml::from_str(&text).map_err(|error| {
            let start = error.span().unwrap_or_default().start;
            let line = 1 + text.bytes().take(start).filter(|&byte| byte == b'\n').count();
            AnnotationsError::Syntax { path: path.to_owned(), line, problem: error.message().to_owned() }
        })
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// [`AnnotationsError::Io`]; the file is then as it was before.
    pub fn save(&self, path: &Path) -> Result<(), AnnotationsError> {
        let io = |problem| AnnotationsError::Io { path: path.to_owned(), problem };
        let text = toml::to_string(self).map_err(|problem| io(std::io::Error::other(problem)))?;
        Aside::write(path, format!("{HEAD}{text}").as_bytes()).map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_a_wrong_field_is_named_with_its_line() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FILE);
        let mut annotations = Annotations::load(&path).unwrap();
        let review = Some("2027-01-31".parse().unwrap());
        let stripe = Annotation { owner: Some("payments".into()), review, ..Annotation::default() };
        annotations.vendors.insert("stripe".into(), stripe);
        annotations.callers.insert("billing-worker".into(), Caller { owner: "payments".into() });
        annotations.save(&path).unwrap();
        assert_eq!(Annotations::load(&path).unwrap(), annotations);
        std::fs::write(&path, "[vendors.stripe]\nowner = \"payments\"\nwoner = \"x\"\n").unwrap();
        let error = Annotations::load(&path).unwrap_err().to_string();
        assert!(error.contains("annotations.toml:3: unknown field `woner`"), "{error}");
    }
}
