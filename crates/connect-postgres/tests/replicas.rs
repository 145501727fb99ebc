//! Standbys and subscribers: positions, fences, scans, recovery conflicts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::{Context, Datasets, FailureKind, Positions, ReplicaRole, Store};
use paritas_connect_postgres::PostgresStore;
use paritas_digest::Policies;
use paritas_model::{Known, Position};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Install, Server, logical_replica_of, promote, standby};
use rstest::rstest;
use std::time::Duration;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, pad text)";
const FILL: &str = "INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n; ANALYZE t";

async fn primary(scratch: &Scratch, options: postgres::Options) -> (Server, PostgresStore) {
    primary_of(scratch, &Install::find().unwrap(), options).await
}

async fn primary_of(scratch: &Scratch, install: &Install, options: postgres::Options) -> (Server, PostgresStore) {
    let server = Server::start(install, scratch, "p1", options).await.unwrap();
    server.batch("postgres", TABLE).await.unwrap();
    let store = store(&server.url("postgres"));
    (server, store)
}

fn positions(store: &PostgresStore) -> &dyn Positions {
    store.positions().unwrap()
}

async fn rows(store: &PostgresStore) -> usize {
    let canon = canon_of(store, &store.describe(&cx(), &dataset("t")).await.unwrap(), Policies::default());
    let scan = store.open(&cx().with_parallel(2), &request("t", canon)).await.unwrap();
    assert!(matches!(scan.position(), Known::Known(_)));
    read_all(&*scan).await.unwrap().rows()
}

fn short() -> Context {
    Context::default().with_timeout(Duration::from_millis(400))
}

#[rstest]
#[case(14)]
#[case(15)]
#[case(18)]
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_shows_what_the_fence_covers(#[case] major: u32) {
    let Some(install) = install(major) else { return };
    let scratch = Scratch::new().unwrap();
    let (primary, source) = primary_of(&scratch, &install, postgres::Options::default()).await;
    let standby = standby(&primary, "p2").await.unwrap();
    let replica = store(&standby.url("postgres"));
    let (here, there) = (source.probe(&cx()).await.unwrap(), replica.probe(&cx()).await.unwrap());
    assert_eq!(here.identity, there.identity);
    assert_eq!((here.role, there.role), (ReplicaRole::Primary, ReplicaRole::PhysicalReplica));

    for round in 1..=20 {
        primary.batch("postgres", &format!("INSERT INTO t VALUES ({round})")).await.unwrap();
        let fence = positions(&source).current(&cx()).await.unwrap();
        let reached = positions(&replica).wait_for(&cx(), &fence).await.unwrap();
        assert!(reached.value >= fence.value && reached.lineage == fence.lineage);
        assert_eq!(rows(&replica).await, round);
        let own = positions(&replica).current(&cx()).await.unwrap();
        assert_eq!(own.lineage, fence.lineage);
    }

    // Replay stands still: the fence is not reached, and the error says how far it came.
    standby.batch("postgres", "SELECT pg_wal_replay_pause()").await.unwrap();
    primary.batch("postgres", FILL.replace("n, ", "n + 100, ").as_str()).await.unwrap();
    let fence = positions(&source).current(&cx()).await.unwrap();
    let error = positions(&replica).wait_for(&short(), &fence).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("run.deadline", FailureKind::Deadline));
    let detail = error.detail_text().unwrap();
    assert!(detail.contains(&fence.text) && detail.contains("It reached 0/"), "{detail}");
    standby.batch("postgres", "SELECT pg_wal_replay_resume()").await.unwrap();
    positions(&replica).wait_for(&cx(), &fence).await.unwrap();
    assert_eq!(rows(&replica).await, 20_020);

    // After a promotion the two go different ways.
    promote(&standby).await.unwrap();
    primary.batch("postgres", "INSERT INTO t VALUES (0)").await.unwrap();
    let fence = positions(&source).current(&cx()).await.unwrap();
    let replica = store(&standby.url("postgres"));
    let error = positions(&replica).wait_for(&cx(), &fence).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("lineage.forked", FailureKind::Permanent));
    let own = positions(&replica).current(&cx()).await.unwrap();
    assert!(own.lineage.0.ends_with("/2") && fence.lineage.0.ends_with("/1"), "{own:?} {fence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_cancelled_by_recovery_says_so_and_a_new_one_works() {
    let scratch = Scratch::new().unwrap();
    let options = postgres::Options::default().set("max_standby_streaming_delay", "0").set("autovacuum", "off");
    let (primary, source) = primary(&scratch, options).await;
    primary.batch("postgres", FILL).await.unwrap();
    let standby = standby(&primary, "p2").await.unwrap();
    let replica = store(&standby.url("postgres"));
    let canon = canon_of(&replica, &replica.describe(&cx(), &dataset("t")).await.unwrap(), Policies::default());
    let scan = replica.open(&cx().with_parallel(4), &request("t", canon)).await.unwrap();
    let mut sink = Collect::default();
    scan.read(&cx(), &scan.splits()[0], &mut sink).await.unwrap();
    // What the view still needs is removed on the primary, and the removal replayed.
    primary.batch("postgres", "DELETE FROM t WHERE id > 10").await.unwrap();
    primary.batch("postgres", "VACUUM t").await.unwrap();
    let fence = positions(&source).current(&cx()).await.unwrap();
    positions(&replica).wait_for(&cx(), &fence).await.unwrap();
    for split in scan.splits() {
        let error = scan.read(&cx(), split, &mut Collect::default()).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("store.conflict", FailureKind::Transient), "{error:?}");
        assert!(error.hint_text().unwrap().contains("hot_standby_feedback"));
    }
    assert_eq!(rows(&replica).await, 10);
}

