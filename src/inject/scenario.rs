//! The scenario as written: what happens to whom, in a TOML file of its own.
//!
//! There are three strengths: *easy* is obvious, *medium* is what a competent analyst would want found, *hard* is at the limit of detection. A
//! value is the same for all of them or a table of three.
//!
//! Not here: whom it happens to and when (`schedule`), and how records come of it (`plant`).

use std::fs;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use thiserror::Error;

use crate::calls::View;

static SHIPPED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/datasets/scenarios");

/// How far a scenario deviates from what is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strength {
    /// Nobody should miss it.
    Easy,
    /// A competent analyst would want it found.
    Medium,
    /// At the limit of what is distinguishable from chance.
    Hard,
}

impl Strength {
    /// All strengths.
    pub const ALL: [Self; 3] = [Self::Easy, Self::Medium, Self::Hard];

    /// The name in labels and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
        }
    }
}

/// A value for each strength.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ByStrength {
    Same(f64),
    Each(Each),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Each {
    easy: f64,
    medium: f64,
    hard: f64,
}

impl ByStrength {
    pub const fn of(self, strength: Strength) -> f64 {
        match (self, strength) {
            (Self::Same(value), _) => value,
            (Self::Each(each), Strength::Easy) => each.easy,
            (Self::Each(each), Strength::Medium) => each.medium,
            (Self::Each(each), Strength::Hard) => each.hard,
        }
    }
}

/// What happens: an attack, a fault, or something harmless that looks odd.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name on the command line, as its file's.
    pub name: String,
    /// What happens, for people, in a few words.
    pub kind: String,
    /// Kind of trouble.
    pub category: Kind,
    /// False for what is harmless.
    pub malicious: bool,
    /// Which view of the relation it is planted in.
    pub view: View,
    /// Why it is here: what it imitates, and what finds it.
    pub says: String,
    /// Whom a true alert names; what is not listed matches any.
    pub(super) names: Vec<Name>,
    /// How long it lasts.
    pub(super) minutes: ByStrength,
    /// What it changes stays changed up to the end of the log; the label covers its minutes.
    #[serde(default)]
    pub(super) lasting: bool,
    #[serde(default)]
    pub(super) victim: Requirements,
    #[serde(default)]
    pub(super) add: Vec<Add>,
    #[serde(default)]
    pub(super) alter: Vec<Alter>,
    #[serde(default)]
    pub(super) drop: Vec<Drop>,
    #[serde(default)]
    pub(super) repeat: Vec<Repeat>,
    #[serde(default)]
    pub(super) multiply: Vec<Multiply>,
}

/// A label's category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Data leaves.
    Exfiltration,
    /// An API or a credential is misused.
    Abuse,
    /// A vendor or a service behaves differently.
    Drift,
    /// A governance rule is violated.
    Governance,
    /// Unusual, and harmless.
    Benign,
}

impl Kind {
    /// The name in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exfiltration => "exfiltration",
            Self::Abuse => "abuse",
            Self::Drift => "drift",
            Self::Governance => "governance",
            Self::Benign => "benign",
        }
    }
}

/// An entity that a label may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Name {
    Caller,
    Host,
    Credential,
}

/// Whose calls a scenario is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scope {
    /// One caller at one vendor's host.
    #[default]
    Pair,
    /// One caller, wherever it calls.
    Caller,
    /// All callers of one host.
    Host,
}

/// When a scenario may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum When {
    #[default]
    Any,
    /// Within hours of the day at which the caller has never worked.
    Unworked,
    /// At hours with about the mean number of calls or more.
    Busy,
}

/// What a victim must have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Requirements {
    pub scope: Scope,
    pub when: When,
    /// Least mean calls an hour, over the time that counts.
    pub per_hour: Option<ByStrength>,
    /// Least calls that its actions mean, within the scenario's own time.
    pub calls: Option<ByStrength>,
    /// Its host belongs to one of these domains.
    pub vendors: Vec<String>,
    /// It writes: POST, PUT, PATCH, DELETE; in audit logs a changing operation.
    pub writes: bool,
    /// It only reads.
    pub reads_only: bool,
    pub credential: bool,
    pub tokens: bool,
    pub latency: bool,
    /// Paths with an identifier in them.
    pub identifiers: bool,
    pub scheme: Option<String>,
    /// Least callers at the host.
    pub callers: usize,
    /// Least hosts that the caller calls.
    pub hosts: usize,
}

/// Which calls are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Selection {
    #[default]
    Any,
    Read,
    Write,
    /// Those of the endpoint that is called most.
    Busiest,
    /// Those whose path has an identifier.
    Identified,
    Failed,
}

/// How calls follow one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Spacing {
    #[default]
    Poisson,
    Regular,
    /// Seconds apart.
    Burst,
}

