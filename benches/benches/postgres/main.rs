//! One pass over both sides of a PostgreSQL table, beside two plain `COPY … BINARY` to nowhere and
//! beside other ways of comparing.
//!
//! For equal tables, 10 and 1,000 scattered differences on two servers, then for a primary with its
//! physical standby. Every way must find exactly the planted differences, and `paritas verify` must name
//! each with its column, or the bench fails.
//!
//! A harness of its own, because a run takes seconds and needs two servers: the rounds alternate
//! between the ways, so that noise meets all of them, and medians are printed. `PARITAS_BENCH_ROWS` sets
//! the rows (default 1,000,000), `PARITAS_BENCH_ROUNDS` the rounds, `PARITAS_BENCH_PEERS=0` leaves the
//! slower other ways out, `PARITAS_BENCH_ONLY=rows|pages` one half. `PARITAS_BENCH_ONLY=memory` instead measures
//! the peak memory of verifying tables of a tenth of the rows, and of all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod cost;
mod memory;
mod peers;

use cost::Cost;
use paritas_testbed::Scratch;
use paritas_testbed::bench::bench_table;
use paritas_testbed::postgres::{Install, Options, Server, standby, wait_replayed};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TABLE: &str = "bench_rows";
/// All columns but the key.
const COLUMNS: [&str; 9] = ["account", "kind", "amount", "price", "label", "note", "at", "settled", "ref"];
/// Capacity that is kept for a digest in the measure of what would cross regions.
const DIGEST_CAPACITY: &str = "2000";

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

fn copy(server: &Server) -> Child {
    let sql = format!("COPY {TABLE} TO STDOUT (FORMAT BINARY)");
    Command::new(server.install().program("psql"))
        .args(["-XAtq", "-h", "127.0.0.1", "-p", &server.port().to_string(), "-U", "postgres", "-d", "postgres"])
        .args(["-c", &sql])
        .stdout(Stdio::null())
        .spawn()
        .expect("start psql")
}

/// Both sides with `psql`, at the same time.
fn floor(east: &Server, west: &Server) {
    for mut child in [copy(east), copy(west)] {
        assert!(child.wait().expect("wait for psql").success());
    }
}

/// Looks at the memory of the process this often.
const LOOK: Duration = Duration::from_millis(5);

fn table_url(server: &Server) -> String {
    format!("{}?table={TABLE}", server.url("postgres"))
}

/// The peak memory in MB as the kernel keeps it (the last few milliseconds may be missed).
fn verify(sides: [&str; 2], options: &[&str], expected: usize, report: &Path) -> f64 {
    let mut child = Command::new(paritas())
        .args(["verify", "--json"])
        .args(options)
        .args(sides)
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
    let text = std::fs::read_to_string(report).expect("read the report");
    assert_eq!(status.code(), Some(i32::from(expected > 0)), "{text:.2000}");
    assert!(text.contains(&format!("\"changed\":{expected},")), "{text:.2000}");
    for part in ["\"class\":\"changed\"", "\"columns\":[\"amount\"]"] {
        assert_eq!(text.matches(part).count(), expected, "not every difference is named: {text:.2000}");
    }
    peak
}

fn peak_memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0_f64) / 1024.0
}

/// The costs of one way, round by round.
struct Way {
    name: &'static str,
    costs: Vec<Cost>,
    peak: f64,
}

impl Way {
    fn new(name: &'static str) -> Self {
        Self { name, costs: Vec::new(), peak: 0.0 }
    }

    /// Measures one round; `keep` is false for the one that fills caches.
    fn round(&mut self, servers: &[&Server], keep: bool, way: impl FnOnce() -> f64) {
        let (cost, peak) = cost::of(servers, way);
        if keep {
            self.costs.push(cost);
            self.peak = self.peak.max(peak);
        }
    }
}

fn heading() {
    println!(
        "{:>11}  {:<32} {:>7} {:>8} {:>9} {:>9} {:>9} {:>8}",
        "differences", "way", "wall s", "to floor", "servers s", "client s", "moved MB", "peak MB"
    );
}

fn print(differences: u64, ways: &[Way]) {
    let floor = ways.first().map_or(f64::NAN, |way| Cost::median(&way.costs).wall);
    for way in ways.iter().filter(|way| !way.costs.is_empty()) {
        let cost = Cost::median(&way.costs);
        let (wall, moved) = (cost.wall, cost.moved / 1e6);
        println!(
            "{differences:>11}  {:<32} {wall:>7.2} {:>8.2} {:>9.2} {:>9.2} {moved:>9.2} {:>8.0}",
            way.name,
            wall / floor,
            cost.servers,
            cost.client,
            way.peak
        );
    }
}

/// Makes `wanted` rows differ, scattered over the whole table, from having `planted` of them differ.
async fn plant(server: &Server, rows: u64, planted: u64, wanted: u64) {
    let change = |by: &str, count: u64| {
        let step = rows / count;
        format!("UPDATE {TABLE} SET amount = amount {by} 0.0001 WHERE id % {step} = 1 AND id <= {rows}")
    };
    if planted > 0 {
        server.batch("postgres", &change("-", planted)).await.unwrap();
    }
    if wanted > 0 {
        server.batch("postgres", &change("+", wanted)).await.unwrap();
    }
    server.batch("postgres", &format!("VACUUM {TABLE}")).await.unwrap();
    server.batch("postgres", "CHECKPOINT").await.unwrap();
}

