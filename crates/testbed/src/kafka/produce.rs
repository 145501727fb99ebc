//! Writing records: one by one, in bulk, in transactions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, NoCustomPartitioner, Producer, ProducerContext};

use super::client::{Client, REQUEST_LIMIT, blocking};
use super::record::Record;
use crate::{Error, Result};

/// Longest wait until everything that was handed over is written.
const FLUSH_LIMIT: Duration = Duration::from_secs(300);
/// Waited for room in a full queue, at a time.
const ROOM_WAIT: Duration = Duration::from_millis(20);
/// Records between two looks at what was written.
const POLL_RECORDS: u64 = 1000;

/// Where a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: u64,
}

/// What the broker said about records.
#[derive(Default)]
struct Written {
    outcome: Mutex<Outcome>,
}

#[derive(Default)]
struct Outcome {
    places: Vec<Option<Place>>,
    count: u64,
    error: Option<KafkaError>,
}

/// A record whose place nobody wants to know.
const NO_PLACE: usize = usize::MAX;

impl ClientContext for Written {}

impl ProducerContext<NoCustomPartitioner> for Written {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => {
                outcome.count += 1;
                let offset = message.offset().try_into().unwrap_or_default();
                if let Some(place) = outcome.places.get_mut(index) {
                    *place = Some(Place { partition: message.partition(), offset });
                }
            }
            Err((error, _)) => outcome.error = outcome.error.take().or_else(|| Some(error.clone())),
        }
    }
}

type Writer = BaseProducer<Written>;

impl Client {
    /// Writes records, in their order within each partition, and returns their places in the same order.
    ///
    /// # Errors
    /// [`Error::Kafka`] with the first error of a record; some may have been written.
    pub async fn produce(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = Record> + Send + 'static,
    ) -> Result<Vec<Place>> {
        let (writer, topic) = (writer(self.config())?, topic.to_owned());
        blocking(format!("write to {topic}"), move || send_all(&writer, &topic, records)).await
    }

    /// Writes this many records quickly: keys of 8 bytes that count from `first` on, values of `value_bytes` that do not
    /// compress, one partition after another. The same records whoever asks again.
    ///
    /// # Errors
    /// As [`Self::produce`].
    pub async fn fill(&self, topic: &str, first: u64, records: u64, value_bytes: usize) -> Result<()> {
        let partitions = self.partitions(topic).await?.len().max(1) as u64;
        let (writer, topic) = (writer(self.config())?, topic.to_owned());
        blocking(format!("fill {topic}"), move || {
            let mut value = vec![0; value_bytes];
            for number in first..first.saturating_add(records) {
                value_of(number, &mut value);
                let key = number.to_be_bytes();
                let partition = i32::try_from(number % partitions).unwrap_or_default();
                let record = BaseRecord::with_opaque_to(&topic, NO_PLACE).partition(partition);
                send(&writer, record.key(&key[..]).payload(value.as_slice()))?;
                if number % POLL_RECORDS == 0 {
                    writer.poll(Duration::ZERO);
                }
            }
            finish(&writer).map(|_| ())
        })
        .await
    }

    /// Begins a transaction under this id, and fences an older producer of the same id.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the cluster refuses.
    pub async fn transaction(&self, id: &str) -> Result<Transaction> {
        let mut config = self.config().clone();
        config.set("transactional.id", id).set("transaction.timeout.ms", "600000");
        let writer = Arc::new(writer(&config)?);
        let transaction = Transaction { writer: writer.clone(), id: id.to_owned() };
        let begin = move || {
            writer.init_transactions(REQUEST_LIMIT)?;
            writer.begin_transaction()
        };
        blocking(format!("begin the transaction {id}"), begin).await?;
        Ok(transaction)
    }
}

