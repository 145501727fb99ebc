//! From an outcome to its verdict.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use paritas_connect::{Error, FailureKind};
use paritas_model::{Class, DifferenceCounts, Proof, Verdict};
use paritas_verify::rows::{Origin, Outcome};
use rstest::rstest;

fn counted(proof: Option<Proof>) -> DifferenceCounts {
    let mut counts = DifferenceCounts::default();
    if let Some(proof) = proof {
        counts.add(Class::Lost, proof, 1);
    }
    counts
}

#[rstest]
#[case::all_equal(true, None, None, Verdict::Pass)]
#[case::not_complete(false, None, None, Verdict::Unknown)]
#[case::unproven(true, Some(Proof::Unproven), None, Verdict::Unknown)]
#[case::in_flight(true, Some(Proof::InFlight), None, Verdict::Unknown)]
#[case::proven(true, Some(Proof::Proven), None, Verdict::Fail)]
#[case::proven_in_part(false, Some(Proof::Proven), None, Verdict::Fail)]
#[case::problem(true, None, Some((Origin::Replica, FailureKind::Permanent)), Verdict::Unknown)]
#[case::proven_before_a_problem(false, Some(Proof::Proven), Some((Origin::Source, FailureKind::Cancelled)), Verdict::Fail)]
#[case::damaged_replica(false, None, Some((Origin::Replica, FailureKind::Damaged)), Verdict::Fail)]
#[case::damaged_source(false, None, Some((Origin::Source, FailureKind::Damaged)), Verdict::Unknown)]
#[case::damaged_comparison(false, None, Some((Origin::Comparison, FailureKind::Damaged)), Verdict::Unknown)]
fn a_verdict_is_a_proof_or_unknown(
    #[case] complete: bool,
    #[case] proof: Option<Proof>,
    #[case] problem: Option<(Origin, FailureKind)>,
    #[case] expected: Verdict,
) {
    let problem = problem.map(|(origin, kind)| (origin, Error::new(kind, "test.fault", "it failed")));
    let outcome = Outcome { complete, counts: counted(proof), problem, ..Outcome::default() };
    assert_eq!(outcome.verdict(), expected);
}

#[test]
fn an_outcome_of_nothing_is_unknown() {
    assert_eq!(Outcome::default().verdict(), Verdict::Unknown);
}

#[test]
fn views_proven_to_differ_fail_even_if_no_row_is_named() {
    assert_eq!(Outcome { proven_unequal: true, ..Outcome::default() }.verdict(), Verdict::Fail);
}
