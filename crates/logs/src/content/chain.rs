//! The records of a partition in order, reduced to segments that are cut by content.
//!
//! A cut depends on the records alone, so two partitions with the same records have the same segments, and
//! behind a difference they soon have the same ones again. A segment takes about a hundred bytes in memory,
//! whatever its records hold.

use super::{Id, Timestamps};
use paritas_digest::KeyId;
use serde::{Deserialize, Serialize};

/// Version of images, hashes and cuts. Chains of different versions are incomparable.
pub const CHAIN_VERSION: u32 = 1;

/// What a chain is made with. Chains are comparable only where these are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Version of images, hashes and cuts.
    pub version: u32,
    /// The name in the keys of the hashes: that of the log on the source.
    pub log: String,
    /// Whether times are part of the hashes.
    pub timestamps: Timestamps,
    /// Which digest key.
    pub key_id: KeyId,
}

/// Some records that follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Row", from = "Row")]
pub struct Segment {
    /// How many; at least one.
    pub records: u64,
    /// Offset of the first.
    pub first: u64,
    /// Offset of the last.
    pub last: u64,
    /// Bytes of their keys, values and headers.
    pub bytes: u64,
    /// Hash of their names in order.
    pub ordered: Id,
    /// Sum of their names, whatever their order.
    pub sum: Id,
    /// Times of the earliest and the latest in milliseconds since 1970; `None` where none has a time.
    pub times: Option<(i64, i64)>,
}

/// A segment as it is stored: an array, because there may be millions.
#[derive(Serialize, Deserialize)]
struct Row(u64, u64, u64, u64, Id, Id, Option<(i64, i64)>);

impl From<Segment> for Row {
    fn from(s: Segment) -> Self {
        Self(s.records, s.first, s.last, s.bytes, s.ordered, s.sum, s.times)
    }
}

impl From<Row> for Segment {
    fn from(Row(records, first, last, bytes, ordered, sum, times): Row) -> Self {
        Self { records, first, last, bytes, ordered, sum, times }
    }
}

impl Segment {
    /// Whether the other one has the same records in the same order, wherever they stand.
    pub fn is_like(&self, other: &Self) -> bool {
        self.ordered == other.ordered && self.records == other.records
    }
}

/// One record at the end of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its offset.
    pub offset: u64,
    /// Its name.
    pub id: Id,
    /// Its time in milliseconds since 1970.
    pub time: Option<i64>,
}

/// The records of a partition that committed readers can have, from one offset to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// What it is made with.
    pub terms: Terms,
    /// The offset at which it begins.
    pub from: u64,
    /// The end, not part of it: everything before was read.
    pub next: u64,
    /// Segments that were cut by content, in order.
    pub segments: Vec<Segment>,
    /// What follows the last cut.
    pub tail: Option<Segment>,
    /// The last records one by one, in order, where they were asked for: so many lost ones can be counted and
    /// named by their offsets when the log itself is gone.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub trail: Vec<Step>,
}

impl Chain {
    /// A chain without records that begins at an offset.
    pub fn new(terms: Terms, from: u64) -> Self {
        Self { terms, from, next: from, segments: Vec::new(), tail: None, trail: Vec::new() }
    }

    /// All segments, the tail included.
    pub fn all(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().chain(&self.tail)
    }

    /// How many segments there are, the tail included.
    pub fn len(&self) -> usize {
        self.segments.len() + usize::from(self.tail.is_some())
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One segment; behind the cut ones comes the tail.
    pub fn get(&self, index: usize) -> Option<&Segment> {
        self.segments.get(index).or_else(|| self.tail.as_ref().filter(|_| index == self.segments.len()))
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.all().map(|segment| segment.records).sum()
    }

    /// Bytes of all keys, values and headers.
    pub fn bytes(&self) -> u64 {
        self.all().map(|segment| segment.bytes).sum()
    }

    /// Times of the earliest and the latest record.
    pub fn times(&self) -> Option<(i64, i64)> {
        self.all().filter_map(|segment| segment.times).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

impl Chain {
    /// The chain of what a log still has that begins at `start` now: without the segments that begin before.
    #[must_use]
    pub fn without_before(mut self, start: u64) -> Self {
        if start <= self.from {
            return self;
        }
        self.segments.retain(|segment| segment.first >= start);
        self.tail = self.tail.filter(|tail| tail.first >= start);
        self.trail.retain(|step| step.offset >= start);
        let first = self.all().next().map_or(self.next, |first| first.first);
        self.from = first.max(start);
        self.next = self.next.max(self.from);
        self
    }
}
