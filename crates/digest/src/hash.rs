//! Keyed BLAKE3 over many short messages at once.
//!
//! The definition of every hash here is the supported call `blake3::keyed_hash(key, message)` over a
//! message padded to whole 64-byte blocks. Messages of equal length are hashed side by side in the
//! lanes of SIMD registers through `blake3::platform`, which is hidden and not covered by the
//! crate's promises: the version is pinned, and the first use holds the batched results against the
//! definition for every length. If they ever differ, the plain call is used.

use crate::long::{CHUNKS_MAX, batch_of_long};
use blake3::IncrementCounter;
use blake3::platform::Platform;
use std::fmt;
use std::sync::OnceLock;

/// Bytes of a BLAKE3 block.
pub(crate) const BLOCK: usize = 64;
/// The longest message that is hashed in lanes: one BLAKE3 chunk.
pub(crate) const LANE_MAX: usize = 1_024;
/// A hash.
pub(crate) type Hash = [u8; 32];

/// Messages handed to one call. More than any platform has lanes, to spread the call's overhead.
pub(crate) const BATCH: usize = 32;

// Flags of the BLAKE3 specification, section 2.2.
pub(crate) const CHUNK_START: u8 = 1 << 0;
pub(crate) const CHUNK_END: u8 = 1 << 1;
pub(crate) const PARENT: u8 = 1 << 2;
pub(crate) const ROOT: u8 = 1 << 3;
pub(crate) const KEYED_HASH: u8 = 1 << 4;

/// Of the lengths beyond a chunk every so many-th is held against the definition at the first use: with 16 blocks to a
/// chunk, every number of chunks and every length of the last one comes up, though not each with each.
const LONG_STEP: usize = 7;

/// A key, ready for hashing many messages.
#[derive(Clone)]
pub(crate) struct Lanes {
    key: [u8; 32],
    pub(crate) words: [u32; 8],
    pub(crate) platform: Platform,
    batched: bool,
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").field("batched", &self.batched).finish_non_exhaustive()
    }
}

