//! Sorting what is left over into classes.

use super::facts::{Facts, Place};
use super::pieces::{Extent, Piece, joined};
use super::{Explainer, Whole};
use crate::content::id::IdMap;
use crate::content::{Between, Class, Counts, Finding, Id, Of, Timestamps};
use paritas_model::Proof;
use std::collections::{BTreeMap, VecDeque};

/// What the gaps of a log came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explained {
    /// What differs, by partition and class.
    pub findings: Vec<Finding>,
    /// Records by class, of each partition.
    pub counts: Vec<Counts>,
    /// The first record of each partition that is not mirrored yet, by its offset on the source.
    pub behind: Vec<Option<u64>>,
    /// Whether both sides of a partition have some record in common.
    pub met: Vec<bool>,
    /// Why nothing that was found in a partition is proven.
    pub doubts: Vec<Option<String>>,
    /// There were so many records on one side only that some were counted and not looked for elsewhere: as missing and
    /// foreign ones, some of which may be reordered or in the wrong partition.
    pub coarse: bool,
}

/// What a loose record of the source may be found as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Not the ones that are merely not there yet.
    Settled,
    /// All.
    All,
}

impl Explainer {
    /// Explains all that equal records explain.
    pub(super) fn by_equal_records(&mut self) {
        self.reordered(Lost::Settled);
        self.duplicates();
    }

    /// Explains everything.
    pub fn explain(mut self) -> Explained {
        self.by_equal_records();
        self.reordered(Lost::All);
        self.wrong_partitions();
        self.likeness();
        self.rest();
        for whole in std::mem::take(&mut self.wholes) {
            let piece = self.whole_piece(&whole);
            self.pieces.extend(piece);
        }
        self.sum_up()
    }

    fn expired_on_replica(&self, partition: usize, ordinal: u64) -> bool {
        self.facts.get(partition).is_some_and(|facts| {
            facts.replica_cut && facts.on_source(ordinal) == Place::Head && !facts.replica_begins_before()
        })
    }

    /// Loose records of the source, by name. Those that expired on the replica are none.
    fn open_lost(&self, which: Lost, only: impl Fn(usize) -> bool) -> IdMap<VecDeque<usize>> {
        let mut open: IdMap<VecDeque<usize>> = IdMap::default();
        for (at, loose) in self.lost.iter().enumerate() {
            let place = self.facts.get(loose.partition).map(|facts| facts.on_source(loose.seen.ordinal));
            let not_yet = matches!(place, Some(Place::Tail | Place::Alone));
            let expired = self.expired_on_replica(loose.partition, loose.seen.ordinal);
            if !loose.done && !expired && only(loose.partition) && (which == Lost::All || !not_yet) {
                open.entry(loose.seen.id).or_default().push_back(at);
            }
        }
        open
    }

    /// Loose records of the replica that can be explained.
    fn open_extra(&self) -> Vec<usize> {
        let open = self.extra.iter().enumerate().filter(|(_, loose)| !loose.done && !self.is_expired(loose));
        open.map(|(at, _)| at).collect()
    }

    fn explained(&mut self, class: Class, lost: usize, extra: usize) {
        let (Some(ours), Some(theirs)) = (self.lost.get_mut(lost), self.extra.get_mut(extra)) else { return };
        ours.done = true;
        theirs.done = true;
        let (ours, theirs) = (*ours, *theirs);
        let mut piece = Piece::pair(class, Proof::Proven, ours.partition, &ours.seen, &theirs.seen);
        piece.found_in = (ours.partition != theirs.partition).then_some(theirs.partition);
        // Another one would be a copy of it.
        self.know(ours.partition, &ours.seen);
        if class == Class::Altered {
            let times = self.policy.timestamps == Timestamps::Compare;
            piece.parts = ours.seen.differing(&theirs.seen, times);
            if let Some(facts) = self.facts.get_mut(ours.partition) {
                facts.meets(&ours.seen, &theirs.seen);
            }
        }
        self.pieces.push(piece);
    }

    /// Records that a partition has on both sides, at other places.
    fn reordered(&mut self, which: Lost) {
        let mut open: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for at in self.open_extra() {
            if let Some(extra) = self.extra.get(at) {
                open.entry(extra.partition).or_default().push(at);
            }
        }
        for (partition, extras) in open {
            let mut lost = self.open_lost(which, |other| other == partition);
            for at in extras {
                let Some(id) = self.extra.get(at).map(|extra| extra.seen.id) else { continue };
                if let Some(found) = lost.get_mut(&id).and_then(VecDeque::pop_front) {
                    self.explained(Class::Reordered, found, at);
                }
            }
        }
    }

    /// Records that the replica has once more than the source.
    fn duplicates(&mut self) {
        let expired: Vec<(usize, Id, u64)> = {
            let expired = self.extra.iter().filter(|loose| self.is_expired(loose));
            expired.map(|loose| (loose.partition, loose.seen.id, loose.seen.offset)).collect()
        };
        for (partition, id, offset) in expired {
            if let Some(earlier) = self.earlier.get_mut(partition) {
                earlier.entry(id).or_insert(offset);
            }
        }
        for at in self.open_extra() {
            let Some(extra) = self.extra.get(at).copied() else { continue };
            let known = self.known.get(extra.partition).and_then(|known| known.get(&extra.seen.id)).copied();
            let earlier = self.earlier.get(extra.partition).and_then(|known| known.get(&extra.seen.id));
            let earlier = earlier.copied().filter(|offset| *offset < extra.seen.offset);
            if known.is_none() && earlier.is_none() {
                continue;
            }
            let mut piece = Piece::new(Class::Duplicate, Proof::Proven, extra.partition);
            piece.replica = Some(Extent::of(&extra.seen));
            piece.source = known;
            if known.is_none() {
                piece.note = Some("copies of records that the source no longer has".to_owned());
            }
            self.pieces.push(piece);
            if let Some(extra) = self.extra.get_mut(at) {
                extra.done = true;
            }
        }
    }

