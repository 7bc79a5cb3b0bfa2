//! Why a run ends before it is asked to.

use super::EngineError;
use crate::alerts::sinks::SinkError;
use crate::alerts::triage::{TriageError, VerdictsError};
use crate::calls::{KeyError, OwnerError};
use crate::catalog::CatalogError;
use crate::ingest::kafka::ConsumerError;
use crate::ingest::{DecodeError, SpecError};
use crate::state::{RollupsError, StateError};

/// Why the run ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The admin address cannot be served.
    #[error("[admin] listen {address}: {problem}")]
    Admin {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's error.
        problem: std::io::Error,
    },
    /// The fingerprint key is missing or unfit.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A database of network owners is missing or unfit.
    #[error(transparent)]
    Owners(#[from] OwnerError),
    /// The triage model cannot be used.
    #[error("[triage] model: {0}")]
    Triage(#[from] TriageError),
    /// The file of verdicts cannot be used.
    #[error("[triage] verdicts: {0}")]
    Verdicts(#[from] VerdictsError),
    /// The decoder's settings are unfit.
    #[error(transparent)]
    Decode(#[from] SpecError),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The state does not fit the program or the bundle.
    #[error(
        "{}: {problem}; run with the program and the model bundle that it was saved by, or name another [state] directory to begin anew",
        directory.join("checkpoint.redb").display()
    )]
    Restore {
        /// The directory of the state.
        directory: std::path::PathBuf,
        /// What does not fit.
        problem: EngineError,
    },
    /// Rollups cannot be kept.
    #[error(transparent)]
    Rollups(#[from] RollupsError),
    /// The catalogue cannot be opened.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Another process reads in the consumer group.
    #[error(
        "group {group}: another process reads in it ({members}), and each would judge callers by halves; stop it, give this one another \
         [source.kafka] group, or, where all records of a caller are in one partition, write keyed_by_caller = true"
    )]
    Shared {
        /// The group.
        group: String,
        /// Its members.
        members: String,
    },
    /// The engine gave up.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The consumer gave up.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    /// Shutdown was asked for while records waited for a schema: nothing is lost, the next start goes on from the checkpoint.
    #[error("shut down while records waited for their schema; the next start goes on from the last checkpoint: {0}")]
    Unread(#[source] DecodeError),
    /// Shutdown was asked for while a sink could not deliver: nothing is lost, the next start goes on from the checkpoint.
    #[error(
        "sink {sink}: shut down while it could not deliver; the next start goes on from the last checkpoint: {problem}"
    )]
    Sink {
        /// Name of the sink.
        sink: String,
        /// Its last error.
        problem: Box<SinkError>,
    },
    /// A sink cannot take a delivery, however often it is tried.
    #[error("sink {sink}: {problem}. Trying again cannot help: repair this and start again, from the last checkpoint")]
    Undeliverable {
        /// Name of the sink.
        sink: String,
        /// Its error.
        problem: Box<SinkError>,
    },
}
