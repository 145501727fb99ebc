//! Rows without a key on a live link.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{Run, at, faulty, lines, many, orders, store};
use paritas_connect::{Call, FailureKind, Fault, MemoryStore, Rule, When};
use paritas_model::Verdict;
use paritas_verify::Matching;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn live_pair(source: &[(i64, i64)], replica: &[(i64, i64)]) -> (MemoryStore, MemoryStore) {
    let stores = (store("east", orders(source)), store("west", orders(replica)));
    stores.0.set_position(at(10));
    stores.1.set_position(at(10));
    stores
}

fn run(east: Arc<dyn paritas_connect::Store>, west: Arc<dyn paritas_connect::Store>) -> Run {
    let mut run = Run::new(east, west).live();
    run.choice.matching = Matching::WholeRow;
    run
}

/// Moves both positions on, for as many calls as there are.
fn busy(stores: &(MemoryStore, MemoryStore), first: u64) -> Fault {
    let (stores, position) = (stores.clone(), AtomicU64::new(first));
    Fault::First(Arc::new(move || {
        let now = at(position.fetch_add(1, Ordering::SeqCst));
        stores.0.set_position(now.clone());
        stores.1.set_position(now);
    }))
}

#[tokio::test]
async fn differences_are_proven_while_the_source_stands_still() {
    let (east, west) = live_pair(&[(1, 1), (2, 2)], &[(1, 1), (3, 3)]);
    let outcome = run(Arc::new(east), Arc::new(west)).go().await;
    assert_eq!(lines(&outcome), ["extra", "lost"]);
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Fail, true));
}

#[tokio::test]
async fn a_still_moment_is_waited_for_and_writes_while_reading_do_no_harm() {
    let stores = live_pair(&many(500), &many(499));
    // The source moves at its first three readings of the position, then again while it is read.
    let rules = vec![
        Rule::new(Call::Current, When::Nth(1), busy(&stores, 11)),
        Rule::new(Call::Current, When::Nth(2), busy(&stores, 12)),
        Rule::new(Call::Current, When::Nth(3), busy(&stores, 13)),
        Rule::new(Call::Read, When::Always, busy(&stores, 50)),
    ];
    let east = faulty(&stores.0, rules);
    let outcome = run(east, Arc::new(stores.1)).go().await;
    assert_eq!(lines(&outcome), ["lost"]);
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Fail, true));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_stands_still_leaves_them_unproven() {
    let stores = live_pair(&many(500), &many(499));
    let east = faulty(&stores.0, vec![Rule::new(Call::Current, When::Always, busy(&stores, 11))]);
    let outcome = run(east, Arc::new(stores.1)).go().await;
    assert_eq!(lines(&outcome), ["lost unproven"]);
    assert_eq!((outcome.verdict(), outcome.counts.unproven), (Verdict::Unknown, 1));
    assert!(outcome.problem.is_none());
    assert!(outcome.notes.iter().any(|note| note.contains("?key=")), "{:?}", outcome.notes);
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_arrives_in_a_later_reading() {
    let stores = live_pair(&many(500), &many(480));
    let replica = stores.1.clone();
    let arrive = Arc::new(move || replica.put(common::DATASET, orders(&many(500))));
    let east = faulty(&stores.0, vec![Rule::new(Call::Current, When::Always, busy(&stores, 11))]);
    // The first pass reads five splits of the replica; then the rest arrives.
    let west = faulty(&stores.1, vec![Rule::new(Call::Read, When::Nth(5), Fault::First(arrive))]);
    let outcome = run(east, west).go().await;
    assert!(outcome.items.is_empty() && outcome.counts.unsettled() == 0, "{outcome:?}");
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Pass, true));
}

#[tokio::test]
async fn a_view_that_was_lost_takes_the_still_moment_with_it() {
    let stores = live_pair(&many(500), &many(500));
    let both = stores.clone();
    let write = Arc::new(move || {
        for (store, position) in [(&both.0, at(11)), (&both.1, at(11))] {
            store.put(common::DATASET, orders(&many(501)));
            store.set_position(position);
        }
    });
    // Both views are pinned at one state; then a row is written, arrives, and the replica's view is lost.
    let cut = |nth| Rule::new(Call::Read, When::Nth(nth), Fault::Cut { rows: 1, kind: FailureKind::Transient });
    let mut rules: Vec<Rule> = (1..=15).map(cut).collect();
    rules.push(Rule::new(Call::Open, When::Nth(2), Fault::First(write)));
    let mut rereading = run(Arc::new(stores.0), faulty(&stores.1, rules));
    rereading.replica.cx = rereading.replica.cx.with_parallel(1);
    rereading.replica.retry.attempts_max = 15;
    let outcome = rereading.go().await;
    // The first view fails for good at its fifteenth reading.
    assert!(outcome.items.is_empty() && outcome.problem.is_none(), "{outcome:?}");
    assert_eq!(outcome.replica_rows, Some(501));
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Pass, true));
}

#[tokio::test]
async fn rows_with_a_key_are_read_again_the_same_way_where_there_is_no_lookup() {
    let (east, west) = live_pair(&many(500), &many(499));
    let outcome = Run::new(Arc::new(east.without_lookup()), Arc::new(west.without_lookup())).live().go().await;
    assert_eq!(lines(&outcome), ["lost 499"]);
    assert_eq!(outcome.verdict(), Verdict::Fail);
}

#[tokio::test]
async fn a_replica_behind_the_fence_proves_nothing() {
    let (east, west) = live_pair(&many(500), &many(499));
    west.set_position(at(9));
    let mut run = run(Arc::new(east), Arc::new(west));
    run.settle = Duration::from_millis(50);
    let outcome = run.go().await;
    assert_eq!(lines(&outcome), ["lost unproven"]);
    assert_eq!(outcome.verdict(), Verdict::Unknown);
    assert!(outcome.notes.iter().any(|note| note.contains("did not reach")), "{:?}", outcome.notes);
}

#[tokio::test]
async fn another_lineage_is_a_problem_of_the_replica() {
    let (east, west) = live_pair(&many(5), &many(5));
    let mut other = at(10);
    other.lineage.0 = "sys/2".to_owned();
    west.set_position(other);
    for whole in [true, false] {
        let mut run = Run::new(Arc::new(east.clone()), Arc::new(west.clone())).live();
        run.choice.matching = if whole { Matching::WholeRow } else { Matching::Auto };
        let outcome = run.go().await;
        assert_eq!(outcome.problem.as_ref().unwrap().1.code(), "lineage.differs");
        assert_eq!(outcome.verdict(), Verdict::Unknown);
    }
}
