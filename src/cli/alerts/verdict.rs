//! `apiwarden alerts verdict`: records an analyst's verdict on an alert.

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::files::Files;
use crate::alerts::triage::{self, Judged, Line, Said, Verdicts, representatives};

/// Records your verdict on an alert. The newest verdict on an alert counts.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden alerts verdict aw-272450a70c45d8c1 false-positive --note 'nightly backup' \\
                           --alerts alerts.ndjson --verdicts verdicts.ndjson")]
pub(super) struct Verdict {
    /// Id of the incident (`finding_info.uid`).
    id: String,
    /// What the alert was.
    verdict: Choice,
    #[command(flatten)]
    files: Files,
    /// The reason. A note that looks like a secret is not kept.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Name of the analyst.
    #[arg(long, value_name = "NAME", env = "USER")]
    analyst: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    /// What the alert claims happened, and somebody must act.
    TruePositive,
    /// Nothing of the kind happened.
    FalsePositive,
    /// It happened, and was intended.
    BenignChange,
}

impl From<Choice> for triage::Verdict {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::TruePositive => Self::TruePositive,
            Choice::FalsePositive => Self::FalsePositive,
            Choice::BenignChange => Self::BenignChange,
        }
    }
}

impl Verdict {
    pub fn run(self) -> anyhow::Result<()> {
        let alerts = self.files.alerts()?;
        let by_id = representatives(&alerts);
        let alert = by_id.get(self.id.as_str()).context("no alert has this id; it is in finding_info.uid")?;
        let said = Said { id: self.id, verdict: self.verdict.into(), analyst: self.analyst, note: self.note };
        let line = Line::new(said, Judged::of(alert), Timestamp::now().as_microsecond());
        let is_new = Verdicts::open(&self.files.verdicts)?.add(line)?;
        eprintln!("{}", if is_new { "Recorded." } else { "Already recorded." });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn alert(id: &str) -> String {
        serde_json::json!({
            "class_uid": 2004, "activity_id": 1, "severity_id": 4, "time": 1_788_224_400_000_i64,
            "finding_info": { "uid": id, "analytic": { "name": "burst" } }, "metadata": { "uid": format!("{id}-1") },
        })
        .to_string()
    }

    fn judge(directory: &Path, id: &str, verdict: Choice) -> anyhow::Result<()> {
        let files =
            Files { alerts: vec![directory.join("alerts.ndjson")], verdicts: directory.join("verdicts.ndjson") };
        Verdict { id: id.to_owned(), verdict, files, note: None, analyst: Some("ada".to_owned()) }.run()
    }

    #[test]
    fn a_verdict_is_kept_with_its_alert_and_one_on_nothing_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("alerts.ndjson"), [alert("aw-1"), alert("aw-2")].join("\n")).unwrap();
        judge(directory.path(), "aw-1", Choice::TruePositive).unwrap();
        judge(directory.path(), "aw-1", Choice::BenignChange).unwrap();
        let refused = judge(directory.path(), "aw-3", Choice::TruePositive).unwrap_err().to_string();
        assert!(refused.contains("finding_info.uid"), "{refused}");
        let verdicts = Verdicts::open(&directory.path().join("verdicts.ndjson")).unwrap();
        let kept: Vec<_> = verdicts.newest().iter().map(|line| (line.id.clone(), line.verdict)).collect();
        assert_eq!(kept, [("aw-1".to_owned(), triage::Verdict::BenignChange)]);
        assert_eq!(verdicts.newest()[0].alert.raised.detector, "burst");
    }
}
