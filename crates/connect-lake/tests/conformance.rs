//! What every connector promises, checked by the shared suite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{csv, files, fixtures, parquet, write};
use paritas_connect::Store;
use paritas_connect::conformance::{self, Fixture};
use paritas_testbed::ledger::{self, Plan};
use tempfile::tempdir;

async fn conforms(fixture: Fixture<'_>) {
    if let Err(violations) = conformance::run(&fixture).await {
        panic!("{}", violations.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parquet_conforms() {
    let store = parquet(fixtures().join("codec"));
    conforms(Fixture::new(&store).dataset("codec", 3600)).await;
    let folder = tempdir().unwrap();
    let data = folder.path().join("orders");
    let options = ledger::ParquetOptions { files: 5, row_group_rows: 100, ..Default::default() };
    ledger::write_parquet(&ledger::ORDERS, &Plan::small(), &data, &options).unwrap();
    let store = parquet(&data);
    conforms(Fixture::new(&store).dataset("orders", 600)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csv_conforms() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("fills");
    ledger::write_csv(&ledger::FILLS, &Plan::small(), &data, &ledger::CsvOptions { files: 3, ..Default::default() })
        .unwrap();
    let store = csv(&data);
    conforms(Fixture::new(&store).dataset("fills", 900)).await;
}

#[tokio::test]
async fn files_conform() {
    let folder = tempdir().unwrap();
    write(folder.path(), "a/b", "x");
    let store = files(folder.path());
    assert!(store.datasets().is_none());
    conforms(Fixture::new(&store)).await;
}
