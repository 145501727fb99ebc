//! Faults of both sides in every phase: the right verdict, and nothing found is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{Run, at, faulty, lines, many, orders, store};
use paritas_connect::{Call, FailureKind, Fault, FaultyStore, MemoryStore, Rule, When};
use paritas_model::Verdict;
use paritas_verify::rows::{Origin, Outcome, Phase};
use paritas_verify::{Budget, Matching};
use rstest::rstest;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROWS: i64 = 950;

/// A source and a replica that lacks row 3 and has another row 500.
fn pair() -> (MemoryStore, MemoryStore) {
    let rows = many(ROWS);
    let copy: Vec<_> =
        rows.iter().filter(|r| r.0 != 3).map(|(id, v)| (*id, if *id == 500 { -1 } else { *v })).collect();
    (store("east", orders(&rows)), store("west", orders(&copy)))
}

fn equal_pair() -> (MemoryStore, MemoryStore) {
    (store("east", orders(&many(ROWS))), store("west", orders(&many(ROWS))))
}

fn run((east, west): (MemoryStore, MemoryStore), on_source: bool, rules: Vec<Rule>) -> (Run, Arc<FaultyStore>) {
    let (ours, theirs) = if on_source { (rules, Vec::new()) } else { (Vec::new(), rules) };
    let (east, west) = (faulty(&east, ours), faulty(&west, theirs));
    let hit = Arc::clone(if on_source { &east } else { &west });
    (Run::new(east, west), hit)
}

fn origin(on_source: bool) -> Origin {
    if on_source { Origin::Source } else { Origin::Replica }
}

fn failed(outcome: &Outcome) -> (Origin, FailureKind) {
    let (origin, error) = outcome.problem.as_ref().expect("a problem");
    (*origin, error.kind())
}

const CUT: Fault = Fault::Cut { rows: 37, kind: FailureKind::Transient };

#[rstest]
#[tokio::test]
async fn a_split_that_fails_is_read_again_and_no_row_counts_twice(
    #[values(true, false)] on_source: bool,
    #[values(true, false)] equal: bool,
) {
    let rules = vec![
        Rule::new(Call::Read, When::Split { index: 2, nth: 1 }, CUT),
        Rule::new(Call::Read, When::Split { index: 7, nth: 1 }, CUT),
        Rule::new(Call::Read, When::Split { index: 7, nth: 2 }, CUT),
    ];
    let (run, _) = run(if equal { equal_pair() } else { pair() }, on_source, rules);
    let outcome = run.go().await;
    assert!(outcome.problem.is_none(), "{:?}", outcome.problem);
    assert_eq!(outcome.source_rows, Some(950));
    if equal {
        assert_eq!(outcome.verdict(), Verdict::Pass);
    } else {
        assert_eq!(lines(&outcome), ["changed 500 amount", "lost 3"]);
    }
}

#[rstest]
#[tokio::test]
async fn a_lost_view_is_opened_again(#[values(true, false)] on_source: bool) {
    // Three readings of split 4 fail, then the view is given up; the next one can be read.
    let rules = (1..=3).map(|nth| Rule::new(Call::Read, When::Split { index: 4, nth }, CUT)).collect();
    let (run, hit) = run(pair(), on_source, rules);
    let outcome = run.go().await;
    assert!(outcome.problem.is_none(), "{:?}", outcome.problem);
    assert_eq!(lines(&outcome), ["changed 500 amount", "lost 3"]);
    assert_eq!((outcome.source_rows, outcome.replica_rows), (Some(950), Some(949)));
    assert_eq!(hit.calls(Call::Open), 2);
}

#[rstest]
#[tokio::test]
async fn a_failure_that_does_not_go_away_is_unknown_and_names_its_side(
    #[values(true, false)] on_source: bool,
    #[values(Call::Open, Call::Read)] call: Call,
    #[values(FailureKind::Transient, FailureKind::Permanent, FailureKind::Denied)] kind: FailureKind,
    #[values(true, false)] equal: bool,
) {
    let rules = vec![Rule::new(call, When::Always, Fault::Fail(kind, "test.fault"))];
    let (run, hit) = run(if equal { equal_pair() } else { pair() }, on_source, rules);
    let outcome = run.go().await;
    assert_eq!(failed(&outcome), (origin(on_source), kind));
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Unknown, false));
    let tries = if kind == FailureKind::Transient { 3 } else { 1 };
    if call == Call::Open {
        assert_eq!(hit.calls(call), tries);
    }
    if !on_source {
        assert_eq!(outcome.source_rows, Some(950), "the other side was read to its end");
        assert!(outcome.digest.is_some(), "the source's digest is good, whatever the replica does");
    }
}

