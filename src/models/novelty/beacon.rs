//! Beacons: a new pair that calls at fixed intervals.
//!
//! Implants report home at a fixed interval, people and jobs do not. What a rolled-up bucket tells of its calls (how many,
//! the first and the last) gives their mean gap, and two buckets the gap between them: enough to see an interval, without
//! keeping one time a call.
//!
//! Source: regularity of intervals as a beaconing score (RITA, Active Countermeasures), on new pairs alone.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::rollup::Row;

/// Gaps that it takes, each the mean of a bucket's or one between buckets, and calls.
const MIN_GAPS: usize = 6;
const MIN_CALLS: i64 = 13;
/// Largest standard deviation of the gaps, as a share of their mean.
const MAX_RELATIVE_DEVIATION: f64 = 0.25;
/// Gaps that are remembered of a pair.
const MAX_GAPS: usize = 48;
/// Gaps shorter than this (microseconds) are one burst of work, not an interval.
const MIN_GAP: f64 = 5e6;

/// The calls of one new pair.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Ticks {
    /// Mean gaps, microseconds, oldest first, each with the number of gaps that it is the mean of.
    gaps: VecDeque<(f64, f64)>,
    /// Calls of closed buckets.
    calls: i64,
    /// The open bucket: itself, its first and last call, its calls.
    open: Option<(i64, i64, i64, i64)>,
}

impl Ticks {
    /// Adds a row's calls; the interval in seconds if the pair has by now called at fixed intervals.
    pub fn add(&mut self, row: &Row) -> Option<f64> {
        let (first_seen, last_seen) = (row.first_seen(), row.last_seen());
        match &mut self.open {
            Some((open, first, last, calls)) if *open == row.bucket => {
                (*first, *last) = ((*first).min(first_seen), (*last).max(last_seen));
                *calls += row.calls();
                return None;
            }
            Some((_, first, last, calls)) => {
                let (inside, between) = ((*last - *first) as f64, (first_seen - *last) as f64);
                if *calls > 1 {
                    self.gaps.push_back((inside / (*calls - 1) as f64, (*calls - 1) as f64));
                }
                self.gaps.push_back((between, 1.0));
                self.calls += *calls;
            }
            None => {}
        }
        self.open = Some((row.bucket, first_seen, last_seen, row.calls()));
        while self.gaps.len() > MAX_GAPS {
            self.gaps.pop_front();
        }
        self.interval()
    }

    fn interval(&self) -> Option<f64> {
        if self.gaps.len() < MIN_GAPS || self.calls < MIN_CALLS {
            return None;
        }
        let weight: f64 = self.gaps.iter().map(|(_, gaps)| gaps).sum();
        let mean = self.gaps.iter().map(|(gap, gaps)| gap * gaps).sum::<f64>() / weight;
        // A mean of n gaps wanders by 1/n of one gap's variance: weighted back to one gap's.
        let variance = self.gaps.iter().map(|(gap, gaps)| gaps * (gap - mean).powi(2)).sum::<f64>();
        let variance = variance / self.gaps.len() as f64;
        (mean >= MIN_GAP && variance.sqrt() <= MAX_RELATIVE_DEVIATION * mean).then_some(mean / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Calls;
    use crate::rollup::Rollup;

    /// Rolls up calls at these seconds and returns the interval that was seen, if any.
    fn interval(seconds: impl Iterator<Item = f64>) -> Option<f64> {
        let calls = seconds.map(|second| ((second * 1e6) as i64, ("billing", "c2.example")));
        let mut ticks = Ticks::default();
        let rows = Rollup::of(&Calls::of_pairs(calls)).into_rows();
        rows.iter().filter_map(|row| ticks.add(row)).last()
    }

    /// Evenly spread numbers in 0..1.
    fn noise(n: usize) -> f64 {
        (n as f64 * 0.618_033_988_749_895).fract()
    }

    #[test]
    fn a_clock_is_seen_whether_it_ticks_within_a_bucket_or_across() {
        for every in [60.0, 290.0, 900.0] {
            let jittered = (0..60).map(|tick| f64::from(tick) * every + noise(tick as usize) * 0.2 * every);
            let seen = interval(jittered).unwrap();
            assert!((seen / every - 1.0).abs() < 0.1, "{every}: {seen}");
        }
    }

    #[test]
    fn calls_without_a_clock_and_a_burst_of_work_are_no_beacon() {
        let mut at = 0.0;
        let random = (0..200).map(|tick| {
            at += -120.0 * noise(tick).max(1e-3).ln();
            at
        });
        assert_eq!(interval(random), None);
        assert_eq!(interval((0..500).map(|tick| f64::from(tick) * 3.0)), None);
    }
}
