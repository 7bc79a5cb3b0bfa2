//! Delivery: a worker a sink, so that one that hangs holds up neither the others nor detection.
//!
//! An alert is in the alert store before any worker hears of it. Each worker takes what its sink has not delivered yet, in order, and moves the
//! sink's place when it has. What time can mend is tried again, after pauses that grow and differ; what a target refuses for what it is goes
//! shortened, else it is noted as undelivered, and the next has its turn. The store is the queue on disk: [`Delivery::is_behind`] says when it
//! is so long that the stream must wait.
//!
//! Not here: how a target is spoken to (`alerts::sinks`), what a sink's failure means to the others (`sink_watch`), and dead letters (`outlet`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::Rng;

use super::error::RunError;
use super::metrics;
use super::shutdown::Shutdown;
use super::sink_watch::{Doing, SinkWatch, is_about};
use crate::alerts::sinks::{Delivery as Message, Patience, Routed, Sink, SinkError, SinkPosition};
use crate::alerts::store::{AlertStore, Filter, Kept, StoreError};
use crate::alerts::{Alert, NoticeKind, Route};
use crate::pipeline::Alerts;
use crate::rollup::{BUCKETS_PER_DAY, bucket_of, bucket_start, day_of};

/// Steps that a worker takes at once.
const AT_ONCE: u32 = 500;
/// A target that refuses so many alerts, one after another, refuses all: the fault is in its settings, and somebody should hear of it.
const MAX_REFUSALS: u32 = 3;
/// Steps that may wait for the slowest sink before the stream waits, too.
const MAX_BEHIND: i64 = 100_000;
/// First and longest pause between attempts; each is twice as long as the one before, less up to a half by chance.
const MIN_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// How long a worker sleeps where nothing comes.
const REST: Duration = Duration::from_secs(1);
/// For how long a sink is tried again at the end of a run, and the pause between.
const LAST_TRIES: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_millis(250);
/// Time between two looks at suppressions that are over and sinks that fail.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long the end of a run waits for what is under way.
const DRAIN: Duration = Duration::from_secs(30);

/// What is known of a sink.
#[derive(Debug, Default)]
struct Status {
    /// Place up to which it has delivered.
    seq: AtomicI64,
    /// Why it cannot deliver now, since when.
    failing: Mutex<Option<(String, Instant)>>,
    /// Alerts that the target refused since it last took one.
    refusals: AtomicU32,
}

impl Status {
    /// Why it cannot deliver now, and for how long it has not.
    fn failing(&self) -> Option<(String, Duration)> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.as_ref().map(|(reason, since)| (reason.clone(), since.elapsed()))
    }
}

struct Worker {
    name: String,
    status: Arc<Status>,
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
}

/// All sinks of alerts, each with a worker.
pub(super) struct Delivery {
    store: AlertStore,
    workers: Vec<Worker>,
    newest: i64,
    watch: SinkWatch,
    keep_days: u32,
    looked_at: Option<Instant>,
    /// The day of event time on which old steps were forgotten last.
    tidied: Option<i64>,
}

/// A sink that has another address or name by now is a new one: what waits for the old one is told, and kept for it.
fn look_for_abandoned(store: &AlertStore, sinks: &[Routed]) -> Result<(), StoreError> {
    let names: Vec<String> = sinks.iter().map(|sink| sink.plan.name()).collect();
    for (sink, waiting) in store.abandoned(&names)? {
        if waiting == 0 {
            store.forget_sink(&sink)?;
        } else {
            tracing::warn!(
                sink,
                waiting,
                "alerts wait for a sink that the pipeline no longer has: `apiwarden sinks replay` sends them to another"
            );
        }
    }
    Ok(())
}