/// New calls, made from calls of the victim's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Add {
    #[serde(default)]
    pub from: Selection,
    /// How many in all,
    pub calls: Option<ByStrength>,
    /// or an hour,
    pub per_hour: Option<ByStrength>,
    /// or in multiples of the victim's own mean hour.
    pub times_usual: Option<ByStrength>,
    #[serde(default)]
    pub spacing: Spacing,
    /// Jitter of regular calls, as a share of the interval.
    #[serde(default)]
    pub jitter: f64,
    /// Parts of the scenario's time between which they lie.
    #[serde(default)]
    pub begins: f64,
    #[serde(default = "whole")]
    pub ends: f64,
    /// `METHOD /path` or `service:Operation`, in turn; none: as the call that they are made from.
    #[serde(default)]
    pub steps: Vec<String>,
    pub bytes_out: Option<Volume>,
    pub bytes_in: Option<Volume>,
    /// Planted over so many first days of the log, before anything counts: what must have been known once.
    pub history_days: Option<f64>,
    #[serde(default)]
    pub with: Changes,
}

const fn whole() -> f64 {
    1.0
}

/// A volume over all added calls: so many megabytes, and at least so many times what is usual in that time.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Volume {
    pub megabytes: ByStrength,
    pub times_usual: Option<ByStrength>,
}

/// Calls that are there, changed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alter {
    #[serde(default)]
    pub calls: Selection,
    pub share: Option<ByStrength>,
    #[serde(default)]
    pub with: Changes,
}

/// Calls that are there, taken away.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drop {
    #[serde(default)]
    pub calls: Selection,
    pub share: Option<ByStrength>,
}

/// Each failed call so many times again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Repeat {
    pub times: ByStrength,
    /// Between two tries.
    pub seconds: f64,
}

/// Calls that are there, and more like them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Multiply {
    #[serde(default)]
    pub calls: Selection,
    /// All together, in multiples of what is there.
    pub times: ByStrength,
    /// Copies follow within so many seconds.
    #[serde(default = "one_minute")]
    pub seconds: f64,
    /// Of the copies alone.
    #[serde(default)]
    pub with: Changes,
}

const fn one_minute() -> f64 {
    60.0
}

/// What is changed of a call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Changes {
    /// One of these hosts, the same for all calls.
    pub hosts: Vec<String>,
    pub scheme: Option<String>,
    /// A path pattern, see the README of `datasets/scenarios`.
    pub path: Option<String>,
    pub failing: Option<Failing>,
    pub bytes_out: Option<Amount>,
    pub bytes_in: Option<Amount>,
    pub latency: Option<Amount>,
    pub tokens: Option<Amount>,
    pub tls: Option<String>,
    pub client: Option<Client>,
    pub network: Option<Network>,
    pub credential: Option<Credential>,
    pub caller: Option<Caller>,
    pub region: Option<String>,
    /// Parameters of an audit operation.
    pub parameters: Option<toml::Table>,
}

/// A share of calls that fail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failing {
    pub share: ByStrength,
    pub status: u16,
    /// The error code in audit logs.
    pub error: Option<String>,
}

/// A number, scaled or set.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Amount {
    pub times: Option<ByStrength>,
    pub to: Option<ByStrength>,
}

/// Which client calls.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(super) enum Client {
    /// One that the victim does not use.
    Foreign,
    /// The next version of its own.
    Next,
    Literal(String),
}

impl From<String> for Client {
    fn from(text: String) -> Self {
        match text.as_str() {
            "foreign" => Self::Foreign,
            "next" => Self::Next,
            _ => Self::Literal(text),
        }
    }
}

/// Where calls come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Network {
    /// A public network that the log does not know.
    Foreign,
    /// Many of them, another for each call.
    Many,
    /// Other addresses of the victim's own networks: new pods.
    Pods,
}

/// With which credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Credential {
    /// One that was never seen, the same for all calls.
    Fresh,
    /// Another for each call.
    Each,
    None,
    /// Another caller's.
    Other,
}

/// By whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Caller {
    /// Another caller of the log, with its networks and clients.
    Other,
    /// Each of the other principals in turn.
    Each,
    /// One that was never seen.
    New,
}

/// Why scenarios could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// A file or directory could not be read.
    #[error("{}: cannot be read", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no scenario.
    #[error("{file}: {problem}")]
    Malformed {
        /// The file.
        file: String,
        /// Position and fault, as the TOML parser reports them.
        problem: String,
    },
    /// A scenario of that name is not known.
    #[error("no scenario is called {name}; {suggestion}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The one that was perhaps meant, or all.
        suggestion: String,
    },
}

