//! From a rollup to feature rows: expectations are joined to each row, the catalogue is evaluated by polars, and rows of one
//! caller, vendor, endpoint and credential become one.

use polars::prelude::*;

use super::{FEATURES, FeatureVector, WIDTH};
use crate::calls::View;
use crate::rollup::{Merge, Rollup};

/// Columns that tell feature rows apart.
const KEYS: [&str; 6] = ["bucket", "view", "caller", "vendor", "endpoint", "credential"];

/// Features of one caller, vendor, endpoint and credential in one bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureRow {
    /// The bucket.
    pub bucket: i64,
    /// The view.
    pub view: View,
    /// The caller.
    pub caller: String,
    /// The vendor's name.
    pub vendor: String,
    /// Endpoint template.
    pub endpoint: String,
    /// Credential fingerprint, empty where there is none.
    pub credential: String,
    /// In [`FEATURES`] order.
    pub values: FeatureVector,
}

/// Evaluates the catalogue over a rollup. `expectations` are the columns that the features' expressions read besides the
/// measures (`{quantity}_mean`, `{quantity}_deviation`, `{outcome}_share`), one value a row of the rollup.
///
/// # Errors
/// Where a column is missing.
pub fn feature_rows(rollup: &Rollup, expectations: Vec<Column>) -> PolarsResult<Vec<FeatureRow>> {
    let frame = rollup.frame().hstack(&expectations)?;
    let rows: Vec<Expr> =
        FEATURES.iter().map(|feature| (feature.of_row)().alias(format!("feature_{}", feature.name))).collect();
    let merged: Vec<Expr> = FEATURES
        .iter()
        .map(|feature| match feature.merge {
            Merge::Sum => col(format!("feature_{}", feature.name)).sum(),
            Merge::Max => col(format!("feature_{}", feature.name)).max(),
            Merge::Min => col(format!("feature_{}", feature.name)).min(),
        })
        .collect();
    let frame = frame
        .lazy()
        .with_columns(rows)
        .group_by(KEYS.map(col))
        .agg(merged)
        .sort(KEYS, SortMultipleOptions::default())
        .collect()?;
    let buckets = frame.column("bucket")?.i64()?;
    let text = |name: &str| frame.column(name).and_then(Column::str);
    let (views, callers, vendors) = (text("view")?, text("caller")?, text("vendor")?);
    let (endpoints, credentials) = (text("endpoint")?, text("credential")?);
    let mut rows: Vec<FeatureRow> = (0..frame.height())
        .map(|row| FeatureRow {
            bucket: buckets.get(row).unwrap_or_default(),
            view: View::named(views.get(row)),
            caller: callers.get(row).unwrap_or_default().to_owned(),
            vendor: vendors.get(row).unwrap_or_default().to_owned(),
            endpoint: endpoints.get(row).unwrap_or_default().to_owned(),
            credential: credentials.get(row).unwrap_or_default().to_owned(),
            values: [0; WIDTH],
        })
        .collect();
    for (place, feature) in FEATURES.iter().enumerate() {
        let values = frame.column(&format!("feature_{}", feature.name))?.i64()?;
        for (row, value) in rows.iter_mut().zip(values.iter()) {
            row.values[place] = value.unwrap_or_default();
        }
    }
    Ok(rows)
}
