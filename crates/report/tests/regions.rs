//! The score of a region, worked out by hand beside the program.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{link, parity, report, sample};
use paritas_model::Verdict;
use paritas_report::{Check, RegionHealth};
use proptest::prelude::*;
use rstest::rstest;

fn content(verdict: Verdict, number: usize) -> Check {
    let mut check = parity(&format!("public.t{number}"), 10);
    check.verdict = verdict;
    Check::Parity(check)
}

fn lag(verdict: Verdict) -> Check {
    let Check::Lag(mut check) = sample::lag() else { panic!("a lag") };
    check.verdict = verdict;
    Check::Lag(check)
}

fn clock(source: Option<Verdict>, replica: Option<Verdict>) -> Check {
    let Check::Clock(mut check) = sample::clock() else { panic!("a clock") };
    for (side, verdict) in [(&mut check.source, source), (&mut check.replica, replica)] {
        (side.skew_verdict, side.rtt_verdict) = (verdict, None);
    }
    Check::Clock(check)
}

fn freshness(source: Verdict, replica: Verdict) -> Check {
    let Check::Freshness(mut check) = sample::freshness() else { panic!("a freshness") };
    check.source.as_mut().unwrap().verdict = source;
    check.replica.as_mut().unwrap().verdict = replica;
    Check::Freshness(check)
}

fn region(checks: Vec<Check>, name: &str) -> RegionHealth {
    let all = RegionHealth::of(&[link("trading", checks)]);
    all.into_iter().find(|one| one.region.0 == name).unwrap()
}

use Verdict::{Fail, Pass, Unknown, Warn};

// Weights: content 3, replication 3, freshness 2, clock 1; of parts that are there.
#[rstest]
#[case::all_passes(vec![content(Pass, 0), lag(Pass), freshness(Pass, Pass), clock(Some(Pass), Some(Pass))], (1.0, 1.0), "healthy")]
#[case::one_failing_table_among_many(vec![content(Pass, 0), content(Fail, 1), content(Pass, 2), lag(Pass)], (0.5, 0.6667), "degraded")]
#[case::rows_and_lag(vec![content(Fail, 0), lag(Fail), freshness(Pass, Pass), clock(Some(Pass), Some(Pass))], (0.3333, 0.3333), "drain")]
#[case::a_warning(vec![content(Pass, 0), lag(Warn)], (0.875, 0.9167), "healthy")]
#[case::only_warnings(vec![content(Warn, 0), lag(Warn)], (0.75, 0.8333), "unknown")]
#[case::unknown_never_raises(vec![content(Unknown, 0), lag(Pass)], (0.5, 1.0), "unknown")]
#[case::unknown_beside_a_failure(vec![content(Unknown, 0), content(Fail, 1), lag(Pass)], (0.5, 0.6667), "degraded")]
#[case::nothing_known(vec![content(Unknown, 0), lag(Unknown)], (0.0, 1.0), "unknown")]
#[case::what_nobody_looked_at_may_save_it(vec![content(Fail, 0)], (0.0, 0.6667), "unknown")]
#[case::not_even_the_unknown_would_save_it(vec![content(Fail, 0), lag(Fail), clock(None, Some(Unknown))], (0.0, 0.3333), "drain")]
#[case::a_stale_replica(vec![freshness(Pass, Fail), clock(Some(Pass), Some(Pass))], (0.3333, 0.7778), "unknown")]
fn a_score_is_the_weighted_mean_of_its_parts(
    #[case] checks: Vec<Check>,
    #[case] expected: (f64, f64),
    #[case] state: &str,
) {
    let found = region(checks, "us-west-2");
    assert_eq!((found.score.zip(found.score_high), found.state.as_str()), (Some(expected), state), "{found:#?}");
}

#[test]
fn a_source_answers_for_its_own_clock_and_rows_only() {
    let checks = vec![content(Fail, 0), lag(Fail), freshness(Pass, Fail), clock(Some(Warn), Some(Fail))];
    let east = region(checks, "us-east-1");
    // (2 * 1 + 1 * 0.75) / 3
    assert_eq!((east.score, east.state.as_str()), (Some(0.9167), "healthy"), "{east:#?}");
    assert_eq!(east.not_included, ["content", "replication"]);
    // Where nothing is about it there is no score.
    let silent = region(vec![content(Pass, 0)], "us-east-1");
    assert_eq!((silent.score, silent.state.as_str(), silent.parts.len()), (None, "unknown", 0));
}

#[test]
fn what_is_unknown_is_named() {
    let west = region(vec![content(Unknown, 7), lag(Pass), clock(None, Some(Unknown))], "us-west-2");
    assert_eq!(west.unknown().collect::<Vec<_>>(), ["parity of public.t7 (trading)", "clock (trading)"]);
}

#[test]
fn runs_that_look_at_different_things_are_scored_together() {
    let of = |check: Check| report(vec![link("trading", vec![check])]);
    let (verify, lag) = (of(content(Fail, 0)), of(lag(Pass)));
    let mut out = Vec::new();
    paritas_report::Metrics::default().write_all(&[verify.clone(), lag], &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().any(|line| line == "paritas_region_health_score{region=\"us-west-2\"} 0.5"), "{text}");
    // A document holds the score of its own checks.
    assert_eq!(verify.regions.iter().find(|one| one.region.0 == "us-west-2").unwrap().score, Some(0.0));
}

fn verdicts() -> impl Strategy<Value = Vec<Verdict>> {
    prop::collection::vec(prop::sample::select(vec![Pass, Warn, Unknown, Fail]), 1..8)
}

proptest! {
    #[test]
    fn a_score_lies_between_0_and_1_and_no_verdict_that_gets_worse_raises_it(own in verdicts(), at in 0_usize..8) {
        let score = |verdicts: &[Verdict]| {
            let mut checks: Vec<Check> = verdicts.iter().enumerate().map(|(n, verdict)| content(*verdict, n)).collect();
            checks.push(lag(Pass));
            let found = region(checks, "us-west-2");
            (found.score.unwrap(), found.score_high.unwrap())
        };
        let (low, high) = score(&own);
        prop_assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0);
        // Something unknown is worth no more than anything that it could turn out to be.
        let mut hidden = own.clone();
        let at = at % hidden.len();
        hidden[at] = Unknown;
        prop_assert!(score(&hidden).0 <= low && score(&hidden).1 >= high || own[at] == Unknown);
        let mut failed = own.clone();
        failed[at] = Fail;
        prop_assert!(score(&failed).0 <= low && score(&failed).1 <= high);
    }
}
