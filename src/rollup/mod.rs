//! Rollups: calls counted into time buckets.
//!
//! A frame of calls comes in, a row per relation (who called what, with which credential, from where) and bucket goes out.
//! Every measure is an integer that merges by a sum, a minimum or a maximum, so batches may arrive in any order, split
//! anywhere, on any replica, and the merged row is the same to the bit. That one property carries the whole stream.
//!
//! Not here: clocks (event time is a column), models and thresholds, anything that knows of Kafka.

mod measure;

use polars::prelude::*;
use serde::{Deserialize, Serialize};

pub use measure::{MEASURES, Measure, Merge, ONE, QUANTITIES, fixed_to_f64};

/// Length of a bucket, seconds of event time.
pub const BUCKET_SECONDS: i64 = 300;
/// Length of a bucket, microseconds.
pub const BUCKET_MICROS: i64 = BUCKET_SECONDS * 1_000_000;
/// Buckets in a day.
pub const BUCKETS_PER_DAY: i64 = 86_400 / BUCKET_SECONDS;

/// What a row is about, besides its bucket: the relation.
pub const RELATION: [&str; 11] = [
    "view",
    "caller",
    "vendor",
    "host",
    "endpoint",
    "credential",
    "network",
    "client",
    "region",
    "scheme",
    "tls_version",
];

/// Bucket of a time in microseconds since the epoch.
pub const fn bucket_of(time: i64) -> i64 {
    time.div_euclid(BUCKET_MICROS)
}

/// Start of a bucket, microseconds since the epoch.
pub const fn bucket_start(bucket: i64) -> i64 {
    bucket * BUCKET_MICROS
}

/// Day (since the epoch) of a bucket.
pub const fn day_of(bucket: i64) -> i64 {
    bucket.div_euclid(BUCKETS_PER_DAY)
}

/// Rows of `bucket`, [`RELATION`] and [`MEASURES`], one a bucket and relation; sorted by them once merged.
#[derive(Clone, Debug)]
pub struct Rollup(DataFrame);

impl Rollup {
    /// Rolls up a frame of calls. Its rows are in no order until it is merged.
    ///
    /// # Errors
    /// Where the frame lacks a column of the call.
    pub fn of(calls: &DataFrame) -> PolarsResult<Self> {
        let bucket = calls.column("time")?.i64()?.apply_values(bucket_of).with_name("bucket".into());
        let measures: Vec<Expr> = MEASURES.iter().map(|measure| (measure.of_call)().alias(measure.name)).collect();
        let mut calls = calls.clone();
        calls.with_column(bucket.into_column())?;
        Ok(Self(Self::group(calls.lazy().with_columns(measure::logarithms()), measures)?))
    }

    /// Merges rollups into one, sorted, whatever their order.
    ///
    /// # Errors
    /// Where a part has other columns.
    pub fn merge(parts: Vec<Self>) -> PolarsResult<Self> {
        let mut frame = Self::empty().0;
        for part in parts {
            frame.vstack_mut_owned(part.0)?;
        }
        Self::regroup(frame)
    }

    /// Merges rows that have become one relation, after a column of the key was rewritten.
    ///
    /// # Errors
    /// Where the frame has other columns.
    pub fn regroup(frame: DataFrame) -> PolarsResult<Self> {
        let frame = Self::group(frame.lazy(), MEASURES.iter().map(Measure::merged).collect())?;
        let sort: Vec<PlSmallStr> = std::iter::once("bucket").chain(RELATION).map(PlSmallStr::from).collect();
        Ok(Self(frame.sort(sort, SortMultipleOptions::default())?))
    }

    fn group(rows: LazyFrame, measures: Vec<Expr>) -> PolarsResult<DataFrame> {
        let keys: Vec<Expr> = std::iter::once("bucket").chain(RELATION).map(col).collect();
        rows.group_by(keys).agg(measures).collect()
    }

    /// A rollup of no calls.
    pub fn empty() -> Self {
        let keys = RELATION.iter().map(|name| Column::new_empty((*name).into(), &DataType::String));
        let measures = MEASURES.iter().map(|measure| Column::new_empty(measure.name.into(), &measure.dtype()));
        let bucket = Column::new_empty("bucket".into(), &DataType::Int64);
        let columns: Vec<Column> = std::iter::once(bucket).chain(keys).chain(measures).collect();
        Self(DataFrame::new(0, columns).unwrap_or_default())
    }

