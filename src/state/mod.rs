//! State: the checkpoint that survives a crash, written atomically.
//!
//! A [`Checkpoint`] holds the engine's snapshot, the consumed offsets and the sinks' positions of one moment, written in one
//! transaction and synced to disk. It is read back only if its format number is known and its checksum matches.
//!
//! Not here: when a checkpoint is due (`stream`), and the layout of the engine's snapshot (`stream::engine`).

mod instance;
mod rollups;
mod store;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alerts::sinks::SinkPosition;
use crate::ingest::Tally;

pub use instance::{InstanceError, existing_instance, instance};
pub use rollups::{KeptRollups, RollupsError};
pub use store::{StateError, Store};

/// The state of the stream at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The engine's snapshot.
    pub engine: Vec<u8>,
    /// Partition (`topic/3`) → next offset to consume: every record before it is in the engine's snapshot.
    pub offsets: BTreeMap<String, i64>,
    /// Name of the sink → its position.
    pub sinks: BTreeMap<String, SinkPosition>,
    /// Version of the model bundle that the engine ran with.
    pub bundle: String,
    /// Topic → what its records before the offsets were.
    pub tallies: BTreeMap<String, Tally>,
    /// How far event time was behind the clock at the newest record, microseconds; `None` where the stream was not live.
    pub delay: Option<i64>,
    /// Number of the next part of kept rollups.
    pub next_part: u64,
    /// Time up to which event time goes on without records, microseconds since the epoch: to be carried out first.
    pub tick: Option<i64>,
    /// What the stream remembers of its own input, for notices of the service.
    pub watch: Vec<u8>,
}
