//! State: the checkpoint that survives a crash, written atomically.
//!
//! A [`Checkpoint`] holds the engine's state, the consumed offsets and the sinks' positions of one moment, written in one
//! transaction and synced to disk. Of the engine only what changed is handed over and written. It is read back only if its
//! format number is known and its checksums match.
//!
//! Not here: when a checkpoint is due (`stream`), and the layout of the engine's state (`stream::engine`).

mod chunks;
mod error;
mod identity;
mod rollups;
mod store;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::alerts::sinks::SinkPosition;
use crate::ingest::Tally;

pub use error::StateError;
pub use identity::identity;
pub use rollups::{KeptRollups, RollupsError};
pub use store::Store;

/// The engine's state: all of it, or what changed since it was saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineState {
    /// Whether these are all entities: what was saved of others is removed.
    pub is_whole: bool,
    /// Address of an entity → its bytes; `None` where it is gone.
    pub entities: BTreeMap<u64, Option<Vec<u8>>>,
    /// All else, always all of it, by name.
    pub sections: BTreeMap<String, Vec<u8>>,
}

impl EngineState {
    /// Adds a section.
    ///
    /// # Errors
    /// None in practice: all of the state serializes.
    pub fn put(&mut self, name: &str, value: &impl Serialize) -> Result<(), String> {
        let bytes = postcard::to_stdvec(value).map_err(|error| format!("{name}: {error}"))?;
        self.sections.insert(name.to_owned(), bytes);
        Ok(())
    }

    /// Reads a section.
    ///
    /// # Errors
    /// Where it is missing, or of another layout.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        let bytes = self.sections.get(name).ok_or_else(|| format!("{name} is missing"))?;
        postcard::from_bytes(bytes).map_err(|error| format!("{name}: {error}"))
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.entities.values().flatten().chain(self.sections.values()).map(Vec::len).sum()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty() && self.sections.is_empty()
    }
}

/// The state of the stream at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The engine's state: to be saved, what changed; as loaded, all of it. Stored apart.
    #[serde(skip)]
    pub engine: EngineState,
    /// Partition (`topic/3`) → next offset to consume: every record before it is in the engine's state.
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
