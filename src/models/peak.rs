//! Peaks: more in an hour, a quarter of a day or a day than the entity ever had.
//!
//! Means of logarithms separate many small shifts, but hide what matters most in a theft: the sum. Sums have heavy tails that no
//! two pairs share, so a pair's sum is compared with the largest of its own other days: as exceedance of a record (Chandler,
//! JRSS B 14, 1952), whose chance among exchangeable days is one over their number whatever the distribution. Bytes per call
//! must also be more than ever, or a campaign (more calls, each as ever) would be a peak.
//!
//! Not here: how unlikely a multiple of the peak is (`calibration`), and whether it pages (`stream`).

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
    /// Smallest multiple of the peak that is reported, dimensionless.
    pub min_times: f64,
    /// Smallest excess over the peak that is reported, in bytes, calls, or millionths of a dollar as the column is; infinite where
    /// the peak is only kept, never reported. A share of it is the smallest peak itself.
    pub min_excess: f64,
}

/// Bytes.
const MEBIBYTE: f64 = 1_048_576.0;

/// Every kind of peak (n_kinds).
pub const PEAKS: &[PeakKind] = &[
    PeakKind {
        name: "bytes_out_peak",
        column: Column::BytesOutSum,
        per_call: true,
        min_times: 2.0,
        min_excess: MEBIBYTE,
    },
    PeakKind {
        name: "bytes_in_peak",
        column: Column::BytesInSum,
        per_call: true,
        min_times: 2.0,
        min_excess: 4.0 * MEBIBYTE,
    },
    // Never reported by itself: campaigns exceed it. The detector of pure volume asks for it.
    PeakKind { name: "calls_peak", column: Column::Calls, per_call: false, min_times: 2.0, min_excess: f64::INFINITY },
    PeakKind { name: "spend_peak", column: Column::Cost, per_call: false, min_times: 2.5, min_excess: 2e6 },
];
/// Indices in [`PEAKS`] of the peaks of bytes.
pub const BYTES_OUT: usize = 0;
/// See [`BYTES_OUT`].
pub const BYTES_IN: usize = 1;
/// Index in [`PEAKS`] of the peak of calls.
const CALLS: usize = 2;
/// Index in [`PEAKS`] of the peak of spending.
pub const SPENDING: usize = 3;

/// Number of kinds of peaks.
pub const KINDS: usize = PEAKS.len();
/// Windows that are summed over (3), as indices in [`WINDOWS`]: an hour, six hours, a day.
pub const PEAK_WINDOWS: [usize; 3] = [2, 3, 4];
/// Smallest peak of a sum, as a share (0 to 1) of the smallest excess that is reported.
const MIN_PEAK_SHARE: f64 = 0.1;
/// Smallest peak of a call's mean, in bytes.
const MIN_PER_CALL: f64 = 64.0;
/// The price or the bytes of a large call, as a share (0 to 1) of the smallest excess that is reported: 16 kB out, 64 kB in, 3 cents.
const LARGE: f64 = 1.0 / 64.0;

const _: () = assert!(PEAK_WINDOWS[2] < WINDOWS.len());

/// The largest sum over a window, and the largest mean per call in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// Largest sum, in bytes, calls, or millionths of a dollar.
    pub sum: f64,
    /// Largest mean per call, in bytes (or millionths of a dollar).
    pub per_call: f64,
}

/// The peaks of a pair: (4 kinds in [`PEAKS`] order, 3 windows in [`PEAK_WINDOWS`] order).
pub type Peaks = [[Peak; PEAK_WINDOWS.len()]; KINDS];

/// A sum beyond the peak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeakExcess {
    /// Index in [`WINDOWS`].
    pub window: usize,
    /// Multiple of the peak, dimensionless.
    pub times: f64,
    /// The sum, in bytes or millionths of a dollar.
    pub sum: f64,
    /// The peak, in the unit of the sum.
    pub peak: f64,
}

impl Peak {
    /// What a kind sees of an entity's window, if so many calls (a number) that move nothing are `to_come`.
    fn of(sums: &WindowSums, kind: &PeakKind, window: usize, to_come: f64) -> Self {
        let at = |column: Column| sums[window][column as usize];
        let sum = at(kind.column).max(0) as f64;
        Self { sum, per_call: sum / (at(Column::Calls).max(1) as f64 + to_come) }
    }

    /// The larger of both.
    pub fn or(self, other: Self) -> Self {
        Self { sum: self.sum.max(other.sum), per_call: self.per_call.max(other.per_call) }
    }

    /// What multiple of the peak `self` is, dimensionless; 0 for a kind that is only kept.
    pub fn times(self, peak: Self, kind: &PeakKind) -> f64 {
        if kind.min_excess.is_infinite() {
            return 0.0;
        }
        let sum = self.sum / peak.sum.max(MIN_PEAK_SHARE * kind.min_excess);
        if kind.per_call { sum.min(self.per_call / peak.per_call.max(MIN_PER_CALL)) } else { sum }
    }
}

