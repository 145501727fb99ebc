//! One view of several tables, and who wrote a row: before and after a promotion, on every version.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::{Authorship, Datasets, Scan, Seen, Store};
use paritas_connect_postgres::PostgresStore;
use paritas_model::Known;
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Server, promote, standby, wait_replayed};
use std::time::{Duration, Instant};

async fn authorship(store: &PostgresStore) -> Authorship {
    let standing = store.lineages().unwrap().standing(&cx()).await.unwrap();
    store.writers().unwrap().authorship(&cx(), standing.ancestry.value()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_of_a_held_view_show_one_moment() {
    let db =
        Db::new("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1)")
            .await;
    let held = db.store.hold(&cx()).await.unwrap().unwrap();
    let open = async |table: &str| {
        let canon = canon_of(&db.store, &db.describe(table).await, paritas_digest::Policies::default());
        held.open(&cx(), &request(table, canon)).await.unwrap()
    };
    let first = open("a").await;
    db.run("INSERT INTO a VALUES (2); INSERT INTO b VALUES (1)").await;
    let second = open("b").await;
    let rows = async |scan: &dyn Scan| read_all(scan).await.unwrap().rows();
    assert_eq!((rows(&*first).await, rows(&*second).await), (1, 0));
    assert_eq!(first.moment(), second.moment());
    assert_eq!(first.position(), second.position());
    let own = db
        .store
        .open(&cx(), &request("b", canon_of(&db.store, &db.describe("b").await, paritas_digest::Policies::default())))
        .await
        .unwrap();
    assert!(own.moment().unwrap().horizon.next > held.moment().horizon.next);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_names_the_transaction_that_wrote_it_and_views_know_whether_they_show_it() {
    let db = Db::new("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let open = async || {
        let canon = canon_of(&db.store, &db.describe("t").await, paritas_digest::Policies::default());
        db.store.open(&cx(), &request("t", canon)).await.unwrap()
    };
    let before = open().await.moment().unwrap().horizon;
    db.run("INSERT INTO t VALUES (2)").await;
    let scan = open().await;
    let now = scan.moment().unwrap().horizon;
    let keys = read_all(&*scan).await.unwrap().keys();
    let mut seen: Vec<Seen> = Vec::new();
    for row in scan.lookup().unwrap().fetch(&cx(), &keys).await.unwrap() {
        seen.push(before.seen(now.whole(row.version.unwrap())));
    }
    seen.sort_by_key(|seen| *seen == Seen::After);
    assert_eq!(seen, [Seen::Before, Seen::After]);
    let writers = db.store.writers().unwrap();
    assert_eq!(writers.committed(&cx(), &[now.next - 1, now.next + 1_000]).await.unwrap(), Known::Known(1));
    let times = writers.commit_times(&cx(), &[2, now.next - 1]).await.unwrap();
    assert!(times.len() == 2 && times[0].is_none(), "{times:?}");
}

async fn pair(major: u32) -> Option<(Scratch, Server, Server)> {
    let install = install(major)?;
    let scratch = Scratch::new().unwrap();
    let options = postgres::Options::default().set("autovacuum", "off").set("track_commit_timestamp", "on");
    let primary = Server::start(&install, &scratch, "p1", options).await.unwrap();
    primary.batch("postgres", "CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await.unwrap();
    let second = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &second).await.unwrap();
    Some((scratch, primary, second))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_transaction_of_a_new_primary_is_known_from_the_checkpoint_of_its_promotion() {
    for &major in postgres::MAJORS {
        let Some((_scratch, primary, second)) = pair(major).await else { continue };
        let old = store(&primary.url("postgres"));
        assert_eq!(authorship(&old).await.own_from.value(), None, "never promoted");
        let shared = authorship(&old).await.now;
        promote(&second).await.unwrap();
        let new = store(&second.url("postgres"));
        let deadline = Instant::now() + Duration::from_secs(60);
        let seen = loop {
            let seen = authorship(&new).await;
            if seen.own_from.value().is_some() {
                break seen;
            }
            assert!(Instant::now() < deadline, "{major}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(seen.own_from, Known::Known(shared.next), "{major}");
        assert_eq!(seen.now.next, shared.next, "{major}: nobody wrote yet");
        second.batch("postgres", "INSERT INTO t VALUES (2)").await.unwrap();
        let after = authorship(&new).await;
        assert_eq!((after.own_from, after.now.next), (Known::Known(shared.next), shared.next + 1), "{major}");
        let writers = new.writers().unwrap();
        let times = writers.commit_times(&cx(), &[shared.next - 1, shared.next]).await.unwrap();
        assert!(times[0].unwrap() < times[1].unwrap(), "{major}");
        second.batch("postgres", "CHECKPOINT").await.unwrap();
        assert_eq!(authorship(&new).await.own_from.value(), None, "{major}: another checkpoint");
    }
}
