//! Other ways of comparing two tables, as their users would run them.
//!
//! Each says how many rows differ, so that a way which is fast and wrong does not pass for fast.

use crate::{COLUMNS, TABLE};
use paritas_testbed::postgres::Server;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tokio_postgres::Client;

/// Rows to a block hash, a common default of tools that work that way.
const BLOCK: i64 = 10_000;

/// `psql | sort` on both sides at once, then `comm`: rows that only one side has, so a change counts twice.
pub fn sort_and_comm(east: &Server, west: &Server, folder: &Path) -> usize {
    let side = |server: &Server, file: &str| {
        format!(
            "{} -XAtq -h 127.0.0.1 -p {} -U postgres -d postgres -c 'COPY (SELECT * FROM {TABLE}) TO STDOUT' | LC_ALL=C sort -S 512M > {}",
            server.install().program("psql").display(),
            server.port(),
            folder.join(file).display()
        )
    };
    let [a, b] = ["a", "b"].map(|name| folder.join(name).display().to_string());
    let script = format!("({}) & ({}) & wait; LC_ALL=C comm -3 {a} {b} | wc -l", side(east, "a"), side(west, "b"));
    let output = run(Command::new("bash").args(["-o", "pipefail", "-c", &script]));
    let rows: usize = text(&output).trim().parse().expect("a number of rows");
    rows / 2
}

/// `pg_comparator` with its defaults: checksums by its own extension, summaries in temporary tables.
pub fn comparator(east: &Server, west: &Server) -> usize {
    let side = |server: &Server| {
        format!("pgsql://postgres@127.0.0.1:{}/postgres/{TABLE}?id:{}", server.port(), COLUMNS.join(","))
    };
    let output = run(Command::new("pg_comparator").args([side(east), side(west)]));
    text(&output).lines().filter(|line| line.starts_with("UPDATE ")).count()
}

/// Whether `pg_comparator` and its extension are there.
pub async fn has_comparator(servers: &[&Server]) -> bool {
    if Command::new("pg_comparator").arg("--version").output().is_err() {
        return false;
    }
    for server in servers {
        if server.batch("postgres", "CREATE EXTENSION IF NOT EXISTS pgcmp").await.is_err() {
            return false;
        }
    }
    true
}

/// reladiff in the given Python environment, every column, two connections to each side.
pub fn reladiff(program: &Path, east: &Server, west: &Server) -> usize {
    let [a, b] = [east, west].map(|server| server.url("postgres"));
    let output = run(Command::new(program).args([&a, TABLE, &b, TABLE, "-k", "id", "-c", "%", "-j", "2"]));
    text(&output).lines().filter(|line| line.starts_with("- ")).count()
}

/// Hashes of blocks of rows on both sides, then all rows of the blocks that differ.
pub async fn block_hashes(east: &Client, west: &Client) -> usize {
    let sums = format!(
        "SELECT id / {BLOCK} AS block, md5(string_agg(t::text, '' ORDER BY id)) FROM {TABLE} t GROUP BY 1 ORDER BY 1"
    );
    let (a, b) = both(east, west, &sums).await;
    let mut differ = 0;
    for (a, b) in a.iter().zip(&b).filter(|(a, b)| a != b) {
        assert_eq!(a.0, b.0, "blocks");
        let (from, to) = (a.0 * BLOCK, (a.0 + 1) * BLOCK);
        let rows = format!("SELECT id, t::text FROM {TABLE} t WHERE id >= {from} AND id < {to} ORDER BY id");
        let (a, b) = both(east, west, &rows).await;
        differ += a.iter().zip(&b).filter(|(a, b)| a != b).count();
    }
    differ
}

async fn both(east: &Client, west: &Client, sql: &str) -> (Vec<(i64, String)>, Vec<(i64, String)>) {
    let (a, b) = tokio::join!(east.query(sql, &[]), west.query(sql, &[]));
    let pairs = |rows: Vec<tokio_postgres::Row>| rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    (pairs(a.expect("rows of one side")), pairs(b.expect("rows of the other")))
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("start the program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
