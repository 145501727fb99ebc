//! The logical canon: Arrow columns, look-ups by logical keys, values that have no counterpart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use arrow_array::RecordBatch;
use common::*;
use paritas_connect::{Context, Datasets, FailureKind, FetchedRow};
use paritas_digest::{Block, Canon, CanonKind, Policies, Slot};
use paritas_model::Value;
use rstest::rstest;

const OBJECTS: &str = "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN price AS numeric(18,8)";

/// The logical canon of a table with itself.
async fn canon(db: &Db, table: &str, key: &[&str]) -> Canon {
    let schema = db.describe(table).await.schema;
    let pairs: Vec<(String, String)> = schema.columns.iter().map(|c| (c.name.clone(), c.name.clone())).collect();
    let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
    let canon = Canon::logical(&schema, &schema, &pairs, &key, Policies::default()).unwrap();
    assert_eq!(canon.kind, CanonKind::Logical);
    canon
}

async fn batches(db: &Db, table: &str, canon: Canon) -> paritas_connect::Result<Vec<RecordBatch>> {
    let scan = db.store.open(&cx(), &request(table, canon)).await?;
    let all = read_all(&*scan).await?;
    Ok(all
        .blocks
        .into_iter()
        .map(|block| match block {
            Block::Arrow(batch) => batch,
            Block::Wire(_) => panic!("a wire block in the logical canon"),
        })
        .collect())
}

/// Reads a table of one column `v` by its key `id` and shows the values in order.
async fn values(db: &Db, table: &str) -> (Slot, Vec<Value>) {
    let canon = canon(db, table, &["id"]).await;
    let slot = canon.columns[1].slot.clone();
    let scan = db.store.open(&cx(), &request(table, canon)).await.unwrap();
    let all = read_all(&*scan).await.unwrap();
    let rows: Vec<usize> = (0..all.blocks[0].rows()).collect();
    let mut rendered = scan.render(&cx(), &all.blocks[0], &rows).await.unwrap();
    rendered.sort_by(|a, b| a.key.cmp(&b.key));
    // The same rows looked up by their logical keys are the same in every byte.
    let keys: Vec<Vec<u8>> = rendered.iter().map(|row| row.key.clone()).collect();
    let mut fetched = scan.lookup().unwrap().fetch(&cx(), &keys).await.unwrap();
    fetched.sort_by(|a, b| a.key.cmp(&b.key));
    let plain = |rows: &[FetchedRow]| rows.iter().map(|row| (row.key.clone(), row.fields.clone())).collect::<Vec<_>>();
    assert_eq!(plain(&fetched), plain(&rendered));
    (slot, rendered.into_iter().map(|row| row.fields.into_iter().nth(1).unwrap().shown).collect())
}

#[rstest]
#[case("bool", "true", Value::Bool(true))]
#[case("int2", "-5", Value::Int(-5))]
#[case("int8", "9007199254740993", "9007199254740993".into())]
#[case("oid", "4294967295", Value::Int(4_294_967_295))]
#[case("float4", "0.1", "0.1".into())]
#[case("float4", "'3.4028235e38'", "3.4028235e38".into())]
#[case("float4", "'-Infinity'", "-Infinity".into())]
#[case("float8", "0.1::float4::float8", "0.10000000149011612".into())]
#[case("float8", "'-0'", "-0".into())]
#[case("numeric(18,8)", "-1234567890.12", "-1234567890.12000000".into())]
#[case("numeric(60,20)", "1e39", "1000000000000000000000000000000000000000.00000000000000000000".into())]
#[case("numeric", "1.500", "1.500".into())]
#[case("numeric", "'NaN'", "NaN".into())]
#[case("price", "1.5", "1.50000000".into())]
#[case("text", "'é '", "é ".into())]
#[case("char(4)", "'ab'", "ab  ".into())]
#[case("mood", "'ok'", "ok".into())]
#[case("citext", "'ABC'", "ABC".into())]
#[case("inet", "'10.0.0.1/8'", "10.0.0.1/8".into())]
#[case("int4range", "'[1,3)'", "[1,3)".into())]
#[case("bytea", "'\\x00ff'", "\\x00ff".into())]
#[case("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".into())]
#[case("date", "'1969-12-31'", "1969-12-31".into())]
#[case("time", "'23:59:59.999999'", "23:59:59.999999".into())]
#[case("timestamp", "'1999-12-31 23:59:59.999999'", "1999-12-31T23:59:59.999999".into())]
#[case("timestamptz", "'2026-10-25 02:30+02'", "2026-10-25T00:30:00Z".into())]
#[case("interval", "'1 mon -3 days 0.5 s'", "P1M-3DT0.5S".into())]
#[case("json", "'{\"a\": 1}'", "{\"a\": 1}".into())]
#[case("jsonb", "'{\"a\": 1}'", "{\"a\": 1}".into())]
#[case("int4[]", "'{1,NULL,3}'", "[1,null,3]".into())]
#[case("mood[]", "'{ok,NULL}'", "[\"ok\",null]".into())]
#[case("inet[]", "'{10.0.0.1}'", "[\"10.0.0.1\"]".into())]
#[tokio::test(flavor = "multi_thread")]
async fn values_become_arrow_and_are_shown(#[case] kind: &str, #[case] value: &str, #[case] expected: Value) {
    let db = Db::new(&format!(
        "{OBJECTS}; CREATE TABLE t (id int PRIMARY KEY, v {kind}); INSERT INTO t VALUES (1, {value}), (2, NULL)"
    ))
    .await;
    let (slot, values) = values(&db, "t").await;
    assert_eq!(values, [expected, Value::Null], "{slot:?}");
}

