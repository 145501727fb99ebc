//! Scans while the world moves: writers, cut connections, stopped servers; and nothing is written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use futures_util::future::join_all;
use paritas_connect::{BlockSink, Context, Datasets, FailureKind, Result, Scan, Store};
use paritas_digest::{Block, Policies};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Mode, Server};
use paritas_testbed::proxy::{Behaviour, Proxy};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// Rows that sum up to zero, now and after every transaction.
const ACCOUNTS: &str = "CREATE TABLE t (id bigserial PRIMARY KEY, amount int8 NOT NULL, pad text);
    INSERT INTO t (amount, pad) SELECT 0, repeat('x', 200) FROM generate_series(1, 40000); ANALYZE t";

async fn keep_writing(server: &Server, database: &str, seed: u64, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) {
    let client = server.client(database).await.unwrap();
    let mut state = seed;
    while !stop.load(Ordering::Relaxed) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Amounts move between rows that stay; only rows without an amount go.
        let (a, b, x) = (state >> 33 & 0x1FFF, state >> 18 & 0x1FFF, state >> 48 & 0xFF);
        let sql = match state >> 60 {
            0..6 => format!(
                "BEGIN; UPDATE t SET amount = amount - {x} WHERE id = least({a}, {b}) + 1;
                 UPDATE t SET amount = amount + {x} WHERE id = greatest({a}, {b}) + 1; COMMIT"
            ),
            6..12 => {
                format!("INSERT INTO t (amount, pad) VALUES ({x}, repeat('y', 500)), (-{x}, repeat('y', 500))")
            }
            12..14 => format!("BEGIN; UPDATE t SET amount = amount + {x} WHERE id = {a} + 1; ROLLBACK"),
            _ => format!("DELETE FROM t WHERE id = {a} + 20000"),
        };
        // Two writers may wait for each other; the server then ends one of them.
        if client.batch_execute(&sql).await.is_err() {
            client.batch_execute("ROLLBACK").await.unwrap();
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Identifiers and amounts out of the wire images, in the canon's order: id, amount, pad.
fn ids_and_amounts(images: &[Vec<u8>]) -> Vec<(i64, i64)> {
    let number = |image: &[u8], at: usize| i64::from_be_bytes(image[at..at + 8].try_into().unwrap());
    images.iter().map(|image| (number(image, 4), number(image, 16))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_splits_show_one_moment_while_rows_are_written() {
    let db = Db::new(ACCOUNTS).await;
    let canon = canon_of(&db.store, &db.describe("t").await, Policies::default());
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..3)
        .map(|seed| {
            let (name, stop, done) = (db.name.clone(), Arc::clone(&stop), Arc::clone(&done));
            let server = db.server;
            tokio::spawn(async move { keep_writing(server, &name, seed, stop, done).await })
        })
        .collect();
    for round in 0..6 {
        let before = done.load(Ordering::Relaxed);
        let scan = db.store.open(&cx().with_parallel(4), &request("t", canon.clone())).await.unwrap();
        // Writers go on between the snapshot and the first row, on pages that are not there yet.
        while done.load(Ordering::Relaxed) < before + 200 {
            tokio::task::yield_now().await;
        }
        let reads = scan.splits().iter().map(|split| async {
            let mut sink = Collect::default();
            scan.read(&cx(), split, &mut sink).await.unwrap();
            ids_and_amounts(&sink.images())
        });
        let rows: Vec<(i64, i64)> = join_all(reads).await.into_iter().flatten().collect();
        assert!(scan.splits().len() >= 4);
        let distinct: HashSet<i64> = rows.iter().map(|(id, _)| *id).collect();
        assert_eq!(distinct.len(), rows.len(), "round {round}: a row came twice");
        assert_eq!(rows.iter().map(|(_, amount)| amount).sum::<i64>(), 0, "round {round}: not one moment");
        // The same view once more, split by split, is the same.
        let again = read_all(&*scan).await.unwrap();
        let mut rows = rows;
        let mut second = ids_and_amounts(&again.images());
        rows.sort_unstable();
        second.sort_unstable();
        assert!(rows == second, "round {round}: the view moved");
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_scan_writes_nothing() {
    let scratch = Scratch::new().unwrap();
    let options = ["autovacuum|off", "checkpoint_timeout|1d"]
        .iter()
        .filter_map(|setting| setting.split_once('|'))
        .fold(postgres::Options::default(), |options, (name, value)| options.set(name, value));
    let server = start(&scratch, "idle", options).await;
    server.batch("postgres", ACCOUNTS).await.unwrap();
    let client = server.client("postgres").await.unwrap();
    // Hint bits and pruning, also of the statistics, are what loading left behind for any reader.
    client.batch_execute("ANALYZE").await.unwrap();
    client.batch_execute("VACUUM (FREEZE)").await.unwrap();
    client.batch_execute("CHECKPOINT").await.unwrap();
    let state = async || {
        let sql = "SELECT pg_current_wal_insert_lsn()::text, pg_snapshot_xmax(pg_current_snapshot())::text,
            (SELECT count(*) FROM pg_replication_slots), (SELECT sum(temp_files)::int8 FROM pg_stat_database),
            (SELECT count(*) FROM pg_class WHERE relpersistence = 't')";
        let row = client.query_one(sql, &[]).await.unwrap();
        let texts: (String, String) = (row.get(0), row.get(1));
        (texts, row.get::<_, i64>(2), row.get::<_, i64>(3), row.get::<_, i64>(4))
    };
    let before = state().await;
    let store = store(&server.url("postgres"));
    store.probe(&cx()).await.unwrap();
    store.list(&cx()).await.unwrap();
    let description = store.describe(&cx(), &dataset("t")).await.unwrap();
    let canon = canon_of(&store, &description, Policies::default());
    let scan = store.open(&cx().with_parallel(3), &request("t", canon)).await.unwrap();
    let all = read_all(&*scan).await.unwrap();
    assert_eq!(all.rows(), 40_000);
    scan.lookup().unwrap().fetch(&cx(), &all.keys()[..3000]).await.unwrap();
    scan.render(&cx(), &all.blocks[0], &[0, 1]).await.unwrap();
    let fence = store.positions().unwrap().current(&cx()).await.unwrap();
    store.positions().unwrap().wait_for(&cx(), &fence).await.unwrap();
    drop(scan);
    assert_eq!(before, state().await);
    // And a session could not write if it tried: a filter is the only text that comes from outside.
    let canon = canon_of(&store, &description, Policies::default());
    let mut request = request("t", canon);
    request.filter = Some("nextval('public.t_id_seq') > 0".to_owned());
    let scan = store.open(&cx(), &request).await.unwrap();
    let error = scan.read(&cx(), &scan.splits()[0], &mut Collect::default()).await.unwrap_err();
    assert!(error.detail_text().unwrap().contains("read-only transaction"), "{error:?}");
}

/// Does something when the first block comes, then takes everything.
struct AtFirst<F: FnMut() + Send> {
    act: Option<F>,
}

impl<F: FnMut() + Send> BlockSink for AtFirst<F> {
    fn accept(&mut self, _: Block) -> Result<()> {
        if let Some(mut act) = self.act.take() {
            act();
        }
        Ok(())
    }
}

const BIG: &str = "CREATE TABLE t (id int PRIMARY KEY, pad text);
    INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 40000) n; ANALYZE t";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_stops_in_the_middle_is_never_a_whole_scan() {
    for mode in [Mode::Fast, Mode::Immediate] {
        let scratch = Scratch::new().unwrap();
        let server = start(&scratch, "stopping", postgres::Options::default()).await;
        server.batch("postgres", BIG).await.unwrap();
        let store = store(&server.url("postgres"));
        let canon = canon_of(&store, &store.describe(&cx(), &dataset("t")).await.unwrap(), Policies::default());
        let scan = store.open(&cx().with_parallel(1), &request("t", canon.clone())).await.unwrap();
        let server = Arc::new(Mutex::new(server));
        let stop = || {
            let stopped = async { server.lock().await.stop(mode).await.unwrap() };
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(stopped));
        };
        let error = scan.read(&cx(), &scan.splits()[0], &mut AtFirst { act: Some(stop) }).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Transient, "{error:?}");
        // The view is gone with its server; the next one is whole.
        server.lock().await.start_again().await.unwrap();
        let error = scan.read(&cx(), &scan.splits()[0], &mut Collect::default()).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("view of the table was lost"), "{error:?}");
        let scan = store.open(&cx(), &request("t", canon)).await.unwrap();
        assert_eq!(read_all(&*scan).await.unwrap().rows(), 40_000);
    }
}

