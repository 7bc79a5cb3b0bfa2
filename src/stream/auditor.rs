//! The auditor: writes audit reports beside the stream, one whenever a period is over in event time.
//!
//! A report is due once the watermark is well past the last day of its period. It is made by a thread of its own, from the catalogue on disk, so that
//! the stream goes on; the directory of reports says how far it has come, so that nothing is kept in the state. A report that
//! cannot be written stops nothing: that is told once, and it is tried again.
//!
//! Not here: what a report says, and the chain (`report`).

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::civil::Date;

use super::metrics;
use crate::catalog::annotations::{Annotations, AnnotationsError, FILE};
use crate::catalog::{CatalogError, Period, Reader};
use crate::pipeline::AuditPlan;
use crate::report::{Archive, Report, ReportError, Sources, day_number};
use crate::rules::Rules;

/// Event time by which the watermark must be past a period, microseconds: its last bucket is closed and in the catalogue by then.
const MARGIN: i64 = 3_600_000_000;
/// Pause after an attempt that failed.
const RETRY: Duration = Duration::from_secs(600);

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
enum Missed {
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Annotations(#[from] AnnotationsError),
    #[error("the thread that wrote it ended")]
    Ended,
}

/// All that a report is made from.
struct Work {
    plan: AuditPlan,
    /// Directory of the catalogue.
    catalog: PathBuf,
    rules: Option<Arc<Rules>>,
}

/// Writes reports when they are due.
pub(super) struct Auditor {
    work: Arc<Work>,
    at_work: Option<JoinHandle<Result<(), Missed>>>,
    /// When the last attempt failed.
    failed: Option<Instant>,
    /// The last period of which a report was found or tried.
    last: Option<i64>,
}

impl Auditor {
    pub fn new(plan: &AuditPlan, catalog: PathBuf, rules: Option<Arc<Rules>>) -> Self {
        let work = Arc::new(Work { plan: plan.clone(), catalog, rules });
        Self { work, at_work: None, failed: None, last: None }
    }

    /// Begins a report where a period is over, given the watermark; what was begun before is looked after.
    pub fn look(&mut self, watermark: Option<i64>) {
        if self.at_work.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        if let Some(thread) = self.at_work.take() {
            self.look_after(thread.join().unwrap_or(Err(Missed::Ended)));
        }
        let Some(over) = watermark.map(|watermark| Period::day_of(watermark.saturating_sub(MARGIN)) - 1) else {
            return;
        };
        if self.last.is_some_and(|last| over < last + self.work.plan.every_days)
            || self.failed.is_some_and(|failed| failed.elapsed() < RETRY)
        {
            return;
        }
        let work = Arc::clone(&self.work);
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(move || work.catch_up(over));
        match thread {
            Ok(thread) => self.at_work = Some(thread),
            Err(_) => self.look_after(Err(Missed::Ended)),
        }
        // Within the same day nothing else becomes due; where it fails, this is taken back.
        self.last = Some(over);
    }

    fn look_after(&mut self, result: Result<(), Missed>) {
        metrics::audit_behind(result.is_err());
        match &result {
            Err(problem) if self.failed.is_none() => {
                tracing::warn!(%problem, "an audit report could not be written: it is tried again, and the stream goes on");
            }
            Ok(()) if self.failed.is_some() => tracing::info!("audit reports are written again"),
            _ => {}
        }
        self.failed = result.is_err().then(Instant::now);
        if result.is_err() {
            self.last = None;
        } else if let Some(last) = self.work.last() {
            self.last = Some(last);
        }
    }
}

impl Work {
    /// The last day that a report in the first format is about.
    fn last(&self) -> Option<i64> {
        let newest = Archive::of(&self.plan.directory).newest(*self.plan.formats.first()?).ok()??;
        Some(day_number(newest.parse::<Date>().ok()?))
    }

    /// Writes every report that is due by a day, the oldest first.
    fn catch_up(&self, over: i64) -> Result<(), Missed> {
        let mut day = match self.last() {
            Some(last) => last + self.plan.every_days,
            None => over,
        };
        while day <= over {
            match self.write(day) {
                // Nothing was called by then: the first report waits.
                Err(Missed::Report(ReportError::Empty | ReportError::TooEarly { .. })) => {}
                written => written?,
            }
            day += self.plan.every_days;
        }
        Ok(())
    }

