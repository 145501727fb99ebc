//! Hashing many messages of any kind side by side, for whoever has no rows but needs their hashes in order.

use crate::hash::Lanes;
use crate::{DigestKey, block::PAD};

/// Messages in one contiguous buffer, each padded with zeros to whole BLAKE3 blocks. They must delimit themselves: a
/// message and the same one with zeros behind it hash alike.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    /// Where the messages end, padding included.
    ends: Vec<usize>,
}

impl Messages {
    /// No messages yet, and room for that many bytes.
    pub fn with_capacity(messages: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(messages) }
    }

    /// Appends the message that `write` puts at the end of the buffer it is given; what is already there must stay.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(PAD), 0);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all of them, padding included.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Removes all of them and keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn padded(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let range = |(start, end): (usize, &usize)| self.bytes.get(start..*end).unwrap_or_default();
        starts.zip(&self.ends).map(range).enumerate()
    }
}

/// Hashes messages under one key: `keyed_hash(key, message padded with zeros to a multiple of 64 bytes)`.
#[derive(Debug, Clone)]
pub struct MessageHasher {
    lanes: Lanes,
}

impl MessageHasher {
    /// A hasher whose key is derived from the deployment's for one purpose, named by `context`, and one thing, named by
    /// `name`, as [`crate::Spec`] does it.
    pub fn new(key: &DigestKey, context: &'static str, name: &str) -> Self {
        Self { lanes: Lanes::new(key.for_dataset(context, name)) }
    }

    /// The hash of one message as it is, without padding.
    pub fn hash_one(&self, message: &[u8]) -> [u8; 32] {
        self.lanes.hash_one(message)
    }

    /// Hashes of all messages in their order. What was in `hashes` is replaced.
    pub fn hash(&self, messages: &Messages, hashes: &mut Vec<[u8; 32]>) {
        hashes.clear();
        hashes.resize(messages.len(), [0; 32]);
        self.lanes.hash_each(messages.padded(), |index, hash| {
            if let Some(place) = hashes.get_mut(index) {
                *place = *hash;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hashes_come_in_order_and_are_those_of_the_definition(
            lengths in proptest::collection::vec(prop_oneof![0_usize..300, 900_usize..2_300, Just(0_usize), Just(5_000_usize)], 0..120),
            seed: u8,
        ) {
            let key = DigestKey::from_bytes([seed; 32]);
            let hasher = MessageHasher::new(&key, "paritas test: messages", "log");
            let mut messages = Messages::with_capacity(4, 100);
            let message = |index: usize, length: usize| (0..length).map(move |at| (at * 31 + index) as u8 ^ seed);
            // Used twice, so that nothing is left of the first time.
            for _ in 0..2 {
                messages.clear();
                for (index, length) in lengths.iter().enumerate() {
                    messages.push_with(|bytes| bytes.extend(message(index, *length)));
                }
            }
            let mut hashes = vec![[7; 32]; 3];
            hasher.hash(&messages, &mut hashes);
            prop_assert_eq!(messages.len(), lengths.len());
            prop_assert_eq!(messages.is_empty(), lengths.is_empty());
            let definition = key.for_dataset("paritas test: messages", "log");
            let mut bytes = 0;
            for (index, length) in lengths.iter().enumerate() {
                let mut padded: Vec<u8> = message(index, *length).collect();
                padded.resize(length.next_multiple_of(64), 0);
                bytes += padded.len();
                prop_assert_eq!(hashes[index], *blake3::keyed_hash(&definition, &padded).as_bytes());
            }
            prop_assert_eq!((hashes.len(), messages.bytes()), (lengths.len(), bytes));
        }
    }
}
