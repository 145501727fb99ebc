//! Random stagings of writers, readers, mirrors and those who look at them: what is said contains the truth.
#![allow(missing_docs, clippy::unwrap_used)]

mod model;

use model::{Log, isolation, log, ms, questions};
use paritas_connect::logs::{Committed, Ends, Group, Isolation, Log as LogOf, Partition, PartitionState, Survey};
use paritas_lag::{Interval, Link, Reading};
use paritas_logs::ages::{Clocks, Extent, Follower, Growth};
use paritas_logs::position::{Evidence, Look, Method, Mirrors, PartitionLook, Reach, place, probe};
use paritas_logs::readers::{Limits, ReaderState, Readers, Round};
use paritas_model::{Known, LagState};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn inside(interval: &Interval, truth: Duration) -> bool {
    interval.low <= truth && interval.high.is_none_or(|high| truth <= high)
}

/// How a follower moves: so much later than it could have, and whether it passes over what nobody reads.
#[derive(Debug, Clone, Copy)]
struct Moves {
    delay: u64,
    precise: bool,
    isolation: Isolation,
}

impl Moves {
    fn position(&self, log: &Log, at: u64) -> u64 {
        let Some(then) = at.checked_sub(self.delay) else { return 0 };
        if self.precise {
            log.visible(self.isolation, then)
        } else {
            log.records(self.isolation, 0, then).last().map_or(0, |last| last + 1)
        }
    }
}

