//! What is measured of a group of calls, and how two measurements become one.
//!
//! Sums of logarithms are kept as fixed-point integers: integer addition is associative where floating point is not, so a
//! rollup does not depend on how its calls were split into batches.

use polars::prelude::*;

/// 1.0 in fixed point: 2^20 steps, so that 10^10 squared logarithms still fit into 63 bits.
pub const ONE: f64 = 1_048_576.0;

/// Per-call quantities that are judged given the endpoint: bytes to the vendor, bytes from it, latency.
pub const QUANTITIES: [&str; 3] = ["bytes_out", "bytes_in", "latency"];

/// A fixed-point sum as a number.
pub fn fixed_to_f64(fixed: i64) -> f64 {
    fixed as f64 / ONE
}

/// How two measurements of disjoint calls become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// They add up.
    Sum,
    /// The smaller stays.
    Min,
    /// The larger stays.
    Max,
}

/// One measure of a group of calls.
pub struct Measure {
    /// Name of the column.
    pub name: &'static str,
    /// How it merges.
    pub merge: Merge,
    /// The aggregation over calls.
    pub of_call: fn() -> Expr,
}

/// Every measure of a rollup. Sizes and latencies are those of answered calls (status below 400): the size of a failed call
/// is its status. `_ln` columns are fixed-point (see [`ONE`]); latencies are in milliseconds, costs in micro-dollars.
pub const MEASURES: &[Measure] = &[
    Measure { name: "calls", merge: Merge::Sum, of_call: || len().cast(DataType::Int64) },
    Measure { name: "ok", merge: Merge::Sum, of_call: || outcome("ok") },
    Measure { name: "denied", merge: Merge::Sum, of_call: || outcome("denied") },
    Measure { name: "client_error", merge: Merge::Sum, of_call: || outcome("client_error") },
    Measure { name: "throttled", merge: Merge::Sum, of_call: || outcome("throttled") },
    Measure { name: "server_error", merge: Merge::Sum, of_call: || outcome("server_error") + outcome("no_response") },
    Measure { name: "bytes_out_sum", merge: Merge::Sum, of_call: || total("bytes_out") },
    Measure { name: "bytes_in_sum", merge: Merge::Sum, of_call: || total("bytes_in") },
    Measure { name: "bytes_out_count", merge: Merge::Sum, of_call: || answered("bytes_out_ln") },
    Measure { name: "bytes_in_count", merge: Merge::Sum, of_call: || answered("bytes_in_ln") },
    Measure { name: "latency_count", merge: Merge::Sum, of_call: || answered("latency_ln") },
    Measure { name: "bytes_out_ln_sum", merge: Merge::Sum, of_call: || fixed_sum("bytes_out_ln") },
    Measure { name: "bytes_in_ln_sum", merge: Merge::Sum, of_call: || fixed_sum("bytes_in_ln") },
    Measure { name: "latency_ln_sum", merge: Merge::Sum, of_call: || fixed_sum("latency_ln") },
    Measure { name: "bytes_out_ln_square_sum", merge: Merge::Sum, of_call: || fixed_square_sum("bytes_out_ln") },
    Measure { name: "bytes_in_ln_square_sum", merge: Merge::Sum, of_call: || fixed_square_sum("bytes_in_ln") },
    Measure { name: "latency_ln_square_sum", merge: Merge::Sum, of_call: || fixed_square_sum("latency_ln") },
    Measure { name: "bytes_out_max", merge: Merge::Max, of_call: || largest("bytes_out") },
    Measure { name: "bytes_in_max", merge: Merge::Max, of_call: || largest("bytes_in") },
    Measure { name: "tokens", merge: Merge::Sum, of_call: || total("tokens_in") + total("tokens_out") },
    Measure { name: "cost", merge: Merge::Sum, of_call: || total("cost") },
    Measure { name: "first_seen", merge: Merge::Min, of_call: || col("time").min() },
    Measure { name: "last_seen", merge: Merge::Max, of_call: || col("time").max() },
    Measure { name: "trace_id", merge: Merge::Min, of_call: || col("trace_id").min() },
];

impl Measure {
    /// The aggregation over rows that are already rolled up.
    pub fn merged(&self) -> Expr {
        match self.merge {
            Merge::Sum => col(self.name).sum(),
            Merge::Min => col(self.name).min(),
            Merge::Max => col(self.name).max(),
        }
    }

    /// Type of the column: a count of something, but for the sample trace id.
    pub fn dtype(&self) -> DataType {
        if self.name == "trace_id" { DataType::String } else { DataType::Int64 }
    }

    /// Names of the measures that are numbers.
    pub fn numbers() -> impl Iterator<Item = &'static str> {
        MEASURES.iter().map(|measure| measure.name).filter(|name| *name != "trace_id")
    }
}

/// `ln(1 + x)` of each quantity of answered calls, null elsewhere.
pub(super) fn logarithms() -> [Expr; 3] {
    [("bytes_out", "bytes_out_ln"), ("bytes_in", "bytes_in_ln"), ("latency_ms", "latency_ln")].map(|(source, name)| {
        when(col("outcome").eq(lit("ok")))
            .then(col(source).cast(DataType::Float64).log1p())
            .otherwise(lit(NULL))
            .cast(DataType::Float64)
            .alias(name)
    })
}

fn outcome(name: &'static str) -> Expr {
    col("outcome").eq(lit(name)).sum().cast(DataType::Int64)
}

fn total(quantity: &'static str) -> Expr {
    col(quantity).sum().cast(DataType::Int64)
}

fn answered(logarithm: &'static str) -> Expr {
    col(logarithm).count().cast(DataType::Int64)
}

fn fixed_sum(logarithm: &'static str) -> Expr {
    (col(logarithm) * lit(ONE)).cast(DataType::Int64).sum()
}

fn fixed_square_sum(logarithm: &'static str) -> Expr {
    (col(logarithm) * col(logarithm) * lit(ONE)).cast(DataType::Int64).sum()
}

fn largest(quantity: &'static str) -> Expr {
    when(col("outcome").eq(lit("ok")))
        .then(col(quantity))
        .otherwise(lit(0))
        .max()
        .cast(DataType::Int64)
        .fill_null(lit(0))
}
