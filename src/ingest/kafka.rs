//! Log records from Kafka: a member of a consumer group that never commits by itself.
//!
//! Rebalances are events among others: [`Consumer::poll`] returns them, and the group waits until the caller has answered
//! with [`Consumer::take`] or [`Consumer::release`]. So a checkpoint before a partition is given away is plain code in the
//! run loop, and no callback knows the engine.
//!
//! Memory is bounded: [`MAX_BATCH_RECORDS`] and [`MAX_BATCH_BYTES`] a batch, `queued.max.messages.kbytes` fetched ahead.
//!
//! Whether a partition was read to its end is a question to its leader ([`Consumer::ask_ends`]), never a matter of statistics.
//!
//! Not here: decoding (`decoder`), when to commit (`stream`).

mod cluster;
mod ends;
mod membership;
#[cfg(test)]
pub(crate) mod mock;
mod rights;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::BaseConsumer;
use rdkafka::consumer::{CommitMode, Consumer as _, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;

use self::ends::{ENDS_TIMEOUT, EndQuery};
use self::membership::{Change, Membership};
use super::connection::{Connection, ConnectionError, Properties};

pub use self::cluster::{Cluster, Member};
pub use self::ends::Ends;
pub use self::rights::Rights;

/// Most records in one [`Event::Records`].
pub const MAX_BATCH_RECORDS: usize = 10_000;
/// Bytes of values after which a batch takes no more records.
pub const MAX_BATCH_BYTES: usize = 32 << 20;
/// Longest time for which a batch is collected.
pub const MAX_BATCH_WAIT: Duration = Duration::from_millis(200);
/// How long a broker may take to answer with offsets at an assignment.
const OFFSETS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a broker may take to acknowledge a commit that is waited for.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long leaving the group waits for an answer that is under way.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

const DEFAULTS: &[(&str, &str)] = &[
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("queued.max.messages.kbytes", "65536"),
    ("fetch.message.max.bytes", "4194304"),
    ("fetch.wait.max.ms", "100"),
    (SESSION_TIMEOUT, DEFAULT_SESSION_TIMEOUT),
    // Source of readiness and of the lag metric.
    ("statistics.interval.ms", "1000"),
];

/// `[source.kafka]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// `host:port`, several with commas between.
    pub brokers: String,
    /// Topics to read; one that starts with `^` is a regular expression.
    pub topics: Vec<String>,
    /// The consumer group. Processes of one group share the partitions.
    #[serde(default = "default_group")]
    pub group: String,
    /// Whether all calls of a caller are in one partition: only then may several processes share a group.
    #[serde(default)]
    pub keyed_by_caller: bool,
    /// Where to start when neither a checkpoint nor the group knows.
    #[serde(default)]
    pub start: Start,
    /// librdkafka properties (`security.protocol` …).
    #[serde(default)]
    pub properties: Properties,
}

fn default_group() -> String {
    "apiwarden".to_owned()
}

/// Where to start in a partition that was never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// With the oldest record that Kafka still has.
    #[default]
    Earliest,
    /// With what comes from now on.
    Latest,
}

impl Spec {
    /// Resolves the connection; files are sought relative to `directory`. Connects to nothing.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub fn check(self, directory: &Path) -> Result<Source, ConnectionError> {
        let connection = Connection::new(&self.brokers, &self.properties, directory)?;
        let Self { topics, group, keyed_by_caller, start, .. } = self;
        Ok(Source { connection, topics, group, keyed_by_caller, start, instance: None })
    }
}

/// `[source.kafka]` as checked.
#[derive(Clone, Debug)]
pub struct Source {
    /// The cluster.
    pub connection: Connection,
    /// Topics to read.
    pub topics: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// Whether all calls of a caller are in one partition, so that several processes may share the group.
    pub keyed_by_caller: bool,
    /// Where to start when nobody knows.
    pub start: Start,
    /// The instance id of this process, if it has one: the group then knows it again after a crash, and nobody waits for the dead one to be missed.
    pub instance: Option<String>,
}

/// librdkafka's name of the instance id, which the pipeline file may set.
const INSTANCE: &str = "group.instance.id";
/// Librdkafka's name of the time after which the group gives up a member.
const SESSION_TIMEOUT: &str = "session.timeout.ms";
const DEFAULT_SESSION_TIMEOUT: &str = "45000";

impl Source {
    /// The same, read by a member that the group knows by name, unless the properties name it.
    #[must_use]
    pub fn read_by(&self, instance: &str) -> Self {
        let own = self.connection.property(INSTANCE).unwrap_or(instance);
        Self { instance: Some(own.to_owned()), ..self.clone() }
    }

