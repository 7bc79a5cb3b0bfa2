//! Odd sizes: which sizes of answers a caller hardly ever gets from an endpoint.
//!
//! A mean hides what happens to a part of the calls: one answer in ten turns empty or eight times as large, and the mean of the
//! logarithms hardly moves. So answers are counted by class of size, a histogram that merges (`calls::schema`). A Gaussian mixture
//! of linfa's, fitted to the history's `ln(1 + bytes)`, says where answers are at home; the classes outside of its smallest region with
//! 99 % of the probability (Hyndman, The American Statistician 50, 1996) are odd. How many answers are odd usually is counted, not
//! taken from the mixture: its fit decides which sizes are odd, never how many are expected.
//!
//! Why not the counts alone: the mixture spreads each mode over the classes beside it. Where answers of 1,000 bytes become answers of
//! 1,030, all of them are in a class that was empty before.
//!
//! Not here: how many odd answers are too many (`statistic`).

use ndarray::Array2;
use rand::SeedableRng;
use serde::{Deserialize, Serialize};

use super::multivariate::{ModelSpec, Random, Score, gaussian_mixture};
use crate::calls::{ANSWERS_BY_SIZE, Measures, size_class};

/// Number of classes of size.
const CLASSES: usize = ANSWERS_BY_SIZE.len();
/// Fewest answers from which an endpoint's sizes are known.
const MIN_ANSWERS: i64 = 100;
/// Rows that stand for a histogram of any number of answers: one is half a percent of them.
const ROWS: i64 = 200;
/// Probability outside of the usual sizes.
const ODD: f64 = 0.01;
/// Variance that is added to each component: sizes within a fifth of each other are alike, as for means (`expectation`).
const VARIANCE: f64 = 0.04;
const COMPONENTS: u32 = 4;
/// Step and bounds in `ln(1 + bytes)` over which the density is summed; the highest class ends an octave above its beginning.
const STEP: f64 = 0.05;
const BOUNDS: (f64, f64) = (-1.0, 13.2);
/// The same histogram has the same mixture.
const SEED: u64 = 7;

/// Sizes of answers that are odd, and how many of the answers have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OddSizes {
    /// A bit for each class, in the order of [`ANSWERS_BY_SIZE`].
    classes: u16,
    /// Share of answers, 0 to 1.
    share: f32,
}

impl OddSizes {
    /// No size is odd, as long as too few answers are known.
    pub const NONE: Self = Self { classes: 0, share: 0.0 };

    /// Learns from a history's answers by class of size, in the order of [`ANSWERS_BY_SIZE`].
    pub fn learn(answers: &[i64; CLASSES]) -> Self {
        let all: i64 = answers.iter().sum();
        let mass = (all >= MIN_ANSWERS).then(|| masses(answers, all)).flatten();
        let Some(mass) = mass else { return Self::NONE };
        let mut by_mass: [usize; CLASSES] = std::array::from_fn(|class| class);
        by_mass.sort_by(|a, b| mass[*a].total_cmp(&mass[*b]));
        let (mut outside, mut classes) = (0.0, 0);
        for class in by_mass {
            outside += mass[class];
            if outside > ODD {
                break;
            }
            classes |= 1 << class;
        }
        Self::counted(classes, answers)
    }

    /// What a history's `answers` teach without a `fold` of them, where all of them teach `self`. A mixture is fitted again only where the
    /// fold has most answers of a class: else it hardly moves, and fitting is what takes time.
    pub fn without(self, answers: &[i64; CLASSES], fold: &[i64; CLASSES]) -> Self {
        let rest = std::array::from_fn(|class| answers[class] - fold[class]);
        let is_own = answers.iter().zip(fold).any(|(all, own)| *own > 0 && 2 * own >= *all);
        if is_own || self == Self::NONE { Self::learn(&rest) } else { Self::counted(self.classes, &rest) }
    }

    /// Odd classes, and the share that they have of `answers`. What was not seen in so many answers is not impossible.
    fn counted(classes: u16, answers: &[i64; CLASSES]) -> Self {
        let all: i64 = answers.iter().sum();
        let odd: i64 =
            answers.iter().enumerate().filter(|(class, _)| classes & (1 << class) != 0).map(|(_, n)| n).sum();
        if all < MIN_ANSWERS || classes == 0 {
            return Self::NONE;
        }
        Self { classes, share: ((odd as f64 + 0.5) / (all as f64 + 1.0)) as f32 }
    }

    /// Share of answers that usually have such a size, 0 to 1.
    pub fn share(self) -> f32 {
        self.share
    }

    /// Answers of such a size among some calls.
    pub fn among(self, calls: &Measures) -> i64 {
        let odd = ANSWERS_BY_SIZE.iter().enumerate().filter(|(class, _)| self.classes & (1 << class) != 0);
        odd.map(|(_, measure)| calls.get(*measure)).sum()
    }
}

