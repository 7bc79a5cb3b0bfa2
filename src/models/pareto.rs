//! The generalised Pareto tail: how fast what lies above a high threshold gets rarer.
//!
//! Fitted by probability-weighted moments (Hosking & Wallis, Technometrics 29, 1987), with the plotting positions
//! `(i - 0.35) / k` and a shape shrunk to a prior: in simulations of daily maxima the raw shape is 5 to 30 times too confident
//! at p = 1e-4, the shrunk one at most four times.
//!
//! Not here: where the threshold lies, and what share of the values is above it (`calibration`, `audit::counts`).

use serde::{Deserialize, Serialize};

/// Prior shape of a tail, dimensionless: a little heavier than exponential.
pub const PRIOR_SHAPE: f64 = 0.10;
/// Weight of the prior shape, in excesses.
pub const PRIOR_WEIGHT: f64 = 200.0;
/// Share of the values, 0 to 1, that lies in the tail.
pub const TAIL_SHARE: f64 = 0.10;
/// Offset of the plotting positions, in ranks.
const PLOTTING_OFFSET: f64 = 0.35;
/// Shape, dimensionless, where the moments say nothing: where every excess is 0.
const UNKNOWN_SHAPE: f64 = 0.5;
/// Shape, dimensionless, above which the scale is that of a tail of this shape: its mean would soon be infinite.
const MAX_SHAPE_OF_SCALE: f64 = 0.5;

/// A generalised Pareto distribution of excesses over a threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pareto {
    /// Shape, dimensionless: 0 is exponential, more is heavier.
    pub shape: f64,
    /// Scale, in the unit of the excesses.
    pub scale: f64,
}

/// How a fit is held within what its user believes.
#[derive(Clone, Copy, Debug)]
pub struct Constraints {
    /// Weights of the raw and of the prior shape. Only their ratio matters, beyond rounding.
    pub weights: [f64; 2],
    /// Smallest and largest shape, dimensionless.
    pub shape: [f64; 2],
    /// Smallest scale, in the unit of the excesses.
    pub min_scale: f64,
}

impl Pareto {
    /// Fits to `excesses` (n_excesses, ascending, at least one, none negative).
    pub fn fit(excesses: &[f64], constraints: &Constraints) -> Self {
        let k = excesses.len() as f64;
        let mean = excesses.iter().sum::<f64>() / k;
        // E[X (1 - F(X))], the second of the two moments that a shape follows from.
        let weigh = |(rank, excess): (usize, &f64)| excess * (1.0 - (rank as f64 + 1.0 - PLOTTING_OFFSET) / k);
        let weighted = excesses.iter().enumerate().map(weigh).sum::<f64>() / k;
        let raw = if mean > 2.0 * weighted { 2.0 - mean / (mean - 2.0 * weighted).max(1e-9) } else { UNKNOWN_SHAPE };
        let [own, prior] = constraints.weights;
        let [min_shape, max_shape] = constraints.shape;
        let shape = ((own * raw + prior * PRIOR_SHAPE) / (own + prior)).clamp(min_shape, max_shape);
        // The scale keeps the mean excess, which is scale / (1 - shape).
        let scale = (mean * (1.0 - shape.min(MAX_SHAPE_OF_SCALE))).max(constraints.min_scale);
        Self { shape, scale }
    }

    /// Chance, 0 to 1, that an excess is larger than `excess` (in the unit of the scale, at least 0).
    pub fn survival(self, excess: f64) -> f64 {
        (1.0 + self.shape * excess / self.scale).powf(-1.0 / self.shape)
    }
}

/// Maxima that fits are compared on: spread, heavy-tailed, rare, few, and all the same.
#[cfg(test)]
pub(super) fn sample_maxima() -> [Vec<f32>; 5] {
    [
        (0..500_u32).map(|i| (i * i * 37 % 1_009) as f32 / 97.0).collect(),
        (1..=160_u32).map(|i| 160.0 / i as f32).collect(),
        (0..400_u32).map(|i| if i % 11 == 0 { (i * 53 % 211) as f32 / 16.0 } else { 0.0 }).collect(),
        vec![0.5, 2.0, 1.25, 0.75, 3.5, 1.0],
        vec![2.5; 40],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Excesses at the quantiles of a generalised Pareto distribution, ascending.
    fn quantiles(shape: f64, scale: f64, count: usize) -> Vec<f64> {
        let quantile = |p: f64| scale / shape * ((1.0 - p).powf(-shape) - 1.0);
        (0..count).map(|rank| quantile((rank as f64 + 0.65) / count as f64)).collect()
    }

    fn free(count: usize) -> Constraints {
        Constraints { weights: [count as f64, 0.0], shape: [0.01, 0.9], min_scale: 1e-9 }
    }

    #[test]
    fn the_moments_recover_the_shape_and_scale_that_made_the_excesses() {
        for (shape, scale) in [(0.05, 1.0), (0.2, 3.0), (0.4, 0.5)] {
            let fitted = Pareto::fit(&quantiles(shape, scale, 20_000), &free(20_000));
            assert!((fitted.shape - shape).abs() < 0.02, "{fitted:?} for {shape}");
            assert!((fitted.scale - scale).abs() < 0.05 * scale, "{fitted:?} for {scale}");
        }
    }

    #[test]
    fn few_excesses_take_the_prior_shape_and_many_their_own() {
        let fitted = |count: usize| {
            let constraints = Constraints { weights: [count as f64, PRIOR_WEIGHT], ..free(count) };
            Pareto::fit(&quantiles(0.4, 1.0, count), &constraints).shape
        };
        assert!((fitted(5) - PRIOR_SHAPE).abs() < 0.02 && fitted(20_000) > 0.36, "{} {}", fitted(5), fitted(20_000));
    }

    #[test]
    fn the_scale_keeps_the_mean_excess_whatever_the_shape_is_bounded_to() {
        let excesses = quantiles(0.4, 1.0, 500);
        let mean = excesses.iter().sum::<f64>() / 500.0;
        for bound in [0.1, 0.3, 0.5] {
            let fitted = Pareto::fit(&excesses, &Constraints { shape: [bound, bound], ..free(500) });
            assert!((fitted.scale / (1.0 - bound) - mean).abs() < 1e-12, "{fitted:?}");
        }
    }

    #[test]
    fn survival_falls_from_one_and_a_heavier_tail_falls_more_slowly() {
        let (light, heavy) = (Pareto { shape: 0.05, scale: 1.0 }, Pareto { shape: 0.4, scale: 1.0 });
        assert_eq!((light.survival(0.0), heavy.survival(0.0)), (1.0, 1.0));
        let falls =
            |tail: Pareto| (1..50).all(|step| tail.survival(f64::from(step)) < tail.survival(f64::from(step - 1)));
        assert!(falls(light) && falls(heavy));
        assert!(heavy.survival(20.0) > 100.0 * light.survival(20.0));
    }

    #[test]
    fn excesses_that_are_all_zero_make_a_tail_without_a_panic() {
        let fitted = Pareto::fit(&[0.0; 12], &free(12));
        assert_eq!(fitted, Pareto { shape: UNKNOWN_SHAPE, scale: 1e-9 });
        assert!(fitted.survival(1.0) < 1e-9);
    }
}
