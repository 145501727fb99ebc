//! `paritas lag` against real servers: every state, and never a lag that is not there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod history;

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{
    Install, Mode, Options, Server, logical_replica, promote, standby, standby_through, wait_replayed, wait_subscribed,
};
use paritas_testbed::proxy::{Behaviour, Proxy};
use paritas_tests::Run;
use paritas_tests::lag::{LIMIT, call, check, configuration, configured, pair, primary, state, stream, until};
use serde_json::Value;
use std::time::{Duration, Instant};

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, pad text)";
/// Measures until the replica is caught up; before that it may be unknown, and nothing is ever proven.
async fn never_false(source: &str, replica: &str) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let run = pair(source, replica, &[]).await;
        let (state, low) = (state(&run), stream(&run)["seconds"]["low"].as_f64());
        assert!(["caught_up", "behind"].contains(&state.as_str()) && low == Some(0.0), "{run:#?}");
        if state == "caught_up" {
            break;
        }
        assert_ne!(run.code, 1, "{run:#?}");
        assert!(Instant::now() < deadline, "{run:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_primary_is_caught_up_and_stays_so_even_with_an_open_transaction() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, Options::default().set("wal_writer_delay", "200ms"), TABLE).await;
    let standby = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    let (source, replica) = (primary.url("postgres"), standby.url("postgres"));
    let first = until("caught up", &source, &replica, |run| state(run) == "caught_up").await.expect_code(0);
    assert_eq!(first.json()["run"]["command"], "lag");
    // For a while nothing is written; whatever the servers' clocks say, no lag grows.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        let run = pair(&source, &replica, &[]).await.expect_code(0);
        let stream = stream(&run);
        assert!(stream["seconds"]["high"].as_f64().unwrap() < 1.5, "{stream:#}");
        assert_eq!(stream["seconds"]["low"], 0.0);
    }
    // An open transaction is in the source's memory only: no replica can have it.
    let client = primary.client("postgres").await.unwrap();
    client.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
    never_false(&source, &replica).await;
    // The same with half a record at the end of what is written: its rest stays in memory until the server
    // logs its open transactions. Nobody sees whether it is half a record, so it may be called unknown.
    let pages = "INSERT INTO t SELECT n, repeat('x', 500) FROM generate_series(2, 60) n";
    client.batch_execute(pages).await.unwrap();
    never_false(&source, &replica).await;
    client.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_the_interval_contains_the_age_of_a_probe_row() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, Options::default(), TABLE).await;
    let standby = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    let (source, replica) = (primary.url("postgres"), standby.url("postgres"));
    // Every commit on the standby is delayed by two seconds, while rows come all the time.
    standby.batch("postgres", "ALTER SYSTEM SET recovery_min_apply_delay = '2s'").await.unwrap();
    standby.batch("postgres", "SELECT pg_reload_conf()").await.unwrap();
    let writer = primary.client("postgres").await.unwrap();
    let epoch = Instant::now();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writing = tokio::spawn({
        let stop = stop.clone();
        async move {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let now = i64::try_from(epoch.elapsed().as_micros()).unwrap();
                writer.execute("INSERT INTO t VALUES ($1)", &[&now]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let reader = standby.client("postgres").await.unwrap();
    let newest = async || -> i64 { reader.query_one("SELECT coalesce(max(id), 0) FROM t", &[]).await.unwrap().get(0) };
    while newest().await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..3 {
        let before = Instant::now();
        let run = pair(&source, &replica, &["--for", "4s"]).await.expect_code(0);
        // The age of the newest row that the standby shows, by this process's clock alone: every row
        // stands for its own moment, and the next one follows within some milliseconds.
        let shown = newest().await;
        let after = Instant::now();
        let age = (after - epoch).as_secs_f64() - shown as f64 / 1e6;
        let stream = stream(&run);
        // On a busy machine the writer may pause for so long that the replica has nothing due.
        assert!(["behind", "stalled"].contains(&stream["state"].as_str().unwrap()), "{run:#?}");
        assert!(stream["bytes"].as_u64().unwrap() > 0);
        let (low, high) = (stream["seconds"]["low"].as_f64().unwrap(), stream["seconds"]["high"].as_f64().unwrap());
        assert!(after > before && low <= high);
        // The measurement ended before the probe was read; the lag moves by a few rows between the two.
        assert!(low <= age + 0.5 && age - 1.0 <= high, "[{low}, {high}] and a probe of {age} s");
        assert!(low > 0.0, "[{low}, {high}] with a delay of 2 s");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_replay_is_stalled_and_a_breach_is_proven_by_time() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, Options::default(), TABLE).await;
    let standby = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    let file = configuration(scratch.path(), &primary, &standby, "objectives = { lag = \"1s\" }");
    standby.batch("postgres", "SELECT pg_wal_replay_pause()").await.unwrap();
    primary.batch("postgres", "INSERT INTO t SELECT n FROM generate_series(1, 1000) n").await.unwrap();
    // A second is not over yet when it is seen first: no breach is claimed that is not proven.
    let run = configured(&file, &["--json"]).await;
    let stalled = stream(&run);
    assert_eq!(stalled["state"], "stalled", "{run:#?}");
    assert!(stalled["reason"].as_str().unwrap().contains("replay is paused"), "{stalled:#}");
    assert!(stalled["hint"].as_str().unwrap().contains("pg_wal_replay_resume"));
    assert!(stalled["bytes"].as_u64().unwrap() > 0);
    let run = configured(&file, &["--json", "--for", "2500ms"]).await.expect_code(1);
    assert!(stream(&run)["seconds"]["low"].as_f64().unwrap() > 1.0);
    let text = configured(&file, &["--for", "1200ms"]).await;
    assert!(text.stdout.contains("stalled") && text.stdout.contains("reason: replay is paused"), "{text:#?}");
    let plugin = configured(&file, &["--exit-style", "nagios", "--for", "2500ms"]).await.expect_code(2);
    assert!(plugin.stdout.starts_with("PARITAS CRITICAL - trading: stalled"), "{plugin:#?}");
    assert!(plugin.stdout.contains("'wal/1 lag'=") && plugin.stdout.contains(";1;1 "), "{plugin:#?}");
    standby.batch("postgres", "SELECT pg_wal_replay_resume()").await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    configured(&file, &["--json"]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_link_is_unknown_and_never_zero_and_a_stopped_standby_too() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, Options::default(), TABLE).await;
    let proxy = Proxy::start(primary.port()).await.unwrap();
    let mut standby = standby_through(&primary, "p2", proxy.port()).await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    let (source, replica) = (primary.url("postgres"), standby.url("postgres"));
    until("caught up", &source, &replica, |run| state(run) == "caught_up").await.expect_code(0);
    proxy.set(Behaviour::Refuse);
    // Nothing is missing yet, and still nobody may call that a lag of zero.
    let run = until("the cut", &source, &replica, |run| state(run) == "unknown").await.expect_code(3);
    let cut = stream(&run);
    assert!(cut["reason"].as_str().unwrap().contains("not connected to its source"), "{cut:#}");
    assert_eq!((&cut["bytes"], &cut["seconds"]), (&Value::Null, &Value::Null), "{cut:#}");
    assert!(cut["why"]["bytes"].as_str().unwrap().contains("not connected"), "{cut:#}");
    // What is missing now is a fact, and its age grows.
    primary.batch("postgres", "INSERT INTO t SELECT n FROM generate_series(1, 1000) n").await.unwrap();
    let run = pair(&source, &replica, &[]).await.expect_code(3);
    let cut = stream(&run);
    assert_eq!(cut["state"], "unknown");
    assert!(cut["bytes"].as_u64().unwrap() > 0 && cut["seconds"]["high"].is_null(), "{cut:#}");
    let file = configuration(scratch.path(), &primary, &standby, "objectives = { lag = \"500ms\" }");
    configured(&file, &["--json", "--for", "1500ms"]).await.expect_code(1);
    standby.stop(Mode::Fast).await.unwrap();
    let run = pair(&source, &replica, &[]).await.expect_code(3);
    assert_eq!(check(&run, "lag")["problem"]["code"], "store.unreachable");
    assert_eq!(check(&run, "lag")["verdict"], "unknown");
    let text = call(vec!["lag".into(), source, replica]).await.expect_code(3);
    assert!(text.stdout.starts_with("UNKNOWN") && text.stdout.contains("lag could not be"), "{text:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_lost_is_broken() {
    let scratch = Scratch::new().unwrap();
    let options = Options::default().set("wal_keep_size", "0").set("max_slot_wal_keep_size", "1MB");
    let options = options.set("max_wal_size", "64MB").set("min_wal_size", "32MB");
    let primary = primary(&scratch, options, TABLE).await;
    let proxy = Proxy::start(primary.port()).await.unwrap();
    let standby = standby_through(&primary, "p2", proxy.port()).await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    proxy.set(Behaviour::Refuse);
    let (source, replica) = (primary.url("postgres"), standby.url("postgres"));
    until("the cut", &source, &replica, |run| state(run) == "unknown").await;
    for _ in 0..4 {
        let fill =
            "INSERT INTO t SELECT extract(epoch FROM clock_timestamp()) * 1e6 + n FROM generate_series(1, 1000) n";
        primary.batch("postgres", fill).await.unwrap();
        primary.batch("postgres", "SELECT pg_switch_wal()").await.unwrap();
    }
    primary.batch("postgres", "CHECKPOINT").await.unwrap();
    let run = pair(&source, &replica, &[]).await.expect_code(1);
    let broken = stream(&run);
    assert_eq!(broken["state"], "broken", "{run:#?}");
    assert!(broken["reason"].as_str().unwrap().contains("slot p2"), "{broken:#}");
    proxy.set(Behaviour::Pass);
    let run = pair(&source, &replica, &[]).await.expect_code(1);
    assert_eq!(state(&run), "broken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_followed_and_what_stops_it_is_named() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, Options::default(), TABLE).await;
    let subscriber = logical_replica(&primary, "sub", TABLE, &["t"]).await.unwrap();
    let (source, replica) = (primary.url("postgres"), subscriber.url("postgres"));
    primary.batch("postgres", "INSERT INTO t VALUES (1)").await.unwrap();
    wait_subscribed(&primary, &subscriber).await.unwrap();
    let run = until("caught up", &source, &replica, |run| state(run) == "caught_up").await.expect_code(0);
    assert_eq!(stream(&run)["stream"], "subscription/sub");
    assert_eq!(check(&run, "coverage")["verdict"], "pass");

    subscriber.batch("postgres", "ALTER SUBSCRIPTION sub DISABLE").await.unwrap();
    primary.batch("postgres", "INSERT INTO t SELECT n FROM generate_series(2, 1000) n").await.unwrap();
    let run = until("the stall", &source, &replica, |run| state(run) == "stalled").await;
    let stalled = stream(&run);
    assert!(stalled["reason"].as_str().unwrap().contains("subscription sub is disabled"), "{stalled:#}");
    assert!(stalled["bytes"].as_u64().unwrap() > 0);
    assert_ne!(run.code, 0);
    subscriber.batch("postgres", "ALTER SUBSCRIPTION sub ENABLE").await.unwrap();
    wait_subscribed(&primary, &subscriber).await.unwrap();

    // What is not replicated is named: for two stores a warning, for a configured link a breach.
    let more = "CREATE TABLE left_out (id int PRIMARY KEY); CREATE TABLE added (id int PRIMARY KEY); \
                ALTER PUBLICATION sub ADD TABLE added";
    primary.batch("postgres", more).await.unwrap();
    wait_subscribed(&primary, &subscriber).await.unwrap();
    let run = until("caught up again", &source, &replica, |run| state(run) == "caught_up").await.expect_code(1);
    let items = check(&run, "coverage")["items"].clone();
    let of = |what: &str| items.as_array().unwrap().iter().find(|item| item["what"] == what).unwrap().clone();
    assert_eq!(
        (&of("public.left_out")["kind"], &of("public.left_out")["verdict"]),
        (&"not_published".into(), &"warn".into())
    );
    assert_eq!(
        (&of("public.added")["kind"], &of("public.added")["verdict"]),
        (&"not_subscribed".into(), &"fail".into())
    );
    let file = configuration(scratch.path(), &primary, &subscriber, "exclude = [\"public.added\"]");
    let run = configured(&file, &[]).await.expect_code(1);
    assert!(run.stdout.contains("fail public.left_out: no publication of subscription sub has it"), "{run:#?}");
    assert!(!run.stdout.contains("public.added"), "{run:#?}");
    let file = configuration(scratch.path(), &primary, &subscriber, "include = [\"public.t\"]");
    configured(&file, &[]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_promoted_servers_and_wrong_directions_are_told_apart() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, Options::default(), TABLE).await;
    let standby = standby(&primary, "p2").await.unwrap();
    let install = Install::find().unwrap();
    let stranger = Server::start(&install, &scratch, "stranger", Options::default()).await.unwrap();
    let subscriber = logical_replica(&primary, "sub", TABLE, &["t"]).await.unwrap();
    let url = |server: &Server| server.url("postgres");
    let code = |run: &Run| check(run, "lag")["problem"]["code"].as_str().unwrap_or_default().to_owned();
    let run = pair(&url(&primary), &url(&stranger), &[]).await.expect_code(3);
    assert_eq!(code(&run), "replication.none");
    // A subscription of somebody else's: the slot is not here.
    let run = pair(&url(&stranger), &url(&subscriber), &[]).await.expect_code(3);
    assert_eq!(code(&run), "replication.none");
    assert!(
        check(&run, "lag")["problem"]["detail"].as_str().unwrap().contains("no replication slot \"sub\""),
        "{run:#?}"
    );
    let run = pair(&url(&standby), &url(&primary), &[]).await.expect_code(3);
    assert_eq!(code(&run), "usage.direction");
    let run = pair(&url(&stranger), &url(&standby), &[]).await.expect_code(1);
    assert!(stream(&run)["reason"].as_str().unwrap().contains("another cluster"), "{run:#?}");
    // A standby of the subscriber shows the source's rows, by a way that goes through another server.
    let second = self::standby(&subscriber, "p3").await.unwrap();
    wait_replayed(&subscriber, &second).await.unwrap();
    let run = pair(&url(&primary), &url(&second), &[]).await.expect_code(3);
    assert!(stream(&run)["reason"].as_str().unwrap().contains("name that server as the replica"), "{run:#?}");
    let run =
        until("the subscriber's standby", &url(&subscriber), &url(&second), |run| state(run) == "caught_up").await;
    assert_eq!(stream(&run)["stream"], "wal/1");
    // The subscription's slot would be lost where the standby takes over.
    let run = pair(&url(&primary), &url(&standby), &[]).await;
    assert!(check(&run, "coverage")["items"][0]["what"].as_str().unwrap().contains("slot sub"), "{run:#?}");
    promote(&standby).await.unwrap();
    primary.batch("postgres", "INSERT INTO t VALUES (1)").await.unwrap();
    let run = pair(&url(&primary), &url(&standby), &[]).await.expect_code(1);
    assert_eq!((state(&run).as_str(), code(&run).as_str()), ("broken", "lineage.forked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_never_fences_against_a_stranger() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, Options::default(), TABLE).await;
    let subscriber = logical_replica(&primary, "sub", TABLE, &["t"]).await.unwrap();
    let install = Install::find().unwrap();
    let stranger = Server::start(&install, &scratch, "stranger", Options::default()).await.unwrap();
    stranger.batch("postgres", TABLE).await.unwrap();
    let verify = async |source: &Server| {
        let words = ["verify".to_owned(), "--json".to_owned(), source.url("postgres"), subscriber.url("postgres")];
        call(words.to_vec()).await
    };
    let run = verify(&stranger).await.expect_code(3);
    assert_eq!(check(&run, "parity")["problem"]["code"], "replication.none", "{run:#?}");
    let run = verify(&primary).await.expect_code(0);
    assert!(check(&run, "parity")["fence"].is_string(), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_privileges_lag_is_unknown_and_the_grant_is_named() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, Options::default(), TABLE).await;
    primary.batch("postgres", "CREATE ROLE plain LOGIN").await.unwrap();
    let standby = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    let plain = |server: &Server| server.url("postgres").replace("postgres@", "plain@");
    let run = pair(&plain(&primary), &plain(&standby), &[]).await.expect_code(3);
    let stream = stream(&run);
    assert_eq!((&stream["state"], &stream["bytes"]), (&"unknown".into(), &Value::Null), "{stream:#}");
    assert!(stream["reason"].as_str().unwrap().contains("GRANT pg_monitor TO \"plain\""), "{stream:#}");
}
