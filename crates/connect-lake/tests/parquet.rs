//! Parquet files of several writers: the same rows give the same digest, every type is understood,
//! and what is damaged or changes is said so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{canon, dataset, digest, digest_scan, fixtures, open, parquet, rows, schema, shown};
use paritas_connect::{Context, FailureKind, Store};
use paritas_digest::{Policies, Slot};
use paritas_model::{LogicalType, TimeUnit};
use rstest::rstest;
use std::fs;
use tempfile::tempdir;

#[rstest]
#[case("codec/snappy.parquet")]
#[case("codec/gzip.parquet")]
#[case("codec/zstd.parquet")]
#[case("codec/lz4.parquet")]
#[case("codec/brotli.parquet")]
#[case("layout/pages-v2.parquet")]
#[case("layout/checksums.parquet")]
#[case("layout/delta.parquet")]
#[case("layout/reversed.parquet")]
#[case("layout/duckdb.parquet")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_rows_in_another_layout_give_the_same_digest(#[case] file: &str) {
    let plain = parquet(fixtures().join("codec/none.parquet"));
    let other = parquet(fixtures().join(file));
    let (a, b) = (schema(&plain).await.unwrap(), schema(&other).await.unwrap());
    for key in [&["id"][..], &[]] {
        let canon = canon(&a, &b, key, Policies::default());
        let expected = digest(&plain, &canon).await.unwrap();
        assert_eq!(expected.rows(), 600);
        assert!(digest(&other, &canon).await.unwrap() == expected, "{file} with key {key:?}");
    }
}

#[tokio::test]
async fn a_runtime_of_one_thread_reads_as_well() {
    let store = parquet(fixtures().join("codec/zstd.parquet"));
    let schema = schema(&store).await.unwrap();
    let canon = canon(&schema, &schema, &["id"], Policies::default());
    assert_eq!(digest(&store, &canon).await.unwrap().rows(), 600);
}

#[tokio::test]
async fn a_changed_value_changes_the_digest() {
    let store = parquet(fixtures().join("codec/none.parquet"));
    let schema = schema(&store).await.unwrap();
    let canon = canon(&schema, &schema, &["id"], Policies::default());
    let before = digest(&store, &canon).await.unwrap();
    let folder = tempdir().unwrap();
    let path = folder.path().join("none.parquet");
    let mut bytes = fs::read(fixtures().join("codec/none.parquet")).unwrap();
    // The text is stored plainly in this file; one letter of one row becomes another.
    let at = bytes.windows(20).position(|w| w == b"text of row number 3").unwrap();
    bytes[at] = b'T';
    fs::write(&path, bytes).unwrap();
    assert!(digest(&parquet(&path), &canon).await.unwrap() != before);
}

