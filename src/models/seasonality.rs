//! Seasonality: how many calls are usual in a bucket of the day, on weekdays and at weekends.
//!
//! A cell is one of the 288 buckets of the day. Its mean over days is shrunk to the mean of its hour times the phase within the
//! hour (so batches that start at :00 fit as well as jobs whose phase drifts), and each day type is shrunk to all days: an
//! additive-smoothing form of empirical Bayes (Efron & Morris, JASA 68, 1973). Only counts have a seasonality: all else
//! that is judged is a mean or a share given the count. A pair whose calls follow a smooth `curve` over the week has that instead.
//!
//! Not here: how far a count is from what is expected (`statistic`), and which hours a caller never called in (`novelty`).

use serde::{Deserialize, Serialize};

use super::curve::Curve;
use crate::rollup::{BUCKETS_PER_DAY, day_of};

/// Buckets in a day, as an index.
const CELLS: usize = BUCKETS_PER_DAY as usize;
const HOURS: usize = 24;
const PHASES: usize = CELLS / HOURS;
/// Weekday, weekend.
const DAY_TYPES: usize = 2;
/// Weight of hour times phase in a cell, and of all days in a day type, in days.
const CELL_WEIGHT: f64 = 4.0;
const DAY_TYPE_WEIGHT: f64 = 1.0;
/// Fewest days of a history that has a seasonality and whose folds are days; fewest folds that a shorter one is cut into.
const MIN_DAYS: usize = 4;
const MIN_FOLDS: i64 = 8;
/// Smallest expectation of a bucket, in calls.
const MIN_RATE: f64 = 1e-3;

/// 0 on weekdays, 1 at weekends, of a `day` since the epoch: day 0 was a Thursday.
pub fn day_type(day: i64) -> usize {
    usize::from((day + 3).rem_euclid(7) >= 5)
}

/// Index of the bucket in its day, 0 to 287.
pub fn cell_of(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS_PER_DAY) as usize
}

/// First and last bucket of the history: outside of them no call could have been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First bucket, since the epoch.
    pub first: i64,
    /// Last bucket, since the epoch, inclusive.
    pub last: i64,
}

impl Span {
    /// Days since the epoch that the span touches.
    pub fn days(self) -> std::ops::RangeInclusive<i64> {
        day_of(self.first)..=day_of(self.last)
    }

    /// Number of days touched.
    pub fn day_count(self) -> usize {
        (day_of(self.last) - day_of(self.first) + 1).max(0) as usize
    }

    /// Whether it has seen the hours often enough to have a seasonality.
    pub fn has_seasonality(self) -> bool {
        self.day_count() >= MIN_DAYS
    }

    /// Length of a fold in buckets: what is left out at once when a history is cross-validated, and whose maxima tails are learned
    /// from. A day, or a part of one where there are fewer than four.
    pub fn fold_buckets(self) -> i64 {
        if self.has_seasonality() {
            return BUCKETS_PER_DAY;
        }
        let buckets = self.last - self.first + 1;
        [144, 72, 36, 12, 6, 3, 1].into_iter().find(|length| buckets / length >= MIN_FOLDS).unwrap_or(1)
    }

    /// Number of the fold of a bucket, since the epoch.
    pub fn fold_of(self, bucket: i64) -> i64 {
        bucket.div_euclid(self.fold_buckets())
    }

    /// Numbers of the folds that the span touches.
    pub fn folds(self) -> std::ops::RangeInclusive<i64> {
        self.fold_of(self.first)..=self.fold_of(self.last)
    }

    /// Number of folds touched.
    pub fn fold_count(self) -> usize {
        (self.fold_of(self.last) - self.fold_of(self.first) + 1).max(0) as usize
    }

    /// Number of folds in a day: a rate per fold, times this, is a rate per day.
    pub fn folds_per_day(self) -> f64 {
        BUCKETS_PER_DAY as f64 / self.fold_buckets() as f64
    }

    fn holds(self, bucket: i64) -> bool {
        (self.first..=self.last).contains(&bucket)
    }
}

