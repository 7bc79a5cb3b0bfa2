//! A forest that reports how many of its trees vote yes: the model of what analysts confirm.
//!
//! smartcore's random forest (Breiman, Machine Learning 45, 2001) reports the majority, not the share of the votes. So each tree
//! is a forest of one with a seed of its own, and the share that votes yes is the probability. Bootstrap samples are drawn within
//! each class, so every tree sees both.
//!
//! The forest follows from its rows and the seed, so files hold the rows, which a person can read, and no trees, whose indices
//! would have to be checked.
//!
//! Not here: which features a row has and what a vote is used for (`alerts::triage`), how good it is (`train::triage`).

use rayon::prelude::*;
use smartcore::ensemble::random_forest_classifier::{RandomForestClassifier, RandomForestClassifierParameters};
use smartcore::error::Failed;
use smartcore::linalg::basic::matrix::DenseMatrix;

/// Number of trees of a forest: votes come in steps of half a percent.
const TREES: u64 = 200;
/// Fewest rows of a leaf: one odd verdict makes no rule.
const MIN_ROWS_PER_LEAF: usize = 2;

type Tree = RandomForestClassifier<f64, u8, DenseMatrix<f64>, Vec<u8>>;

/// A fitted forest for two classes.
#[derive(Debug)]
pub struct Forest {
    trees: Vec<Tree>,
    /// Number of columns of a row.
    width: usize,
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
        let rows = DenseMatrix::from_2d_vec(&rows.to_vec())?;
        let answers: Vec<u8> = answers.iter().map(|answer| u8::from(*answer)).collect();
        let tree = |number: u64| {
            let parameters = RandomForestClassifierParameters::default()
                .with_n_trees(1)
                .with_min_samples_leaf(MIN_ROWS_PER_LEAF)
                .with_seed(seed.wrapping_add(number));
            Tree::fit(&rows, &answers, parameters)
        };
        Ok(Self { trees: (0..TREES).into_par_iter().map(tree).collect::<Result<_, _>>()?, width })
    }

    /// Share of the trees that vote yes for a `row` (n_columns), 0 to 1. `None` where it has not the width of the rows fitted on.
    pub fn probability(&self, row: &[f64]) -> Option<f64> {
        if row.len() != self.width {
            return None;
        }
        let row = DenseMatrix::from_2d_vec(&vec![row.to_vec()]).ok()?;
        let votes = self.trees.iter().map(|tree| tree.predict(&row).ok()?.first().copied());
        let yes: u64 = votes.sum::<Option<u8>>().map(u64::from)?;
        Some(yes as f64 / TREES as f64)
    }
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
    fn trees_vote_as_they_were_taught() {
        let (rows, answers) = rows();
        let forest = Forest::fit(&rows, &answers, 1).unwrap();
        assert!(forest.probability(&[0.9, 6.0]).unwrap() > 0.9);
        assert!(forest.probability(&[0.1, 6.0]).unwrap() < 0.1);
        assert_eq!(forest.probability(&[0.9]), None);
    }

    #[test]
    fn the_same_rows_and_seed_give_the_same_votes() {
        let (rows, answers) = rows();
        let votes = |seed| {
            let forest = Forest::fit(&rows, &answers, seed).unwrap();
            (0..20).map(|step| forest.probability(&[f64::from(step) / 20.0, 3.0]).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(votes(1), votes(1));
        assert_ne!(votes(1), votes(1_000_000));
    }

    #[test]
    fn one_kind_of_answer_teaches_nothing() {
        let (rows, answers) = rows();
        assert!(matches!(Forest::fit(&rows, &vec![true; answers.len()], 1), Err(ForestError::Rows)));
        assert!(matches!(Forest::fit(&rows[1..], &answers, 1), Err(ForestError::Rows)));
    }
}
