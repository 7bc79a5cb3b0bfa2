//! Features: what is looked at of an entity, from merged measures and what the loaded baseline expects of each row.
//!
//! One catalogue, [`FEATURES`]; training and the stream read the same entry, so they cannot differ. A feature is a polars
//! expression over a rolled-up row and the expectations joined to it; it is an integer, and adds up over rows and buckets
//! (or keeps the largest), so that a window's feature is the same however its calls came.
//!
//! Not here: what is unusual (`models`).

mod entity;
mod matrix;
mod store;
mod window;

use polars::prelude::*;

use crate::calls::{Merge, ONE};

pub use entity::{Entity, EntityId, Level};
pub use matrix::features_of;
pub use store::{EntityState, EntityStore, Part, Trail};
pub(crate) use window::merge;
pub use window::{CountWindows, DAY, HOUR, QUARTER, SIX_HOURS, WINDOWS, Window, WindowSums, Windows, windows_of};

/// A feature's index in [`FEATURES`] and in a [`FeatureVector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Column {
    /// Calls.
    Calls,
    /// Answered calls.
    Ok,
    /// Calls answered 401 or 403.
    Denied,
    /// Calls answered by another 4xx.
    ClientError,
    /// Calls answered 429.
    Throttled,
    /// Calls answered 5xx or not at all.
    ServerError,
    /// Denied calls usual for as many calls.
    DeniedExpected,
    /// Client errors usual for as many calls.
    ClientErrorExpected,
    /// Throttled calls usual for as many calls.
    ThrottledExpected,
    /// Server errors usual for as many calls.
    ServerErrorExpected,
    /// Bytes sent to the vendor; bytes.
    BytesOutSum,
    /// Bytes received from the vendor; bytes.
    BytesInSum,
    /// Answered calls of known request size.
    BytesOutCount,
    /// Answered calls of known answer size.
    BytesInCount,
    /// Answered calls of known latency.
    LatencyCount,
    /// Request size against the endpoint's usual; standard deviations of a call of this endpoint.
    BytesOutResidual,
    /// Answer size against the endpoint's usual; standard deviations of a call of this endpoint.
    BytesInResidual,
    /// Latency against the endpoint's usual; standard deviations of a call of this endpoint.
    LatencyResidual,
    /// Request size against the endpoint's usual, as a ratio; natural logarithms.
    BytesOutShift,
    /// Answer size against the endpoint's usual, as a ratio; natural logarithms.
    BytesInShift,
    /// Latency against the endpoint's usual, as a ratio; natural logarithms.
    LatencyShift,
    /// Largest request against the endpoint's usual; standard deviations of a call of this endpoint.
    BytesOutResidualMax,
    /// Largest answer against the endpoint's usual; standard deviations of a call of this endpoint.
    BytesInResidualMax,
    /// Largest request; bytes.
    BytesOutMax,
    /// Largest answer; bytes.
    BytesInMax,
    /// What the calls cost by list price; millionths of a dollar.
    Cost,
    /// Answers of a size that the caller hardly ever gets from the endpoint.
    OddAnswers,
    /// The same, as many as are usual among as many answers.
    OddAnswersExpected,
}

/// Number of features.
pub const WIDTH: usize = FEATURES.len();
/// One entity's features over one bucket or window, in [`FEATURES`] order. Shares of a call and residuals are fixed-point.
pub type FeatureVector = [i64; WIDTH];

/// One entry of the catalogue.
pub struct Feature {
    /// Name in code, files and alerts.
    pub name: &'static str,
    /// Its index, whose documentation says what it is and what it counts in.
    pub column: Column,
    /// How rows and buckets merge.
    pub merge: Merge,
    /// The expression over one rolled-up row and its expectations; an integer.
    pub of_row: fn() -> Expr,
}

