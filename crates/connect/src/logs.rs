//! Logs of records: what a store of append-only logs (topics with partitions) can be asked.
//!
//! A log has partitions, a partition has records at ascending offsets, with gaps where something was
//! compacted away, was aborted, or is a marker that nobody can read. Whoever copies logs into another
//! store leaves traces there; whoever reads them leaves offsets. All of it is handed out as it is: what
//! it means is judged above.

mod anchor;
mod memory;

pub use anchor::{Anchor, Anchored, last_of, still_there};
pub use memory::{Fate, LogCall, MemoryLogs, MemoryRecord};

use crate::{Context, Result};
use async_trait::async_trait;
use paritas_model::Known;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

/// A store of logs. Nothing is written, no group is joined and no offset is committed.
#[async_trait]
pub trait Logs: fmt::Debug + Send + std::marker::Sync {
    /// Who the cluster is, its brokers, and all its logs with the state of their partitions, in as few
    /// requests as the store allows.
    async fn survey(&self, cx: &Context) -> Result<Survey>;

    /// The settings of these logs, by name; unknown where they may not be read.
    async fn settings(&self, cx: &Context, logs: &[String]) -> Result<BTreeMap<String, Known<Settings>>>;

    /// Where partitions begin and end now, in the order in which they were asked for. One request a broker
    /// for each of start, stable end and end, however many partitions there are.
    async fn ends(&self, cx: &Context, partitions: &[Partition]) -> Result<Vec<Known<Ends>>>;

    /// For each partition and time (milliseconds since 1970) the first offset whose record has that
    /// timestamp or a later one; `None` where there is none.
    async fn offsets_at(&self, cx: &Context, wanted: &[(Partition, i64)]) -> Result<Vec<Known<Option<u64>>>>;

    /// Groups of readers with what they have committed. `None` lists all that may be seen.
    async fn groups(&self, cx: &Context, names: Option<&[String]>) -> Result<Vec<Group>>;

    /// Reads ranges, several at a time, each in the order of its offsets. Batches of different ranges
    /// come in any order. Success means that every range was read to its end or until the sink had
    /// enough of it; a partition that ends before a range does is an error (`log.short`), and one that
    /// begins behind its start is one as well (`log.truncated`). Both name the partition.
    async fn read(&self, cx: &Context, ranges: &[Range], sink: &mut dyn RecordSink) -> Result<Vec<RangeRead>>;

    /// What mirroring tools have left in this store.
    async fn traces(&self, cx: &Context) -> Result<Traces>;
}

/// One partition of a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition {
    /// The log's name.
    pub log: String,
    /// The number of the partition.
    pub index: i32,
}

impl Partition {
    /// A partition of a log.
    pub fn new(log: impl Into<String>, index: i32) -> Self {
        Self { log: log.into(), index }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.log, self.index)
    }
}

/// A cluster and its logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// What tells the cluster from every other.
    pub cluster: Known<String>,
    /// The broker that controls the others.
    pub controller: Known<i32>,
    /// Brokers that are alive.
    pub brokers: Vec<Broker>,
    /// All logs, sorted by name.
    pub logs: Vec<Log>,
    /// What could not be seen, each with what to do.
    pub limits: Vec<String>,
}

impl Survey {
    /// The log of that name.
    pub fn log(&self, name: &str) -> Option<&Log> {
        self.logs.binary_search_by(|log| log.name.as_str().cmp(name)).ok().and_then(|at| self.logs.get(at))
    }
}

/// A server of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its number.
    pub id: i32,
    /// The address under which it wants to be reached, with the port.
    pub address: String,
}

/// A log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Its name.
    pub name: String,
    /// Another one for every log that was ever made, also under the same name.
    pub id: Known<String>,
    /// Whether it belongs to the store itself.
    pub internal: bool,
    /// Its partitions, in the order of their numbers.
    pub partitions: Vec<PartitionState>,
}

/// What holds a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// The number of the partition.
    pub index: i32,
    /// The broker that leads it; `None` where nobody does.
    pub leader: Option<i32>,
    /// The brokers that are to have it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub in_sync: Vec<i32>,
}

/// Settings of a log: those in force, with where each comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(pub BTreeMap<String, Setting>);

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its value; `None` for one that is secret.
    pub value: Option<String>,
    /// Whether it was set for this log, and is not what the store takes by itself.
    pub own: bool,
}

impl Settings {
    /// The value in force.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.value.as_deref()
    }
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// The first offset that can still be read.
    pub start: u64,
    /// One more than the last offset that readers can have, of records that may still be aborted too.
    pub end: u64,
    /// One more than the last offset before the first transaction that is still open; not beyond `end`.
    pub stable: u64,
    /// Which leadership the end belongs to, where the store counts them.
    pub epoch: Option<i32>,
    /// The question was about to be sent.
    pub asked: Instant,
    /// The answer was there.
    pub answered: Instant,
}

