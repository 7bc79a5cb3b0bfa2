//! Output files: never over what the command reads, and in place only when they are whole.
//!
//! Not here: standard output (`output`), and how a file takes its place (`models::aside`).

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::models::aside::{Aside, directory_of};

/// The name of standard input and of standard output.
const STANDARD: &str = "-";

/// Refuses an output file that is one of the files that the command reads, by whatever name, or standard input redirected from it.
///
/// # Errors
/// Where it is one, naming both.
pub(super) fn refuse_inputs<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<()> {
    // What does not exist is read by nobody, and devices and pipes are not replaced.
    let Some(own) = fs::metadata(output).ok().filter(Metadata::is_file) else { return Ok(()) };
    for input in inputs {
        let read = if input.as_os_str() == STANDARD { standard_input() } else { fs::metadata(input) };
        let is_same = read.is_ok_and(|read| (read.dev(), read.ino()) == (own.dev(), own.ino()));
        anyhow::ensure!(!is_same, "{}: is also an input ({}): name another file", output.display(), input.display());
    }
    Ok(())
}

fn standard_input() -> io::Result<Metadata> {
    File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata()
}

/// Refuses an output file inside the bundle that the command reads: it might be one of its parts.
///
/// # Errors
/// Where it is.
pub(super) fn refuse_bundle(output: &Path, bundle: &Path) -> anyhow::Result<()> {
    let directory = directory_of(output);
    let directories = directory.canonicalize().and_then(|directory| Ok((directory, bundle.canonicalize()?)));
    let is_inside = directories.is_ok_and(|(directory, bundle)| directory.starts_with(bundle));
    anyhow::ensure!(!is_inside, "{}: lies in the bundle {}: name another file", output.display(), bundle.display());
    Ok(())
}

/// A file that is written beside its target, with errors that name the target.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    file: BufWriter<File>,
    /// `None` where the target is a device or a pipe, which nothing can take the place of.
    aside: Option<Aside>,
}

impl OutputFile {
    /// Opens a file to be written; its target changes only when it is finished.
    ///
    /// # Errors
    /// Where it cannot be written, with its name.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::open(path).map_err(|error| named(path, &error))
    }

    fn open(path: &Path) -> io::Result<Self> {
        let existing = fs::metadata(path).ok();
        let opened = |file, aside| Self { path: path.to_owned(), file: BufWriter::new(file), aside };
        if existing.as_ref().is_some_and(|existing| !existing.is_file()) {
            return Ok(opened(File::options().write(true).open(path)?, None));
        }
        // A link is followed, as if it were opened.
        let mut aside = Aside::of(&path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        let file = aside.create_file()?;
        if let Some(existing) = existing {
            // Who could not read the old file cannot read the new one; and what may not be written is not replaced.
            drop(File::options().append(true).open(path)?);
            file.set_permissions(existing.permissions())?;
        }
        Ok(opened(file, Some(aside)))
    }

    /// Puts what was written in the place of the target.
    ///
    /// # Errors
    /// Where it cannot be written to its end, with its name.
    pub fn finish(self) -> io::Result<()> {
        let Self { path, mut file, aside } = self;
        let placed = file.flush().and_then(|()| match aside {
            Some(aside) => file.get_ref().sync_all().and_then(|()| aside.take_place()),
            None => Ok(()),
        });
        placed.map_err(|error| named(&path, &error))
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| named(&self.path, &error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| named(&self.path, &error))
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_is_read_is_refused_by_whatever_name() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        fs::write(path("log"), "a record").unwrap();
        fs::hard_link(path("log"), path("hard")).unwrap();
        std::os::unix::fs::symlink(path("log"), path("soft")).unwrap();
        let log = path("log");
        for name in ["log", "hard", "soft", "../log"] {
            let output = if name == "../log" { path("x/../log") } else { path(name) };
            fs::create_dir_all(path("x")).unwrap();
            let refused = refuse_inputs(&output, [log.as_path()]).unwrap_err().to_string();
            assert!(refused.contains("is also an input"), "{name}: {refused}");
        }
        assert!(refuse_inputs(&path("other"), [log.as_path()]).is_ok());
    }

    #[test]
    fn an_output_in_the_bundle_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let bundle = home.path().join("bundle");
        fs::create_dir(&bundle).unwrap();
        assert!(refuse_bundle(&bundle.join("manifest.json"), &bundle).is_err());
        assert!(refuse_bundle(&home.path().join("bundle/../alerts"), &bundle).is_ok());
        assert!(refuse_bundle(Path::new("-"), &bundle).is_ok());
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_with_its_permissions_and_through_a_link() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        fs::write(path("alerts"), "old").unwrap();
        fs::set_permissions(path("alerts"), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("alerts", path("link")).unwrap();
        let mut output = OutputFile::create(&path("link")).unwrap();
        output.write_all(b"new").unwrap();
        output.flush().unwrap();
        assert_eq!(fs::read_to_string(path("alerts")).unwrap(), "old");
        output.finish().unwrap();
        assert_eq!(fs::read_to_string(path("alerts")).unwrap(), "new");
        assert_eq!(fs::metadata(path("alerts")).unwrap().mode() & 0o777, 0o600);
        assert!(path("link").is_symlink());
    }

    #[test]
    fn a_full_disk_is_reported_with_the_name_of_the_file() {
        if !Path::new("/dev/full").exists() {
            return;
        }
        let mut output = OutputFile::create(Path::new("/dev/full")).unwrap();
        output.write_all(b"an alert").unwrap();
        let error = output.finish().unwrap_err().to_string();
        assert!(error.starts_with("/dev/full: No space left on device"), "{error}");
    }
}
