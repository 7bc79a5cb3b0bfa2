//! Counts of steps by class over the trailing hour and day, against what is usual at that time of day.
//!
//! A count is compared with the half-hour of its day type, shrunk to the principal's level and its role's seasonality. Where the
//! mix is more telling than the number (a backfill repeats the usual calls), the expectation is at least the principal's share of
//! the class in all its calls of the window. The z is the signed root of the negative binomial deviance (McCullagh & Nelder,
//! Generalized Linear Models, 1989, section 11.2); its tail is that of daily maxima (`pareto`), of machines and of people
//! separately.
//!
//! Not here: how expectations are learned (`train::audit`), and what several counts mean together (`evidence`).

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::Role;
use super::tick::{Count, Counts, DAY_BUCKETS, HOUR_BUCKETS, ONE, Tick};
use crate::models::calibration::MIN_P;
use crate::models::pareto::{Constraints, PRIOR_SHAPE, PRIOR_WEIGHT, Pareto, TAIL_SHARE};
use crate::models::seasonality::{cell_of, day_type};
use crate::models::statistic::deviance;
use crate::rollup::day_of;

/// Number of half-hours of a day.
pub const CELLS: usize = 48;
/// Buckets of a half-hour: dispersion is estimated from one window in each.
pub const SAMPLE_BUCKETS: usize = 6;
/// Smallest expectation, in the unit of the count.
const MIN_EXPECTED: f64 = 0.02;
/// Smallest multiple of the expectation, dimensionless, at which a count is evidence.
const MIN_TIMES_EXPECTED: f64 = 2.0;

/// Index of the half-hour of a bucket in its day, 0 to 47.
pub fn cell(bucket: i64) -> usize {
    cell_of(bucket) / SAMPLE_BUCKETS
}

/// What is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A sum of counts.
    Sum(Count),
    /// Deletes less what was created: a rebuild and a retention job create as they delete.
    Deletes,
    /// Distinct operations.
    Operations,
    /// Distinct services.
    Services,
    /// Distinct accounts that could not be signed in to.
    Failing,
}

/// One test of a count.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Name in alerts.
    pub name: &'static str,
    /// What is counted, in words: the unit of the count.
    pub summary: &'static str,
    /// What is counted.
    pub what: What,
    /// Whether over the trailing day; else over the hour.
    pub over_day: bool,
    /// Smallest excess over the expectation that is evidence, in the unit of the count.
    pub min_excess: f64,
    /// Whether the expectation is at least the principal's usual share of its calls.
    pub given_calls: bool,
    /// Whether it shows that the principal does what it never did.
    pub is_novelty: bool,
    /// Whether it can harm although a person's network, client and console are all known.
    pub harms: bool,
    /// The same for a builder, whose role is to create and grant.
    pub harms_by_builder: bool,
}

impl Test {
    /// Whether a count is far enough over its expectation, both in the unit of the test, to be evidence.
    pub fn is_evidence(&self, seen: f64, usual: f64) -> bool {
        seen - usual >= self.min_excess && seen >= MIN_TIMES_EXPECTED * usual
    }
}

const MIX: u8 = 1;
const NOVEL: u8 = 2;
const HARM: u8 = 4;
const BUILD: u8 = 8;

const fn test(
    name: &'static str,
    summary: &'static str,
    what: What,
    over_day: bool,
    min_excess: f64,
    marks: u8,
) -> Test {
    Test {
        name,
        summary,
        what,
        over_day,
        min_excess,
        given_calls: marks & MIX != 0,
        is_novelty: marks & NOVEL != 0,
        harms: marks & HARM != 0,
        harms_by_builder: marks & BUILD != 0,
    }
}

/// Number of [`TESTS`].
pub const TEST_COUNT: usize = 23;

