//! How far groups of readers are behind: offsets, records where they were counted, and seconds as an
//! interval that contains the truth.
//!
//! What a group has committed is asked for first and the ends of the partitions after it, so lag can only
//! be overstated, and never by more than what came in between. A commit that the log has passed, one that
//! lies beyond its end, and none at all are states of their own; nothing is cut to zero.

mod retention;
mod state;
mod totals;
mod track;

pub use retention::{Expiry, RetentionRisk};
pub use state::verdict;
pub use totals::{GroupTotals, worst};
pub use track::{Limits, Readers, Round};

use crate::ages::{Count, seconds};
use paritas_connect::logs::Partition;
use paritas_lag::{Interval, Span};
use paritas_model::Known;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a group's position in a partition amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaderState {
    /// It has had everything that it could have.
    CaughtUp,
    /// Something is there that it has not had.
    Behind,
    /// The same, and it did not move for longer than was allowed.
    Stuck,
    /// It reads the log and has committed nothing here: where it begins is a setting of the reader.
    NeverCommitted,
    /// It could not be observed.
    Unknown,
    /// The log begins behind its position: what lay between is lost to the group.
    BelowStart,
    /// Its position lies behind the end of the log: the log was cut or made anew.
    BeyondEnd,
}

/// One group and one partition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReaderLag {
    /// The partition.
    pub partition: Partition,
    /// What it amounts to.
    pub state: ReaderState,
    /// The next offset that the group wants.
    pub committed: Option<u64>,
    /// The first offset that can still be read.
    pub start: Option<u64>,
    /// The end for readers that take records of open and aborted transactions as well.
    pub end: Option<u64>,
    /// The end for readers of committed records.
    pub stable: Option<u64>,
    /// Offsets from the position to `end`. Offsets are not records.
    pub behind: Option<u64>,
    /// Offsets from the position to `stable`; 0 where the position is beyond it.
    pub behind_stable: Option<u64>,
    /// Records that the group has not had.
    pub records: Option<Count>,
    /// Age of the oldest of them.
    #[serde(serialize_with = "seconds::interval")]
    pub seconds: Option<Interval>,
    /// Offsets that were removed before the group had them; as many records at most.
    pub lost: Option<u64>,
    /// By how many offsets the position lies beyond the end.
    pub beyond: Option<u64>,
    /// For how long it is proven that it stood still although a record was there for it.
    #[serde(serialize_with = "seconds::duration")]
    pub stuck: Option<Duration>,
    /// Removal by age or size runs ahead of the group.
    pub retention: Option<RetentionRisk>,
    /// Who reads it now, by what it calls itself.
    pub member: Option<String>,
    /// Why it is in that state or figures are missing, where they do not say it.
    pub why: Option<String>,
    /// When the ends were asked for, on the clock of whoever asks.
    #[serde(skip)]
    pub ends_at: Option<Span>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupLag {
    /// Its name.
    pub group: String,
    /// What it is doing, in the store's words.
    pub activity: Known<String>,
    /// How many members it has.
    pub members: Known<u64>,
    /// When its commits were asked for, on the clock of whoever asks.
    #[serde(skip)]
    pub committed_at: Span,
    /// Sums over its partitions.
    pub totals: GroupTotals,
    /// Its partitions, in the order of their names.
    pub partitions: Vec<ReaderLag>,
}
