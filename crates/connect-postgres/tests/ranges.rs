//! Splits by ranges of the key: every row is in exactly one of them, whatever its key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::Datasets;
use paritas_connect_postgres::{Options, PostgresStore};
use paritas_digest::{Canon, Policies};
use rstest::rstest;

/// Enough rows for a sample to show ranges.
const ROWS: usize = 12_000;

/// The canon of a relation with this key, which need not be one.
async fn keyed(store: &PostgresStore, table: &str, key: &str) -> Canon {
    let description = store.describe(&cx(), &dataset(table)).await.unwrap();
    let pairs: Vec<_> = description.schema.columns.iter().map(|c| (c.name.clone(), c.name.clone())).collect();
    store.wire_canon(&description, &description, &pairs, &[key.to_owned()], Policies::default()).unwrap()
}

/// Rows of all splits, and how many splits there are.
async fn read(store: &PostgresStore, table: &str, parallel: usize) -> (Vec<Vec<u8>>, usize) {
    let canon = keyed(store, table, "k").await;
    let scan = store.open(&cx().with_parallel(parallel), &request(table, canon)).await.unwrap();
    (read_all(&*scan).await.unwrap().images(), scan.splits().len())
}

fn by_key(db: &Db) -> PostgresStore {
    let options = Options { split_by_key: true, ..Options::default() };
    PostgresStore::from_url(&db.server.url(&db.name), options).unwrap()
}

#[rstest]
#[case::integers("int8", "n * 3 - 9000", true)]
#[case::repeated("int4", "n % 5", true)]
#[case::mostly_one_value("int4", "CASE WHEN n % 100 = 0 THEN n ELSE 7 END", true)]
#[case::nulls("int4", "CASE WHEN n % 3 = 0 THEN n END", true)]
#[case::only_nulls("int4", "NULL::int4", false)]
#[case::words(
    "text",
    "CASE n % 4 WHEN 0 THEN '' WHEN 1 THEN 'É' || n WHEN 2 THEN 'it''s \\ ' || n ELSE md5(n::text) END",
    true
)]
#[case::words_without_case("text COLLATE caseless", "CASE n % 2 WHEN 0 THEN 'key ' ELSE 'KEY ' END || n / 9", true)]
#[case::padded("char(9)", "'p' || n % 900", true)]
#[case::floats(
    "float8",
    "CASE n % 7 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' WHEN 2 THEN '-0' WHEN 3 THEN 0 ELSE n / 7.0 END::float8",
    true
)]
#[case::decimals(
    "numeric",
    "CASE n % 5 WHEN 0 THEN 'NaN'::numeric WHEN 1 THEN 1.0 WHEN 2 THEN 1.00 ELSE n / 3.0 END",
    true
)]
#[case::moments(
    "timestamptz",
    "CASE n % 9 WHEN 0 THEN 'infinity' ELSE '2026-01-01'::timestamptz + n * '1.000001 s'::interval END",
    true
)]
#[case::identifiers("uuid", "md5(n::text)::uuid", true)]
#[case::bytes("bytea", "decode(md5(n::text), 'hex')", true)]
#[case::no_order("point", "point(n, 0)", false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_is_lost_or_doubled(#[case] kind: &str, #[case] key: &str, #[case] is_split: bool) {
    let db = Db::new(&format!(
        "CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE t (k {kind}, v int); INSERT INTO t SELECT {key}, n FROM generate_series(1, {ROWS}) n;
         CREATE VIEW w AS SELECT * FROM t"
    ))
    .await;
    let (expected, splits) = read(&db.store, "w", 4).await;
    assert_eq!((expected.len(), splits), (ROWS, 1));
    let store = by_key(&db);
    for table in ["w", "t"] {
        let (found, splits) = read(&store, table, 4).await;
        assert!(found == expected, "{table}: {} rows in {splits} splits", found.len());
        assert_eq!(splits > 1, is_split, "{table}: {splits} splits");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_without_blocks_are_split_by_their_key_unasked() {
    let db = Db::new(&format!(
        "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
         CREATE TABLE t (k text PRIMARY KEY, pad text) USING other;
         INSERT INTO t SELECT 'key ' || n, repeat('x', 200) FROM generate_series(1, {ROWS}) n;
         CREATE TABLE small (k int PRIMARY KEY) USING other; INSERT INTO small VALUES (1), (2)"
    ))
    .await;
    let (rows, splits) = read(&db.store, "t", 3).await;
    assert_eq!((rows.len(), splits), (ROWS, 3));
    let mut distinct = rows;
    distinct.dedup();
    assert_eq!(distinct.len(), ROWS);
    assert_eq!(read(&db.store, "t", 1).await.1, 1);
    let (rows, splits) = read(&db.store, "small", 3).await;
    assert_eq!((rows.len(), splits), (2, 1));
    // A filter holds in every range.
    let mut request = request("t", keyed(&db.store, "t", "k").await);
    request.filter = Some("k LIKE '%7' OR k LIKE '%8'".to_owned());
    let scan = db.store.open(&cx().with_parallel(3), &request).await.unwrap();
    assert_eq!(scan.splits().len(), 3);
    assert_eq!(read_all(&*scan).await.unwrap().rows(), ROWS / 5);
}
