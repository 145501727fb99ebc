//! Faults of files: their bytes, their number and their age.

use crate::files::{self, Layout, part};
use crate::rows::LAKE;
use crate::stage::{Kind, Placed, Stage, World, demand, demand_urls, owned, put};
use crate::tables::{fills, many};
use paritas_testbed::faults;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Two trees of the same files, compared as files and as rows.
pub struct Trees<'w> {
    world: &'w World,
    east: PathBuf,
    /// Rows as a Parquet or CSV dataset.
    prefix: &'static str,
}

impl<'w> Trees<'w> {
    /// Daily folders of Parquet files with four rows each, and files that are no data.
    pub fn daily(world: &'w World) -> Self {
        let east = world.folder("t");
        let table = many(20);
        for (at, day) in DAYS.iter().enumerate() {
            let rows = table.part(4 * at..4 * at + 4);
            files::write_parquet(&rows, &east.join(format!("day={day}")), Layout::Plain);
        }
        fs::write(east.join("_heartbeat"), "2026-01-09T12:00:00Z").unwrap();
        let trees = Self { world, east, prefix: "parquet:" };
        trees.demand(&trees.copy(), 0, &[], &[], "without any fault");
        trees
    }

    /// The files of one kind in one folder.
    pub fn flat(world: &'w World, kind: Kind) -> Self {
        let placed = put(world, kind, &many(12), Layout::Source);
        let prefix = if kind == Kind::Csv { "csv:" } else { "parquet:" };
        let trees = Self { world, east: placed.path().to_owned(), prefix };
        trees.demand(&trees.copy(), 0, &[], &[], "without any fault");
        trees
    }

    pub fn copy(&self) -> PathBuf {
        let west = self.world.folder("t");
        files::copy(&self.east, &west);
        west
    }

    /// Demands what comparing files, and what comparing rows says.
    pub fn demand(&self, west: &Path, code: i32, files: &[&str], rows: &[String], what: &str) {
        self.demand_files(west, code, files, what);
        self.demand_rows(west, code, rows, what);
    }

    pub fn demand_files(&self, west: &Path, code: i32, lines: &[&str], what: &str) {
        demand_urls(&text(&self.east), &text(west), &[], code, &owned(lines), &format!("files, {what}"));
    }

    pub fn demand_rows(&self, west: &Path, code: i32, lines: &[String], what: &str) {
        let (east, west) =
            (format!("{}{}?key=id", self.prefix, text(&self.east)), format!("{}{}", self.prefix, text(west)));
        demand_urls(&east, &west, &[], code, lines, &format!("rows, {what}"));
    }
}

const DAYS: [&str; 5] = ["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08", "2026-01-09"];

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// One line for each key.
fn each(class: &str, ids: impl IntoIterator<Item = usize>) -> Vec<String> {
    ids.into_iter().map(|id| format!("{class} id='{id}'")).collect()
}

fn day_file(root: &Path, day: usize) -> PathBuf {
    part(&root.join(format!("day={}", DAYS[day])), 0, "parquet")
}

pub fn bit_in_a_value(world: &World) {
    let table = crate::data::Table::new(
        "id int64!, mark int64, ratio float64, note text",
        &[
            &["1", "5", "0.5", "first"],
            &["1311768467294899695", "1234605616436508552", "0.1", "needle"],
            &["3", "7", "0.25", "last"],
        ],
    );
    let source = put(world, Kind::Parquet, &table, Layout::Source);
    // Value by value as it stands in the file: eight bytes, the lowest first.
    let places: [(&[u8], u64, u8, &[&str]); 4] = [
        (
            &1_234_605_616_436_508_552_i64.to_le_bytes(),
            0,
            0,
            &["changed id='1311768467294899695': mark '1234605616436508552' -> '1234605616436508553'"],
        ),
        (&0.1_f64.to_le_bytes(), 0, 0, &["changed id='1311768467294899695': ratio '0.1' -> '0.10000000000000002'"]),
        (b"needle", 0, 0, &["changed id='1311768467294899695': note 'needle' -> 'oeedle'"]),
        (
            &1_311_768_467_294_899_695_i64.to_le_bytes(),
            7,
            6,
            &["lost id='1311768467294899695'", "extra id='5923454485722287599'"],
        ),
    ];
    for (wanted, byte, bit, lines) in places {
        let replica = put(world, Kind::Parquet, &table, Layout::Plain);
        demand(&source, &replica, &[], 0, &[], "Parquet, without any fault");
        let file = part(replica.path(), 0, "parquet");
        faults::files::flip_bit(&file, files::find(&file, wanted) + byte, bit).unwrap();
        demand(&source, &replica, &[], 1, &owned(lines), "Parquet, one bit of a value");
    }
    let source = put(world, Kind::Csv, &table, Layout::Source);
    for (wanted, at, lines) in [
        ("needle", 0, "changed id='1311768467294899695': note 'needle' -> 'oeedle'"),
        ("0.1", 2, "changed id='1311768467294899695': ratio '0.1' -> '0.0'"),
    ] {
        let replica = put(world, Kind::Csv, &table, Layout::Plain);
        demand(&source, &replica, &[], 0, &[], "CSV, without any fault");
        let file = part(replica.path(), 0, "csv");
        faults::files::flip_bit(&file, files::find(&file, wanted.as_bytes()) + at, 0).unwrap();
        demand(&source, &replica, &[], 1, &owned(&[lines]), "CSV, one bit of a value");
    }
}

