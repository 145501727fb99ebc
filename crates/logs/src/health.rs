//! Whether the servers of a cluster hold its partitions as they should: leaders, replicas in sync, changes
//! of leadership. Only what is not as it should be is listed; counts are complete.

use paritas_connect::logs::{Extents, Log, Partition, PartitionState, Settings, Survey};
use paritas_model::{Known, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is the matter with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Nobody leads it: it can be neither written nor read.
    Offline,
    /// Fewer replicas are in sync than writes with `acks=all` need: such writes fail.
    BelowMinimum,
    /// Just as many are in sync as such writes need, and fewer than there should be: one loss more stops them.
    AtMinimum,
    /// A replica is not in sync.
    UnderReplicated,
    /// A replica is on a server that is not there.
    Unplaced,
    /// It was led by another server when it was looked at before, or by the same one anew.
    LeaderChanged,
}

impl Trouble {
    /// How much it weighs.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Offline | Self::BelowMinimum => Verdict::Fail,
            _ => Verdict::Warn,
        }
    }
}
