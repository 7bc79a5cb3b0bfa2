//! What the service notices about its own input: topics that it can no longer read as before, and callers whose clock runs ahead.
//!
//! The records of each topic are counted by windows of ten minutes, by their arrival. At the end of a window its shares of rejected records
//! and of records that are no calls are compared with those of the days before, and so are the records since the last call. A rise counts
//! where the number rises as well as the share: at night, when calls sleep and health checks do not, only the share does. A topic is
//! reported once a day (once more, where it gets so bad that it pages), as long as it goes on: its usual shares follow within about two
//! days, but a topic that gives no calls at all is reported again every day.
//!
//! Records of a partition are taken in their order, so batches do not show. Those of several partitions meet in the order of reading,
//! which a replay may change: hence the id of a notice does not depend on when in its day it was noticed.
//!
//! Not here: the notices themselves (`alerts`), and what each record is (`ingest`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::EngineError;
use super::progress::Ahead;
use crate::alerts::{Activity, Alert, Notice, NoticeKind, Related};
use crate::detect::Contribution;
use crate::ingest::{Counts, Tally};
use crate::models::novelty::INCIDENT;
use crate::rollup::{bucket_of, day_of};

/// Length of a window, microseconds: ten minutes.
const WINDOW: i64 = 600_000_000;
const MINUTE: i64 = 60_000_000;
/// Fewest records of a window that say anything.
const MIN_RECORDS: u64 = 20;
/// Fewest records before it: below, nothing is usual yet.
const MIN_USUAL_RECORDS: u64 = 200;
/// By how much a share must rise, and to how many times the usual.
const MIN_RISE: f64 = 0.10;
const MIN_TIMES: f64 = 5.0;
/// To how many times the usual number in a window the records of a kind must rise.
const MIN_TIMES_COUNT: f64 = 2.0;
/// Share of a window that pages: most of the topic is lost.
const PAGING_SHARE: f64 = 0.5;
/// Calls expected since the last one from which their absence is no chance.
const MIN_MISSED_CALLS: f64 = 20.0;
/// Share of the usual rate of records from which the producers of calls seem to be there.
const MIN_RATE: f64 = 0.5;
/// What is usual loses a seventh a day: it remembers about a week.
const MEMORY_DAYS: u64 = 7;
/// Most callers that are reported a day for their clocks.
const MAX_CLOCKS: usize = 1_000;

/// The window that a time (microseconds since the epoch) is in.
pub(super) const fn window_of(time: i64) -> i64 {
    time.div_euclid(WINDOW)
}

/// Calls of a caller that are later than their arrival.
#[derive(Clone, Copy, Debug)]
pub(super) struct Early {
    /// When the first of them arrived, microseconds since the epoch.
    pub arrived: i64,
    /// How many there are.
    pub calls: u64,
}

/// All that the stream remembers of its own input.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct SelfWatch {
    topics: BTreeMap<String, Topic>,
    /// Kind and subject → what was reported of it last.
    reported: BTreeMap<(NoticeKind, String), Reported>,
}

/// The last notice about a subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reported {
    day: i64,
    pages: bool,
    /// The notice as it was given, until it is closed.
    open: Option<Alert>,
}