/// Tests of a principal (23).
#[rustfmt::skip]
pub const TESTS: [Test; TEST_COUNT] = [
    test("list_operations", "listing calls", What::Sum(Count::List), false, 8.0, MIX),
    test("read_operations", "reading calls", What::Sum(Count::Read), false, 8.0, MIX),
    test("use_operations", "uses of a service", What::Sum(Count::Use), false, 8.0, MIX | HARM | BUILD),
    test("secret_operations", "reads of secrets", What::Sum(Count::Secret), false, 4.0, MIX | HARM | BUILD),
    test("bulk_operations", "bulk reads", What::Sum(Count::Bulk), false, 8.0, MIX | HARM | BUILD),
    test("write_operations", "writing calls", What::Sum(Count::Write), false, 8.0, MIX),
    test("grant_operations", "grants and changes of protection", What::Sum(Count::Grant), false, 2.0, MIX | HARM),
    test("share_operations", "sharing calls", What::Sum(Count::Share), false, 2.0, MIX | HARM),
    test("delete_operations", "deletes beyond what was created", What::Deletes, false, 8.0, MIX | HARM | BUILD),
    test("denied_operations", "denied calls", What::Sum(Count::Denied), false, 8.0, BUILD),
    test("failed_operations", "calls refused as wrong", What::Sum(Count::Errors), false, 8.0, MIX | BUILD),
    test("bytes_of_operations", "calls' worth of bytes", What::Sum(Count::Bytes), false, 20.0, MIX | HARM | BUILD),
    test("distinct_operations", "distinct operations", What::Operations, false, 8.0, NOVEL),
    test("distinct_services", "distinct services", What::Services, false, 4.0, NOVEL),
    test("new_operations", "operations never done before", What::Sum(Count::NewOperations), false, 5.0, NOVEL),
    test("step_sequence", "nats of surprise in the order of steps", What::Sum(Count::Sequence), false, 0.0, NOVEL),
    test("read_operations", "reading calls", What::Sum(Count::Read), true, 8.0, MIX),
    test("use_operations", "uses of a service", What::Sum(Count::Use), true, 8.0, MIX | HARM | BUILD),
    test("secret_operations", "reads of secrets", What::Sum(Count::Secret), true, 4.0, MIX | HARM | BUILD),
    test("bulk_operations", "bulk reads", What::Sum(Count::Bulk), true, 8.0, MIX | HARM | BUILD),
    test("denied_operations", "denied calls", What::Sum(Count::Denied), true, 8.0, BUILD),
    test("bytes_of_operations", "calls' worth of bytes", What::Sum(Count::Bytes), true, 20.0, MIX | HARM | BUILD),
    test("new_operations", "operations never done before", What::Sum(Count::NewOperations), true, 5.0, NOVEL),
];

/// Tests of the company as a whole (4).
#[rustfmt::skip]
pub const COMPANY_TESTS: [Test; 4] = [
    test("failed_sign_ins", "failed sign-ins", What::Sum(Count::Failed), false, 8.0, 0),
    test("failing_accounts", "accounts with failed sign-ins", What::Failing, false, 4.0, 0),
    test("failed_sign_ins", "failed sign-ins", What::Sum(Count::Failed), true, 8.0, 0),
    test("failing_accounts", "accounts with failed sign-ins", What::Failing, true, 4.0, 0),
];

/// Tests of the company are dependent: they amount to about so many independent ones.
const INDEPENDENT_COMPANY_TESTS: f64 = 4.0;

/// About how many independent windows of an hour and of a day are examined in a day: trailing windows overlap.
const HOUR_WINDOWS: f64 = 24.0;
const DAY_WINDOWS: f64 = 3.0;

/// A test by its name.
pub fn test_named(name: &str) -> Option<&'static Test> {
    TESTS.iter().chain(&COMPANY_TESTS).find(|test| test.name == name)
}

/// What the trailing windows of a bucket hold.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// Counts of the trailing hour and day: (2, 16), in [`Count`] order; bytes and sequences in fixed point.
    pub sums: [Counts; 2],
    /// Numbers of distinct operations and of distinct services of the hour (2).
    pub distinct: [usize; 2],
    /// Numbers of distinct failing accounts of the hour and of the day (2).
    pub failing: [usize; 2],
}

