//! Trailing windows: one entity's features over the last 5 minutes to 24 hours.
//!
//! Two resolutions: buckets of five minutes for the last hour, hours for the last day. Only buckets with calls take space, and
//! a window is summed when somebody asks, so an entity costs nothing while it is quiet. The two long windows begin at a full
//! hour: the hour that goes on, and the five or 23 hours before it. Sums are integers, so a window does not depend on when its
//! buckets were added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Column, FEATURES, FeatureVector, WIDTH};
use crate::rollup::{BUCKETS_PER_HOUR, hour_of};

/// One trailing window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Name in files and alerts.
    pub name: &'static str,
    /// Its nominal length in buckets.
    pub buckets: i64,
    is_hourly: bool,
}

/// Short windows fire early, long ones find slow leaks.
pub const WINDOWS: [Window; 5] = [
    Window { name: "5m", buckets: 1, is_hourly: false },
    Window { name: "15m", buckets: 3, is_hourly: false },
    Window { name: "1h", buckets: BUCKETS_PER_HOUR, is_hourly: false },
    Window { name: "6h", buckets: 6 * BUCKETS_PER_HOUR, is_hourly: true },
    Window { name: "24h", buckets: 24 * BUCKETS_PER_HOUR, is_hourly: true },
];

/// Index in [`WINDOWS`] of a quarter of an hour.
pub const QUARTER: usize = 1;
/// Index in [`WINDOWS`] of an hour.
pub const HOUR: usize = 2;
/// Index in [`WINDOWS`] of six hours.
pub const SIX_HOURS: usize = 3;
/// Index in [`WINDOWS`] of a day.
pub const DAY: usize = 4;

impl Window {
    /// Buckets of the window that ends with `bucket`: its nominal length, or less where it begins at a full hour.
    pub const fn length(&self, bucket: i64) -> i64 {
        if self.is_hourly { bucket - (self.first_hour(bucket) * BUCKETS_PER_HOUR) + 1 } else { self.buckets }
    }

    const fn first_hour(&self, bucket: i64) -> i64 {
        hour_of(bucket) - self.buckets / BUCKETS_PER_HOUR + 1
    }
}

/// Indices in [`WINDOWS`] of the windows from `first` on, for tables of statistics.
pub const fn windows_of<const N: usize>(first: usize) -> [usize; N] {
    let mut indices = [0; N];
    let mut index = 0;
    while index < N {
        indices[index] = first + index;
        index += 1;
    }
    indices
}

/// Sums over every window, in the order of [`WINDOWS`]; of features that keep the largest, the sum of each bucket's.
pub type WindowSums = [FeatureVector; WINDOWS.len()];

/// One entity's buckets with calls: of the last hour each, of the last day by the hour.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Windows {
    /// (bucket, features), oldest first.
    buckets: Vec<(i64, FeatureVector)>,
    /// (hour, features), oldest first.
    hours: Vec<(i64, FeatureVector)>,
}

impl Windows {
    /// Adds features to a bucket, the newest one or a newer one.
    pub fn add(&mut self, bucket: i64, values: &FeatureVector) {
        let hour = hour_of(bucket);
        if self.buckets.last().is_none_or(|(newest, _)| *newest != bucket) {
            let oldest = bucket - BUCKETS_PER_HOUR;
            let gone = self.buckets.partition_point(|(at, _)| *at <= oldest);
            self.buckets.drain(..gone);
            self.buckets.push((bucket, [0; WIDTH]));
        }
        if self.hours.last().is_none_or(|(newest, _)| *newest != hour) {
            let gone = self.hours.partition_point(|(at, _)| *at <= hour - 24);
            self.hours.drain(..gone);
            self.hours.push((hour, [0; WIDTH]));
        }
        for slot in [self.buckets.last_mut(), self.hours.last_mut()].into_iter().flatten() {
            merge(&mut slot.1, values);
        }
    }

    /// Adds features of a bucket before the newest one, as far as a window that ends there still reaches it.
    pub fn add_late(&mut self, bucket: i64, values: &FeatureVector) {
        let newest = self.newest().unwrap_or(bucket);
        if bucket > newest - BUCKETS_PER_HOUR {
            merge_at(&mut self.buckets, bucket, values);
        }
        if hour_of(bucket) > hour_of(newest) - 24 {
            merge_at(&mut self.hours, hour_of(bucket), values);
        }
    }

    /// The windows as they were at the end of a `bucket` that is past, with `late` features by bucket: of what came in time, the short ones
    /// have only what the last hour with calls still holds.
    #[must_use]
    pub fn as_of(&self, bucket: i64, late: &BTreeMap<i64, FeatureVector>) -> Self {
        let since = self.newest().map_or(bucket, |newest| newest - BUCKETS_PER_HOUR);
        let reached = late.range(bucket - BUCKETS_PER_HOUR + 1..);
        let gone = reached.take_while(|(at, _)| **at <= bucket.min(since)).map(|(at, values)| (*at, *values));
        let kept = self.buckets.iter().filter(|(at, _)| *at > since && *at <= bucket).copied();
        let hours = self.hours.iter().filter(|(at, _)| *at <= hour_of(bucket)).copied();
        Self { buckets: gone.chain(kept).collect(), hours: hours.collect() }
    }

