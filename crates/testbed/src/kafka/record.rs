//! Records as tests make them and read them back.

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders, Timestamp};

/// Headers in their order; names may repeat.
pub type HeaderList = Vec<(String, Option<Vec<u8>>)>;

/// A record to be written. In keys, values and headers, `None` and an empty one are different things.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The partition; by the key where there is none.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; none in a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: HeaderList,
    /// Milliseconds since 1970; now where there is none.
    pub timestamp: Option<i64>,
}

impl Record {
    /// A record with key and value.
    #[must_use]
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), value: Some(value.into()), ..Self::default() }
    }

    /// A record without a key.
    #[must_use]
    pub fn of(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// A record without a value: in a compacted topic, the end of its key.
    #[must_use]
    pub fn tombstone(key: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), ..Self::default() }
    }

    /// Puts it into this partition.
    #[must_use]
    pub fn on(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Gives it this time, in milliseconds since 1970. Topics keep records for 7 days by their times: set
    /// `retention.ms` to -1 where older ones shall stay.
    #[must_use]
    pub fn at(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Adds a header after those that it has.
    #[must_use]
    pub fn header(mut self, name: &str, value: Option<&[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.map(<[u8]>::to_vec)));
        self
    }

    pub(super) fn owned_headers(&self) -> Option<OwnedHeaders> {
        if self.headers.is_empty() {
            return None;
        }
        let empty = OwnedHeaders::new_with_capacity(self.headers.len());
        let all = self.headers.iter();
        Some(all.fold(empty, |all, (key, value)| all.insert(Header { key, value: value.as_ref() })))
    }
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The partition.
    pub partition: i32,
    /// Where it stands in the partition.
    pub offset: u64,
    /// Milliseconds since 1970, where it has a time.
    pub timestamp: Option<i64>,
    /// Whether the broker set that time when it appended the record.
    pub appended: bool,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: HeaderList,
}

impl Stored {
    pub(super) fn from_message(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Self {
            partition: message.partition(),
            offset: u64::try_from(message.offset()).unwrap_or_default(),
            timestamp: message.timestamp().to_millis(),
            appended: matches!(message.timestamp(), Timestamp::LogAppendTime(_)),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
        }
    }

    /// The record without its place: to be written again, or compared with one of another cluster.
    #[must_use]
    pub fn record(&self) -> Record {
        let Self { partition, timestamp, key, value, headers, .. } = self.clone();
        Record { partition: Some(partition), key, value, headers, timestamp }
    }
}
