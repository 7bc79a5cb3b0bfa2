//! What is tested of an entity, and how far from usual it is.
//!
//! Given how many calls there were, each statistic has a known variance: a count of failures or of an endpoint's calls is
//! negative binomial around its share, the mean of residuals has variance `1/n` and the dispersion of the entity's days, the
//! largest of n residuals follows the normal's far tail. Only the count of calls itself needs a clock. So a campaign moves
//! one number and an attack moves a ratio.
//!
//! Not here: how unlikely a z is (`calibration`: these z are only about normal), nor what it means (`detect`).

use std::sync::LazyLock;

use super::normal::{inverse_log_survival, log_survival};
use crate::calls::fixed_to_f64;
use crate::features::{Column, FeatureVector, Level, WINDOWS, windows_of};
use crate::rollup::BUCKETS_PER_DAY;

/// How a statistic is computed from an entity's features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Calls, against the clock.
    Volume,
    /// A count against the share that is usual for as many calls: observed, expected.
    Count(Column, Column),
    /// Calls of an endpoint against its share of the pair's calls; the most surprising endpoint counts.
    Mix,
    /// The mean residual of a quantity: sum of residuals, number of calls.
    Mean(Column, Column),
    /// The largest residual of a quantity: residual, number of calls, largest value itself.
    Largest(Column, Column, Column),
}

/// One entry of the table of statistics.
#[derive(Debug)]
pub struct Statistic {
    /// Name in files and alerts.
    pub name: &'static str,
    /// What it is, in words.
    pub says: &'static str,
    /// How it is computed.
    pub kind: Kind,
    /// Windows that it looks back over, as places in [`WINDOWS`].
    pub windows: &'static [usize],
    /// Levels of the lattice at which it is tested.
    pub levels: &'static [Level],
    /// Whether a vendor can cause it for all its callers at once.
    pub of_vendor: bool,
    /// Whether it joins the entity's fused score. Pure scale does not: that is what campaigns look like.
    pub fused: bool,
    /// The least that is worth anybody's time: of a mean the rise and the fall (ln of the ratio), of a count how many above the expectation.
    pub least: [f64; 2],
}

use Level::{Credential, Pair, Vendor, VendorEndpoint};

const ALL: &[usize] = &windows_of::<5>(0);
const TO_SIX_HOURS: &[usize] = &windows_of::<4>(0);
const FROM_A_QUARTER: &[usize] = &windows_of::<4>(1);
/// Windows of the mix, as indices in [`WINDOWS`]: 15 minutes to six hours.
pub const MIX_WINDOWS: [usize; 3] = windows_of::<3>(1);
const MIX: &[usize] = &MIX_WINDOWS;
const NOW: &[usize] = &windows_of::<1>(0);
const OWN: &[Level] = &[Pair, Credential];
const EVERY: &[Level] = &[Pair, Credential, Vendor, VendorEndpoint];
/// A fifth more, of answers a third; never a little less, but a collapse to half, where answers may turn empty. The rest is judged by its count.
const RISE_ONLY: [f64; 2] = [LN_1_2, f64::INFINITY];
const RISE_OR_COLLAPSE: [f64; 2] = [LN_1_3, std::f64::consts::LN_2];
const ANY: [f64; 2] = [0.0, 0.0];
/// Some failures are in every log; of server errors fewer are a finding, since what passes within minutes never pages (`detect`).
const COUNT: [f64; 2] = [MIN_COUNT, f64::INFINITY];
const FEW: [f64; 2] = [5.0, f64::INFINITY];
const LN_1_2: f64 = 0.182_321_556_793_954_6;
const LN_1_3: f64 = 0.262_364_264_467_491_06;
const SHARED: &[Level] = &[Pair, Vendor, VendorEndpoint];

