//! What a spoilt log must never do: panic, hang, name a commit that is not there, or claim a proof with one missing.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use paritas_model::Lsn;
use proptest::prelude::*;
use rstest::rstest;

use crate::synthetic::{Log, PAGE, SEGMENT, Tail};
use crate::{Doubt, Lost, Next, Reader, Start, Why, lost_commits};

const BASE: u64 = 256 * SEGMENT;

/// A log whose last records lie on its second segment; some are longer than a page, some lie across the segments.
fn sample() -> Log {
    let mut log = Log::new(BASE);
    log.filler(3, 1_000_000);
    for xid in 10..40 {
        log.filler(xid, (xid as usize * 97) % 2500);
        if xid % 5 == 0 {
            log.filler(xid, 20_000);
        }
        log.commit(xid);
    }
    log
}

fn lost(folder: &Path, from: u64) -> Lost {
    lost_commits(folder, 1, Lsn(from)).unwrap()
}

fn xids(lost: &Lost) -> Vec<u32> {
    lost.commits.iter().map(|commit| commit.xid).collect()
}

/// Spoils the files of a log, then checks what is said of it.
fn never_wrong(log: &Log, tail: Tail, spoil: impl Fn(&mut Vec<u8>)) -> Lost {
    let folder = tempfile::tempdir().unwrap();
    let mut image = log.image(tail);
    spoil(&mut image);
    log.write_files(folder.path(), &image);
    let from = log.records[0].end;
    let found = lost(folder.path(), from);
    let commits = log.commits();
    assert!(commits.starts_with(&xids(&found)), "{:?} are not the first of {commits:?}", xids(&found));
    if found.is_proven() {
        assert_eq!(xids(&found), commits, "proven, but not all: {:?}", found.end);
    }
    found
}

#[rstest]
#[case(Tail::Zeros)]
#[case(Tail::Recycled)]
fn a_whole_log_is_a_proof(#[case] tail: Tail) {
    let log = sample();
    let found = never_wrong(&log, tail, |_| {});
    assert!(found.is_proven(), "{:?}", found.doubts);
    assert_eq!(found.end.lsn.0, log.position());
}

