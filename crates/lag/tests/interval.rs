//! Intervals contain the truth, whatever the source did between the samples.
#![allow(missing_docs, clippy::unwrap_used)]

use paritas_lag::{Curve, Interval, Reading, Round, Sample, Span, Track};
use proptest::prelude::*;
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A source that moves by steps: position after each moment, in time order.
#[derive(Debug, Clone)]
struct Source {
    steps: Vec<(u64, u64)>,
    /// What it has written lags behind by that many milliseconds.
    writes_after: u64,
}

impl Source {
    fn end(&self, at: u64) -> u64 {
        self.steps.iter().take_while(|(time, _)| *time <= at).map(|(_, size)| size).sum()
    }

    fn written(&self, at: u64) -> u64 {
        at.checked_sub(self.writes_after).map_or(0, |before| self.end(before))
    }

    /// Written up to the middle of a record, if one was begun; and the end of the last whole one.
    fn torn(&self, at: u64) -> (u64, u64) {
        let whole = self.written(at);
        let half = self.steps.iter().map(|(_, size)| *size).min().unwrap_or(0) / 2;
        (self.end(at).min(whole + half).max(whole), whole)
    }

    fn sample(&self, begin: u64, inside: u64, end: u64, promises: bool) -> Sample {
        let settles = promises.then(|| ms(self.writes_after));
        let (end_position, written) = (self.end(inside), self.written(inside));
        Sample { at: Span { begin: ms(begin), end: ms(end) }, end: end_position, written, settles }
    }

    /// The first moment at which the source was beyond a position.
    fn passed(&self, position: u64) -> Option<u64> {
        let mut sum = 0;
        self.steps.iter().find_map(|(time, size)| {
            sum += size;
            (sum > position).then_some(*time)
        })
    }

    fn lag(&self, at: u64, position: u64) -> u64 {
        self.passed(position).map_or(0, |passed| at.saturating_sub(passed))
    }
}

prop_compose! {
    fn source()(mut times in prop::collection::vec(0_u64..10_000, 0..60), sizes in prop::collection::vec(1_u64..100, 60),
                writes_after in prop_oneof![Just(0_u64), 1_u64..800]) -> Source {
        times.sort_unstable();
        Source { steps: times.into_iter().zip(sizes).collect(), writes_after }
    }
}

