//! Nearest neighbours: how far a row lies from the k nearest rows that were seen.
//!
//! The rows are a uniform sample, so that a model has a size; the search is linfa-nn's. Contributions are the columns' parts
//! of the squared distance to the mean neighbour, which add up exactly.
//!
//! Not here: scaling, without which a distance means nothing.

use linfa_nn::distance::L2Dist;
use linfa_nn::{CommonNearestNeighbour, NearestNeighbour};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand::seq::index;
use serde::{Deserialize, Serialize};

use super::{Checked, FitError, ModelSpec, Random, Score, readable, shares};

const NAME: &str = "neighbours";
/// Most neighbours, and most rows kept: a search looks at each.
const MOST_NEIGHBOURS: u32 = 100;
const MOST_ROWS: u32 = 1 << 14;

/// The neighbours as written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Neighbours whose distance counts; 20 where the training rows may be dirty.
    pub neighbours: u32,
    /// Rows kept to compare with.
    pub rows: u32,
}

impl Default for Spec {
    fn default() -> Self {
        Self { neighbours: 5, rows: 1_024 }
    }
}

impl ModelSpec for Spec {
    const NAME: &'static str = NAME;
    const SAYS: &'static str = "nothing like the row was seen";
    type Fitted = Fitted;

    fn validate(&self) -> Result<(), FitError> {
        let wrong = |field, problem| Err(FitError::Field { model: NAME, field, problem });
        if !(1..=MOST_NEIGHBOURS).contains(&self.neighbours) {
            return wrong("neighbours", "must be 1 to 100");
        }
        if !(self.neighbours..=MOST_ROWS).contains(&self.rows) {
            return wrong("rows", "must be at least `neighbours`, at most 16,384");
        }
        Ok(())
    }

    fn fit(spec: &Checked<Self>, rows: ArrayView2<'_, f64>, random: &mut Random) -> Result<Fitted, FitError> {
        let count = rows.nrows().min(spec.rows as usize);
        let mut sample = index::sample(random, rows.nrows(), count).into_vec();
        sample.sort_unstable();
        Ok(Fitted { seen: contiguous(rows.select(Axis(0), &sample).view()), neighbours: spec.neighbours })
    }
}

/// The rows to compare with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fitted {
    seen: Array2<f32>,
    neighbours: u32,
}

impl Fitted {
    /// For each row, what `of` makes of it and its nearest rows, the nearest first.
    fn each<T>(
        &self,
        rows: ArrayView2<'_, f64>,
        of: impl Fn(ArrayView1<'_, f32>, &[ArrayView1<'_, f32>]) -> T,
    ) -> Vec<T> {
        let rows = contiguous(readable(rows).view());
        // Only a width of 0 is refused, and `fit` refuses that first.
        let Ok(index) = CommonNearestNeighbour::LinearSearch.from_batch(&self.seen, L2Dist) else { return Vec::new() };
        rows.rows()
            .into_iter()
            .map(|row| {
                let nearest = index.k_nearest(row, self.neighbours as usize).unwrap_or_default();
                let nearest: Vec<_> = nearest.into_iter().map(|(point, _)| point).collect();
                of(row, &nearest)
            })
            .collect()
    }
}

impl Score for Fitted {
    fn score(&self, rows: ArrayView2<'_, f64>) -> Array1<f64> {
        Array1::from_vec(self.each(rows, |row, nearest| {
            let distance = |point: &ArrayView1<'_, f32>| f64::from(squared_distance(row, *point)).sqrt();
            nearest.iter().map(distance).sum::<f64>() / nearest.len().max(1) as f64
        }))
    }

    fn contributions(&self, row: ArrayView1<'_, f64>) -> Array1<f64> {
        let parts = self.each(row.insert_axis(Axis(0)), |row, nearest| {
            let mut mean = Array1::<f64>::zeros(row.len());
            nearest.iter().for_each(|point| mean.zip_mut_with(point, |sum, value| *sum += f64::from(*value)));
            mean /= nearest.len().max(1) as f64;
            mean.zip_mut_with(&row, |mean, value| *mean = (f64::from(*value) - *mean).powi(2));
            mean
        });
        shares(parts.into_iter().next().unwrap_or_else(|| Array1::zeros(row.len())))
    }
}

fn squared_distance(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// The rows one after the other in single precision: the search asks for that.
fn contiguous(rows: ArrayView2<'_, f64>) -> Array2<f32> {
    let cells = rows.iter().map(|value| *value as f32).collect();
    Array2::from_shape_vec(rows.dim(), cells).unwrap_or_default()
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
        assert_eq!(fitted.seen.nrows(), 64);
    }
}
