//! Rows with a key on a live link: drift is proven, replication in flight is not mistaken for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::writers::{HOT, IDS, Plant, Random, World};
use common::{Run, at, lines, orders, store};
use paritas_connect::MemoryTable;
use paritas_model::{Difference, Proof, Value, Verdict};
use paritas_verify::Matching;
use paritas_verify::rows::Outcome;
use rstest::rstest;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const SEEDS: u64 = 100;

/// Up to four faults, of all kinds, in rows that are written and in rows that are not.
fn planted(seed: u64) -> Vec<(i64, Plant)> {
    let mut random = Random(seed ^ 0xABCD);
    let mut plants: Vec<(i64, Plant)> = Vec::new();
    for _ in 0..random.below(5) {
        let (plant, id) = match random.below(4) {
            0 => (Plant::Stuck, random.below(HOT.unsigned_abs())),
            1 => (Plant::Changed, random.below(IDS.unsigned_abs())),
            2 => (Plant::Lost, random.below(IDS.unsigned_abs())),
            _ => (Plant::Extra, IDS.unsigned_abs() + random.below(40)),
        };
        if plants.iter().all(|(other, _)| *other != id.cast_signed()) {
            plants.push((id.cast_signed(), plant));
        }
    }
    plants
}

fn run_of(world: &World, key: &[&str]) -> Run {
    let (east, west) = world.stores();
    let mut run = Run::new(east, west).live().key(key);
    run.choice.columns = ["id", "grp", "name", "v"].map(str::to_owned).to_vec();
    if key.is_empty() {
        run.choice.matching = Matching::WholeRow;
    }
    run
}

/// The value of a column of an item, wherever it is shown.
fn value(item: &Difference, column: &str) -> Option<i64> {
    let mut all = item.key.iter().chain(&item.source).chain(&item.replica);
    all.find(|(name, _)| name == column).and_then(|(_, value)| match value {
        Value::Int(value) => Some(*value),
        Value::Text(text) => text.rsplit('-').next()?.parse().ok(),
        _ => None,
    })
}

fn keys(outcome: &Outcome, column: &str, proof: Proof) -> BTreeSet<i64> {
    outcome.items.iter().filter(|item| item.proof == proof).filter_map(|item| value(item, column)).collect()
}

