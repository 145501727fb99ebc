//! Messages of several BLAKE3 chunks, hashed side by side: chunk by chunk, then parent by parent.
//!
//! Records of about a kilobyte are a little longer than one chunk, and hashed alone they take four times as long as
//! those that are not.

use crate::hash::{BATCH, BLOCK, CHUNK_END, CHUNK_START, Hash, KEYED_HASH, LANE_MAX, Lanes, PARENT, ROOT};
use blake3::IncrementCounter;

/// Chunks of a message, at most. BLAKE3 hashes the chunks of longer ones side by side by itself.
pub(crate) const CHUNKS_MAX: usize = 8;

/// Messages of one call and the values of their chunks, then of their parents.
struct Values {
    /// `values[i][m]` is value `i` of message `m`.
    values: [[Hash; BATCH]; CHUNKS_MAX],
    messages: usize,
}

/// Hashes up to [`BATCH`] messages of one length, whole blocks and two to [`CHUNKS_MAX`] chunks, into `out`. `false`
/// where they are not of that kind; nothing was hashed then.
pub(crate) fn batch_of_long(lanes: &Lanes, messages: &[&[u8]], out: &mut [Hash]) -> bool {
    let length = messages.first().map_or(0, |message| message.len());
    let fit = length.is_multiple_of(BLOCK) && messages.len() <= BATCH && out.len() >= messages.len();
    let chunks = length.div_ceil(LANE_MAX);
    if !fit || !(2..=CHUNKS_MAX).contains(&chunks) || messages.iter().any(|message| message.len() != length) {
        return false;
    }
    let mut work = Values { values: [[[0; 32]; BATCH]; CHUNKS_MAX], messages: messages.len() };
    for (index, values) in work.values.iter_mut().enumerate().take(chunks) {
        let range = index * LANE_MAX..length.min((index + 1) * LANE_MAX);
        let mut inputs = [&[][..]; BATCH];
        for (input, message) in inputs.iter_mut().zip(messages) {
            *input = message.get(range.clone()).unwrap_or_default();
        }
        let inputs = inputs.get(..messages.len()).unwrap_or_default();
        chunk(lanes, range.len() / BLOCK, inputs, index as u64, values.as_flattened_mut());
    }
    let mut left = chunks;
    while left > 1 {
        left = work.level(lanes, left);
    }
    for (out, value) in out.iter_mut().zip(work.values.first().unwrap_or(&[[0; 32]; BATCH])).take(messages.len()) {
        *out = *value;
    }
    true
}

impl Values {
    /// Replaces the first `count` values of each message by the parents of neighbours. An odd one goes up as it is.
    fn level(&mut self, lanes: &Lanes, count: usize) -> usize {
        let flags = if count == 2 { ROOT } else { 0 } | PARENT;
        for pair in 0..count / 2 {
            let mut blocks = [[0; BLOCK]; BATCH];
            if let Some([left, right]) = self.values.get(2 * pair..2 * pair + 2) {
                for (block, (left, right)) in blocks.iter_mut().zip(left.iter().zip(right)) {
                    let (start, end) = block.split_at_mut(32);
                    start.copy_from_slice(left);
                    end.copy_from_slice(right);
                }
            }
            let mut inputs = [&[0; BLOCK]; BATCH];
            for (input, block) in inputs.iter_mut().zip(&blocks) {
                *input = block;
            }
            let inputs = inputs.get(..self.messages).unwrap_or_default();
            if let Some(parents) = self.values.get_mut(pair) {
                let out = parents.as_flattened_mut();
                lanes.platform.hash_many(inputs, &lanes.words, 0, IncrementCounter::No, KEYED_HASH | flags, 0, 0, out);
            }
        }
        if count % 2 == 1
            && let Some(odd) = count.checked_sub(1).and_then(|last| self.values.get(last).copied())
            && let Some(place) = self.values.get_mut(count / 2)
        {
            *place = odd;
        }
        count.div_ceil(2)
    }
}

/// Values of chunk number `index` of all messages, each of `blocks` blocks.
fn chunk(lanes: &Lanes, blocks: usize, inputs: &[&[u8]], index: u64, out: &mut [u8]) {
    match blocks {
        1 => chunk_of::<64>(lanes, inputs, index, out),
        2 => chunk_of::<128>(lanes, inputs, index, out),
        3 => chunk_of::<192>(lanes, inputs, index, out),
        4 => chunk_of::<256>(lanes, inputs, index, out),
        5 => chunk_of::<320>(lanes, inputs, index, out),
        6 => chunk_of::<384>(lanes, inputs, index, out),
        7 => chunk_of::<448>(lanes, inputs, index, out),
        8 => chunk_of::<512>(lanes, inputs, index, out),
        9 => chunk_of::<576>(lanes, inputs, index, out),
        10 => chunk_of::<640>(lanes, inputs, index, out),
        11 => chunk_of::<704>(lanes, inputs, index, out),
        12 => chunk_of::<768>(lanes, inputs, index, out),
        13 => chunk_of::<832>(lanes, inputs, index, out),
        14 => chunk_of::<896>(lanes, inputs, index, out),
        15 => chunk_of::<960>(lanes, inputs, index, out),
        _ => chunk_of::<1024>(lanes, inputs, index, out),
    }
}

fn chunk_of<const N: usize>(lanes: &Lanes, inputs: &[&[u8]], index: u64, out: &mut [u8]) {
    let mut arrays = [&[0_u8; N]; BATCH];
    for (array, input) in arrays.iter_mut().zip(inputs) {
        if let Ok(input) = <&[u8; N]>::try_from(*input) {
            *array = input;
        }
    }
    let arrays = arrays.get(..inputs.len()).unwrap_or_default();
    let (start, end) = (CHUNK_START, CHUNK_END);
    lanes.platform.hash_many(arrays, &lanes.words, index, IncrementCounter::No, KEYED_HASH, start, end, out);
}
