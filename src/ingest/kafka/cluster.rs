//! A cluster, asked beside the consumer, which may stand still: what may be done with a topic, and where partitions end.
//!
//! Not here: members and topics of a source (`group`), and what follows of the answers (`alerts::sinks`, `stream`).

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::Partition;
use super::rights::{Rights, rights};
use crate::ingest::connection::Connection;

/// How long brokers may take to answer a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const FIXED: &[(&str, &str)] = &[
    // Never joined: librdkafka wants a group's name of every consumer.
    ("group.id", "apiwarden-questions"),
    ("enable.auto.commit", "false"),
    ("allow.auto.create.topics", "false"),
];

/// A cluster that can be asked. Connects when it is asked first.
pub struct Cluster {
    client: BaseConsumer<Silent>,
}

/// Leaves errors to whoever asks.
struct Silent;

impl ClientContext for Silent {
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for Silent {}

impl Cluster {
    /// A client of the cluster.
    ///
    /// # Errors
    /// Where librdkafka cannot make one.
    pub fn new(connection: &Connection) -> KafkaResult<Self> {
        let client = connection.client(&[], FIXED).create_with_context(Silent)?;
        Ok(Self { client })
    }

    /// What may be done with a topic that exists. Of brokers that cannot say, no right is known to be missing.
    ///
    /// # Errors
    /// Where no broker answers, or the topic may not be seen.
    pub fn rights(&self, topic: &str) -> KafkaResult<Rights> {
        match rights(self.client.client(), topic, ANSWER_TIMEOUT) {
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::OperationTimedOut,
            )) => Ok(Rights::UNKNOWN),
            answer => answer,
        }
    }

    /// Where partitions end (`topic/3` → offset after the last record), of those whose leaders answer.
    ///
    /// # Errors
    /// Where no leader answers.
    pub fn ends<'n>(&self, partitions: impl Iterator<Item = &'n str>) -> KafkaResult<BTreeMap<String, i64>> {
        let mut list = TopicPartitionList::new();
        for partition in partitions.filter_map(Partition::parse) {
            list.add_partition_offset(&partition.topic, partition.number, Offset::End)?;
        }
        let answered = self.client.offsets_for_times(list, ANSWER_TIMEOUT)?;
        let elements = answered.elements();
        let ends = elements.iter().filter(|element| element.error().is_ok());
        Ok(ends
            .filter_map(|element| match element.offset() {
                Offset::Offset(end) => Some((format!("{}/{}", element.topic(), element.partition()), end)),
                _ => None,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::connection::Properties;
    use crate::ingest::kafka::mock::Mock;

    #[test]
    fn the_ends_of_partitions_are_asked_without_reading() {
        let mock = Mock::with_topics(&[("calls", 2)]);
        let cluster = Cluster::new(&mock.connection(Properties::new())).unwrap();
        mock.produce("calls", 1, ["one", "two"]);
        let ends = cluster.ends(["calls/0", "calls/1"].into_iter()).unwrap();
        assert_eq!(ends, BTreeMap::from([("calls/0".to_owned(), 0), ("calls/1".to_owned(), 2)]));
    }
}
