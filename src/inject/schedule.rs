//! The schedule: which victim and which time each scenario gets.
//!
//! Deterministic by seed, with a random stream per scenario that does not depend on which others are requested. The longest are scheduled first,
//! on the victims with the fewest so far. Scenarios of one victim are more than an hour apart, so that an alert belongs to one.
//!
//! Not here: what is written (`plant`).

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::disguise::Disguise;
use super::plant::{Placement, Planting};
use super::scenario::{Caller, Name, Scenario, Scope, Strength, When};
use super::survey::{DAY, HOUR, PairFacts, SECOND, Survey, Victim};

/// Time kept free around a scenario, microseconds: an alert may be raised up to an hour after its end.
const GAP: i64 = 65 * 60 * SECOND;
/// Between two candidate start times, microseconds.
const STEP: i64 = 10 * 60 * SECOND;
/// Calls within its time that a scenario of existing calls needs at least.
const MIN_CALLS: u64 = 5;
/// Victims that are tried for one scenario: in a log of many thousands the search must end.
const MAX_VICTIMS: usize = 300;
/// An hour is busy with this share of the mean hour's calls: one of steady calls always is.
const BUSY: f64 = 0.9;
/// Days without a use between a history that is planted and what counts.
const MIN_REST_DAYS: f64 = 8.0;

/// A scenario that could not be planted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Name and strength.
    pub label: String,
    /// Why.
    pub reason: String,
}

/// What is to be planted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// The strengths; harmless ones too are planted once for each.
    pub strengths: Vec<Strength>,
    /// How often each.
    pub copies: u32,
    /// Another seed gives other victims, times and values.
    pub seed: u64,
    /// Nothing that counts happens before, microseconds since the epoch.
    pub from: Option<i64>,
}

/// Victims and times for all that is wished, by start.
pub(super) fn schedule(wish: &Wish, survey: &Survey) -> (Vec<Planting>, Vec<Skipped>) {
    let mut wanted: Vec<(&Scenario, Strength, u32)> = Vec::new();
    for copy in 1..=wish.copies {
        for strength in &wish.strengths {
            wanted.extend(wish.scenarios.iter().map(|scenario| (scenario, *strength, copy)));
        }
    }
    wanted.sort_by_key(|(scenario, strength, copy)| {
        let is_wide = scenario.victim.scope == Scope::Host;
        let minutes = scenario.minutes.of(*strength) as i64;
        (std::cmp::Reverse((is_wide, minutes)), scenario.name.clone(), *strength, *copy)
    });
    // Scenarios of a view that the log does not give are no news, unless none is of another.
    let has_view = |view| survey.callers.values().any(|facts| facts.view == view);
    if wanted.iter().any(|(scenario, ..)| has_view(scenario.view)) {
        wanted.retain(|(scenario, ..)| has_view(scenario.view));
    }
    let mut taken = Taken::default();
    let (mut planted, mut skipped) = (Vec::new(), Vec::new());
    for (scenario, strength, copy) in wanted {
        let label = label(scenario, strength, copy);
        let search = Search { scenario, strength, survey, from: wish.from.unwrap_or(survey.first).max(survey.first) };
        match search.find(&mut taken, rng_of(wish.seed, &label)) {
            Ok(found) => planted.push(Planting::new(label, scenario, strength, found, survey)),
            Err(reason) => skipped.push(Skipped { label, reason }),
        }
    }
    planted.sort_by(|one, other| (one.start, &one.label).cmp(&(other.start, &other.label)));
    skipped.sort_by(|one, other| one.label.cmp(&other.label));
    (planted, skipped)
}

fn label(scenario: &Scenario, strength: Strength, copy: u32) -> String {
    let again = if copy > 1 { format!(".{copy}") } else { String::new() };
    format!("{}.{}{again}", scenario.name, strength.as_str())
}

fn rng_of(seed: u64, label: &str) -> Xoshiro256PlusPlus {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(label.as_bytes());
    Xoshiro256PlusPlus::from_seed(*hasher.finalize().as_bytes())
}

/// When each caller or host is taken.
#[derive(Default)]
struct Taken {
    spans: BTreeMap<String, Vec<(i64, i64)>>,
}

impl Taken {
    fn is_free(&self, names: &[String], start: i64, end: i64) -> bool {
        let overlaps = |span: &(i64, i64)| start < span.1 + GAP && span.0 < end + GAP;
        names.iter().all(|name| !self.spans.get(name).is_some_and(|spans| spans.iter().any(overlaps)))
    }

    fn take(&mut self, names: Vec<String>, start: i64, end: i64) {
        for name in names {
            self.spans.entry(name).or_default().push((start, end));
        }
    }

    fn times(&self, name: &str) -> usize {
        self.spans.get(name).map_or(0, Vec::len)
    }
}

/// The search for one scenario's victim and time.
struct Search<'a> {
    scenario: &'a Scenario,
    strength: Strength,
    survey: &'a Survey,
    from: i64,
}

