//! The shell around the engine: poll, decode, push, deliver, checkpoint, commit, in that order.
//!
//! Offsets are committed only after the alerts of all records before them and the state that those left are durable. So
//! after a crash the records since the checkpoint are read again, the engine gives the same alerts again, and the sinks
//! leave out what had landed.
//!
//! Clock, network and disk are touched here and in what is called from here, and nowhere else in this module.
//!
//! Not here: what is unusual (`Engine`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::message::Message;

use super::admin::{Admin, Health};
use super::auditor::Auditor;
use super::cataloguer::Cataloguer;
use super::dead_letter::Form;
use super::delivery::{Delivery, now_micros};
pub use super::error::RunError;
use super::group::Place;
use super::lag::LagWatch;
use super::outlet::{Letters, MAX_RETRY_PAUSE, MIN_RETRY_PAUSE, Outlet};
use super::owners::DeclaredOwners;
use super::partitions::Partitions;
use super::progress::Ahead;
use super::reload::{Reload, refuse};
use super::self_watch::SelfWatch;
use super::shipping::Shipping;
use super::shutdown::Shutdown;
use super::ticks::Ticks;
use super::verdicts::Listener;
use super::workers::{Read, Unread, Workers};
use super::{Counters, Engine, EngineError, EngineSettings, lag, metrics};
use crate::alerts::Alert;
use crate::alerts::sinks::SinkPlan;
use crate::alerts::triage::Triage;
use crate::calls::{Calls, FingerprintKey, Owners};
use crate::detect::Share;
use crate::ingest::Tally;
use crate::ingest::kafka::{Batch, Consumer, Ends, Event, MAX_BATCH_WAIT, Partition, Taken};
use crate::models::bundle::Bundle;
use crate::models::pacing::Kept;
use crate::pipeline::{DeadLetterPlan, Plan};
use crate::rollup::{Rollup, Row, bucket_of, bucket_start, day_of};
use crate::state::{Checkpoint, EngineState, KeptRollups, Store, identity};

/// Records after which a checkpoint is due before its time: bounds what a crash repeats.
const MAX_RECORDS_SINCE_CHECKPOINT: usize = 500_000;
/// Calls so new came as they were made, microseconds.
const LIVE: i64 = 3_600_000_000;

/// What the shell needs of an engine. [`Engine`] implements it, and so does a simpler one for tests.
pub(super) trait Machine {
    fn push(&mut self, partition: &str, calls: Calls) -> Result<Vec<Alert>, EngineError>;
    fn assign(&mut self, partitions: &[String]);
    fn bound(&mut self, bounds: &[(String, i64)]) -> Result<Vec<Alert>, EngineError>;
    fn idle(&mut self, partition: &str) -> Result<Vec<Alert>, EngineError>;
    fn tick(&mut self, time: i64) -> Vec<Alert>;
    fn newest(&self) -> Option<i64>;
    fn take_ahead(&mut self) -> Vec<Ahead>;
    fn take_closed_rows(&mut self) -> Vec<Row>;
    fn changes(&self) -> Result<EngineState, EngineError>;
    fn saved(&mut self);
    fn watermark(&self) -> Option<i64>;
    fn counters(&self) -> Counters;
    fn kept(&self) -> Vec<Kept<Share>>;
    /// Entries of the state, by kind.
    fn sizes(&self) -> Vec<(&'static str, usize)> {
        Vec::new()
    }
    fn go_over_to(&mut self, bundle: Arc<Bundle>, rows: Rollup) -> Result<(), EngineError>;
}

impl Machine for Engine {
    fn push(&mut self, partition: &str, calls: Calls) -> Result<Vec<Alert>, EngineError> {
        Self::push(self, partition, calls)
    }
    fn assign(&mut self, partitions: &[String]) {
        Self::assign(self, partitions);
    }
    fn bound(&mut self, bounds: &[(String, i64)]) -> Result<Vec<Alert>, EngineError> {
        Self::bound(self, bounds)
    }
    fn idle(&mut self, partition: &str) -> Result<Vec<Alert>, EngineError> {
        Self::idle(self, partition)
    }
    fn tick(&mut self, time: i64) -> Vec<Alert> {
        Self::tick(self, time)
    }
    fn newest(&self) -> Option<i64> {
        Self::newest(self)
    }
    fn take_ahead(&mut self) -> Vec<Ahead> {
        Self::take_ahead(self)
    }
    fn take_closed_rows(&mut self) -> Vec<Row> {
        Self::take_closed_rows(self)
    }
    fn changes(&self) -> Result<EngineState, EngineError> {
        Self::changes(self)
    }
    fn saved(&mut self) {
        Self::saved(self);
    }
    fn watermark(&self) -> Option<i64> {
        Self::watermark(self)
    }
    fn counters(&self) -> Counters {
        Self::counters(self)
    }
    fn kept(&self) -> Vec<Kept<Share>> {
        Self::kept(self)
    }
    fn sizes(&self) -> Vec<(&'static str, usize)> {
        Self::sizes(self)
    }
    fn go_over_to(&mut self, bundle: Arc<Bundle>, rows: Rollup) -> Result<(), EngineError> {
        Self::go_over_to(self, bundle, rows)
    }
}

