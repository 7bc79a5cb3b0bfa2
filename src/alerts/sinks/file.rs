//! A file of JSON lines, truncated to the checkpoint's length after a crash.
//!
//! What was written after the checkpoint is cut off at resume, since it will be written again. So nothing else may write to the file while the
//! program runs; a file shorter than the checkpoint's length was rotated by somebody else, and is appended to.
//!
//! Not here: where full files go, where their size is bounded (`rotation`).

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::rotation::{Rotation, Series};
use super::{Delivery, Sink, SinkError, SinkPlan, SinkPosition, SinkSpec, Surroundings};
use crate::models::aside::directory_of;

/// `type = "file"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The file; made with its directories if it is not there.
    pub path: PathBuf,
    /// Whether only the owner may read a file that is made: dead letters hold what records held.
    #[serde(skip)]
    pub is_private: bool,
    /// When the next file begins, if ever.
    #[serde(skip)]
    pub rotation: Option<Rotation>,
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

    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn check(&self) -> Result<(), SinkError> {
        may_write(&self.path).map_err(|problem| SinkError::File { path: self.path.clone(), problem })
    }

    fn takes_suppressed(&self) -> bool {
        true
    }

    fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(Open::at(self.clone()).map_err(|problem| problem_at(&self.path, problem))?))
    }
}

fn problem_at(path: &Path, problem: std::io::Error) -> SinkError {
    SinkError::File { path: path.to_owned(), problem }
}

struct Open {
    spec: File,
    file: std::fs::File,
    /// Bytes that are settled: whole lines, synced. Bytes after them are of a failed attempt.
    length: u64,
    series: Option<Series>,
}

impl Open {
    fn at(spec: File) -> std::io::Result<Self> {
        std::fs::create_dir_all(directory_of(&spec.path))?;
        let file = open(&spec)?;
        let length = file.metadata()?.len();
        let series = spec.rotation.map(|rotation| Series::at(&spec.path, rotation)).transpose()?;
        Ok(Self { spec, file, length, series })
    }

    /// Goes on with what is at the path now.
    fn reopen(&mut self) -> std::io::Result<()> {
        self.file = open(&self.spec)?;
        self.length = self.file.metadata()?.len();
        Ok(())
    }