/// Bits all over a file: comparing files names the file every time; comparing rows is right every time,
/// as an independent reading of the file tells.
pub fn bits_all_over(world: &World, source: Kind) {
    const PLACES: u64 = 40;
    let source = put(world, source, &many(200), Layout::Source);
    let honest = put(world, Kind::Parquet, &many(200), Layout::Replica);
    demand(&source, &honest, &[], 0, &[], "without any fault");
    let file = part(honest.path(), 1, "parquet");
    let (whole, rows) = (fs::read(&file).unwrap(), decode(&file));
    assert!(rows.is_some());
    let mut found = 0;
    for place in 0..PLACES {
        let offset = place * (whole.len() as u64 - 1) / (PLACES - 1);
        let copy = world.folder("t");
        files::copy(honest.path(), &copy);
        let file = part(&copy, 1, "parquet");
        faults::files::flip_bit(&file, offset, (place % 8) as u8).unwrap();
        let what = format!("bit {} of byte {offset} of {}", place % 8, whole.len());
        demand_urls(&honest.place, &text(&copy), &[], 1, &owned(&["file changed part-00001.parquet"]), &what);
        let run = paritas_tests::verify(&source.url, &format!("parquet:{}", text(&copy)), &[]);
        match decode(&file) {
            Some(same) if Some(&same) == rows.as_ref() => assert!([0, 1].contains(&run.code), "{what}: {run:#?}"),
            _ => {
                assert_eq!(run.code, 1, "{what}: {run:#?}");
                found += 1;
            }
        }
        let lines = crate::finding::lines(&run);
        let damage = |line: &&String| line.starts_with("problem");
        let named = lines.iter().filter(damage).all(|line| line.contains("part-00001.parquet"));
        assert!(named && (run.code == 1) != lines.is_empty(), "{what}: {lines:#?}");
    }
    assert!(found > PLACES / 3, "only {found} of {PLACES} bits changed a row");
}

pub fn bit_in_a_file(world: &World) {
    bits_all_over(world, Kind::Parquet);
    for kind in [Kind::Parquet, Kind::Csv] {
        let trees = Trees::flat(world, kind);
        let ending = if kind == Kind::Csv { "csv" } else { "parquet" };
        let west = trees.copy();
        let file = part(&west, 1, ending);
        faults::files::flip_bit(&file, fs::metadata(&file).unwrap().len() - 1, 7).unwrap();
        trees.demand_files(&west, 1, &[&format!("file changed part-00001.{ending}")], "the last byte");
    }
}

/// All rows of a file as another reader sees them; nothing where it cannot.
fn decode(path: &Path) -> Option<Vec<arrow_array::RecordBatch>> {
    let read = || {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).ok()?).ok()?;
        builder.build().ok()?.collect::<Result<Vec<_>, _>>().ok()
    };
    // Damage can also make that reader give up.
    std::panic::catch_unwind(read).ok().flatten()
}

pub fn tail_cut(world: &World) {
    let stage = Stage::new(world, (Kind::Parquet, Kind::Parquet), &fills());
    for keep in [0, 3, 11, 400] {
        let cut = |replica: &Placed| {
            faults::files::truncate(&part(replica.path(), 1, "parquet"), keep).unwrap();
        };
        let damaged = ["problem data.damaged replica: part-00001.parquet", "not checked rows of t"];
        stage.finds_behind("Parquet cut", cut, &damaged);
    }
    let one_byte = |replica: &Placed| {
        let file = part(replica.path(), 0, "parquet");
        faults::files::truncate(&file, fs::metadata(&file).unwrap().len() - 1).unwrap();
    };
    let damaged = ["problem data.damaged replica: part-00000.parquet", "not checked rows of t"];
    stage.finds_behind("the last byte cut", one_byte, &damaged);

    let trees = Trees::flat(world, Kind::Csv);
    let (west, file) = (trees.copy(), "part-00001.csv");
    let lines = fs::read_to_string(west.join(file)).unwrap();
    let tail = lines.rfind("11,").unwrap() as u64;
    for (keep, rows) in [
        (tail, each("lost", [11])),
        (tail + 1, owned(&["problem data.ragged replica: part-00001.csv line"])),
        (lines.len() as u64 - 4, owned(&["changed id='11': note 'note 11' -> 'note'"])),
        (0, owned(&["problem data.damaged replica: part-00001.csv", "not checked rows of t"])),
    ] {
        let west = trees.copy();
        faults::files::truncate(&west.join(file), keep).unwrap();
        trees.demand(&west, 1, &["file changed part-00001.csv"], &rows, &format!("CSV cut to {keep} bytes"));
    }
    // On the source it says nothing about the replica.
    let damaged = put(world, Kind::Parquet, &fills(), Layout::Source);
    faults::files::truncate(&part(damaged.path(), 0, "parquet"), 400).unwrap();
    let lines = owned(&["problem data.damaged source: part-00000.parquet", "not checked rows of t"]);
    demand(&damaged, &stage.faithful, &[], 3, &lines, "the source is cut");
}

