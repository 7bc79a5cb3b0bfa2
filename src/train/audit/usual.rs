//! What is usual for a principal's counts: the history's windows, cell by cell, with any day left out.
//!
//! Levels, cells and shares are shrunk to those of the role (empirical Bayes: Efron & Morris, JASA 68, 1973); the dispersion is the
//! moment estimate of a negative binomial's (Breslow, Applied Statistics 33, 1984), shrunk to the role's median. Windows are cut
//! from prefix sums, so that a history costs memory by its buckets, not by its calls.
//!
//! Not here: what a count over its expectation means (`models::audit`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::hour_of;
use crate::models::audit::{
    CELLS, Counts, DAY_BUCKETS, Expected, HOUR_BUCKETS, Principal, Role, SAMPLE_BUCKETS, Shared, Test, Tick, Values,
    Verdict, advance, values_of,
};
use crate::models::dispersion::{MAX_COUNT_DISPERSION, MIN_COUNT_DISPERSION, UNKNOWN_COUNT_DISPERSION};
use crate::models::quantile::median;
use crate::models::seasonality::day_type;
use crate::rollup::day_of;

/// Weight of level times seasonality in a cell, and of the role's level in a principal's, in days.
const CELL_DAYS: f64 = 2.0;
const LEVEL_DAYS: f64 = 1.0;
/// Weight of the role's median in a dispersion, in windows; windows examined a day.
const DISPERSION_WINDOWS: f64 = 10.0;
const WINDOWS_PER_DAY: f64 = 48.0;
/// Weight of the role's share in a principal's, in calls.
const SHARE_CALLS: f64 = 20.0;
/// Dispersion, dimensionless, that a principal without history may have beyond its role's.
const STRANGER_DISPERSION: f64 = 2.0;
/// The z, in standard deviations, of a day without calls.
const IDLE_Z: f32 = -0.2;

/// Mean counts by half-hour (48), in the unit of the test.
type Cells = [f32; CELLS];
/// A test's index, the count and the expected count (in its unit), and z (in standard deviations).
type Seen = (usize, f64, f64, f64);

/// One principal's history.
pub(super) struct PrincipalHistory {
    pub principal: Principal,
    pub role: Role,
    /// First day of the whole history, days since the epoch.
    pub start: i64,
    /// Number of days of the whole history.
    pub days: usize,
    /// Day of the principal's first tick, as an index in the history.
    pub first_day: usize,
    /// Largest z, in standard deviations: (n_tests, n_days).
    pub maxima: Vec<Vec<f32>>,
    tests: &'static [Test],
    ticks: Vec<Tick>,
    /// Mean counts: (n_tests, n_days, 48).
    means: Vec<Vec<Cells>>,
    /// Mean calls of the trailing hour and of the trailing day: (2, n_days).
    calls: [Vec<f64>; 2],
    /// Numerator and denominator of the dispersion: (n_tests, n_days).
    moments: Vec<Vec<(f64, f64)>>,
    /// Tests over what is usual: (n_ticks).
    over: Vec<Vec<Seen>>,
}

impl PrincipalHistory {
    pub fn new(
        tests: &'static [Test],
        start: i64,
        days: usize,
        role: Role,
        principal: Principal,
        ticks: Vec<Tick>,
    ) -> Self {
        let first_day = ticks.first().map_or(0, |tick| (day_of(tick.bucket) - start).max(0) as usize);
        let mut history = Self {
            principal,
            role,
            start,
            days,
            first_day,
            maxima: vec![vec![IDLE_Z; days]; tests.len()],
            tests,
            ticks,
            means: vec![vec![[0.0; CELLS]; days]; tests.len()],
            calls: [vec![0.0; days], vec![0.0; days]],
            moments: vec![vec![(0.0, 0.0); days]; tests.len()],
            over: Vec::new(),
        };
        history.fill_means();
        history
    }

    fn windows(&self) -> Windows {
        Windows::of(&self.ticks, self.start * DAY_BUCKETS, self.days)
    }