/// Runs the pipeline until `shutdown` is requested, then drains: what was read is delivered, saved and committed, and the
/// group is left. Blocks the calling thread.
///
/// # Errors
/// [`RunError`]. Whatever the error, the next run goes on from the last checkpoint.
pub fn run(plan: &Plan, bundle: Arc<Bundle>, key: Arc<FingerprintKey>, shutdown: &Shutdown) -> Result<(), RunError> {
    let store = Store::open(&plan.state.directory)?;
    let saved = store.load()?;
    let version = bundle.manifest.version.clone();
    let keeps_rows = plan.state.keep_rollups_days > 0;
    let settings = EngineSettings { keeps_rows, ..EngineSettings::from(&plan.detection) };
    let unfit = |problem| RunError::Restore { directory: plan.state.directory.clone(), problem };
    let mut engine = match &saved {
        Some(saved) if saved.bundle != version => {
            let kept = KeptRollups::of(&plan.state.directory.join("rollups"));
            kept.forget_from(saved.next_part)?;
            tracing::info!(before = saved.bundle, now = version, "the state goes over to a new bundle");
            let rows = kept.last_day();
            Engine::succeed(bundle, settings, &saved.engine, rows).map_err(unfit)?
        }
        Some(saved) => Engine::restore(bundle, settings, &saved.engine).map_err(unfit)?,
        None => Engine::new(bundle, settings)?,
    };
    if let Some(rules) = &plan.rules {
        for rule in rules.unevaluable() {
            tracing::warn!(file = %rule.file.display(), line = rule.line, reason = rule.reason, "a rule is not evaluated");
        }
        engine.govern(Arc::clone(rules));
    }
    run_machine(plan, engine, version, key, store, saved, shutdown)
}

pub(super) fn run_machine<M: Machine>(
    plan: &Plan,
    machine: M,
    bundle: String,
    key: Arc<FingerprintKey>,
    store: Store,
    saved: Option<Checkpoint>,
    shutdown: &Shutdown,
) -> Result<(), RunError> {
    metrics::install();
    let health = Arc::new(Health::default());
    let _admin = Admin::serve(plan.admin.listen, Arc::clone(&health))
        .map_err(|problem| RunError::Admin { address: plan.admin.listen, problem })?;

    let mut shell = Shell::open(plan, machine, bundle, key, store, saved, &health, shutdown)?;
    let instance = identity(&plan.state.directory)?;
    let mut place = Place::free(&plan.source, &instance)?;
    health.identify(&shell.bundle, &plan.source.group, plan.source.instance(&instance));
    let consumer = Consumer::open(&plan.source, Some(&instance))?;
    let lag_watch = LagWatch::start(&plan.source.connection, Arc::clone(&health));
    while !shutdown.is_requested() {
        // What the slowest sink has not delivered is on disk, and must not grow for ever.
        consumer.hold(shell.delivery.is_behind());
        let event = consumer.poll()?;
        // Before anything new is taken in: what the leaders answered is about what was read until now.
        shell.close_idle(&consumer, &event)?;
        shell.tick()?;
        shell.reload()?;
        match event {
            Event::Records(batches) => shell.read(&batches)?,
            Event::Assigned(partitions) => {
                place.settle(partitions.len(), &health, shutdown)?;
                shell.take(&consumer, &partitions)?;
            }
            Event::Revoked(partitions) => {
                place.keep_unless(consumer.has_lost_partitions());
                shell.release(&consumer, &partitions)?;
            }
            Event::Quiet => {}
        }
        shell.report(&consumer)?;
        lag_watch.polled(shell.partitions.to_commit());
        consumer.ask_ends(shell.partitions.next_question(Instant::now()));
        if shell.is_checkpoint_due() {
            shell.checkpoint(&consumer, false)?;
        }
    }
    shell.log_account();
    shell.checkpoint(&consumer, true)?;
    shell.delivery.drain();
    Ok(())
}

