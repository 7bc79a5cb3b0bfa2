//! `apiwarden alerts show`: alerts as cards, grouped by incident.
//!
//! Not here: what a card looks like (`alerts::card`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::kept::incident;
use crate::alerts::store::{AlertStore, Filter};
use crate::alerts::{Alert, Severity, Style, card, from_ocsf};
use crate::cli::output::stdout;

/// Prints alerts as cards: the newest revision of each incident of a file, in the order in which incidents were opened, or one incident of a
/// service's alert store.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden alerts show alerts.ndjson
  apiwarden alerts show alerts.ndjson --all --pages
  apiwarden alerts show aw-7f3c0a9b12d4e5f6 --state state
  kcat -C -t apiwarden-alerts -e | apiwarden alerts show -")]
pub(super) struct Show {
    /// File of alerts, OCSF NDJSON; `-` for standard input. With --state, the id of an incident.
    #[arg(value_name = "FILE or ID")]
    what: PathBuf,
    /// The state directory of a service.
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
    /// Every revision of an incident, not only the newest.
    #[arg(long)]
    all: bool,
    /// Only incidents that page.
    #[arg(long)]
    pages: bool,
}

impl Show {
    pub fn run(self) -> anyhow::Result<()> {
        let mut incidents = match &self.state {
            Some(state) => of_store(state, &incident(&self.what.to_string_lossy())?)?,
            None => of_file(&self.what)?,
        };
        let style = if std::io::stdout().is_terminal() { Style::Colour } else { Style::Plain };
        let mut output = stdout();
        for alert in incidents.newest(self.all).filter(|alert| !self.pages || alert.severity >= Severity::Medium) {
            writeln!(output, "{}", card(alert, style))?;
        }
        Ok(())
    }
}

fn of_store(state: &Path, id: &str) -> anyhow::Result<Incidents> {
    let filter = Filter { incident: Some(id.to_owned()), ..Filter::default() };
    let steps = AlertStore::read(state)?.find(&filter)?;
    anyhow::ensure!(!steps.is_empty(), "{}: the alert store has no incident {id}", state.display());
    let mut incidents = Incidents::default();
    steps.into_iter().for_each(|kept| incidents.add(kept.alert));
    Ok(incidents)
}

fn of_file(path: &Path) -> anyhow::Result<Incidents> {
    let name = path.display();
    let input: Box<dyn BufRead> =
        if path.as_os_str() == "-" { Box::new(std::io::stdin().lock()) } else { Box::new(BufReader::new(open(path)?)) };
    let mut incidents = Incidents::default();
    for (number, line) in (1_u64..).zip(input.lines()) {
        let line = line.with_context(|| format!("{name}, line {number}"))?;
        if !line.trim().is_empty() {
            incidents.add(alert_of(&line).with_context(|| format!("{name}, line {number}"))?);
        }
    }
    Ok(incidents)
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| path.display().to_string())
}

/// The alert in a line of OCSF NDJSON.
///
/// # Errors
/// Where the line is no Detection Finding; the line is not quoted, since it may hold a secret.
pub(super) fn alert_of(line: &str) -> anyhow::Result<Alert> {
    let value = serde_json::from_str(line).map_err(|error| {
        // serde_json's own message may quote the line.
        anyhow::anyhow!("column {}: expected one JSON object a line", error.column())
    })?;
    from_ocsf(&value)
        .context("expected an OCSF Detection Finding with time, severity_id, activity_id and finding_info.uid")
}

/// The revisions of each incident, incidents in the order in which they were opened.
#[derive(Debug, Default)]
struct Incidents {
    revisions: Vec<Vec<Alert>>,
    /// Index in `revisions` by incident id.
    index: BTreeMap<String, usize>,
}

impl Incidents {
    fn add(&mut self, alert: Alert) {
        let index = *self.index.entry(alert.id.clone()).or_insert(self.revisions.len());
        match self.revisions.get_mut(index) {
            Some(revisions) => revisions.push(alert),
            None => self.revisions.push(vec![alert]),
        }
    }

    /// The newest revision of each incident, or all of them from the first to the newest.
    fn newest(&mut self, all: bool) -> impl Iterator<Item = &Alert> {
        self.revisions.iter_mut().flat_map(move |revisions| {
            // A sink that delivers at least once may repeat a revision.
            revisions.sort_by_key(|alert| alert.revision);
            revisions.dedup_by_key(|alert| alert.revision);
            let from = if all { 0 } else { revisions.len().saturating_sub(1) };
            revisions.iter().skip(from)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(id: &str, revision: u32) -> String {
        serde_json::json!({
            "class_uid": 2004, "activity_id": 2, "severity_id": 3, "time": revision,
            "finding_info": { "uid": id }, "metadata": { "uid": format!("{id}-{revision}") },
        })
        .to_string()
    }

    fn shown(lines: &[String], all: bool) -> Vec<(String, u32)> {
        let mut incidents = Incidents::default();
        lines.iter().for_each(|line| incidents.add(alert_of(line).expect("a finding")));
        incidents.newest(all).map(|alert| (alert.id.clone(), alert.revision)).collect()
    }

    #[test]
    fn an_incident_is_shown_by_its_newest_revision_or_by_all() {
        let lines = [revision("a", 1), revision("b", 1), revision("a", 2), revision("a", 2)];
        let named = |shown: &[(&str, u32)]| shown.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect::<Vec<_>>();
        assert_eq!(shown(&lines, false), named(&[("a", 2), ("b", 1)]));
        assert_eq!(shown(&lines, true), named(&[("a", 1), ("a", 2), ("b", 1)]));
    }

    #[test]
    fn a_line_that_is_no_finding_is_refused_without_being_quoted() {
        for line in ["sk_live_secret", r#"{"class_uid": 2004, "key": "sk_live_secret"}"#] {
            let error = format!("{:#}", alert_of(line).expect_err("no finding"));
            assert!(!error.contains("sk_live_secret"), "{error}");
        }
    }
}
