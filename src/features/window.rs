//! Trailing windows: one entity's features over the last 5 minutes to 24 hours, moved forward bucket by bucket.
//!
//! Sums are integers, so what is added when a bucket enters and taken away when it leaves cancels exactly: a series that was
//! restored in the middle tells the same as one that never stopped.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{FEATURES, FeatureVector, WIDTH};
use crate::rollup::Merge;

/// One trailing window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Name in files and alerts.
    pub name: &'static str,
    /// Its length in buckets.
    pub buckets: i64,
}

/// Short windows fire early, long ones find slow leaks.
pub const WINDOWS: [Window; 5] = [
    Window { name: "5m", buckets: 1 },
    Window { name: "15m", buckets: 3 },
    Window { name: "1h", buckets: 12 },
    Window { name: "6h", buckets: 72 },
    Window { name: "24h", buckets: 288 },
];

/// Places in [`WINDOWS`] of the windows that last from `first` to `last`, for tables of statistics.
pub const fn windows_of<const N: usize>(first: usize) -> [usize; N] {
    let mut places = [0; N];
    let mut index = 0;
    while index < N {
        places[index] = first + index;
        index += 1;
    }
    places
}

/// One entity's buckets of the last 24 hours, with the sums over each trailing window.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "StoredSeries", into = "StoredSeries")]
pub struct Series<const N: usize = WIDTH> {
    buckets: VecDeque<(i64, [i64; N])>,
    starts: [usize; WINDOWS.len()],
    sums: [[i64; N]; WINDOWS.len()],
}

/// A series on disk: its buckets, and where each window begins. The sums follow from them.
#[derive(Serialize, Deserialize)]
struct StoredSeries {
    buckets: Vec<(i64, Vec<i64>)>,
    starts: [usize; WINDOWS.len()],
}

impl<const N: usize> From<Series<N>> for StoredSeries {
    fn from(series: Series<N>) -> Self {
        let buckets = series.buckets.into_iter().map(|(bucket, values)| (bucket, values.to_vec())).collect();
        Self { buckets, starts: series.starts }
    }
}

impl<const N: usize> TryFrom<StoredSeries> for Series<N> {
    type Error = &'static str;

    fn try_from(stored: StoredSeries) -> Result<Self, Self::Error> {
        let mut series = Self { starts: stored.starts, ..Self::default() };
        for (bucket, values) in stored.buckets {
            let values = values.try_into().map_err(|_| "a series of another number of features")?;
            series.buckets.push_back((bucket, values));
        }
        for (sums, start) in series.sums.iter_mut().zip(series.starts) {
            for (_, values) in series.buckets.iter().skip(start) {
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
        Ok(series)
    }
}

/// A series of counts alone.
pub type CountSeries = Series<1>;

impl<const N: usize> Default for Series<N> {
    fn default() -> Self {
        Self { buckets: VecDeque::new(), starts: [0; WINDOWS.len()], sums: [[0; N]; WINDOWS.len()] }
    }
}

impl<const N: usize> Series<N> {
    /// Adds to the newest bucket or opens a newer one; `merge` says how features merge within a bucket.
    pub fn add(&mut self, bucket: i64, values: &[i64; N], merge: impl Fn(usize) -> Merge) {
        if self.buckets.back().is_none_or(|(newest, _)| *newest != bucket) {
            self.buckets.push_back((bucket, [0; N]));
        }
        let Some((_, newest)) = self.buckets.back_mut() else { return };
        for (place, value) in values.iter().enumerate() {
            let merged = match merge(place) {
                Merge::Sum => newest[place] + value,
                Merge::Max => newest[place].max(*value),
                Merge::Min => newest[place].min(*value),
            };
            let gained = merged - std::mem::replace(&mut newest[place], merged);
            self.sums.iter_mut().for_each(|sums| sums[place] += gained);
        }
    }

    /// Moves every window forward so that it ends with `bucket`.
    pub fn advance(&mut self, bucket: i64) {
        for (window, start) in self.starts.iter_mut().enumerate() {
            let oldest = bucket - WINDOWS[window].buckets;
            while let Some((at, values)) = self.buckets.get(*start).filter(|(at, _)| *at <= oldest) {
                debug_assert!(*at <= bucket);
                for (sum, value) in self.sums[window].iter_mut().zip(values) {
                    *sum -= value;
                }
                *start += 1;
            }
        }
        let gone = self.starts[WINDOWS.len() - 1];
        self.buckets.drain(..gone);
        self.starts.iter_mut().for_each(|start| *start -= gone);
    }

    /// Sums over a window (place in [`WINDOWS`]); of features that keep the largest, the sum of each bucket's.
    pub fn window(&self, window: usize) -> &[i64; N] {
        &self.sums[window]
    }

    /// The bucket itself, if the entity had calls in it.
    pub fn bucket(&self, bucket: i64) -> Option<&[i64; N]> {
        self.buckets.back().filter(|(newest, _)| *newest == bucket).map(|(_, values)| values)
    }

    /// Whether no call is left in any window.
    pub fn is_idle(&self) -> bool {
        self.buckets.is_empty()
    }
}

impl Series<WIDTH> {
    /// Adds features, merged as the catalogue says.
    pub fn add_features(&mut self, bucket: i64, values: &FeatureVector) {
        self.add(bucket, values, |place| FEATURES[place].merge);
    }
}

impl CountSeries {
    /// Adds to a count.
    pub fn add_count(&mut self, bucket: i64, count: i64) {
        self.add(bucket, &[count], |_| Merge::Sum);
    }

    /// The count over a window (place in [`WINDOWS`]).
    pub fn count(&self, window: usize) -> i64 {
        self.window(window)[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_what_its_buckets_hold() {
        let mut series = CountSeries::default();
        let counts: Vec<i64> = (0..400).map(|bucket| (bucket * 7919) % 13).collect();
        for (bucket, count) in counts.iter().enumerate() {
            if *count > 3 {
                series.add_count(bucket as i64, *count);
            }
            series.advance(bucket as i64);
            for (place, window) in WINDOWS.iter().enumerate() {
                let from = (bucket + 1).saturating_sub(window.buckets as usize);
                let expected: i64 = counts[from..=bucket].iter().filter(|count| **count > 3).sum();
                assert_eq!(series.count(place), expected, "{} at {bucket}", window.name);
            }
        }
    }

    #[test]
    fn an_entity_that_fell_silent_is_idle_after_a_day() {
        let mut series = CountSeries::default();
        series.add_count(0, 5);
        series.advance(287);
        assert!(!series.is_idle());
        series.advance(288);
        assert!(series.is_idle());
    }
}
