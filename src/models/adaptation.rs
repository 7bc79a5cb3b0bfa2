//! Adaptation: how a baseline follows its entity between trainings.
//!
//! Exponential smoothing (Brown 1959) of hourly means: half of a shift is followed in two weeks, within bounds, and frozen during
//! an open incident, so that an attacker cannot train the baseline. A shift that was reported for a whole day is a level, not an
//! event: from then on only what goes beyond it is new.
//!
//! Not here: whether an incident is open (`alerts`), and whether the whole model is out of date (`model_drift`).

use serde::{Deserialize, Serialize};

use super::hourly::Means;
use super::statistic::{Kind, Observation};
use crate::calls::QUANTITIES;

/// Half-life of a shift, in hours with calls: two weeks.
const HALF_LIFE_HOURS: f64 = 14.0 * 24.0;
/// Farthest that a mean is followed, in standard deviations of a call.
const MAX_OFFSET: f64 = 0.5;
/// Calls of an hour at which its mean has half of the full weight.
const HALF_WEIGHT_CALLS: f64 = 20.0;
/// How long a shift is reported before it is the new level, and after which quiet time a level is forgotten; microseconds.
const LEVEL_AFTER: i64 = 24 * 3_600_000_000;
const FORGOTTEN_AFTER: i64 = 7 * LEVEL_AFTER;
/// How far beyond a level is new: of a mean in standard deviations of a call, of a count as ln of the ratio.
const BEYOND_MEAN: f64 = 0.5;
const BEYOND_COUNT: f64 = std::f64::consts::LN_2;

/// How far the means of an entity have moved since training: (3, in `QUANTITIES` order), in standard deviations of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Adaptation([f64; QUANTITIES.len()]);

impl Adaptation {
    /// Follows an hour.
    pub fn follow(&mut self, hour: &Means) {
        let pace = 1.0 - (-std::f64::consts::LN_2 / HALF_LIFE_HOURS).exp();
        for ((offset, mean), calls) in self.0.iter_mut().zip(hour.means).zip(hour.counts) {
            let weight = calls / (calls + HALF_WEIGHT_CALLS);
            let step = pace * weight * (mean.clamp(-1.0, 1.0) - *offset);
            *offset = (*offset + step).clamp(-MAX_OFFSET, MAX_OFFSET);
        }
    }

    /// How far the mean of a quantity (index in `QUANTITIES`) has moved, in standard deviations of a call.
    pub fn offset(&self, quantity: usize) -> f64 {
        self.0.get(quantity).copied().unwrap_or_default()
    }

    /// An observation of the mean of a quantity (index in `QUANTITIES`), relative to where the mean is by now.
    pub fn applied(&self, seen: Observation, quantity: usize) -> Observation {
        Observation { observed: seen.observed - self.offset(quantity) * seen.against, ..seen }
    }
}

/// A shift of one statistic of one entity that is being reported.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// First and last report, microseconds since the epoch.
    since: i64,
    last: i64,
    /// Largest effect so far: of a mean in standard deviations of a call, of a count as ln of the ratio.
    effect: f64,
}

impl Shift {
    /// A shift that is reported for the first time at `time` (microseconds since the epoch). The effect is in standard deviations of
    /// a call for a mean, ln of the ratio for a count.
    pub fn begun(time: i64, effect: f64) -> Self {
        Self { since: time, last: time, effect }
    }

    /// Reported again, at `time` in microseconds since the epoch, the effect in the unit of [`Shift::begun`].
    pub fn goes_on(&mut self, time: i64, effect: f64) {
        if time - self.last > LEVEL_AFTER && !self.is_level() {
            *self = Self::begun(time, effect);
            return;
        }
        self.last = time;
        if effect.abs() > self.effect.abs() || effect.signum() != self.effect.signum() {
            self.effect = effect;
        }
    }

    fn is_level(&self) -> bool {
        self.last - self.since >= LEVEL_AFTER
    }

    /// Whether an effect at `time` (units as of [`Shift::begun`]) is no more than the level that was already reported.
    pub fn explains(&mut self, kind: Kind, effect: f64, time: i64) -> bool {
        if !self.is_level() || effect.signum() != self.effect.signum() {
            return false;
        }
        let beyond = if matches!(kind, Kind::Mean(..) | Kind::Largest(..)) { BEYOND_MEAN } else { BEYOND_COUNT };
        let explains = effect.abs() <= self.effect.abs() + beyond;
        if explains && effect.abs() >= self.effect.abs() / 2.0 {
            self.last = self.last.max(time);
        }
        explains
    }

    /// Whether it ended so long before `time` (microseconds since the epoch) that it would be new again.
    pub fn is_forgotten(&self, time: i64) -> bool {
        time - self.last > if self.is_level() { FORGOTTEN_AFTER } else { LEVEL_AFTER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Column;

    const MEAN: Kind = Kind::Mean(Column::BytesOutResidual, Column::BytesOutCount);
    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn half_of_a_shift_is_followed_in_two_weeks_and_no_more_than_half_a_deviation_ever() {
        let hour = |mean: f64| Means { hour: 0, means: [mean; 3], counts: [1e6; 3] };
        let mut adaptation = Adaptation::default();
        (0..14 * 24).for_each(|_| adaptation.follow(&hour(0.2)));
        assert!((adaptation.offset(0) - 0.1).abs() < 0.01);
        (0..10_000).for_each(|_| adaptation.follow(&hour(5.0)));
        assert_eq!(adaptation.offset(0), MAX_OFFSET);
        let seen = Observation { observed: 50.0, against: 100.0, ..Observation::default() };
        assert_eq!(adaptation.applied(seen, 0).observed, 0.0);
    }

    #[test]
    fn a_shift_reported_for_a_day_is_the_level_and_only_more_is_new() {
        let mut shift = Shift::begun(0, 0.8);
        assert!(!shift.explains(MEAN, 0.8, HOUR));
        (1..=24).for_each(|hour| shift.goes_on(hour * HOUR, 0.8));
        assert!(shift.explains(MEAN, 0.9, 25 * HOUR));
        assert!(!shift.explains(MEAN, 1.5, 25 * HOUR), "more than that");
        assert!(!shift.explains(MEAN, -0.8, 25 * HOUR), "the other way");
    }

    #[test]
    fn a_shift_that_ended_before_it_was_a_level_begins_anew() {
        let mut shift = Shift::begun(0, 0.8);
        shift.goes_on(30 * HOUR, 0.8);
        assert!(!shift.explains(MEAN, 0.8, 30 * HOUR));
        assert!(!shift.is_forgotten(31 * HOUR) && shift.is_forgotten(60 * HOUR));
    }
}
