//! How surprising each call of an audit log is by itself: for ranking records, where nobody is paged.
//!
//! The score is that of the cold start, less what the history knows of the principal's operations. It is causal: a call is
//! scored by those before it.

use polars::prelude::{Column, DataFrame, PolarsResult, StringChunked};

use super::{Audit, Cold, ColdCall, Role, Row};
use crate::calls::Direction;
use crate::rollup::bucket_of;

impl<'a> Row<'a> {
    /// What the cold start looks at.
    pub fn cold_call(&self, time: i64) -> ColdCall<'a> {
        ColdCall {
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
    let mut cold = Cold::default();
    let score = |(row, record): (Row<'_>, Option<u64>)| {
        let role = audit.habits.get(&row.whose()).map_or_else(|| row.apparent_role(), |habits| habits.role);
        let role = if row.is_by_vendor() { Role::Internal } else { role };
        let score = cold.score(&ColdCall { role, ..row.cold_call(row.time) }, &audit.known);
        record.map(|record| (record, score))
    };
    Ok(calls.into_iter().filter_map(score).collect())
}

fn calls_of(frame: &DataFrame) -> PolarsResult<Vec<(Row<'_>, Option<u64>)>> {
    let text = |name: &str| -> PolarsResult<&StringChunked> { frame.column(name).and_then(Column::str) };
    let (directions, vendors, principals) = (text("direction")?, text("vendor")?, text("caller")?);
    let (operations, credentials, networks) = (text("endpoint")?, text("credential")?, text("network")?);
    let (clients, regions, outcomes) = (text("client")?, text("region")?, text("outcome")?);
    let (times, records) = (frame.column("time")?.i64()?, frame.column("record_hash")?.u64()?);
    let is_audit = |row: &usize| Direction::named(directions.get(*row)) == Direction::Audit;
    let row = |row: usize| {
        let time = times.get(row).unwrap_or_default();
        let outcome = outcomes.get(row).unwrap_or_default();
        let ended = |name: &str| i64::from(outcome == name);
        let call = Row {
            bucket: bucket_of(time),
            time,
            last: time,
            vendor: vendors.get(row).unwrap_or_default(),
            principal: principals.get(row).unwrap_or_default(),
            operation: operations.get(row).unwrap_or_default(),
            credential: credentials.get(row).unwrap_or_default(),
            network: networks.get(row).unwrap_or_default(),
            client: clients.get(row).unwrap_or_default(),
            region: regions.get(row).unwrap_or_default(),
            calls: 1,
            denied: ended("denied"),
            errors: ended("client_error"),
            server_errors: ended("server_error"),
            bytes: 0,
        };
        (call, records.get(row))
    };
    Ok((0..frame.height()).filter(is_audit).map(row).collect())
}
