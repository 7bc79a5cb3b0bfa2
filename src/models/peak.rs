//! Peaks: more in an hour, a quarter of a day or a day than the entity ever had.
//!
//! Logarithms tell many small shifts apart, and forget what matters most in a theft: the sum. Sums have wild tails that no two
//! pairs share, so a pair's sum is measured against the largest of its own other days. Bytes must also be more a call than
//! ever, or a campaign (more calls, each as ever) would be a peak.

use serde::{Deserialize, Serialize};

use crate::features::{Column, WINDOWS, WindowSums};

/// One kind of peak.
#[derive(Debug)]
pub struct PeakKind {
    /// Name of the cause.
    pub name: &'static str,
    /// What is summed up.
    pub column: Column,
    /// Whether the mean of a call must be a peak too.
    pub per_call: bool,
    /// Times the peak from which a sum is worth telling.
    pub least_times: f64,
    /// Least excess over the peak that is worth telling (bytes, or millionths of a dollar), and part of the least peak itself.
    pub least_excess: f64,
}

/// Every kind of peak.
pub const PEAKS: &[PeakKind] = &[
    PeakKind {
        name: "bytes_out_peak",
        column: Column::BytesOutSum,
        per_call: true,
        least_times: 2.0,
        least_excess: 1048576.0,
    },
    PeakKind {
        name: "bytes_in_peak",
        column: Column::BytesInSum,
        per_call: true,
        least_times: 2.0,
        least_excess: 4194304.0,
    },
    // Never told by itself: campaigns break it. Pure volume asks for it.
    PeakKind {
        name: "calls_peak",
        column: Column::Calls,
        per_call: false,
        least_times: 2.0,
        least_excess: f64::INFINITY,
    },
    PeakKind { name: "spend_peak", column: Column::Cost, per_call: false, least_times: 2.5, least_excess: 2e6 },
];
/// Place of the peak of calls.
const CALLS: usize = 2;
/// Place of the peak of spending.
pub const SPENDING: usize = 3;

/// Number of kinds.
pub const KINDS: usize = PEAKS.len();
/// Windows that are summed up, as places in [`WINDOWS`]: an hour, six hours, a day.
pub const PEAK_WINDOWS: [usize; 3] = [2, 3, 4];
/// Part of the least excess below which no sum is a peak, and least mean of a call.
const MIN_PEAK_SHARE: f64 = 0.1;
const MIN_PER_CALL: f64 = 64.0;

const _: () = assert!(PEAK_WINDOWS[2] < WINDOWS.len());

/// The largest sum over a window and the largest mean of a call in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// Largest sum.
    pub sum: f64,
    /// Largest mean of a call.
    pub per_call: f64,
}

/// The peaks of a pair: by kind, then window.
pub type Peaks = [[Peak; PEAK_WINDOWS.len()]; KINDS];

/// A sum excess the peak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeakExcess {
    /// Place in [`WINDOWS`].
    pub window: usize,
    /// Times the peak.
    pub times: f64,
    /// The sum.
    pub sum: f64,
    /// The peak.
    pub peak: f64,
}

impl Peak {
    /// What a kind sees of an state's window.
    fn of(sums: &WindowSums, kind: &PeakKind, window: usize) -> Self {
        let at = |column: Column| sums[window][column as usize];
        let sum = at(kind.column).max(0) as f64;
        Self { sum, per_call: sum / at(Column::Calls).max(1) as f64 }
    }

    /// The larger of both.
    pub fn or(self, other: Self) -> Self {
        Self { sum: self.sum.max(other.sum), per_call: self.per_call.max(other.per_call) }
    }

    /// How many times `self` is the peak.
    pub fn times(self, peak: Self, kind: &PeakKind) -> f64 {
        if kind.least_excess.is_infinite() {
            return 0.0;
        }
        let sum = self.sum / peak.sum.max(MIN_PEAK_SHARE * kind.least_excess);
        if kind.per_call { sum.min(self.per_call / peak.per_call.max(MIN_PER_CALL)) } else { sum }
    }
}

/// Raises peaks to what an state shows at the end of a bucket.
pub fn raise(peaks: &mut Peaks, sums: &WindowSums) {
    for (kind, peaks) in PEAKS.iter().zip(peaks) {
        for (window, peak) in PEAK_WINDOWS.iter().zip(peaks) {
            *peak = peak.or(Peak::of(sums, kind, *window));
        }
    }
}

