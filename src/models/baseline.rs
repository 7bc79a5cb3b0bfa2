//! Baselines: what was learned of each entity, and of a view's entities together.
//!
//! An entity has its seasonality, its own dispersion and the usual share of each of its endpoints; a view (egress or audit) has the
//! tails that turn its tests into p-values, the tail of the fused score, and what an entity without history borrows.
//!
//! Not here: how they are learned (`train`).

use std::collections::BTreeMap;

use foldhash::HashMap;
use serde::{Deserialize, Serialize};

use super::adaptation::Adaptation;
use super::calibration::{Tail, p_value};
use super::dispersion::UNKNOWN_DISPERSION;
use super::leak::{LEAKING, LeakBaseline};
use super::peak::Peaks;
use super::seasonality::Seasonality;
use super::statistic::{Kind, MIN_COUNT, MIX_WINDOWS, Observation, Test, crowding, tests_at};
use crate::calls::Name;
use crate::features::{Column, Entity, EntityId, EntityState, HOUR, Level, WINDOWS, WindowSums};

/// An endpoint with fewer calls in training is a novelty, not a part of the mix.
pub const MIN_ENDPOINT_CALLS: i64 = 20;

/// One endpoint of a pair.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndpointBaseline {
    /// Its share of the pair's calls.
    pub share: f64,
    /// Dispersion of its count, by window (in `WINDOWS` order).
    pub dispersion: [f32; WINDOWS.len()],
}

/// What was learned of one entity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Baseline {
    /// Days of the history with calls.
    pub days: u32,
    /// Calls in the history.
    pub calls: i64,
    /// Whether that is enough to be judged by its own seasonality and mix.
    pub is_known: bool,
    /// Expected calls; of a pair.
    pub seasonality: Option<Seasonality>,
    /// Dispersion of each test, in the order of `tests_at` its level.
    pub dispersion: Vec<f32>,
    /// Endpoints with enough calls, by the address of their name, in its order; of a pair.
    pub endpoints: Vec<(Name, EndpointBaseline)>,
    /// Group of entities that behave alike; of a pair.
    pub peers: usize,
    /// Longest silence of its history, in expected calls; of a pair.
    pub longest_silence: f32,
    /// Largest sums of its history; of a pair that is known.
    pub peaks: Option<Peaks>,
    /// What can leak slowly, in the order of `LEAKING`; of a pair.
    pub leaks: [LeakBaseline; LEAKING.len()],
}

impl Baseline {
    /// A known pair's of two weeks, in tests.
    #[cfg(test)]
    pub fn of_pair(seasonality: Seasonality) -> Self {
        Self {
            days: 14,
            calls: 20_160,
            is_known: true,
            seasonality: Some(seasonality),
            dispersion: Vec::new(),
            endpoints: Vec::new(),
            peers: 0,
            longest_silence: 5.0,
            peaks: None,
            leaks: Default::default(),
        }
    }

    /// What was learned of an endpoint.
    pub fn endpoint(&self, endpoint: &Name) -> Option<&EndpointBaseline> {
        let index = self.endpoints.binary_search_by_key(&endpoint.id(), |(name, _)| name.id()).ok()?;
        Some(&self.endpoints[index].1)
    }

    /// Dispersion of the hourly mean of a quantity (index in `QUANTITIES`); the unknown dispersion where it is not tested.
    pub fn hourly_dispersion(&self, level: Level, quantity: usize) -> f64 {
        let is_it = |test: &Test| {
            test.window == HOUR
                && matches!(test.statistic().kind, Kind::Mean(residual, _) if quantity_of(residual) == quantity)
        };
        let place = tests_at(level).iter().position(is_it);
        place
            .and_then(|place| self.dispersion.get(place))
            .map_or(UNKNOWN_DISPERSION, |dispersion| f64::from(*dispersion))
    }
}

/// What a view's entities at one level have in common.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LevelBaseline {
    /// Tail of each test, in the order of `tests_at`; `None` where too little was seen.
    pub tails: Vec<Option<Tail>>,
    /// Wander of an entity without history, by peer group and test.
    pub usual_dispersion: Vec<Vec<f32>>,
    /// Number of entities that are judged.
    pub entities: usize,
}

