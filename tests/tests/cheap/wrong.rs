//! Rows that were kept, and are damaged, foreign, too large, or wrong.

use crate::world::{Rule, World};
use paritas_state::KeptRanges;
use std::path::PathBuf;
use std::time::Duration;

const TABLE: &str = "CREATE TABLE t (id int8 PRIMARY KEY, n int4, text text);
    INSERT INTO t SELECT i, i, repeat('x', 80) FROM generate_series(1, 20000) i; CHECKPOINT";

/// The files of what is kept: the index, and those with rows.
fn files(world: &World) -> (PathBuf, Vec<PathBuf>) {
    let folder = world.state().folder().join("ranges").join("%48orizon").join("t");
    let mut rows: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    rows.retain(|path| path.extension().is_some_and(|extension| extension == "rows"));
    (folder.join("index"), rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_flipped_or_gone_is_read_again_and_nothing_is_lost() {
    let world = World::new(TABLE).await;
    world.take().await.right();
    let (index, _) = files(&world);
    let whole = std::fs::read(&index).unwrap();
    for at in [0, 9, 40, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        for bytes in [&flipped, &whole[..at].to_vec()] {
            std::fs::write(&index, bytes).unwrap();
            world.take().await.all_read("what was kept cannot be used");
        }
    }
    world.take().await.read_at_most(0);
    // Rows are looked at when they are taken out.
    for change in [|bytes: &mut Vec<u8>| bytes.iter_mut().for_each(|byte| *byte ^= 1), Vec::clear] {
        for path in files(&world).1 {
            let mut bytes = std::fs::read(&path).unwrap();
            change(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
        }
        world.sql("UPDATE t SET n = n + 1 WHERE id = 100").await;
        world.take().await.all_read("what was kept cannot be used");
        world.take().await.all_read("nothing was kept");
    }
    files(&world).1.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    world.sql("UPDATE t SET n = n + 1 WHERE id = 100").await;
    world.take().await.all_read("what was kept cannot be used");
}

/// The kept rows with one range whose rows are those of another, all checksums right.
fn tampered(world: &World) -> KeptRanges {
    let mut kept = world.folder(Rule::Horizon).load().unwrap().unwrap();
    let ranges = &mut kept.parts[0].ranges;
    let (first, second) = (ranges[3], ranges[7]);
    assert_eq!(first.rows, second.rows, "ranges of one size");
    ranges[3].place = second.place;
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_kept_wrongly_are_a_loud_error_when_their_turn_comes() {
    let mut world = World::new(TABLE).await;
    world.still().await;
    let writer = world.folder(Rule::Horizon).begin().unwrap();
    writer.finish(tampered(&world)).unwrap();
    // Not its turn yet: the digest does not depend on it as long as nothing is written there.
    world.take().await.read_at_most(0);
    world.within = Duration::from_secs(1);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let error = loop {
        tokio::time::sleep(Duration::from_millis(600)).await;
        match world.try_take(&[Rule::Horizon]).await {
            Err(error) => break error,
            Ok(_) => assert!(std::time::Instant::now() < deadline, "never found"),
        }
    };
    assert_eq!(error.code(), "internal.kept");
    assert!(error.detail_text().unwrap().contains("public.t, blocks 24..32"), "{error:?}");
    world.take().await.all_read("nothing was kept");
    world.take().await.right();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_surgery_kills_is_missing_at_once_since_its_page_is_logged() {
    let world = World::new(TABLE).await;
    world.sql("CREATE EXTENSION IF NOT EXISTS pg_surgery").await;
    world.take().await.right();
    world.still().await;
    world.sql("SELECT heap_force_kill('t'::regclass, ARRAY['(9,1)']::tid[])").await;
    let taken = world.take().await.right();
    assert!(taken.reading.rows_read > 0 && taken.reading.rows_kept > 0, "{:?}", taken.reading);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_read_again_within_the_time() {
    let mut world = World::new(TABLE).await;
    world.within = Duration::from_secs(6);
    let first = world.take().await.right();
    let mut again = 0;
    let until = std::time::Instant::now() + Duration::from_secs(7);
    while std::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        again += world.take().await.right().reading.ranges_reread;
    }
    assert!(again >= first.reading.ranges_read, "{again} of {}", first.reading.ranges_read);
}
