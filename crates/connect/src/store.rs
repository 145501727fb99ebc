//! The traits that a connector implements, and the values they exchange.

use crate::{Context, Coverage, Error, GroupRequest, GroupsNow, Observation, Result};
use async_trait::async_trait;
use paritas_digest::{Block, Canon, FoundKey, Incompatible, Policies};
use paritas_model::{Dataset, Known, Position, Schema, StoreKind, Value};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// One store. Read-only unless a method says otherwise; every call obeys the deadline and the
/// cancel of its [`Context`].
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// The kind of store.
    fn kind(&self) -> StoreKind;

    /// The name for reports: a configured name or a URL without credentials.
    fn name(&self) -> &str;

    /// Connects and says what the store is. Errors name what is missing: reachability, privileges.
    async fn probe(&self, cx: &Context) -> Result<StoreIdentity>;

    /// Streams with positions, where the store has them.
    fn positions(&self) -> Option<&dyn Positions> {
        None
    }

    /// The history of the server, where copies of the store share one log with timelines.
    fn lineages(&self) -> Option<&dyn crate::Lineages> {
        None
    }

    /// Its own clock, where it can be asked.
    fn clocks(&self) -> Option<&dyn crate::Clocks> {
        None
    }

    /// Rows written at an interval, where a probe can measure how long nobody takes writes.
    fn heartbeats(&self) -> Option<&dyn crate::Heartbeats> {
        None
    }

    /// Datasets with rows, where the store has them.
    fn datasets(&self) -> Option<&dyn Datasets> {
        None
    }

    /// Pages, where the store has them.
    fn pages(&self) -> Option<&dyn crate::Pages> {
        None
    }

    /// Rows by place, where the store has them.
    fn places(&self) -> Option<&dyn crate::Places> {
        None
    }

    /// Who wrote which row, where the store can say.
    fn writers(&self) -> Option<&dyn crate::Writers> {
        None
    }

    /// Logs of records, where the store has them.
    fn logs(&self) -> Option<&dyn crate::logs::Logs> {
        None
    }

    /// Files, where the store has them.
    fn files(&self) -> Option<&dyn Files> {
        None
    }
}

/// What a store says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIdentity {
    /// Product and version, such as `PostgreSQL 15.18`.
    pub version: String,
    /// What tells this store from every other of its kind (a system identifier, a canonical path).
    pub identity: Known<String>,
    /// What its data is read from (a running server and its database, a canonical path). Two stores
    /// of one kind at one place hold the same data under two names.
    pub place: Known<String>,
    /// How it takes part in replication, as far as it knows.
    pub role: ReplicaRole,
    /// Things that will not work, each with a reason: missing privileges, features that are off.
    pub limits: Vec<String>,
}

/// How a store takes part in replication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicaRole {
    /// It takes writes.
    Primary,
    /// It replays the history of its primary byte by byte.
    PhysicalReplica,
    /// It applies row changes of a publisher, under this origin or subscription.
    LogicalReplica {
        /// Its subscriptions, by the names of their slots on the publisher.
        subscriptions: Vec<String>,
    },
    /// Nothing is known about replication (files).
    Independent,
}

/// Streams: where a store is, and waiting until it is somewhere.
#[async_trait]
pub trait Positions: Debug + Send + Sync {
    /// On a source: a position that covers every change visible to a reader that starts now. On a
    /// replica: the position up to which changes are visible.
    async fn current(&self, cx: &Context) -> Result<Position>;

    /// On a replica: waits until everything up to `fence` is visible to new readers and returns
    /// the position reached. Returns an error of kind `Permanent` when the lineages differ and of
    /// kind `Deadline` when `cx` ends first.
    async fn wait_for(&self, cx: &Context, fence: &Position) -> Result<Position>;

    /// On a source: how many commits are in its history, so that replicas show them, while its own
    /// readers do not see them yet, because they wait for another store to confirm them. Unknown where
    /// that cannot be seen.
    async fn held_commits(&self, cx: &Context) -> Result<Known<u64>> {
        let _ = cx;
        Ok(Known::Known(0))
    }

