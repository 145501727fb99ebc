//! One by one: everything that changes the rows of files, or could seem to.

use super::world::{DAY, Kind, TICK, World, bytes, parquet_bytes};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use rstest::rstest;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write as _;
use std::time::{Duration, SystemTime};

/// Ten files of a hundred rows that were taken over once.
async fn ten(kind: Kind) -> World {
    let world = World::new(kind);
    for number in 0..10 {
        let first = i64::from(number) * 100;
        world.write(&name(&world, number), first..first + 100, 0);
    }
    world.settle().await;
    world.take().await.files(10, 0).all_read("nothing was kept");
    world.take().await.files(0, 10);
    world
}

fn name(world: &World, number: u32) -> String {
    format!("f{number}.{}", if world.kind == Kind::Csv { "csv" } else { "parquet" })
}

#[rstest]
#[case::csv(Kind::Csv)]
#[case::parquet(Kind::Parquet)]
#[tokio::test(flavor = "multi_thread")]
async fn only_files_that_were_written_are_read_again(#[case] kind: Kind) {
    let world = ten(kind).await;
    world.write(&name(&world, 3), 300..400, 1);
    world.settle().await;
    let one = world.take().await.files(1, 9);
    assert_eq!((one.reading.rows_read, one.reading.why, one.reading.not_kept), (100, None, None));
    assert!(one.reading.bytes.is_some_and(|bytes| bytes > 40_000));
    world.write(&name(&world, 11), 5_000..5_010, 0);
    fs::remove_file(world.path(&name(&world, 0))).unwrap();
    world.settle().await;
    let other = world.take().await.files(1, 9);
    assert_eq!(other.rows, 910);
    world.take().await.files(0, 10);
}

