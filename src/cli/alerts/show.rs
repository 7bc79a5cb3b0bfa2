//! `apiwarden alerts show`: alerts as cards, an incident's together.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::alerts::{Alert, Severity, Style, card, from_ocsf};

/// Prints the alerts of a file as cards, each incident as it stood last, in the order in which they began.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden alerts show alerts.ndjson
  apiwarden alerts show alerts.ndjson --all --pages
  kcat -C -t apiwarden-alerts -e | apiwarden alerts show -")]
pub(super) struct Show {
    /// File of alerts as OCSF NDJSON; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Every step of an incident, not only the newest.
    #[arg(long)]
    all: bool,
    /// Only incidents that page.
    #[arg(long)]
    pages: bool,
}

impl Show {
    pub fn run(self) -> anyhow::Result<()> {
        let name = self.file.display();
        let input: Box<dyn BufRead> = if self.file.as_os_str() == "-" {
            Box::new(std::io::stdin().lock())
        } else {
            Box::new(BufReader::new(open(&self.file)?))
        };
        let mut incidents = Incidents::default();
        for (number, line) in (1_u64..).zip(input.lines()) {
            let line = line.with_context(|| format!("{name}, line {number}"))?;
            if !line.trim().is_empty() {
                incidents.add(alert_of(&line).with_context(|| format!("{name}, line {number}"))?);
            }
        }
        let style = if std::io::stdout().is_terminal() { Style::Colour } else { Style::Plain };
        let mut output = std::io::stdout().lock();
        for alert in incidents.newest(self.all).filter(|alert| !self.pages || alert.severity >= Severity::Medium) {
            writeln!(output, "{}", card(alert, style))?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| path.display().to_string())
}

pub(super) fn alert_of(line: &str) -> anyhow::Result<Alert> {
    let value = serde_json::from_str(line).map_err(|error| {
        // What serde_json says may quote the line.
        anyhow::anyhow!("column {}: expected one JSON object a line", error.column())
    })?;
    from_ocsf(&value)
        .context("expected an OCSF Detection Finding with time, severity_id, activity_id and finding_info.uid")
}

/// The steps of incidents, in the order in which they began.
#[derive(Debug, Default)]
struct Incidents {
    steps: Vec<Vec<Alert>>,
    places: BTreeMap<String, usize>,
}

impl Incidents {
    fn add(&mut self, alert: Alert) {
        let place = *self.places.entry(alert.id.clone()).or_insert(self.steps.len());
        match self.steps.get_mut(place) {
            Some(steps) => steps.push(alert),
            None => self.steps.push(vec![alert]),
        }
    }

    /// Each incident's newest step, or all in the order of its life.
    fn newest(&mut self, all: bool) -> impl Iterator<Item = &Alert> {
        self.steps.iter_mut().flat_map(move |steps| {
            // A sink that delivers at least once may repeat a step.
            steps.sort_by_key(|alert| alert.revision);
            steps.dedup_by_key(|alert| alert.revision);
            let from = if all { 0 } else { steps.len().saturating_sub(1) };
            steps.iter().skip(from)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, revision: u32) -> String {
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
    fn an_incident_is_shown_once_as_it_stood_last_or_step_by_step() {
        let lines = [step("a", 1), step("b", 1), step("a", 2), step("a", 2)];
        let named = |steps: &[(&str, u32)]| steps.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect::<Vec<_>>();
        assert_eq!(shown(&lines, false), named(&[("a", 2), ("b", 1)]));
        assert_eq!(shown(&lines, true), named(&[("a", 1), ("a", 2), ("b", 1)]));
    }

    #[test]
    fn a_line_that_is_no_finding_is_refused_without_being_quoted() {
        for line in ["sk_live_secret", r#"{"class_uid": 2004, "key": "sk_live_secret"}"#] {
            let said = format!("{:#}", alert_of(line).expect_err("no finding"));
            assert!(!said.contains("sk_live_secret"), "{said}");
        }
    }
}
