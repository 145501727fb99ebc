//! Topics as they are mirrored: chains of records, through the binary.

use crate::world::{World, reading};
use paritas_state::{State, Which};
use paritas_testbed::kafka::{Record, Topic};

fn plain(numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(|number| Record::new(number.to_string(), format!("fill {number}")).on(0)).collect()
}

/// Records of the longest segment that there can be.
const SEGMENT_MAX: u64 = 8_192;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_came_is_read_and_the_chain_is_the_one_of_a_whole_reading() {
    let Some(world) = World::start().await else { return };
    world.topic("copy", 1).await;
    growing_and_shrinking(&world).await;
    made_again(&world).await;
    transactions(&world).await;
    compacted(&world).await;
    damaged_and_wrong(&world).await;
}

async fn growing_and_shrinking(world: &World) {
    world.topic("ticks", 1).await;
    world.client.fill("ticks", 0, 200_000, 60).await.unwrap();
    let first = world.chained("ticks").await;
    assert_eq!((first.records_read, first.records_kept), (200_000, 0));
    assert!(first.whole[0].why.contains("nothing was kept"), "{first:?}");
    let still = world.chained("ticks").await;
    assert_eq!(still.segments_read, still.segments_reread, "{still:?}");
    assert!(still.whole.is_empty());
    world.client.fill("ticks", 200_000, 1_000, 60).await.unwrap();
    let more = world.chained("ticks").await;
    eprintln!("200,000 records, 1,000 more: {}", serde_json::to_string(&more).unwrap());
    let most = 1_000 + (1 + more.segments_reread) * SEGMENT_MAX;
    assert!((1_000..=most).contains(&more.records_read), "{more:?}");
    assert!(more.records_kept >= 201_000 - most, "{more:?}");
    // The beginning moves into the middle of a segment.
    for before in [50_000, 50_500, 120_001] {
        world.client.delete_records("ticks", 0, before).await.unwrap();
        let moved = world.chained("ticks").await;
        assert!(moved.whole.is_empty() && moved.records_kept > 10_000, "{moved:?}");
    }
    let (_, before) = world.newest("state");
    let full = world.snapshot("ticks", "state", &["--full"]).await.expect_code(0);
    let (_, after) = world.newest("state");
    assert_eq!(before["logs"][0]["partitions"][0]["chain"], after["logs"][0]["partitions"][0]["chain"]);
    assert_eq!(reading(&full).segments_kept, 0);
    assert!(reading(&full).whole[0].why.contains("--full"));
}

async fn made_again(world: &World) {
    world.topic("again", 1).await;
    world.client.produce("again", plain(0..3_000)).await.unwrap();
    world.chained("again").await;
    world.client.delete("again").await.unwrap();
    world.topic("again", 1).await;
    world.client.produce("again", plain(3_000..6_000)).await.unwrap();
    let taken = world.chained("again").await;
    assert!(taken.whole[0].why.contains("deleted and made again"), "{taken:?}");
    assert_eq!(taken.records_read, 3_000);
}

async fn transactions(world: &World) {
    world.topic("fills", 1).await;
    world.client.produce("fills", plain(0..4_000)).await.unwrap();
    let open = world.client.transaction("a").await.unwrap();
    open.produce("fills", plain(4_000..4_500)).await.unwrap();
    world.client.produce("fills", plain(4_500..5_000)).await.unwrap();
    assert_eq!(world.chained("fills").await.records_read, 4_000, "up to the open transaction");
    open.abort().await.unwrap();
    world.decided("fills", 5_001).await;
    let taken = world.chained("fills").await;
    assert!(taken.records_read >= 500 && taken.whole.is_empty(), "{taken:?}");
    assert_eq!(taken.records_kept + taken.records_read, 4_500);
}

async fn compacted(world: &World) {
    world.client.create(&Topic::new("compacted").set("cleanup.policy", "compact")).await.unwrap();
    world.client.produce("compacted", plain(0..3_000)).await.unwrap();
    for _ in 0..2 {
        let taken = world.chained("compacted").await;
        assert_eq!((taken.records_read, taken.records_kept), (3_000, 0));
        assert!(taken.whole[0].why.contains("cleanup.policy is compact"), "{taken:?}");
    }
    world.client.alter("compacted", &[("cleanup.policy", "delete")]).await.unwrap();
    let taken = world.chained("compacted").await;
    assert!(taken.whole[0].why.contains("it was compacted"), "{taken:?}");
    let still = world.chained("compacted").await;
    assert_eq!(still.segments_reread, still.segments_read, "{still:?}");
}

async fn damaged_and_wrong(world: &World) {
    world.topic("wrong", 1).await;
    world.client.produce("wrong", plain(0..20_000)).await.unwrap();
    world.chained("wrong").await;
    // A byte of the file is another one: nothing of it is used.
    let (path, _) = world.newest("state");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let taken = world.chained("wrong").await;
    assert!(taken.whole[0].why.contains("the snapshot before cannot be used"), "{taken:?}");
    let run = world.snapshot("wrong", "state", &[]).await.expect_code(0);
    let link = run.json()["links"][0]["name"].as_str().unwrap().to_owned();
    // Somebody changes a segment and seals it again, as long ago as everything has its turn.
    let (path, _) = world.newest("state");
    let id = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let state = State::open(world.scratch.path().join("state")).unwrap();
    let (_, json) = state.load_snapshot(&link, Which::Id(id)).unwrap();
    let mut document: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let partition = &mut document["logs"][0]["partitions"][0];
    partition["chain"]["segments"][3][4] = format!("{:032x}", 77).into();
    for run in partition["read_at"].as_array_mut().unwrap() {
        run[1] = 5.into();
    }
    state.save_snapshot(&link, id, &serde_json::to_vec(&document).unwrap()).unwrap();
    let run = world.snapshot("wrong", "state", &[]).await.expect_code(3);
    let check = &run.checks("snapshot")[0];
    assert_eq!(check["problem"]["code"], "internal.kept", "{check}");
    assert!(check["problem"]["detail"].as_str().unwrap().contains("wrong/0, offsets "), "{check}");
    assert!(check["snapshot"].is_string(), "what was read instead is kept: {check}");
    world.same("wrong").await;
    assert!(world.chained("wrong").await.whole.is_empty());
}
