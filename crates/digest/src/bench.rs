//! Inner stages, for measuring only. Not part of the supported interface.

use crate::rows::{BlockHasher, CHUNK_ROWS, Parts, Scratch};
use crate::sums::Item;
use crate::{Block, DigestError, Spec, Sums, hash};

/// Hashes rows of `stride` bytes each.
pub fn hash_rows(key: &[u8; 32], rows: &[u8], stride: usize, take: impl FnMut(usize, &[u8; 32])) {
    hash::Lanes::new(*key).hash_equal(stride, rows.chunks_exact(stride).enumerate(), take);
}

/// Rows whose hashes are known.
#[derive(Debug, Default)]
pub struct HashedRows(Vec<Item>);

/// Hashes the rows of a block.
///
/// # Errors
/// As [`crate::Digester::add`].
pub fn hashed_rows(spec: &Spec, block: &Block) -> Result<HashedRows, DigestError> {
    let (mut result, mut scratch) = (HashedRows::default(), Scratch::default());
    let hasher = BlockHasher::new(spec, block, Parts::All)?;
    for start in (0..block.rows()).step_by(CHUNK_ROWS) {
        let rows = start..block.rows().min(start + CHUNK_ROWS);
        hasher.keys(rows.clone(), &mut scratch)?;
        hasher.rows(rows, &mut scratch);
        result.0.extend_from_slice(&scratch.items);
    }
    Ok(result)
}

/// Adds hashed rows to buckets and sketch.
pub fn add(sums: &mut Sums, rows: &HashedRows) {
    rows.0.chunks(CHUNK_ROWS).for_each(|items| sums.add_items(items));
}

/// Writes the row images of a block and nothing else.
///
/// # Errors
/// As [`crate::Digester::add`].
pub fn images_only(spec: &Spec, block: &Block) -> Result<(), DigestError> {
    let Block::Arrow(batch) = block else { return Ok(()) };
    let imager = crate::logical::Imager::new(spec, batch, Parts::All)?;
    let mut scratch = crate::logical::ImagerScratch::default();
    for start in (0..block.rows()).step_by(CHUNK_ROWS) {
        imager.encode(start..block.rows().min(start + CHUNK_ROWS), &mut scratch)?;
        std::hint::black_box(&scratch);
    }
    Ok(())
}
