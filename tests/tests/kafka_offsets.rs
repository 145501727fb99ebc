//! Where groups would go on on the replica, certified by content, on real brokers with MirrorMaker 2.
#![allow(clippy::unwrap_used)]

mod kafka_world;

use kafka_world::{World, new_mirrors};
use paritas_connect::logs::{Isolation, Partition};
use paritas_logs::ages::Count;
use paritas_logs::certify::{GroupCertificate, Standing, Translation};
use paritas_logs::sequence::{Counting, FieldAt, Part, Written};
use paritas_model::{Known, Verdict};
use paritas_verify::logs::{CertifyLimits, ContinuityAsk, LossAsk, OffsetsAsk, Past, continuity, loss, offsets};
use paritas_verify::rows::Origin;
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_certified_and_losses_and_numbers_counted_on_real_brokers() {
    let Some(mut world) = World::start().await else { return };
    translated_groups_lose_nothing(&mut world).await;
    what_a_failover_would_lose_is_counted(&mut world).await;
    numbers_are_counted(&world).await;
}

async fn certified(world: &World) -> BTreeMap<String, GroupCertificate> {
    let checkpoints = world.traces().await.1.checkpoints;
    let pairs = world.pairs("orders", 1);
    let ask = OffsetsAsk {
        source: Past::Living(&world.source),
        replica: &world.replica,
        pairs: &pairs,
        checkpoints: &checkpoints,
        wanted: &|name| name.starts_with("desk"),
        isolation: Isolation::Uncommitted,
        limits: CertifyLimits::default(),
    };
    let all = offsets(&ask).await.unwrap();
    all.into_iter().map(|group| (group.group.clone(), group)).collect()
}

async fn translated_groups_lose_nothing(world: &mut World) {
    world.topic("orders", 1).await;
    world.write("orders", 0, 0, 3_000).await;
    world.mirror().wait_caught_up("orders").await.unwrap();
    for (group, offset) in [("desk-middle", 1_700), ("desk-end", 3_000)] {
        world.here.commit(group, "orders", &[(0, offset)]).await.unwrap();
    }
    world.there.wait_committed("desk-end", "A.orders", |offsets| offsets.get(&0) == Some(&3_000)).await.unwrap();
    world.there.wait_committed("desk-middle", "A.orders", |offsets| offsets.contains_key(&0)).await.unwrap();
    let all = certified(world).await;
    let end = &all["desk-end"].partitions[0];
    assert_eq!((end.standing, end.translation), (Standing::Exact, Some(Translation::Committed)), "{end:?}");
    // How far back the mirror sends a group is up to the mirror; that it loses nothing is not.
    let middle = &all["desk-middle"].partitions[0];
    let translated = middle.translated.unwrap();
    assert_eq!((&middle.exact, &middle.loss), (&Known::Known(1_700), &Known::Known(Count::exactly(0))), "{middle:?}");
    assert_eq!(middle.redelivery, Known::Known(Count::exactly(1_700 - translated)), "{middle:?}");
    assert_eq!(all["desk-middle"].may_resume(), Some(true));

    // Somebody commits too far on the replica; the mirror sets nobody back.
    world.there.commit("desk-far", "A.orders", &[(0, 1_705)]).await.unwrap();
    world.here.commit("desk-far", "orders", &[(0, 1_700)]).await.unwrap();
    let far = &certified(world).await["desk-far"];
    assert_eq!((far.verdict(), far.may_resume()), (Verdict::Fail, Some(false)), "{far:?}");
    assert_eq!(far.partitions[0].loss, Known::Known(Count::exactly(5)));
}

async fn what_a_failover_would_lose_is_counted(world: &mut World) {
    world.mirror().pause().unwrap();
    world.write("orders", 0, 3_000, 25).await;
    let mirrors = world.look("orders", 1, &mut new_mirrors()).await;
    let until = BTreeMap::new();
    let ask = LossAsk {
        source: &world.source,
        mirrors: &mirrors,
        until: &until,
        isolation: Isolation::Uncommitted,
        transaction: None,
        transaction_reach: 0,
        torn_max: 10,
    };
    let lost = loss(&ask).await.unwrap().partitions.remove(0);
    assert_eq!(lost.records, Count::exactly(25));
    let ends = lost.first.map(|found| found.offset).zip(lost.last.map(|found| found.offset));
    assert_eq!(ends, Some((3_000, 3_024)));
    world.mirror().resume().unwrap();
}

async fn numbers_are_counted(world: &World) {
    world.topic("numbered", 1).await;
    for (first, count) in [(0, 10), (12, 5), (12, 2)] {
        world.write("numbered", 0, first, count).await;
    }
    let partitions = [Partition::new("numbered", 0)];
    let counting = Counting::of(FieldAt { part: Part::Key, written: Written::Text });
    let ask = ContinuityAsk {
        side: &world.source,
        origin: Origin::Source,
        partitions: &partitions,
        counting: &counting,
        isolation: Isolation::Committed,
        partitions_at_once: 4,
    };
    let counted = continuity(&ask).await.unwrap();
    let counter = &counted.continuity.counters[0];
    assert_eq!((counter.missing, counter.duplicates, counter.late), (2, 2, 0));
    assert_eq!((counter.gaps[0].from, counter.gaps[0].to, counter.gaps[0].first_offset), (10, 11, 10));
    assert_eq!((counted.continuity.verdict, counted.problems.len()), (Verdict::Fail, 0));
}
