//! The Kafka cluster as the tests see it: topics to make, records to put in and to read back.

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, SystemTime};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::fixture::caller_of;

const PATIENCE: Duration = Duration::from_secs(30);

/// Uid of each alert → its content.
pub type Alerts = BTreeMap<String, String>;

/// A cluster that runs already.
pub struct Cluster {
    pub brokers: String,
    /// Begins the name of every topic and group: several test runs may share a broker.
    prefix: String,
}

/// A record as it stands in a topic.
pub struct Stored {
    pub headers: BTreeMap<String, String>,
    pub value: String,
}

impl Cluster {
    /// The broker that the environment names; without one, says once that these tests did not run.
    pub fn given() -> Option<Self> {
        static SAID: Once = Once::new();
        let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or_default();
        if brokers.is_empty() {
            assert!(env::var("APIWARDEN_REQUIRE_BROKER").is_err(), "KAFKA_BOOTSTRAP_SERVERS names no broker");
            // Past the test's captured output: who reads the result must see it.
            SAID.call_once(|| {
                let line = "SKIPPED: all of tests/broker, for want of a broker in KAFKA_BOOTSTRAP_SERVERS: see tests/kafka/README.md\n";
                std::io::stderr().write_all(line.as_bytes()).unwrap();
            });
            return None;
        }
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Some(Self { brokers, prefix: format!("apiwarden-test-{}", started.as_millis()) })
    }

    /// Another cluster, under the same names.
    pub fn elsewhere(&self, brokers: String) -> Self {
        Self { brokers, prefix: self.prefix.clone() }
    }

    /// A name for a topic or group of this test.
    pub fn name(&self, of: &str) -> String {
        format!("{}-{of}", self.prefix)
    }

    pub fn create(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let created = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
        assert!(created.iter().all(Result::is_ok), "{created:?}");
    }

    /// The names of all topics.
    pub fn topics(&self) -> Vec<String> {
        let metadata = self.consumer("reader").fetch_metadata(None, PATIENCE).unwrap();
        metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
    }

    /// Deletes the records of a partition before an offset, as retention does.
    pub fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
    }

    /// Puts records into a topic, keyed by caller, and returns when all are there.
    pub fn produce(&self, topic: &str, records: &[&str]) {
        let producer: BaseProducer = self.client().set("linger.ms", "20").set("acks", "all").create().unwrap();
        for record in records {
            let mut next = BaseRecord::to(topic).key(caller_of(record)).payload(*record);
            while let Err((error, refused)) = producer.send(next) {
                assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(20));
                next = refused;
            }
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Reads what comes to a topic from now on.
    pub fn follow(&self, topic: &str) -> BaseConsumer {
        let consumer = self.consumer("follower");
        let mut list = TopicPartitionList::new();
        for (partition, end) in self.ends(topic) {
            list.add_partition_offset(topic, partition, Offset::Offset(end)).unwrap();
        }
        consumer.assign(&list).unwrap();
        consumer
    }

    /// All records of a topic.
    pub fn read(&self, topic: &str) -> Vec<Stored> {
        let consumer = self.consumer("reader");
        let ends = self.ends(topic);
        let mut list = TopicPartitionList::new();
        for partition in ends.keys() {
            list.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut records, mut open) = (Vec::new(), ends.len());
        while open > 0 {
            match consumer.poll(PATIENCE).expect("the topic has an end") {
                Ok(record) => records.push(stored(&record)),
                Err(KafkaError::PartitionEOF(_)) => open -= 1,
                Err(error) => panic!("{error}"),
            }
        }
        records
    }

    /// The alerts of a topic, of which none may be there twice.
    #[track_caller]
    pub fn alerts(&self, topic: &str) -> Alerts {
        let mut alerts = Alerts::new();
        for record in self.read(topic) {
            let uid = record.headers["aw-uid"].clone();
            let twice = alerts.insert(uid, record.value);
            assert!(twice.is_none(), "there twice: {twice:?}");
        }
        alerts
    }

    /// Partition → the offset after its last record.
    pub fn ends(&self, topic: &str) -> BTreeMap<i32, i64> {
        let consumer = self.consumer("reader");
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        let partitions = metadata.topics()[0].partitions().iter().map(|partition| partition.id());
        partitions.map(|id| (id, consumer.fetch_watermarks(topic, id, PATIENCE).unwrap().1)).collect()
    }

    /// Partition → the offset that the group committed, where it did.
    pub fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let mut list = TopicPartitionList::new();
        for partition in self.ends(topic).keys() {
            list.add_partition(topic, *partition);
        }
        let committed = self.consumer(group).committed_offsets(list, PATIENCE).unwrap();
        let known = committed.elements().into_iter().filter_map(|element| match element.offset() {
            Offset::Offset(next) => Some((element.partition(), next)),
            _ => None,
        });
        known.collect()
    }

    /// Stops the broker where it stands, until the outage is dropped. Says so if the broker is not ours to stop.
    pub fn pause(&self) -> Option<Outage> {
        let is_ours = kafka(&["pause"]);
        if !is_ours {
            std::io::stderr()
                .write_all(b"SKIPPED: the outage, because tests/kafka/kafka.sh did not start the broker\n")
                .unwrap();
        }
        is_ours.then_some(Outage)
    }

    /// Leaves everybody only the right to read a topic. Says so if the broker is not ours to change.
    pub fn forbid_writing(&self, topic: &str) -> bool {
        let is_ours = kafka(&["only-read", topic]);
        if !is_ours {
            let line =
                b"SKIPPED: a topic that may not be written, because tests/kafka/kafka.sh did not start the broker\n";
            std::io::stderr().write_all(line).unwrap();
        }
        is_ours
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        self.client()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap()
    }
}

/// The broker answers nobody while this lives.
pub struct Outage;

impl Drop for Outage {
    fn drop(&mut self) {
        assert!(kafka(&["resume"]));
    }
}

fn kafka(command: &[&str]) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/kafka.sh");
    Command::new("bash").arg(script).args(command).status().unwrap().success()
}

fn stored(record: &impl Message) -> Stored {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
    Stored {
        headers: headers.map(|header| (header.key.to_owned(), header.value.map(text).unwrap_or_default())).collect(),
        value: record.payload().map(text).unwrap_or_default(),
    }
}