    fn fill_means(&mut self) {
        let windows = self.windows();
        for day in 0..self.days {
            let mut raw = vec![[0.0_f64; CELLS]; self.tests.len()];
            for at in 0..DAY_BUCKETS as usize {
                let values = windows.at(day * DAY_BUCKETS as usize + at);
                for (test, cells) in self.tests.iter().zip(&mut raw) {
                    cells[at / SAMPLE_BUCKETS] += values.of(test) / SAMPLE_BUCKETS as f64;
                }
                for (window, calls) in self.calls.iter_mut().enumerate() {
                    let all = values.sums[window][crate::models::audit::Count::All as usize];
                    calls[day] += all as f64 / DAY_BUCKETS as f64;
                }
            }
            for (means, raw) in self.means.iter_mut().zip(&raw) {
                for (cell, mean) in means[day].iter_mut().enumerate() {
                    let near = raw[(cell + CELLS - 1) % CELLS] + raw[(cell + 1) % CELLS];
                    *mean = (0.5 * raw[cell] + 0.25 * near) as f32;
                }
            }
        }
    }

    fn own_days(&self, left_out: Option<usize>) -> impl Iterator<Item = usize> {
        (self.first_day..self.days).filter(move |day| Some(*day) != left_out)
    }

    /// What is usual for each test (n_tests), with a day (index in the history) left out.
    pub fn expected(&self, peers: &Peers, left_out: Option<usize>) -> Vec<Expected> {
        let count = self.own_days(left_out).count() as f64;
        let of_test = |(test, shared): (usize, &Shared)| {
            let mean_of =
                |day: usize| self.means[test][day].iter().map(|mean| f64::from(*mean)).sum::<f64>() / CELLS as f64;
            let level = self.own_days(left_out).map(mean_of).sum::<f64>();
            let level = (level + LEVEL_DAYS * shared.level) / (count + LEVEL_DAYS);
            let cells = [0, 1].map(|kind| {
                let days: Vec<usize> =
                    self.own_days(left_out).filter(|day| day_type(self.start + *day as i64) == kind).collect();
                let of_cell = |cell: usize| {
                    let sum: f64 = days.iter().map(|day| f64::from(self.means[test][*day][cell])).sum();
                    ((sum + CELL_DAYS * level * shared.seasonality[kind][cell]) / (days.len() as f64 + CELL_DAYS))
                        as f32
                };
                (0..CELLS).map(of_cell).collect()
            });
            let (a, b) = self.own_days(left_out).fold((0.0, 0.0), |(a, b), day| {
                let (of_day, square) = self.moments[test][day];
                (a + of_day, b + square)
            });
            let windows = count * WINDOWS_PER_DAY;
            let own = (a / b.max(1e-9)).max(0.0);
            let dispersion = (windows * own + DISPERSION_WINDOWS * shared.dispersion) / (windows + DISPERSION_WINDOWS);
            let calls = &self.calls[usize::from(self.tests[test].over_day)];
            let (seen, all) =
                self.own_days(left_out).fold((0.0, 0.0), |(seen, all), day| (seen + mean_of(day), all + calls[day]));
            let share = (seen + SHARE_CALLS * shared.share) / (all + SHARE_CALLS).max(1e-9);
            Expected {
                cells,
                dispersion: dispersion.clamp(MIN_COUNT_DISPERSION, MAX_COUNT_DISPERSION) as f32,
                share: share as f32,
            }
        };
        peers.tests.iter().enumerate().map(of_test).collect()
    }

    /// Learns how much the windows vary about what the other days expect.
    fn fill_moments(&mut self, peers: &Peers) {
        let windows = self.windows();
        for day in self.first_day..self.days {
            let expected = self.expected(peers, Some(day));
            for at in (0..DAY_BUCKETS as usize).step_by(SAMPLE_BUCKETS) {
                let index = day * DAY_BUCKETS as usize + at;
                let values = windows.at(index);
                let bucket = self.start * DAY_BUCKETS + index as i64;
                for (test, expected) in expected.iter().enumerate() {
                    let what = &self.tests[test];
                    let mean = expected.mean(what, bucket, values.calls(what));
                    let (a, b) = &mut self.moments[test][day];
                    *a += (values.of(what) - mean).powi(2) - mean;
                    *b += mean * mean;
                }
            }
        }
    }