/// Every feature. A new one is an entry here and a [`Column`].
#[rustfmt::skip]
pub const FEATURES: &[Feature] = &[
    sum("calls", Column::Calls, || col("calls")),
    sum("ok", Column::Ok, || col("ok")),
    sum("denied", Column::Denied, || col("denied")),
    sum("client_error", Column::ClientError, || col("client_error")),
    sum("throttled", Column::Throttled, || col("throttled")),
    sum("server_error", Column::ServerError, || col("server_error")),
    sum("denied_expected", Column::DeniedExpected, || expected("denied_share")),
    sum("client_error_expected", Column::ClientErrorExpected, || expected("client_error_share")),
    sum("throttled_expected", Column::ThrottledExpected, || expected("throttled_share")),
    sum("server_error_expected", Column::ServerErrorExpected, || expected("server_error_share")),
    sum("bytes_out_sum", Column::BytesOutSum, || col("bytes_out_sum")),
    sum("bytes_in_sum", Column::BytesInSum, || col("bytes_in_sum")),
    sum("bytes_out_count", Column::BytesOutCount, || col("bytes_out_count")),
    sum("bytes_in_count", Column::BytesInCount, || col("bytes_in_count")),
    sum("latency_count", Column::LatencyCount, || col("latency_count")),
    sum("bytes_out_residual", Column::BytesOutResidual, || residual("bytes_out")),
    sum("bytes_in_residual", Column::BytesInResidual, || residual("bytes_in")),
    sum("latency_residual", Column::LatencyResidual, || residual("latency")),
    sum("bytes_out_shift", Column::BytesOutShift, || shift("bytes_out")),
    sum("bytes_in_shift", Column::BytesInShift, || shift("bytes_in")),
    sum("latency_shift", Column::LatencyShift, || shift("latency")),
    max("bytes_out_residual_max", Column::BytesOutResidualMax, || largest("bytes_out")),
    max("bytes_in_residual_max", Column::BytesInResidualMax, || largest("bytes_in")),
    max("bytes_out_max", Column::BytesOutMax, || col("bytes_out_max")),
    max("bytes_in_max", Column::BytesInMax, || col("bytes_in_max")),
    sum("cost", Column::Cost, || col("cost")),
    sum("odd_answers", Column::OddAnswers, || col("odd_answers")),
    sum("odd_answers_expected", Column::OddAnswersExpected, || fixed(col("bytes_in_count").cast(DataType::Float64) * col("odd_answers_share"))),
];

type OfRow = fn() -> Expr;

const fn sum(name: &'static str, column: Column, of_row: OfRow) -> Feature {
    Feature { name, column, merge: Merge::Sum, of_row }
}

const fn max(name: &'static str, column: Column, of_row: OfRow) -> Feature {
    Feature { name, column, merge: Merge::Max, of_row }
}

/// One call cannot count for more than this many deviations in a mean, so that one absurd size is no drift of all.
const CLIP: f64 = 6.0;

fn fixed(expr: Expr) -> Expr {
    (expr * lit(ONE)).cast(DataType::Int64)
}

fn expected(share: &'static str) -> Expr {
    fixed(col("calls").cast(DataType::Float64) * col(share))
}

/// `(sum of ln(1+x) - n mean) / deviation`: how far the row's calls lie from their endpoint's usual, summed over calls.
fn residual(quantity: &'static str) -> Expr {
    fixed(deviations(quantity))
}

/// The same as logarithms of ratios: `sum of ln(1+x) - n mean`.
fn shift(quantity: &'static str) -> Expr {
    fixed(deviations(quantity) * col(format!("{quantity}_deviation")))
}

fn deviations(quantity: &'static str) -> Expr {
    let count = col(format!("{quantity}_count")).cast(DataType::Float64);
    let total = col(format!("{quantity}_ln_sum")).cast(DataType::Float64) / lit(ONE);
    let distance = (total - count.clone() * col(format!("{quantity}_mean"))) / col(format!("{quantity}_deviation"));
    let bound = count * lit(CLIP);
    let above = when(distance.clone().gt(bound.clone())).then(bound.clone()).otherwise(distance);
    when(above.clone().lt(-bound.clone())).then(-bound).otherwise(above)
}

/// The largest call of the row in deviations of its endpoint, 0 where no call was larger than usual.
fn largest(quantity: &'static str) -> Expr {
    let size = col(format!("{quantity}_max")).cast(DataType::Float64).log1p();
    let distance = (size - col(format!("{quantity}_mean"))) / col(format!("{quantity}_deviation"));
    fixed(when(distance.clone().gt(lit(0.0))).then(distance).otherwise(lit(0.0)))
}

/// A hash of the catalogue: a bundle made with another one does not fit.
pub fn catalogue_hash() -> String {
    hash_of(FEATURES)
}

fn hash_of(features: &[Feature]) -> String {
    let mut hasher = blake3::Hasher::new();
    for feature in features {
        hasher.update(feature.name.as_bytes());
        hasher.update(&[feature.merge as u8]);
        hasher.update(format!("{:?}", (feature.of_row)()).as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_stands_at_its_column() {
        for (index, feature) in FEATURES.iter().enumerate() {
            assert_eq!(feature.column as usize, index, "{}", feature.name);
        }
    }

    #[test]
    fn the_catalogue_hash_tells_catalogues_apart() {
        assert_eq!(catalogue_hash(), hash_of(FEATURES));
        assert_ne!(catalogue_hash(), hash_of(&FEATURES[1..]), "another catalogue has another hash");
    }
}