prop_compose! {
    fn moves()(delay in prop_oneof![Just(0_u64), 0_u64..3_000], precise: bool, isolation in isolation()) -> Moves {
        Moves { delay, precise, isolation }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn age_and_count_of_what_a_follower_has_not_had_lie_within_their_bounds(
        log in log(), questions in questions(), moves in moves(), told: bool, looks in prop::option::of((isolation(), any::<bool>())),
        points in 8_usize..40, tolerance in prop::option::of(0_u64..500), read in 0_u64..60,
    ) {
        let origin = Instant::now();
        let mut growth = Growth::with_max(points);
        let told = told.then_some(moves.isolation);
        // Records are stamped when they are made, before they are appended, on the very clock that is ours.
        let clocks = tolerance.map(|tolerance| Clocks { origin: 0, tolerance: ms(tolerance) });
        let mut now = 0;
        for (gap, inside_of, after) in questions {
            let (begin, at) = (now + gap, now + gap + read);
            let end = at + inside_of;
            let position = moves.position(&log, at);
            let (asked, seen) = (end, end + inside_of);
            now = seen + after;
            growth.push(Extent::of(&log.ends(origin, asked, seen, now), origin), None);
            let ahead = looks.map(|(isolation, whole)| log.ahead(isolation, position, seen, whole));
            let reading = Reading { at: paritas_lag::Span { begin: ms(begin), end: ms(end) }, position };
            let follower = Follower { reading, isolation: told, ahead: ahead.as_ref() };
            let behind = follower.behind(&growth, clocks.as_ref()).unwrap();
            let possible = match told {
                Some(isolation) => vec![isolation],
                None => vec![Isolation::Committed, Isolation::Uncommitted],
            };
            for isolation in possible {
                let truth = log.age(isolation, position, at);
                prop_assert!(inside(&behind.age, truth), "{isolation:?} {truth:?} {behind:?}");
                let count = log.records(isolation, position, seen).len() as u64;
                prop_assert!((behind.records.low..=behind.records.high).contains(&count), "{count} {behind:?}");
            }
            prop_assert!(!behind.clocks_doubtful);
        }
    }

    #[test]
    fn a_group_is_never_called_caught_up_or_stuck_when_it_is_not(
        log in log(), questions in questions(), moves in moves(), whole: bool, stuck_after in 0_u64..2_000,
    ) {
        let origin = Instant::now();
        let limits = Limits {
            stuck_after: ms(stuck_after),
            isolation: [("desk".to_owned(), moves.isolation)].into(),
            ..Limits::default()
        };
        let mut readers = Readers::new(origin, 0, limits);
        let (survey, partition) = (survey(), Partition::new("orders", 0));
        let mut now = 0;
        for (gap, inside_of, after) in questions {
            let (begin, at, end) = (now + gap, now + gap, now + gap + inside_of);
            let position = moves.position(&log, at);
            let seen = end + inside_of;
            now = seen + after;
            let ends: BTreeMap<Partition, Known<Ends>> =
                [(partition.clone(), Known::Known(log.ends(origin, end, seen, now)))].into();
            let ahead = log.ahead(moves.isolation, position, seen, whole);
            let ahead = [((partition.clone(), position), ahead)].into();
            let groups = [group(origin, begin, end, position)];
            let none = (BTreeMap::new(), BTreeMap::new());
            let round = Round { survey: &survey, groups: &groups, ends: &ends, ahead: &ahead, expiring: &none.0, expiry: &none.1 };
            let found = readers.round(&round).remove(0).partitions.remove(0);
            let missing = log.records(moves.isolation, position, at).len();
            match found.state {
                ReaderState::CaughtUp => prop_assert_eq!(missing, 0),
                ReaderState::Stuck => {
                    let stood = found.stuck.unwrap();
                    let then = ms(at).saturating_sub(stood).as_millis() as u64;
                    // It stood there then, and a record was there for it.
                    prop_assert_eq!(moves.position(&log, then), position);
                    prop_assert!(!log.records(moves.isolation, position, then).is_empty(), "{found:?}");
                }
                ReaderState::Behind => {}
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
    }

    #[test]
    fn a_mirror_is_where_content_says_and_its_lag_contains_the_truth(
        log in log(), questions in questions(), delay in 0_u64..3_000, tail in 1_usize..20, isolation in isolation(),
    ) {
        let origin = Instant::now();
        let mut mirrors = Mirrors::new(origin);
        let (source, replica) = (Partition::new("orders", 0), Partition::new("A.orders", 0));
        let mut now = 0;
        for (gap, inside_of, after) in questions {
            let (begin, at, end) = (now + gap, now + gap, now + gap + inside_of);
            let copied = at.checked_sub(delay).map(|then| log.window(isolation, 0, then).items).unwrap_or_default();
            let seen = end + inside_of;
            now = seen + after;
            let source_ends = log.ends(origin, end, seen, now);
            let replica_ends = Ends { end: copied.len() as u64, stable: copied.len() as u64, asked: origin + ms(begin),
                                      answered: origin + ms(end), ..source_ends.clone() };
            let window = log.window(isolation, 0, seen);
            let tail = &copied[copied.len().saturating_sub(tail)..];
            let probed = probe(tail, &window);
            let placed = place(&Evidence {
                source: Extent::of(&source_ends, origin),
                replica: Extent::of(&replica_ends, origin),
                probed: Some((&probed, Reach::WHOLE)),
                sync: None,
                copied: None,
            });
            let truth = copied.last().map_or(0, |last| last.offset() + 1);
            let next = placed.as_ref().unwrap().next;
            prop_assert!((next.low..=next.high).contains(&truth), "{next:?} {truth}");
            if tail.len() == copied.len() {
                prop_assert!(next.exact().is_some() || placed.as_ref().unwrap().method == Method::Content);
            }
            let (source_ends, replica_ends) = (Known::Known(source_ends), Known::Known(replica_ends));
            let look = PartitionLook { source: &source, replica: &replica, replica_ends: &replica_ends,
                                       source_ends: &source_ends, placed: &placed, window: Some(&window), incarnation: None };
            let lag = mirrors.look(&Look { partitions: &[look], link: &Link::Connected }).remove(0);
            let missing = log.records(isolation, truth, seen).len() as u64;
            let records = lag.records.unwrap();
            prop_assert!((records.low..=records.high).contains(&missing), "{records:?} {missing}");
            prop_assert!(inside(&lag.seconds.unwrap(), log.age(isolation, truth, at)), "{lag:?}");
            if lag.state == LagState::CaughtUp {
                prop_assert!(log.records(isolation, truth, at).is_empty());
            }
            prop_assert!(lag.state != LagState::Broken && lag.state != LagState::Unknown, "{lag:?}");
        }
    }
}

fn survey() -> Survey {
    let state = PartitionState { index: 0, leader: Some(1), replicas: vec![1], in_sync: vec![1] };
    let log = LogOf { name: "orders".into(), id: Known::Known("id".into()), internal: false, partitions: vec![state] };
    Survey {
        cluster: Known::Known("A".into()),
        controller: Known::Known(1),
        brokers: Vec::new(),
        logs: vec![log],
        limits: Vec::new(),
    }
}

fn group(origin: Instant, begin: u64, end: u64, offset: u64) -> Group {
    let committed = Committed { offset, metadata: String::new() };
    Group {
        name: "desk".into(),
        state: Known::Known("Stable".into()),
        members: Known::Known(Vec::new()),
        offsets: Known::Known([(Partition::new("orders", 0), committed)].into()),
        asked: origin + ms(begin),
        answered: origin + ms(end),
    }
}
