//! Equal seals are equal pages.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::pages::compare::{compare_under, tests::page};
use crate::pages::layout::put;
use paritas_connect::{Likeness, PagePair, Transactions};
use proptest::prelude::*;
use rstest::rstest;

const METHODS: [&str; 9] =
    ["heap", "btree", "hash", "gin", "gist", "spgist", "brin", "sequence by -7", "visibility map"];

fn likeness(method: &str, hinted: bool, source: &[u8], replica: &[u8]) -> Likeness {
    let pair = PagePair { relation: 0, method, block: 7, source, replica };
    compare_under(Layout::of(method).unwrap(), hinted, &pair, &mut Transactions::default())
}

fn sealed_alike(method: &str, hinted: bool, source: &[u8], replica: &[u8]) -> bool {
    let layout = Layout::of(method).unwrap();
    alike(layout, hinted, &of_page(layout, source), &of_page(layout, replica))
}

fn flipped(page: &[u8], bit: usize) -> Vec<u8> {
    let mut page = page.to_vec();
    page[bit / 8] ^= 1 << (bit % 8);
    page
}

#[rstest]
fn no_bit_that_pages_are_compared_by_is_outside_of_the_seal(
    #[values("heap", "btree", "hash", "gin", "gist", "spgist", "brin", "sequence by 1", "visibility map")] method: &str,
) {
    let source = page(9, 16, &[vec![1; 60], vec![2; 30]]);
    assert!(sealed_alike(method, true, &source, &source));
    let mut covered = 0;
    for bit in 0..source.len() * 8 {
        let replica = flipped(&source, bit);
        if sealed_alike(method, true, &source, &replica) {
            // Maps are the same whatever their version is.
            let map = method == "visibility map";
            let found = likeness(method, true, &source, &replica);
            assert!(found == Likeness::Equal || (map && found == Likeness::Renumbered), "bit {bit}: {found:?}");
        } else {
            covered += 1;
        }
    }
    let cut = is_cut(Layout::of(method).unwrap());
    assert_eq!(covered < source.len() * 8 / 2, cut, "{covered} bits are covered");
}

#[test]
fn holes_checksums_and_hints_of_the_header_leave_the_seal_alone() {
    let source = page(9, 0, &[vec![1; 60]]);
    let mut replica = source.clone();
    put(&mut replica, 8, &[0xAB, 0xCD]);
    put(&mut replica, FLAGS, &3_u16.to_le_bytes());
    put(&mut replica, PRUNE_XID, &[1, 2, 3, 4]);
    put(&mut replica, 4000, b"left over");
    assert!(sealed_alike("heap", true, &source, &replica));
    assert!(!sealed_alike("gin", true, &source, &replica));
}

#[test]
fn of_a_page_without_a_sensible_header_every_flag_counts() {
    let source = vec![0; 8192];
    let replica = flipped(&source, FLAGS * 8);
    assert_eq!(likeness("heap", true, &source, &replica), Likeness::Different);
    assert!(!sealed_alike("heap", true, &source, &replica));
}

proptest! {
    #[test]
    fn equal_seals_are_equal_pages(
        bytes in prop::collection::vec(any::<u8>(), 200..1200),
        bounds in prop::array::uniform3(0_u16..1300),
        changes in prop::collection::vec((0_usize..1200, any::<u8>()), 0..4),
        method in prop::sample::select(&METHODS[..]),
        hinted: bool,
    ) {
        let mut source = bytes;
        for (at, value) in [LOWER, UPPER, SPECIAL].into_iter().zip(bounds) {
            put(&mut source, at, &value.to_le_bytes());
        }
        let mut replica = source.clone();
        for (at, value) in changes {
            put(&mut replica, at, &[value]);
        }
        if sealed_alike(method, hinted, &source, &replica) {
            let found = likeness(method, hinted, &source, &replica);
            prop_assert!(found != Likeness::Different, "{found:?}");
            prop_assert!(found == Likeness::Equal || method == "visibility map", "{found:?}");
        }
    }

    #[test]
    fn no_row_makes_it_panic(row in prop::collection::vec(any::<u8>(), 0..80), whole in any::<bool>()) {
        let mut row = row;
        if whole {
            row.resize(ROW, 1);
        }
        prop_assert!(of_row(&row, 1 << 60).is_err());
    }
}

#[test]
fn a_row_is_taken_only_with_the_number_that_was_asked_for() {
    let mut row = Vec::new();
    for field in [&12_u64.to_be_bytes()[..], &[5; HEAD], &[6; SEAL_BYTES]] {
        row.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
        row.extend_from_slice(field);
    }
    assert_eq!(of_row(&row, 12).unwrap().digest, [6; SEAL_BYTES]);
    assert!(of_row(&row, 13).is_err());
    assert!(of_row(&row[1..], 12).is_err());
}
