//! Silence: calls that were expected and did not come.
//!
//! A pair is silent for as many calls as its clock expects since it was heard last: a night's quiet is none, ten minutes in
//! the busiest hour are. How long a silence is unusual is the pair's own matter (jobs skip a beat, pollers never do), so a
//! silence is measured against the longest of the pair's other days; what is left over is one number that all pairs share a
//! tail of.
//!
//! Not here: who fell silent together, and whose fault it is (`detect`).

use std::collections::BTreeMap;

use super::seasonality::{Seasonality, Span};

/// Calls of shrinkage of a pair's level to its usual one.
const LEVEL_WEIGHT: f64 = 2.0;
/// No pair is so regular that fewer expected calls than this are its longest silence.
const MIN_LONGEST: f64 = 4.0;
/// Times the longest silence from which one is worth telling.
const MIN_TIMES: f64 = 2.0;

/// Expected calls that a pair, heard last in bucket `heard`, has not made up to the end of `bucket`; at most a day's.
pub fn missed_calls(clock: &Seasonality, heard: i64, bucket: i64) -> f64 {
    clock.expected(bucket, bucket - heard)
}

/// The same, where the pair has called less than usual over the hours before: on a holiday nobody waits for as many.
/// `called` and `expected` are the calls of a window up to `bucket`.
pub fn at_level(missed: f64, called: f64, expected: f64) -> f64 {
    let before = (expected - missed).max(0.0);
    missed * ((called + LEVEL_WEIGHT) / (before + LEVEL_WEIGHT)).min(1.0)
}

/// How many times longer a silence is than the pair's longest.
pub fn times_longest(missed: f64, longest: f64) -> f64 {
    missed / longest.max(MIN_LONGEST)
}

/// Whether a silence is long enough to be worth anybody's time.
pub fn is_worth_telling(times: f64) -> bool {
    times >= MIN_TIMES
}

/// The longest silence of each fold, in expected calls, of a pair that called in `calls` (bucket and calls, in order).
/// `seasonality_of` is the clock that a fold is judged by.
pub fn longest_by_fold(
    calls: &[(i64, i64)],
    span: Span,
    mut seasonality_of: impl FnMut(i64) -> Option<Seasonality>,
) -> BTreeMap<i64, f64> {
    let mut longest: BTreeMap<i64, f64> = BTreeMap::new();
    let mut clock: Option<(i64, Option<Seasonality>)> = None;
    let ends = calls.iter().skip(1).map(|(bucket, _)| bucket - 1).chain(std::iter::once(span.last));
    for ((heard, _), last) in calls.iter().zip(ends) {
        for fold in span.fold_of(heard + 1)..=span.fold_of(last) {
            if clock.as_ref().is_none_or(|(of, _)| *of != fold) {
                clock = Some((fold, seasonality_of(fold)));
            }
            let Some((_, Some(clock))) = &clock else { continue };
            let missed = missed_calls(clock, *heard, last.min((fold + 1) * span.fold_buckets() - 1));
            longest.entry(fold).and_modify(|most| *most = most.max(missed)).or_insert(missed);
        }
    }
    longest
}

/// Each fold's longest silence against the longest of the pair's other folds.
pub fn times_by_fold(longest: &BTreeMap<i64, f64>) -> impl Iterator<Item = f64> {
    let others = |fold: i64| longest.iter().filter(move |(other, _)| **other != fold).map(|(_, missed)| *missed);
    longest.iter().map(move |(fold, missed)| times_longest(*missed, others(*fold).fold(0.0, f64::max)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::BUCKETS_PER_DAY;

    const SPAN: Span = Span { first: 0, last: 14 * BUCKETS_PER_DAY - 1 };

    /// Five calls a bucket by day, none by night.
    fn by_day(bucket: i64) -> i64 {
        if (108..228).contains(&bucket.rem_euclid(BUCKETS_PER_DAY)) { 5 } else { 0 }
    }

    fn calls(skip: std::ops::Range<i64>) -> Vec<(i64, i64)> {
        let all = (SPAN.first..=SPAN.last).map(|bucket| (bucket, by_day(bucket)));
        all.filter(|(bucket, calls)| *calls > 0 && !skip.contains(bucket)).collect()
    }

    #[test]
    fn a_night_is_no_silence_and_an_hour_of_the_day_is() {
        let clock = Seasonality::fit(&calls(0..0), SPAN, None);
        let evening = 228 + 5 * BUCKETS_PER_DAY;
        assert!(missed_calls(&clock, evening, evening + 60) < 5.0);
        let noon = 144 + 5 * BUCKETS_PER_DAY;
        assert!(missed_calls(&clock, noon, noon + 12) > 50.0);
    }

    #[test]
    fn a_day_with_a_gap_stands_out_from_the_pairs_other_days() {
        let gap = 3 * BUCKETS_PER_DAY + 140..3 * BUCKETS_PER_DAY + 150;
        let calls = calls(gap);
        let longest = longest_by_fold(&calls, SPAN, |day| Some(Seasonality::fit(&calls, SPAN, Some(day))));
        let times: Vec<f64> = times_by_fold(&longest).collect();
        let most = times.iter().copied().fold(0.0, f64::max);
        assert!(most > 5.0 && times.iter().filter(|times| **times > 1.5).count() == 1, "{times:?}");
    }

    #[test]
    fn on_a_holiday_nobody_waits_for_as_many_calls() {
        assert!((at_level(10.0, 60.0, 70.0) - 10.0).abs() < 1e-9);
        assert!(at_level(30.0, 1.0, 60.0) < 4.0);
    }

    #[test]
    fn a_pair_that_skips_a_beat_each_day_is_not_silent_when_it_does_again() {
        assert!(!is_worth_telling(times_longest(30.0, 28.0)));
        assert!(is_worth_telling(times_longest(60.0, 28.0)));
        assert!(!is_worth_telling(times_longest(3.0, 0.0)));
    }
}
