//! The ensemble: rows scaled, trimmed and fitted with several models, whose scores become one.
//!
//! The forest is least affected by anomalies among its training rows: it learns from all of them, and its scores decide which
//! are too anomalous for the others to learn from. Neighbours are fitted beside it; the mixture may be, but adds nothing on the
//! tables that were measured (`benches/README.md`). Each model's score becomes a p-value within its scores of the training rows,
//! none of which is scored by its own presence, and the harmonic mean of the p-values is the score of the row (Wilson, PNAS 116,
//! 2019): one model that sees nothing does not veto the others.
//!
//! Not here: entity-days. Where a stream is judged, `train` calibrates the ensemble on days that were held out.

use ndarray::{Array1, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::{FitError, FittedModel, MODELS, ModelKind, ModelSpec, Scaling, neighbours, trim};
use crate::models::calibration::{Tail, harmonic_mean, p_value};

/// Name in errors.
const NAME: &str = "multivariate";
/// The model that decides which rows the others learn from.
const FOREST: &ModelKind = &MODELS[0];

/// The ensemble as written in a training spec.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Models beside the forest, by name.
    pub beside_forest: Vec<String>,
    /// Share of the training rows, 0 to .5, with the highest scores of the forest, that the other models do not learn from.
    pub trimmed_share: f64,
    /// A section for each model that does not take its defaults, by name.
    pub models: toml::Table,
}

impl Spec {
    /// The models beside the forest.
    fn others(&self) -> Result<Vec<&'static ModelKind>, FitError> {
        let wrong = |field, problem| Err(FitError::Field { model: NAME, field, problem });
        if !(0.0..=0.5).contains(&self.trimmed_share) {
            return wrong("trimmed_share", "must be 0 to .5");
        }
        let mut others: Vec<&ModelKind> = Vec::new();
        for name in &self.beside_forest {
            match ModelKind::named(name) {
                Some(kind) if [FOREST].iter().chain(&others).all(|other| other.name != name) => others.push(kind),
                _ => return wrong("beside_forest", "must name other models than the forest, each once"),
            }
        }
        Ok(others)
    }

    /// Fits a model on scaled rows.
    fn fit_one(&self, kind: &'static ModelKind, rows: ArrayView2<'_, f64>, seed: u64) -> Result<FittedModel, FitError> {
        let section = self.models.get(kind.name).and_then(toml::Value::as_table).cloned().unwrap_or_default();
        kind.fit(&section, rows, seed)
    }
}

impl Default for Spec {
    fn default() -> Self {
        let beside_forest = vec![neighbours::Spec::NAME.to_owned()];
        Self { beside_forest, trimmed_share: 0.1, models: toml::Table::new() }
    }
}

/// The fitted models, the forest first, and what each made of the rows that were learned from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Multivariate {
    /// Names (n_columns).
    columns: Vec<String>,
    scaling: Scaling,
    models: Vec<FittedModel>,
    /// Distribution of each model's scores of the training rows (n_models).
    tails: Vec<Option<Tail>>,
}

impl Multivariate {
    /// Learns with every default from `rows` (n_rows, n_columns) of unscaled features that `columns` (n_columns) names; a cell that
    /// is not finite counts as typical. The same seed and rows give the same models.
    ///
    /// # Errors
    /// [`FitError`], where rows are few, or names and columns differ in number.
    pub fn fit(rows: ArrayView2<'_, f64>, columns: &[String], seed: u64) -> Result<Self, FitError> {
        Self::fit_with(&Spec::default(), rows, columns, seed)
    }

    /// Learns as [`Multivariate::fit`], with what a training spec says.
    ///
    /// # Errors
    /// As [`Multivariate::fit`], and where the spec makes no sense.
    pub fn fit_with(spec: &Spec, rows: ArrayView2<'_, f64>, columns: &[String], seed: u64) -> Result<Self, FitError> {
        if columns.len() != rows.ncols() {
            return Err(FitError::Names { names: columns.len(), columns: rows.ncols() });
        }
        let others = spec.others()?;
        let scaling = Scaling::fit(rows);
        let rows = scaling.transform(rows);
        let forest = spec.fit_one(FOREST, rows.view(), seed)?;
        let oddness = forest.score_learned(rows.view());
        let kept = rows.select(Axis(0), &trim::kept(oddness.view(), spec.trimmed_share));
        let mut models = vec![forest];
        for (index, kind) in others.into_iter().enumerate() {
            models.push(spec.fit_one(kind, kept.view(), seed.wrapping_add(index as u64 + 1))?);
        }
        let tail = |model: &FittedModel| {
            let scores = model.score_learned(rows.view());
            Tail::fit(scores.iter().map(|score| *score as f32).collect(), scores.len())
        };
        Ok(Self { columns: columns.to_vec(), tails: models.iter().map(tail).collect(), models, scaling })
    }

