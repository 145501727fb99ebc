//! Planted faults, one at a time.

use crate::world::{Short, World, at, found, record};
use paritas_connect::logs::{Fate, MemoryRecord};
use paritas_logs::content::{Class, Part, Policy, Timestamps};
use paritas_model::{Value, Verdict};

const COUNT: u64 = 3_000;

fn world() -> World {
    let world = World::new(3);
    for partition in 0..3 {
        let base = partition as u64 * 1_000_000;
        world.append(partition, (0..COUNT).map(|number| record(base + number)));
    }
    world.mirror(0);
    world.mirror(2);
    world
}

/// Changes the copy of partition 1.
type Change = fn(&mut Vec<MemoryRecord>);

/// What is done to the copy, and what must be found: class, partition, records, first offset on either side.
const FAULTS: &[(&str, Change, &[Short])] = &[
    ("nothing", |_| {}, &[]),
    (
        "dropped",
        |all| {
            all.remove(1_234);
        },
        &[(Class::Missing, 1, 1, Some(1_234), None)],
    ),
    (
        "first_dropped",
        |all| {
            all.remove(0);
        },
        &[(Class::Missing, 1, 1, Some(0), None)],
    ),
    (
        "run_dropped",
        |all| {
            all.drain(1_000..1_500);
        },
        &[(Class::Missing, 1, 500, Some(1_000), None)],
    ),
    (
        "most_dropped",
        |all| {
            all.drain(1..2_999);
        },
        &[(Class::Missing, 1, 2_998, Some(1), None)],
    ),
    (
        "two_dropped",
        |all| {
            all.remove(2_000);
            all.remove(100);
        },
        &[(Class::Missing, 1, 1, Some(100), None), (Class::Missing, 1, 1, Some(2_000), None)],
    ),
    ("value", |all| all[77].value = Some(b"other".to_vec()), &[(Class::Altered, 1, 1, Some(77), Some(77))]),
    (
        "last_value",
        |all| all[2_999].value = Some(b"other".to_vec()),
        &[(Class::Altered, 1, 1, Some(2_999), Some(2_999))],
    ),
    ("first_value", |all| all[0].value = Some(b"other".to_vec()), &[(Class::Altered, 1, 1, Some(0), Some(0))]),
    ("no_value", |all| all[77].value = None, &[(Class::Altered, 1, 1, Some(77), Some(77))]),
    (
        "duplicated",
        |all| {
            let again = all[500].clone();
            all.insert(501, again);
        },
        &[(Class::Duplicate, 1, 1, Some(500), Some(501))],
    ),
    (
        "duplicated_later",
        |all| {
            let again = all[500].clone();
            all.insert(2_500, again);
        },
        &[(Class::Duplicate, 1, 1, Some(500), Some(2_500))],
    ),
    (
        "duplicated_at_the_end",
        |all| {
            let again = all[5].clone();
            all.push(again);
        },
        &[(Class::Duplicate, 1, 1, Some(5), Some(3_000))],
    ),
    (
        "duplicate_run",
        |all| {
            let again = all[400..2_400].to_vec();
            all.splice(2_400..2_400, again);
        },
        &[(Class::Duplicate, 1, 2_000, Some(400), Some(2_400))],
    ),
    ("all_again", |all| all.extend_from_within(..), &[(Class::Duplicate, 1, 3_000, Some(0), Some(3_000))]),
    ("swapped", |all| all.swap(10, 11), &[(Class::Reordered, 1, 1, Some(10), Some(11))]),
    (
        "swapped_far",
        |all| all.swap(10, 2_900),
        &[(Class::Reordered, 1, 1, Some(10), Some(2_900)), (Class::Reordered, 1, 1, Some(2_900), Some(10))],
    ),
    (
        "moved",
        |all| {
            let moved = all.remove(100);
            all.insert(2_000, moved);
        },
        &[(Class::Reordered, 1, 1, Some(100), Some(2_000))],
    ),
    (
        "block_moved",
        |all| {
            let moved: Vec<_> = all.drain(100..150).collect();
            all.splice(2_000..2_000, moved);
        },
        &[(Class::Reordered, 1, 50, Some(100), Some(2_000))],
    ),
    ("added", |all| all.insert(1_500, record(5)), &[(Class::Foreign, 1, 1, None, Some(1_500))]),
    ("added_first", |all| all.insert(0, record(5)), &[(Class::Foreign, 1, 1, None, Some(0))]),
    ("added_last", |all| all.push(record(5)), &[(Class::Foreign, 1, 1, None, Some(3_000))]),
    (
        "replaced",
        |all| {
            all[40] = MemoryRecord { timestamp: Some(5), key: Some(b"x".to_vec()), ..record(5) };
        },
        &[(Class::Missing, 1, 1, Some(40), None), (Class::Foreign, 1, 1, None, Some(40))],
    ),
];

