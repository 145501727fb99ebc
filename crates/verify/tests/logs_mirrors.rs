//! Mirrors are where content says, however little is read at a time.
#![allow(missing_docs, clippy::unwrap_used)]

use paritas_connect::Context;

use paritas_connect::logs::{Fate, Isolation, LogCall, MemoryLogs, MemoryRecord, Partition};
use paritas_digest::DigestKey;
use paritas_lag::Link;
use paritas_logs::ages::Count;
use paritas_logs::content::{Namer, Timestamps};
use paritas_logs::position::{Method, MirrorLag, Mirrors};
use paritas_model::LagState;
use paritas_verify::logs::{LogSide, MirrorAsk, NamedPair, SeekLimits, mirrors};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

fn source() -> Partition {
    Partition::new("orders", 0)
}

fn replica() -> Partition {
    Partition::new("A.orders", 0)
}

fn record(payload: u8, timestamp: i64) -> MemoryRecord {
    MemoryRecord { timestamp: Some(timestamp), value: Some(vec![payload; 3]), ..MemoryRecord::default() }
}

/// A source and the beginning of it on a replica.
fn staged(writes: &[(u8, u8, i64)], copied: usize, markers: bool) -> (MemoryLogs, MemoryLogs) {
    let (here, there) = (MemoryLogs::new(), MemoryLogs::new());
    here.create("orders", 1);
    there.create("A.orders", 1);
    let mut now = 1_000;
    for (kind, payload, later) in writes {
        now += later;
        match kind {
            0 => here.mark(&source()),
            1 => drop(here.append(&source(), record(*payload, now), Fate::Aborted)),
            _ => drop(here.append(&source(), record(*payload, now), Fate::Committed)),
        }
    }
    for (_, record, _) in here.records(&source()).into_iter().take(copied) {
        there.append(&replica(), record, Fate::Committed);
        if markers {
            there.mark(&replica());
        }
    }
    (here, there)
}

async fn look(here: &MemoryLogs, there: &MemoryLogs, limits: SeekLimits, times_kept: bool) -> MirrorLag {
    let side = |name: &str, logs: &MemoryLogs| LogSide::new(name, Arc::new(logs.clone()), Context::default());
    let (here, there) = (side("a", here), side("b", there));
    let timestamps = if times_kept { Timestamps::Compare } else { Timestamps::Ignore };
    let namer = Arc::new(Namer::new(&DigestKey::unkeyed(), "orders", timestamps));
    let pairs = [NamedPair { source: source(), replica: replica(), source_id: None, namer, times_kept }];
    let (syncs, copied, link) = (BTreeMap::new(), BTreeMap::new(), Link::Connected);
    let ask = MirrorAsk {
        source: &here,
        replica: &there,
        pairs: &pairs,
        syncs: &syncs,
        copied: &copied,
        isolation: Isolation::Uncommitted,
        link: &link,
        limits,
    };
    mirrors(&ask, &mut Mirrors::new(Instant::now())).await.unwrap().remove(0)
}

fn small() -> SeekLimits {
    SeekLimits { tail: 2, tail_max: 64, window: 32, ..SeekLimits::default() }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_true_position_is_never_outside_of_what_is_said(
        writes in prop::collection::vec((0_u8..6, 0_u8..3, prop_oneof![3 => 0_i64..3, 1 => -50_i64..50]), 1..120),
        copied in 0_usize..120, markers: bool, times_kept: bool, tail in 1_u64..6, window in 1_u64..12,
    ) {
        let (here, there) = staged(&writes, copied, markers);
        let limits = SeekLimits { tail, tail_max: 64, window, ..SeekLimits::default() };
        let lag = block_on(look(&here, &there, limits, times_kept));
        let records = here.records(&source());
        let truth = records.get(copied.min(records.len()).wrapping_sub(1)).map_or(0, |(offset, ..)| offset + 1);
        if let Some(placed) = &lag.placed {
            prop_assert!((placed.next.low..=placed.next.high).contains(&truth), "{truth} {placed:?}");
            let missing = records.len().saturating_sub(copied) as u64;
            let count = lag.records.unwrap();
            prop_assert!((count.low..=count.high).contains(&missing), "{missing} {count:?}");
            prop_assert!(lag.state != LagState::CaughtUp || missing == 0);
        }
    }

    #[test]
    fn a_record_that_is_like_no_other_is_found_exactly_with_little_reading(
        records in 1_usize..400, copied in 1_usize..400, later in prop::collection::vec(0_i64..3, 400), markers: bool,
    ) {
        let writes: Vec<(u8, u8, i64)> = (0..records).map(|at| (2, at as u8, later[at].max(i64::from(at % 200 == 0)))).collect();
        let (here, there) = staged(&writes, copied, markers);
        let lag = block_on(look(&here, &there, small(), true));
        let placed = lag.placed.unwrap();
        prop_assert_eq!((placed.method, placed.next), (Method::Content, Count::exactly(copied.min(records) as u64)));
        prop_assert_eq!(lag.state, if copied < records { LagState::Behind } else { LagState::CaughtUp });
    }
}

