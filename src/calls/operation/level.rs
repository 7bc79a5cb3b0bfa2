//! Access levels: whether an operation lists, reads, writes, tags or changes permissions.
//!
//! Of AWS's actions the Service Authorization Reference says it. Of any other vendor's operation, and of actions that are
//! newer than the table, a multinomial logistic regression over the words of the name guesses it. It was fitted by linfa-logistic on
//! AWS's actions: of whole services left out, nine of ten levels and 98 of 100 writes against reads are right. The data, and the
//! crate that fits the weights, are in `datasets/operations`.
//!
//! Not here: which step of an attack an operation may be (`operation`).

use std::collections::HashMap;
use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use super::words::features_of;

/// What an operation may do to what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Lists or counts objects.
    List,
    /// Reads an object.
    Read,
    /// Makes, changes or deletes an object, or uses a service.
    Write,
    /// Labels an object.
    Tagging,
    /// Changes who may do what.
    Permissions,
}

impl Level {
    /// Whether it changes nothing.
    pub const fn is_read(self) -> bool {
        matches!(self, Self::List | Self::Read)
    }
}

/// Why an action is known to be sensitive: the lists of cloudsplaining, and AWS's own word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sensitivity {
    /// Reads data of the customer's out.
    pub reads_data: bool,
    /// Answers with credentials.
    pub returns_credentials: bool,
    /// A step of a known escalation of privileges.
    pub escalates: bool,
}

const LEVELS: [(&str, Level); 5] = [
    ("list", Level::List),
    ("read", Level::Read),
    ("write", Level::Write),
    ("tagging", Level::Tagging),
    ("permissions", Level::Permissions),
];
/// Weights are stored as hundredths.
const SCALE: f32 = 0.01;
/// Sources of events whose name is not the prefix of their actions.
const PREFIXES: [(&str, &str); 4] =
    [("monitoring", "cloudwatch"), ("email", "ses"), ("tagging", "tag"), ("signin", "signin")];

/// What AWS says of each of its actions, by `prefix:action` in lower case.
static ACTIONS: LazyLock<HashMap<String, (Level, Sensitivity)>> = LazyLock::new(|| {
    let levels = unpacked(include_bytes!("../../../datasets/operations/aws-access-levels.tsv.gz"));
    let mut actions: HashMap<String, (Level, Sensitivity)> = levels.lines().filter_map(action).collect();
    for line in include_str!("../../../datasets/operations/aws-sensitive-actions.tsv").lines().skip(1) {
        let Some((name, list)) = line.split_once('\t') else { continue };
        let unknown = || (Level::Write, Sensitivity::default());
        let (_, sensitivity) = actions.entry(name.to_ascii_lowercase()).or_insert_with(unknown);
        match list {
            "data_exfiltration" => sensitivity.reads_data = true,
            "returns_credentials" => sensitivity.returns_credentials = true,
            _ => sensitivity.escalates = true,
        }
    }
    actions
});

/// The classifier: the weights of each feature, by level; those of the empty feature are the intercept.
static WEIGHTS: LazyLock<HashMap<String, [f32; LEVELS.len()]>> = LazyLock::new(|| {
    let weights = unpacked(include_bytes!("../../../datasets/operations/word-weights.tsv.gz"));
    weights.lines().filter_map(weights_of).collect()
});

/// What AWS says of an action (`s3`, `GetObject`), if it knows it.
pub(super) fn of_action(service: &str, name: &str) -> Option<(Level, Sensitivity)> {
    let prefix = PREFIXES.iter().find(|(source, _)| *source == service).map_or(service, |(_, prefix)| prefix);
    ACTIONS.get(&format!("{prefix}:{name}").to_ascii_lowercase()).copied()
}

/// The likeliest level of an operation by the words of its name.
pub(super) fn of_words(words: &[String]) -> Level {
    let mut known: Vec<String> = words.iter().map(|word| known_form(word)).collect();
    bring_verb_to_front(&mut known);
    let features = features_of(&known);
    let rows = std::iter::once("").chain(features.iter().map(String::as_str)).filter_map(|name| WEIGHTS.get(name));
    let scores = rows.fold([0.0; LEVELS.len()], |mut sums, row| {
        sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
        sums
    });
    let best = LEVELS.iter().zip(scores).max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map_or(Level::Write, |(&(_, level), _)| level)
}

