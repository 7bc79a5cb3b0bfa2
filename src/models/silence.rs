//! Silence: calls that were expected and did not come.
//!
//! Silence is measured in missed expected calls, not in time: an idle night costs nothing, ten idle minutes at peak cost a lot.
//! That is the time change that turns a Poisson process with a daily rate into one of rate 1 (Çinlar, Introduction to Stochastic
//! Processes, 1975, section 4.7). How long a silence is unusual differs from pair to pair (jobs skip a run, pollers never do), so
//! a silence is compared with the longest of the pair's other days; the multiple has one tail for all pairs.
//!
//! Not here: which pairs fell silent together, and who caused it (`detect`).

use std::collections::BTreeMap;

use super::seasonality::{Seasonality, Span};

/// Weight of the pair's usual level when that of the hours before is estimated, in calls.
const LEVEL_WEIGHT: f64 = 2.0;
/// No pair is so regular that its longest silence is shorter than this, in expected calls.
const MIN_LONGEST: f64 = 4.0;
/// Smallest multiple of the longest silence that is reported, dimensionless.
const MIN_TIMES: f64 = 2.0;

/// Expected calls that a pair, last seen in bucket `last_seen`, has missed up to the end of `bucket`; at most those of a day.
pub fn missed_calls(seasonality: &Seasonality, last_seen: i64, bucket: i64) -> f64 {
    seasonality.expected(bucket, bucket - last_seen)
}

/// Missed calls, scaled down where the pair has called less than usual over the hours before: on a holiday fewer calls are
/// expected. `called` and `expected` are the calls made and expected in a window that ends now, the silence included.
pub fn at_level(missed: f64, called: f64, expected: f64) -> f64 {
    let before = (expected - missed).max(0.0);
    missed * ((called + LEVEL_WEIGHT) / (before + LEVEL_WEIGHT)).min(1.0)
}

/// A silence as a multiple of the pair's longest, dimensionless, from both in expected calls.
pub fn times_longest(missed: f64, longest: f64) -> f64 {
    missed / longest.max(MIN_LONGEST)
}

/// Whether a silence is long enough to report: `times` is the multiple of the pair's longest.
pub fn is_reportable(times: f64) -> bool {
    times >= MIN_TIMES
}

/// The longest silence of each fold, in expected calls by fold, of a pair that called in `calls` (n_buckets of bucket and calls,
/// in order). `seasonality_of` gives the seasonality that a fold is judged by; a fold without one has no silence.
pub fn longest_by_fold(
    calls: &[(i64, i64)],
    span: Span,
    mut seasonality_of: impl FnMut(i64) -> Option<Seasonality>,
) -> BTreeMap<i64, f64> {
    let mut longest: BTreeMap<i64, f64> = BTreeMap::new();
    let mut seasonality: Option<(i64, Option<Seasonality>)> = None;
    let ends = calls.iter().skip(1).map(|(bucket, _)| bucket - 1).chain(std::iter::once(span.last));
    for ((last_seen, _), last) in calls.iter().zip(ends) {
        for fold in span.fold_of(last_seen + 1)..=span.fold_of(last) {
            if seasonality.as_ref().is_none_or(|(of, _)| *of != fold) {
                seasonality = Some((fold, seasonality_of(fold)));
            }
            let Some((_, Some(seasonality))) = &seasonality else { continue };
            let missed = missed_calls(seasonality, *last_seen, last.min((fold + 1) * span.fold_buckets() - 1));
            longest.entry(fold).and_modify(|most| *most = most.max(missed)).or_insert(missed);
        }
    }
    longest
}

/// Each fold's longest silence (expected calls, by fold) as a multiple of the longest of the pair's other folds (n_folds).
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
        let seasonality = Seasonality::fit(&calls(0..0), SPAN, None);
        let evening = 228 + 5 * BUCKETS_PER_DAY;
        assert!(missed_calls(&seasonality, evening, evening + 60) < 5.0);
        let noon = 144 + 5 * BUCKETS_PER_DAY;
        assert!(missed_calls(&seasonality, noon, noon + 12) > 50.0);
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
    fn on_a_holiday_fewer_calls_are_missed() {
        assert!((at_level(10.0, 60.0, 70.0) - 10.0).abs() < 1e-9);
        assert!(at_level(30.0, 1.0, 60.0) < 4.0);
    }

    #[test]
    fn a_pair_that_skips_a_beat_each_day_is_not_silent_when_it_does_again() {
        assert!(!is_reportable(times_longest(30.0, 28.0)));
        assert!(is_reportable(times_longest(60.0, 28.0)));
        assert!(!is_reportable(times_longest(3.0, 0.0)));
    }
}
