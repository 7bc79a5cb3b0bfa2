//! Calibration: a raw score becomes the chance that an entity-day would show as much.
//!
//! The distribution is that of daily maxima: autocorrelation and the overlap of trailing windows vanish, and a budget of one
//! alarm a day among some tens of entities asks for p of about 1e-2, no far extrapolation. The body is empirical, the upper
//! tenth a generalised Pareto tail by probability-weighted moments (Hosking & Wallis 1987) with its shape shrunk to a prior.

use serde::{Deserialize, Serialize};

/// Smallest p-value that is told: beyond it no fit is credible.
pub const MIN_P: f64 = 1e-12;
/// Share of the maxima that the tail is fitted on.
const TAIL_SHARE: f64 = 0.10;
/// Fewest maxima in the tail.
const MIN_IN_TAIL: usize = 10;
/// Prior shape of the tail, and its weight in exceedances.
const PRIOR_SHAPE: f64 = 0.10;
const PRIOR_WEIGHT: f64 = 200.0;
/// Fewest maxima from which anything can be said at all.
const MIN_MAXIMA: usize = 5;

/// `P(daily maximum of one entity >= z)`, learned from maxima of days that the score had not been fitted on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tail {
    /// Daily maxima, ascending.
    maxima: Vec<f32>,
    threshold: f64,
    exceedances: usize,
    shape: f64,
    scale: f64,
}

impl Tail {
    /// Learns from daily maxima of `days` days. Few days widen the tail instead of inventing confidence: a spread that was
    /// estimated from `days - 1` degrees of freedom makes the predictive a Student t, whose tail index is one over them.
    ///
    /// `None` below five maxima: nothing can be said.
    pub fn fit(mut maxima: Vec<f32>, days: usize) -> Option<Self> {
        let n = maxima.len();
        if n < MIN_MAXIMA || days < 2 {
            return None;
        }
        maxima.sort_unstable_by(f32::total_cmp);
        let exceedances = MIN_IN_TAIL.max((TAIL_SHARE * n as f64) as usize).min(n - 1);
        let threshold = f64::from(maxima[n - exceedances - 1]);
        let excess: Vec<f64> = maxima[n - exceedances..].iter().map(|z| f64::from(*z) - threshold).collect();
        let k = exceedances as f64;
        let mean = excess.iter().sum::<f64>() / k;
        let weighted = excess
            .iter()
            .enumerate()
            .map(|(place, excess)| excess * (1.0 - (place as f64 + 1.0 - 0.35) / k))
            .sum::<f64>()
            / k;
        let raw = if mean > 2.0 * weighted { 2.0 - mean / (mean - 2.0 * weighted).max(1e-9) } else { 0.5 };
        let weight = k / (k + PRIOR_WEIGHT);
        let few_days = 1.0 / (days - 1) as f64;
        let shape = (weight * raw + (1.0 - weight) * PRIOR_SHAPE).clamp(0.02, 0.5).max(few_days.min(1.0));
        // The scale keeps the mean excess for the shape that the data alone would have.
        let scale = (mean * (1.0 - shape.min(0.5))).max(1e-6);
        Some(Self { maxima, threshold, exceedances, shape, scale })
    }

    /// The chance of a daily maximum of `score` or more, at least [`MIN_P`].
    pub fn p(&self, score: f64) -> f64 {
        let n = self.maxima.len();
        let below = self.maxima.partition_point(|z| f64::from(*z) < score);
        let body = (n - below + 1) as f64 / (n + 1) as f64;
        if score <= self.threshold {
            return body.max(MIN_P);
        }
        let excess = 1.0 + self.shape * (score - self.threshold) / self.scale;
        let tail = self.exceedances as f64 / n as f64 * excess.powf(-1.0 / self.shape);
        tail.min(body).max(MIN_P)
    }

    /// Number of maxima that it was learned from.
    pub fn len(&self) -> usize {
        self.maxima.len()
    }

    /// Never: a tail has maxima.
    pub fn is_empty(&self) -> bool {
        self.maxima.is_empty()
    }
}

/// The p-value of a score, 1 where nothing was learned to judge it by.
pub fn p_value(tail: Option<&Tail>, score: f64) -> f64 {
    tail.map_or(1.0, |tail| tail.p(score))
}

/// Harmonic mean of p-values with weights (Wilson 2019): one test that says 1 vetoes none, and dependence does no harm.
pub fn harmonic_mean(weighted: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let (weights, inverse) = weighted
        .into_iter()
        .fold((0.0, 0.0), |(weights, inverse), (weight, p)| (weights + weight, inverse + weight / p));
    if weights > 0.0 { (weights / inverse).min(1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential(n: usize) -> Vec<f32> {
        (1..=n).map(|rank| -(rank as f32 / (n as f32 + 1.0)).ln()).collect()
    }

    #[test]
    fn the_tail_of_an_exponential_is_within_a_factor_of_three() {
        let tail = Tail::fit(exponential(2_000), 20).unwrap();
        for (score, nominal) in [(4.6_f64, 1e-2), (6.9, 1e-3), (9.2, 1e-4)] {
            let ratio = tail.p(score) / nominal;
            assert!((1.0 / 3.0..3.0).contains(&ratio), "{score}: {} for {nominal}", tail.p(score));
        }
    }

    #[test]
    fn p_falls_as_the_score_rises() {
        let tail = Tail::fit(exponential(300), 14).unwrap();
        let mut last = f64::INFINITY;
        for step in 0..200 {
            let p = tail.p(f64::from(step) / 10.0);
            assert!(p <= last + 1e-12, "at {step}");
            last = p;
        }
    }

    #[test]
    fn few_days_make_the_same_score_less_surprising() {
        let (few, many) = (Tail::fit(exponential(60), 3).unwrap(), Tail::fit(exponential(60), 14).unwrap());
        assert!(few.p(12.0) > 3.0 * many.p(12.0));
    }

    #[test]
    fn nothing_is_learned_from_one_day() {
        assert!(Tail::fit(exponential(60), 1).is_none());
        assert_eq!(p_value(None, 40.0), 1.0);
    }

    #[test]
    fn a_test_that_sees_nothing_vetoes_none() {
        let p = harmonic_mean([(1.0, 1e-6), (1.0, 1.0), (1.0, 1.0)]);
        assert!((2.9e-6..3.1e-6).contains(&p), "{p}");
    }
}