pub fn order_changed(world: &World) {
    let trees = Trees::flat(world, Kind::Parquet);
    let west = trees.copy();
    let reversed = many(12).part((0..6).rev());
    files::write_batch(&reversed.batch(), &reversed, &part(&west, 0, "parquet"), Layout::Source);
    trees.demand_files(&west, 1, &["file changed part-00000.parquet"], "rows in another order");
    trees.demand_rows(&west, 0, &[], "rows in another order");

    let trees = Trees::flat(world, Kind::Csv);
    let west = trees.copy();
    let text = fs::read_to_string(part(&west, 0, "csv")).unwrap();
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines[1..].reverse();
    fs::write(part(&west, 0, "csv"), lines.concat()).unwrap();
    trees.demand_files(&west, 1, &["file changed part-00000.csv"], "lines in another order");
    trees.demand_rows(&west, 0, &[], "lines in another order");
}

pub fn prefix_left_out(world: &World) {
    let trees = Trees::daily(world);
    let west = trees.copy();
    fs::remove_dir_all(west.join("day=2026-01-07")).unwrap();
    let files = ["file lost day=2026-01-07/part-00000.parquet"];
    trees.demand(&west, 1, &files, &each("lost", 8..12), "one folder left out");
    for pair in LAKE {
        let ending = if pair.1 == Kind::Csv { "csv" } else { "parquet" };
        let stage = Stage::new(world, pair, &many(9));
        let drop = |replica: &Placed| drop(faults::files::delete(&part(replica.path(), 1, ending)).unwrap());
        // The replica's files hold the rows in the reverse order, three each.
        stage.finds_behind("one file left out", drop, &["lost id='3'", "lost id='4'", "lost id='5'"]);
    }
}

pub fn stuck(world: &World) {
    let trees = Trees::daily(world);
    let west = trees.copy();
    for day in [3, 4] {
        fs::remove_dir_all(west.join(format!("day={}", DAYS[day]))).unwrap();
    }
    // The heartbeat arrives all the time and is equal.
    let files = ["file lost day=2026-01-08/part-00000.parquet", "file lost day=2026-01-09/part-00000.parquet"];
    trees.demand(&west, 1, &files, &each("lost", 12..20), "the newest days never arrived");
}

pub fn stale(world: &World) {
    let trees = Trees::daily(world);
    let west = trees.copy();
    // The source goes on; what is served is the copy of before.
    let mut newer = many(20).part(4..8);
    newer.set(1, "amount", "5.26");
    newer.rows.remove(3);
    let file = day_file(&trees.east, 1);
    files::write_batch(&newer.batch(), &newer, &file, Layout::Plain);
    let rows = owned(&["changed id='5': amount '5.26' -> '5.25'", "extra id='7'"]);
    trees.demand(&west, 1, &["file changed day=2026-01-06/part-00000.parquet"], &rows, "an old copy of a file");
}

pub fn replayed(world: &World) {
    let trees = Trees::daily(world);
    let west = trees.copy();
    fs::copy(day_file(&west, 2), west.join("day=2026-01-07/part-00001.parquet")).unwrap();
    let files = ["file extra day=2026-01-07/part-00001.parquet"];
    trees.demand(&west, 1, &files, &each("extra", 8..12), "a file twice");

    let trees = Trees::flat(world, Kind::Csv);
    let west = trees.copy();
    fs::copy(part(&west, 1, "csv"), part(&west, 2, "csv")).unwrap();
    trees.demand(&west, 1, &["file extra part-00002.csv"], &each("extra", 6..12), "a CSV file twice");
}

pub fn expired(world: &World) {
    let trees = Trees::daily(world);
    let west = trees.copy();
    for day in [0, 1] {
        fs::remove_dir_all(west.join(format!("day={}", DAYS[day]))).unwrap();
    }
    let files = ["file lost day=2026-01-05/part-00000.parquet", "file lost day=2026-01-06/part-00000.parquet"];
    trees.demand(&west, 1, &files, &each("lost", 0..8), "the oldest days expired");
    // A place without any file may also be a wrong path, so it proves nothing unless it may be empty.
    let empty = world.folder("t");
    trees.demand_files(&empty, 3, &["problem dataset.missing replica:"], "everything expired");
    trees.demand_rows(&empty, 3, &owned(&["problem dataset.missing replica:"]), "everything expired");
    let day = |day: usize| format!("file lost day={}/part-00000.parquet", DAYS[day]);
    let files: Vec<String> = (0..DAYS.len()).map(day).chain(["file lost _heartbeat".to_owned()]).collect();
    let west = format!("files:{}?allow_empty=true", text(&empty));
    demand_urls(&text(&trees.east), &west, &[], 1, &files, "everything expired, and empty is allowed");
}
