//! What is usual for a call: the size and latency of answered calls and the share of each failure, by endpoint, shrunk up
//! the lattice.
//!
//! `(caller, vendor, endpoint)` borrows from `(vendor, endpoint)`, that from the vendor, that from all: a new caller is
//! judged by its vendor's endpoints, which is the cold start. Means and variances are those of `ln(1 + x)`.
//!
//! Learned from additive sums, kept apart by fold, so that a fold can be left out.
//!
//! Not here: how many calls are usual (`clock`), and how far is unusual (`statistic`, `calibration`).

use std::collections::BTreeMap;
use std::fmt::Write;

use foldhash::HashMap;
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::seasonality::Span;
use crate::rollup::{QUANTITIES, Rollup, fixed_to_f64};

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
}

impl Expected {
    /// What is assumed before any call was seen: a small request, an answer of 2 kB within 200 ms, and hardly a failure.
    const UNSEEN: Self = Self { mean: [6.0, 7.5, 5.3], deviation: [1.5, 1.5, 1.5], share: [1e-3; FAILURES.len()] };

    /// The level below `self` that has seen `sums`.
    fn shrink(&self, sums: &Sums) -> Self {
        let mut own = *self;
        for quantity in 0..QUANTITIES.len() {
            let n = sums.count[quantity] as f64;
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

/// Key of a level: the parts of a call that it keeps, joined. Level 0 is the endpoint of a pair, 3 is all calls of a view.
fn key(buffer: &mut String, level: usize, [view, caller, vendor, endpoint]: [&str; 4]) {
    buffer.clear();
    let _ = match level {
        0 => write!(buffer, "{view}\u{1f}{vendor}\u{1f}{endpoint}\u{1f}{caller}"),
        1 => write!(buffer, "{view}\u{1f}{vendor}\u{1f}{endpoint}"),
        2 => write!(buffer, "{view}\u{1f}{vendor}"),
        _ => write!(buffer, "{view}"),
    };
}

/// The columns that name a call's place in the lattice.
struct Places<'a>([&'a StringChunked; 4]);

impl<'a> Places<'a> {
    fn of(frame: &'a DataFrame) -> PolarsResult<Self> {
        let text = |name: &str| frame.column(name).and_then(Column::str);
        Ok(Self([text("view")?, text("caller")?, text("vendor")?, text("endpoint")?]))
    }

    fn row(&self, row: usize) -> [&'a str; 4] {
        self.0.map(|column| column.get(row).unwrap_or_default())
    }
}

/// Sums of the history by endpoint of a pair and fold: what [`Expectations`] are fitted from.
#[derive(Debug, Default)]
pub struct CallHistory(BTreeMap<[String; 4], BTreeMap<i64, Sums>>);

impl CallHistory {
    /// Gathers the sums of a rollup over a span, by its folds.
    ///
    /// # Errors
    /// Where the rollup lacks a column.
    pub fn of(rollup: &Rollup, span: Span) -> PolarsResult<Self> {
        let frame = rollup.frame();
        let number = |name: &str| frame.column(name).and_then(Column::i64);
        let each = |suffix: &str| -> PolarsResult<Vec<&Int64Chunked>> {
            QUANTITIES.iter().map(|quantity| number(&format!("{quantity}_{suffix}"))).collect()
        };
        let failures: Vec<&Int64Chunked> = FAILURES.iter().map(|name| number(name)).collect::<PolarsResult<_>>()?;
        let (buckets, calls) = (number("bucket")?, number("calls")?);
        let (counts, sums, squares) = (each("count")?, each("ln_sum")?, each("ln_square_sum")?);
        let places = Places::of(frame)?;
        let at = |column: &Int64Chunked, row: usize| column.get(row).unwrap_or_default();
        let mut history = Self::default();
        for row in 0..frame.height() {
            let seen = Sums {
                calls: at(calls, row),
                failures: std::array::from_fn(|index| at(failures[index], row)),
                count: std::array::from_fn(|index| at(counts[index], row)),
                sum: std::array::from_fn(|index| at(sums[index], row)),
                square: std::array::from_fn(|index| at(squares[index], row)),
            };
            let folds = history.0.entry(places.row(row).map(str::to_owned)).or_default();
            folds.entry(span.fold_of(at(buckets, row))).or_default().add(&seen, 1);
        }
        Ok(history)
    }

