//! The transactions that pages depend on: rows in a page are visible or not by how the transactions
//! ended that wrote and deleted them, and that is not in the page.
//!
//! A page may say how a transaction ended (a hint), which saves readers a look into the store's own
//! list. Where only one side has such a hint, it must agree with the list of both.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

/// Numbers in one piece of the set.
const PIECE: u32 = 1024;
/// Pieces at most: 64 MiB, for 65,536 to 67 million transactions, by how close together they are.
const PIECES_MAX: usize = 65_536;
/// Groups at most.
const GROUPS_MAX: usize = 65_536;
/// Places of hints that are remembered at most. Further hints are known, and not where they stand.
const PLACES_MAX: usize = 100_000;

/// A row depends on it.
const SEEN: u8 = 1;
/// Some row depends on it of which not both sides say how it ended.
const UNDECIDED: u8 = 2;
/// One side alone says somewhere that it committed.
const COMMITTED: u8 = 4;
/// One side alone says somewhere that it aborted.
const ABORTED: u8 = 8;

/// How a transaction ended, as a store says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionEnd {
    /// Its changes are in force.
    Committed,
    /// They never were.
    Aborted,
    /// It has not ended.
    Running,
    /// The store does not remember.
    Forgotten,
}

/// Where something in a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// Which relation, by the caller's number.
    pub relation: usize,
    /// Which page.
    pub block: u64,
    /// Which item in it, from 1.
    pub item: u16,
}

/// A hint of one side that the other side does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hint {
    /// The transaction, or the group of transactions.
    pub number: u32,
    /// Whether it is a group.
    pub group: bool,
    /// Whether it is said to have committed.
    pub committed: bool,
}

/// A set of transactions (32 bits, as in pages) with what pages say about them. Its size is limited;
/// once that is reached, it says so and takes no more.
#[derive(Debug, Default)]
pub struct Transactions {
    pieces: HashMap<u32, Box<[u8]>>,
    groups: BTreeSet<u32>,
    group_hints: BTreeMap<Hint, Spot>,
    places: BTreeMap<Hint, Spot>,
    last: Option<(u32, u8)>,
    overflowed: bool,
}

impl Transactions {
    /// Adds a transaction that a row depends on; `decided` where both sides' pages say the same about
    /// how it ended.
    #[inline]
    pub fn add(&mut self, number: u32, decided: bool) {
        self.mark(number, if decided { SEEN } else { SEEN | UNDECIDED });
    }

    #[inline]
    fn mark(&mut self, number: u32, flags: u8) {
        if self.last != Some((number, flags)) {
            self.insert(number, flags);
        }
    }

    fn insert(&mut self, number: u32, flags: u8) {
        let (piece, index) = (number / PIECE, (number % PIECE) as usize);
        if !self.pieces.contains_key(&piece) && self.pieces.len() >= PIECES_MAX {
            self.overflowed = true;
            return;
        }
        let piece = self.pieces.entry(piece).or_insert_with(|| vec![0; PIECE as usize].into_boxed_slice());
        if let Some(slot) = piece.get_mut(index) {
            *slot |= flags;
        }
        self.last = Some((number, flags));
    }

    /// Adds all transactions between two full numbers, whatever pages say of them. The lowest numbers stand for
    /// no transaction.
    pub fn add_all(&mut self, full: Range<u64>, lowest: u32) {
        full.map(|number| number as u32).filter(|number| *number >= lowest).for_each(|number| self.add(number, false));
    }

    /// Adds a group of transactions that a row depends on.
    pub fn add_group(&mut self, number: u32) {
        if self.groups.len() < GROUPS_MAX || self.groups.contains(&number) {
            self.groups.insert(number);
        } else {
            self.overflowed = true;
        }
    }

    /// Adds a hint that only one side has, and where it was seen.
    pub fn doubt(&mut self, hint: Hint, spot: Spot) {
        if hint.group {
            // No more than two for each group.
            self.group_hints.entry(hint).or_insert(spot);
            return;
        }
        self.mark(hint.number, SEEN | UNDECIDED | if hint.committed { COMMITTED } else { ABORTED });
        if self.places.len() < PLACES_MAX {
            self.places.entry(hint).or_insert(spot);
        }
    }