impl Delivery {
    /// Starts a worker for each sink, which goes on where the store knows.
    ///
    /// # Errors
    /// [`RunError::Alerts`]; [`RunError::Undeliverable`] where a sink cannot be opened and time alone mends nothing.
    pub fn start(
        directory: PathBuf,
        is_first_start: bool,
        sinks: &[Routed],
        settings: &Alerts,
        shutdown: &Shutdown,
    ) -> Result<Self, RunError> {
        if !is_first_start && !AlertStore::is_there(&directory) {
            tracing::warn!("the state has no alert store: suppressions, and alerts that were not delivered, are lost");
        }
        let store = AlertStore::open(&directory)?;
        let newest = store.newest()?;
        look_for_abandoned(&store, sinks)?;
        let about_sinks =
            Route { detector: Some(vec![NoticeKind::SinkFailing.as_str().to_owned()]), ..Route::default() };
        let reported = store.find(&Filter { route: about_sinks, newest_only: true, ..Filter::default() })?;
        let patience = Duration::from_secs(60 * u64::from(settings.sink_failing_minutes));
        let mut workers = Vec::new();
        for sink in sinks {
            let name = sink.plan.name();
            // What only somebody can mend is told before anything is read.
            let opened = match sink.plan.open() {
                Err(problem) if problem.patience() == Patience::None => {
                    return Err(RunError::Undeliverable { sink: name, problem: Box::new(problem) });
                }
                opened => opened.ok(),
            };
            let (seq, position) = store.place_of(&name)?;
            let status = Arc::new(Status::default());
            status.seq.store(seq, Ordering::Relaxed);
            let (wake, woken) = sync_channel(1);
            let own = Own {
                name: name.clone(),
                sink: sink.clone(),
                store: AlertStore::open(&directory)?,
                status: Arc::clone(&status),
                shutdown: shutdown.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("sink-{}", workers.len()))
                .spawn(move || own.work(opened, seq, &position, &woken))
                .map_err(RunError::Thread)?;
            workers.push(Worker { name, status, wake, thread });
        }
        Ok(Self {
            store,
            workers,
            newest,
            watch: SinkWatch::resume(patience, reported.into_iter().map(|kept| kept.alert)),
            keep_days: settings.keep_days,
            looked_at: None,
            tidied: None,
        })
    }

    /// Makes alerts durable, and tells the workers.
    ///
    /// # Errors
    /// [`RunError::Alerts`].
    pub fn take(&mut self, alerts: &[Alert]) -> Result<(), RunError> {
        let appended = self.store.append(alerts, now_micros())?;
        metrics::suppressed(appended.held);
        self.newest = appended.newest.unwrap_or(self.newest);
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        // A worker that was told already needs no second word.
        for worker in &self.workers {
            let _ = worker.wake.try_send(());
        }
    }

    /// Whether so many alerts wait for a sink that no more may be made.
    pub fn is_behind(&self) -> bool {
        self.behind().any(|(_, behind)| behind > MAX_BEHIND)
    }

    /// Names the sinks that cannot deliver now, with the reason, since when, and how many alerts wait.
    pub fn failing(&self) -> Vec<String> {
        let reason = |(worker, waiting): (&Worker, i64)| {
            let (reason, length) = worker.status.failing()?;
            // Most problems name their sink.
            let reason = reason.strip_prefix(&format!("{}: ", worker.name)).unwrap_or(&reason);
            Some(format!("sink {}: {reason} (for {} s, {waiting} alerts wait)", worker.name, length.as_secs()))
        };
        self.behind().filter_map(reason).collect()
    }

    fn behind(&self) -> impl Iterator<Item = (&Worker, i64)> {
        let behind = |worker: &Worker| (self.newest - worker.status.seq.load(Ordering::Relaxed)).max(0);
        self.workers.iter().map(move |worker| (worker, behind(worker)))
    }

    /// Looks after what time brings, now and then: metrics, incidents whose suppression is over, steps older than are kept, by event time. What it
    /// returns is to be reported of the sinks themselves; `bundle` is the version of the model bundle.
    ///
    /// # Errors
    /// [`RunError::Alerts`].
    pub fn look(&mut self, watermark: Option<i64>, bundle: &str) -> Result<Vec<Alert>, RunError> {
        if self.looked_at.is_some_and(|last| last.elapsed() < LOOK_INTERVAL) {
            return Ok(Vec::new());
        }
        self.looked_at = Some(Instant::now());
        let now = now_micros();
        if self.store.settle(now)? > 0 {
            self.newest = self.store.newest()?;
            self.wake();
        }
        metrics::held(self.store.held()?);
        self.forget_old(watermark)?;
        let mut sinks = BTreeMap::new();
        for (worker, waiting) in self.behind() {
            let failing = worker.status.failing();
            let seconds = failing.as_ref().map(|(_, length)| length.as_secs_f64());
            let oldest = self.store.oldest_after(worker.status.seq.load(Ordering::Relaxed))?;
            let age = oldest.map_or(0.0, |stored| (now - stored).max(0) as f64 / 1e6);
            metrics::sink(&worker.name, seconds, waiting, age);
            sinks.insert(worker.name.clone(), Doing { failing, waiting });
        }
        Ok(self.watch.look(&sinks, bundle, now))
    }