    /// Records that another partition of the replica has.
    fn wrong_partitions(&mut self) {
        let mut lost = self.open_lost(Lost::All, |_| true);
        for at in self.open_extra() {
            let Some(extra) = self.extra.get(at) else { continue };
            if let Some(found) = lost.get_mut(&extra.seen.id).and_then(VecDeque::pop_front) {
                self.explained(Class::WrongPartition, found, at);
            }
        }
    }

    /// Records that stand for each other.
    fn likeness(&mut self) {
        for (lost, extra) in self.altered() {
            // What expired on the source stands for nothing that is still there.
            self.explained(Class::Altered, lost, extra);
        }
    }

    /// What nothing explains.
    fn rest(&mut self) {
        for loose in std::mem::take(&mut self.lost) {
            let hole = self.holes.get(loose.hole).copied().unwrap_or_default();
            if !loose.done {
                let piece = self.lost_piece(loose.partition, Extent::of(&loose.seen), hole.on_replica());
                self.pieces.extend(piece);
            }
        }
        for loose in std::mem::take(&mut self.extra) {
            let hole = self.holes.get(loose.hole).copied().unwrap_or_default();
            if !loose.done {
                self.pieces.push(self.extra_piece(loose.partition, Extent::of(&loose.seen), hole.on_source()));
            }
        }
    }

    /// Records that only the source has. `None` for those that came after the fence, which nobody expects yet.
    fn lost_piece(&self, partition: usize, extent: Extent, between: Between) -> Option<Piece> {
        let facts = self.facts.get(partition)?;
        let (class, proof) = match facts.on_source(extent.ordinal) {
            Place::Head if self.expired_on_replica(partition, extent.ordinal) => (Class::Expired, Proof::Proven),
            Place::Head | Place::Inner => (Class::Missing, Proof::Proven),
            Place::Tail | Place::Alone => (Class::NotYetMirrored, Proof::InFlight),
        };
        Some(Piece::lost(class, proof, partition, extent, between))
    }

    /// Records that only the replica has.
    fn extra_piece(&self, partition: usize, extent: Extent, between: Between) -> Piece {
        let cut = self.facts.get(partition).filter(|facts| facts.source_cut);
        let expired = cut.is_some_and(|facts| matches!(facts.on_replica(extent.ordinal), Place::Head | Place::Alone));
        let (class, proof) = if expired { (Class::Expired, Proof::Proven) } else { (Class::Foreign, Proof::Proven) };
        Piece::extra(class, proof, partition, extent, between)
    }

    fn whole_piece(&self, whole: &Whole) -> Option<Piece> {
        let extent = Extent::run(whole.ordinal, whole.records, whole.span);
        match whole.of {
            Of::Source => self.lost_piece(whole.partition, extent, whole.between),
            Of::Replica => Some(self.extra_piece(whole.partition, extent, whole.between)),
        }
    }

    fn sum_up(mut self) -> Explained {
        let partitions = self.facts.len();
        let mut explained = Explained {
            counts: vec![Counts::default(); partitions],
            behind: vec![None; partitions],
            met: self.facts.iter().map(Facts::meet).collect(),
            doubts: self.facts.iter().map(|facts| facts.doubt.clone()).collect(),
            coarse: self.coarse,
            ..Explained::default()
        };
        let mut pieces = std::mem::take(&mut self.pieces);
        for piece in &mut pieces {
            let doubtful = |partition: usize| self.facts.get(partition).is_some_and(|facts| facts.doubt.is_some());
            let doubt = doubtful(piece.partition) || piece.found_in.is_some_and(doubtful);
            if doubt && piece.class.is_violation() {
                piece.proof = Proof::Unproven;
            }
        }
        pieces.retain(|piece| {
            let offset = piece.source.map(|extent| extent.span.first);
            if let (Class::NotYetMirrored, Some(behind)) = (piece.class, explained.behind.get_mut(piece.partition)) {
                *behind = (*behind).into_iter().chain(offset).min();
            }
            // What came after the fence is not expected yet.
            let fence = self.facts.get(piece.partition).map_or(u64::MAX, |facts| facts.fence);
            piece.class != Class::NotYetMirrored || offset.is_some_and(|offset| offset < fence)
        });
        for piece in joined(pieces) {
            let held = if piece.source.is_some() { Of::Source } else { Of::Replica };
            let Some(counts) = explained.counts.get_mut(piece.partition) else { continue };
            let allowed = piece.class == Class::Aborted && self.policy.aborted_allowed;
            if allowed {
                counts.aborted_allowed = counts.aborted_allowed.saturating_add(piece.records());
            } else {
                counts.add(piece.class, piece.proof, held, piece.records());
            }
            let number = |partition: usize| self.facts.get(partition).map_or(-1, |facts| facts.number);
            if !allowed {
                explained.findings.push(piece.finding(number));
            }
        }
        explained
    }
}
