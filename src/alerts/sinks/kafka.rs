//! A Kafka topic: every delivery acknowledged by all replicas, and none duplicated.
//!
//! Each record carries its uid as a header. After a restart, or after an attempt that failed halfway, the sink reads the
//! topic from the last settled offsets to its end and skips the uids that it finds there.
//!
//! Not here: transactions. They would tie alerts to one cluster, and hide each until the next checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use serde::Deserialize;

use super::error::is_of_record;
use super::{Delivery, Sink, SinkError, SinkPlan, SinkPosition, SinkSpec, Surroundings};
use crate::ingest::connection::{Connection, Properties};
use crate::ingest::kafka::{Cluster, Rights};

/// Header that carries [`Delivery::uid`].
const UID: &str = "aw-uid";
/// How long brokers may take to answer a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long reading back may make no progress.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Deliveries handed to librdkafka at once.
const IN_FLIGHT: usize = 10_000;

const PRODUCER_DEFAULTS: &[(&str, &str)] =
    &[("message.timeout.ms", "15000"), ("linger.ms", "2"), ("compression.type", "zstd")];
const PRODUCER_FIXED: &[(&str, &str)] = &[("enable.idempotence", "true"), ("acks", "all")];
const READER_FIXED: &[(&str, &str)] = &[
    // Never joined: librdkafka wants a group's name for reading at given offsets.
    ("group.id", "apiwarden-read-back"),
    ("enable.auto.commit", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "earliest"),
];

/// `type = "kafka"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// The topic; keyed by incident, so that one incident's alerts stay in order.
    pub topic: String,
    /// Brokers, if not the source's.
    #[serde(default)]
    pub brokers: Option<String>,
    /// librdkafka properties; with the source's brokers, beside the source's own.
    #[serde(default)]
    pub properties: Properties,
}

impl SinkSpec for Kafka {
    const NAME: &'static str = "kafka";
    const SUMMARY: &'static str = "Produces each alert to a Kafka topic, each exactly once, keyed by incident.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        if self.topic.is_empty() {
            return Err(SinkError::Spec("field topic: is empty, write the name of a topic"));
        }
        if self.brokers.as_ref().is_some_and(|brokers| brokers.split(',').all(|broker| broker.trim().is_empty())) {
            return Err(SinkError::Spec("field brokers: names no broker, write `host:port`"));
        }
        let connection = match (self.brokers, &around.connection) {
            (Some(brokers), _) => Connection::new(&brokers, &self.properties, &around.directory)?,
            (None, Some(source)) => source.clone().with(&self.properties, &around.directory)?,
            (None, None) => return Err(SinkError::Spec("field brokers: is missing, write `host:port`")),
        };
        Ok(Box::new(Topic { name: self.topic, connection }))
    }
}

#[derive(Clone, Debug)]
struct Topic {
    name: String,
    connection: Connection,
}

impl Topic {
    fn problem(&self, problem: KafkaError) -> SinkError {
        SinkError::Topic { topic: self.name.clone(), problem }
    }

    fn producer(&self) -> Result<BaseProducer<Reports>, SinkError> {
        self.connection
            .client(PRODUCER_DEFAULTS, PRODUCER_FIXED)
            .create_with_context(Reports::default())
            .map_err(|problem| self.problem(problem))
    }

    fn reader(&self) -> Result<Reader, SinkError> {
        self.connection
            .client(&[], READER_FIXED)
            .create_with_context(ReaderContext)
            .map_err(|problem| self.problem(problem))
    }

    /// Partition → (first offset that is still kept, offset after the last). Empty while the topic does not exist.
    fn bounds(&self, reader: &Reader) -> Result<BTreeMap<i32, (i64, i64)>, SinkError> {
        let metadata =
            reader.fetch_metadata(Some(&self.name), ANSWER_TIMEOUT).map_err(|problem| self.problem(problem))?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        partitions
            .map(|partition| {
                let bounds = reader
                    .fetch_watermarks(&self.name, partition.id(), ANSWER_TIMEOUT)
                    .map_err(|problem| self.problem(problem))?;
                Ok((partition.id(), bounds))
            })
            .collect()
    }

    /// Whether the topic may be written, and read back: else that is noticed at the first alert.
    fn expect_rights(&self) -> Result<(), SinkError> {
        let cluster = Cluster::new(&self.connection).map_err(|problem| self.problem(problem))?;
        let Rights { read, write } = cluster.rights(&self.name).map_err(|problem| self.problem(problem))?;
        let missing = if !write { Some("WRITE") } else { (!read).then_some("READ") };
        missing.map_or(Ok(()), |right| Err(SinkError::Forbidden { topic: self.name.clone(), right }))
    }

    fn is_missing(&self, reader: &Reader) -> Result<bool, SinkError> {
        let metadata =
            reader.fetch_metadata(Some(&self.name), ANSWER_TIMEOUT).map_err(|problem| self.problem(problem))?;
        Ok(metadata.topics().iter().all(|topic| topic.partitions().is_empty()))
    }

