//! States and verdicts, case by case.
#![allow(missing_docs)]

use paritas_lag::{Finding, Interval, Levels, Link, Obstacle, judge, verdict};
use paritas_model::{LagState, Verdict};
use rstest::rstest;
use std::time::Duration;

fn secs(n: f64) -> Duration {
    Duration::from_secs_f64(n)
}

fn finding(behind: u64, stuck: Option<f64>) -> Finding {
    let seconds = Interval { low: secs(0.0), high: Some(secs(if behind == 0 { 0.0 } else { 9.0 })) };
    Finding { caught_up: behind == 0, behind, unwritten: 0, seconds, stuck: stuck.map(secs) }
}

fn passing() -> Obstacle {
    Obstacle { passing: true, ..obstacle(false) }
}

fn obstacle(fatal: bool) -> Obstacle {
    Obstacle { fatal, passing: false, what: "replay is paused".into(), hint: None }
}

fn cut() -> Link {
    Link::Cut { why: "not connected to its source".into() }
}

fn hidden() -> Link {
    Link::Unknown { why: "GRANT pg_monitor".into() }
}

#[rstest]
#[case::idle(Some(finding(0, None)), Link::Connected, vec![], LagState::CaughtUp)]
#[case::idle_and_paused(Some(finding(0, None)), Link::Connected, vec![obstacle(false)], LagState::CaughtUp)]
#[case::archive(Some(finding(0, None)), Link::Archive, vec![], LagState::CaughtUp)]
#[case::between_two_segments(Some(finding(9, Some(60.0))), Link::Archive, vec![], LagState::Behind)]
#[case::archive_and_paused(Some(finding(9, Some(60.0))), Link::Archive, vec![obstacle(false)], LagState::Stalled)]
#[case::cut_and_equal(Some(finding(0, None)), cut(), vec![], LagState::Unknown)]
#[case::cut_and_behind(Some(finding(9, Some(5.0))), cut(), vec![], LagState::Unknown)]
#[case::cut_and_paused(Some(finding(9, Some(0.1))), cut(), vec![obstacle(false)], LagState::Stalled)]
#[case::hidden_and_equal(Some(finding(0, None)), hidden(), vec![], LagState::Unknown)]
#[case::following(Some(finding(9, None)), Link::Connected, vec![], LagState::Behind)]
#[case::short_pause(Some(finding(9, Some(0.9))), Link::Connected, vec![], LagState::Behind)]
#[case::without_a_turn(Some(finding(9, Some(3.9))), Link::Connected, vec![], LagState::Behind)]
#[case::stuck(Some(finding(9, Some(4.0))), Link::Connected, vec![], LagState::Stalled)]
#[case::paused(Some(finding(9, Some(0.0))), Link::Connected, vec![obstacle(false)], LagState::Stalled)]
#[case::waiting_for_a_moment(Some(finding(9, Some(0.2))), Link::Connected, vec![passing()], LagState::Behind)]
#[case::waiting(Some(finding(9, Some(1.0))), Link::Connected, vec![passing()], LagState::Stalled)]
#[case::paused_once_seen(Some(finding(9, None)), Link::Connected, vec![obstacle(false)], LagState::Behind)]
#[case::lost(Some(finding(9, None)), Link::Connected, vec![obstacle(false), obstacle(true)], LagState::Broken)]
#[case::lost_unseen(None, cut(), vec![obstacle(true)], LagState::Broken)]
#[case::nothing_known(None, Link::Connected, vec![], LagState::Unknown)]
fn the_state_follows_from_positions_and_the_way_between_them(
    #[case] finding: Option<Finding>,
    #[case] link: Link,
    #[case] obstacles: Vec<Obstacle>,
    #[case] expected: LagState,
) {
    let judgement = judge(finding.as_ref(), &link, &obstacles);
    assert_eq!(judgement.state, expected);
    let silent = expected == LagState::Behind && link != Link::Archive;
    let plain = silent || expected == LagState::CaughtUp;
    assert_eq!(judgement.reason.is_none(), plain, "{judgement:?}");
}

const LEVELS: Levels = Levels {
    target: Some(Duration::from_millis(500)),
    warning: Some(Duration::from_secs(1)),
    critical: Duration::from_secs(5),
};

#[rstest]
#[case(LagState::CaughtUp, 0.0, Some(0.0), Verdict::Pass)]
#[case(LagState::Behind, 0.0, Some(1.0), Verdict::Pass)]
#[case(LagState::Behind, 0.0, Some(1.1), Verdict::Warn)]
#[case(LagState::Behind, 2.0, Some(5.0), Verdict::Warn)]
#[case(LagState::Behind, 5.0, Some(5.1), Verdict::Unknown)]
#[case(LagState::Behind, 0.0, None, Verdict::Unknown)]
#[case(LagState::Behind, 5.1, None, Verdict::Fail)]
#[case(LagState::Behind, 5.1, Some(6.0), Verdict::Fail)]
#[case(LagState::Stalled, 0.0, Some(0.9), Verdict::Warn)]
#[case(LagState::Stalled, 6.0, Some(9.0), Verdict::Fail)]
#[case(LagState::Unknown, 0.0, Some(0.0), Verdict::Unknown)]
#[case(LagState::Unknown, 5.1, None, Verdict::Fail)]
#[case(LagState::Broken, 0.0, Some(0.0), Verdict::Fail)]
fn a_breach_and_a_pass_are_both_proven(
    #[case] state: LagState,
    #[case] low: f64,
    #[case] high: Option<f64>,
    #[case] expected: Verdict,
) {
    let interval = Interval { low: secs(low), high: high.map(secs) };
    assert_eq!(verdict(state, Some(&interval), Some(&LEVELS)), expected);
}

#[rstest]
#[case(LagState::Behind, Some(3600.0), Verdict::Pass)]
#[case(LagState::Behind, None, Verdict::Unknown)]
#[case(LagState::Stalled, Some(2.0), Verdict::Warn)]
#[case(LagState::Broken, None, Verdict::Fail)]
fn without_an_objective_what_is_measured_passes(
    #[case] state: LagState,
    #[case] high: Option<f64>,
    #[case] expected: Verdict,
) {
    let interval = Interval { low: secs(0.0), high: high.map(secs) };
    assert_eq!(verdict(state, Some(&interval), None), expected);
    assert_eq!(verdict(LagState::Unknown, None, None), Verdict::Unknown);
}
