//! What of two pages of an index, a sequence or a map may differ.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::pages::compare::compare;
use crate::pages::compare::tests::page;
use crate::pages::map;
use paritas_connect::{Claim, Likeness, PagePair, Transactions};
use rstest::rstest;

const PAGE: usize = 8192;

/// A page of an index with two entries and these last bytes.
fn index_page(special: &[u8]) -> Vec<u8> {
    let mut page = page(9, special.len(), &[b"entry one".to_vec(), b"entry two".to_vec()]);
    put(&mut page, PAGE - special.len(), special);
    page
}

fn likeness(method: &str, source: &[u8], replica: &[u8]) -> Likeness {
    let pair = PagePair { relation: 0, method, block: 5, source, replica };
    compare(Layout::of(method).unwrap(), &pair, &mut Transactions::default())
}

/// The last bytes of a page: zeros, and two bytes each at these places.
fn special(length: usize, fields: &[(usize, u16)]) -> Vec<u8> {
    let mut special = vec![0; length];
    fields.iter().for_each(|(at, value)| put(&mut special, *at, &value.to_le_bytes()));
    special
}

const DEAD_FLAGS: fn(&mut [u8]) = |page| page[HEADER + 2] |= 1;
const KEY: fn(&mut [u8]) = |page| {
    let at = Pointer::at(page, 0).offset;
    page[at] ^= 1;
};
const HOLE: fn(&mut [u8]) = |page| page[4000] ^= 1;

#[rstest]
#[case::hash_dead_entry("hash", special(16, &[(12, hash::BUCKET)]), DEAD_FLAGS, true)]
#[case::hash_dead_overflow("hash", special(16, &[(12, hash::OVERFLOW)]), DEAD_FLAGS, true)]
#[case::hash_bitmap_flags("hash", special(16, &[(12, 0x0004)]), DEAD_FLAGS, false)]
#[case::hash_key("hash", special(16, &[(12, hash::BUCKET)]), KEY, false)]
#[case::hash_unused("hash", special(16, &[]), KEY, true)]
#[case::hash_hole("hash", special(16, &[(12, hash::BUCKET)]), HOLE, true)]
#[case::gin_key("gin", special(8, &[(6, 0x0002)]), KEY, false)]
#[case::gin_hole("gin", special(8, &[(6, 0x0002)]), HOLE, true)]
#[case::gin_deleted("gin", special(8, &[(6, gin::DELETED)]), KEY, true)]
#[case::gist_dead_leaf("gist", special(16, &[(12, gist::LEAF)]), DEAD_FLAGS, true)]
#[case::gist_dead_above("gist", special(16, &[]), DEAD_FLAGS, false)]
#[case::gist_key("gist", special(16, &[(12, gist::LEAF)]), KEY, false)]
#[case::spgist_key("spgist", special(8, &[(0, 4)]), KEY, false)]
#[case::spgist_hole("spgist", special(8, &[(0, 4)]), HOLE, true)]
#[case::brin_summary("brin", special(8, &[(6, brin::REGULAR)]), KEY, false)]
#[case::brin_hole("brin", special(8, &[(6, brin::REGULAR)]), HOLE, true)]
#[case::brin_map("brin", special(8, &[(6, 0xF092)]), HOLE, false)]
fn entries_are_compared_and_what_is_not_logged_is_not(
    #[case] method: &str,
    #[case] special: Vec<u8>,
    #[case] change: fn(&mut [u8]),
    #[case] equal: bool,
) {
    let source = index_page(&special);
    let mut replica = source.clone();
    change(&mut replica);
    assert!(source != replica);
    let expected = if equal { Likeness::Equal } else { Likeness::Different };
    assert_eq!(likeness(method, &source, &replica), expected);
    assert_eq!(likeness(method, &replica, &source), expected);
}

/// Which bits of the last bytes of a page may differ, by access method.
#[rstest]
#[case::hash("hash", special(16, &[(12, hash::BUCKET)]), &[12 * 8 + 7])]
#[case::gin("gin", special(8, &[(6, 0x0002)]), &[])]
#[case::gist("gist", special(16, &[(12, gist::LEAF)]), &[12 * 8 + 4])]
#[case::spgist("spgist", special(8, &[(0, 4)]), &[])]
#[case::brin("brin", special(8, &[(6, brin::REGULAR)]), &[4 * 8])]
#[case::btree("btree", special(16, &[(12, btree::LEAF)]), &[101, 102, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127])]
fn of_the_end_of_a_page_only_hints_may_differ(
    #[case] method: &str,
    #[case] special: Vec<u8>,
    #[case] masked: &[usize],
) {
    let source = index_page(&special);
    for bit in 0..special.len() * 8 {
        let mut replica = source.clone();
        replica[PAGE - special.len() + bit / 8] ^= 1 << (bit % 8);
        let expected = if masked.contains(&bit) { Likeness::Equal } else { Likeness::Different };
        assert_eq!(likeness(method, &source, &replica), expected, "bit {bit}");
    }
}

#[rstest]
#[case::pending_list("gin", special(8, &[(6, gin::DELETED)]), true)]
#[case::tree("gin", special(8, &[(6, gin::DELETED | 1)]), false)]
#[case::unused("hash", special(16, &[]), true)]
#[case::used("hash", special(16, &[(12, hash::BUCKET)]), false)]
fn links_of_pages_that_nothing_leads_to_may_differ(
    #[case] method: &str,
    #[case] special: Vec<u8>,
    #[case] equal: bool,
) {
    let source = index_page(&special);
    let mut replica = source.clone();
    replica[PAGE - special.len()] ^= 1;
    let expected = if equal { Likeness::Equal } else { Likeness::Different };
    assert_eq!(likeness(method, &source, &replica), expected);
}