    /// Creates the topic with the brokers' own numbers of partitions and replicas, where we may; with `is_trial`, asks whether we may.
    fn create(&self, is_trial: bool) -> Result<(), SinkError> {
        let admin: AdminClient<DefaultClientContext> =
            self.connection.client(&[], &[]).create().map_err(|problem| self.problem(problem))?;
        let topic = NewTopic::new(&self.name, -1, TopicReplication::Fixed(-1));
        let options = AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).validate_only(is_trial);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|problem| SinkError::File { path: (&self.name).into(), problem })?;
        let created =
            runtime.block_on(admin.create_topics([&topic], &options)).map_err(|problem| self.problem(problem))?;
        match created.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists)) | Ok(_)) | None => Ok(()),
            Some(Err((_, problem))) => Err(SinkError::Missing { topic: self.name.clone(), problem }),
        }
    }

    /// Waits until the brokers that are asked know of a new topic.
    fn await_creation(&self, reader: &Reader) -> Result<(), SinkError> {
        tracing::info!(topic = self.name, "the topic was missing and is created");
        let asked = Instant::now();
        while self.is_missing(reader)? && asked.elapsed() < ANSWER_TIMEOUT {
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// The uids that stand between `since` and the topic's end, and where that end is.
    fn read_back(&self, since: &BTreeMap<i32, i64>) -> Result<(BTreeSet<String>, BTreeMap<i32, i64>), SinkError> {
        let reader = self.reader()?;
        let bounds = self.bounds(&reader)?;
        let mut open = BTreeSet::new();
        let mut list = TopicPartitionList::new();
        for (&partition, &(low, high)) in &bounds {
            // A partition that the checkpoint does not know is newer than it.
            let from = since.get(&partition).copied().unwrap_or(0).max(low);
            if from < high {
                open.insert(partition);
                list.add_partition_offset(&self.name, partition, Offset::Offset(from))
                    .map_err(|problem| self.problem(problem))?;
            }
        }
        let uids = if open.is_empty() { BTreeSet::new() } else { self.collect_uids(&reader, &list, open)? };
        Ok((uids, bounds.into_iter().map(|(partition, (_, high))| (partition, high)).collect()))
    }

    fn collect_uids(
        &self,
        reader: &Reader,
        list: &TopicPartitionList,
        mut open: BTreeSet<i32>,
    ) -> Result<BTreeSet<String>, SinkError> {
        reader.assign(list).map_err(|problem| self.problem(problem))?;
        let mut uids = BTreeSet::new();
        let mut progress = Instant::now();
        while !open.is_empty() {
            match reader.poll(Duration::from_millis(200)) {
                Some(Ok(record)) => uids.extend(record.headers().and_then(uid_in)),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, topic = self.name, "reading back failed, trying again");
                    continue_until(progress, self)?;
                    continue;
                }
                None => {
                    continue_until(progress, self)?;
                    continue;
                }
            }
            progress = Instant::now();
        }
        Ok(uids)
    }
}

fn continue_until(progress: Instant, topic: &Topic) -> Result<(), SinkError> {
    if progress.elapsed() < STALL_TIMEOUT {
        return Ok(());
    }
    Err(SinkError::Stalled { topic: topic.name.clone(), seconds: STALL_TIMEOUT.as_secs() })
}

fn uid_in(headers: &impl Headers) -> Option<String> {
    let header = headers.iter().find(|header| header.key == UID)?;
    Some(String::from_utf8_lossy(header.value?).into_owned())
}

impl SinkPlan for Topic {
    fn name(&self) -> String {
        format!("kafka:{}", self.name)
    }

    fn topic(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn check(&self) -> Result<(), SinkError> {
        if self.is_missing(&self.reader()?)? {
            return self.create(true);
        }
        self.expect_rights()
    }

    fn takes_suppressed(&self) -> bool {
        true
    }

    fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        let reader = self.reader()?;
        if self.is_missing(&reader)? {
            self.create(false)?;
            self.await_creation(&reader)?;
        }
        self.expect_rights()?;
        let ends = self.bounds(&reader)?;
        Ok(Box::new(Open {
            topic: self.clone(),
            producer: self.producer()?,
            ends: ends.into_iter().map(|(partition, (_, high))| (partition, high)).collect(),
            landed: BTreeSet::new(),
            is_unsure: false,
        }))
    }
}

struct Open {
    topic: Topic,
    producer: BaseProducer<Reports>,
    /// Partition → offset after the last record that is settled.
    ends: BTreeMap<i32, i64>,
    /// What landed before and is to be skipped when it comes again.
    landed: BTreeSet<String>,
    /// The last attempt failed: some of it may have landed behind `ends`.
    is_unsure: bool,
}

impl Open {
    fn read_back(&mut self) -> Result<(), SinkError> {
        let (uids, ends) = self.topic.read_back(&self.ends)?;
        self.landed.extend(uids);
        self.ends = ends;
        Ok(())
    }

