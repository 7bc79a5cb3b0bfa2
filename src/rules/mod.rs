//! Governance rules: what calls must not be, whether or not it is usual.
//!
//! Three kinds, judged together on the rolled-up rows of a bucket: rules of the shipped pack (`pack`, one file each), a typed policy that
//! sets what they allow (`policy`), and Sigma rules (`sigma`). Most of what a rule asks depends on a row's relation alone, so the answer
//! is worked out once per distinct relation and remembered; only counts and what was seen before are looked at row by row.
//!
//! Not here: how a violation becomes an incident (`detect::governance`), and any field of a log that no column keeps: rules see rows.

mod condition;
mod error;
mod level;
mod memory;
mod pack;
mod pattern;
mod policy;
mod policy_spec;
mod sample;
mod sigma;
mod taxonomy;
mod trial;
mod violation;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::HashMap;

use crate::calls::{Relation, VendorPack};
use crate::rollup::{Row, bucket_of, bucket_start, day_of};

pub use error::RuleError;
pub use level::Level;
pub use memory::Memory;
pub use pack::{Broken, Builtin, RULES, Seen};
pub use policy::{Exception, Policy};
pub use sample::FailedSample;
pub use sigma::{SigmaFile, SigmaRule, Unevaluable, own_fields};
pub use trial::test_pack;
pub use violation::Violation;

use pack::Judge;
use sigma::Matched;

/// Relations whose answers are remembered; past that they are worked out anew.
const MAX_RELATIONS: usize = 100_000;

/// Where rules lie: `[governance]` of a pipeline file.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Sigma rules: a file, or a directory of them.
    pub rules: Option<PathBuf>,
    /// The policy.
    pub policy: Option<PathBuf>,
}

/// All rules that are in force.
#[derive(Debug)]
pub struct Rules {
    policy: Policy,
    pack: &'static [Builtin],
    sigma: Vec<Arc<SigmaRule>>,
    /// Rules of other log sources that rows cannot answer.
    unevaluable: Vec<Unevaluable>,
    known: Mutex<Known>,
}

/// What was worked out before.
#[derive(Debug, Default)]
struct Known {
    by_relation: HashMap<u64, Arc<OfRelation>>,
    /// Environments by caller.
    environments: HashMap<u64, Option<Arc<str>>>,
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(Policy::default(), Vec::new())
    }
}

/// The names of all rules: the shipped pack's, and others.
pub fn rule_names<'a>(others: &[&'a str]) -> Vec<&'a str> {
    RULES.iter().map(|rule| rule.name).chain(others.iter().copied()).collect()
}

/// What all rules say of a relation by itself.
#[derive(Debug, Default)]
struct OfRelation {
    pack: Vec<(usize, Level, Broken)>,
    sigma: Vec<(usize, Matched)>,
    /// The environment that the caller's name tells.
    environment: Option<Arc<str>>,
}

impl Rules {
    /// The shipped pack under a policy, and Sigma rules.
    pub fn new(policy: Policy, sigma: Vec<Arc<SigmaRule>>) -> Self {
        Self { policy, pack: RULES, sigma, unevaluable: Vec::new(), known: Mutex::default() }
    }

    /// The same Sigma rules without the shipped pack.
    pub fn without_pack(self) -> Self {
        Self { pack: &[], ..self }
    }

    /// One of these rules alone, under the same policy; `None` where there is none of that name.
    pub fn only(&self, name: &str) -> Option<Self> {
        let sigma: Vec<_> = self.sigma.iter().filter(|rule| rule.name == name).map(Arc::clone).collect();
        let place = RULES.iter().position(|rule| rule.name == name);
        let pack = place.map_or(&RULES[..0], |place| &RULES[place..=place]);
        let is_known = !sigma.is_empty() || place.is_some();
        is_known.then(|| Self { pack, ..Self::new(self.policy.clone(), sigma) })
    }