impl Search<'_> {
    fn find(&self, taken: &mut Taken, mut rng: Xoshiro256PlusPlus) -> Result<Placement, String> {
        self.check_history()?;
        let length = (self.scenario.minutes.of(self.strength) * 60.0) as i64 * SECOND;
        let latest = self.survey.last - length;
        if latest <= self.from {
            return Err(format!("lasts {}, longer than the log", in_words(length)));
        }
        let mut candidates = self.candidates();
        if candidates.is_empty() {
            return Err("nobody in the log has what it needs".to_owned());
        }
        candidates.shuffle(&mut rng);
        candidates.sort_by_key(|candidate| taken.times(&candidate.caller));
        candidates.truncate(MAX_VICTIMS);
        let steps = ((latest - self.from) / STEP).max(1);
        // What lasts begins late: whom it happens to is taken from then on.
        let first = if self.scenario.lasting { steps * 2 / 3 } else { 0 };
        let mut starts: Vec<i64> = (first..steps).collect();
        let mut has_time = false;
        for victim in candidates {
            let disguise = Disguise::choose(self.scenario, self.survey, &victim, &mut rng);
            let lacks_other = self.needs_other() && disguise.other.is_none();
            let lacks_host = disguise.host.is_none() && self.scenario.changes().any(|with| !with.hosts.is_empty());
            if lacks_other || lacks_host {
                continue;
            }
            let names = self.names(&victim, &disguise);
            starts.shuffle(&mut rng);
            for step in &starts {
                let start = self.from + step * STEP + rng.gen_range(0..STEP / SECOND) * SECOND;
                let end = start + length;
                if end > self.survey.last || !self.suits(&victim, start, end) {
                    continue;
                }
                has_time = true;
                if taken.is_free(&names, start, if self.scenario.lasting { self.survey.last } else { end }) {
                    taken.take(names, start, if self.scenario.lasting { self.survey.last } else { end });
                    return Ok(Placement { victim, disguise, start, end, rng });
                }
            }
        }
        Err(match has_time {
            true => "all who have what it needs are taken: plant fewer at once".to_owned(),
            false => "nobody in the log has what it needs for long enough".to_owned(),
        })
    }

    fn check_history(&self) -> Result<(), String> {
        let days = self.scenario.add.iter().filter_map(|add| add.history_days).fold(0.0, f64::max);
        let needed = days + MIN_REST_DAYS;
        let there = (self.from - self.survey.first) as f64 / DAY as f64;
        if self.scenario.needs_history() && there < needed {
            return Err(format!("needs {needed:.0} days of log before what counts (--from)"));
        }
        Ok(())
    }

    fn needs_other(&self) -> bool {
        let changes = |with: &super::scenario::Changes| {
            with.caller == Some(Caller::Other) || with.credential == Some(super::scenario::Credential::Other)
        };
        self.scenario.changes().any(changes)
    }

    /// Whose other scenarios would be in the way.
    fn names(&self, victim: &Victim, disguise: &Disguise) -> Vec<String> {
        match self.scenario.victim.scope {
            Scope::Host => {
                let callers = self.survey.hosts.get(&victim.host).into_iter().flatten().cloned();
                callers.chain([victim.host.clone()]).collect()
            }
            Scope::Pair | Scope::Caller => {
                let other = if self.needs_other() { disguise.other.clone() } else { None };
                other.into_iter().chain([victim.caller.clone()]).collect()
            }
        }
    }

    fn candidates(&self) -> Vec<Victim> {
        let view = self.scenario.view;
        let mut found = Vec::new();
        match self.scenario.victim.scope {
            Scope::Pair => {
                for (caller, facts) in self.survey.callers.iter().filter(|(_, facts)| facts.view == view) {
                    let pairs =
                        facts.pairs.iter().filter(|(host, pair)| self.fits(caller, host, pair, self.calls(pair)));
                    found.extend(pairs.map(|(host, pair)| victim_of(caller, host, pair)));
                }
            }
            Scope::Caller => {
                for (caller, facts) in self.survey.callers.iter().filter(|(_, facts)| facts.view == view) {
                    let calls = facts.pairs.values().map(|pair| self.calls(pair)).sum();
                    let busiest = facts.pairs.iter().filter(|(host, pair)| self.fits(caller, host, pair, calls));
                    let busiest = busiest.max_by_key(|(_, pair)| pair.calls);
                    found.extend(busiest.map(|(host, pair)| victim_of(caller, host, pair)));
                }
            }
            Scope::Host => {
                for (host, callers) in &self.survey.hosts {
                    let pairs = callers.iter().filter_map(|caller| Some((caller, self.survey.pair(caller, host)?)));
                    let calls = pairs.clone().map(|(_, pair)| self.calls(pair)).sum();
                    let is_view =
                        |caller: &str| self.survey.callers.get(caller).is_some_and(|facts| facts.view == view);
                    let fitting =
                        pairs.filter(|(caller, pair)| is_view(caller) && self.fits(caller, host, pair, calls));
                    let busiest = fitting.max_by_key(|(_, pair)| pair.calls);
                    found.extend(busiest.map(|(caller, pair)| victim_of(caller, host, pair)));
                }
            }
        }
        found
    }

    /// Calls of a pair in the time that counts.
    fn calls(&self, pair: &PairFacts) -> u64 {
        pair.calls_within(self.from, self.survey.last + HOUR)
    }

    /// Whether the pair has what the scenario asks of its victim; `calls` are all of the scope.
    fn fits(&self, caller: &str, host: &str, pair: &PairFacts, calls: u64) -> bool {
        let needs = &self.scenario.victim;
        let rate = calls as f64 / ((self.survey.last - self.from) as f64 / HOUR as f64).max(1.0);
        let has = |selection| pair.selected(selection).next().is_some();
        use super::scenario::Selection::{Identified, Read, Write};
        let callers = self.survey.hosts.get(host).map_or(0, std::collections::BTreeSet::len);
        let is_of = |domain: &String| host == domain || host.ends_with(&format!(".{domain}"));
        needs.per_hour.is_none_or(|least| rate >= least.of(self.strength))
            && (needs.vendors.is_empty() || needs.vendors.iter().any(is_of))
            && (!needs.writes || has(Write))
            && (!needs.reads_only || (has(Read) && !has(Write)))
            && (!needs.credential || pair.credential().is_some())
            && (!self.scenario.names.contains(&Name::Credential) || pair.credential().is_some())
            && (!needs.tokens || pair.endpoints.values().any(|endpoint| endpoint.has_tokens))
            && (!needs.latency || pair.with_latency > 0)
            && (!needs.identifiers || has(Identified))
            && needs.scheme.as_ref().is_none_or(|scheme| pair.schemes.contains_key(scheme))
            && callers >= needs.callers
            && self.survey.callers.get(caller).is_some_and(|facts| facts.pairs.len() >= needs.hosts)
            && self.scenario.add.iter().all(|add| pair.has_templates(add.from))
            && self.scenario.alter.iter().all(|alter| has(alter.calls))
    }

    /// Whether the victim has what the scenario needs at that time.
    fn suits(&self, victim: &Victim, start: i64, end: i64) -> bool {
        let needs = &self.scenario.victim;
        let alters = self.scenario.alter.iter().map(|alter| alter.calls);
        let drops = self.scenario.drop.iter().map(|drop| drop.calls);
        let selections = alters.chain(drops).chain(self.scenario.multiply.iter().map(|multiply| multiply.calls));
        let uses_calls = selections.clone().next().is_some() || !self.scenario.repeat.is_empty();
        let meant = |pair: &PairFacts| selections.clone().map(|selection| pair.share(selection)).fold(1.0, f64::min);
        let asked = needs.calls.map_or(0.0, |calls| calls.of(self.strength)) as u64;
        let fewest = if uses_calls { asked.max(MIN_CALLS) } else { asked };
        // Whole hours are counted: of a shorter time its share of the hours that it touches.
        let (from, to) = (start.div_euclid(HOUR) * HOUR, (end + HOUR - 1).div_euclid(HOUR) * HOUR);
        let share = (end - start) as f64 / (to - from).max(1) as f64;
        let pairs = self.pairs(victim);
        let within = |from, to| pairs.iter().map(|pair| pair.calls_within(from, to) as f64 * meant(pair)).sum::<f64>();
        if fewest > 0 && within(from, to) * share < fewest as f64 {
            return false;
        }
        match needs.when {
            When::Any => true,
            When::Busy => {
                let hours = (self.survey.last - self.from) as f64 / HOUR as f64;
                let mean = pairs.iter().map(|pair| self.calls(pair) as f64 * meant(pair)).sum::<f64>() / hours.max(1.0);
                within(from, from + HOUR) >= BUSY * mean
            }
            When::Unworked => {
                let Some(facts) = self.survey.callers.get(&victim.caller) else { return false };
                let hour = |time: i64| usize::try_from(time.rem_euclid(DAY) / HOUR).unwrap_or_default();
                let mut hours = (from..to).step_by(HOUR as usize);
                hours.all(|time| facts.hours.get(hour(time)).is_some_and(|calls| *calls == 0))
            }
        }
    }

    /// The pairs of the scope.
    fn pairs(&self, victim: &Victim) -> Vec<&PairFacts> {
        match self.scenario.victim.scope {
            Scope::Pair => self.survey.pair(&victim.caller, &victim.host).into_iter().collect(),
            Scope::Caller => {
                let facts = self.survey.callers.get(&victim.caller);
                facts.into_iter().flat_map(|facts| facts.pairs.values()).collect()
            }
            Scope::Host => {
                let callers = self.survey.hosts.get(&victim.host).into_iter().flatten();
                callers.filter_map(|caller| self.survey.pair(caller, &victim.host)).collect()
            }
        }
    }
}

fn victim_of(caller: &str, host: &str, pair: &PairFacts) -> Victim {
    Victim { caller: caller.to_owned(), host: host.to_owned(), credential: pair.credential().map(str::to_owned) }
}

fn in_words(length: i64) -> String {
    let hours = length as f64 / HOUR as f64;
    if hours < 48.0 { format!("{hours:.1} h") } else { format!("{:.1} days", hours / 24.0) }
}