impl Lanes {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        static SOUND: OnceLock<bool> = OnceLock::new();
        let batched = *SOUND.get_or_init(|| batches_equal_the_definition(batch));
        Self::with_batching(key, batched)
    }

    pub(crate) fn with_batching(key: [u8; 32], batched: bool) -> Self {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(key.chunks_exact(4)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        Self { key, words, platform: Platform::detect(), batched }
    }

    /// Whether messages are really hashed side by side.
    pub(crate) fn is_batched(&self) -> bool {
        self.batched
    }

    /// The definition.
    pub(crate) fn hash_one(&self, message: &[u8]) -> Hash {
        *blake3::keyed_hash(&self.key, message).as_bytes()
    }

    /// Hashes messages of whole blocks, each of any length, and hands `(index, hash)` to `take` in
    /// no particular order.
    pub(crate) fn hash_each<'a>(
        &self,
        messages: impl Iterator<Item = (usize, &'a [u8])>,
        mut take: impl FnMut(usize, &Hash),
    ) {
        let mut queues: [Queue<'a>; LANE_MAX / BLOCK] = std::array::from_fn(|_| Queue::default());
        let mut long: Vec<(usize, &'a [u8])> = Vec::new();
        let mut out = [0; BATCH * 32];
        for (index, message) in messages {
            let blocks = message.len() / BLOCK;
            let whole = message.len().is_multiple_of(BLOCK);
            match queues.get_mut(blocks.wrapping_sub(1)) {
                Some(queue) if self.batched && whole => {
                    queue.push(index, message);
                    if queue.len == BATCH {
                        self.flush(queue, blocks, &mut out, &mut take);
                    }
                }
                None if self.batched && whole && blocks > 0 => long.push((index, message)),
                _ => take(index, &self.hash_one(message)),
            }
        }
        for (queue, blocks) in queues.iter_mut().zip(1..) {
            self.flush(queue, blocks, &mut out, &mut take);
        }
        self.hash_long(&mut long, &mut take);
    }

    /// Hashes messages of more than a chunk, those of equal length side by side.
    fn hash_long(&self, long: &mut [(usize, &[u8])], take: &mut impl FnMut(usize, &Hash)) {
        long.sort_by_key(|(_, message)| message.len());
        for equal in long.chunk_by(|(_, a), (_, b)| a.len() == b.len()) {
            for some in equal.chunks(BATCH) {
                let mut messages = [&[][..]; BATCH];
                for (place, (_, message)) in messages.iter_mut().zip(some) {
                    *place = message;
                }
                let messages = messages.get(..some.len()).unwrap_or_default();
                let mut hashes = [[0; 32]; BATCH];
                let batched = batch_of_long(self, messages, &mut hashes);
                for ((index, message), hash) in some.iter().zip(&hashes) {
                    take(*index, &if batched { *hash } else { self.hash_one(message) });
                }
            }
        }
    }

    /// As [`Lanes::hash_each`] for messages of one length, without sorting them.
    pub(crate) fn hash_equal<'a>(
        &self,
        length: usize,
        messages: impl Iterator<Item = (usize, &'a [u8])>,
        mut take: impl FnMut(usize, &Hash),
    ) {
        let blocks = length / BLOCK;
        let lanes_fit = self.batched && length.is_multiple_of(BLOCK) && (1..=LANE_MAX / BLOCK).contains(&blocks);
        let mut queue = Queue::default();
        let mut out = [0; BATCH * 32];
        for (index, message) in messages {
            if !lanes_fit || message.len() != length {
                take(index, &self.hash_one(message));
                continue;
            }
            queue.push(index, message);
            if queue.len == BATCH {
                self.flush(&mut queue, blocks, &mut out, &mut take);
            }
        }
        self.flush(&mut queue, blocks, &mut out, &mut take);
    }

    fn flush(
        &self,
        queue: &mut Queue<'_>,
        blocks: usize,
        out: &mut [u8; BATCH * 32],
        take: &mut impl FnMut(usize, &Hash),
    ) {
        let messages = queue.messages.get(..queue.len).unwrap_or_default();
        if messages.is_empty() {
            return;
        }
        batch(self, blocks, messages, out);
        for (index, hash) in queue.indices.iter().zip(out.as_chunks::<32>().0).take(queue.len) {
            take(*index, hash);
        }
        queue.len = 0;
    }
}

/// Messages of one length that wait until there are enough of them.
struct Queue<'a> {
    len: usize,
    indices: [usize; BATCH],
    messages: [&'a [u8]; BATCH],
}

impl Default for Queue<'_> {
    fn default() -> Self {
        Self { len: 0, indices: [0; BATCH], messages: [&[]; BATCH] }
    }
}

impl<'a> Queue<'a> {
    fn push(&mut self, index: usize, message: &'a [u8]) {
        if let (Some(slot), Some(place)) = (self.messages.get_mut(self.len), self.indices.get_mut(self.len)) {
            *slot = message;
            *place = index;
            self.len += 1;
        }
    }
}

/// Hashes up to [`BATCH`] messages of `blocks` blocks each into `out`, 32 bytes each.
fn batch(lanes: &Lanes, blocks: usize, messages: &[&[u8]], out: &mut [u8]) {
    match blocks {
        1 => batch_of::<64>(lanes, messages, out),
        2 => batch_of::<128>(lanes, messages, out),
        3 => batch_of::<192>(lanes, messages, out),
        4 => batch_of::<256>(lanes, messages, out),
        5 => batch_of::<320>(lanes, messages, out),
        6 => batch_of::<384>(lanes, messages, out),
        7 => batch_of::<448>(lanes, messages, out),
        8 => batch_of::<512>(lanes, messages, out),
        9 => batch_of::<576>(lanes, messages, out),
        10 => batch_of::<640>(lanes, messages, out),
        11 => batch_of::<704>(lanes, messages, out),
        12 => batch_of::<768>(lanes, messages, out),
        13 => batch_of::<832>(lanes, messages, out),
        14 => batch_of::<896>(lanes, messages, out),
        15 => batch_of::<960>(lanes, messages, out),
        16 => batch_of::<1024>(lanes, messages, out),
        _ => plain(lanes, messages, out),
    }
}

fn batch_of<const N: usize>(lanes: &Lanes, messages: &[&[u8]], out: &mut [u8]) {
    let mut inputs = [&[0_u8; N]; BATCH];
    for (input, message) in inputs.iter_mut().zip(messages) {
        match <&[u8; N]>::try_from(*message) {
            Ok(message) => *input = message,
            // A message of another length has no place here; the definition takes any.
            Err(_) => return plain(lanes, messages, out),
        }
    }
    let (Some(inputs), Some(out)) = (inputs.get(..messages.len()), out.get_mut(..messages.len() * 32)) else {
        return;
    };
    let (start, end) = (CHUNK_START, CHUNK_END | ROOT);
    lanes.platform.hash_many(inputs, &lanes.words, 0, IncrementCounter::No, KEYED_HASH, start, end, out);
}

fn plain(lanes: &Lanes, messages: &[&[u8]], out: &mut [u8]) {
    for (message, out) in messages.iter().zip(out.as_chunks_mut::<32>().0) {
        *out = lanes.hash_one(message);
    }
}

/// Holds a batched hash against the definition: every length, full and partial batches.
fn batches_equal_the_definition(batch: fn(&Lanes, usize, &[&[u8]], &mut [u8])) -> bool {
    let lanes = Lanes::with_batching(blake3::derive_key("paritas digest v1: self-test of batched hashing", &[]), true);
    let mut data = vec![0_u8; LANE_MAX * BATCH];
    blake3::Hasher::new().finalize_xof().fill(&mut data);
    let long = (LANE_MAX / BLOCK + 1..=CHUNKS_MAX * LANE_MAX / BLOCK).step_by(LONG_STEP).all(|blocks| {
        let messages: Vec<&[u8]> = data.chunks_exact(blocks * BLOCK).take(1 + blocks % BATCH).collect();
        let mut fast = [[0; 32]; BATCH];
        batch_of_long(&lanes, &messages, &mut fast)
            && messages.iter().zip(&fast).all(|(message, hash)| lanes.hash_one(message) == *hash)
    });
    long && (1..=LANE_MAX / BLOCK).all(|blocks| {
        // Another number of messages for every length, so that every tail of a batch occurs.
        let messages: Vec<&[u8]> = data.chunks_exact(blocks * BLOCK).take(BATCH - blocks % 16).collect();
        let (mut fast, mut slow) = ([0; BATCH * 32], [0; BATCH * 32]);
        batch(&lanes, blocks, &messages, &mut fast);
        plain(&lanes, &messages, &mut slow);
        fast == slow
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(len: usize) -> Vec<u8> {
        let mut message: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8).collect();
        message.resize(len.next_multiple_of(BLOCK), 0);
        message
    }

    #[test]
    fn every_length_hashes_as_defined_in_any_mixture() {
        let long = (1_100..=8_300).step_by(61).chain((1_100..=8_300).step_by(64));
        let rows: Vec<Vec<u8>> = (0..=1_100).chain(0..=1_100).chain(long).map(padded).collect();
        for batched in [true, false] {
            let lanes = Lanes::with_batching([7; 32], batched);
            let mut seen = vec![false; rows.len()];
            lanes.hash_each(rows.iter().enumerate().map(|(i, row)| (i, row.as_slice())), |index, hash| {
                assert!(!std::mem::replace(&mut seen[index], true));
                assert_eq!(hash, blake3::keyed_hash(&[7; 32], &rows[index]).as_bytes(), "row {index}");
            });
            assert!(seen.iter().all(|seen| *seen));
        }
    }

    #[test]
    fn messages_of_broken_blocks_still_hash_as_defined() {
        let lanes = Lanes::with_batching([7; 32], true);
        for len in [0, 1, 63, 65, 1_023, 1_025, 5_000] {
            let message = vec![3; len];
            let mut hashes = Vec::new();
            lanes.hash_each(std::iter::once((0, message.as_slice())), |_, hash| hashes.push(*hash));
            assert_eq!(hashes, [*blake3::keyed_hash(&[7; 32], &message).as_bytes()]);
        }
    }

    #[test]
    fn a_wrong_batch_is_noticed_and_the_plain_call_takes_over() {
        fn wrong_at_one_length(lanes: &Lanes, blocks: usize, messages: &[&[u8]], out: &mut [u8]) {
            batch(lanes, blocks, messages, out);
            out[5] ^= u8::from(blocks == 9);
        }
        assert!(batches_equal_the_definition(batch));
        assert!(batches_equal_the_definition(|lanes, _, messages, out| plain(lanes, messages, out)));
        assert!(!batches_equal_the_definition(wrong_at_one_length));
        assert!(!Lanes::with_batching([0; 32], false).is_batched());
        assert!(Lanes::new([0; 32]).is_batched());
    }
}