/// Every statistic. A new one is an entry here; a detector claims it by its name.
#[rustfmt::skip]
pub const STATISTICS: &[Statistic] = &[
    Statistic { name: "calls", says: "calls", kind: Kind::Volume, windows: FROM_A_QUARTER, levels: &[Pair], of_vendor: false, fused: false, least: ANY },
    Statistic { name: "bytes_out", says: "request size", kind: Kind::Mean(Column::BytesOutResidual, Column::BytesOutCount), windows: ALL, levels: OWN, of_vendor: false, fused: true, least: RISE_ONLY },
    Statistic { name: "bytes_in", says: "answer size", kind: Kind::Mean(Column::BytesInResidual, Column::BytesInCount), windows: ALL, levels: EVERY, of_vendor: true, fused: true, least: RISE_OR_COLLAPSE },
    Statistic { name: "latency", says: "latency", kind: Kind::Mean(Column::LatencyResidual, Column::LatencyCount), windows: ALL, levels: SHARED, of_vendor: true, fused: true, least: RISE_ONLY },
    Statistic { name: "denied", says: "denied calls", kind: Kind::Count(Column::Denied, Column::DeniedExpected), windows: TO_SIX_HOURS, levels: EVERY, of_vendor: true, fused: true, least: COUNT },
    Statistic { name: "client_error", says: "client errors", kind: Kind::Count(Column::ClientError, Column::ClientErrorExpected), windows: TO_SIX_HOURS, levels: EVERY, of_vendor: true, fused: true, least: COUNT },
    Statistic { name: "throttled", says: "throttled calls", kind: Kind::Count(Column::Throttled, Column::ThrottledExpected), windows: TO_SIX_HOURS, levels: EVERY, of_vendor: true, fused: true, least: COUNT },
    Statistic { name: "server_error", says: "server errors", kind: Kind::Count(Column::ServerError, Column::ServerErrorExpected), windows: TO_SIX_HOURS, levels: EVERY, of_vendor: true, fused: true, least: FEW },
    Statistic { name: "odd_answers", says: "answers of an unusual size", kind: Kind::Count(Column::OddAnswers, Column::OddAnswersExpected), windows: TO_SIX_HOURS, levels: EVERY, of_vendor: true, fused: true, least: COUNT },
    Statistic { name: "endpoint_mix", says: "calls of an endpoint", kind: Kind::Mix, windows: MIX, levels: &[Pair], of_vendor: false, fused: true, least: COUNT },
    Statistic { name: "bytes_out_max", says: "largest request", kind: Kind::Largest(Column::BytesOutResidualMax, Column::BytesOutCount, Column::BytesOutMax), windows: NOW, levels: OWN, of_vendor: false, fused: true, least: ANY },
    Statistic { name: "bytes_in_max", says: "largest answer", kind: Kind::Largest(Column::BytesInResidualMax, Column::BytesInCount, Column::BytesInMax), windows: NOW, levels: OWN, of_vendor: false, fused: true, least: ANY },
];

/// Least effects worth a page: failures or an endpoint's calls above expectation and against it, shift of a mean in deviations
/// of a call, bytes of one call.
pub const MIN_COUNT: f64 = 8.0;
const MIN_RATIO: f64 = 1.5;
const MIN_SHIFT: f64 = 0.25;
const MIN_BYTES: i64 = 1 << 20;
/// Fewest calls from which volume by itself is looked at.
pub const MIN_VOLUME: f64 = 20.0;
/// Times the expectation from which volume by itself is looked at.
pub const MIN_VOLUME_RATIO: f64 = 3.0;
/// Calls beside the expected ones that are no crowd: of a pair that hardly calls, a few more are.
const CROWD: f64 = 5.0;
/// Largest cluster that calls are thought to come in.
const MAX_CROWDING: f64 = 6.0;
/// Nothing is expected less often than this, over any window.
const MIN_EXPECTED: f64 = 1e-4;
/// Wider than any z that is told apart from another.
const MAX_Z: f64 = 1e4;

/// A statistic by its name.
pub fn statistic_named(name: &str) -> Option<&'static Statistic> {
    STATISTICS.iter().find(|statistic| statistic.name == name)
}

/// One test: a statistic over one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// Place in [`STATISTICS`].
    pub statistic: usize,
    /// Place in [`WINDOWS`].
    pub window: usize,
}

