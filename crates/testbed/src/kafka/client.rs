//! What tests do with a cluster besides writing and reading records: topics, settings, offsets, places.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::{Client as Native, DefaultClientContext};
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::wait::{Seen, until};
use crate::{Error, Result};

/// Longest wait for the answer to a request.
pub(super) const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for one look at the metadata.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// Longest wait for a leader to answer for its partition, and the pause between two questions.
const LEADER_LIMIT: Duration = Duration::from_secs(20);
const LEADER_PAUSE: Duration = Duration::from_millis(20);
/// Longest wait for a change to be seen, or for records to arrive.
pub(super) const CHANGE_LIMIT: Duration = Duration::from_secs(60);

/// A client of one cluster. Clones share its connections. What it does runs beside the tasks of the test.
#[derive(Clone)]
pub struct Client {
    config: ClientConfig,
    admin: Arc<AdminClient<DefaultClientContext>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("bootstrap", &self.config.get("bootstrap.servers")).finish_non_exhaustive()
    }
}

/// Which records are read, or counted as the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Also those of open and aborted transactions.
    Uncommitted,
    /// Only those of committed transactions, up to the first open one.
    Committed,
}

impl Isolation {
    fn name(self) -> &'static str {
        match self {
            Self::Uncommitted => "read_uncommitted",
            Self::Committed => "read_committed",
        }
    }
}

/// A topic to be made: one partition with one replica, unless said otherwise.
#[derive(Debug, Clone)]
pub struct Topic {
    name: String,
    partitions: i32,
    replicas: i32,
    places: Vec<Vec<i32>>,
    settings: Vec<(String, String)>,
}

impl Topic {
    /// A topic of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), partitions: 1, replicas: 1, places: Vec::new(), settings: Vec::new() }
    }

    /// So many partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = partitions;
        self
    }

    /// Each partition on so many brokers.
    #[must_use]
    pub fn replicas(mut self, replicas: i32) -> Self {
        self.replicas = replicas;
        self
    }

    /// One more partition, on these brokers, of which the first is to lead. Partitions and replicas given otherwise do
    /// not count then.
    #[must_use]
    pub fn on(mut self, brokers: &[i32]) -> Self {
        self.places.push(brokers.to_vec());
        self
    }

    /// Sets a property of the topic.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Where a partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The broker that leads it, where one does.
    pub leader: Option<i32>,
    /// The brokers that are to have it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync, in ascending order.
    pub in_sync: Vec<i32>,
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The first offset that can be read.
    pub start: u64,
    /// One more than the last offset.
    pub end: u64,
}

