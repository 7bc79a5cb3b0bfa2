//! A cluster, asked without reading or writing a record: which topics there are and what may be done with them, who is in a group, and
//! where partitions end. Topics can be created, with what the brokers have as defaults.
//!
//! Not here: what follows of the answers (`alerts::sinks`, `stream`).

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::Partition;
use super::rights::{Rights, rights};
use crate::ingest::connection::Connection;

/// How long brokers may take to answer a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// What the brokers decide: the number of a new topic's partitions and of their copies.
const BROKER_DEFAULT: i32 = -1;
const FIXED: &[(&str, &str)] = &[
    // Never joined: librdkafka wants a group's name of every consumer.
    ("group.id", "apiwarden-questions"),
    ("enable.auto.commit", "false"),
    ("allow.auto.create.topics", "false"),
];

/// A cluster that can be asked. Connects when it is asked first.
pub struct Cluster {
    connection: Connection,
    client: BaseConsumer<Silent>,
}

/// Leaves errors to whoever asks.
struct Silent;

impl ClientContext for Silent {
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for Silent {}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As the group names it: of a static member, its instance id and a suffix.
    pub id: String,
    /// The host from which it reads.
    pub host: String,
}

impl Member {
    /// Whether this is the static member of an instance id.
    pub fn is_instance(&self, instance: &str) -> bool {
        /// Length of the suffix, a UUID.
        const SUFFIX: usize = 36;
        let suffix = self.id.strip_prefix(instance).and_then(|rest| rest.strip_prefix('-'));
        suffix.is_some_and(|suffix| suffix.len() == SUFFIX)
    }
}

impl Cluster {
    /// A client of the cluster.
    ///
    /// # Errors
    /// Where librdkafka cannot make one.
    pub fn new(connection: &Connection) -> KafkaResult<Self> {
        let client = connection.client(&[], FIXED).create_with_context(Silent)?;
        Ok(Self { connection: connection.clone(), client })
    }

    /// The names of all topics that may be seen.
    ///
    /// # Errors
    /// Where no broker answers.
    pub fn topics(&self) -> KafkaResult<Vec<String>> {
        let metadata = self.client.fetch_metadata(None, ANSWER_TIMEOUT)?;
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// Whether the topic exists.
    ///
    /// # Errors
    /// Where no broker answers, or the topic may not be seen.
    pub fn has_topic(&self, name: &str) -> KafkaResult<bool> {
        let metadata = self.client.fetch_metadata(Some(name), ANSWER_TIMEOUT)?;
        let error = metadata.topics().first().and_then(|topic| topic.error()).map(RDKafkaErrorCode::from);
        match error {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(false),
            // Just created: its leaders are being elected.
            None | Some(RDKafkaErrorCode::LeaderNotAvailable) => Ok(!metadata.topics().is_empty()),
            Some(code) => Err(KafkaError::MetadataFetch(code)),
        }
    }

    /// What may be done with a topic that exists.
    ///
    /// # Errors
    /// Where no broker answers, or the topic may not be seen.
    pub fn rights(&self, topic: &str) -> KafkaResult<Rights> {
        rights(self.client.client(), topic, ANSWER_TIMEOUT)
    }

    /// Creates a topic with the brokers' defaults; with `is_trial`, the brokers only say whether they would. One that exists is left as it is.
    ///
    /// # Errors
    /// Where no broker answers, or they refuse.
    pub fn create(&self, topic: &str, is_trial: bool) -> KafkaResult<()> {
        let admin: AdminClient<DefaultClientContext> = self.connection.client(&[], &[]).create()?;
        let options = AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).validate_only(is_trial);
        let new = NewTopic::new(topic, BROKER_DEFAULT, TopicReplication::Fixed(BROKER_DEFAULT));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|problem| KafkaError::ClientCreation(problem.to_string()))?;
        for created in runtime.block_on(admin.create_topics([&new], &options))? {
            match created {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(KafkaError::AdminOp(code)),
            }
        }
        Ok(())
    }

    /// The members of a consumer group. One that died is among them until its session times out.
    ///
    /// # Errors
    /// Where no broker answers, or the group may not be seen.
    pub fn members(&self, group: &str) -> KafkaResult<Vec<Member>> {
        let groups = self.client.fetch_group_list(Some(group), ANSWER_TIMEOUT)?;
        let members = groups.groups().iter().flat_map(|group| group.members());
        Ok(members.map(|member| Member { id: member.id().to_owned(), host: member.client_host().to_owned() }).collect())
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
    fn a_static_member_is_known_by_its_instance_id_and_not_by_one_that_begins_alike() {
        let member =
            Member { id: "aw-1-0f8fad5b-d9cb-469f-a165-70867728950e".to_owned(), host: "/127.0.0.1".to_owned() };
        assert!(member.is_instance("aw-1"));
        assert!(!member.is_instance("aw") && !member.is_instance("aw-11"));
    }

    #[test]
    fn topics_are_found_by_name_and_none_is_created_by_the_question() {
        let mock = Mock::with_topics(&[("calls", 2)]);
        let cluster = Cluster::new(&mock.connection(Properties::new())).unwrap();
        assert!(cluster.has_topic("calls").unwrap());
        assert!(!cluster.has_topic("alerts").unwrap());
        assert!(!cluster.has_topic("alerts").unwrap());
        assert_eq!(cluster.topics().unwrap(), ["calls"]);
        mock.produce("calls", 1, ["one", "two"]);
        let ends = cluster.ends(["calls/0", "calls/1"].into_iter()).unwrap();
        assert_eq!(ends, BTreeMap::from([("calls/0".to_owned(), 0), ("calls/1".to_owned(), 2)]));
    }
}