/// The furthest that an state is excess the peak of a kind (place in [`PEAKS`]); `None` where that is not worth telling.
pub fn excess(peaks: &Peaks, sums: &WindowSums, place: usize) -> Option<PeakExcess> {
    let (kind, peaks) = (PEAKS.get(place)?, peaks.get(place)?);
    let of_window = |(window, peak): (&usize, &Peak)| {
        let seen = Peak::of(sums, kind, *window);
        let times = seen.times(*peak, kind);
        let is_worth_telling = times >= kind.least_times && seen.sum - peak.sum >= kind.least_excess;
        is_worth_telling.then_some(PeakExcess { window: *window, times, sum: seen.sum, peak: peak.sum })
    };
    // Of windows that are excess it alike, the shortest: hence backwards.
    PEAK_WINDOWS.iter().zip(peaks).rev().filter_map(of_window).max_by(|a, b| a.times.total_cmp(&b.times))
}

/// The largest of some folds' peaks.
pub fn largest<'a>(folds: impl IntoIterator<Item = &'a Peaks>) -> Peaks {
    let mut most = Peaks::default();
    for peaks in folds {
        for (most, peaks) in most.iter_mut().flatten().zip(peaks.iter().flatten()) {
            *most = most.or(*peaks);
        }
    }
    most
}

/// What nine pairs in ten stay below: the peaks of a pair that has none of its own.
pub fn usual(pairs: &[Peaks]) -> Peaks {
    let at = |kind: usize, window: usize, of: fn(&Peak) -> f64| {
        let mut values: Vec<f64> = pairs.iter().map(|peaks| of(&peaks[kind][window])).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() * 9 / 10).copied().unwrap_or_default()
    };
    std::array::from_fn(|kind| {
        std::array::from_fn(|window| Peak {
            sum: at(kind, window, |peak| peak.sum),
            per_call: at(kind, window, |peak| peak.per_call),
        })
    })
}

/// The most calls that a pair ever made in an hour.
pub fn max_calls_per_hour(peaks: &Peaks) -> f64 {
    peaks[CALLS][0].sum
}

/// How many times each fold's peaks are those of the other folds, by kind.
pub fn times_by_fold(folds: &[Peaks]) -> Vec<[f64; KINDS]> {
    let others =
        |own: usize| largest(folds.iter().enumerate().filter(|(fold, _)| *fold != own).map(|(_, peaks)| peaks));
    let of_fold = |(own, peaks): (usize, &Peaks)| {
        let others = others(own);
        std::array::from_fn(|place| {
            let pairs = peaks[place].iter().zip(&others[place]);
            pairs.map(|(own, others)| own.times(*others, &PEAKS[place])).fold(0.0, f64::max)
        })
    };
    folds.iter().enumerate().map(of_fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::WIDTH;

    fn state(calls: i64, bytes: i64) -> WindowSums {
        let mut values = [0; WIDTH];
        (values[Column::Calls as usize], values[Column::BytesOutSum as usize]) = (calls, bytes);
        [values; WINDOWS.len()]
    }

    fn learned() -> Peaks {
        let mut peaks = Peaks::default();
        raise(&mut peaks, &state(600, 120_000));
        peaks
    }

    #[test]
    fn twenty_megabytes_from_a_reader_are_a_record_and_a_campaign_is_none() {
        let theft = excess(&learned(), &state(620, 20_000_000), 0).unwrap();
        assert!(theft.times > 100.0 && theft.window == 2, "{theft:?}");
        assert_eq!(excess(&learned(), &state(60_000, 12_000_000), 0), None, "a hundred times the calls, each as ever");
        assert_eq!(excess(&learned(), &state(6, 900_000), 0), None, "less than a megabyte");
    }

    #[test]
    fn a_fold_is_measured_against_the_others() {
        let large = {
            let mut peaks = Peaks::default();
            raise(&mut peaks, &state(600, 60_000_000));
            peaks
        };
        let times = times_by_fold(&[learned(), large, learned()]);
        assert!(times[1][0] > 100.0 && times[0][0] <= 1.0, "{times:?}");
    }
}
