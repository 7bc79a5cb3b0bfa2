//! Why a catalogue cannot be used, and what to do about it.
//!
//! Not here: what is stored.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

/// Why a catalogue cannot be used. Each variant names the file.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// There is no catalogue.
    #[error("{}: no catalogue here; `apiwarden catalog build --input LOGS --store DIR` makes one", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is an SQLite database of something else.
    #[error("{}: an SQLite database, but no catalogue; give the catalogue a directory of its own", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later version of the program wrote it.
    #[error(
        "{}: written by a later version of apiwarden (schema {found}, this one knows {known}); use that version, or build the catalogue again \
         in another directory",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version of its schema.
        found: i64,
        /// Latest version that this program knows.
        known: i64,
    },
    /// An earlier version of the program wrote it.
    #[error(
        "{}: written by an earlier version of apiwarden (schema {found}, this one reads {known}); the next `catalog build` or `run` brings it up",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Version of its schema.
        found: i64,
        /// The version that this program reads.
        known: i64,
    },
    /// Another process writes to it.
    #[error("{}: another process is writing to this catalogue; wait for it, or give each its own directory", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The content is not what was written.
    #[error("{}: the catalogue is damaged ({what}); remove the file with its -wal and -shm, and build it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No room is left on the disk.
    #[error("{}: the disk is full; the catalogue is as it was before: make room and try again", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The directory or file cannot be created or opened.
    #[error("{}: {problem}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The system's error.
        problem: std::io::Error,
    },
    /// Any other failure of the database.
    #[error("{}: {problem}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        problem: rusqlite::Error,
    },
}

impl CatalogError {
    /// What a failure of SQLite means for whoever uses the catalogue at `path`.
    pub(super) fn of(path: &Path, problem: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match problem.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path, what: problem.to_string() }
            }
            Some(ErrorCode::DiskFull) => Self::Full { path },
            _ => Self::Database { path, problem },
        }
    }
}
