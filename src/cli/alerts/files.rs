//! Files of alerts and verdicts: the arguments and readers that the commands about verdicts share.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::show::alert_of;
use crate::alerts::Alert;
use crate::alerts::triage::Verdicts;

/// The files of alerts and of verdicts.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// Files of alerts, OCSF NDJSON; `-` for standard input.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub alerts: Vec<PathBuf>,
    /// File of verdicts (NDJSON).
    #[arg(long, value_name = "FILE")]
    pub verdicts: PathBuf,
}

impl Files {
    /// Every revision of every alert, each once.
    ///
    /// # Errors
    /// Where a file cannot be read, or a line is no alert: with file and line, never with what the line holds.
    pub fn alerts(&self) -> anyhow::Result<Vec<Alert>> {
        alerts_of(&self.alerts)
    }
}

fn alerts_of(files: &[PathBuf]) -> anyhow::Result<Vec<Alert>> {
    let (mut alerts, mut seen) = (Vec::new(), BTreeSet::new());
    for path in files {
        for (number, line) in (1_u64..).zip(open(path)?.lines()) {
            let place = || format!("{}, line {number}", path.display());
            let line = line.with_context(place)?;
            if line.trim().is_empty() {
                continue;
            }
            let alert = alert_of(&line).with_context(place)?;
            if seen.insert((alert.id.clone(), alert.revision)) {
                alerts.push(alert);
            }
        }
    }
    Ok(alerts)
}

/// The newest revision of each alert of files.
///
/// # Errors
/// As [`Files::alerts`].
pub(in crate::cli) fn newest_of(files: &[PathBuf]) -> anyhow::Result<Vec<Alert>> {
    let mut newest: BTreeMap<String, Alert> = BTreeMap::new();
    for alert in alerts_of(files)? {
        if newest.get(&alert.id).is_none_or(|known| known.revision < alert.revision) {
            newest.insert(alert.id.clone(), alert);
        }
    }
    Ok(newest.into_values().collect())
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    Ok(match path.as_os_str() == "-" {
        true => Box::new(BufReader::new(std::io::stdin())),
        false => Box::new(BufReader::new(File::open(path).with_context(|| path.display().to_string())?)),
    })
}

/// Verdicts to learn from. Here a missing file is a mistake; where a verdict is added, it is made.
///
/// # Errors
/// Where the file is missing or is no file of verdicts.
pub(super) fn existing(path: &Path) -> anyhow::Result<Verdicts> {
    anyhow::ensure!(path.exists(), "{}: no such file; record verdicts with `apiwarden alerts verdict`", path.display());
    Ok(Verdicts::open(path)?)
}
