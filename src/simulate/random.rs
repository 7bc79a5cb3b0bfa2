//! Random numbers from seeds: one stream per purpose, entity and day, so that no draw depends on draws elsewhere.
//!
//! Streams are xoshiro256++ seeded by SplitMix64 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021).
//!
//! Not here: what is drawn (`callers`, `changes`, `traffic`, `audit`).

use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Gamma, Pareto, Poisson, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

pub(super) type Random = Xoshiro256PlusPlus;

/// What a stream is for: two purposes never share a stream.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    World = 1,
    Changes,
    Conditions,
    Calendar,
    Traffic,
}

/// The stream of one purpose for one entity and day, both in `keys`.
pub(super) fn stream(seed: u64, purpose: Purpose, keys: &[usize]) -> Random {
    let first = mix(seed ^ mix(purpose as u64));
    Random::seed_from_u64(keys.iter().fold(first, |hash, &key| mix(hash ^ mix(key as u64 + 1))))
}

/// SplitMix64's finalizer: each output bit depends on every input bit.
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A Bernoulli draw.
pub(super) fn happens(random: &mut Random, probability: f64) -> bool {
    random.r#gen::<f64>() < probability
}

/// A Poisson draw; 0 where the mean is not positive.
pub(super) fn count(random: &mut Random, mean: f64) -> u64 {
    Poisson::new(mean).map_or(0, |poisson| poisson.sample(random) as u64)
}

/// A standard normal draw.
pub(super) fn normal(random: &mut Random) -> f64 {
    StandardNormal.sample(random)
}

/// A log-normal factor with median 1.
pub(super) fn spread(random: &mut Random, sigma: f64) -> f64 {
    (sigma * normal(random)).exp()
}

/// A gamma factor with mean 1 and variance `1 / shape`.
pub(super) fn gamma(random: &mut Random, shape: f64) -> f64 {
    Gamma::new(shape, 1.0 / shape).map_or(1.0, |gamma| gamma.sample(random))
}

/// A Pareto factor of at least 1 with the given tail index, capped at `max`.
pub(super) fn pareto(random: &mut Random, index: f64, max: f64) -> f64 {
    Pareto::new(1.0, index).map_or(1.0, |pareto| pareto.sample(random).min(max))
}

/// A uniform draw from a slice; `None` where it is empty.
pub(super) fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> Option<&'a T> {
    if from.is_empty() { None } else { from.get(random.gen_range(0..from.len())) }
}

/// The index of one of several weights, with a probability proportional to it.
pub(super) fn weighted(random: &mut Random, weights: impl Iterator<Item = f64> + Clone) -> usize {
    let mut left = random.r#gen::<f64>() * weights.clone().sum::<f64>();
    let mut last = 0;
    for (index, weight) in weights.enumerate() {
        last = index;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

/// The logarithm of a level that drifts about 0: a stationary AR(1) process with standard deviation `sigma`.
pub(super) struct AutoRegressive {
    level: f64,
    /// Correlation of two consecutive levels.
    correlation: f64,
    sigma: f64,
}

impl AutoRegressive {
    pub(super) fn new(random: &mut Random, correlation: f64, sigma: f64) -> Self {
        Self { level: sigma * normal(random), correlation, sigma }
    }

    /// The next level, as a factor.
    pub(super) fn next(&mut self, random: &mut Random) -> f64 {
        let innovation = self.sigma * (1.0 - self.correlation * self.correlation).sqrt();
        self.level = self.correlation * self.level + innovation * normal(random);
        self.level.exp()
    }
}