impl Client {
    /// A client that connects in plain text.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the library refuses to make one.
    pub fn new(bootstrap: &str) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap);
        // Brokers come and go here: look for them again soon.
        config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "250");
        config.set("client.id", "paritas-testbed");
        Self::from_config(config)
    }

    fn from_config(config: ClientConfig) -> Result<Self> {
        let admin = AdminClient::from_config(&config).map_err(Error::kafka("make a Kafka client"))?;
        Ok(Self { config, admin: Arc::new(admin) })
    }

    /// A client of its own with more of librdkafka's settings.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(&self, settings: &[(&str, &str)]) -> Result<Self> {
        let mut config = self.config.clone();
        for (name, value) in settings {
            config.set(*name, *value);
        }
        Self::from_config(config)
    }

    /// librdkafka's settings of this client, for what the test bed has no words for.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    pub(super) fn admin(&self) -> &AdminClient<DefaultClientContext> {
        &self.admin
    }

    /// Runs a call that waits on a thread for such calls.
    async fn blocking<T: Send + 'static>(
        &self,
        doing: impl Into<String>,
        call: impl FnOnce(&Native<DefaultClientContext>) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T> {
        let admin = self.admin.clone();
        blocking(doing, move || call(admin.inner())).await
    }

    /// The brokers that the cluster lists.
    ///
    /// # Errors
    /// [`Error::Kafka`] when no broker answers.
    pub async fn broker_ids(&self) -> Result<BTreeSet<u32>> {
        self.blocking("list the brokers", |native| {
            let metadata = native.fetch_metadata(None, LOOK_LIMIT)?;
            Ok(metadata.brokers().iter().filter_map(|broker| broker.id().try_into().ok()).collect())
        })
        .await
    }

    /// All topics, with where their partitions are.
    ///
    /// # Errors
    /// [`Error::Kafka`] when no broker answers.
    pub async fn topics(&self) -> Result<BTreeMap<String, Vec<Placed>>> {
        self.blocking("list the topics", |native| {
            let metadata = native.fetch_metadata(None, REQUEST_LIMIT)?;
            let sorted = |brokers: &[i32]| BTreeSet::from_iter(brokers.iter().copied()).into_iter().collect();
            let topics = metadata.topics().iter().map(|topic| {
                let placed = topic.partitions().iter().map(|partition| Placed {
                    leader: Some(partition.leader()).filter(|leader| *leader >= 0),
                    replicas: partition.replicas().to_vec(),
                    in_sync: sorted(partition.isr()),
                });
                (topic.name().to_owned(), placed.collect())
            });
            Ok(topics.collect())
        })
        .await
    }

    /// Where the partitions of a topic are; none when there is no such topic.
    ///
    /// # Errors
    /// [`Error::Kafka`] when no broker answers.
    pub async fn partitions(&self, topic: &str) -> Result<Vec<Placed>> {
        Ok(self.topics().await?.remove(topic).unwrap_or_default())
    }

    /// Makes a topic, and waits until each of its partitions has a leader.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the cluster refuses; [`Error::TimedOut`].
    pub async fn create(&self, topic: &Topic) -> Result<()> {
        let places: Vec<&[i32]> = topic.places.iter().map(Vec::as_slice).collect();
        let partitions = if places.is_empty() { topic.partitions } else { i32::try_from(places.len()).unwrap_or(0) };
        let replication = match places.as_slice() {
            [] => TopicReplication::Fixed(topic.replicas),
            places => TopicReplication::Variable(places),
        };
        let mut new = NewTopic::new(&topic.name, partitions, replication);
        for (name, value) in &topic.settings {
            new = new.set(name, value);
        }
        let doing = format!("make the topic {}", topic.name);
        each(&doing, self.admin.create_topics([&new], &options()).await)?;
        let count = usize::try_from(partitions).unwrap_or(0);
        self.wait_placed(&topic.name, |placed| placed.len() == count && placed.iter().all(|p| p.leader.is_some())).await
    }

    /// Deletes a topic, and waits until it is gone.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn delete(&self, topic: &str) -> Result<()> {
        each(&format!("delete the topic {topic}"), self.admin.delete_topics(&[topic], &options()).await)?;
        self.wait_placed(topic, <[Placed]>::is_empty).await
    }

    /// Gives a topic more partitions, `partitions` in all, and waits for them.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn add_partitions(&self, topic: &str, partitions: usize) -> Result<()> {
        let new = NewPartitions::new(topic, partitions);
        each(&format!("add partitions to {topic}"), self.admin.create_partitions([&new], &options()).await)?;
        self.wait_placed(topic, |placed| placed.len() == partitions && placed.iter().all(|p| p.leader.is_some())).await
    }

    /// Waits until the partitions of a topic (none: there is no such topic) are as wanted.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with where they are.
    pub async fn wait_placed(&self, topic: &str, wanted: impl Fn(&[Placed]) -> bool) -> Result<()> {
        until(&format!("the wanted state of topic {topic}"), CHANGE_LIMIT, async || {
            let placed = self.partitions(topic).await?;
            Ok(if wanted(&placed) { Seen::Done(()) } else { Seen::NotYet(format!("{placed:?}")) })
        })
        .await
    }

    /// Deletes the records of a partition before this offset.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the cluster refuses.
    pub async fn delete_records(&self, topic: &str, partition: i32, before: u64) -> Result<()> {
        let doing = format!("delete records of {topic}/{partition} before {before}");
        let list = one(topic, partition, offset(before)).map_err(Error::kafka(doing.as_str()))?;
        let done = self.admin.delete_records(&list, &options()).await.map_err(Error::kafka(doing.as_str()))?;
        done.elements().iter().try_for_each(TopicPartitionListElem::error).map_err(Error::kafka(doing))
    }

    /// Sets properties of a topic, leaves the others as they are, and waits until brokers know them.
    ///
    /// # Errors
    /// As [`Self::delete_records`].
    pub async fn alter(&self, topic: &str, settings: &[(&str, &str)]) -> Result<()> {
        let doing = format!("set properties of {topic}");
        let mut all = self.settings(topic).await?;
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        // The request takes away what it does not name.
        let alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let alter = all.iter().fold(alter, |alter, (name, value)| alter.set(name, value));
        let done = self.admin.alter_configs([&alter], &options()).await.map_err(Error::kafka(doing.as_str()))?;
        let failed = done.into_iter().find_map(std::result::Result::err);
        failed.map_or(Ok(()), |(_, code)| Err(Error::kafka(doing)(KafkaError::AdminOp(code))))?;
        until(&format!("the new properties of {topic}"), CHANGE_LIMIT, async || {
            let now = self.settings(topic).await?;
            Ok(if now == all { Seen::Done(()) } else { Seen::NotYet(format!("{now:?}")) })
        })
        .await
    }

    /// The properties that were set for a topic itself.
    ///
    /// # Errors
    /// As [`Self::delete_records`].
    pub async fn settings(&self, topic: &str) -> Result<BTreeMap<String, String>> {
        let doing = format!("read the properties of {topic}");
        let wanted = ResourceSpecifier::Topic(topic);
        let found = self.admin.describe_configs([&wanted], &options()).await.map_err(Error::kafka(doing.as_str()))?;
        let mut own = BTreeMap::new();
        for resource in found {
            let resource = resource.map_err(KafkaError::AdminOp).map_err(Error::kafka(doing.as_str()))?;
            let set = resource.entries.into_iter().filter(|e| e.source == rdkafka::admin::ConfigSource::DynamicTopic);
            own.extend(set.filter_map(|entry| Some((entry.name, entry.value?))));
        }
        Ok(own)
    }

    /// Where the partitions of a topic begin and end.
    ///
    /// # Errors
    /// [`Error::Kafka`] when there is no such topic, or a partition that stays without a leader.
    pub async fn ends(&self, topic: &str, isolation: Isolation) -> Result<Vec<Ends>> {
        let (consumer, topic) = (self.consumer(isolation)?, topic.to_owned());
        blocking(format!("find the ends of {topic}"), move || {
            let metadata = consumer.fetch_metadata(Some(&topic), REQUEST_LIMIT)?;
            if let Some(code) = metadata.topics().iter().find_map(MetadataTopic::error) {
                return Err(KafkaError::MetadataFetch(code.into()));
            }
            let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id);
            let partitions = BTreeSet::from_iter(partitions);
            if partitions.is_empty() {
                return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
            }
            let ends = partitions.into_iter().map(|partition| {
                let (low, high) = watermarks(&consumer, &topic, partition)?;
                Ok(Ends { start: low.try_into().unwrap_or_default(), end: high.try_into().unwrap_or_default() })
            });
            ends.collect()
        })
        .await
    }

    /// Waits until a partition has at least this end (of all its records), and returns it. The topic may be made
    /// meanwhile.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with the last end seen.
    pub async fn wait_end(&self, topic: &str, partition: usize, end: u64) -> Result<u64> {
        until(&format!("offset {end} of {topic}/{partition}"), CHANGE_LIMIT, async || {
            let ends = match self.partitions(topic).await?.len() > partition {
                true => self.ends(topic, Isolation::Uncommitted).await,
                false => Ok(Vec::new()),
            };
            Ok(match ends.as_ref().ok().and_then(|ends| ends.get(partition)) {
                Some(found) if found.end >= end => Seen::Done(found.end),
                _ => Seen::NotYet(format!("{ends:?}")),
            })
        })
        .await
    }

    /// A consumer without a group of its own.
    pub(super) fn consumer(&self, isolation: Isolation) -> Result<BaseConsumer> {
        let mut config = self.config.clone();
        config.set("isolation.level", isolation.name()).set("enable.partition.eof", "true");
        config.set("group.id", "paritas-testbed-reader").set("enable.auto.commit", "false");
        config.set("auto.offset.reset", "error").set("fetch.wait.max.ms", "50");
        config.create().map_err(Error::kafka("make a Kafka consumer"))
    }
}