/// Moments at which something is asked: gaps, then the time until it is read and until it is answered.
fn questions() -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
    prop::collection::vec((0_u64..400, 0_u64..60, 0_u64..60), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_true_lag_lies_in_the_interval(source in source(), questions in questions(), promises: bool,
                                         max in 8_usize..40, behind in 0_u64..4_000, read in 0_u64..60) {
        let mut curve = Curve::with_max(max);
        let mut now = 0;
        for (gap, inside, after) in questions {
            now += gap;
            // The replica shows what the source had some time ago, and is asked first.
            let (begin, at, end) = (now, now + read, now + read + inside);
            let position = at.checked_sub(behind).map_or(0, |then| source.end(then)).min(source.written(at));
            now = end;
            curve.push(source.sample(now, now + inside, now + inside + after, promises));
            now += inside + after;
            let reading = Reading { at: Span { begin: ms(begin), end: ms(end) }, position };
            let Interval { low, high } = curve.lag(&reading);
            let truth = ms(source.lag(at, position));
            prop_assert!(low <= truth, "{low:?} > {truth:?}");
            prop_assert!(high.is_none_or(|high| truth <= high), "{high:?} < {truth:?}");
            prop_assert!(curve.len() <= max);
        }
    }

    #[test]
    fn caught_up_means_that_nothing_was_missing(source in source(), questions in questions(), behind in 0_u64..2_000) {
        let mut track = Track::default();
        let mut now = 0;
        for (gap, inside, after) in questions {
            now += gap;
            let position = now.checked_sub(behind).map_or(0, |then| source.end(then)).min(source.written(now));
            let replica = Reading { at: Span { begin: ms(now), end: ms(now) }, position };
            let sample = source.sample(now, now + inside, now + inside + after, true);
            let finding = track.add(&Round { replica, progress: vec![position], drained: None, source: sample });
            if finding.caught_up {
                prop_assert_eq!(source.lag(now, position), 0);
                prop_assert_eq!(finding.seconds.low, Duration::ZERO);
            }
            now += inside + after;
        }
    }

    #[test]
    fn half_a_record_is_nothing_that_a_replica_lacks(source in source(), questions in questions()) {
        let mut track = Track::default();
        let mut now = 0;
        for (gap, inside, after) in questions {
            now += gap;
            let (written, position) = source.torn(now);
            let at = |begin, end| Span { begin: ms(begin), end: ms(end) };
            let replica = Reading { at: at(now, now), position };
            now += inside;
            let sample = Sample { at: at(now, now + after), end: source.end(now), written, settles: None };
            let finding = track.add(&Round { replica, progress: vec![0], drained: None, source: sample });
            prop_assert_eq!((finding.seconds.low, finding.stuck), (Duration::ZERO, None));
            now += after;
        }
    }

    #[test]
    fn a_curve_never_grows_beyond_its_limit_and_keeps_its_beginning(positions in prop::collection::vec(0_u64..5, 1..500)) {
        let mut curve = Curve::with_max(16);
        let mut end = 10;
        for (index, step) in positions.iter().enumerate() {
            end += step;
            let at = Span { begin: ms(index as u64), end: ms(index as u64) };
            curve.push(Sample { at, end, written: end, settles: None });
            prop_assert!(curve.len() <= 16);
        }
        // The first sample is still there: its position is known to have been passed no earlier.
        prop_assert!(curve.passed(10 + positions[0]).0.is_some());
    }
}

fn sample(begin: u64, end: u64, position: u64, written: u64) -> Sample {
    Sample { at: Span { begin: ms(begin), end: ms(end) }, end: position, written, settles: Some(ms(600)) }
}

fn round(at: u64, position: u64, source: Sample) -> Round {
    let replica = Reading { at: Span { begin: ms(at), end: ms(at + 1) }, position };
    Round { replica, progress: vec![position], drained: None, source }
}

#[test]
fn an_idle_source_is_caught_up_and_the_interval_does_not_grow() {
    let mut track = Track::default();
    for minute in 0..600 {
        let at = minute * 60_000;
        let finding = track.add(&round(at, 500, sample(at + 2, at + 3, 500, 500)));
        assert!(finding.caught_up);
        assert_eq!(finding.seconds, Interval { low: Duration::ZERO, high: Some(Duration::ZERO) });
    }
}

#[test]
fn before_the_curve_begins_there_is_no_upper_end() {
    let mut track = Track::default();
    let finding = track.add(&round(0, 10, sample(2, 3, 500, 500)));
    assert_eq!((finding.caught_up, finding.behind, finding.seconds.high), (false, 490, None));
    let finding = track.add(&round(1_000, 20, sample(1_002, 1_003, 900, 900)));
    // It has been behind since the first answer at the latest.
    assert_eq!(finding.seconds, Interval { low: ms(997), high: None });
    let finding = track.add(&round(2_000, 500, sample(2_002, 2_003, 900, 900)));
    assert_eq!(finding.seconds, Interval { low: ms(997), high: Some(ms(1_999)) });
}

#[test]
fn an_open_transaction_in_the_buffers_of_the_source_is_no_lag_that_grows() {
    let mut track = Track::default();
    // Written up to 500, 40 more in memory: for a while that could be a commit.
    let finding = track.add(&round(0, 500, sample(2, 3, 540, 500)));
    assert_eq!((finding.caught_up, finding.unwritten, finding.stuck), (false, 40, None));
    let finding = track.add(&round(300, 500, sample(302, 303, 540, 500)));
    assert!(!finding.caught_up && finding.stuck.is_none());
    for at in [700, 5_000, 14_000] {
        let finding = track.add(&round(at, 500, sample(at + 2, at + 3, 540, 500)));
        assert!(finding.caught_up, "{finding:?}");
        assert!(finding.seconds.high.unwrap() <= ms(600), "{finding:?}");
    }
}

