//! Verdicts from a topic: analysts' verdicts on alerts, kept for training the triage model.
//!
//! A thread with a consumer group of its own reads `{"id": "aw-…", "verdict": "false-positive"}`, looks up the alert with that id,
//! and appends a line to the file of verdicts before it commits: reading a verdict again after a crash changes nothing. Detection
//! does not wait for the thread, and goes on if it fails.
//!
//! The last [`MAX_REPORTED`] incidents since the start are remembered. A verdict on an older one is skipped with a warning:
//! `apiwarden alerts verdict` takes it, from the file of alerts.
//!
//! Not here: training (`train::triage`); `run` applies the model.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rdkafka::message::Message;

use super::error::RunError;
use crate::alerts::triage::{Judged, Line, Said, Verdicts, VerdictsError};
use crate::alerts::{Activity, Alert, Severity};
use crate::ingest::kafka::{Batch, Consumer, ConsumerError, Event, Source};

/// Incidents that are remembered: about 10 MB, and years of a budget of one alert a day.
const MAX_REPORTED: usize = 10_000;

/// The incidents that were reported; the oldest are dropped first.
#[derive(Debug, Default)]
struct Details {
    by_id: BTreeMap<String, (Severity, Judged)>,
    order: VecDeque<String>,
}

impl Details {
    /// Remembers an incident by its first update at maximum severity: that is what an analyst is asked about.
    fn remember(&mut self, alert: &Alert) {
        let severity = alert.untriaged_severity();
        match self.by_id.get_mut(&alert.id) {
            Some((maximum, _)) if alert.activity == Activity::Close || severity <= *maximum => {}
            Some(known) => *known = (severity, Judged::of(alert)),
            None => {
                self.by_id.insert(alert.id.clone(), (severity, Judged::of(alert)));
                self.order.push_back(alert.id.clone());
            }
        }
        while self.order.len() > MAX_REPORTED {
            if let Some(oldest) = self.order.pop_front() {
                self.by_id.remove(&oldest);
            }
        }
    }
}

/// State shared by the thread and the run loop.
#[derive(Debug, Default)]
struct Shared {
    reported: Mutex<Details>,
    is_over: AtomicBool,
}

/// The thread that reads verdicts. Dropping it stops the thread.
pub(super) struct Listener {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Opens the file of verdicts and joins the group.
    ///
    /// # Errors
    /// [`RunError::Verdicts`] or [`RunError::Consumer`].
    pub(super) fn start(source: &Source, file: &Path) -> Result<Self, RunError> {
        let mut verdicts = Verdicts::open(file)?;
        let consumer = Consumer::open(source, None)?;
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            if let Err(error) = listen(&consumer, &theirs, &mut verdicts) {
                tracing::error!(%error, "verdicts are no longer kept until the next start; detection goes on");
            }
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Remembers alerts that are about to be delivered.
    pub(super) fn remember(&self, alerts: &[Alert]) {
        let mut reported = self.shared.reported.lock().unwrap_or_else(PoisonError::into_inner);
        alerts.iter().for_each(|alert| reported.remember(alert));
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged where it happened.
            let _ = thread.join();
        }
    }
}

/// Why the thread ended.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    #[error(transparent)]
    Verdicts(#[from] VerdictsError),
}

fn listen(consumer: &Consumer, shared: &Shared, verdicts: &mut Verdicts) -> Result<(), ListenError> {
    while !shared.is_over.load(Ordering::SeqCst) {
        match consumer.poll()? {
            Event::Records(batches) => {
                let mut next = BTreeMap::new();
                for batch in &batches {
                    next.insert(batch.partition.to_string(), take(batch, shared, verdicts)?);
                }
                if let Err(error) = consumer.commit(&next, false) {
                    tracing::warn!(%error, "verdicts are kept; the next commit makes up for this one");
                }
            }
            Event::Assigned(partitions) => {
                consumer.take(&partitions, &BTreeMap::new())?;
            }
            Event::Revoked(partitions) => consumer.release(&partitions)?,
            Event::Quiet => {}
        }
    }
    Ok(())
}

/// Keeps a batch's verdicts, and returns the offset after it.
fn take(batch: &Batch<'_>, shared: &Shared, verdicts: &mut Verdicts) -> Result<i64, VerdictsError> {
    let mut next = 0;
    for record in &batch.records {
        next = record.offset() + 1;
        let place = || format!("{}@{}", batch.partition, record.offset());
        let Ok(said) = serde_json::from_slice::<Said>(record.payload().unwrap_or_default()) else {
            tracing::warn!(place = place(), "not a verdict: expected {{\"id\": …, \"verdict\": …}}");
            continue;
        };
        let reported = shared.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let alert = reported.by_id.get(&said.id).map(|(_, alert)| alert.clone());
        drop(reported);
        match alert {
            Some(alert) => {
                // The broker's timestamp, the same when the record is read again after a crash.
                let time = record.timestamp().to_millis().unwrap_or_default().saturating_mul(1_000);
                verdicts.add(Line::new(said, alert, time))?;
            }
            None => tracing::warn!(
                place = place(),
                "a verdict on an alert that was not reported since the start: give it with `apiwarden alerts verdict`"
            ),
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::alerts::triage::Verdict;
    use crate::ingest::kafka::Start;
    use crate::ingest::kafka::mock::Mock;
    use crate::stream::run::tests::alert;

    #[test]
    fn a_verdict_from_the_topic_is_kept_with_its_alert() {
        let mock = Mock::with_topics(&[("verdicts", 1)]);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("verdicts.ndjson");
        let source = Source {
            connection: mock.connection(Default::default()),
            topics: vec!["verdicts".to_owned()],
            group: "apiwarden-verdicts".to_owned(),
            keyed_by_caller: false,
            start: Start::Earliest,
        };
        let listener = Listener::start(&source, &file).unwrap();
        listener.remember(&[alert("billing")]);
        mock.produce(
            "verdicts",
            0,
            [
                "not json".to_owned(),
                r#"{"id": "aw-unknown", "verdict": "true-positive"}"#.to_owned(),
                r#"{"id": "aw-billing", "verdict": "benign-change", "analyst": "ada"}"#.to_owned(),
            ],
        );
        let deadline = Instant::now() + Duration::from_secs(30);
        while Verdicts::open(&file).unwrap().newest().is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(listener);
        let verdicts = Verdicts::open(&file).unwrap();
        let [line] = verdicts.newest()[..] else { panic!("{:?}", verdicts.newest()) };
        assert_eq!(
            (line.id.as_str(), line.verdict, line.analyst.as_str()),
            ("aw-billing", Verdict::BenignChange, "ada")
        );
        assert_eq!(line.alert, Judged::of(&alert("billing")));
    }

    #[test]
    fn a_close_is_not_remembered_and_the_oldest_incident_is_dropped_first() {
        let mut reported = Details::default();
        reported.remember(&alert("first"));
        let closed = Alert { activity: Activity::Close, severity: Severity::Critical, ..alert("first") };
        reported.remember(&closed);
        assert_eq!(reported.by_id["aw-first"].0, Severity::High);
        (0..MAX_REPORTED).for_each(|number| reported.remember(&alert(&format!("{number}"))));
        assert_eq!(reported.by_id.len(), MAX_REPORTED);
        assert!(!reported.by_id.contains_key("aw-first"));
    }
}
