//! What of two pages may differ, bit by bit.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::pages::index::btree;
use crate::pages::layout::{self, CHECKSUM, HEADER, PRUNE_XID, put};
use proptest::prelude::*;
use rstest::rstest;

const PAGE: usize = 8192;
const BLOCK: u64 = 70_000;

/// A heap tuple's header and some data.
fn heap_tuple(xmin: u32, xmax: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; tuple::HEADER + 1];
    put(&mut bytes, tuple::XMIN, &xmin.to_le_bytes());
    put(&mut bytes, tuple::XMAX, &xmax.to_le_bytes());
    put(&mut bytes, tuple::COMMAND, &5_u32.to_le_bytes());
    put(&mut bytes, tuple::INFOMASK, &bits.to_le_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// A page with these tuples and a special space of so many bytes.
pub(in crate::pages) fn page(lsn: u32, special: usize, tuples: &[Vec<u8>]) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    let mut upper = PAGE - special;
    for (index, tuple) in tuples.iter().enumerate() {
        upper -= tuple.len().next_multiple_of(8);
        put(&mut page, upper, tuple);
        let word = upper as u32 | layout::NORMAL << 15 | (tuple.len() as u32) << 17;
        put(&mut page, Pointer::place(index), &word.to_le_bytes());
    }
    let lower = HEADER + 4 * tuples.len();
    put(&mut page, 4, &lsn.to_le_bytes());
    for (at, value) in [(12, lower), (14, upper), (16, PAGE - special), (18, PAGE | 4)] {
        put(&mut page, at, &(value as u16).to_le_bytes());
    }
    page
}

fn heap_page(bits: u16) -> Vec<u8> {
    page(9, 0, &[heap_tuple(700, 0, 0x0900, b"one"), heap_tuple(701, 702, bits, b"twotwo")])
}

fn pair<'a>(source: &'a [u8], replica: &'a [u8]) -> PagePair<'a> {
    PagePair { relation: 1, method: "heap", block: BLOCK, source, replica }
}

fn likeness(layout: Layout, source: &[u8], replica: &[u8]) -> Likeness {
    compare(layout, &pair(source, replica), &mut Transactions::default())
}

fn flip(page: &[u8], bit: usize) -> Vec<u8> {
    let mut page = page.to_vec();
    page[bit / 8] ^= 1 << (bit % 8);
    page
}

/// Bits of a heap page with one lone tuple that no log record stands behind.
fn may_differ(page: &[u8], bit: usize) -> bool {
    let (byte, bounds) = (bit / 8, Bounds::of(page).unwrap());
    let hints = 0x0F20_u16;
    let start = Pointer::at(page, 0).offset;
    byte < CHECKSUM + 2
        || (byte == FLAGS && bit % 8 < 2)
        || (PRUNE_XID..PRUNE_XID + 4).contains(&byte)
        || (bounds.lower..bounds.upper).contains(&byte)
        || (start + tuple::COMMAND..start + tuple::COMMAND + 4).contains(&byte)
        || (byte == start + tuple::INFOMASK && hints & 1 << (bit % 8) != 0)
        || (byte == start + tuple::INFOMASK + 1 && hints >> 8 & 1 << (bit % 8) != 0)
        || byte >= start + tuple::HEADER + 1 + 3
}

#[test]
fn every_single_bit_is_compared_but_those_that_are_not_logged() {
    let page = page(9, 0, &[heap_tuple(700, 702, 0x0000, b"one")]);
    for bit in 0..PAGE * 8 {
        let other = flip(&page, bit);
        let expected = match (may_differ(&page, bit), bit < 64) {
            (true, true) => Likeness::Renumbered,
            (true, false) => Likeness::Equal,
            (false, _) => Likeness::Different,
        };
        assert_eq!(likeness(Layout::Heap, &page, &other), expected, "bit {} of byte {}", bit % 8, bit / 8);
    }
}