/// Expected calls by bucket of the day.
///
/// Bundles keep one for every pair, so it is small: one number where every cell is the same (a history of less than four days),
/// 104 bytes where it is a curve, else 2.3 kB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Seasonality(Shape);

#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// Every cell expects so many calls.
    Flat(f32),
    /// By day type; and the curve that the cells follow from, if they do.
    Daily([Day; DAY_TYPES], Option<Box<Curve>>),
}

/// One day type.
#[derive(Clone, Debug, PartialEq)]
struct Day {
    /// Expected calls of each cell (288).
    cells: Box<[f32]>,
    /// Their sum.
    total: f64,
}

impl Day {
    fn of(cells: Box<[f32]>) -> Self {
        Self { total: sum(&cells), cells }
    }
}

/// Sum in double precision.
fn sum(cells: &[f32]) -> f64 {
    cells.iter().map(|cell| f64::from(*cell)).sum()
}

/// How a seasonality lies in a bundle.
#[derive(Serialize, Deserialize)]
enum Stored {
    Flat(f32),
    Daily([Vec<f32>; DAY_TYPES]),
    Curve(Curve),
}

impl TryFrom<Stored> for Seasonality {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        match stored {
            Stored::Flat(cell) => Ok(Self(Shape::Flat(cell))),
            Stored::Curve(curve) => Ok(Self::of_curve(&curve)),
            Stored::Daily(days) => match days.iter().find(|cells| cells.len() != CELLS) {
                Some(cells) => Err(format!("a day of {} cells instead of {CELLS}", cells.len())),
                None => Ok(Self::from_cells(days)),
            },
        }
    }
}

impl From<Seasonality> for Stored {
    fn from(seasonality: Seasonality) -> Self {
        match seasonality.0 {
            Shape::Flat(cell) => Self::Flat(cell),
            Shape::Daily(_, Some(curve)) => Self::Curve(*curve),
            Shape::Daily(days, None) => Self::Daily(days.map(|day| day.cells.into_vec())),
        }
    }
}

impl Seasonality {
    /// Learns from `counts` of `(bucket, calls)` (n_buckets, in any order, none twice) within a span, leaving out a fold if
    /// told. A history of less than four days has seen no hour often enough to have a seasonality: then all hours are the same.
    pub fn fit(counts: &[(i64, i64)], span: Span, left_out: Option<i64>) -> Self {
        Self::fit_without(counts, span, left_out.as_slice())
    }

    /// The same, leaving out any number of folds: those that are not learned from are days on which nobody looked, not days without
    /// calls.
    pub fn fit_without(counts: &[(i64, i64)], span: Span, left_out: &[i64]) -> Self {
        let mut sums = [[0.0; CELLS]; DAY_TYPES];
        let mut days = [[0.0; CELLS]; DAY_TYPES];
        let is_kept = |bucket: i64| span.holds(bucket) && !left_out.contains(&span.fold_of(bucket));
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
            return Self(Shape::Flat(mean as f32));
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
        Self::from_cells(cells)
    }

    /// From the cells (288) of each day type.
    fn from_cells(days: [Vec<f32>; DAY_TYPES]) -> Self {
        let first = days[0].first().copied().unwrap_or(MIN_RATE as f32);
        if days.iter().flatten().all(|cell| *cell == first) {
            return Self(Shape::Flat(first));
        }
        Self(Shape::Daily(days.map(|cells| Day::of(cells.into_boxed_slice())), None))
    }

    /// What a curve expects.
    pub fn of_curve(curve: &Curve) -> Self {
        let cells = |cells: Vec<f64>| Day::of(cells.into_iter().map(|calls| calls.max(MIN_RATE) as f32).collect());
        Self(Shape::Daily(curve.cells().map(cells), Some(Box::new(curve.clone()))))
    }