#[tokio::test]
async fn one_fault_is_found_where_it_is_and_nothing_else() {
    for (name, change, expected) in FAULTS {
        let world = world();
        world.mirror_with(1, change);
        let outcome = world.compare().await;
        assert_eq!(found(&outcome), *expected, "{name}");
        assert!(outcome.complete);
        assert_eq!(outcome.verdict(), if expected.is_empty() { Verdict::Pass } else { Verdict::Fail });
        let failed: Vec<bool> = outcome.partitions.iter().map(|window| window.verdict == Verdict::Fail).collect();
        assert_eq!(failed, [false, !expected.is_empty(), false]);
        assert_eq!(outcome.partitions[1].mirrored_to, Some(COUNT), "{name}");
    }
}

/// What is done to a record, and which parts of it are said to differ.
const PARTS: &[(&str, fn(&mut MemoryRecord), &[Part])] = &[
    ("key", |record| record.key = Some(b"other".to_vec()), &[Part::Key]),
    ("no_key", |record| record.key = None, &[Part::Key]),
    ("empty_key", |record| record.key = Some(Vec::new()), &[Part::Key]),
    ("value", |record| record.value = Some(b"other".to_vec()), &[Part::Value]),
    ("value_to_none", |record| record.value = None, &[Part::Value]),
    ("headers_swapped", |record| record.headers.reverse(), &[Part::Headers]),
    (
        "header_gone",
        |record| {
            record.headers.pop();
        },
        &[Part::Headers],
    ),
    ("null_header_empty", |record| record.headers[1].1 = Some(Vec::new()), &[Part::Headers]),
    ("time", |record| record.timestamp = record.timestamp.map(|time| time + 1), &[Part::Timestamp]),
    ("no_time", |record| record.timestamp = None, &[Part::Timestamp]),
    (
        "value_and_time",
        |record| {
            record.value = None;
            record.timestamp = Some(1);
        },
        &[Part::Value, Part::Timestamp],
    ),
];

#[tokio::test]
async fn what_was_altered_is_named_and_shown() {
    for (name, change, parts) in PARTS {
        let world = world();
        world.mirror_with(1, |all| change(&mut all[321]));
        let outcome = world.compare().await;
        assert_eq!(found(&outcome), [(Class::Altered, 1, 1, Some(321), Some(321))], "{name}");
        let finding = &outcome.findings[0];
        assert_eq!(finding.parts, *parts, "{name}");
        assert_eq!(finding.shown.len(), 2);
        assert_eq!(finding.shown[0].value, Value::Text("value 1000321".to_owned()));
        assert_eq!(finding.shown[0].offset, 321);
    }
}

#[tokio::test]
async fn a_record_in_the_wrong_partition_is_one_finding() {
    let world = world();
    let mut astray = None;
    world.mirror_with(1, |all| astray = Some(all.remove(700)));
    // Partition 2 is whole already; the record comes last.
    world.copy(2, astray);
    let outcome = world.compare().await;
    assert_eq!(found(&outcome), [(Class::WrongPartition, 1, 1, Some(700), Some(3_000))]);
    assert_eq!(outcome.findings[0].found_in, Some(2));
}

#[tokio::test]
async fn times_do_not_count_where_they_are_ignored() {
    let mut world = world();
    world.mirror_with(1, |all| all.iter_mut().for_each(|record| record.timestamp = Some(1)));
    assert_eq!(world.compare().await.counts.altered, COUNT);
    world.policy = Policy { timestamps: Timestamps::Ignore, ..Policy::default() };
    let outcome = world.compare().await;
    assert_eq!((found(&outcome), outcome.verdict()), (Vec::new(), Verdict::Pass));
    assert_eq!(outcome.not_checked.len(), 1);
}

