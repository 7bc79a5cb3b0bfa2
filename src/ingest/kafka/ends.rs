//! Where partitions end, asked of their leaders in the background.
//!
//! An answer is evidence: whatever was appended before the question lies before the offset that the leader names. Statistics are no
//! such evidence. They repeat the last fetch response however old it is, and they wait in the queue while nobody polls.
//!
//! Not here: what follows from a partition that was read to its end (`stream::partitions`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::Partition;

/// How long leaders may take to answer. Past it there is no evidence, and the next question may be asked.
pub(super) const ENDS_TIMEOUT: Duration = Duration::from_secs(5);

/// What leaders answered about partitions (`topic/3`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// When they were asked: the answer holds for all that was appended before.
    pub asked_at: Instant,
    /// Whether everything up to the partition's end had been read when the question was asked.
    pub at_end: BTreeMap<String, bool>,
}

/// The question that is under way, if any: one at a time.
#[derive(Debug, Default)]
pub(super) struct EndQuery {
    pending: RefCell<Option<Receiver<Option<Ends>>>>,
}

impl EndQuery {
    /// Asks where the partitions end that were read up to `read_to`, unless a question is under way. `ask` waits for the leaders, on a
    /// thread of its own.
    pub(super) fn start(
        &self,
        read_to: BTreeMap<String, i64>,
        ask: impl FnOnce(TopicPartitionList) -> KafkaResult<TopicPartitionList> + Send + 'static,
    ) {
        let mut pending = self.pending.borrow_mut();
        if pending.is_some() || read_to.is_empty() {
            return;
        }
        let (sender, answer) = channel();
        let asked_at = Instant::now();
        std::thread::spawn(move || {
            let answered = latest(&read_to).and_then(ask);
            let ends = match answered {
                Ok(list) => Some(Ends { asked_at, at_end: compare(&list, &read_to) }),
                Err(error) => {
                    tracing::debug!(%error, "kafka: the ends of partitions are not known");
                    None
                }
            };
            // The consumer may be gone by now.
            let _ = sender.send(ends);
        });
        *pending = Some(answer);
    }

    /// The answer, if it comes within `wait`; each answer is returned once.
    pub(super) fn answer(&self, wait: Duration) -> Option<Ends> {
        let mut pending = self.pending.borrow_mut();
        match pending.as_ref()?.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => None,
            answered => {
                *pending = None;
                answered.ok().flatten()
            }
        }
    }
}

/// The list that asks for the offset after the last record.
fn latest(read_to: &BTreeMap<String, i64>) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(read_to.len());
    for partition in read_to.keys().filter_map(|name| Partition::parse(name)) {
        list.add_partition_offset(&partition.topic, partition.number, Offset::End)?;
    }
    Ok(list)
}

/// Leaves out partitions about which their leader gave no answer.
fn compare(answered: &TopicPartitionList, read_to: &BTreeMap<String, i64>) -> BTreeMap<String, bool> {
    let elements = answered.elements();
    let ends = elements.iter().filter(|element| element.error().is_ok());
    ends.filter_map(|element| {
        let Offset::Offset(end) = element.offset() else { return None };
        let name = format!("{}/{}", element.topic(), element.partition());
        let is_at_end = *read_to.get(&name)? >= end;
        Some((name, is_at_end))
    })
    .collect()
}
