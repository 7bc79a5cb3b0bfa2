//! The ensemble: scaled, trimmed, fitted with every model, and its scores as one p-value.
//!
//! Three models combined by the harmonic mean of their p-values beat each alone, and mend each one's worst case.
//!
//! Not here: entity-days. Where a stream is judged, `train` calibrates each raw score on days that were held out.

use ndarray::{Array1, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::{FitError, FittedModel, MODELS, Scaling, trim};

/// One raw score of each model, in [`MODELS`] order; higher is stranger.
pub type Scores = [f64; MODELS.len()];

/// The ensemble as written in a training spec.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Share of the training rows, the oddest, that is dropped before the models are fitted: 0 to .5.
    pub trimmed_share: f64,
    /// A section for each model that shall not take its defaults, by name.
    pub models: toml::Table,
}

impl Spec {
    /// Fits the model at a place of [`MODELS`] on scaled rows.
    fn fit_one(&self, place: usize, rows: ArrayView2<'_, f64>, seed: u64) -> Result<FittedModel, FitError> {
        let empty = toml::Table::new();
        let section = self.models.get(MODELS[place].name).and_then(toml::Value::as_table).unwrap_or(&empty);
        MODELS[place].fit(section, rows, seed.wrapping_add(place as u64))
    }
}

impl Default for Spec {
    fn default() -> Self {
        Self { trimmed_share: 0.05, models: toml::Table::new() }
    }
}

/// Every model of [`MODELS`], fitted on the same rows.
#[derive(Debug, Serialize, Deserialize)]
pub struct Joint {
    columns: Vec<String>,
    scaling: Scaling,
    models: Vec<FittedModel>,
}

impl Joint {
    /// Learns with every default from `rows` (n_rows, n_columns) of unscaled features that `columns` names; a cell that is
    /// not finite counts as typical. The same seed and rows give the same models.
    ///
    /// # Errors
    /// Where rows are few, or names and columns differ in number.
    pub fn fit(rows: ArrayView2<'_, f64>, columns: &[String], seed: u64) -> Result<Self, FitError> {
        Self::fit_with(&Spec::default(), rows, columns, seed)
    }

    /// Learns as [`Joint::fit`], with what a training spec says.
    ///
    /// # Errors
    /// As [`Joint::fit`], and where the spec makes no sense.
    pub fn fit_with(spec: &Spec, rows: ArrayView2<'_, f64>, columns: &[String], seed: u64) -> Result<Self, FitError> {
        if columns.len() != rows.ncols() {
            return Err(FitError::Names { names: columns.len(), columns: rows.ncols() });
        }
        if !(0.0..=0.5).contains(&spec.trimmed_share) {
            return Err(FitError::Field { model: "joint", field: "trimmed_share", problem: "must be 0 to .5" });
        }
        let untrimmed = Scaling::fit(rows).transform(rows);
        let oddness = spec.fit_one(0, untrimmed.view(), seed)?.score(untrimmed.view());
        let kept = rows.select(Axis(0), &trim::kept(oddness.view(), spec.trimmed_share));
        let scaling = Scaling::fit(kept.view());
        let scaled = scaling.transform(kept.view());
        let models = (0..MODELS.len()).map(|place| spec.fit_one(place, scaled.view(), seed));
        Ok(Self { columns: columns.to_vec(), models: models.collect::<Result<_, _>>()?, scaling })
    }

    /// One set of raw scores a row of `rows` (n_rows, n_columns), unscaled and in the order of the columns it was fitted on.
    pub fn score_rows(&self, rows: ArrayView2<'_, f64>) -> Vec<Scores> {
        let scaled = self.scaling.transform(rows);
        let mut scores = vec![[0.0; MODELS.len()]; rows.nrows()];
        for (place, model) in self.models.iter().enumerate() {
            let of_model = model.score(scaled.view());
            scores.iter_mut().zip(of_model).for_each(|(scores, score)| scores[place] = score);
        }
        scores
    }

    /// How much each column has to do with a row's being strange: the mean over the models, the largest first, summing to 1.
    pub fn contributions(&self, row: ArrayView1<'_, f64>) -> Vec<(String, f64)> {
        let scaled = self.scaling.transform(row.insert_axis(Axis(0)));
        let mut sum = Array1::<f64>::zeros(self.columns.len());
        self.models.iter().for_each(|model| sum += &model.contributions(scaled.row(0)));
        sum /= self.models.len() as f64;
        let mut named: Vec<_> = self.columns.iter().cloned().zip(sum).collect();
        named.sort_by(|a, b| b.1.total_cmp(&a.1));
        named
    }

    /// Names of the columns, in their order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }
}
