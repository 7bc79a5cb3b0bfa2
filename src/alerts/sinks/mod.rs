//! Sinks: where deliveries go, and how none is lost or duplicated.
//!
//! [`Sink::deliver`] returns only when everything is durable. After a crash between that and the next checkpoint the same deliveries are made
//! again, so a sink reports its position for the checkpoint, and after a restart finds out from that position what had already landed.
//! Alerts are delivered this way, and so are records that could not be read.
//!
//! A new sink is a file in this module, a line in [`SINKS`], and an entry in `contract.rs`, whose suite every sink passes.
//!
//! Not here: what is delivered (`alerts`, `stream::dead_letter`), and how often a delivery is tried again (`stream`).

mod alertmanager;
mod cef;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod double;
mod error;
mod file;
mod http;
mod kafka;
mod opensearch;
mod opsgenie;
mod otlp;
mod pagerduty;
mod remote;
mod rotation;
mod routing;
mod security_lake;
mod sentinel;
mod slack;
mod smtp;
mod splunk;
mod stdout;
mod syslog;
mod tcp;
mod teams;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::de::ValueDeserializer;

use super::{Alert, Route, to_ocsf};
use crate::ingest::connection::Connection;

pub use error::{Patience, SectionError, SinkError};
pub use file::{File, may_write};
pub use kafka::Kafka;
pub use rotation::Rotation;
pub use routing::Routed;
pub use stdout::Stdout;

/// Every sink there is.
pub const SINKS: &[SinkKind] = &[
    SinkKind::of::<Kafka>(),
    SinkKind::of::<File>(),
    SinkKind::of::<Stdout>(),
    SinkKind::of::<opensearch::OpenSearch>(),
    SinkKind::of::<splunk::Splunk>(),
    SinkKind::of::<otlp::Otlp>(),
    SinkKind::of::<alertmanager::Alertmanager>(),
    SinkKind::of::<pagerduty::PagerDuty>(),
    SinkKind::of::<opsgenie::Opsgenie>(),
    SinkKind::of::<slack::Slack>(),
    SinkKind::of::<teams::Teams>(),
    SinkKind::of::<webhook::Webhook>(),
    SinkKind::of::<syslog::Syslog>(),
    SinkKind::of::<smtp::Smtp>(),
    SinkKind::of::<security_lake::SecurityLake>(),
    SinkKind::of::<sentinel::Sentinel>(),
];

/// One thing to deliver.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Names this delivery among all: the same again after a replay.
    pub uid: String,
    /// Deliveries of one key stay in order.
    pub key: Option<Vec<u8>>,
    /// Headers, for sinks that have them. The sink adds `aw-uid`.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The content: one line of JSON, unless it is a record as it came.
    pub body: Vec<u8>,
    /// The alert itself, for sinks that shape it in their own way.
    pub alert: Option<Arc<Alert>>,
}

impl Delivery {
    /// The alert as an OCSF finding, named `{id}-{revision}`, with its incident as key.
    pub fn of(alert: &Alert) -> Self {
        Self::kept(alert, to_ocsf(alert).to_string())
    }

    /// The same of an alert whose OCSF form is there already.
    pub fn kept(alert: &Alert, ocsf: String) -> Self {
        let header = |name: &str, value: String| (name.to_owned(), value.into_bytes());
        Self {
            uid: format!("{}-{}", alert.id, alert.revision),
            key: Some(alert.id.clone().into_bytes()),
            headers: vec![
                header("content-type", "application/json".to_owned()),
                header("aw-revision", alert.revision.to_string()),
                header("aw-severity", alert.severity.as_str().to_owned()),
            ],
            body: ocsf.into_bytes(),
            alert: Some(Arc::new(alert.clone())),
        }
    }
}

impl Delivery {
    /// Whether it is this alert's.
    pub fn is_of(&self, alert: &Alert) -> bool {
        self.alert.as_ref().is_some_and(|own| own.id == alert.id && own.revision == alert.revision)
    }
}

