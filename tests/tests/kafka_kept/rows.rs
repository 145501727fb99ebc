//! Topics as rows.

use crate::world::{SEGMENT, World, row, rows};
use paritas_testbed::kafka::{Record, Topic};
use paritas_tests::{Run, paritas};
use serde_json::Value;
use std::time::Duration;

const JSON: &[(&str, &str)] = &[("format", "json"), ("fields", "n:int64,text")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_came_is_read_and_what_is_gone_is_taken_out() {
    let Some(mut world) = World::start().await else { return };
    growing_and_shrinking(&world).await;
    made_again(&world).await;
    transactions(&world).await;
    cleaning_and_layout(&world).await;
    damaged(&world).await;
    kept_wrongly(&mut world).await;
}

async fn growing_and_shrinking(world: &World) {
    world.topic("grows", 2).await;
    world.client.produce("grows", rows(0, 0..6_000)).await.unwrap();
    world.client.produce("grows", rows(1, 6_000..9_000)).await.unwrap();
    world.take("grows", JSON).await.all_read("nothing was kept");
    let still = world.take("grows", JSON).await.read_at_most(0);
    assert_eq!(still.segments.segments_read, still.segments.segments_reread);
    world.client.produce("grows", vec![row(0, 9_000)]).await.unwrap();
    // The last segment of its partition is read again.
    world.take("grows", JSON).await.read_at_most(SEGMENT);
    // The beginning moves into the middle of a segment, then to a cut, then behind everything.
    for before in [1_500, 2 * SEGMENT, 2 * SEGMENT + 5, 6_001] {
        world.client.delete_records("grows", 0, before).await.unwrap();
        let taken = world.take("grows", JSON).await.read_at_most(SEGMENT);
        assert_eq!(taken.digest.header.rows, 6_001 - before + 3_000);
    }
    world.client.add_partitions("grows", 3).await.unwrap();
    world.client.produce("grows", rows(2, 20_000..20_010)).await.unwrap();
    world.take("grows", JSON).await.read_at_most(10).one_whole("nothing was kept");
}

async fn made_again(world: &World) {
    world.topic("again", 1).await;
    world.client.produce("again", rows(0, 0..3_000)).await.unwrap();
    world.take("again", JSON).await.all_read("nothing was kept");
    world.client.delete("again").await.unwrap();
    world.topic("again", 1).await;
    world.client.produce("again", rows(0, 3_000..6_000)).await.unwrap();
    world.take("again", JSON).await.all_read("topic is not what it was");
}

async fn transactions(world: &World) {
    world.topic("fills", 1).await;
    world.client.produce("fills", rows(0, 0..2_000)).await.unwrap();
    let open = world.client.transaction("a").await.unwrap();
    open.produce("fills", rows(0, 2_000..2_500)).await.unwrap();
    world.client.produce("fills", rows(0, 2_500..3_000)).await.unwrap();
    let taken = world.take("fills", JSON).await.all_read("nothing was kept");
    assert_eq!(taken.digest.header.rows, 2_000, "up to the open transaction");
    open.abort().await.unwrap();
    world.decided("fills", 3_001).await;
    let taken = world.take("fills", JSON).await.read_at_most(2 * SEGMENT);
    assert_eq!(taken.digest.header.rows, 2_500);
    let committed = world.client.transaction("b").await.unwrap();
    committed.produce("fills", rows(0, 3_000..3_100)).await.unwrap();
    committed.commit().await.unwrap();
    world.decided("fills", 3_102).await;
    let taken = world.take("fills", JSON).await.read_at_most(SEGMENT + 100);
    assert_eq!(taken.digest.header.rows, 2_600);
    world.take("fills", JSON).await.read_at_most(0);
    // Readers of everything see others.
    let all = [JSON, &[("isolation", "uncommitted")]].concat();
    let taken = world.take("fills", &all).await.all_read("layout of records is not what it was");
    assert_eq!(taken.digest.header.rows, 3_100);
}

async fn cleaning_and_layout(world: &World) {
    let compacted = Topic::new("compacted").set("cleanup.policy", "compact");
    world.client.create(&compacted).await.unwrap();
    world.client.produce("compacted", rows(0, 0..2_000)).await.unwrap();
    for _ in 0..2 {
        world.take("compacted", JSON).await.all_read("cleanup.policy of the topic is compact");
    }
    let latest = [JSON, &[("latest", "key")]].concat();
    world.take("compacted", &latest).await.all_read("latest=key");
    world.client.alter("compacted", &[("cleanup.policy", "delete")]).await.unwrap();
    world.take("compacted", JSON).await.all_read("nothing was kept");
    world.take("compacted", JSON).await.read_at_most(0);
    let other = [("format", "json"), ("fields", "n:int64")];
    world.take("compacted", &other).await.all_read("is not what it was");
    world.take("compacted", &other).await.read_at_most(0);
    // A record that does not fit is what it is to a reading of everything, and nothing is lost.
    world.client.produce("compacted", vec![Record::new("x", "no JSON").on(0)]).await.unwrap();
    let error = world.try_take("compacted", &other).await.unwrap_err();
    assert_eq!(error.code(), "data.unparsable", "{error:?}");
}

async fn damaged(world: &World) {
    world.topic("damaged", 1).await;
    world.client.produce("damaged", rows(0, 0..3_000)).await.unwrap();
    world.take("damaged", JSON).await.all_read("nothing was kept");
    let index = world.path("damaged").join("index");
    let whole = std::fs::read(&index).unwrap();
    for at in [0, 40, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        for bytes in [&flipped, &whole[..at].to_vec()] {
            std::fs::write(&index, bytes).unwrap();
            world.take("damaged", JSON).await.all_read("what was kept cannot be used");
        }
    }
    // Rows are looked at when they are taken out.
    for entry in std::fs::read_dir(world.path("damaged")).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|extension| extension == "rows") {
            std::fs::write(entry.path(), b"").unwrap();
        }
    }
    world.client.produce("damaged", vec![row(0, 3_000)]).await.unwrap();
    world.take("damaged", JSON).await.all_read("what was kept cannot be used");
    world.take("damaged", JSON).await.all_read("nothing was kept");
    world.take("damaged", JSON).await.read_at_most(0);
}

