//! How surprising each call of an audit log is by itself: for ranking records, where nobody is paged.
//!
//! The score is that of the cold start, less what the history knows of the principal's operations. It is causal: a call is
//! scored by those before it.

use polars::prelude::{DataFrame, PolarsResult};

use super::row::Identities;
use super::{Audit, ColdStart, ColdStartCall, Role, Row};
use crate::rollup::bucket_of;

impl<'a> Row<'a> {
    /// What the cold start looks at.
    pub fn cold_start_call(&self, time: i64) -> ColdStartCall<'a> {
        ColdStartCall {
            time,
            principal: [self.vendor, self.principal],
            operation: self.operation,
            place: [self.network, self.client],
            role: self.apparent_role(),
            is_session: self.credential.is_empty() && !self.is_console(),
            calls: [self.calls, self.denied],
        }
    }
}

/// The score of every audit call, by the hash of its record, in frames of any order.
///
/// # Errors
/// Where a frame lacks a column of the call.
pub fn surprise_of_calls(frames: &[DataFrame], audit: &Audit) -> PolarsResult<Vec<(u64, f64)>> {
    let mut calls = Vec::new();
    for frame in frames {
        calls.extend(calls_of(frame)?);
    }
    calls.sort_by_key(|(row, _)| row.time);
    let mut cold = ColdStart::default();
    let score = |(row, record): (Row<'_>, Option<u64>)| {
        let role = audit.habits.get(&row.whose()).map_or_else(|| row.apparent_role(), |habits| habits.role);
        let role = if row.is_by_vendor() { Role::Internal } else { role };
        let score = cold.score(&ColdStartCall { role, ..row.cold_start_call(row.time) }, &audit.known);
        record.map(|record| (record, score))
    };
    Ok(calls.into_iter().filter_map(score).collect())
}

fn calls_of(frame: &DataFrame) -> PolarsResult<Vec<(Row<'_>, Option<u64>)>> {
    let identities = Identities::of(frame)?;
    let outcomes = frame.column("outcome")?.str()?;
    let (times, records) = (frame.column("time")?.i64()?, frame.column("record_hash")?.u64()?);
    let row = |row: usize| {
        let (time, outcome) = (times.get(row).unwrap_or_default(), outcomes.get(row).unwrap_or_default());
        let ended = |name: &str| i64::from(outcome == name);
        let call = Row {
            calls: 1,
            denied: ended("denied"),
            errors: ended("client_error"),
            server_errors: ended("server_error"),
            ..identities.at(row, bucket_of(time), time)
        };
        (call, records.get(row))
    };
    Ok(identities.audit().map(row).collect())
}
