//! Which pairs' calls follow a curve, and which a table: whichever expects the days better that it has not seen.
//!
//! Days are left out in fifths, so that a pair costs six fits whatever the length of its history: a fold is judged by the curve of the
//! four fifths that it is not in.
//!
//! Not here: the curve (`models::curve`) and the table (`models::seasonality`).

use std::collections::BTreeSet;
use std::ops::AddAssign;

use crate::models::curve::{Curve, WEEK_HOURS, Week};
use crate::models::seasonality::{Seasonality, Span, cell_of, day_type};
use crate::rollup::{BUCKETS_PER_HOUR, day_of};

/// Groups that folds are left out in.
const GROUPS: usize = 5;
/// Hours from a Monday to the epoch, which was a Thursday.
const MONDAY: i64 = 3 * 24;

/// The curves of a pair.
pub(super) struct Curves {
    all: Curve,
    /// Without the folds of each group (5).
    without: Vec<Curve>,
}

/// Deviance of calls by bucket on folds that were left out, in nats times two: by a table, by a curve, by the better one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct HeldOut {
    pub table: f64,
    pub curve: f64,
    pub chosen: f64,
    /// Pairs that use a table, and a curve.
    pub by_table: usize,
    pub by_curve: usize,
}

impl AddAssign for HeldOut {
    fn add_assign(&mut self, other: Self) {
        self.table += other.table;
        self.curve += other.curve;
        self.chosen += other.chosen;
        self.by_table += other.by_table;
        self.by_curve += other.by_curve;
    }
}

impl Curves {
    /// The curves of a pair that called in `calls` (n_buckets of bucket and calls, in order), if a curve expects left out folds better
    /// than the table does; and the deviance of both. Folds that are set `aside` are not in the calls, and were not without calls either.
    /// `None` where a curve cannot be had.
    pub fn choose(calls: &[(i64, i64)], span: Span, aside: &BTreeSet<i64>) -> Option<(Option<Self>, HeldOut)> {
        let fit = |group| {
            let is_left_out = |fold| aside.contains(&fold) || group == Some(group_of(fold));
            Curve::fit(&week_of(calls, span, is_left_out))
        };
        let without: Vec<Curve> = (0..GROUPS).map(|group| fit(Some(group))).collect::<Option<_>>()?;
        let curves = Self { all: fit(None)?, without };
        let mut held_out = HeldOut::default();
        for fold in span.folds().filter(|fold| !aside.contains(fold)) {
            let left_out: Vec<i64> = aside.iter().copied().chain([fold]).collect();
            held_out.table += deviance(&Seasonality::fit_without(calls, span, &left_out), calls, span, fold);
            held_out.curve += deviance(&curves.seasonality(Some(fold)), calls, span, fold);
        }
        let is_curve = held_out.curve < held_out.table;
        held_out.chosen = held_out.curve.min(held_out.table);
        (held_out.by_table, held_out.by_curve) = (usize::from(!is_curve), usize::from(is_curve));
        Some((is_curve.then_some(curves), held_out))
    }

    /// What is expected in a fold that is left out; of all folds, without one.
    pub fn seasonality(&self, left_out: Option<i64>) -> Seasonality {
        Seasonality::of_curve(left_out.map_or(&self.all, |fold| &self.without[group_of(fold)]))
    }
}

fn group_of(fold: i64) -> usize {
    fold.rem_euclid(GROUPS as i64) as usize
}

/// Deviance (McCullagh & Nelder, Generalized Linear Models, 1989, section 2.3) of the calls of a fold, by bucket.
fn deviance(seasonality: &Seasonality, calls: &[(i64, i64)], span: Span, fold: i64) -> f64 {
    let first = (fold * span.fold_buckets()).max(span.first);
    let last = ((fold + 1) * span.fold_buckets() - 1).min(span.last);
    let from = calls.partition_point(|(bucket, _)| *bucket < first);
    let own = calls[from..].iter().take_while(|(bucket, _)| *bucket <= last).filter(|(_, calls)| *calls > 0);
    let of_calls: f64 = own
        .map(|(bucket, calls)| {
            let calls = *calls as f64;
            calls * (calls / seasonality.expected(*bucket, 1)).ln() - calls
        })
        .sum();
    2.0 * (of_calls + seasonality.expected(last, last - first + 1))
}