impl Test {
    /// Its entry in the table.
    pub fn statistic(self) -> &'static Statistic {
        &STATISTICS[self.statistic]
    }

    /// Nominal length of its window in buckets.
    pub fn buckets(self) -> i64 {
        WINDOWS[self.window].buckets
    }

    /// Weight in the fused score: statistics weigh the same, each shared by its windows.
    pub fn weight(self) -> f64 {
        if self.statistic().fused { 1.0 / self.statistic().windows.len() as f64 } else { 0.0 }
    }
}

/// The tests at a level, in the order of every table of tests.
pub fn tests_at(level: Level) -> &'static [Test] {
    static TESTS: LazyLock<[Vec<Test>; Level::ALL.len()]> = LazyLock::new(|| Level::ALL.map(tests_of));
    &TESTS[level as usize]
}

fn tests_of(level: Level) -> Vec<Test> {
    let at_level = STATISTICS.iter().enumerate().filter(|(_, statistic)| statistic.levels.contains(&level));
    at_level
        .flat_map(|(index, statistic)| {
            statistic.windows.iter().map(move |window| Test { statistic: index, window: *window })
        })
        .collect()
}

/// What a test saw: two numbers that its z follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observation {
    /// The count, the sum of residuals, or the largest residual.
    pub observed: f64,
    /// The count expected, or the number of calls.
    pub against: f64,
    /// The largest value in bytes, where there is one.
    pub bytes: i64,
    /// Sum of the logarithms of ratios, of a mean.
    pub shift: f64,
}

impl Observation {
    /// What a test other than [`Kind::Mix`] sees of a window and its newest bucket; `expected_calls` is the clock's.
    pub fn of(kind: Kind, window: &FeatureVector, bucket: &FeatureVector, expected_calls: f64) -> Self {
        let sum = |column: Column| window[column as usize];
        match kind {
            Kind::Volume => Self { observed: sum(Column::Calls) as f64, against: expected_calls, ..Self::default() },
            Kind::Count(observed, expected) => {
                Self { observed: sum(observed) as f64, against: fixed_to_f64(sum(expected)), ..Self::default() }
            }
            Kind::Mean(residual, count) => {
                let shift = fixed_to_f64(sum(shift_of(residual)));
                Self { observed: fixed_to_f64(sum(residual)), against: sum(count) as f64, bytes: 0, shift }
            }
            Kind::Largest(residual, count, largest) => Self {
                observed: fixed_to_f64(bucket[residual as usize]),
                against: (bucket[count as usize] as f64).max(1.0),
                bytes: bucket[largest as usize],
                shift: 0.0,
            },
            Kind::Mix => Self::default(),
        }
    }

    /// What is left of it where calls come `crowding` at a time: so many fewer are independent of one another.
    pub fn thinned(self, crowding: f64) -> Self {
        Self { observed: self.observed / crowding, against: self.against / crowding, ..self }
    }

    /// How far from usual, about standard normal in the middle; `dispersion` is the entity's own dispersion.
    pub fn z(self, kind: Kind, dispersion: f64) -> f64 {
        let z = match kind {
            Kind::Volume | Kind::Count(..) | Kind::Mix => deviance(self.observed, self.against, dispersion),
            Kind::Mean(..) if self.against > 0.0 => {
                (self.observed / self.against).abs() / (1.0 / self.against + dispersion).sqrt()
            }
            Kind::Mean(..) => 0.0,
            Kind::Largest(..) => largest_of(self.observed, self.against),
        };
        if z.is_finite() { z.clamp(-MAX_Z, MAX_Z) } else { 0.0 }
    }

    /// Whether the effect is large enough to be worth anybody's time. Judged after the tail and before fusing: gating the
    /// z that a tail is fitted on would ruin the fit.
    pub fn is_reportable(self, statistic: &Statistic) -> bool {
        match statistic.kind {
            Kind::Volume => self.observed >= MIN_VOLUME && self.observed >= MIN_VOLUME_RATIO * self.against,
            Kind::Count(..) | Kind::Mix => self.is_large_count(statistic.least[0]),
            Kind::Mean(..) => {
                let [rise, fall] = statistic.least;
                let is_ratio = self.shift >= rise * self.against || -self.shift >= fall * self.against;
                is_ratio && self.observed.abs() >= MIN_SHIFT * self.against
            }
            Kind::Largest(..) => self.bytes >= MIN_BYTES,
        }
    }

