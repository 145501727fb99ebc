//! A client of a cluster, and what it can see of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::client::{Client as Native, DefaultClientContext};
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::topics::Placed;
use crate::{Error, Result};

/// Longest wait for the answer to a request.
pub(super) const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for one look at the metadata.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// Longest wait for a change to be seen, or for records to arrive.
pub(super) const CHANGE_LIMIT: Duration = Duration::from_secs(120);

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

/// A list of one partition.
pub(super) fn one(topic: &str, partition: i32, offset: Offset) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition, offset)?;
    Ok(list)
}

pub(super) fn offset(offset: u64) -> Offset {
    Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}
