//! `paritas lag` where positions look equal, or still, for another reason than they should.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{
    Install, Mode, Options, Server, archived, cut_off, logical_replica, standby, wait_copied, wait_replayed,
};
use paritas_tests::lag::{self, Frozen, named as stream, primary, says, streams, until_text};
use paritas_tests::{Run, paritas};
use serde_json::Value;
use std::fs;

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY)";

async fn pair(source: &Server, replica: &Server, more: &[&str]) -> Run {
    lag::pair(&source.url("postgres"), &replica.url("postgres"), more).await
}

async fn until(what: &str, source: &Server, replica: &Server, wanted: impl Fn(&Run) -> bool) -> Run {
    lag::until(what, &source.url("postgres"), &replica.url("postgres"), wanted).await
}
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_hangs_while_it_says_that_it_waits_is_not_caught_up() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, Options::default(), TABLE).await;
    let standby = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    until("caught up", &primary, &standby, |run| run.code == 0 && stream(run, "wal/1")["state"] == "caught_up").await;
    let startup = "SELECT coalesce(min(wait_event), '-') FROM pg_stat_activity WHERE backend_type = 'startup'";
    until_text(&standby, startup, "RecoveryWalStream").await;
    let frozen = Frozen::replay(&standby).await;
    primary.batch("postgres", "INSERT INTO t VALUES (1)").await.unwrap();
    let end = lag::text(&primary, "SELECT pg_current_wal_flush_lsn()::text").await;
    let arrived = format!("SELECT (pg_last_wal_receive_lsn() >= '{end}')::text");
    until_text(&standby, &arrived, "true").await;
    for time in ["200ms", "3s"] {
        let run = pair(&primary, &standby, &["--for", time]).await;
        let stream = stream(&run, "wal/1");
        assert!(run.code != 0 && stream["state"] != "caught_up", "{run:#?}");
        assert!(stream["bytes"].as_u64().unwrap() > 0, "{stream:#}");
        assert!(time == "200ms" || stream["state"] == "stalled", "{stream:#}");
    }
    drop(frozen);
    wait_replayed(&primary, &standby).await.unwrap();
    until("caught up again", &primary, &standby, |run| run.code == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_of_a_copy_is_none_of_the_original_and_a_cascade_is() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, Options::default(), TABLE).await;
    let mut copy = standby(&primary, "copy").await.unwrap();
    wait_replayed(&primary, &copy).await.unwrap();
    let second = standby(&copy, "second").await.unwrap();
    wait_replayed(&primary, &second).await.unwrap();
    let run = until("a cascade", &primary, &second, |run| run.code == 0).await;
    assert_eq!(stream(&run, "wal/1")["state"], "caught_up");
    until("its second half", &copy, &second, |run| run.code == 0).await;
    // The copy becomes a server of its own, without a timeline of its own.
    copy.stop(Mode::Fast).await.unwrap();
    fs::remove_file(copy.data_dir().join("standby.signal")).unwrap();
    copy.start_again().await.unwrap();
    copy.batch("postgres", "INSERT INTO t VALUES (1)").await.unwrap();
    wait_replayed(&copy, &second).await.unwrap();
    until("the copy", &copy, &second, |run| run.code == 0).await;
    // The original comes further than its false standby.
    primary.batch("postgres", "INSERT INTO t SELECT generate_series(1, 10000)").await.unwrap();
    let run = pair(&primary, &second, &["--for", "2s"]).await.expect_code(3);
    let stream = stream(&run, "wal/1");
    let from = format!("the source feeds nobody; the replica is connected to 127.0.0.1:{}", copy.port());
    assert!(stream["state"] == "unknown" && says(&stream, &from), "{stream:#}");
    assert_eq!((&stream["bytes"], &stream["seconds"]), (&Value::Null, &Value::Null), "{stream:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_whose_slot_is_gone_is_seen_beside_one_that_follows() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, Options::default(), TABLE).await;
    let subscriber = logical_replica(&primary, "sub", TABLE, &["t"]).await.unwrap();
    let install = Install::find().unwrap();
    let other = Server::start(&install, &scratch, "other", Options::default()).await.unwrap();
    subscriber.batch("postgres", "CREATE TABLE u (id bigint PRIMARY KEY)").await.unwrap();
    for (server, name) in [(&primary, "mine"), (&other, "theirs")] {
        let table = format!("CREATE TABLE {name} (id bigint PRIMARY KEY)");
        server.batch("postgres", &format!("{table}; CREATE PUBLICATION {name} FOR TABLE {name}")).await.unwrap();
        let from = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", server.port());
        subscriber.batch("postgres", &table).await.unwrap();
        let sql = format!("CREATE SUBSCRIPTION {name} CONNECTION '{from}' PUBLICATION {name}");
        subscriber.batch("postgres", &sql).await.unwrap();
    }
    wait_copied(&subscriber, "postgres").await.unwrap();
    // One that follows another server is no concern of this link.
    let all = |run: &Run| streams(run).iter().all(|stream| stream["state"] == "caught_up");
    let run = until("both", &primary, &subscriber, |run| run.code == 0 && all(run)).await;
    assert_eq!(streams(&run).len(), 2, "{run:#?}");
    assert!(run.stdout.contains("not from this source"), "{run:#?}");
    subscriber.batch("postgres", "ALTER SUBSCRIPTION mine DISABLE").await.unwrap();
    let drop_it = "SELECT count(pg_drop_replication_slot(slot_name))::text FROM pg_replication_slots \
                   WHERE slot_name = 'mine' AND NOT active";
    until_text(&primary, drop_it, "1").await;
    subscriber.batch("postgres", "ALTER SUBSCRIPTION mine ENABLE").await.unwrap();
    for _ in 0..5 {
        let run = pair(&primary, &subscriber, &[]).await.expect_code(3);
        let gone = stream(&run, "subscription/mine");
        assert!(gone["state"] == "unknown" && says(&gone, "its slot is gone"), "{run:#?}");
        assert_eq!(streams(&run).len(), 2, "{run:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_waits_for_the_next_segment_of_an_archive_is_not_stalled() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("archive");
    let primary = primary(&scratch, Options::default().archive(&folder).restore_from(&folder), TABLE).await;
    let standby = standby(&primary, "p2").await.unwrap();
    cut_off(&standby).await.unwrap();
    primary.batch("postgres", "INSERT INTO t VALUES (1)").await.unwrap();
    archived(&primary).await.unwrap();
    primary.batch("postgres", "INSERT INTO t VALUES (2)").await.unwrap();
    until_text(&standby, "SELECT count(*)::text FROM t", "1").await;
    let run = pair(&primary, &standby, &["--for", "3s"]).await;
    let stream = stream(&run, "wal/1");
    assert!(stream["state"] == "behind" && says(&stream, "it replays an archive, segment by segment"), "{run:#?}");
    assert!(run.code != 0, "{run:#?}");
    assert!(stream["why"]["seconds.high"].as_str().unwrap().contains("use --for longer than the critical level"));
}

#[test]
fn a_time_that_nobody_waits_for_is_a_usage_error() {
    let run =
        paritas(&["lag", "--for", "99999999d", "postgres://127.0.0.1/a", "postgres://127.0.0.1/b"]).expect_code(2);
    assert!(run.stderr.contains("write 7d at most"), "{run:#?}");
}
