//! Faults of how a replica follows: it stands still, serves what is old, went its own way, or cannot go on. Comparing
//! rows alone can only say that nothing is proven, and must not say more.

use crate::logical::LOGICAL;
use crate::stage::{World, demand_urls, owned};
use crate::standby::Pair;
use crate::tables::many;
use crate::{cross_state, subscriber};
use paritas_testbed::postgres::{self, Mode, Options};
use paritas_tests::verify;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Rows that a replica without them has not lost as long as it does not follow.
const NEWER: &str = "INSERT INTO s.t VALUES (100, 1.25, 'new')";

/// Compares, and demands that the verdict is unknown, that no difference counts as proven, and these words.
fn demand_unknown(urls: &(String, String), words: &[&str], what: &str) {
    let run = verify(&urls.0, &urls.1, &["--settle", "2s"]);
    let json = run.json();
    assert_eq!((run.code, json["verdict"].as_str()), (3, Some("unknown")), "{what}: {run:#?}");
    run.expect_no_difference();
    for word in words {
        assert!(run.stdout.contains(word), "{what}: {word:?} is not in {}", run.stdout);
    }
}

/// Runs a statement that a process which is just about to end may still forbid.
async fn until_done(client: &Client, sql: &str) {
    let deadline = Instant::now() + LIMIT;
    while let Err(error) = client.batch_execute(sql).await {
        assert!(Instant::now() < deadline, "{sql}: {error:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// Replay is paused; the receiver goes on, so that a heartbeat of the connection is fine.
pub fn stuck_standby(world: &World) {
    let pair = Pair::new(world, "stuck", Options::default(), &many(6));
    pair.demand(0, &[], "without any fault");
    world.run(pair.standby.batch("postgres", "SELECT pg_wal_replay_pause()")).unwrap();
    pair.sql(world, NEWER);
    demand_unknown(&pair.urls(), &["did not reach the source's position"], "replay is paused");
    world.run(pair.standby.batch("postgres", "SELECT pg_wal_replay_resume()")).unwrap();
    pair.demand(0, &[], "replay goes on");
}

/// A standby that applies everything an hour late serves an old state as if it were new.
pub fn stale_standby(world: &World) {
    let mut pair = Pair::new(world, "stale", Options::default(), &many(6));
    pair.demand(0, &[], "without any fault");
    pair.standby.configure(&[("recovery_min_apply_delay", "1h")]).unwrap();
    world.run(pair.standby.restart()).unwrap();
    world.run(postgres::wait_streaming(&pair.primary, pair.standby.name())).unwrap();
    pair.sql(world, NEWER);
    pair.sql(world, "UPDATE s.t SET note = 'newer' WHERE id = 1; DELETE FROM s.t WHERE id = 2");
    demand_unknown(&pair.urls(), &["did not reach the source's position"], "an hour late");
}

/// Both sides accept writes after a promotion.
pub fn split_brain(world: &World) {
    let pair = Pair::new(world, "split", Options::default(), &many(6));
    pair.demand(0, &[], "without any fault");
    world.run(postgres::promote(&pair.standby)).unwrap();
    pair.sql(world, NEWER);
    world.run(pair.standby.batch("postgres", "INSERT INTO s.t VALUES (100, 1.75, 'other')")).unwrap();
    let (source, replica) = pair.urls();
    let run = verify(&source, &replica, &["--settle", "2s"]);
    assert!(run.code == 1 || run.code == 3, "two histories never pass: {run:#?}");
    // A standby of another cluster is no replica of this one.
    let other = Pair::new(world, "cluster", Options::default(), &many(6));
    let run = verify(&source, &other.urls().1, &["--settle", "2s"]);
    assert!(run.code == 1 || run.code == 3, "rows of two clusters that differ never pass: {run:#?}");
}

/// The primary no longer has what the standby needs next.
pub fn log_gone(world: &World) {
    let options = Options::default().set("wal_keep_size", "0").set("max_wal_size", "32MB").set("min_wal_size", "32MB");
    let mut pair = Pair::new(world, "gone", options, &many(6));
    pair.demand(0, &[], "without any fault");
    world.run(async {
        pair.standby.stop(Mode::Fast).await.unwrap();
        let primary = pair.primary.client("postgres").await.unwrap();
        until_done(&primary, "SELECT pg_drop_replication_slot('gone_west')").await;
        for _ in 0..6 {
            for sql in [
                "SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))",
                "SELECT pg_switch_wal()",
                "CHECKPOINT",
            ] {
                primary.batch_execute(sql).await.unwrap();
            }
        }
        primary.batch_execute("SELECT pg_create_physical_replication_slot('gone_west')").await.unwrap();
        primary.batch_execute(NEWER).await.unwrap();
        pair.standby.start_again().await.unwrap();
    });
    demand_unknown(&pair.urls(), &["did not reach the source's position"], "the log is gone");
    assert!(pair.standby.log_tail().contains("has already been removed"), "{}", pair.standby.log_tail());
}

/// The heartbeat has a subscription of its own, which runs; that of the data is stopped, or cannot go on.
pub fn stuck_subscriber(world: &World) {
    let sql =
        "CREATE TABLE beat (id bigint PRIMARY KEY, at timestamptz); CREATE TABLE t (id bigint PRIMARY KEY, v text)";
    let urls = subscriber::databases(world, "stuck", sql, &[("heartbeat", "TABLE beat"), ("data", "TABLE t")]);
    subscriber::on(world, true, "stuck", "INSERT INTO beat VALUES (1, now()); INSERT INTO t VALUES (1, 'a')");
    demand_urls(&urls.0, &urls.1, &[], 0, &[], "without any fault");
    subscriber::on(world, false, "stuck", "ALTER SUBSCRIPTION data DISABLE");
    subscriber::on(world, true, "stuck", "UPDATE beat SET at = now(); INSERT INTO t VALUES (2, 'b')");
    demand_unknown(&urls, &["Subscription data is disabled"], "a subscription that is stopped");
    subscriber::on(world, false, "stuck", "ALTER SUBSCRIPTION data ENABLE");
    demand_urls(&urls.0, &urls.1, &[], 0, &[], "it goes on");
    // A row of the subscriber's own is in the way: the worker fails again and again.
    subscriber::on(world, false, "stuck", "INSERT INTO t VALUES (3, 'own')");
    subscriber::on(world, true, "stuck", "INSERT INTO t VALUES (3, 'c')");
    let run = verify(&urls.0, &urls.1, &["--settle", "2s"]).expect_code(3);
    run.expect_no_difference();
    subscriber::on(world, false, "stuck", "DELETE FROM t WHERE id = 3");
    demand_urls(&urls.0, &urls.1, &["--settle", "60s"], 0, &[], "nothing is in the way any more");
}

/// Caught up by every position, and old all the same: an old copy was loaded, or changes were skipped.
pub fn stale_subscriber(world: &World) {
    cross_state::stale(world, &LOGICAL);
    let sql = "CREATE TABLE t (id bigint PRIMARY KEY, v text)";
    let (east, west) = subscriber::databases(world, "skipped", sql, &[("skipped", "TABLE t")]);
    subscriber::on(world, true, "skipped", "INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 4) g");
    demand_urls(&east, &west, &[], 0, &[], "without any fault");
    // What an operator does to get over a transaction that fails: all up to a later position counts as applied.
    subscriber::on(world, false, "skipped", "ALTER SUBSCRIPTION skipped DISABLE");
    subscriber::on(
        world,
        true,
        "skipped",
        "UPDATE t SET v = 'new' WHERE id = 2; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (5, 'v5')",
    );
    world.run(async {
        let servers = world.logical();
        let client = servers.publisher.client("skipped").await.unwrap();
        let row = client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.unwrap();
        let (lsn, replica) = (row.get::<_, String>(0), servers.subscriber.client("skipped").await.unwrap());
        let sql = format!(
            "SELECT pg_replication_origin_advance('pg_' || oid, '{lsn}') FROM pg_subscription WHERE subname = 'skipped'"
        );
        until_done(&replica, &sql).await;
    });
    subscriber::on(world, false, "skipped", "ALTER SUBSCRIPTION skipped ENABLE");
    subscriber::on(world, true, "skipped", "INSERT INTO t VALUES (6, 'v6')");
    let lines = owned(&["changed id='2': v 'new' -> 'v2'", "extra id='3'", "lost id='5'"]);
    demand_urls(&east, &west, &[], 1, &lines, "a transaction that was skipped");
}

/// Clocks cannot be set here; zones can, and no verdict may come from what a session shows of a time.
pub fn clocks(world: &World) {
    for (number, zone) in ["Europe/Zurich", "America/New_York"].into_iter().enumerate() {
        let sql = "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz, local timestamp, day date)";
        let name = format!("clocks{number}");
        let (east, west) = subscriber::databases(world, &name, sql, &[(&name, "TABLE t")]);
        subscriber::on(world, false, &name, &format!("ALTER DATABASE {name} SET timezone = '{zone}'"));
        subscriber::on(
            world,
            true,
            &name,
            "INSERT INTO t VALUES (1, '2026-03-29 00:30Z', '2026-03-29 02:30', '2026-03-29'), \
             (2, '2026-10-25 00:30:00.000001Z', '2026-10-25 02:30', '2026-10-25')",
        );
        demand_urls(&east, &west, &[], 0, &[], "zones an hour apart");
        subscriber::on(world, false, &name, "UPDATE t SET at = at + interval '1 hour' WHERE id = 1");
        let line = "changed id='1': at '2026-03-29 00:30:00+00' -> '2026-03-29 01:30:00+00'";
        demand_urls(&east, &west, &[], 1, &owned(&[line]), "a time an hour apart");
    }
}

/// The publisher gave up on the subscriber, and threw away what it would need.
pub fn slot_gone(world: &World) {
    let sql = "CREATE TABLE t (id bigint PRIMARY KEY)";
    let urls = subscriber::databases(world, "slot", sql, &[("slot", "TABLE t")]);
    subscriber::on(world, true, "slot", "INSERT INTO t VALUES (1)");
    demand_urls(&urls.0, &urls.1, &[], 0, &[], "without any fault");
    subscriber::on(world, false, "slot", "ALTER SUBSCRIPTION slot DISABLE");
    world.run(async {
        let client = world.logical().publisher.client("slot").await.unwrap();
        until_done(&client, "SELECT pg_drop_replication_slot('slot')").await;
    });
    subscriber::on(world, true, "slot", "INSERT INTO t VALUES (2)");
    subscriber::on(world, false, "slot", "ALTER SUBSCRIPTION slot ENABLE");
    demand_unknown(&urls, &["replication.none", "no replication slot \"slot\""], "no slot any more");
}