/// Logical type, Parquet's name of it, and the first two values as they are shown.
const PYARROW: &[(&str, &str, &str, &str, &str)] = &[
    ("bool", "bool", "BOOLEAN", "true", "false"),
    ("int8", "int8", "INT32 (INT8)", "1", "-128"),
    ("int16", "int16", "INT32 (INT16)", "1", "-32768"),
    ("int32", "int32", "INT32", "1", "-2147483648"),
    ("int64", "int64", "INT64", "1", "-9223372036854775808"),
    ("uint8", "uint8", "INT32 (UINT8)", "1", "255"),
    ("uint16", "uint16", "INT32 (UINT16)", "1", "65535"),
    ("uint32", "uint32", "INT32 (UINT32)", "1", "4294967295"),
    ("uint64", "uint64", "INT64 (UINT64)", "1", "18446744073709551615"),
    ("float16", "float16", "FIXED_LEN_BYTE_ARRAY(2) (FLOAT16)", "0.5", "-65504"),
    ("float32", "float32", "FLOAT", "0.5", "3.4028235e38"),
    ("float64", "float64", "DOUBLE", "0.1", "-1.7976931348623157e308"),
    ("decimal9", "decimal(9,2)", "FIXED_LEN_BYTE_ARRAY(4) (DECIMAL(9,2))", "1.50", "-9999999.99"),
    ("decimal18", "decimal(18,4)", "FIXED_LEN_BYTE_ARRAY(8) (DECIMAL(18,4))", "1.5000", "-99999999999999.9999"),
    (
        "decimal38",
        "decimal(38,10)",
        "FIXED_LEN_BYTE_ARRAY(16) (DECIMAL(38,10))",
        "1.5000000000",
        "-9999999999999999999999999999.9999999999",
    ),
    (
        "decimal76",
        "decimal(76,20)",
        "FIXED_LEN_BYTE_ARRAY(32) (DECIMAL(76,20))",
        "1.50000000000000000000",
        "99999999999999999999999999999999999999999999999999999999.99999999999999999999",
    ),
    ("text", "text", "BYTE_ARRAY (STRING)", "größe", ""),
    ("large_text", "text", "BYTE_ARRAY (STRING)", "x", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"),
    ("bytes", "bytes", "BYTE_ARRAY", "\\x00ff", "\\x"),
    ("fixed", "bytes(4)", "FIXED_LEN_BYTE_ARRAY(4)", "\\x61626364", "\\x00000000"),
    ("date", "date", "INT32 (DATE)", "2026-11-21", "0001-01-01"),
    ("time_ms", "time(ms)", "INT32 (TIME(MILLIS))", "01:02:03.004", "23:59:59.999"),
    ("time_us", "time(us)", "INT64 (TIME(MICROS))", "01:02:03.000004", "23:59:59.999999"),
    ("time_ns", "time(ns)", "INT64 (TIME(NANOS))", "01:02:03.000000004", "23:59:59.999999999"),
    ("ts_ms", "timestamp(ms)", "INT64 (TIMESTAMP(MILLIS))", "1970-01-01T00:00:00", "2262-04-12T00:00:00"),
    ("ts_us", "timestamp(us)", "INT64 (TIMESTAMP(MICROS))", "1970-01-01T00:00:00", "9999-12-31T23:59:59.999999"),
    (
        "ts_ns",
        "timestamp(ns)",
        "INT64 (TIMESTAMP(NANOS))",
        "1970-01-01T00:00:00.000000001",
        "1677-09-21T00:12:43.145224192",
    ),
    ("ts_utc", "timestamp(us, UTC)", "INT64 (TIMESTAMP(MICROS,UTC))", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ("ts_zone", "timestamp(ms, UTC)", "INT64 (TIMESTAMP(MILLIS,UTC))", "2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    ("dictionary", "text", "BYTE_ARRAY (STRING)", "a", "b"),
    ("list", "list<int32>", "GROUP (LIST)", "[1,null]", "[]"),
    ("struct", "struct<a: int32, b: text>", "GROUP", r#"{"a":1,"b":null}"#, r#"{"a":null,"b":""}"#),
    ("map", "map<text, int64>", "GROUP (MAP)", r#"{"k":1}"#, "{}"),
    ("deep", "list<struct<x: list<decimal(5,1)>>>", "GROUP (LIST)", r#"[{"x":["1.5",null]}]"#, "[null]"),
    ("null", "null", "INT32 (UNKNOWN)", "NULL", "NULL"),
];

#[tokio::test]
async fn every_type_of_pyarrow_is_understood() {
    let store = parquet(fixtures().join("types/pyarrow.parquet"));
    let schema = schema(&store).await.unwrap();
    let canon = canon(&schema, &schema, &[], Policies::default());
    let rows = rows(&store, &canon).await.unwrap();
    assert_eq!((rows.len(), schema.columns.len()), (3, PYARROW.len()));
    let mut wrong = Vec::new();
    for (name, logical, engine, first, second) in PYARROW {
        let column = schema.column(name).unwrap();
        let seen = (column.logical.to_string(), column.engine_type.clone(), shown(&rows, &canon, name));
        let expected =
            ((*logical).to_owned(), (*engine).to_owned(), vec![(*first).into(), (*second).into(), "NULL".to_owned()]);
        if seen != expected {
            wrong.push(format!("{name}: {seen:?}"));
        }
        let at = canon.columns.iter().position(|c| c.name == *name).unwrap();
        assert!(rows[2].fields[at].canonical.is_none(), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(digest(&store, &canon).await.unwrap().rows(), 3);
}

#[tokio::test]
async fn types_of_duckdb_are_understood_and_intervals_refused_rather_than_cut() {
    let store = parquet(fixtures().join("types/duckdb.parquet"));
    let schema = schema(&store).await.unwrap();
    let logical = |name: &str| schema.column(name).unwrap().logical.clone();
    assert_eq!(logical("u"), LogicalType::Uuid);
    assert_eq!(logical("side"), LogicalType::Text);
    assert_eq!(logical("doc"), LogicalType::Json);
    // The decoder leaves out the months of intervals whose writer it does not know.
    assert_eq!(logical("span"), LogicalType::Other("parquet interval".into()));
    let mut comparable = schema.clone();
    comparable.columns.retain(|column| column.name != "span");
    let canon = canon(&comparable, &comparable, &["u"], Policies::default());
    let rows = rows(&store, &canon).await.unwrap();
    assert_eq!(shown(&rows, &canon, "u")[0], "00112233-4455-6677-8899-aabbccddeeff");
    assert_eq!(shown(&rows, &canon, "side"), ["buy", "sell", "NULL"]);
    assert_eq!(shown(&rows, &canon, "doc"), [r#"{"a": 1}"#, "[]", "NULL"]);
}

#[tokio::test]
async fn int96_is_a_timestamp_of_nanoseconds() {
    let store = parquet(fixtures().join("int96/int96.parquet"));
    let schema = schema(&store).await.unwrap();
    assert_eq!(schema.columns[0].logical, LogicalType::Timestamp { unit: TimeUnit::Nano, zoned: false });
    assert_eq!(schema.columns[0].engine_type, "INT96");
    let canon = canon(&schema, &schema, &[], Policies::default());
    assert_eq!(
        shown(&rows(&store, &canon).await.unwrap(), &canon, "at"),
        ["1970-01-01T00:00:00.000000001", "1677-09-21T00:12:43.145224192", "NULL"]
    );
}

#[tokio::test]
async fn int96_of_a_writer_that_declared_microseconds_keeps_the_whole_range() {
    let store = parquet(fixtures().join("int96/micros.parquet"));
    let schema = schema(&store).await.unwrap();
    let canon = canon(&schema, &schema, &[], Policies::default());
    let rows = rows(&store, &canon).await.unwrap();
    assert_eq!(shown(&rows, &canon, "at"), ["1970-01-01T00:00:00", "9999-12-31T00:00:00", "NULL"]);
}

#[tokio::test]
async fn an_int96_that_64_bits_cannot_hold_is_an_error_and_not_another_time() {
    let store = parquet(fixtures().join("int96/far.parquet"));
    let schema = schema(&store).await.unwrap();
    let canon = canon(&schema, &schema, &[], Policies::default());
    let error = digest(&store, &canon).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("data.unreadable", FailureKind::Permanent), "{error}");
    assert!(error.message().contains("far.parquet") && error.message().contains("\"at\""), "{error}");
}

#[tokio::test]
async fn files_and_row_groups_without_rows_are_read_as_what_they_are() {
    let store = parquet(fixtures().join("empty"));
    let schema = schema(&store).await.unwrap();
    let canon = canon(&schema, &schema, &["id"], Policies::default());
    assert_eq!(digest(&store, &canon).await.unwrap().rows(), 10);
    let store = parquet(fixtures().join("empty/no-rows.parquet"));
    assert_eq!(digest(&store, &canon).await.unwrap().rows(), 0);
}

#[tokio::test]
async fn folders_with_values_are_columns() {
    let store = parquet(fixtures().join("hive"));
    let schema = schema(&store).await.unwrap();
    assert_eq!(schema.columns.last().unwrap().logical, LogicalType::Untyped);
    let canon = canon(&schema, &schema, &["id"], Policies::default());
    let rows = rows(&store, &canon).await.unwrap();
    let days = shown(&rows, &canon, "day");
    assert_eq!((days[0].as_str(), days[9].as_str()), ("2026-01-01", "2026-01-02"));
    assert_eq!(rows[9].place.as_deref(), Some("day=2026-01-02/part-0.parquet row 5"));

    // A row that moves to another folder is another row.
    let copy = tempdir().unwrap();
    let hive = copy.path().join("hive");
    for (from, to) in [("1", "2"), ("2", "1")] {
        let folder = hive.join(format!("day=2026-01-0{to}"));
        fs::create_dir_all(&folder).unwrap();
        let from = fixtures().join(format!("hive/day=2026-01-0{from}/part-0.parquet"));
        fs::copy(from, folder.join("part-0.parquet")).unwrap();
    }
    assert!(digest(&store, &canon).await.unwrap() != digest(&parquet(&hive), &canon).await.unwrap());
}

#[tokio::test]
async fn helper_files_are_left_out_and_endings_decide() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("_temporary")).unwrap();
    fs::create_dir_all(data.join("sub/deeper")).unwrap();
    for name in ["_SUCCESS", ".part-0.parquet.crc", "part-1.parquet.tmp", "readme.txt", "_temporary/x.parquet"] {
        fs::write(data.join(name), "no parquet").unwrap();
    }
    fs::copy(fixtures().join("codec/zstd.parquet"), data.join("sub/deeper/part-0.PARQUET")).unwrap();
    let store = parquet(&data);
    let schema = schema(&store).await.unwrap();
    let canon = canon(&schema, &schema, &["id"], Policies::default());
    assert_eq!(digest(&store, &canon).await.unwrap().rows(), 600);
    // A pattern takes any ending.
    fs::copy(fixtures().join("codec/zstd.parquet"), data.join("x.data")).unwrap();
    assert_eq!(digest(&parquet(data.join("*.data")), &canon).await.unwrap().rows(), 600);
}

#[tokio::test]
async fn a_missing_or_empty_location_is_an_error_with_a_hint() {
    let folder = tempdir().unwrap();
    let empty = dataset(&parquet(folder.path())).await.unwrap_err();
    assert_eq!((empty.code(), empty.kind()), ("dataset.missing", FailureKind::Permanent));
    assert!(empty.hint_text().unwrap().contains("allow_empty"));
    let missing = dataset(&parquet(folder.path().join("nothing"))).await.unwrap_err();
    assert_eq!(missing.code(), "dataset.missing");
    let store = parquet(fixtures().join("codec/zstd.parquet"));
    let cx = Context::default();
    let other = store.datasets().unwrap().describe(&cx, &paritas_model::Dataset("other".into())).await.unwrap_err();
    assert_eq!(other.code(), "dataset.missing");
}

#[tokio::test]
async fn files_of_different_types_are_named_and_missing_columns_are_null() {
    let folder = tempdir().unwrap();
    let data = folder.path();
    fs::copy(fixtures().join("codec/zstd.parquet"), data.join("a.parquet")).unwrap();
    fs::copy(fixtures().join("int96/int96.parquet"), data.join("b.parquet")).unwrap();
    let error = schema(&parquet(data)).await.unwrap_err();
    assert_eq!(error.code(), "schema.mismatch");
    let detail = error.detail_text().unwrap();
    assert!(detail.contains("a.parquet") && detail.contains("b.parquet"), "{detail}");

    fs::copy(fixtures().join("types/duckdb.parquet"), data.join("b.parquet")).unwrap();
    fs::remove_file(data.join("a.parquet")).unwrap();
    fs::copy(fixtures().join("types/pyarrow.parquet"), data.join("c.parquet")).unwrap();
    let store = parquet(data);
    let mut schema = schema(&store).await.unwrap();
    assert!(schema.columns.iter().all(|column| column.nullable));
    schema.columns.retain(|column| ["u", "int64"].contains(&column.name.as_str()));
    let canon = canon(&schema, &schema, &[], Policies::default());
    let rows = rows(&store, &canon).await.unwrap();
    assert_eq!(shown(&rows, &canon, "int64"), ["NULL", "NULL", "NULL", "1", "-9223372036854775808", "NULL"]);
    assert_eq!(shown(&rows, &canon, "u")[3..], ["NULL", "NULL", "NULL"]);
}

/// What happens to the one file of a dataset between opening and reading.
#[rstest]
#[case("shorter")]
#[case("rewritten")]
#[case("replaced")]
#[case("gone")]
#[case("touched")]
#[tokio::test]
async fn a_file_that_changes_before_it_is_read_is_said_to_have_changed(#[case] change: &str) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("part.parquet");
    fs::copy(fixtures().join("codec/gzip.parquet"), &path).unwrap();
    let store = parquet(folder.path());
    let schema = schema(&store).await.unwrap();
    let canon = canon(&schema, &schema, &["id"], Policies::default());
    let scan = open(&store, canon.clone()).await.unwrap();
    match change {
        "shorter" => fs::write(&path, &fs::read(&path).unwrap()[..5000]).unwrap(),
        "rewritten" => fs::write(&path, fs::read(fixtures().join("codec/snappy.parquet")).unwrap()).unwrap(),
        "replaced" => {
            fs::copy(&path, folder.path().join("new")).unwrap();
            fs::rename(folder.path().join("new"), &path).unwrap();
        }
        "gone" => fs::remove_file(&path).unwrap(),
        _ => fs::File::options().append(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap(),
    }
    let error = digest_scan(&*scan, &canon).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("data.changed", FailureKind::Transient), "{error}");
    assert!(error.message().contains("part.parquet"), "{error}");
}

#[tokio::test]
async fn a_cancelled_run_reads_nothing() {
    let store = parquet(fixtures().join("codec/zstd.parquet"));
    let cx = Context::default();
    cx.cancel_token().cancel();
    assert_eq!(store.datasets().unwrap().list(&cx).await.unwrap_err().code(), "run.cancelled");
    assert_eq!(store.probe(&Context::default()).await.unwrap().version, "Parquet in local files");
}

#[tokio::test]
async fn numbers_of_fixed_precision_share_a_slot_across_physical_forms() {
    let a = parquet(fixtures().join("codec/none.parquet"));
    let b = parquet(fixtures().join("layout/duckdb.parquet"));
    let (a, b) = (schema(&a).await.unwrap(), schema(&b).await.unwrap());
    assert_ne!(a.column("amount").unwrap().engine_type, b.column("amount").unwrap().engine_type);
    let canon = canon(&a, &b, &["id"], Policies::default());
    assert!(canon.columns.iter().any(|c| c.slot == Slot::Decimal { scale: 2 }));
}