/// Raises peaks to what an entity shows at the end of a bucket.
pub fn raise(peaks: &mut Peaks, sums: &WindowSums) {
    for (kind, peaks) in PEAKS.iter().zip(peaks) {
        for (window, peak) in PEAK_WINDOWS.iter().zip(peaks) {
            *peak = peak.or(Peak::of(sums, kind, *window, 0.0));
        }
    }
}

/// The furthest that an entity is beyond the peak of a kind (place in [`PEAKS`]); `None` where that is not worth telling. Where the bucket
/// `is_open`, that holds however it ends: even if as many calls follow as the window ever had.
pub fn excess(peaks: &Peaks, sums: &WindowSums, place: usize, is_open: bool) -> Option<PeakExcess> {
    let most_calls = peaks[CALLS];
    let (kind, peaks) = (PEAKS.get(place)?, peaks.get(place)?);
    let of_window = |((window, peak), most_calls): ((&usize, &Peak), Peak)| {
        let to_come = if is_open { most_calls.sum } else { 0.0 };
        let seen = Peak::of(sums, kind, *window, to_come);
        let times = seen.times(*peak, kind);
        let is_reportable = times >= kind.min_times && seen.sum - peak.sum >= kind.min_excess;
        is_reportable.then_some(PeakExcess { window: *window, times, sum: seen.sum, peak: peak.sum })
    };
    // Of windows that are equally far beyond it, the shortest: hence backwards.
    PEAK_WINDOWS
        .iter()
        .zip(peaks)
        .zip(most_calls)
        .rev()
        .filter_map(of_window)
        .max_by(|a, b| a.times.total_cmp(&b.times))
}

/// Whether a call is large by itself, by its bytes and its price in millionths of a dollar: then it may make a burst.
pub fn is_large(bytes_out: Option<i64>, bytes_in: Option<i64>, cost: Option<i64>) -> bool {
    reaches([bytes_out, bytes_in, cost].map(Option::unwrap_or_default), LARGE)
}

/// Whether sums alone, without what a window has before them, are as large as the smallest excess that is reported.
pub fn is_reportable(bytes_out: i64, bytes_in: i64, cost: i64) -> bool {
    reaches([bytes_out, bytes_in, cost], 1.0)
}

/// Whether one of bytes out, bytes in and price reaches a share of the smallest excess that is reported.
fn reaches(values: [i64; 3], share: f64) -> bool {
    let kinds = [BYTES_OUT, BYTES_IN, SPENDING];
    values.iter().zip(kinds).any(|(value, kind)| *value as f64 >= share * PEAKS[kind].min_excess)
}

/// The largest of the peaks of some folds (n_folds).
pub fn largest<'a>(folds: impl IntoIterator<Item = &'a Peaks>) -> Peaks {
    let mut most = Peaks::default();
    for peaks in folds {
        for (most, peaks) in most.iter_mut().flatten().zip(peaks.iter().flatten()) {
            *most = most.or(*peaks);
        }
    }
    most
}

/// The upper decile of the peaks of `pairs` (n_pairs): the peaks of a pair that has none of its own.
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

/// The most calls that a pair ever made in an hour, in calls.
pub fn max_calls_per_hour(peaks: &Peaks) -> f64 {
    peaks[CALLS][0].sum
}

/// What multiple each fold's peaks are of those of the other folds, dimensionless: (n_folds, 4 kinds), from `folds` (n_folds).
pub fn times_by_fold(folds: &[Peaks]) -> Vec<[f64; KINDS]> {
    let others =
        |own: usize| largest(folds.iter().enumerate().filter(|(fold, _)| *fold != own).map(|(_, peaks)| peaks));
    let of_fold = |(own, peaks): (usize, &Peaks)| {
        let others = others(own);
        std::array::from_fn(|kind| {
            let pairs = peaks[kind].iter().zip(&others[kind]);
            pairs.map(|(own, others)| own.times(*others, &PEAKS[kind])).fold(0.0, f64::max)
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
    fn twenty_megabytes_from_a_reader_are_a_peak_and_a_campaign_is_none() {
        let theft = excess(&learned(), &state(620, 20_000_000), 0, false).unwrap();
        assert!(theft.times > 100.0 && theft.window == 2, "{theft:?}");
        assert_eq!(
            excess(&learned(), &state(60_000, 12_000_000), 0, false),
            None,
            "a hundred times the calls, each as ever"
        );
        assert_eq!(excess(&learned(), &state(6, 900_000), 0, false), None, "less than a megabyte");
    }

    #[test]
    fn a_bucket_that_goes_on_has_a_peak_only_if_no_usual_remainder_undoes_it() {
        let sums = state(20, 8_000_000);
        assert!(excess(&learned(), &sums, 0, false).is_some());
        let theft = excess(&learned(), &sums, 0, true).unwrap();
        assert!(theft.times < 65.0, "600 calls may follow that move nothing: {theft:?}");
        // 200 bytes a call were usual: 1,500,000 are 6 times as much for 1,200 calls, and no more than 1.8 times for 4,100.
        assert!(excess(&learned(), &state(3_500, 1_500_000), 0, false).is_some());
        assert_eq!(excess(&learned(), &state(3_500, 1_500_000), 0, true), None);
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
