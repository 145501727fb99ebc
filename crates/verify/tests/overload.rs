//! More differences than the first pass can name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{Run, faulty, many, orders, store};
use paritas_connect::{Call, FailureKind, Fault, Rule, When};
use paritas_model::{Class, Verdict};
use paritas_verify::Matching;
use paritas_verify::rows::Origin;
use rstest::rstest;
use std::sync::Arc;

/// Changes every row below `changed`, drops `lost` rows after them.
fn worse(rows: &[(i64, i64)], changed: i64, lost: i64) -> Vec<(i64, i64)> {
    let kept = rows.iter().filter(|row| !(changed..changed + lost).contains(&row.0));
    kept.map(|(id, v)| (*id, if *id < changed { v + 1_000_000 } else { *v })).collect()
}

#[rstest]
#[case::a_little_over(1_000, 0)]
#[case::lost_and_changed(3_000, 1_500)]
#[case::everything(20_000, 0)]
#[case::all_gone(0, 20_000)]
#[case::saturated(60_000, 0)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_passes_name_them_all(#[case] changed: i64, #[case] lost: i64, #[values(true, false)] keyed: bool) {
    let rows = many(if changed > 20_000 { 60_000 } else { 20_000 });
    let open = |name, rows: &[(i64, i64)]| store(name, orders(rows)).with_split_rows(10_000).without_lookup();
    let (east, west) = (open("east", &rows), open("west", &worse(&rows, changed, lost)));
    let mut run = Run::new(Arc::new(east), Arc::new(west));
    run.items_max = 10;
    if !keyed {
        run.choice.matching = Matching::WholeRow;
    }
    let outcome = run.go().await;
    assert!(outcome.complete, "{:?}", outcome.notes);
    assert_eq!(outcome.verdict(), Verdict::Fail);
    let (changed, lost) = (changed.unsigned_abs(), lost.unsigned_abs());
    let expected = if keyed { (lost, 0, changed) } else { (lost + changed, changed, 0) };
    assert_eq!((outcome.counts.lost, outcome.counts.extra, outcome.counts.changed), expected);
    assert_eq!((outcome.items.len(), outcome.items_truncated), (10, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn far_too_many_are_named_in_part_and_estimated() {
    let rows = many(300_000);
    let open = |name, rows: &[(i64, i64)]| store(name, orders(rows)).with_split_rows(50_000).without_lookup();
    let mut run = Run::new(Arc::new(open("east", &rows)), Arc::new(open("west", &worse(&rows, 300_000, 0))));
    run.items_max = 5;
    let outcome = run.go().await;
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Fail, false));
    assert!(outcome.problem.is_none());
    // Never more than there are, and no class that is not there.
    assert!((1_000..300_000).contains(&outcome.counts.changed), "{:?}", outcome.counts);
    assert_eq!((outcome.counts.lost, outcome.counts.extra), (0, 0));
    let note = outcome.notes.iter().find(|note| note.starts_with("about ")).expect("a note with the estimate");
    let about: f64 = note.split(' ').nth(1).unwrap().parse().unwrap();
    assert!((200_000.0..400_000.0).contains(&about), "{note}");
    assert!(outcome.items.iter().all(|item| item.class == Class::Changed));
}

#[rstest]
#[case::source(true)]
#[case::replica(false)]
#[tokio::test]
async fn a_failing_second_pass_keeps_what_was_found(#[case] on_source: bool) {
    let rows = many(5_000);
    let (east, west) = (store("east", orders(&rows)), store("west", orders(&worse(&rows, 4_000, 10))));
    // The first pass reads 50 splits.
    let rule = || vec![Rule::new(Call::Read, When::From(51), Fault::Fail(FailureKind::Permanent, "test.gone"))];
    let (east, west) = if on_source {
        (faulty(&east, rule()), faulty(&west, vec![]))
    } else {
        (faulty(&east, vec![]), faulty(&west, rule()))
    };
    let outcome = Run::new(east, west).go().await;
    let (origin, error) = outcome.problem.as_ref().unwrap();
    assert_eq!((*origin, error.code()), (if on_source { Origin::Source } else { Origin::Replica }, "test.gone"));
    // Two views at rest with other digests do differ, even if nothing can be named.
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Fail, false));
    assert_eq!((outcome.source_rows, outcome.replica_rows), (Some(5_000), Some(4_990)));
}
