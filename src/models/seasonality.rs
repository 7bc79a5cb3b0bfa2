//! The clock: how many calls are usual in a bucket of the day, on weekdays and at weekends.
//!
//! A cell's mean over days is shrunk to the mean of its hour times the phase within the hour (so that batches which start at
//! :00 fit as well as jobs whose phase wanders), and a day type to all days. Only counts need a clock: all else that is
//! judged is a mean or a share given the count.

use serde::{Deserialize, Serialize};

use crate::rollup::{BUCKETS_PER_DAY, day_of};

/// Buckets in a day, as an index.
const CELLS: usize = BUCKETS_PER_DAY as usize;
const HOURS: usize = 24;
const PHASES: usize = CELLS / HOURS;
/// Weekday, weekend.
const DAY_TYPES: usize = 2;
/// Days of shrinkage of a cell to hour times phase, and of a day type to all days.
const CELL_WEIGHT: f64 = 4.0;
const DAY_TYPE_WEIGHT: f64 = 1.0;
/// Days of history from which there is a clock and a fold is a day, and folds that a shorter one is cut into.
const MIN_DAYS: usize = 4;
const MIN_FOLDS: i64 = 8;
/// No bucket is expected to have fewer calls.
const MIN_RATE: f64 = 1e-3;

/// 0 on weekdays, 1 at weekends; day 0 of the epoch was a Thursday.
pub fn day_type(day: i64) -> usize {
    usize::from((day + 3).rem_euclid(7) >= 5)
}

/// The bucket's place in its day.
pub fn cell_of(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS_PER_DAY) as usize
}

/// First and last bucket of the history: outside of them no call could have been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First bucket.
    pub first: i64,
    /// Last bucket, inclusive.
    pub last: i64,
}

impl Span {
    /// Days that the span touches.
    pub fn days(self) -> std::ops::RangeInclusive<i64> {
        day_of(self.first)..=day_of(self.last)
    }

    /// Number of days touched.
    pub fn day_count(self) -> usize {
        (day_of(self.last) - day_of(self.first) + 1).max(0) as usize
    }

    /// Whether it has seen the hours often enough to have a clock.
    pub fn has_seasonality(self) -> bool {
        self.day_count() >= MIN_DAYS
    }

    /// Length of a fold in buckets: what is left out at once when a history judges itself, and whose maxima tails are learned
    /// from. A day, but a part of one where there are fewer than four.
    pub fn fold_buckets(self) -> i64 {
        if self.has_seasonality() {
            return BUCKETS_PER_DAY;
        }
        let buckets = self.last - self.first + 1;
        [144, 72, 36, 12, 6, 3, 1].into_iter().find(|length| buckets / length >= MIN_FOLDS).unwrap_or(1)
    }

    /// The fold of a bucket.
    pub fn fold_of(self, bucket: i64) -> i64 {
        bucket.div_euclid(self.fold_buckets())
    }

    /// The folds that the span touches.
    pub fn folds(self) -> std::ops::RangeInclusive<i64> {
        self.fold_of(self.first)..=self.fold_of(self.last)
    }

    /// Number of folds touched.
    pub fn fold_count(self) -> usize {
        (self.fold_of(self.last) - self.fold_of(self.first) + 1).max(0) as usize
    }

    /// Folds in a day: a chance a fold, times this, is one a day.
    pub fn folds_per_day(self) -> f64 {
        BUCKETS_PER_DAY as f64 / self.fold_buckets() as f64
    }

    fn holds(self, bucket: i64) -> bool {
        (self.first..=self.last).contains(&bucket)
    }
}

/// Expected calls by bucket of the day.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "[Vec<f32>; DAY_TYPES]", into = "[Vec<f32>; DAY_TYPES]")]
pub struct Seasonality {
    /// Expected calls, by day type and cell.
    cells: [Vec<f32>; DAY_TYPES],
    /// Sums of the cells before each, with the day's total last: a window's expectation is a difference.
    before: [Vec<f64>; DAY_TYPES],
}

