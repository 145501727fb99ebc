//! Row hashes added up, and nothing else: whether two datasets are equal, at about half the cost of
//! a whole digest. It cannot say which rows differ.

use crate::hash::Hash;
use crate::rows::{BlockHasher, CHUNK_ROWS, Parts, Scratch, lane};
use crate::{Block, DigestError, Spec};
use std::sync::Arc;

/// The number of rows and the sum of their hashes, four lanes modulo 2^64. Two datasets with the
/// same [`Spec`] hold the same rows exactly when these are equal, up to the chance of a missed
/// difference that one bucket of a digest has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowSums {
    rows: u64,
    lanes: [u64; 4],
}

impl RowSums {
    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the sums of another part.
    pub fn merge(&mut self, other: &Self) {
        self.rows = self.rows.wrapping_add(other.rows);
        for (ours, theirs) in self.lanes.iter_mut().zip(other.lanes) {
            *ours = ours.wrapping_add(theirs);
        }
    }

    pub(crate) fn add(&mut self, hash: &Hash) {
        self.rows = self.rows.wrapping_add(1);
        for (index, sum) in self.lanes.iter_mut().enumerate() {
            *sum = sum.wrapping_add(lane(hash, index));
        }
    }
}

/// Adds up the rows of one split. Not shared between threads: each has its own, and their sums add
/// up.
#[derive(Debug)]
pub struct RowSummer {
    spec: Arc<Spec>,
    sums: RowSums,
    failed: bool,
    scratch: Scratch,
}

impl RowSummer {
    /// A summer without rows.
    pub fn new(spec: Arc<Spec>) -> Self {
        Self { spec, sums: RowSums::default(), failed: false, scratch: Scratch::default() }
    }

    /// Adds the rows of a block.
    ///
    /// # Errors
    /// As [`Digester::add`](crate::Digester::add), with the same rows.
    pub fn add(&mut self, block: &Block) -> Result<(), DigestError> {
        if self.failed {
            return Err(DigestError::Incomplete);
        }
        let result = self.add_chunks(block);
        self.failed = result.is_err();
        result
    }

    fn add_chunks(&mut self, block: &Block) -> Result<(), DigestError> {
        let hasher = BlockHasher::new(&self.spec, block, Parts::All)?;
        for start in (0..block.rows()).step_by(CHUNK_ROWS) {
            let rows = start..block.rows().min(start + CHUNK_ROWS);
            hasher.sum(rows, &mut self.scratch, &mut self.sums)?;
        }
        Ok(())
    }

    /// The sums of all rows added.
    pub fn finish(self) -> RowSums {
        self.sums
    }
}
