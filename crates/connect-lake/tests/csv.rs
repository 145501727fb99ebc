//! CSV files against typed sides, and CSV that is none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{canon, csv, csv_with, digest, open, parquet, rows, schema, shown, write};
use paritas_connect::{FailureKind, Store};
use paritas_digest::{Canon, Policies};
use paritas_model::{Column, LogicalType, Schema, TimeUnit};
use paritas_testbed::ledger::{self, Plan};
use rstest::rstest;
use std::io::Write as _;
use tempfile::tempdir;

/// A side with these columns, for a canon with types.
fn typed(columns: &[(&str, LogicalType)]) -> Schema {
    let column = |(name, logical): &(&str, LogicalType)| Column {
        name: (*name).into(),
        engine_type: logical.to_string(),
        logical: logical.clone(),
        nullable: true,
    };
    Schema { columns: columns.iter().map(column).collect(), ..Schema::default() }
}

async fn against(store: &dyn Store, other: &Schema) -> Canon {
    canon(other, &schema(store).await.unwrap(), &[], Policies::default())
}

#[tokio::test]
async fn unquoted_nothing_is_null_and_quoted_nothing_is_text() {
    let folder = tempdir().unwrap();
    let path = write(folder.path(), "a.csv", "x,y\n,\"\"\n\"\",\na,\"b\"\"c\nd\"\n");
    let store = csv(&path);
    let schema = schema(&store).await.unwrap();
    assert!(schema.columns.iter().all(|c| c.logical == LogicalType::Untyped && c.nullable));
    let canon = canon(&schema, &schema, &[], Policies::default());
    let rows = rows(&store, &canon).await.unwrap();
    let nulls: Vec<_> =
        rows.iter().map(|r| r.fields.iter().map(|f| f.canonical.is_none()).collect::<Vec<_>>()).collect();
    assert_eq!(nulls, [[true, false], [false, true], [false, false]]);
    assert_eq!(shown(&rows, &canon, "y")[2], "b\"c\nd");
    assert_eq!(rows[2].place.as_deref(), Some("a.csv row 3"));
}

#[tokio::test]
async fn another_null_text_leaves_empty_fields_as_text() {
    let folder = tempdir().unwrap();
    let path = write(folder.path(), "a.csv", "x\ty\n\\N\t\n'\\N'\t'a\tb'\n");
    let store = csv_with(&path, &[("null", "\\N"), ("delimiter", "tab"), ("quote", "'")]);
    let schema = schema(&store).await.unwrap();
    let canon = canon(&schema, &schema, &[], Policies::default());
    let rows = rows(&store, &canon).await.unwrap();
    assert_eq!(
        (shown(&rows, &canon, "x"), shown(&rows, &canon, "y")),
        (vec!["NULL".into(), "\\N".into()], vec![String::new(), "a\tb".into()])
    );
}

#[tokio::test]
async fn without_a_header_columns_have_numbers_and_the_first_record_is_a_row() {
    let folder = tempdir().unwrap();
    write(folder.path(), "a.csv", "1,a\n2,b\n");
    write(folder.path(), "b.csv", "");
    let store = csv_with(folder.path(), &[("header", "false")]);
    let schema = schema(&store).await.unwrap();
    let canon = canon(&schema, &schema, &["column1"], Policies::default());
    assert_eq!(shown(&rows(&store, &canon).await.unwrap(), &canon, "column2"), ["a", "b"]);
    write(folder.path(), "c.csv", "1,2,3\n");
    assert_eq!(common::schema(&store).await.unwrap_err().code(), "schema.mismatch");
}

#[tokio::test]
async fn line_ends_marks_gzip_and_the_order_of_columns_do_not_matter() {
    let folder = tempdir().unwrap();
    let plain = csv(write(folder.path(), "plain/a.csv", "id,note\n1,x\n2,\"y\nz\"\n3,\n"));
    let schema = schema(&plain).await.unwrap();
    let canon = canon(&schema, &schema, &["id"], Policies::default());
    let expected = digest(&plain, &canon).await.unwrap();
    assert_eq!(expected.rows(), 3);
    write(folder.path(), "other/b.csv", "\u{feff}note,id\r\n,3\r\n\"y\nz\",\"2\"");
    write(folder.path(), "other/empty.csv", "id,note\n");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"id,note\n1,x\n").unwrap();
    write(folder.path(), "other/c.csv.gz", gzip.finish().unwrap());
    assert!(digest(&csv(folder.path().join("other")), &canon).await.unwrap() == expected);
}