#[rstest]
#[case::in_the_digest(&["id"], "id")]
#[case::by_fingerprint(&["name"], "name")]
#[case::of_many_rows(&["grp"], "grp")]
#[tokio::test(start_paused = true)]
async fn every_planted_fault_is_proven_and_nothing_else(#[case] key: &[&str], #[case] column: &str) {
    for seed in 0..SEEDS {
        let plants = planted(seed);
        let world = World::new(seed, &plants, seed * 7 % 110);
        let outcome = run_of(&world, key).go().await;
        let expected: BTreeSet<i64> = plants.iter().map(|(id, _)| if column == "grp" { id % 8 } else { *id }).collect();
        assert!(outcome.problem.is_none() && outcome.complete, "seed {seed}: {outcome:?}");
        assert_eq!(keys(&outcome, column, Proof::Proven), expected, "seed {seed}, {plants:?}: {:#?}", lines(&outcome));
        assert_eq!(keys(&outcome, column, Proof::Unproven), BTreeSet::new(), "seed {seed}, {plants:?}");
        assert_eq!(outcome.counts.unsettled(), 0, "seed {seed}");
        let verdict = if plants.is_empty() { Verdict::Pass } else { Verdict::Fail };
        assert_eq!(outcome.verdict(), verdict, "seed {seed}");
        if column == "id" {
            let class = |wanted: &[Plant]| plants.iter().filter(|(_, plant)| wanted.contains(plant)).count() as u64;
            assert_eq!(outcome.counts.lost, class(&[Plant::Lost]), "seed {seed}");
            assert_eq!(outcome.counts.extra, class(&[Plant::Extra]), "seed {seed}");
            assert_eq!(outcome.counts.changed, class(&[Plant::Changed, Plant::Stuck]), "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rows_without_a_key_are_never_proven_wrongly_and_never_pass_when_they_differ() {
    let mut proven = 0;
    for seed in 0..SEEDS {
        let plants = planted(seed);
        let world = World::new(seed, &plants, seed * 7 % 110);
        let outcome = run_of(&world, &[]).go().await;
        let expected: BTreeSet<i64> = plants.iter().map(|(id, _)| *id).collect();
        let found = keys(&outcome, "id", Proof::Proven);
        assert!(found.is_subset(&expected), "seed {seed}, {plants:?}: {:#?}", outcome.items);
        assert!(outcome.problem.is_none(), "seed {seed}");
        if !expected.is_empty() {
            assert_ne!(outcome.verdict(), Verdict::Pass, "seed {seed}, {plants:?}");
        }
        proven += usize::from(outcome.verdict() != Verdict::Unknown);
    }
    assert!(proven > 50, "a verdict in {proven} schedules only");
}

#[tokio::test(start_paused = true)]
async fn without_versions_nothing_is_proven_and_what_arrives_has_arrived() {
    for seed in 0..40 {
        let plants = planted(seed);
        let world = World::new(seed, &plants, 30).without_versions();
        let outcome = run_of(&world, &["id"]).go().await;
        assert_eq!(outcome.counts.proven(), 0, "seed {seed}");
        let open: BTreeSet<i64> = plants.iter().map(|(id, _)| *id).collect();
        assert_eq!(keys(&outcome, "id", Proof::Unproven), open, "seed {seed}, {plants:?}");
        let verdict = if plants.is_empty() { Verdict::Pass } else { Verdict::Unknown };
        assert_eq!(outcome.verdict(), verdict, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_never_stop_changing_are_unproven_and_the_verdict_unknown() {
    for seed in 0..20 {
        let world = World::new(seed, &[], u64::MAX);
        let outcome = run_of(&world, &["id"]).go().await;
        assert_eq!(outcome.counts.proven(), 0, "seed {seed}: {:#?}", lines(&outcome));
        assert!(outcome.problem.is_none());
        match outcome.verdict() {
            Verdict::Pass => assert_eq!(outcome.counts.unsettled(), 0),
            Verdict::Unknown => assert!(outcome.notes.iter().any(|note| note.contains("kept changing"))),
            other => panic!("seed {seed}: {other}"),
        }
    }
}

fn versioned(rows: &[(i64, i64)]) -> MemoryTable {
    orders(rows).with_version_column("id")
}

fn stores(replica: &[(i64, i64)], reached: u64) -> Run {
    let (east, west) = (store("east", versioned(&[(1, 1), (2, 2)])), store("west", versioned(replica)));
    east.set_position(at(10));
    west.set_position(at(reached));
    let mut run = Run::new(Arc::new(east), Arc::new(west)).live();
    run.settle = Duration::from_millis(40);
    run
}

#[rstest]
#[case::changed(&[(1, 1), (2, 3)], "changed unproven 2 ")]
#[case::lost(&[(1, 1)], "lost unproven 2")]
#[case::extra(&[(1, 1), (2, 2), (3, 3)], "extra unproven 3")]
#[tokio::test]
async fn a_replica_that_never_reaches_the_fence_is_unknown(#[case] replica: &[(i64, i64)], #[case] expected: &str) {
    let outcome = stores(replica, 9).go().await;
    assert_eq!(outcome.verdict(), Verdict::Unknown, "{outcome:?}");
    assert_eq!(lines(&outcome), [expected.trim_end()]);
    assert_eq!(outcome.counts.unproven, 1);
    assert!(outcome.notes.iter().any(|note| note.contains("did not reach")), "{:?}", outcome.notes);
    assert!(outcome.fence.is_none());
}

#[tokio::test]
async fn equal_content_passes_wherever_the_replica_says_it_is() {
    let outcome = stores(&[(1, 1), (2, 2)], 9).go().await;
    assert_eq!(outcome.verdict(), Verdict::Pass);
    assert!(!outcome.notes.is_empty());
}

#[rstest]
#[case::changed(&[(1, 1), (2, 3)], "changed 2 amount")]
#[case::lost(&[(1, 1)], "lost 2")]
#[case::extra(&[(1, 1), (2, 2), (3, 3)], "extra 3")]
#[case::copy(&[(1, 1), (2, 2), (2, 2)], "extra 2")]
#[tokio::test(start_paused = true)]
async fn drift_on_a_quiet_link_is_proven(#[case] replica: &[(i64, i64)], #[case] expected: &str) {
    let outcome = stores(replica, 10).go().await;
    assert_eq!(lines(&outcome), [expected]);
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Fail, true));
    assert_eq!(outcome.fence.as_ref().map(|fence| fence.value), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_cut_list_of_suspects_leaves_the_counts_whole() {
    let rows: Vec<(i64, i64)> = (0..400).map(|id| (id, id)).collect();
    let wrong: Vec<(i64, i64)> = (0..300).map(|id| (id, id + 1_000)).collect();
    let (east, west) = (store("east", versioned(&rows)), store("west", versioned(&wrong)));
    east.set_position(at(1));
    west.set_position(at(1));
    let mut run = Run::new(Arc::new(east), Arc::new(west)).live();
    run.items_max = 3;
    let outcome = run.go().await;
    assert_eq!((outcome.items.len(), outcome.items_truncated, outcome.complete), (3, true, true));
    assert_eq!((outcome.counts.changed, outcome.counts.lost), (300, 100));
}
