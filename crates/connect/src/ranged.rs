//! Rows by ranges of blocks, and what tells whether the rows of a range were written since they were read.
//!
//! A block has a version that every logged change raises: the place in the log of the last one. [`LogMark`] says which
//! transactions can have written blocks up to a place of the log, so that a view can tell whether all of them had ended.

use crate::{Result, SplitDone};
use async_trait::async_trait;
use paritas_digest::Block;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A place in the log, and which transactions can have written before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogMark {
    /// The end of the log at that moment.
    pub at: u64,
    /// The first number that no transaction had been given at a moment after that: whoever wrote up to `at` has a
    /// number below.
    pub next: u64,
}

/// What is known of a range of blocks without reading its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RangeState {
    /// Blocks that there are.
    pub blocks: u64,
    /// The lowest version of a block; 0 for one that was never logged, or never written.
    pub oldest: u64,
    /// The highest version of a block.
    pub newest: u64,
}

impl RangeState {
    /// Whether nothing in the range was written since that place of the log. A block that is not logged never says so.
    pub fn is_unwritten_since(&self, at: u64) -> bool {
        self.blocks > 0 && self.oldest > 0 && self.newest <= at
    }
}

/// One relation that holds rows of a dataset itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangedPart {
    /// Its name for people.
    pub name: String,
    /// Its name in the store's own language.
    pub sql: String,
    /// Which files hold it and how its rows are read out of them: of another text, nothing that is known of its ranges
    /// holds.
    pub storage: String,
    /// Its ranges from the first block on.
    pub ranges: Vec<RangeState>,
}

/// What the ranges of a dataset are, looked at after a view was pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The relations.
    pub parts: Vec<RangedPart>,
    /// Blocks whose versions were read.
    pub blocks: u64,
}

/// What rows depend on beside their blocks, each with its name. Rows that were read under other terms say nothing.
pub type Terms = Vec<(String, String)>;

/// Takes rows with the blocks that they are in.
pub trait PlacedSink: Send {
    /// Takes some rows; `blocks` has the number of the block of each.
    ///
    /// # Errors
    /// Whatever the taker does not take.
    fn accept(&mut self, rows: Block, blocks: &[u64]) -> Result<()>;
}

/// A view whose rows can be read by ranges of blocks.
#[async_trait]
pub trait Ranged: std::fmt::Debug + Send + Sync {
    /// Keeps every relation of the dataset from being rewritten or cut off for as long as the view lives, and says in
    /// what state its ranges of `blocks` blocks are; or why that cannot be seen.
    async fn survey(&self, cx: &crate::Context, blocks: u64) -> Result<paritas_model::Known<Survey>>;

    /// The terms of now, not those of the view.
    async fn terms(&self, cx: &crate::Context) -> Result<Terms>;

    /// Reads the rows of some runs of blocks that the view shows. The runs do not overlap.
    async fn read_runs(
        &self,
        cx: &crate::Context,
        part: &RangedPart,
        runs: &[Range<u64>],
        sink: &mut dyn PlacedSink,
    ) -> Result<SplitDone>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::before(RangeState { blocks: 2, oldest: 5, newest: 10 }, true)]
    #[case::after(RangeState { blocks: 2, oldest: 5, newest: 11 }, false)]
    #[case::a_block_without_a_version(RangeState { blocks: 2, oldest: 0, newest: 10 }, false)]
    #[case::no_blocks(RangeState::default(), false)]
    fn a_range_is_unwritten_up_to_the_place_of_its_newest_block(#[case] state: RangeState, #[case] expected: bool) {
        assert_eq!(state.is_unwritten_since(10), expected);
    }
}
