//! Faults around the data of files: columns, clocks, and footers that lie.

use crate::data::Table;
use crate::files::{self, Layout, part, with_rows};
use crate::lake::Trees;
use crate::rows::LAKE;
use crate::stage::{Kind, Placed, Stage, World, demand, owned};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

fn table() -> Table {
    Table::new(
        "id int64!, amount decimal(12,2), quantity int32, note text",
        &[&["1", "1.00", "10", "a"], &["2", "2.00", "20", "b"], &["3", "3.00", "30", "∅"], &["4", "4.00", "40", "d"]],
    )
}

pub fn columns(world: &World) {
    for pair in LAKE {
        let stage = Stage::new(world, pair, &table());
        let (text, number) = match pair.0 {
            Kind::Csv => ("CSV field", "CSV field"),
            _ => ("BYTE_ARRAY (STRING)", "INT32"),
        };
        stage.finds(
            "dropped",
            |t| t.drop("note"),
            &[&format!("schema column note: {text} -> none"), "not checked column note of t"],
        );
        stage.finds(
            "added",
            |t| t.add("more", "int32", "7"),
            &[&format!("schema column more: none -> {number}"), "not checked column more of t"],
        );
        let renamed = [
            &*format!("schema column note: {text} -> none"),
            &*format!("schema column remark: none -> {text}"),
            "not checked column note of t",
            "not checked column remark of t",
        ];
        stage.finds("renamed", |t| t.rename("note", "remark"), &renamed);
        let declared = stage.replica(|t| t.rename("note", "remark")).with("rename=note:remark");
        demand(&stage.source, &declared, &[], 0, &[], "renamed, and declared");
        let swapped = |t: &mut Table| {
            t.rename("note", "remark");
            t.set(1, "remark", "x");
        };
        let declared = stage.replica(swapped).with("rename=note:remark");
        demand(&stage.source, &declared, &[], 1, &owned(&["changed id='2': note 'b' -> 'x'"]), "renamed and changed");
        stage.passes("reordered", Table::reverse_columns, &[]);
        // The other columns are compared in spite of what is wrong with the schema.
        let both = |t: &mut Table| {
            t.drop("note");
            t.set(3, "amount", "4.01");
        };
        stage.finds(
            "dropped, and a row changed",
            both,
            &[
                &format!("schema column note: {text} -> none"),
                "not checked column note of t",
                "changed id='4': amount '4.00' -> '4.01'",
            ],
        );
    }
    types(&Stage::new(world, LAKE[0], &table()));
}

/// Only Parquet declares types.
fn types(stage: &Stage<'_>) {
    stage.passes("widened", |t| t.retype("quantity", "int64"), &["schema column quantity: INT32 -> INT64"]);
    stage.passes(
        "scale widened",
        |t| t.retype("amount", "decimal(14,4)"),
        &["schema column amount: INT64 (DECIMAL(12,2)) -> INT64 (DECIMAL(14,4))"],
    );
    let narrowed = |t: &mut Table| {
        t.retype("amount", "decimal(12,1)");
        t.map("amount", |text| text[..text.len() - 1].to_owned());
        t.set(0, "amount", "1.1");
    };
    stage.finds(
        "scale narrowed",
        narrowed,
        &[
            "schema column amount: INT64 (DECIMAL(12,2)) -> INT64 (DECIMAL(12,1))",
            "changed id='1': amount '1.00' -> '1.1'",
        ],
    );
    let mixed = |replica: &Placed| {
        let mut wider = table().part([2, 3].into_iter());
        wider.retype("quantity", "int64");
        files::write_batch(&wider.batch(), &wider, &part(replica.path(), 0, "parquet"), Layout::Replica);
    };
    let mixed_replica = stage.replica(|_| {});
    mixed(&mixed_replica);
    let lines = owned(&["problem schema.mismatch replica: quantity part-00000.parquet", "not checked rows of t"]);
    demand(&stage.source, &mixed_replica, &[], 3, &lines, "two types in one dataset");
    let without = |replica: &Placed| {
        let mut less = table().part([2, 3].into_iter());
        less.drop("note");
        files::write_batch(&less.batch(), &less, &part(replica.path(), 0, "parquet"), Layout::Replica);
    };
    stage.finds_behind("missing in one file only", without, &["changed id='4': note 'd' -> NULL"]);
}

/// Sets the times of all files below a folder.
pub fn age(folder: &Path, hours: u64, back: bool) {
    let shift = Duration::from_secs(hours * 3600);
    let time = if back { SystemTime::now() - shift } else { SystemTime::now() + shift };
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path, hours, back);
        } else {
            File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        }
    }
}

pub fn clocks(world: &World) {
    let trees = Trees::daily(world);
    for back in [true, false] {
        let west = trees.copy();
        age(&west, 1, back);
        trees.demand(&west, 0, &[], &[], "times an hour apart");
        let file = west.join("day=2026-01-06/part-00000.parquet");
        fs::write(&file, fs::read(west.join("day=2026-01-05/part-00000.parquet")).unwrap()).unwrap();
        age(&west, 1, back);
        let rows: Vec<String> = (4..8).map(|id| format!("lost id='{id}'")).collect();
        let rows: Vec<String> = rows.into_iter().chain((0..4).map(|id| format!("extra id='{id}'"))).collect();
        trees.demand(&west, 1, &["file changed day=2026-01-06/part-00000.parquet"], &rows, "and a file of another day");
    }
}

