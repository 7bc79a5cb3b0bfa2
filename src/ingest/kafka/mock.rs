//! A cluster inside the test's own process: librdkafka's mock, with what tests ask of it.
//!
//! Not here: transactions and retention, which the mock does not do as Kafka does (`tests/kafka` has a real one).

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::ingest::connection::{Connection, Properties};

/// The cluster, of one broker.
pub(crate) struct Mock {
    pub(crate) cluster: MockCluster<'static, DefaultProducerContext>,
    pub(crate) brokers: String,
}

/// A record as it stands in a topic.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: String,
}

impl Mock {
    pub(crate) fn with_topics(topics: &[(&str, i32)]) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).unwrap();
        }
        let brokers = cluster.bootstrap_servers();
        Self { cluster, brokers }
    }

    pub(crate) fn connection(&self, properties: Properties) -> Connection {
        Connection::new(&self.brokers, &properties, std::path::Path::new("")).unwrap()
    }

    pub(crate) fn produce(&self, topic: &str, partition: i32, values: impl IntoIterator<Item: AsRef<[u8]>>) {
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        for value in values {
            producer.send(BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(value.as_ref())).unwrap();
        }
        producer.flush(Duration::from_secs(5)).unwrap();
    }

    /// Produces records that were made at a time, milliseconds since the epoch.
    pub(crate) fn produce_at(&self, topic: &str, partition: i32, values: impl IntoIterator<Item = (i64, String)>) {
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        for (time, value) in values {
            let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(&value).timestamp(time);
            producer.send(record).unwrap();
        }
        producer.flush(Duration::from_secs(5)).unwrap();
    }

    /// All records of partitions `0..partitions`.
    pub(crate) fn read(&self, topic: &str, partitions: i32) -> Vec<Stored> {
        let consumer = self.consumer("reader");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut records, mut open) = (Vec::new(), partitions);
        while open > 0 {
            match consumer.poll(Duration::from_secs(5)).expect("the topic ends") {
                Ok(record) => records.push(stored(&record)),
                Err(KafkaError::PartitionEOF(_)) => open -= 1,
                Err(error) => panic!("{error}"),
            }
        }
        records
    }

    /// What the group committed for partitions `0..partitions`.
    pub(crate) fn committed(&self, group: &str, topic: &str, partitions: i32) -> Vec<Offset> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let list = self.consumer(group).committed_offsets(list, Duration::from_secs(5)).unwrap();
        list.elements().iter().map(|element| element.offset()).collect()
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap()
    }
}

fn stored(record: &impl Message) -> Stored {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
    Stored {
        headers: headers.map(|header| (header.key.to_owned(), header.value.map(text).unwrap_or_default())).collect(),
        value: record.payload().map(text).unwrap_or_default(),
    }
}