#[tokio::test]
async fn the_ledger_is_the_same_in_parquet_and_csv() {
    let plan = Plan::small();
    for table in ledger::TABLES {
        let folder = tempdir().unwrap();
        let (a, b) = (folder.path().join("parquet"), folder.path().join("csv"));
        ledger::write_parquet(table, &plan, &a, &ledger::ParquetOptions::default()).unwrap();
        ledger::write_csv(table, &plan, &b, &ledger::CsvOptions { files: 3, ..Default::default() }).unwrap();
        let (typed, text) = (parquet(&a), csv(&b));
        let (one, two) = (schema(&typed).await.unwrap(), schema(&text).await.unwrap());
        for (source, replica) in [(&one, &two), (&two, &one)] {
            let canon = canon(source, replica, table.key, Policies::default());
            let expected = digest(&typed, &canon).await.unwrap();
            assert_eq!(expected.rows(), table.count(&plan), "{}", table.name);
            assert!(digest(&text, &canon).await.unwrap() == expected, "{}", table.name);
        }
    }
}

#[rstest]
#[case("x,y\n1,2\n3\n", "data.ragged", "line 3")]
#[case("x,y\n1,2\n3,4,5\n", "data.ragged", "line 3")]
#[case("x,y\n1,2\n\n", "data.ragged", "line 3")]
#[case("x,y\n1,\"a\nb\"\n3,\"c\n", "data.damaged", "line 4")]
#[case("x,y\n1,a\"b\n", "data.damaged", "line 2")]
#[case("x,y\n1,z\n2-5,z\n", "data.unparsable", "line 3: column \"x\"")]
#[case("x,y\n\"\",z\n", "data.unparsable", "line 2")]
#[tokio::test]
async fn what_is_no_record_or_no_value_is_damage_with_its_line(
    #[case] text: &str,
    #[case] code: &str,
    #[case] place: &str,
) {
    let folder = tempdir().unwrap();
    let store = csv(write(folder.path(), "bad.csv", text));
    let other = typed(&[("x", LogicalType::Int { bits: 64, signed: true }), ("y", LogicalType::Text)]);
    let canon = against(&store, &other).await;
    let error = digest(&store, &canon).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (code, FailureKind::Damaged), "{error}");
    assert!(error.message().contains("bad.csv") && error.message().contains(place), "{error}");
    assert!(error.hint_text().is_some());
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_damage_with_their_line() {
    let folder = tempdir().unwrap();
    let store = csv(write(folder.path(), "bad.csv", b"x\nok\n\"a\nb\"\nl\xe9\n"));
    let canon = against(&store, &typed(&[("x", LogicalType::Text)])).await;
    let error = digest(&store, &canon).await.unwrap_err();
    assert!(error.message().contains("bad.csv line 5: field 1 is not UTF-8"), "{error}");
}

#[tokio::test]
async fn more_digits_than_the_other_side_can_hold_are_another_value_and_fewer_are_equal() {
    let folder = tempdir().unwrap();
    let other = typed(&[
        ("amount", LogicalType::Decimal { precision: 18, scale: 4 }),
        ("at", LogicalType::Timestamp { unit: TimeUnit::Micro, zoned: true }),
    ]);
    let store = csv(write(folder.path(), "a.csv", "amount,at\n1.5,2026-01-01 00:00:00+00\n"));
    let canon = against(&store, &other).await;
    let expected = digest(&store, &canon).await.unwrap();
    let same = csv(write(folder.path(), "b.csv", "amount,at\n1.500000,2026-01-01T02:00:00.000+02:00\n"));
    assert!(digest(&same, &canon).await.unwrap() == expected);
    let null =
        digest(&csv(write(folder.path(), "n.csv", "amount,at\n,2026-01-01 00:00:00+00\n")), &canon).await.unwrap();
    for beyond in ["1.50001,2026-01-01 00:00:00+00", "1.5,2026-01-01 00:00:00.0000001+00"] {
        let store = csv(write(folder.path(), "c.csv", format!("amount,at\n{beyond}\n")));
        let other = digest(&store, &canon).await.unwrap();
        assert!(other.rows() == 1 && other != expected && other != null, "{beyond}");
    }
    let store = csv(write(folder.path(), "c.csv", "amount,at\n1.5,2026-01-01 00:00:00\n"));
    assert_eq!(digest(&store, &canon).await.unwrap_err().code(), "data.unparsable");
}