/// The mean week of the hours that were seen whole, without the folds that are left out.
fn week_of(calls: &[(i64, i64)], span: Span, is_left_out: impl Fn(i64) -> bool) -> Week {
    let first = (span.first + BUCKETS_PER_HOUR - 1).div_euclid(BUCKETS_PER_HOUR);
    let end = (span.last + 1).div_euclid(BUCKETS_PER_HOUR);
    let mut hours: Vec<f64> = vec![0.0; usize::try_from(end - first).unwrap_or_default()];
    for (bucket, calls) in calls {
        let hour = usize::try_from(bucket.div_euclid(BUCKETS_PER_HOUR) - first).ok();
        if let Some(hour) = hour.and_then(|hour| hours.get_mut(hour)) {
            *hour += *calls as f64;
        }
    }
    let mut sums = [(0.0, 0.0); WEEK_HOURS];
    // Number, sum and sum of squares of the hours of a day type, which the dispersion follows from.
    let mut spread = [[(0.0, 0.0, 0.0); 24]; 2];
    for (hour, calls) in (first..).zip(hours) {
        let bucket = hour * BUCKETS_PER_HOUR;
        if is_left_out(span.fold_of(bucket)) {
            continue;
        }
        let (count, sum) = &mut sums[(hour + MONDAY).rem_euclid(WEEK_HOURS as i64) as usize];
        *count += 1.0;
        *sum += calls;
        let (count, sum, square) = &mut spread[day_type(day_of(bucket))][cell_of(bucket) / BUCKETS_PER_HOUR as usize];
        *count += 1.0;
        *sum += calls;
        *square += calls * calls;
    }
    let seen = sums.iter().filter(|(count, _)| *count > 0.0).count();
    let weeks = sums.iter().map(|(count, _)| count).sum::<f64>() / (seen as f64).max(1.0);
    let hours = sums.iter().map(|(count, sum)| (*count > 0.0).then(|| sum / count)).collect();
    Week { hours, weeks, dispersion: dispersion(spread.as_flattened()) }
}

/// Variance over mean of counts, from number, sum and sum of squares of each kind of hour; at least 1.
fn dispersion(hours: &[(f64, f64, f64)]) -> f64 {
    let (mut squares, mut freedom) = (0.0, 0.0);
    for (count, sum, square) in hours.iter().filter(|(count, sum, _)| *count >= 2.0 && *sum > 0.0) {
        let mean = sum / count;
        squares += (square - count * mean * mean) / mean;
        freedom += count - 1.0;
    }
    if freedom > 0.0 { f64::max(squares / freedom, 1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::BUCKETS_PER_DAY;

    const SPAN: Span = Span { first: 0, last: 14 * BUCKETS_PER_DAY - 1 };

    fn history(calls: impl Fn(i64) -> i64) -> Vec<(i64, i64)> {
        (SPAN.first..=SPAN.last).map(|bucket| (bucket, calls(bucket))).filter(|(_, calls)| *calls > 0).collect()
    }

    /// About two calls a bucket by day and hardly one by night, scattered.
    fn by_day(bucket: i64) -> i64 {
        let mixed = (bucket as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let scattered = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 40;
        let level = 1.0 - (std::f64::consts::TAU * cell_of(bucket) as f64 / 288.0).cos();
        (level + scattered as f64 / f64::from(1 << 24)) as i64
    }

    #[test]
    fn scattered_calls_follow_a_curve_and_a_job_by_the_clock_a_table() {
        let (curves, held_out) = Curves::choose(&history(by_day), SPAN, &BTreeSet::new()).unwrap();
        assert!(curves.is_some() && held_out.curve < held_out.table, "{held_out:?}");
        let job = |bucket: i64| if cell_of(bucket) % 72 == 1 { 20 } else { 0 };
        let (curves, held_out) = Curves::choose(&history(job), SPAN, &BTreeSet::new()).unwrap();
        assert!(curves.is_none() && held_out.chosen == held_out.table, "{held_out:?}");
        assert!(Curves::choose(&[], SPAN, &BTreeSet::new()).is_none());
    }

    #[test]
    fn what_judges_a_fold_has_not_seen_it() {
        let quiet = history(by_day);
        let loud = history(|bucket| by_day(bucket) * if day_of(bucket) == 6 { 50 } else { 1 });
        let without =
            |calls: &[(i64, i64)], fold| Curve::fit(&week_of(calls, SPAN, |other| group_of(other) == group_of(fold)));
        assert!(without(&quiet, 6).is_some() && without(&quiet, 6) == without(&loud, 6));
        assert_ne!(without(&quiet, 7), without(&loud, 7));
    }

    #[test]
    fn the_deviance_is_that_of_every_bucket() {
        let calls = history(by_day);
        let seasonality = Seasonality::fit(&calls, SPAN, None);
        let of_bucket = |bucket: i64| {
            let (calls, expected) = (by_day(bucket) as f64, seasonality.expected(bucket, 1));
            2.0 * (if calls > 0.0 { calls * (calls / expected).ln() } else { 0.0 } - calls + expected)
        };
        let each: f64 = (3 * BUCKETS_PER_DAY..4 * BUCKETS_PER_DAY).map(of_bucket).sum();
        assert!((deviance(&seasonality, &calls, SPAN, 3) - each).abs() < 1e-6 * each);
    }
}
