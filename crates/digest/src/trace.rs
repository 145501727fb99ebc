//! How single rows came to their sums, step by step: for test vectors and for whoever writes another
//! reader of the format.

use crate::decode::fingerprint;
use crate::logical::{Imager, ImagerScratch};
use crate::rows::{BlockHasher, Parts, Scratch};
use crate::sums::{FINGERPRINT_BIT, Place};
use crate::{Block, Capacity, DigestError, FoundKey, Spec};

/// One row on its way into a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowTrace {
    /// The row image with its padding, as it is hashed.
    pub image: Vec<u8>,
    /// The row hash.
    pub row_hash: [u8; 32],
    /// Place word of the key.
    pub place: u64,
    /// What the sketch gives back as the key.
    pub key: FoundKey,
    /// The bucket.
    pub bucket: u32,
    /// Cells of the three main sub-tables, numbered through.
    pub main: [u32; 3],
    /// Cells of the three mop-up sub-tables, numbered through.
    pub mop_up: [u32; 3],
}

/// Follows the rows of a block.
///
/// # Errors
/// As [`crate::Digester::add`].
pub fn trace(spec: &Spec, block: &Block, capacity: Capacity) -> Result<Vec<RowTrace>, DigestError> {
    let hasher = BlockHasher::new(spec, block, Parts::All)?;
    let mut scratch = Scratch::default();
    let mut result = Vec::with_capacity(block.rows());
    for row in 0..block.rows() {
        hasher.keys(row..row + 1, &mut scratch)?;
        hasher.rows(row..row + 1, &mut scratch);
        let item = scratch.items.first().copied().unwrap_or_default();
        let place = Place::new(item.place);
        let [low, high] = item.name;
        let name = (u128::from(low) | u128::from(high) << 64).to_le_bytes();
        let key = match item.place & FINGERPRINT_BIT {
            0 => FoundKey::Inline(name.into_iter().take(spec.key_width()).collect()),
            _ => FoundKey::Fingerprint(fingerprint(item.place, low)),
        };
        let mut row_hash = [0; 32];
        for (bytes, lane) in row_hash.as_chunks_mut::<8>().0.iter_mut().zip(item.lanes) {
            *bytes = lane.to_le_bytes();
        }
        result.push(RowTrace {
            image: image(spec, block, row)?,
            row_hash,
            place: item.place,
            key,
            bucket: place.bucket() as u32,
            main: place.main(capacity.slots()).map(|cell| cell as u32),
            mop_up: place.mop(capacity.mop_slots()).map(|cell| cell as u32),
        });
    }
    Ok(result)
}

fn image(spec: &Spec, block: &Block, row: usize) -> Result<Vec<u8>, DigestError> {
    match block {
        Block::Wire(rows) => Ok(rows.padded_image(row).to_vec()),
        Block::Arrow(batch) => {
            let mut scratch = ImagerScratch::default();
            let imager = Imager::new(spec, batch, Parts::All)?;
            imager.encode(row..row + 1, &mut scratch)?;
            Ok(imager.image(&scratch, 0).to_vec())
        }
    }
}
