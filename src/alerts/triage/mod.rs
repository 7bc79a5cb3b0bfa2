//! Triage: analysts' past verdicts, applied to new alerts.
//!
//! A random forest fitted on verdicts estimates the probability that an analyst would confirm an alert. The score is part of every alert, and may
//! lower its severity by one step, never more, and only where all of this holds:
//!
//! * the forest outperformed severity on held-out verdicts (`train::triage` decides, the model file records it);
//! * the score is below the level that almost all held-out true alerts reach;
//! * analysts dismissed this kind of alert: the same detector, no cause that they have not dismissed, and no rarer by chance than the
//!   rarest that they dismissed;
//! * it is not Critical, and not an exfiltration page that would cease to page.
//!
//! Nothing is dropped: an alert is at least Informational. So a theft by a pair whose alerts were always dismissed still pages, even where it
//! resembles what was dismissed.
//!
//! Not here: learning (`train::triage`), and anything that the engine could see: triage comes after it.

mod features;
mod past;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::{Alert, Severity};
use crate::detect::Category;
use crate::models::aside::Aside;
use crate::models::triage::{Forest, ForestError};

pub use features::{CAUSE, Features, RARITY, SEVERITY, features};
pub use past::{Answers, Past, Raised};
pub use verdict::{Judged, Line, Said, Verdict, Verdicts, VerdictsError, representatives};

/// Version of the file's format.
const FORMAT: u32 = 1;
/// Slack in comparing rarities: they are logarithms that went through text.
const ROUNDING: f64 = 1e-9;

/// The result of triage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Triaged {
    /// Probability that an analyst would confirm the alert, 0 to 1.
    pub score: f64,
    /// The severity before, where it was lowered.
    pub lowered_from: Option<Severity>,
}

/// What was dismissed of a detector's alerts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dismissed {
    /// The rarest of them: `-log10` of alarms a day.
    pub rarity: f64,
    /// Every cause that they had.
    pub causes: BTreeSet<String>,
}

/// All that was learned from verdicts, as stored on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Version of the format.
    pub format: u32,
    /// Seed of the forest.
    pub seed: u64,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// A row an alert, in the order of the columns.
    pub rows: Vec<Vec<f64>>,
    /// Whether it was confirmed.
    pub answers: Vec<bool>,
    /// What was said of whom.
    pub past: Past,
    /// What was dismissed, by detector.
    pub dismissed: BTreeMap<String, Dismissed>,
    /// Score below which an alert may be lowered; `None` until the forest outperforms severity on held-out verdicts.
    pub level: Option<f64>,
}

impl Learned {
    /// Gathers what verdicts teach, in the order in which they were given; each row recalls only what was said before it.
    pub fn gather(verdicts: &[&Line], seed: u64) -> Self {
        let mut past = Past::default();
        let mut dismissed: BTreeMap<String, Dismissed> = BTreeMap::new();
        let mut described = Vec::with_capacity(verdicts.len());
        for Line { verdict, alert, .. } in verdicts {
            described.push(past.recalled(&alert.raised, alert.features.clone()));
            past.add(&alert.raised, verdict.is_true());
            if !verdict.is_true() {
                let rarity = alert.features.get(RARITY).copied().unwrap_or_default();
                let known = dismissed
                    .entry(alert.raised.detector.clone())
                    .or_insert_with(|| Dismissed { rarity, causes: BTreeSet::new() });
                known.rarity = known.rarity.max(rarity);
                known.causes.extend(causes(&alert.features).map(str::to_owned));
            }
        }
        let columns: BTreeSet<&String> = described.iter().flat_map(BTreeMap::keys).collect();
        let columns: Vec<String> = columns.into_iter().cloned().collect();
        let rows = described.iter().map(|features| row(&columns, features)).collect();
        let answers = verdicts.iter().map(|line| line.verdict.is_true()).collect();
        Self { format: FORMAT, seed, columns, rows, answers, past, dismissed, level: None }
    }
}

fn row(columns: &[String], features: &Features) -> Vec<f64> {
    columns.iter().map(|column| features.get(column).copied().unwrap_or_default()).collect()
}