impl SelfWatch {
    /// The watch of a checkpoint.
    ///
    /// # Errors
    /// [`EngineError::Snapshot`].
    pub fn restore(bytes: &[u8]) -> Result<Self, EngineError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        postcard::from_bytes(bytes).map_err(|error| EngineError::Snapshot(error.to_string()))
    }

    /// The watch as bytes, for the checkpoint.
    ///
    /// # Errors
    /// None in practice: all of it serializes.
    pub fn snapshot(&self) -> Result<Vec<u8>, EngineError> {
        postcard::to_stdvec(self).map_err(|error| EngineError::Snapshot(error.to_string()))
    }

    /// Takes in what records of a topic were, by window and in their order, and whose clocks run ahead by day and caller. `bundle` is the
    /// version of the model bundle.
    pub fn observe(
        &mut self,
        topic: &str,
        tallies: &[(i64, Tally)],
        early: &BTreeMap<(i64, String), Early>,
        bundle: &str,
    ) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for (window, tally) in tallies {
            let own = self.topics.entry(topic.to_owned()).or_default();
            let ended = own.take(*window, tally);
            if let Some(Ended { window, sign }) = ended {
                let end = (window + 1) * WINDOW;
                alerts.extend(sign.into_iter().flat_map(|sign| self.report(sign.notice(topic, window), bundle)));
                alerts.extend(self.close_quiet(end));
            }
        }
        for ((day, caller), early) in early {
            let how = "later than their arrival; they count at their arrival";
            alerts.extend(self.report_clock(clock_notice(topic, caller, *day, early.arrived, how), bundle));
        }
        alerts
    }

    /// Takes in callers whose calls are ahead of all others', in old records, whose arrival says nothing.
    pub fn ahead_of_others(&mut self, topic: &str, callers: &[Ahead], bundle: &str) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for Ahead { caller, time, others } in callers {
            let minutes = (time - others) / MINUTE;
            let how =
                format!("{minutes} minutes ahead of those of all other callers; no bucket is closed before its time");
            alerts.extend(self.report_clock(clock_notice(topic, caller, day_at(*others), *others, &how), bundle));
        }
        alerts
    }

    fn report_clock(&mut self, notice: Notice, bundle: &str) -> Vec<Alert> {
        let clocks = self.reported.keys().filter(|(kind, _)| *kind == NoticeKind::ClockAhead);
        if self.reported.contains_key(&(notice.kind, notice.subject().to_owned())) || clocks.count() < MAX_CLOCKS {
            self.report(notice, bundle)
        } else {
            Vec::new()
        }
    }

    /// Reports a notice, unless its subject was reported on that day and it is no worse.
    fn report(&mut self, notice: Notice, bundle: &str) -> Vec<Alert> {
        let key = (notice.kind, notice.subject().to_owned());
        let (day, pages, time) = (notice.day, notice.pages, notice.last_seen);
        let mut alerts = Vec::new();
        let mut related = Vec::new();
        if let Some(known) = self.reported.get_mut(&key) {
            if known.day >= day && known.pages >= pages {
                if let Some(open) = &mut known.open {
                    open.last_seen = open.last_seen.max(time);
                }
                return alerts;
            }
            if let Some(before) = known.open.take() {
                related.push(Related { id: before.id.clone(), title: before.title.clone() });
                alerts.push(closed(before, time));
            }
        }
        // A field is written with its control characters escaped: names come from logs.
        tracing::warn!(kind = notice.kind.as_str(), says = notice.message, "a notice of the service about itself");
        let alert = Alert { related, ..notice.open(bundle) };
        self.reported.insert(key, Reported { day, pages, open: Some(alert.clone()) });
        alerts.push(alert);
        alerts
    }

    /// Closes what has been quiet for as long as any incident, at `time` (microseconds since the epoch), and forgets what it was on other days.
    fn close_quiet(&mut self, time: i64) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for reported in self.reported.values_mut() {
            if let Some(quiet) = reported.open.take_if(|open| time - open.last_seen > INCIDENT) {
                let end = quiet.last_seen + INCIDENT;
                alerts.push(closed(quiet, end));
            }
        }
        let today = day_at(time);
        self.reported.retain(|_, reported| reported.open.is_some() || reported.day >= today);
        alerts
    }
}

fn closed(alert: Alert, time: i64) -> Alert {
    Alert { revision: alert.revision + 1, activity: Activity::Close, time, ..alert }
}

fn day_at(time: i64) -> i64 {
    day_of(bucket_of(time))
}

/// The notice about a caller whose calls are ahead in some way, since a time.
fn clock_notice(topic: &str, caller: &str, day: i64, since: i64, how: &str) -> Notice {
    Notice {
        kind: NoticeKind::ClockAhead,
        topic: topic.to_owned(),
        caller: Some(caller.to_owned()),
        pages: false,
        day,
        first_seen: since,
        last_seen: since,
        message: format!("{caller} logs calls in {topic} that are {how}"),
        contributions: Vec::new(),
        calls: 1,
    }
}

/// What a topic's records were.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Topic {
    /// The window that is being counted.
    window: i64,
    current: Tally,
    usual: Usual,
    /// Windows without a call since the last one that had one, and their records.
    silent_windows: u64,
    silent_records: u64,
}

/// Records of the days before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Usual {
    windows: u64,
    records: u64,
    calls: u64,
    rejected: u64,
    not_calls: u64,
}

/// A window that has ended.
struct Ended {
    window: i64,
    sign: Option<Sign>,
}

impl Topic {
    /// Counts records of a window; returns the one before, where it has ended.
    fn take(&mut self, window: i64, tally: &Tally) -> Option<Ended> {
        // Records that arrived earlier come from another partition: they count now.
        let ended = (window > self.window).then(|| self.end(window)).flatten();
        self.current.merge(tally);
        ended
    }