    /// Reads all files of a configuration.
    ///
    /// # Errors
    /// [`RuleError`], naming file and line. A rule of another log source that cannot be answered is none: it is listed.
    pub fn load(sources: &Sources, vendors: &Arc<VendorPack>) -> Result<Self, RuleError> {
        let mut files = Vec::new();
        for path in sources.rules.iter().flat_map(|path| sigma_files(path)) {
            files.push(SigmaFile::read(&path?)?);
        }
        let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
        for rule in files.iter().flat_map(|file| &file.rules) {
            if let Some(first) = names.insert(rule.name.clone(), rule.file.clone()) {
                let problem =
                    format!("{} has a rule of this name too: give one of them another `name`", first.display());
                return Err(RuleError::at(&rule.file, rule.line, "name", problem));
            }
        }
        let known = rule_names(&names.keys().map(String::as_str).collect::<Vec<_>>());
        let policy = sources.policy.as_deref().map(|path| Policy::read(path, vendors, &known)).transpose()?;
        let (mut sigma, mut unevaluable) = (Vec::new(), Vec::new());
        for file in files {
            sigma.extend(file.rules.into_iter().map(Arc::new));
            unevaluable.extend(file.unevaluable);
        }
        Ok(Self { unevaluable, ..Self::new(policy.unwrap_or_else(|| Policy::of_vendors(vendors)), sigma) })
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The Sigma rules in force.
    pub fn sigma(&self) -> &[Arc<SigmaRule>] {
        &self.sigma
    }

    /// Sigma rules that rows cannot answer, and why.
    pub fn unevaluable(&self) -> &[Unevaluable] {
        &self.unevaluable
    }

    /// Violations by a bucket's rows, each told once a day, in an order that depends on nothing but what they are.
    pub fn judge(&self, rows: &[Row], bucket: i64, memory: &mut Memory) -> Vec<Violation> {
        let known: Vec<_> = rows.iter().map(|row| self.of_relation(&row.relation)).collect();
        memory.learn(rows.iter().zip(known.iter().map(|known| known.environment.as_deref())), bucket);
        let mut found = Found::default();
        for (row, known) in rows.iter().zip(&known) {
            self.judge_row(row, known, memory, &mut found);
        }
        self.judge_day(bucket, memory, &mut found);
        self.tell(found.0.into_values(), bucket_start(bucket), memory)
    }

    /// Those that no exception covers at a time (microseconds since the epoch) and that were not told on its day.
    fn tell(&self, violations: impl Iterator<Item = Violation>, time: i64, memory: &mut Memory) -> Vec<Violation> {
        let is_tolerated = |one: &Violation| self.policy.exception(&one.rule, &one.caller, &one.vendor, time).is_some();
        let new = violations.filter(|violation| !is_tolerated(violation));
        new.filter(|violation| memory.tell(violation.key(), day_of(bucket_of(time)))).collect()
    }

    /// Violations that page and that a call shows by itself, each told once a day: nobody waits for the end of its bucket.
    pub fn judge_call(&self, row: &Row, memory: &mut Memory) -> Vec<Violation> {
        let known = self.of_relation(&row.relation);
        if known.pack.is_empty() && known.sigma.is_empty() {
            return Vec::new();
        }
        let mut found = Found::default();
        self.judge_relation(row, &known, &mut found);
        // Whatever else of its bucket is known by now: the call that shows it.
        let one = found.0.into_values().map(|violation| Violation { calls: 1, ..violation });
        let pages = one.filter(|violation| violation.level.pages());
        self.tell(pages, row.first_seen(), memory)
    }

    /// Rules of the pack that the policy has not turned off, with their places and levels.
    fn in_force(&self) -> impl Iterator<Item = (usize, &'static Builtin, Level)> {
        let level =
            |(index, rule): (usize, &'static Builtin)| Some((index, rule, self.policy.level(rule.name, rule.level)?));
        self.pack.iter().enumerate().filter_map(level)
    }

    fn judge_row(&self, row: &Row, known: &OfRelation, memory: &Memory, found: &mut Found) {
        self.judge_relation(row, known, found);
        let seen = Seen { row, policy: &self.policy, memory, environment: known.environment.as_deref() };
        for (_, rule, level) in self.in_force() {
            if let Judge::Row(judge) = rule.judge
                && let Some(broken) = judge(&seen)
            {
                found.add(Violation::by_pack(rule, level, row, broken));
            }
        }
    }

    /// What a row's relation decides.
    fn judge_relation(&self, row: &Row, known: &OfRelation, found: &mut Found) {
        for (index, level, broken) in &known.pack {
            found.add(Violation::by_pack(&self.pack[*index], *level, row, broken.clone()));
        }
        for (index, matched) in &known.sigma {
            let rule = &self.sigma[*index];
            if let Some(calls) = rule.calls_of(row, *matched) {
                found.add(Violation::by_sigma(rule, row, calls));
            }
        }
    }

    /// What a day shows that nobody called on: asked in the first bucket of each day.
    fn judge_day(&self, bucket: i64, memory: &mut Memory, found: &mut Found) {
        if !memory.is_first_of_day() {
            return;
        }
        for (_, rule, level) in self.in_force() {
            let Judge::Day(judge) = rule.judge else { continue };
            for used in memory.credentials_mut() {
                if let Some(broken) = judge(used, &self.policy, bucket_start(bucket)) {
                    used.is_idle = true;
                    found.add(Violation::by_day(rule, level, used, broken));
                }
            }
        }
    }

    fn of_relation(&self, relation: &Relation) -> Arc<OfRelation> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = known.by_relation.get(&relation.id()) {
            return Arc::clone(of);
        }
        if known.by_relation.len() >= MAX_RELATIONS {
            *known = Known::default();
        }
        let environment = || self.policy.environment(relation.caller()).map(Arc::from);
        let environment = known.environments.entry(relation.caller().id()).or_insert_with(environment).clone();
        let of = Arc::new(self.work_out(relation, environment));
        known.by_relation.insert(relation.id(), Arc::clone(&of));
        of
    }

    fn work_out(&self, relation: &Relation, environment: Option<Arc<str>>) -> OfRelation {
        let broken = |(index, rule, level): (usize, &'static Builtin, Level)| match rule.judge {
            Judge::Relation(judge) => judge(relation, &self.policy).map(|broken| (index, level, broken)),
            _ => None,
        };
        let matched = |(index, rule): (usize, &Arc<SigmaRule>)| rule.matched(relation).map(|matched| (index, matched));
        OfRelation {
            pack: self.in_force().filter_map(broken).collect(),
            sigma: self.sigma.iter().enumerate().filter_map(matched).collect(),
            environment,
        }
    }
}

/// Violations of one bucket: one for each rule and subject.
#[derive(Default)]
struct Found(BTreeMap<[String; 5], Violation>);

impl Found {
    fn add(&mut self, violation: Violation) {
        match self.0.entry(violation.order()) {
            std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(violation)),
            std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().merge(violation),
        }
    }
}

