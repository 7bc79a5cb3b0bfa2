//! `apiwarden alerts triage`: alerts ranked by how likely an analyst would confirm them.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use comfy_table::{Table, presets};

use super::files::{Files, existing};
use crate::alerts::triage::{self, Verdict, representatives};
use crate::alerts::{Alert, printable, to_ocsf};
use crate::cli::output::{print_line, stdout};
use crate::train::triage::learn;

/// Ranks incidents by how likely an analyst would confirm them.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden alerts triage --alerts alerts.ndjson --verdicts verdicts.ndjson")]
pub(super) struct Triage {
    #[command(flatten)]
    files: Files,
    /// Print the alerts as OCSF NDJSON.
    #[arg(long)]
    json: bool,
}

impl Triage {
    pub fn run(self) -> anyhow::Result<()> {
        let alerts = self.files.alerts()?;
        let store = existing(&self.files.verdicts)?;
        let (triage, _) = learn(&store.newest())?;
        let ranked = ranked(&triage, &alerts);
        if self.json {
            let mut output = stdout();
            for alert in &ranked {
                writeln!(output, "{}", to_ocsf(alert))?;
            }
            return Ok(());
        }
        let verdicts: BTreeMap<&str, Verdict> =
            store.newest().into_iter().map(|line| (line.id.as_str(), line.verdict)).collect();
        print_line(table(&ranked, &verdicts))
    }
}

/// One alert per incident with its score, the most likely first.
fn ranked(triage: &triage::Triage, alerts: &[Alert]) -> Vec<Alert> {
    let mut ranked: Vec<Alert> =
        representatives(alerts).into_values().map(|alert| triage.apply(untriaged(alert))).collect();
    let score = |alert: &Alert| alert.triaged.map_or(1.0, |triaged| triaged.score);
    ranked.sort_by(|a, b| {
        let by_score = score(b).total_cmp(&score(a));
        by_score
            .then(b.untriaged_severity().cmp(&a.untriaged_severity()))
            .then_with(|| (a.time, &a.id).cmp(&(b.time, &b.id)))
    });
    ranked
}

/// The alert as it was before another model triaged it.
fn untriaged(alert: &Alert) -> Alert {
    Alert { severity: alert.untriaged_severity(), triaged: None, ..alert.clone() }
}

fn table(ranked: &[Alert], verdicts: &BTreeMap<&str, Verdict>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["probability", "severity", "alert", "detector", "message", "verdict"]);
    for alert in ranked {
        let triaged = alert.triaged;
        let severity = match triaged.and_then(|triaged| triaged.lowered_from) {
            Some(before) => format!("{} (was {})", alert.severity.as_str(), before.as_str()),
            None => alert.severity.as_str().to_owned(),
        };
        let verdict = match verdicts.get(alert.id.as_str()) {
            Some(Verdict::TruePositive) => "true positive",
            Some(Verdict::FalsePositive) => "false positive",
            Some(Verdict::BenignChange) => "benign change",
            None => "",
        };
        let score = triaged.map_or_else(String::new, |triaged| format!("{:.0} %", triaged.score * 100.0));
        let row = [&score, &severity, &alert.id, &alert.detector, &alert.message, verdict];
        table.add_row(row.map(printable));
    }
    table
}
