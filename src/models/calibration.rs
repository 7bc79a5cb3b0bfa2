//! Calibration: a raw score becomes the chance that an entity-day would show as much.
//!
//! The distribution is that of daily maxima: autocorrelation and the overlap of trailing windows vanish, and a budget of one
//! alarm a day among some tens of entities asks for p of about 1e-2, no far extrapolation. The body is empirical, with the
//! finite-sample correction of conformal p-values (Bates, Candès, Lei, Romano & Sesia, Annals of Statistics 51, 2023), the upper
//! tenth a generalised Pareto tail (`pareto`). P-values of dependent tests are combined by their harmonic mean (Wilson, PNAS
//! 116, 2019).
//!
//! Not here: which days a score was fitted on (`train`), nor what p-value is worth a page (`detect::Budget`).

use serde::{Deserialize, Serialize};

use super::pareto::{Constraints, PRIOR_WEIGHT, Pareto, TAIL_SHARE};

/// Smallest p-value that is reported, 0 to 1: beyond it no fit is credible.
pub const MIN_P: f64 = 1e-12;
/// Fewest maxima in the tail.
const MIN_IN_TAIL: usize = 10;
/// Smallest and largest shape of the tail, dimensionless, where days do not lack.
const SHAPE_BOUNDS: [f64; 2] = [0.02, 0.5];
/// Smallest scale of the tail, in the unit of the score.
const MIN_SCALE: f64 = 1e-6;
/// Fewest maxima from which anything can be said at all.
const MIN_MAXIMA: usize = 5;
/// Fewest days from which a spread can be estimated.
const MIN_DAYS: usize = 2;

/// `P(daily maximum of one entity >= score)`, learned from maxima of days that the score had not been fitted on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tail {
    /// Daily maxima (n_maxima), ascending, in the unit of the score.
    maxima: Vec<f32>,
    /// Where the tail begins, in the unit of the score.
    threshold: f64,
    /// Number of maxima in the tail.
    exceedances: usize,
    /// Excesses over the threshold.
    pareto: Pareto,
}

impl Tail {
    /// Learns from daily `maxima` (n_maxima, any order, in the unit of the score) of `days` days. Few days widen the tail
    /// instead of inventing confidence: a spread that was estimated from `days - 1` degrees of freedom makes the predictive
    /// distribution a Student t, whose tail index is one over them.
    ///
    /// `None` below five maxima or two days: nothing can be said.
    pub fn fit(mut maxima: Vec<f32>, days: usize) -> Option<Self> {
        let n = maxima.len();
        if n < MIN_MAXIMA || days < MIN_DAYS {
            return None;
        }
        maxima.sort_unstable_by(f32::total_cmp);
        let exceedances = MIN_IN_TAIL.max((TAIL_SHARE * n as f64) as usize).min(n - 1);
        let threshold = f64::from(maxima[n - exceedances - 1]);
        let excesses: Vec<f64> = maxima[n - exceedances..].iter().map(|z| f64::from(*z) - threshold).collect();
        // Weights that sum to 1: a bundle's numbers are reproduced to the bit.
        let weight = exceedances as f64 / (exceedances as f64 + PRIOR_WEIGHT);
        let min_shape = (1.0 / (days - 1) as f64).max(SHAPE_BOUNDS[0]);
        let constraints = Constraints {
            weights: [weight, 1.0 - weight],
            shape: [min_shape, min_shape.max(SHAPE_BOUNDS[1])],
            min_scale: MIN_SCALE,
        };
        Some(Self { maxima, threshold, exceedances, pareto: Pareto::fit(&excesses, &constraints) })
    }

    /// Chance of a daily maximum of `score` or more: 0 to 1, at least [`MIN_P`].
    pub fn p(&self, score: f64) -> f64 {
        let n = self.maxima.len();
        let below = self.maxima.partition_point(|z| f64::from(*z) < score);
        let body = (n - below + 1) as f64 / (n + 1) as f64;
        if score <= self.threshold {
            return body.max(MIN_P);
        }
        let tail = self.exceedances as f64 / n as f64 * self.pareto.survival(score - self.threshold);
        tail.min(body).max(MIN_P)
    }

    /// Number of maxima that it was learned from.
    pub fn len(&self) -> usize {
        self.maxima.len()
    }

    /// Always false: nothing is learned from no maxima.
    pub fn is_empty(&self) -> bool {
        self.maxima.is_empty()
    }
}

/// The p-value of a score, 0 to 1; 1 where nothing was learned to judge it by.
pub fn p_value(tail: Option<&Tail>, score: f64) -> f64 {
    tail.map_or(1.0, |tail| tail.p(score))
}