    /// Forgets, once a day of event time, steps that are older than are kept and that all sinks have delivered.
    fn forget_old(&mut self, watermark: Option<i64>) -> Result<(), RunError> {
        let Some(today) = watermark.map(|time| day_of(bucket_of(time))).filter(|day| self.tidied < Some(*day)) else {
            return Ok(());
        };
        let names: Vec<String> = self.workers.iter().map(|worker| worker.name.clone()).collect();
        let first = today - i64::from(self.keep_days);
        self.store.forget_before(bucket_start(first * BUCKETS_PER_DAY), &names)?;
        self.tidied = Some(today);
        Ok(())
    }

    /// Waits until all is delivered, as far as the sinks can now; the rest waits in the store. A stop must have been requested.
    pub fn drain(self) {
        let Self { workers, newest, .. } = self;
        let since = Instant::now();
        for Worker { name, status, wake, thread } in workers {
            drop(wake);
            while !thread.is_finished() && since.elapsed() < DRAIN {
                std::thread::sleep(Duration::from_millis(20));
            }
            let waiting = newest - status.seq.load(Ordering::Relaxed);
            if waiting > 0 {
                tracing::warn!(sink = name, waiting, "alerts wait in the store until the next start");
            }
        }
    }
}

/// What a worker has of its own.
struct Own {
    name: String,
    sink: Routed,
    store: AlertStore,
    status: Arc<Status>,
    shutdown: Shutdown,
}

impl Own {
    /// Delivers until nobody can wake it any more, and then what is left, as far as the sink can.
    fn work(self, mut opened: Option<Box<dyn Sink>>, mut seq: i64, position: &[u8], woken: &Receiver<()>) {
        let Some(mut sink) = self.patiently(|| self.open(opened.take(), position)) else { return };
        // Where a new sink begins: only by that does it find again what lands before a crash.
        let place = seq;
        if let Err(error) = self.move_to(sink.as_ref(), &mut seq, place) {
            tracing::error!(sink = self.name, %error, "the alert store cannot be used: where the sink begins is not noted");
        }
        let mut is_last = false;
        loop {
            match self.deliver_next(sink.as_mut(), &mut seq) {
                Ok(true) => {}
                Ok(false) | Err(_) if is_last => return,
                // A stop that was requested may still bring alerts: the end of the run lets go of us.
                Ok(false) => {
                    is_last = woken.recv_timeout(REST) == Err(RecvTimeoutError::Disconnected);
                    self.rest(sink.as_mut(), seq);
                }
                Err(error) => {
                    tracing::error!(sink = self.name, %error, "the alert store cannot be used: trying again");
                    is_last = woken.recv_timeout(REST) == Err(RecvTimeoutError::Disconnected);
                }
            }
        }
    }

    /// The sink where it left off; `opened` is it, where it was opened before.
    fn open(&self, opened: Option<Box<dyn Sink>>, position: &[u8]) -> Result<Box<dyn Sink>, SinkError> {
        let mut sink = opened.map_or_else(|| self.sink.plan.open(), Ok)?;
        if let Ok(position) = postcard::from_bytes::<SinkPosition>(position) {
            sink.resume(&position)?;
        }
        Ok(sink)
    }

    /// Whether the sink gets a step. That it fails would reach it only when that is over.
    fn wants(&self, kept: &Kept) -> bool {
        self.sink.wants(kept) && !is_about(&kept.alert, &self.name)
    }

    /// Delivers what comes next. Whether there was anything; `false` also where a stop cut it short.
    fn deliver_next(&self, sink: &mut dyn Sink, seq: &mut i64) -> Result<bool, StoreError> {
        let next = self.store.after(*seq, AT_ONCE)?;
        let Some(last) = next.last().map(|kept| kept.seq) else { return Ok(false) };
        let own: Vec<Kept> = next.into_iter().filter(|kept| self.wants(kept)).collect();
        for some in own.chunks(sink.at_once().max(1)) {
            if !self.deliver_some(sink, some)? {
                return Ok(false);
            }
            let place = some.last().map_or(last, |kept| kept.seq);
            self.move_to(sink, seq, place)?;
        }
        if *seq < last {
            self.move_to(sink, seq, last)?;
        }
        Ok(true)
    }

    /// Notes the place up to which the sink has delivered.
    fn move_to(&self, sink: &dyn Sink, seq: &mut i64, place: i64) -> Result<(), StoreError> {
        let position = postcard::to_stdvec(&sink.position()).unwrap_or_default();
        self.store.move_to(&self.name, place, &position)?;
        *seq = place;
        self.status.seq.store(place, Ordering::Relaxed);
        Ok(())
    }

