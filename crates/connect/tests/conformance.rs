//! The conformance suite accepts stores that keep the contract and names what others break.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::store;
use paritas_connect::conformance::{Fixture, run};
use paritas_connect::{Call, FailureKind, Fault, FaultyStore, MemoryStore, ReplicaRole, Rule, Store, When};
use paritas_model::{Lineage, Position, Stream};
use rstest::rstest;
use std::sync::Arc;
use std::time::Duration;

fn at(value: u64) -> Position {
    Position { stream: Stream("wal".into()), lineage: Lineage("1/1".into()), value, text: format!("0/{value:X}") }
}

#[rstest]
#[case::keyed(&["id"], 1_500)]
#[case::composite_key(&["id", "amount"], 1_500)]
#[case::text_key(&["venue", "id"], 1_500)]
#[case::keyless(&[], 1_500)]
#[case::one_row(&["id"], 1)]
#[case::no_rows(&["id"], 0)]
#[tokio::test(flavor = "multi_thread")]
async fn memory_stores_keep_the_contract(#[case] key: &[&str], #[case] rows: u64) {
    let store = store(key, i64::try_from(rows).unwrap());
    run(&Fixture::new(&store).dataset("fills", rows)).await.unwrap();
}

#[tokio::test]
async fn they_keep_it_on_one_thread_without_lookup_and_with_positions() {
    let store = store(&["id"], 1_500).without_lookup().with_role(ReplicaRole::PhysicalReplica);
    store.set_position(at(7));
    run(&Fixture::new(&store).dataset("fills", 1_500)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_store_without_faults_keeps_it_as_well() {
    let inner: Arc<dyn Store> = Arc::new(store(&["id"], 1_500));
    run(&Fixture::new(&FaultyStore::new(inner, Vec::new())).dataset("fills", 1_500)).await.unwrap();
}

#[rstest]
#[case::ends_early(Call::Read, When::Split { index: 1, nth: 0 }, Fault::EndEarly { rows: 100 }, "read: gives 1200 rows instead of 1500")]
#[case::ends_early_once(Call::Read, When::Split { index: 1, nth: 2 }, Fault::EndEarly { rows: 399 }, "other rows than the first read")]
#[case::swallows_rows(Call::Read, When::Split { index: 3, nth: 1 }, Fault::Swallow { rows: 299 }, "claims 300 rows and hands out 299")]
#[case::repeats_rows(Call::Read, When::Split { index: 0, nth: 1 }, Fault::Repeat, "claims 400 rows and hands out 800")]
#[case::is_cut(Call::Read, When::Nth(2), Fault::Cut { rows: 5, kind: FailureKind::Transient }, "the connection was cut")]
#[case::hangs(Call::Read, When::Always, Fault::Hang, "read: the deadline passed")]
#[case::finds_no_rows(Call::Fetch, When::Always, Fault::FindNothing, "does not find key")]
#[case::lists_nothing(Call::List, When::Always, Fault::FindNothing, "does not contain fills")]
#[case::fails_to_probe(
    Call::Probe,
    When::Nth(2),
    Fault::Fail(FailureKind::Denied, "store.denied"),
    "probe: Probe fails"
)]
#[case::wrong_code(
    Call::Describe,
    When::Nth(1),
    Fault::Fail(FailureKind::Denied, "store.denied"),
    "store.denied instead of dataset.missing"
)]
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_contract_is_named(
    #[case] call: Call,
    #[case] when: When,
    #[case] fault: Fault,
    #[case] expected: &str,
) {
    let inner: Arc<dyn Store> = Arc::new(store(&["id"], 1_500));
    let faulty = FaultyStore::new(inner, vec![Rule::new(call, when, fault)]);
    let fixture = Fixture::new(&faulty).dataset("fills", 1_500).time_max(Duration::from_millis(200));
    let found = run(&fixture).await.expect_err("this breaks the contract");
    assert!(found.iter().any(|text| text.contains(expected)), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_change_between_two_scans_are_noticed() {
    let memory = store(&["id"], 1_500);
    let shared = memory.clone();
    let change = Fault::First(Arc::new(move || drop(shared.edit("fills", |table| table.remove(700)))));
    let faulty = FaultyStore::new(Arc::new(memory), vec![Rule::new(Call::Open, When::Nth(2), change)]);
    let found = run(&Fixture::new(&faulty).dataset("fills", 1_500)).await.expect_err("rows changed");
    assert!(found.contains(&"second scan: gives other rows than the first read".to_owned()), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn canaries_in_names_and_wrong_fixtures_are_noticed() {
    let memory = MemoryStore::new("postgres://user:c4n4ry@host/db");
    let found =
        run(&Fixture::new(&memory).dataset("fills", 3).canary("c4n4ry")).await.expect_err("there is no such dataset");
    assert!(found.iter().any(|text| text.starts_with("secrets: canary 0")), "{found:#?}");
    assert!(found.iter().any(|text| text.contains("dataset.missing")), "{found:#?}");
    assert!(!found.concat().contains("c4n4ry"), "the suite's own texts hold no canary: {found:#?}");
}