/// The form of a word that the classifier knows: as it stands, else its stem.
fn known_form(word: &str) -> String {
    // Other vendors' words for what AWS calls `get`.
    let word = if ["head", "read", "fetch"].contains(&word) { "get" } else { word };
    super::stems(word).find(|stem| WEIGHTS.contains_key(stem)).unwrap_or_else(|| word.to_owned())
}

/// AWS begins a name with its verb; others end with it, or put it between (`org.add_member`). The first word, else the last, else one
/// between, that the classifier knows as a beginning comes first.
fn bring_verb_to_front(words: &mut [String]) {
    let last = words.len().saturating_sub(1);
    let begins = |at: &usize| words.get(*at).is_some_and(|word| WEIGHTS.contains_key(&format!("^{word}")));
    if let Some(verb) = [0, last].into_iter().chain(1..last).find(begins) {
        words[..=verb].rotate_right(1);
    }
}

/// The text of a file that is compiled into the program. A test reads all of them.
fn unpacked(file: &[u8]) -> String {
    let mut text = String::new();
    match GzDecoder::new(file).read_to_string(&mut text) {
        Ok(_) => text,
        Err(_) => String::new(),
    }
}

fn action(line: &str) -> Option<(String, (Level, Sensitivity))> {
    let mut fields = line.split('\t');
    let (service, name, level) = (fields.next()?, fields.next()?, fields.next()?);
    let (_, level) = LEVELS.iter().find(|(known, _)| *known == level)?;
    Some((format!("{service}:{name}").to_ascii_lowercase(), (*level, Sensitivity::default())))
}

fn weights_of(line: &str) -> Option<(String, [f32; LEVELS.len()])> {
    let (feature, numbers) = line.split_once('\t')?;
    let mut weights = numbers.split('\t').map(str::parse::<f32>);
    let mut row = [0.0; LEVELS.len()];
    for weight in &mut row {
        *weight = weights.next()?.ok()? * SCALE;
    }
    Some((feature.to_owned(), row))
}

#[cfg(test)]
mod tests {
    use super::super::words::words_of;
    use super::*;

    #[test]
    fn all_that_is_compiled_in_can_be_read() {
        assert!(ACTIONS.len() > 20_000 && WEIGHTS.len() > 2_000);
        let credentials = ACTIONS.values().filter(|(_, sensitivity)| sensitivity.returns_credentials);
        assert!(credentials.count() > 40);
        assert_eq!(of_action("s3", "GetObject").map(|(level, _)| level), Some(Level::Read));
        assert_eq!(of_action("monitoring", "PutMetricData").map(|(level, _)| level), Some(Level::Write));
        assert_eq!(of_action("s3", "Frobnicate"), None);
    }

    #[test]
    fn the_classifier_gives_the_actions_that_it_was_fitted_on_their_level() {
        let actions: Vec<_> = unpacked(include_bytes!("../../../datasets/operations/aws-access-levels.tsv.gz"))
            .lines()
            .filter_map(|line| Some((line.split('\t').nth(1)?.to_owned(), action(line)?.1.0)))
            .map(|(name, level)| (of_words(&words_of(&name)), level))
            .collect();
        let share = |is_right: fn(&(Level, Level)) -> bool| {
            actions.iter().filter(|pair| is_right(pair)).count() as f64 / actions.len() as f64
        };
        assert!(share(|(guess, level)| guess == level) > 0.9);
        assert!(share(|(guess, level)| guess.is_read() == level.is_read()) > 0.98);
    }

    #[test]
    fn operations_of_other_vendors_are_told_by_their_words() {
        for (operation, is_read) in [
            ("repo.create", false),
            ("org.add_member", false),
            ("storage.objects.list", true),
            ("FileDownloaded", true),
            ("user.lifecycle.deactivate", false),
            ("Update application", false),
        ] {
            assert_eq!(of_words(&words_of(operation)).is_read(), is_read, "{operation}");
        }
    }
}
