//! What is added up is what was sampled, to the precision of a histogram.

use super::{DAY, HOUR, SECOND, START, link, open, run, sample, state, unknown};
use paritas_model::{LagState, Verdict};
use paritas_state::State;
use paritas_state::history::{Aggregate, History, Retention, Sample, Span, Window, reach};
use proptest::prelude::*;
use std::time::Duration;

/// What a histogram of three digits cannot tell apart, and the next whole number.
fn near(value: u64) -> u64 {
    value / 1_000 + 1
}

fn keep(history: &mut History, samples: &[Sample]) {
    for sample in samples {
        let link = link("trading", Verdict::Pass, vec![sample.clone()]);
        history.record_all(&[run(sample.at, "lag", vec![link])]).unwrap();
    }
}

fn window(history: &History, from: i64, to: i64) -> Window {
    let streams = history.streams(Some("trading")).unwrap();
    history.window(&streams[0], from, to).unwrap()
}

/// The value of nearest rank, of a list and by nothing but its definition; what is absent is the largest.
fn ranked(mut values: Vec<Option<u64>>, thousandths: u64) -> Option<u64> {
    values.sort_by_key(|value| value.unwrap_or(u64::MAX));
    let rank = (values.len() as u64 * thousandths).div_ceil(1_000).max(1);
    values[usize::try_from(rank).unwrap() - 1]
}

/// Compares with what follows from the samples themselves.
fn demand(found: &Aggregate, samples: &[Sample], asked: impl Fn(&Sample) -> bool) {
    let chosen: Vec<&Sample> = samples.iter().filter(|sample| asked(sample)).collect();
    let known: Vec<&&Sample> = chosen.iter().filter(|sample| sample.is_known()).collect();
    assert_eq!(found.samples(), chosen.len() as u64);
    assert_eq!(found.known(), known.len() as u64);
    for state in [LagState::CaughtUp, LagState::Behind, LagState::Unknown] {
        assert_eq!(found.seen(state), chosen.iter().filter(|sample| sample.state == state).count() as u64);
    }
    assert_eq!(found.unbounded, known.iter().filter(|sample| sample.high.is_none()).count() as u64);
    for thousandths in [1, 500, 950, 990, 1_000] {
        if known.is_empty() {
            assert_eq!(found.lag(thousandths), None);
            continue;
        }
        let span = found.lag(thousandths).unwrap();
        let low = ranked(known.iter().map(|sample| sample.low).collect(), thousandths).unwrap();
        let high = ranked(known.iter().map(|sample| sample.high).collect(), thousandths);
        assert!(span.low.unwrap() <= low && low - span.low.unwrap() <= near(low), "{span:?} of {low}");
        assert_eq!(span.high.is_none(), high.is_none());
        if let (Some(found), Some(high)) = (span.high, high) {
            assert!(found >= high && found - high <= near(high), "{found} of {high}");
        }
    }
    let bounds: Vec<Option<u64>> = samples
        .iter()
        .enumerate()
        .filter(|(_, sample)| asked(sample))
        .map(|(index, sample)| reach(samples.get(index.checked_sub(1)?)?, sample.at))
        .collect();
    assert_eq!(found.open, bounds.iter().filter(|bound| bound.is_none()).count() as u64);
    if let Some(most) = bounds.iter().flatten().max() {
        let (_, found) = found.before.ranked(found.before.count()).unwrap();
        assert!(found >= *most && found - most <= near(*most), "{found} of {most}");
    }
}

