//! What a snapshot of rows or files holds, and what a comparison with one says about the time since.

use crate::text::{counted, grouped};
use crate::{Problem, SegmentReading};
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
    /// What of it was read, and what was taken over from the snapshot before; absent where its kind of store does not
    /// tell which rows were written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reading: Option<KeptReading>,
    /// Why it is not in the snapshot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// What of a dataset was read for a snapshot, and what was taken over from the snapshot before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptReading {
    /// Rows that were read.
    pub rows_read: u64,
    /// Rows that were taken over: nothing was written to their blocks or files.
    pub rows_kept: u64,
    /// Pages whose rows were read; 0 where rows were not read by pages.
    pub pages_read: u64,
    /// Pages whose rows were taken over. Of these only the versions were read.
    pub pages_kept: u64,
    /// Ranges of pages that were read.
    pub ranges_read: u64,
    /// Ranges of pages that were taken over.
    pub ranges_kept: u64,
    /// Ranges among those read to which nothing was written, read to see whether what was kept is right.
    pub ranges_reread: u64,
    /// Files that were read; 0 where rows were not read by files.
    #[serde(default)]
    pub files_read: u64,
    /// Files that were taken over: they are what they were. Of these only headers and footers were read.
    #[serde(default)]
    pub files_kept: u64,
    /// Files among those read that are what they were, read to see whether what was kept is right.
    #[serde(default)]
    pub files_reread: u64,
    /// Bytes in the state folder that the rows take for the next snapshot; `null` where they are not kept.
    pub bytes: Option<u64>,
    /// Records and segments, where the rows are records of a topic.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub segments: Option<SegmentReading>,
    /// Why nothing could be taken over; `null` where something was looked for.
    pub why: Option<String>,
    /// Why the next snapshot will find nothing new to take over.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_kept: Option<String>,
}

impl KeptReading {
    /// The same for people.
    pub(crate) fn shown(&self) -> String {
        let read = counted(self.rows_read, "row");
        let mut text = match (&self.why, &self.segments) {
            (Some(why), _) => format!("read all of it, {read}: {why}"),
            (None, Some(segments)) => segments.shown(),
            (None, None) if self.files_read.saturating_add(self.files_kept) > 0 => {
                let files = counted(self.files_read.saturating_add(self.files_kept), "file");
                let (again, kept) = (again(self.files_reread, "file"), counted(self.rows_kept, "row"));
                let count = grouped(self.files_read);
                format!("read {read} in {count} of {files}{again}; {kept} taken over as not written since")
            }
            (None, None) => {
                format!(
                    "read {read} in {} of {} ({}{}); {} taken over as not written since",
                    grouped(self.pages_read),
                    counted(self.pages_read.saturating_add(self.pages_kept), "page"),
                    counted(self.ranges_read, "range"),
                    again(self.ranges_reread, "range"),
                    counted(self.rows_kept, "row"),
                )
            }
        };
        if let Some(why) = &self.not_kept {
            text.push_str("; the next snapshot cannot take over what was read now: ");
            text.push_str(why);
        }
        text
    }
}

/// How many of those read only had their turn.
fn again(count: u64, what: &str) -> String {
    match count {
        0 => String::new(),
        count => format!(", {} of them only to see that they are as before", counted(count, what)),
    }
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