    /// How anomalous (n_rows) each of `rows` (n_rows, n_columns) is, unscaled and in the order of the columns that were learned from:
    /// `-log10` of the harmonic mean of the models' p-values, in decades from 0.
    pub fn oddness(&self, rows: ArrayView2<'_, f64>) -> Vec<f64> {
        let rows = self.scaling.transform(rows);
        let scores: Vec<Array1<f64>> = self.models.iter().map(|model| model.score(rows.view())).collect();
        let of_row = |row: usize| {
            let p_values =
                self.tails.iter().zip(&scores).map(|(tail, scores)| (1.0, p_value(tail.as_ref(), scores[row])));
            -harmonic_mean(p_values).log10()
        };
        (0..rows.nrows()).map(of_row).collect()
    }

    /// Share of each column in the score of an unscaled `row` (n_columns), with its name: the mean over the models, the largest first,
    /// summing to 1.
    pub fn contributions(&self, row: ArrayView1<'_, f64>) -> Vec<(String, f64)> {
        let scaled = self.scaling.transform(row.insert_axis(Axis(0)));
        let mut sum = Array1::<f64>::zeros(self.columns.len());
        self.models.iter().for_each(|model| sum += &model.contributions(scaled.row(0)));
        sum /= self.models.len() as f64;
        let mut named: Vec<_> = self.columns.iter().cloned().zip(sum).collect();
        named.sort_by(|a, b| b.1.total_cmp(&a.1));
        named
    }

    /// Names of the columns (n_columns), in their order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Names of the models that were fitted (n_models), in their order.
    pub fn models(&self) -> impl Iterator<Item = &'static str> {
        self.models.iter().map(|model| model.kind().name)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::tests::rows;
    use super::*;

    fn names(width: usize) -> Vec<String> {
        (0..width).map(|column| format!("column {column}")).collect()
    }

    /// 400 usual rows, and `odd` rows that are anomalous in the same way.
    fn dirty(odd: usize) -> Array2<f64> {
        let mut rows = rows(400 + odd, 1);
        for mut row in rows.rows_mut().into_iter().take(odd) {
            row.mapv_inplace(|value| 6.0 + 0.1 * value);
        }
        rows
    }

    #[test]
    fn an_attack_among_the_training_rows_does_not_hide_the_next() {
        let rows = dirty(30);
        let next = Array2::from_elem((1, rows.ncols()), 6.05);
        let oddness = |trimmed_share: f64| {
            let spec = Spec { trimmed_share, ..Spec::default() };
            Multivariate::fit_with(&spec, rows.view(), &names(rows.ncols()), 1).unwrap().oddness(next.view())[0]
        };
        assert!(oddness(0.1) > oddness(0.0) && oddness(0.1) > 1.0, "{} {}", oddness(0.1), oddness(0.0));
    }

    #[test]
    fn one_usual_row_in_a_hundred_scores_two_decades() {
        let multivariate = Multivariate::fit(rows(2_000, 1).view(), &names(8), 1).unwrap();
        let odd = multivariate.oddness(rows(4_000, 2).view()).into_iter().filter(|oddness| *oddness >= 2.0).count();
        assert!((13..120).contains(&odd), "{odd}");
    }

    #[test]
    fn a_model_that_nobody_knows_or_that_stands_there_twice_is_refused() {
        for beside_forest in [vec!["crystal_ball".to_owned()], vec![FOREST.name.to_owned()]] {
            let spec = Spec { beside_forest, ..Spec::default() };
            let refused = Multivariate::fit_with(&spec, rows(40, 1).view(), &names(8), 1).unwrap_err();
            assert!(refused.to_string().starts_with("multivariate: field beside_forest"));
        }
    }
}