#[rstest]
#[case::replica(false, Verdict::Fail)]
#[case::source(true, Verdict::Unknown)]
#[tokio::test]
async fn a_damaged_replica_fails_and_a_damaged_source_proves_nothing(
    #[case] on_source: bool,
    #[case] verdict: Verdict,
) {
    let rules = vec![Rule::new(Call::Read, When::Nth(4), Fault::Fail(FailureKind::Damaged, "data.damaged"))];
    let (run, _) = run(equal_pair(), on_source, rules);
    let outcome = run.go().await;
    assert_eq!(failed(&outcome), (origin(on_source), FailureKind::Damaged));
    assert_eq!((outcome.verdict(), outcome.complete), (verdict, false));
}

#[tokio::test]
async fn damage_of_the_replica_wins_over_any_fault_of_the_source() {
    let (east, west) = equal_pair();
    let gone = vec![Rule::new(Call::Read, When::Always, Fault::Fail(FailureKind::Permanent, "test.gone"))];
    let damage = vec![Rule::new(Call::Read, When::Nth(9), Fault::Fail(FailureKind::Damaged, "data.damaged"))];
    let outcome = Run::new(faulty(&east, gone), faulty(&west, damage)).go().await;
    assert_eq!(failed(&outcome), (Origin::Replica, FailureKind::Damaged));
    assert_eq!(outcome.verdict(), Verdict::Fail);
    assert!(outcome.notes.iter().any(|note| note.contains("source could not be read")), "{:?}", outcome.notes);
}

#[tokio::test]
async fn a_source_that_is_damaged_as_well_keeps_a_damaged_replica_unknown() {
    let damage = || vec![Rule::new(Call::Read, When::Nth(4), Fault::Fail(FailureKind::Damaged, "data.damaged"))];
    let (east, west) = equal_pair();
    let outcome = Run::new(faulty(&east, damage()), faulty(&west, damage())).go().await;
    assert_eq!(failed(&outcome), (Origin::Source, FailureKind::Damaged));
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Unknown, false));
}

#[rstest]
#[case::ends_early(Fault::EndEarly { rows: 40 })]
#[case::swallows(Fault::Swallow { rows: 40 })]
#[case::repeats(Fault::Repeat)]
#[tokio::test]
async fn a_stream_with_other_rows_than_there_are_is_never_a_pass(
    #[case] fault: Fault,
    #[values(true, false)] on_source: bool,
) {
    let rules = vec![Rule::new(Call::Read, When::Split { index: 3, nth: 0 }, fault)];
    let (run, _) = run(equal_pair(), on_source, rules);
    assert_ne!(run.go().await.verdict(), Verdict::Pass);
}

#[rstest]
#[case::swallows(Fault::Swallow { rows: 40 })]
#[case::repeats(Fault::Repeat)]
#[tokio::test]
async fn a_split_that_hands_out_other_rows_than_it_claims_is_unknown(
    #[case] fault: Fault,
    #[values(true, false)] on_source: bool,
    #[values(true, false)] on_replica: bool,
) {
    if !on_source && !on_replica {
        return;
    }
    let (east, west) = equal_pair();
    let rules = |hit: bool| {
        let rule = Rule::new(Call::Read, When::Split { index: 3, nth: 0 }, fault.clone());
        if hit { vec![rule] } else { Vec::new() }
    };
    // Where both sides do the same to the same rows, their digests are equal.
    let outcome = Run::new(faulty(&east, rules(on_source)), faulty(&west, rules(on_replica))).go().await;
    assert_eq!(outcome.problem.as_ref().unwrap().1.code(), "data.truncated");
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Unknown, false));
}

#[rstest]
#[case::rows(Budget::new(Some(900), None))]
#[case::rows_of_both(Budget::new(Some(1_899), None))]
#[case::bytes(Budget::new(None, Some(3_000)))]
#[tokio::test]
async fn a_spent_budget_is_unknown(#[case] budget: Budget) {
    let (mut run, _) = run(equal_pair(), true, Vec::new());
    let budget = Arc::new(budget);
    (run.source.budget, run.replica.budget) = (Arc::clone(&budget), budget);
    let outcome = run.go().await;
    assert_eq!(outcome.problem.as_ref().unwrap().1.code(), "run.budget");
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Unknown, false));
}

