//! From rows to sums: one digester for each split.

use crate::rows::{BlockHasher, CHUNK_ROWS, Parts, Scratch, is_in};
use crate::{Block, BucketSet, Capacity, DigestError, KeyForm, Spec, Sums};
use std::sync::Arc;

/// Digests the rows of one split. Not shared between threads: each has its own, and their sums add
/// up.
#[derive(Debug)]
pub struct Digester {
    spec: Arc<Spec>,
    sums: Sums,
    only: Option<Arc<BucketSet>>,
    failed: bool,
    scratch: Scratch,
}

impl Digester {
    /// A digester without rows.
    pub fn new(spec: Arc<Spec>, capacity: Capacity) -> Self {
        let sums = Sums::new(spec.key_form(), capacity);
        Self { spec, sums, only: None, failed: false, scratch: Scratch::default() }
    }

    /// Skips the rows of all other buckets, for a second pass.
    #[must_use]
    pub fn only_buckets(self, buckets: Arc<BucketSet>) -> Self {
        Self { only: Some(buckets), ..self }
    }

    /// Adds the rows of a block.
    ///
    /// # Errors
    /// A row that cannot be brought into canonical form. The digester is of no use afterwards: every
    /// further call fails, because its sums miss rows.
    pub fn add(&mut self, block: &Block) -> Result<(), DigestError> {
        if self.failed {
            return Err(DigestError::Incomplete);
        }
        let result = self.add_chunks(block);
        self.failed = result.is_err();
        result
    }

    fn add_chunks(&mut self, block: &Block) -> Result<(), DigestError> {
        let Self { spec, sums, only, scratch, .. } = self;
        let hasher = BlockHasher::new(spec, block, Parts::All)?;
        for start in (0..block.rows()).step_by(CHUNK_ROWS) {
            let rows = start..block.rows().min(start + CHUNK_ROWS);
            hasher.keys(rows.clone(), scratch)?;
            if let Some(only) = only {
                hasher.choose(only, scratch);
            }
            hasher.rows(rows, scratch);
            if let (Some(only), KeyForm::WholeRow) = (&only, spec.key_form()) {
                scratch.items.retain(|item| is_in(only, item));
            }
            sums.add_items(&scratch.items);
        }
        Ok(())
    }

    /// Rows added so far; skipped rows do not count.
    pub fn rows(&self) -> u64 {
        self.sums.rows()
    }

    /// The sums of all rows added.
    pub fn finish(self) -> Sums {
        self.sums
    }
}