    /// Sums over every window that ends with `bucket`.
    pub fn sums(&self, bucket: i64) -> WindowSums {
        let mut sums = [[0; WIDTH]; WINDOWS.len()];
        for (window, sums) in WINDOWS.iter().zip(&mut sums) {
            for (_, values) in self.slots(window, bucket) {
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
        sums
    }

    /// Sum of one feature over a window (index in [`WINDOWS`]) that ends with `bucket`.
    pub fn sum(&self, column: Column, window: usize, bucket: i64) -> i64 {
        self.slots(&WINDOWS[window], bucket).iter().map(|(_, values)| values[column as usize]).sum()
    }

    /// The buckets with calls of a window (index in [`WINDOWS`]) that ends with `bucket`, oldest first; of the two long windows the hours,
    /// each with its number.
    pub fn parts(&self, window: usize, bucket: i64) -> &[(i64, FeatureVector)] {
        self.slots(&WINDOWS[window], bucket)
    }

    fn slots(&self, window: &Window, bucket: i64) -> &[(i64, FeatureVector)] {
        let (slots, first) = if window.is_hourly {
            (&self.hours, window.first_hour(bucket))
        } else {
            (&self.buckets, bucket - window.buckets + 1)
        };
        &slots[slots.partition_point(|(at, _)| *at < first)..]
    }

    /// The bucket itself, if the entity had calls in it.
    pub fn bucket(&self, bucket: i64) -> Option<&FeatureVector> {
        self.buckets.last().filter(|(newest, _)| *newest == bucket).map(|(_, values)| values)
    }

    /// Calls of the `count` hours that end with `hour`, of at most a day (count).
    pub fn calls_by_hour(&self, hour: i64, count: i64) -> Vec<i64> {
        let count = count.clamp(1, 24);
        let first = hour - count + 1;
        let mut calls = vec![0; count as usize];
        for (at, values) in self.hours.iter().filter(|(at, _)| (first..=hour).contains(at)) {
            calls[(at - first) as usize] = values[Column::Calls as usize];
        }
        calls
    }

    /// The newest bucket with calls.
    pub fn newest(&self) -> Option<i64> {
        self.buckets.last().map(|(bucket, _)| *bucket)
    }
}

/// Merges features into the slot of a time, which is made where there is none.
fn merge_at(slots: &mut Vec<(i64, FeatureVector)>, at: i64, values: &FeatureVector) {
    let index = slots.partition_point(|(slot, _)| *slot < at);
    if slots.get(index).is_none_or(|(slot, _)| *slot != at) {
        slots.insert(index, (at, [0; WIDTH]));
    }
    merge(&mut slots[index].1, values);
}

/// Merges the features of two sets of calls.
pub(crate) fn merge(into: &mut FeatureVector, values: &FeatureVector) {
    for ((feature, into), value) in FEATURES.iter().zip(into).zip(values) {
        feature.merge.apply(into, *value);
    }
}

/// Counts alone, in the same two resolutions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CountWindows {
    /// (bucket, count), oldest first.
    buckets: Vec<(i32, u32)>,
    /// (hour, count), oldest first.
    hours: Vec<(i32, u32)>,
}

fn narrow(at: i64) -> i32 {
    i32::try_from(at).unwrap_or(if at < 0 { i32::MIN } else { i32::MAX })
}

impl CountWindows {
    /// Adds to the count of a bucket, the newest one or a newer one.
    pub fn add(&mut self, bucket: i64, count: i64) {
        let count = u32::try_from(count.max(0)).unwrap_or(u32::MAX);
        let into = |slots: &mut Vec<(i32, u32)>, at: i64, kept: i64| {
            let newest = narrow(at);
            match slots.last_mut() {
                Some((last, sum)) if *last == newest => *sum = sum.saturating_add(count),
                _ => {
                    let gone = slots.partition_point(|(slot, _)| i64::from(*slot) <= at - kept);
                    slots.drain(..gone);
                    slots.push((newest, count));
                }
            }
        };
        into(&mut self.buckets, bucket, BUCKETS_PER_HOUR);
        into(&mut self.hours, hour_of(bucket), 24);
    }

    /// Adds to the count of a bucket before `newest`, as far as a window that ends there still reaches it.
    pub fn add_late(&mut self, bucket: i64, count: i64, newest: i64) {
        let count = u32::try_from(count.max(0)).unwrap_or(u32::MAX);
        let into = |slots: &mut Vec<(i32, u32)>, at: i64| {
            let index = slots.partition_point(|(slot, _)| i64::from(*slot) < at);
            match slots.get_mut(index).filter(|(slot, _)| i64::from(*slot) == at) {
                Some((_, sum)) => *sum = sum.saturating_add(count),
                None => slots.insert(index, (narrow(at), count)),
            }
        };
        if bucket > newest - BUCKETS_PER_HOUR {
            into(&mut self.buckets, bucket);
        }
        if hour_of(bucket) > hour_of(newest) - 24 {
            into(&mut self.hours, hour_of(bucket));
        }
    }

