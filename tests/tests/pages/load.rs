//! Under load: what is in flight is told from what is wrong, again and again.

use crate::stage::{PAGE, Stage, by_pages, keys, notes, tuple, write};
use paritas_testbed::postgres::{Install, Options, Server};
use paritas_tests::Run;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Small enough to be read several times a second, with everything that writes pages.
const TABLES: &str =
    "CREATE TABLE t (id int PRIMARY KEY, amount int NOT NULL, pad text, big text) WITH (fillfactor = 80);
    ALTER TABLE t ALTER big SET STORAGE EXTERNAL; CREATE INDEX t_amount ON t (amount);
    INSERT INTO t SELECT n, 0, repeat('x', 100), CASE WHEN n % 50 = 0 THEN repeat('b', 5000) END
        FROM generate_series(1, 20000) n;
    CREATE TABLE child (id bigserial PRIMARY KEY, t int REFERENCES t (id))";

/// Passes under each kind of load.
const PASSES: u32 = 12;

/// Writers on a server until it is dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    pub async fn start(server: &Server, writers: u64, sql: fn(u64) -> Vec<String>) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        for seed in 0..writers {
            let client = server.client("postgres").await.unwrap();
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            tasks.push(tokio::spawn(async move {
                let mut state = seed.wrapping_mul(7_919) + 1;
                while !stop.load(Ordering::Relaxed) {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    for statement in sql(state) {
                        if client.batch_execute(&statement).await.is_err() {
                            // Deadlocks, and rows that another writer deleted.
                            client.batch_execute("ROLLBACK").await.unwrap();
                            break;
                        }
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { stop, done, tasks }
    }

    pub async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.done.load(Ordering::Relaxed)
    }
}

/// Transactions with savepoints that are rolled back, locks shared by several, keys that refer to
/// rows, prepared transactions, vacuum.
fn mixed(state: u64) -> Vec<String> {
    let (a, b, x) = (state >> 20 & 0x3FFF, state >> 34 & 0x3FFF, state >> 48 & 0xFF);
    let own = state >> 8 & 0xFF_FFFF_FFFF;
    let one = |sql: String| vec![sql];
    match state >> 59 {
        0..8 => one(format!("UPDATE t SET amount = amount + {x} WHERE id = {a}")),
        8..12 => one(format!(
            "BEGIN; UPDATE t SET amount = {x} WHERE id = {a}; SAVEPOINT s; UPDATE t SET pad = 'y' WHERE id = {b}; \
             DELETE FROM t WHERE id = {a}; ROLLBACK TO s; UPDATE t SET amount = -1 WHERE id = {b}; COMMIT"
        )),
        12..15 => one(format!("INSERT INTO child (t) VALUES (least({a} + 1, 10000))")),
        15..18 => one(format!(
            "BEGIN; SELECT FROM t WHERE id = {a} FOR KEY SHARE; SELECT FROM t WHERE id = {b} FOR SHARE; \
             UPDATE t SET amount = {x} WHERE id = {a}; COMMIT"
        )),
        18..21 => one(format!(
            "BEGIN; DELETE FROM t WHERE id = {a} + 1; INSERT INTO t VALUES ({a} + 1, {x}, 'z', repeat('c', 5000)); ROLLBACK"
        )),
        21..23 => one(format!(
            "INSERT INTO t VALUES (10001 + {a} % 5000, {x}, repeat('w', 200)) ON CONFLICT (id) DO UPDATE SET big = repeat('d', 4000)"
        )),
        23..25 => vec![
            format!("BEGIN; UPDATE t SET amount = 7 WHERE id = {a}; PREPARE TRANSACTION 'p{own}'"),
            format!("{} PREPARED 'p{own}'", if x % 2 == 0 { "COMMIT" } else { "ROLLBACK" }),
        ],
        25..28 => one(format!("DELETE FROM t WHERE id > 15000 AND id = 15000 + {a} % 6000")),
        28 => one("VACUUM t".to_owned()),
        29 => one("VACUUM (FREEZE) child".to_owned()),
        _ => one(format!("SELECT count(*) FROM t WHERE id BETWEEN {a} AND {a} + 500")),
    }
}

/// The end of the table comes and goes: extension, truncation, another file.
fn ends(state: u64) -> Vec<String> {
    match state >> 59 {
        0..16 => vec![
            "INSERT INTO t SELECT 100000 + n, n, repeat('e', 500) FROM generate_series(1, 500) n \
                       ON CONFLICT DO NOTHING"
                .to_owned(),
        ],
        16..30 => vec!["DELETE FROM t WHERE id > 100000".to_owned(), "VACUUM (TRUNCATE) t".to_owned()],
        _ => vec!["CHECKPOINT".to_owned()],
    }
}

/// No page and no row may be called different; hot pages may be left unproven.
pub fn no_false_finding(stage: &Stage, table: &str) -> Run {
    let run = stage.verify(table, &["--settle", "5s"]);
    assert!(run.code == 0 || run.code == 3, "{run:#?}");
    run.expect_no_difference();
    let check = run.parity();
    // Where the files were made anew each time, rows are compared instead.
    if check["method"] == "pages" {
        assert_eq!(check["pages"]["differing"], 0, "{check:#}");
        assert!(!notes(&check).contains("defect"), "{check:#}");
    }
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_found_while_everything_is_written() {
    everything_is_written(&Install::find().unwrap()).await;
}

/// Passes while all of it goes on, and one at rest.
pub async fn everything_is_written(install: &Install) {
    let stage = Stage::with(install, Options::default(), TABLES).await;
    let load = Load::start(&stage.primary, 4, mixed).await;
    let mut passed = 0;
    for _ in 0..PASSES {
        passed += u32::from(no_false_finding(&stage, "t").code == 0);
        no_false_finding(&stage, "child");
    }
    let done = load.end().await;
    assert!(done > 500, "{done} transactions");
    assert!(passed > 0, "every single page kept changing");
    // At rest, all of it is proven.
    stage.replayed().await;
    by_pages(stage.verify("t", &[]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_found_while_the_end_of_the_table_comes_and_goes() {
    let stage = Stage::new(Options::default(), TABLES).await;
    let load = Load::start(&stage.primary, 2, ends).await;
    for _ in 0..PASSES {
        no_false_finding(&stage, "t");
    }
    load.end().await;
    for sql in ["DELETE FROM t WHERE id > 100000", "VACUUM FULL t", "TRUNCATE child"] {
        stage.run(sql).await;
        stage.replayed().await;
        by_pages(stage.verify("t", &[]), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_prepared_transaction_is_no_difference_before_and_after_its_end() {
    let stage = Stage::new(Options::default(), TABLES).await;
    stage.run("BEGIN; UPDATE t SET amount = 5 WHERE id < 50; PREPARE TRANSACTION 'p'").await;
    by_pages(stage.verify("t", &[]), 0);
    stage.run("COMMIT PREPARED 'p'").await;
    by_pages(stage.verify("t", &[]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn planted_damage_is_found_under_load_and_nothing_else() {
    let options = Options::default().set("ignore_checksum_failure", "on").set("autovacuum", "off");
    let mut stage = Stage::new(options, TABLES).await;
    // Rows that no writer touches.
    stage.run("CREATE TABLE calm (LIKE t INCLUDING ALL); INSERT INTO calm SELECT * FROM t WHERE id <= 5000").await;
    let client = stage.primary.client("postgres").await.unwrap();
    let mut planted = Vec::new();
    let file = stage.file("calm").await;
    for id in [17, 1200, 2400, 3600, 4800] {
        let sql = "SELECT (ctid::text::point)[0]::int8, (ctid::text::point)[1]::int8 FROM calm WHERE id = $1";
        let row = client.query_one(sql, &[&id]).await.unwrap();
        planted.push((row.get::<_, i64>(0) as usize, row.get::<_, i64>(1) as usize));
    }
    stage.stopped().await;
    let mut bytes = std::fs::read(&file).unwrap();
    for place in &planted {
        let at = tuple(&bytes, *place) + 28;
        bytes[at] ^= 1;
    }
    assert!(bytes.len() > PAGE);
    write(&file, &bytes);
    stage.started().await;
    let load = Load::start(&stage.primary, 4, mixed).await;
    let check = by_pages(stage.verify("calm", &[]), 1);
    assert_eq!(check["pages"]["differing"], 5, "{check:#}");
    assert_eq!(keys(&check, "changed"), [17, 1200, 2400, 3600, 4800], "{check:#}");
    no_false_finding(&stage, "t");
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_standby_that_does_not_replay_is_unknown() {
    let stage = Stage::new(Options::default(), TABLES).await;
    stage.standby.batch("postgres", "SELECT pg_wal_replay_pause()").await.unwrap();
    stage.run("UPDATE t SET amount = 1 WHERE id < 100").await;
    let begun = Instant::now();
    let check = stage.verify("t", &["--settle", "1s"]).expect_code(3).parity();
    assert_eq!(check["differences"]["changed"], 0, "{check:#}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    stage.standby.batch("postgres", "SELECT pg_wal_replay_resume()").await.unwrap();
    by_pages(stage.verify("t", &[]), 0);
}
