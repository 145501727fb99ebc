//! The distance of another clock: simulated clocks, networks and corrections whose truth is known.
#![allow(missing_docs, clippy::unwrap_used)]

use paritas_lag::{Age, Interval, Jump, Levels, Moment, Newest, Offset, Tick, age, clock_offset, within};
use paritas_model::Verdict;
use proptest::prelude::*;
use rstest::rstest;
use std::time::Duration;

/// When it is on our wall at the origin, in microseconds since 1970.
const WALL: i64 = 1_700_000_000_000_000;

fn moment(true_us: i64, set_by_us: i64) -> Moment {
    Moment { steady: Duration::from_micros(true_us.unsigned_abs()), wall_us: WALL + true_us + set_by_us }
}

/// A question at `at`, read after `there`, answered after `back` more; theirs is `offset` ahead and shows whole
/// multiples of `resolution`.
fn tick(at: i64, there: i64, back: i64, offset: i64, resolution: i64) -> Tick {
    let shown = (WALL + at + there + offset).div_euclid(resolution) * resolution;
    Tick { begin: moment(at, 0), end: moment(at + there + back, 0), low_us: shown, high_us: shown + resolution - 1 }
}

fn contains(offset: Offset, truth: i64) -> bool {
    offset.low_us <= truth && truth <= offset.high_us
}

proptest! {
    #[test]
    fn the_true_distance_lies_in_the_interval_whatever_the_network_does(
        offset in -4_000_000_000_000_i64..4_000_000_000_000,
        resolution in prop::sample::select(vec![1_i64, 1_000, 1_000_000]),
        rounds in prop::collection::vec((0_i64..400_000, 0_i64..300_000, 0_i64..300_000), 1..20),
        ppm in -500_i64..=500,
    ) {
        let mut at = 0;
        let mut ticks = Vec::new();
        let mut truth = offset;
        for (pause, there, back) in rounds {
            at += pause;
            let drifted = offset + (at + there) * ppm / 1_000_000;
            ticks.push(tick(at, there, back, drifted, resolution));
            at += there + back;
            truth = offset + at * ppm / 1_000_000;
        }
        let found = clock_offset(&ticks).unwrap();
        prop_assert_eq!(found.jump, None);
        // At the end of the measurement, to the rounding of the simulated drift.
        prop_assert!(found.offset.low_us <= truth + 2 && truth - 2 <= found.offset.high_us, "{:?} {}", found, truth);
        let best = ticks.iter().map(|tick| tick.end.steady.checked_sub(tick.begin.steady).unwrap()).min().unwrap();
        prop_assert_eq!(found.round_trip, best);
        // No wider than the best answer alone.
        let width = i128::from(found.offset.high_us) - i128::from(found.offset.low_us);
        let drift = i128::from(at / 500 + 2);
        prop_assert!(width <= best.as_micros().cast_signed() + i128::from(resolution) + drift);
    }

    #[test]
    fn a_clock_that_is_set_by_more_than_the_network_hides_is_found_out(
        step in prop::sample::select(vec![-3_600_000_000_i64, -900_000, 900_000, 3_600_000_000]),
        before in 1_usize..6,
        after in 1_usize..6,
        delay in 0_i64..100_000,
    ) {
        let ticks: Vec<Tick> = (0..before + after)
            .map(|n| tick(n as i64 * 300_000, delay, delay, if n < before { 0 } else { step }, 1))
            .collect();
        let found = clock_offset(&ticks).unwrap();
        prop_assert_eq!(found.jump, Some(Jump::Theirs));
        prop_assert!(contains(found.offset, 0) && contains(found.offset, step));
    }

    #[test]
    fn our_own_clock_that_is_set_is_told_from_theirs(step in prop::sample::select(vec![-50_000_000_i64, 60_000, 5_000_000])) {
        let mut ticks: Vec<Tick> = (0..4).map(|n| tick(n * 100_000, 500, 500, 0, 1)).collect();
        for tick in &mut ticks[2..] {
            tick.begin.wall_us += step;
            tick.end.wall_us += step;
        }
        let found = clock_offset(&ticks).unwrap();
        prop_assert_eq!(found.jump, Some(Jump::Ours));
        prop_assert!(contains(found.offset, 0) && contains(found.offset, -step));
    }

    #[test]
    fn the_distance_of_two_clocks_lies_between_their_distances_from_ours(
        a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, wa in 0_i64..5_000, wb in 0_i64..5_000,
    ) {
        let (source, replica) =
            (Offset { low_us: a - wa, high_us: a + wa }, Offset { low_us: b - wb, high_us: b + wb });
        prop_assert!(contains(replica.minus(source), b - a));
        let size = replica.minus(source).size();
        let truth = Duration::from_micros((b - a).unsigned_abs());
        prop_assert!(size.low <= truth && truth <= size.high.unwrap());
    }

    #[test]
    fn the_age_of_a_row_is_right_whichever_clock_wrote_its_time(
        skew in -5_000_000_i64..5_000_000,
        written in 0_i64..60_000_000,
        by_store: bool,
        width in 0_i64..10_000,
    ) {
        // Our clock is right and now is 0; the row was written `written` ago.
        let stamp = -written + if by_store { skew } else { 0 };
        let newest = Newest { low_us: stamp, high_us: stamp, asked_us: -width, answered_us: width };
        let offset = Offset { low_us: skew - width, high_us: skew + width };
        match age(&newest, Some(offset), None) {
            Age::Within(Interval { low, high }) => {
                let truth = Duration::from_micros(written.unsigned_abs());
                prop_assert!(low <= truth && truth <= high.unwrap(), "{low:?} {truth:?} {high:?}");
            }
            Age::Ahead(by) => prop_assert!(false, "no clock explains {by:?}"),
        }
    }
}

