//! Multivariate models: each number usual by itself, unusual together.
//!
//! Three models of the same rows that fail in different ways: a forest finds what is easily isolated, neighbours what is far
//! from all that was seen, a mixture what breaks the correlations (compared on 52 tables by Bouman, Bukhsh & Heskes, JMLR 25,
//! 2024, and on 57 by Han et al., ADBench, NeurIPS 2022). They share one contract, and one list, [`MODELS`]: a spec as written is
//! checked, a checked spec is fitted, and what is fitted can only score and explain.
//!
//! Not here: where rows come from (`features`), p-values (`calibration`), days and held-out splits (`train`).

mod ensemble;
pub mod gaussian_mixture;
pub mod isolation_forest;
pub mod neighbours;
mod scaling;
mod trim;

use std::fmt;
use std::ops::Deref;

use ndarray::{Array1, ArrayView1, ArrayView2, CowArray, Ix2};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

pub use ensemble::{Multivariate, Spec};
pub use scaling::Scaling;

/// Every model that we can fit (n_models). A new one is a file in this module and a line here.
pub const MODELS: &[ModelKind] = &[
    ModelKind::of::<isolation_forest::Spec>(),
    ModelKind::of::<neighbours::Spec>(),
    ModelKind::of::<gaussian_mixture::Spec>(),
];

/// Fewest rows that a model is fitted on.
pub const MIN_ROWS: usize = 10;
/// Largest magnitude that a model reads, in standard deviations (rows are scaled): its square must stay finite in single
/// precision.
const MAX_ABSOLUTE: f64 = 1e6;

/// A model as written in a training spec: anyone may write nonsense here, so it is checked before it is fitted.
pub trait ModelSpec: Default + Serialize + DeserializeOwned {
    /// Name in training specs, bundles and alerts.
    const NAME: &'static str;
    /// What it finds anomalous, in words.
    const SUMMARY: &'static str;
    /// What is learned.
    type Fitted: Score + Serialize + DeserializeOwned + 'static;

    /// Refuses the first field that makes no sense.
    ///
    /// # Errors
    /// [`FitError::Field`], which names the field.
    fn validate(&self) -> Result<(), FitError>;