#[tokio::test]
async fn rows_beyond_a_slot_keep_their_places_and_their_neighbours() {
    let folder = tempdir().unwrap();
    let other = typed(&[
        ("id", LogicalType::Int { bits: 64, signed: true }),
        ("at", LogicalType::Timestamp { unit: TimeUnit::Milli, zoned: false }),
    ]);
    let text =
        "id,at\n1,2026-01-01 00:00:00\n2,2026-01-01 00:00:00.0005\n3,2026-01-01 00:00:00.0007\n4.5,\n5,2026-01-01\n";
    let store = csv(write(folder.path(), "a.csv", text));
    let canon = canon(&other, &schema(&store).await.unwrap(), &["id"], Policies::default());
    assert_eq!(digest(&store, &canon).await.unwrap().rows(), 5);
    let rows = rows(&store, &canon).await.unwrap();
    assert_eq!(shown(&rows, &canon, "id"), ["1", "2", "3", "4.5", "5"]);
    assert_eq!(shown(&rows, &canon, "at")[1..3], ["2026-01-01 00:00:00.0005", "2026-01-01 00:00:00.0007"]);
    let places: Vec<_> = rows.iter().map(|row| row.place.clone().unwrap()).collect();
    assert_eq!(places, (1..=5).map(|row| format!("a.csv row {row}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_text_is_a_float_in_the_width_of_the_other_side() {
    let folder = tempdir().unwrap();
    let single = typed(&[("x", LogicalType::Float { bits: 32 })]);
    let store = csv(write(folder.path(), "a.csv", "x\n0.1\n"));
    let canon = against(&store, &single).await;
    let expected = digest(&store, &canon).await.unwrap();
    for (text, same) in [
        ("1e-1", true),
        ("0.100000001", true),
        ("0.10000000149011612", true),
        ("0.12", false),
        ("0.1000000012345", false),
    ] {
        let store = csv(write(folder.path(), "b.csv", format!("x\n{text}\n")));
        assert_eq!(digest(&store, &canon).await.unwrap() == expected, same, "{text}");
    }
}

#[rstest]
#[case("", "is empty and has no header")]
#[case("a,b,a\n", "twice")]
#[tokio::test]
async fn headers_must_name_every_column_once(#[case] text: &str, #[case] why: &str) {
    let folder = tempdir().unwrap();
    let store = csv(write(folder.path(), "a.csv", text));
    let error = schema(&store).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Damaged);
    assert!(error.message().contains(why), "{error}");
}

#[tokio::test]
async fn a_cut_gzip_file_is_damage() {
    let folder = tempdir().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all("id\n".as_bytes()).unwrap();
    for id in 0..10_000 {
        writeln!(gzip, "{id}").unwrap();
    }
    let bytes = gzip.finish().unwrap();
    let store = csv(write(folder.path(), "a.csv.gz", &bytes[..bytes.len() - 9]));
    let canon = against(&store, &typed(&[("id", LogicalType::Text)])).await;
    let error = digest(&store, &canon).await.unwrap_err();
    assert_eq!(error.code(), "data.damaged", "{error}");
}

#[tokio::test]
async fn a_file_that_changes_before_it_is_read_is_said_to_have_changed() {
    let folder = tempdir().unwrap();
    let path = write(folder.path(), "a.csv", "id\n1\n");
    let store = csv(&path);
    let canon = against(&store, &typed(&[("id", LogicalType::Text)])).await;
    let scan = open(&store, canon.clone()).await.unwrap();
    write(folder.path(), "a.csv", "id\n1\n2\n");
    let error = common::digest_scan(&*scan, &canon).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("data.changed", FailureKind::Transient));
}

#[tokio::test]
async fn types_without_a_text_form_are_refused_when_the_scan_opens() {
    let folder = tempdir().unwrap();
    let store = csv(write(folder.path(), "a.csv", "tags\nx\n"));
    let list = LogicalType::List(Box::new(LogicalType::Text));
    let canon = against(&store, &typed(&[("tags", list)])).await;
    assert_eq!(open(&store, canon).await.unwrap_err().code(), "schema.mismatch");
}