    fn end(&mut self, next: i64) -> Option<Ended> {
        let window = std::mem::replace(&mut self.window, next);
        let tally = std::mem::take(&mut self.current);
        if tally.records() == 0 {
            return None;
        }
        if tally.calls > 0 {
            (self.silent_windows, self.silent_records) = (0, 0);
        } else {
            self.silent_windows += 1;
            self.silent_records += tally.records();
        }
        let sign = self.judge(&tally);
        self.usual.add(&tally);
        for _ in 0..(day_at(next * WINDOW) - day_at(window * WINDOW)).min(1) {
            self.usual.fade();
        }
        Some(Ended { window, sign })
    }

    /// What is wrong with a window, if anything is.
    fn judge(&self, tally: &Tally) -> Option<Sign> {
        let Usual { windows, records, calls, rejected, not_calls } = self.usual;
        if records < MIN_USUAL_RECORDS {
            return None;
        }
        let (usual_windows, usual_records) = (windows.max(1) as f64, records as f64);
        let mut reasons = Vec::new();
        let mut pages = false;
        for (name, now, before, kinds, says) in [
            ("rejected", tally.rejects(), rejected, &tally.rejected, "cannot be read"),
            ("not_a_call", tally.other_events(), not_calls, &tally.not_calls, "are no calls"),
        ] {
            let (share, usual) = (now as f64 / tally.records() as f64, before as f64 / usual_records);
            let is_more = now as f64 >= MIN_TIMES_COUNT * before as f64 / usual_windows;
            let is_risen = share - usual >= MIN_RISE && share >= MIN_TIMES * usual;
            if tally.records() >= MIN_RECORDS && is_more && is_risen {
                pages |= share >= PAGING_SHARE;
                reasons.push(Reason {
                    name,
                    now,
                    of: tally.records(),
                    usual,
                    says: format!("{says} ({})", Counts(kinds)),
                });
            }
        }
        let (usual, silent) = (calls as f64 / usual_records, self.silent_records as f64);
        let is_producing = silent >= MIN_RATE * usual_records / usual_windows * self.silent_windows as f64;
        if usual * silent >= MIN_MISSED_CALLS && is_producing {
            pages = true;
            reasons.push(Reason {
                name: "calls",
                now: 0,
                of: self.silent_records,
                usual,
                says: "are calls".to_owned(),
            });
        }
        (!reasons.is_empty()).then_some(Sign { pages, calls: tally.calls, reasons })
    }
}

impl Usual {
    fn add(&mut self, tally: &Tally) {
        self.windows += 1;
        self.records += tally.records();
        self.calls += tally.calls;
        self.rejected += tally.rejects();
        self.not_calls += tally.other_events();
    }

    fn fade(&mut self) {
        let Self { windows, records, calls, rejected, not_calls } = self;
        for count in [windows, records, calls, rejected, not_calls] {
            *count -= *count / MEMORY_DAYS;
        }
    }
}

/// What is wrong with a topic.
struct Sign {
    pages: bool,
    calls: u64,
    reasons: Vec<Reason>,
}

/// One share that is not as usual.
struct Reason {
    name: &'static str,
    now: u64,
    of: u64,
    /// The usual share.
    usual: f64,
    says: String,
}

impl Reason {
    fn sentence(&self) -> String {
        let Self { now, of, usual, says, .. } = self;
        format!("{now} of {of} records {says}, usually {}", percent(*usual))
    }

    fn contribution(&self) -> Contribution {
        let Self { name, now, of, usual, .. } = self;
        Contribution {
            name: (*name).to_owned(),
            window: String::new(),
            observed: format!("{now} of {of} records"),
            baseline: percent(*usual),
            observed_value: Some(*now as f64),
            baseline_value: Some(usual * *of as f64),
            unit: "records".to_owned(),
            share: 1.0,
            p_value: 1.0,
        }
    }
}

impl Sign {
    fn notice(&self, topic: &str, window: i64) -> Notice {
        let sentences: Vec<String> = self.reasons.iter().map(Reason::sentence).collect();
        let first_seen = window * WINDOW;
        Notice {
            kind: NoticeKind::InputUnreadable,
            topic: topic.to_owned(),
            caller: None,
            pages: self.pages,
            day: day_at(first_seen),
            first_seen,
            last_seen: first_seen + WINDOW,
            message: format!("topic {topic}: {}", sentences.join("; ")),
            contributions: self.reasons.iter().map(Reason::contribution).collect(),
            calls: self.calls,
        }
    }
}

fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent > 0.0 && percent < 10.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

#[cfg(test)]
mod tests;