    /// The counts as they were at the end of a `bucket` that is past.
    #[must_use]
    pub fn as_of(&self, bucket: i64) -> Self {
        let until =
            |slots: &[(i32, u32)], last: i64| slots.iter().filter(|(at, _)| i64::from(*at) <= last).copied().collect();
        Self { buckets: until(&self.buckets, bucket), hours: until(&self.hours, hour_of(bucket)) }
    }

    /// The count over a window (index in [`WINDOWS`]) that ends with `bucket`.
    pub fn count(&self, window: usize, bucket: i64) -> i64 {
        let window = &WINDOWS[window];
        let (slots, first) = if window.is_hourly {
            (&self.hours, window.first_hour(bucket))
        } else {
            (&self.buckets, bucket - window.buckets + 1)
        };
        slots.iter().rev().take_while(|(at, _)| i64::from(*at) >= first).map(|(_, count)| i64::from(*count)).sum()
    }

    /// Whether no count is left in any window that ends with `bucket`.
    pub fn is_idle(&self, bucket: i64) -> bool {
        self.hours.last().is_none_or(|(hour, _)| i64::from(*hour) <= hour_of(bucket) - 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_what_its_buckets_hold() {
        let (mut windows, mut counts) = (Windows::default(), CountWindows::default());
        let calls: Vec<i64> = (0..800).map(|bucket| (bucket * 7919) % 13).collect();
        for (bucket, calls_now) in calls.iter().enumerate() {
            let now = bucket as i64;
            if *calls_now > 3 {
                let mut values = [0; WIDTH];
                values[Column::Calls as usize] = *calls_now;
                windows.add(now, &values);
                counts.add(now, *calls_now);
            }
            let sums = windows.sums(now);
            for (index, window) in WINDOWS.iter().enumerate() {
                let from = (now + 1 - window.length(now)).max(0) as usize;
                let expected: i64 = calls[from..=bucket].iter().filter(|count| **count > 3).sum();
                assert_eq!(sums[index][Column::Calls as usize], expected, "{} at {bucket}", window.name);
                assert_eq!(windows.sum(Column::Calls, index, now), expected);
                assert_eq!(counts.count(index, now), expected, "{} at {bucket}", window.name);
            }
        }
    }

    #[test]
    fn what_comes_late_is_in_every_window_that_still_reaches_it() {
        let add = |windows: &mut Windows, bucket: i64| windows.add(bucket, &[1; WIDTH]);
        let (mut in_order, mut late) = (Windows::default(), Windows::default());
        let buckets: Vec<i64> = (0..400).filter(|bucket| bucket % 3 != 1).collect();
        buckets.iter().for_each(|bucket| add(&mut in_order, *bucket));
        let (came_late, in_time): (Vec<i64>, Vec<i64>) = buckets.into_iter().partition(|bucket| bucket % 5 == 0);
        in_time.into_iter().for_each(|bucket| add(&mut late, bucket));
        came_late.into_iter().for_each(|bucket| late.add_late(bucket, &[1; WIDTH]));
        assert_eq!(late.sums(399), in_order.sums(399));
    }

    #[test]
    fn a_bucket_that_is_past_is_seen_with_all_hours_and_of_its_short_windows_with_what_came_late() {
        let (mut windows, mut only_late) = (Windows::default(), Windows::default());
        (0..400).for_each(|bucket| windows.add(bucket, &[1; WIDTH]));
        let late: BTreeMap<i64, FeatureVector> = [370, 371].map(|bucket| (bucket, [7; WIDTH])).into();
        for (bucket, values) in &late {
            windows.add_late(*bucket, values);
            only_late.add(*bucket, values);
        }
        let calls = |windows: &Windows| windows.sums(371).map(|sums| sums[Column::Calls as usize]);
        let as_of = calls(&windows.as_of(371, &late));
        assert_eq!(as_of[..3], calls(&only_late)[..3]);
        assert_eq!(as_of[SIX_HOURS], 72 + 14, "what came in time and what came late");
    }

    #[test]
    fn long_windows_begin_at_a_full_hour() {
        assert_eq!(WINDOWS[DAY].length(24 * 12 - 1), 288);
        assert_eq!(WINDOWS[DAY].length(24 * 12), 277);
        assert_eq!(WINDOWS[SIX_HOURS].length(11), 72);
        assert_eq!(WINDOWS[HOUR].length(7), 12);
    }

    #[test]
    fn an_entity_that_is_always_busy_keeps_an_hour_of_buckets_and_a_day_of_hours() {
        let mut windows = Windows::default();
        (0..3_000).for_each(|bucket| windows.add(bucket, &[1; WIDTH]));
        assert!(windows.buckets.len() <= 12 && windows.hours.len() <= 24);
    }
}