    /// Calls expected in the `buckets` that end with bucket `last`, of at most a day.
    pub fn expected(&self, last: i64, buckets: i64) -> f64 {
        let (to, buckets) = (cell_of(last) + 1, buckets.clamp(0, BUCKETS_PER_DAY) as usize);
        let days = match &self.0 {
            Shape::Flat(cell) => return f64::from(*cell) * buckets as f64,
            Shape::Daily(days, _) => days,
        };
        let today = &days[day_type(day_of(last))];
        if buckets == CELLS && to == CELLS {
            return today.total;
        }
        if buckets <= to {
            return sum(&today.cells[to - buckets..to]);
        }
        let yesterday = &days[day_type(day_of(last) - 1)];
        sum(&today.cells[..to]) + sum(&yesterday.cells[CELLS + to - buckets..])
    }

    /// Whether it tells the hours of a day apart.
    pub const fn has_hours(&self) -> bool {
        matches!(self.0, Shape::Daily(..))
    }

    /// Mean calls of a bucket (2): on weekdays, at weekends.
    pub fn mean(&self) -> [f64; DAY_TYPES] {
        match &self.0 {
            Shape::Flat(cell) => [f64::from(*cell); DAY_TYPES],
            Shape::Daily(days, _) => days.each_ref().map(|day| day.total / CELLS as f64),
        }
    }

    /// Calls expected in each hour of the day (UTC): (2, 24), weekdays first, then weekends.
    pub fn by_hour(&self) -> [[f64; HOURS]; DAY_TYPES] {
        match &self.0 {
            Shape::Flat(cell) => [[f64::from(*cell) * PHASES as f64; HOURS]; DAY_TYPES],
            Shape::Daily(days, _) => days
                .each_ref()
                .map(|day| std::array::from_fn(|hour| sum(&day.cells[hour * PHASES..(hour + 1) * PHASES]))),
        }
    }

