//! A plain table from end to end: listed, described, read, looked up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::{Datasets, ReplicaRole, Store};
use paritas_digest::{KeyForm, Policies};
use paritas_model::{Known, Value};

const TABLE: &str = "CREATE TABLE trades (
    id bigint PRIMARY KEY, venue text NOT NULL, price numeric(18,8), at timestamptz, note text, live bool);
    INSERT INTO trades SELECT n, 'v' || n % 7, n * 1.5, '2026-01-01'::timestamptz + n * '1 s'::interval,
      CASE WHEN n % 3 > 0 THEN repeat('x', n % 50) END, n % 2 = 0 FROM generate_series(1, 20000) n; ANALYZE trades";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_listed_described_read_and_looked_up() {
    let db = Db::new(TABLE).await;
    let identity = db.store.probe(&cx()).await.unwrap();
    assert!(identity.version.starts_with("PostgreSQL "), "{identity:?}");
    assert!(identity.identity.value().is_some_and(|system| system.len() > 10), "{identity:?}");
    assert_eq!((identity.role, identity.limits), (ReplicaRole::Primary, Vec::new()));

    assert_eq!(db.store.list(&cx()).await.unwrap(), [dataset("public.trades")]);
    let description = db.describe("trades").await;
    assert_eq!(description.dataset, dataset("public.trades"));
    assert_eq!(description.schema.key, ["id"]);
    assert_eq!(description.schema.column("price").unwrap().engine_type, "numeric(18,8)");
    assert_eq!(description.rows_estimate, Known::Known(20_000));

    let canon = canon_of(&db.store, &description, Policies::default());
    assert_eq!(canon.key_form(), KeyForm::Inline8);
    let scan = db.store.open(&cx().with_parallel(3), &request("trades", canon)).await.unwrap();
    assert!(scan.splits().len() >= 2, "{:?}", scan.splits());
    assert!(scan.position().value().is_some());
    let all = read_all(&*scan).await.unwrap();
    assert_eq!(all.rows(), 20_000);

    let lookup = scan.lookup().unwrap();
    let keys: Vec<Vec<u8>> = [5_i64, 20_000, 20_001].iter().map(|id| id.to_be_bytes().to_vec()).collect();
    let mut rows = lookup.fetch(&cx(), &keys).await.unwrap();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].key, keys[0]);
    let shown: Vec<Value> = rows[0].fields.iter().map(|field| field.shown.clone()).collect();
    let expected = [
        Value::Int(5),
        "2026-01-01 00:00:05+00".into(),
        Value::Bool(false),
        "xxxxx".into(),
        "7.50000000".into(),
        "v5".into(),
    ];
    assert_eq!(shown, expected);
    assert!(rows[0].version.is_some());

    // The same row, out of a block of the scan.
    let block = &all.blocks[0];
    let rendered = scan.render(&cx(), block, &[4]).await.unwrap();
    assert_eq!(rendered[0].key, rows[0].key);
    assert_eq!(rendered[0].fields, rows[0].fields);
}
