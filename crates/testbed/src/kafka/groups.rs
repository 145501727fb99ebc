//! Groups of readers: what they commit, and members that read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};

use super::client::{CHANGE_LIMIT, Client, REQUEST_LIMIT, blocking, offset};
use super::read::{POLL_WAIT, is_passing, timed_out};
use super::record::Stored;
use crate::wait::{Seen, until};
use crate::{Error, Result};

impl Client {
    /// Commits offsets of a topic's partitions for a group that has no members: the next record that it wants.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the cluster refuses, for example because the group has members.
    pub async fn commit(&self, group: &str, topic: &str, offsets: &[(i32, u64)]) -> Result<()> {
        let noted: Vec<_> = offsets.iter().map(|(partition, offset)| (*partition, *offset, String::new())).collect();
        self.commit_noted(group, topic, noted).await
    }

    /// As [`Self::commit`], with what the group notes beside each offset.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_noted(&self, group: &str, topic: &str, offsets: Vec<(i32, u64, String)>) -> Result<()> {
        let consumer = self.of_group(group, &[])?;
        let topic = topic.to_owned();
        blocking(format!("commit offsets of group {group}"), move || {
            let mut list = TopicPartitionList::with_capacity(offsets.len());
            for (partition, at, note) in offsets {
                let mut element = list.add_partition(&topic, partition);
                element.set_offset(offset(at))?;
                element.set_metadata(note);
            }
            consumer.commit(&list, CommitMode::Sync)
        })
        .await
    }

    /// The offsets that a group has committed for a topic; partitions without one are absent.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the cluster refuses, or when there is no such topic.
    pub async fn committed(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, u64>> {
        let partitions = self.partitions(topic).await?.len();
        let consumer = self.of_group(group, &[])?;
        let topic = topic.to_owned();
        blocking(format!("read the offsets of group {group}"), move || {
            let mut list = TopicPartitionList::new();
            list.add_partition_range(&topic, 0, i32::try_from(partitions).unwrap_or_default() - 1);
            let found = consumer.committed_offsets(list, REQUEST_LIMIT)?;
            let known = |raw: Option<i64>| raw.and_then(|raw| u64::try_from(raw).ok());
            let all = found.elements();
            Ok(all.iter().filter_map(|one| Some((one.partition(), known(one.offset().to_raw())?))).collect())
        })
        .await
    }

    /// Waits until a group's committed offsets of a topic are as wanted, and returns them. The topic may be made
    /// meanwhile.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with what they are.
    pub async fn wait_committed(
        &self,
        group: &str,
        topic: &str,
        wanted: impl Fn(&BTreeMap<i32, u64>) -> bool,
    ) -> Result<BTreeMap<i32, u64>> {
        until(&format!("the wanted offsets of group {group} for {topic}"), CHANGE_LIMIT, async || {
            let there = !self.partitions(topic).await?.is_empty();
            let offsets = if there { self.committed(group, topic).await? } else { BTreeMap::new() };
            Ok(if wanted(&offsets) { Seen::Done(offsets) } else { Seen::NotYet(format!("{offsets:?}")) })
        })
        .await
    }

    /// Deletes a group that has no members.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the cluster refuses.
    pub async fn delete_group(&self, group: &str) -> Result<()> {
        let doing = format!("delete the group {group}");
        let options = AdminOptions::new().request_timeout(Some(REQUEST_LIMIT));
        let done = self.admin().delete_groups(&[group], &options).await.map_err(Error::kafka(doing.as_str()))?;
        let failed = done.into_iter().find_map(std::result::Result::err);
        failed.map_or(Ok(()), |(_, code)| Err(Error::kafka(doing)(KafkaError::AdminOp(code))))
    }

    /// Joins a group that reads these topics from their beginning, or from what the group has committed. Partitions are
    /// given to it while it reads.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the library refuses.
    pub fn join(&self, group: &str, topics: &[&str]) -> Result<Member> {
        let consumer = self.of_group(group, &[("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "1000")])?;
        consumer.subscribe(topics).map_err(Error::kafka(format!("join the group {group}")))?;
        Ok(Member { consumer: Arc::new(consumer), group: group.to_owned() })
    }

    fn of_group(&self, group: &str, more: &[(&str, &str)]) -> Result<BaseConsumer> {
        let mut config = self.config().clone();
        config.set("group.id", group).set("enable.auto.commit", "false");
        config.set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "50");
        for (name, value) in more {
            config.set(*name, *value);
        }
        config.create().map_err(Error::kafka("make a Kafka consumer"))
    }
}

/// A member of a group. Dropping it leaves the group.
#[derive(Clone)]
pub struct Member {
    consumer: Arc<BaseConsumer>,
    group: String,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Member {
    /// Reads this many records from what it was given.
    ///
    /// # Errors
    /// [`Error::Kafka`] when reading fails, or when nothing comes any more.
    pub async fn read(&self, records: usize) -> Result<Vec<Stored>> {
        let consumer = self.consumer.clone();
        blocking(format!("read {records} records as a member of group {}", self.group), move || {
            let mut read = Vec::new();
            let mut deadline = Instant::now() + CHANGE_LIMIT;
            while read.len() < records {
                match consumer.poll(POLL_WAIT) {
                    Some(Ok(message)) => {
                        read.push(Stored::from_message(&message));
                        deadline = Instant::now() + CHANGE_LIMIT;
                    }
                    Some(Err(error)) if !is_passing(&error) => return Err(error),
                    _ if Instant::now() >= deadline => return timed_out(),
                    _ => {}
                }
            }
            Ok(read)
        })
        .await
    }

    /// Commits what it has read so far.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the cluster refuses.
    pub async fn commit(&self) -> Result<()> {
        let consumer = self.consumer.clone();
        let commit = move || -> KafkaResult<()> { consumer.commit_consumer_state(CommitMode::Sync) };
        blocking(format!("commit as a member of group {}", self.group), commit).await
    }
}
