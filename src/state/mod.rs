//! State: what must survive a crash, written as a whole or not at all.
//!
//! A [`Checkpoint`] holds the engine, the offsets up to which it has seen the records, and where the sinks stood: one
//! moment, one transaction, synced to disk. It is read back only if its format number is known and its checksum holds.
//!
//! Not here: when a checkpoint is due (`stream`), and what the engine's bytes mean.

mod store;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alerts::sinks::SinkPosition;

pub use store::{StateError, Store};

/// One moment of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The engine's snapshot.
    pub engine: Vec<u8>,
    /// Partition (`topic/3`) → offset of the next record that the engine has not seen.
    pub offsets: BTreeMap<String, i64>,
    /// Name of the sink → where it stood.
    pub sinks: BTreeMap<String, SinkPosition>,
    /// Version of the model bundle that the engine ran with.
    pub bundle: String,
}
