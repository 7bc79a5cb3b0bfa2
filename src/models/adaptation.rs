//! Adaptation: how a baseline follows its entity between trainings.
//!
//! Slowly (half of a shift in two weeks), within bounds, and not while an incident about the entity goes on: whoever is told
//! of cannot teach. A shift that was told for a whole day is a level, not an event: from then on only what goes beyond it is
//! news.

use serde::{Deserialize, Serialize};

use super::hourly::Means;
use super::statistic::{Kind, Observation};
use crate::calls::QUANTITIES;

/// Hours with calls in which half of a shift is followed: two weeks.
const HALF_LIFE_HOURS: f64 = 14.0 * 24.0;
/// Farthest that a mean is followed, in deviations of a call.
const MAX_OFFSET: f64 = 0.5;
/// Calls of an hour at which its mean counts half.
const HALF_WEIGHT_CALLS: f64 = 20.0;
/// How long a shift is told before it is the new level, and after which quiet time it is forgotten; microseconds.
const LEVEL_AFTER: i64 = 24 * 3_600_000_000;
const FORGOTTEN_AFTER: i64 = 7 * LEVEL_AFTER;
/// What goes beyond a level: deviations of a call of a mean, ln of the ratio of counts.
const BEYOND_MEAN: f64 = 0.5;
const BEYOND_COUNT: f64 = std::f64::consts::LN_2;

/// How far the means of an entity have moved since training, in deviations of a call, in `QUANTITIES` order.
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

    /// How far the mean of a quantity has moved.
    pub fn offset(&self, quantity: usize) -> f64 {
        self.0.get(quantity).copied().unwrap_or_default()
    }

    /// An observation of a quantity's mean, against where the mean is by now.
    pub fn applied(&self, seen: Observation, quantity: usize) -> Observation {
        Observation { observed: seen.observed - self.offset(quantity) * seen.against, ..seen }
    }
}

/// A shift of one statistic of one entity that is being told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    since: i64,
    last: i64,
    effect: f64,
}

impl Shift {
    /// A shift that is told for the first time.
    pub fn begun(time: i64, effect: f64) -> Self {
        Self { since: time, last: time, effect }
    }

    /// Told again.
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

    /// Whether an observation is no more than the level that it was told to be.
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

    /// Whether it is over, and so long ago that it would be news again.
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
    fn a_shift_told_for_a_day_is_the_level_and_only_more_is_news() {
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
