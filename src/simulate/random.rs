//! Chance, from seeds: one stream of numbers for each thing and day, so that nothing depends on what was drawn elsewhere.
//!
//! Streams are xoshiro256++ seeded by SplitMix64 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021).

use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Gamma, Pareto, Poisson, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

pub(super) type Random = Xoshiro256PlusPlus;

/// What a stream is drawn for: two purposes never share numbers.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    World = 1,
    Changes,
    Weather,
    Calendar,
    Traffic,
}

/// The stream of numbers of one purpose, thing and day.
pub(super) fn stream(seed: u64, purpose: Purpose, things: &[usize]) -> Random {
    let first = mix(seed ^ mix(purpose as u64));
    Random::seed_from_u64(things.iter().fold(first, |hash, &thing| mix(hash ^ mix(thing as u64 + 1))))
}

/// SplitMix64's finalizer: each bit of the output depends on each of the input.
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Whether something happens that does so with this probability.
pub(super) fn happens(random: &mut Random, probability: f64) -> bool {
    random.r#gen::<f64>() < probability
}

/// A Poisson count.
pub(super) fn count(random: &mut Random, mean: f64) -> u64 {
    Poisson::new(mean).map_or(0, |poisson| poisson.sample(random) as u64)
}

/// A standard normal number.
pub(super) fn normal(random: &mut Random) -> f64 {
    StandardNormal.sample(random)
}

/// A log-normal factor whose median is 1.
pub(super) fn spread(random: &mut Random, sigma: f64) -> f64 {
    (sigma * normal(random)).exp()
}

/// A gamma factor whose mean is 1 and whose variance is `1 / shape`.
pub(super) fn gamma(random: &mut Random, shape: f64) -> f64 {
    Gamma::new(shape, 1.0 / shape).map_or(1.0, |gamma| gamma.sample(random))
}

/// A Pareto factor from 1 on, with a tail of the given index, cut at `most`.
pub(super) fn pareto(random: &mut Random, index: f64, most: f64) -> f64 {
    Pareto::new(1.0, index).map_or(1.0, |pareto| pareto.sample(random).min(most))
}

/// One of several, each as likely as the others.
pub(super) fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> Option<&'a T> {
    if from.is_empty() { None } else { from.get(random.gen_range(0..from.len())) }
}

/// The place of one of several weights, as likely as its weight.
pub(super) fn weighted(random: &mut Random, weights: impl Iterator<Item = f64> + Clone) -> usize {
    let mut left = random.r#gen::<f64>() * weights.clone().sum::<f64>();
    let mut last = 0;
    for (place, weight) in weights.enumerate() {
        last = place;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

/// A level that wanders about 0 and remembers: a stationary AR(1) of standard deviation `sigma`.
pub(super) struct Wander {
    level: f64,
    memory: f64,
    sigma: f64,
}

impl Wander {
    pub(super) fn new(random: &mut Random, memory: f64, sigma: f64) -> Self {
        Self { level: sigma * normal(random), memory, sigma }
    }

    /// The next level, as a factor.
    pub(super) fn next(&mut self, random: &mut Random) -> f64 {
        let news = self.sigma * (1.0 - self.memory * self.memory).sqrt();
        self.level = self.memory * self.level + news * normal(random);
        self.level.exp()
    }
}