    /// Adds everything of another set.
    pub fn merge(&mut self, other: Self) {
        for (number, piece) in other.pieces {
            if let Some(own) = self.pieces.get_mut(&number) {
                own.iter_mut().zip(&piece).for_each(|(own, other)| *own |= other);
            } else if self.pieces.len() < PIECES_MAX {
                self.pieces.insert(number, piece);
            } else {
                self.overflowed = true;
            }
        }
        other.groups.into_iter().for_each(|group| self.add_group(group));
        other.places.into_iter().chain(other.group_hints).for_each(|(hint, spot)| self.doubt(hint, spot));
        self.overflowed |= other.overflowed;
    }

    /// Whether there was more than fits: then nothing is complete.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// All transactions, ascending; with `undecided`, only those of which not both sides' pages say how
    /// they ended.
    pub fn numbers(&self, undecided: bool) -> Vec<u32> {
        let wanted = if undecided { UNDECIDED } else { SEEN };
        let mut pieces: Vec<(u32, &[u8])> = self.pieces.iter().map(|(number, piece)| (*number, &**piece)).collect();
        pieces.sort_unstable_by_key(|(number, _)| *number);
        let in_piece = |(number, piece): (u32, &[u8])| {
            let first = number.saturating_mul(PIECE);
            let seen = piece.iter().zip(0..PIECE).filter(|(flags, _)| **flags & wanted != 0);
            seen.map(|(_, offset)| first.saturating_add(offset)).collect::<Vec<u32>>()
        };
        pieces.into_iter().flat_map(in_piece).collect()
    }

    /// All groups, ascending.
    pub fn groups(&self) -> Vec<u32> {
        self.groups.iter().copied().collect()
    }

    /// Whether one side alone says of a transaction that it committed, and that it aborted.
    pub fn said(&self, number: u32) -> (bool, bool) {
        let flags = self.pieces.get(&(number / PIECE)).and_then(|piece| piece.get((number % PIECE) as usize));
        let flags = flags.copied().unwrap_or(0);
        (flags & COMMITTED != 0, flags & ABORTED != 0)
    }

    /// The first place of a hint, where it is remembered.
    pub fn place(&self, hint: &Hint) -> Option<Spot> {
        self.places.get(hint).or_else(|| self.group_hints.get(hint)).copied()
    }

    /// Hints of one side about groups.
    pub fn group_hints(&self) -> impl Iterator<Item = &Hint> {
        self.group_hints.keys()
    }

    /// The full number of one that is known to be about as old as `near`: numbers in pages are cut to 32
    /// bits, and lie within 2^31 of each other. 0 where there is no such number.
    pub fn full(number: u32, near: u64) -> u64 {
        let apart = number.wrapping_sub(near as u32).cast_signed();
        near.saturating_add_signed(apart.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_holds_exactly_what_was_added(a in prop::collection::btree_set(any::<u32>(), 0..200), b in prop::collection::btree_set(0_u32..5000, 0..200)) {
            let (mut first, mut second) = (Transactions::default(), Transactions::default());
            a.iter().for_each(|number| first.add(*number, true));
            b.iter().for_each(|number| { second.add(*number, false); second.add_group(*number) });
            first.merge(second);
            let all: Vec<u32> = a.union(&b).copied().collect();
            prop_assert_eq!(first.numbers(false), all);
            prop_assert_eq!(first.numbers(true), b.iter().copied().collect::<Vec<u32>>());
            prop_assert_eq!(first.groups(), b.into_iter().collect::<Vec<u32>>());
            prop_assert!(!first.overflowed());
        }

        #[test]
        fn a_number_is_completed_to_the_nearest(near in (1_u64 << 32)..(1 << 50), apart in -(1_i64 << 31)..(1 << 31)) {
            let full = near.saturating_add_signed(apart);
            prop_assert_eq!(Transactions::full(full as u32, near), full);
        }
    }

    #[test]
    fn a_span_over_the_end_of_the_numbers_leaves_out_those_of_nobody() {
        let mut set = Transactions::default();
        set.add_all((1 << 32) - 2..(1 << 32) + 5, 3);
        assert_eq!(set.numbers(true), [3, 4, u32::MAX - 1, u32::MAX]);
    }

    #[test]
    fn what_does_not_fit_is_never_forgotten_silently() {
        let mut set = Transactions::default();
        (0..=PIECES_MAX as u32).for_each(|piece| set.add(piece * PIECE, true));
        assert!(set.overflowed());
        assert_eq!(set.numbers(false).len(), PIECES_MAX);
        let mut groups = Transactions::default();
        (0..=GROUPS_MAX as u32).for_each(|group| groups.add_group(group));
        assert!(groups.overflowed());
        let mut both = Transactions::default();
        both.merge(set);
        assert!(both.overflowed());
    }
}
