//! A series of files: the current one at its path, full ones beside it with a number, the oldest with the lowest.
//!
//! Numbers only grow, so a checkpoint that names one finds its file again, whatever was rotated since.
//!
//! Not here: what is written to them (`file`).

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::models::aside::directory_of;

/// When the next file begins, and how many full ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Size that a file is not to exceed, bytes.
    pub max_bytes: u64,
    /// Full files that are kept beside the current one.
    pub keep: u64,
}

/// The files that there are.
pub(super) struct Series {
    path: PathBuf,
    pub rotation: Rotation,
    /// Number of the current file: the one that it gets when it is full.
    pub number: u64,
}

impl Series {
    /// Finds the files of a series in their directory.
    pub fn at(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let mut last = 0;
        for entry in std::fs::read_dir(directory_of(path))? {
            last = last.max(number_of(path, &entry?.path()).unwrap_or(0));
        }
        Ok(Self { path: path.to_owned(), rotation, number: last + 1 })
    }

    /// Moves the current file, which is full, out of the way. The next one is to be made by whoever writes it.
    pub fn rotate(&self) -> io::Result<()> {
        let full = self.full(self.number);
        // After an attempt that failed halfway it is moved already, and what is at the path may be the next one.
        if full.try_exists()? { Ok(()) } else { ignoring_absence(std::fs::rename(&self.path, full)) }
    }

    /// The next file is there: its number is the next, and the full file that is too many goes.
    pub fn advance(&mut self) {
        let too_many = self.number.checked_sub(self.rotation.keep).filter(|number| *number > 0);
        self.number += 1;
        let Some(oldest) = too_many.map(|number| self.full(number)) else { return };
        match std::fs::remove_file(&oldest) {
            Ok(()) => tracing::warn!(file = %oldest.display(), "the oldest full file is deleted: more are not kept"),
            Err(problem) if problem.kind() == ErrorKind::NotFound => {}
            Err(problem) => {
                tracing::warn!(file = %oldest.display(), %problem, "the oldest full file cannot be deleted")
            }
        }
    }

    /// Makes the file with this number the current one again: what is newer is deleted. Returns whether the current file is another now.
    pub fn go_back_to(&mut self, number: u64) -> io::Result<bool> {
        let is_changed = number < self.number;
        if is_changed {
            for newer in number + 1..self.number {
                ignoring_absence(std::fs::remove_file(self.full(newer)))?;
            }
            ignoring_absence(std::fs::remove_file(&self.path))?;
            ignoring_absence(std::fs::rename(self.full(number), &self.path))?;
        }
        self.number = number;
        Ok(is_changed)
    }

    fn full(&self, number: u64) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

fn number_of(path: &Path, file: &Path) -> Option<u64> {
    let own = path.file_name()?.to_str()?;
    file.file_name()?.to_str()?.strip_prefix(own)?.strip_prefix('.')?.parse().ok()
}

fn ignoring_absence(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(problem) if problem.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
