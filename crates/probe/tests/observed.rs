//! What an observation proves, attempt by attempt.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_model::{Ancestry, Known, Lsn, Switch, Verdict};
use paritas_probe::{Attempt, Moment, Observation, Outcome, Seconds, Side, Stamp, Survivor, verdict};
use proptest::prelude::*;
use rstest::rstest;
use std::time::Duration;

const OLD: &str = "100.5";
const NEW: &str = "90.1";

fn stamp(ms: u64) -> Stamp {
    Stamp { at: Moment { clock: 0, ns: ms * 1_000_000 }, wall_us: i64::try_from(ms).unwrap() * 1_000 }
}

fn first() -> Ancestry {
    Ancestry::first(7)
}

fn second(at: u64) -> Ancestry {
    Ancestry { system: 7, timeline: 2, switches: vec![Switch { timeline: 1, at: Lsn(at) }] }
}

struct Stage {
    observation: Observation,
    sequence: u64,
}

impl Stage {
    fn new() -> Self {
        let mut observation = Observation::begin("me".into(), first(), OLD.into(), stamp(0), "boot".into());
        (observation.writes, observation.every_ms, observation.timeout_ms) = (true, 100, 100);
        Self { observation, sequence: 0 }
    }

    fn at(&mut self, side: Side, sent: u64, ended: u64, outcome: Outcome) {
        // Stored and read again after each of them.
        let text = serde_json::to_string(&self.observation).unwrap();
        self.observation = serde_json::from_str(&text).unwrap();
        self.observation.take(&Attempt { side, sent: stamp(sent), ended: stamp(ended), outcome });
    }

    fn took(&mut self, side: Side, sent: u64, ended: u64, instance: &str, timeline: u32, survivor: Option<Survivor>) {
        self.sequence += 1;
        let (sequence, instance) = (self.sequence, instance.to_owned());
        let reached = Some(Lsn(sequence * 10));
        self.at(side, sent, ended, Outcome::Took { sequence, instance, timeline, reached, survivor });
    }