impl From<[Vec<f32>; DAY_TYPES]> for Seasonality {
    fn from(mut cells: [Vec<f32>; DAY_TYPES]) -> Self {
        cells.iter_mut().for_each(|cells| cells.resize(CELLS, MIN_RATE as f32));
        let before = cells.each_ref().map(|cells| {
            let mut sum = 0.0;
            std::iter::once(0.0)
                .chain(cells.iter().map(|cell| {
                    sum += f64::from(*cell);
                    sum
                }))
                .collect()
        });
        Self { cells, before }
    }
}

impl From<Seasonality> for [Vec<f32>; DAY_TYPES] {
    fn from(clock: Seasonality) -> Self {
        clock.cells
    }
}

impl Seasonality {
    /// Learns from `(bucket, calls)` within a span, leaving out a fold if told. A history of less than four days has seen no
    /// hour often enough to have a clock: then all hours are the same.
    pub fn fit(counts: &[(i64, i64)], span: Span, left_out: Option<i64>) -> Self {
        let mut sums = [[0.0; CELLS]; DAY_TYPES];
        let mut days = [[0.0; CELLS]; DAY_TYPES];
        let is_kept = |bucket: i64| span.holds(bucket) && Some(span.fold_of(bucket)) != left_out;
        for day in span.days() {
            let seen = &mut days[day_type(day)];
            (0..CELLS).filter(|cell| is_kept(day * BUCKETS_PER_DAY + *cell as i64)).for_each(|cell| seen[cell] += 1.0);
        }
        for (bucket, calls) in counts.iter().filter(|(bucket, _)| is_kept(*bucket)) {
            sums[day_type(day_of(*bucket))][cell_of(*bucket)] += *calls as f64;
        }
        if !span.has_seasonality() {
            let total = |cells: &[[f64; CELLS]; DAY_TYPES]| cells.iter().flatten().sum::<f64>();
            let mean = (total(&sums) / total(&days).max(1.0)).max(MIN_RATE);
            return [vec![mean as f32; CELLS], vec![mean as f32; CELLS]].into();
        }
        let all = shape(
            &std::array::from_fn(|cell| sums[0][cell] + sums[1][cell]),
            &std::array::from_fn(|cell| days[0][cell] + days[1][cell]),
        );
        let cells: [Vec<f32>; DAY_TYPES] = std::array::from_fn(|kind| {
            let own = shape(&sums[kind], &days[kind]);
            (0..CELLS)
                .map(|cell| {
                    let seen = days[kind][cell];
                    ((seen * own[cell] + DAY_TYPE_WEIGHT * all[cell]) / (seen + DAY_TYPE_WEIGHT)).max(MIN_RATE) as f32
                })
                .collect()
        });
        cells.into()
    }

    /// Calls expected in the `buckets` that end with `last`, at most a day's.
    pub fn expected(&self, last: i64, buckets: i64) -> f64 {
        let (to, buckets) = (cell_of(last) + 1, buckets.clamp(0, BUCKETS_PER_DAY) as usize);
        let today = &self.before[day_type(day_of(last))];
        if buckets <= to {
            return today[to] - today[to - buckets];
        }
        let yesterday = &self.before[day_type(day_of(last) - 1)];
        today[to] + yesterday[CELLS] - yesterday[CELLS + to - buckets]
    }

    /// Mean calls of a bucket on weekdays and at weekends.
    pub fn mean(&self) -> [f64; DAY_TYPES] {
        self.before.each_ref().map(|before| before[CELLS] / CELLS as f64)
    }

    /// Calls expected in each hour of the day (UTC), on weekdays and at weekends.
    pub fn by_hour(&self) -> [[f64; HOURS]; DAY_TYPES] {
        self.before
            .each_ref()
            .map(|before| std::array::from_fn(|hour| before[(hour + 1) * PHASES] - before[hour * PHASES]))
    }

    /// Calls a bucket in the busiest hour of any day.
    pub fn peak(&self) -> f64 {
        self.by_hour().as_flattened().iter().copied().fold(0.0, f64::max) / PHASES as f64
    }
}