/// What was learned of a view: egress or audit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ViewBaseline {
    /// By level.
    pub levels: BTreeMap<Level, LevelBaseline>,
    /// Tail of the fused score's daily maxima.
    pub score: Option<Tail>,
    /// Tail of the pairs' daily silences, each against the longest of its pair's other days.
    pub silence: Option<Tail>,
    /// Peaks that nine pairs in ten stay below.
    pub usual_peaks: Peaks,
    /// Tails of the pairs' peaks, by kind, each fold against the pair's other folds.
    pub peaks: Vec<Option<Tail>>,
    /// Tail of the pairs' daily leaks, each against the largest of its pair's other days.
    pub leak: Option<Tail>,
}

impl ViewBaseline {
    /// Number of pairs that are judged.
    pub fn pairs(&self) -> usize {
        self.levels.get(&Level::Pair).map_or(1, |level| level.entities)
    }

    /// Number of entities that are judged.
    pub fn entities(&self) -> usize {
        self.levels.values().map(|level| level.entities).sum::<usize>().max(1)
    }
}

/// What one test says of an entity.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The test.
    pub test: Test,
    /// What it saw.
    pub seen: Observation,
    /// How far from usual, whether or not the effect is worth reporting.
    pub z: f64,
    /// Chance of an entity-day that shows as much; 1 where the effect is not worth reporting.
    pub p_value: f64,
    /// The endpoint that it is about, for the mix.
    pub endpoint: Option<Name>,
}

/// An entity at the end of a bucket, with the sums of its windows.
pub struct Snapshot<'a, P = ()> {
    /// The entity.
    pub state: &'a EntityState<P>,
    /// The bucket that ends.
    pub bucket: i64,
    /// The bucket of the history's clock that it is: another one where the callers' clocks moved.
    pub usual_bucket: i64,
    /// Sums over the windows that end with it.
    pub sums: &'a WindowSums,
}

impl<P> Clone for Snapshot<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Snapshot<'_, P> {}

impl<P> Snapshot<'_, P> {
    fn calls(&self, window: usize) -> f64 {
        self.sums[window][Column::Calls as usize] as f64
    }

    /// What a test other than the mix sees; `seasonality` is what calls are expected by.
    pub fn observe(&self, test: Test, seasonality: Option<&Seasonality>) -> Observation {
        const NONE: crate::features::FeatureVector = [0; crate::features::WIDTH];
        let kind = test.statistic().kind;
        let expected = match (kind, seasonality) {
            (Kind::Volume, Some(seasonality)) => {
                seasonality.expected(self.usual_bucket, WINDOWS[test.window].length(self.bucket))
            }
            _ => 0.0,
        };
        let newest = self.state.windows.bucket(self.bucket).unwrap_or(&NONE);
        Observation::of(kind, &self.sums[test.window], newest, expected)
    }

    /// What the mix sees of one endpoint: its calls against its share of the pair's, over a window (index in `WINDOWS`).
    pub fn observe_endpoint(&self, endpoint: &Name, share: f64, window: usize) -> Observation {
        let calls = self.state.endpoint(endpoint).map_or(0, |counts| counts.count(window, self.bucket));
        self.of_share(calls, share, window)
    }

    fn of_share(&self, calls: i64, share: f64, window: usize) -> Observation {
        Observation { observed: calls as f64, against: self.calls(window) * share, ..Observation::default() }
    }
}

/// By what an entity is judged.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// What was learned of it, if anything.
    pub baseline: Option<&'a Baseline>,
    /// What its level has in common.
    pub level: &'a LevelBaseline,
    /// What a pair without history may differ by in the mean of each quantity (bytes out, bytes in, latency), in variances of a
    /// call.
    pub between: &'a [f64],
    /// Its peer group.
    pub peers: usize,
    /// How far its means have moved since training.
    pub adaptation: Option<&'a Adaptation>,
}

/// The tests of an entity whose effect is worth reporting, in the order of [`tests_at`]. Of all others the p-value is 1: whether an
/// effect matters costs a comparison, how rare it is two logarithms and a power.
pub fn judge<P>(of: Snapshot<'_, P>, by: Expected<'_>) -> Vec<Verdict> {
    verdicts(of, by, true)
}

