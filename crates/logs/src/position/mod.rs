//! How far a mirror has copied a partition, by the best evidence that there is, and how far it is behind.
//!
//! The best evidence is content: the last records of the mirrored partition are looked for on the source.
//! Whatever a mirror notes about itself is older or holds only where offsets have no gaps; from it follow
//! bounds. The method is always named.

mod ladder;
mod probe;
mod syncs;
mod track;

pub use ladder::{Evidence, Reach, place};
pub use probe::{Probed, probe};
pub use syncs::{StepKind, SyncStep, steps};
pub use track::{Look, Mirrors, PartitionLook};

use crate::ages::{Count, seconds};
use paritas_connect::logs::Partition;
use paritas_lag::{Interval, Span};
use paritas_model::LagState;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a position follows from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The last records of the mirrored partition were found on the source.
    Content,
    /// Nothing was ever written to the mirrored partition.
    Empty,
    /// The newest pair of offsets that the mirror noted.
    Sync,
    /// What the mirror notes for its own restart.
    Copied,
}

impl Method {
    /// The word for reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Empty => "empty",
            Self::Sync => "offset_sync",
            Self::Copied => "connect_offset",
        }
    }
}

/// Where a mirror stands in a partition of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The first offset of the source that it has not copied lies between these.
    pub next: Count,
    /// The most likely one, where `next` is not exact: what the evidence says if no offset was skipped on
    /// either side.
    pub likely: Option<u64>,
    /// What that follows from.
    pub method: Method,
    /// What deserves to be known beside it.
    pub notes: Vec<String>,
}

/// How far the mirror of one partition is behind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MirrorLag {
    /// The partition on the source.
    pub source: Partition,
    /// The partition on the replica.
    pub replica: Partition,
    /// What it amounts to.
    pub state: LagState,
    /// Why it is in that state, where the figures do not say it.
    pub reason: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Where the mirror stands.
    pub placed: Option<Placed>,
    /// Where the partition of the source begins and ends.
    pub source_ends: Option<(u64, u64)>,
    /// Where that of the replica does.
    pub replica_ends: Option<(u64, u64)>,
    /// Offsets of the source that the mirror has not copied. Offsets are not records.
    pub offsets: Option<Count>,
    /// Records among them.
    pub records: Option<Count>,
    /// Age of the oldest of them.
    #[serde(serialize_with = "seconds::interval")]
    pub seconds: Option<Interval>,
    /// For how long it is proven that the mirror stood still although a record was there for it.
    #[serde(serialize_with = "seconds::duration")]
    pub stuck: Option<Duration>,
    /// When the replica was asked, on the clock of whoever asks.
    #[serde(skip)]
    pub replica_at: Option<Span>,
    /// When the source was, after the replica.
    #[serde(skip)]
    pub source_at: Option<Span>,
}
