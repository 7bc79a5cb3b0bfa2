//! Baselines: what was learned of each entity, and of a view's entities together.
//!
//! An entity has its clock, its own dispersion and the usual share of each of its endpoints; a view (egress or audit) has the
//! tails that turn its tests into p-values, the tail of the fused score, and what an entity without history borrows.
//!
//! Not here: how they are learned (`train`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::adaptation::Adaptation;
use super::calibration::{Tail, harmonic_mean, p_value};
use super::leak::{LEAKING, LeakBaseline};
use super::peak::Peaks;
use super::seasonality::Seasonality;
use super::statistic::{Kind, Observation, Test, tests_at};
use crate::features::{Column, Entity, EntityState, Level, WINDOWS};

/// An endpoint with fewer calls in training is a novelty, not a part of the mix.
pub const MIN_ENDPOINT_CALLS: i64 = 20;

/// An hour, as a place in `WINDOWS`.
const HOUR: usize = 2;
/// Wander of an hour's mean where none was measured.
const UNKNOWN_DISPERSION: f64 = 0.05;

/// One endpoint of a pair.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndpointBaseline {
    /// Its share of the pair's calls.
    pub share: f64,
    /// How much its count wanders, by window (in `WINDOWS` order).
    pub dispersion: [f32; WINDOWS.len()],
}

/// What was learned of one entity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Baseline {
    /// Days of the history with calls.
    pub days: u32,
    /// Calls in the history.
    pub calls: i64,
    /// Whether that is enough to be judged by its own clock and mix.
    pub is_known: bool,
    /// Expected calls; of a pair.
    pub clock: Option<Seasonality>,
    /// How much each test wanders, in the order of `tests_at` its level.
    pub dispersion: Vec<f32>,
    /// Endpoints with enough calls; of a pair.
    pub endpoints: BTreeMap<String, EndpointBaseline>,
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
    /// How much the hourly mean of a quantity (place in `QUANTITIES`) wanders; the unknown dispersion where it is not tested.
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
    /// How far from usual, whether or not the effect is worth telling.
    pub z: f64,
    /// Chance of an entity-day that shows as much; 1 where the effect is not worth telling.
    pub p_value: f64,
    /// The endpoint that it is about, for the mix.
    pub endpoint: Option<String>,
}

/// Observations of all tests of an state whose newest bucket is `bucket`, in `tests_at` order, the mix aside.
pub fn observe(tests: &[Test], state: &EntityState, bucket: i64, clock: Option<&Seasonality>) -> Vec<Observation> {
    let newest = state.series.bucket(bucket).copied().unwrap_or([0; _]);
    let expected = |test: &Test| clock.map_or(0.0, |clock| clock.expected(bucket, test.buckets()));
    let see =
        |test: &Test| Observation::of(test.statistic().kind, state.series.window(test.window), &newest, expected(test));
    tests.iter().map(see).collect()
}

/// What the mix sees of one endpoint: its calls against its share of the pair's, over a window.
pub fn observe_endpoint(state: &EntityState, endpoint: &str, share: f64, window: usize) -> Observation {
    let calls = state.endpoints.get(endpoint).map_or(0, |series| series.count(window));
    of_share(calls, state, share, window)
}

fn of_share(calls: i64, state: &EntityState, share: f64, window: usize) -> Observation {
    Observation {
        observed: calls as f64,
        against: state.sum(Column::Calls, window) as f64 * share,
        ..Observation::default()
    }
}

/// Judges an state at the end of a bucket. `between` is what a pair without history may differ by in the mean of each
/// quantity (bytes out, bytes in, latency), in variances of a call; `adaptation` how far its means have moved since training.
pub fn judge(
    state: &EntityState,
    bucket: i64,
    baseline: Option<&Baseline>,
    level: &LevelBaseline,
    between: &[f64],
    peers: usize,
    adaptation: Option<&Adaptation>,
) -> Vec<Verdict> {
    let tests = tests_at(state.entity.level);
    let known = baseline.filter(|baseline| baseline.is_known);
    let seen = observe(&tests, state, bucket, known.and_then(|known| known.clock.as_ref()));
    let mix = known.map(|known| most_surprising_endpoints(state, known)).unwrap_or_default();
    let borrowed = level.usual_dispersion.get(peers).or(level.usual_dispersion.first());
    let verdict = |(place, (test, seen)): (usize, (&Test, Observation))| {
        let kind = test.statistic().kind;
        let usual = || borrowed.and_then(|usual| usual.get(place)).copied().unwrap_or(UNKNOWN_DISPERSION as f32);
        let own = baseline.and_then(|baseline| baseline.dispersion.get(place)).copied();
        let mut dispersion = f64::from(own.unwrap_or_else(usual));
        let (seen, z, endpoint) = match (kind, known) {
            (Kind::Volume | Kind::Mix, None) => (seen, 0.0, None),
            (Kind::Mix, Some(_)) => {
                let (seen, z, endpoint) = mix[test.window];
                (seen, z, endpoint.map(str::to_owned))
            }
            (Kind::Mean(residual, _), Some(_)) => {
                let seen = adaptation.map_or(seen, |adapted| adapted.applied(seen, quantity_of(residual)));
                (seen, seen.z(kind, dispersion), None)
            }
            (Kind::Mean(residual, _), None) => {
                dispersion += between.get(quantity_of(residual)).copied().unwrap_or_default();
                (seen, seen.z(kind, dispersion), None)
            }
            _ => (seen, seen.z(kind, dispersion), None),
        };
        let tail = level.tails.get(place).and_then(Option::as_ref);
        let p_value = if seen.is_worth_telling(test.statistic()) { p_value(tail, z) } else { 1.0 };
        Verdict { test: *test, seen, z, p_value, endpoint }
    };
    tests.iter().zip(seen).enumerate().map(verdict).collect()
}

fn quantity_of(residual: Column) -> usize {
    match residual {
        Column::BytesOutResidual => 0,
        Column::BytesInResidual => 1,
        _ => 2,
    }
}

/// What the mix sees of the most surprising endpoint over each window, its z and its name. Both maps are in the order of
/// their names, so they are walked side by side.
fn most_surprising_endpoints<'a>(
    state: &'a EntityState,
    known: &Baseline,
) -> [(Observation, f64, Option<&'a str>); WINDOWS.len()] {
    let mut most = [(Observation::default(), 0.0, None); WINDOWS.len()];
    let mut baselines = known.endpoints.iter().peekable();
    for (endpoint, series) in &state.endpoints {
        while baselines.next_if(|(name, _)| *name < endpoint).is_some() {}
        let Some((_, baseline)) = baselines.next_if(|(name, _)| *name == endpoint) else { continue };
        for (window, most) in most.iter_mut().enumerate() {
            let seen = of_share(series.count(window), state, baseline.share, window);
            if seen.observed <= seen.against {
                continue;
            }
            let z = seen.z(Kind::Mix, f64::from(baseline.dispersion[window]));
            if z > most.1 {
                *most = (seen, z, Some(endpoint.as_str()));
            }
        }
    }
    most
}

/// The fused score of an entity's tests: `-log10` of the harmonic mean of their p-values; a statistic weighs 1, shared by
/// its windows.
pub fn fused(verdicts: impl IntoIterator<Item = (Test, f64)>) -> f64 {
    -harmonic_mean(verdicts.into_iter().map(|(test, p)| (test.weight(), p))).log10()
}

/// The entity whose baseline a level's entities are looked up by.
pub type Baselines = BTreeMap<Entity, Baseline>;
