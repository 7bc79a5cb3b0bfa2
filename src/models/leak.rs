//! Slow leaks: a mean that is a little higher, hour after hour.
//!
//! A cumulative sum (Page, Biometrika 41, 1954) of hourly normal scores, prewhitened: what one hour carries over from the one
//! before is removed first (Alwan & Roberts, Journal of Business & Economic Statistics 6, 1988), or ordinary autocorrelation would add up like a leak.
//! Each hour is bounded, so no burst dominates. How far the sum drifts without a leak differs from pair to pair, so it is
//! compared with the largest sum of the pair's other days.
//!
//! Trailing windows find what is large within a day; this finds what is small for days.
//!
//! Not here: hourly means (`hourly`), and how unlikely a multiple of the largest sum is (`calibration`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::calls::QUANTITIES;

/// What can leak (1), as indices in [`QUANTITIES`]: bytes to the vendor.
pub const LEAKING: [usize; 1] = [0];
/// Names of the causes (1), in the order of [`LEAKING`].
pub const LEAKS: [&str; 1] = ["bytes_out_leak"];
/// Slack of the sum, in standard deviations of an hour's score, per hour: about half of the shift that it is to find.
const SLACK: f64 = 0.25;
/// Bound of one hour's score, in standard deviations.
const MAX_SCORE: f64 = 3.0;
/// Weight of no persistence when it is estimated, in hours; largest persistence, a correlation.
const PERSISTENCE_WEIGHT: f64 = 20.0;
const MAX_PERSISTENCE: f64 = 0.9;
/// Weight of the mean of all days when that of the earlier days is estimated, in calls.
const EARLIER_WEIGHT_CALLS: f64 = 50.0;
/// No pair is so steady that its largest sum is less than this, in standard deviations of an hour's score.
const MIN_PEAK: f64 = 6.0;
/// Smallest multiple of the largest sum of the history that is reported, dimensionless; smallest mean shift, in standard
/// deviations of a call.
const MIN_TIMES: f64 = 2.0;
const MIN_SHIFT: f64 = 0.04;

const _: () = assert!(LEAKING.len() <= QUANTITIES.len());

/// What was learned of one quantity of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LeakBaseline {
    /// Correlation of an hour's score with the one before, 0 to .9.
    pub persistence: f64,
    /// Largest sum of the history, in standard deviations of an hour's score.
    pub peak: f64,
}

/// The sum of one quantity, with what it is the sum of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LeakSum {
    /// Score of the hour before, in standard deviations.
    before: f64,
    /// The sum, in standard deviations of an hour's score.
    sum: f64,
    /// The shift that was reported, in standard deviations of a call: only what goes beyond it adds up.
    reported: f64,
    /// Hours, calls, and the sum of residuals (standard deviations of a call), since the sum was zero.
    hours: u32,
    calls: f64,
    residuals: f64,
}

/// A leak that is large enough to report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leak {
    /// Multiple of the largest sum of the history, dimensionless.
    pub times: f64,
    /// Hours with calls since it began, in hours.
    pub hours: u32,
    /// Mean shift since it began, in standard deviations of a call.
    pub shift: f64,
}

/// An hour's score, in standard deviations: its mean residual (standard deviations of a call) against what `calls` calls and the
/// pair's `dispersion` between hours allow.
fn score(mean: f64, calls: f64, dispersion: f64) -> f64 {
    (mean / (1.0 / calls.max(1.0) + dispersion).sqrt()).clamp(-MAX_SCORE, MAX_SCORE)
}

impl LeakSum {
    /// Adds an hour: its mean residual in standard deviations of a call, its calls, the pair's dispersion between hours
    /// (dimensionless) and the persistence of its score (a correlation). An hour without calls is no hour.
    pub fn add(&mut self, mean: f64, calls: f64, dispersion: f64, persistence: f64) {
        if calls <= 0.0 {
            return;
        }
        let mean = mean - self.reported;
        let score = score(mean, calls, dispersion);
        let innovation = (score - persistence * self.before) / (1.0 - persistence * persistence).sqrt();
        self.before = score;
        self.sum = (self.sum + innovation - SLACK).max(0.0);
        if self.sum > 0.0 {
            (self.hours, self.calls, self.residuals) =
                (self.hours + 1, self.calls + calls, self.residuals + mean * calls);
        } else {
            (self.hours, self.calls, self.residuals) = (0, 0.0, 0.0);
        }
    }

    /// The leak, if it is large enough to report.
    pub fn leak(&self, known: &LeakBaseline) -> Option<Leak> {
        let times = self.sum / known.peak.max(MIN_PEAK);
        let shift = self.residuals / self.calls.max(1.0);
        (times >= MIN_TIMES && shift >= MIN_SHIFT).then_some(Leak { times, hours: self.hours, shift })
    }

    /// Starts again from the level of a leak that was reported.
    pub fn report(&mut self, leak: &Leak) {
        *self = Self { reported: self.reported + leak.shift, ..Self::default() };
    }
}

