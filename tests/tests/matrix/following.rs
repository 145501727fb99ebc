//! Faults of how a standby follows: it stands still, serves what is old, went its own way, or cannot go on. Rows that
//! it does not show may still come, so a comparison says that nothing is proven; lag and lineage say what is wrong.

use crate::lagging::{Judged, Urls, await_lag, demand_breach, demand_failover, demand_lag, demand_objective};
use crate::stage::{World, demand_urls, owned};
use crate::standby::Pair;
use crate::tables::many;
use paritas_testbed::Error;
use paritas_testbed::postgres::{self, Mode, Options, REQUIRE_VARIABLE, Server, cut_off};
use paritas_testbed::proxy::{Behaviour, Proxy};
use paritas_tests::lag::{Frozen, LIMIT, text, until_text};
use paritas_tests::verify;
use std::fs;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const POLL: Duration = Duration::from_millis(20);

/// Rows that a replica without them has not lost as long as it does not follow.
pub const NEWER: &str = "INSERT INTO s.t VALUES (100, 1.25, 'new')";

/// Compares, and demands that the verdict is unknown, that no difference counts as proven, and these words.
pub fn demand_unknown(urls: &Urls, words: &[&str], what: &str) {
    let run = verify(&urls.0, &urls.1, &["--settle", "2s"]);
    let json = run.json();
    assert_eq!((run.code, json["verdict"].as_str()), (3, Some("unknown")), "{what}: {run:#?}");
    run.expect_no_difference();
    for word in words {
        assert!(run.stdout.contains(word), "{what}: {word:?} is not in {}", run.stdout);
    }
}

const NOT_REACHED: &[&str] = &["did not reach the source's position"];

