//! What servers say about replication: primary, standby, subscriber; with and without privileges.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::{Coverage, Feed, Followed, Observation, ReplicaRole, Store};
use paritas_connect_postgres::PostgresStore;
use paritas_model::{Dataset, Known, Stream};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Server, logical_replica, promote, standby, standby_through, wait_replayed};
use paritas_testbed::proxy::{Behaviour, Proxy};
use std::time::Duration;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, pad text)";

async fn primary(scratch: &Scratch, options: postgres::Options) -> (Server, PostgresStore) {
    let server = start(scratch, "p1", options).await;
    server.batch("postgres", TABLE).await.unwrap();
    let store = store(&server.url("postgres"));
    (server, store)
}

async fn seen(store: &PostgresStore) -> Observation {
    store.positions().unwrap().observe(&cx()).await.unwrap()
}

async fn covered(store: &PostgresStore) -> Coverage {
    store.positions().unwrap().coverage(&cx()).await.unwrap()
}

/// Looks until the one stream that a store follows is as wanted.
async fn until(store: &PostgresStore, what: &str, wanted: impl Fn(&Followed) -> bool) -> Observation {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let seen = seen(store).await;
        if wanted(&seen.followed[0]) {
            return seen;
        }
        assert!(std::time::Instant::now() < deadline, "{what}: {seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn end(observation: &Observation) -> u64 {
    observation.stream(&Stream("wal".into())).unwrap().end.value().unwrap().value
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_and_its_standby_agree_on_one_history() {
    let scratch = Scratch::new().unwrap();
    let (primary, source) = primary(&scratch, postgres::Options::default()).await;
    let standby = standby(&primary, "p2").await.unwrap();
    let replica = store(&standby.url("postgres"));
    wait_replayed(&primary, &standby).await.unwrap();
    let there = until(&replica, "the same end", |followed| followed.applied.value().is_some()).await;
    let here = seen(&source).await;
    assert_eq!((&here.role, &there.role), (&ReplicaRole::Primary, &ReplicaRole::PhysicalReplica));
    assert_eq!(here.identity, there.identity);
    assert_ne!(here.place, there.place);
    let [followed] = there.followed.as_slice() else { panic!("{there:?}") };
    let produced = here.stream(&followed.of).unwrap();
    assert_eq!(produced.lineage, followed.lineage);
    assert_eq!((followed.stream.0.as_str(), followed.cursor.as_deref()), ("wal/1", Some("p2")));
    assert!(matches!(followed.feed, Feed::Connected { .. }), "{followed:?}");
    assert!(followed.obstacles.is_empty() && produced.written <= end(&here) && end(&here) <= produced.limit);
    assert!(followed.received.value().unwrap().value >= followed.applied.value().unwrap().value);
    assert!(here.cursor("p2").unwrap().active && here.reader("p2").unwrap().sent.is_some());
    assert_eq!(here.feeds(followed), Ok(()));
    assert!(produced.oldest.value().unwrap().value <= end(&here));
    assert!(here.end >= here.begin && here.limits.is_empty());

    // Replay is paused: it is said, and positions go apart.
    standby.batch("postgres", "SELECT pg_wal_replay_pause()").await.unwrap();
    primary.batch("postgres", "INSERT INTO t SELECT n FROM generate_series(1, 1000) n").await.unwrap();
    let paused = until(&replica, "the pause", |followed| !followed.obstacles.is_empty()).await;
    assert_eq!(paused.followed[0].obstacles[0].what, "replay is paused");
    assert!(paused.followed[0].applied.value().unwrap().value < end(&seen(&source).await));
    standby.batch("postgres", "SELECT pg_wal_replay_resume()").await.unwrap();

    // The same session sees the promotion.
    promote(&standby).await.unwrap();
    let promoted = seen(&replica).await;
    assert_eq!(promoted.role, ReplicaRole::Primary);
    assert!(promoted.followed.is_empty());
    let lineage = |observation: &Observation| observation.produced[0].lineage.value().unwrap().0.clone();
    assert!(lineage(&promoted).ends_with("/2") && lineage(&here).ends_with("/1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_receiver_counts_for_nothing_and_a_restarted_server_is_found_again() {
    let scratch = Scratch::new().unwrap();
    let (mut primary, source) = primary(&scratch, postgres::Options::default()).await;
    let proxy = Proxy::start(primary.port()).await.unwrap();
    let standby = standby_through(&primary, "p2", proxy.port()).await.unwrap();
    let replica = store(&standby.url("postgres"));
    until(&replica, "streaming", |followed| matches!(followed.feed, Feed::Connected { .. })).await;
    proxy.set(Behaviour::Refuse);
    let cut = until(&replica, "the cut", |followed| matches!(followed.feed, Feed::Cut { .. })).await;
    assert_eq!(cut.followed[0].received.why(), Some("not connected to its source"));
    assert!(cut.followed[0].applied.value().is_some());
    // The kept session ends with the server; the next call opens another one.
    seen(&source).await;
    primary.restart().await.unwrap();
    assert_eq!(seen(&source).await.role, ReplicaRole::Primary);
    primary.stop(postgres::Mode::Immediate).await.unwrap();
    let error = source.positions().unwrap().observe(&cx()).await.unwrap_err();
    assert_eq!(error.code(), "store.unreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_privileges_the_grant_is_named_and_nothing_is_zero() {
    let scratch = Scratch::new().unwrap();
    let (primary, source) = primary(&scratch, postgres::Options::default()).await;
    primary.batch("postgres", "CREATE ROLE plain LOGIN").await.unwrap();
    let standby = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    let as_plain = |server: &Server| store(&server.url("postgres").replace("postgres@", "plain@"));
    let there = seen(&as_plain(&standby)).await;
    let Feed::Unknown { why } = &there.followed[0].feed else { panic!("{there:?}") };
    assert!(why.contains("GRANT pg_monitor TO \"plain\""), "{why}");
    assert!(there.followed[0].received.value().is_none());
    assert!(there.limits[0].contains("GRANT pg_monitor TO \"plain\""), "{there:?}");
    let here = seen(&as_plain(&primary)).await;
    assert_eq!(here.reader("p2").and_then(|reader| reader.sent), None);
    assert_eq!(end(&here), end(&seen(&source).await));
    primary.batch("postgres", "REVOKE EXECUTE ON FUNCTION pg_control_recovery() FROM public").await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    let refused = as_plain(&standby).positions().unwrap().current(&cx()).await.unwrap_err();
    assert_eq!(refused.code(), "store.denied");
    let grant = "pg_control_system(), pg_control_checkpoint(), pg_control_recovery() TO \"plain\"";
    assert!(refused.detail_text().is_some_and(|detail| detail.contains(grant)), "{refused:?}");
    primary.batch("postgres", "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public").await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    let there = seen(&as_plain(&standby)).await;
    let Known::Unknown { why } = &there.followed[0].lineage else { panic!("{there:?}") };
    assert!(why.contains("GRANT EXECUTE ON FUNCTION pg_control_system()"), "{why}");
    assert!(there.place.value().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_says_how_far_it_is_and_why_it_does_not_go_on() {
    let scratch = Scratch::new().unwrap();
    let (primary, source) = primary(&scratch, postgres::Options::default()).await;
    let subscriber = logical_replica(&primary, "sub", TABLE, &["t"]).await.unwrap();
    let replica = store(&subscriber.url("postgres"));
    primary.batch("postgres", "INSERT INTO t VALUES (1)").await.unwrap();
    let target = end(&seen(&source).await);
    let reached = |followed: &Followed| followed.applied.value().is_some_and(|applied| applied.value >= target);
    let there = until(&replica, "the end", reached).await;
    let here = seen(&source).await;
    assert_eq!(there.role, ReplicaRole::LogicalReplica { subscriptions: vec!["sub".into()] });
    let [followed] = there.followed.as_slice() else { panic!("{there:?}") };
    assert_eq!((followed.stream.0.as_str(), followed.cursor.as_deref()), ("subscription/sub", Some("sub")));
    assert_eq!(here.feeds(followed), Ok(()));
    let cursor = here.cursor("sub").unwrap();
    assert!(cursor.logical && cursor.active && cursor.survives == Some(false) && cursor.lost.is_none());
    // The same subscription does not come from another database, nor from another server.
    primary.create_database("other").await.unwrap();
    let other = seen(&store(&primary.url("other"))).await;
    assert!(other.feeds(followed).unwrap_err().contains("another database"));
    let stranger = seen(&store(&server().await.url("postgres"))).await;
    assert!(stranger.feeds(followed).unwrap_err().contains("has no replication slot"));

    let plain = "CREATE ROLE plain LOGIN";
    subscriber.batch("postgres", plain).await.unwrap();
    let restricted = seen(&store(&subscriber.url("postgres").replace("postgres@", "plain@"))).await;
    assert!(restricted.followed[0].applied.value().is_some(), "{restricted:?}");

    // A lock in the way of the apply worker is named, with who holds it.
    let client = subscriber.client("postgres").await.unwrap();
    client.batch_execute("BEGIN; LOCK TABLE t").await.unwrap();
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    primary.batch("postgres", "INSERT INTO t VALUES (2)").await.unwrap();
    let blocked = until(&replica, "the lock", |followed| !followed.obstacles.is_empty()).await;
    assert!(blocked.followed[0].obstacles[0].what.contains(&format!("process {pid} holds")), "{blocked:?}");
    client.batch_execute("COMMIT").await.unwrap();

    subscriber.batch("postgres", "ALTER SUBSCRIPTION sub DISABLE").await.unwrap();
    let disabled = until(&replica, "the end of the worker", |f| matches!(f.feed, Feed::Cut { .. })).await;
    assert!(disabled.followed[0].obstacles[0].what.contains("sub is disabled"), "{disabled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn coverage_lists_what_is_offered_and_taken() {
    let scratch = Scratch::new().unwrap();
    let (primary, source) = primary(&scratch, postgres::Options::default()).await;
    let tables = "CREATE TABLE bare (id int); CREATE TABLE full_row (id int); ALTER TABLE full_row REPLICA IDENTITY FULL; \
        CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id); \
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10); \
        CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20); CREATE UNLOGGED TABLE gone (id int)";
    primary.batch("postgres", tables).await.unwrap();
    let subscriber =
        logical_replica(&primary, "sub", &format!("{TABLE}; {tables}"), &["t", "bare", "full_row", "parts"])
            .await
            .unwrap();
    primary.batch("postgres", "CREATE PUBLICATION few FOR TABLE parts_1 WITH (publish = 'insert')").await.unwrap();
    let here = covered(&source).await;
    let names = |datasets: &[Dataset]| datasets.iter().map(|dataset| dataset.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&here.datasets), ["public.bare", "public.full_row", "public.parts", "public.t"]);
    let offer = here.offers.iter().find(|offer| offer.name == "sub").unwrap();
    assert!(offer.without.is_empty());
    let of = |name: &str| offer.datasets.iter().find(|offered| offered.dataset.0 == name).unwrap();
    assert!(of("public.bare").unidentified.is_some());
    assert!(of("public.full_row").unidentified.is_none() && of("public.t").unidentified.is_none());
    assert_eq!(names(&of("public.parts").members), ["public.parts_1", "public.parts_2"]);
    assert_eq!(of("public.parts").filter, None);
    let some = here.offers.iter().find(|offer| offer.name == "few").unwrap();
    assert_eq!(some.without, ["update", "delete", "truncate"]);
    assert_eq!(some.datasets[0].filter.as_deref(), Some("only 1 of its 2 partitions"));
    let there = covered(&store(&subscriber.url("postgres"))).await;
    let [take] = there.takes.as_slice() else { panic!("{there:?}") };
    assert_eq!((take.name.as_str(), take.offers.as_slice()), ("sub", ["sub".to_owned()].as_slice()));
    let mut taken: Vec<&str> = take.datasets.iter().map(|(dataset, _)| dataset.0.as_str()).collect();
    taken.sort_unstable();
    assert_eq!(taken, ["public.bare", "public.full_row", "public.parts_1", "public.parts_2", "public.t"]);
    assert!(take.datasets.iter().all(|(_, open)| open.is_none()), "{take:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_filters_and_column_lists_are_named_where_they_exist() {
    let db = Db::new("CREATE TABLE t (id int PRIMARY KEY, a text, b text)").await;
    if db.server.install().major() < 15 {
        return;
    }
    db.run("CREATE PUBLICATION p FOR TABLE t (id, a) WHERE (id > 5)").await;
    let here = covered(&db.store).await;
    let offered = &here.offers[0].datasets[0];
    assert_eq!(offered.columns.as_deref(), Some(["id".to_owned(), "a".to_owned()].as_slice()));
    assert_eq!(offered.filter.as_deref(), Some("(id > 5)"));
}