#[tokio::test]
async fn a_budget_that_ends_while_rows_are_looked_for_keeps_the_differences() {
    let (east, west) = pair();
    let mut run = Run::new(Arc::new(east.without_lookup()), Arc::new(west.without_lookup()));
    let budget = Arc::new(Budget::new(Some(2_000), None));
    (run.source.budget, run.replica.budget) = (Arc::clone(&budget), budget);
    let outcome = run.go().await;
    assert_eq!(outcome.problem.as_ref().unwrap().1.code(), "run.budget");
    assert_eq!(outcome.verdict(), Verdict::Fail);
    assert_eq!(lines(&outcome), ["changed 500", "lost 3"], "by their keys alone");
    assert_eq!((outcome.counts.lost, outcome.counts.changed), (1, 1));
}

#[rstest]
#[tokio::test]
async fn an_error_while_locating_keeps_the_differences(
    #[values(true, false)] on_source: bool,
    #[values(Call::Fetch, Call::Render)] call: Call,
) {
    let rules = vec![Rule::new(call, When::Always, Fault::Fail(FailureKind::Permanent, "test.gone"))];
    let (east, west) = pair();
    let stores = if call == Call::Render { (east.without_lookup(), west.without_lookup()) } else { (east, west) };
    let (run, _) = run(stores, on_source, rules);
    let outcome = run.go().await;
    assert_eq!(failed(&outcome), (origin(on_source), FailureKind::Permanent));
    assert_eq!(outcome.verdict(), Verdict::Fail);
    assert_eq!((outcome.counts.lost, outcome.counts.changed), (1, 1));
    assert_eq!(lines(&outcome), ["changed 500", "lost 3"]);
    assert!(outcome.items.iter().all(|item| item.note.is_some()));
}

#[tokio::test]
async fn a_short_fault_while_locating_is_tried_again() {
    let rules = vec![Rule::new(Call::Fetch, When::Nth(1), Fault::Fail(FailureKind::Transient, "test.cut"))];
    let (run, hit) = run(pair(), true, rules);
    assert_eq!(lines(&run.go().await), ["changed 500 amount", "lost 3"]);
    assert_eq!(hit.calls(Call::Fetch), 2);
}

#[tokio::test]
async fn rows_that_changed_before_they_were_looked_up_are_counted_as_digested() {
    let (east, west) = pair();
    let later = west.clone();
    let heal = Arc::new(move || later.put(common::DATASET, orders(&many(ROWS))));
    let (run, _) = run((east, west), false, vec![Rule::new(Call::Fetch, When::Nth(1), Fault::First(heal))]);
    let outcome = run.go().await;
    assert_eq!(outcome.verdict(), Verdict::Fail);
    assert_eq!((outcome.counts.lost, outcome.counts.changed), (1, 1));
    assert_eq!(lines(&outcome), ["changed 500", "lost 3"]);
}

#[tokio::test]
async fn rows_that_became_another_difference_are_counted_as_digested() {
    let (east, west) = pair();
    let later = west.clone();
    // Row 3 was lost and comes back with another value; row 500 was changed and is lost now.
    let rows: Vec<_> =
        many(ROWS).iter().filter(|r| r.0 != 500).map(|(id, v)| (*id, if *id == 3 { -9 } else { *v })).collect();
    let rewrite = Arc::new(move || later.put(common::DATASET, orders(&rows)));
    let (run, _) = run((east, west), false, vec![Rule::new(Call::Fetch, When::Nth(1), Fault::First(rewrite))]);
    let outcome = run.go().await;
    assert_eq!((outcome.counts.lost, outcome.counts.changed, outcome.counts.extra), (1, 1, 0));
    assert_eq!(lines(&outcome), ["changed 500", "lost 3"]);
    assert!(outcome.items.iter().all(|item| item.note.is_some()));
}

fn live(stores: (MemoryStore, MemoryStore)) -> (MemoryStore, MemoryStore) {
    stores.0.set_position(at(100));
    stores.1.set_position(at(100));
    stores
}

#[rstest]
#[tokio::test]
async fn an_error_while_confirming_keeps_the_suspects(
    #[values(true, false)] on_source: bool,
    #[values(1, 2)] nth: u64,
    #[values(Call::Fetch, Call::Current)] call: Call,
) {
    if call == Call::Current && !on_source {
        return;
    }
    // The first position is taken as the fence of the first pass.
    let nth = if call == Call::Current { nth + 1 } else { nth };
    let rules = vec![Rule::new(call, When::From(nth), Fault::Fail(FailureKind::Permanent, "test.gone"))];
    let (run, _) = run(live(pair()), on_source, rules);
    let outcome = run.live().go().await;
    if let Some((found, error)) = &outcome.problem {
        assert_eq!((*found, error.code()), (origin(on_source), "test.gone"));
        assert_eq!(outcome.verdict(), Verdict::Unknown);
        assert_eq!(outcome.counts.unproven, 2, "{:?}", outcome.counts);
        assert_eq!(outcome.items.len(), 2);
    } else {
        // Memory rows have no versions, so one more round is never asked for here.
        assert!(outcome.counts.unproven == 2 && outcome.verdict() == Verdict::Unknown, "{outcome:?}");
    }
}