async fn through_proxy() -> (Db, Proxy, Box<dyn Scan>) {
    let db = Db::new(BIG).await;
    let proxy = Proxy::start(db.server.port()).await.unwrap();
    let store = store(&format!("postgres://postgres@127.0.0.1:{}/{}", proxy.port(), db.name));
    let canon = canon_of(&store, &store.describe(&cx(), &dataset("t")).await.unwrap(), Policies::default());
    let scan = store.open(&cx().with_parallel(1), &request("t", canon)).await.unwrap();
    (db, proxy, scan)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cut_connection_is_transient_and_the_split_can_be_read_again() {
    let (_db, proxy, scan) = through_proxy().await;
    let split = scan.splits()[0].clone();
    for bytes in [20_000, 1_000_000, 3_000_000] {
        proxy.set(Behaviour::CutAfter(bytes));
        let error = scan.read(&cx(), &split, &mut Collect::default()).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Transient, "{error:?}");
        proxy.set(Behaviour::Pass);
        let mut sink = Collect::default();
        let done = scan.read(&cx(), &split, &mut sink).await.unwrap();
        assert_eq!((done.rows, sink.rows()), (40_000, 40_000));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dead_exporter_is_noticed_at_once() {
    let (db, proxy, scan) = through_proxy().await;
    db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()")
        .await;
    let split = scan.splits()[0].clone();
    let error = scan.read(&cx(), &split, &mut Collect::default()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("store.unreachable", FailureKind::Transient), "{error:?}");
    proxy.set(Behaviour::Refuse);
    let error = scan.read(&cx(), &split, &mut Collect::default()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Transient, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_half_open_connection_ends_with_the_deadline() {
    let (_db, proxy, scan) = through_proxy().await;
    let split = scan.splits()[0].clone();
    let hang = || proxy.set(Behaviour::Hang);
    let context = Context::default().with_timeout(Duration::from_millis(1500));
    let error = scan.read(&context, &split, &mut AtFirst { act: Some(hang) }).await.unwrap_err();
    assert_eq!(error.code(), "run.deadline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sinks_error_comes_through_and_the_scan_goes_on() {
    struct Refusing;
    impl BlockSink for Refusing {
        fn accept(&mut self, _: Block) -> Result<()> {
            Err(paritas_connect::Error::new(FailureKind::Permanent, "test.sink", "no more"))
        }
    }
    let (_db, _proxy, scan) = through_proxy().await;
    let split = scan.splits()[0].clone();
    assert_eq!(scan.read(&cx(), &split, &mut Refusing).await.unwrap_err().code(), "test.sink");
    let context = cx();
    let token = context.cancel_token().clone();
    let cancel = || token.cancel();
    let error = scan.read(&context, &split, &mut AtFirst { act: Some(cancel) }).await.unwrap_err();
    assert_eq!(error.code(), "run.cancelled");
    assert_eq!(read_all(&*scan).await.unwrap().rows(), 40_000);
}

/// The same rows again and again: longer than any buffer between server and client, and empty ones.
const MIXED: &str = "CREATE TABLE t (id int PRIMARY KEY, pad text);
    INSERT INTO t SELECT n, repeat('x', CASE WHEN n % 1000 = 0 THEN 1500000 ELSE n % 7 END) FROM generate_series(1, 20000) n;
    ANALYZE t";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_error_of_the_server_at_any_row_is_reported_and_the_scan_goes_on() {
    let db = Db::new(MIXED).await;
    let canon = canon_of(&db.store, &db.describe("t").await, Policies::default());
    // The first row fails before any data come, others after some, the last one after all.
    for (row, filter) in [(1, "1 / (id - 1) <> 9"), (9_000, "1 / (id - 9000) <> 9"), (20_000, "1 / (id - 20000) <> 9")]
    {
        let mut request = request("t", canon.clone());
        request.filter = Some(filter.to_owned());
        let scan = db.store.open(&cx().with_parallel(1), &request).await.unwrap();
        for split in scan.splits() {
            let read = scan.read(&cx(), split, &mut Collect::default()).await;
            if let Err(error) = read {
                assert_eq!((error.code(), error.kind()), ("store.refused", FailureKind::Permanent), "{row}: {error:?}");
                assert!(error.detail_text().unwrap().contains("22012"), "{error:?}");
            } else {
                assert!(scan.splits().len() > 1, "row {row} did not fail");
            }
        }
    }
    let scan = db.store.open(&cx(), &request("t", canon)).await.unwrap();
    assert_eq!(read_all(&*scan).await.unwrap().rows(), 20_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_scan_goes_on_while_the_server_sends_notices_and_settings() {
    let sql = "CREATE FUNCTION public.say(n int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
            IF n % 50 = 0 THEN RAISE NOTICE '%', repeat('n', n); END IF;
            IF n % 70 = 0 THEN PERFORM set_config('application_name', 'row ' || n, true); END IF;
            RETURN true; END $$";
    let db = Db::new(&format!("{MIXED}; {sql}")).await;
    let canon = canon_of(&db.store, &db.describe("t").await, Policies::default());
    let plain = db.store.open(&cx(), &request("t", canon.clone())).await.unwrap();
    let plain = read_all(&*plain).await.unwrap().images();
    let mut noisy = request("t", canon);
    noisy.filter = Some("public.say(id)".to_owned());
    let noisy = db.store.open(&cx().with_parallel(1), &noisy).await.unwrap();
    for _ in 0..2 {
        assert!(read_all(&*noisy).await.unwrap().images() == plain);
    }
}

/// A process that does nothing until this is dropped.
struct Frozen(i32);

impl Frozen {
    fn new(pid: i32) -> Self {
        signal("-STOP", pid);
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", self.0);
    }
}

fn signal(name: &str, pid: i32) {
    let done = std::process::Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
    assert!(done.success(), "kill {name} {pid}");
}

/// A page's header may lie between the end of the log and what is written out of it.
const HEADER_MAX: i64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn hints_that_a_view_logs_are_written_out_when_it_ends() {
    let scratch = Scratch::new().unwrap();
    let quiet = postgres::Options::default().set("autovacuum", "off").set("checkpoint_timeout", "1d");
    let server = start(&scratch, "quiet", quiet).await;
    // Nobody has read these rows, so that the first reader notes that their writer has committed.
    server
        .batch("postgres", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)")
        .await
        .unwrap();
    let store = store(&server.url("postgres"));
    let description = store.datasets().unwrap().describe(&cx(), &dataset("t")).await.unwrap();
    let request = request("t", canon_of(&store, &description, Policies::default()));
    server.batch("postgres", "CHECKPOINT").await.unwrap();
    let client = server.client("postgres").await.unwrap();
    let number = async |sql: &str| client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    let end = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8";
    let unwritten = "SELECT (pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn())::int8";
    number(unwritten).await;
    let writer = "SELECT pid::int8 FROM pg_stat_activity WHERE backend_type = 'background writer'";
    // It has the log written out now and then.
    let writer = Frozen::new(i32::try_from(number(writer).await).unwrap());
    let scan = store.datasets().unwrap().open(&cx(), &request).await.unwrap();
    let before = number(end).await;
    assert_eq!(read_all(&*scan).await.unwrap().rows(), 1000);
    assert!(number(end).await > before, "no hint was logged");
    drop(scan);
    let begun = std::time::Instant::now();
    while number(unwritten).await > HEADER_MAX {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} bytes are not written out", number(unwritten).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(writer);
}
