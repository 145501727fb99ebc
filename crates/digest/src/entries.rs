//! What single rows add to the sums, kept so that it can be taken out again.
//!
//! A digest of rows that change is kept up to date by taking out what the rows were and adding what they are. For the
//! first part somebody has to remember what each row added: its place, its name and its row hash. Sums of parts would
//! not do: rows of any part lie in nearly all buckets, so that a part of less than some thousand rows is smaller as a
//! list of its rows.
//!
//! ```text
//! plain rows (u32), other rows (u32)     little-endian, as all numbers
//! plain rows                             key of a fixed width, row hash
//! other rows                             place (u64), name (u64), row hash
//! ```
//!
//! A plain row is one with an inline key, whose place follows from the key, or one that is its own key, whose place
//! follows from its hash. Rows with fingerprints, and inline keys with NULL in them, are the others.

use crate::hash::BLOCK;
use crate::rows::{BlockHasher, CHUNK_ROWS, Parts, Scratch, lane, words_of};
use crate::sums::{FINGERPRINT_BIT, Item};
use crate::{Block, DigestError, KeyForm, Spec, Sums};
use std::sync::Arc;

/// Bytes in front of the rows.
const HEAD_BYTES: usize = 8;
/// Bytes of a row hash.
const HASH_BYTES: usize = 32;
/// Bytes of a place and a name.
const PLACE_BYTES: usize = 16;

/// What one row adds.
#[derive(Debug, Clone, Copy)]
pub struct RowEntry(Item);

/// What some rows add, in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowEntries {
    items: Vec<Item>,
}

impl RowEntries {
    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.items.len() as u64
    }

    /// Adds a row.
    pub fn push(&mut self, entry: RowEntry) {
        self.items.push(entry.0);
    }

    /// Adds the rows of others.
    pub fn append(&mut self, mut others: Self) {
        self.items.append(&mut others.items);
    }

    /// Whether both are about the same rows, each as often.
    pub fn is_same(&self, other: &Self) -> bool {
        let sorted = |items: &[Item]| {
            let mut keys: Vec<_> = items.iter().map(|item| (item.place, item.name, item.lanes)).collect();
            keys.sort_unstable();
            keys
        };
        self.items.len() == other.items.len() && sorted(&self.items) == sorted(&other.items)
    }

    /// Bytes that so many rows take at most.
    pub fn bytes_of(spec: &Spec, rows: u64) -> u64 {
        let plain = plain_width(spec).map_or(0, |width| width + HASH_BYTES);
        let one = if plain > 0 { plain } else { PLACE_BYTES + HASH_BYTES };
        rows.saturating_mul(one as u64).saturating_add(HEAD_BYTES as u64)
    }

    /// The rows as bytes.
    pub fn encode(&self, spec: &Spec) -> Vec<u8> {
        let width = plain_width(spec);
        let is_plain = |item: &&Item| width.is_some() && (is_whole_row(spec) || item.place & FINGERPRINT_BIT == 0);
        let plain = self.items.iter().filter(is_plain).count();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.items.len() * (PLACE_BYTES + HASH_BYTES));
        for count in [plain, self.items.len() - plain] {
            bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        for item in self.items.iter().filter(is_plain) {
            let [low, high] = item.name;
            let key = (u128::from(low) | u128::from(high) << 64).to_le_bytes();
            bytes.extend_from_slice(key.get(..width.unwrap_or(0)).unwrap_or(&key));
            put_hash(&mut bytes, item);
        }
        for item in self.items.iter().filter(|item| !is_plain(item)) {
            bytes.extend_from_slice(&item.place.to_le_bytes());
            bytes.extend_from_slice(&item.name[0].to_le_bytes());
            put_hash(&mut bytes, item);
        }
        bytes
    }

    /// The rows that were encoded; `None` for bytes that are no rows of this spec.
    pub fn decode(spec: &Spec, bytes: &[u8]) -> Option<Self> {
        let (plain, rest) = bytes.split_first_chunk::<4>()?;
        let (others, rest) = rest.split_first_chunk::<4>()?;
        let (plain, others) = (u32::from_le_bytes(*plain) as usize, u32::from_le_bytes(*others) as usize);
        let width = plain_width(spec);
        let plain_bytes = width.map_or(0, |width| width + HASH_BYTES);
        let (first, second) = rest.split_at_checked(plain.checked_mul(plain_bytes)?)?;
        let fits = second.len() == others.checked_mul(PLACE_BYTES + HASH_BYTES)? && (plain == 0 || width.is_some());
        if !fits {
            return None;
        }
        let mut items = Vec::with_capacity(plain + others);
        for row in first.chunks_exact(plain_bytes.max(1)) {
            let (key, hash) = row.split_at_checked(width.unwrap_or(0))?;
            let lanes = lanes_of(hash)?;
            let (place, name) =
                if is_whole_row(spec) { (lanes[2] | FINGERPRINT_BIT, [lanes[3], 0]) } else { (0, words_of(key)) };
            items.push(Item { place, name, lanes });
        }
        if !is_whole_row(spec) {
            spec.place_inline(&mut items);
        }
        for row in second.chunks_exact(PLACE_BYTES + HASH_BYTES) {
            let (place, rest) = row.split_first_chunk::<8>()?;
            let (name, hash) = rest.split_first_chunk::<8>()?;
            let (place, name) = (u64::from_le_bytes(*place), [u64::from_le_bytes(*name), 0]);
            items.push(Item { place, name, lanes: lanes_of(hash)? });
        }
        Some(Self { items })
    }
}

