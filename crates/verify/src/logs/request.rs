//! What is to be compared, and how.

use super::ledger::Ledger;
use super::side::LogSide;
use paritas_connect::logs::Partition;
use paritas_digest::DigestKey;
use paritas_logs::content::{Chain, Policy};
use std::fmt;
use std::time::Duration;

/// Logs of two sides to compare.
pub struct Request<'a> {
    /// The source.
    pub source: &'a LogSide,
    /// The replica.
    pub replica: &'a LogSide,
    /// The logs.
    pub topics: &'a [Topic],
    /// Key of the hashes.
    pub key: &'a DigestKey,
    /// How long to wait for the replica to have what the source had when the run began.
    pub settle: Duration,
    /// Most findings to list for each log.
    pub items_max: usize,
    /// Partitions that are read by one call, at most (at least 1). As many calls run side by side as the context of
    /// the side allows.
    pub partitions_at_once: usize,
    /// Where finished segments are kept, so that a run can go on where another was ended.
    pub ledger: Option<&'a dyn Ledger>,
    /// Told about every phase.
    pub watch: &'a (dyn Fn(Phase) + Send + Sync),
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("topics", &self.topics).field("settle", &self.settle).finish_non_exhaustive()
    }
}

/// A log and its copy.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Names it in the keys of the hashes: the same for the source, the replica and every stored chain.
    pub name: String,
    /// How it is compared.
    pub policy: Policy,
    /// Why nothing that differs proves a fault, where that is so: it is not known what the stores remove by
    /// themselves.
    pub doubt: Option<String>,
    /// Partitions that face each other.
    pub facing: Vec<Facing>,
}

/// A partition and its copy.
#[derive(Debug, Clone)]
pub struct Facing {
    /// On the source.
    pub source: Partition,
    /// On the replica.
    pub replica: Partition,
    /// Pairs of offsets that the mirror says belong together, source first, in the order of the source's.
    pub syncs: Vec<(u64, u64)>,
    /// What the source's partition held earlier.
    pub stored: Option<Chain>,
    /// What tells the source's log from every other that was ever made, also under the same name, where the store
    /// says it. Chains in a ledger are gone on with only where it is the same.
    pub source_id: Option<String>,
    /// The same of the replica's.
    pub replica_id: Option<String>,
}

/// What a comparison is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Asking where partitions begin and end.
    #[default]
    Planning,
    /// Reading both sides into chains.
    Reading,
    /// Waiting for the replica to have what the source had when the run began.
    Settling,
    /// Reading again where the chains differ.
    Explaining,
}
