//! A forest that says how probably an alert is true: the model of what analysts confirm.
//!
//! smartcore's random forest (Breiman, Machine Learning 45, 2001) of regression trees on 1 for yes and 0 for no: least squares make each
//! leaf the share of yes among its rows, and the mean over the trees is a probability (Malley, Kruppa, Dasgupta, Malley & Ziegler,
//! Methods of Information in Medicine 51, 2012). Each branch draws a third of the columns, as Breiman does for regression. smartcore's
//! classifier tells only the majority.
//!
//! The forest follows from its rows and the seed, so files hold the rows, which a person can read, and no trees, whose indices
//! would have to be checked.
//!
//! Not here: which features a row has and what a probability is used for (`alerts::triage`), how good it is (`train::triage`).

use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::error::Failed;
use smartcore::linalg::basic::matrix::DenseMatrix;

/// Number of trees of a forest.
const TREES: usize = 200;
/// Fewest rows of a leaf: one odd verdict makes no rule.
const MIN_ROWS_PER_LEAF: usize = 2;

/// A fitted forest for two classes.
#[derive(Debug)]
pub struct Forest {
    trees: RandomForestRegressor<f64, f64, DenseMatrix<f64>, Vec<f64>>,
    /// Number of columns of a row.
    width: usize,
    /// Columns that are not the same in all rows. smartcore draws columns at each branch, and ends it as a leaf where those drawn are
    /// constant: what tells nothing would pull every probability towards the share of yes.
    varying: Vec<usize>,
}

/// Why no forest could be fitted.
#[derive(Debug, thiserror::Error)]
pub enum ForestError {
    /// There is nothing to separate.
    #[error("a forest needs rows of both kinds, as many answers as rows, and each row as wide as the first")]
    Rows,
    /// smartcore cannot fit a tree.
    #[error("the forest cannot be fitted: {0}")]
    Fit(#[from] Failed),
}

impl Forest {
    /// Fits a forest to `rows` (n_rows, n_columns) and `answers` (n_rows). The same rows and seed give the same forest.
    ///
    /// # Errors
    /// [`ForestError`], where rows differ in width, rows and answers in number, or all answers are the same.
    pub fn fit(rows: &[Vec<f64>], answers: &[bool], seed: u64) -> Result<Self, ForestError> {
        let width = rows.first().map_or(0, Vec::len);
        let fits = width > 0 && rows.len() == answers.len() && rows.iter().all(|row| row.len() == width);
        if !fits || !answers.contains(&true) || !answers.contains(&false) {
            return Err(ForestError::Rows);
        }
        let is_varying = |column: &usize| rows.iter().any(|row| row[*column] != rows[0][*column]);
        let mut varying: Vec<usize> = (0..width).filter(is_varying).collect();
        if varying.is_empty() {
            varying.push(0);
        }
        let rows = DenseMatrix::from_2d_vec(&rows.iter().map(|row| some_of(row, &varying)).collect())?;
        let answers: Vec<f64> = answers.iter().map(|answer| f64::from(u8::from(*answer))).collect();
        let parameters = RandomForestRegressorParameters::default()
            .with_n_trees(TREES)
            .with_min_samples_leaf(MIN_ROWS_PER_LEAF)
            .with_m((varying.len() / 3).max(1))
            .with_seed(seed);
        Ok(Self { trees: RandomForestRegressor::fit(&rows, &answers, parameters)?, width, varying })
    }

    /// Probability of yes for a `row` (n_columns), 0 to 1. `None` where it has not the width of the rows fitted on.
    pub fn probability(&self, row: &[f64]) -> Option<f64> {
        if row.len() != self.width {
            return None;
        }
        let row = DenseMatrix::from_2d_vec(&vec![some_of(row, &self.varying)]).ok()?;
        let mean = self.trees.predict(&row).ok()?.first().copied()?;
        Some(mean.clamp(0.0, 1.0))
    }
}

fn some_of(row: &[f64], columns: &[usize]) -> Vec<f64> {
    columns.iter().map(|column| row[*column]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Yes where the first column is above one half; the second is noise.
    fn rows() -> (Vec<Vec<f64>>, Vec<bool>) {
        let rows: Vec<Vec<f64>> =
            (0..60).map(|row| vec![f64::from(row % 10) / 10.0, f64::from(row * 7 % 13)]).collect();
        let answers = rows.iter().map(|row| row[0] > 0.5).collect();
        (rows, answers)
    }

    #[test]
    fn a_forest_says_what_it_was_taught() {
        let (rows, answers) = rows();
        let forest = Forest::fit(&rows, &answers, 1).unwrap();
        assert!(forest.probability(&[0.9, 6.0]).unwrap() > 0.9);
        assert!(forest.probability(&[0.1, 6.0]).unwrap() < 0.1);
        assert_eq!(forest.probability(&[0.9]), None);
    }

    #[test]
    fn the_same_rows_and_seed_give_the_same_probabilities() {
        let (rows, answers) = rows();
        let probabilities = |seed| {
            let forest = Forest::fit(&rows, &answers, seed).unwrap();
            (0..20).map(|step| forest.probability(&[f64::from(step) / 20.0, 3.0]).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(probabilities(1), probabilities(1));
        assert_ne!(probabilities(1), probabilities(1_000_000));
    }

    #[test]
    fn columns_that_are_the_same_in_all_rows_change_nothing() {
        let (rows, answers) = rows();
        let wide: Vec<Vec<f64>> = rows.iter().map(|row| [row.as_slice(), &[1.0; 40]].concat()).collect();
        let (own, padded) = (Forest::fit(&rows, &answers, 1).unwrap(), Forest::fit(&wide, &answers, 1).unwrap());
        assert_eq!(own.probability(&rows[7]), padded.probability(&wide[7]));
        assert!(Forest::fit(&[vec![1.0], vec![1.0]], &[true, false], 1).is_ok());
    }

    #[test]
    fn one_kind_of_answer_teaches_nothing() {
        let (rows, answers) = rows();
        assert!(matches!(Forest::fit(&rows, &vec![true; answers.len()], 1), Err(ForestError::Rows)));
        assert!(matches!(Forest::fit(&rows[1..], &answers, 1), Err(ForestError::Rows)));
    }
}