#[rstest]
#[case("date", "'infinity'", "infinite date")]
#[case("timestamptz", "'-infinity'", "infinite timestamp")]
#[case("numeric(5,2)", "'NaN'", "not a decimal")]
#[case("int4[]", "'{{1,2},{3,4}}'", "several dimensions")]
#[case("int4[]", "'[0:1]={1,2}'", "lower bound")]
#[case("interval", "'1000000 years 300000000000 s'", "interval")]
#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_counterpart_is_an_error_that_names_the_column(
    #[case] kind: &str,
    #[case] value: &str,
    #[case] why: &str,
) {
    let db =
        Db::new(&format!("CREATE TABLE t (id int PRIMARY KEY, odd {kind}); INSERT INTO t VALUES (1, {value})")).await;
    let canon = canon(&db, "t", &["id"]).await;
    let error = batches(&db, "t", canon).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("data.unreadable", FailureKind::Permanent));
    assert!(error.message().contains("column odd") && error.message().contains(why), "{error:?}");
}

#[rstest]
#[case("int4", "n")]
#[case("int2", "n")]
#[case("text", "'k''\\' || n")]
#[case("uuid", "md5(n::text)::uuid")]
#[case("numeric(20,4)", "n * 1.5")]
#[case("numeric", "n * 1.50")]
#[case("timestamptz", "'2026-01-01 00:00:00.000001Z'::timestamptz + n * '1 h'::interval")]
#[case("date", "'1960-01-01'::date + n")]
#[case("time", "'00:00'::time + n * '1 us'::interval")]
#[case("bytea", "decode(lpad(n::text, 4, '0'), 'hex')")]
#[case("float8", "n / 3.0")]
#[case("float4", "n / 3.0")]
#[case("bool", "n = 1")]
#[case("mood", "CASE n WHEN 1 THEN 'ok' ELSE 'sad' END::mood")]
#[case("inet", "'10.0.0.0'::inet + n")]
#[case("char(6)", "'k' || n")]
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_by_logical_keys(#[case] kind: &str, #[case] value: &str) {
    for (key, columns) in [(vec!["k"], "k"), (vec!["k", "o"], "k, o")] {
        let db = Db::new(&format!(
            "{OBJECTS}; CREATE TABLE t (k {kind}, o int8, v text, UNIQUE ({columns}));
             INSERT INTO t SELECT {value}, nullif(n, 2), 'v' || n FROM generate_series(1, 2) n"
        ))
        .await;
        let canon = canon(&db, "t", &key).await;
        let scan = db.store.open(&cx(), &request("t", canon)).await.unwrap();
        let all = read_all(&*scan).await.unwrap();
        let rendered = scan.render(&cx(), &all.blocks[0], &[0, 1]).await.unwrap();
        let keys: Vec<Vec<u8>> = rendered.iter().map(|row| row.key.clone()).collect();
        let mut found = scan.lookup().unwrap().fetch(&cx(), &keys).await.unwrap();
        assert!(found.iter().all(|row| row.version.is_some()));
        found.sort_by(|a, b| a.key.cmp(&b.key));
        let mut expected = keys;
        expected.sort();
        assert_eq!(found.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), expected, "{kind} {columns}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_exist_here_are_absent_and_no_error() {
    let db = Db::new(&format!(
        "{OBJECTS}; CREATE TABLE i (k int2 PRIMARY KEY); CREATE TABLE s (k text PRIMARY KEY);
         CREATE TABLE m (k mood PRIMARY KEY); INSERT INTO i VALUES (1); INSERT INTO s VALUES ('a'); INSERT INTO m VALUES ('ok')"
    ))
    .await;
    let text = |bytes: &[u8]| {
        let mut key = vec![1];
        key.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        key.extend_from_slice(bytes);
        key
    };
    for (table, there, absent) in [
        ("i", 1_i64.to_le_bytes().to_vec(), i64::MAX.to_le_bytes().to_vec()),
        ("s", text(b"a"), text(b"a\0")),
        ("s", text(b"a"), text(b"\xFF")),
        ("m", text(b"ok"), text(b"happy")),
    ] {
        let canon = canon(&db, table, &["k"]).await;
        let scan = db.store.open(&cx(), &request(table, canon)).await.unwrap();
        let found = scan.lookup().unwrap().fetch(&cx(), &[there.clone(), absent]).await.unwrap();
        assert_eq!(found.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), [there], "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_tables_come_in_bounded_batches() {
    let db = Db::new(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, repeat('x', n % 300) FROM generate_series(1, 30000) n; ANALYZE t",
    )
    .await;
    let canon = canon(&db, "t", &["id"]).await;
    let scan = db.store.open(&Context::default().with_parallel(2), &request("t", canon)).await.unwrap();
    let all = read_all(&*scan).await.unwrap();
    assert_eq!(all.rows(), 30_000);
    assert!(all.blocks.iter().all(|block| block.rows() <= 4_200));
}