/// All that the loop holds, the consumer apart: its records borrow from it.
struct Shell<'a, M> {
    plan: &'a Plan,
    machine: M,
    bundle: String,
    store: Store,
    workers: Workers,
    triage: Option<Triage>,
    verdicts: Option<Listener>,
    owners: DeclaredOwners,
    delivery: Delivery,
    dead_letters: Letters,
    partitions: Partitions,
    shipping: Shipping,
    reload: Reload,
    ticks: Ticks,
    kept: KeptRollups,
    cataloguer: Option<Cataloguer>,
    auditor: Option<Auditor>,
    /// Number of the next part of kept rollups, and the day on which they were tidied last.
    next_part: u64,
    tidied: Option<i64>,
    /// The furthest watermark so far, for the metric: the engine's own goes back while partitions are waited for again.
    watermark: Option<i64>,
    saved_at: Instant,
    records_since: usize,
    /// Topic → what its records were, since the state was begun.
    tallies: BTreeMap<String, Tally>,
    /// Sees when topics can no longer be read as before, and clocks run ahead.
    watch: SelfWatch,
    health: &'a Health,
    shutdown: &'a Shutdown,
}

impl<'a, M: Machine> Shell<'a, M> {
    #[allow(clippy::too_many_arguments, reason = "called once, with what `run_machine` was given")]
    fn open(
        plan: &'a Plan,
        machine: M,
        bundle: String,
        key: Arc<FingerprintKey>,
        store: Store,
        saved: Option<Checkpoint>,
        health: &'a Health,
        shutdown: &'a Shutdown,
    ) -> Result<Self, RunError> {
        let (is_first_start, directory) = (saved.is_none(), plan.state.directory.clone());
        let patience = Duration::from_secs(plan.state.idle_seconds);
        let saved = saved.unwrap_or_default();
        let open = |sink: &dyn SinkPlan| Outlet::open(sink, &saved, health, shutdown);
        let (dead_letters, form) = match &plan.dead_letter {
            DeadLetterPlan::Topic(sink) => (sink, Form::Record),
            DeadLetterPlan::File(sink) => (sink, Form::Line),
        };
        let owners = Owners::open(&plan.owners)?;
        let reload = Reload::of(plan.bundle.clone(), key.id(), Arc::clone(&plan.vendors));
        let (vendors, words) = (Arc::clone(&plan.vendors), Arc::clone(&plan.data_words));
        let workers = Workers::new(&plan.decode, plan.registry.clone(), key, vendors, words, owners, form)?;
        let verdicts = plan.triage.verdicts.as_ref();
        let mut shell = Self {
            triage: plan.triage.model.as_deref().map(Triage::load).transpose()?,
            verdicts: verdicts.map(|(source, file)| Listener::start(source, file)).transpose()?,
            owners: DeclaredOwners::of(plan),
            delivery: Delivery::start(directory, is_first_start, &plan.sinks, &plan.alerts, shutdown)?,
            dead_letters: Letters::to(open(dead_letters.as_ref())?),
            workers,
            partitions: Partitions::resume(saved.offsets, patience, Instant::now()),
            shipping: Shipping::default(),
            reload,
            ticks: Ticks::resume(saved.delay, EngineSettings::from(&plan.detection).lateness_micros()),
            kept: KeptRollups::of(&plan.state.directory.join("rollups")),
            cataloguer: (plan.state.keep_rollups_days > 0)
                .then(|| Cataloguer::open(&plan.state.directory.join("catalog"), Arc::clone(&plan.vendors)))
                .transpose()?,
            auditor: plan
                .audit
                .as_ref()
                .map(|audit| Auditor::new(audit, plan.state.directory.join("catalog"), plan.rules.clone())),
            next_part: saved.next_part,
            tidied: None,
            watermark: machine.watermark(),
            saved_at: Instant::now(),
            records_since: 0,
            tallies: saved.tallies,
            watch: SelfWatch::restore(&saved.watch)?,
            plan,
            machine,
            bundle,
            store,
            health,
            shutdown,
        };
        metrics::bundle(&shell.bundle, None);
        shell.tallies.iter().for_each(|(topic, tally)| metrics::tally(topic, tally));
        shell.owners.refresh();
        if is_first_start {
            if let Some(beside) = shell.kept.begin()? {
                tracing::warn!(path = %beside.display(), "kept rollups of another state are put beside");
            }
            if let Some(cataloguer) = &mut shell.cataloguer {
                cataloguer.begin()?;
            }
            // Where the sinks stood before anything was delivered: else a crash before the first checkpoint doubles alerts.
            shell.save()?;
        }
        shell.kept.forget_from(shell.next_part)?;
        if let Some(cataloguer) = &mut shell.cataloguer {
            cataloguer.resume(&shell.kept, shell.next_part)?;
        }
        if let Some(time) = saved.tick {
            let alerts = shell.machine.tick(time);
            shell.deliver(alerts)?;
        }
        Ok(shell)
    }

