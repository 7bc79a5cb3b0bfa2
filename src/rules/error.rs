//! Why a file of rules is refused: file, line, field, and what to write instead.
//!
//! Not here: rules of other log sources that cannot be answered, which are listed and never an error (`sigma`).

use std::path::{Path, PathBuf};

/// Why a file of rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The file cannot be read.
    #[error("{}: {problem}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's error.
        problem: std::io::Error,
    },
    /// A field is missing, unknown or wrong.
    #[error("{}:{line}: {field}: {problem}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The field, as far as known.
        field: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
}

impl RuleError {
    /// An error about a field at a line.
    pub(super) fn at(file: &Path, line: usize, field: &str, problem: impl ToString) -> Self {
        Self::Field { file: file.to_owned(), line, field: field.to_owned(), problem: problem.to_string() }
    }

    /// Reads a file whole.
    pub(super) fn read(file: &Path) -> Result<String, Self> {
        std::fs::read_to_string(file).map_err(|problem| Self::Unreadable { file: file.to_owned(), problem })
    }
}
