//! Reading records back.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;

use super::client::{CHANGE_LIMIT, Client, Isolation, blocking, one};
use super::record::Stored;
use crate::Result;

/// Waited for a record at a time.
pub(super) const POLL_WAIT: Duration = Duration::from_millis(200);

impl Client {
    /// All records of a partition that are there now, in their order.
    ///
    /// # Errors
    /// [`crate::Error::Kafka`] when there is no such partition, or when its end is not reached.
    pub async fn read(&self, topic: &str, partition: i32, isolation: Isolation) -> Result<Vec<Stored>> {
        let consumer = self.consumer(isolation)?;
        let topic = topic.to_owned();
        blocking(format!("read {topic}/{partition}"), move || {
            consumer.assign(&one(&topic, partition, Offset::Beginning)?)?;
            let mut records = Vec::new();
            let mut deadline = Instant::now() + CHANGE_LIMIT;
            loop {
                match consumer.poll(POLL_WAIT) {
                    Some(Ok(message)) => {
                        records.push(Stored::from_message(&message));
                        deadline = Instant::now() + CHANGE_LIMIT;
                    }
                    Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
                    // The library wants a group, which is of no use here, and asks for it.
                    Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::GroupAuthorizationFailed))) => {}
                    Some(Err(error)) if !is_passing(&error) => return Err(error),
                    _ if Instant::now() >= deadline => return timed_out(),
                    // The library waits in silence for a topic that it may not see.
                    _ => check(&consumer, &topic)?,
                }
            }
        })
        .await
    }

    /// All records of a topic that are there now, partition by partition.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_all(&self, topic: &str, isolation: Isolation) -> Result<Vec<Stored>> {
        let mut all = Vec::new();
        for partition in 0..self.ends(topic, isolation).await?.len() {
            all.extend(self.read(topic, i32::try_from(partition).unwrap_or_default(), isolation).await?);
        }
        Ok(all)
    }
}

/// What the brokers say about a topic, where they answer.
fn check(consumer: &BaseConsumer, topic: &str) -> KafkaResult<()> {
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), POLL_WAIT) else { return Ok(()) };
    let error = metadata.topics().iter().find_map(MetadataTopic::error);
    error.map_or(Ok(()), |code| Err(KafkaError::MetadataFetch(code.into())))
}

/// Whether the library goes on by itself after this error.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    let KafkaError::MessageConsumption(code) = error else { return false };
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::Resolve
    )
}

pub(super) fn timed_out<T>() -> KafkaResult<T> {
    Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut))
}