#[test]
fn the_cache_of_an_spgist_metapage_may_differ_and_its_magic_number_not() {
    let mut source = page(9, 8, &[]);
    put(&mut source, PAGE - 8, &spgist::META.to_le_bytes());
    put(&mut source, 12, &((HEADER + 68) as u16).to_le_bytes());
    for (at, expected) in [(HEADER + 4, Likeness::Equal), (HEADER + 67, Likeness::Equal), (HEADER, Likeness::Different)]
    {
        let mut replica = source.clone();
        replica[at] ^= 1;
        assert_eq!(likeness("spgist", &source, &replica), expected, "{at}");
    }
}

#[test]
fn pages_without_entries_are_blank_only_where_no_record_stands_behind_them() {
    let (logged, unlogged) = (page(9, 8, &[]), page(0, 8, &[]));
    let full = page(0, 8, &[b"entry".to_vec()]);
    for method in ["heap", "btree", "hash", "gin", "gist", "spgist", "brin", "visibility map"] {
        let layout = Layout::of(method).unwrap();
        assert_eq!(is_blank(layout, 3, &logged), method == "spgist", "{method}");
        assert!(is_blank(layout, 0, &unlogged) && !is_blank(layout, 3, &full), "{method}");
        assert!(!is_blank(layout, 0, &logged) && !is_blank(layout, 3, &[0xFF; PAGE]), "{method}");
    }
    let mut content = page(0, 8, &[]);
    content[100] = 1;
    assert!(!is_blank(Layout::Brin, 3, &content));
}

/// The page of a sequence.
fn sequence(last: i64, ahead: i64, called: bool) -> Vec<u8> {
    let mut row = vec![0; 24];
    row[22] = 24;
    [&last.to_le_bytes()[..], &ahead.to_le_bytes(), &[u8::from(called)]].iter().for_each(|part| row.extend(*part));
    page(9, 8, &[row])
}

#[rstest]
#[case::replayed("sequence by 1", (1, 32, true), (33, 0, true), Likeness::Equal)]
#[case::counted_on("sequence by 1", (30, 3, true), (33, 0, true), Likeness::Equal)]
#[case::downwards("sequence by -5", (-10, 2, true), (-20, 0, true), Likeness::Equal)]
#[case::the_other_was_a_primary("sequence by 1", (33, 0, true), (2, 31, true), Likeness::Equal)]
#[case::at_the_largest("sequence by 9223372036854775807", (i64::MAX, 0, true), (i64::MAX, 0, true), Likeness::Equal)]
#[case::behind("sequence by 1", (1, 32, true), (32, 0, true), Likeness::Different)]
#[case::ahead("sequence by 1", (33, 0, true), (33, 1, true), Likeness::Different)]
#[case::not_called("sequence by 1", (33, 0, true), (33, 0, false), Likeness::Different)]
fn a_sequence_must_have_come_to_the_same_value_in_the_log(
    #[case] method: &str,
    #[case] ours: (i64, i64, bool),
    #[case] theirs: (i64, i64, bool),
    #[case] expected: Likeness,
) {
    let [source, replica] = [ours, theirs].map(|(last, ahead, called)| sequence(last, ahead, called));
    assert_eq!(likeness(method, &source, &replica), expected);
}

#[test]
fn bits_of_a_map_that_the_source_does_not_have_are_claims() {
    let mut source = page(9, 0, &[]);
    let mut replica = source.clone();
    source[HEADER + 2] = 0b0000_1101;
    replica[HEADER + 2] = 0b1100_0111;
    let per_page = (PAGE - HEADER) as u64 * 4;
    let expected = [
        Claim { block: per_page + 8, bits: 2 },
        Claim { block: per_page + 9, bits: 0 },
        Claim { block: per_page + 11, bits: 3 },
    ];
    let expected: Vec<Claim> = expected.into_iter().filter(|claim| claim.bits != 0).collect();
    assert_eq!(map::claims(PAGE, 1, &source, &replica), expected);
    assert_eq!(map::claims(PAGE, 0, &replica, &replica), []);
    assert_eq!(map::claims(PAGE, 0, &source, &[]), []);
    assert_eq!(map::claims(PAGE, 0, &[], &source).len(), 2);
}

#[rstest]
#[case::as_claimed(4, 0x0300, 0, 3, false)]
#[case::not_visible(0, 0x0300, 0, 1, true)]
#[case::visible_and_not_frozen(4, 0x0100, 0, 1, false)]
#[case::not_frozen(4, 0x0100, 0, 2, true)]
#[case::deleted(4, 0x0300, 900, 2, true)]
#[case::group(4, 0x1300, 1, 2, true)]
fn a_table_contradicts_what_its_map_says(
    #[case] flags: u16,
    #[case] infomask: u16,
    #[case] deleter: u32,
    #[case] bits: u8,
    #[case] expected: bool,
) {
    let mut row = vec![0; 32];
    put(&mut row, 0, &900_u32.to_le_bytes());
    put(&mut row, 4, &deleter.to_le_bytes());
    put(&mut row, 20, &infomask.to_le_bytes());
    let mut table = page(9, 0, &[row]);
    put(&mut table, 10, &flags.to_le_bytes());
    assert_eq!(map::contradicts(Claim { block: 7, bits }, &table), expected);
    assert!(map::contradicts(Claim { block: 7, bits }, &[]));
}