#[rstest]
#[case(15, 15)]
#[case(14, 18)]
#[case(17, 16)]
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_is_waited_for_in_its_publishers_positions(#[case] from: u32, #[case] to: u32) {
    let (Some(from), Some(to)) = (install(from), install(to)) else { return };
    let scratch = Scratch::new().unwrap();
    let (primary, source) = primary_of(&scratch, &from, postgres::Options::default()).await;
    primary.batch("postgres", FILL).await.unwrap();
    let subscriber = logical_replica_of(&to, &primary, "sub", TABLE, &["t"]).await.unwrap();
    let replica = store(&subscriber.url("postgres"));
    let role = ReplicaRole::LogicalReplica { subscriptions: vec!["sub".to_owned()] };
    assert_eq!(replica.probe(&cx()).await.unwrap().role, role);
    // The publisher knows its subscribers by their slots; nobody else has those.
    let (ours, theirs) =
        (positions(&source).observe(&cx()).await.unwrap(), positions(&replica).observe(&cx()).await.unwrap());
    let followed = theirs.followed.iter().find(|followed| !followed.physical).unwrap();
    assert_eq!((ours.feeds(followed).is_ok(), theirs.feeds(followed).is_ok()), (true, false), "{followed:?}");
    for round in 1..=20 {
        primary.batch("postgres", &format!("INSERT INTO t VALUES (-{round})")).await.unwrap();
        let fence = positions(&source).current(&cx()).await.unwrap();
        let reached = positions(&replica).wait_for(&cx(), &fence).await.unwrap();
        assert!(reached.value >= fence.value && reached.lineage == fence.lineage);
        assert_eq!(rows(&replica).await, 20_000 + round);
    }
    subscriber.batch("postgres", "ALTER SUBSCRIPTION sub DISABLE").await.unwrap();
    primary.batch("postgres", "INSERT INTO t VALUES (-100)").await.unwrap();
    let fence = positions(&source).current(&cx()).await.unwrap();
    let error = positions(&replica).wait_for(&short(), &fence).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Deadline);
    assert!(error.detail_text().unwrap().contains("sub is disabled"), "{error:?}");
    subscriber.batch("postgres", "ALTER SUBSCRIPTION sub ENABLE").await.unwrap();
    positions(&replica).wait_for(&cx(), &fence).await.unwrap();
    assert_eq!(rows(&replica).await, 20_021);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_no_replica_and_a_source_waits_for_itself() {
    let scratch = Scratch::new().unwrap();
    let (_primary, source) = primary(&scratch, postgres::Options::default()).await;
    let fence: Position = positions(&source).current(&cx()).await.unwrap();
    positions(&source).wait_for(&cx(), &fence).await.unwrap();
    let stranger = store(&server().await.url("postgres"));
    let error = positions(&stranger).wait_for(&cx(), &fence).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("replication.none", FailureKind::Permanent));
}
