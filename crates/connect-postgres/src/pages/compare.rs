//! Two pages held against each other, and the transactions that equal ones depend on.

use super::layout::{ALL_VISIBLE, Bounds, FLAGS, Pointer, lsn, tuple, u16_at, u32_at};
use super::mask::{Layout, mask};
use super::{map, sequence};
use paritas_connect::{Hint, Likeness, PagePair, Spot, Transactions};

/// The first number that a transaction can have; those below never end in another way than they did.
pub(super) const FIRST_NORMAL: u32 = 3;

/// Compares two pages of servers that log hints.
#[cfg(any(test, fuzzing))]
pub(crate) fn compare(layout: Layout, pair: &PagePair<'_>, transactions: &mut Transactions) -> Likeness {
    compare_under(layout, true, pair, transactions)
}

/// Compares two pages; `hinted` says whether the servers log hints. Only hints that contradict each other make a difference of their own; those
/// that only one side has are collected, to be held against how the transaction really ended.
pub(crate) fn compare_under(
    layout: Layout,
    hinted: bool,
    pair: &PagePair<'_>,
    transactions: &mut Transactions,
) -> Likeness {
    let (source, replica) = (pair.source, pair.replica);
    if layout == Layout::Map {
        let equal = map::claims(replica.len(), pair.block, source, replica).is_empty();
        return if equal { Likeness::Equal } else { Likeness::Different };
    }
    // Apart from version and checksum, most pages are equal to the bit.
    let identical = source.len() == replica.len() && source.get(FLAGS..) == replica.get(FLAGS..);
    let equal = identical || (masked_equal(layout, pair) && consistent(layout, hinted, source, replica));
    if !equal {
        return Likeness::Different;
    }
    if layout == Layout::Heap && !collect(pair, identical, transactions) {
        return Likeness::Different;
    }
    if lsn(source) == lsn(replica) { Likeness::Equal } else { Likeness::Renumbered }
}

/// What is masked and still has to fit together.
fn consistent(layout: Layout, hinted: bool, source: &[u8], replica: &[u8]) -> bool {
    match layout {
        // Set on the source before it is logged and cleared by what changes the version, so a replica never
        // has it alone. Where setting it does not change the version, a primary that crashed may have kept
        // one that was not logged, and may be a replica now.
        Layout::Heap => !hinted || u16_at(replica, FLAGS) & !u16_at(source, FLAGS) & ALL_VISIBLE == 0,
        Layout::Sequence(increment) => sequence::reached(source, increment) == sequence::reached(replica, increment),
        _ => true,
    }
}

fn masked_equal(layout: Layout, pair: &PagePair<'_>) -> bool {
    let masked = |page: &[u8]| {
        let mut page = page.to_vec();
        mask(layout, pair.block, &mut page);
        page
    };
    masked(pair.source) == masked(pair.replica)
}

/// Collects the transactions of all tuples. False when hints of both sides contradict each other.
fn collect(pair: &PagePair<'_>, identical: bool, transactions: &mut Transactions) -> bool {
    let Some(bounds) = Bounds::of(pair.source) else { return true };
    for index in 0..bounds.items() {
        let pointer = Pointer::at(pair.source, index);
        let Some(ours) = pointer.tuple(pair.source) else { continue };
        let theirs = if identical { Some(ours) } else { pointer.tuple(pair.replica) };
        let item = u16::try_from(index + 1).unwrap_or(u16::MAX);
        let spot = Spot { relation: pair.relation, block: pair.block, item };
        let Some(theirs) = theirs else { return false };
        if !(writer(ours, theirs, spot, transactions) && deleter(ours, theirs, spot, transactions)) {
            return false;
        }
    }
    true
}

/// What a side says about how a transaction ended.
type Said = Option<bool>;

fn said(bits: u16, committed: u16, aborted: u16) -> Said {
    match (bits & committed != 0, bits & aborted != 0) {
        (_, true) => Some(false),
        (true, false) => Some(true),
        (false, false) => None,
    }
}

#[inline]
fn writer(ours: &[u8], theirs: &[u8], spot: Spot, transactions: &mut Transactions) -> bool {
    let bits = [ours, theirs].map(|tuple| u16_at(tuple, tuple::INFOMASK));
    if bits.iter().any(|bits| bits & tuple::XMIN_FROZEN == tuple::XMIN_FROZEN) {
        // Logged, and so the same on both sides.
        return true;
    }
    let xmin = u32_at(ours, tuple::XMIN);
    let sides = bits.map(|bits| said(bits, tuple::XMIN_COMMITTED, tuple::XMIN_INVALID));
    agree(xmin, false, sides, spot, transactions)
}

#[inline]
fn deleter(ours: &[u8], theirs: &[u8], spot: Spot, transactions: &mut Transactions) -> bool {
    let bits = u16_at(ours, tuple::INFOMASK);
    // One who only locks deletes nothing, however it ends.
    let old_lock = bits & (tuple::XMAX_IS_MULTI | tuple::XMAX_KEYSHR_LOCK | tuple::XMAX_EXCL_LOCK);
    if bits & tuple::XMAX_LOCK_ONLY != 0 || old_lock == tuple::XMAX_EXCL_LOCK {
        return true;
    }
    let sides = [bits, u16_at(theirs, tuple::INFOMASK)];
    let sides = sides.map(|bits| said(bits, tuple::XMAX_COMMITTED, tuple::XMAX_INVALID));
    if sides == [Some(false), Some(false)] {
        // Neither side looks at it any more.
        return true;
    }
    agree(u32_at(ours, tuple::XMAX), bits & tuple::XMAX_IS_MULTI != 0, sides, spot, transactions)
}

/// Notes a transaction and what only one side says about it. False when both say it differently.
#[inline]
fn agree(number: u32, group: bool, sides: [Said; 2], spot: Spot, transactions: &mut Transactions) -> bool {
    let hint = match sides {
        [Some(ours), Some(theirs)] if ours != theirs => return false,
        [Some(committed), None] | [None, Some(committed)] => Some(committed),
        _ => None,
    };
    if group {
        transactions.add_group(number);
    } else if number >= FIRST_NORMAL {
        transactions.add(number, sides.iter().all(Option::is_some));
    } else {
        // Number 0 is nobody, and 1 and 2 have always committed.
        return hint.is_none_or(|committed| committed == (number != 0));
    }
    if let Some(committed) = hint {
        transactions.doubt(Hint { number, group, committed }, spot);
    }
    true
}

#[cfg(test)]
#[path = "compare_tests.rs"]
pub(super) mod tests;
