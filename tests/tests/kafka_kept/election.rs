//! Elections of leaders that lost nothing, and of one that lost the last records.

use crate::world::{SEGMENT, World, rows};
use paritas_testbed::kafka::{Election, Options, Topic};

const JSON: &[(&str, &str)] = &[("format", "json"), ("fields", "n:int64,text")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_has_everything_has_nothing_read_again_and_one_that_has_not_has_the_partition_read_whole() {
    let Some(mut world) = World::start_with(Options::default().brokers(3)).await else { return };
    let topic = |name| Topic::new(name).on(&[2, 3]).set("retention.ms", "-1");
    world.client.create(&topic("pair").set("unclean.leader.election.enable", "true")).await.unwrap();
    world.topic("copy", 1).await;
    world.client.produce("pair", rows(0, 0..5_000)).await.unwrap();
    world.take("pair", JSON).await.all_read("nothing was kept");
    world.chained("pair").await;
    // The other broker has everything.
    world.cluster.reassign("pair", 0, &[3, 2]).await.unwrap();
    // It may lead already, which is an error.
    let _ = world.cluster.elect("pair", 0, Election::Preferred).await;
    world
        .client
        .wait_placed("pair", |placed| placed[0].leader == Some(3) && placed[0].in_sync == [2, 3])
        .await
        .unwrap();
    let taken = world.take("pair", JSON).await.read_at_most(0);
    assert!(taken.segments.whole.is_empty(), "{:?}", taken.segments);
    assert!(world.chained("pair").await.whole.is_empty());
    // It is alone with the last records, and dies.
    world.cluster.broker(2).unwrap().kill().await.unwrap();
    world.client.wait_placed("pair", |placed| placed[0].in_sync == [3]).await.unwrap();
    world.client.produce("pair", rows(0, 5_000..5_200)).await.unwrap();
    world.take("pair", JSON).await.read_at_most(2 * SEGMENT);
    world.chained("pair").await;
    world.cluster.broker(3).unwrap().kill().await.unwrap();
    world.cluster.start_broker(2).await.unwrap();
    let _ = world.cluster.elect("pair", 0, Election::Unclean).await;
    world.client.wait_placed("pair", |placed| placed[0].leader == Some(2)).await.unwrap();
    // As many others, and more.
    world.client.produce("pair", rows(0, 9_000..9_300)).await.unwrap();
    let taken = world.take("pair", JSON).await.one_whole("the last record that was kept is not there any more");
    assert_eq!((taken.digest.header.rows, taken.segments.records_kept), (5_300, 0));
    let taken = world.chained("pair").await;
    assert!(taken.whole[0].why.contains("not there any more"), "{taken:?}");
}