impl Values {
    /// What a test counts, in its unit.
    pub fn of(&self, test: &Test) -> f64 {
        let window = usize::from(test.over_day);
        let sum = |count: Count| self.sums[window][count as usize] as f64;
        match test.what {
            What::Sum(count @ (Count::Bytes | Count::Sequence)) => sum(count) / ONE,
            What::Sum(count) => sum(count),
            What::Deletes => {
                let created = [Count::Write, Count::Bulk, Count::Grant, Count::Share].map(sum).iter().sum::<f64>();
                (sum(Count::Delete) - created).max(0.0)
            }
            What::Operations => self.distinct[0] as f64,
            What::Services => self.distinct[1] as f64,
            What::Failing => self.failing[window] as f64,
        }
    }

    /// Number of all calls of a test's window.
    pub fn calls(&self, test: &Test) -> f64 {
        self.sums[usize::from(test.over_day)][Count::All as usize] as f64
    }
}

/// The windows that end at a bucket, of a principal's `ticks` (n_ticks, in order).
pub fn values_of(ticks: &VecDeque<Tick>, bucket: i64) -> Values {
    let mut values = Values::default();
    for (window, buckets) in [HOUR_BUCKETS, DAY_BUCKETS].into_iter().enumerate() {
        let inside = || ticks.iter().filter(|tick| tick.bucket > bucket - buckets && tick.bucket <= bucket);
        for tick in inside() {
            for (sum, count) in values.sums[window].iter_mut().zip(tick.counts) {
                *sum += count;
            }
        }
        values.failing[window] = inside().flat_map(|tick| &tick.failing).collect::<BTreeSet<_>>().len();
        if window == 0 {
            let operations: BTreeSet<&str> =
                inside().flat_map(|tick| &tick.operations).map(crate::calls::Name::as_str).collect();
            let service = |operation: &&str| operation.split_once(':').map_or("", |(service, _)| service).to_owned();
            values.distinct = [operations.len(), operations.iter().map(service).collect::<BTreeSet<_>>().len()];
        }
    }
    values
}

/// What a role's principals have in common for one test.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Shared {
    /// Shape of the day, by day type and half-hour: (2, 48), dimensionless, mean 1.
    pub seasonality: [Vec<f64>; 2],
    /// Mean of the windows, in the unit of the count.
    pub level: f64,
    /// Median over-dispersion, dimensionless.
    pub dispersion: f64,
    /// Share in all calls of the window, in the unit of the count per call.
    pub share: f64,
}

/// What is usual for one test of one principal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Expected {
    /// Expected count by day type and half-hour: (2, 48), in the unit of the count.
    pub cells: [Vec<f32>; 2],
    /// Over-dispersion phi, dimensionless: variance `mu + phi mu^2`.
    pub dispersion: f32,
    /// Share in all calls of the window, in the unit of the count per call.
    pub share: f32,
}

impl Expected {
    /// Expected count, in its unit, of the window that ends at a bucket with so many `calls` in it.
    pub fn mean(&self, test: &Test, bucket: i64, calls: f64) -> f64 {
        let cells = &self.cells[day_type(day_of(bucket))];
        let by_time = cells.get(cell(bucket)).map_or(0.0, |cell| f64::from(*cell)).max(MIN_EXPECTED);
        if test.given_calls { by_time.max(calls * f64::from(self.share)) } else { by_time }
    }

    /// How far a `count` is from its `mean`, in standard deviations: about N(0, 1).
    pub fn z(&self, count: f64, mean: f64) -> f64 {
        deviance(count, mean, f64::from(self.dispersion))
    }
}

/// A count over its expectation.
#[derive(Clone, Debug)]
pub struct Over {
    /// The test.
    pub test: &'static Test,
    /// The count, in the unit of the test.
    pub seen: f64,
    /// The expected count, in the unit of the test.
    pub usual: f64,
    /// Chance, 0 to 1, that a principal's day shows as much.
    pub p: f64,
}

