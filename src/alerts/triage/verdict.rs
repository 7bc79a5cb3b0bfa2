//! Analysts' verdicts on alerts, and the file that they are kept in.
//!
//! The file is append-only NDJSON: one verdict per line, with the alert's features at that time, so that learning needs nothing else. The newest
//! verdict on an alert counts; a repeated one changes nothing.
//!
//! A note may hold a secret: one that looks like it is not kept.
//!
//! Not here: where verdicts come from (`cli`, `stream`), what is learned from them (`train::triage`).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::features::{Features, features};
use super::past::Raised;
use crate::alerts::{Activity, Alert};
use crate::calls::looks_secret;

/// Replaces a text that looks like a secret.
const WITHHELD: &str = "(withheld: it looked like a secret)";
/// Most characters of a note that are kept, and of an analyst's name.
const MAX_TEXT_BYTES: usize = 500;

/// An analyst's verdict on an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Correct, and somebody must act.
    TruePositive,
    /// Nothing of the kind happened.
    FalsePositive,
    /// It happened and was intended: a deploy, a rotation, a campaign.
    BenignChange,
}

impl Verdict {
    /// Whether the alert was worth a page. An intended change is dismissed as well.
    pub const fn is_true(self) -> bool {
        matches!(self, Self::TruePositive)
    }
}

/// A verdict as given, by hand or in a message. Further fields of a message are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// The alert's id (`aw-` and 16 hex digits).
    pub id: String,
    /// What is said of it.
    pub verdict: Verdict,
    /// Who says so.
    #[serde(default)]
    pub analyst: Option<String>,
    /// Why.
    #[serde(default)]
    pub note: Option<String>,
}

/// What is kept of an alert for learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// When the alert was raised, microseconds since the epoch.
    pub alert_time: i64,
    /// Whom it was about, and who raised it.
    #[serde(flatten)]
    pub raised: Raised,
    /// Its features.
    pub features: Features,
}

impl Judged {
    /// What is kept of an alert.
    pub fn of(alert: &Alert) -> Self {
        Self { alert_time: alert.time, raised: Raised::by(alert), features: features(alert) }
    }
}

/// The alert that represents each incident before an analyst: its first update at maximum severity. A close never has more than what it closes.
pub fn representatives(alerts: &[Alert]) -> BTreeMap<&str, &Alert> {
    let mut loudest: BTreeMap<&str, &Alert> = BTreeMap::new();
    for alert in alerts {
        let known = loudest.entry(&alert.id).or_insert(alert);
        let is_step = alert.activity != Activity::Close;
        let is_more_severe = alert.untriaged_severity() > known.untriaged_severity();
        if is_step && (is_more_severe || known.activity == Activity::Close) {
            *known = alert;
        }
    }
    loudest
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The alert's id.
    pub id: String,
    /// What was said.
    pub verdict: Verdict,
    /// When it was said, microseconds since the epoch.
    pub time: i64,
    /// Who said so.
    pub analyst: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The alert at that time.
    pub alert: Judged,
}

impl Line {
    /// What was said of an alert, and when (microseconds since the epoch).
    pub fn new(said: Said, alert: Judged, time: i64) -> Self {
        let analyst = said.analyst.map_or_else(|| "unknown".to_owned(), kept);
        Self { id: said.id, verdict: said.verdict, time, analyst, note: said.note.map(kept), alert }
    }

    fn says_the_same(&self, other: &Self) -> bool {
        (self.verdict, &self.analyst, &self.note) == (other.verdict, &other.analyst, &other.note)
    }
}

/// A text of a person, short, and without what looks like a secret.
fn kept(text: String) -> String {
    if looks_secret(&text) { WITHHELD.to_owned() } else { text.chars().take(MAX_TEXT_BYTES).collect() }
}

/// Why the file of verdicts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VerdictsError {
    /// It cannot be read or written.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        problem: io::Error,
    },
    /// A line is no verdict.
    #[error("{}:{line}: not a verdict: column {column}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Where in it, from 1.
        column: usize,
    },
}

/// The file of verdicts, open for more.
#[derive(Debug)]
pub struct Verdicts {
    path: PathBuf,
    file: File,
    newest: BTreeMap<String, Line>,
}

