//! `apiwarden alerts label`: verdicts from labels, for measuring how much verdicts teach.

use std::path::PathBuf;

use clap::Args;

use super::files::Files;
use crate::alerts::Alert;
use crate::alerts::triage::{Judged, Line, Said, Verdicts, representatives};
use crate::train::evaluate::{Labels, verdicts};

/// Records what an analyst who knew the labels would say of each alert, at the moment when it was raised: for measuring.
#[derive(Debug, Args)]
pub(super) struct Label {
    #[command(flatten)]
    files: Files,
    /// Labels, CSV, as for `evaluate`: scenarios or time windows.
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
}

impl Label {
    pub fn run(self) -> anyhow::Result<()> {
        let alerts = self.files.alerts()?;
        let labels = Labels::read(&self.labels)?;
        let (known, mut added) = (verdicts(&alerts, &labels), 0);
        let mut store = Verdicts::open(&self.files.verdicts)?;
        let mut told: Vec<&Alert> = representatives(&alerts).into_values().collect();
        told.sort_by_key(|alert| (alert.time, &alert.id));
        for alert in told {
            let Some(verdict) = known.get(alert.id.as_str()).copied() else { continue };
            let said = Said { id: alert.id.clone(), verdict, analyst: Some("labels".to_owned()), note: None };
            added += usize::from(store.add(Line::new(said, Judged::of(alert), alert.time))?);
        }
        eprintln!("{added} verdicts recorded.");
        Ok(())
    }
}
