//! What is usual for a call: the size and latency of answered calls and the share of each failure, by endpoint, shrunk up
//! the lattice.
//!
//! `(caller, vendor, endpoint)` borrows from `(vendor, endpoint)`, that from the vendor, that from all: a new caller is
//! judged by its vendor's endpoints, which is the cold start. Means and variances are those of `ln(1 + x)`.
//!
//! Learned from additive sums, kept apart by fold, so that a fold can be left out.
//!
//! Not here: how many calls are usual (`seasonality`), and how far is unusual (`statistic`, `calibration`).

use std::collections::BTreeMap;

use foldhash::HashMap;
use polars::prelude::Column;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::odd_sizes::OddSizes;
use super::seasonality::Span;
use crate::calls::{ANSWERS_BY_SIZE, Measure, Name, QUANTITIES, View, combine, fixed_to_f64};
use crate::rollup::Row;

/// Outcomes whose share is expected, by their column.
pub const FAILURES: [&str; 4] = ["denied", "client_error", "throttled", "server_error"];

/// Calls of shrinkage of an endpoint's mean, deviation and failure shares to the level above.
const MEAN_WEIGHT: f64 = 10.0;
const VARIANCE_WEIGHT: f64 = 20.0;
const SHARE_WEIGHT: f64 = 200.0;
/// No endpoint is so constant that a call may lie further out than its `ln(1 + x)` over this.
const MIN_DEVIATION: f64 = 0.2;
/// Levels of the lattice, finest first: endpoint of a pair, endpoint of a vendor, vendor, all.
const LEVELS: usize = 4;

/// Additive sums over calls: what means, variances and shares follow from.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    calls: i64,
    failures: [i64; FAILURES.len()],
    count: [i64; QUANTITIES.len()],
    sum: [i64; QUANTITIES.len()],
    square: [i64; QUANTITIES.len()],
    answers: [i64; ANSWERS_BY_SIZE.len()],
}

impl Sums {
    /// Adds (`sign` 1) or takes away (-1).
    fn add(&mut self, other: &Self, sign: i64) {
        self.calls += sign * other.calls;
        let pairs = [(&mut self.count, &other.count), (&mut self.sum, &other.sum), (&mut self.square, &other.square)];
        for (own, others) in pairs {
            own.iter_mut().zip(others).for_each(|(own, other)| *own += sign * other);
        }
        self.failures.iter_mut().zip(other.failures).for_each(|(own, other)| *own += sign * other);
        self.answers.iter_mut().zip(other.answers).for_each(|(own, other)| *own += sign * other);
    }
}

/// What is usual for a call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Expected {
    /// Mean of `ln(1 + x)` of answered calls, in [`QUANTITIES`] order.
    pub mean: [f64; QUANTITIES.len()],
    /// Standard deviation of the same.
    pub deviation: [f64; QUANTITIES.len()],
    /// Share of calls that end so, in [`FAILURES`] order.
    pub share: [f64; FAILURES.len()],
    /// Whether calls of this level had the quantity; without one its mean is that of the level above.
    pub is_measured: [bool; QUANTITIES.len()],
    /// Sizes of answers that are odd: of an endpoint of a pair, not borrowed, since callers ask one endpoint for different things.
    pub odd: OddSizes,
}

impl Expected {
    /// What is assumed before any call was seen: a small request, an answer of 2 kB within 200 ms, and hardly a failure.
    const UNSEEN: Self = Self {
        mean: [6.0, 7.5, 5.3],
        deviation: [1.5, 1.5, 1.5],
        share: [1e-3; FAILURES.len()],
        is_measured: [false; QUANTITIES.len()],
        odd: OddSizes::NONE,
    };

    /// The level below `self` that has seen `sums`.
    fn shrink(&self, sums: &Sums) -> Self {
        let mut own = *self;
        for quantity in 0..QUANTITIES.len() {
            let n = sums.count[quantity] as f64;
            own.is_measured[quantity] = n > 0.0;
            if n <= 0.0 {
                continue;
            }
            let mean = fixed_to_f64(sums.sum[quantity]) / n;
            let variance = (fixed_to_f64(sums.square[quantity]) / n - mean * mean).max(0.0);
            let above = self.deviation[quantity].powi(2);
            own.mean[quantity] = (n * mean + MEAN_WEIGHT * self.mean[quantity]) / (n + MEAN_WEIGHT);
            own.deviation[quantity] =
                ((n * variance + VARIANCE_WEIGHT * above) / (n + VARIANCE_WEIGHT)).sqrt().max(MIN_DEVIATION);
        }
        let calls = sums.calls.max(0) as f64;
        for failure in 0..FAILURES.len() {
            own.share[failure] =
                (sums.failures[failure].max(0) as f64 + SHARE_WEIGHT * self.share[failure]) / (calls + SHARE_WEIGHT);
        }
        own
    }
}