    /// The old primary takes writes until it is killed, the new one is promoted later.
    fn failover(&mut self, survived: u64) {
        for sent in [100, 200, 300] {
            self.took(Side::Source, sent, sent + 5, OLD, 1, None);
            self.at(Side::Replica, sent, sent + 1, Outcome::Down);
        }
        self.at(Side::Source, 400, 402, Outcome::Unknown);
        for sent in [500, 600, 700] {
            self.at(Side::Source, sent, sent + 2, Outcome::Down);
            self.at(Side::Replica, sent, sent + 1, Outcome::Down);
        }
        let survivor = Survivor::Row { owner: "me".into(), sequence: survived, timeline: 1 };
        self.took(Side::Replica, 800, 809, NEW, 2, Some(survivor));
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_failover_lies_between_what_was_refused_and_what_was_acknowledged() {
    let mut stage = Stage::new();
    stage.failover(3);
    assert!(stage.observation.findings().failover.is_none() && stage.observation.findings().unread);
    assert!(stage.observation.asks_for(NEW, 2));
    stage.observation.identify(NEW, 2, &second(25));
    let findings = stage.observation.findings();
    let failover = findings.failover.unwrap();
    assert_eq!((failover.old_timeline, failover.new_timeline, failover.at), (1, 2, Lsn(25)));
    // From the end of the first refusal to the begin of the last one; from the last write sent to the first answered.
    assert_eq!(failover.seconds, Known::Known(Seconds { low: ms(700 - 502), high: Known::Known(ms(809 - 300)) }));
    let losses = failover.losses.value().copied().unwrap();
    assert_eq!((losses.least, losses.most, losses.high), (0, 0, Some(Duration::ZERO)));
    assert_eq!(failover.left_bytes, 5);
    assert!(findings.split.is_none() && !findings.unread && findings.others.is_empty());
}

#[rstest]
#[case::all(Survivor::Row { owner: "me".into(), sequence: 3, timeline: 1 }, Some((0, 0)))]
#[case::unknown_one_survived(Survivor::Row { owner: "me".into(), sequence: 9, timeline: 1 }, Some((0, 0)))]
#[case::one(Survivor::Row { owner: "me".into(), sequence: 2, timeline: 1 }, Some((1, 1)))]
#[case::three(Survivor::Missing, Some((3, 3)))]
#[case::before_us(Survivor::Row { owner: "other".into(), sequence: 2, timeline: 1 }, None)]
#[case::written_since(Survivor::Row { owner: "me".into(), sequence: 9, timeline: 2 }, None)]
fn what_is_gone_is_told_by_the_row_that_was_there_first(
    #[case] survivor: Survivor,
    #[case] expected: Option<(u64, u64)>,
) {
    let mut stage = Stage::new();
    for sent in [100, 200, 300] {
        stage.took(Side::Source, sent, sent + 5, OLD, 1, None);
    }
    stage.took(Side::Replica, 400, 401, NEW, 2, Some(survivor));
    stage.observation.identify(NEW, 2, &second(25));
    let losses = stage.observation.findings().failover.unwrap().losses;
    assert_eq!(losses.value().map(|losses| (losses.least, losses.most)), expected, "{losses:?}");
}

#[rstest]
#[case::another_cluster(Ancestry { system: 8, timeline: 2, switches: vec![Switch { timeline: 1, at: Lsn(25) }] })]
#[case::not_from_here(Ancestry { system: 7, timeline: 4, switches: vec![Switch { timeline: 3, at: Lsn(25) }] })]
fn a_server_of_another_history_is_no_failover(#[case] history: Ancestry) {
    let mut stage = Stage::new();
    stage.took(Side::Source, 100, 105, OLD, 1, None);
    stage.took(Side::Replica, 400, 401, NEW, history.timeline, None);
    stage.observation.identify(NEW, history.timeline, &history);
    let findings = stage.observation.findings();
    assert!(findings.failover.is_none() && findings.others.len() == 1, "{findings:?}");
}

#[test]
fn a_copy_that_was_started_without_a_promotion_is_no_failover() {
    let mut stage = Stage::new();
    stage.took(Side::Source, 100, 105, OLD, 1, None);
    stage.took(Side::Replica, 200, 205, NEW, 1, None);
    stage.observation.identify(NEW, 1, &first());
    let findings = stage.observation.findings();
    assert!(findings.failover.is_none() && findings.split.is_none() && findings.others.len() == 1);
    stage.took(Side::Source, 300, 305, OLD, 1, None);
    assert!(!stage.observation.findings().split.unwrap().promoted);
}

#[test]
fn a_restart_is_an_outage_and_no_failover() {
    let mut stage = Stage::new();
    stage.took(Side::Source, 100, 105, OLD, 1, None);
    for sent in [200, 300, 400] {
        stage.at(Side::Source, sent, sent + 2, Outcome::Down);
    }
    stage.took(Side::Source, 500, 505, "200.7", 1, None);
    stage.took(Side::Source, 600, 605, "200.7", 1, None);
    stage.observation.identify("200.7", 1, &first());
    let findings = stage.observation.findings();
    assert!(findings.failover.is_none() && findings.split.is_none() && !findings.unread);
    let [outage] = stage.observation.outages.as_slice() else { panic!("{:?}", stage.observation.outages) };
    assert_eq!((outage.restarted, outage.low_ns), (true, 198_000_000));
    assert_eq!((outage.before.sequence, outage.after.sequence, stage.observation.beats.count()), (1, 2, 3));
}

#[test]
fn the_address_of_the_source_may_move_to_the_new_primary() {
    let mut stage = Stage::new();
    stage.took(Side::Source, 100, 105, OLD, 1, None);
    stage.at(Side::Source, 200, 202, Outcome::Down);
    stage.at(Side::Source, 300, 302, Outcome::Down);
    stage.took(Side::Source, 400, 405, NEW, 2, None);
    stage.observation.identify(NEW, 2, &second(25));
    let failover = stage.observation.findings().failover.unwrap();
    assert_eq!(failover.seconds, Known::Known(Seconds { low: ms(98), high: Known::Known(ms(305)) }));
}

#[test]
fn a_write_of_the_old_primary_after_one_of_the_new_is_a_split_brain() {
    let mut stage = Stage::new();
    stage.failover(3);
    stage.observation.identify(NEW, 2, &second(25));
    // Sent before the new one's first was answered: no order.
    stage.took(Side::Source, 805, 820, OLD, 1, None);
    assert!(stage.observation.findings().split.is_none());
    stage.took(Side::Source, 900, 905, OLD, 1, None);
    let findings = stage.observation.findings();
    assert!(findings.split.unwrap().promoted);
    assert!(findings.failover.unwrap().seconds.value().is_none());
}

#[test]
fn a_write_that_overlaps_takes_the_lower_bound_away() {
    let mut stage = Stage::new();
    stage.failover(3);
    stage.observation.identify(NEW, 2, &second(25));
    stage.took(Side::Source, 805, 820, OLD, 1, None);
    let seconds = stage.observation.findings().failover.unwrap().seconds;
    assert_eq!(seconds, Known::Known(Seconds { low: Duration::ZERO, high: Known::Known(ms(4)) }));
}

#[test]
fn after_a_gap_failures_begin_anew_and_the_upper_bound_stays() {
    for killed in [false, true] {
        let mut stage = Stage::new();
        stage.took(Side::Source, 100, 105, OLD, 1, None);
        stage.at(Side::Source, 200, 202, Outcome::Down);
        if killed {
            stage.observation.resume("boot");
        }
        for sent in [5_000, 5_100] {
            stage.at(Side::Source, sent, sent + 2, Outcome::Down);
            stage.at(Side::Replica, sent, sent + 2, Outcome::Down);
        }
        stage.took(Side::Replica, 5_200, 5_205, NEW, 2, None);
        stage.observation.identify(NEW, 2, &second(25));
        let seconds = stage.observation.findings().failover.unwrap().seconds;
        assert_eq!(seconds, Known::Known(Seconds { low: ms(5_100 - 5_002), high: Known::Known(ms(5_105)) }));
        assert_eq!((stage.observation.gaps.count, stage.observation.gaps.restarts), (1, u64::from(killed)));
    }
}

#[test]
fn two_clocks_have_no_distance() {
    let mut stage = Stage::new();
    stage.took(Side::Source, 100, 105, OLD, 1, None);
    stage.observation.resume("another boot");
    let later = |ns| Stamp { at: Moment { clock: stage.observation.clock(), ns }, wall_us: 0 };
    let (sent, ended) = (later(1), later(2));
    let outcome = Outcome::Took { sequence: 9, instance: NEW.into(), timeline: 2, reached: None, survivor: None };
    stage.observation.take(&Attempt { side: Side::Replica, sent, ended, outcome });
    stage.observation.identify(NEW, 2, &second(25));
    let findings = stage.observation.findings();
    let seconds = findings.failover.unwrap().seconds.value().cloned().unwrap();
    assert!(seconds.high.value().is_none() && seconds.low.is_zero() && findings.split.is_none());
    assert_eq!(stage.observation.gaps.count, 0);
}

#[test]
fn without_writes_there_is_no_upper_bound() {
    let mut stage = Stage::new();
    stage.observation.writes = false;
    stage.failover(3);
    stage.observation.identify(NEW, 2, &second(25));
    let failover = stage.observation.findings().failover.unwrap();
    let seconds = failover.seconds.value().cloned().unwrap();
    assert_eq!((seconds.low, seconds.high.value()), (ms(198), None));
    assert!(failover.losses.value().is_none());
    assert_eq!(verdict(&seconds, ms(100)), Verdict::Fail);
    assert_eq!(verdict(&seconds, ms(1_000_000)), Verdict::Unknown);
}

#[rstest]
#[case(10, Some(20), 9, Verdict::Fail)]
#[case(10, Some(20), 10, Verdict::Unknown)]
#[case(10, Some(20), 19, Verdict::Unknown)]
#[case(10, Some(20), 20, Verdict::Pass)]
#[case(10, None, 1_000, Verdict::Unknown)]
fn an_objective_is_judged_by_what_is_proven(
    #[case] low: u64,
    #[case] high: Option<u64>,
    #[case] objective: u64,
    #[case] expected: Verdict,
) {
    let high = high.map_or_else(|| Known::unknown("not written"), |high| Known::Known(ms(high)));
    assert_eq!(verdict(&Seconds { low: ms(low), high }, ms(objective)), expected);
}

proptest! {
    /// A true outage from `down` to `up`, and a probe that looks at some moments of it.
    #[test]
    fn the_bounds_contain_the_truth(
        down in 1_000_u64..5_000,
        length in 0_u64..5_000,
        pauses in proptest::collection::vec(1_u64..200, 40..200),
        trips in proptest::collection::vec(2_u64..60, 200),
    ) {
        let (up, mut now) = (down + length, 0);
        let mut stage = Stage::new();
        for (pause, trip) in pauses.iter().zip(&trips) {
            now += pause;
            // The server decides in the middle of the round trip.
            let (sent, decided, ended) = (now, now + trip / 2, now + trip);
            if decided < down {
                stage.took(Side::Source, sent, ended, OLD, 1, None);
            } else {
                stage.at(Side::Source, sent, ended, Outcome::Down);
            }
            if decided < up {
                stage.at(Side::Replica, sent, ended, Outcome::Down);
            } else {
                stage.took(Side::Replica, sent, ended, NEW, 2, None);
            }
            now = ended;
        }
        stage.observation.identify(NEW, 2, &second(25));
        if let Some(failover) = stage.observation.findings().failover
            && let Some(seconds) = failover.seconds.value()
        {
            prop_assert!(seconds.low <= ms(length), "{seconds:?} {length}");
            prop_assert!(seconds.high.value().is_some_and(|high| *high >= ms(length)), "{seconds:?} {length}");
        }
    }
}
