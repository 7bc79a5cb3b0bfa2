//! The curve of a pair's calls over the week: smooth, by a Poisson regression.
//!
//! A generalised linear model with a logarithmic link (Nelder & Wedderburn, JRSS A 135, 1972) on harmonics of the day, some of them with
//! other weights at weekends; by linfa. Its 26 numbers are learned from every hour, where a table (`seasonality`) learns each of 576 cells
//! from the few days that saw it. The ridge is a normal prior whose deviation falls with the frequency, so that a thin pair has a flat
//! curve and a busy one a detailed one. Calls come in bunches, so counts weigh the less, the more they are dispersed (quasi-likelihood:
//! Wedderburn, Biometrika 61, 1974).
//!
//! What is no curve is left to the table: a job at five past the hour has all of its calls in a few cells.
//!
//! Not here: which pairs follow a curve (`train`), nor the table beside it (`seasonality`).

use std::f64::consts::TAU;
use std::sync::LazyLock;

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_linear::{Link, TweedieRegressor};
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use crate::rollup::{BUCKETS_PER_DAY, BUCKETS_PER_HOUR};

const HOURS: usize = 24;
/// Hours in a week, which begins on Monday, and those before the weekend.
pub const WEEK_HOURS: usize = 7 * HOURS;
const WEEKDAY_HOURS: usize = 5 * HOURS;
const CELLS: usize = BUCKETS_PER_DAY as usize;
/// Harmonics of the day, and those whose weights differ at weekends.
const HARMONICS: usize = 8;
const WEEKEND_HARMONICS: usize = 4;
/// Columns: sines and cosines, the weekend, and its sines and cosines.
const COLUMNS: usize = 2 * HARMONICS + 1 + 2 * WEEKEND_HARMONICS;
/// How far weekends differ in a harmonic, as a share of its own prior deviation.
const WEEKEND_SHARE: f64 = 0.7;
/// The power of the variance. At 1 itself the objective of linfa-linear 0.8.1 is not the Poisson deviance that its gradient belongs to: the
/// linear part has half its weight.
const POWER: f64 = 1.001;
/// Smallest penalty: without any, weights would run away where calls came at a single hour.
const MIN_PENALTY: f64 = 1e-5;
const MAX_ITERATIONS: usize = 60;
const TOLERANCE: f64 = 1e-4;
/// Largest logarithm of calls an hour, either way.
const MAX_LOG: f64 = 30.0;

/// What a curve is fitted to.
#[derive(Clone, Debug)]
pub struct Week {
    /// Mean calls of each hour of the week (168); `None` where none was seen.
    pub hours: Vec<Option<f64>>,
    /// Hours that each is the mean of.
    pub weeks: f64,
    /// Variance of an hour's calls over their mean; at least 1.
    pub dispersion: f64,
}

/// Expected calls over the week: intercept and weights (26), of the logarithm of calls an hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve([f32; 1 + COLUMNS]);

impl Curve {
    /// Fits a curve; `None` for a week without calls.
    pub fn fit(week: &Week) -> Option<Self> {
        let seen: Vec<(usize, f64)> =
            week.hours.iter().enumerate().filter_map(|(hour, calls)| Some((hour, (*calls)?))).collect();
        let total: f64 = seen.iter().map(|(_, calls)| calls).sum();
        if total <= 0.0 || !total.is_finite() {
            return None;
        }
        let of_hour = |hour: usize| columns(hour >= WEEKDAY_HOURS, (hour % HOURS) as f64 + 0.5);
        let rows = seen.iter().flat_map(|(hour, _)| of_hour(*hour)).collect();
        let rows = Array2::from_shape_vec((seen.len(), COLUMNS), rows).ok()?;
        // Shares of the week: whatever the level, the first step of the solver is of the right size.
        let shares: Array1<f64> = seen.iter().map(|(_, calls)| calls / total).collect();
        let penalty = (week.dispersion / (total * week.weeks)).max(MIN_PENALTY);
        let regression = TweedieRegressor::params().power(POWER).link(Link::Log).alpha(penalty);
        let regression = regression.max_iter(MAX_ITERATIONS).tol(TOLERANCE);
        let fitted = regression.fit(&DatasetBase::new(rows, shares)).ok()?;
        let mut weights = [0.0; 1 + COLUMNS];
        let all = std::iter::once(fitted.intercept + total.ln()).chain(fitted.coef);
        weights.iter_mut().zip(all).for_each(|(weight, fitted)| *weight = fitted as f32);
        weights.iter().all(|weight| weight.is_finite()).then_some(Self(weights))
    }