    /// Delivers some steps, but those that the target refuses for what they are. `false` where a stop cut it short.
    fn deliver_some(&self, sink: &mut dyn Sink, own: &[Kept]) -> Result<bool, StoreError> {
        let mut messages: Vec<Message> = own.iter().map(|kept| Message::kept(&kept.alert, kept.ocsf.clone())).collect();
        let mut shortened = std::collections::BTreeSet::new();
        while !messages.is_empty() {
            let refused = match self.patiently(|| match sink.deliver(&messages) {
                Ok(()) => {
                    self.status.refusals.store(0, Ordering::Relaxed);
                    Ok(None)
                }
                // A refusal that names no step of these says nothing about any: all are tried again.
                Err(problem) => match problem.refused_of(&messages) {
                    Some(index) => Ok(Some((index, problem))),
                    None => Err(problem),
                },
            }) {
                None => return Ok(false),
                Some(None) => break,
                Some(Some(refused)) => refused,
            };
            let (index, problem) = refused;
            let uid = messages[index].uid.clone();
            let kept = own.iter().find(|kept| messages[index].is_of(&kept.alert));
            match kept.filter(|_| shortened.insert(uid.clone())) {
                Some(kept) => messages[index] = Message::of(&kept.alert.shortened()),
                None => {
                    tracing::error!(sink = self.name, uid, %problem, "the target refuses an alert: it stays in the store");
                    metrics::undelivered(&self.name);
                    if self.status.refusals.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_REFUSALS {
                        self.set_failing(Some(problem.to_string()));
                    }
                    self.store.give_up(&self.name, &uid, &problem.to_string())?;
                    messages.remove(index);
                }
            }
        }
        own.iter().for_each(|kept| metrics::delivered(&kept.alert));
        Ok(true)
    }

    /// Lets the sink do what is due by the clock, such as a digest.
    fn rest(&self, sink: &mut dyn Sink, seq: i64) {
        if self.patiently(|| sink.rest(now_micros())) == Some(true) {
            let position = postcard::to_stdvec(&sink.position()).unwrap_or_default();
            if let Err(error) = self.store.move_to(&self.name, seq, &position) {
                tracing::error!(sink = self.name, %error, "the alert store cannot be used: what was sent may be sent again");
            }
        }
    }

    /// Tries until it works; `None` where a stop is requested and it does not.
    fn patiently<T>(&self, mut attempt: impl FnMut() -> Result<T, SinkError>) -> Option<T> {
        let mut pause = MIN_PAUSE;
        let mut stopping: Option<Instant> = None;
        loop {
            let problem = match attempt() {
                Ok(value) => {
                    if self.status.refusals.load(Ordering::Relaxed) < MAX_REFUSALS {
                        self.set_failing(None);
                    }
                    return Some(value);
                }
                Err(problem) => problem,
            };
            if self.shutdown.is_requested() {
                if stopping.get_or_insert_with(Instant::now).elapsed() < LAST_TRIES {
                    std::thread::sleep(LAST_PAUSE);
                    continue;
                }
                tracing::warn!(sink = self.name, %problem, "the sink cannot deliver at the end of the run");
                return None;
            }
            self.set_failing(Some(problem.to_string()));
            metrics::retry(&self.name);
            self.shutdown.sleep(pause_after(&problem, pause));
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn set_failing(&self, reason: Option<String>) {
        let mut failing = self.status.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match (reason, &*failing) {
            (Some(reason), None) => {
                tracing::warn!(
                    sink = self.name,
                    problem = reason,
                    "the sink failed: its alerts wait, the others go on"
                );
                *failing = Some((reason, Instant::now()));
            }
            (Some(reason), Some((_, since))) => *failing = Some((reason, *since)),
            (None, Some((_, since))) => {
                tracing::info!(sink = self.name, seconds = since.elapsed().as_secs(), "the sink delivers again");
                *failing = None;
            }
            (None, None) => {}
        }
    }
}

/// How long to wait after a problem, at random, so that not all come back at once; `pause` where nothing else is asked for.
fn pause_after(problem: &SinkError, pause: Duration) -> Duration {
    let mut random = rand::thread_rng();
    match problem.pause() {
        // No earlier than the target allows.
        Some(asked) => asked.mul_f64(random.gen_range(1.0..=1.25)),
        // What only somebody can mend is asked for rarely, since it may be mended.
        None if problem.patience() == Patience::None => (MAX_PAUSE / 10).mul_f64(random.gen_range(0.5..=1.0)),
        None => pause.mul_f64(random.gen_range(0.5..=1.0)),
    }
}

/// The clock, microseconds since the epoch.
pub(super) fn now_micros() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests;
