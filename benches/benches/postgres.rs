//! One pass over both sides of a PostgreSQL table, beside two plain `COPY … BINARY` to nowhere.
//!
//! A harness of its own, because a run takes seconds and needs two servers: the rounds alternate
//! between the ways, so that noise meets all of them, and medians are printed.
//! `PARITAS_BENCH_ROWS` sets the rows (default 1,000,000), `PARITAS_BENCH_ROUNDS` the rounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use paritas_testbed::Scratch;
use paritas_testbed::bench::bench_table;
use paritas_testbed::postgres::{Install, Options, Server};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const TABLE: &str = "bench_rows";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The release binary beside this bench.
fn paritas() -> PathBuf {
    let bench = std::env::current_exe().expect("path of this bench");
    let path = bench.parent().and_then(|deps| deps.parent()).expect("folder of the profile").join("paritas");
    assert!(path.exists(), "{} is missing: run `make build` first", path.display());
    path
}

fn copy(server: &Server, database: &str) -> Child {
    let sql = format!("COPY {TABLE} TO STDOUT (FORMAT BINARY)");
    Command::new(server.install().program("psql"))
        .args(["-XAtq", "-h"])
        .arg(server.socket_dir())
        .args(["-p", &server.port().to_string(), "-U", "postgres", "-d", database, "-c", &sql])
        .stdout(Stdio::null())
        .spawn()
        .expect("start psql")
}

/// Both sides with `psql`, at the same time.
fn floor(east: &Server, west: &Server) -> f64 {
    let started = Instant::now();
    let children = [copy(east, "postgres"), copy(west, "postgres")];
    for mut child in children {
        assert!(child.wait().expect("wait for psql").success());
    }
    started.elapsed().as_secs_f64()
}

fn verify(east: &Server, west: &Server, expected: u64) -> f64 {
    let with_table = |url: String| format!("{url}{}table={TABLE}", if url.contains('?') { '&' } else { '?' });
    let started = Instant::now();
    let output = Command::new(paritas())
        .args(["verify", "--json", &with_table(east.url("postgres")), &with_table(west.url("postgres"))])
        .output()
        .expect("start paritas");
    let took = started.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(i32::from(expected > 0)), "{text}");
    assert!(text.contains(&format!("\"changed\":{expected},")), "{text:.2000}");
    took
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    let (rows, rounds) = (number("PARITAS_BENCH_ROWS", 1_000_000), number("PARITAS_BENCH_ROUNDS", 5));
    let scratch = Scratch::new().unwrap();
    let install = Install::find().unwrap();
    let east = Server::start(&install, &scratch, "east", Options::default()).await.unwrap();
    let west = Server::start(&install, &scratch, "west", Options::default()).await.unwrap();
    for server in [&east, &west] {
        bench_table(&server.client("postgres").await.unwrap(), TABLE, rows).await.unwrap();
    }
    let client = west.client("postgres").await.unwrap();
    println!("{rows} rows x 10 columns, two servers, {rounds} rounds, medians");
    println!("{:>22} {:>9} {:>9} {:>7}", "differences", "copies s", "verify s", "ratio");
    let mut planted = 0;
    for differences in [0_u64, 10, 1_000] {
        if differences > planted {
            // Scattered over the whole table, and another amount each.
            let step = rows / differences;
            let sql = format!("UPDATE {TABLE} SET amount = amount + 0.0001 WHERE id % {step} = 1 AND id <= {rows}");
            let restore =
                format!("UPDATE {TABLE} SET amount = amount - 0.0001 WHERE id % {} = 1", rows / planted.max(1));
            if planted > 0 {
                client.batch_execute(&restore).await.unwrap();
            }
            client.batch_execute(&sql).await.unwrap();
            client.batch_execute(&format!("VACUUM {TABLE}")).await.unwrap();
            planted = differences;
        }
        let (mut copies, mut verifies) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            let (a, b) = (floor(&east, &west), verify(&east, &west, differences));
            // The first round fills caches.
            if round > 0 {
                copies.push(a);
                verifies.push(b);
            }
        }
        let (a, b) = (median(copies), median(verifies));
        println!("{differences:>22} {a:>9.2} {b:>9.2} {:>7.2}", b / a);
    }
}
