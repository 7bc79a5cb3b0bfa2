//! A batch of calls: what the builder hands on.
//!
//! Each row has its own facts (time, outcome, sizes) and the index of its relation; rows that say the same of who called what,
//! from where, share one relation.
//!
//! Not here: enrichment (`builder`) and counting (`rollup`).

use std::num::NonZeroU64;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Outcome;
use super::schema::Relation;

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct CallRow {
    /// Start of the call, microseconds since the epoch, UTC.
    pub time: i64,
    /// Index among the batch's relations.
    pub relation: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Bytes to the vendor.
    pub bytes_out: Option<i64>,
    /// Bytes from the vendor.
    pub bytes_in: Option<i64>,
    /// Tokens to a language model.
    pub tokens_in: Option<i64>,
    /// Tokens from a language model.
    pub tokens_out: Option<i64>,
    /// What it costs by list price, micro-dollars.
    pub cost: Option<i64>,
    /// Start to last response byte, milliseconds.
    pub latency_ms: Option<f64>,
    /// Trace id.
    pub trace_id: Option<TraceId>,
    /// Hash of the source's own id of the record.
    pub record: Option<NonZeroU64>,
}

/// Longest trace id, bytes: W3C has 32, a UUID 36, X-Ray 35.
const MAX_TRACE_ID: usize = 40;

/// A trace id: hexadecimal digits and dashes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId {
    /// Padded with zeros, so that ids sort as their texts do.
    bytes: [u8; MAX_TRACE_ID],
    length: u8,
}

impl TraceId {
    /// The id of a text; `None` for what is none.
    pub fn new(text: &str) -> Option<Self> {
        let is_id = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if !is_id || text.is_empty() || text.len() > MAX_TRACE_ID {
            return None;
        }
        let mut bytes = [0; MAX_TRACE_ID];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Self { bytes, length: text.len() as u8 })
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl std::fmt::Debug for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.as_str().to_owned()
    }
}

impl TryFrom<String> for TraceId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text).ok_or("no trace id")
    }
}

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

    /// Keeps the rows that `keep` says; it sees each with its relation.
    pub fn retain(&mut self, mut keep: impl FnMut(&CallRow, &Relation) -> bool) {
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
                trace_id: None,
                record: None,
            });
            batch.relations.push(Arc::new(names.into()));
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_hexadecimal_and_sorts_as_its_text_does() {
        for text in ["4bf92f3577b34da6a3ce929d0e0e4736", "1-5759e988-bd862e3fe1be46a994272793", "a"] {
            assert_eq!(TraceId::new(text).unwrap().as_str(), text);
        }
        assert!(TraceId::new("").is_none() && TraceId::new("sk_live").is_none());
        assert!(TraceId::new(&"a".repeat(41)).is_none());
        assert!(TraceId::new("a").unwrap() < TraceId::new("a0").unwrap());
    }
}