#[rstest]
#[tokio::test]
async fn an_error_while_looking_for_hidden_keys_keeps_the_suspects(#[values(true, false)] on_source: bool) {
    // Keys of text are not in the digest, so the view is read again for them: after ten splits.
    let text = |skip: i64| {
        let ids: Vec<i64> = (0..ROWS).filter(|id| *id != skip).collect();
        let names = common::Col::Text(ids.iter().map(|id| Some(format!("order-{id}"))).collect());
        common::table(&[("id", names), ("v", common::ints(ids.iter().copied()))], &["id"])
    };
    let stores = live((store("east", text(7)), store("west", text(8))));
    let rules = vec![Rule::new(Call::Read, When::From(11), Fault::Fail(FailureKind::Permanent, "test.gone"))];
    let (run, _) = run(stores, on_source, rules);
    let outcome = run.live().go().await;
    assert_eq!(failed(&outcome), (origin(on_source), FailureKind::Permanent));
    assert_eq!(outcome.verdict(), Verdict::Unknown);
    assert_eq!((outcome.counts.unproven, outcome.items.len()), (2, 2));
}

/// Ends the run in one of its phases.
#[rstest]
#[tokio::test]
async fn cancel_and_deadline_end_every_phase_quickly(
    #[values(Call::Open, Call::Read, Call::Fetch, Call::WaitFor, Call::Current, Call::Render)] call: Call,
    #[values(true, false)] on_source: bool,
    #[values(true, false)] cancel: bool,
    #[values(true, false)] whole_row: bool,
) {
    let stores = live(pair());
    let stores = if call == Call::Render { (stores.0.without_lookup(), stores.1.without_lookup()) } else { stores };
    let (mut run, hit) = run(stores, on_source, vec![Rule::new(call, When::Always, Fault::Hang)]);
    run.live = call != Call::Render;
    run.settle = Duration::from_secs(3_600);
    if whole_row {
        run.choice.matching = Matching::WholeRow;
    }
    let cx = run.source.cx.clone();
    let token = cx.cancel_token().clone();
    let cx = if cancel { cx } else { cx.with_timeout(Duration::from_millis(300)) };
    (run.source.cx, run.replica.cx) = (cx.clone(), cx);
    let started = Instant::now();
    let stop = async {
        if cancel {
            while hit.calls(call) == 0 && started.elapsed() < Duration::from_millis(300) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            token.cancel();
        }
    };
    let (outcome, ()) = tokio::join!(run.go(), stop);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    if hit.calls(call) > 0 && outcome.problem.is_some() {
        let expected = if cancel { FailureKind::Cancelled } else { FailureKind::Deadline };
        assert_eq!(outcome.problem.as_ref().unwrap().1.kind(), expected);
        let proven = outcome.proven_unequal || outcome.counts.proven() > 0;
        assert_eq!(outcome.verdict(), if proven { Verdict::Fail } else { Verdict::Unknown });
        assert!(!outcome.complete);
    }
    assert_ne!(outcome.verdict(), Verdict::Pass);
}

#[tokio::test]
async fn a_cancel_in_each_phase_is_no_pass() {
    for phase in [Phase::Digesting, Phase::Locating, Phase::Confirming] {
        for is_live in [true, false] {
            let (mut run, _) = run(live(pair()), true, Vec::new());
            run.live = is_live;
            let cx = run.source.cx.clone();
            run.replica.cx = cx.clone();
            let outcome = run
                .go_watched(&|now| {
                    if now == phase {
                        cx.cancel_token().cancel();
                    }
                })
                .await;
            assert_ne!(outcome.verdict(), Verdict::Pass);
            if phase != Phase::Confirming || is_live {
                assert_eq!(outcome.problem.as_ref().unwrap().1.kind(), FailureKind::Cancelled, "{phase:?} {is_live}");
            }
            if phase != Phase::Digesting {
                assert_eq!(outcome.items.len(), 2, "{phase:?} {is_live}: {outcome:?}");
            }
        }
    }
}