    /// What the store says about replication now, in at most two round trips on a session that is kept
    /// for the next call.
    async fn observe(&self, cx: &Context) -> Result<Observation> {
        let _ = cx;
        Err(Error::unsupported("observing its replication"))
    }

    /// What the store offers for replication, and what it takes from others, dataset by dataset.
    async fn coverage(&self, cx: &Context) -> Result<Coverage> {
        let _ = cx;
        Err(Error::unsupported("listing what is replicated"))
    }
}

/// Rows.
#[async_trait]
pub trait Datasets: Debug + Send + Sync {
    /// All datasets that this connection may see, sorted by name.
    async fn list(&self, cx: &Context) -> Result<Vec<Dataset>>;

    /// Datasets beside those of [`Self::list`] that are the same only where the replica is a copy of the store byte
    /// by byte: what the store keeps for itself, and no other way of replication carries.
    async fn list_copied(&self, cx: &Context) -> Result<Vec<Dataset>> {
        let _ = cx;
        Ok(Vec::new())
    }

    /// Changes whenever a dataset or its schema does, also when it is changed back. `None` where
    /// nothing changes while it is read.
    async fn catalog_version(&self, cx: &Context) -> Result<Option<String>> {
        let _ = cx;
        Ok(None)
    }

    /// Schema, key and size of one dataset. `dataset.missing` when it does not exist.
    async fn describe(&self, cx: &Context, dataset: &Dataset) -> Result<Description>;

    /// What the store holds beside the datasets that it lists, and that is therefore never compared:
    /// views, sequences, files of other kinds. For the report, so that nobody takes it for checked.
    async fn beside(&self, cx: &Context) -> Result<Vec<Beside>> {
        let _ = cx;
        Ok(Vec::new())
    }

    /// What belongs to a faithful copy beside rows and their tables: sequences, extensions. With
    /// `owners` only what belongs to these datasets.
    async fn surroundings(&self, cx: &Context, owners: Option<&[Dataset]>) -> Result<Vec<Surrounding>> {
        let _ = (cx, owners);
        Ok(Vec::new())
    }

    /// The newest time of a column, found by the store itself, or why it cannot; then rows are read.
    async fn newest(&self, cx: &Context, request: &crate::NewestRequest) -> Result<Known<crate::NewestSeen>> {
        let _ = (cx, request);
        Ok(Known::unknown("this kind of store looks for no newest time by itself"))
    }

    /// What hands out numbers, with the columns that take them. Columns are read before the counters, so that
    /// one that is written meanwhile is not taken for ahead of its counter.
    async fn counters(&self, cx: &Context) -> Result<Vec<CounterUse>> {
        let _ = cx;
        Ok(Vec::new())
    }