    /// For how long the group keeps a member that died.
    pub fn session_timeout(&self) -> Duration {
        let text = self.connection.property(SESSION_TIMEOUT).unwrap_or(DEFAULT_SESSION_TIMEOUT);
        Duration::from_millis(text.parse().unwrap_or(45_000))
    }
}

/// A partition. Written `topic/3`, as in checkpoints and for the engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its number in the topic.
    pub number: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

impl Partition {
    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (topic, number) = text.rsplit_once('/')?;
        Some(Self { topic: topic.into(), number: number.parse().ok()? })
    }
}

/// Records of one partition, in the order of their offsets.
pub struct Batch<'a> {
    /// Where they come from.
    pub partition: Partition,
    /// Never empty. The bytes live in librdkafka's memory.
    pub records: Vec<BorrowedMessage<'a>>,
}

/// What [`Consumer::poll`] found.
pub enum Event<'a> {
    /// Records, a batch a partition.
    Records(Vec<Batch<'a>>),
    /// The group gives these partitions to us: answer with [`Consumer::take`].
    Assigned(Vec<Partition>),
    /// The group takes these away: write the checkpoint, then answer with [`Consumer::release`].
    Revoked(Vec<Partition>),
    /// Nothing for [`MAX_BATCH_WAIT`].
    Quiet,
}

