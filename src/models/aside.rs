//! A file or directory that is written beside its target, and takes the target's place when it is whole.
//!
//! So a full disk or a kill leaves the old target as it was. What a failed run had written is removed when it ends; what a killed one left
//! is removed by the next run with the same target. A run that is still writing is known by its lock, which ends with its process:
//! process ids would mislead in containers that share a directory.
//!
//! Not here: what is written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The place beside a target where its successor is written.
#[derive(Debug)]
pub struct Aside {
    target: PathBuf,
    path: PathBuf,
    is_created: bool,
    /// Held while it is written: no other run takes it for a leftover. `None` where the file system knows no locks.
    lock: Option<File>,
}

impl Aside {
    /// A place beside a target. Nothing is created; what killed runs left there is removed.
    pub fn of(target: &Path) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let mark = format!(".{name}.partial-");
        let path = target.with_file_name(format!("{mark}{}", std::process::id()));
        remove_leftovers(&path, &mark);
        Self { target: target.to_owned(), path, is_created: false, lock: None }
    }

    /// Creates it as a file.
    ///
    /// # Errors
    /// Where it cannot be created.
    pub fn create_file(&mut self) -> io::Result<File> {
        // A link that somebody else has put there is not followed.
        let file = File::options().write(true).create_new(true).open(&self.path)?;
        self.is_created = true;
        self.lock = locked(file.try_clone()?);
        Ok(file)
    }

    /// Creates it as a directory.
    ///
    /// # Errors
    /// Where it cannot be created.
    pub fn create_directory(&mut self) -> io::Result<&Path> {
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::create_dir(&self.path)?;
        self.is_created = true;
        self.lock = File::open(&self.path).ok().and_then(locked);
        Ok(&self.path)
    }

    /// Puts it in the place of its target, where it is on disk when this returns.
    ///
    /// # Errors
    /// Where it cannot be renamed.
    pub fn take_place(self) -> io::Result<()> {
        fs::rename(&self.path, &self.target)?;
        // A name is on disk only with its directory. Not every file system can be asked for that; the target is in its place all the same.
        let _ = File::open(directory_of(&self.target)).and_then(|directory| directory.sync_all());
        Ok(())
    }

    /// Writes a whole file.
    ///
    /// # Errors
    /// Where it cannot be written; the target is then as it was.
    pub fn write(target: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut aside = Self::of(target);
        let mut file = aside.create_file()?;
        file.write_all(bytes)?;
        file.sync_all()?;
        aside.take_place()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Once it has taken its place nothing is there any more.
        if self.is_created {
            remove(&self.path);
        }
    }
}

/// The directory of a file, which of a bare name is the current one.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file, locked; `None` where the file system knows no locks, or somebody else has it.
fn locked(file: File) -> Option<File> {
    file.try_lock().is_ok().then_some(file)
}

/// Removes what killed runs left beside `path`: all that begins with `mark`, ends with a process id, and is not locked.
fn remove_leftovers(path: &Path, mark: &str) {
    for entry in fs::read_dir(directory_of(path)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(mark)).unwrap_or_default();
        let is_ours = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        if is_ours && File::open(entry.path()).ok().and_then(locked).is_some() {
            remove(&entry.path());
        }
    }
}

/// Removes a file or a directory. One that cannot be removed is in nobody's way.
fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_not_finished_leaves_the_target_as_it_was_and_nothing_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("alerts");
        fs::write(&target, "old").unwrap();
        let mut aside = Aside::of(&target);
        aside.create_file().unwrap().write_all(b"half").unwrap();
        assert_eq!(names(home.path()).len(), 2);
        drop(aside);
        assert_eq!((names(home.path()), fs::read_to_string(&target).unwrap()), (vec!["alerts".into()], "old".into()));
        Aside::write(&target, b"new").unwrap();
        assert_eq!((names(home.path()), fs::read_to_string(&target).unwrap()), (vec!["alerts".into()], "new".into()));
    }

    #[test]
    fn leftovers_of_killed_runs_are_removed_and_of_no_one_else() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        for name in [".bundle.partial-7", ".bundle.partial-x", ".other.partial-7", ".bundle.partial-8"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("part"), "").unwrap();
        }
        fs::write(path(".bundle.partial-9"), "").unwrap();
        let running = File::open(path(".bundle.partial-8")).unwrap();
        running.try_lock().unwrap();
        drop(Aside::of(&path("bundle")));
        assert_eq!(names(home.path()), [".bundle.partial-8", ".bundle.partial-x", ".other.partial-7"]);
    }
}