/// A group of readers.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What it is doing, in the store's words: `Stable`, `Empty`, `Dead`.
    pub state: Known<String>,
    /// Its members, with the partitions that each of them reads.
    pub members: Known<Vec<Member>>,
    /// What it has committed, by partition; partitions without a commit are absent.
    pub offsets: Known<BTreeMap<Partition, Committed>>,
    /// The question for the offsets was about to be sent.
    pub asked: Instant,
    /// The answer was there.
    pub answered: Instant,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it calls itself.
    pub client: String,
    /// Where it is.
    pub host: String,
    /// What it reads.
    pub partitions: Vec<Partition>,
}

/// An offset that a group has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next record that it wants.
    pub offset: u64,
    /// What it noted beside.
    pub metadata: String,
}

/// Which records are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Those of committed transactions, and those outside of any.
    #[default]
    Committed,
    /// Those of open and aborted transactions as well.
    Uncommitted,
}

/// A range of offsets of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The partition.
    pub partition: Partition,
    /// The first offset.
    pub from: u64,
    /// The end, not part of it. Not beyond the end of the partition (the stable one, for committed
    /// records).
    pub to: u64,
    /// Which records.
    pub isolation: Isolation,
}

/// What reading a range amounted to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RangeRead {
    /// Records handed out.
    pub records: u64,
    /// Their bytes: keys, values, headers.
    pub bytes: u64,
    /// Everything before this offset was handed out. At least the end of the range, or what the sink
    /// wanted.
    pub next: u64,
}

/// Takes records.
pub trait RecordSink: Send {
    /// Takes records of one range, in the order of their offsets.
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want>;
}

/// Whether a sink wants more of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Yes.
    More,
    /// No. What comes all the same is dropped by the store.
    Enough,
}

/// Some records of one partition.
pub trait Records: Send {
    /// How many.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them.
    fn get(&self, index: usize) -> Option<Record<'_>>;

    /// The number of the leadership under which one of them was appended, where the store says it.
    fn epoch(&self, index: usize) -> Option<i32> {
        let _ = index;
        None
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it stands.
    pub offset: u64,
    /// Its time in milliseconds since 1970; `None` where it has none.
    pub timestamp: Option<i64>,
    /// Whether the store set that time when it appended the record, and not whoever made the record.
    pub appended: bool,
    /// The key; `None` is not the same as an empty one.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is not the same as an empty one.
    pub value: Option<&'a [u8]>,
    /// Headers in their order; names may repeat.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// What mirroring tools have left in a store. Of each kind only what still counts: the newest per
/// subject, except for syncs, of which all that are there are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    /// Pairs of offsets that belong together, oldest first.
    pub syncs: Vec<Sync>,
    /// Translated offsets of groups.
    pub checkpoints: Vec<Checkpoint>,
    /// Signs of life.
    pub heartbeats: Vec<Heartbeat>,
    /// How far partitions were copied, by what the tool notes for its own restart.
    pub copied: Vec<Copied>,
    /// Logs that hold such traces, by name; they are no data.
    pub logs: Vec<String>,
    /// What could not be read, each with what to do; bytes that are no trace are named here too.
    pub limits: Vec<String>,
}

/// Record `upstream` of the source is record `downstream` of the replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// The log that holds it.
    pub held_in: String,
    /// The name of the other cluster in the mirror's configuration, as far as the log's name says it.
    pub alias: Option<String>,
    /// The partition, by its name on the source.
    pub partition: Partition,
    /// Offset on the source.
    pub upstream: i64,
    /// Offset on the replica.
    pub downstream: i64,
}

/// Where a group that stands at `upstream` of the source would go on on the replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The name of the source in the mirror's configuration.
    pub alias: String,
    /// The group.
    pub group: String,
    /// The partition, by its name on the replica.
    pub partition: Partition,
    /// What the group had committed on the source.
    pub upstream: i64,
    /// The translated offset.
    pub downstream: i64,
    /// What the group noted beside.
    pub metadata: String,
    /// When it was written, in milliseconds since 1970.
    pub written: Option<i64>,
}

/// A sign of life of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The log that holds it.
    pub held_in: String,
    /// The name of the cluster that is copied from.
    pub source: String,
    /// The name of the cluster that is copied to.
    pub target: String,
    /// The mirror's clock, in milliseconds since 1970.
    pub sent: i64,
}

/// How far a mirror says it has copied a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The name of the source in the mirror's configuration.
    pub alias: String,
    /// The partition, by its name on the source.
    pub partition: Partition,
    /// The last offset of the source that was copied.
    pub last: u64,
    /// When it was noted, in milliseconds since 1970.
    pub written: Option<i64>,
}
