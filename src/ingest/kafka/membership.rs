//! Our side of librdkafka's callbacks: writes down what happens, decides nothing.
//!
//! Not here: answers to rebalances (`Consumer`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rdkafka::consumer::ConsumerContext;
use rdkafka::consumer::base_consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::{Partition as PartitionStatistics, Statistics};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use super::{Partition, attach, release, warn_unanswered};

/// How long after a change of the assignment statistics may still describe the assignment before it.
const MAX_STATISTICS_DELAY: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub(super) enum Change {
    Assigned(Vec<Partition>),
    Revoked(Vec<Partition>),
}

/// The cluster as the last statistics describe it.
#[derive(Default)]
pub(super) struct Status {
    pub(super) connected: bool,
    /// Records behind the next one to be read. For metrics only: nobody can say how old it is.
    pub(super) lag: BTreeMap<String, i64>,
    /// Up to where each partition was fetched, control records of transactions included.
    fetched: BTreeMap<String, i64>,
    /// The same, of what has been handed out since.
    handed_out: BTreeMap<String, i64>,
    /// Statistics of this time (seconds since the epoch) or before may describe another assignment.
    outdated_until: i64,
}

#[derive(Default)]
pub(super) struct Membership {
    changes: Mutex<VecDeque<Change>>,
    status: Mutex<Status>,
    /// Callbacks so far.
    callbacks: AtomicU64,
    closing: AtomicBool,
}

impl Membership {
    pub(super) fn next_change(&self) -> Option<Change> {
        self.changes().pop_front()
    }

    pub(super) fn has_change(&self) -> bool {
        !self.changes().is_empty()
    }

    /// From now on rebalances are answered as they come.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// How many callbacks there were: a poll that returned nothing, without one, found an empty queue.
    pub(super) fn callbacks(&self) -> u64 {
        self.callbacks.load(Ordering::SeqCst)
    }

    /// Notes that the queue is empty: all that the last statistics call fetched has been handed out.
    pub(super) fn drained(&self) {
        let mut status = self.status();
        let fetched = std::mem::take(&mut status.fetched);
        status.handed_out.extend(fetched);
    }

    /// Notes that partitions are taken or released: what was fetched before is worth nothing.
    pub(super) fn reassigned(&self) {
        let mut status = self.status();
        status.fetched.clear();
        status.handed_out.clear();
        status.outdated_until = seconds_since_epoch(SystemTime::now() + MAX_STATISTICS_DELAY);
    }

    /// Offset up to which all of a partition was handed out, by the statistics.
    pub(super) fn handed_out(&self, partition: &str) -> Option<i64> {
        self.status().handed_out.get(partition).copied()
    }

    pub(super) fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_callback(&self) {
        self.callbacks.fetch_add(1, Ordering::SeqCst);
    }
}

fn seconds_since_epoch(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl ClientContext for Membership {
    fn stats(&self, statistics: Statistics) {
        self.count_callback();
        let up: BTreeSet<i32> = statistics
            .brokers
            .values()
            .filter(|broker| broker.state == "UP" && broker.nodeid >= 0)
            .map(|broker| broker.nodeid)
            .collect();
        let settled = statistics.cgrp.as_ref().is_some_and(|group| group.join_state == "steady");
        let partitions = || {
            let topics = statistics.topics.values();
            let partitions =
                topics.flat_map(|topic| topic.partitions.values().map(move |partition| (topic, partition)));
            partitions.map(|(topic, partition)| (format!("{}/{}", topic.topic, partition.partition), partition))
        };
        let mut status = self.status();
        status.connected = settled && !up.is_empty();
        status.lag = partitions()
            .filter(|(_, partition)| up.contains(&partition.leader))
            .filter_map(|(name, partition)| Some((name, lag_of(partition)?)))
            .collect();
        if statistics.time > status.outdated_until {
            status.fetched = partitions()
                .filter(|(_, partition)| partition.fetch_state == "active" && partition.next_offset >= 0)
                .map(|(name, partition)| (name, partition.next_offset))
                .collect();
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.count_callback();
        tracing::warn!(%error, reason, "kafka: client error");
    }
}

/// Records not yet handed out, if the partition is being read and its end is known. Control records at the end (of
/// transactions) are never handed out, so the fetch position shows whether the end was reached.
fn lag_of(partition: &PartitionStatistics) -> Option<i64> {
    let end = if partition.ls_offset >= 0 { partition.ls_offset } else { partition.hi_offset };
    if partition.fetch_state != "active" || end < 0 || partition.next_offset < 0 {
        return None;
    }
    if partition.fetchq_cnt == 0 && partition.next_offset >= end {
        return Some(0);
    }
    let next = if partition.app_offset >= 0 { partition.app_offset } else { partition.next_offset };
    Some((end - next).max(0))
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        self.count_callback();
        let is_assignment = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::SeqCst) {
            let answered = if is_assignment { attach(consumer, list) } else { release(consumer, list) };
            return warn_unanswered(answered);
        }
        let partitions = list
            .elements()
            .iter()
            .map(|element| Partition { topic: element.topic().into(), number: element.partition() })
            .collect();
        let change = if is_assignment { Change::Assigned(partitions) } else { Change::Revoked(partitions) };
        self.changes().push_back(change);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        self.count_callback();
        if let Err(error) = result {
            tracing::warn!(%error, "kafka: offsets could not be committed; the checkpoint holds");
        }
    }
}