impl Over {
    /// The tests of a principal that are over what is usual. `expected` and `tails` (n_tests) are in the order of [`TESTS`], tails of
    /// machines first, then of people; what is new to a stranger is everything, so that test is left out.
    pub fn of(
        values: &Values,
        bucket: i64,
        expected: &[Expected],
        tails: &[[Excess; 2]],
        role: Role,
        is_stranger: bool,
    ) -> Vec<Self> {
        let tests = TESTS.iter().zip(expected).zip(tails);
        tests
            .filter(|((test, _), _)| !(is_stranger && test.name == "new_operations"))
            .filter_map(|((test, expected), tails)| {
                let (seen, usual) = excess_of(test, values, bucket, expected)?;
                Some(Self { test, seen, usual, p: tails[role.tail()].p(expected.z(seen, usual)) })
            })
            .collect()
    }

    /// Alarms a day that are expected at this p-value, over all tests of a company.
    pub fn company_rate(&self) -> f64 {
        INDEPENDENT_COMPANY_TESTS * self.p
    }

    /// Company-wide variant: the company has no peers, so by the normal tail, Bonferroni-corrected for the windows examined in a
    /// day.
    pub fn of_company(values: &Values, bucket: i64, expected: &[Expected]) -> Vec<Self> {
        let tests = COMPANY_TESTS.iter().zip(expected);
        tests
            .filter_map(|(test, expected)| {
                let (seen, usual) = excess_of(test, values, bucket, expected)?;
                let windows = if test.over_day { DAY_WINDOWS } else { HOUR_WINDOWS };
                let p = windows * crate::models::normal::log_survival(expected.z(seen, usual)).exp();
                Some(Self { test, seen, usual, p: p.clamp(MIN_P, 1.0) })
            })
            .collect()
    }
}

/// What a test saw and what is usual, where the excess is evidence.
fn excess_of(test: &Test, values: &Values, bucket: i64, expected: &Expected) -> Option<(f64, f64)> {
    let seen = values.of(test);
    let usual = expected.mean(test, bucket, values.calls(test));
    test.is_evidence(seen, usual).then_some((seen, usual))
}

/// The tail of daily maxima of a count's z. Unlike scores, most days of a rare count are 0, so its threshold may be 0 and few
/// days above it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Excess {
    /// Daily maxima (n_days), ascending, as z.
    maxima: Vec<f32>,
    /// Where the tail begins, as z.
    threshold: f64,
    /// Share of the days in the tail, 0 to 1.
    share: f64,
    /// Excesses over the threshold.
    pareto: Pareto,
}

/// Fewest maxima in the tail, and fewest of them above the threshold from which a tail is fitted.
const MIN_IN_TAIL: usize = 8;
const MIN_EXCESSES: usize = 5;
/// Smallest and largest shape of the tail, dimensionless, and its smallest scale, as z.
const SHAPE_BOUNDS: [f64; 2] = [0.01, 0.5];
const MIN_SCALE: f64 = 0.05;
/// The tail of a count that is hardly ever above 0.
const UNKNOWN_TAIL: Pareto = Pareto { shape: PRIOR_SHAPE, scale: 1.0 };

impl Excess {
    /// Learns from the `maxima` of days (n_days, any order, as z).
    pub fn fit(mut maxima: Vec<f32>) -> Self {
        maxima.sort_unstable_by(f32::total_cmp);
        let n = maxima.len();
        let in_tail = ((n as f64 * TAIL_SHARE) as usize).max(MIN_IN_TAIL);
        let index = n.checked_sub(in_tail + 1).or(n.checked_sub(1));
        let threshold = index.and_then(|index| maxima.get(index)).copied().map_or(0.0, f64::from);
        let excesses: Vec<f64> =
            maxima.iter().map(|z| f64::from(*z) - threshold).filter(|excess| *excess > 0.0).collect();
        let k = excesses.len() as f64;
        let share = k / n.max(1) as f64;
        if excesses.len() < MIN_EXCESSES {
            let share = share.max(1.0 / (n as f64 + 2.0));
            return Self { maxima, threshold, share, pareto: UNKNOWN_TAIL };
        }
        let constraints = Constraints { weights: [k, PRIOR_WEIGHT], shape: SHAPE_BOUNDS, min_scale: MIN_SCALE };
        Self { maxima, threshold, share, pareto: Pareto::fit(&excesses, &constraints) }
    }