#[rstest]
#[case::csv(Kind::Csv)]
#[case::parquet(Kind::Parquet)]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_same_size_and_time_is_another_one(#[case] kind: Kind) {
    let world = ten(kind).await;
    let path = world.path(&name(&world, 5));
    let before = fs::metadata(&path).unwrap();
    let times = FileTimes::new().set_modified(before.modified().unwrap()).set_accessed(before.accessed().unwrap());
    // Replaced by another file, and written in place; both times its time is set back.
    for (salt, replace) in [(7, true), (8, false)] {
        let content = bytes(kind, 500..600, salt);
        let target = if replace { world.path("new.tmp") } else { path.clone() };
        fs::write(&target, &content).unwrap();
        File::options().write(true).open(&target).unwrap().set_times(times).unwrap();
        if replace {
            fs::rename(&target, &path).unwrap();
        }
        let now = fs::metadata(&path).unwrap();
        assert_eq!((now.len(), now.modified().unwrap()), (before.len(), before.modified().unwrap()));
        world.settle().await;
        world.take().await.files(1, 9);
        world.take().await.files(0, 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_to_a_csv_file_is_read_with_it() {
    let world = ten(Kind::Csv).await;
    let mut file = OpenOptions::new().append(true).open(world.path("f9.csv")).unwrap();
    writeln!(file, "7777,more").unwrap();
    world.settle().await;
    assert_eq!(world.take().await.files(1, 9).rows, 1_001);
}

#[rstest]
#[case::csv(Kind::Csv)]
#[case::parquet(Kind::Parquet)]
#[tokio::test(flavor = "multi_thread")]
async fn a_touched_and_a_renamed_file_are_read_and_change_nothing(#[case] kind: Kind) {
    let world = ten(kind).await;
    let file = File::options().write(true).open(world.path(&name(&world, 2))).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3_600)).unwrap();
    world.settle().await;
    world.take().await.files(1, 9);
    fs::rename(world.path(&name(&world, 2)), world.path(&name(&world, 20))).unwrap();
    world.settle().await;
    assert_eq!(world.take().await.files(1, 9).rows, 1_000);
    // Two files change their names with each other.
    fs::rename(world.path(&name(&world, 4)), world.path("x.tmp")).unwrap();
    fs::rename(world.path(&name(&world, 5)), world.path(&name(&world, 4))).unwrap();
    fs::rename(world.path("x.tmp"), world.path(&name(&world, 5))).unwrap();
    world.settle().await;
    assert_eq!(world.take().await.files(2, 8).rows, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_from_another_writer_are_the_same_digest() {
    let world = ten(Kind::Parquet).await;
    let zstd = Compression::ZSTD(ZstdLevel::try_new(3).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(zstd)
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(Some(7))
        .build();
    fs::write(world.path("f1.parquet"), parquet_bytes(100..200, 0, properties)).unwrap();
    world.settle().await;
    let before = world.folder().load().unwrap().unwrap().digest;
    world.take().await.files(1, 9);
    assert!(before.sums == world.folder().load().unwrap().unwrap().digest.sums);
}

#[rstest]
#[case::csv(Kind::Csv)]
#[case::parquet(Kind::Parquet)]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_moves_to_another_partition_has_other_rows(#[case] kind: Kind) {
    let world = World::new(kind);
    let ending = if kind == Kind::Csv { "csv" } else { "parquet" };
    for day in 1..=3 {
        world.write(&format!("day={day}/a.{ending}"), day * 10..day * 10 + 5, 0);
    }
    fs::create_dir_all(world.path("day=9")).unwrap();
    world.settle().await;
    world.take().await.files(3, 0);
    let before = world.take().await.files(0, 3);
    let digest = world.folder().load().unwrap().unwrap().digest;
    fs::rename(world.path(&format!("day=2/a.{ending}")), world.path(&format!("day=9/a.{ending}"))).unwrap();
    world.settle().await;
    let moved = world.take().await.files(1, 2);
    assert_eq!(moved.rows, before.rows);
    assert!(digest.sums != world.folder().load().unwrap().unwrap().digest.sums, "the partition is one of the values");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_read_too_soon_after_its_change_is_read_again() {
    let mut world = World::new(Kind::Csv);
    world.write("a.csv", 0..10, 0);
    world.unsettled = DAY;
    world.take().await.files(1, 0);
    let again = world.take().await.files(1, 0);
    // It is no second look at what should be the same: nothing was believed.
    assert_eq!((again.reading.files_reread, again.reading.why), (0, None));
    world.unsettled = TICK;
    world.settle().await;
    world.take().await.files(1, 0);
    world.take().await.files(0, 1);
    // A time that is still to come is none to rely on.
    let file = File::options().write(true).open(world.path("a.csv")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(3_600)).unwrap();
    world.settle().await;
    world.take().await.files(1, 0);
    world.take().await.files(1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_options_another_capacity_and_another_schema_have_everything_read() {
    let mut world = ten(Kind::Csv).await;
    world.options.set("null", "note 000 of 17").unwrap();
    world.take().await.all_read("options of the files");
    world.take().await.files(0, 10);
    world.capacity = 1_000;
    world.take().await.all_read("capacity");
    world.take().await.files(0, 10);
    fs::write(world.path("wide.csv"), "id,note,more\n9999,x,y\n").unwrap();
    world.settle().await;
    let wider = world.take().await.right();
    assert_eq!((wider.reading.files_read, wider.rows), (11, 1_001));
    world.take().await.files(0, 11);
}

#[rstest]
#[case::csv(Kind::Csv)]
#[case::parquet(Kind::Parquet)]
#[tokio::test(flavor = "multi_thread")]
async fn files_of_many_rows_are_kept_as_sums_and_those_without_rows_as_nothing(#[case] kind: Kind) {
    let world = World::new(kind);
    let ending = if kind == Kind::Csv { "csv" } else { "parquet" };
    let (large, empty) = (format!("large.{ending}"), format!("empty.{ending}"));
    world.write(&large, 0..200_000, 0);
    world.write(&empty, 0..0, 0);
    world.settle().await;
    world.take().await.files(2, 0);
    let kept = world.take().await.files(0, 2);
    assert!(kept.reading.bytes.is_some_and(|bytes| bytes < 1_000_000), "as rows they would take 8 MB");
    world.write(&large, 0..200_001, 1);
    world.write(&empty, 300_000..300_001, 0);
    world.settle().await;
    world.take().await.files(2, 0);
    world.write(&large, 0..3, 1);
    world.settle().await;
    assert_eq!(world.take().await.files(1, 1).rows, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_read_again_within_the_time() {
    let mut world = ten(Kind::Csv).await;
    world.within = Duration::ZERO;
    let again = world.take().await.files(10, 0);
    assert_eq!((again.reading.files_reread, again.reading.why), (10, None));
    world.within = DAY;
    world.take().await.files(0, 10);
}