/// Runs a call that waits on a thread for such calls.
pub(super) async fn blocking<T: Send + 'static>(
    doing: impl Into<String>,
    call: impl FnOnce() -> KafkaResult<T> + Send + 'static,
) -> Result<T> {
    let doing = doing.into();
    match tokio::task::spawn_blocking(call).await {
        Ok(done) => done.map_err(Error::kafka(doing)),
        Err(error) => Err(Error::Unfit { what: format!("{doing}: {error}"), hint: "look for a panic above" }),
    }
}

/// Asks again where a leader does not know yet that it is one.
fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
    let deadline = Instant::now() + LEADER_LIMIT;
    loop {
        match consumer.fetch_watermarks(topic, partition, REQUEST_LIMIT) {
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition,
            )) if Instant::now() < deadline => std::thread::sleep(LEADER_PAUSE),
            other => return other,
        }
    }
}

/// A list of one partition.
pub(super) fn one(topic: &str, partition: i32, offset: Offset) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition, offset)?;
    Ok(list)
}

pub(super) fn offset(offset: u64) -> Offset {
    Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_LIMIT)).operation_timeout(Some(REQUEST_LIMIT))
}

type Each = KafkaResult<Vec<std::result::Result<String, (String, RDKafkaErrorCode)>>>;

/// The first error of a request about several things.
fn each(doing: &str, done: Each) -> Result<()> {
    let failed = done.map_err(Error::kafka(doing))?.into_iter().find_map(std::result::Result::err);
    failed.map_or(Ok(()), |(_, code)| Err(Error::kafka(doing)(KafkaError::AdminOp(code))))
}