/// Why reading cannot go on. Brokers that are away are no such reason.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The client could not be made, or the topics not subscribed to.
    #[error("kafka: the consumer could not start: {0}")]
    Start(#[source] KafkaError),
    /// An assignment could not be answered.
    #[error("kafka: partitions could not be taken or released: {0}")]
    Assignment(#[source] KafkaError),
    /// The offsets could not be committed.
    #[error("kafka: offsets could not be committed: {0}")]
    Commit(#[source] KafkaError),
    /// No broker acknowledged the commit in time.
    #[error("kafka: a commit was not acknowledged within {} s", COMMIT_TIMEOUT.as_secs())]
    Unacknowledged,
    /// librdkafka says that this client cannot go on.
    #[error("kafka: {0}")]
    Fatal(#[source] KafkaError),
}

/// Where reading begins in partitions that were taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Partition (`topic/3`) → its first offset, where that is settled: it belongs into the next checkpoint.
    pub begin: BTreeMap<String, i64>,
    /// Topic → records that Kafka no longer had.
    pub lost: BTreeMap<String, u64>,
    /// Records that are read again, though the group has them for read.
    pub again: i64,
}

/// A member of the consumer group. Dropping it leaves the group, unless it has an instance id: then its place is kept for its next start.
pub struct Consumer {
    /// Shared with a commit that waits, which may outlive us.
    inner: Arc<BaseConsumer<Membership>>,
    start: Start,
    is_shared: bool,
    ends: EndQuery,
}

impl Consumer {
    /// Joins the group. Brokers need not be there yet.
    ///
    /// # Errors
    /// [`ConsumerError::Start`].
    pub fn open(source: &Source) -> Result<Self, ConsumerError> {
        let reset = match source.start {
            Start::Earliest => "earliest",
            Start::Latest => "latest",
        };
        let fixed = [
            ("group.id", source.group.as_str()),
            ("auto.offset.reset", reset),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
        ];
        let instance = source.instance.iter().map(|instance| (INSTANCE, instance.as_str()));
        let defaults: Vec<_> = DEFAULTS.iter().copied().chain(instance).collect();
        let config = source.connection.client(&defaults, &fixed);
        let inner: BaseConsumer<Membership> =
            config.create_with_context(Membership::default()).map_err(ConsumerError::Start)?;
        let topics: Vec<&str> = source.topics.iter().map(String::as_str).collect();
        inner.subscribe(&topics).map_err(ConsumerError::Start)?;
        Ok(Self {
            inner: Arc::new(inner),
            start: source.start,
            is_shared: source.keyed_by_caller,
            ends: EndQuery::default(),
        })
    }

    /// The next event; waits at most [`MAX_BATCH_WAIT`].
    ///
    /// # Errors
    /// [`ConsumerError::Fatal`].
    pub fn poll(&self) -> Result<Event<'_>, ConsumerError> {
        let membership = self.inner.context();
        if let Some(change) = membership.next_change() {
            return Ok(match change {
                Change::Assigned(partitions) => Event::Assigned(partitions),
                Change::Revoked(partitions) => Event::Revoked(partitions),
            });
        }
        let deadline = Instant::now() + MAX_BATCH_WAIT;
        let (mut batches, mut records, mut bytes) = (Vec::new(), 0, 0);
        while records < MAX_BATCH_RECORDS && bytes < MAX_BATCH_BYTES {
            let left = deadline.saturating_duration_since(Instant::now());
            let callbacks = membership.callbacks();
            match self.inner.poll(left) {
                Some(Ok(message)) => {
                    records += 1;
                    bytes += message.payload_len();
                    sort_in(&mut batches, message);
                }
                Some(Err(error)) => tolerate(error)?,
                None => {
                    if membership.callbacks() == callbacks {
                        membership.drained();
                    }
                    if left.is_zero() || membership.has_change() {
                        break;
                    }
                }
            }
        }
        Ok(if batches.is_empty() { Event::Quiet } else { Event::Records(batches) })
    }

    /// Takes assigned partitions, each from where `checkpoint` left it: a committed offset beyond that is of a state that was lost, as after
    /// a backup was restored. Only where processes share the group does the furthest of both rule, since another member may have
    /// read on. Where neither knows, the configured start does.
    ///
    /// # Errors
    /// [`ConsumerError::Assignment`].
    pub fn take(&self, partitions: &[Partition], checkpoint: &BTreeMap<String, i64>) -> Result<Taken, ConsumerError> {
        let committed = self.committed(partitions);
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let mut taken = Taken::default();
        for partition in partitions {
            let key = partition.to_string();
            let ours = checkpoint.get(&key).copied();
            let theirs = committed.as_ref().and_then(|committed| committed.get(&key)).copied();
            let known = if self.is_shared { ours.max(theirs) } else { ours.or(theirs) };
            let offset = match known {
                // The broker did not answer: what is gone is not known either.
                Some(next) if committed.is_none() => Offset::Offset(next),
                Some(next) => Offset::Offset(self.oldest_from(partition, next, &mut taken)),
                // The same: librdkafka asks again, and falls back to the start by itself.
                None if committed.is_none() => Offset::Stored,
                None => self.first_offset(partition),
            };
            if let Offset::Offset(next) = offset {
                taken.again += theirs.map_or(0, |theirs| (theirs - next).max(0));
                taken.begin.insert(key, next);
            }
            list.add_partition_offset(&partition.topic, partition.number, offset).map_err(ConsumerError::Assignment)?;
        }
        self.inner.context().reassigned();
        attach(&self.inner, &list).map_err(ConsumerError::Assignment)?;
        Ok(taken)
    }

    /// `next`, or the oldest record that is still there behind it.
    fn oldest_from(&self, partition: &Partition, next: i64, taken: &mut Taken) -> i64 {
        let oldest = self.inner.fetch_watermarks(&partition.topic, partition.number, OFFSETS_TIMEOUT);
        match oldest {
            Ok((oldest, _)) if oldest > next => {
                *taken.lost.entry(partition.topic.to_string()).or_default() += (oldest - next).unsigned_abs();
                oldest
            }
            _ => next,
        }
    }

    /// Gives revoked partitions back to the group.
    ///
    /// # Errors
    /// [`ConsumerError::Assignment`].
    pub fn release(&self, partitions: &[Partition]) -> Result<(), ConsumerError> {
        self.inner.context().reassigned();
        release(&self.inner, &list_of(partitions)).map_err(ConsumerError::Assignment)
    }

    /// Commits next offsets (`topic/3` → offset) to the group; with `wait`, returns when the broker has them. What the group
    /// has already taken from us cannot be committed, and is not.
    ///
    /// # Errors
    /// [`ConsumerError::Commit`] or [`ConsumerError::Unacknowledged`]: the checkpoint still holds, so the caller may go on.
    pub fn commit(&self, offsets: &BTreeMap<String, i64>, wait: bool) -> Result<(), ConsumerError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (key, next) in offsets {
            let Some(partition) = Partition::parse(key) else { continue };
            list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*next))
                .map_err(ConsumerError::Commit)?;
        }
        if list.count() == 0 || self.inner.assignment_lost() {
            return Ok(());
        }
        if wait {
            return self.commit_and_wait(list);
        }
        self.inner.commit(&list, CommitMode::Async).map_err(ConsumerError::Commit)
    }

    /// librdkafka waits for a broker without end, so a thread does the waiting, and is left to it once it takes too long.
    fn commit_and_wait(&self, list: TopicPartitionList) -> Result<(), ConsumerError> {
        let (sender, answer) = mpsc::channel();
        let consumer = Arc::clone(&self.inner);
        std::thread::spawn(move || {
            // Nobody listens any more if it took too long.
            let _ = sender.send(consumer.commit(&list, CommitMode::Sync));
        });
        let committed = answer.recv_timeout(COMMIT_TIMEOUT).map_err(|_| ConsumerError::Unacknowledged)?;
        committed.map_err(ConsumerError::Commit)
    }

    /// Whether a broker answers and the group has settled; a second old at most while [`Consumer::poll`] is called.
    pub fn is_connected(&self) -> bool {
        self.inner.context().status().connected
    }

    /// Records that stand behind the next one to be read, for each partition (`topic/3`) whose leader answers. For metrics: it may be
    /// as old as the last statistics. Whether a partition was read to its end, [`Consumer::ends`] knows.
    pub fn lag(&self) -> BTreeMap<String, i64> {
        self.inner.context().status().lag.clone()
    }

    /// Asks the leaders where partitions end, in the background; does nothing while a question is under way. Call it when
    /// everything that [`Consumer::poll`] returned has been taken in. `read_to` holds next offsets (`topic/3` → offset; `None`
    /// where nothing was read yet and nobody knows where reading began).
    pub fn ask_ends(&self, read_to: BTreeMap<String, Option<i64>>) {
        let membership = self.inner.context();
        // Behind the last record there may be control records, which are fetched but never returned.
        let read_to = read_to
            .into_iter()
            .filter_map(|(name, next)| next.max(membership.handed_out(&name)).map(|next| (name, next)))
            .collect();
        let consumer = Arc::clone(&self.inner);
        self.ends.start(read_to, move |list| consumer.offsets_for_times(list, ENDS_TIMEOUT));
    }

    /// The answer to [`Consumer::ask_ends`], if it comes within `wait`; each is returned once.
    pub fn ends(&self, wait: Duration) -> Option<Ends> {
        self.ends.answer(wait)
    }

    fn committed(&self, partitions: &[Partition]) -> Option<BTreeMap<String, i64>> {
        match self.inner.committed_offsets(list_of(partitions), OFFSETS_TIMEOUT) {
            Ok(list) => Some(
                list.elements()
                    .iter()
                    .filter_map(|element| match element.offset() {
                        Offset::Offset(next) => Some((format!("{}/{}", element.topic(), element.partition()), next)),
                        _ => None,
                    })
                    .collect(),
            ),
            Err(error) => {
                tracing::warn!(%error, "kafka: committed offsets are not known");
                None
            }
        }
    }

    fn first_offset(&self, partition: &Partition) -> Offset {
        // A logical offset would be forgotten by a crash before the first record, and with it what came in between.
        let ends = self.inner.fetch_watermarks(&partition.topic, partition.number, OFFSETS_TIMEOUT);
        match (self.start, ends) {
            (Start::Earliest, Ok((low, _))) => Offset::Offset(low),
            (Start::Latest, Ok((_, high))) => Offset::Offset(high),
            (Start::Earliest, Err(_)) => Offset::Beginning,
            (Start::Latest, Err(_)) => Offset::End,
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // From now on nobody polls for changes, and leaving the group waits for an answer to each.
        let membership = Arc::clone(self.inner.context());
        membership.close();
        // A question under way shares the client, and only its last owner leaves the group.
        self.ends.answer(CLOSE_TIMEOUT);
        while let Some(change) = membership.next_change() {
            let answered = match change {
                Change::Assigned(partitions) => attach(&self.inner, &list_of(&partitions)),
                Change::Revoked(partitions) => release(&self.inner, &list_of(&partitions)),
            };
            warn_unanswered(answered);
        }
    }
}