    /// The rows.
    pub fn frame(&self) -> &DataFrame {
        &self.0
    }

    /// The rows, by value.
    pub fn into_frame(self) -> DataFrame {
        self.0
    }

    /// The oldest bucket, if there is a row.
    pub fn first_bucket(&self) -> Option<i64> {
        self.0.column("bucket").ok()?.i64().ok()?.min()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.0.height()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `(bucket, vendor, endpoint)` of each row, in the rollup's order.
    ///
    /// # Errors
    /// None in practice: a rollup has its columns.
    pub fn endpoints(&self) -> PolarsResult<impl Iterator<Item = (i64, &str, &str)>> {
        let text = |name: &str| self.0.column(name).and_then(Column::str);
        let names = text("vendor")?.iter().zip(text("endpoint")?.iter());
        let rows = self.0.column("bucket")?.i64()?.iter().zip(names);
        Ok(rows.map(|(bucket, (vendor, endpoint))| {
            (bucket.unwrap_or_default(), vendor.unwrap_or_default(), endpoint.unwrap_or_default())
        }))
    }

    /// Gives each row the endpoint named for it, `None` leaves it, and merges the rows that have become one relation.
    ///
    /// # Errors
    /// None in practice: a rollup has its columns.
    pub fn with_endpoints(self, names: &[Option<String>]) -> PolarsResult<Self> {
        if names.iter().all(Option::is_none) {
            return Ok(self);
        }
        let old = self.0.column("endpoint")?.str()?;
        let renamed = old.iter().zip(names).map(|(old, name)| name.as_deref().or(old));
        let renamed = StringChunked::from_iter_options("endpoint".into(), renamed);
        let mut frame = self.0.clone();
        frame.with_column(renamed.into_column())?;
        Self::regroup(frame)
    }

    /// Splits at a bucket: the rows before it, and the rest.
    ///
    /// # Errors
    /// None in practice: a rollup has its columns.
    pub fn split_before(self, bucket: i64) -> PolarsResult<(Self, Self)> {
        // Sorted by bucket first, so the split is a slice.
        let before = self.0.column("bucket")?.i64()?.iter().flatten().take_while(|at| *at < bucket).count();
        Ok((Self(self.0.slice(0, before)), Self(self.0.slice(before as i64, self.len()))))
    }
}

/// A rollup as plain columns: how state and disk keep it.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoredRollup {
    texts: Vec<Vec<String>>,
    numbers: Vec<Vec<i64>>,
    traces: Vec<Option<String>>,
}

impl StoredRollup {
    /// Copies the rows out of a rollup.
    ///
    /// # Errors
    /// None in practice: a rollup has its columns.
    pub fn of(rollup: &Rollup) -> PolarsResult<Self> {
        let frame = rollup.frame();
        let text = |name: &str| -> PolarsResult<Vec<Option<String>>> {
            Ok(frame.column(name)?.str()?.iter().map(|value| value.map(str::to_owned)).collect())
        };
        let number = |name: &str| -> PolarsResult<Vec<i64>> {
            Ok(frame.column(name)?.i64()?.iter().map(Option::unwrap_or_default).collect())
        };
        let texts = RELATION.iter().map(|name| Ok(text(name)?.into_iter().map(Option::unwrap_or_default).collect()));
        let numbers = std::iter::once("bucket").chain(Measure::numbers()).map(number);
        Ok(Self {
            texts: texts.collect::<PolarsResult<_>>()?,
            numbers: numbers.collect::<PolarsResult<_>>()?,
            traces: text("trace_id")?,
        })
    }

    /// The rollup again.
    ///
    /// # Errors
    /// Where the stored columns do not fit this version's.
    pub fn restore(self) -> PolarsResult<Rollup> {
        let texts = RELATION.iter().zip(self.texts).map(|(name, values)| Column::new((*name).into(), values));
        let numbers = std::iter::once("bucket")
            .chain(Measure::numbers())
            .zip(self.numbers)
            .map(|(name, values)| Column::new(name.into(), values));
        let traces = std::iter::once(Column::new("trace_id".into(), self.traces));
        let columns: Vec<Column> = texts.chain(numbers).chain(traces).collect();
        let height = columns.first().map_or(0, Column::len);
        Rollup::regroup(DataFrame::new(height, columns)?)
    }
}