#[tokio::test]
async fn a_record_without_a_time_on_the_source_may_have_any_on_the_replica() {
    let world = World::new(1);
    let timeless = |number| MemoryRecord { timestamp: None, ..record(number) };
    world.append(0, (0..100).map(record).chain((100..200).map(timeless)).chain((200..2_000).map(record)));
    world.mirror_with(0, |all| all.iter_mut().for_each(|record| record.timestamp = record.timestamp.or(Some(77))));
    let outcome = world.compare().await;
    assert_eq!((found(&outcome), outcome.verdict()), (Vec::new(), Verdict::Pass));

    let world = World { replica: paritas_connect::logs::MemoryLogs::new(), ..world };
    world.replica.create(crate::world::LOG, 1);
    world.mirror_with(0, |all| {
        all.iter_mut().for_each(|record| record.timestamp = record.timestamp.or(Some(77)));
        all.remove(150);
    });
    assert_eq!(found(&world.compare().await), [(Class::Missing, 0, 1, Some(150), None)]);
}

#[tokio::test]
async fn records_of_aborted_transactions_are_named_as_such() {
    let mut world = World::new(1);
    let partition = at(0);
    world.append(0, (0..50).map(record));
    for number in 50..55 {
        world.source.append(&partition, record(number), Fate::Aborted);
    }
    world.source.mark(&partition);
    // The same payload again, committed this time: the copies of both are there.
    world.append(0, (50..60).map(record));
    let all: Vec<MemoryRecord> = world.source.records(&partition).into_iter().map(|(_, record, _)| record).collect();
    world.copy(0, all);
    let outcome = world.compare().await;
    assert_eq!(found(&outcome), [(Class::Aborted, 0, 5, Some(50), Some(50))]);
    world.policy.aborted_allowed = true;
    let outcome = world.compare().await;
    assert_eq!((outcome.verdict(), outcome.counts.aborted_allowed), (Verdict::Pass, 5));
    assert!(outcome.findings.is_empty());
}

#[tokio::test]
async fn masses_of_identical_records_are_counted_exactly() {
    for (change, expected) in [
        ((|_| {}) as Change, Vec::new()),
        (|all| drop(all.drain(5..8)), vec![(Class::Missing, 3)]),
        (|all| all.extend(all[..4].to_vec()), vec![(Class::Duplicate, 4)]),
        (|all| drop(all.drain(1..20_000)), vec![(Class::Missing, 19_999)]),
        (|all| all.extend_from_within(..), vec![(Class::Duplicate, 30_001)]),
    ] {
        let world = World::new(1);
        world.append(0, (0..30_000).map(|_| record(1)).chain([record(2)]));
        world.mirror_with(0, change);
        let outcome = world.compare().await;
        let all: Vec<(Class, u64)> =
            found(&outcome).iter().map(|(class, _, records, _, _)| (*class, *records)).collect();
        let sums = |class: Class| all.iter().filter(|(own, _)| *own == class).map(|(_, records)| records).sum::<u64>();
        for (class, records) in &expected {
            assert_eq!(sums(*class), *records, "{all:?}");
        }
        assert_eq!(all.iter().map(|(_, records)| records).sum::<u64>(), expected.iter().map(|(_, n)| n).sum::<u64>());
    }
}

#[tokio::test]
async fn a_topic_made_anew_behind_the_mirrors_back_has_lost_its_first_records() {
    let world = World::new(1);
    // Another one of the same name, with more records: the mirror goes on where it was.
    world.append(0, (1_000..1_300).map(record));
    world.copy(0, (0..100).map(record));
    world.copy(0, (1_100..1_300).map(record));
    let outcome = world.compare().await;
    assert_eq!(outcome.verdict(), Verdict::Fail);
    let counts = outcome.counts;
    assert_eq!(counts.missing + counts.altered, 100, "{counts:?}");
    assert_eq!(counts.foreign + counts.altered, 100, "{counts:?}");
}

#[tokio::test]
async fn a_hole_at_the_mirrors_position_is_missing() {
    let world = World::new(1);
    world.append(0, (0..500).map(record));
    world.mirror_with(0, |all| drop(all.drain(100..150)));
    let outcome = world.compare().await;
    assert_eq!(found(&outcome), [(Class::Missing, 0, 50, Some(100), None)]);
    let finding = &outcome.findings[0];
    let between = finding.between.unwrap();
    assert_eq!((between.after, between.before), (Some(99), Some(100)));
    assert_eq!(finding.source.unwrap().last, 149);
    assert_eq!(finding.source.unwrap().last_time, record(149).timestamp);
}
