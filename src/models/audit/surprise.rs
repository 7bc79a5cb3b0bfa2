//! How surprising each call of an audit log is by itself: for ranking records, where nobody is paged.
//!
//! The score is that of the cold start, less what the history knows of the principal's operations. It is causal: a call is
//! scored by those before it.

use super::{Audit, ColdStart, ColdStartCall, Role, Row};
use crate::calls::{Calls, PrincipalKind};

impl<'a> Row<'a> {
    /// What the cold start looks at.
    pub fn cold_start_call(&self, time: i64) -> ColdStartCall<'a> {
        ColdStartCall {
            time,
            principal: [self.vendor, self.account, self.principal],
            operation: self.operation,
            step: self.step,
            place: [self.network, self.client],
            kind: self.kind,
            role: self.apparent_role(),
            // Anybody can send a browser's name; a console is used by somebody who has signed in.
            is_console: self.is_console() && self.kind != PrincipalKind::Unknown,
            is_session: self.credential.is_empty() && !self.is_console(),
            calls: [self.calls, self.denied],
        }
    }
}

/// The score of every audit call, by the hash of its record, in batches of any order.
pub fn surprise_of_calls(batches: &[Calls], audit: &Audit) -> Vec<(u64, f64)> {
    let all = batches.iter().flat_map(|calls| {
        let row = |call| Some((Row::of_call(call, calls.relation(call))?, call.record));
        calls.rows().iter().filter_map(row)
    });
    let mut calls: Vec<_> = all.collect();
    calls.sort_by_key(|(row, _)| row.time);
    let mut cold_start = ColdStart::default();
    let score = |(row, record): (Row<'_>, Option<std::num::NonZeroU64>)| {
        let role = audit.habits.get(&row.whose()).map_or_else(|| row.apparent_role(), |habits| habits.role);
        let role = if row.is_by_vendor() { Role::Internal } else { role };
        let call = ColdStartCall { role, ..row.cold_start_call(row.time) };
        let score = cold_start.score(&call, &audit.known).rank;
        record.map(|record| (record.get(), score))
    };
    calls.into_iter().filter_map(score).collect()
}
