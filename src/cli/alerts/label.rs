//! `apiwarden alerts label`: verdicts derived from labels, to measure how much a triage model learns from verdicts.

use std::path::PathBuf;

use clap::Args;

use super::files::Files;
use crate::alerts::Alert;
use crate::alerts::triage::{Judged, Line, Said, Verdicts, representatives};
use crate::train::evaluate::{Labels, verdicts};

/// Records the verdict that an analyst who knew the labels would give on each alert, timed when the alert was raised. For
/// measuring the triage model.
#[derive(Debug, Args)]
pub(super) struct Label {
    #[command(flatten)]
    files: Files,
    /// Labels, CSV, as for `evaluate`: of scenarios or of time windows.
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
}

impl Label {
    pub fn run(self) -> anyhow::Result<()> {
        let alerts = self.files.alerts()?;
        let labels = Labels::read(&self.labels)?;
        let (known, mut added) = (verdicts(&alerts, &labels), 0);
        let mut store = Verdicts::open(&self.files.verdicts)?;
        let mut raised: Vec<&Alert> = representatives(&alerts).into_values().collect();
        raised.sort_by_key(|alert| (alert.time, &alert.id));
        for alert in raised {
            let Some(verdict) = known.get(alert.id.as_str()).copied() else { continue };
            let said = Said { id: alert.id.clone(), verdict, analyst: Some("labels".to_owned()), note: None };
            added += usize::from(store.add(Line::new(said, Judged::of(alert), alert.time))?);
        }
        eprintln!("{added} verdicts recorded.");
        Ok(())
    }
}