    fn send(&self, delivery: &Delivery) -> Result<(), KafkaError> {
        let mut headers = OwnedHeaders::new().insert(Header { key: UID, value: Some(&delivery.uid) });
        for (key, value) in &delivery.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut record = BaseRecord::to(&self.topic.name).payload(&delivery.body).headers(headers);
        if let Some(key) = &delivery.key {
            record = record.key(key);
        }
        self.producer.send(record).map_err(|(error, _)| error)
    }

    /// Sends all and waits for a report on each: librdkafka promises one, after `message.timeout.ms` at the latest.
    fn send_all(&mut self, deliveries: &[&Delivery]) -> Result<(), SinkError> {
        let mut sent = 0;
        let mut refused = None;
        for delivery in deliveries {
            if let Err(error) = self.send(delivery) {
                refused = Some((delivery, error));
                break;
            }
            sent += 1;
        }
        while self.producer.context().count() < sent {
            self.producer.poll(Duration::from_millis(50));
        }
        let reports = self.producer.context().take();
        let failed: Vec<_> = reports.iter().filter_map(|report| report.as_ref().err()).collect();
        if let Some(&&problem) = failed.first() {
            return Err(SinkError::Unacknowledged { topic: self.topic.name.clone(), count: failed.len(), problem });
        }
        if let Some((delivery, problem)) = refused {
            return Err(match problem.rdkafka_error_code() {
                Some(code) if is_of_record(code) => self.refusal(delivery, code),
                _ => self.topic.problem(problem),
            });
        }
        for (partition, offset) in reports.into_iter().flatten() {
            let end = self.ends.entry(partition).or_default();
            *end = (*end).max(offset + 1);
        }
        Ok(())
    }

    /// Sends one by one, after brokers refused several together: they judge a batch, and only a record that is alone is known to be the reason.
    fn send_singly(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError> {
        self.settle()?;
        for delivery in deliveries {
            if self.landed.contains(&delivery.uid) {
                continue;
            }
            match self.send_all(&[delivery]) {
                Err(SinkError::Unacknowledged { problem, .. }) if is_of_record(problem) => {
                    return Err(self.refusal(delivery, problem));
                }
                sent => sent?,
            }
            // Should a later one be refused, this one comes again.
            self.landed.insert(delivery.uid.clone());
        }
        Ok(())
    }

    fn refusal(&self, delivery: &Delivery, problem: RDKafkaErrorCode) -> SinkError {
        SinkError::Refused { topic: self.topic.name.clone(), uid: delivery.uid.clone(), problem }
    }

    /// After an attempt that failed, finds out what of it has landed.
    fn settle(&mut self) -> Result<(), SinkError> {
        if self.is_unsure {
            // Whatever the old producer might still send goes with it, so what is read back is all that landed.
            self.producer = self.topic.producer()?;
            self.read_back()?;
            self.is_unsure = false;
        }
        Ok(())
    }

    fn deliver_chunk(&mut self, chunk: &[Delivery]) -> Result<(), SinkError> {
        self.settle()?;
        let fresh: Vec<&Delivery> = chunk.iter().filter(|delivery| !self.landed.contains(&delivery.uid)).collect();
        let result = match self.send_all(&fresh) {
            Err(SinkError::Unacknowledged { problem, .. }) if is_of_record(problem) => {
                self.is_unsure = true;
                self.send_singly(chunk)
            }
            result => result,
        };
        self.is_unsure |= result.is_err();
        result
    }
}

impl Sink for Open {
    fn deliver(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError> {
        for chunk in deliveries.chunks(IN_FLIGHT) {
            self.deliver_chunk(chunk)?;
            if deliveries.len() > IN_FLIGHT {
                // Should a later chunk fail, this one comes again.
                self.landed.extend(chunk.iter().map(|delivery| delivery.uid.clone()));
            }
        }
        for delivery in deliveries {
            self.landed.remove(&delivery.uid);
        }
        Ok(())
    }

    fn position(&self) -> SinkPosition {
        SinkPosition::Topic { ends: self.ends.clone(), landed: self.landed.clone() }
    }

    fn resume(&mut self, position: &SinkPosition) -> Result<(), SinkError> {
        let SinkPosition::Topic { ends, landed } = position else { return Ok(()) };
        let (uids, now) = self.topic.read_back(ends)?;
        self.landed = landed.union(&uids).cloned().collect();
        self.ends = now;
        Ok(())
    }
}

type Reader = BaseConsumer<ReaderContext>;

/// Leaves errors to whoever polls: the default would also log the end of each partition as one.
struct ReaderContext;

impl ClientContext for ReaderContext {
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for ReaderContext {}

/// Delivery reports, as they come in.
#[derive(Default)]
struct Reports(std::sync::Mutex<Vec<Report>>);

/// Where a record went (partition, offset), or why not.
type Report = Result<(i32, i64), RDKafkaErrorCode>;

impl Reports {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Report>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.lock().len()
    }

    fn take(&self) -> Vec<Report> {
        std::mem::take(&mut self.lock())
    }
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.lock().push(match result {
            Ok(record) => Ok((record.partition(), record.offset())),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)),
        });
    }
}

#[cfg(test)]
mod tests;