    /// The engine whose own binary values this store hands out (`postgres`), or `None` when it only
    /// hands out Arrow columns. Two stores of one engine are compared in the wire canon.
    fn wire_engine(&self) -> Option<&'static str> {
        None
    }

    /// The wire canon for the same dataset on two stores of this engine. `pairs` are (source,
    /// replica) column names, `key` are source names (empty: the whole row). Columns whose types
    /// differ are returned as incompatible. Only called where [`Datasets::wire_engine`] is some.
    fn wire_canon(
        &self,
        source: &Description,
        replica: &Description,
        pairs: &[(String, String)],
        key: &[String],
        policies: Policies,
    ) -> Result<Canon, Vec<Incompatible>> {
        let _ = (source, replica, pairs, key, policies);
        Err(Vec::new())
    }

    /// Values of the first key column, ascending and all different, that cut the rows of a request into
    /// about `parts` equal parts ([`KeyRange::between`]), or why there are none. Both stores of one
    /// engine agree on which part a row belongs to. Cheap: a sample is looked at, never all rows.
    async fn key_cuts(&self, cx: &Context, request: &ScanRequest, parts: usize) -> Result<Known<Vec<String>>> {
        let _ = (cx, request, parts);
        Ok(Known::unknown("this kind of store is not read in ranges of the key"))
    }

    /// Parts of a dataset that the store can sum up by itself ([`Datasets::quick_sum`]), or why it
    /// cannot. A physical replica has the same parts.
    async fn quick_parts(&self, cx: &Context, request: &ScanRequest) -> Result<Known<Vec<QuickPart>>> {
        let _ = (cx, request);
        Ok(Known::unknown("this kind of store makes no sums"))
    }

    /// What a part amounts to now. Unequal sums mean unequal rows; equal ones prove nothing.
    async fn quick_sum(&self, cx: &Context, request: &ScanRequest, part: &QuickPart) -> Result<QuickSum> {
        let _ = (cx, request, part);
        Err(Error::unsupported("sums made by the store"))
    }

    /// Whether reading a view a second time costs no more than decoding it: no network, and no server
    /// that others need. Equality is decided in a first, cheaper reading then.
    fn rereads_cheaply(&self) -> bool {
        false
    }

    /// Pins one consistent view of the dataset whose splits hand out groups instead of rows: Arrow batches
    /// with the columns to group by and the figures ([`crate::figures_field`]), each group as often as the
    /// splits make it. Says why the store cannot make figures that are exact, where it cannot.
    async fn open_grouped(&self, cx: &Context, request: &GroupRequest) -> Result<Known<Box<dyn Scan>>> {
        let _ = (cx, request);
        Ok(Known::unknown("this kind of store makes no figures of groups"))
    }

    /// The groups with these canonical keys as they are now, in a view of its own; those without a row are
    /// absent. Only where [`Datasets::open_grouped`] gives a view.
    async fn groups_now(&self, cx: &Context, request: &GroupRequest, keys: &[Vec<u8>]) -> Result<GroupsNow> {
        let _ = (cx, request, keys);
        Err(Error::unsupported("figures of groups"))
    }

    /// Pins one view of all datasets. `None` where each dataset has a view of its own.
    async fn hold(&self, cx: &Context) -> Result<Option<Box<dyn crate::Held>>> {
        let _ = cx;
        Ok(None)
    }

    /// A mark of now for [`Scan::ranged`], after waiting at most that long for everything that ran then to end; or why
    /// this store cannot tell. `None` where its kind does not tell which rows were written.
    async fn mark(&self, cx: &Context, settle: Duration) -> Result<Option<Known<crate::LogMark>>> {
        let _ = (cx, settle);
        Ok(None)
    }

    /// Whether its views can be read by files ([`Scan::filed`]).
    fn is_filed(&self) -> bool {
        false
    }

    /// Pins one consistent view of the dataset and cuts it into splits.
    async fn open(&self, cx: &Context, request: &ScanRequest) -> Result<Box<dyn Scan>>;
}

/// The fact of a schema that its rows are in no log: a physical replica cannot have them.
pub const FACT_UNLOGGED: &str = "unlogged: its rows are not in the log, and no physical replica has them";

/// Things of one kind that a store holds and that are not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// What they are, in the plural: `views`.
    pub what: String,
    /// How many there are.
    pub count: u64,
    /// The first of their names, at most [`Beside::NAMES_MAX`].
    pub names: Vec<String>,
    /// Why they are not compared.
    pub why: String,
    /// The dataset that holds them, where one does that is not listed with the others.
    pub dataset: Option<Dataset>,
}

impl Beside {
    /// Names in one list, at most.
    pub const NAMES_MAX: usize = 10;

    /// Things with these names; nothing where there are none.
    pub fn of(what: &str, names: impl IntoIterator<Item = String>, why: &str) -> Option<Self> {
        let mut beside =
            Self { what: what.to_owned(), count: 0, names: Vec::new(), why: why.to_owned(), dataset: None };
        for name in names {
            beside.count += 1;
            if beside.names.len() < Self::NAMES_MAX {
                beside.names.push(name);
            }
        }
        (beside.count > 0).then_some(beside)
    }
}

impl std::fmt::Display for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.names.is_empty() {
            return write!(f, "{} {}", self.count, self.what);
        }
        write!(f, "{} {}: {}", self.count, self.what, self.names.join(", "))?;
        match self.count.saturating_sub(self.names.len() as u64) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A range of blocks of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuickPart {
    /// The relation, as the store writes it.
    pub relation: String,
    /// The first block.
    pub from: u64,
    /// The end, not part of it; `None` where the relation ends.
    pub to: Option<u64>,
}

