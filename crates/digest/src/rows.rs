//! Hashing the rows of a block, some hundred at a time.

use crate::hash::{BLOCK, Hash};
use crate::logical::{Imager, ImagerScratch};
use crate::row_sums::RowSums;
use crate::sums::{FINGERPRINT_BIT, Item, Place};
use crate::{Block, BucketSet, CanonKind, DigestError, KeyForm, RowBlock, Spec};
use std::ops::Range;

/// Rows hashed in one go: their images stay in the first two cache levels.
pub(crate) const CHUNK_ROWS: usize = 256;

/// Buffers that are kept from chunk to chunk.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// One item for each chosen row.
    pub(crate) items: Vec<Item>,
    /// The chosen rows, by number inside the chunk.
    pub(crate) chosen: Vec<usize>,
    keys: Vec<u8>,
    images: ImagerScratch,
}

/// A block and how its rows are read.
pub(crate) struct BlockHasher<'a> {
    spec: &'a Spec,
    source: Source<'a>,
}

enum Source<'a> {
    Wire(&'a RowBlock),
    Arrow(Imager<'a>),
}

/// Which parts of rows will be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// Keys and rows.
    All,
    /// Keys alone, to find rows again. Whole rows where those are the key.
    Keys,
}

impl<'a> BlockHasher<'a> {
    pub(crate) fn new(spec: &'a Spec, block: &'a Block, parts: Parts) -> Result<Self, DigestError> {
        let wire = matches!(spec.canon().kind, CanonKind::Wire { .. });
        let source = match block {
            Block::Wire(rows) if wire => Source::Wire(rows),
            Block::Arrow(batch) if !wire => Source::Arrow(Imager::new(spec, batch, parts)?),
            Block::Wire(_) => return Err(DigestError::Kind { found: "wire", expected: "logical" }),
            Block::Arrow(_) => return Err(DigestError::Kind { found: "Arrow", expected: "wire" }),
        };
        Ok(Self { spec, source })
    }

    /// Chooses all rows of the chunk and hashes their keys. Where the row is the key, nothing is
    /// hashed yet.
    pub(crate) fn keys(&self, rows: Range<usize>, scratch: &mut Scratch) -> Result<(), DigestError> {
        scratch.items.clear();
        scratch.items.resize(rows.len(), Item::default());
        scratch.chosen.clear();
        scratch.chosen.extend(0..rows.len());
        if let Source::Arrow(imager) = &self.source {
            imager.encode(rows.clone(), &mut scratch.images)?;
        }
        match self.spec.key_form() {
            KeyForm::WholeRow => Ok(()),
            KeyForm::Fingerprint => self.fingerprints(rows, scratch),
            KeyForm::Inline8 | KeyForm::Inline16 => self.inline_keys(rows, scratch),
        }
    }

    fn fingerprints(&self, rows: Range<usize>, scratch: &mut Scratch) -> Result<(), DigestError> {
        let Scratch { items, images, .. } = scratch;
        let take = |index: usize, hash: &Hash| {
            if let Some(item) = items.get_mut(index) {
                (item.place, item.name) = by_fingerprint(hash);
            }
        };
        match &self.source {
            Source::Wire(block) => {
                self.spec.key_lanes.hash_each(rows.enumerate().map(|(i, row)| (i, block.padded_key(row))), take);
            }
            Source::Arrow(imager) => {
                imager.encode_keys(rows, images)?;
                self.spec.key_lanes.hash_each(images.keys(), take);
            }
        }
        Ok(())
    }

    fn inline_keys(&self, rows: Range<usize>, scratch: &mut Scratch) -> Result<(), DigestError> {
        let Scratch { items, images, keys, .. } = scratch;
        let width = self.spec.key_width();
        match &self.source {
            Source::Wire(block) => {
                for (row, item) in rows.clone().zip(items.iter_mut()) {
                    let key = block.key(row).unwrap_or_default();
                    if key.len() != width {
                        return Err(DigestError::KeyLength { row, found: key.len(), expected: width });
                    }
                    item.name = words_of(key);
                }
                let messages = rows.enumerate().map(|(i, row)| (i, block.padded_key(row)));
                self.spec.key_lanes.hash_equal(BLOCK, messages, |i, hash| place_inline(items, i, hash));
            }
            Source::Arrow(imager) => {
                keys.resize(CHUNK_ROWS * BLOCK, 0);
                for ((row, item), key) in items.iter_mut().enumerate().zip(keys.chunks_exact_mut(BLOCK)) {
                    item.name = words_of(imager.inline_key(images, row));
                    // Keys of one digest have one length, so what follows them is zero, as are the
                    // words beyond them.
                    let [low, high] = item.name;
                    if let Some(start) = key.first_chunk_mut::<16>() {
                        *start = (u128::from(low) | u128::from(high) << 64).to_le_bytes();
                    }
                }
                let messages = keys.chunks_exact(BLOCK).take(items.len()).enumerate();
                self.spec.key_lanes.hash_equal(BLOCK, messages, |i, hash| place_inline(items, i, hash));
                for (row, key) in imager.null_keys(rows, images)? {
                    if let Some(item) = items.get_mut(row) {
                        (item.place, item.name) = by_fingerprint(&self.spec.null_lanes.hash_one(&key));
                    }
                }
            }
        }
        Ok(())
    }