/// Each hour (day, mean residual, calls) against the mean of the days before it. The mean of the whole history contains every
/// shift within it, as no baseline contains those to come: compared with it, a shift would hardly add up.
fn against_earlier(hours: &[(i64, f64, f64)]) -> Vec<(i64, f64, f64)> {
    let (mut earlier, mut today) = ((0.0, 0.0), (0.0, 0.0));
    let mut against = Vec::with_capacity(hours.len());
    for of_day in hours.chunk_by(|a, b| a.0 == b.0) {
        for (day, mean, calls) in of_day {
            let usual = earlier.0 / (earlier.1 + EARLIER_WEIGHT_CALLS);
            against.push((*day, mean - usual, *calls));
            today = (today.0 + mean * calls, today.1 + calls);
        }
        earlier = (earlier.0 + today.0, earlier.1 + today.1);
        today = (0.0, 0.0);
    }
    against
}

/// Learns from `hours` (n_hours, in order) of day, mean residual in standard deviations of a call, and calls; `dispersion` is the
/// pair's between hours, dimensionless. Also each day's largest sum as a multiple of the largest of the others (n_days).
pub fn learn(hours: &[(i64, f64, f64)], dispersion: f64) -> (LeakBaseline, Vec<f64>) {
    let hours = against_earlier(hours);
    let scores: Vec<f64> = hours.iter().map(|(_, mean, calls)| score(*mean, *calls, dispersion)).collect();
    let products: f64 = scores.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let squares: f64 = scores.iter().map(|score| score * score).sum();
    let persistence = (products / (squares + PERSISTENCE_WEIGHT)).clamp(0.0, MAX_PERSISTENCE);
    let mut sum = LeakSum::default();
    let mut largest: BTreeMap<i64, f64> = BTreeMap::new();
    for (day, mean, calls) in &hours {
        sum.add(*mean, *calls, dispersion, persistence);
        largest.entry(*day).and_modify(|most| *most = most.max(sum.sum)).or_insert(sum.sum);
    }
    let peak = largest.values().copied().fold(0.0, f64::max);
    let of_others = |day: i64| largest.iter().filter(move |(other, _)| **other != day).map(|(_, sum)| *sum);
    let times = |(day, sum): (&i64, &f64)| sum / of_others(*day).fold(MIN_PEAK, f64::max);
    (LeakBaseline { persistence, peak }, largest.iter().map(times).collect())
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    /// Hourly means of 100 calls with a dispersion of .01 that persists.
    fn hours(count: usize, shift: f64, seed: u64) -> Vec<(i64, f64, f64)> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut normal = move || (0..12).map(|_| random.r#gen::<f64>()).sum::<f64>() - 6.0;
        let mut level = 0.0;
        let hour = |hour: usize| {
            level = 0.5 * level + 0.087 * normal();
            (hour as i64 / 24, shift + level + 0.1 * normal(), 100.0)
        };
        (0..count).map(hour).collect()
    }

    fn first_leak(known: &LeakBaseline, hours: &[(i64, f64, f64)]) -> Option<usize> {
        let mut sum = LeakSum::default();
        hours.iter().position(|(_, mean, calls)| {
            sum.add(*mean, *calls, 0.01, known.persistence);
            sum.leak(known).is_some()
        })
    }

    #[test]
    fn a_tenth_of_a_deviation_for_days_is_a_leak_and_ordinary_persistence_is_none() {
        let (mut found, mut false_alarms) = (0, 0);
        for seed in 0..20 {
            let (known, _) = learn(&hours(14 * 24, 0.0, seed), 0.01);
            assert!((0.1..0.6).contains(&known.persistence), "{known:?}");
            found += usize::from(first_leak(&known, &hours(5 * 24, 0.12, 100 + seed)).is_some());
            false_alarms += usize::from(first_leak(&known, &hours(5 * 24, 0.0, 200 + seed)).is_some());
        }
        assert!(found >= 17 && false_alarms <= 2, "found {found}, false alarms {false_alarms} of 20");
    }

    #[test]
    fn a_history_that_shifts_itself_knows_that_shifts_happen() {
        let shifting: Vec<_> =
            hours(14 * 24, 0.0, 3).into_iter().map(|(day, mean, n)| (day, mean + 0.05 * (day / 4) as f64, n)).collect();
        let (steady, _) = learn(&hours(14 * 24, 0.0, 3), 0.01);
        let (known, _) = learn(&shifting, 0.01);
        assert!(known.peak > 1.5 * steady.peak, "{known:?} {steady:?}");
    }

    #[test]
    fn one_absurd_hour_is_no_leak() {
        let (known, _) = learn(&hours(14 * 24, 0.0, 1), 0.01);
        let mut sum = LeakSum::default();
        sum.add(1e9, 1e9, 0.01, known.persistence);
        assert_eq!(sum.leak(&known), None);
    }
}