    /// Whether a count is so far above its expectation, by `least` and by its ratio, that it is worth anybody's time.
    pub fn is_large_count(&self, least: f64) -> bool {
        self.observed - self.against >= least && self.observed >= MIN_RATIO * self.against
    }

    /// Size of the effect with its sign: ln of the ratio of counts, or deviations of a call.
    pub fn effect(self, kind: Kind) -> f64 {
        match kind {
            Kind::Volume | Kind::Count(..) | Kind::Mix => ((self.observed + 0.5) / (self.against.max(0.0) + 0.5)).ln(),
            Kind::Mean(..) => {
                if self.against > 0.0 {
                    self.observed / self.against
                } else {
                    0.0
                }
            }
            Kind::Largest(..) => self.observed,
        }
    }
}

/// Calls of a window for one that is expected, from 1 to 6: the size of the clusters that calls come in. A job with four times its work does
/// not meet four times as many independent things: it asks the same four times, and counts vary as if it had called once (a compound Poisson
/// process; McCullagh & Nelder 1989, section 6.2, on clustering). Beyond a busy month end more calls are no excuse.
pub fn crowding(calls: f64, expected: f64) -> f64 {
    ((calls + CROWD) / (expected + CROWD)).clamp(1.0, MAX_CROWDING)
}

/// The logarithms of ratios beside a quantity's residuals.
const fn shift_of(residual: Column) -> Column {
    match residual {
        Column::BytesOutResidual => Column::BytesOutShift,
        Column::BytesInResidual => Column::BytesInShift,
        _ => Column::LatencyShift,
    }
}

/// Signed root of the negative binomial deviance: about N(0, 1) for counts of mean `mu` and variance `mu + phi mu^2`, tiny
/// and large alike (McCullagh & Nelder 1989, section 11.2).
pub fn deviance(count: f64, mu: f64, phi: f64) -> f64 {
    let (mu, phi) = (mu.max(MIN_EXPECTED), phi.max(1e-6));
    let own = if count > 0.0 { count * (count / mu).ln() } else { 0.0 };
    let both = (count + 1.0 / phi) * ((1.0 + phi * count) / (1.0 + phi * mu)).ln();
    (2.0 * (own - both)).max(0.0).sqrt().copysign(count - mu)
}

/// The z of the largest of `n` normal residuals: the x with `P(Z > x) = P(max of n >= largest)`, at least 0.
fn largest_of(largest: f64, n: f64) -> f64 {
    let one = log_survival(largest);
    // ln(1 - (1 - p)^n), in logarithms: n ln(1 - p) is about -n p where p is small.
    let none = n * (-one.exp()).ln_1p();
    let log_p = if none > -1e-12 { n.ln() + one } else { (-none.exp()).ln_1p().min(-1e-12) };
    if log_p >= -1e-12 { 0.0 } else { inverse_log_survival(log_p).max(0.0) }
}

/// Moments from which a dispersion is estimated: additive, so that a day can be left out by subtraction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    numerator: f64,
    denominator: f64,
    windows: f64,
}

impl Moments {
    /// Whether the window that ends with `bucket` is one of those that dispersion is estimated from: windows a third of
    /// their length apart.
    pub fn samples(test: Test, bucket: i64) -> bool {
        let stride = (test.buckets() / 3).max(1);
        bucket.rem_euclid(BUCKETS_PER_DAY).rem_euclid(stride) == stride - 1
    }

    /// Adds a window of a day that its expectation was not fitted on.
    pub fn add(&mut self, kind: Kind, seen: Observation) {
        match kind {
            Kind::Volume | Kind::Count(..) | Kind::Mix => {
                self.numerator += (seen.observed - seen.against).powi(2) - seen.against;
                self.denominator += seen.against * seen.against;
                self.windows += if seen.against > 0.2 { 1.0 / 3.0 } else { 0.0 };
            }
            Kind::Mean(..) if seen.against > 0.0 => {
                // Weighted by what a window of n calls tells of the dispersion between windows.
                let weight = seen.against / (seen.against + 20.0);
                self.numerator += weight * ((seen.observed / seen.against).powi(2) - 1.0 / seen.against);
                self.denominator += weight;
                self.windows += weight / 3.0;
            }
            Kind::Mean(..) | Kind::Largest(..) => {}
        }
    }

