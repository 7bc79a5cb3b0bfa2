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
pub use window::{CountWindows, DAY, HOUR, QUARTER, SIX_HOURS, WINDOWS, Window, WindowSums, Windows, windows_of};

/// A feature's index in [`FEATURES`] and in a [`FeatureVector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[allow(missing_docs)] // each is documented where it stands in `FEATURES`
pub enum Column {
    Calls,
    Ok,
    Denied,
    ClientError,
    Throttled,
    ServerError,
    DeniedExpected,
    ClientErrorExpected,
    ThrottledExpected,
    ServerErrorExpected,
    BytesOutSum,
    BytesInSum,
    BytesOutCount,
    BytesInCount,
    LatencyCount,
    BytesOutResidual,
    BytesInResidual,
    LatencyResidual,
    BytesOutShift,
    BytesInShift,
    LatencyShift,
    BytesOutResidualMax,
    BytesInResidualMax,
    BytesOutMax,
    BytesInMax,
    Cost,
}

/// Number of features.
pub const WIDTH: usize = FEATURES.len();
/// One entity's features over one bucket or window, in [`FEATURES`] order. Shares of a call and residuals are fixed-point.
pub type FeatureVector = [i64; WIDTH];

/// What a feature counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Calls, or expected calls.
    Calls,
    /// Bytes.
    Bytes,
    /// Standard deviations of a call of this endpoint.
    Deviations,
    /// Natural logarithms of a ratio.
    Logarithms,
    /// Millionths of a dollar.
    MicroDollars,
}

/// One entry of the catalogue.
pub struct Feature {
    /// Name in code, files and alerts.
    pub name: &'static str,
    /// Its place.
    pub column: Column,
    /// What it counts in.
    pub unit: Unit,
    /// What it is, in words.
    pub says: &'static str,
    /// How rows and buckets merge.
    pub merge: Merge,
    /// The expression over one rolled-up row and its expectations; an integer.
    pub of_row: fn() -> Expr,
}

/// Every feature. A new one is an entry here and a [`Column`].
#[rustfmt::skip]
pub const FEATURES: &[Feature] = &[
    sum("calls", Column::Calls, Unit::Calls, "calls", || col("calls")),
    sum("ok", Column::Ok, Unit::Calls, "answered calls", || col("ok")),
    sum("denied", Column::Denied, Unit::Calls, "calls answered 401 or 403", || col("denied")),
    sum("client_error", Column::ClientError, Unit::Calls, "calls answered by another 4xx", || col("client_error")),
    sum("throttled", Column::Throttled, Unit::Calls, "calls answered 429", || col("throttled")),
    sum("server_error", Column::ServerError, Unit::Calls, "calls answered 5xx or not at all", || col("server_error")),
    sum("denied_expected", Column::DeniedExpected, Unit::Calls, "denied calls usual for as many calls", || expected("denied_share")),
    sum("client_error_expected", Column::ClientErrorExpected, Unit::Calls, "client errors usual for as many calls", || expected("client_error_share")),
    sum("throttled_expected", Column::ThrottledExpected, Unit::Calls, "throttled calls usual for as many calls", || expected("throttled_share")),
    sum("server_error_expected", Column::ServerErrorExpected, Unit::Calls, "server errors usual for as many calls", || expected("server_error_share")),
    sum("bytes_out_sum", Column::BytesOutSum, Unit::Bytes, "bytes sent to the vendor", || col("bytes_out_sum")),
    sum("bytes_in_sum", Column::BytesInSum, Unit::Bytes, "bytes received from the vendor", || col("bytes_in_sum")),
    sum("bytes_out_count", Column::BytesOutCount, Unit::Calls, "answered calls of known request size", || col("bytes_out_count")),
    sum("bytes_in_count", Column::BytesInCount, Unit::Calls, "answered calls of known answer size", || col("bytes_in_count")),
    sum("latency_count", Column::LatencyCount, Unit::Calls, "answered calls of known latency", || col("latency_count")),
    sum("bytes_out_residual", Column::BytesOutResidual, Unit::Deviations, "request size against the endpoint's usual", || residual("bytes_out")),
    sum("bytes_in_residual", Column::BytesInResidual, Unit::Deviations, "answer size against the endpoint's usual", || residual("bytes_in")),
    sum("latency_residual", Column::LatencyResidual, Unit::Deviations, "latency against the endpoint's usual", || residual("latency")),
    sum("bytes_out_shift", Column::BytesOutShift, Unit::Logarithms, "request size against the endpoint's usual, as a ratio", || shift("bytes_out")),
    sum("bytes_in_shift", Column::BytesInShift, Unit::Logarithms, "answer size against the endpoint's usual, as a ratio", || shift("bytes_in")),
    sum("latency_shift", Column::LatencyShift, Unit::Logarithms, "latency against the endpoint's usual, as a ratio", || shift("latency")),
    max("bytes_out_residual_max", Column::BytesOutResidualMax, Unit::Deviations, "largest request against the endpoint's usual", || largest("bytes_out")),
    max("bytes_in_residual_max", Column::BytesInResidualMax, Unit::Deviations, "largest answer against the endpoint's usual", || largest("bytes_in")),
    max("bytes_out_max", Column::BytesOutMax, Unit::Bytes, "largest request", || col("bytes_out_max")),
    max("bytes_in_max", Column::BytesInMax, Unit::Bytes, "largest answer", || col("bytes_in_max")),
    sum("cost", Column::Cost, Unit::MicroDollars, "what the calls cost by list price", || col("cost")),
];

type OfRow = fn() -> Expr;

const fn sum(name: &'static str, column: Column, unit: Unit, says: &'static str, of_row: OfRow) -> Feature {
    Feature { name, column, unit, says, merge: Merge::Sum, of_row }
}

const fn max(name: &'static str, column: Column, unit: Unit, says: &'static str, of_row: OfRow) -> Feature {
    Feature { name, column, unit, says, merge: Merge::Max, of_row }
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