impl std::fmt::Display for QuickPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = self.to.map(|to| to.to_string()).unwrap_or_default();
        write!(f, "{} blocks {}..{end}", self.relation, self.from)
    }
}

/// A sum of the hashes of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuickSum {
    /// Rows.
    pub rows: u64,
    /// The sum, in the store's own notation.
    pub sum: String,
}

/// Something of a store that is no dataset, and that a faithful copy has as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surrounding {
    /// What it is, with its name: `sequence public.orders_id_seq`.
    pub what: String,
    /// How it is defined; equal on a faithful copy.
    pub definition: String,
    /// Where it counts: the next value, and whether values grow. `None` for what does not count.
    pub counter: Option<Known<Counter>>,
    /// Whether it matters only where the replica is a copy byte by byte.
    pub copies_only: bool,
}

/// The state of something that hands out numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// The number that is handed out next.
    pub next: i64,
    /// From one number to the next; negative where they fall.
    pub step: i64,
}

/// Something that hands out numbers, and a column that takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterUse {
    /// Its name, such as `public.orders_id_seq`.
    pub name: String,
    /// Where it counts.
    pub counter: Known<Counter>,
    /// Whether it begins again at its other end.
    pub cycles: bool,
    /// The column; `None` where no column takes its numbers.
    pub column: Option<String>,
    /// The number in the column that is farthest in the counter's direction; `None` where there is none.
    pub used: Known<Option<i128>>,
    /// What sets it behind all numbers that are used, in the store's own language.
    pub repair: Option<String>,
}

/// What is known about a dataset before reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name on this store.
    pub dataset: Dataset,
    /// Columns, key and further facts.
    pub schema: Schema,
    /// Roughly how many rows, for progress only.
    pub rows_estimate: Known<u64>,
    /// Roughly how many bytes, for progress only.
    pub bytes_estimate: Known<u64>,
}

/// A compared column and its name on this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnPair {
    /// Name in the canon (the source's name).
    pub canonical: String,
    /// Name on this store.
    pub own: String,
}

/// What to read.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// Which dataset, by its name on this store.
    pub dataset: Dataset,
    /// Compared columns in the canon's order, key columns first.
    pub columns: Vec<ColumnPair>,
    /// How rows become bytes. Wire blocks must follow it to the byte; Arrow blocks carry the
    /// columns in its order, with types that fit its slots.
    pub canon: Arc<Canon>,
    /// A condition in the store's own language (PostgreSQL only).
    pub filter: Option<String>,
    /// The parts to read, each as a split of its own; empty reads everything. Only for stores that cut
    /// keys ([`Datasets::key_cuts`]).
    pub ranges: Vec<KeyRange>,
}

/// Rows whose first key column is at least `from` and below `to`, both in the text form of the store's
/// engine. Rows without a value there belong to the range without `from`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    /// The smallest value; `None` begins before all of them.
    pub from: Option<String>,
    /// The end, not part of it; `None` ends after the largest value.
    pub to: Option<String>,
}

impl KeyRange {
    /// The ranges between these cuts, which must ascend. Together they hold every row exactly once.
    pub fn between(cuts: &[String]) -> Vec<Self> {
        let from = std::iter::once(None).chain(cuts.iter().cloned().map(Some));
        let to = cuts.iter().cloned().map(Some).chain(std::iter::once(None));
        from.zip(to).map(|(from, to)| Self { from, to }).collect()
    }
}

/// A part of a scan that is read by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Position in the list of splits.
    pub index: usize,
    /// What it is, for progress and messages: `blocks 0..4096`, `part-3.parquet row group 7`.
    pub label: String,
    /// Expected rows, 0 if unknown.
    pub rows_estimate: u64,
}

/// What a finished split amounted to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SplitDone {
    /// Rows handed out.
    pub rows: u64,
    /// Bytes read from the store.
    pub bytes: u64,
}

/// One consistent view of a dataset. Dropping it releases the view.
#[async_trait]
pub trait Scan: Debug + Send + Sync {
    /// What this view shows: a position, or why there is none.
    fn position(&self) -> Known<Position>;

    /// Which transactions this view shows, where rows name the one that wrote them.
    fn moment(&self) -> Option<crate::Moment> {
        None
    }