/// Samples in the order of time, between a second and ten minutes apart.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let one = (1..600_i64, 0..120_000_000_u64, 0..30_000_000_u64, 0..20_u8);
    proptest::collection::vec(one, 1..80).prop_map(|steps| {
        let mut at = START + 17 * SECOND;
        let of = |(step, low, wide, kind): (i64, u64, u64, u8)| {
            at += step * SECOND;
            match kind {
                0 => unknown(at),
                1 => sample(at, low, None),
                2 => sample(at, 0, Some(0)),
                _ => sample(at, low, Some(low + wide)),
            }
        };
        steps.into_iter().map(of).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_time_is_answered_as_if_every_sample_were_looked_at(
        samples in samples(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..4),
        ends in (any::<proptest::sample::Index>(), any::<proptest::sample::Index>(), 0..90_i64),
    ) {
        let (_dir, state) = state();
        let mut history = open(&state);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(samples.len())).collect();
        cuts.sort_unstable();
        let mut done = 0;
        for cut in cuts {
            keep(&mut history, &samples[done..cut.max(done)]);
            done = cut.max(done);
            // Whenever that is done: right now, or with samples of this very minute left out.
            history.maintain(&state, samples[cut].at).unwrap();
        }
        keep(&mut history, &samples[done..]);
        let (a, b) = (samples[ends.0.index(samples.len())].at, samples[ends.1.index(samples.len())].at);
        let (from, to) = (a.min(b) - ends.2 * SECOND, a.max(b) + ends.2 * SECOND + 1);
        let found = window(&history, from, to);
        prop_assert_eq!((found.from, found.to), (from, to));
        demand(&found.all, &samples, |sample| from <= sample.at && sample.at < to);
        let last = samples.iter().rev().find(|sample| sample.at < to);
        prop_assert_eq!(found.last.as_ref(), last);
    }
}

#[test]
fn with_age_samples_become_minutes_and_hours_and_no_percentile_changes() {
    let (_dir, state) = state();
    let mut history = open(&state);
    let samples: Vec<Sample> = (0..3_000_i64)
        .map(|n| {
            let low = (n * 7_919 % 1_000).cast_unsigned() * 1_000;
            sample(START + n * 30 * SECOND, low, Some(low + 500))
        })
        .collect();
    keep(&mut history, &samples);
    let whole = (START, START + 26 * HOUR);
    let demand_whole = |history: &History| demand(&window(history, whole.0, whole.1).all, &samples, |_| true);
    demand_whole(&history);
    // Two days on the single samples are gone, a month on the minutes are.
    for (age, narrow) in [(DAY, (17, 17)), (3 * DAY, (0, 60)), (32 * DAY, (0, 3_600))] {
        history.maintain(&state, START + age + 2 * HOUR).unwrap();
        history.maintain(&state, START + age + 3 * HOUR).unwrap();
        demand_whole(&history);
        let (from, to) = (START + 17 * SECOND, START + 59 * SECOND);
        let found = window(&history, from, to);
        let expected = match age {
            DAY => (from, to),
            _ => (START + narrow.0 * SECOND, START + narrow.1 * SECOND),
        };
        assert_eq!((found.from, found.to), expected, "{age}");
        demand(&found.all, &samples, |sample| expected.0 <= sample.at && sample.at < expected.1);
    }
    history.maintain(&state, START + 800 * DAY).unwrap();
    assert_eq!(window(&history, whole.0, whole.1).all.samples(), 0);
}

#[test]
fn a_sample_that_comes_late_is_added_to_what_is_there() {
    let (_dir, state) = state();
    let mut history = open(&state);
    keep(&mut history, &[sample(START, 1_000, Some(2_000)), sample(START + 20 * SECOND, 3_000, Some(4_000))]);
    history.maintain(&state, START + 5 * DAY).unwrap();
    keep(&mut history, &[sample(START + 10 * SECOND, 9_000, Some(9_500))]);
    for now in [START + 5 * DAY, START + 6 * DAY, START + 7 * DAY] {
        let all = window(&history, START, START + HOUR).all;
        assert_eq!((all.samples(), all.lag(1_000).unwrap().low.unwrap() / 1_000), (3, 9));
        history.maintain(&state, now).unwrap();
    }
}

#[test]
fn what_is_recorded_twice_counts_once() {
    let (_dir, state) = state();
    let mut history = open(&state);
    let one = run(START, "lag", vec![link("trading", Verdict::Pass, vec![sample(START, 1, Some(2))])]);
    for now in [START, START + DAY, START + 3 * DAY] {
        history.record(&state, &one, now).unwrap();
        history.maintain(&state, now + HOUR).unwrap();
        assert_eq!(window(&history, START, START + HOUR).all.samples(), 1);
    }
}