    /// Hashes all rows of the chunk and adds them up, without their keys.
    pub(crate) fn sum(&self, rows: Range<usize>, scratch: &mut Scratch, sums: &mut RowSums) -> Result<(), DigestError> {
        let images = &mut scratch.images;
        let take = |_, hash: &Hash| sums.add(hash);
        match &self.source {
            Source::Wire(block) => {
                self.spec.row_lanes.hash_each(rows.map(|row| (row, block.padded_image(row))), take);
            }
            Source::Arrow(imager) => {
                imager.encode(rows.clone(), images)?;
                let messages = (0..rows.len()).map(|row| (row, imager.image(images, row)));
                self.spec.row_lanes.hash_equal(imager.image_len(), messages, take);
            }
        }
        Ok(())
    }

    /// Keeps the chosen rows of some buckets only. Does nothing where the row is the key, because
    /// its bucket is not known before it is hashed.
    pub(crate) fn choose(&self, only: &BucketSet, scratch: &mut Scratch) {
        if self.spec.key_form() != KeyForm::WholeRow {
            let Scratch { items, chosen, .. } = scratch;
            let mut kept = items.iter().map(|item| is_in(only, item));
            chosen.retain(|_| kept.next() == Some(true));
            items.retain(|item| is_in(only, item));
        }
    }

    /// Hashes the chosen rows.
    pub(crate) fn rows(&self, rows: Range<usize>, scratch: &mut Scratch) {
        let Scratch { items, chosen, images, .. } = scratch;
        let whole_row = self.spec.key_form() == KeyForm::WholeRow;
        let take = |index: usize, hash: &Hash| {
            if let Some(item) = items.get_mut(index) {
                item.lanes = [lane(hash, 0), lane(hash, 1), lane(hash, 2), lane(hash, 3)];
                if whole_row {
                    (item.place, item.name) = by_fingerprint(hash);
                }
            }
        };
        let chosen = chosen.iter().enumerate();
        match &self.source {
            Source::Wire(block) => {
                let images = chosen.map(|(i, row)| (i, block.padded_image(rows.start + row)));
                self.spec.row_lanes.hash_each(images, take);
            }
            Source::Arrow(imager) => {
                let images = chosen.map(|(i, row)| (i, imager.image(images, *row)));
                self.spec.row_lanes.hash_equal(imager.image_len(), images, take);
            }
        }
    }
}

pub(crate) fn is_in(only: &BucketSet, item: &Item) -> bool {
    only.contains(Place::new(item.place).bucket() as u32)
}

/// Lane `index` of a hash: eight bytes, little-endian.
#[inline]
pub(crate) fn lane(hash: &Hash, index: usize) -> u64 {
    hash.as_chunks::<8>().0.get(index).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn place_inline(items: &mut [Item], index: usize, hash: &Hash) {
    if let Some(item) = items.get_mut(index) {
        item.place = lane(hash, 2) & !FINGERPRINT_BIT;
    }
}

fn by_fingerprint(hash: &Hash) -> (u64, [u64; 2]) {
    (lane(hash, 2) | FINGERPRINT_BIT, [lane(hash, 3), 0])
}

/// Up to 16 key bytes as two little-endian words.
#[inline]
pub(crate) fn words_of(key: &[u8]) -> [u64; 2] {
    if let Ok(bytes) = <[u8; 8]>::try_from(key) {
        return [u64::from_le_bytes(bytes), 0];
    }
    let mut bytes = [0; 16];
    if let Some(start) = bytes.get_mut(..key.len()) {
        start.copy_from_slice(key);
    }
    let word = u128::from_le_bytes(bytes);
    [word as u64, (word >> 64) as u64]
}

impl Spec {
    /// The place word of an inline key, from its bytes padded to 16 with zeros.
    pub(crate) fn inline_place(&self, key: &[u8; 16]) -> u64 {
        let mut block = [0; BLOCK];
        for (byte, from) in block.iter_mut().zip(key).take(self.key_width()) {
            *byte = *from;
        }
        lane(&self.key_lanes.hash_one(&block), 2) & !FINGERPRINT_BIT
    }
}
