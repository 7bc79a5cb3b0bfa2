//! A batch of calls: what the builder hands on.
//!
//! Each row has its own facts (time, outcome, sizes) and the index of its relation; rows that say the same of who called what,
//! from where, share one relation.
//!
//! Not here: enrichment (`builder`) and counting (`rollup`).

use std::sync::Arc;

#[cfg(test)]
use super::Outcome;
use super::row::CallRow;
use super::schema::Relation;

/// Calls, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    pub(super) relations: Vec<Arc<Relation>>,
    pub(super) rows: Vec<CallRow>,
}

impl Calls {
    /// Number of calls.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows.
    pub fn rows(&self) -> &[CallRow] {
        &self.rows
    }

    /// The relations that rows refer to.
    pub fn relations(&self) -> &[Arc<Relation>] {
        &self.relations
    }

    /// The relation of one of this batch's rows.
    pub fn relation(&self, row: &CallRow) -> &Relation {
        &self.relations[row.relation as usize]
    }

    /// Adds the calls of another batch behind these.
    pub fn append(&mut self, mut other: Self) {
        let offset = self.relations.len() as u32;
        self.relations.append(&mut other.relations);
        self.rows.extend(other.rows.into_iter().map(|row| CallRow { relation: row.relation + offset, ..row }));
    }

    /// Keeps the rows that `keep` says; it sees each with its relation.
    pub fn retain(&mut self, mut keep: impl FnMut(&CallRow, &Arc<Relation>) -> bool) {
        let relations = &self.relations;
        self.rows.retain(|row| keep(row, &relations[row.relation as usize]));
    }

    /// The rows of a range, by index.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let end = range.end.min(self.rows.len());
        Self { relations: self.relations.clone(), rows: self.rows[range.start.min(end)..end].to_vec() }
    }

    /// The rows at these indices, in this order.
    pub fn select(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        Self { relations: self.relations.clone(), rows: rows.into_iter().map(|row| self.rows[row]).collect() }
    }
}

#[cfg(test)]
impl Calls {
    /// Answered calls of (caller, vendor), each at its time.
    pub fn of_pairs<'a>(calls: impl IntoIterator<Item = (i64, (&'a str, &'a str))>) -> Self {
        use super::name::Name;
        use super::schema::{DIMENSIONS, Dimension};
        let mut batch = Self::default();
        for (time, (caller, vendor)) in calls {
            let mut names: [Name; DIMENSIONS] = std::array::from_fn(|_| Name::default());
            names[Dimension::Caller as usize] = Name::new(caller);
            names[Dimension::Vendor as usize] = Name::new(vendor);
            batch.rows.push(CallRow {
                time,
                relation: batch.relations.len() as u32,
                outcome: Outcome::Ok,
                bytes_out: None,
                bytes_in: None,
                tokens_in: None,
                tokens_out: None,
                cost: None,
                latency_ms: None,
                release: 0,
                is_resent: false,
                trace_id: None,
                record: None,
            });
            batch.relations.push(Arc::new(names.into()));
        }
        batch
    }
}