/// Cell means, each shrunk to the mean of its hour times the phase within the hour.
fn shape(sums: &[f64; CELLS], days: &[f64; CELLS]) -> [f64; CELLS] {
    let mean: [f64; CELLS] = std::array::from_fn(|cell| if days[cell] > 0.0 { sums[cell] / days[cell] } else { 0.0 });
    let hour: [f64; HOURS] =
        std::array::from_fn(|hour| mean[hour * PHASES..(hour + 1) * PHASES].iter().sum::<f64>() / PHASES as f64);
    let phase: [f64; PHASES] =
        std::array::from_fn(|phase| mean.iter().skip(phase).step_by(PHASES).sum::<f64>() / HOURS as f64);
    let level = (phase.iter().sum::<f64>() / PHASES as f64).max(1e-9);
    std::array::from_fn(|cell| {
        let product = hour[cell / PHASES] * phase[cell % PHASES] / level;
        (sums[cell] + CELL_WEIGHT * product) / (days[cell] + CELL_WEIGHT)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two weeks of 12 calls a bucket from 9 to 17 hours on weekdays, one at night.
    fn office() -> (Vec<(i64, i64)>, Span) {
        let span = Span { first: 0, last: 14 * BUCKETS_PER_DAY - 1 };
        let calls = |bucket: i64| {
            let busy = day_type(day_of(bucket)) == 0 && (9..17).contains(&(cell_of(bucket) / PHASES));
            if busy { 12 } else { 1 }
        };
        ((span.first..=span.last).map(|bucket| (bucket, calls(bucket))).collect(), span)
    }

    #[test]
    fn office_hours_and_weekends_are_learned() {
        let (counts, span) = office();
        let clock = Seasonality::fit(&counts, span, None);
        let at = |day: i64, hour: i64| clock.expected(day * BUCKETS_PER_DAY + hour * PHASES as i64, 1);
        assert!((at(0, 12) - 12.0).abs() < 1.0, "{}", at(0, 12));
        assert!((at(0, 3) - 1.0).abs() < 0.3, "{}", at(0, 3));
        assert!(at(2, 12) < 4.0, "a Saturday: {}", at(2, 12));
    }

    #[test]
    fn a_short_history_is_cut_into_eight_folds_and_more_and_has_no_clock() {
        for (hours, fold) in [(24 * 5, 288), (24, 36), (12, 12), (1, 1)] {
            let span = Span { first: 0, last: hours * 12 - 1 };
            assert_eq!(span.fold_buckets(), fold, "{hours} hours");
            assert!(span.fold_count() >= 5);
        }
        let span = Span { first: 0, last: 143 };
        let counts: Vec<(i64, i64)> = (0..144).map(|bucket| (bucket, 3)).collect();
        assert!((Seasonality::fit(&counts, span, Some(2)).expected(200, 12) - 36.0).abs() < 1e-3);
    }

    #[test]
    fn a_window_expects_what_its_buckets_expect_also_across_midnight() {
        let (counts, span) = office();
        let clock = Seasonality::fit(&counts, span, None);
        for (last, buckets) in [(100, 12), (5, 72), (287, 288), (288 + 30, 288), (2 * 288 + 3, 100)] {
            let each: f64 = (last - buckets + 1..=last).map(|bucket| clock.expected(bucket, 1)).sum();
            assert!((clock.expected(last, buckets) - each).abs() < 1e-6, "{last} {buckets}");
        }
    }

    #[test]
    fn a_history_that_begins_at_noon_is_no_quiet_morning() {
        let (counts, _) = office();
        let span = Span { first: 144, last: 5 * BUCKETS_PER_DAY - 1 };
        let counts: Vec<(i64, i64)> = counts.into_iter().filter(|(bucket, _)| span.holds(*bucket)).collect();
        let clock = Seasonality::fit(&counts, span, None);
        assert!(clock.expected(10 * PHASES as i64, 1) > 6.0);
    }
}
