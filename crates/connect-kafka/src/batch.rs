//! Records of one partition, as the client received them: nothing is copied.

use crate::bindings::{Client, Message};
use paritas_connect::logs::{Record, Records};
use paritas_connect::{Error, FailureKind};
use std::cell::Cell;
use std::sync::Arc;

/// Records in a row. The client is held, because its messages must end before it does.
#[derive(Debug)]
pub(crate) struct Batch {
    messages: Vec<Message>,
    /// Bytes of keys and values.
    bytes: u64,
    /// Bytes of the headers of records that were looked at, and how many were.
    headers: Cell<(usize, u64)>,
    /// The first record whose headers cannot be read.
    unreadable: Cell<Option<u64>>,
    _client: Arc<Client>,
}

impl Batch {
    pub(crate) fn new(messages: Vec<Message>, bytes: u64, client: &Arc<Client>) -> Self {
        let (headers, unreadable) = (Cell::new((0, 0)), Cell::new(None));
        Self { messages, bytes, headers, unreadable, _client: Arc::clone(client) }
    }

    /// Bytes of keys, values, and headers as far as they were looked at.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.headers.get().1
    }

    /// The offset behind its last record.
    pub(crate) fn next(&self) -> Option<u64> {
        self.messages.last().and_then(|message| u64::try_from(message.offset()).ok()).map(|offset| offset + 1)
    }

    /// Fails where a record was handed out without its headers, because they cannot be read.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Some(offset) = self.unreadable.get() else { return Ok(()) };
        let message = format!("the headers of the record at offset {offset} cannot be read");
        Err(Error::new(FailureKind::Damaged, "data.damaged", message)
            .hint("its names are no text, or its bytes are no headers: see kafka-dump-log for the record"))
    }
}

impl Records for Batch {
    fn len(&self) -> usize {
        self.messages.len()
    }

    fn get(&self, index: usize) -> Option<Record<'_>> {
        let message = self.messages.get(index)?;
        let offset = u64::try_from(message.offset()).ok()?;
        let headers = message.headers().unwrap_or_else(|| {
            self.unreadable.set(self.unreadable.get().or(Some(offset)));
            Vec::new()
        });
        let (counted, bytes) = self.headers.get();
        if index >= counted {
            let size = |(name, value): &(&str, Option<&[u8]>)| name.len() + value.map_or(0, <[u8]>::len);
            let more: usize = headers.iter().map(size).sum();
            self.headers.set((index + 1, bytes + more as u64));
        }
        let (timestamp, appended) = message.timestamp();
        Some(Record { offset, timestamp, appended, key: message.key(), value: message.value(), headers })
    }

    fn epoch(&self, index: usize) -> Option<i32> {
        self.messages.get(index)?.epoch()
    }
}
