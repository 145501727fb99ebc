//! Where finished segments are kept, so that a run that was ended can be gone on with.

use paritas_connect::logs::Partition;
use paritas_logs::content::{Chain, Of, Segment, Terms};
use std::fmt;

/// What a kept chain is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainOf {
    /// The side.
    pub of: Of,
    /// The partition, by its name on that side.
    pub partition: Partition,
    /// What tells its log from every other that was ever made, where the store says it.
    pub log_id: Option<String>,
    /// What the chain is made with.
    pub terms: Terms,
}

/// Keeps finished segments of chains.
pub trait Ledger: Send + Sync + fmt::Debug {
    /// The segments kept of this partition, in order and without a tail; `None` where there are none, or where they
    /// are of another log or made with other terms.
    fn finished(&self, what: &ChainOf) -> Option<Chain>;

    /// Keeps more segments of the chain that begins at offset `from`. The first of them is its segment number
    /// `index`; segments kept before from that number on are replaced. Where that fails they are read again by the
    /// next run.
    fn keep(&self, what: &ChainOf, from: u64, index: usize, segments: &[Segment]);
}