    /// Fits expectations to every fold, or to all but one.
    pub fn fit(&self, left_out: Option<i64>) -> Expectations {
        let mut levels: [BTreeMap<String, Sums>; LEVELS] = Default::default();
        let mut buffer = String::new();
        for (place, folds) in &self.0 {
            let mut sums = Sums::default();
            folds.iter().filter(|(fold, _)| Some(**fold) != left_out).for_each(|(_, seen)| sums.add(seen, 1));
            if sums.calls == 0 {
                continue;
            }
            for (level, known) in levels.iter_mut().enumerate() {
                key(&mut buffer, level, place.each_ref().map(String::as_str));
                known.entry(buffer.clone()).or_default().add(&sums, 1);
            }
        }
        Expectations::shrunk(&levels)
    }
}

/// What is usual for a call, at every level of the lattice.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "[BTreeMap<String, Expected>; LEVELS]", into = "[BTreeMap<String, Expected>; LEVELS]")]
pub struct Expectations([HashMap<String, Expected>; LEVELS]);

impl From<[BTreeMap<String, Expected>; LEVELS]> for Expectations {
    fn from(levels: [BTreeMap<String, Expected>; LEVELS]) -> Self {
        Self(levels.map(|level| level.into_iter().collect()))
    }
}

impl From<Expectations> for [BTreeMap<String, Expected>; LEVELS] {
    fn from(expectations: Expectations) -> Self {
        expectations.0.map(|level| level.into_iter().collect())
    }
}

impl Expectations {
    fn shrunk(levels: &[BTreeMap<String, Sums>; LEVELS]) -> Self {
        let mut fitted: [HashMap<String, Expected>; LEVELS] = Default::default();
        for level in (0..LEVELS).rev() {
            for (key, sums) in &levels[level] {
                let above = key.rsplit_once('\u{1f}').and_then(|(above, _)| fitted.get(level + 1)?.get(above));
                let expected = above.unwrap_or(&Expected::UNSEEN).shrink(sums);
                fitted[level].insert(key.clone(), expected);
            }
        }
        Self(fitted)
    }

    /// What is usual for a call, at the finest level that has seen one like it.
    pub fn get(&self, view: &str, caller: &str, vendor: &str, endpoint: &str) -> Expected {
        self.look_up(&mut String::new(), [view, caller, vendor, endpoint])
    }

    fn look_up(&self, buffer: &mut String, place: [&str; 4]) -> Expected {
        for (level, known) in self.0.iter().enumerate() {
            key(buffer, level, place);
            if let Some(expected) = known.get(buffer.as_str()) {
                return *expected;
            }
        }
        Expected::UNSEEN
    }

    /// The columns that the feature catalogue reads beside the measures: `{quantity}_mean`, `{quantity}_deviation` and
    /// `{outcome}_share`, one value a row of the rollup.
    ///
    /// # Errors
    /// Where the rollup lacks a column.
    pub fn columns(&self, rollup: &Rollup) -> PolarsResult<Vec<Column>> {
        let places = Places::of(rollup.frame())?;
        let mut buffer = String::new();
        let rows: Vec<Expected> = (0..rollup.len()).map(|row| self.look_up(&mut buffer, places.row(row))).collect();
        let column = |name: String, value: &dyn Fn(&Expected) -> f64| {
            Column::new(name.into(), rows.iter().map(value).collect::<Vec<f64>>())
        };
        let mut columns = Vec::new();
        for (index, quantity) in QUANTITIES.iter().enumerate() {
            columns.push(column(format!("{quantity}_mean"), &|expected| expected.mean[index]));
            columns.push(column(format!("{quantity}_deviation"), &|expected| expected.deviation[index]));
        }
        for (index, failure) in FAILURES.iter().enumerate() {
            columns.push(column(format!("{failure}_share"), &|expected| expected.share[index]));
        }
        Ok(columns)
    }

    /// How much callers of one endpoint differ in each quantity's mean, in variances of a call: what a caller without
    /// history may differ by. At least 0.05.
    pub fn between_callers(&self) -> [f64; QUANTITIES.len()] {
        let mut squares = [(0.0, 0.0); QUANTITIES.len()];
        for (key, own) in &self.0[0] {
            let Some(above) = key.rsplit_once('\u{1f}').and_then(|(above, _)| self.0[1].get(above)) else { continue };
            for (quantity, (sum, count)) in squares.iter_mut().enumerate() {
                *sum += ((own.mean[quantity] - above.mean[quantity]) / above.deviation[quantity]).powi(2);
                *count += 1.0;
            }
        }
        squares.map(|(sum, count): (f64, f64)| (sum / count.max(1.0)).max(0.05))
    }

    /// Number of endpoints of vendors that were seen.
    pub fn endpoints(&self) -> usize {
        self.0[1].len()
    }
}
