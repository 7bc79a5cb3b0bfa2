//! How well scores rank attacks above harmless records, independent of a threshold.
//!
//! Not here: what a team sees at its budget, which matters more and follows from alerts (`evaluate`).

use std::cmp::Ordering;

use serde::Serialize;

use super::labels::{LabelledRecord, Truth};

/// How well scores rank records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// Attack records with a score.
    pub attacks: usize,
    /// Harmless records with a score.
    pub benign: usize,
    /// Records of either kind that no score is known of: they count neither way.
    pub unscored: usize,
    /// Area under the ROC curve.
    pub auroc: Option<f64>,
    /// Average precision.
    pub average_precision: Option<f64>,
}

/// Judges scores, higher is stranger, by what the records are known to be. `score` gives that of a record's id.
pub fn rank(records: &[LabelledRecord], score: impl Fn(&str) -> Option<f64>) -> Ranking {
    let known = records.iter().filter(|record| record.truth != Truth::Ignored);
    let (scored, unscored): (Vec<_>, Vec<_>) =
        known.map(|record| (score(&record.id), record.truth == Truth::Attack)).partition(|(score, _)| score.is_some());
    let scored: Vec<(f64, bool)> = scored.into_iter().filter_map(|(score, attack)| Some((score?, attack))).collect();
    let attacks = scored.iter().filter(|(_, attack)| *attack).count();
    Ranking {
        attacks,
        benign: scored.len() - attacks,
        unscored: unscored.len(),
        auroc: auroc(&scored),
        average_precision: average_precision(&scored),
    }
}

/// The chance that an attack scores higher than a harmless record, a tie counting half (Mann and Whitney 1947): the area under
/// the ROC curve. From pairs of a score and whether it is an attack; `None` without any attack or without any harmless record.
pub fn auroc(scored: &[(f64, bool)]) -> Option<f64> {
    let (mut attacks_above, mut benign_total, mut won) = (0.0, 0.0, 0.0);
    for (attacks, benign) in levels(scored) {
        won += benign * (attacks_above + attacks / 2.0);
        attacks_above += attacks;
        benign_total += benign;
    }
    let pairs = attacks_above * benign_total;
    (pairs > 0.0).then(|| won / pairs)
}

/// Mean precision at each attack, from the highest score down; what ties is taken in at once, so the order of the input does not
/// matter. From pairs of a score and whether it is an attack; `None` without any attack.
pub fn average_precision(scored: &[(f64, bool)]) -> Option<f64> {
    let (mut attacks_so_far, mut all_so_far, mut sum) = (0.0, 0.0, 0.0);
    for (attacks, benign) in levels(scored) {
        attacks_so_far += attacks;
        all_so_far += attacks + benign;
        sum += attacks * attacks_so_far / all_so_far;
    }
    (attacks_so_far > 0.0).then(|| sum / attacks_so_far)
}

