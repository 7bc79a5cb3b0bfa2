//! Why a report cannot be made, or is not what was written.
//!
//! Not here: faults of the catalogue (`catalog`).

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::catalog::CatalogError;

/// Why a report cannot be made. Files are named, what is in them is not.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The catalogue cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The catalogue has no call, and so no period.
    #[error("the catalogue holds no call yet; `apiwarden catalog build --input LOGS --store DIR` fills it")]
    Empty,
    /// No call is as old as the period.
    #[error(
        "no call of the catalogue is before the end of the period; its newest is of {newest}: name a later --until"
    )]
    TooEarly {
        /// The day of the newest call.
        newest: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {problem}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        problem: std::io::Error,
    },
    /// A line of a file of alerts is none.
    #[error("{}:{line}: {problem}", path.display())]
    Alert {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong, and what it should be.
        problem: String,
    },
    /// A file is no report.
    #[error("{}: carries no seal: no report of `apiwarden audit`, or cut off", path.display())]
    Unsealed {
        /// The file.
        path: PathBuf,
    },
    /// A chart or a page cannot be drawn: a fault of the program.
    #[error("the {what} of the report: {problem}")]
    Page {
        /// What was drawn.
        what: &'static str,
        /// What went wrong.
        problem: String,
    },
}

impl ReportError {
    /// An error of the system about a file.
    pub(super) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |problem| Self::Io { path: path.to_owned(), problem }
    }
}