    /// Calls expected in each bucket of the day (288): on weekdays, at weekends.
    pub fn cells(&self) -> [Vec<f64>; 2] {
        static COLUMNS_OF_CELLS: LazyLock<[Vec<[f64; COLUMNS]>; 2]> = LazyLock::new(|| {
            let hour = |cell: usize| (cell as f64 + 0.5) / BUCKETS_PER_HOUR as f64;
            [false, true].map(|is_weekend| (0..CELLS).map(|cell| columns(is_weekend, hour(cell))).collect())
        });
        COLUMNS_OF_CELLS.each_ref().map(|cells| cells.iter().map(|columns| self.at(columns)).collect())
    }

    /// Calls expected in a bucket with these columns.
    fn at(&self, columns: &[f64; COLUMNS]) -> f64 {
        let [intercept, weights @ ..] = &self.0;
        let sum: f64 = columns.iter().zip(weights).map(|(column, weight)| column * f64::from(*weight)).sum();
        (f64::from(*intercept) + sum).clamp(-MAX_LOG, MAX_LOG).exp() / BUCKETS_PER_HOUR as f64
    }
}

/// The columns of a time of day, in hours: each scaled by the prior deviation of its weight.
fn columns(is_weekend: bool, hour: f64) -> [f64; COLUMNS] {
    let mut columns = [0.0; COLUMNS];
    let (daily, at_weekends) = columns.split_at_mut(2 * HARMONICS);
    for (index, pair) in daily.chunks_exact_mut(2).enumerate() {
        let order = (index + 1) as f64;
        let (sine, cosine) = (TAU * order * hour / HOURS as f64).sin_cos();
        pair.copy_from_slice(&[sine / order, cosine / order]);
    }
    if is_weekend {
        at_weekends[0] = 1.0;
        at_weekends[1..].iter_mut().zip(daily).for_each(|(own, daily)| *own = WEEKEND_SHARE * *daily);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls of each hour of the week by `calls(is_weekend, hour of the day)`, seen in two weeks.
    fn week(calls: impl Fn(bool, usize) -> f64) -> Week {
        let hours = (0..WEEK_HOURS).map(|hour| Some(calls(hour >= WEEKDAY_HOURS, hour % HOURS))).collect();
        Week { hours, weeks: 2.0, dispersion: 1.0 }
    }

    #[test]
    fn a_busy_pair_has_the_curve_of_its_calls_by_day_and_at_weekends() {
        let smooth = |is_weekend, hour: usize| {
            let level = if is_weekend { 40.0 } else { 400.0 };
            level * (1.2 - (TAU * (hour as f64 + 0.5) / 24.0).cos())
        };
        let cells = Curve::fit(&week(smooth)).unwrap().cells();
        for (is_weekend, cells) in [false, true].into_iter().zip(&cells) {
            for hour in 0..HOURS {
                let (expected, calls): (f64, f64) =
                    (cells[12 * hour..12 * hour + 12].iter().sum(), smooth(is_weekend, hour));
                assert!((expected / calls - 1.0).abs() < 0.15, "{is_weekend} {hour}: {expected} for {calls}");
            }
        }
    }

    #[test]
    fn the_mean_of_a_curve_is_that_of_the_calls() {
        for level in [0.02, 3.0, 5e4] {
            let calls = |is_weekend, hour| if is_weekend || hour < 8 { 0.2 * level } else { level };
            let week = week(calls);
            let total: f64 = week.hours.iter().flatten().sum();
            let [weekday, weekend] = Curve::fit(&week).unwrap().cells().map(|cells| cells.iter().sum::<f64>());
            assert!(((5.0 * weekday + 2.0 * weekend) / total - 1.0).abs() < 0.02, "level {level}");
        }
    }

    #[test]
    fn the_fewer_calls_the_flatter_the_curve() {
        let range = |level: f64| {
            let curve = Curve::fit(&week(|_, hour| if hour == 9 { level } else { 0.0 })).unwrap();
            let [weekday, _] = curve.cells();
            weekday.iter().copied().fold(0.0, f64::max) / weekday.iter().copied().fold(f64::MAX, f64::min)
        };
        assert!(range(0.01) < 2.0 && range(0.01) < range(1.0) && range(1.0) < range(1e3));
    }

    #[test]
    fn odd_weeks_have_a_curve_or_none_and_always_an_end() {
        assert_eq!(Curve::fit(&week(|_, _| 0.0)), None);
        assert_eq!(Curve::fit(&week(|_, _| f64::NAN)), None);
        let seldom = |hour: usize| if hour == 3 { 1e9 } else { 0.0 };
        for odd in [week(|_, hour| seldom(hour)), week(|is_weekend, hour| if is_weekend { 0.0 } else { seldom(hour) })]
        {
            assert!(Curve::fit(&odd).unwrap().cells().iter().flatten().all(|calls| calls.is_finite()));
        }
        let mut one_day = week(|_, hour| hour as f64);
        one_day.hours[HOURS..].fill(None);
        assert!(Curve::fit(&one_day).is_some());
    }
}
