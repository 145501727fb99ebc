//! One fault at a random place of a random faithful copy: found with its class, partition and offset, and nothing else.

use crate::world::{Short, World, at, found, record};
use paritas_connect::logs::{Fate, MemoryRecord};
use paritas_logs::content::{Class, Policy};
use paritas_model::Verdict;
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Drop,
    DropRun(usize),
    Value,
    Key,
    Header,
    Time,
    Twice,
    RunTwice(usize),
    Swap,
    Later(usize),
    Earlier(usize),
    Add,
    WrongPartition,
}

#[derive(Debug, Clone)]
struct Staging {
    records: usize,
    /// A record of an aborted transaction comes behind every so many-th one.
    aborted: usize,
    /// A marker comes behind every so many-th record of the replica.
    markers: usize,
    /// What the logs have lost of their beginnings, in percent.
    gone: (u64, u64),
    /// Records of the source that are not mirrored yet.
    behind: usize,
    fault: Fault,
    /// Where, in percent of what both sides still have.
    place: usize,
}

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::None),
        Just(Fault::Drop),
        (2..1_500_usize).prop_map(Fault::DropRun),
        Just(Fault::Value),
        Just(Fault::Key),
        Just(Fault::Header),
        Just(Fault::Time),
        Just(Fault::Twice),
        (2..1_500_usize).prop_map(Fault::RunTwice),
        Just(Fault::Swap),
        (2..900_usize).prop_map(Fault::Later),
        (2..900_usize).prop_map(Fault::Earlier),
        Just(Fault::Add),
        Just(Fault::WrongPartition),
    ]
}

fn stagings() -> impl Strategy<Value = Staging> {
    let often = |most: usize| prop_oneof![Just(usize::MAX), 2..most];
    let gone = || prop_oneof![Just(0_u64), 1..40_u64];
    let behind = prop_oneof![Just(0_usize), 1..50_usize];
    let numbers = (600..6_000_usize, often(50), often(50), (gone(), gone()), behind);
    (numbers, faults(), 10..90_usize).prop_map(|((records, aborted, markers, gone, behind), fault, place)| Staging {
        records,
        aborted,
        markers,
        gone,
        behind,
        fault,
        place,
    })
}

/// The records of partition 0 on both sides: offset on the source, and the record.
struct Staged {
    world: World,
    expected: Vec<Short>,
}

fn stage(staging: &Staging) -> Staged {
    let world = World::new(2);
    world.append(1, (0..500).map(|number| record(10_000_000 + number)));
    let mut offsets = Vec::new();
    for number in 0..staging.records {
        offsets.push(world.source.append(&at(0), record(number as u64), Fate::Committed).unwrap());
        if number % staging.aborted == 1 {
            world.source.append(&at(0), record(5_000_000 + number as u64), Fate::Aborted);
            world.source.mark(&at(0));
        }
    }
    // What both sides still have, by number of the record.
    let mirrored = staging.records - staging.behind;
    let gone = (mirrored as u64 * staging.gone.0 / 100, mirrored as u64 * staging.gone.1 / 100);
    let first = usize::try_from(gone.0.max(gone.1)).unwrap();
    let place = first + (mirrored - first) * staging.place / 100;
    let mut copy: Vec<MemoryRecord> = (0..mirrored).map(|number| record(number as u64)).collect();
    let mut astray = None;
    let expected = plant(staging.fault, &mut copy, place, &offsets, &mut astray);
    let mut copied = Vec::new();
    for (number, record) in copy.into_iter().enumerate() {
        copied.push(world.replica.append(&at(0), record, Fate::Committed).unwrap());
        if number % staging.markers == 1 {
            world.replica.mark(&at(0));
        }
    }
    world.mirror(1);
    world.copy(1, astray);
    world.source.trim(&at(0), offsets[usize::try_from(gone.0).unwrap()]);
    world.replica.trim(&at(0), copied[usize::try_from(gone.1).unwrap()]);
    let on_replica = |place: Option<u64>, class: Class| match class {
        Class::WrongPartition => Some(500),
        _ => place.map(|place| copied[usize::try_from(place).unwrap()]),
    };
    let place = |(class, partition, records, source, replica): Short| {
        (class, partition, records, source, on_replica(replica, class))
    };
    let mut expected: Vec<Short> = expected.into_iter().map(place).collect();
    if staging.behind > 0 {
        expected.push((Class::NotYetMirrored, 0, staging.behind as u64, Some(offsets[mirrored]), None));
    }
    Staged { world, expected }
}