    /// Learns from `rows` (n_rows, n_columns), scaled to unit variance, which are finite and at least [`MIN_ROWS`].
    ///
    /// # Errors
    /// [`FitError`], where the rows do not suffice for this model.
    fn fit(spec: &Checked<Self>, rows: ArrayView2<'_, f64>, random: &mut Random) -> Result<Self::Fitted, FitError>;

    /// The spec as checked.
    ///
    /// # Errors
    /// As [`ModelSpec::validate`].
    fn check(self) -> Result<Checked<Self>, FitError> {
        self.validate().map(|()| Checked(self))
    }
}

/// A spec that makes sense: only [`ModelSpec::check`] makes one.
pub struct Checked<S>(S);

impl<S> Deref for Checked<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

/// A fitted model: immutable, and it cannot fail.
///
/// Rows are scaled ([`Scaling`]) and as wide as those it was fitted on. What is not a number in them is read as 0, the
/// typical value after scaling.
pub trait Score: Save + Send + Sync {
    /// Raw scores (n_rows) of `rows` (n_rows, n_columns), in a unit of the model's own: higher is more anomalous.
    fn score(&self, rows: ArrayView2<'_, f64>) -> Array1<f64>;

    /// As [`Score::score`], of rows that the model was fitted on: a row is not scored by its own presence.
    fn score_learned(&self, rows: ArrayView2<'_, f64>) -> Array1<f64> {
        self.score(rows)
    }

    /// Share of each column (n_columns) in the score of a `row` (n_columns): at least 0, summing to 1.
    fn contributions(&self, row: ArrayView1<'_, f64>) -> Array1<f64>;
}

/// What can be written into a bundle; every serializable model can.
pub trait Save {
    /// The model as postcard bytes, which [`ModelKind::load`] reads.
    ///
    /// # Errors
    /// [`postcard::Error`], where a value cannot be serialized.
    fn save(&self) -> Result<Vec<u8>, postcard::Error>;
}

impl<T: Serialize> Save for T {
    fn save(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(self)
    }
}

/// The generator of every random choice in this module (xoshiro256++, Blackman & Vigna 2021): seeded, and the same on every machine.
pub type Random = Xoshiro256PlusPlus;

/// One kind of model, its type erased: what [`MODELS`] lists.
pub struct ModelKind {
    /// Name in training specs, bundles and alerts.
    pub name: &'static str,
    /// What it finds anomalous, in words.
    pub summary: &'static str,
    fit: FitModel,
    load: LoadModel,
}

type FitModel = fn(&toml::Table, ArrayView2<'_, f64>, &mut Random) -> Result<Box<dyn Score>, FitError>;
type LoadModel = fn(&[u8]) -> Result<Box<dyn Score>, postcard::Error>;

impl ModelKind {
    const fn of<S: ModelSpec>() -> Self {
        Self { name: S::NAME, summary: S::SUMMARY, fit: fit::<S>, load: load::<S> }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        MODELS.iter().find(|kind| kind.name == name)
    }

    /// Fits the model that `section` of a training spec describes (an empty one takes every default) on scaled rows
    /// (n_rows, n_columns). The same seed and rows give the same model.
    ///
    /// # Errors
    /// [`FitError`], where the section makes no sense, or the rows are few or not finite.
    pub fn fit(
        &'static self,
        section: &toml::Table,
        rows: ArrayView2<'_, f64>,
        seed: u64,
    ) -> Result<FittedModel, FitError> {
        if rows.nrows() < MIN_ROWS || rows.ncols() == 0 {
            return Err(FitError::TooFew { rows: rows.nrows(), columns: rows.ncols() });
        }
        if let Some(((row, column), _)) = rows.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(FitError::NotFinite { row, column });
        }
        let model = (self.fit)(section, readable(rows).view(), &mut Random::seed_from_u64(seed))?;
        Ok(FittedModel { kind: self, model })
    }

    /// Reads what [`Save::save`] wrote.
    ///
    /// # Errors
    /// [`postcard::Error`], where the bytes are not of this kind of model.
    pub fn load(&'static self, bytes: &[u8]) -> Result<FittedModel, postcard::Error> {
        (self.load)(bytes).map(|model| FittedModel { kind: self, model })
    }
}

fn fit<S: ModelSpec>(
    section: &toml::Table,
    rows: ArrayView2<'_, f64>,
    random: &mut Random,
) -> Result<Box<dyn Score>, FitError> {
    let spec: S = section.clone().try_into().map_err(|source| FitError::Section { model: S::NAME, source })?;
    Ok(Box::new(S::fit(&spec.check()?, rows, random)?))
}

fn load<S: ModelSpec>(bytes: &[u8]) -> Result<Box<dyn Score>, postcard::Error> {
    postcard::from_bytes::<S::Fitted>(bytes).map(|model| Box::new(model) as Box<dyn Score>)
}

/// A fitted model that remembers its kind; in a bundle it is its name and its bytes.
pub struct FittedModel {
    kind: &'static ModelKind,
    model: Box<dyn Score>,
}

impl FittedModel {
    /// What kind of model it is.
    pub fn kind(&self) -> &'static ModelKind {
        self.kind
    }
}

impl Deref for FittedModel {
    type Target = dyn Score;

    fn deref(&self) -> &Self::Target {
        &*self.model
    }
}

impl fmt::Debug for FittedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FittedModel").field(&self.kind.name).finish()
    }
}

impl Serialize for FittedModel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.model.save().map_err(S::Error::custom)?;
        (self.kind.name, bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FittedModel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, bytes) = <(String, Vec<u8>)>::deserialize(deserializer)?;
        let kind = ModelKind::named(&name).ok_or_else(|| D::Error::custom("a kind of model that is not known here"))?;
        kind.load(&bytes).map_err(D::Error::custom)
    }
}