/// Bytes of the key of a plain row; `None` where the spec has no such rows.
fn plain_width(spec: &Spec) -> Option<usize> {
    match spec.key_form() {
        KeyForm::Inline8 | KeyForm::Inline16 => Some(spec.key_width()),
        KeyForm::WholeRow => Some(0),
        KeyForm::Fingerprint => None,
    }
}

fn is_whole_row(spec: &Spec) -> bool {
    spec.key_form() == KeyForm::WholeRow
}

fn put_hash(bytes: &mut Vec<u8>, item: &Item) {
    for lane in item.lanes {
        bytes.extend_from_slice(&lane.to_le_bytes());
    }
}

fn lanes_of(hash: &[u8]) -> Option<[u64; 4]> {
    let hash: &[u8; HASH_BYTES] = hash.try_into().ok()?;
    Some([lane(hash, 0), lane(hash, 1), lane(hash, 2), lane(hash, 3)])
}

impl Spec {
    /// Gives items with inline keys their places.
    fn place_inline(&self, items: &mut [Item]) {
        let mut keys = vec![0_u8; CHUNK_ROWS * BLOCK];
        for chunk in items.chunks_mut(CHUNK_ROWS) {
            for (item, key) in chunk.iter().zip(keys.as_chunks_mut::<BLOCK>().0) {
                let [low, high] = item.name;
                if let Some(start) = key.first_chunk_mut::<16>() {
                    *start = (u128::from(low) | u128::from(high) << 64).to_le_bytes();
                }
            }
            let messages = keys.chunks_exact(BLOCK).take(chunk.len()).enumerate();
            self.key_lanes.hash_equal(BLOCK, messages, |index, hash| {
                if let Some(item) = chunk.get_mut(index) {
                    item.place = lane(hash, 2) & !FINGERPRINT_BIT;
                }
            });
        }
    }
}

impl Sums {
    /// Adds rows.
    pub fn add_entries(&mut self, entries: &RowEntries) {
        self.add_items(&entries.items);
    }
}

/// Turns rows into what they add. Not shared between threads.
#[derive(Debug)]
pub struct Recorder {
    spec: Arc<Spec>,
    failed: bool,
    scratch: Scratch,
}

impl Recorder {
    /// A recorder of rows of that spec.
    pub fn new(spec: Arc<Spec>) -> Self {
        Self { spec, failed: false, scratch: Scratch::default() }
    }

    /// Hands out what each row of a block adds, with the row's number in the block.
    ///
    /// # Errors
    /// As [`Digester::add`](crate::Digester::add), with the same rows.
    pub fn record(&mut self, block: &Block, take: &mut dyn FnMut(usize, RowEntry)) -> Result<(), DigestError> {
        if self.failed {
            return Err(DigestError::Incomplete);
        }
        let result = self.record_chunks(block, take);
        self.failed = result.is_err();
        result
    }

    fn record_chunks(&mut self, block: &Block, take: &mut dyn FnMut(usize, RowEntry)) -> Result<(), DigestError> {
        let Self { spec, scratch, .. } = self;
        let hasher = BlockHasher::new(spec, block, Parts::All)?;
        for start in (0..block.rows()).step_by(CHUNK_ROWS) {
            let rows = start..block.rows().min(start + CHUNK_ROWS);
            hasher.keys(rows.clone(), scratch)?;
            hasher.rows(rows.clone(), scratch);
            for (row, item) in rows.zip(&scratch.items) {
                take(row, RowEntry(*item));
            }
        }
        Ok(())
    }
}