    fn append(&mut self, lines: &[u8]) -> std::io::Result<()> {
        // A file that shrank meanwhile was rotated by copying: append at its end, and leave no hole.
        self.length = self.length.min(self.file.metadata()?.len());
        self.begin_next(lines.len() as u64)?;
        self.drop_unsettled()?;
        self.file.seek(SeekFrom::Start(self.length))?;
        if let Err(problem) = self.file.write_all(lines).and_then(|()| self.file.sync_data()) {
            // Half a line helps nobody, least of all on a disk that is full. What stays is cut off before the next attempt.
            drop(self.drop_unsettled());
            return Err(problem);
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    fn drop_unsettled(&mut self) -> std::io::Result<()> {
        if self.file.metadata()?.len() == self.length { Ok(()) } else { self.file.set_len(self.length) }
    }

    /// Begins the next file, where this one would grow too large.
    fn begin_next(&mut self, more: u64) -> std::io::Result<()> {
        let is_full = |series: &Series| self.length > 0 && self.length + more > series.rotation.max_bytes;
        let Some(series) = self.series.as_ref().filter(|series| is_full(series)) else { return Ok(()) };
        self.file.set_len(self.length)?;
        series.rotate()?;
        self.reopen()?;
        if let Some(series) = &mut self.series {
            series.advance();
        }
        Ok(())
    }

    fn go_back_to(&mut self, number: u64) -> std::io::Result<()> {
        let Some(series) = &mut self.series else { return Ok(()) };
        if series.go_back_to(number)? { self.reopen() } else { Ok(()) }
    }

    fn cut(&mut self, length: u64) -> std::io::Result<()> {
        if length > self.length {
            tracing::warn!(file = %self.spec.path.display(), "the file is shorter than at the checkpoint: taken as rotated");
            return Ok(());
        }
        self.length = length;
        self.drop_unsettled()?;
        self.file.sync_all()
    }
}

/// Bytes that must be free on a disk: less holds not even what is written first.
#[cfg(unix)]
const MIN_FREE: u64 = 1 << 20;

/// Whether a file or directory may be written, or made where it does not exist, and its disk has room. Makes nothing.
///
/// # Errors
/// What an attempt would end in.
pub fn may_write(path: &Path) -> std::io::Result<()> {
    // A relative path that does not exist is made in the current directory.
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("."));
    #[cfg(unix)]
    {
        rustix::fs::access(existing, rustix::fs::Access::WRITE_OK)?;
        let disk = rustix::fs::statvfs(existing)?;
        // What is no disk, such as a pipe, has no blocks.
        if disk.f_blocks > 0 && disk.f_bavail.saturating_mul(disk.f_frsize) < MIN_FREE {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
    }
    if existing != path && !existing.is_dir() {
        return Err(std::io::ErrorKind::NotADirectory.into());
    }
    Ok(())
}

fn open(spec: &File) -> std::io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    if spec.is_private {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(&spec.path)?;
    // A new file is durable only with its directory.
    std::fs::File::open(directory_of(&spec.path))?.sync_all()?;
    Ok(file)
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
        self.append(&lines).map_err(|problem| problem_at(&self.spec.path, problem))
    }

    fn position(&self) -> SinkPosition {
        match &self.series {
            Some(series) => SinkPosition::Series { number: series.number, length: self.length },
            None => SinkPosition::Length(self.length),
        }
    }

    fn resume(&mut self, position: &SinkPosition) -> Result<(), SinkError> {
        let resumed = match position {
            SinkPosition::Length(length) => self.cut(*length),
            SinkPosition::Series { number, length } => self.go_back_to(*number).and_then(|()| self.cut(*length)),
            _ => Ok(()),
        };
        resumed.map_err(|problem| problem_at(&self.spec.path, problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(body: &str) -> Delivery {
        Delivery { uid: body.to_owned(), key: None, headers: vec![], body: body.as_bytes().to_vec(), alert: None }
    }

    #[test]
    fn a_file_may_be_written_where_its_directory_can_be_made_also_below_the_current_one() {
        let home = tempfile::tempdir().unwrap();
        assert!(may_write(&home.path().join("a/b/c")).is_ok());
        assert!(may_write(Path::new("nobody-made-this/and-not-this")).is_ok());
        std::fs::write(home.path().join("a"), "").unwrap();
        assert!(may_write(&home.path().join("a/b/c")).is_err(), "a file is no directory");
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_is_read_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("letters.ndjson");
        File { path: path.clone(), is_private: true, rotation: None }.open().unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn after_a_crash_the_file_ends_where_the_checkpoint_says() {
        let directory = tempfile::tempdir().unwrap();
        let plan = File { path: directory.path().join("new/alerts.ndjson"), is_private: false, rotation: None };
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
        let plan = File { path: directory.path().join("alerts.ndjson"), is_private: false, rotation: None };
        let mut sink = plan.open().unwrap();
        sink.deliver(&[delivery("old")]).unwrap();
        std::fs::write(&plan.path, "").unwrap();
        sink.deliver(&[delivery("new")]).unwrap();
        assert_eq!(std::fs::read_to_string(&plan.path).unwrap(), "new\n");
    }
    /// Files of at most six bytes: three lines of one character.
    fn series(directory: &Path, keep: u64) -> File {
        let rotation = Some(Rotation { max_bytes: 6, keep });
        File { path: directory.join("letters.ndjson"), is_private: true, rotation }
    }

    /// The files of a directory and their content, by name.
    fn files(directory: &Path) -> Vec<(String, String)> {
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        let read = |entry: std::fs::DirEntry| {
            (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
        };
        let mut files: Vec<_> = entries.map(read).collect();
        files.sort();
        files
    }

    #[test]
    fn a_full_file_makes_way_for_the_next_and_the_oldest_is_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = series(directory.path(), 2).open().unwrap();
        for body in 1..=11 {
            sink.deliver(&[delivery(&format!("{:x}", body % 16))]).unwrap();
        }
        let expected =
            [("letters.ndjson", "a\nb\n"), ("letters.ndjson.2", "4\n5\n6\n"), ("letters.ndjson.3", "7\n8\n9\n")];
        assert_eq!(files(directory.path()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(sink.position(), SinkPosition::Series { number: 4, length: 4 });
    }

    #[test]
    fn after_a_crash_the_series_ends_where_the_checkpoint_says_whatever_was_rotated_since() {
        let directory = tempfile::tempdir().unwrap();
        let deliver = |sink: &mut dyn Sink, bodies: &[&str]| {
            bodies.iter().for_each(|body| sink.deliver(&[delivery(body)]).unwrap());
        };
        let mut sink = series(directory.path(), 5).open().unwrap();
        deliver(sink.as_mut(), &["1", "2"]);
        let checkpoint = sink.position();
        let rest = ["3", "4", "5", "6", "7", "8"];
        deliver(sink.as_mut(), &rest);
        let before = files(directory.path());
        drop(sink);

        let mut sink = series(directory.path(), 5).open().unwrap();
        sink.resume(&checkpoint).unwrap();
        assert_eq!(files(directory.path()), [("letters.ndjson".to_owned(), "1\n2\n".to_owned())]);
        deliver(sink.as_mut(), &rest);
        assert_eq!(files(directory.path()), before);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_from_other_errors() {
        let mut sink = File { path: "/dev/full".into(), is_private: false, rotation: None }.open().unwrap();
        let problem = sink.deliver(&[delivery("1")]).unwrap_err();
        assert!(problem.is_disk_full(), "{problem}");
        assert_eq!(sink.position(), SinkPosition::Length(0));
    }

    #[test]
    fn a_rotation_that_failed_halfway_is_finished_without_loss() {
        let directory = tempfile::tempdir().unwrap();
        let spec = series(directory.path(), 5);
        let mut sink = Open::at(spec.clone()).unwrap();
        ["1", "2", "3"].iter().for_each(|body| sink.deliver(&[delivery(body)]).unwrap());
        // The file was moved and the next one made, and then the attempt failed.
        sink.series.as_ref().unwrap().rotate().unwrap();
        std::fs::write(&spec.path, "").unwrap();
        sink.deliver(&[delivery("4")]).unwrap();
        let expected = [("letters.ndjson", "4\n"), ("letters.ndjson.1", "1\n2\n3\n")];
        assert_eq!(files(directory.path()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    /// A file system of 64 KiB; unmounted when dropped.
    #[cfg(target_os = "linux")]
    struct SmallDisk(tempfile::TempDir);

    #[cfg(target_os = "linux")]
    impl SmallDisk {
        /// `None` without the right to mount.
        fn mount() -> Option<Self> {
            let directory = tempfile::tempdir().unwrap();
            let mut mount = std::process::Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(directory.path());
            mount.output().is_ok_and(|done| done.status.success()).then_some(Self(directory))
        }
    }

    #[cfg(target_os = "linux")]
    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(self.0.path()).status();
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn on_a_disk_that_fills_up_only_whole_lines_stay_and_it_goes_on_when_there_is_space() {
        let Some(disk) = SmallDisk::mount() else { return eprintln!("skipped: no right to mount") };
        let (path, other) = (disk.0.path().join("letters.ndjson"), disk.0.path().join("other"));
        std::fs::write(&other, vec![0; 32 << 10]).unwrap();
        let mut sink = File { path: path.clone(), is_private: true, rotation: None }.open().unwrap();
        let line = |digit: &str| delivery(&digit.repeat(10_000));
        let mut landed = 0;
        let problem = loop {
            match sink.deliver(&[line("1")]) {
                Ok(()) => landed += 1,
                Err(problem) => break problem,
            }
        };
        assert!(problem.is_disk_full(), "{problem}");
        let lines = || std::fs::read_to_string(&path).unwrap().lines().map(str::len).collect::<Vec<_>>();
        assert_eq!(lines(), vec![10_000; landed]);
        assert_eq!(sink.position(), SinkPosition::Length(path.metadata().unwrap().len()));
        std::fs::remove_file(&other).unwrap();
        sink.deliver(&[line("2")]).unwrap();
        assert_eq!(lines(), vec![10_000; landed + 1]);
        drop(sink);
    }
}
