//! What a snapshot of rows or files holds, and what a comparison with one says about the time since.

use crate::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The datasets of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeptDatasets {
    /// Datasets with rows.
    pub datasets: Vec<KeptDataset>,
    /// Files; `null` for a store with rows.
    pub files: Option<u64>,
    /// Whether all datasets were read in one view, so that they belong to one moment.
    pub one_view: bool,
    /// Figures of the link's ledgers.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ledgers: Vec<KeptLedger>,
    /// Sequences whose values are kept; absent for a store that has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sequences: Option<u64>,
}

/// The figures of one ledger in a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeptLedger {
    /// Its name.
    pub name: String,
    /// Its dataset on the source.
    pub dataset: String,
    /// Its groups; `null` where they could not be read.
    pub groups: Option<u64>,
    /// Whether every group is kept, and not the total alone.
    pub by_group: bool,
    /// Bytes that its groups take.
    pub bytes: u64,
    /// Why it is not in the snapshot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// One dataset of a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeptDataset {
    /// Its name on the source.
    pub dataset: String,
    /// Its rows; `null` where they could not be read.
    pub rows: Option<u64>,
    /// How many differing rows its digest can name.
    pub capacity: u64,
    /// Size of its digest.
    pub bytes: u64,
    /// Where the source was; `null` where its kind has no positions.
    pub position: Option<String>,
    /// Why it is not in the snapshot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// The snapshot that stood in for a source, and what told apart what was written since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Against {
    /// The id of the snapshot.
    pub snapshot: String,
    /// When it was taken, RFC 3339 in UTC, by the clock of the machine that took it.
    pub taken_at: String,
    /// How many differing rows its digest can name; `null` for files.
    pub capacity: Option<u64>,
    /// `holds`: everything in it is in the replica's history; `behind`: the replica left the source's history before
    /// it; `waiting`: the replica has not come that far; `unordered`: the two cannot be held against each other.
    pub relation: String,
    /// The same for people, with positions or the reason.
    pub why: String,
    /// What is declared about writes after it: `any`, `upserts`, `inserts` or `none`.
    pub writes: String,
    /// Whether it is proven, or declared, that nothing was written since.
    pub still: bool,
    /// Rows that were written since: no differences.
    pub written_since: u64,
    /// Why rows from before and after the promotion are not told apart by their transactions; absent where they are, or
    /// where nothing depends on it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unsettled: Option<String>,
}