fn causes(features: &Features) -> impl Iterator<Item = &str> {
    features.keys().filter_map(|name| name.strip_prefix(CAUSE))
}

/// Why what was learned cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TriageError {
    /// The file cannot be read or written.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        problem: io::Error,
    },
    /// The file is not what `alerts learn` writes.
    #[error("{}: not a triage model: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: serde_json::Error,
    },
    /// The file is of another version.
    #[error("{}: format {found}, this version reads {FORMAT}: learn again from the verdicts", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The version that it has.
        found: u32,
    },
    /// All verdicts are of one kind.
    #[error(
        "{confirmed} of the verdicts are true positives, {dismissed} are false positives or benign changes: record at least one of each kind"
    )]
    OneKind {
        /// True positives.
        confirmed: usize,
        /// All others.
        dismissed: usize,
    },
    /// There is no forest in the rows.
    #[error(transparent)]
    Forest(#[from] ForestError),
}

/// What was learned, ready to be applied.
#[derive(Debug)]
pub struct Triage {
    learned: Learned,
    forest: Forest,
}

impl Triage {
    /// Grows the forest.
    ///
    /// # Errors
    /// [`TriageError::Forest`], where the rows are not of both kinds.
    pub fn grow(learned: Learned) -> Result<Self, TriageError> {
        let forest = Forest::fit(&learned.rows, &learned.answers, learned.seed)?;
        Ok(Self { learned, forest })
    }

    /// Reads what `alerts learn` wrote.
    ///
    /// # Errors
    /// [`TriageError`].
    pub fn load(path: &Path) -> Result<Self, TriageError> {
        let text = fs::read_to_string(path).map_err(|problem| TriageError::File { path: path.to_owned(), problem })?;
        let learned: Learned =
            serde_json::from_str(&text).map_err(|problem| TriageError::Content { path: path.to_owned(), problem })?;
        if learned.format != FORMAT {
            return Err(TriageError::Format { path: path.to_owned(), found: learned.format });
        }
        Self::grow(learned)
    }

    /// Writes what was learned, as a whole or not at all.
    ///
    /// # Errors
    /// [`TriageError::File`].
    pub fn save(&self, path: &Path) -> Result<(), TriageError> {
        let text = serde_json::to_string(&self.learned).map_err(io::Error::from);
        text.and_then(|text| Aside::write(path, (text + "\n").as_bytes()))
            .map_err(|problem| TriageError::File { path: path.to_owned(), problem })
    }

    /// Lets alerts that score below `level` be lowered.
    #[must_use]
    pub fn lowering_below(mut self, level: Option<f64>) -> Self {
        self.learned.level = level;
        self
    }

    /// Probability that an analyst would confirm an alert, 0 to 1.
    pub fn score(&self, alert: &Judged) -> f64 {
        let features = self.learned.past.recalled(&alert.raised, alert.features.clone());
        // Only a row of another width has no score, and `row` makes it as wide as the columns.
        self.forest.probability(&row(&self.learned.columns, &features)).unwrap_or(1.0)
    }

    /// The alert with its score, one severity lower where analysts dismiss its kind.
    #[must_use]
    pub fn apply(&self, alert: Alert) -> Alert {
        let judged = Judged::of(&alert);
        let score = self.score(&judged);
        let lower = self.lowers(&judged, score).then(|| lowered(alert.severity, alert.category)).flatten();
        let triaged = Triaged { score, lowered_from: lower.map(|_| alert.severity) };
        Alert { severity: lower.unwrap_or(alert.severity), triaged: Some(triaged), ..alert }
    }

    fn lowers(&self, alert: &Judged, score: f64) -> bool {
        self.learned.level.is_some_and(|level| score < level) && self.is_familiar(alert)
    }

    /// Whether analysts have dismissed this kind: the detector's, no rarer, and of no other cause.
    pub fn is_familiar(&self, alert: &Judged) -> bool {
        self.learned.dismissed.get(&alert.raised.detector).is_some_and(|dismissed| {
            let rarity = alert.features.get(RARITY).copied().unwrap_or_default();
            rarity <= dismissed.rarity + ROUNDING
                && causes(&alert.features).all(|cause| dismissed.causes.contains(cause))
        })
    }
}

