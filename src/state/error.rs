//! Why the state cannot be used, and what to do about it.
//!
//! Not here: what is stored.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Format version written here. A file with another version is refused.
pub(super) const FORMAT: u32 = 4;

/// Why the state cannot be used. Each variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has the file open.
    #[error("{}: another apiwarden is using this state; give each its own [state] directory", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The directory or the file cannot be created, read or written.
    #[error("{}: {problem}{}", path.display(), advice_of(problem))]
    Storage {
        /// The file.
        path: PathBuf,
        /// The error of redb or the system.
        problem: redb::Error,
    },
    /// Written by another version of the program, in an unknown format.
    #[error("{}: checkpoint format {found} is unknown (this program reads {FORMAT}); run the version that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
    },
    /// The content is not what was written: it is corrupted.
    #[error(
        "{}: the checkpoint is damaged ({what}); put the [state] directory of a backup back, or remove this file to start from the group's committed offsets: \
         windows and open incidents are lost then",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl StateError {
    /// What an error of redb means for the file.
    pub(super) fn of(path: &Path, problem: redb::Error) -> Self {
        let path = path.to_owned();
        let is_damage = |kind| matches!(kind, ErrorKind::InvalidData | ErrorKind::UnexpectedEof);
        match problem {
            redb::Error::DatabaseAlreadyOpen => Self::InUse { path },
            redb::Error::Corrupted(_)
            | redb::Error::RepairAborted
            | redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableDoesNotExist(_) => Self::Damaged { path, what: problem.to_string() },
            redb::Error::Io(io) if is_damage(io.kind()) => Self::Damaged { path, what: io.to_string() },
            problem => Self::Storage { path, problem },
        }
    }

    pub(super) fn io(path: &Path, problem: io::Error) -> Self {
        Self::of(path, redb::Error::Io(problem))
    }
}

fn advice_of(problem: &redb::Error) -> &'static str {
    match problem {
        redb::Error::Io(problem) => advice(problem.kind()),
        _ => "",
    }
}

/// What to do about an error of the system, as the end of a sentence.
pub(super) fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; make room and start again: it goes on from the last checkpoint, which is as it was"
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "; the [state] directory and its files must be writable for the user of the service: then start again"
        }
        _ => "",
    }
}