    /// Chance of a daily maximum of `z` or more: 0 to 1, at least [`MIN_P`].
    pub fn p(&self, z: f64) -> f64 {
        if z > self.threshold {
            return (self.share * self.pareto.survival(z - self.threshold)).clamp(MIN_P, 1.0);
        }
        let n = self.maxima.len() as f64;
        let below = self.maxima.partition_point(|known| f64::from(*known) < z) as f64;
        (1.0 - below / (n + 1.0)).max(self.share).max(MIN_P)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::pareto::sample_maxima;

    #[test]
    fn a_rare_count_has_a_tail_although_most_days_are_empty() {
        let tail = Excess::fit(vec![0.0; 500]);
        assert!(tail.p(2.0) < 0.01 && tail.p(2.0) > tail.p(6.0) && tail.p(6.0) > MIN_P);
        assert_eq!(Excess::fit(Vec::new()).p(-1.0), 1.0);
    }

    #[test]
    fn the_fit_is_that_of_earlier_versions_to_the_bit() {
        let [spread, heavy, rare, few, same] = sample_maxima();
        // Maxima, bits of the shape and of the scale, share in the tail, p of .5: captured before the fit moved to `pareto`.
        let captured: [(&Vec<f32>, u64, u64, f64, f64); 5] = [
            (&spread, 0x3f84_7ae1_47ae_147b, 0x3fe0_8d4e_67bb_2fec, 0.1, 9.341317365269461e-1),
            (&heavy, 0x3fc0_b10a_c1ba_a50f, 0x4035_36da_e95f_2ee1, 0.1, 1.0),
            (&rare, 0x3f84_7ae1_47ae_147b, 0x401a_5f5c_28f5_c28f, 0.09, 8.342948962918874e-2),
            (&few, 0x3fb9_9999_9999_999a, 0x3ff0_0000_0000_0000, 0.125, 1.0),
            (&same, 0x3fb9_9999_9999_999a, 0x3ff0_0000_0000_0000, 2.3809523809523808e-2, 1.0),
        ];
        for (maxima, shape, scale, share, p) in captured {
            let tail = Excess::fit(maxima.clone());
            assert_eq!((tail.pareto.shape.to_bits(), tail.pareto.scale.to_bits()), (shape, scale));
            assert_eq!(tail.share, share);
            // Powers differ by a rounding between machines.
            assert!((tail.p(0.5) / p - 1.0).abs() < 1e-12, "{} for {p}", tail.p(0.5));
        }
    }

    #[test]
    fn p_falls_as_a_count_rises() {
        for maxima in [vec![0.0; 40], (0..400).map(|day| (day % 17) as f32 / 3.0).collect()] {
            let tail = Excess::fit(maxima);
            let p_values: Vec<f64> = (-10..300).map(|step| tail.p(f64::from(step) / 10.0)).collect();
            assert!(p_values.is_sorted_by(|a, b| a >= b));
        }
    }

    #[test]
    fn a_backfill_repeats_the_usual_mix_and_a_harvest_does_not() {
        let secrets = &TESTS[3];
        let expected = Expected { cells: [vec![1.0; CELLS], vec![1.0; CELLS]], dispersion: 0.1, share: 0.1 };
        let mut values = Values::default();
        values.sums[0][Count::Secret as usize] = 50;
        values.sums[0][Count::All as usize] = 500;
        assert_eq!(excess_of(secrets, &values, 0, &expected), None);
        values.sums[0][Count::All as usize] = 60;
        assert!(excess_of(secrets, &values, 0, &expected).is_some());
    }
}