/// Attacks and harmless records at each score, the highest first. A score that is no number is the lowest.
fn levels(scored: &[(f64, bool)]) -> Vec<(f64, f64)> {
    let order =
        |(a, _): &(f64, bool), (b, _): &(f64, bool)| b.partial_cmp(a).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
    let mut sorted = scored.to_vec();
    sorted.sort_by(order);
    sorted
        .chunk_by(|a, b| order(a, b) == Ordering::Equal)
        .map(|level| {
            let attacks = level.iter().filter(|(_, attack)| *attack).count();
            (attacks as f64, (level.len() - attacks) as f64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const RANKED: [(f64, bool); 5] = [(5.0, true), (4.0, false), (3.0, true), (2.0, false), (1.0, false)];

    fn close(value: Option<f64>, expected: f64) {
        assert!(value.is_some_and(|value| (value - expected).abs() < 1e-12), "{value:?} for {expected}");
    }

    #[test]
    fn both_agree_with_values_computed_by_hand() {
        // The first attack beats three harmless records, the second two: 5 of 6 pairs. Precision is 1/1, then 2/3.
        close(auroc(&RANKED), 5.0 / 6.0);
        close(average_precision(&RANKED), (1.0 + 2.0 / 3.0) / 2.0);
    }

    #[test]
    fn a_tie_is_half_a_win_and_is_taken_in_at_once_in_any_order() {
        let mut tied = [(2.0, true), (2.0, false), (1.0, true), (1.0, false)];
        for _ in 0..2 {
            // Won: 1/2 and 1 by the first attack, 0 and 1/2 by the second, of 4 pairs. Precision is 1/2 at both levels.
            close(auroc(&tied), 0.5);
            close(average_precision(&tied), 0.5);
            tied.reverse();
        }
    }

    #[test]
    fn nothing_is_claimed_without_both_kinds() {
        assert_eq!(auroc(&[(1.0, true)]), None);
        assert_eq!(auroc(&[(1.0, false)]), None);
        assert_eq!(average_precision(&[(1.0, false)]), None);
    }

    #[test]
    fn a_score_that_is_no_number_is_the_least_strange() {
        let scored = [(f64::NAN, false), (f64::NEG_INFINITY, true), (-f64::NAN, false)];
        close(auroc(&scored), 1.0);
    }

    #[test]
    fn records_without_a_score_or_a_truth_count_neither_way() {
        let record = |id: &str, truth| LabelledRecord { id: id.to_string(), truth };
        let records = [
            record("9", Truth::Attack),
            record("5", Truth::Benign),
            record("99", Truth::Ignored),
            record("unseen", Truth::Attack),
        ];
        let ranking = rank(&records, |id| id.parse().ok());
        assert_eq!((ranking.attacks, ranking.benign, ranking.unscored), (1, 1, 1));
        assert_eq!(ranking.auroc, Some(1.0));
    }

    /// Few different scores, so that ties are common.
    fn any_scored() -> impl Strategy<Value = Vec<(f64, bool)>> {
        vec(((0..6_u8).prop_map(f64::from), any::<bool>()), 1..40)
    }

    /// The definition, pair by pair.
    fn auroc_by_pairs(scored: &[(f64, bool)]) -> Option<f64> {
        let of = |kind: bool| scored.iter().filter(move |(_, attack)| *attack == kind).map(|(score, _)| *score);
        let wins = of(true).flat_map(|attack| {
            of(false).map(move |benign| match attack.partial_cmp(&benign) {
                Some(Ordering::Greater) => 1.0,
                Some(Ordering::Equal) => 0.5,
                _ => 0.0,
            })
        });
        let wins: Vec<f64> = wins.collect();
        (!wins.is_empty()).then(|| wins.iter().sum::<f64>() / wins.len() as f64)
    }

    proptest! {
        #[test]
        fn auroc_is_the_share_of_pairs_in_the_right_order(scored in any_scored()) {
            match (auroc(&scored), auroc_by_pairs(&scored)) {
                (Some(area), Some(expected)) => prop_assert!((area - expected).abs() < 1e-12, "{area} for {expected}"),
                (area, expected) => prop_assert_eq!(area, expected),
            }
        }

        #[test]
        fn only_the_order_of_scores_counts_and_not_that_of_records(scored in any_scored(), turn in 0..40_usize) {
            let mut other: Vec<(f64, bool)> = scored.iter().map(|(score, attack)| (score.exp() - 7.0, *attack)).collect();
            let length = other.len();
            other.rotate_left(turn % length);
            prop_assert_eq!(auroc(&scored), auroc(&other));
            prop_assert_eq!(average_precision(&scored), average_precision(&other));
        }

        #[test]
        fn average_precision_lies_between_the_share_of_attacks_below_it_and_one(scored in any_scored()) {
            let attacks = scored.iter().filter(|(_, attack)| *attack).count();
            let precision = average_precision(&scored);
            prop_assert_eq!(precision.is_some(), attacks > 0);
            // At worst all harmless records come first: the sum over k of k/(benign + k).
            let benign = scored.len() - attacks;
            let worst = (1..=attacks).map(|k| k as f64 / (benign + k) as f64).sum::<f64>() / attacks.max(1) as f64;
            let bounds = worst - 1e-9..=1.0 + 1e-9;
            prop_assert!(precision.is_none_or(|precision| bounds.contains(&precision)), "{precision:?}, at worst {worst}");
        }
    }
}
