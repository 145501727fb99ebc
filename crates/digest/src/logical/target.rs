//! Where slots are written: one column of a strided buffer of rows.

use crate::hash::{BLOCK, Lanes};
use std::ops::Range;

/// Why a column could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// The Arrow type does not fit the slot.
    Type,
    /// A value does not fit: its row in the array, and why.
    Row(usize, String),
}

/// The slots of one column: `width` bytes at `offset` in every `stride` bytes.
pub(crate) struct Target<'t> {
    rows: &'t mut [u8],
    stride: usize,
    offset: usize,
    width: usize,
}

impl<'t> Target<'t> {
    pub(crate) fn new(rows: &'t mut [u8], stride: usize, offset: usize, width: usize) -> Self {
        Self { rows, stride, offset, width }
    }

    /// Writes `W` bytes for every row that `values` yields.
    #[inline]
    pub(crate) fn put_all<const W: usize>(&mut self, values: impl Iterator<Item = [u8; W]>) {
        let offset = self.offset;
        for (row, value) in self.rows.chunks_exact_mut(self.stride).zip(values) {
            if let Some(slot) = row.get_mut(offset..).and_then(|rest| rest.first_chunk_mut::<W>()) {
                *slot = value;
            }
        }
    }

    /// Writes one slot, the rest of it with zeros.
    #[inline]
    pub(crate) fn put(&mut self, row: usize, value: &[u8]) {
        if let Some(slot) = self.slot(row) {
            match slot.split_at_mut_checked(value.len()) {
                Some((head, tail)) => {
                    head.copy_from_slice(value);
                    tail.fill(0);
                }
                // Callers never hand in more than a slot.
                None => slot.fill(0),
            }
        }
    }

    #[inline]
    pub(crate) fn put_word(&mut self, row: usize, word: u128) {
        let start = row * self.stride + self.offset;
        if let Some(slot) = self.rows.get_mut(start..).and_then(|rest| rest.first_chunk_mut::<16>()) {
            *slot = word.to_le_bytes();
        }
    }

    pub(crate) fn zero(&mut self, row: usize) {
        if let Some(slot) = self.slot(row) {
            slot.fill(0);
        }
    }

    fn slot(&mut self, row: usize) -> Option<&mut [u8]> {
        let start = row * self.stride + self.offset;
        self.rows.get_mut(start..start + self.width)
    }
}

/// Values of variable length on their way into slots of 16 or 32 bytes: short ones as they are with
/// their length in the last byte, long ones as a keyed hash with 0xFF there.
pub(crate) struct Packer<'t, 'k> {
    target: &'k mut Target<'t>,
    lanes: &'k Lanes,
    long: &'k mut LongValues,
    inline_max: usize,
}

/// Last byte of a slot that holds a hash. Lengths are at most 31.
const HASHED: u8 = 0xFF;

/// Long values waiting to be hashed side by side.
#[derive(Debug, Default)]
pub(crate) struct LongValues {
    messages: Vec<u8>,
    places: Vec<(usize, Range<usize>)>,
}

impl LongValues {
    /// Appends a value as a message: eight bytes of length, the value, zeros up to a whole block.
    pub(crate) fn push(&mut self, row: usize, value: &[u8]) {
        let start = self.messages.len();
        self.messages.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.messages.extend_from_slice(value);
        self.pad(row, start);
    }

    /// Appends a message that delimits itself.
    pub(crate) fn push_with<E>(
        &mut self,
        row: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.messages.len();
        write(&mut self.messages)?;
        self.pad(row, start);
        Ok(())
    }

    fn pad(&mut self, row: usize, start: usize) {
        let length = (self.messages.len() - start).next_multiple_of(BLOCK);
        self.messages.resize(start + length, 0);
        self.places.push((row, start..start + length));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.places.iter().map(|(row, place)| (*row, self.messages.get(place.clone()).unwrap_or_default()))
    }

    pub(crate) fn clear(&mut self) {
        self.messages.clear();
        self.places.clear();
    }
}

impl<'t, 'k> Packer<'t, 'k> {
    pub(crate) fn new(target: &'k mut Target<'t>, lanes: &'k Lanes, long: &'k mut LongValues) -> Self {
        long.clear();
        let inline_max = target.width - 1;
        Self { target, lanes, long, inline_max }
    }

    /// Whether slots have 16 bytes, so that [`Packer::put_at`] may be used.
    pub(crate) fn is_compact(&self) -> bool {
        self.inline_max == 15
    }

    #[inline]
    pub(crate) fn put(&mut self, row: usize, value: &[u8]) {
        if value.len() > self.inline_max {
            self.long.push(row, value);
            return;
        }
        let mut slot = [0; 32];
        if let Some(head) = slot.get_mut(..value.len()) {
            head.copy_from_slice(value);
        }
        if let (Some(last), width) = (slot.get_mut(self.inline_max), self.target.width) {
            *last = value.len() as u8;
            self.target.put(row, slot.get(..width).unwrap_or_default());
        }
    }

    /// Writes the compact slot of `data[start..end]`. Reads 16 bytes at once where there are so many.
    #[inline]
    pub(crate) fn put_at(&mut self, row: usize, data: &[u8], start: usize, end: usize) {
        let length = end.wrapping_sub(start);
        match data.get(start..).and_then(|rest| rest.first_chunk::<16>()) {
            Some(bytes) if length <= 15 => self.put_short(row, u128::from_le_bytes(*bytes), length),
            _ => self.put(row, data.get(start..end).unwrap_or_default()),
        }
    }

    /// Writes the compact slot of the first `length` bytes of `word`, at most 15.
    #[inline]
    pub(crate) fn put_short(&mut self, row: usize, word: u128, length: usize) {
        let kept = word & ((1 << (8 * length)) - 1);
        self.target.put_word(row, kept | (length as u128) << 120);
    }

    pub(crate) fn put_null(&mut self, row: usize) {
        self.target.zero(row);
    }

    /// Hashes the long values and writes their slots.
    pub(crate) fn finish(self) {
        let Self { target, lanes, long, inline_max } = self;
        if long.places.is_empty() {
            return;
        }
        lanes.hash_each(long.iter(), |row, hash| {
            let mut slot = *hash;
            if let Some(last) = slot.get_mut(inline_max) {
                *last = HASHED;
            }
            target.put(row, slot.get(..=inline_max).unwrap_or_default());
        });
    }
}
