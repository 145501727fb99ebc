//! Servers of every version start, replicate in every way, archive, fail over and are rewound.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Install, MAJORS, Options, Server};
use rstest::rstest;

fn install(major: u32) -> Option<Install> {
    let found = Install::unless_missing(major).unwrap();
    if found.is_none() {
        eprintln!("left out: PostgreSQL {major} is not installed; run `make setup`");
    }
    found
}

async fn ids(server: &Server) -> Vec<i32> {
    let client = server.client("postgres").await.unwrap();
    client.query("SELECT id FROM t ORDER BY 1", &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY)";

#[tokio::test]
async fn each_version_streams_to_a_standby_and_says_its_number() {
    let ran = postgres::for_each_version(MAJORS, async |install| {
        let scratch = Scratch::new().unwrap();
        let primary = Server::start(&install, &scratch, "p1", Options::default()).await.unwrap();
        let standby = postgres::standby(&primary, "p2").await.unwrap();
        primary.batch("postgres", &format!("{TABLE}; INSERT INTO t VALUES (1)")).await.unwrap();
        postgres::wait_replayed(&primary, &standby).await.unwrap();
        assert_eq!(ids(&standby).await, [1]);
        let client = standby.client("postgres").await.unwrap();
        let number: String = client.query_one("SHOW server_version_num", &[]).await.unwrap().get(0);
        assert_eq!(number.parse::<u32>().unwrap() / 10_000, install.major());
    })
    .await
    .unwrap();
    eprintln!("ran on {ran:?}");
    assert!(ran.contains(&15), "{ran:?}");
}

#[rstest]
#[case(14, true)]
#[case(15, true)]
#[case(18, false)]
#[tokio::test]
async fn a_failover_is_followed_by_a_cascade_and_rewound(#[case] major: u32, #[case] stale_control_file: bool) {
    let Some(install) = install(major) else { return };
    let scratch = Scratch::new().unwrap();
    let options = Options::default().archive(&scratch.path().join("archive")).segment_mib(1);
    let mut old = Server::start(&install, &scratch, "p1", options).await.unwrap();
    old.batch("postgres", &format!("{TABLE}; INSERT INTO t VALUES (1)")).await.unwrap();
    let new = postgres::standby(&old, "p2").await.unwrap();
    let last = postgres::standby(&new, "p3").await.unwrap();
    postgres::wait_replayed(&old, &last).await.unwrap();
    assert_eq!(ids(&last).await, [1]);
    let segment = postgres::archived(&old).await.unwrap();
    let archived = std::fs::metadata(scratch.path().join("archive").join(&segment)).unwrap();
    assert_eq!(archived.len(), 1 << 20);

    // Pages that the checkpoint after the promotion takes its time to write: until then the control file is the old one.
    old.batch("postgres", "CREATE TABLE filler AS SELECT generate_series(1, 50000) AS i").await.unwrap();
    postgres::wait_replayed(&old, &new).await.unwrap();
    // A failover that loses a row: the standby no longer receives.
    postgres::cut_off(&new).await.unwrap();
    old.batch("postgres", "INSERT INTO t VALUES (2)").await.unwrap();
    old.kill().await.unwrap();
    postgres::promote(&new).await.unwrap();
    let said = postgres::rewind(&old, &new).await.unwrap();
    assert_eq!(said.contains("no rewind required"), stale_control_file, "{said}");
    if stale_control_file {
        new.batch("postgres", "CHECKPOINT").await.unwrap();
        let said = postgres::rewind(&old, &new).await.unwrap();
        assert!(said.contains("servers diverged"), "{said}");
    }
    new.batch("postgres", "INSERT INTO t VALUES (3)").await.unwrap();
    postgres::follow(&mut old, &new).await.unwrap();
    postgres::wait_replayed(&new, &old).await.unwrap();
    postgres::wait_replayed(&new, &last).await.unwrap();
    assert_eq!((ids(&old).await, ids(&last).await), (vec![1, 3], vec![1, 3]));
    let segment = postgres::archived(&new).await.unwrap();
    assert!(segment.starts_with("00000002"), "{segment}");
}

#[rstest]
#[case(14, 18)]
#[case(18, 14)]
#[tokio::test]
async fn a_subscriber_of_another_version_copies_and_follows(#[case] from: u32, #[case] to: u32) {
    let (Some(from), Some(to)) = (install(from), install(to)) else { return };
    let scratch = Scratch::new().unwrap();
    let primary = Server::start(&from, &scratch, "p1", Options::default()).await.unwrap();
    primary.batch("postgres", &format!("{TABLE}; INSERT INTO t VALUES (1)")).await.unwrap();
    let replica = postgres::logical_replica_of(&to, &primary, "l1", TABLE, &["t"]).await.unwrap();
    primary.batch("postgres", "INSERT INTO t VALUES (2)").await.unwrap();
    postgres::wait_subscribed(&primary, &replica).await.unwrap();
    assert_eq!(ids(&replica).await, [1, 2]);
    assert_eq!((primary.install().major(), replica.install().major()), (from.major(), to.major()));
}

#[tokio::test]
async fn a_killed_server_leaves_no_process_and_starts_again() {
    let scratch = Scratch::new().unwrap();
    let mut server = Server::start(&Install::find().unwrap(), &scratch, "p1", Options::default()).await.unwrap();
    server.batch("postgres", &format!("{TABLE}; INSERT INTO t VALUES (1)")).await.unwrap();
    server.kill().await.unwrap();
    assert_eq!(server.pid(), None);
    assert!(server.client("postgres").await.is_err());
    server.configure(&[("work_mem", "7MB")]).unwrap();
    server.start_again().await.unwrap();
    assert_eq!(ids(&server).await, [1]);
    let client = server.client("postgres").await.unwrap();
    assert_eq!(client.query_one("SHOW work_mem", &[]).await.unwrap().get::<_, String>(0), "7MB");
}