/// Why nothing was learned.
#[derive(Debug, Error)]
pub enum FitError {
    /// The rows are few, or have no columns.
    #[error("{rows} rows of {columns} columns are too few to learn from")]
    TooFew {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
    /// The names are not as many as the columns.
    #[error("{names} names for {columns} columns")]
    Names {
        /// Number of names.
        names: usize,
        /// Number of columns.
        columns: usize,
    },
    /// A cell is infinite or not a number.
    #[error("row {row}, column {column}: not a finite number")]
    NotFinite {
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
    },
    /// The columns depend on each other so much that no density exists.
    #[error("{model}: the covariance has no inverse")]
    Singular {
        /// The model.
        model: &'static str,
    },
    /// A field of a spec makes no sense.
    #[error("{model}: field {field}: {problem}")]
    Field {
        /// The model.
        model: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A section of a training spec cannot be read.
    #[error("{model}: the section cannot be read")]
    Section {
        /// The model.
        model: &'static str,
        /// What is wrong.
        source: toml::de::Error,
    },
}

/// The rows (n_rows, n_columns) as models read them: what is not a number is 0, and nothing is so large that its square is
/// infinite. A copy is made only where something must change.
fn readable(rows: ArrayView2<'_, f64>) -> CowArray<'_, f64, Ix2> {
    if rows.iter().all(|value| value.abs() <= MAX_ABSOLUTE) {
        return rows.into();
    }
    rows.mapv(|value| if value.is_nan() { 0.0 } else { value.clamp(-MAX_ABSOLUTE, MAX_ABSOLUTE) }).into()
}

/// `parts` (n_columns) as shares of their sum, what is negative counting as 0; equal shares where nothing is left.
fn shares(parts: Array1<f64>) -> Array1<f64> {
    let parts = parts.mapv_into(|part| if part.is_finite() { part.max(0.0) } else { 0.0 });
    let sum = parts.sum();
    if sum > 0.0 && sum.is_finite() { parts / sum } else { Array1::from_elem(parts.len(), 1.0 / parts.len() as f64) }
}

/// A standard normal number (Box & Muller, Annals of Mathematical Statistics 29, 1958).
fn standard_normal(random: &mut impl rand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.r#gen::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.r#gen::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, s};

    use super::*;

    const COLUMNS: usize = 8;
    /// Column that is the same in every training row.
    const CONSTANT: usize = 5;

    /// Normal rows, of which the second column follows the first.
    pub(super) fn rows(count: usize, seed: u64) -> Array2<f64> {
        let mut random = Random::seed_from_u64(seed);
        let mut rows = Array2::from_shape_simple_fn((count, COLUMNS), || standard_normal(&mut random));
        let first = rows.column(0).to_owned();
        rows.column_mut(1).zip_mut_with(&first, |second, first| *second = 0.9 * first + 0.4 * *second);
        rows.column_mut(CONSTANT).fill(0.0);
        rows
    }

    /// Fits every model and hands each to the promise.
    fn every_model(promise: impl Fn(&str, &FittedModel)) {
        for kind in MODELS {
            let fitted = kind.fit(&toml::Table::new(), rows(400, 1).view(), 7).unwrap();
            promise(kind.name, &fitted);
        }
    }

    #[test]
    fn every_model_scores_the_same_after_a_trip_through_the_bundle() {
        every_model(|name, fitted| {
            let bytes = postcard::to_stdvec(fitted).unwrap();
            let back: FittedModel = postcard::from_bytes(&bytes).unwrap();
            let seen = rows(50, 2);
            assert_eq!(fitted.score(seen.view()), back.score(seen.view()), "{name}");
            assert_eq!(fitted.contributions(seen.row(0)), back.contributions(seen.row(0)), "{name}");
        });
    }

    #[test]
    fn a_row_scores_the_same_whatever_rows_stand_beside_it() {
        every_model(|name, fitted| {
            let seen = rows(37, 2);
            let together = fitted.score(seen.view());
            for index in 0..seen.nrows() {
                let alone = fitted.score(seen.slice(s![index..=index, ..]));
                assert_eq!(alone[0], together[index], "{name}, row {index}");
            }
        });
    }

    #[test]
    fn every_model_scores_a_far_row_above_nine_in_ten_usual_ones() {
        every_model(|name, fitted| {
            let usual = fitted.score(rows(200, 2).view());
            let mut far = Array2::zeros((1, COLUMNS));
            far.slice_mut(s![0, ..3]).fill(5.0);
            let strange = fitted.score(far.view())[0];
            assert!(usual.iter().filter(|score| **score < strange).count() >= 180, "{name}");
        });
    }

    #[test]
    fn every_model_tolerates_a_feature_that_is_constant() {
        every_model(|name, fitted| {
            let scores = fitted.score(rows(20, 2).view());
            assert!(scores.iter().all(|score| score.is_finite()), "{name}");
            assert!(scores.iter().any(|score| *score != scores[0]), "{name}");
            assert!(fitted.contributions(rows(1, 2).row(0))[CONSTANT] < 0.2, "{name}");
        });
    }

    #[test]
    fn the_same_seed_gives_the_same_model() {
        for kind in MODELS {
            // One row more than a tree grows on: the sample is drawn, too.
            let fit = || kind.fit(&toml::Table::new(), rows(513, 1).view(), 3).unwrap();
            assert_eq!(fit().save().unwrap(), fit().save().unwrap(), "{}", kind.name);
        }
    }

    #[test]
    fn contributions_sum_to_one_and_name_the_column_that_was_moved() {
        every_model(|name, fitted| {
            for moved in (0..COLUMNS).filter(|column| *column != CONSTANT) {
                let mut row = Array1::zeros(COLUMNS);
                row[moved] = 6.0;
                let contributions = fitted.contributions(row.view());
                assert!((contributions.sum() - 1.0).abs() < 1e-9, "{name}");
                assert!(contributions.iter().all(|share| *share >= 0.0), "{name}");
                let most = contributions.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
                assert_eq!(most, moved, "{name}: {contributions}");
            }
        });
    }

    #[test]
    fn what_is_not_a_number_is_refused_in_training_and_tolerated_in_scoring() {
        for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for kind in MODELS {
                let mut dirty = rows(40, 1);
                dirty[[3, 2]] = strange;
                let refused = kind.fit(&toml::Table::new(), dirty.view(), 7);
                assert!(matches!(refused, Err(FitError::NotFinite { row: 3, column: 2 })), "{}", kind.name);
            }
            every_model(|name, fitted| {
                let row = Array1::from_elem(COLUMNS, strange);
                let score = fitted.score(row.view().insert_axis(Axis(0)))[0];
                assert!(score.is_finite(), "{name}");
                assert!((fitted.contributions(row.view()).sum() - 1.0).abs() < 1e-9, "{name}");
            });
        }
    }

    #[test]
    fn rows_that_are_all_the_same_are_learned_from_without_a_panic() {
        for kind in MODELS {
            let fitted = kind.fit(&toml::Table::new(), Array2::zeros((100, 3)).view(), 7).unwrap();
            assert!(fitted.score(Array2::ones((1, 3)).view())[0].is_finite(), "{}", kind.name);
        }
    }

    #[test]
    fn a_section_with_an_unknown_or_senseless_field_is_refused_by_name() {
        for kind in MODELS {
            let unknown = kind.fit(&toml::toml! { colour = "blue" }, rows(40, 1).view(), 7);
            assert!(unknown.unwrap_err().to_string().starts_with(kind.name));
        }
        let zero = MODELS[0].fit(&toml::toml! { trees = 0 }, rows(40, 1).view(), 7);
        assert_eq!(zero.unwrap_err().to_string(), "isolation_forest: field trees: must be 1 to 1,000");
    }
}
