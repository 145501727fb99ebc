//! What is kept of files, and is damaged, too large, without room, or wrong.

use super::world::{DAY, Kind, World};
use paritas_state::KeptRanges;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Files of ten rows.
async fn files(count: i64) -> World {
    let world = World::new(Kind::Csv);
    for number in 0..count {
        write(&world, number, 0);
    }
    world.settle().await;
    world.take().await.files(count.unsigned_abs(), 0);
    world
}

fn write(world: &World, number: i64, salt: i64) {
    world.write(&format!("f{number:03}.csv"), number * 10..number * 10 + 10, salt);
}

/// The index, and the files with rows.
fn kept(world: &World) -> (PathBuf, Vec<PathBuf>) {
    let folder = world.state_folder();
    let mut rows: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    rows.retain(|path| path.extension().is_some_and(|extension| extension == "rows"));
    (folder.join("index"), rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_flipped_or_gone_is_read_again_and_nothing_is_lost() {
    let world = files(5).await;
    let (index, _) = kept(&world);
    let whole = fs::read(&index).unwrap();
    for at in [0, 9, 40, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        for bytes in [&flipped, &whole[..at].to_vec()] {
            fs::write(&index, bytes).unwrap();
            world.take().await.all_read("what was kept cannot be used");
        }
    }
    world.take().await.files(0, 5);
    // What files add is looked at when it is taken out.
    for change in [|bytes: &mut Vec<u8>| bytes.iter_mut().for_each(|byte| *byte ^= 1), Vec::clear] {
        for path in kept(&world).1 {
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(&path, bytes).unwrap();
        }
        write(&world, 2, 1);
        world.settle().await;
        world.take().await.all_read("what was kept cannot be used");
        world.take().await.files(0, 5);
    }
    kept(&world).1.iter().for_each(|path| fs::remove_file(path).unwrap());
    write(&world, 2, 2);
    world.settle().await;
    world.take().await.all_read("what was kept cannot be used");
    world.take().await.files(0, 5);
}

/// What is kept, with one file in the place of another; all checksums right.
fn tampered(world: &World) -> KeptRanges {
    let mut kept = world.folder().load().unwrap().unwrap();
    let other = kept.parts[4].ranges[0].place;
    assert!(other.is_some());
    kept.parts[1].ranges[0].place = other;
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_wrongly_is_a_loud_error_when_its_turn_comes() {
    let mut world = files(5).await;
    world.folder().begin().unwrap().finish(tampered(&world)).unwrap();
    // Not its turn yet: the digest does not depend on it as long as nothing is written there.
    world.take().await.files(0, 5);
    world.within = Duration::ZERO;
    let error = world.try_take().await.unwrap_err();
    assert_eq!(error.code(), "internal.kept");
    assert!(error.detail_text().unwrap().contains("f001.csv: 10 rows were kept, 10 are there"), "{error:?}");
    world.within = DAY;
    world.take().await.all_read("nothing was kept");
    world.take().await.files(0, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_wrongly_and_taken_out_again_is_a_loud_error_when_all_of_it_is_written_anew() {
    let mut world = files(80).await;
    // Nothing here writes to a file twice.
    world.unsettled = Duration::ZERO;
    world.take().await.files(0, 80);
    world.folder().begin().unwrap().finish(tampered(&world)).unwrap();
    write(&world, 1, 1);
    let taken = world.try_take().await.unwrap();
    assert!(!taken.equal && taken.reading.why.is_none(), "rows that never were are taken out of the digest");
    // Each snapshot leaves a file of rows, until there are too many.
    for number in 5..80 {
        write(&world, number, 1);
        match world.try_take().await {
            Ok(taken) => assert!(!taken.equal, "snapshot {number}"),
            Err(error) => {
                assert_eq!(error.code(), "internal.kept");
                assert!(error.detail_text().unwrap().contains("do not add up"), "{error:?}");
                world.take().await.all_read("nothing was kept");
                return;
            }
        }
    }
    panic!("never found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_right_is_still_taken_over_when_all_of_it_was_written_anew() {
    let world = files(80).await;
    for number in 0..80 {
        write(&world, number, 1);
        world.take().await.right();
    }
    world.settle().await;
    world.take().await.right();
    world.take().await.files(0, 80);
    assert!(kept(&world).1.len() < 70, "older files were put together");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_be_kept_is_read_whole_and_said() {
    let mut world = World::new(Kind::Parquet);
    world.write("a.parquet", 0..1_000, 0);
    world.settle().await;
    world.bytes_max = 1_000;
    world.take().await.all_read("would take more than 1000 bytes");
    world.kind = Kind::Csv;
    world.write("a.csv", 0..1_000, 0);
    world.settle().await;
    // CSV files do not say how many rows they have: it is seen when they have been read.
    let taken = world.take().await.right();
    assert!(taken.reading.not_kept.unwrap().contains("would take more than 1000 bytes"));
    assert_eq!(taken.reading.bytes, None);
    assert!(kept(&world).1.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_takes_nothing_costs_the_next_snapshot_and_not_this_one() {
    let world = World::new(Kind::Csv);
    world.write("a.csv", 0..1_000, 0);
    world.settle().await;
    let link = world.state_folder().parent().unwrap().to_owned();
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    fs::write(&link, "in the way").unwrap();
    let taken = world.take().await.right();
    assert!(taken.reading.not_kept.is_some() && taken.reading.bytes.is_none(), "{:?}", taken.reading);
    fs::remove_file(&link).unwrap();
    world.take().await.all_read("nothing was kept");
    world.take().await.files(0, 1);
}