    /// The splits. Together they cover every row exactly once, in any order.
    fn splits(&self) -> &[Split];

    /// Reads one split into `sink`. Success means that the split was read to its end: a stream
    /// that ends early is an error. May be called for several splits at once, each with its own
    /// sink; after an error the same split may be read again from its start with a fresh sink.
    async fn read(&self, cx: &Context, split: &Split, sink: &mut dyn BlockSink) -> Result<SplitDone>;

    /// The rows by ranges of blocks, where the store has them.
    fn ranged(&self) -> Option<&dyn crate::Ranged> {
        None
    }

    /// The rows by segments of the logs that they are in, where they are records.
    fn segmented(&self) -> Option<&dyn crate::Segmented> {
        None
    }

    /// The rows by files, where the store has them.
    fn filed(&self) -> Option<&dyn crate::Filed> {
        None
    }

    /// Access by key, where the store has it.
    fn lookup(&self) -> Option<&dyn Lookup> {
        None
    }

    /// Whether the version of a row ([`FetchedRow::version`]) was certainly written after this view.
    fn is_newer(&self, version: u64) -> bool {
        let _ = version;
        false
    }

    /// Turns rows of this scan's Arrow or wire blocks into displayable rows (see
    /// [`Lookup::render`]); used after a locating pass.
    async fn render(&self, cx: &Context, block: &Block, rows: &[usize]) -> Result<Vec<FetchedRow>>;
}

/// Takes the blocks of one split. Implementations may do real work (hashing) inside.
pub trait BlockSink: Send {
    /// Takes a block, in the task that reads the split. Blocks hold some thousand rows, so that
    /// hashing one takes about a millisecond and no other task has to wait for long.
    fn accept(&mut self, block: Block) -> Result<()>;
}

/// Reading rows by key.
#[async_trait]
pub trait Lookup: Debug + Send + Sync {
    /// Reads the rows with these canonical keys as they are *now* (in a view of its own, newer than
    /// the scan's), in one consistent view. Keys without a row are absent from the answer; several
    /// rows under one key are all returned.
    async fn fetch(&self, cx: &Context, keys: &[Vec<u8>]) -> Result<Vec<FetchedRow>>;

    /// The same without any index, which could be damaged: reads the whole dataset. For few calls.
    async fn fetch_unindexed(&self, cx: &Context, keys: &[Vec<u8>]) -> Result<Vec<FetchedRow>> {
        self.fetch(cx, keys).await
    }
}

/// One value of a fetched row.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchedField {
    /// Canonical bytes, in full; `None` for NULL. Equal on both sides exactly when the values are.
    pub canonical: Option<Vec<u8>>,
    /// The value for people.
    pub shown: Value,
}

/// One row, by value.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchedRow {
    /// Which key this is, in the digest's terms.
    pub found: Option<FoundKey>,
    /// Canonical key bytes (empty where the whole row is the key).
    pub key: Vec<u8>,
    /// Values in the canon's column order.
    pub fields: Vec<FetchedField>,
    /// Where the row stands, where the store can say: a file and row number.
    pub place: Option<String>,
    /// Changes whenever the row is written, even with the same values (PostgreSQL: `xmin`);
    /// comparable on the same store only. `None` where the store has no such thing or it does not
    /// matter because the view never changes.
    pub version: Option<u64>,
}

/// Files.
#[async_trait]
pub trait Files: Debug + Send + Sync {
    /// All files below the store's root with their sizes, sorted by path, each with a BLAKE3
    /// checksum of its whole content. Files that cannot be read or change while being read are
    /// listed with the reason instead of a checksum.
    async fn manifest(&self, cx: &Context) -> Result<FileManifest>;
}

/// The files of a store at the time of reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileManifest {
    /// Sorted by path.
    pub files: Vec<FileEntry>,
    /// Whether the location is one file, rather than whatever files are in it.
    pub single: bool,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Path below the root, with `/` between parts.
    pub path: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// BLAKE3 of the content, or why there is none.
    pub blake3: Known<[u8; 32]>,
    /// Whether the content was proven unreadable (damaged) rather than merely not read.
    pub damaged: bool,
}
