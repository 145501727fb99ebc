//! Suspects are read again in a few round trips, however many they are: regions are far apart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server, logical_replica};
use paritas_testbed::proxy::Proxy;
use paritas_tests::{Run, verify};

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, amount numeric(12,2), note text)";
const ROWS: &str = "INSERT INTO t SELECT n, n / 7.0, md5(n::text) FROM generate_series(1, 20000) AS n";
/// To the source: both readings of the suspects and its position in between.
const SOURCE_MOST: u64 = 3;
/// To the replica: waiting for the position (looked at until it is there) and one reading.
const REPLICA_MOST: u64 = 6;

/// Round trips to either side, through proxies of their own: none is left from a verification before.
async fn trips(source: &Server, replica: &Server, changed: u64) -> (u64, u64) {
    let (east, west) = (Proxy::start(source.port()).await.unwrap(), Proxy::start(replica.port()).await.unwrap());
    let url = |proxy: &Proxy| format!("postgresql://postgres@127.0.0.1:{}/postgres?table=t", proxy.port());
    let check = verify(&url(&east), &url(&west), &[]).expect_code(i32::from(changed > 0)).parity();
    assert_eq!(Run::counts(&check), (0, 0, changed), "{check:#}");
    assert_eq!(check["differences"]["unproven"], 0, "{check:#}");
    (east.round_trips(), west.round_trips())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_suspects_are_confirmed_in_three_round_trips() {
    let scratch = Scratch::new().unwrap();
    let options = Options::default().set("wal_level", "logical");
    let source = Server::start(&Install::find().unwrap(), &scratch, "source", options).await.unwrap();
    source.batch("postgres", TABLE).await.unwrap();
    source.batch("postgres", ROWS).await.unwrap();
    let replica = logical_replica(&source, "replica", TABLE, &["t"]).await.unwrap();
    let (source_equal, replica_equal) = trips(&source, &replica, 0).await;
    replica.batch("postgres", "UPDATE t SET amount = amount + 0.01 WHERE id % 20 = 0").await.unwrap();
    let (source_differ, replica_differ) = trips(&source, &replica, 1_000).await;
    assert!(source_differ - source_equal <= SOURCE_MOST, "{source_equal}, then {source_differ}");
    assert!(replica_differ - replica_equal <= REPLICA_MOST, "{replica_equal}, then {replica_differ}");
}