/// All scenarios: those that are shipped, and those of a directory, which stand before shipped ones of the same name; sorted by name.
///
/// # Errors
/// A file cannot be read or is no scenario.
pub fn scenarios(directory: Option<&Path>) -> Result<Vec<Scenario>, ScenarioError> {
    let mut all = Vec::new();
    let files = SHIPPED.files().filter(|file| is_toml(file.path()));
    for file in files {
        all.push(parse(&file.path().display().to_string(), file.contents_utf8().unwrap_or_default())?);
    }
    if let Some(directory) = directory {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            |source| ScenarioError::Unreadable { path, source }
        };
        let entries = fs::read_dir(directory).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        for path in entries.map_err(unreadable(directory))?.iter().map(fs::DirEntry::path).filter(|path| is_toml(path))
        {
            let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
            let scenario = parse(&path.display().to_string(), &text)?;
            all.retain(|shipped: &Scenario| shipped.name != scenario.name);
            all.push(scenario);
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "toml")
}

fn parse(file: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let malformed = |problem: String| ScenarioError::Malformed { file: file.to_owned(), problem };
    let scenario: Scenario =
        toml::from_str(text).map_err(|error| malformed(error.to_string().trim_end().to_owned()))?;
    scenario.check().map_err(|problem| malformed(problem.to_owned()))?;
    Ok(scenario)
}

impl Scenario {
    fn check(&self) -> Result<(), &'static str> {
        let is_empty = self.add.is_empty()
            && self.alter.is_empty()
            && self.drop.is_empty()
            && self.repeat.is_empty()
            && self.multiply.is_empty();
        let rates = |add: &Add| [add.calls, add.per_hour, add.times_usual].iter().flatten().count();
        if self.name.is_empty() || self.names.is_empty() {
            Err("name and names must not be empty")
        } else if is_empty {
            Err("nothing happens: expected [[add]], [[alter]], [[drop]], [[repeat]] or [[multiply]]")
        } else if self.add.iter().any(|add| rates(add) != 1) {
            Err("add: expected one of calls, per_hour and times_usual")
        } else if Strength::ALL.iter().any(|strength| self.minutes.of(*strength) <= 0.0) {
            Err("minutes: expected more than 0")
        } else if self.add.iter().any(|add| !(0.0 <= add.begins && add.begins < add.ends && add.ends <= 1.0)) {
            Err("add: expected 0 <= begins < ends <= 1")
        } else if self.malicious == (self.category == Kind::Benign) {
            Err("category: benign is what is not malicious")
        } else {
            Ok(())
        }
    }

    /// All changes that its actions make.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Changes> {
        let added = self.add.iter().map(|add| &add.with);
        added.chain(self.alter.iter().map(|alter| &alter.with)).chain(self.multiply.iter().map(|copy| &copy.with))
    }

    /// Whether it needs days before those that count.
    pub(super) fn needs_history(&self) -> bool {
        self.add.iter().any(|add| add.history_days.is_some())
    }
}

/// Those of the scenarios that are asked for: by name, or all of a view for `all` or none.
///
/// # Errors
/// One is not known.
pub fn choose(all: Vec<Scenario>, names: &[String]) -> Result<Vec<Scenario>, ScenarioError> {
    if names.is_empty() || names.iter().any(|name| name == "all") {
        return Ok(all);
    }
    for name in names {
        if !all.iter().any(|scenario| scenario.name == *name) {
            return Err(ScenarioError::Unknown { name: name.clone(), suggestion: suggest(&all, name) });
        }
    }
    Ok(all.into_iter().filter(|scenario| names.contains(&scenario.name)).collect())
}

/// The known name that shares the longest beginning or a word with the one asked for, else all names.
fn suggest(all: &[Scenario], name: &str) -> String {
    let words: Vec<&str> = name.split(['-', '_', ' ']).collect();
    let likeness = |known: &str| {
        let beginning = known.bytes().zip(name.bytes()).take_while(|(one, other)| one == other).count();
        beginning + 4 * words.iter().filter(|word| word.len() > 2 && known.contains(*word)).count()
    };
    match all.iter().max_by_key(|scenario| likeness(&scenario.name)) {
        Some(near) if likeness(&near.name) >= 3 => format!("did you mean {}?", near.name),
        _ => format!("known are: {}", all.iter().map(|scenario| &*scenario.name).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_is_read_and_is_called_as_its_file() {
        let all = scenarios(None).unwrap();
        let files: Vec<_> = SHIPPED.files().map(include_dir::File::path).filter(|path| is_toml(path)).collect();
        assert_eq!(files.len(), all.len());
        for scenario in &all {
            assert!(files.contains(&&*PathBuf::from(format!("{}.toml", scenario.name))), "{}", scenario.name);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_one_that_was_meant() {
        let error = choose(scenarios(None).unwrap(), &["bulk-uplaod".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("did you mean bulk-upload?"), "{error}");
    }

    #[test]
    fn a_diagnostic_names_the_file_and_what_is_wrong() {
        let error = parse("mine.toml", "name = \"x\"\nkindness = 1\n").unwrap_err().to_string();
        assert!(error.starts_with("mine.toml: ") && error.contains("line 2"), "{error}");
    }
}
