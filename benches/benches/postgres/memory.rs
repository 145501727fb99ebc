//! Peak memory of `paritas verify` as tables grow: it must not follow them.

use super::{TABLE, plant, table_url, verify};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server};
use std::time::Instant;

/// Of the rows, the first run has one in so many.
const FIRST: u64 = 10;
/// Rows in one statement, so that the servers' log stays small.
const STEP: u64 = 1_000_000;

/// Narrow rows of about 44 bytes, with numbers that differ from row to row.
async fn fill(server: &Server, from: u64, to: u64) {
    let mut next = from;
    while next < to {
        let end = (next + STEP).min(to);
        let sql = format!(
            "INSERT INTO {TABLE} SELECT g, (g * 7919 % 100000)::integer, (g * 104729 % 1000000007)::numeric / 10000 \
             FROM generate_series({}::bigint, {end}) AS g",
            next + 1
        );
        server.batch("postgres", &sql).await.unwrap();
        next = end;
    }
    server.batch("postgres", &format!("VACUUM (FREEZE, ANALYZE) {TABLE}")).await.unwrap();
    server.batch("postgres", "CHECKPOINT").await.unwrap();
}

/// Two servers whose tables grow to `rows` rows.
pub async fn grow(install: &Install, rows: u64) {
    let scratch = Scratch::new().unwrap();
    let options = || Options::default().set("max_wal_size", "256MB").set("autovacuum", "off");
    let east = Server::start(install, &scratch, "east", options()).await.unwrap();
    let west = Server::start(install, &scratch, "west", options()).await.unwrap();
    let table =
        format!("CREATE TABLE {TABLE} (id bigint PRIMARY KEY, account integer NOT NULL, amount numeric NOT NULL)");
    let report = scratch.folder("report").unwrap().join("report.json");
    println!("\nnarrow rows (id bigint, account integer, amount numeric), two servers, rows compared");
    println!("{:>12}  {:>11}  {:>7}  {:>8}", "rows", "differences", "wall s", "peak MB");
    let mut there = 0;
    for wanted in [rows / FIRST, rows] {
        for server in [&east, &west] {
            if there == 0 {
                server.batch("postgres", &table).await.unwrap();
            }
            fill(server, there, wanted).await;
        }
        there = wanted;
        let mut planted = 0;
        for differences in [0, 1_000, 0] {
            if differences != planted {
                plant(&west, wanted, planted, differences).await;
                planted = differences;
            }
            let begun = Instant::now();
            let urls = [table_url(&east), table_url(&west)];
            let found = usize::try_from(differences).unwrap();
            let peak = verify([&urls[0], &urls[1]], &[], found, &report);
            println!("{wanted:>12}  {differences:>11}  {:>7.2}  {peak:>8.0}", begun.elapsed().as_secs_f64());
        }
    }
}