    /// Judges the windows of every tick by what the other days expect.
    pub fn judge_counts(&mut self, peers: &Peers) {
        let windows = self.windows();
        let mut over = Vec::with_capacity(self.ticks.len());
        let mut of_day: Option<(usize, Vec<Expected>)> = None;
        for tick in &self.ticks {
            let index = (tick.bucket - self.start * DAY_BUCKETS).max(0) as usize;
            let day = index / DAY_BUCKETS as usize;
            let expected = match &of_day {
                Some((known, expected)) if *known == day => expected,
                _ => &of_day.insert((day, self.expected(peers, Some(day)))).1,
            };
            let values = windows.at(index);
            let mut seen = Vec::new();
            for (test, expected) in expected.iter().enumerate() {
                let what = &self.tests[test];
                let (count, usual) = (values.of(what), expected.mean(what, tick.bucket, values.calls(what)));
                let z = expected.z(count, usual);
                let maximum = &mut self.maxima[test][day];
                *maximum = maximum.max(z as f32);
                if what.is_evidence(count, usual) {
                    seen.push((test, count, usual, z));
                }
            }
            over.push(seen);
        }
        self.over = over;
    }

    /// Judges the hour that ends with each tick of a day (index in the history).
    pub fn replay(
        &self,
        day: usize,
        judge: impl Fn(std::slice::Iter<'_, Tick>, Vec<Seen>) -> Option<Verdict>,
    ) -> Vec<Verdict> {
        let today = self.start + day as i64;
        let of_day = (0..self.ticks.len()).filter(|tick| day_of(self.ticks[*tick].bucket) == today);
        of_day.filter_map(|tick| judge(hour_of(&self.ticks, tick).iter(), self.over[tick].clone())).collect()
    }

    /// Bucket and windows of each tick of a day (index in the history).
    pub fn values_of_day(&self, day: usize) -> Vec<(i64, Values)> {
        let mut recent = VecDeque::new();
        let mut values = Vec::new();
        for tick in &self.ticks {
            advance(&mut recent, tick.clone());
            if day_of(tick.bucket) == self.start + day as i64 {
                values.push((tick.bucket, values_of(&recent, tick.bucket)));
            }
        }
        values
    }
}

/// What principals of one role have in common, by test (n_tests).
pub(super) struct Peers {
    tests: Vec<Shared>,
}

impl Peers {
    /// Learns from `histories` (n_principals), and then their dispersion from what they expect.
    pub fn fit(tests: &'static [Test], histories: &mut [&mut PrincipalHistory]) -> Self {
        let shared = |test: usize| {
            let mut sums = [[0.0_f64; CELLS]; 2];
            let (mut level, mut days, mut calls) = (0.0, 0.0_f64, 0.0);
            for history in histories.iter() {
                let of_window = &history.calls[usize::from(tests[test].over_day)];
                for day in history.own_days(None) {
                    let kind = day_type(history.start + day as i64);
                    for (sum, mean) in sums[kind].iter_mut().zip(history.means[test][day]) {
                        *sum += f64::from(mean);
                        level += f64::from(mean) / CELLS as f64;
                    }
                    days += 1.0;
                    calls += of_window[day];
                }
            }
            let seasonality = sums.map(|sums| {
                // Halfway to even: a role has few principals.
                let mean = sums.iter().sum::<f64>() / CELLS as f64 + 1e-6;
                sums.iter().map(|sum| (sum + mean) / (2.0 * mean)).collect()
            });
            Shared { seasonality, level: level / days.max(1.0), dispersion: 0.0, share: level / calls.max(1e-9) }
        };
        let mut peers = Self { tests: (0..tests.len()).map(shared).collect() };
        for history in histories.iter_mut() {
            history.fill_moments(&peers);
        }
        for (test, shared) in peers.tests.iter_mut().enumerate() {
            let own = |history: &&mut PrincipalHistory| {
                let (a, b) = history.moments[test].iter().fold((0.0, 0.0), |(a, b), day| (a + day.0, b + day.1));
                (a / b.max(1e-9)).max(0.0)
            };
            shared.dispersion = median(histories.iter().map(own).collect()).unwrap_or(UNKNOWN_COUNT_DISPERSION);
        }
        peers
    }

