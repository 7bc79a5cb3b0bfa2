//! Notices of the service about itself: a topic that it can no longer read as before, a caller whose clock is wrong, a sink
//! that cannot deliver.
//!
//! A notice is an incident like any other, so that it reaches whoever reads alerts: it opens once for its subject and day, and is closed. It
//! is no matter of chance and spends no budget, so it has no rate. The topic stands where other alerts have their vendor.
//!
//! Not here: when a notice is due (`stream`).

use serde::{Deserialize, Serialize};

use super::{Activity, Alert, Involved, Severity};
use crate::calls::View;
use crate::detect::Contribution;

/// What a notice is about. Its name stands in an alert where others have their detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NoticeKind {
    /// Records of a topic are no longer read as before: a producer may have changed its envelope.
    InputUnreadable,
    /// The clock of a caller runs ahead.
    ClockAhead,
    /// A sink cannot deliver.
    SinkFailing,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::InputUnreadable, Self::ClockAhead, Self::SinkFailing];

    /// The name in alerts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InputUnreadable => "service.input_unreadable",
            Self::ClockAhead => "service.clock_ahead",
            Self::SinkFailing => "service.sink_failing",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::InputUnreadable => "Records of a topic are no longer read as calls",
            Self::ClockAhead => "The clock of a caller runs ahead",
            Self::SinkFailing => "A sink cannot deliver alerts",
        }
    }

    /// What to do first.
    pub const fn first_step(self) -> &'static str {
        match self {
            Self::InputUnreadable => {
                "Read the newest dead letters of the topic, and ask its producer whether the format of the log changed."
            }
            Self::ClockAhead => "Compare the clock of the caller's host with a time server.",
            Self::SinkFailing => {
                "Run `apiwarden sinks test` with the sink's name; its alerts wait in the store, and none is lost."
            }
        }
    }
}

/// The step that opens an incident about a sink: it has not delivered since a time, for this reason, and so many alerts wait. Times are
/// microseconds since the epoch, by the clock; the id depends on the sink and on when it began to fail.
pub fn sink_failing(sink: &str, reason: &str, waiting: i64, since: i64, now: i64, bundle: &str) -> Alert {
    let kind = NoticeKind::SinkFailing;
    let minutes = (now - since) / 60_000_000;
    Alert {
        severity: Severity::Medium,
        first_seen: since,
        detector: kind.as_str().to_owned(),
        title: kind.title().to_owned(),
        message: format!(
            "the sink {sink} has not delivered for {minutes} minutes, and {waiting} alerts wait: {reason}"
        ),
        vendor: sink.to_owned(),
        involved: vec![Involved { vendor: sink.to_owned(), ..Involved::default() }],
        ..Alert::of_service(id_of(kind, &[sink, &since.to_string()]), now, View::Egress, bundle)
    }
}

/// The id of a notice: a hash of what tells it from all others.
fn id_of(kind: NoticeKind, parts: &[&str]) -> String {
    let name = [&[kind.as_str()], parts].concat().join("\u{1f}");
    format!("aw-{}", &blake3::hash(name.as_bytes()).to_hex()[..16])
}

/// The detector of a test.
pub(super) const TEST: &str = "service.test";

/// An alert that is marked as a test, and its end: whether a target takes alerts. `time` is in microseconds since the epoch.
pub fn trial(time: i64) -> [Alert; 2] {
    let alert = Alert {
        severity: Severity::Medium,
        detector: TEST.to_owned(),
        title: "Test of apiwarden".to_owned(),
        message: "This is a test of apiwarden: nothing has happened.".to_owned(),
        vendor: "apiwarden".to_owned(),
        ..Alert::of_service(format!("aw-test-{time}"), time, View::Egress, "test")
    };
    let end = Alert { revision: 2, activity: Activity::Close, ..alert.clone() };
    [alert, end]
}

/// What a notice says. Times are microseconds since the epoch, by the arrival of records.
#[derive(Clone, Debug)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// The topic.
    pub topic: String,
    /// The caller, if it is about one.
    pub caller: Option<String>,
    /// Whether it pages.
    pub pages: bool,
    /// The day that it is given for, in days since the epoch.
    pub day: i64,
    /// Start of the evidence.
    pub first_seen: i64,
    /// End of the evidence.
    pub last_seen: i64,
    /// One plain sentence.
    pub message: String,
    /// Observed against usual.
    pub contributions: Vec<Contribution>,
    /// Calls in the evidence.
    pub calls: u64,
}

impl Notice {
    /// Whom it is about: the caller, else the topic.
    pub fn subject(&self) -> &str {
        self.caller.as_deref().unwrap_or(&self.topic)
    }

    /// The step that opens its incident; `bundle` is the version of the model bundle. The id depends on kind, subject, day and whether it
    /// pages alone, so that a replay gives the same one, in whatever order it reads the partitions.
    pub fn open(self, bundle: &str) -> Alert {
        let Self { kind, pages, day, .. } = self;
        let id = id_of(kind, &[self.subject(), &day.to_string(), &pages.to_string()]);
        let involved = Involved {
            caller: self.caller.clone(),
            vendor: self.topic.clone(),
            calls: self.calls,
            ..Involved::default()
        };
        Alert {
            severity: if pages { Severity::Medium } else { Severity::Low },
            first_seen: self.first_seen,
            detector: kind.as_str().to_owned(),
            title: kind.title().to_owned(),
            message: self.message,
            caller: self.caller,
            vendor: self.topic,
            contributions: self.contributions,
            involved: vec![involved],
            calls: self.calls,
            ..Alert::of_service(id, self.last_seen, View::Egress, bundle)
        }
    }
}
