//! The checks about logs of records (topics): what their copies hold, how far their readers are, where
//! readers would go on, whether a cluster keeps its promises, whether sequences are unbroken.

use crate::lag::LagSeconds;
use crate::{BothSides, Problem};
use paritas_model::{Value, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What comparing a log with its copy showed beside what every comparison of rows does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogCheck {
    /// Compared partitions, in the order of their numbers.
    pub partitions: Vec<LogWindow>,
    /// Records per class, all partitions together. Proven: `missing`, `altered`, `foreign`, `duplicate`, `reordered`,
    /// `wrong_partition`, `aborted`. Seen without proof: `unproven`. No violations: `not_yet_mirrored`, `undecided`,
    /// `aborted_allowed`, `expired_on_replica`, `expired_on_source`, `superseded`. Classes without any are absent.
    pub classes: BTreeMap<String, u64>,
    /// What differs, at most as much as asked for.
    pub findings: Vec<LogFinding>,
    /// Whether there is more.
    pub findings_truncated: bool,
    /// `order` when every partition was compared record by record in order, `latest` when only the newest value of each
    /// key was, as in a compacted topic.
    pub method: String,
    /// `compare` or `ignore`: whether the times of records count.
    pub timestamps: String,
}

/// What was compared of one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogWindow {
    /// The partition.
    pub partition: i32,
    /// The first offset that was compared on the source, and the end, not part of it.
    pub source: Option<(u64, u64)>,
    /// The same on the replica.
    pub replica: Option<(u64, u64)>,
    /// Compared records.
    pub records: BothSides,
    /// Everything before this offset of the source is on the replica, or is listed as missing.
    pub mirrored_to: Option<u64>,
    /// Why the partition was not compared to its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// Records that differ, one or a run of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogFinding {
    /// `missing`, `altered`, `foreign`, `duplicate`, `reordered`, `wrong_partition`, `aborted`, `undecided`,
    /// `not_yet_mirrored` or `expired`.
    pub class: String,
    /// `proven`, `in_flight` or `unproven`.
    pub proof: String,
    /// The partition.
    pub partition: i32,
    /// The partition of the replica that has records of `wrong_partition`, by the number of the source's partition that
    /// it is a copy of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub found_in: Option<i32>,
    /// First and last offset on the source.
    pub source: Option<(u64, u64)>,
    /// First and last offset on the replica.
    pub replica: Option<(u64, u64)>,
    /// How many records.
    pub records: u64,
    /// Whether that many is a lower bound.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub at_least: bool,
    /// Times of the first and the last of them, RFC 3339 in UTC.
    pub times: Option<(String, String)>,
    /// What differs in an altered record: `key`, `value`, `headers`, `timestamp`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parts: Vec<String>,
    /// The first of them, as far as it can be shown, as each side has it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub shown: Vec<ShownRecord>,
    /// What more there is to say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// A record for people. Long keys and values are cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShownRecord {
    /// `source` or `replica`.
    pub side: String,
    /// Its offset there.
    pub offset: u64,
    /// Its key.
    pub key: Value,
    /// Its value.
    pub value: Value,
    /// Bytes of the value in full; `null` where it has none.
    pub value_bytes: Option<u64>,
    /// Its headers, where they matter.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub headers: Vec<(String, Value)>,
    /// Its time, RFC 3339 in UTC.
    pub time: Option<String>,
}

/// How far groups of readers are behind the logs of one store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupsCheck {
    /// Fails where a group has lost records or stands where it cannot go on.
    pub verdict: Verdict,
    /// `source` or `replica`.
    pub side: String,
    /// The groups, sorted by name.
    pub groups: Vec<GroupLag>,
    /// Duration of the check.
    pub seconds: f64,
    /// Things to know about the result.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// How far one group is behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupLag {
    /// Its name.
    pub group: String,
    /// What it amounts to.
    pub verdict: Verdict,
    /// What the group is doing, in the store's words.
    pub state: Option<String>,
    /// How many members it has.
    pub members: Option<u64>,
    /// Partitions per state: `caught_up`, `behind`, `stuck`, `never_committed`, `below_start`, `beyond_end`, `unknown`.
    pub states: BTreeMap<String, u64>,
    /// Offsets behind, all partitions together; offsets are not records. `null` where one of them is unknown.
    pub offsets: Option<u64>,
    /// The largest interval of seconds of its partitions.
    pub seconds: Option<LagSeconds>,
    /// Partitions that are not caught up, the worst first, at most [`GroupLag::WORST_MAX`].
    pub worst: Vec<GroupPartition>,
    /// Why something above is `null`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

impl GroupLag {
    /// Partitions that are listed one by one, at most.
    pub const WORST_MAX: usize = 20;
}

