//! Differences of so many records that they are not read in one go, or not at all.

use crate::world::{World, at, found, record};
use paritas_connect::logs::{MemoryLogs, MemoryRecord};
use paritas_logs::content::Class;
use paritas_model::Verdict;

const MANY: u64 = 450_000;

/// Small records, of which no two are alike.
fn small(number: u64) -> MemoryRecord {
    MemoryRecord { headers: Vec::new(), key: None, ..record(number) }
}

fn world() -> World {
    let mut world = World::new(1);
    world.source = MemoryLogs::new().with_batch(5_000);
    world.replica = MemoryLogs::new().with_batch(5_000);
    world.source.create(crate::world::LOG, 1);
    world.replica.create(crate::world::LOG, 1);
    world.append(0, (0..MANY).map(small));
    world
}

#[tokio::test]
async fn a_replica_that_is_far_behind_is_in_flight() {
    let world = world();
    world.copy(0, (0..1_000).map(small));
    let outcome = world.compare().await;
    assert_eq!(found(&outcome), [(Class::NotYetMirrored, 0, MANY - 1_000, Some(1_000), None)]);
    assert_eq!((outcome.verdict(), outcome.partitions[0].mirrored_to), (Verdict::Unknown, Some(1_000)));
}

#[tokio::test]
async fn long_beginnings_that_one_side_lost_are_expired() {
    for source in [true, false] {
        let world = world();
        world.copy(0, (0..MANY).map(small));
        let logs = if source { &world.source } else { &world.replica };
        logs.trim(&at(0), MANY - 700);
        let outcome = world.compare().await;
        assert_eq!(outcome.verdict(), Verdict::Pass, "{:?}", outcome.counts);
        let counts = outcome.counts;
        let (ours, theirs) = (counts.expired_on_source, counts.expired_on_replica);
        assert_eq!((ours, theirs), if source { (MANY - 700, 0) } else { (0, MANY - 700) });
    }
}

#[tokio::test]
async fn the_last_records_that_a_short_retention_left_are_found_in_the_middle_of_the_source() {
    let world = world();
    // The mirror is behind, and the replica keeps few records: they face neither end of the source's.
    world.copy(0, (0..250_000).map(small));
    world.replica.trim(&at(0), 249_400);
    let outcome = world.compare().await;
    assert_eq!(outcome.counts.proven() + outcome.counts.unproven, 0, "{:?}", outcome.counts);
    let counts = outcome.counts;
    assert_eq!((counts.expired_on_replica, counts.not_yet_mirrored), (249_400, MANY - 250_000));
}

#[tokio::test]
async fn a_huge_hole_is_one_finding() {
    let world = world();
    world.copy(0, (0..50_000).map(small));
    world.copy(0, (MANY - 50_000..MANY).map(small));
    let outcome = world.compare().await;
    assert_eq!(found(&outcome), [(Class::Missing, 0, MANY - 100_000, Some(50_000), None)]);
}

#[tokio::test]
async fn everything_copied_again_is_one_finding() {
    let world = world();
    world.copy(0, (0..MANY).chain(0..MANY).map(small));
    let outcome = world.compare().await;
    assert_eq!(found(&outcome), [(Class::Duplicate, 0, MANY, Some(0), Some(MANY))]);
}

#[tokio::test]
async fn when_everything_differs_it_is_counted_piece_by_piece() {
    let world = world();
    let changed = |number| MemoryRecord { value: Some(b"x".to_vec()), ..small(number) };
    world.copy(0, (0..MANY).map(changed));
    let outcome = world.compare().await;
    let counts = outcome.counts;
    assert_eq!(outcome.verdict(), Verdict::Fail, "{counts:?}");
    assert_eq!(counts.altered + counts.foreign, MANY, "{counts:?}");
}
