//! Inputs: the files that a command line names, found before anything is read.
//!
//! Not here: what is in them (`file`).

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

/// The name of standard input.
pub(super) const STDIN: &str = "-";

/// Files to read, in the order in which they were named, each once; what a directory or pattern holds is sorted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    paths: Vec<Arc<Path>>,
}

impl Inputs {
    /// Finds what is named: files, directories (with all below them, except hidden files), patterns such as `logs/*.gz`, and `-` for standard input.
    ///
    /// # Errors
    /// A name stands for nothing, or a directory cannot be listed.
    pub fn resolve(names: &[String]) -> Result<Self, InputError> {
        let mut found = Vec::new();
        for name in names {
            let before = found.len();
            find(name, &mut found)?;
            if found.len() == before {
                return Err(InputError::Nothing { name: name.clone() });
            }
        }
        let mut seen = HashSet::new();
        found.retain(|path| seen.insert(path.clone()));
        Ok(Self { paths: found.into_iter().map(Arc::from).collect() })
    }

    /// The files.
    pub fn paths(&self) -> &[Arc<Path>] {
        &self.paths
    }
}

/// Why input could not be found or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    /// Neither a file nor a directory with files in it nor a pattern that matches one.
    #[error("{name}: no such file, and no files in it or matching it")]
    Nothing {
        /// The name as given.
        name: String,
    },
    /// The name is no pattern that can be understood.
    #[error("{name}: not a valid pattern")]
    Pattern {
        /// The name as given.
        name: String,
        /// Where it goes wrong.
        source: glob::PatternError,
    },
    /// A file or directory could not be read, or not to its end. What was read before stands.
    #[error("{}: cannot be read: {problem}", path.display())]
    Unreadable {
        /// The file.
        path: Arc<Path>,
        /// Why.
        problem: io::Error,
    },
    /// A Parquet file that is none, or is broken.
    #[error("{}: not readable as Parquet: {problem}", path.display())]
    Parquet {
        /// The file.
        path: Arc<Path>,
        /// Why.
        problem: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl InputError {
    pub(super) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |problem| {
            // The decoders of gzip and zstd say no more than that bytes are missing.
            let problem = match problem.kind() {
                io::ErrorKind::UnexpectedEof => io::Error::new(problem.kind(), "it ends too early: is it truncated?"),
                _ => problem,
            };
            Self::Unreadable { path: path.into(), problem }
        }
    }
}

fn find(name: &str, found: &mut Vec<PathBuf>) -> Result<(), InputError> {
    let path = Path::new(name);
    if name == STDIN || path.is_file() {
        found.push(path.to_owned());
        return Ok(());
    }
    // A path that exists may hold the characters of a pattern.
    match fs::metadata(path) {
        Ok(_) => return walk(path, found),
        Err(problem) if is_of_pattern(&problem) => {}
        Err(problem) => return Err(InputError::unreadable(path)(problem)),
    }
    let matches = glob::glob(name).map_err(|source| InputError::Pattern { name: name.to_owned(), source })?;
    for path in matches {
        let path = path.map_err(|error| {
            let path = error.path().into();
            InputError::Unreadable { path, problem: error.into() }
        })?;
        walk(&path, found)?;
    }
    Ok(())
}

/// Whether a path cannot be opened as a pattern cannot: anything else, such as links in a circle, is the problem itself.
fn is_of_pattern(problem: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(problem.kind(), NotFound | NotADirectory | InvalidFilename)
}

/// The file, or all files below the directory, sorted. Pipes count as files: a shell may hand one over.
fn walk(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), InputError> {
    if !path.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(InputError::unreadable(path))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries.iter().filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")) {
        walk(&entry.path(), found)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_directories_and_patterns_give_each_file_once_and_in_order() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("sub")).unwrap();
        for name in ["b.ndjson", "a.ndjson", ".hidden", "sub/c.gz"] {
            fs::write(home.path().join(name), "").unwrap();
        }
        let name = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        let found = |names: &[String]| -> Vec<String> {
            let inputs = Inputs::resolve(names).unwrap();
            inputs.paths().iter().map(|path| path.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(found(&[name("")]), [name("a.ndjson"), name("b.ndjson"), name("sub/c.gz")]);
        assert_eq!(
            found(&[name("*.ndjson"), name("a.ndjson"), "-".to_owned()]),
            [name("a.ndjson"), name("b.ndjson"), "-".to_owned()]
        );
        std::os::unix::fs::symlink("loop", home.path().join("loop")).unwrap();
        let circle = Inputs::resolve(&[name("loop")]).unwrap_err().to_string();
        assert!(circle.contains("loop: cannot be read: Too many levels of symbolic links"), "{circle}");
        let missing = Inputs::resolve(&[name("*.csv")]).unwrap_err().to_string();
        assert!(missing.contains("*.csv"), "{missing}");
    }
}
