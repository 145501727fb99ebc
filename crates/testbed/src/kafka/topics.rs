//! Topics: made, changed, deleted, and where their partitions are.

use std::collections::BTreeMap;

use rdkafka::admin::{
    AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;

use super::client::{CHANGE_LIMIT, Client, REQUEST_LIMIT, offset, one};
use crate::wait::{Seen, until};
use crate::{Error, Result};

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

impl Client {
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
        each(&doing, self.admin().create_topics([&new], &options()).await)?;
        let count = usize::try_from(partitions).unwrap_or(0);
        self.wait_placed(&topic.name, |placed| placed.len() == count && placed.iter().all(|p| p.leader.is_some())).await
    }

    /// Deletes a topic, and waits until it is gone.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn delete(&self, topic: &str) -> Result<()> {
        each(&format!("delete the topic {topic}"), self.admin().delete_topics(&[topic], &options()).await)?;
        self.wait_placed(topic, <[Placed]>::is_empty).await
    }

    /// Gives a topic more partitions, `partitions` in all, and waits for them.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn add_partitions(&self, topic: &str, partitions: usize) -> Result<()> {
        let new = NewPartitions::new(topic, partitions);
        each(&format!("add partitions to {topic}"), self.admin().create_partitions([&new], &options()).await)?;
        self.wait_placed(topic, |placed| placed.len() == partitions && placed.iter().all(|p| p.leader.is_some())).await
    }

    /// Waits until the partitions of a topic (none: there is no such topic) are as wanted.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with where they are.
    pub async fn wait_placed(&self, topic: &str, wanted: impl Fn(&[Placed]) -> bool) -> Result<()> {
        until(&format!("the wanted state of topic {topic}"), CHANGE_LIMIT, async || {
            Ok(match self.partitions(topic).await {
                Ok(placed) if wanted(&placed) => Seen::Done(()),
                Ok(placed) => Seen::NotYet(format!("{placed:?}")),
                // A broker that was just killed or comes back answers late.
                Err(error @ Error::Kafka { .. }) => Seen::NotYet(error.to_string()),
                Err(error) => return Err(error),
            })
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
        let done = self.admin().delete_records(&list, &options()).await.map_err(Error::kafka(doing.as_str()))?;
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
        let done = self.admin().alter_configs([&alter], &options()).await.map_err(Error::kafka(doing.as_str()))?;
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
        let found = self.admin().describe_configs([&wanted], &options()).await.map_err(Error::kafka(doing.as_str()))?;
        let mut own = BTreeMap::new();
        for resource in found {
            let resource = resource.map_err(KafkaError::AdminOp).map_err(Error::kafka(doing.as_str()))?;
            let set = resource.entries.into_iter().filter(|e| e.source == ConfigSource::DynamicTopic);
            own.extend(set.filter_map(|entry| Some((entry.name, entry.value?))));
        }
        Ok(own)
    }
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
