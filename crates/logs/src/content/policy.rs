//! What of records is compared.

use serde::{Deserialize, Serialize};

/// Whether times of records are part of what is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timestamps {
    /// They are. A record without a time on the source may have any on the replica.
    #[default]
    Compare,
    /// They are not, as where a replica stamps records with its own clock.
    Ignore,
}

impl Timestamps {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compare => "compare",
            Self::Ignore => "ignore",
        }
    }
}

/// How the partitions of one log are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Whether times count.
    pub timestamps: Timestamps,
    /// Whether either side keeps only the latest record of a key. Then these are compared, and not the order.
    pub compacted: bool,
    /// Whether the replica may have records of transactions that were aborted on the source. They are counted, and
    /// no violation.
    pub aborted_allowed: bool,
}