#[tokio::test]
async fn a_mirror_far_behind_is_found_without_reading_what_it_has_to_copy() {
    let writes: Vec<(u8, u8, i64)> = (0..20_000).map(|at| (2, (at % 251) as u8, 1)).collect();
    let (here, there) = staged(&writes, 500, false);
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let here = here.before_each(move |_, call| {
        counted.fetch_add(u64::from(call == LogCall::Read), Ordering::Relaxed);
        Ok(())
    });
    let lag = look(&here, &there, SeekLimits { window: 64, ..SeekLimits::default() }, true).await;
    assert_eq!(lag.placed.unwrap().next, Count::exactly(500));
    assert_eq!(lag.offsets, Some(Count::exactly(19_500)));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn identical_records_are_told_apart_by_those_before_them() {
    let mut writes: Vec<(u8, u8, i64)> = vec![(2, 1, 1)];
    writes.extend([(2, 7, 0); 40]);
    let (here, there) = staged(&writes, 21, false);
    let lag = look(&here, &there, small(), true).await;
    assert_eq!(lag.placed.unwrap().next, Count::exactly(21));
}

#[tokio::test]
async fn records_of_others_at_the_end_of_a_mirror_are_told_and_hide_nothing() {
    let writes: Vec<(u8, u8, i64)> = (0..50).map(|at| (2, at, 1)).collect();
    let (here, there) = staged(&writes, 30, false);
    there.append(&replica(), record(200, 1_031), Fate::Committed);
    let lag = look(&here, &there, SeekLimits::default(), true).await;
    let placed = lag.placed.unwrap();
    assert_eq!(placed.next, Count::exactly(30));
    assert!(placed.notes.iter().any(|note| note.contains("last 1 records")), "{placed:?}");
}

#[tokio::test]
async fn what_a_transaction_of_the_mirror_has_not_committed_is_not_there() {
    let writes: Vec<(u8, u8, i64)> = (0..50).map(|at| (2, at, 1)).collect();
    let (here, there) = staged(&writes, 30, false);
    for (_, record, _) in here.records(&source()).into_iter().skip(30).take(5) {
        there.append(&replica(), record, Fate::Open);
    }
    assert_eq!(look(&here, &there, small(), true).await.placed.unwrap().next, Count::exactly(30));
    there.end(&replica(), Fate::Committed);
    assert_eq!(look(&here, &there, small(), true).await.placed.unwrap().next, Count::exactly(35));
}

#[tokio::test]
async fn a_mirror_that_nothing_was_copied_to_is_behind_everything() {
    let writes: Vec<(u8, u8, i64)> = (0..50).map(|at| (2, at, 1)).collect();
    let (here, there) = staged(&writes, 0, false);
    let lag = look(&here, &there, small(), true).await;
    assert_eq!((lag.state, lag.records.unwrap().high), (LagState::Behind, 50));
    assert_eq!(lag.placed.unwrap().method, Method::Empty);
}

#[tokio::test]
async fn nothing_is_said_where_the_last_record_is_on_the_source_no_more() {
    let writes: Vec<(u8, u8, i64)> = (0..50).map(|at| (2, at, 1)).collect();
    let (here, there) = staged(&writes, 10, false);
    here.trim(&source(), 20);
    let lag = look(&here, &there, small(), true).await;
    assert_eq!((lag.state, lag.placed), (LagState::Unknown, None));
    assert!(lag.reason.unwrap().contains("not on the source"));
}
