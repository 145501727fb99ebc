//! Why chains differ: what the alignment of records left over, sorted into classes.
//!
//! Gaps of all partitions of a log are taken in first, because a record that one partition lacks may be in another one.
//! Explanations by equal records come before those by likeness, and what nothing explains is missing or foreign.

mod altered;
mod facts;
mod gap;
mod pieces;
mod sort;

pub use facts::Facts;
pub use gap::{Neighbours, Spot, Stretch, Whole};
pub use sort::Explained;

use super::id::IdMap;
use super::{Between, Id, Policy, SEGMENT_RECORDS_MAX, Seen};
use facts::Place;
use pieces::{Extent, Piece};
use std::collections::BTreeMap;
use std::ops::Range;

/// Records whose places are remembered, to tell copies of them, at most.
const KNOWN_MAX: usize = 1 << 20;
/// Records around a gap in which the originals of copies are looked for, besides as many as there are copies.
const AROUND: u64 = 2 * SEGMENT_RECORDS_MAX;

/// A range that any number widens.
const NONE: Range<u64> = Range { start: u64::MAX, end: 0 };

/// A record that only one side has at its place.
#[derive(Debug, Clone, Copy)]
struct Loose {
    partition: usize,
    hole: usize,
    seen: Seen,
    /// Whether it is explained.
    done: bool,
}

/// A place between records that both sides have, at which they differ.
#[derive(Debug, Clone, Copy, Default)]
struct Hole {
    source: Between,
    replica: Between,
    /// The number of the source's record behind.
    ordinal: u64,
}

/// Takes in what differs in the partitions of one log, and explains it.
#[derive(Debug)]
pub struct Explainer {
    policy: Policy,
    facts: Vec<Facts>,
    holes: Vec<Hole>,
    lost: Vec<Loose>,
    extra: Vec<Loose>,
    wholes: Vec<Whole>,
    /// Whether some records were only counted.
    coarse: bool,
    pieces: Vec<Piece>,
    /// Records of each partition that are on both sides, or were.
    known: Vec<IdMap<Extent>>,
    known_count: usize,
    /// Records in whole segments that were copied again, of each partition.
    copies: Vec<u64>,
    /// Records of the replica that others may be copies of, where the source has lost the originals.
    earlier: Vec<IdMap<u64>>,
}

/// Records of the replica that nothing explains yet, and where the originals might be if they are copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The partition, by its place in the list of facts.
    pub partition: usize,
    /// Their names.
    pub ids: Vec<Id>,
    /// Records of the source to look at, by their numbers among the committed ones.
    pub source: Range<u64>,
    /// Records of the replica to look at.
    pub replica: Range<u64>,
}

impl Explainer {
    /// Nothing is taken in yet.
    pub fn new(policy: Policy, facts: Vec<Facts>) -> Self {
        let partitions = facts.len();
        Self {
            policy,
            facts,
            holes: Vec::new(),
            lost: Vec::new(),
            extra: Vec::new(),
            wholes: Vec::new(),
            coarse: false,
            pieces: Vec::new(),
            known: vec![IdMap::default(); partitions],
            known_count: 0,
            copies: vec![0; partitions],
            earlier: vec![IdMap::default(); partitions],
        }
    }

    /// How many records are held.
    pub fn held(&self) -> usize {
        self.lost.len() + self.extra.len()
    }

    /// Remembers where a record of the source is that both sides have, or had. The first of equal ones.
    fn know(&mut self, partition: usize, seen: &Seen) {
        if let Some(known) = self.known.get_mut(partition).filter(|_| self.known_count < KNOWN_MAX) {
            let before = known.len();
            known.entry(seen.id).or_insert_with(|| Extent::of(seen));
            self.known_count += known.len() - before;
        }
    }

    /// A record of the source around a gap, which [`Explainer::wanted`] asked for.
    pub fn around(&mut self, partition: usize, seen: &Seen) {
        self.know(partition, seen);
    }

    /// A record of the replica before a gap, which [`Explainer::wanted`] asked for.
    pub fn before(&mut self, partition: usize, seen: &Seen) {
        if let Some(earlier) = self.earlier.get_mut(partition).filter(|_| self.known_count < KNOWN_MAX)
            && earlier.insert(seen.id, seen.offset).is_none()
        {
            self.known_count += 1;
        }
    }

    /// Whether a record that only the replica has is older than all that the source still has.
    fn is_expired(&self, extra: &Loose) -> bool {
        self.facts.get(extra.partition).is_some_and(|facts| {
            facts.source_cut && matches!(facts.on_replica(extra.seen.ordinal), Place::Head | Place::Alone)
        })
    }

    /// Which records nothing explains so far, by partition, so that copies of others can be told.
    pub fn wanted(&mut self) -> Vec<Wanted> {
        self.by_equal_records();
        let alike = self.alike();
        let mut wanted: BTreeMap<usize, Wanted> = BTreeMap::new();
        for (at, loose) in self.extra.iter().enumerate() {
            if loose.done || self.is_expired(loose) || alike.contains(&at) {
                continue;
            }
            let partition = loose.partition;
            let fresh = || Wanted { partition, ids: Vec::new(), source: NONE, replica: NONE };
            let entry = wanted.entry(partition).or_insert_with(fresh);
            entry.ids.push(loose.seen.id);
            let beside = self.holes.get(loose.hole).map_or(0, |hole| hole.ordinal);
            entry.source = entry.source.start.min(beside)..entry.source.end.max(beside);
            let own = loose.seen.ordinal;
            entry.replica = entry.replica.start.min(own)..entry.replica.end.max(own);
        }
        for entry in wanted.values_mut() {
            // A run that was copied again begins as far back as it is long.
            let copies = self.copies.get(entry.partition).copied().unwrap_or(0);
            let reach = AROUND.saturating_add(copies).saturating_add(entry.ids.len() as u64);
            entry.source = entry.source.start.saturating_sub(reach)..entry.source.end.saturating_add(reach);
            let cut = self.facts.get(entry.partition).is_some_and(|facts| facts.source_cut);
            let before = entry.replica.start.saturating_sub(reach)..entry.replica.end;
            entry.replica = if cut { before } else { 0..0 };
        }
        wanted.into_values().collect()
    }
}