/// Runs a statement that a process which is just about to end may still forbid.
pub async fn until_done(client: &Client, sql: &str) {
    let deadline = Instant::now() + LIMIT;
    while let Err(error) = client.batch_execute(sql).await {
        assert!(Instant::now() < deadline, "{sql}: {error:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// The pair without any fault: nothing lags, nothing differs.
fn healthy(pair: &Pair, what: &str) {
    await_lag(&pair.urls(), 0, &[], what);
    pair.demand(0, &[], what);
}

/// Everything that the primary has written by now is with the standby, which shows none of it: a heartbeat of the
/// connection is fine.
fn arrived(world: &World, pair: &Pair) {
    world.run(async {
        let end = text(&pair.primary, "SELECT pg_current_wal_flush_lsn()::text").await;
        let sql = format!(
            "SELECT (pg_last_wal_receive_lsn() >= '{end}' AND (SELECT status FROM pg_stat_wal_receiver) = 'streaming')::text"
        );
        until_text(&pair.standby, &sql, "true").await;
    });
}

fn on_standby(world: &World, pair: &Pair, sql: &str) {
    world.run(pair.standby.batch("postgres", sql)).unwrap();
}

const WAITS: &str = "SELECT coalesce(min(wait_event), '-') FROM pg_stat_activity WHERE backend_type = 'startup'";

/// What is written arrives, and is not applied.
pub fn stuck(world: &World) {
    let pair = Pair::new(world, "stuck", Options::default(), &many(6));
    healthy(&pair, "without any fault");
    let urls = pair.urls();
    on_standby(world, &pair, "SELECT pg_wal_replay_pause()");
    demand_lag(&urls, &[], 0, &[], "paused, and nothing to apply");
    pair.sql(world, NEWER);
    arrived(world, &pair);
    demand_unknown(&urls, NOT_REACHED, "replay is paused");
    demand_breach(world, &urls, &["wal/1 stalled: replay is paused | pg_wal_replay_resume"], "replay is paused");
    on_standby(world, &pair, "SELECT pg_wal_replay_resume()");
    healthy(&pair, "replay goes on");

    let frozen = world.run(Frozen::replay(&pair.standby));
    pair.sql(world, "INSERT INTO s.t VALUES (101, 1.25, 'new')");
    arrived(world, &pair);
    demand_unknown(&urls, NOT_REACHED, "replay hangs");
    demand_breach(
        world,
        &urls,
        &["wal/1 stalled: it does not move, and nothing visible is in its way"],
        "replay hangs",
    );
    drop(frozen);
    healthy(&pair, "replay does not hang any more");

    on_standby(world, &pair, "ALTER SYSTEM SET max_standby_streaming_delay = -1");
    on_standby(world, &pair, "SELECT pg_reload_conf()");
    let reader = world.run(pair.standby.client("postgres")).unwrap();
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM s.t";
    world.run(reader.batch_execute(begin)).unwrap();
    pair.sql(world, "UPDATE s.t SET note = note || '+'");
    pair.sql(world, "VACUUM s.t");
    pair.sql(world, "INSERT INTO s.t VALUES (102, 1.25, 'new')");
    world.run(until_text(&pair.standby, WAITS, "RecoveryConflictSnapshot"));
    arrived(world, &pair);
    let conflict = ["wal/1 stalled: replay waits for a query that needs what it must remove | end that session"];
    demand_breach(world, &urls, &conflict, "a recovery conflict");
    demand_unknown(&urls, NOT_REACHED, "a recovery conflict");
    world.run(reader.batch_execute("ROLLBACK")).unwrap();
    healthy(&pair, "the conflict is over");

    world.run(reader.batch_execute("BEGIN; SELECT count(*) FROM s.t")).unwrap();
    pair.sql(world, "BEGIN; LOCK TABLE s.t; INSERT INTO s.t VALUES (103, 1.25, 'new'); COMMIT");
    world.run(until_text(&pair.standby, WAITS, "relation"));
    arrived(world, &pair);
    let lock = ["wal/1 stalled: replay waits for a lock (relation) | end that session"];
    demand_breach(world, &urls, &lock, "a lock");
    world.run(reader.batch_execute("ROLLBACK")).unwrap();
    healthy(&pair, "nobody holds the lock any more");
}

/// An old state as if it were new: everything is applied an hour late, or somebody put an old file back.
pub fn stale(world: &World) {
    let mut pair = Pair::new(world, "stale", Options::default(), &many(6));
    healthy(&pair, "without any fault");
    let old = world.folder("old").join("t");
    pair.plant(world, crate::standby::TABLE, |file| assert!(fs::copy(file, &old).is_ok()));
    healthy(&pair, "restarted");
    pair.sql(world, "UPDATE s.t SET note = 'newer' WHERE id = 1; DELETE FROM s.t WHERE id = 2");
    pair.sql(world, NEWER);
    // Nothing is left to do on these pages that would send them to the standby once more.
    pair.sql(world, "VACUUM FREEZE s.t");
    pair.plant(world, crate::standby::TABLE, |file| fs::write(file, fs::read(&old).unwrap()).unwrap());
    // By its positions nothing is missing; its rows are those of before.
    await_lag(&pair.urls(), 0, &[], "an old file");
    let changed = "changed id='1': note 'newer' -> 'note 1'";
    pair.demand(1, &[changed, "extra id='2'", "lost id='100'"], "an old file");

    let mut pair = Pair::new(world, "late", Options::default(), &many(6));
    healthy(&pair, "without any fault");
    let urls = pair.urls();
    pair.standby.configure(&[("recovery_min_apply_delay", "1h")]).unwrap();
    world.run(pair.standby.restart()).unwrap();
    world.run(postgres::wait_streaming(&pair.primary, pair.standby.name())).unwrap();
    pair.sql(world, NEWER);
    pair.sql(world, "UPDATE s.t SET note = 'newer' WHERE id = 1; DELETE FROM s.t WHERE id = 2");
    arrived(world, &pair);
    world.run(until_text(&pair.standby, WAITS, "RecoveryApplyDelay"));
    demand_unknown(&urls, NOT_REACHED, "an hour late");
    demand_breach(
        world,
        &urls,
        &["wal/1 stalled: replay is delayed on purpose | recovery_min_apply_delay"],
        "an hour late",
    );
    pair.standby.configure(&[("recovery_min_apply_delay", "0")]).unwrap();
    world.run(pair.standby.batch("postgres", "SELECT pg_reload_conf()")).unwrap();
    healthy(&pair, "no longer late");
}

/// What dashboards compute from one server alone.
const LATE_BY_POSITIONS: &str = "SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN '0' \
     ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::text, 'none') END";
const LATE_BY_TIME: &str =
    "SELECT coalesce(clock_timestamp() - pg_last_xact_replay_timestamp() > interval '2 seconds', false)::text";

/// Lag that is there and is shown as 0 by others, and lag that others see on an idle primary and is not there.
pub fn late(world: &World) {
    let pair = Pair::new(world, "idle", Options::default(), &many(6));
    healthy(&pair, "without any fault");
    let urls = pair.urls();
    pair.sql(world, "INSERT INTO s.t VALUES (99, 1.25, 'the last one for a while')");
    world.run(until_text(&pair.standby, LATE_BY_TIME, "true"));
    demand_objective(world, &urls, ("1s", "1500ms"), 0, &[], "idle, and late by the age of the last commit");

    // While rows come all the time and every commit is shown two seconds late.
    on_standby(world, &pair, "ALTER SYSTEM SET recovery_min_apply_delay = '2s'");
    on_standby(world, &pair, "SELECT pg_reload_conf()");
    let writer = world.run(pair.primary.client("postgres")).unwrap();
    let writing = world.spawn(async move {
        for id in 1_000.. {
            let sql = format!("INSERT INTO s.t VALUES ({id}, 0.25, 'load')");
            if writer.batch_execute(&sql).await.is_err() {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    });
    world.run(until_text(&pair.standby, "SELECT (max(id) >= 1000)::text FROM s.t", "true"));
    demand_objective(world, &urls, ("1s", "4s"), 1, &["wal/1 "], "two seconds late");
    demand_objective(world, &urls, ("60s", "4s"), 0, &["wal/1 "], "two seconds late, and a minute is allowed");
    writing.abort();
    on_standby(world, &pair, "ALTER SYSTEM RESET recovery_min_apply_delay");
    on_standby(world, &pair, "SELECT pg_reload_conf()");
    healthy(&pair, "no longer late");

    // A backlog in front of an idle primary: nothing is received, so nothing received is missing.
    world.run(cut_off(&pair.standby)).unwrap();
    let nothing = demand_lag(&urls, &[], 3, &["wal/1 unknown: it follows nobody"], "cut off, and nothing is missing");
    // Unless an idle primary had something to write of its own accord meanwhile.
    let end = world.run(text(&pair.primary, "SELECT pg_current_wal_lsn()::text"));
    let shown = world.run(text(&pair.standby, "SELECT pg_last_wal_replay_lsn()::text"));
    assert!(nothing.checks("lag")[0]["streams"][0]["bytes"].is_null() || end != shown, "{nothing:#?}");
    pair.sql(world, NEWER);
    world.run(until_text(&pair.standby, LATE_BY_POSITIONS, "0"));
    demand_breach(world, &urls, &["wal/1 unknown: it follows nobody"], "cut off, and 0 by its own positions");
    demand_unknown(&urls, NOT_REACHED, "cut off");

    // The connection is half open: to both ends it looks alive, and nothing passes.
    let (proxy, pair) = world.run(async {
        let pair = Pair::begin(world, "half", Options::default(), &many(6)).await;
        let proxy = Proxy::start(pair.port()).await.unwrap();
        let standby = postgres::standby_through(&pair, "half_west", proxy.port()).await.unwrap();
        (proxy, Pair { primary: pair, standby })
    });
    healthy(&pair, "through a proxy");
    let urls = pair.urls();
    proxy.set(Behaviour::Hang);
    pair.sql(world, NEWER);
    world.run(until_text(&pair.standby, LATE_BY_POSITIONS, "0"));
    let hung = ["wal/1 stalled: it does not move, and nothing visible is in its way"];
    demand_breach(world, &urls, &hung, "a half-open connection, and 0 by its own positions");
    proxy.set(Behaviour::Pass);
    healthy(&pair, "it passes again");
    proxy.set(Behaviour::Refuse);
    await_lag(&urls, 3, &["wal/1 unknown: not connected to its source"], "nobody to connect to");
    proxy.set(Behaviour::Pass);
    healthy(&pair, "connected again");
}

/// Two histories: both sides accept writes, the standby followed another one, or belongs to another cluster.
pub fn forked(world: &World) {
    let mut pair = Pair::new(world, "split", Options::default(), &many(6));
    healthy(&pair, "without any fault");
    let urls = pair.urls();
    let second = world.run(async {
        let second = postgres::standby(&pair.standby, "split_second").await.unwrap();
        postgres::wait_replayed(&pair.primary, &second).await.unwrap();
        second
    });
    let behind = (urls.0.clone(), format!("{}?table=s.t", second.url("postgres")));
    await_lag(&behind, 0, &[], "a cascade without any fault");
    world.run(postgres::promote(&pair.standby)).unwrap();
    pair.sql(world, NEWER);
    on_standby(world, &pair, "INSERT INTO s.t VALUES (100, 1.75, 'other')");
    let parted = ["wal/2 broken: the replica was promoted | timeline 2 | timeline 1", "problem lineage.forked"];
    demand_lag(&urls, &[], 1, &parted, "split brain");
    let split = Judged {
        code: 1,
        relation: "split_brain",
        forked_at: Some("1/0/"),
        decision: "no-go",
        reasons: &["fail: split brain: both take writes", "unknown: how much is lost is not known"],
    };
    demand_failover(&urls, &[], &split, "split brain");
    let changed = "changed id='100': amount '1.25' -> '1.75', note 'new' -> 'other'";
    demand_urls(&urls.0, &urls.1, &[], 1, &owned(&[changed]), "split brain");
    world.run(postgres::wait_replayed(&pair.standby, &second)).unwrap();
    let other = ["wal/2 broken: it follows timeline 2, which left the source's timeline 1 | rebuild the replica"];
    await_lag(&behind, 1, &other, "a standby on another timeline");
    demand_unknown(&behind, &["lineage"], "a standby on another timeline");
    // The old primary is fenced, and everything that it wrote alone is counted from its files.
    world.run(pair.primary.stop(Mode::Fast)).unwrap();
    let data = pair.primary.data_dir();
    let lost = Judged {
        code: 1,
        relation: "promoted",
        forked_at: Some("1/0/"),
        decision: "no-go",
        reasons: &["fail: 1 committed transaction lost, and no objective says that any may be"],
    };
    demand_failover(&urls, &["--data-directory", data.to_str().unwrap()], &lost, "fenced, with a commit of its own");

    let mut pair = Pair::new(world, "clean", Options::default(), &many(6));
    world.run(async {
        pair.primary.stop(Mode::Fast).await.unwrap();
        postgres::promote(&pair.standby).await.unwrap();
    });
    let (clean, data) = (pair.urls(), pair.primary.data_dir());
    let go = Judged { code: 0, relation: "promoted", forked_at: Some("1/0/"), decision: "go", reasons: &[] };
    demand_failover(&clean, &["--data-directory", data.to_str().unwrap()], &go, "a clean switchover");

    let (one, other) = (
        Pair::new(world, "cluster", Options::default(), &many(6)),
        Pair::new(world, "stranger", Options::default(), &many(6)),
    );
    let urls = (one.urls().0, other.urls().1);
    let words = ["wal/1 broken: it replays another cluster | rebuild the replica, or name the source that it follows"];
    demand_lag(&urls, &[], 1, &words, "a standby of another cluster");
    let stranger = Judged {
        code: 1,
        relation: "stranger",
        forked_at: None,
        decision: "no-go",
        reasons: &[
            "fail: the old primary and the new primary are two clusters",
            "fail: nothing was promoted yet: the new primary is still a standby",
            "unknown: how much is lost is not known: nothing was promoted yet",
        ],
    };
    demand_failover(&urls, &[], &stranger, "a standby of another cluster");
    demand_unknown(&urls, &["replication.none"], "a standby of another cluster");
}

/// Restarts a server with its clock so many seconds off. Nothing where the library for it is missing, and may be.
pub fn shift(world: &World, server: &mut Server, seconds: i64) -> Option<()> {
    match server.shift_clock(seconds) {
        Err(error @ Error::NotInstalled { .. })
            if std::env::var_os(REQUIRE_VARIABLE).is_none_or(|value| value != "1") =>
        {
            println!("left out: {error}");
            return None;
        }
        other => other.unwrap(),
    }
    world.run(server.restart()).unwrap();
    Some(())
}

/// The standby's clock is an hour ahead, and an hour behind.
pub fn clocks(world: &World) {
    let mut pair = Pair::new(world, "clocks", Options::default(), &many(6));
    healthy(&pair, "without any fault");
    for (number, seconds) in [3_600, -3_600].into_iter().enumerate() {
        if shift(world, &mut pair.standby, seconds).is_none() {
            return;
        }
        world.run(postgres::wait_streaming(&pair.primary, pair.standby.name())).unwrap();
        pair.sql(world, &format!("INSERT INTO s.t VALUES ({}, 1.25, 'new')", 100 + number));
        world.run(postgres::wait_replayed(&pair.primary, &pair.standby)).unwrap();
        // What others take for the lag.
        let by_clocks = format!(
            "SELECT (abs(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) - {seconds}) < 300)::text"
        );
        world.run(until_text(&pair.standby, &by_clocks, "true"));
        let (urls, what) = (pair.urls(), format!("{seconds} s apart"));
        healthy(&pair, &what);
        demand_objective(world, &urls, ("1s", "1500ms"), 0, &[], &what);
        on_standby(world, &pair, "SELECT pg_wal_replay_pause()");
        pair.sql(world, &format!("UPDATE s.t SET note = 'newer by {seconds}' WHERE id = 1"));
        arrived(world, &pair);
        demand_unknown(&urls, NOT_REACHED, &what);
        demand_breach(world, &urls, &["wal/1 stalled: replay is paused"], &what);
        on_standby(world, &pair, "SELECT pg_wal_replay_resume()");
        healthy(&pair, &what);
    }
    // A promotion by the wrong clock: what is lost is counted by the clock of the old primary alone.
    world.run(async {
        cut_off(&pair.standby).await.unwrap();
        pair.primary.batch("postgres", "INSERT INTO s.t VALUES (200, 1.25, 'lost')").await.unwrap();
        pair.primary.stop(Mode::Fast).await.unwrap();
        postgres::promote(&pair.standby).await.unwrap();
    });
    let (urls, data) = (pair.urls(), pair.primary.data_dir());
    let lost = Judged {
        code: 1,
        relation: "promoted",
        forked_at: Some("1/0/"),
        decision: "no-go",
        reasons: &["fail: 1 committed transaction lost"],
    };
    let run = demand_failover(&urls, &["--data-directory", data.to_str().unwrap()], &lost, "promoted by a wrong clock");
    let seconds = run.json()["links"][0]["recovery"]["rpo"]["seconds"].clone();
    assert!(seconds["high"].as_f64().is_none_or(|high| high < 600.0) && seconds["low"] == 0.0, "{run:#?}");
}

/// Fills the log and ends its segments, so that a checkpoint removes what nobody keeps.
pub async fn churn(primary: &Server) {
    let client = primary.client("postgres").await.unwrap();
    for _ in 0..6 {
        for sql in
            ["SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))", "SELECT pg_switch_wal()", "CHECKPOINT"]
        {
            client.batch_execute(sql).await.unwrap();
        }
    }
}

/// Keeps little of the log.
pub fn short_memory() -> Options {
    Options::default().set("wal_keep_size", "0").set("max_wal_size", "32MB").set("min_wal_size", "32MB")
}

/// From now on a slot keeps next to nothing.
pub async fn limit_slots(primary: &Server) {
    let client = primary.client("postgres").await.unwrap();
    for sql in ["ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()"] {
        client.batch_execute(sql).await.unwrap();
    }
    until_text(primary, "SHOW max_slot_wal_keep_size", "1MB").await;
}

/// The primary no longer has what the standby needs next.
pub fn log_gone(world: &World) {
    let mut pair = Pair::new(world, "gone", short_memory(), &many(6));
    healthy(&pair, "without any fault");
    world.run(async {
        pair.standby.stop(Mode::Fast).await.unwrap();
        let primary = pair.primary.client("postgres").await.unwrap();
        until_done(&primary, "SELECT pg_drop_replication_slot('gone_west')").await;
        churn(&pair.primary).await;
        primary.batch_execute("SELECT pg_create_physical_replication_slot('gone_west')").await.unwrap();
        primary.batch_execute(NEWER).await.unwrap();
        pair.standby.start_again().await.unwrap();
    });
    let gone = ["wal/1 broken: the log it needs was removed: it is at | the source's begins at | rebuild the replica"];
    await_lag(&pair.urls(), 1, &gone, "the log is gone");
    demand_unknown(&pair.urls(), NOT_REACHED, "the log is gone");
    assert!(pair.standby.log_tail().contains("has already been removed"), "{}", pair.standby.log_tail());

    // The slot itself was given up, as a limit on what it may keep demands.
    let mut pair = Pair::new(world, "limit", short_memory(), &many(6));
    healthy(&pair, "without any fault");
    world.run(async {
        pair.standby.stop(Mode::Fast).await.unwrap();
        limit_slots(&pair.primary).await;
        churn(&pair.primary).await;
        let lost = "SELECT coalesce(min(wal_status), '-') FROM pg_replication_slots";
        until_text(&pair.primary, lost, "lost").await;
        pair.primary.batch("postgres", NEWER).await.unwrap();
        pair.standby.start_again().await.unwrap();
    });
    await_lag(&pair.urls(), 1, &["wal/1 broken: | slot limit_west | rebuild the replica"], "the slot was given up");
    demand_unknown(&pair.urls(), NOT_REACHED, "the slot was given up");

    // The same with an archive: what the primary removed is there, and the standby comes after.
    let folder = world.folder("archive");
    let options = short_memory().archive(&folder).restore_from(&folder);
    let mut pair = Pair::new(world, "kept", options, &many(6));
    healthy(&pair, "without any fault");
    world.run(async {
        pair.standby.stop(Mode::Fast).await.unwrap();
        let primary = pair.primary.client("postgres").await.unwrap();
        until_done(&primary, "SELECT pg_drop_replication_slot('kept_west')").await;
        churn(&pair.primary).await;
        postgres::archived(&pair.primary).await.unwrap();
        primary.batch_execute("CHECKPOINT").await.unwrap();
        primary.batch_execute("SELECT pg_create_physical_replication_slot('kept_west')").await.unwrap();
        primary.batch_execute(NEWER).await.unwrap();
        pair.standby.start_again().await.unwrap();
    });
    healthy(&pair, "the log is gone, and archived");
}