    /// What is expected of a principal without history (n_tests).
    pub fn stranger(&self) -> Vec<Expected> {
        let of_test = |shared: &Shared| Expected {
            cells: [0, 1]
                .map(|kind| shared.seasonality[kind].iter().map(|shape: &f64| (shared.level * shape) as f32).collect()),
            dispersion: (shared.dispersion.clamp(MIN_COUNT_DISPERSION, MAX_COUNT_DISPERSION) + STRANGER_DISPERSION)
                as f32,
            share: shared.share as f32,
        };
        self.tests.iter().map(of_test).collect()
    }
}

/// All windows of a history, by index of the bucket in it.
struct Windows {
    /// Prefix sums of counts: (n_buckets + 1, 16).
    sums: Vec<Counts>,
    /// Numbers of distinct operations and services of the hour, where there are any.
    distinct: BTreeMap<usize, [usize; 2]>,
    /// Numbers of distinct failing entities of the hour and of the day, where there are any.
    failing: BTreeMap<usize, [usize; 2]>,
}

impl Windows {
    fn of(ticks: &[Tick], start: i64, days: usize) -> Self {
        let buckets = days * DAY_BUCKETS as usize;
        let mut sums = vec![Counts::default(); buckets + 1];
        let (mut distinct, mut failing) = (BTreeMap::new(), BTreeMap::new());
        let index = |tick: &Tick| (tick.bucket - start).max(0) as usize;
        for tick in ticks {
            if let Some(sum) = sums.get_mut(index(tick) + 1) {
                *sum = tick.counts;
            }
        }
        for at in 1..sums.len() {
            let before = sums[at - 1];
            sums[at].iter_mut().zip(before).for_each(|(sum, before)| *sum += before);
        }
        let active: BTreeMap<usize, &Tick> = ticks.iter().map(|tick| (index(tick), tick)).collect();
        let reached = |buckets_on: i64| {
            let reach = move |at: &usize| *at..*at + buckets_on as usize;
            active.keys().flat_map(reach).filter(|at| *at < buckets).collect::<BTreeSet<usize>>()
        };
        let window =
            |at: usize, back: i64| active.range(at.saturating_sub(back as usize - 1)..=at).map(|(_, tick)| *tick);
        for at in reached(HOUR_BUCKETS) {
            let operations: BTreeSet<&str> =
                window(at, HOUR_BUCKETS).flat_map(|tick| &tick.operations).map(crate::calls::Name::as_str).collect();
            let service = |operation: &&str| operation.split_once(':').map_or("", |(service, _)| service).to_owned();
            distinct.insert(at, [operations.len(), operations.iter().map(service).collect::<BTreeSet<_>>().len()]);
        }
        if ticks.iter().any(|tick| !tick.failing.is_empty()) {
            for at in reached(DAY_BUCKETS) {
                let count = |back| window(at, back).flat_map(|tick| &tick.failing).collect::<BTreeSet<_>>().len();
                failing.insert(at, [count(HOUR_BUCKETS), count(DAY_BUCKETS)]);
            }
        }
        Self { sums, distinct, failing }
    }

    /// The windows that end with a bucket (index in the history).
    fn at(&self, index: usize) -> Values {
        let end = self.sums.get(index + 1).copied().unwrap_or_default();
        let window = |buckets: i64| {
            let start = self.sums.get((index + 1).saturating_sub(buckets as usize)).copied().unwrap_or_default();
            std::array::from_fn(|count| end[count] - start[count])
        };
        Values {
            sums: [window(HOUR_BUCKETS), window(DAY_BUCKETS)],
            distinct: self.distinct.get(&index).copied().unwrap_or_default(),
            failing: self.failing.get(&index).copied().unwrap_or_default(),
        }
    }
}
