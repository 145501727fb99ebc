//! Faults of how a subscriber follows: it stands still, serves what is old, belongs to another publisher, or cannot go
//! on. Next to the subscription of the data there is one of a heartbeat, which is always fine.

use crate::cross_state;
use crate::following::{churn, demand_unknown, limit_slots, shift, short_memory, until_done};
use crate::lagging::{Urls, await_lag, demand_breach, demand_lag, demand_objective, lines, measure_objective};
use crate::logical::LOGICAL;
use crate::stage::{World, demand_urls, owned};
use crate::subscriber;
use paritas_testbed::postgres::{self, Install, Options, Server, cut_off};
use paritas_tests::lag::{Frozen, text, until_text};
use paritas_tests::verify;

const TABLES: &str =
    "CREATE TABLE beat (id bigint PRIMARY KEY, n bigint); CREATE TABLE t (id bigint PRIMARY KEY, v text)";

/// A publisher and its subscriber that no other cell uses, with a subscription for the heartbeat and one for the data.
struct Two {
    publisher: Server,
    subscriber: Server,
}

impl Two {
    fn new(world: &World, name: &str, options: &Options) -> Self {
        let two = world.run(async {
            let install = Install::find().unwrap();
            let start = async |side: &str| {
                let name = format!("{name}_{side}");
                let server = Server::start(&install, world.scratch(), &name, options.clone()).await.unwrap();
                server.batch("postgres", TABLES).await.unwrap();
                server
            };
            let two = Self { publisher: start("publisher").await, subscriber: start("subscriber").await };
            for (name, table) in [("heartbeat", "beat"), ("data", "t")] {
                let sql = format!("CREATE PUBLICATION {name} FOR TABLE {table}");
                two.publisher.batch("postgres", &sql).await.unwrap();
                let from = two.address(&two.publisher);
                let sql = format!("CREATE SUBSCRIPTION {name} CONNECTION '{from}' PUBLICATION {name}");
                two.subscriber.batch("postgres", &sql).await.unwrap();
            }
            postgres::wait_copied(&two.subscriber, "postgres").await.unwrap();
            two
        });
        two.publish(world, "INSERT INTO beat VALUES (1, 1); INSERT INTO t VALUES (1, 'a')");
        two.healthy("without any fault");
        two
    }

    fn address(&self, server: &Server) -> String {
        format!("host={} port={} user=postgres dbname=postgres", server.socket_dir().display(), server.port())
    }

    fn urls(&self) -> Urls {
        (self.publisher.url("postgres"), self.subscriber.url("postgres"))
    }

    /// Nothing lags, nothing differs.
    fn healthy(&self, what: &str) {
        let urls = self.urls();
        await_lag(&urls, 0, &[], what);
        demand_urls(&urls.0, &urls.1, &[], 0, &[], what);
    }

    fn publish(&self, world: &World, sql: &str) {
        world.run(self.publisher.batch("postgres", sql)).unwrap();
    }

    fn subscribe(&self, world: &World, sql: &str) {
        world.run(self.subscriber.batch("postgres", sql)).unwrap();
    }

    /// Writes data that does not arrive, and then a heartbeat that does.
    fn beat(&self, world: &World, sql: &str) {
        self.publish(world, sql);
        self.publish(world, "UPDATE beat SET n = n + 1");
        world.run(async {
            let n = text(&self.publisher, "SELECT max(n)::text FROM beat").await;
            until_text(&self.subscriber, "SELECT max(n)::text FROM beat", &n).await;
        });
    }

    /// The process that applies the data.
    fn worker(&self, world: &World) -> String {
        let sql = "SELECT pid::text FROM pg_stat_subscription WHERE subname = 'data' AND pid IS NOT NULL";
        world.run(text(&self.subscriber, sql))
    }
}

const DISABLED: &[&str] = &["subscription/data stalled: subscription data is disabled | ENABLE"];