impl Verdicts {
    /// Opens the file, making it where it is not there. A last line without an end is cut off: a crash left it, and nobody was
    /// told that it was kept.
    ///
    /// # Errors
    /// [`VerdictsError`].
    pub fn open(path: &Path) -> Result<Self, VerdictsError> {
        let failed = |problem| VerdictsError::File { path: path.to_owned(), problem };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut newest = BTreeMap::new();
        for line in lines(path, text.get(..whole).unwrap_or_default())? {
            keep(&mut newest, line);
        }
        file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, newest })
    }

    /// Adds a verdict, durably; false where the newest of its alert says the same already.
    ///
    /// # Errors
    /// [`VerdictsError::File`].
    pub fn add(&mut self, line: Line) -> Result<bool, VerdictsError> {
        if self.newest.get(&line.id).is_some_and(|known| known.says_the_same(&line)) {
            return Ok(false);
        }
        let written = serde_json::to_string(&line).map_err(io::Error::from).and_then(|text| {
            self.file.write_all(format!("{text}\n").as_bytes())?;
            self.file.sync_data()
        });
        written.map_err(|problem| VerdictsError::File { path: self.path.clone(), problem })?;
        keep(&mut self.newest, line);
        Ok(true)
    }

    /// The newest verdict on each alert, by time.
    pub fn newest(&self) -> Vec<&Line> {
        let mut lines: Vec<&Line> = self.newest.values().collect();
        lines.sort_by_key(|line| (line.time, line.alert.alert_time, &line.id));
        lines
    }
}

fn keep(newest: &mut BTreeMap<String, Line>, line: Line) {
    if newest.get(&line.id).is_none_or(|known| known.time <= line.time) {
        newest.insert(line.id.clone(), line);
    }
}

fn lines(path: &Path, text: &str) -> Result<Vec<Line>, VerdictsError> {
    let written = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    written
        .map(|(line, text)| {
            serde_json::from_str(text).map_err(|error| VerdictsError::Line {
                path: path.to_owned(),
                line,
                column: error.column(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::Severity;
    use crate::alerts::sample;

    fn line(verdict: Verdict, time: i64, note: &str) -> Line {
        let said = Said { id: "aw-7f3c".to_owned(), verdict, analyst: None, note: Some(note.to_owned()) };
        Line::new(said, Judged::of(&sample()), time)
    }

    fn store() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("verdicts.ndjson");
        (directory, path)
    }

    #[test]
    fn the_newest_verdict_of_an_alert_counts_and_saying_it_again_changes_nothing() {
        let (_directory, path) = store();
        let mut verdicts = Verdicts::open(&path).unwrap();
        assert!(verdicts.add(line(Verdict::TruePositive, 1, "a thief")).unwrap());
        assert!(verdicts.add(line(Verdict::FalsePositive, 2, "a backup")).unwrap());
        assert!(!verdicts.add(line(Verdict::FalsePositive, 3, "a backup")).unwrap());
        drop(verdicts);
        let verdicts = Verdicts::open(&path).unwrap();
        assert_eq!(verdicts.newest(), [&line(Verdict::FalsePositive, 2, "a backup")]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn half_a_line_that_a_crash_left_is_cut_off_and_a_broken_one_is_named() {
        let (_directory, path) = store();
        Verdicts::open(&path).unwrap().add(line(Verdict::TruePositive, 1, "a thief")).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"id\":\"aw-")).unwrap();
        assert!(Verdicts::open(&path).unwrap().add(line(Verdict::FalsePositive, 2, "a backup")).unwrap());
        assert_eq!(Verdicts::open(&path).unwrap().newest().len(), 1);
        std::fs::write(&path, format!("{whole}{{\"id\":\"hunter2\"}}\n")).unwrap();
        let error = Verdicts::open(&path).unwrap_err().to_string();
        assert!(error.contains("verdicts.ndjson:2: not a verdict") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_note_that_holds_a_key_is_not_kept() {
        let key = format!("see sk_live_{}", "4eC39HqLyjWDarjtT1zdp7dc");
        assert_eq!(line(Verdict::FalsePositive, 1, &key).note.as_deref(), Some(WITHHELD));
    }

    #[test]
    fn an_incident_is_represented_by_its_first_update_at_maximum_severity() {
        let step = |revision, severity, activity| Alert { revision, severity, activity, ..sample() };
        let steps = [
            step(1, Severity::Medium, Activity::Create),
            step(2, Severity::High, Activity::Update),
            step(3, Severity::High, Activity::Update),
            step(4, Severity::High, Activity::Close),
        ];
        assert_eq!(representatives(&steps)["aw-7f3c"].revision, 2);
        assert_eq!(representatives(&steps[3..])["aw-7f3c"].revision, 4);
    }
}