#[test]
fn a_replica_that_waits_for_the_rest_of_a_record_is_caught_up_for_a_moment() {
    let mut track = Track::default();
    track.source(sample(0, 1, 500, 500));
    // The record from 500 on ends at 720, and only the page up to 600 was written.
    let mut at_once = |at: u64, drained: Option<u64>| {
        let mut round = round(at, 500, sample(at + 2, at + 3, 720, 600));
        round.drained = drained;
        track.add(&round)
    };
    for at in [10, 300] {
        let finding = at_once(at, Some(600));
        assert_eq!((finding.caught_up, finding.seconds.low, finding.stuck), (false, Duration::ZERO, None));
    }
    assert!(at_once(900, Some(600)).caught_up);
    assert_eq!(at_once(1_000, Some(600)).seconds.high, Some(Duration::ZERO));
    // It works again: that it had waited counts no more.
    assert!(!at_once(1_100, None).caught_up);
    assert!(!at_once(1_200, Some(600)).caught_up);
    assert!(at_once(1_800, Some(600)).caught_up);
    // Something may have come before the half, and it may have stopped: nobody knows after that long.
    for at in [2_100, 20_000] {
        let finding = at_once(at, Some(600));
        assert_eq!((finding.caught_up, finding.seconds.high), (false, Some(ms(at + 1))));
    }
}

#[test]
fn a_replica_that_says_that_it_waits_although_a_whole_record_has_arrived_hangs() {
    let mut track = Track::default();
    track.source(sample(0, 1, 500, 500));
    for at in [10, 600, 1_500, 60_000] {
        let mut round = round(at, 500, sample(at + 2, at + 3, 600, 600));
        round.drained = Some(600);
        let finding = track.add(&round);
        assert!(!finding.caught_up, "{finding:?}");
        assert_eq!(finding.behind, 100);
    }
    // What lay in between is known from before, even if the source went on in the meantime.
    let mut round = round(60_500, 500, sample(60_502, 60_503, 900, 800));
    round.drained = Some(800);
    let finding = track.add(&round);
    assert!(!finding.caught_up && finding.stuck.is_some(), "{finding:?}");
}

#[test]
fn what_a_replica_says_about_waiting_proves_nothing_about_the_time_before() {
    let mut track = Track::default();
    for at in [0, 600, 1_500] {
        let mut round = round(at, 500, sample(at + 2, at + 3, 720, 600));
        round.drained = Some(600);
        let finding = track.add(&round);
        assert_eq!((finding.caught_up, finding.seconds.high), (false, None));
    }
}

#[test]
fn a_source_that_went_back_begins_a_new_curve() {
    let mut track = Track::default();
    track.add(&round(0, 500, sample(2, 3, 500, 500)));
    let finding = track.add(&round(1_000, 300, sample(1_002, 1_003, 400, 400)));
    assert_eq!((finding.seconds.low, finding.seconds.high), (Duration::ZERO, None));
}

#[test]
fn a_replica_is_stuck_for_no_longer_than_it_had_something_to_do() {
    let mut track = Track::default();
    track.add(&round(0, 500, sample(2, 3, 500, 500)));
    // Idle for an hour is not stuck.
    let finding = track.add(&round(3_600_000, 500, sample(3_600_002, 3_600_003, 600, 600)));
    assert_eq!(finding.stuck, Some(Duration::ZERO));
    let finding = track.add(&round(3_602_000, 500, sample(3_602_002, 3_602_003, 600, 600)));
    assert_eq!(finding.stuck, Some(ms(1_997)));
    let finding = track.add(&round(3_603_000, 550, sample(3_603_002, 3_603_003, 600, 600)));
    assert_eq!(finding.stuck, None);
}