fn warn_unanswered(answered: KafkaResult<()>) {
    if let Err(error) = answered {
        tracing::warn!(%error, "kafka: a rebalance was not answered while leaving the group");
    }
}

fn attach(consumer: &BaseConsumer<Membership>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        _ => consumer.assign(list),
    }
}

fn release(consumer: &BaseConsumer<Membership>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        _ => consumer.unassign(),
    }
}

fn sort_in<'a>(batches: &mut Vec<Batch<'a>>, message: BorrowedMessage<'a>) {
    let is_its = |batch: &Batch<'_>| {
        batch.partition.number == message.partition() && batch.partition.topic.as_ref() == message.topic()
    };
    // Records come in runs: the last batch is the likeliest.
    match batches.iter_mut().rev().find(|batch| is_its(batch)) {
        Some(batch) => batch.records.push(message),
        None => {
            let partition = Partition { topic: message.topic().into(), number: message.partition() };
            batches.push(Batch { partition, records: vec![message] });
        }
    }
}

/// Brokers come back, topics get created, rights get granted: only what librdkafka calls fatal ends the run.
fn tolerate(error: KafkaError) -> Result<(), ConsumerError> {
    match error {
        KafkaError::MessageConsumptionFatal(_) => Err(ConsumerError::Fatal(error)),
        _ => {
            tracing::warn!(%error, "kafka: reading failed for now");
            Ok(())
        }
    }
}

fn list_of(partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    list
}
