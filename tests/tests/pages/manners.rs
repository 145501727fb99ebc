//! What comparing pages costs others: the pace, and memory.

use crate::stage::{Stage, TABLE, by_pages, quiet};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long to wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// The length of the files of a table that is read with little memory.
const LARGE: u64 = 512 << 20;
/// What reading it may take, in KiB.
const MEMORY_MAX: u64 = 192 << 10;

/// Begins to verify a table.
fn begin(stage: &Stage, table: &str, more: &[&str]) -> Child {
    let url = |server: &paritas_testbed::postgres::Server| format!("{}?table={table}", server.url("postgres"));
    let (source, replica) = (url(&stage.primary), url(&stage.standby));
    let mut arguments = vec!["verify", "--json", &source, &replica, "--method", "pages"];
    arguments.extend(more);
    let mut command = paritas_tests::command(&arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_not_read_while_the_replica_is_too_far_behind() {
    let stage = Stage::new(quiet(), TABLE).await;
    let options = ["--rate", "50KiB/s", "--view-max", "2s", "--pause-lag", "1MiB", "--parallel", "1", "--settle", "3s"];
    let child = begin(&stage, "t", &options);
    let client = stage.primary.client("postgres").await.unwrap();
    let reading =
        "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE 'COPY%get_raw_page%'";
    let begun = Instant::now();
    while client.query_one(reading, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(begun.elapsed() < PATIENCE, "no page is read");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.standby.batch("postgres", "SELECT pg_wal_replay_pause()").await.unwrap();
    stage.run("CREATE TABLE noise AS SELECT repeat('x', 1000) FROM generate_series(1, 5000)").await;
    let held = tokio::task::spawn_blocking(|| paritas_tests::ended(child)).await.unwrap();
    let held = held.expect_code(3).parity();
    assert_eq!(held["problem"]["code"], "run.held", "{held:#}");
    stage.standby.batch("postgres", "SELECT pg_wal_replay_resume()").await.unwrap();
    by_pages(stage.verify("t", &["--settle", "60s", "--pause-lag", "1MiB"]), 0);
}

/// The most memory that a process has had, in KiB, asked for until it ends.
fn peak(child: &mut Child) -> u64 {
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_table() {
    let stage = Stage::new(quiet(), TABLE).await;
    let there = stage.file("t").await;
    let here = stage.primary.data_dir().join(there.strip_prefix(stage.standby.data_dir()).unwrap());
    for file in [&here, &there] {
        // Pages of zeros, as an extension leaves them behind.
        std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(LARGE).unwrap();
    }
    let mut child = begin(&stage, "t", &[]);
    let (peak, child) = tokio::task::spawn_blocking(move || (peak(&mut child), child)).await.unwrap();
    let check = by_pages(paritas_tests::ended(child), 0);
    eprintln!("{} pages, {} MiB of memory at most", check["pages"]["compared"], peak >> 10);
    assert!(check["pages"]["compared"].as_u64().unwrap() > LARGE / 8192, "{check:#}");
    assert!(peak > 0 && peak < MEMORY_MAX, "{peak} KiB");
}