/// The next lower severity; `None` where lowering is not allowed, and at the lowest.
const fn lowered(severity: Severity, category: Category) -> Option<Severity> {
    match (severity, category) {
        (Severity::Critical | Severity::Informational, _) | (Severity::Medium, Category::Exfiltration) => None,
        (Severity::High, _) => Some(Severity::Medium),
        (Severity::Medium, _) => Some(Severity::Low),
        (Severity::Low, _) => Some(Severity::Informational),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::sample;

    /// The same pair's bulk uploads, once in 40 days by chance, dismissed sixty times; other callers' confirmed twenty times.
    fn noisy_pair() -> Triage {
        let verdict = |number: i64, alert: Alert, verdict| {
            let said = Said { id: format!("aw-{number}"), verdict, analyst: None, note: None };
            Line::new(said, Judged::of(&alert), number)
        };
        let lines: Vec<Line> = (0..80)
            .map(|number| match number % 4 {
                3 => {
                    let caller = Some(format!("thief-{number}"));
                    let alert = Alert { caller, alarms_per_day: 1e-6, ..sample() };
                    verdict(number, alert, Verdict::TruePositive)
                }
                _ => verdict(number, sample(), Verdict::FalsePositive),
            })
            .collect();
        let lines: Vec<&Line> = lines.iter().collect();
        Triage::grow(Learned::gather(&lines, 1)).unwrap().lowering_below(Some(0.3))
    }

    #[test]
    fn what_analysts_dismiss_is_one_step_lower_and_still_there() {
        for (before, after) in [
            (Severity::Critical, Severity::Critical),
            (Severity::High, Severity::Medium),
            (Severity::Medium, Severity::Low),
            (Severity::Low, Severity::Informational),
            (Severity::Informational, Severity::Informational),
        ] {
            let category = Category::Abuse;
            let alert = noisy_pair().apply(Alert { severity: before, category, ..sample() });
            assert_eq!(alert.severity, after);
            let triaged = alert.triaged.unwrap();
            assert!(triaged.score < 0.1, "{triaged:?}");
            assert_eq!(triaged.lowered_from, (before != after).then_some(before));
        }
    }

    #[test]
    fn a_loud_theft_by_a_pair_that_was_always_dismissed_still_pages_at_full_severity() {
        let loud = noisy_pair().apply(Alert { alarms_per_day: 1e-5, severity: Severity::High, ..sample() });
        assert_eq!(loud.severity, Severity::High);
        let mut elsewhere = sample();
        elsewhere.contributions[0].name = "network_public_new".to_owned();
        assert_eq!(noisy_pair().apply(elsewhere).severity, Severity::High, "a cause that nobody dismissed");
        let other = Alert { detector: "new_destination".to_owned(), ..sample() };
        assert_eq!(noisy_pair().apply(other).severity, Severity::High, "a detector that nobody dismissed");
    }

    #[test]
    fn a_page_about_data_that_leaves_stays_a_page_even_where_it_looks_like_what_was_dismissed() {
        for (before, after) in [(Severity::High, Severity::Medium), (Severity::Medium, Severity::Medium)] {
            assert_eq!(noisy_pair().apply(Alert { severity: before, ..sample() }).severity, after);
        }
    }

    #[test]
    fn a_forest_without_a_level_lowers_nothing() {
        let alert = noisy_pair().lowering_below(None).apply(sample());
        assert_eq!(alert.severity, Severity::High);
        assert_eq!(alert.triaged.unwrap().lowered_from, None);
    }

    #[test]
    fn what_was_learned_says_the_same_after_a_trip_through_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("triage.json");
        let triage = noisy_pair();
        triage.save(&path).unwrap();
        let loaded = Triage::load(&path).unwrap();
        assert_eq!(loaded.apply(sample()), triage.apply(sample()));
        std::fs::write(&path, "{\"format\":1}").unwrap();
        assert!(matches!(Triage::load(&path), Err(TriageError::Content { .. })));
    }
}