/// The Sigma files that a path names, in the order of their names.
///
/// # Errors
/// [`RuleError::Unreadable`].
pub fn sigma_files(path: &Path) -> Vec<Result<PathBuf, RuleError>> {
    let unreadable = |problem| RuleError::Unreadable { file: path.to_owned(), problem };
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return vec![Ok(path.to_owned())],
        Err(problem) => return vec![Err(unreadable(problem))],
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(problem) => return vec![Err(unreadable(problem))],
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_unstable();
    let is_rule = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
    paths.into_iter().filter(|path| path.is_dir() || is_rule(path)).flat_map(|path| sigma_files(&path)).collect()
}

#[cfg(test)]
mod tests {
    use super::sample::Sample;
    use super::*;

    /// Rows as samples write them.
    fn rows(text: &str) -> Vec<Row> {
        Sample::parse(text, true).unwrap().rows
    }

    fn policy(text: &str) -> Policy {
        Policy::parse(Path::new("policy.toml"), text, &VendorPack::embedded(), &rule_names(&[])).unwrap()
    }

    /// Rule, caller and calls of each violation.
    fn told(rules: &Rules, rows: &[Row], memory: &mut Memory) -> Vec<(String, String, i64)> {
        let violations = rules.judge(rows, rows[0].bucket, memory);
        violations.into_iter().map(|one| (one.rule, one.caller.to_string(), one.calls)).collect()
    }

    #[test]
    fn a_violation_is_one_for_each_rule_and_subject_and_is_told_once_a_day() {
        let (rules, mut memory) = (Rules::default(), Memory::default());
        let plain = "vendor=google, caller=a, host=g.com, scheme=http, calls=3, ok=3";
        let both = rows(&format!("{plain}; {plain}, client=curl; {plain}, day=1"));
        let expected = vec![("plaintext".to_owned(), "a".to_owned(), 6)];
        assert_eq!(told(&rules, &both[..2], &mut memory), expected);
        assert_eq!(told(&rules, &both[..2], &mut memory), []);
        assert_eq!(told(&rules, &both[2..], &mut memory), [("plaintext".to_owned(), "a".to_owned(), 3)]);
    }

    #[test]
    fn the_order_of_rows_does_not_show() {
        let text = "vendor=stripe, host=s.com, caller=a, credential=k; vendor=stripe, host=s.com, caller=b; \
                    vendor=stripe, host=s.com, caller=c, credential=k, scheme=http";
        let of = |rows: &[Row]| told(&Rules::default(), rows, &mut Memory::default());
        let mut rows = rows(text);
        let forwards = of(&rows);
        rows.reverse();
        assert_eq!(of(&rows), forwards);
        assert_eq!(forwards.len(), 4, "two share, one lacks a credential, one is plaintext: {forwards:?}");
    }

    #[test]
    fn a_rule_that_is_off_or_excepted_finds_nothing_and_its_level_is_the_policys() {
        let plain = rows("vendor=google, caller=a, host=g.com, scheme=http");
        let of =
            |text: &str| Rules::new(policy(text), Vec::new()).judge(&plain, plain[0].bucket, &mut Memory::default());
        assert_eq!(of("[levels]\nplaintext = \"critical\"\n")[0].level, Level::Critical);
        assert!(of("[levels]\nplaintext = \"off\"\n").is_empty());
        assert!(of("[[exceptions]]\nrules = [\"*\"]\nreason = \"r\"\nexpires = 2026-01-01\n").is_empty());
    }

    #[test]
    fn what_rules_remember_is_the_same_after_storage() {
        let (rules, mut memory) = (Rules::default(), Memory::default());
        told(&rules, &rows("vendor=stripe, caller=a, credential=k, content_type=application/json"), &mut memory);
        let stored = postcard::to_stdvec(&memory).unwrap();
        assert_eq!(postcard::from_bytes::<Memory>(&stored).unwrap(), memory);
    }
}