#[rstest]
#[case::both_alike(0x0100, 0x0100, Likeness::Equal, &[])]
#[case::one_knows_the_writer(0x0900, 0x0800, Likeness::Equal, &[(701, false, true)])]
#[case::the_other_does(0x0800, 0x0A00, Likeness::Equal, &[(701, false, false)])]
#[case::writers_contradict(0x0900, 0x0A00, Likeness::Different, &[])]
#[case::one_knows_the_deleter(0x0500, 0x0100, Likeness::Equal, &[(702, false, true)])]
#[case::deleters_contradict(0x0500, 0x0900, Likeness::Different, &[])]
#[case::frozen_on_one_side(0x0300, 0x0100, Likeness::Different, &[])]
#[case::only_locked_on_one_side(0x0080, 0x0000, Likeness::Different, &[])]
#[case::a_lock_that_is_over(0x0980, 0x0180, Likeness::Equal, &[])]
#[case::a_group_that_is_over(0x1900, 0x1100, Likeness::Equal, &[(702, true, false)])]
#[case::combined_command(0x0120, 0x0100, Likeness::Equal, &[])]
fn hints_of_one_side_are_doubted_and_contradictions_differ(
    #[case] ours: u16,
    #[case] theirs: u16,
    #[case] expected: Likeness,
    #[case] doubts: &[(u32, bool, bool)],
) {
    let (source, replica) = (heap_page(ours), heap_page(theirs));
    let mut transactions = Transactions::default();
    assert_eq!(compare(Layout::Heap, &pair(&source, &replica), &mut transactions), expected);
    if expected != Likeness::Different {
        let spot = Spot { relation: 1, block: BLOCK, item: 2 };
        for (number, group, committed) in doubts {
            let hint = Hint { number: *number, group: *group, committed: *committed };
            assert_eq!(transactions.place(&hint), Some(spot), "{hint:?}");
        }
        let said = transactions.numbers(false).into_iter().map(|number| transactions.said(number));
        let count = said.map(|(committed, aborted)| usize::from(committed) + usize::from(aborted)).sum::<usize>();
        assert_eq!(count + transactions.group_hints().count(), doubts.len());
    }
}

#[rstest]
#[case::unhinted(0x0000, &[700, 701, 702], &[])]
#[case::aborted_deleter(0x0800, &[700, 701], &[])]
#[case::frozen(0x0B00, &[700], &[])]
#[case::frozen_and_deleted(0x0300, &[700, 702], &[])]
#[case::locker(0x0080, &[700, 701], &[])]
#[case::old_locker(0x0040, &[700, 701], &[])]
#[case::group(0x1000, &[700, 701], &[702])]
#[case::group_of_lockers(0x1080, &[700, 701], &[])]
fn the_transactions_that_decide_about_rows_are_collected(
    #[case] bits: u16,
    #[case] numbers: &[u32],
    #[case] groups: &[u32],
) {
    let page = heap_page(bits);
    let mut transactions = Transactions::default();
    assert_eq!(compare(Layout::Heap, &pair(&page, &page), &mut transactions), Likeness::Equal);
    assert_eq!((transactions.numbers(false).as_slice(), transactions.groups().as_slice()), (numbers, groups));
}

#[test]
fn a_hint_about_nobody_must_say_that_nobody_deleted_the_row() {
    let side = |bits| page(9, 0, &[heap_tuple(700, 0, bits, b"row")]);
    assert_eq!(likeness(Layout::Heap, &side(0x0100), &side(0x0900)), Likeness::Equal);
    assert_eq!(likeness(Layout::Heap, &side(0x0100), &side(0x0500)), Likeness::Different);
}

#[test]
fn a_speculative_insertion_is_replayed_as_its_own_place() {
    let side = |ctid: [u16; 3]| {
        let mut row = heap_tuple(700, 0, 0x0800, b"row");
        for (index, half) in ctid.into_iter().enumerate() {
            put(&mut row, tuple::CTID + 2 * index, &half.to_le_bytes());
        }
        page(9, 0, &[row])
    };
    let own = [(BLOCK >> 16) as u16, BLOCK as u16, 1];
    assert_eq!(likeness(Layout::Heap, &side([0, 77, 0xFFFE]), &side(own)), Likeness::Equal);
    assert_eq!(likeness(Layout::Heap, &side([0, 77, 3]), &side(own)), Likeness::Different);
}

