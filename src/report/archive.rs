//! A directory of reports: one a period and format, each sealed with the seal of the one before it.
//!
//! Files are called after the last day of their period, so that their names sort as their periods do. A report that is there is not written again: it
//! may have been handed out. Each is written beside its place and renamed.
//!
//! Not here: when a report is due (`stream`).

use std::path::{Path, PathBuf};

use super::chain::{Seal, seal_of};
use super::error::ReportError;
use super::{Format, Report};
use crate::models::aside::Aside;

/// A directory of reports.
#[derive(Clone, Debug)]
pub struct Archive {
    directory: PathBuf,
}

/// A report that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Its seal.
    pub seal: Option<Seal>,
}

impl Archive {
    /// The archive in a directory, which may not be there yet.
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The last day of the newest report in a format, `2026-09-18`.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn newest(&self, format: Format) -> Result<Option<String>, ReportError> {
        Ok(self.reports(format)?.pop().and_then(|path| day_of(&path, format)))
    }

    /// The reports in a format, the oldest first.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn reports(&self, format: Format) -> Result<Vec<PathBuf>, ReportError> {
        let io = ReportError::io(&self.directory);
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(problem) => return Err(io(problem)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(&io)?.path();
            if day_of(&path, format).is_some() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Where the report of a period is, or will be.
    pub fn path(&self, until: &str, format: Format) -> PathBuf {
        self.directory.join(format!("audit-{until}.{}", format.extension()))
    }

    /// Writes a report behind the ones that there are; `None` where its period has one already.
    ///
    /// # Errors
    /// [`ReportError`]; what is there is then as it was before.
    pub fn write(&self, report: &Report, format: Format) -> Result<Option<Written>, ReportError> {
        let path = self.path(report.until(), format);
        if path.exists() {
            return Ok(None);
        }
        let before = self.reports(format)?.into_iter().rfind(|other| *other < path);
        let previous = before.as_deref().map(seal_of).transpose()?;
        let (page, seal) = report.page(format, previous.as_ref())?;
        std::fs::create_dir_all(&self.directory).map_err(ReportError::io(&self.directory))?;
        Aside::write(&path, page.as_bytes()).map_err(ReportError::io(&path))?;
        Ok(Some(Written { path, seal }))
    }
}

/// The last day of a report, by the name of its file.
fn day_of(path: &Path, format: Format) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let day = name.strip_prefix("audit-")?.strip_suffix(format.extension())?.strip_suffix('.')?;
    day.parse::<jiff::civil::Date>().ok().map(|day| day.to_string())
}
