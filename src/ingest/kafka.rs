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
mod group;
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
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;

use self::ends::{ENDS_TIMEOUT, EndQuery};
use self::membership::{Change, Membership};
use super::connection::{Connection, ConnectionError, Properties};

pub use self::cluster::Cluster;
pub use self::ends::Ends;
pub use self::group::{Member, Sources, other_members, sources};
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

/// How long the group waits for a member that says nothing any more, where the properties do not say.
const SESSION_TIMEOUT: Duration = Duration::from_secs(45);

const DEFAULTS: &[(&str, &str)] = &[
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.message.max.bytes", "1048576"),
    ("fetch.wait.max.ms", "100"),
    ("session.timeout.ms", "45000"),
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
    /// Where to start when neither a checkpoint nor the group knows.
    #[serde(default)]
    pub start: Start,
    /// Whether all records of a caller are in one partition, so that several processes of the group may share the partitions.
    #[serde(default)]
    pub keyed_by_caller: bool,
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
        let Self { topics, group, start, keyed_by_caller, .. } = self;
        Ok(Source { connection, topics, group, start, keyed_by_caller })
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
    /// Where to start when nobody knows.
    pub start: Start,
    /// Whether several processes of the group may share the partitions.
    pub keyed_by_caller: bool,
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

/// Where [`Consumer::take`] goes on.
#[derive(Debug, Default)]
pub struct Taken {
    /// Next offset, by partition.
    pub offsets: BTreeMap<String, i64>,
    /// Records that Kafka had deleted before they were read.
    pub lost: u64,
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
    /// Another process has come into the group under our name.
    #[error(
        "kafka: another process has taken our place in the group, with a copy of this state or of its file `instance`, or the same `group.instance.id`: \
         stop one of them; what a copy is to keep is all but `instance`"
    )]
    Replaced,
    /// librdkafka says that this client cannot go on.
    #[error("kafka: {0}")]
    Fatal(#[source] KafkaError),
}

/// A member of the consumer group. Dropping it leaves the group.
pub struct Consumer {
    /// Shared with a commit that waits, which may outlive us.
    inner: Arc<BaseConsumer<Membership>>,
    start: Start,
    /// Whether no other process reads in the group.
    is_alone: bool,
    is_held: std::cell::Cell<bool>,
    /// A change that was handed out and is not answered yet: leaving the group would wait for the answer without end.
    unanswered: std::cell::RefCell<Option<Change>>,
    ends: EndQuery,
}

impl Consumer {
    /// Joins the group, under a name of its own if `instance` is one and the properties give no other. Brokers need not be there yet.
    ///
    /// # Errors
    /// [`ConsumerError::Start`].
    pub fn open(source: &Source, instance: Option<&str>) -> Result<Self, ConsumerError> {
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
        // A member by name is known again after a crash: nobody waits for the dead one to be missed.
        let by_name = instance.map(|instance| ("group.instance.id", instance));
        let defaults: Vec<_> = DEFAULTS.iter().copied().chain(by_name).collect();
        let config = source.connection.client(&defaults, &fixed);
        let inner: BaseConsumer<Membership> =
            config.create_with_context(Membership::default()).map_err(ConsumerError::Start)?;
        let topics: Vec<&str> = source.topics.iter().map(String::as_str).collect();
        inner.subscribe(&topics).map_err(ConsumerError::Start)?;
        let is_alone = !source.keyed_by_caller;
        Ok(Self {
            inner: Arc::new(inner),
            start: source.start,
            is_alone,
            is_held: std::cell::Cell::default(),
            unanswered: std::cell::RefCell::default(),
            ends: EndQuery::default(),
        })
    }

    /// The next event; waits at most [`MAX_BATCH_WAIT`].
    ///
    /// # Errors
    /// [`ConsumerError::Replaced`] or [`ConsumerError::Fatal`].
    pub fn poll(&self) -> Result<Event<'_>, ConsumerError> {
        let membership = self.inner.context();
        if let Some(change) = membership.next_change() {
            self.unanswered.replace(Some(change.clone()));
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

    /// Takes assigned partitions, each from where `checkpoint` knows to go on, else from the group's committed offset, else from the configured
    /// start. Of processes that share the partitions one may have read on since the other's checkpoint: then the furthest counts.
    /// Records that Kafka has deleted meanwhile are named and counted.
    /// Returns the offsets that were settled on: those belong into the next checkpoint.
    ///
    /// # Errors
    /// [`ConsumerError::Assignment`].
    pub fn take(&self, partitions: &[Partition], checkpoint: &BTreeMap<String, i64>) -> Result<Taken, ConsumerError> {
        let committed = self.committed(partitions);
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let mut taken = Taken::default();
        for partition in partitions {
            let key = partition.to_string();
            let (own, of_group) = (checkpoint.get(&key), committed.as_ref().and_then(|committed| committed.get(&key)));
            let known = if self.is_alone { own.or(of_group) } else { own.max(of_group) };
            if let (Some(own), Some(of_group), true) = (own, of_group, self.is_alone)
                && own < of_group
            {
                tracing::warn!(
                    partition = key,
                    own,
                    committed = of_group,
                    "the state is older than what the group committed: reading on from the state"
                );
            }
            let offset = match known {
                Some(next) => Offset::Offset(self.kept_from(partition, *next, &mut taken)),
                // The broker did not answer: librdkafka asks again, and falls back to the start by itself.
                None if committed.is_none() => Offset::Stored,
                None => self.first_offset(partition),
            };
            if let Offset::Offset(next) = offset {
                taken.offsets.insert(key, next);
            }
            list.add_partition_offset(&partition.topic, partition.number, offset).map_err(ConsumerError::Assignment)?;
        }
        self.inner.context().reassigned();
        attach(&self.inner, &list).map_err(ConsumerError::Assignment)?;
        self.unanswered.take();
        Ok(taken)
    }

    /// `next`, or the first offset that Kafka still has behind it.
    fn kept_from(&self, partition: &Partition, next: i64, taken: &mut Taken) -> i64 {
        match self.inner.fetch_watermarks(&partition.topic, partition.number, OFFSETS_TIMEOUT) {
            Ok((low, _)) if low > next => {
                let lost = low - next;
                tracing::error!(%partition, lost, next, first = low, "Kafka has deleted records that were not read yet");
                taken.lost += lost.unsigned_abs();
                low
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
        release(&self.inner, &list_of(partitions)).map_err(ConsumerError::Assignment)?;
        self.unanswered.take();
        Ok(())
    }

    /// Whether the group has given this process up and its partitions to others, until they are released.
    pub fn has_lost_partitions(&self) -> bool {
        self.inner.assignment_lost()
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

    /// Holds all partitions: they are still ours, and nothing more is read of them; or lets them go on.
    pub fn hold(&self, is_held: bool) {
        if self.is_held.replace(is_held) == is_held {
            return;
        }
        let changed = self.inner.assignment().and_then(|assigned| match is_held {
            true => self.inner.pause(&assigned),
            false => self.inner.resume(&assigned),
        });
        tracing::warn!(is_held, "kafka: reading is held while alerts wait for a sink");
        if let Err(error) = changed {
            tracing::warn!(%error, "kafka: partitions could not be held or let go");
            self.is_held.set(!is_held);
        }
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
        let unanswered = self.unanswered.take().into_iter().chain(std::iter::from_fn(|| membership.next_change()));
        for change in unanswered {
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
        KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId) => Err(ConsumerError::Replaced),
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