/// A call's place in the lattice: what the sums of a history are kept by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    view: View,
    vendor: Name,
    endpoint: Name,
    caller: Name,
}

/// Key of a level: the parts of a place that it keeps. Level 0 is the endpoint of a pair, 3 is all calls of a view.
fn key(level: usize, view: View, [vendor, endpoint, caller]: [&Name; 3]) -> u64 {
    let view = view as u64;
    match level {
        0 => combine([view, vendor.id(), endpoint.id(), caller.id()]),
        1 => combine([view, vendor.id(), endpoint.id()]),
        2 => combine([view, vendor.id()]),
        _ => combine([view]),
    }
}

fn keys(view: View, names: [&Name; 3]) -> [u64; LEVELS] {
    std::array::from_fn(|level| key(level, view, names))
}

/// An endpoint of a pair: its sums by fold, and what all of its answers teach of their sizes.
#[derive(Debug, Default)]
struct Past {
    folds: BTreeMap<i64, Sums>,
    odd: OddSizes,
}

impl Past {
    /// The sums of all folds but one.
    fn sums(&self, left_out: Option<i64>) -> Sums {
        let mut sums = Sums::default();
        self.folds.iter().filter(|(fold, _)| Some(**fold) != left_out).for_each(|(_, seen)| sums.add(seen, 1));
        sums
    }

    fn odd(&self, left_out: Option<i64>) -> OddSizes {
        let fold = left_out.and_then(|fold| self.folds.get(&fold));
        fold.map_or(self.odd, |fold| self.odd.without(&self.sums(None).answers, &fold.answers))
    }
}

/// Sums of the history by endpoint of a pair and fold: what [`Expectations`] are fitted from.
#[derive(Debug, Default)]
pub struct CallHistory(BTreeMap<Place, Past>);

impl CallHistory {
    /// Gathers the sums of rolled-up rows over a span, by its folds.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Row>, span: Span) -> Self {
        use Measure::{
            BytesInCount, BytesInLnSquareSum, BytesInLnSum, BytesOutCount, BytesOutLnSquareSum, BytesOutLnSum, Calls,
            ClientError, Denied, LatencyCount, LatencyLnSquareSum, LatencyLnSum, ServerError, Throttled,
        };
        let mut history = Self::default();
        for row in rows {
            let at = |measure: Measure| row.measures.get(measure);
            let seen = Sums {
                calls: at(Calls),
                failures: [Denied, ClientError, Throttled, ServerError].map(at),
                count: [BytesOutCount, BytesInCount, LatencyCount].map(at),
                sum: [BytesOutLnSum, BytesInLnSum, LatencyLnSum].map(at),
                square: [BytesOutLnSquareSum, BytesInLnSquareSum, LatencyLnSquareSum].map(at),
                answers: ANSWERS_BY_SIZE.map(at),
            };
            let relation = &row.relation;
            let [vendor, endpoint, caller] =
                [relation.vendor(), relation.endpoint(), relation.caller()].map(Name::clone);
            let past = history.0.entry(Place { view: relation.view(), vendor, endpoint, caller }).or_default();
            past.folds.entry(span.fold_of(row.bucket)).or_default().add(&seen, 1);
        }
        history.0.par_iter_mut().for_each(|(_, past)| past.odd = OddSizes::learn(&past.sums(None).answers));
        history
    }

    /// Fits expectations to every fold, or to all but one.
    pub fn fit(&self, left_out: Option<i64>) -> Expectations {
        let mut levels: [BTreeMap<u64, Level>; LEVELS] = Default::default();
        for (place, past) in &self.0 {
            let sums = past.sums(left_out);
            if sums.calls == 0 {
                continue;
            }
            let keys = keys(place.view, [&place.vendor, &place.endpoint, &place.caller]);
            for (level, known) in levels.iter_mut().enumerate() {
                let above = keys.get(level + 1).copied();
                let odd = if level == 0 { past.odd(left_out) } else { OddSizes::NONE };
                known
                    .entry(keys[level])
                    .or_insert_with(|| Level { above, sums: Sums::default(), odd })
                    .sums
                    .add(&sums, 1);
            }
        }
        Expectations::shrunk(&levels)
    }
}

/// What was seen at one key of a level, and the key above it.
struct Level {
    above: Option<u64>,
    sums: Sums,
    /// Of an endpoint of a pair.
    odd: OddSizes,
}