/// Harmonic mean, 0 to 1, of `(weight, p-value)` (n_tests; weights of any unit, p-values above 0); 1 of nothing. One test with
/// p = 1 does not veto the others, and dependence among the tests does little harm.
pub fn harmonic_mean(weighted: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let (weights, inverse) = weighted
        .into_iter()
        .fold((0.0, 0.0), |(weights, inverse), (weight, p)| (weights + weight, inverse + weight / p));
    if weights > 0.0 { (weights / inverse).min(1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::pareto::sample_maxima;

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
    fn the_fit_is_that_of_earlier_versions_to_the_bit() {
        let [spread, heavy, rare, few, same] = sample_maxima();
        // Maxima, days, bits of the shape and of the scale, p of a score of 4: captured before the fit moved to `pareto`.
        let captured: [(&Vec<f32>, usize, u64, u64, f64); 9] = [
            (&spread, 2, 0x3ff0_0000_0000_0000, 0x3fd0_b81b_7ae1_47ae, 6.107784431137725e-1),
            (&spread, 21, 0x3fa9_9999_9999_999a, 0x3fdf_c434_3645_a1ca, 6.107784431137725e-1),
            (&heavy, 4, 0x3fd5_5555_5555_5555, 0x4030_4380_beaa_aaab, 2.546583850931677e-1),
            (&heavy, 21, 0x3fc0_b10a_c1ba_a510, 0x4035_36da_e95f_2ee1, 2.546583850931677e-1),
            (&rare, 2, 0x3ff0_0000_0000_0000, 0x4007_f999_9999_999a, 4.2831621259490846e-2),
            (&rare, 21, 0x3fa9_9999_9999_999a, 0x4016_c6b8_51eb_851f, 5.013602070817143e-2),
            (&few, 21, 0x3fb8_ce8e_1749_bedc, 0x3ff1_56e8_8b0d_ab49, 5.017743491352024e-2),
            (&same, 4, 0x3fd5_5555_5555_5555, 0x3eb0_c6f7_a0b5_ed8d, 1e-12),
            (&same, 21, 0x3fbe_79e7_9e79_e79e, 0x3eb0_c6f7_a0b5_ed8d, 1e-12),
        ];
        for (maxima, days, shape, scale, p) in captured {
            let tail = Tail::fit(maxima.clone(), days).unwrap();
            assert_eq!((tail.pareto.shape.to_bits(), tail.pareto.scale.to_bits()), (shape, scale), "{days} days");
            // Powers differ by a rounding between machines.
            assert!((tail.p(4.0) / p - 1.0).abs() < 1e-12, "{} for {p}", tail.p(4.0));
        }
    }

    #[test]
    fn a_days_p_value_is_no_smaller_than_its_share_of_days() {
        // Of the days that were learned from, no more than one in ten may have p <= .1.
        let maxima = exponential(300);
        let tail = Tail::fit(maxima.clone(), 20).unwrap();
        let p_values: Vec<f64> = maxima.iter().map(|score| tail.p(f64::from(*score))).collect();
        for level in [0.01, 0.05, 0.1, 0.5] {
            let share = p_values.iter().filter(|p| **p <= level).count() as f64 / 300.0;
            assert!(share <= level + 0.01, "{share} of the days at {level}");
        }
    }

    #[test]
    fn a_score_below_all_maxima_is_certain_and_an_absurd_one_is_bounded() {
        let tail = Tail::fit(exponential(300), 20).unwrap();
        assert_eq!(tail.p(-1.0), 1.0);
        assert_eq!(tail.p(f64::INFINITY), MIN_P);
    }

    #[test]
    fn the_order_of_the_maxima_does_not_matter_and_a_tail_survives_the_bundle() {
        let mut maxima = exponential(60);
        let tail = Tail::fit(maxima.clone(), 9).unwrap();
        maxima.reverse();
        let other = Tail::fit(maxima, 9).unwrap();
        let stored: Tail = postcard::from_bytes(&postcard::to_stdvec(&tail).unwrap()).unwrap();
        for step in 0..100 {
            let score = f64::from(step) / 7.0;
            assert_eq!((tail.p(score), tail.p(score)), (other.p(score), stored.p(score)));
        }
    }

    #[test]
    fn the_harmonic_mean_lies_between_its_p_values_and_ignores_what_weighs_nothing() {
        let p = harmonic_mean([(2.0, 0.01), (1.0, 0.2)]);
        assert!(p > 0.01 && p < 0.2);
        assert_eq!(harmonic_mean([(2.0, 0.01), (1.0, 0.2), (0.0, 1e-9)]), p);
        assert!((harmonic_mean([(0.5, 0.3), (7.0, 0.3)]) - 0.3).abs() < 1e-12);
        assert_eq!(harmonic_mean([]), 1.0);
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
