//! Single races between a writer and the readings of a round, each played to its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{DATASET, Run, at, faulty, ints, lines, store, table};
use paritas_connect::{Call, Fault, MemoryStore, MemoryTable, Rule, When};
use paritas_model::Verdict;
use paritas_verify::rows::Outcome;

/// Rows as (id, amount, version).
type Rows = &'static [(i64, i64, i64)];

fn of(rows: Rows) -> MemoryTable {
    let columns = [
        ("id", ints(rows.iter().map(|row| row.0))),
        ("amount", ints(rows.iter().map(|row| row.1))),
        ("version", ints(rows.iter().map(|row| row.2))),
    ];
    table(&columns, &["id"]).with_version_column("version")
}

/// A store that holds `first` when it is digested, and each of `fetched` from its next look-up on.
fn played(name: &str, first: Rows, fetched: &[Rows]) -> (MemoryStore, Vec<Rule>) {
    let memory = store(name, of(first));
    memory.set_position(at(5));
    let rules = (1..).zip(fetched).map(|(nth, rows)| {
        let (memory, rows) = (memory.clone(), *rows);
        Rule::new(Call::Fetch, When::Nth(nth), Fault::First(std::sync::Arc::new(move || memory.put(DATASET, of(rows)))))
    });
    let rules = rules.collect();
    (memory, rules)
}

/// The source is looked up twice in each round, the replica once in between.
async fn race(source: (Rows, &[Rows]), replica: (Rows, &[Rows])) -> Outcome {
    let (east, ours) = played("east", source.0, source.1);
    let (west, theirs) = played("west", replica.0, replica.1);
    let mut run = Run::new(faulty(&east, ours), faulty(&west, theirs)).live();
    run.choice.columns = vec!["id".to_owned(), "amount".to_owned()];
    run.go().await
}

#[tokio::test(start_paused = true)]
async fn a_stuck_row_is_not_excused_by_a_value_that_comes_by() {
    // The source writes 1, then for a moment the 0 that the replica is stuck at, then 1 again.
    let source: (Rows, &[Rows]) = (&[(1, 1, 1)], &[&[(1, 0, 2)], &[(1, 1, 3)]]);
    let outcome = race(source, (&[(1, 0, 1)], &[])).await;
    assert_eq!(lines(&outcome), ["changed 1 amount"]);
    assert_eq!(outcome.verdict(), Verdict::Fail);
}

#[tokio::test(start_paused = true)]
async fn a_second_row_of_a_key_that_came_and_went_is_no_extra_row() {
    let source: (Rows, &[Rows]) = (&[(1, 5, 1), (1, 6, 2)], &[&[(1, 5, 1)], &[(1, 5, 1)]]);
    let replica: (Rows, &[Rows]) = (&[(1, 5, 1)], &[&[(1, 5, 1), (1, 7, 3)], &[(1, 5, 1)]]);
    let outcome = race(source, replica).await;
    assert!(outcome.items.is_empty(), "{:?}", lines(&outcome));
    assert_eq!(outcome.verdict(), Verdict::Pass);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_rewritten_meanwhile_is_no_change() {
    // One of two equal rows goes from 5 over 7 to 6; the replica is read at 7.
    let source: (Rows, &[Rows]) = (&[(1, 5, 1), (1, 8, 1)], &[&[(1, 5, 1), (1, 5, 1)], &[(1, 5, 1), (1, 6, 3)]]);
    let replica: (Rows, &[Rows]) = (&[(1, 5, 1)], &[&[(1, 5, 1), (1, 7, 2)], &[(1, 5, 1), (1, 6, 3)]]);
    let outcome = race(source, replica).await;
    assert!(outcome.items.is_empty(), "{:?}", lines(&outcome));
    assert_eq!(outcome.verdict(), Verdict::Pass);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_arrives_late_is_no_loss() {
    let outcome = race((&[(1, 1, 1), (2, 2, 2)], &[]), (&[(1, 1, 1)], &[&[(1, 1, 1), (2, 2, 2)]])).await;
    assert_eq!((outcome.verdict(), outcome.items.len()), (Verdict::Pass, 0));
    assert!(outcome.notes.iter().any(|note| note.contains("have arrived")), "{:?}", outcome.notes);
}
