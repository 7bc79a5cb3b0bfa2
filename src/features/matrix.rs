//! From rolled-up rows to features: expectations are joined to each row, and polars evaluates the catalogue over all of them.

use std::sync::LazyLock;

use polars::prelude::*;

use super::{FEATURES, FeatureVector, WIDTH};
use crate::calls::{ANSWERS_BY_SIZE, MEASURES};
use crate::rollup::Row;

/// The catalogue as polars expressions, made once.
static EXPRESSIONS: LazyLock<Vec<Expr>> =
    LazyLock::new(|| FEATURES.iter().map(|feature| (feature.of_row)().alias(feature.name)).collect());

/// Evaluates the catalogue over rows. `expectations` are the columns that the features' expressions read besides the measures
/// (`{quantity}_mean`, `{quantity}_deviation`, `{outcome}_share`, `odd_answers`, `odd_answers_share`), one value a row. The result has one vector a row, in order.
///
/// # Errors
/// Where a column is missing.
pub fn features_of(rows: &[Row], expectations: Vec<Column>) -> PolarsResult<Vec<FeatureVector>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let measure = |(index, column): (usize, &crate::calls::MeasureColumn)| {
        let values: Vec<i64> = rows.iter().map(|row| row.measures.0[index]).collect();
        Column::new(column.name.into(), values)
    };
    // The histogram of answers is read by the expectations, by no expression.
    let is_read = |index: usize| !ANSWERS_BY_SIZE.iter().any(|measure| *measure as usize == index);
    let read = MEASURES.iter().enumerate().filter(|(index, _)| is_read(*index));
    let columns = read.map(measure).chain(expectations).collect();
    let frame = DataFrame::new(rows.len(), columns)?.lazy().select(EXPRESSIONS.as_slice()).collect()?;
    let mut vectors = vec![[0; WIDTH]; rows.len()];
    for (index, column) in frame.columns().iter().enumerate() {
        for (vector, value) in vectors.iter_mut().zip(column.i64()?.iter()) {
            vector[index] = value.unwrap_or_default();
        }
    }
    Ok(vectors)
}
