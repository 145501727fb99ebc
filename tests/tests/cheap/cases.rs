//! One by one: everything that changes rows, or could seem to.

use crate::world::{Rule, World};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Install, Mode, Server, promote, standby, wait_replayed};
use std::time::Duration;

/// About 1,700 pages, so about 210 ranges.
const TABLE: &str = "CREATE TABLE t (id int8 PRIMARY KEY, n int4, text text);
    INSERT INTO t SELECT i, i, repeat('x', 80) FROM generate_series(1, 100000) i; CHECKPOINT";
/// Rows of some ranges of blocks: those that were written, and those that a reader tidied up.
const FEW: u64 = 4_000;

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_written_is_read_again() {
    let world = World::new(TABLE).await;
    world.take().await.all_read("nothing was kept");
    let still = world.take().await.read_at_most(0);
    assert_eq!(still.reading.ranges_read, still.reading.ranges_reread);
    assert!(still.reading.pages_kept > 1_000 && still.reading.bytes.is_some());
    world.sql("UPDATE t SET n = n + 1 WHERE id = 50000").await;
    assert!(world.take().await.read_at_most(FEW).reading.rows_read > 0);
    world.sql("DELETE FROM t WHERE id = 3").await;
    world.take().await.read_at_most(FEW);
    world.sql("INSERT INTO t VALUES (100001, 1, 'new')").await;
    world.take().await.read_at_most(FEW);
    world.sql("BEGIN; UPDATE t SET n = 0 WHERE id = 777; ROLLBACK").await;
    world.take().await.read_at_most(FEW);
    world.sql("BEGIN; SAVEPOINT a; UPDATE t SET n = 0 WHERE id = 778; ROLLBACK TO a; UPDATE t SET n = 5 WHERE id = 779; COMMIT").await;
    world.take().await.read_at_most(FEW);
    world.still().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wrote_before_a_snapshot_and_ends_after_it_is_seen_and_the_obvious_rules_do_not_see_it() {
    let world = World::new(TABLE).await;
    let rules = [Rule::Horizon, Rule::Obvious, Rule::Ended];
    world.take_by(&rules).await;
    // The newest transaction that there is: one more than the newest that has ended is its own number.
    let long = world.session().await;
    long.batch_execute("BEGIN; UPDATE t SET n = -1 WHERE id = 60000").await.unwrap();
    assert!(world.take_by(&rules).await.iter().all(|taken| taken.equal));
    long.batch_execute("COMMIT").await.unwrap();
    let taken = world.take_by(&rules).await;
    assert_eq!([true, false, false], [0, 1, 2].map(|rule: usize| taken[rule].equal));
    assert!(world.take().await.right().reading.rows_read <= FEW);
    world.still().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_transactions_are_seen_when_they_end_either_way() {
    let world = World::new(TABLE).await;
    world.take().await.right();
    for end in ["COMMIT PREPARED 'a'", "ROLLBACK PREPARED 'a'"] {
        world.sql("BEGIN; UPDATE t SET n = n - 1 WHERE id = 70000; PREPARE TRANSACTION 'a'").await;
        world.take().await.read_at_most(FEW);
        world.sql("UPDATE t SET n = n + 1 WHERE id = 200").await;
        world.take().await.read_at_most(2 * FEW);
        world.sql(end).await;
        world.take().await.read_at_most(2 * FEW);
        world.still().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_line_values_row_locks_and_hints_change_nothing_or_are_seen() {
    let world = World::new(&format!("{TABLE}; ALTER TABLE t ALTER text SET STORAGE EXTERNAL")).await;
    world.sql("UPDATE t SET text = repeat('long', 5000) WHERE id IN (10, 90000)").await;
    world.take().await.right();
    world.take().await.right();
    world.sql("UPDATE t SET text = repeat('LONG', 5000) WHERE id = 90000").await;
    assert!(world.take().await.read_at_most(2 * FEW).reading.rows_read > 0);
    // The same length, one byte of another chunk.
    world.sql("UPDATE t SET text = overlay(text placing 'X' from 15000) WHERE id = 10").await;
    assert!(world.take().await.read_at_most(2 * FEW).reading.rows_read > 0);
    let (one, other) = (world.session().await, world.session().await);
    one.batch_execute("BEGIN; SELECT FROM t WHERE id = 40000 FOR SHARE").await.unwrap();
    other.batch_execute("BEGIN; SELECT FROM t WHERE id = 40000 FOR KEY SHARE").await.unwrap();
    world.take().await.right();
    one.batch_execute("UPDATE t SET n = 9 WHERE id = 40000; COMMIT").await.unwrap();
    world.take().await.right();
    other.batch_execute("COMMIT").await.unwrap();
    world.take().await.right();
    world.sql("SELECT count(*) FROM t; VACUUM (FREEZE) t; VACUUM t; ANALYZE t").await;
    world.still().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_are_cut_off_and_come_back_are_read() {
    let world = World::new(TABLE).await;
    world.take().await.right();
    world.sql("DELETE FROM t WHERE id > 60000; VACUUM t").await;
    let cut = world.take().await.right();
    assert_eq!(cut.rows, 60_000);
    world.sql("INSERT INTO t SELECT i, -i, repeat('y', 80) FROM generate_series(60001, 90000) i").await;
    world.take().await.right();
    // Between two snapshots: cut off, and back again with others.
    world.sql("DELETE FROM t WHERE id > 50000; VACUUM t").await;
    world.sql("INSERT INTO t SELECT i, i, repeat('z', 80) FROM generate_series(50001, 90000) i").await;
    world.take().await.right();
    world.sql("DELETE FROM t; VACUUM t").await;
    assert_eq!(world.take().await.right().rows, 0);
    world.sql("INSERT INTO t VALUES (1, 1, 'a')").await;
    assert_eq!(world.take().await.right().rows, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_rewritten_are_read() {
    let world = World::new(&format!("{TABLE}; CREATE INDEX i ON t (n)")).await;
    world.take().await.right();
    for sql in [
        "VACUUM FULL t",
        "CLUSTER t USING i",
        "TRUNCATE t",
        "INSERT INTO t SELECT i, i, '' FROM generate_series(1, 5000) i",
    ] {
        world.sql(sql).await;
        world.take().await.right();
        world.sql("UPDATE t SET n = n + 1 WHERE id = 5").await;
        world.take().await.right();
    }
    world.sql("BEGIN; TRUNCATE t; ROLLBACK").await;
    world.take().await.right();
    world.sql("BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, 2, 'c'); COMMIT").await;
    assert_eq!(world.take().await.right().rows, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_change_rows_and_no_page_have_everything_read() {
    let sql = "CREATE TYPE kind AS ENUM ('a', 'b'); CREATE TYPE pair AS (x int, k kind);
        CREATE TABLE t (id int8 PRIMARY KEY, k kind, p pair, ks kind[]);
        INSERT INTO t SELECT i, 'a', (i, 'b')::pair, '{a}' FROM generate_series(1, 5000) i";
    let world = World::new(sql).await;
    world.take().await.right();
    world.take().await.read_at_most(0);
    world.sql("ALTER TYPE kind RENAME VALUE 'a' TO 'c'").await;
    world.take().await.all_read("definitions of types");
    world.take().await.read_at_most(0);
    world.sql("ALTER TABLE t ADD COLUMN d int DEFAULT 5").await;
    world.take().await.all_read("is not what it was");
    // The same names and types as before, and other values in the same pages.
    world.sql("ALTER TABLE t DROP COLUMN d; ALTER TABLE t ADD COLUMN d int DEFAULT 7").await;
    let again = world.take().await.right();
    assert_eq!(again.reading.rows_read, 5_000);
    world.still().await;
    world.sql("ALTER TABLE t ALTER d TYPE int8").await;
    world.take().await.right();
    world.sql("ALTER TABLE t RENAME TO old; CREATE TABLE t (LIKE old INCLUDING ALL); INSERT INTO t SELECT * FROM old LIMIT 10").await;
    assert_eq!(world.take().await.right().rows, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_come_and_go_and_rows_move_between_them() {
    let sql = "CREATE TABLE t (id int8, n int, PRIMARY KEY (id, n)) PARTITION BY RANGE (n);
        CREATE TABLE p1 PARTITION OF t FOR VALUES FROM (0) TO (100);
        CREATE TABLE p2 PARTITION OF t FOR VALUES FROM (100) TO (200);
        INSERT INTO t SELECT i, i % 200 FROM generate_series(1, 50000) i";
    let world = World::new(sql).await;
    world.take().await.right();
    world.sql("UPDATE t SET n = n + 100 WHERE id = 1").await;
    assert!(world.take().await.read_at_most(10_000).reading.rows_read > 0);
    world.sql("TRUNCATE p1").await;
    let cut = world.take().await.right();
    assert!(cut.reading.rows_kept > 20_000, "the other partition is not read: {:?}", cut.reading);
    world.sql("ALTER TABLE t DETACH PARTITION p2").await;
    assert_eq!(world.take().await.right().rows, 0);
    world
        .sql("INSERT INTO p2 VALUES (100001, 150); ALTER TABLE t ATTACH PARTITION p2 FOR VALUES FROM (100) TO (200)")
        .await;
    assert!(world.take().await.right().rows > 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn unlogged_tables_and_tables_without_a_key_of_a_fixed_width_are_handled() {
    let world =
        World::new("CREATE UNLOGGED TABLE t (id int8 PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5000)")
            .await;
    world.take().await.all_read("unlogged");
    world.take().await.all_read("unlogged");
    world.sql("ALTER TABLE t SET LOGGED").await;
    world.take().await.all_read("nothing was kept");
    world.take().await.read_at_most(0);
    world.sql("DROP TABLE t; CREATE TABLE t (a text, b int); INSERT INTO t SELECT 'same', i % 7 FROM generate_series(1, 50000) i").await;
    world.take().await.right();
    world.sql("DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t WHERE b = 3)").await;
    world.take().await.read_at_most(5_000);
    world.sql("ALTER TABLE t ADD c regclass").await;
    world.take().await.all_read("regclass");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_full_log_and_what_it_loads_past_the_log() {
    let settings = [("wal_level", "minimal"), ("max_wal_senders", "0"), ("wal_skip_threshold", "0")];
    let load = "BEGIN; TRUNCATE t; INSERT INTO t SELECT i, i, repeat('x', 80) FROM generate_series(1, 20000) i; COMMIT";
    let world =
        World::with(&settings, &format!("CREATE TABLE t (id int8 PRIMARY KEY, n int4, text text); {load}")).await;
    world.take().await.right();
    world.sql("UPDATE t SET n = 0 WHERE id = 15000").await;
    world.take().await.right();
    world.sql(load).await;
    world.take().await.right();
    world.sql(&format!("DELETE FROM t WHERE id = 1; {load}; DELETE FROM t WHERE id = 2")).await;
    assert_eq!(world.take().await.right().rows, 19_999);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_or_a_crash_everything_is_read() {
    let mut world = World::with(&[("synchronous_commit", "off")], TABLE).await;
    world.still().await;
    world.server.stop(Mode::Fast).await.unwrap();
    world.server.start_again().await.unwrap();
    world.client = world.session().await;
    world.take().await.all_read("start of the server");
    world.still().await;
    // One process dies, and the server begins anew under the same postmaster.
    world.sql("UPDATE t SET n = 1 WHERE id = 8").await;
    let victim: i32 = world.client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let killed = std::process::Command::new("kill").args(["-KILL", &victim.to_string()]).status().unwrap();
    assert!(killed.success());
    let back = async {
        loop {
            match world.server.client("postgres").await {
                Ok(client) if client.batch_execute("SELECT 1").await.is_ok() => return client,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    world.client = tokio::time::timeout(Duration::from_secs(60), back).await.unwrap();
    let mut taken = world.try_take(&[Rule::Horizon]).await;
    if taken.is_err() {
        // A connection that was kept was ended with the others.
        taken = world.try_take(&[Rule::Horizon]).await;
    }
    taken.unwrap().remove(0).all_read("start of the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_begins_anew_and_a_standby_keeps_nothing() {
    let scratch = Scratch::new().unwrap();
    let options = postgres::Options::default();
    let old = Server::start(&Install::find().unwrap(), &scratch, "old", options).await.unwrap();
    old.batch("postgres", &format!("CREATE EXTENSION pageinspect; {TABLE}")).await.unwrap();
    let new = standby(&old, "new").await.unwrap();
    wait_replayed(&old, &new).await.unwrap();
    let client = old.client("postgres").await.unwrap();
    let world = World::of(old, scratch, client);
    world.take().await.right();
    world.sql("UPDATE t SET n = 1 WHERE id = 8").await;
    wait_replayed(&world.server, &new).await.unwrap();
    promote(&new).await.unwrap();
    let client = new.client("postgres").await.unwrap();
    client.batch_execute("UPDATE t SET n = 2 WHERE id = 9").await.unwrap();
    // The state of the old one in the hands of the new one.
    let state = world.state().clone();
    let promoted = World::of(new, Scratch::new().unwrap(), client).keeping(state);
    promoted.take().await.all_read("timeline");
    promoted.still().await;
}
