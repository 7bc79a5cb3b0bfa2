//! ModelDrift: whether what was learned still fits what comes in.
//!
//! Textbook drift tests fire on any traffic that wanders. Here the inputs are held against their own history: each pair's day
//! has a p-value, learned from days like it, and one pair in ten should have a day below .1. Where three in ten do, it is not
//! the pairs that are odd; it is the model that is old.
//!
//! Not here: following slowly (`adaptation`), and learning anew (`train`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::features::Entity;
use crate::rollup::day_of;

/// A day of a pair is out of the ordinary below this p-value; so is this share of pairs, where the model fits.
const ORDINARY: f64 = 0.1;
/// Share of the pairs with such a day from which the model no longer fits, and fewest pairs that can tell.
const MISFIT_SHARE: f64 = 0.3;
const MIN_PAIRS: usize = 10;

/// The day that goes on: the smallest p-value of each pair, and the statistic that it is owed to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ModelDrift {
    day: i64,
    pairs: BTreeMap<Entity, (f64, String)>,
}

/// A day on which the model did not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    /// Pairs that called.
    pub pairs: usize,
    /// Pairs whose day was out of the ordinary.
    pub odd: usize,
    /// Statistics that moved, with the number of pairs, most first.
    pub moved: Vec<(String, usize)>,
}

impl ModelDrift {
    /// Ends the day before, when `bucket` opens a new one.
    pub fn turn(&mut self, bucket: i64) -> Option<Misfit> {
        let today = day_of(bucket);
        if today == self.day {
            return None;
        }
        let before = std::mem::replace(self, Self { day: today, pairs: BTreeMap::new() });
        before.misfit()
    }

    /// Notes the p-value of a pair's day so far, and the statistic that it is owed to.
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
            self.pairs.into_values().filter(|(p_value, _)| *p_value < ORDINARY).map(|(_, owed)| owed).collect();
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
        for place in 0..20 {
            let pair = Entity::pair(View::Egress, &format!("caller-{place}"), "stripe");
            model_drift.note(&pair, 0.7, "bytes_in");
            model_drift.note(&pair, if place < odd { 0.01 } else { 0.4 }, "latency");
        }
        model_drift.turn(BUCKETS_PER_DAY)
    }

    #[test]
    fn a_few_odd_pairs_are_odd_and_many_are_an_old_model() {
        assert_eq!(day_with(4), None);
        assert_eq!(day_with(7), Some(Misfit { pairs: 20, odd: 7, moved: vec![("latency".to_owned(), 7)] }));
    }
}