/// Two servers of their own.
async fn two_servers(install: &Install, rows: u64, rounds: u64) {
    let scratch = Scratch::new().unwrap();
    let east = Server::start(install, &scratch, "east", Options::default()).await.unwrap();
    let west = Server::start(install, &scratch, "west", Options::default()).await.unwrap();
    for server in [&east, &west] {
        bench_table(&server.client("postgres").await.unwrap(), TABLE, rows).await.unwrap();
        server.batch("postgres", "CHECKPOINT").await.unwrap();
    }
    let folder = scratch.folder("report").unwrap();
    let report = folder.join("report.json");
    let with_peers = number("PARITAS_BENCH_PEERS", 1) > 0;
    let comparator = with_peers && peers::has_comparator(&[&east, &west]).await;
    let reladiff = with_peers.then(python_program).flatten();
    let clients = (east.client("postgres").await.unwrap(), west.client("postgres").await.unwrap());
    println!("\n{rows} rows x 10 columns, two servers, {rounds} rounds, medians");
    heading();
    let servers = [&east, &west];
    let mut planted = 0;
    for differences in [0_u64, 10, 1_000] {
        plant(&west, rows, planted, differences).await;
        planted = differences;
        let found = usize::try_from(differences).unwrap();
        let equal = |count: usize| {
            assert_eq!(count, found, "differences found");
            0.0
        };
        let mut ways = [
            "two COPY BINARY, nothing compared",
            "paritas verify",
            "psql | sort | comm",
            "pg_comparator",
            "block hashes, rows of blocks",
            "reladiff",
        ]
        .map(Way::new);
        let [copies, own, sorted, compared, blocks, relational] = &mut ways;
        for round in 0..=rounds {
            let keep = round > 0;
            copies.round(&servers, keep, || {
                floor(&east, &west);
                0.0
            });
            own.round(&servers, keep, || verify([&table_url(&east), &table_url(&west)], &[], found, &report));
            // The slower ones need no round to fill caches, and fewer rounds.
            if !with_peers || round == 0 || round > 3 {
                continue;
            }
            sorted.round(&servers, keep, || equal(peers::sort_and_comm(&east, &west, &folder)));
            if comparator {
                compared.round(&servers, keep, || equal(peers::comparator(&east, &west)));
            }
            let runtime = tokio::runtime::Handle::current();
            blocks.round(&servers, keep, || {
                equal(tokio::task::block_in_place(|| runtime.block_on(peers::block_hashes(&clients.0, &clients.1))))
            });
            if let (Some(program), 1) = (&reladiff, round) {
                relational.round(&servers, keep, || equal(peers::reladiff(program, &east, &west)));
            }
        }
        print(differences, &ways);
    }
    across_regions(&east, &west, planted, &folder);
}

/// reladiff beside the Python of the tests, where it is installed.
fn python_program() -> Option<PathBuf> {
    let folder = std::env::var_os("PARITAS_CACHE").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/paritas")))?;
    Some(folder.join("venv/bin/reladiff")).filter(|program| program.exists())
}

/// What crosses regions where each side is digested beside its store: the digest of one side. The other side
/// names the differing rows with it.
fn across_regions(east: &Server, west: &Server, differences: u64, folder: &Path) {
    let (digest, report) = (folder.join("east.digest"), folder.join("kept.json"));
    let digest_text = digest.display().to_string();
    verify(
        [&table_url(east), &table_url(west)],
        &["--capacity", DIGEST_CAPACITY, "--save-digest", &digest_text],
        usize::try_from(differences).unwrap(),
        &report,
    );
    let bytes = std::fs::metadata(&digest).expect("the digest's file").len();
    println!("digest of one side, capacity {DIGEST_CAPACITY}: {bytes} bytes, for {differences} differences");
}

/// A primary and its physical standby: rows and pages.
async fn primary_and_standby(install: &Install, rows: u64, rounds: u64) {
    let scratch = Scratch::new().unwrap();
    let east = Server::start(install, &scratch, "primary", Options::default()).await.unwrap();
    east.batch("postgres", "CREATE EXTENSION pageinspect").await.unwrap();
    bench_table(&east.client("postgres").await.unwrap(), TABLE, rows).await.unwrap();
    let west = standby(&east, "standby").await.unwrap();
    wait_replayed(&east, &west).await.unwrap();
    for server in [&east, &west] {
        server.batch("postgres", "CHECKPOINT").await.unwrap();
    }
    let report = scratch.folder("report").unwrap().join("report.json");
    println!("\n{rows} rows x 10 columns, primary and physical standby, {rounds} rounds, medians");
    heading();
    let servers = [&east, &west];
    let mut ways =
        ["two COPY BINARY, nothing compared", "paritas verify --method rows", "paritas verify --method pages"]
            .map(Way::new);
    let [copies, by_rows, by_pages] = &mut ways;
    for round in 0..=rounds {
        let keep = round > 0;
        copies.round(&servers, keep, || {
            floor(&east, &west);
            0.0
        });
        for (way, method) in [(&mut *by_rows, "rows"), (&mut *by_pages, "pages")] {
            let urls = [table_url(&east), table_url(&west)];
            way.round(&servers, keep, || verify([&urls[0], &urls[1]], &["--method", method], 0, &report));
        }
    }
    print(0, &ways);
}

#[tokio::main]
async fn main() {
    let (rows, rounds) = (number("PARITAS_BENCH_ROWS", 1_000_000), number("PARITAS_BENCH_ROUNDS", 5));
    let only = std::env::var("PARITAS_BENCH_ONLY").unwrap_or_default();
    let install = Install::find().unwrap();
    if only == "memory" {
        return memory::grow(&install, rows).await;
    }
    if only != "pages" {
        two_servers(&install, rows, rounds).await;
    }
    if only != "rows" {
        primary_and_standby(&install, rows, rounds).await;
    }
}
