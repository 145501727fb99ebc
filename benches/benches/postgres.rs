//! One pass over both sides of a PostgreSQL table, beside two plain `COPY … BINARY` to nowhere.
//!
//! For equal tables, 10 and 1,000 scattered differences: wall time, its ratio to the plain copies and
//! to that of equal tables, and the peak memory of the process. Every difference must be named with
//! its column, or the bench fails.
//!
//! A harness of its own, because a run takes seconds and needs two servers: the rounds alternate
//! between the ways, so that noise meets all of them, and medians are printed.
//! `PARITAS_BENCH_ROWS` sets the rows (default 1,000,000), `PARITAS_BENCH_ROUNDS` the rounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use paritas_testbed::Scratch;
use paritas_testbed::bench::bench_table;
use paritas_testbed::postgres::{Install, Options, Server};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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

/// Looks at the memory of the process this often.
const LOOK: Duration = Duration::from_millis(5);

/// Seconds, and the peak memory in MB as the kernel keeps it (the last few milliseconds may be missed).
fn verify(east: &Server, west: &Server, expected: usize, report: &Path) -> (f64, f64) {
    let with_table = |url: String| format!("{url}{}table={TABLE}", if url.contains('?') { '&' } else { '?' });
    let started = Instant::now();
    let mut child = Command::new(paritas())
        .args(["verify", "--json", &with_table(east.url("postgres")), &with_table(west.url("postgres"))])
        .stdout(std::fs::File::create(report).expect("make the report's file"))
        .spawn()
        .expect("start paritas");
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(peak_memory(child.id()));
        match child.try_wait().expect("wait for paritas") {
            Some(status) => break status,
            None => std::thread::sleep(LOOK),
        }
    };
    let took = started.elapsed().as_secs_f64();
    let text = std::fs::read_to_string(report).expect("read the report");
    assert_eq!(status.code(), Some(i32::from(expected > 0)), "{text:.2000}");
    assert!(text.contains(&format!("\"changed\":{expected},")), "{text:.2000}");
    for part in ["\"class\":\"changed\"", "\"columns\":[\"amount\"]"] {
        assert_eq!(text.matches(part).count(), expected, "not every difference is named: {text:.2000}");
    }
    (took, peak)
}

fn peak_memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0_f64) / 1024.0
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
    println!(
        "{:>11} {:>9} {:>9} {:>10} {:>9} {:>8}",
        "differences", "copies s", "verify s", "to copies", "to equal", "peak MB"
    );
    let report = scratch.folder("report").unwrap().join("report.json");
    let (mut planted, mut equal) = (0, 0.0);
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
        let (mut copies, mut verifies, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=rounds {
            let (a, (b, peak)) = (floor(&east, &west), verify(&east, &west, differences as usize, &report));
            // The first round fills caches.
            if round > 0 {
                copies.push(a);
                verifies.push(b);
                peaks.push(peak);
            }
        }
        let (a, b, peak) = (median(copies), median(verifies), median(peaks));
        equal = if differences == 0 { b } else { equal };
        println!("{differences:>11} {a:>9.2} {b:>9.2} {:>10.2} {:>9.2} {peak:>8.0}", b / a, b / equal);
    }
}
