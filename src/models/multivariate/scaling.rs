//! Scaling: columns of any unit become comparable, and heavy tails are compressed.
//!
//! `asinh((x - median) / (1.4826 MAD))`, then unit variance: linear near the median, logarithmic far out (Johnson, Biometrika 36,
//! 1949), and no outlier sets the scale (median absolute deviation: Hampel, JASA 69, 1974). What is typical is 0; so is what is
//! missing, and a column that never varied.
//!
//! Not here: which rows are left out (`trim`).

use ndarray::{Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::models::quantile::median;

/// Standard deviation of a normal column, in median absolute deviations.
const MEDIAN_DEVIATION: f64 = 1.4826;
/// The same in mean absolute deviations, for a column of which more than half is one value.
const MEAN_DEVIATION: f64 = 1.2533;

/// How each column is scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Column {
    /// In the unit of the column.
    median: f64,
    /// Robust standard deviation, in the unit of the column; 0 for a column that is constant.
    scale: f64,
    /// Standard deviation after the inverse hyperbolic sine, dimensionless.
    deviation: f64,
}

impl Scaling {
    /// Learns from `rows` (n_rows, n_columns), ignoring what is not finite.
    pub fn fit(rows: ArrayView2<'_, f64>) -> Self {
        Self { columns: rows.columns().into_iter().map(Column::fit).collect() }
    }

    /// The `rows` (n_rows, n_columns) scaled, of the same shape: each column in its own standard deviations.
    pub fn transform(&self, rows: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut scaled = rows.as_standard_layout().into_owned();
        for (mut cells, column) in scaled.columns_mut().into_iter().zip(&self.columns) {
            cells.mapv_inplace(|value| column.scaled(value));
        }
        scaled
    }
}

impl Column {
    fn fit(cells: ArrayView1<'_, f64>) -> Self {
        let finite: Vec<f64> = cells.iter().copied().filter(|value| value.is_finite()).collect();
        let centre = median(finite.clone()).unwrap_or_default();
        let apart: Vec<f64> = finite.iter().map(|value| (value - centre).abs()).collect();
        let mean_apart = apart.iter().sum::<f64>() / apart.len().max(1) as f64;
        let median_apart = median(apart).unwrap_or_default();
        let scale = if median_apart > 0.0 { MEDIAN_DEVIATION * median_apart } else { MEAN_DEVIATION * mean_apart };
        let mut column = Self { median: centre, scale: if scale.is_finite() { scale } else { 0.0 }, deviation: 1.0 };
        let scaled: Vec<f64> = cells.iter().map(|value| column.scaled(*value)).collect();
        column.deviation = deviation(&scaled);
        column
    }

    fn scaled(&self, value: f64) -> f64 {
        let scaled = ((value - self.median) / self.scale).asinh() / self.deviation;
        if self.scale > 0.0 && self.deviation > 0.0 && scaled.is_finite() { scaled } else { 0.0 }
    }
}

fn deviation(values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn columns_come_out_with_unit_variance_whatever_their_unit() {
        let rows = Array2::from_shape_fn((200, 2), |(row, column)| {
            let value = (row as f64 * 0.7).sin() + (row % 7) as f64;
            if column == 0 { value } else { value * 1e9 + 4e12 }
        });
        let scaled = Scaling::fit(rows.view()).transform(rows.view());
        for column in scaled.columns() {
            assert!((deviation(&column.to_vec()) - 1.0).abs() < 1e-9);
        }
        assert!((&scaled.column(0) - &scaled.column(1)).iter().all(|apart| apart.abs() < 1e-2));
    }

    #[test]
    fn what_is_missing_is_typical_and_what_never_varied_is_zero() {
        let rows = array![[1.0, 5.0], [2.0, 5.0], [f64::NAN, 5.0], [3.0, 5.0], [9.0, 5.0]];
        let scaling = Scaling::fit(rows.view());
        let scaled = scaling.transform(array![[f64::NAN, 5.0], [f64::INFINITY, 400.0]].view());
        assert_eq!(scaled, array![[0.0, 0.0], [0.0, 0.0]]);
    }

    #[test]
    fn a_column_that_is_mostly_zero_still_has_a_scale() {
        let mut rows = Array2::zeros((100, 1));
        rows[[7, 0]] = 3.0;
        rows[[8, 0]] = 4.0;
        let scaled = Scaling::fit(rows.view()).transform(rows.view());
        assert!(scaled[[8, 0]] > scaled[[7, 0]] && scaled[[7, 0]] > 1.0);
    }
}
