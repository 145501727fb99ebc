//! A snapshot of a PostgreSQL table beside plain `COPY … BINARY` of it, a comparison with the snapshot when 9,000 rows
//! are lost, and a ledger beside the server's own `GROUP BY`.
//!
//! A harness of its own, because a run takes seconds and needs a server: the rounds alternate between the ways, so that
//! noise meets all of them, and medians of wall times are printed. Every lost row must be named and every group must
//! agree, or the bench fails. `PARITAS_BENCH_ROWS` sets the rows (default 100,000; 10,000,000 for the figures that are
//! quoted), `PARITAS_BENCH_ROUNDS` the rounds (default 3), `PARITAS_BIN` another binary than the release build.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Groups of the ledger.
const GROUPS: u64 = 10_000;
/// Rows that the replica has lost; a tenth of the table where it is small.
const LOST: u64 = 9_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The release binary beside this bench, unless `PARITAS_BIN` names another.
fn paritas() -> PathBuf {
    if let Some(path) = std::env::var_os("PARITAS_BIN") {
        return PathBuf::from(path);
    }
    let bench = std::env::current_exe().expect("path of this bench");
    let path = bench.parent().and_then(|deps| deps.parent()).expect("folder of the profile").join("paritas");
    assert!(path.exists(), "{} is missing: run `make build` first", path.display());
    path
}

fn psql(server: &Server, sql: &str) {
    let status = Command::new(server.install().program("psql"))
        .args(["-XAtq", "-h", "127.0.0.1", "-p", &server.port().to_string(), "-U", "postgres", "-d", "postgres"])
        .args(["-v", "ON_ERROR_STOP=1", "-c", sql])
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("start psql").success(), "{sql}");
}

/// Runs the binary and demands its exit code; what it printed.
fn called(args: &[&str], code: i32) -> String {
    let output = Command::new(paritas()).args(args).output().expect("start paritas");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{args:?}: {text:.2000} {:?}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn table(server: &Server, name: &str) -> String {
    format!("{}?table={name}", server.url("postgres"))
}

fn timed(way: impl FnOnce()) -> f64 {
    let began = Instant::now();
    way();
    began.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Two tables with the same rows; one of them has lost some.
fn fill(server: &Server, rows: u64, lost: u64) {
    let make = "id bigint PRIMARY KEY, account int NOT NULL, amount numeric(38,10) NOT NULL, note text";
    for name in ["kept", "same", "short"] {
        psql(server, &format!("CREATE TABLE {name} ({make})"));
    }
    let values = format!("i, i % {GROUPS}, (i * 7919 % 1000003)::numeric / 97, 'note ' || i");
    psql(server, &format!("INSERT INTO kept SELECT {values} FROM generate_series(1::bigint, {rows}) i"));
    psql(server, "INSERT INTO same SELECT * FROM kept");
    let every = rows / lost;
    psql(server, &format!("INSERT INTO short SELECT * FROM kept WHERE id % {every} <> 0 OR id > {every} * {lost}"));
    psql(server, "VACUUM ANALYZE");
    psql(server, "CHECKPOINT");
}

fn snapshots(server: &Server, folder: &Path, rows: u64, lost: u64, rounds: u64) {
    let state = folder.join("state").display().to_string();
    let (source, same) = (table(server, "kept"), table(server, "same"));
    let short = format!("{}&writes=none", table(server, "short"));
    let take = |replica: &str| called(&["snapshot", "--json", "--state", &state, &source, replica], 0);
    let against = |replica: &str, code: i32| {
        let all = ["--max-differences", "10000"];
        let fixed = ["verify", "--json", "--against", "last", "--state", &state, &source, replica];
        called(&[&fixed[..], &all[..]].concat(), code)
    };
    let (mut copies, mut taken, mut equal, mut named) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut report = String::new();
    for round in 0..=rounds {
        let times = [
            timed(|| psql(server, "COPY kept TO STDOUT (FORMAT BINARY)")),
            timed(|| drop(take(&same))),
            timed(|| drop(against(&format!("{same}&writes=none"), 0))),
        ];
        // Each pair of stores has snapshots of its own.
        drop(take(&short));
        let last = timed(|| report = against(&short, 1));
        if round > 0 {
            for (all, time) in [&mut copies, &mut taken, &mut equal].into_iter().zip(times) {
                all.push(time);
            }
            named.push(last);
        }
    }
    assert_eq!(report.matches("\"class\":\"lost\"").count() as u64, lost, "not every lost row is named");
    let floor = median(copies);
    println!("{rows} rows, {rounds} rounds, medians; {lost} lost rows named from a digest of the default size");
    let line = |way: &str, time: f64| println!("{way:<44} {time:>8.3} s {:>6.2}x", time / floor);
    line("COPY … BINARY to nowhere", floor);
    line("paritas snapshot", median(taken));
    line("paritas verify --against last, equal", median(equal));
    line("paritas verify --against last, rows lost", median(named));
}

fn ledgers(server: &Server, rows: u64, rounds: u64) {
    let sql = |name: &str| format!("SELECT account, count(*), count(amount), sum(amount) FROM {name} GROUP BY account");
    let options = ["--group-by", "account", "--sum", "amount"];
    let (source, same) = (table(server, "kept"), table(server, "same"));
    let (mut own, mut reconciled) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        // Both tables at the same time, as both sides of a ledger are.
        let theirs = timed(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| psql(server, &sql("kept")));
                psql(server, &sql("same"));
            });
        });
        let args = [&["ledger", "--json"][..], &options[..], &[source.as_str(), same.as_str()][..]].concat();
        let ours = timed(|| drop(called(&args, 0)));
        if round > 0 {
            own.push(theirs);
            reconciled.push(ours);
        }
    }
    let (floor, time) = (median(own), median(reconciled));
    println!("{rows} rows in {GROUPS} groups on either side, {rounds} rounds, medians");
    println!("{:<44} {floor:>8.3} s", "GROUP BY of both tables with psql, side by side");
    println!("{:<44} {time:>8.3} s {:>6.2}x", "paritas ledger", time / floor);
}

#[tokio::main]
async fn main() {
    let (rows, rounds) = (number("PARITAS_BENCH_ROWS", 100_000), number("PARITAS_BENCH_ROUNDS", 3));
    let lost = LOST.min(rows / 10);
    let scratch = Scratch::new().unwrap();
    let server = Server::start(&Install::find().unwrap(), &scratch, "server", Options::default()).await.unwrap();
    let folder = scratch.folder("kept").unwrap();
    fill(&server, rows, lost);
    snapshots(&server, &folder, rows, lost, rounds);
    ledgers(&server, rows, rounds);
}