#[test]
fn nothing_follows_from_no_answer() {
    assert_eq!(clock_offset(&[]), None);
}

#[test]
fn seconds_read_at_many_moments_say_more_than_one_of_them() {
    let offset = 730_000;
    let one = clock_offset(&[tick(0, 1_000, 1_000, offset, 1_000_000)]).unwrap().offset;
    let many: Vec<Tick> = (0..8).map(|n| tick(n * 130_000, 1_000, 1_000, offset, 1_000_000)).collect();
    let many = clock_offset(&many).unwrap().offset;
    assert!(contains(one, offset) && contains(many, offset));
    assert!(one.high_us - one.low_us > 1_000_000 && many.high_us - many.low_us < 200_000, "{one:?} {many:?}");
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[rstest]
#[case::certainly_over(1.1, Some(3.0), Verdict::Fail)]
#[case::certainly_over_without_an_end(1.1, None, Verdict::Fail)]
#[case::may_be_over(0.0, Some(1.1), Verdict::Unknown)]
#[case::no_end(0.9, None, Verdict::Unknown)]
#[case::certainly_under(0.0, Some(0.5), Verdict::Pass)]
#[case::between_the_levels(0.6, Some(0.9), Verdict::Warn)]
#[case::no_breach_and_perhaps_a_pass(0.1, Some(1.0), Verdict::Warn)]
fn an_interval_is_a_breach_or_a_pass_only_as_a_whole(
    #[case] low: f64,
    #[case] high: Option<f64>,
    #[case] expected: Verdict,
) {
    let levels = Levels { target: Some(secs(0.1)), warning: Some(secs(0.5)), critical: secs(1.0) };
    let interval = Interval { low: secs(low), high: high.map(secs) };
    assert_eq!(within(Some(&interval), &levels), expected);
    assert_eq!(within(None, &levels), Verdict::Unknown);
}

#[rstest]
#[case::no_clock_explains_it(5_000_000, None, None, None)]
#[case::the_store_is_as_far_ahead(5_000_000, Some((4_900_000, 5_100_000)), None, Some((0.0, 0.1)))]
#[case::the_store_is_less_ahead(5_000_000, Some((2_000_000, 2_000_000)), None, None)]
#[case::clocks_may_be_that_far_apart(400_000, None, Some(0.5), Some((0.0, 0.5)))]
#[case::but_not_farther(600_000, None, Some(0.5), None)]
fn a_time_in_the_future_is_fresh_only_where_a_clock_explains_it(
    #[case] ahead_us: i64,
    #[case] skew: Option<(i64, i64)>,
    #[case] agreed: Option<f64>,
    #[case] expected: Option<(f64, f64)>,
) {
    let newest = Newest { low_us: ahead_us, high_us: ahead_us, asked_us: 0, answered_us: 0 };
    let skew = skew.map(|(low_us, high_us)| Offset { low_us, high_us });
    match (age(&newest, skew, agreed.map(secs)), expected) {
        (Age::Within(Interval { low, high }), Some((from, to))) => {
            assert_eq!((low, high), (secs(from), Some(secs(to))));
        }
        (Age::Ahead(by), None) => assert!(by > Duration::ZERO),
        (found, expected) => unreachable!("{found:?}, not {expected:?}"),
    }
}