    /// Takes in records of several partitions. What waits in the others is not known yet: none is idle until its leader was asked.
    fn read(&mut self, batches: &[Batch<'_>]) -> Result<(), RunError> {
        if let Some(partitions) = self.partitions.begin_reading(Instant::now()) {
            self.machine.assign(&partitions);
        }
        batches.iter().try_for_each(|batch| self.read_batch(batch))
    }

    /// Takes in one partition's records: those that cannot be decoded become dead letters, the rest goes to the engine.
    fn read_batch(&mut self, batch: &Batch<'_>) -> Result<(), RunError> {
        let name = batch.partition.to_string();
        let Read { calls, letters, tallies, early, arrived } = self.decode(batch)?;
        self.note_delay(&name, &calls, arrived);
        self.account(&batch.partition.topic, &tallies);
        metrics::identified(calls.rows());
        metrics::ahead(early.values().map(|early| early.calls).sum());
        let mut alerts = if !calls.is_empty() { self.machine.push(&name, calls)? } else { Vec::new() };
        alerts.extend(self.watch.observe(&batch.partition.topic, &tallies, &early, &self.bundle));
        let ahead = self.ahead_in_a_replay();
        alerts.extend(self.watch.ahead_of_others(&batch.partition.topic, &ahead, &self.bundle));
        self.dead_letters.deliver(letters, self.health, self.shutdown)?;
        self.deliver(alerts)?;

        let now = now_micros();
        self.health.heard(now);
        self.ticks.heard(self.machine.newest(), now);
        if let Some(last) = batch.records.last() {
            self.partitions.read_to(&name, last.offset() + 1, Instant::now());
        }
        self.records_since += batch.records.len();
        Ok(())
    }

    /// How long the newest of a partition's calls took: until now, where the partition had been read to its end; else until its record arrived.
    fn note_delay(&mut self, partition: &str, calls: &Calls, arrived: Option<i64>) {
        let newest = calls.rows().iter().map(|call| call.time).max();
        if let Some((arrived, newest)) = arrived.zip(newest) {
            metrics::latency("arrival", arrived - newest);
        }
        let came = if self.partitions.was_at_end(partition) { Some(now_micros()) } else { arrived };
        if let Some((came, newest)) = came.zip(newest) {
            self.shipping.note(partition, came - newest);
        }
    }

    /// Callers that are ahead of all others, of records so old that their arrival says nothing: of new ones it says that the others are behind.
    fn ahead_in_a_replay(&mut self) -> Vec<Ahead> {
        let live_since = now_micros() - LIVE;
        self.machine.take_ahead().into_iter().filter(|ahead| ahead.time < live_since).collect()
    }

    /// Decodes one partition's records; those that wait for a registry hold the stream up, and Kafka keeps the rest meanwhile.
    fn decode(&self, batch: &Batch<'_>) -> Result<Read, RunError> {
        let mut pause = MIN_RETRY_PAUSE;
        loop {
            match self.workers.decode(batch, now_micros()) {
                Ok(read) => return Ok(read),
                Err(Unread::Spec(problem)) => return Err(problem.into()),
                Err(Unread::Later(problem)) if self.shutdown.is_requested() => return Err(RunError::Unread(problem)),
                Err(Unread::Later(problem)) => {
                    tracing::warn!(%problem, "records wait for their schema: trying again");
                    metrics::retry("registry");
                    self.health.unready(format!("records wait for their schema: {problem}"));
                    self.shutdown.sleep(pause);
                    pause = (pause * 2).min(MAX_RETRY_PAUSE);
                }
            }
        }
    }

    /// Counts what a topic's records were.
    fn account(&mut self, topic: &str, tallies: &[(i64, Tally)]) {
        let own = self.tallies.entry(topic.to_owned()).or_default();
        tallies.iter().for_each(|(_, tally)| own.merge(tally));
        metrics::tally(topic, own);
    }

    /// What became of every record since the state was begun.
    fn log_account(&self) {
        let Counters { calls, too_late, repeated, .. } = self.machine.counters();
        let mut all = Tally::default();
        self.tallies.values().for_each(|tally| all.merge(tally));
        tracing::info!(
            records = all.records(),
            judged = calls,
            late = too_late,
            repeated,
            rejected = all.rejects(),
            not_a_call = all.other_events(),
            "the account of all records"
        );
    }

    fn deliver(&mut self, alerts: Vec<Alert>) -> Result<(), RunError> {
        if alerts.is_empty() {
            return Ok(());
        }
        let alerts: Vec<Alert> = match &self.triage {
            Some(triage) => alerts.into_iter().map(|alert| triage.apply(alert)).collect(),
            None => alerts,
        };
        let alerts: Vec<Alert> = alerts.into_iter().map(|alert| self.owners.put_on(alert)).collect();
        if let Some(listener) = &self.verdicts {
            listener.remember(&alerts);
        }
        alerts.iter().for_each(|alert| metrics::latency("judged", now_micros() - alert.last_seen));
        self.delivery.take(&alerts)?;
        alerts.iter().for_each(|alert| metrics::alert(alert.severity.as_str()));
        Ok(())
    }

    fn take(&mut self, consumer: &Consumer, partitions: &[Partition]) -> Result<(), RunError> {
        let Taken { offsets, lost } = consumer.take(partitions, self.partitions.next())?;
        metrics::lost_records(lost);
        self.partitions.add(partitions.iter().map(Partition::to_string), offsets, Instant::now());
        self.machine.assign(&self.partitions.expect_all());
        self.save()?;
        tracing::info!(count = partitions.len(), "partitions taken");
        Ok(())
    }

    fn release(&mut self, consumer: &Consumer, partitions: &[Partition]) -> Result<(), RunError> {
        self.checkpoint(consumer, true)?;
        consumer.release(partitions)?;
        for partition in partitions {
            self.partitions.remove(&partition.to_string());
            metrics::lag(&partition.topic, partition.number, 0);
        }
        self.machine.assign(&self.partitions.expect_all());
        tracing::info!(count = partitions.len(), "partitions released");
        Ok(())
    }

    /// Partitions that their leaders confirm to be idle no longer hold the others up.
    fn close_idle(&mut self, consumer: &Consumer, event: &Event<'_>) -> Result<(), RunError> {
        // Records that wait make the answer worth waiting for: once they are taken in, it comes too late.
        let is_awaited = matches!(event, Event::Records(_)) && self.partitions.await_answer();
        let Some(ends) = consumer.ends(if is_awaited { MAX_BATCH_WAIT } else { Duration::ZERO }) else { return Ok(()) };
        let bounds = self.bounds(&ends);
        if !bounds.is_empty() {
            let alerts = self.machine.bound(&bounds)?;
            self.deliver(alerts)?;
        }
        // The newest bucket of a live stream goes on by the clock.
        let end = self.machine.newest().map_or(0, |newest| bucket_start(bucket_of(newest) + 1));
        let is_over = self.ticks.has_passed(end, now_micros());
        for name in self.partitions.confirm(&ends, is_over) {
            let alerts = self.machine.idle(&name)?;
            self.deliver(alerts)?;
        }
        Ok(())
    }

    /// The event time from which partitions at their ends can still show calls, in a live stream.
    fn bounds(&self, ends: &Ends) -> Vec<(String, i64)> {
        if self.ticks.delay().is_none() {
            return Vec::new();
        }
        let asked = now_micros() - i64::try_from(ends.asked_at.elapsed().as_micros()).unwrap_or(i64::MAX);
        let at_end = ends.at_end.iter().filter(|(_, is_at_end)| **is_at_end);
        at_end.filter_map(|(name, _)| Some((name.clone(), asked - self.shipping.usual(name)?))).collect()
    }

    /// Goes on in time where no record comes. The tick is saved first: should it be cut short, it is repeated as it was.
    fn tick(&mut self) -> Result<(), RunError> {
        let now = now_micros();
        let Some(time) = self.ticks.due(self.partitions.quiet_for(), now) else { return Ok(()) };
        self.save_before(Some(time))?;
        let alerts = self.machine.tick(time);
        self.deliver(alerts)
    }

    /// Goes over to a new bundle, where there is one: every record is judged by exactly one.
    fn reload(&mut self) -> Result<(), RunError> {
        let Some(bundle) = self.reload.next(self.shutdown.take_reload(), &self.bundle) else { return Ok(()) };
        let started = Instant::now();
        // With it, the rows of all closed buckets are kept.
        self.save()?;
        let version = bundle.manifest.version.clone();
        if let Err(error) = self.machine.go_over_to(Arc::new(bundle), self.kept.last_day()) {
            refuse(&error, &self.bundle);
            return Ok(());
        }
        let before = std::mem::replace(&mut self.bundle, version);
        metrics::bundle(&self.bundle, Some(&before));
        self.health.goes_over_to(&self.bundle);
        self.save()?;
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(before, now = self.bundle, seconds, "a new bundle is in force");
        Ok(())
    }

    /// Readiness and metrics, and what there is to report of the sinks.
    fn report(&mut self, consumer: &Consumer) -> Result<(), RunError> {
        self.health.connected(consumer.is_connected(), &self.delivery.failing());
        lag::report(&consumer.lag(), self.health);
        self.watermark = self.watermark.max(self.machine.watermark());
        self.health.evaluated(self.watermark);
        metrics::engine(&self.machine.counters(), self.watermark);
        metrics::budget(&self.machine.kept());
        self.owners.refresh();
        let notices = self.delivery.look(self.watermark, &self.bundle)?;
        self.deliver(notices)
    }

    fn is_checkpoint_due(&self) -> bool {
        self.records_since >= MAX_RECORDS_SINCE_CHECKPOINT
            || self.saved_at.elapsed() >= Duration::from_secs(self.plan.state.checkpoint_seconds)
    }

    /// Makes state and offsets durable, then commits the offsets to Kafka. With `wait`, returns once Kafka has acknowledged.
    fn checkpoint(&mut self, consumer: &Consumer, wait: bool) -> Result<(), RunError> {
        self.save()?;
        // With no broker there, waiting would only end in the same warning.
        if let Err(error) = consumer.commit(&self.partitions.to_commit(), wait && consumer.is_connected()) {
            tracing::warn!(%error, "the checkpoint holds; the next commit makes up for this one");
            metrics::commit_failure();
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), RunError> {
        self.save_before(None)
    }

    /// Writes the rows of closed buckets. Should the checkpoint behind it fail, the same part is written again.
    fn keep_rows(&mut self) -> Result<(), RunError> {
        let rows = self.machine.take_closed_rows();
        let Some(today) = rows.iter().map(|row| day_of(row.bucket)).max() else { return Ok(()) };
        self.kept.write(self.next_part, &rows)?;
        if self.tidied.is_none_or(|day| day < today) {
            // Not the newest: redb goes back by a checkpoint where the last is damaged, and what is merged cannot be taken apart.
            self.kept.tidy(today, self.next_part.saturating_sub(1), self.plan.state.keep_rollups_days)?;
            self.tidied = Some(today);
        }
        self.next_part += 1;
        Ok(())
    }

    /// Saves, before a tick is carried out.
    fn save_before(&mut self, tick: Option<i64>) -> Result<(), RunError> {
        let started = Instant::now();
        self.keep_rows()?;
        let outlets = [self.dead_letters.outlet()];
        let bytes = self.store.save(&Checkpoint {
            engine: self.machine.changes()?,
            offsets: self.partitions.next().clone(),
            sinks: outlets.into_iter().map(|outlet| (outlet.name().to_owned(), outlet.position())).collect(),
            bundle: self.bundle.clone(),
            tallies: self.tallies.clone(),
            delay: self.ticks.delay(),
            next_part: self.next_part,
            tick,
            watch: self.watch.snapshot()?,
        })?;
        self.machine.saved();
        metrics::checkpoint(started.elapsed().as_secs_f64(), bytes);
        self.health.saved(bytes);
        self.machine.sizes().iter().for_each(|(kind, entries)| metrics::state(kind, *entries));
        // Behind the checkpoint, so that what is in the catalogue is never counted again.
        if let Some(cataloguer) = &mut self.cataloguer {
            cataloguer.catch_up(&self.kept, self.next_part);
        }
        if let Some(auditor) = &mut self.auditor {
            auditor.look(self.machine.watermark());
        }
        self.saved_at = Instant::now();
        self.records_since = 0;
        Ok(())
    }
}

#[cfg(test)]
pub(in crate::stream) mod tests;
