//! Equality is decided first where reading twice is cheap, and nothing is decided by it alone that
//! the whole comparison would not say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{Run, faulty, lines, many, orders, store};
use paritas_connect::{Call, FailureKind, Fault, FaultyStore, Rule, When};
use paritas_model::Verdict;
use paritas_verify::Budget;
use paritas_verify::rows::Origin;
use rstest::rstest;
use std::sync::Arc;

const ROWS: i64 = 950;
const SPLITS: u64 = 10;

fn run(changes: &[(i64, i64)], rules: Vec<Rule>) -> (Run, [Arc<FaultyStore>; 2]) {
    let rows = many(ROWS);
    let changed = |(id, amount): &(i64, i64)| {
        (*id, changes.iter().find(|change| change.0 == *id).map_or(*amount, |change| change.1))
    };
    // In another order, as files written by different jobs are.
    let copy: Vec<_> = rows.iter().rev().map(changed).collect();
    let east = faulty(&store("east", orders(&rows)).without_lookup().with_cheap_rereading(), Vec::new());
    let west = faulty(&store("west", orders(&copy)).without_lookup().with_cheap_rereading(), rules);
    (Run::new(east.clone(), west.clone()), [east, west])
}

#[tokio::test]
async fn equal_views_are_read_once_and_yield_no_digest() {
    let (run, sides) = run(&[], Vec::new());
    let outcome = run.go().await;
    assert_eq!(outcome.verdict(), Verdict::Pass);
    assert_eq!((outcome.source_rows, outcome.replica_rows), (Some(950), Some(950)));
    assert!(outcome.source_bytes > 0 && outcome.replica_bytes > 0 && outcome.digest.is_none());
    assert!(outcome.source_position.is_some() && outcome.replica_position.is_some());
    for side in sides {
        assert_eq!((side.calls(Call::Read), side.calls(Call::Open)), (SPLITS, 1));
    }
}

#[tokio::test]
async fn a_wanted_digest_is_made_in_one_reading() {
    let (run, sides) = run(&[], Vec::new());
    let outcome = run.keeping_digests().go().await;
    assert_eq!(outcome.verdict(), Verdict::Pass);
    assert_eq!(outcome.digest.unwrap().header.rows, 950);
    assert!(sides.iter().all(|side| side.calls(Call::Read) == SPLITS));
}

#[tokio::test]
async fn unequal_views_are_read_again_and_every_row_is_named() {
    let (run, [east, _]) = run(&[(3, -1), (700, -2)], Vec::new());
    let outcome = run.go().await;
    assert_eq!(outcome.verdict(), Verdict::Fail);
    assert_eq!(lines(&outcome), ["changed 3 amount", "changed 700 amount"]);
    assert!(outcome.complete && outcome.problem.is_none());
    assert_eq!(east.calls(Call::Open), 1, "all readings are of one view");
    // Row sums, digests, and the rows behind the differences.
    assert_eq!(east.calls(Call::Read), 3 * SPLITS);
}

#[rstest]
#[case::a_permanent_failure(Fault::Fail(FailureKind::Permanent, "x"), FailureKind::Permanent)]
#[case::damage(Fault::Cut { rows: 5, kind: FailureKind::Damaged }, FailureKind::Damaged)]
#[case::an_early_end(Fault::Swallow { rows: 5 }, FailureKind::Permanent)]
#[tokio::test]
async fn a_side_that_cannot_be_read_is_never_equal(#[case] fault: Fault, #[case] kind: FailureKind) {
    let (run, _) = run(&[], vec![Rule::new(Call::Read, When::Split { index: 4, nth: 0 }, fault)]);
    let outcome = run.go().await;
    let (origin, error) = outcome.problem.as_ref().unwrap();
    assert_eq!((*origin, error.kind()), (Origin::Replica, kind));
    assert!(!outcome.equal && !outcome.complete);
    assert_eq!(outcome.source_rows, Some(950), "what the other side came to is kept");
}

#[tokio::test]
async fn a_failure_of_the_first_reading_alone_costs_a_second_one_and_no_verdict() {
    let (run, _) = run(&[], vec![Rule::new(Call::Read, When::Nth(2), Fault::Fail(FailureKind::Permanent, "x"))]);
    let outcome = run.go().await;
    assert_eq!((outcome.verdict(), outcome.problem.is_none()), (Verdict::Pass, true));
}

#[tokio::test]
async fn two_readings_that_contradict_each_other_are_no_proof() {
    // A first reading that takes the end of a stream for the end of the rows, and a second that does not.
    let early = Fault::EndEarly { rows: 0 };
    let (run, _) = run(&[], vec![Rule::new(Call::Read, When::Split { index: 2, nth: 1 }, early)]);
    let outcome = run.go().await;
    let (origin, error) = outcome.problem.as_ref().unwrap();
    assert_eq!((*origin, error.code()), (Origin::Comparison, "data.changed"));
    assert_eq!(outcome.verdict(), Verdict::Unknown);
}

#[tokio::test]
async fn what_the_first_reading_proved_outlives_the_budget() {
    for (changes, verdict) in [(&[(3, -1)][..], Verdict::Fail), (&[][..], Verdict::Pass)] {
        let (mut run, _) = run(changes, Vec::new());
        // Enough to read both sides once, and not twice.
        let budget = Arc::new(Budget::new(Some(2_500), None));
        (run.source.budget, run.replica.budget) = (Arc::clone(&budget), budget);
        let outcome = run.go().await;
        assert_eq!(outcome.verdict(), verdict);
        assert_eq!(outcome.problem.map(|(_, error)| error.code()), changes.first().map(|_| "run.budget"));
    }
}

#[tokio::test]
async fn a_view_that_was_lost_and_opened_anew_may_show_something_else() {
    let early = Fault::EndEarly { rows: 0 };
    let lost = Fault::Fail(FailureKind::Transient, "data.changed");
    let mut rules = vec![Rule::new(Call::Read, When::Split { index: 2, nth: 1 }, early)];
    // The second reading fails as often as it is tried, then another view is opened.
    rules.extend((2..=4).map(|nth| Rule::new(Call::Read, When::Split { index: 3, nth }, lost.clone())));
    let (run, [_, west]) = run(&[], rules);
    let outcome = run.go().await;
    assert_eq!((outcome.verdict(), west.calls(Call::Open)), (Verdict::Pass, 2));
}