/// The same of every test: what calibration and the multivariate models look at.
pub fn judge_all<P>(of: Snapshot<'_, P>, by: Expected<'_>) -> Vec<Verdict> {
    verdicts(of, by, false)
}

fn verdicts<P>(of: Snapshot<'_, P>, by: Expected<'_>, is_gated: bool) -> Vec<Verdict> {
    let known = by.baseline.filter(|baseline| baseline.is_known);
    let seasonality = known.and_then(|known| known.seasonality.as_ref());
    let mut crowding = Crowding { of, seasonality, known: [None; WINDOWS.len()] };
    let mix = known.map(|known| most_surprising_endpoints(of, known, &mut crowding, is_gated)).unwrap_or_default();
    let borrowed = by.level.usual_dispersion.get(by.peers).or(by.level.usual_dispersion.first());
    let mut verdicts = Vec::new();
    for (index, test) in tests_at(of.state.entity.level).iter().enumerate() {
        let (test, statistic) = (*test, test.statistic());
        let kind = statistic.kind;
        if matches!(kind, Kind::Volume | Kind::Mix) && known.is_none() {
            if !is_gated {
                let seen = of.observe(test, None);
                verdicts.push(Verdict { test, seen, z: 0.0, p_value: 1.0, endpoint: None });
            }
            continue;
        }
        let mut seen = match kind {
            Kind::Mix => mix[test.window].0,
            _ => of.observe(test, seasonality),
        };
        if let (Kind::Mean(residual, _), Some(_), Some(adaptation)) = (kind, known, by.adaptation) {
            seen = adaptation.applied(seen, quantity_of(residual));
        }
        let is_worth_reporting = seen.is_reportable(statistic);
        if is_gated && !is_worth_reporting {
            continue;
        }
        let (z, endpoint) = if kind == Kind::Mix {
            (mix[test.window].1, mix[test.window].2.cloned())
        } else {
            let usual = || borrowed.and_then(|usual| usual.get(index)).copied().unwrap_or(UNKNOWN_DISPERSION as f32);
            let own = by.baseline.and_then(|baseline| baseline.dispersion.get(index)).copied();
            let mut dispersion = f64::from(own.unwrap_or_else(usual));
            if let (Kind::Mean(residual, _), None) = (kind, known) {
                dispersion += by.between.get(quantity_of(residual)).copied().unwrap_or_default();
            }
            let independent = match kind {
                Kind::Count(..) => seen.thinned(crowding.at(test.window)),
                Kind::Volume | Kind::Mix | Kind::Mean(..) | Kind::Largest(..) => seen,
            };
            (independent.z(kind, dispersion), None)
        };
        let tail = by.level.tails.get(index).and_then(Option::as_ref);
        let p_value = if is_worth_reporting { p_value(tail, z) } else { 1.0 };
        verdicts.push(Verdict { test, seen, z, p_value, endpoint });
    }
    verdicts
}

/// How crowded the calls of each window are, of an entity whose calls are expected by the clock: worked out where a test asks, as few do.
struct Crowding<'a, P> {
    of: Snapshot<'a, P>,
    seasonality: Option<&'a Seasonality>,
    known: [Option<f64>; WINDOWS.len()],
}

impl<P> Crowding<'_, P> {
    fn at(&mut self, window: usize) -> f64 {
        let Self { of, seasonality, known } = self;
        *known[window].get_or_insert_with(|| {
            let expected = |clock: &&Seasonality| clock.expected(of.usual_bucket, WINDOWS[window].length(of.bucket));
            seasonality.as_ref().map(expected).map_or(1.0, |expected| crowding(of.calls(window), expected))
        })
    }
}

fn quantity_of(residual: Column) -> usize {
    match residual {
        Column::BytesOutResidual => 0,
        Column::BytesInResidual => 1,
        _ => 2,
    }
}

