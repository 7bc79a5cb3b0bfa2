//! The pipeline file as written: the configuration sections of all modules.
//!
//! [`load`] reads and checks it once into a [`Plan`]; [`load_reading`] only what is needed to read logs from files, which have neither
//! `[source]` nor `[model]`. A diagnostic names the file, the line and the field, and what to write
//! instead. Relative paths are relative to the pipeline file. Everything that has a usable default is optional.
//!
//! Not here: what a section does (its own module), and anything that connects or opens files (`stream`).

mod audit;
mod campaign;
pub(crate) mod diagnostic;
mod own_files;
mod plan;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::alerts::NOTICES_PER_DAY;
use crate::calls::{DataClass, Exclude, OwnerDatabases};
use crate::ingest::{DecodeSpec, kafka, registry};

pub use audit::AuditPlan;
pub use campaign::Campaign;
pub use diagnostic::PipelineError;
pub use plan::{DeadLetterPlan, KEY_VARIABLE, Plan, ReadingPlan, TriagePlan, default_key_file, load, load_reading};

/// The file. The registry in `alerts::sinks` reads `[[sinks]]`, which is named here for the diagnostic that lists all sections.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    source: Option<Source>,
    #[serde(default)]
    decode: DecodeSpec,
    #[serde(default)]
    fingerprint: Fingerprint,
    #[serde(default)]
    vendors: Vendors,
    /// The user's own words for classes of data, beside those of the program.
    #[serde(default)]
    data_classes: BTreeMap<DataClass, Vec<String>>,
    #[serde(default)]
    enrichment: OwnerDatabases,
    model: Option<Model>,
    #[serde(default)]
    train: Train,
    #[serde(default)]
    detection: Detection,
    governance: Option<Governance>,
    #[serde(default)]
    triage: Triage,
    #[serde(default)]
    dead_letter: DeadLetter,
    #[serde(default)]
    state: State,
    #[serde(default)]
    alerts: Alerts,
    audit: Option<audit::Audit>,
    #[serde(default)]
    admin: Admin,
    #[serde(default, rename = "sinks")]
    _sinks: Option<IgnoredAny>,
}

/// `[source]`: where log records come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    kafka: kafka::Spec,
    registry: Option<registry::Spec>,
}

/// `[fingerprint]`: the key file for credential fingerprints.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fingerprint {
    key_file: Option<PathBuf>,
}

/// `[vendors]`: the user's own vendor files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Vendors {
    directory: Option<PathBuf>,
}

/// `[model]`: the model bundle.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    bundle: PathBuf,
}

/// `[train]`: which calls of a history are excluded.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Train {
    exclude: Vec<Exclude>,
}

/// Most hours that a call may be late: the longest window.
pub const LATE_CALLS_HOURS: u64 = 24;

/// `[detection]`: alert budget, tolerance for late calls, declared campaigns.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Detection {
    /// The budget: alerts a day that page, over all entities. It sets every threshold.
    pub alerts_per_day: f64,
    /// Steps of notices a day that are sent one by one; the rest is summed up once an hour.
    pub notices_per_day: u32,
    /// How late a call may be and still count, seconds of event time, up to a day.
    pub allowed_lateness_seconds: u64,
    /// How old a call may be that comes when its bucket has been judged, hours, at most 24: it is judged all the same, and what pages says that it
    /// came late. Calls that are older are counted as too late.
    pub late_calls_hours: u64,
    /// Campaigns known in advance.
    pub campaigns: Vec<Campaign>,
}

impl Default for Detection {
    fn default() -> Self {
        Self {
            alerts_per_day: 1.0,
            notices_per_day: NOTICES_PER_DAY,
            allowed_lateness_seconds: 60,
            late_calls_hours: LATE_CALLS_HOURS,
            campaigns: Vec::new(),
        }
    }
}

/// `[governance]`: the shipped rules, Sigma rules and the policy. Without the section no rule is in force.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Governance {
    rules: Option<PathBuf>,
    policy: Option<PathBuf>,
}

/// `[triage]`: analysts' verdicts, and the model trained on them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Triage {
    model: Option<PathBuf>,
    topic: Option<String>,
    verdicts: Option<PathBuf>,
}

/// `[dead_letter]`: where unreadable records go. At most one of the two.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DeadLetter {
    topic: Option<String>,
    file: Option<PathBuf>,
    /// Size from which the next file begins, bytes.
    max_bytes: Option<u64>,
    /// Full files that are kept beside the current one.
    keep: Option<u64>,
}

/// `[state]`: the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Directory of the checkpoint; one per process.
    pub directory: PathBuf,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: u64,
    /// Idle timeout, seconds. A partition that was quiet for this long no longer holds back the watermark; if all partitions are
    /// idle, the newest bucket is closed. Quiet time is confirmed by the partition's leader, which is asked again and again whether
    /// everything was read; time without an answer, as in a stall, does not count. It must cover a bucket and the allowed lateness:
    /// calls that arrive later are dropped as late.
    pub idle_seconds: u64,
    /// Days that rollups are kept, in `rollups` below the directory; 0 keeps none.
    pub keep_rollups_days: u64,
}

impl Default for State {
    fn default() -> Self {
        Self { directory: "state".into(), checkpoint_seconds: 5, idle_seconds: 600, keep_rollups_days: 35 }
    }
}

/// `[alerts]`: the alert store, and what is noticed of its sinks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// Days for which the alert store keeps what every sink has delivered.
    pub keep_days: u32,
    /// Minutes for which a sink may fail before the others report it.
    pub sink_failing_minutes: u32,
}

impl Default for Alerts {
    fn default() -> Self {
        Self { keep_days: 400, sink_failing_minutes: 5 }
    }
}

/// `[admin]`: metrics and health over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port; port 0 picks a free one.
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}