#[test]
fn only_the_source_may_say_alone_that_all_rows_of_a_page_are_visible() {
    let plain = heap_page(0x0900);
    let mut visible = plain.clone();
    put(&mut visible, FLAGS, &ALL_VISIBLE.to_le_bytes());
    assert_eq!(likeness(Layout::Heap, &visible, &plain), Likeness::Equal);
    assert_eq!(likeness(Layout::Heap, &plain, &visible), Likeness::Different);
    // Where hints are not logged, one that was forgotten in a crash is not wrong.
    let unhinted = compare_under(Layout::Heap, false, &pair(&plain, &visible), &mut Transactions::default());
    assert_eq!(unhinted, Likeness::Equal);
}

/// A B-tree page with one entry.
fn index_page(flags: u16, cycle: u16, pointer_flags: u32, entry: &[u8]) -> Vec<u8> {
    let mut page = page(9, btree::BYTES, &[entry.to_vec()]);
    put(&mut page, PAGE - btree::BYTES + btree::FLAGS, &flags.to_le_bytes());
    put(&mut page, PAGE - btree::BYTES + btree::CYCLE, &cycle.to_le_bytes());
    let word = u32_at(&page, HEADER) & !layout::POINTER_FLAGS | pointer_flags << 15;
    put(&mut page, HEADER, &word.to_le_bytes());
    page
}

#[rstest]
#[case::dead_entry((1, 0, 1, b"entry"), (1, 0, 3, b"entry"), Likeness::Equal)]
#[case::unused_entry((1, 0, 1, b"entry"), (1, 0, 0, b"entry"), Likeness::Different)]
#[case::dead_entry_above_the_leaves((0, 0, 1, b"entry"), (0, 0, 3, b"entry"), Likeness::Different)]
#[case::garbage((1, 0, 1, b"entry"), (0x41, 0, 1, b"entry"), Likeness::Equal)]
#[case::split((1, 9, 1, b"entry"), (0x21, 0, 1, b"entry"), Likeness::Equal)]
#[case::another_entry((1, 0, 1, b"entry"), (1, 0, 1, b"Entry"), Likeness::Different)]
#[case::deleted((5, 0, 1, b"entry"), (5, 0, 0, b"Entry"), Likeness::Equal)]
#[case::deleted_on_one_side((5, 0, 1, b"entry"), (1, 0, 1, b"entry"), Likeness::Different)]
#[case::half_dead((1, 0, 1, b"entry"), (0x11, 0, 1, b"entry"), Likeness::Different)]
fn entries_and_links_of_an_index_are_compared(
    #[case] ours: (u16, u16, u32, &[u8; 5]),
    #[case] theirs: (u16, u16, u32, &[u8; 5]),
    #[case] expected: Likeness,
) {
    let side = |(flags, cycle, pointer, entry): (u16, u16, u32, &[u8; 5])| index_page(flags, cycle, pointer, entry);
    assert_eq!(likeness(Layout::Btree, &side(ours), &side(theirs)), expected);
}

#[test]
fn pages_without_a_sensible_header_are_compared_whole() {
    let broken = vec![0xFF; PAGE];
    assert_eq!(likeness(Layout::Heap, &broken, &broken), Likeness::Equal);
    assert_eq!(likeness(Layout::Heap, &broken, &flip(&broken, 50_000)), Likeness::Different);
    assert_eq!(likeness(Layout::Heap, &[], &[]), Likeness::Equal);
    assert_eq!(likeness(Layout::Btree, &broken, &[0xFF; 10]), Likeness::Different);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_a_page_is_like_itself(
        header in prop::collection::vec(any::<u8>(), HEADER + 400),
        rest in prop::collection::vec(any::<u8>(), 0..600),
        bounds in prop::array::uniform3(0_u16..1100),
        method in prop::sample::select(
            &["heap", "btree", "hash", "gin", "gist", "spgist", "brin", "sequence by -7", "visibility map"][..],
        ),
    ) {
        let mut page = [header, rest].concat();
        for (at, value) in [12, 14, 16].into_iter().zip(bounds) {
            put(&mut page, at, &value.to_le_bytes());
        }
        let layout = Layout::of(method).unwrap();
        prop_assert_eq!(likeness(layout, &page, &page), Likeness::Equal);
        let mut masked = page.clone();
        mask(layout, BLOCK, &mut masked);
        let mut again = masked.clone();
        mask(layout, BLOCK, &mut again);
        prop_assert_eq!(masked, again);
    }
}