async fn kept_wrongly(world: &mut World) {
    world.topic("wrong", 1).await;
    world.client.produce("wrong", rows(0, 0..6_000)).await.unwrap();
    world.take("wrong", JSON).await.all_read("nothing was kept");
    // One segment has the rows of another, and all checksums are right.
    let mut kept = world.folder("wrong").load().unwrap().unwrap();
    let ranges = &mut kept.parts[0].ranges;
    assert_eq!(ranges[1].rows, ranges[3].rows);
    ranges[1].place = ranges[3].place;
    world.folder("wrong").begin().unwrap().finish(kept).unwrap();
    world.within = Duration::ZERO;
    let error = world.try_take("wrong", JSON).await.unwrap_err();
    assert_eq!(error.code(), "internal.kept");
    assert!(error.detail_text().unwrap().contains("wrong/0, offsets 1024..2048"), "{error:?}");
    world.take("wrong", JSON).await.all_read("nothing was kept");
    let again = world.take("wrong", JSON).await.read_at_most(0);
    assert_eq!((again.segments.segments_kept, again.segments.segments_reread), (0, 6));
    world.within = crate::world::DAY;
    world.bytes_max = 1_000;
    world.take("wrong", JSON).await.all_read("more than 1000 bytes");
}

fn count(run: &Run, name: &str) -> u64 {
    let dataset = &run.checks("snapshot")[0]["kept"]["datasets"][0];
    dataset["reading"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {dataset}"))
}

/// Through the binary, against files: what a user sees, and that the source is not needed afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_thousand_records_a_thousand_new_ones_are_read_and_the_source_is_not_needed_afterwards() {
    let Some(mut world) = World::start().await else { return };
    world.topic("ticks", 2).await;
    world.client.produce("ticks", (0..200_000).map(|number| row((number % 2) as i32, number))).await.unwrap();
    let url =
        format!("kafka://{}/ticks?format=json&fields=n:int64,text&key=n&writes=inserts", world.cluster.bootstrap());
    let folder = world.scratch.path().join("ticks");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("part.csv");
    let state = world.scratch.path().join("binary").display().to_string();
    let csv = format!("csv:{}", folder.display());
    std::fs::write(&file, "n,text\n").unwrap();
    let call = async |first: &str, more: &[&str]| {
        let mut args: Vec<String> = [first, "--json", "--state", &state, &url, &csv].map(str::to_owned).into();
        args.extend(more.iter().map(|more| (*more).to_owned()));
        tokio::task::spawn_blocking(move || paritas(&args)).await.unwrap()
    };
    let first = call("snapshot", &[]).await.expect_code(0);
    assert_eq!((count(&first, "records_read"), count(&first, "records_kept")), (200_000, 0));
    world.client.produce("ticks", (200_000..201_000).map(|number| row((number % 2) as i32, number))).await.unwrap();
    let next = call("snapshot", &[]).await.expect_code(0);
    let (read, again) = (count(&next, "records_read"), count(&next, "segments_reread"));
    eprintln!("200,000 records, 1,000 more: {}", next.checks("snapshot")[0]["kept"]["datasets"][0]["reading"]);
    assert!((1_000..=1_000 + (2 + again) * SEGMENT).contains(&read), "{read} records were read");
    assert_eq!(read + count(&next, "records_kept"), 201_000);
    let full = call("snapshot", &["--full"]).await.expect_code(0);
    assert_eq!(full.checks("snapshot")[0]["kept"]["datasets"][0]["reading"], Value::Null);
    let next = call("snapshot", &[]).await.expect_code(0);
    assert!(count(&next, "records_read") <= count(&next, "segments_reread") * SEGMENT, "{}", next.stdout);
    // The source is gone; the copy lacks one record.
    world.cluster.kill().await.unwrap();
    let lines = (0..201_000_u64)
        .filter(|number| *number != 77_777)
        .map(|number| format!("{number},row {}\n", number.wrapping_mul(7_919)));
    std::fs::write(&file, format!("n,text\n{}", lines.collect::<String>())).unwrap();
    let against = call("verify", &["--against", "last"]).await.expect_code(1);
    assert_eq!(Run::counts(&against.parity()), (1, 0, 0), "{}", against.stdout);
}