/// Plants a fault; says what has to be found, with the place on the replica instead of the offset there.
fn plant(
    fault: Fault,
    copy: &mut Vec<MemoryRecord>,
    place: usize,
    offsets: &[u64],
    astray: &mut Option<MemoryRecord>,
) -> Vec<Short> {
    let run = |wanted: usize, len: usize| wanted.min((len - place) / 2).max(1);
    let here = Some(offsets[place]);
    let there = Some(place as u64);
    let one = |class, source, replica| vec![(class, 0, 1, source, replica)];
    match fault {
        Fault::None => Vec::new(),
        Fault::Drop => {
            copy.remove(place);
            one(Class::Missing, here, None)
        }
        Fault::DropRun(records) => {
            let records = run(records, copy.len());
            copy.drain(place..place + records);
            vec![(Class::Missing, 0, records as u64, here, None)]
        }
        Fault::Value => {
            copy[place].value = Some(b"another".to_vec());
            one(Class::Altered, here, there)
        }
        Fault::Key => {
            copy[place].key = None;
            one(Class::Altered, here, there)
        }
        Fault::Header => {
            copy[place].headers.pop();
            one(Class::Altered, here, there)
        }
        Fault::Time => {
            copy[place].timestamp = Some(1);
            one(Class::Altered, here, there)
        }
        Fault::Twice => {
            copy.insert(place + 1, copy[place].clone());
            one(Class::Duplicate, here, Some(place as u64 + 1))
        }
        Fault::RunTwice(records) => {
            let records = run(records, copy.len());
            let again = copy[place..place + records].to_vec();
            copy.splice(place + records..place + records, again);
            vec![(Class::Duplicate, 0, records as u64, here, Some((place + records) as u64))]
        }
        Fault::Swap => {
            let other = place + 2.max((copy.len() - place) / 2);
            copy.swap(place, other);
            let (source, replica) = (Some(offsets[other]), Some(other as u64));
            vec![(Class::Reordered, 0, 1, here, replica), (Class::Reordered, 0, 1, source, there)]
        }
        Fault::Later(by) => {
            let to = place + 1 + run(by, copy.len());
            let moved = copy.remove(place);
            copy.insert(to, moved);
            one(Class::Reordered, here, Some(to as u64))
        }
        Fault::Earlier(by) => {
            let from = place + 1 + run(by, copy.len());
            let moved = copy.remove(from);
            copy.insert(place, moved);
            one(Class::Reordered, Some(offsets[from]), there)
        }
        Fault::Add => {
            let strange = MemoryRecord { key: Some(b"strange".to_vec()), ..record(9_999_999) };
            copy.insert(place, strange);
            one(Class::Foreign, None, there)
        }
        Fault::WrongPartition => {
            *astray = Some(copy.remove(place));
            one(Class::WrongPartition, here, Some(0))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_planted_fault_is_found_where_it_is_and_nothing_else(staging in stagings()) {
        let mut staged = stage(&staging);
        staged.world.policy = Policy::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(staged.world.compare());
        let mut all = found(&outcome);
        all.retain(|(class, ..)| *class != Class::Expired);
        prop_assert_eq!(&all, &staged.expected, "{:?}", outcome.counts);
        prop_assert_eq!(outcome.counts.unproven, 0);
        let planted = !matches!(staging.fault, Fault::None);
        prop_assert_eq!(outcome.verdict() == Verdict::Fail, planted);
        if !planted {
            let expected = if staging.behind == 0 { Verdict::Pass } else { Verdict::Unknown };
            prop_assert_eq!(outcome.verdict(), expected);
        }
    }
}