/// A sink that is open.
pub trait Sink: Send {
    /// Delivers all, in order, and returns when all is durable. After an error the same deliveries may be given again:
    /// what had landed is not repeated.
    ///
    /// # Errors
    /// [`SinkError`], naming the file, topic or stream that failed.
    fn deliver(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError>;

    /// How many deliveries it takes at once: each time that it has taken so many, its position is noted, so that a crash repeats no more.
    fn at_once(&self) -> usize {
        usize::MAX
    }

    /// Called about once a second while nothing is to be delivered, with the time in microseconds since the epoch: what was gathered may be due.
    /// Returns whether the position changed.
    ///
    /// # Errors
    /// [`SinkError`], as of [`Sink::deliver`].
    fn rest(&mut self, _now: i64) -> Result<bool, SinkError> {
        Ok(false)
    }

    /// The position of the sink, for the checkpoint.
    fn position(&self) -> SinkPosition;

    /// Resumes from a checkpoint: what landed after `position` will be delivered again, and must not be duplicated.
    ///
    /// # Errors
    /// [`SinkError`], naming the file, topic or stream that failed.
    fn resume(&mut self, position: &SinkPosition) -> Result<(), SinkError>;
}

/// What a sink must remember to duplicate nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SinkPosition {
    /// Nothing: deliveries repeat after a crash.
    #[default]
    Nowhere,
    /// Length of a file in bytes.
    Length(u64),
    /// Ends of a topic's partitions.
    Topic {
        /// Partition → the offset after the last record that is settled.
        ends: BTreeMap<i32, i64>,
        /// Deliveries known to have landed before, which a replay has yet to come past.
        landed: BTreeSet<String>,
    },
    /// What a sink alone understands.
    Own(Vec<u8>),
    /// The current one of a series of files.
    Series {
        /// Its number.
        number: u64,
        /// Its length in bytes.
        length: u64,
    },
}

/// A sink as checked: it opens when the run begins.
pub trait SinkPlan: Debug + Send + Sync {
    /// Names the sink in checkpoints, logs and metrics (`kafka:alerts`).
    fn name(&self) -> String;

    /// The Kafka topic that it writes, if it writes one.
    fn topic(&self) -> Option<&str> {
        None
    }

    /// The file that it writes, if it writes one.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// Which alerts it gets where its section does not say.
    fn route(&self) -> Route {
        Route::default()
    }

    /// Whether it gets what a suppression holds back, where its section does not say: it keeps records, and calls nobody.
    fn takes_suppressed(&self) -> bool {
        false
    }

    /// Whether the target is there, as far as that can be told without writing to it. Creates nothing.
    ///
    /// # Errors
    /// [`SinkError`], naming the file, topic or stream that would fail.
    fn check(&self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Opens the sink.
    ///
    /// # Errors
    /// [`SinkError`], naming the file, topic or stream that failed.
    fn open(&self) -> Result<Box<dyn Sink>, SinkError>;
}

/// A sink as written: a section of the pipeline file.
pub trait SinkSpec: DeserializeOwned {
    /// The value of `type` that selects it.
    const NAME: &'static str;
    /// One line for people.
    const SUMMARY: &'static str;

    /// Resolves paths, secrets and defaults. Opens nothing.
    ///
    /// # Errors
    /// [`SinkError::Connection`] or [`SinkError::Spec`].
    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError>;
}

/// What a section of the pipeline file may refer to.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Directory of the pipeline file: relative paths begin here.
    pub directory: PathBuf,
    /// The source's cluster, if it is one.
    pub connection: Option<Connection>,
}

impl Surroundings {
    /// `path`, from the pipeline file's directory.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }
}

/// The name of a sink: its kind, and what tells several apart.
fn named(kind: &str, name: Option<&str>, target: &str) -> String {
    match name.unwrap_or(target) {
        "" => kind.to_owned(),
        which => format!("{kind}:{which}"),
    }
}

/// A time in microseconds since the epoch, as text.
fn rfc3339(time: i64) -> String {
    jiff::Timestamp::from_microsecond(time).map(|time| format!("{time:.3}")).unwrap_or_default()
}

/// An entry of [`SINKS`].
pub struct SinkKind {
    /// The value of `type` that selects it.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Reads and checks a section (without its `type`).
    pub read: ReadSection,
}

/// Reads one kind of section.
pub type ReadSection = fn(ValueDeserializer<'_>, &Surroundings) -> Result<Box<dyn SinkPlan>, SectionError>;

impl SinkKind {
    const fn of<S: SinkSpec>() -> Self {
        Self { name: S::NAME, summary: S::SUMMARY, read: read::<S> }
    }
}

fn read<S: SinkSpec>(section: ValueDeserializer<'_>, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SectionError> {
    Ok(S::deserialize(section)?.check(around)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sink_has_a_name_of_its_own_and_a_line_for_people() {
        let names: BTreeSet<_> = SINKS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), SINKS.len());
        assert!(SINKS.iter().all(|kind| !kind.summary.is_empty() && !kind.summary.contains('\n')));
    }
}
