//! A file of JSON lines, truncated to the checkpoint's length after a crash.
//!
//! What was written after the checkpoint is cut off at resume, since it will be written again. So nothing else may write to the file while the
//! program runs; a file shorter than the checkpoint's length was rotated, and is appended to.
//!
//! Not here: rotation.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Delivery, Sink, SinkError, SinkPlan, SinkPosition, SinkSpec, Surroundings};

/// `type = "file"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The file; made with its directories if it is not there.
    pub path: PathBuf,
    /// Whether only the owner may read a file that is made: dead letters hold what records held.
    #[serde(skip)]
    pub is_private: bool,
}

impl SinkSpec for File {
    const NAME: &'static str = "file";
    const SUMMARY: &'static str = "Appends each alert as a line of JSON to a file, each exactly once.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        if self.path.as_os_str().is_empty() {
            return Err(SinkError::Spec("field path: is empty, write the path of a file"));
        }
        Ok(Box::new(Self { path: around.path(&self.path), ..self }))
    }
}

impl SinkPlan for File {
    fn name(&self) -> String {
        format!("file:{}", self.path.display())
    }

    fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(Open::at(&self.path, self.is_private).map_err(|problem| problem_at(&self.path, problem))?))
    }
}

fn problem_at(path: &Path, problem: std::io::Error) -> SinkError {
    SinkError::File { path: path.to_owned(), problem }
}

struct Open {
    path: PathBuf,
    file: std::fs::File,
    /// Bytes that are settled: whole lines, synced. Bytes after them are of a failed attempt.
    length: u64,
}

impl Open {
    fn at(path: &Path, is_private: bool) -> std::io::Result<Self> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(directory)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        if is_private {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let file = options.open(path)?;
        // A new file is durable only with its directory.
        std::fs::File::open(directory)?.sync_all()?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, length })
    }

    fn append(&mut self, lines: &[u8]) -> std::io::Result<()> {
        // A file that shrank meanwhile was rotated by copying: append at its end, and leave no hole.
        self.length = self.length.min(self.file.metadata()?.len());
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(lines)?;
        self.file.sync_data()?;
        self.length += lines.len() as u64;
        Ok(())
    }

    fn cut(&mut self, length: u64) -> std::io::Result<()> {
        if length > self.length {
            tracing::warn!(file = %self.path.display(), "the file is shorter than at the checkpoint: taken as rotated");
            return Ok(());
        }
        self.file.set_len(length)?;
        self.file.sync_all()?;
        self.length = length;
        Ok(())
    }
}

impl Sink for Open {
    fn deliver(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::with_capacity(deliveries.iter().map(|delivery| delivery.body.len() + 1).sum());
        for delivery in deliveries {
            lines.extend_from_slice(&delivery.body);
            lines.push(b'\n');
        }
        self.append(&lines).map_err(|problem| problem_at(&self.path, problem))
    }

    fn position(&self) -> SinkPosition {
        SinkPosition::Length(self.length)
    }

    fn resume(&mut self, position: &SinkPosition) -> Result<(), SinkError> {
        match position {
            SinkPosition::Length(length) => self.cut(*length).map_err(|problem| problem_at(&self.path, problem)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(body: &str) -> Delivery {
        Delivery { uid: body.to_owned(), key: None, headers: vec![], body: body.as_bytes().to_vec() }
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_is_read_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("letters.ndjson");
        File { path: path.clone(), is_private: true }.open().unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn after_a_crash_the_file_ends_where_the_checkpoint_says() {
        let directory = tempfile::tempdir().unwrap();
        let plan = File { path: directory.path().join("new/alerts.ndjson"), is_private: false };
        let mut sink = plan.open().unwrap();
        sink.deliver(&[delivery("1"), delivery("2")]).unwrap();
        let checkpoint = sink.position();
        sink.deliver(&[delivery("3")]).unwrap();
        drop(sink);
        // The crash came in the middle of a line.
        let mut torn = OpenOptions::new().append(true).open(&plan.path).unwrap();
        torn.write_all(b"half").unwrap();

        let mut sink = plan.open().unwrap();
        sink.resume(&checkpoint).unwrap();
        sink.deliver(&[delivery("3"), delivery("4")]).unwrap();
        assert_eq!(std::fs::read_to_string(&plan.path).unwrap(), "1\n2\n3\n4\n");
    }

    #[test]
    fn a_rotated_file_is_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let plan = File { path: directory.path().join("alerts.ndjson"), is_private: false };
        let mut sink = plan.open().unwrap();
        sink.deliver(&[delivery("old")]).unwrap();
        std::fs::write(&plan.path, "").unwrap();
        sink.deliver(&[delivery("new")]).unwrap();
        assert_eq!(std::fs::read_to_string(&plan.path).unwrap(), "new\n");
    }
}
