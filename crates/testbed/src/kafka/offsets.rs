//! Where partitions begin and end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};

use super::client::{CHANGE_LIMIT, Client, Isolation, REQUEST_LIMIT, blocking};
use crate::Result;
use crate::wait::{Seen, until};

/// Longest wait for a leader to answer for its partition, and the pause between two questions.
const LEADER_LIMIT: Duration = Duration::from_secs(20);
const LEADER_PAUSE: Duration = Duration::from_millis(20);

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The first offset that can be read.
    pub start: u64,
    /// One more than the last offset.
    pub end: u64,
}

impl Client {
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