/// The heartbeat is applied; the data are not, because their subscription is switched off, waits, hangs or fails.
pub fn stuck(world: &World) {
    let two = Two::new(world, "stuck", &Options::default());
    let urls = two.urls();
    two.subscribe(world, "ALTER SUBSCRIPTION data DISABLE");
    two.beat(world, "INSERT INTO t VALUES (2, 'b')");
    demand_unknown(&urls, &["Subscription data is disabled"], "switched off");
    demand_breach(world, &urls, DISABLED, "switched off");
    two.subscribe(world, "ALTER SUBSCRIPTION data ENABLE");
    two.healthy("switched on");

    let holder = world.run(two.subscriber.client("postgres")).unwrap();
    world.run(holder.batch_execute("BEGIN; LOCK TABLE t IN EXCLUSIVE MODE")).unwrap();
    two.beat(world, "INSERT INTO t VALUES (3, 'c')");
    let waits = "SELECT (count(*) > 0)::text FROM pg_locks WHERE NOT granted";
    world.run(until_text(&two.subscriber, waits, "true"));
    let lock = ["subscription/data stalled: subscription data waits for a lock that process | end that session"];
    demand_breach(world, &urls, &lock, "a lock");
    demand_unknown(&urls, &["did not"], "a lock");
    world.run(holder.batch_execute("ROLLBACK")).unwrap();
    two.healthy("nobody holds the lock");

    let frozen = Frozen::new(&two.worker(world));
    two.beat(world, "INSERT INTO t VALUES (4, 'd')");
    // The publisher may go on sending it what it writes to its log for itself: then it counts as behind.
    demand_breach(world, &urls, &["subscription/data "], "a worker that hangs");
    demand_unknown(&urls, &["did not"], "a worker that hangs");
    drop(frozen);
    two.healthy("it does not hang any more");

    // A row of the subscriber's own is in the way: the worker fails again and again.
    two.subscribe(world, "INSERT INTO t VALUES (5, 'own')");
    two.beat(world, "INSERT INTO t VALUES (5, 'e')");
    let fails = "SELECT (apply_error_count > 1)::text FROM pg_stat_subscription_stats WHERE subname = 'data'";
    world.run(until_text(&two.subscriber, fails, "true"));
    // The worker comes and goes: it is late all the time, and why is seen while it is gone.
    // One that ends between the two questions belongs to nobody for a moment, and must not be forgotten for that.
    let codes: Vec<i32> = (0..5).map(|_| never_forgotten(world, &urls)).collect();
    assert!(codes.contains(&1), "{codes:?}");
    await_lag(&urls, 3, &["subscription/data | errors so far"], "a row in the way");
    demand_unknown(&urls, &["did not"], "a row in the way");
    two.subscribe(world, "DELETE FROM t WHERE id = 5");
    two.healthy("nothing is in the way any more");

    // The same where the subscription gives up at the first error.
    two.subscribe(world, "ALTER SUBSCRIPTION data SET (disable_on_error = true); INSERT INTO t VALUES (6, 'own')");
    two.beat(world, "INSERT INTO t VALUES (6, 'f')");
    let enabled = "SELECT subenabled::text FROM pg_subscription WHERE subname = 'data'";
    world.run(until_text(&two.subscriber, enabled, "false"));
    let gave_up = ["subscription/data broken: subscription data was disabled after an error | ENABLE"];
    demand_lag(&urls, &[], 1, &gave_up, "switched off by an error");
    two.subscribe(world, "DELETE FROM t WHERE id = 6; ALTER SUBSCRIPTION data ENABLE");
    two.healthy("switched on again");
}

/// Beside an objective that is long breached: which of the two exit codes is the answer depends on the moment.
fn never_forgotten(world: &World, urls: &Urls) -> i32 {
    let run = measure_objective(world, urls, ("1s", "1500ms"));
    assert!([1, 3].contains(&run.code), "{run:#?}");
    let found = lines(&run);
    assert!(found.len() == 1 && found[0].starts_with("subscription/data "), "{found:?}\n{run:#?}");
    run.code
}

/// Caught up by every position, and old all the same: an old copy was loaded, or changes were skipped.
pub fn stale(world: &World) {
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
        let lsn = text_of(&servers.publisher, "skipped", "SELECT pg_current_wal_insert_lsn()::text").await;
        let replica = servers.subscriber.client("skipped").await.unwrap();
        let sql = format!(
            "SELECT pg_replication_origin_advance('pg_' || oid, '{lsn}') FROM pg_subscription WHERE subname = 'skipped'"
        );
        until_done(&replica, &sql).await;
    });
    subscriber::on(world, false, "skipped", "ALTER SUBSCRIPTION skipped ENABLE");
    subscriber::on(world, true, "skipped", "INSERT INTO t VALUES (6, 'v6')");
    let lines = owned(&["changed id='2': v 'new' -> 'v2'", "extra id='3'", "lost id='5'"]);
    demand_urls(&east, &west, &[], 1, &lines, "a transaction that was skipped");
    await_lag(&(east, west), 0, &[], "by its positions nothing is missing");
}