/// Probability of each class under a mixture that is fitted to `answers`, of which there are `all`; `None` where none fits.
fn masses(answers: &[i64; CLASSES], all: i64) -> Option<[f64; CLASSES]> {
    let spec = gaussian_mixture::Spec { components: COMPONENTS, regularisation: VARIANCE, ..Default::default() };
    let rows = rows(answers, all);
    let mixture = ModelSpec::fit(&spec.check().ok()?, rows.view(), &mut Random::seed_from_u64(SEED)).ok();
    let mixture: gaussian_mixture::Fitted = mixture?;
    let steps = ((BOUNDS.1 - BOUNDS.0) / STEP) as usize;
    let grid = Array2::from_shape_fn((steps, 1), |(step, _)| BOUNDS.0 + STEP * step as f64);
    let mut mass = [0.0; CLASSES];
    for (size, surprise) in grid.iter().zip(mixture.score(grid.view())) {
        mass[size_class(size.exp_m1().round() as i64)] += (-surprise).exp() * STEP;
    }
    Some(mass)
}

/// Some [`ROWS`] rows of `ln(1 + bytes)`, spread evenly over each class, in proportion to its answers.
fn rows(answers: &[i64; CLASSES], all: i64) -> Array2<f64> {
    let mut rows = Vec::new();
    for (class, count) in answers.iter().enumerate() {
        let count = (count * ROWS + all / 2) / all;
        let [from, to] = bounds(class);
        rows.extend((0..count).map(|row| from + (to - from) * (row as f64 + 0.5) / count as f64));
    }
    Array2::from_shape_fn((rows.len(), 1), |(row, _)| rows[row])
}

/// Where a class begins and ends, in `ln(1 + bytes)`.
fn bounds(class: usize) -> [f64; 2] {
    let bytes = match class {
        0 => [0.0, 0.0],
        1 => [1.0, 63.0],
        _ => [f64::exp2(class as f64 + 4.0), f64::exp2(class as f64 + 5.0)],
    };
    bytes.map(f64::ln_1p)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A histogram of sizes.
    fn of(sizes: &[(i64, i64)]) -> [i64; CLASSES] {
        let mut answers = [0; CLASSES];
        sizes.iter().for_each(|(bytes, count)| answers[size_class(*bytes)] += count);
        answers
    }

    fn is_odd(odd: OddSizes, bytes: i64) -> bool {
        odd.classes & (1 << size_class(bytes)) != 0
    }

    #[test]
    fn a_class_begins_where_the_one_before_it_ends() {
        for class in 1..CLASSES {
            let [from, to] = bounds(class).map(|ln| ln.exp_m1().round() as i64);
            assert_eq!(size_class(from), class);
            assert!(class == CLASSES - 1 || size_class(to + i64::from(class == 1)) == class + 1);
        }
    }

    #[test]
    fn empty_answers_of_an_endpoint_that_never_gave_any_are_odd_and_a_little_more_is_not() {
        let odd = OddSizes::learn(&of(&[(1_000, 5_000)]));
        assert!([0, 41, 8_000].into_iter().all(|bytes| is_odd(odd, bytes)), "{odd:?}");
        assert!(![1_000, 1_030, 900].into_iter().any(|bytes| is_odd(odd, bytes)), "{odd:?}");
        assert!(odd.share() < 0.001);
    }

    #[test]
    fn an_endpoint_of_two_modes_has_two_places_where_answers_are_at_home() {
        let odd = OddSizes::learn(&of(&[(0, 300), (20_000, 250), (30_000, 400), (40_000, 250)]));
        assert!(![0, 20_000, 30_000, 40_000].into_iter().any(|bytes| is_odd(odd, bytes)), "{odd:?}");
        assert!([200, 1_000, 260_000].into_iter().all(|bytes| is_odd(odd, bytes)), "{odd:?}");
    }

    #[test]
    fn rare_sizes_are_expected_as_often_as_they_were_seen() {
        let odd = OddSizes::learn(&of(&[(0, 20), (5_000, 9_980)]));
        assert!(is_odd(odd, 0) && (odd.share() - 0.002).abs() < 1e-3, "{odd:?}");
    }

    #[test]
    fn a_day_that_has_a_size_to_itself_is_left_out_with_it() {
        let usual = of(&[(1_000, 5_000)]);
        let strange = of(&[(0, 400), (1_000, 200)]);
        let all: [i64; CLASSES] = std::array::from_fn(|class| usual[class] + strange[class]);
        let odd = OddSizes::learn(&all);
        assert!(!is_odd(odd, 0));
        assert_eq!(odd.without(&all, &strange), OddSizes::learn(&usual));
        let day = of(&[(0, 30), (1_000, 300)]);
        let left: [i64; CLASSES] = std::array::from_fn(|class| all[class] - day[class]);
        assert_eq!(odd.without(&all, &day).classes, OddSizes::learn(&left).classes);
    }

    #[test]
    fn few_answers_make_no_size_odd() {
        assert_eq!(OddSizes::learn(&of(&[(1_000, 99)])), OddSizes::NONE);
        assert_eq!(OddSizes::learn(&[0; CLASSES]), OddSizes::NONE);
    }
}
