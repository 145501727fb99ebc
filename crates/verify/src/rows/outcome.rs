//! What comparing a dataset came to.

use paritas_connect::{Error, FailureKind};
use paritas_digest::Digest;
use paritas_model::{Difference, DifferenceCounts, Known, Position, Verdict};
use serde::{Deserialize, Serialize};

/// Which side a failure came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The source.
    Source,
    /// The replica.
    Replica,
    /// Neither: the comparison itself.
    Comparison,
}

/// What a comparison came to. Also after a failure, everything found before is in it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Rows read on the source, once it was read to its end.
    pub source_rows: Option<u64>,
    /// Rows read on the replica, once it was read to its end.
    pub replica_rows: Option<u64>,
    /// Counts per class and proof.
    pub counts: DifferenceCounts,
    /// Differing rows, at most as many as asked for, by key.
    pub items: Vec<Difference>,
    /// Whether there are more.
    pub items_truncated: bool,
    /// Whether both sides were read to their ends and every difference is counted.
    pub complete: bool,
    /// The two views are proven to differ, even if no row could be named.
    pub proven_unequal: bool,
    /// Whether the digests were equal.
    pub equal: bool,
    /// Position of the source's view.
    pub source_position: Option<Known<Position>>,
    /// Position of the replica's view.
    pub replica_position: Option<Known<Position>>,
    /// Position that the replica had reached before it was read.
    pub fence: Option<Position>,
    /// Bytes read from the source.
    pub source_bytes: u64,
    /// Bytes read from the replica.
    pub replica_bytes: u64,
    /// Things to know about the result.
    pub notes: Vec<String>,
    /// What kept the comparison from finishing.
    #[serde(skip)]
    pub problem: Option<(Origin, Error)>,
    /// What was compared in pages, where pages were compared instead of rows.
    #[serde(skip)]
    pub pages: Option<crate::pages::PageCounts>,
    /// How much of the dataset was verified, where the rest is left for later runs.
    #[serde(skip)]
    pub slice: Option<Slice>,
    /// The source's digest, for storing.
    #[serde(skip)]
    pub digest: Option<Digest>,
}

/// Some of the parts of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Parts that were verified, by this run and by those that it goes on from.
    pub parts: usize,
    /// Parts in all.
    pub of: usize,
}

impl Outcome {
    /// The verdict: a proof or unknown.
    pub fn verdict(&self) -> Verdict {
        if self.counts.proven() > 0 || self.proven_unequal {
            return Verdict::Fail;
        }
        match &self.problem {
            // A copy whose bytes cannot be decoded is not a faithful copy, whatever it should hold.
            Some((Origin::Replica, error)) if error.kind() == FailureKind::Damaged => Verdict::Fail,
            Some(_) => Verdict::Unknown,
            None if (self.complete || self.slice.is_some()) && self.counts.unsettled() == 0 => Verdict::Pass,
            None => Verdict::Unknown,
        }
    }
}
