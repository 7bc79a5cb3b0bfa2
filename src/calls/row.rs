//! One call after enrichment: its own facts, and the index of what it shares with others.
//!
//! Not here: the relation that a row refers to (`schema`), and the batch that holds both (`batch`).

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::Outcome;

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
    /// Number of the client's release; 0 where none is known.
    pub release: i64,
    /// Whether a redirect asked for the body to be sent again (307, 308).
    pub is_resent: bool,
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