#[test]
fn between_two_samples_the_lag_ages_with_the_clock_and_behind_an_unknown_one_nothing_is_known() {
    let before = sample(START, 1_000_000, Some(2_000_000));
    assert_eq!(reach(&before, START + 5 * SECOND), Some(7_000_000));
    assert_eq!(reach(&before, START), Some(2_000_000));
    assert_eq!(reach(&before, START - 1), None, "of the time before it says nothing");
    assert_eq!(reach(&sample(START, 1, None), START + 1), None);
    assert_eq!(reach(&unknown(START), START + 1), None);
    assert_eq!(reach(&Sample { state: LagState::Broken, ..before }, START + 1), None);
}

#[test]
fn counts_around_a_limit_never_claim_more_than_the_histogram_knows() {
    let mut all = Aggregate::default();
    for value in [1_000_000, 5_000_000, 5_000_500, 60_000_000] {
        all.add(&sample(START, value, Some(value)), None);
    }
    assert_eq!((all.low.count_above(4_000_000), all.high.count_not_within(4_000_000)), (3, 3));
    assert_eq!((all.low.count_above(6_000_000), all.high.count_not_within(6_000_000)), (1, 1));
    // A limit within what cannot be told apart is neither broken nor kept for certain.
    assert_eq!((all.low.count_above(5_000_200), all.high.count_not_within(5_000_200)), (1, 3));
    assert_eq!(all.lag(1_000), Some(Span { low: all.lag(1_000).unwrap().low, high: Some(60_030_975) }));
}

#[test]
fn streams_are_told_apart_and_unheard_links_have_none() {
    let (_dir, state) = state();
    let mut history = open(&state);
    let mut one = link("trading", Verdict::Pass, vec![sample(START, 5, Some(6))]);
    one.samples.push(("subscription/orders".into(), sample(START, 7_000, Some(8_000))));
    history.record_all(&[run(START, "lag", vec![one])]).unwrap();
    let names: Vec<String> = history.streams(None).unwrap().into_iter().map(|stream| stream.name).collect();
    assert_eq!(names, ["subscription/orders", "wal/1"]);
    assert_eq!(window(&history, START, START + 1).all.lag(500).unwrap().low.map(|low| low / 1_000), Some(7));
    assert!(history.streams(Some("other")).unwrap().is_empty());
}

#[test]
fn a_shorter_retention_removes_earlier() {
    let (_dir, state) = state();
    let kept = Retention {
        raw: Duration::from_secs(60),
        minutes: Duration::from_secs(120),
        hours: Duration::from_secs(7_200),
        ..Retention::default()
    };
    let mut history: History = State::history(&state, kept).unwrap();
    keep(&mut history, &[sample(START, 1, Some(2))]);
    history.maintain(&state, START + HOUR).unwrap();
    assert_eq!(window(&history, START, START + 1).to, START + HOUR);
    history.maintain(&state, START + 4 * HOUR).unwrap();
    assert_eq!(window(&history, START, START + 1).all.samples(), 0);
}

#[test]
fn where_nothing_was_seen_every_stream_of_the_link_is_unknown_but_those_that_were_left() {
    let (_dir, state) = state();
    let mut history = open(&state);
    let mut old = link("trading", Verdict::Pass, vec![sample(START, 5, Some(6))]);
    let mut new = link("trading", Verdict::Pass, vec![]);
    new.samples.push(("wal/2".into(), sample(START + HOUR, 5, Some(6))));
    let mut gone = link("trading", Verdict::Unknown, vec![]);
    gone.unseen = Some((START + 2 * HOUR, "cannot connect".into()));
    old.samples.push(("subscription/orders".into(), sample(START + HOUR, 7, Some(8))));
    history.record_all(&[run(START, "lag", vec![old]), run(START + HOUR, "lag", vec![new])]).unwrap();
    history.record_all(&[run(START + 2 * HOUR, "lag", vec![gone])]).unwrap();
    let unknown = |name: &str| {
        let streams = history.streams(None).unwrap();
        let stream = streams.iter().find(|stream| stream.name == name).unwrap();
        history.window(stream, START, START + 3 * HOUR).unwrap().all.unknown()
    };
    assert_eq!(["wal/1", "wal/2", "subscription/orders"].map(unknown), [0, 1, 1]);
}