/// The metadata with every column chunk changed.
fn with_chunks(old: &ParquetMetaData, change: impl Fn(&ColumnChunkMetaData) -> ColumnChunkMetaData) -> ParquetMetaData {
    let group = |group: &RowGroupMetaData| {
        let chunks = group.columns().iter().map(&change).collect();
        group.clone().into_builder().set_column_metadata(chunks).build().unwrap()
    };
    with_rows(old, old.file_metadata().num_rows(), group)
}

/// Minimum and maximum that the values do not have.
fn wrong_statistics(chunk: &ColumnChunkMetaData) -> ColumnChunkMetaData {
    let wrong = match chunk.statistics() {
        Some(Statistics::Int64(_)) => Statistics::int64(Some(900), Some(-900), Some(1), Some(77), false),
        Some(Statistics::Int32(_)) => Statistics::int32(Some(900), Some(-900), Some(1), Some(77), false),
        Some(Statistics::ByteArray(_)) => {
            Statistics::byte_array(Some("zz".into()), Some("".into()), None, Some(1_000), false)
        }
        _ => return chunk.clone(),
    };
    chunk.clone().into_builder().set_statistics(wrong).build().unwrap()
}

pub fn lies(world: &World) {
    footers(world, (Kind::Parquet, Kind::Parquet));
    // The length of the footer, and what follows it.
    let stage = Stage::new(world, (Kind::Parquet, Kind::Parquet), &table());
    for (from_end, byte) in [(8, 0xFF), (8, 1), (5, 0x7F), (1, b'2')] {
        let lie = |replica: &Placed| {
            let file = part(replica.path(), 0, "parquet");
            let mut bytes = fs::read(&file).unwrap();
            let at = bytes.len() - from_end;
            bytes[at] = byte;
            fs::write(&file, bytes).unwrap();
        };
        let what = format!("byte {from_end} from the end is {byte}");
        stage.finds_behind(&what, lie, &DAMAGED);
    }
}

/// What is said about a footer that contradicts itself.
const DAMAGED: [&str; 2] = ["problem data.damaged replica: part-00000.parquet", "not checked rows of t"];

/// The metadata with other numbers of rows; the column chunks stay.
fn with_counts(old: &ParquetMetaData, more: i64) -> ParquetMetaData {
    let group = |g: &RowGroupMetaData| g.clone().into_builder().set_num_rows(g.num_rows() + more).build().unwrap();
    with_rows(old, old.file_metadata().num_rows() + more, group)
}

/// The writer adds the total up, so it is changed in the written footer: it is the first number in which
/// the footer differs from one with other row groups.
fn lie_about_the_total(path: &Path, more: i64) {
    files::forge(path, Clone::clone);
    let mut honest = fs::read(path).unwrap();
    files::forge(path, |old| with_counts(old, more));
    let other = fs::read(path).unwrap();
    assert_eq!(honest.len(), other.len());
    let at = honest.iter().zip(&other).position(|(a, b)| a != b).unwrap();
    honest[at] = other[at];
    assert_ne!(honest, other);
    fs::write(path, honest).unwrap();
}

/// Footers of the replica that lie, whatever the source is.
pub fn footers(world: &World, pair: (Kind, Kind)) {
    let stage = Stage::new(world, pair, &table());
    let damaged = [DAMAGED[0], &format!("not checked rows of {}", stage.dataset())];
    let forge = |change: fn(&ParquetMetaData) -> ParquetMetaData| {
        move |replica: &Placed| files::forge(&part(replica.path(), 0, "parquet"), change)
    };
    stage.passes_behind("an honest footer, written again", forge(Clone::clone), &[]);
    stage.passes_behind("wrong statistics", forge(|old| with_chunks(old, wrong_statistics)), &[]);
    let changed = stage.replica(|t| t.set(3, "amount", "4.01"));
    for number in 0..2 {
        files::forge(&part(changed.path(), number, "parquet"), |old| with_chunks(old, wrong_statistics));
    }
    let lines = owned(&["changed id='4': amount '4.00' -> '4.01'"]);
    demand(&stage.source, &changed, &[], 1, &lines, "wrong statistics and a changed row");
    for more in [1, -1] {
        let groups = move |replica: &Placed| {
            files::forge(&part(replica.path(), 0, "parquet"), |old| with_counts(old, more));
        };
        stage.finds_behind(&format!("the row group says {more}"), groups, &damaged);
        let total = move |replica: &Placed| lie_about_the_total(&part(replica.path(), 0, "parquet"), more);
        stage.finds_behind(&format!("the total says {more}"), total, &damaged);
    }
    // Every number agrees, and the pages hold one row more or less.
    for more in [1, -1] {
        let lie = move |replica: &Placed| {
            files::forge(&part(replica.path(), 0, "parquet"), |old| {
                let chunk = |chunk: &ColumnChunkMetaData| {
                    chunk.clone().into_builder().set_num_values(chunk.num_values() + more).build().unwrap()
                };
                with_counts(&with_chunks(old, chunk), more)
            });
        };
        stage.finds_behind(&format!("all counts say {more}"), lie, &DAMAGED[..1]);
    }
}
