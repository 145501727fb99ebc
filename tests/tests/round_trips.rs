//! Suspects are read again in a few round trips, however many they are: regions are far apart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server, logical_replica};
use paritas_testbed::proxy::Proxy;
use paritas_tests::{Run, verify};

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, amount numeric(12,2), note text)";
const ROWS: &str = "INSERT INTO t SELECT n, n / 7.0, md5(n::text) FROM generate_series(1, 20000) AS n";
/// Both readings of the suspects and the position in between are three. A slow machine adds some: time-outs are set
/// again after a second. A trip for each row, or for each hundred, would be more.
const MOST: u64 = 9;

/// Round trips to the source. How often the replica is asked depends on how long it takes to follow.
async fn trips(source: &Server, replica: &Server, changed: u64) -> u64 {
    let proxy = Proxy::start(source.port()).await.unwrap();
    let east = format!("postgresql://postgres@127.0.0.1:{}/postgres?table=t", proxy.port());
    let west = format!("{}?table=t", replica.url("postgres"));
    let check = verify(&east, &west, &[]).expect_code(i32::from(changed > 0)).parity();
    assert_eq!(Run::counts(&check), (0, 0, changed), "{check:#}");
    assert_eq!(check["differences"]["unproven"], 0, "{check:#}");
    proxy.round_trips()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_suspects_are_confirmed_in_a_few_round_trips() {
    let scratch = Scratch::new().unwrap();
    let options = Options::default().set("wal_level", "logical");
    let source = Server::start(&Install::find().unwrap(), &scratch, "source", options).await.unwrap();
    source.batch("postgres", TABLE).await.unwrap();
    source.batch("postgres", ROWS).await.unwrap();
    let replica = logical_replica(&source, "replica", TABLE, &["t"]).await.unwrap();
    let equal = trips(&source, &replica, 0).await;
    replica.batch("postgres", "UPDATE t SET amount = amount + 0.01 WHERE id % 20 = 0").await.unwrap();
    let different = trips(&source, &replica, 1_000).await;
    assert!(different.saturating_sub(equal) <= MOST, "{equal} round trips, then {different}");
}