    /// `self` and `other`.
    pub fn and(self, other: Self) -> Self {
        Self {
            numerator: self.numerator + other.numerator,
            denominator: self.denominator + other.denominator,
            windows: self.windows + other.windows,
        }
    }

    /// The dispersion that these moments alone tell, where there are enough of them to tell one.
    pub fn own(self) -> Option<f64> {
        (self.windows >= 3.0).then(|| (self.numerator / self.denominator.max(1e-9)).max(0.0))
    }

    /// The dispersion, shrunk to the usual one of peers.
    pub fn shrunk(self, usual: f64) -> f64 {
        const WEIGHT: f64 = 10.0;
        let own = (self.numerator / self.denominator.max(1e-9)).max(0.0);
        let windows = self.windows.max(0.0);
        (windows * own + WEIGHT * usual) / (windows + WEIGHT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_a_level_are_statistics_of_that_level() {
        for level in Level::ALL {
            for test in tests_at(level) {
                assert!(test.statistic().levels.contains(&level) && test.statistic().windows.contains(&test.window));
            }
        }
        let weight: f64 = tests_at(Level::Pair).iter().map(|test| test.weight()).sum();
        let fused =
            STATISTICS.iter().filter(|statistic| statistic.fused && statistic.levels.contains(&Level::Pair)).count();
        assert!((weight - fused as f64).abs() < 1e-9);
    }

    #[test]
    fn the_deviance_is_zero_at_the_expectation_and_grows_away_from_it() {
        assert_eq!(deviance(7.0, 7.0, 0.1), 0.0);
        assert!(deviance(20.0, 7.0, 0.1) > deviance(12.0, 7.0, 0.1));
        assert!(deviance(0.0, 7.0, 0.1) < 0.0);
        assert!(deviance(20.0, 7.0, 1.0) < deviance(20.0, 7.0, 0.0), "a bursty entity surprises less");
        // Poisson limit: sqrt(2 (20 ln(20/7) - 13))
        assert!((deviance(20.0, 7.0, 0.0) - (2.0 * (20.0 * (20.0_f64 / 7.0).ln() - 13.0)).sqrt()).abs() < 1e-3);
    }

    #[test]
    fn the_largest_of_many_surprises_less_than_the_same_alone() {
        assert!((largest_of(3.0, 1.0) - 3.0).abs() < 1e-6);
        assert!(largest_of(3.0, 1_000.0) < 1.0);
        assert!(largest_of(40.0, 1_000.0) > 30.0);
        assert_eq!(largest_of(0.0, 50.0), 0.0);
    }

    #[test]
    fn a_mean_of_many_calls_is_no_surprise_where_days_wander() {
        let kind = Kind::Mean(Column::LatencyResidual, Column::LatencyCount);
        let shifted = Observation { observed: 21.0, against: 700.0, bytes: 0, shift: 21.0 };
        assert!(shifted.z(kind, 0.0) > 0.7 && shifted.z(kind, 0.01) < 0.3);
        let latency = statistic_named("latency").unwrap();
        assert!(!shifted.is_reportable(latency));
        let (slow, fast) = (700.0 * 0.3, -700.0 * 0.9);
        let told = |shift: f64| Observation { observed: shift, shift, ..shifted }.is_reportable(latency);
        assert!(told(slow) && !told(fast), "a vendor that answers sooner is no news");
    }

    #[test]
    fn absurd_numbers_make_no_absurd_z() {
        for kind in STATISTICS.iter().map(|statistic| statistic.kind) {
            for observed in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
                let z = Observation { observed, ..Observation::default() }.z(kind, f64::NAN);
                assert!(z.is_finite(), "{kind:?} {observed}");
            }
        }
    }
}