/// What the mix sees of the most surprising endpoint over each window, its z and its name. Both lists are in the order of their
/// addresses, so they are walked side by side.
fn most_surprising_endpoints<'a, P>(
    of: Snapshot<'a, P>,
    known: &Baseline,
    crowding: &mut Crowding<'a, P>,
    is_gated: bool,
) -> [(Observation, f64, Option<&'a Name>); WINDOWS.len()] {
    let mut most = [(Observation::default(), 0.0, None); WINDOWS.len()];
    let mut baselines = known.endpoints.iter().peekable();
    for (endpoint, counts) in of.state.endpoints(of.bucket) {
        while baselines.next_if(|(name, _)| name.id() < endpoint.id()).is_some() {}
        let Some((_, baseline)) = baselines.next_if(|(name, _)| name == endpoint) else { continue };
        for window in MIX_WINDOWS {
            let seen = of.of_share(counts.count(window, of.bucket), baseline.share, window);
            if seen.observed <= seen.against || (is_gated && !seen.is_large_count(MIN_COUNT)) {
                continue;
            }
            let z = seen.thinned(crowding.at(window)).z(Kind::Mix, f64::from(baseline.dispersion[window]));
            if z > most[window].1 {
                most[window] = (seen, z, Some(endpoint));
            }
        }
    }
    most
}

/// The fused score of tests at a level, by the p-values of those that are below 1: `-log10` of the harmonic mean of all; a
/// statistic weighs 1, shared by its windows.
pub fn fused(level: Level, verdicts: impl IntoIterator<Item = (Test, f64)>) -> f64 {
    -(1.0 / inverse_mean(level, verdicts)).min(1.0).log10()
}

/// Mean of the inverse p-values of all tests at a level, of which those below 1 are given.
fn inverse_mean(level: Level, verdicts: impl IntoIterator<Item = (Test, f64)>) -> f64 {
    let all: f64 = tests_at(level).iter().map(|test| test.weight()).sum();
    let excess: f64 = verdicts.into_iter().map(|(test, p)| test.weight() * (1.0 / p - 1.0)).sum();
    if all > 0.0 { 1.0 + excess / all } else { 1.0 }
}

/// Part of an entity's surprise that a verdict has: its weight over its p-value, of the sum over all tests. 0 to 1.
pub fn share_of(level: Level, verdict: &Verdict, verdicts: &[Verdict]) -> f64 {
    let all: f64 = tests_at(level).iter().map(|test| test.weight()).sum();
    let given = verdicts.iter().map(|verdict| (verdict.test, verdict.p_value));
    verdict.test.weight() / verdict.p_value / (all * inverse_mean(level, given)).max(f64::MIN_POSITIVE)
}

/// What was learned of each entity, by its address.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Entity, Baseline)>", into = "Vec<(Entity, Baseline)>")]
pub struct Baselines(HashMap<EntityId, (Entity, Baseline)>);

impl From<Vec<(Entity, Baseline)>> for Baselines {
    fn from(baselines: Vec<(Entity, Baseline)>) -> Self {
        baselines.into_iter().collect()
    }
}

impl From<Baselines> for Vec<(Entity, Baseline)> {
    fn from(baselines: Baselines) -> Self {
        let mut baselines: Self = baselines.0.into_values().collect();
        baselines.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        baselines
    }
}

impl FromIterator<(Entity, Baseline)> for Baselines {
    fn from_iter<I: IntoIterator<Item = (Entity, Baseline)>>(baselines: I) -> Self {
        Self(baselines.into_iter().map(|(entity, baseline)| (entity.id(), (entity, baseline))).collect())
    }
}

impl Baselines {
    /// What was learned of an entity.
    pub fn get(&self, id: EntityId) -> Option<&Baseline> {
        self.0.get(&id).map(|(_, baseline)| baseline)
    }

    /// Whether anything was learned of an entity.
    pub fn contains(&self, id: EntityId) -> bool {
        self.0.contains_key(&id)
    }

    /// Adds those of other entities.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// All of them, in the order of their entities.
    pub fn sorted(&self) -> Vec<(&Entity, &Baseline)> {
        let mut baselines: Vec<_> = self.0.values().map(|(entity, baseline)| (entity, baseline)).collect();
        baselines.sort_unstable_by_key(|(entity, _)| *entity);
        baselines
    }

    /// Number of entities.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
