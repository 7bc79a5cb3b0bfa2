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

/// A day of a pair is out of the ordinary below this p-value; so is this share of pairs, where the model fits.
const UNUSUAL: f64 = 0.1;
/// Share of the pairs with such a day from which the model no longer fits, and fewest pairs that can tell.
const MISFIT_SHARE: f64 = 0.3;
const MIN_PAIRS: usize = 10;

/// How ordinary a pair's day is so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairDay {
    /// Smallest p-value.
    p_value: f64,
    /// The statistic that it is owed to, as an index in `STATISTICS`; `None` where nothing stood out.
    statistic: Option<usize>,
}

impl PairDay {
    /// Notes the p-value of a pair's windows at the end of a bucket, and the statistic that it is owed to.
    pub fn note(day: &mut Option<Self>, p_value: f64, statistic: Option<usize>) {
        if day.is_none_or(|known| p_value < known.p_value) {
            *day = Some(Self { p_value, statistic });
        }
    }
}

/// A day on which the model did not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    /// Number of pairs that called.
    pub pairs: usize,
    /// Number of pairs whose day was unusual.
    pub odd: usize,
    /// Statistics that moved, as indices in `STATISTICS`, with the number of pairs, most first.
    pub moved: Vec<(usize, usize)>,
}

impl Misfit {
    /// What a day's pairs say of the model; `None` where it fits, or too few pairs called to tell.
    pub fn of(days: impl Iterator<Item = PairDay>) -> Option<Self> {
        let (mut pairs, mut odd) = (0_usize, 0);
        let mut moved: BTreeMap<usize, usize> = BTreeMap::new();
        for day in days {
            pairs += 1;
            if day.p_value < UNUSUAL {
                odd += 1;
                if let Some(statistic) = day.statistic {
                    *moved.entry(statistic).or_default() += 1;
                }
            }
        }
        if pairs < MIN_PAIRS || (odd as f64) < MISFIT_SHARE * pairs as f64 {
            return None;
        }
        let mut moved: Vec<(usize, usize)> = moved.into_iter().collect();
        moved.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Some(Self { pairs, odd, moved })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day_with(odd: usize) -> Option<Misfit> {
        Misfit::of((0..20).map(|index| {
            let mut day = None;
            PairDay::note(&mut day, 0.7, Some(2));
            PairDay::note(&mut day, if index < odd { 0.01 } else { 0.4 }, Some(3));
            day.unwrap()
        }))
    }

    #[test]
    fn a_few_unusual_pairs_are_unusual_and_many_are_an_old_model() {
        assert_eq!(day_with(4), None);
        assert_eq!(day_with(7), Some(Misfit { pairs: 20, odd: 7, moved: vec![(3, 7)] }));
    }
}
