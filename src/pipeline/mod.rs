//! The pipeline file as written: every room's section under one roof.
//!
//! [`load`] reads it and checks it once into a [`Plan`]; a diagnostic names the file, the line and the field, and says what
//! to write instead. Relative paths begin at the pipeline file. Whatever has a default that works may be left out.
//!
//! Not here: what a section does (its room knows), and anything that connects or opens (`stream`).

mod campaign;
pub(crate) mod diagnostic;
mod plan;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::calls::{Exclude, OwnerDatabases};
use crate::ingest::{DecodeSpec, kafka};

pub use campaign::Campaign;
pub use diagnostic::PipelineError;
pub use plan::{DeadLetterPlan, Plan, TriagePlan, default_key_file, load};

/// The file, but for its `[[sinks]]`: those are read by the registry in `alerts::sinks`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    source: Source,
    #[serde(default)]
    decode: DecodeSpec,
    #[serde(default)]
    fingerprint: Fingerprint,
    #[serde(default)]
    vendors: Vendors,
    #[serde(default)]
    enrichment: OwnerDatabases,
    model: Model,
    #[serde(default)]
    train: Train,
    #[serde(default)]
    detection: Detection,
    #[serde(default)]
    triage: Triage,
    #[serde(default)]
    dead_letter: DeadLetter,
    #[serde(default)]
    state: State,
    #[serde(default)]
    admin: Admin,
}

/// `[source]`: where log records come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    kafka: kafka::Spec,
}

/// `[fingerprint]`: where the key lies that turns credentials into fingerprints.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fingerprint {
    key_file: Option<PathBuf>,
}

/// `[vendors]`: what the user knows of vendors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Vendors {
    directory: Option<PathBuf>,
}

/// `[model]`: what was learned.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    bundle: PathBuf,
}

/// `[train]`: what the history is learned from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Train {
    exclude: Vec<Exclude>,
}

/// `[detection]`: how loud, and how patient with late calls.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Detection {
    /// Alerts a day that page, over all entities: the budget that sets every threshold.
    pub alerts_per_day: f64,
    /// Seconds of event time that a call may come late by and still count.
    pub allowed_lateness_seconds: u64,
    /// Campaigns that are known beforehand.
    pub campaigns: Vec<Campaign>,
}

impl Default for Detection {
    fn default() -> Self {
        Self { alerts_per_day: 1.0, allowed_lateness_seconds: 60, campaigns: Vec::new() }
    }
}

/// `[triage]`: what analysts say, and what was learned from it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Triage {
    model: Option<PathBuf>,
    topic: Option<String>,
    verdicts: Option<PathBuf>,
}

/// `[dead_letter]`: where records go that could not be read. At most one of the two.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DeadLetter {
    topic: Option<String>,
    file: Option<PathBuf>,
}

/// `[state]`: what survives a crash.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Where the checkpoint lies; one directory a process.
    pub directory: PathBuf,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: u64,
    /// Seconds of wall clock at its end after which a partition no longer holds the others up, and after which, if all are
    /// at their ends, the newest bucket is judged. Long enough for a bucket and its stragglers: what comes later is too late.
    pub idle_seconds: u64,
}

impl Default for State {
    fn default() -> Self {
        Self { directory: "state".into(), checkpoint_seconds: 5, idle_seconds: 600 }
    }
}

/// `[admin]`: metrics and health over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}