    /// Mean calls of a bucket in the busiest hour of any day.
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
    use crate::models::curve::{WEEK_HOURS, Week};

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
        let seasonality = Seasonality::fit(&counts, span, None);
        let at = |day: i64, hour: i64| seasonality.expected(day * BUCKETS_PER_DAY + hour * PHASES as i64, 1);
        assert!((at(0, 12) - 12.0).abs() < 1.0, "{}", at(0, 12));
        assert!((at(0, 3) - 1.0).abs() < 0.3, "{}", at(0, 3));
        assert!(at(2, 12) < 4.0, "a Saturday: {}", at(2, 12));
    }

    #[test]
    fn a_short_history_is_cut_into_eight_folds_and_more_and_has_no_seasonality() {
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
        let seasonality = Seasonality::fit(&counts, span, None);
        for (last, buckets) in [(100, 12), (5, 72), (287, 288), (288 + 30, 288), (2 * 288 + 3, 100)] {
            let each: f64 = (last - buckets + 1..=last).map(|bucket| seasonality.expected(bucket, 1)).sum();
            assert!((seasonality.expected(last, buckets) - each).abs() < 1e-6, "{last} {buckets}");
        }
    }

    /// As earlier versions kept it: prefix sums of a day's cells.
    fn by_prefix_sums(cells: &[Vec<f32>; DAY_TYPES], last: i64, buckets: i64) -> f64 {
        let before = cells.each_ref().map(|cells| {
            let sums = cells.iter().scan(0.0, |sum, cell| {
                *sum += f64::from(*cell);
                Some(*sum)
            });
            std::iter::once(0.0).chain(sums).collect::<Vec<f64>>()
        });
        let (to, buckets) = (cell_of(last) + 1, buckets.clamp(0, BUCKETS_PER_DAY) as usize);
        let today = &before[day_type(day_of(last))];
        if buckets <= to {
            return today[to] - today[to - buckets];
        }
        let yesterday = &before[day_type(day_of(last) - 1)];
        today[to] + yesterday[CELLS] - yesterday[CELLS + to - buckets]
    }

    #[test]
    fn a_window_expects_what_the_prefix_sums_of_earlier_versions_did() {
        let cells: [Vec<f32>; DAY_TYPES] = [0, 1].map(|kind: usize| {
            let cell =
                |cell: usize| if cell.is_multiple_of(7) { 0.001 } else { ((cell * 37 + 11 * kind) % 101) as f32 * 3.3 };
            (0..CELLS).map(cell).collect()
        });
        let daily = Seasonality::from_cells(cells.clone());
        let flat = Seasonality::from_cells([vec![0.37; CELLS], vec![0.37; CELLS]]);
        assert_eq!(flat, Seasonality(Shape::Flat(0.37)));
        for (seasonality, cells) in [(daily, cells), (flat, [vec![0.37; CELLS], vec![0.37; CELLS]])] {
            // Across a weekend, midnights included; windows of none, of more than a day and of less than none.
            for last in (0..5 * BUCKETS_PER_DAY).step_by(5).chain([287, 288, 575, 576]) {
                for buckets in [-3, 0, 1, 3, 12, 72, 150, 287, 288, 1_000] {
                    let (now, before) = (seasonality.expected(last, buckets), by_prefix_sums(&cells, last, buckets));
                    assert!((now - before).abs() <= 1e-6 * before.abs(), "{last} {buckets}: {now} for {before}");
                }
            }
            for (kind, mean) in seasonality.mean().into_iter().enumerate() {
                let by_hour: f64 = seasonality.by_hour()[kind].iter().sum();
                assert!((mean * CELLS as f64 - by_hour).abs() <= 1e-9 * by_hour);
            }
        }
    }

    #[test]
    fn a_seasonality_is_the_same_after_a_trip_through_the_bundle() {
        let (counts, span) = office();
        let short = Span { first: 0, last: 143 };
        for (seasonality, most) in [
            (Seasonality::fit(&counts, span, None), 4 * DAY_TYPES * CELLS + 8),
            (Seasonality::fit(&counts[..144], short, None), 8),
        ] {
            let bytes = postcard::to_stdvec(&seasonality).unwrap();
            assert!(bytes.len() <= most, "{} bytes", bytes.len());
            assert_eq!(postcard::from_bytes::<Seasonality>(&bytes).unwrap(), seasonality);
        }
        let week = Week { hours: vec![Some(3.0); WEEK_HOURS], weeks: 2.0, dispersion: 1.0 };
        let smooth = Seasonality::of_curve(&Curve::fit(&week).unwrap());
        let bytes = postcard::to_stdvec(&smooth).unwrap();
        assert!(bytes.len() < 128 && smooth.has_hours() && (smooth.expected(100, 12) - 3.0).abs() < 0.01);
        assert_eq!(postcard::from_bytes::<Seasonality>(&bytes).unwrap(), smooth);
        let of_noon = postcard::to_stdvec(&Stored::Daily([vec![1.0; 144], vec![1.0; 288]])).unwrap();
        assert!(postcard::from_bytes::<Seasonality>(&of_noon).is_err(), "half a day");
    }

    #[test]
    fn a_history_that_begins_at_noon_is_no_quiet_morning() {
        let (counts, _) = office();
        let span = Span { first: 144, last: 5 * BUCKETS_PER_DAY - 1 };
        let counts: Vec<(i64, i64)> = counts.into_iter().filter(|(bucket, _)| span.holds(*bucket)).collect();
        let seasonality = Seasonality::fit(&counts, span, None);
        assert!(seasonality.expected(10 * PHASES as i64, 1) > 6.0);
    }

    #[test]
    fn days_that_are_left_out_are_not_days_without_calls() {
        let (counts, span) = office();
        let left_out = [span.fold_of(0), span.fold_of(0) + 1];
        let kept: Vec<(i64, i64)> =
            counts.iter().copied().filter(|(bucket, _)| !left_out.contains(&span.fold_of(*bucket))).collect();
        let seasonality = Seasonality::fit_without(&kept, span, &left_out);
        let noon = 12 * PHASES as i64;
        assert!((seasonality.expected(noon, 1) - 12.0).abs() < 1.0, "{}", seasonality.expected(noon, 1));
        assert!(Seasonality::fit(&kept, span, None).expected(noon, 1) < 11.0);
    }
}
