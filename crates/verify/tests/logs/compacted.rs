//! Logs that keep the latest record of a key: both sides compact when they like, and only the latest records count.

use crate::world::{World, at, found, record};
use paritas_connect::logs::{Fate, MemoryRecord};
use paritas_logs::content::{Class, Policy, Timestamps};
use paritas_model::Verdict;
use proptest::prelude::*;

fn keyed(key: u64, version: u64) -> MemoryRecord {
    MemoryRecord { key: Some(key.to_be_bytes().to_vec()), ..record(version) }
}

fn deleted(key: u64, version: u64) -> MemoryRecord {
    MemoryRecord { value: None, ..keyed(key, version) }
}

fn world() -> World {
    let mut world = World::new(1);
    world.policy = Policy { compacted: true, ..Policy::default() };
    // Keys 0 to 9, written three times each; key 9 is deleted at last.
    world.append(0, (0..30).map(|version| keyed(version % 10, version)));
    world.append(0, [deleted(9, 30), keyed(8, 31)]);
    world
}

/// Leaves the latest record of every key, and of deleted ones none.
fn compact(world: &World, source: bool, keep_deletions: bool) {
    let logs = if source { &world.source } else { &world.replica };
    let records = logs.records(&at(0));
    for (index, (offset, record, _)) in records.iter().enumerate() {
        let later = records.iter().skip(index + 1).any(|(_, other, _)| other.key == record.key);
        if later || record.value.is_none() && !keep_deletions {
            logs.remove(&at(0), *offset);
        }
    }
}

#[tokio::test]
async fn it_does_not_matter_who_has_compacted_what() {
    for (source, replica, deletions) in [
        (false, false, true),
        (true, false, true),
        (false, true, true),
        (true, true, true),
        (true, false, false),
        (false, true, false),
        (true, true, false),
    ] {
        let world = world();
        world.mirror(0);
        if source {
            compact(&world, true, deletions);
        }
        if replica {
            compact(&world, false, deletions);
        }
        let outcome = world.compare().await;
        assert_eq!((found(&outcome), outcome.verdict()), (Vec::new(), Verdict::Pass));
        assert!(outcome.complete);
    }
}

#[tokio::test]
async fn a_key_that_is_lost_changed_added_or_brought_back_is_named() {
    type Change = fn(&mut Vec<MemoryRecord>);
    type Case = (&'static str, Change, (Class, Option<u64>));
    let cases: &[Case] = &[
        ("lost", |all| all.retain(|record| record.key != keyed(3, 0).key), (Class::Missing, Some(23))),
        ("older", |all| drop(all.remove(23)), (Class::Altered, Some(23))),
        ("changed", |all| all[25].value = Some(b"other".to_vec()), (Class::Altered, Some(25))),
        ("header", |all| all[25].headers.clear(), (Class::Altered, Some(25))),
        ("time", |all| all[25].timestamp = Some(1), (Class::Altered, Some(25))),
        ("deletion lost", |all| drop(all.remove(30)), (Class::Altered, Some(30))),
        ("deleted", |all| all.insert(31, deleted(4, 99)), (Class::Missing, Some(24))),
        ("added", |all| all.insert(5, keyed(77, 500)), (Class::Foreign, None)),
    ];
    for (name, change, (class, offset)) in cases {
        for compacted in [false, true] {
            let world = world();
            world.mirror_with(0, change);
            if compacted {
                compact(&world, true, true);
                compact(&world, false, true);
            }
            let outcome = world.compare().await;
            let all: Vec<_> = found(&outcome).iter().map(|(class, _, _, source, _)| (*class, *source)).collect();
            assert_eq!(all, [(*class, *offset)], "{name}");
            assert_eq!(outcome.verdict(), Verdict::Fail, "{name}");
        }
    }
}

#[tokio::test]
async fn a_replica_that_is_behind_is_in_flight_and_not_wrong() {
    let world = world();
    world.mirror_with(0, |all| all.truncate(22));
    let outcome = world.compare().await;
    assert_eq!(outcome.counts.proven(), 0, "{:?}", outcome.counts);
    assert!(outcome.counts.not_yet_mirrored > 0);
    assert_eq!(outcome.verdict(), Verdict::Unknown);
    assert_eq!(outcome.partitions[0].mirrored_to, Some(22));
}

#[tokio::test]
async fn without_times_and_syncs_nobody_knows_how_far_the_replica_is() {
    let mut world = world();
    world.policy.timestamps = Timestamps::Ignore;
    world.mirror_with(0, |all| all.truncate(22));
    let outcome = world.compare().await;
    assert_eq!((outcome.counts.proven(), outcome.verdict()), (0, Verdict::Unknown));
    // The mirror itself says that record 31 is record 21, so all before should be there.
    let mut topic = world.topic();
    topic.facing[0].syncs = vec![(31, 21)];
    assert_eq!(world.compare_topic(&topic).await.verdict(), Verdict::Fail);
}

#[tokio::test]
async fn an_aborted_record_of_a_key_is_named_as_such() {
    let mut world = world();
    world.source.append(&at(0), keyed(2, 40), Fate::Aborted);
    world.source.mark(&at(0));
    world.append(0, [keyed(5, 41)]);
    world.mirror_with(0, |all| all.insert(32, keyed(2, 40)));
    let outcome = world.compare().await;
    let all: Vec<Class> = found(&outcome).iter().map(|one| one.0).collect();
    assert_eq!(all, [Class::Aborted]);
    world.policy.aborted_allowed = true;
    assert_eq!(world.compare().await.verdict(), Verdict::Pass);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_faithful_copy_of_a_compacted_log_is_never_accused(
        writes in proptest::collection::vec((0..12_u64, any::<bool>()), 1..120),
        behind in 0..40_usize,
        gone in proptest::collection::vec((any::<bool>(), 0..120_usize), 0..60),
    ) {
        let mut world = World::new(1);
        world.policy = Policy { compacted: true, ..Policy::default() };
        let one = |(version, (key, delete)): (usize, &(u64, bool))| {
            if *delete && version % 3 == 0 { deleted(*key, version as u64) } else { keyed(*key, version as u64) }
        };
        world.append(0, writes.iter().enumerate().map(one));
        world.mirror_with(0, |all| all.truncate(writes.len().saturating_sub(behind)));
        // Compaction removes any record that a later one of its key supersedes.
        for (source, index) in gone {
            let logs = if source { &world.source } else { &world.replica };
            let records = logs.records(&at(0));
            if let Some((offset, record, _)) = records.get(index)
                && records.iter().skip(index + 1).any(|(_, other, _)| other.key == record.key)
            {
                logs.remove(&at(0), *offset);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(world.compare());
        prop_assert_eq!(outcome.counts.proven(), 0, "{:?}", outcome.findings);
        if behind == 0 {
            prop_assert_eq!(outcome.verdict(), Verdict::Pass, "{:?}", outcome);
        }
    }
}