/// The value of the record of that number in [`Client::fill`].
pub fn value_of(number: u64, value: &mut [u8]) {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for chunk in value.chunks_mut(8) {
        // Marsaglia's xorshift64: quick, and nothing that a codec could shorten.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        for (byte, random) in chunk.iter_mut().zip(state.to_le_bytes()) {
            *byte = random;
        }
    }
}

/// An open transaction. Dropping it leaves it open on the broker, for ten minutes or until its id is used again.
pub struct Transaction {
    writer: Arc<Writer>,
    id: String,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Transaction {
    /// Writes records, which are in the log when this returns.
    ///
    /// # Errors
    /// As [`Client::produce`].
    pub async fn produce(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = Record> + Send + 'static,
    ) -> Result<Vec<Place>> {
        let (writer, topic) = (self.writer.clone(), topic.to_owned());
        let doing = format!("write to {topic} in the transaction {}", self.id);
        blocking(doing, move || send_all(&writer, &topic, records)).await
    }

    /// Commits it, which appends one marker to each partition written to. The next call begins another one.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the cluster refuses.
    pub async fn commit(self) -> Result<()> {
        let (writer, doing) = (self.writer, format!("commit the transaction {}", self.id));
        blocking(doing, move || writer.commit_transaction(REQUEST_LIMIT)).await
    }

    /// Aborts it, which appends one marker to each partition written to.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn abort(self) -> Result<()> {
        let (writer, doing) = (self.writer, format!("abort the transaction {}", self.id));
        blocking(doing, move || writer.abort_transaction(REQUEST_LIMIT)).await
    }
}

/// In order and without duplicates, whatever happens to connections.
fn writer(config: &ClientConfig) -> Result<Writer> {
    let mut all = config.clone();
    for (name, value) in [
        ("enable.idempotence", "true"),
        ("linger.ms", "5"),
        ("batch.size", "1000000"),
        ("queue.buffering.max.messages", "500000"),
        ("message.max.bytes", "20000000"),
    ] {
        if config.get(name).is_none() {
            all.set(name, value);
        }
    }
    all.create_with_context(Written::default()).map_err(Error::kafka("make a Kafka producer"))
}

fn send_all(writer: &Writer, topic: &str, records: impl IntoIterator<Item = Record>) -> KafkaResult<Vec<Place>> {
    *writer.context().outcome.lock().unwrap_or_else(PoisonError::into_inner) = Outcome::default();
    for (index, record) in records.into_iter().enumerate() {
        writer.context().outcome.lock().unwrap_or_else(PoisonError::into_inner).places.push(None);
        let mut base = BaseRecord::with_opaque_to(topic, index);
        base.partition = record.partition;
        base.timestamp = record.timestamp;
        base.key = record.key.as_deref();
        base.payload = record.value.as_deref();
        base.headers = record.owned_headers();
        send(writer, base)?;
        writer.poll(Duration::ZERO);
    }
    let places = finish(writer)?.places;
    // A record without a place was neither written nor refused.
    places.into_iter().collect::<Option<_>>().ok_or(KafkaError::Flush(RDKafkaErrorCode::MessageTimedOut))
}

/// Hands one record over; waits where the queue is full.
fn send(writer: &Writer, mut record: BaseRecord<'_, [u8], [u8], usize>) -> KafkaResult<()> {
    let deadline = Instant::now() + FLUSH_LIMIT;
    loop {
        match writer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) if Instant::now() < deadline => {
                record = again;
                writer.poll(ROOM_WAIT);
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Waits until everything is written.
fn finish(writer: &Writer) -> KafkaResult<Outcome> {
    writer.flush(FLUSH_LIMIT)?;
    let mut outcome = writer.context().outcome.lock().unwrap_or_else(PoisonError::into_inner);
    let mut outcome = std::mem::take(&mut *outcome);
    let Some(error) = outcome.error.take() else { return Ok(outcome) };
    // After an error of the producer as a whole, its records only say that they were dropped.
    Err(writer.client().fatal_error().map_or(error, |(code, _)| KafkaError::MessageProduction(code)))
}