/// How far a group is behind in one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupPartition {
    /// The partition, as `orders/3`.
    pub stream: String,
    /// See [`GroupLag::states`].
    pub state: String,
    /// The next record that the group wants.
    pub committed: Option<u64>,
    /// The first record that can still be read.
    pub start: Option<u64>,
    /// The end that readers of committed records see.
    pub stable: Option<u64>,
    /// The end that readers of all records see.
    pub end: Option<u64>,
    /// Offsets from the committed one to the end; negative for a commit beyond it.
    pub offsets: Option<i64>,
    /// Age of the first record that it has not read.
    pub seconds: Option<LagSeconds>,
    /// Seconds until retention deletes records that it has not read, where that can be foreseen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lost_in_seconds: Option<f64>,
    /// Why it is in that state, where the figures do not say it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// Whether a cluster keeps what it promises of its logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthCheck {
    /// Fails where writes are refused or a partition cannot be reached.
    pub verdict: Verdict,
    /// `source` or `replica`.
    pub side: String,
    /// Brokers that are alive.
    pub brokers: u64,
    /// Partitions that were looked at.
    pub partitions: u64,
    /// What is the matter, the worst first, at most [`HealthCheck::ITEMS_MAX`].
    pub items: Vec<HealthItem>,
    /// How many things are the matter, per kind.
    pub kinds: BTreeMap<String, u64>,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

impl HealthCheck {
    /// Things that are listed one by one, at most.
    pub const ITEMS_MAX: usize = 100;
}

/// One thing that is the matter with a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthItem {
    /// What: a partition, a log.
    pub what: String,
    /// `offline`, `below_minimum`, `at_minimum`, `under_replicated`, `unplaced`, `leader_changed`, `minimum_unknown`.
    pub kind: String,
    /// How much it weighs.
    pub verdict: Verdict,
    /// What is the matter.
    pub why: String,
}

/// Whether groups would go on at the right record on the replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OffsetsCheck {
    /// Fails where a group would lose records.
    pub verdict: Verdict,
    /// The groups, sorted by name.
    pub groups: Vec<GroupOffsets>,
    /// Duration of the check.
    pub seconds: f64,
    /// Things to know about the result.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// Where one group would go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupOffsets {
    /// The group.
    pub group: String,
    /// What it amounts to.
    pub verdict: Verdict,
    /// Whether it may go on on the replica: nothing would be lost to it, and that is proven.
    pub may_resume: Option<bool>,
    /// Records that it would never see, all partitions together; `null` where that is not known.
    pub lost: Option<u64>,
    /// Records that it would see again.
    pub redelivered: Option<u64>,
    /// Its partitions.
    pub partitions: Vec<PartitionOffsets>,
}

/// Where a group would go on in one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartitionOffsets {
    /// The partition, as it is called on the source.
    pub stream: String,
    /// `exact`, `redelivery`, `never_committed`, `unproven`, `untranslated`, `below_start`, `beyond_end` or `loss`.
    pub standing: String,
    /// What it amounts to.
    pub verdict: Verdict,
    /// What the group has committed on the source.
    pub source: Option<u64>,
    /// Where it would go on on the replica.
    pub replica: Option<u64>,
    /// Where it ought to go on there, by content.
    pub exact: Option<u64>,
    /// What `replica` comes from: `checkpoint`, `group` (its own offset on the replica), `none`.
    pub from: String,
    /// Records that it would never see.
    pub lost: Option<u64>,
    /// Records that it would see again.
    pub redelivered: Option<u64>,
    /// Why something above is `null`, or what follows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// Whether numbers that should follow each other do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContinuityCheck {
    /// The log.
    pub dataset: String,
    /// `source` or `replica`.
    pub side: String,
    /// Fails where a number is missing, repeated or out of order.
    pub verdict: Verdict,
    /// Records that were read.
    pub records: u64,
    /// Sequences that were followed: one a partition, or one a source of records.
    pub sequences: u64,
    /// Numbers that are missing.
    pub missing: u64,
    /// Numbers that come more than once.
    pub repeated: u64,
    /// Numbers that come later than they should.
    pub disordered: u64,
    /// Records without a number that could be read.
    pub unreadable: u64,
    /// What is wrong, at most as much as asked for.
    pub items: Vec<ContinuityItem>,
    /// Whether there is more.
    pub items_truncated: bool,
    /// Duration of the check.
    pub seconds: f64,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// A break in a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContinuityItem {
    /// The sequence: a partition, and the source of the records where there are several.
    pub sequence: String,
    /// `gap`, `duplicate`, `reorder` or `unreadable`.
    pub kind: String,
    /// First and last number, as text: they may not fit into a number of JSON.
    pub numbers: Option<(String, String)>,
    /// How many numbers.
    pub count: u64,
    /// The offset of the record where it was noticed.
    pub offset: Option<u64>,
}

/// What was kept of a source, for the time when it is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotCheck {
    /// Pass when everything that was asked for is kept.
    pub verdict: Verdict,
    /// The id of the snapshot; `null` where none could be kept.
    pub snapshot: Option<String>,
    /// The snapshot that it went on from, so that only what came since was read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
    /// Logs.
    pub logs: u64,
    /// Partitions.
    pub partitions: u64,
    /// Records that it describes.
    pub records: u64,
    /// Those of them that were read for it.
    pub records_read: u64,
    /// What of the logs was read, and what was taken over from the snapshot before; absent where their content was not
    /// asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reading: Option<crate::SegmentReading>,
    /// Groups of readers whose offsets are in it.
    pub groups: u64,
    /// Its size.
    pub bytes: u64,
    /// Duration of the check.
    pub seconds: f64,
    /// What of a source with rows or files is in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kept: Option<crate::KeptDatasets>,
    /// Things to know about the result.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Why it could not be taken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}