/// What is usual for a call, at every level of the lattice, by the key of the level.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "StoredExpectations", into = "StoredExpectations")]
pub struct Expectations {
    levels: [HashMap<u64, Expected>; LEVELS],
    between_callers: [f64; QUANTITIES.len()],
}

/// [`Expectations`] on disk: in the order of their keys.
#[derive(Serialize, Deserialize)]
struct StoredExpectations {
    levels: [BTreeMap<u64, Expected>; LEVELS],
    between_callers: [f64; QUANTITIES.len()],
}

impl From<StoredExpectations> for Expectations {
    fn from(stored: StoredExpectations) -> Self {
        let levels = stored.levels.map(|level| level.into_iter().collect());
        Self { levels, between_callers: stored.between_callers }
    }
}

impl From<Expectations> for StoredExpectations {
    fn from(fitted: Expectations) -> Self {
        let levels = fitted.levels.map(|level| level.into_iter().collect());
        Self { levels, between_callers: fitted.between_callers }
    }
}

impl Expectations {
    fn shrunk(levels: &[BTreeMap<u64, Level>; LEVELS]) -> Self {
        let mut fitted: [HashMap<u64, Expected>; LEVELS] = Default::default();
        for level in (0..LEVELS).rev() {
            for (key, of) in &levels[level] {
                let above = of.above.and_then(|above| fitted.get(level + 1)?.get(&above));
                let expected = above.unwrap_or(&Expected::UNSEEN).shrink(&of.sums);
                fitted[level].insert(*key, Expected { odd: of.odd, ..expected });
            }
        }
        let between_callers = between_callers(levels, &fitted);
        Self { levels: fitted, between_callers }
    }

    /// What is usual for a call, at the finest level that has seen one like it.
    pub fn get(&self, view: View, caller: &Name, vendor: &Name, endpoint: &Name) -> Expected {
        let known = |level: usize| self.levels[level].get(&key(level, view, [vendor, endpoint, caller])).copied();
        (0..LEVELS).find_map(known).unwrap_or(Expected::UNSEEN)
    }

    /// The columns that the feature catalogue reads beside the measures: `{quantity}_mean`, `{quantity}_deviation`,
    /// `{outcome}_share`, `odd_answers` (count) and `odd_answers_share`, one value a row.
    pub fn columns(&self, rows: &[Row]) -> Vec<Column> {
        let expected = |row: &Row| {
            let relation = &row.relation;
            self.get(relation.view(), relation.caller(), relation.vendor(), relation.endpoint())
        };
        let expected: Vec<Expected> = rows.iter().map(expected).collect();
        let column = |name: String, value: &dyn Fn(&Expected) -> f64| {
            Column::new(name.into(), expected.iter().map(value).collect::<Vec<f64>>())
        };
        let mut columns = Vec::with_capacity(2 * QUANTITIES.len() + FAILURES.len() + 2);
        for (index, quantity) in QUANTITIES.iter().enumerate() {
            columns.push(column(format!("{quantity}_mean"), &|expected| expected.mean[index]));
            columns.push(column(format!("{quantity}_deviation"), &|expected| expected.deviation[index]));
        }
        for (index, failure) in FAILURES.iter().enumerate() {
            columns.push(column(format!("{failure}_share"), &|expected| expected.share[index]));
        }
        columns.push(column("odd_answers_share".to_owned(), &|expected| f64::from(expected.odd.share())));
        let odd = rows.iter().zip(&expected).map(|(row, expected)| expected.odd.among(&row.measures));
        columns.push(Column::new("odd_answers".into(), odd.collect::<Vec<i64>>()));
        columns
    }

    /// How much callers of one endpoint differ in each quantity's mean, in variances of a call: what a caller without
    /// history may differ by. At least 0.05.
    pub fn between_callers(&self) -> [f64; QUANTITIES.len()] {
        self.between_callers
    }

    /// Number of endpoints of vendors that were seen.
    pub fn endpoints(&self) -> usize {
        self.levels[1].len()
    }
}

fn between_callers(
    levels: &[BTreeMap<u64, Level>; LEVELS],
    fitted: &[HashMap<u64, Expected>; LEVELS],
) -> [f64; QUANTITIES.len()] {
    let mut squares = [(0.0, 0.0); QUANTITIES.len()];
    for (key, of) in &levels[0] {
        let above = of.above.and_then(|above| fitted[1].get(&above));
        let Some((own, above)) = fitted[0].get(key).zip(above) else { continue };
        for (quantity, (sum, count)) in squares.iter_mut().enumerate() {
            *sum += ((own.mean[quantity] - above.mean[quantity]) / above.deviation[quantity]).powi(2);
            *count += 1.0;
        }
    }
    squares.map(|(sum, count): (f64, f64)| (sum / count.max(1.0)).max(0.05))
}