#[test]
fn a_position_is_found_wherever_it_lies() {
    let log = sample();
    let folder = tempfile::tempdir().unwrap();
    log.save(folder.path(), Tail::Recycled);
    let edge = BASE + SEGMENT;
    let around = (edge - 40_000..edge + 40_000).step_by(1201).chain(edge - 60..edge + 60);
    for from in around.chain(log.records.iter().flat_map(|record| [record.lsn, record.end])) {
        let mut reader = Reader::open(folder.path(), 1, Lsn(from)).unwrap();
        let first = reader.step().unwrap();
        let expected = log.records.iter().find(|record| record.end > from);
        match (first, expected) {
            (Next::Record(record), Some(expected)) => {
                assert_eq!(record.lsn.0, expected.lsn, "{from:X}");
                let start = if expected.lsn < from { Start::Inside(Lsn(expected.lsn)) } else { Start::Boundary };
                assert_eq!(reader.start(), start, "{from:X}");
            }
            (Next::End(end), None) => assert_eq!((end.lsn.0, end.doubt()), (log.position(), None)),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn a_switched_segment_is_read_over() {
    let mut log = Log::new(BASE);
    log.commit(1);
    log.switch();
    log.commit(2);
    let folder = tempfile::tempdir().unwrap();
    log.save(folder.path(), Tail::Zeros);
    let found = lost(folder.path(), log.records[0].lsn);
    assert_eq!((xids(&found), found.is_proven()), (vec![1, 2], true));
}

/// What follows a segment that ends with a switch.
#[derive(Debug, Clone, Copy)]
enum Following {
    Missing,
    Zeros,
    Recycled,
    Commit,
}

#[rstest]
#[case::of_a_server_that_wrote_nothing_there(Following::Zeros, vec![], true)]
#[case::with_an_old_segment_there(Following::Recycled, vec![], true)]
#[case::with_more(Following::Commit, vec![2], true)]
#[case::which_may_have_been_taken_away(Following::Missing, vec![], false)]
fn a_switch_may_be_the_last_before_the_position(
    #[case] following: Following,
    #[case] commits: Vec<u32>,
    #[case] proven: bool,
) {
    let mut log = Log::new(BASE);
    log.commit(1);
    log.switch();
    let from = log.position();
    assert_eq!(from % SEGMENT, 0);
    if matches!(following, Following::Commit) {
        log.commit(2);
    }
    let mut image = log.image(Tail::Zeros);
    match following {
        Following::Zeros => image.resize(image.len() + SEGMENT as usize, 0),
        Following::Recycled => {
            let mut old = Log::new(BASE - 64 * SEGMENT);
            old.filler(1, SEGMENT as usize);
            image.extend(&old.bytes[..SEGMENT as usize]);
        }
        Following::Missing | Following::Commit => {}
    }
    let folder = tempfile::tempdir().unwrap();
    log.write_files(folder.path(), &image);
    let found = lost(folder.path(), from);
    assert_eq!((xids(&found), found.is_proven()), (commits, proven), "{:?}", found.doubts);
    // The position itself is none of the doubts.
    assert!(found.doubts.iter().all(|doubt| matches!(doubt, Doubt::End { .. })), "{:?}", found.doubts);
}

#[test]
fn zeros_without_a_switch_before_the_position_are_no_end() {
    let mut log = Log::new(BASE);
    log.commit(1);
    let image = log.image(Tail::Zeros);
    let folder = tempfile::tempdir().unwrap();
    log.write_files(folder.path(), &image);
    let found = lost(folder.path(), BASE + SEGMENT);
    assert!(!found.is_proven(), "{found:?}");
}

#[rstest]
#[case::named(0, vec![1, 2], true)]
#[case::of_another(8, vec![1], false)]
fn an_unfinished_record_may_be_replaced_only_by_one_that_names_it(
    #[case] off: u64,
    #[case] commits: Vec<u32>,
    #[case] proven: bool,
) {
    let mut log = Log::new(BASE);
    log.commit(1);
    log.broken_then_overwritten(|lsn| lsn + off);
    log.commit(2);
    let folder = tempfile::tempdir().unwrap();
    log.save(folder.path(), Tail::Zeros);
    let found = lost(folder.path(), log.records[0].lsn);
    assert_eq!((xids(&found), found.is_proven()), (commits, proven), "{:?}", found.end);
}

#[test]
fn a_record_that_was_never_finished_is_the_end() {
    let mut log = Log::new(BASE);
    log.commit(1);
    let unfinished = log.filler(2, 50_000);
    log.bytes.truncate(3 * PAGE as usize);
    for tail in [Tail::Zeros, Tail::Recycled] {
        let folder = tempfile::tempdir().unwrap();
        log.save(folder.path(), tail);
        let found = lost(folder.path(), log.records[0].lsn);
        assert_eq!((xids(&found), found.doubts.as_slice()), (vec![1], [].as_slice()));
        assert_eq!((found.end.lsn.0, found.end.at.0), (unfinished.lsn, BASE + 3 * PAGE));
    }
}

/// As `sample`, with a last page that begins with a record.
fn aligned() -> Log {
    let mut log = sample();
    let room = (log.position().next_multiple_of(PAGE) - log.position()) as usize;
    // Header and long reference of the record that fills the page.
    log.filler(50, room - 29);
    assert!(log.position().is_multiple_of(PAGE));
    log.commit(51);
    log.commit(52);
    log
}

// Of the header, two flags say nothing about a record that fits, nor do the bytes remaining where nothing remains.
#[rstest]
#[case::amid_a_record(sample(), 2)]
#[case::between_records(aligned(), 34)]
fn every_flipped_bit_at_the_very_end_is_noticed(#[case] log: Log, #[case] meaningless: usize) {
    let last = log.records.last().unwrap();
    let page = last.end / PAGE * PAGE;
    // The last page's header, and the last record: nothing behind them could contradict.
    let header = page - BASE..page - BASE + 20;
    let mut ignored = 0;
    for at in header.chain(last.lsn - BASE..last.lsn - BASE + 34) {
        for bit in 0..8 {
            let found = never_wrong(&log, Tail::Recycled, |bytes| bytes[at as usize] ^= 1 << bit);
            ignored += usize::from(found.is_proven());
        }
    }
    assert_eq!(ignored, meaningless);
}

#[test]
fn nothing_is_proven_from_a_position_whose_own_page_looks_recycled() {
    let log = sample();
    let last = log.records.last().unwrap();
    let page = (last.lsn / PAGE * PAGE - BASE) as usize;
    let folder = tempfile::tempdir().unwrap();
    let mut image = log.image(Tail::Recycled);
    let older = (BASE + page as u64 - SEGMENT).to_le_bytes();
    image[page + 8..page + 16].copy_from_slice(&older);
    log.write_files(folder.path(), &image);
    let found = lost(folder.path(), last.lsn);
    assert!(!found.is_proven() && found.commits.is_empty(), "{found:?}");
}

#[test]
fn a_zeroed_piece_inside_is_a_hole() {
    let log = sample();
    let start = SEGMENT as usize - 4 * PAGE as usize;
    for pages in [1, 4, 10] {
        let end = start + pages * PAGE as usize;
        let found = never_wrong(&log, Tail::Zeros, |bytes| bytes[start..end].fill(0));
        let expected = Lsn(BASE + end as u64);
        assert!(matches!(found.doubts[..], [Doubt::Hole { beyond, .. }] if beyond == expected), "{:?}", found.doubts);
    }
}

#[test]
fn zeros_within_a_page_are_not_the_end() {
    let log = sample();
    let commit = log.records.iter().rev().find(|record| record.lsn % PAGE < 6000 && record.commit).unwrap();
    let at = (commit.lsn - BASE) as usize;
    let found = never_wrong(&log, Tail::Zeros, |bytes| bytes[at..at + 8].fill(0));
    assert_eq!(found.end.why, Why::ZerosBeforeBytes);
}

#[test]
fn a_log_of_another_timeline_or_none_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(lost_commits(folder.path(), 1, Lsn(0)).is_err());
    sample().save(folder.path(), Tail::Zeros);
    assert!(lost_commits(folder.path(), 2, Lsn(BASE)).is_err());
    assert!(lost_commits(&folder.path().join("none"), 1, Lsn(BASE)).is_err());
    for from in [0, BASE - 8, BASE + 500 * SEGMENT, u64::MAX] {
        let found = lost(folder.path(), from);
        assert!(!found.is_proven(), "{from:X}: {found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits_never_make_a_wrong_proof(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..3), recycled: bool,
    ) {
        let log = sample();
        let tail = if recycled { Tail::Recycled } else { Tail::Zeros };
        let written = log.bytes.len();
        // Three of four hit what is read: the large record at the beginning is not.
        let read = written - (log.records[0].end - BASE) as usize;
        never_wrong(&log, tail, |bytes| {
            for (index, bit) in &flips {
                bytes[written - 1 - index.index(read)] ^= 1 << bit;
            }
        });
    }

    #[test]
    fn a_cut_file_never_makes_a_wrong_proof(index: prop::sample::Index) {
        let log = sample();
        never_wrong(&log, Tail::Zeros, |bytes| bytes.truncate(index.index(log.bytes.len())));
    }

    #[test]
    fn a_foreign_page_never_makes_a_wrong_proof(index: prop::sample::Index, kind in 0..4, other: prop::sample::Index) {
        let log = sample();
        let page = PAGE as usize;
        let first = (log.records[0].end - BASE) as usize / page;
        // The last page replaced by an older one cannot be told from one that was never written.
        let at = (first + index.index(log.bytes.len() / page - first)) * page;
        let from = other.index(log.bytes.len() / page) * page;
        never_wrong(&log, Tail::Recycled, |bytes| {
            let older = bytes[from..from + page].to_vec();
            match kind {
                0 => bytes[at..at + page].fill(0),
                1 => bytes[at..at + page].copy_from_slice(&older),
                2 => bytes[at..at + page].fill(0xFF),
                _ => bytes[at + 24..at + page].copy_from_slice(&older[24..]),
            }
        });
    }

    #[test]
    fn noise_behind_a_good_beginning_ends_the_reading(noise in proptest::collection::vec(any::<u8>(), 1..20_000)) {
        let mut log = Log::new(BASE);
        log.commit(1);
        let written = log.bytes.len();
        log.bytes.extend(&noise);
        let folder = tempfile::tempdir().unwrap();
        log.save(folder.path(), Tail::Zeros);
        let found = lost(folder.path(), log.records[0].lsn);
        prop_assert_eq!(xids(&found), vec![1]);
        prop_assert!(!found.is_proven() || noise.iter().take(PAGE as usize - written).all(|byte| *byte == 0));
    }
}
