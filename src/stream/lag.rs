//! The lag while the run loop stands still.
//!
//! While records are polled, librdkafka's statistics say how many are waiting. Records that wait for their schema, or dead letters for their
//! topic, hold the loop up, and statistics with it: then a thread asks the partitions' leaders where they end, so that the lag grows as it does in Kafka.
//!
//! Not here: whether a partition is idle (`partitions`).

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::admin::Health;
use super::metrics;
use crate::ingest::connection::Connection;
use crate::ingest::kafka::{Cluster, Partition};

/// Time without a poll after which the leaders are asked, and time between two questions.
const STANDSTILL: Duration = Duration::from_secs(3);

/// The thread that asks. Dropping it stops the thread.
pub(super) struct LagWatch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    over: Condvar,
}

#[derive(Default)]
struct State {
    /// Next offset of each assigned partition (`topic/3`).
    next: BTreeMap<String, i64>,
    polled_at: Option<Instant>,
    is_over: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LagWatch {
    pub(super) fn start(connection: &Connection, health: Arc<Health>) -> Self {
        let shared = Arc::<Shared>::default();
        let (theirs, connection) = (Arc::clone(&shared), connection.clone());
        let thread = std::thread::spawn(move || watch(&connection, &theirs, &health));
        Self { shared, thread: Some(thread) }
    }

    /// The loop goes on: `next` is where each assigned partition is read next.
    pub(super) fn polled(&self, next: BTreeMap<String, i64>) {
        let mut state = self.shared.state();
        state.next = next;
        state.polled_at = Some(Instant::now());
    }
}

impl Drop for LagWatch {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.over.notify_all();
        if let Some(thread) = self.thread.take() {
            // Whatever became of it, there is nothing to do about it.
            let _ = thread.join();
        }
    }
}

fn watch(connection: &Connection, shared: &Shared, health: &Health) {
    let mut cluster = None;
    loop {
        let waited = shared.over.wait_timeout_while(shared.state(), STANDSTILL, |state| !state.is_over);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_over {
            return;
        }
        if state.polled_at.is_none_or(|polled| polled.elapsed() < STANDSTILL) {
            continue;
        }
        let next = state.next.clone();
        drop(state);
        let Some(cluster) = known(&mut cluster, connection) else { continue };
        match cluster.ends(next.keys().map(String::as_str)) {
            Ok(ends) => report(&behind(&ends, &next), health),
            Err(error) => tracing::debug!(%error, "kafka: the lag is not known"),
        }
    }
}

fn known<'c>(cluster: &'c mut Option<Cluster>, connection: &Connection) -> Option<&'c Cluster> {
    if cluster.is_none() {
        *cluster = Cluster::new(connection).ok();
    }
    cluster.as_ref()
}

/// What waits between where partitions are read and their ends.
fn behind(ends: &BTreeMap<String, i64>, next: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let of = |(name, end): (&String, &i64)| Some((name.clone(), (end - next.get(name)?).max(0)));
    ends.iter().filter_map(of).collect()
}

/// Sets the lag of partitions (`topic/3` → records).
pub(super) fn report(lag: &BTreeMap<String, i64>, health: &Health) {
    health.waiting(lag.values().sum());
    for (name, records) in lag {
        if let Some(partition) = Partition::parse(name) {
            metrics::lag(&partition.topic, partition.number, *records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_what_lies_between_where_a_partition_is_read_and_its_end() {
        let offsets = |pairs: &[(&str, i64)]| pairs.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect();
        let ends = offsets(&[("calls/0", 10), ("calls/1", 5), ("calls/2", 7)]);
        let next = offsets(&[("calls/0", 4), ("calls/1", 6)]);
        assert_eq!(behind(&ends, &next), offsets(&[("calls/0", 6), ("calls/1", 0)]), "the last is not ours");
    }
}
