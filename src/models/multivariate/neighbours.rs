//! Nearest neighbours: mean distance of a row to its k nearest training rows (Angiulli & Pizzuti, PKDD 2002; Ramaswamy, Rastogi &
//! Shim, SIGMOD 2000).
//!
//! The training rows kept are a uniform sample, which bounds the size. The search is exhaustive: in single precision and column by
//! column, which compiles to vector instructions, it is faster than any index at this size. Contributions are the columns' parts
//! of the squared distance to the mean neighbour, which add up exactly.
//!
//! Not here: scaling (`scaling`), without which a distance means nothing.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand::seq::index;
use serde::{Deserialize, Serialize};

use super::{Checked, FitError, ModelSpec, Random, Score, readable, shares};

const NAME: &str = "neighbours";
/// Most neighbours; most rows kept, as a search compares with each.
const MAX_NEIGHBOURS: u32 = 100;
const MAX_ROWS: u32 = 1 << 14;

/// The neighbours as written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Number of neighbours whose distance counts; 20 where the training rows may contain attacks.
    pub neighbours: u32,
    /// Most training rows that are kept to compare with.
    pub rows: u32,
}

impl Default for Spec {
    fn default() -> Self {
        Self { neighbours: 5, rows: 2_048 }
    }
}

impl ModelSpec for Spec {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str = "no training row resembles the row";
    type Fitted = Fitted;

    fn validate(&self) -> Result<(), FitError> {
        let wrong = |field, problem| Err(FitError::Field { model: NAME, field, problem });
        if !(1..=MAX_NEIGHBOURS).contains(&self.neighbours) {
            return wrong("neighbours", "must be 1 to 100");
        }
        if !(self.neighbours..=MAX_ROWS).contains(&self.rows) {
            return wrong("rows", "must be at least `neighbours`, at most 16,384");
        }
        Ok(())
    }

    fn fit(spec: &Checked<Self>, rows: ArrayView2<'_, f64>, random: &mut Random) -> Result<Fitted, FitError> {
        let count = rows.nrows().min(spec.rows as usize);
        let mut sample = index::sample(random, rows.nrows(), count).into_vec();
        sample.sort_unstable();
        let seen = rows.select(Axis(0), &sample).reversed_axes();
        Ok(Fitted { seen: seen.as_standard_layout().mapv(|value| value as f32), neighbours: spec.neighbours })
    }
}

/// The rows to compare with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fitted {
    /// (n_columns, n_seen): the values of a column are adjacent.
    seen: Array2<f32>,
    /// Number of neighbours.
    neighbours: u32,
}

impl Fitted {
    /// Mean Euclidean distance (n_rows) of each of `rows` (n_rows, n_columns) to its nearest, in standard deviations of a column;
    /// `leaves_out` a row that equals it.
    fn distances(&self, rows: ArrayView2<'_, f64>, leaves_out: bool) -> Array1<f64> {
        let mut search = Search::new(self, leaves_out);
        readable(rows).map_axis(Axis(1), |row| {
            let nearest = search.nearest(row);
            nearest.iter().map(|near| f64::from(near.squared).sqrt()).sum::<f64>() / nearest.len().max(1) as f64
        })
    }
}

impl Score for Fitted {
    fn score(&self, rows: ArrayView2<'_, f64>) -> Array1<f64> {
        self.distances(rows, false)
    }

    fn score_learned(&self, rows: ArrayView2<'_, f64>) -> Array1<f64> {
        self.distances(rows, true)
    }

    fn contributions(&self, row: ArrayView1<'_, f64>) -> Array1<f64> {
        let row = readable(row.insert_axis(Axis(0)));
        let row = row.row(0);
        let mut search = Search::new(self, false);
        let nearest = search.nearest(row);
        let mut apart = row.to_owned();
        for near in nearest {
            apart.zip_mut_with(&self.seen.column(near.index), |apart, seen| {
                *apart -= f64::from(*seen) / nearest.len() as f64;
            });
        }
        shares(apart.mapv(|apart| apart * apart))
    }
}

/// A training row, by its distance.
#[derive(Clone, Copy)]
struct Near {
    /// Squared distance, in squared standard deviations of a column.
    squared: f32,
    /// Index among the rows kept.
    index: usize,
}

/// A search, with buffers that it reuses from row to row.
struct Search<'a> {
    fitted: &'a Fitted,
    leaves_out: bool,
    squared: Vec<f32>,
    nearest: Vec<Near>,
}

impl<'a> Search<'a> {
    /// `leaves_out`: a training row is no neighbour of itself, so one at distance 0 is left out.
    fn new(fitted: &'a Fitted, leaves_out: bool) -> Self {
        Self { fitted, leaves_out, squared: vec![0.0; fitted.seen.ncols()], nearest: Vec::new() }
    }

    /// The nearest training rows (at most n_neighbours), in order of distance.
    fn nearest(&mut self, row: ArrayView1<'_, f64>) -> &[Near] {
        self.squared.fill(0.0);
        // `fit` laid the columns out one after the other.
        let columns = self.fitted.seen.as_slice().unwrap_or_default().chunks_exact(self.squared.len().max(1));
        for (value, seen) in row.iter().zip(columns) {
            let value = *value as f32;
            for (squared, seen) in self.squared.iter_mut().zip(seen) {
                let apart = value - seen;
                *squared += apart * apart;
            }
        }
        let wanted = self.fitted.neighbours as usize + usize::from(self.leaves_out);
        self.nearest.clear();
        let mut limit = f32::INFINITY;
        for (index, squared) in self.squared.iter().copied().enumerate() {
            if squared < limit {
                self.nearest.truncate(wanted - 1);
                let at = self.nearest.partition_point(|near| near.squared <= squared);
                self.nearest.insert(at, Near { squared, index });
                if let (true, Some(last)) = (self.nearest.len() == wanted, self.nearest.last()) {
                    limit = last.squared;
                }
            }
        }
        let own = usize::from(self.leaves_out && self.nearest.first().is_some_and(|near| near.squared == 0.0));
        let end = self.nearest.len().min(own + self.fitted.neighbours as usize);
        self.nearest.get(own..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::SeedableRng;

    use super::super::tests::rows;
    use super::*;

    #[test]
    fn a_row_between_its_neighbours_scores_their_mean_distance() {
        let seen = array![[0.0, 0.0], [0.0, 2.0], [50.0, 50.0]];
        let spec = Spec { neighbours: 2, rows: 10 }.check().unwrap();
        let fitted = Spec::fit(&spec, seen.view(), &mut Random::seed_from_u64(1)).unwrap();
        assert_eq!(fitted.score(array![[0.0, 1.0]].view())[0], 1.0);
    }

    #[test]
    fn it_keeps_no_more_rows_than_asked_for() {
        let spec = Spec { neighbours: 5, rows: 64 }.check().unwrap();
        let fitted = Spec::fit(&spec, rows(500, 1).view(), &mut Random::seed_from_u64(1)).unwrap();
        assert_eq!(fitted.seen.ncols(), 64);
    }

    #[test]
    fn a_training_row_is_no_neighbour_of_itself() {
        let seen = array![[0.0, 0.0], [0.0, 2.0], [0.0, 6.0]];
        let spec = Spec { neighbours: 1, rows: 10 }.check().unwrap();
        let fitted = Spec::fit(&spec, seen.view(), &mut Random::seed_from_u64(1)).unwrap();
        assert_eq!(fitted.score(seen.view()), array![0.0, 0.0, 0.0]);
        assert_eq!(fitted.score_learned(seen.view()), array![2.0, 2.0, 4.0]);
    }
}
