//! Model drift: whether what was learned still fits what comes in.
//!
//! Textbook drift tests fire on any traffic whose hours differ in level. Here the inputs are compared with their own history: each
//! pair's day has a p-value, and under the model p-values are uniform (the probability integral transform as a check of
//! calibration: Dawid, JRSS A 147, 1984), so one pair in ten has a day below .1. Where three in ten do, it is not the pairs that
//! are odd; the model is out of date.
//!
//! Not here: following slowly (`adaptation`), and training again (`train`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::features::Entity;
use crate::rollup::day_of;

/// P-value below which a pair's day is unusual; where the model fits, so is this share of the pairs' days.
const UNUSUAL: f64 = 0.1;
/// Share of the pairs, 0 to 1, whose day is unusual, from which on the model does not fit; fewest pairs that it is computed from.
const MISFIT_SHARE: f64 = 0.3;
const MIN_PAIRS: usize = 10;

/// The current day: the smallest p-value of each pair, and the statistic that it comes from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ModelDrift {
    /// Days since the epoch.
    day: i64,
    pairs: BTreeMap<Entity, (f64, String)>,
}

/// A day on which the model did not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    /// Number of pairs that called.
    pub pairs: usize,
    /// Number of pairs whose day was unusual.
    pub odd: usize,
    /// Statistics that moved (n_statistics), each with its number of pairs, the most pairs first.
    pub moved: Vec<(String, usize)>,
}

impl ModelDrift {
    /// Ends the day before, if `bucket` opens a new one; reports it where the model did not fit.
    pub fn turn(&mut self, bucket: i64) -> Option<Misfit> {
        let today = day_of(bucket);
        if today == self.day {
            return None;
        }
        let before = std::mem::replace(self, Self { day: today, pairs: BTreeMap::new() });
        before.misfit()
    }

    /// Records the p-value of a pair's day so far, 0 to 1, and the statistic that it comes from.
    pub fn note(&mut self, pair: &Entity, p_value: f64, statistic: &str) {
        match self.pairs.get_mut(pair) {
            Some((least, owed)) if p_value < *least => {
                *least = p_value;
                statistic.clone_into(owed);
            }
            Some(_) => {}
            None => {
                self.pairs.insert(pair.clone(), (p_value, statistic.to_owned()));
            }
        }
    }

    fn misfit(self) -> Option<Misfit> {
        let pairs = self.pairs.len();
        let odd: Vec<String> =
            self.pairs.into_values().filter(|(p_value, _)| *p_value < UNUSUAL).map(|(_, owed)| owed).collect();
        if pairs < MIN_PAIRS || (odd.len() as f64) < MISFIT_SHARE * pairs as f64 {
            return None;
        }
        let mut moved: BTreeMap<String, usize> = BTreeMap::new();
        odd.iter().for_each(|statistic| *moved.entry(statistic.clone()).or_default() += 1);
        let mut moved: Vec<(String, usize)> = moved.into_iter().collect();
        moved.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Some(Misfit { pairs, odd: odd.len(), moved })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::View;
    use crate::rollup::BUCKETS_PER_DAY;

    fn day_with(odd: usize) -> Option<Misfit> {
        let mut model_drift = ModelDrift::default();
        for index in 0..20 {
            let pair = Entity::pair(View::Egress, &format!("caller-{index}"), "stripe");
            model_drift.note(&pair, 0.7, "bytes_in");
            model_drift.note(&pair, if index < odd { 0.01 } else { 0.4 }, "latency");
        }
        model_drift.turn(BUCKETS_PER_DAY)
    }

    #[test]
    fn a_few_unusual_pairs_are_unusual_and_many_are_an_old_model() {
        assert_eq!(day_with(4), None);
        assert_eq!(day_with(7), Some(Misfit { pairs: 20, odd: 7, moved: vec![("latency".to_owned(), 7)] }));
    }
}
