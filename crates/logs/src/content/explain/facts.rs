//! What is known of a pair of partitions, and where records stand that only one side has.

use crate::content::{Lie, Seen, State};
use std::ops::Range;

/// What is known of a pair of partitions.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Its number on the source.
    pub number: i32,
    /// Records at the beginning of the source's log are gone.
    pub source_cut: bool,
    /// Records at the beginning of the replica's log are gone.
    pub replica_cut: bool,
    /// What the replica lacks behind its last record counts up to this offset of the source.
    pub fence: u64,
    /// Why nothing that is found is proven, if so.
    pub doubt: Option<String>,
    /// The first and the last record that both sides have.
    matched: Option<(Pair, Pair)>,
    /// The offsets of the first.
    first: Option<(u64, u64)>,
}

/// Places of a record that both sides have: on the source as [`place_of`] counts, on the replica by its number.
type Pair = (u64, u64);

/// Committed records have odd places, what stands between them the even ones.
fn place_of(seen: &Seen) -> u64 {
    match seen.state {
        State::Committed => committed(seen.ordinal),
        State::Aborted | State::Undecided => seen.ordinal.saturating_mul(2),
    }
}

fn committed(ordinal: u64) -> u64 {
    ordinal.saturating_mul(2).saturating_add(1)
}

/// Where a record stands that only one side has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Before all that both sides have.
    Head,
    /// Between records that both sides have.
    Inner,
    /// Behind all that both sides have.
    Tail,
    /// The sides have nothing in common.
    Alone,
}

impl Facts {
    /// Partitions of which nothing is known to be in common. `number` is that of the source's, `lie` says which logs
    /// begin in the middle, and what the replica lacks at its end counts up to the offset `fence` of the source.
    pub fn new(number: i32, lie: Lie, fence: u64) -> Self {
        let Lie { source_cut, replica_cut, .. } = lie;
        Self { number, source_cut, replica_cut, fence, doubt: None, matched: None, first: None }
    }

    /// A run of committed records that both sides have, by their numbers, and the offsets of the first of them.
    pub fn matched(&mut self, source: Range<u64>, replica: Range<u64>, offsets: (u64, u64)) {
        let last = |range: &Range<u64>| range.end.saturating_sub(1).max(range.start);
        self.extend((committed(source.start), replica.start), offsets);
        self.extend((committed(last(&source)), last(&replica)), offsets);
    }

    /// A record of the replica that is one of the source, though perhaps an aborted or altered one.
    pub(super) fn meets(&mut self, source: &Seen, replica: &Seen) {
        self.extend((place_of(source), replica.ordinal), (source.offset, replica.offset));
    }

    /// The offsets of the first record that both sides have.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        self.first
    }

    fn extend(&mut self, pair: Pair, offsets: (u64, u64)) {
        if self.matched.is_none_or(|(first, _)| pair < first) {
            self.first = Some(offsets);
        }
        self.matched = Some(self.matched.map_or((pair, pair), |(first, last)| (first.min(pair), last.max(pair))));
    }

    /// Where a committed record of the source stands.
    pub(super) fn on_source(&self, ordinal: u64) -> Place {
        self.place(committed(ordinal), |pair| pair.0)
    }

    /// Where a record of the replica stands.
    pub(super) fn on_replica(&self, ordinal: u64) -> Place {
        self.place(ordinal, |pair| pair.1)
    }

    fn place(&self, at: u64, side: impl Fn(Pair) -> u64) -> Place {
        match self.matched {
            None => Place::Alone,
            Some((first, _)) if at < side(first) => Place::Head,
            Some((_, last)) if at > side(last) => Place::Tail,
            Some(_) => Place::Inner,
        }
    }

    /// Whether the replica has records before the first that both sides have.
    pub(super) fn replica_begins_before(&self) -> bool {
        self.matched.is_some_and(|(first, _)| first.1 > 0)
    }
}