async fn text_of(server: &Server, database: &str, sql: &str) -> String {
    server.client(database).await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

/// Lag that nobody sees on the publisher alone, and a log that grows without anything for the subscriber.
pub fn late(world: &World) {
    let two = Two::new(world, "late", &Options::default());
    let urls = two.urls();
    demand_objective(world, &urls, ("1s", "3s"), 0, &[], "idle");
    // What is written elsewhere on the publisher moves its log, and is nothing that the subscriber lacks.
    world.run(two.publisher.create_database("elsewhere")).unwrap();
    let other = "CREATE TABLE o AS SELECT g FROM generate_series(1, 50000) g";
    world.run(two.publisher.batch("elsewhere", other)).unwrap();
    two.publish(world, "CREATE TEMP TABLE mine (id int); SELECT pg_switch_wal()");
    two.healthy("written elsewhere");

    two.subscribe(world, "ALTER SUBSCRIPTION data DISABLE");
    let gone = "SELECT count(*)::text FROM pg_stat_replication WHERE application_name = 'data'";
    world.run(until_text(&two.publisher, gone, "0"));
    two.beat(world, "INSERT INTO t VALUES (2, 'b')");
    // The view that dashboards read has one row, of the heartbeat, and it shows no lag worth a word.
    let shown = "SELECT (coalesce(max(replay_lag), '0') < interval '1 second')::text FROM pg_stat_replication";
    world.run(until_text(&two.publisher, shown, "true"));
    demand_breach(world, &urls, DISABLED, "late, and 0 by the publisher's statistics");
    demand_objective(world, &urls, ("10m", "1s"), 3, DISABLED, "late, and not known since when");
    two.subscribe(world, "ALTER SUBSCRIPTION data ENABLE");
    two.healthy("no longer late");

    // An hour of changes in one transaction: late until all of it is applied.
    let holder = world.run(two.subscriber.client("postgres")).unwrap();
    world.run(holder.batch_execute("BEGIN; LOCK TABLE t IN EXCLUSIVE MODE")).unwrap();
    two.beat(world, "INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(10, 5000) g");
    let lock = ["subscription/data stalled: subscription data waits for a lock"];
    demand_breach(world, &urls, &lock, "a large transaction that is not applied");
    world.run(holder.batch_execute("ROLLBACK")).unwrap();
    two.healthy("applied");
}

/// The subscriber belongs to another publisher than the one that is named, or the publisher is no longer the same.
pub fn forked(world: &World) {
    let two = Two::new(world, "split", &Options::default());
    let (stranger, standby) = world.run(async {
        let install = Install::find().unwrap();
        let stranger = Server::start(&install, world.scratch(), "other", Options::default()).await.unwrap();
        stranger.batch("postgres", TABLES).await.unwrap();
        // The tables hold the same rows, and there are slots of the same names.
        stranger.batch("postgres", "INSERT INTO beat VALUES (1, 1); INSERT INTO t VALUES (1, 'a')").await.unwrap();
        for slot in ["heartbeat", "data"] {
            slot_at(&stranger, slot).await;
        }
        (stranger, postgres::standby(&two.publisher, "split_standby").await.unwrap())
    });
    let subscriber = two.subscriber.url("postgres");
    let none = ["problem replication.none: no replication leads from the source to the replica"];
    let urls = (stranger.url("postgres"), subscriber.clone());
    demand_lag(&urls, &[], 3, &none, "another cluster with slots of the same names");
    demand_unknown(&urls, &["replication.none"], "another cluster with slots of the same names");

    // A standby of the publisher is promoted without the last commits, and both go on.
    world.run(async {
        postgres::wait_replayed(&two.publisher, &standby).await.unwrap();
        cut_off(&standby).await.unwrap();
    });
    two.publish(world, "INSERT INTO t SELECT g, 'old' FROM generate_series(100, 3000) g");
    two.publish(world, "UPDATE beat SET n = 2");
    world.run(until_text(&two.subscriber, "SELECT count(*)::text FROM t", "2902"));
    world.run(postgres::promote(&standby)).unwrap();
    world.run(standby.batch("postgres", "INSERT INTO t VALUES (2, 'other')")).unwrap();
    let urls = (standby.url("postgres"), subscriber);
    demand_lag(&urls, &[], 3, &none, "the subscriber stays with the old one");
    demand_unknown(&urls, &["replication.none"], "the subscriber stays with the old one");
    // It is led to the new one, which begins at positions that the subscriber has behind itself: what is written
    // there is taken for applied.
    world.run(async {
        for slot in ["heartbeat", "data"] {
            slot_at(&standby, slot).await;
            let sql = format!("ALTER SUBSCRIPTION {slot} CONNECTION '{}'", two.address(&standby));
            two.subscriber.batch("postgres", &sql).await.unwrap();
        }
        let reads = "SELECT count(*)::text FROM pg_replication_slots WHERE active";
        until_text(&standby, reads, "2").await;
    });
    world.run(standby.batch("postgres", "INSERT INTO t VALUES (3, 'skipped')")).unwrap();
    let run = demand_lag(&urls, &[], 3, &none, "led to a publisher that is behind it");
    assert!(run.stdout.contains("where this source has never been"), "{run:#?}");
    demand_unknown(&urls, &["replication.none"], "led to a publisher that is behind it");
    // Once the new one has come further, positions say nothing of it any more. The rows do.
    world.run(churn(&standby));
    world.run(standby.batch("postgres", "UPDATE beat SET n = 3; INSERT INTO t VALUES (4, 'late')")).unwrap();
    world.run(until_text(&two.subscriber, "SELECT count(*)::text FROM t WHERE id = 4", "1"));
    let run = verify(&urls.0, &urls.1, &["--max-differences", "5000"]).expect_code(1);
    let check = run.checks("parity").into_iter().find(|check| check["dataset"] == "public.t").unwrap();
    assert_eq!(paritas_tests::Run::counts(&check), (2, 2901, 0), "{run:#?}");
}

/// A slot for a subscription of that name.
async fn slot_at(server: &Server, name: &str) {
    let sql = format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')");
    server.batch("postgres", &sql).await.unwrap();
}

/// The subscriber's clock is an hour ahead, and an hour behind; and its sessions show another time zone.
pub fn clocks(world: &World) {
    zones(world);
    let mut two = Two::new(world, "clocks", &Options::default());
    for (number, seconds) in [3_600, -3_600].into_iter().enumerate() {
        if shift(world, &mut two.subscriber, seconds).is_none() {
            return;
        }
        let what = format!("{seconds} s apart");
        two.beat(world, &format!("INSERT INTO t VALUES ({}, 'new')", 100 + number));
        // What others take for the lag: the time of the last message by both clocks.
        let by_clocks = format!(
            "SELECT (abs(extract(epoch FROM latest_end_time - clock_timestamp()) + {seconds}) < 300)::text \
             FROM pg_stat_subscription WHERE subname = 'data'"
        );
        world.run(until_text(&two.subscriber, &by_clocks, "true"));
        two.healthy(&what);
        let urls = two.urls();
        demand_objective(world, &urls, ("1s", "1500ms"), 0, &[], &what);
        two.subscribe(world, "ALTER SUBSCRIPTION data DISABLE");
        two.beat(world, &format!("INSERT INTO t VALUES ({}, 'new')", 200 + number));
        demand_breach(world, &urls, DISABLED, &what);
        demand_unknown(&urls, &["Subscription data is disabled"], &what);
        two.subscribe(world, "ALTER SUBSCRIPTION data ENABLE");
        two.healthy(&what);
    }
}

/// No verdict may come from what a session shows of a time.
fn zones(world: &World) {
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
    let two = Two::new(world, "dropped", &Options::default());
    let urls = two.urls();
    two.subscribe(world, "ALTER SUBSCRIPTION data DISABLE");
    world.run(async {
        let client = two.publisher.client("postgres").await.unwrap();
        until_done(&client, "SELECT pg_drop_replication_slot('data')").await;
    });
    two.beat(world, "INSERT INTO t VALUES (2, 'b')");
    two.subscribe(world, "ALTER SUBSCRIPTION data ENABLE");
    let gone = ["subscription/data unknown: its slot is gone, or another source has it"];
    await_lag(&urls, 3, &gone, "no slot any more");
    demand_objective(world, &urls, ("1s", "2500ms"), 3, &gone, "no slot any more, for longer than is allowed");
    demand_unknown(&urls, &["did not"], "no slot any more");

    let two = Two::new(world, "limit", &short_memory());
    let urls = two.urls();
    // Alone: what is written fast enough to lose one slot may lose another one.
    two.subscribe(world, "DROP SUBSCRIPTION heartbeat");
    world.run(limit_slots(&two.publisher));
    two.subscribe(world, "ALTER SUBSCRIPTION data DISABLE");
    let inactive = "SELECT active::text FROM pg_replication_slots WHERE slot_name = 'data'";
    world.run(until_text(&two.publisher, inactive, "false"));
    two.publish(world, "INSERT INTO t VALUES (2, 'b')");
    world.run(churn(&two.publisher));
    let lost = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'data'";
    world.run(until_text(&two.publisher, lost, "lost"));
    two.subscribe(world, "ALTER SUBSCRIPTION data ENABLE");
    let broken = [
        "subscription/data broken: | slot data | create the subscription anew, with a fresh copy",
        "coverage not_published public.beat",
    ];
    await_lag(&urls, 1, &broken, "what the slot needs was removed");
    demand_unknown(&urls, &["did not"], "what the slot needs was removed");
}