    fn write(&self, day: i64) -> Result<(), Missed> {
        let Self { plan, catalog, rules } = self;
        let declared = plan.annotations.clone().unwrap_or_else(|| catalog.join(FILE));
        let declared = Annotations::load(&declared)?;
        let reader = Reader::open(catalog)?;
        // What is not there yet has no alert in it.
        let alerts: Vec<PathBuf> = plan.alerts.iter().filter(|file| file.exists()).cloned().collect();
        let sources = Sources {
            alerts: Some(&alerts[..]).filter(|_| !plan.alerts.is_empty()),
            rules: rules.as_deref(),
            declared: Some(&declared),
        };
        let report = Report::new(&reader, Period::new(plan.since, day), &sources)?;
        for format in &plan.formats {
            if let Some(written) = Archive::of(&plan.directory).write(&report, *format)? {
                tracing::info!(file = %written.path.display(), "an audit report was written");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Calls, VendorPack};
    use crate::catalog::{Catalog, Limits, Since};
    use crate::report::{Format, verify};
    use crate::rollup::Rollup;

    const DAY: i64 = 86_400_000_000;

    /// A catalogue of four days, and an auditor that reports on each.
    fn auditor(home: &std::path::Path) -> Auditor {
        let calls = Calls::of_pairs((0..96).map(|hour| (hour * 3_600_000_000 + 1, ("billing", "stripe"))));
        let catalog = home.join("catalog");
        let mut store = Catalog::open(&catalog, VendorPack::embedded(), Limits::default()).unwrap();
        store.add(None, &Rollup::of(&calls).into_rows()).unwrap();
        let plan = AuditPlan {
            directory: home.join("reports"),
            every_days: 1,
            since: Since::Before(30 * DAY),
            formats: vec![Format::Html, Format::Json],
            alerts: Vec::new(),
            annotations: None,
        };
        Auditor::new(&plan, catalog, None)
    }

    /// Looks, and waits until what was begun is done.
    fn look(auditor: &mut Auditor, watermark: i64) {
        auditor.look(Some(watermark));
        while auditor.at_work.as_ref().is_some_and(|thread| !thread.is_finished()) {
            thread::sleep(Duration::from_millis(5));
        }
        auditor.look(None);
    }

    fn names(home: &std::path::Path, format: Format) -> Vec<String> {
        let reports = Archive::of(&home.join("reports")).reports(format).unwrap();
        reports.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_report_is_written_when_a_day_is_over_and_none_is_left_out_or_doubled() {
        let home = tempfile::tempdir().unwrap();
        let mut first = auditor(home.path());
        look(&mut first, DAY + MARGIN - 1);
        assert!(names(home.path(), Format::Html).is_empty());
        look(&mut first, DAY + MARGIN);
        assert_eq!(names(home.path(), Format::Html), ["audit-1970-01-01.html"]);
        let written = std::fs::read(home.path().join("reports/audit-1970-01-01.html")).unwrap();
        // Another process goes on where this one was killed.
        let mut second = auditor(home.path());
        look(&mut second, 3 * DAY + MARGIN);
        look(&mut second, 3 * DAY + 2 * MARGIN);
        let days = ["1970-01-01", "1970-01-02", "1970-01-03"];
        assert_eq!(names(home.path(), Format::Html), days.map(|day| format!("audit-{day}.html")));
        assert_eq!(std::fs::read(home.path().join("reports/audit-1970-01-01.html")).unwrap(), written);
        for format in [Format::Html, Format::Json] {
            let reports = Archive::of(&home.path().join("reports")).reports(format).unwrap();
            assert!(verify(&reports).unwrap().is_ok());
        }
    }

    #[test]
    fn a_report_that_cannot_be_written_is_tried_again_and_stops_nothing() {
        let home = tempfile::tempdir().unwrap();
        let mut auditor = auditor(home.path());
        std::fs::write(home.path().join("reports"), "in the way").unwrap();
        look(&mut auditor, DAY + MARGIN);
        assert!(auditor.failed.is_some());
        std::fs::remove_file(home.path().join("reports")).unwrap();
        auditor.failed = Instant::now().checked_sub(2 * RETRY);
        look(&mut auditor, DAY + MARGIN);
        assert!(auditor.failed.is_none());
        assert_eq!(names(home.path(), Format::Json), ["audit-1970-01-01.json"]);
    }
}
