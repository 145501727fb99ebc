//! PostgreSQL servers start, replicate, stop, and never stay behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Install, Mode, Options, Server};
use paritas_testbed::proxy::{Behaviour, Proxy};

async fn count(server: &Server) -> i64 {
    let client = server.client("postgres").await.unwrap();
    client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0)
}

fn is_alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

async fn primary(scratch: &Scratch) -> Server {
    let server = Server::start(&Install::find().unwrap(), scratch, "p1", Options::default()).await.unwrap();
    server
        .batch("postgres", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)")
        .await
        .unwrap();
    server
}

#[tokio::test]
async fn a_server_starts_answers_restarts_and_leaves_nothing_behind() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().to_path_buf();
    let mut server = primary(&scratch).await;
    let first = server.pid().unwrap();
    server.restart().await.unwrap();
    assert!(!is_alive(first));
    assert_eq!(count(&server).await, 100);

    server.stop(Mode::Immediate).await.unwrap();
    assert_eq!(server.pid(), None);
    assert!(server.client("postgres").await.is_err());
    server.start_again().await.unwrap();
    assert_eq!(count(&server).await, 100);

    let last = server.pid().unwrap();
    drop(scratch);
    assert!(folder.exists(), "a server keeps its folder");
    drop(server);
    assert!(!is_alive(last));
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_standby_streams_replays_and_is_promoted() {
    let scratch = Scratch::new().unwrap();
    let mut primary = primary(&scratch).await;
    let standby = postgres::standby(&primary, "p2").await.unwrap();
    primary.batch("postgres", "INSERT INTO t SELECT generate_series(101, 150)").await.unwrap();
    postgres::wait_replayed(&primary, &standby).await.unwrap();
    assert_eq!(count(&standby).await, 150);
    assert!(standby.batch("postgres", "DELETE FROM t").await.is_err(), "a standby is read only");

    primary.stop(Mode::Immediate).await.unwrap();
    postgres::promote(&standby).await.unwrap();
    standby.batch("postgres", "DELETE FROM t WHERE id = 1").await.unwrap();
    assert_eq!(count(&standby).await, 149);
}

#[tokio::test]
async fn a_standby_behind_a_cut_line_stands_still_and_catches_up() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch).await;
    let proxy = Proxy::start(primary.port()).await.unwrap();
    let standby = postgres::standby_through(&primary, "p2", proxy.port()).await.unwrap();
    postgres::wait_replayed(&primary, &standby).await.unwrap();
    proxy.set(Behaviour::Refuse);
    primary.batch("postgres", "INSERT INTO t VALUES (0)").await.unwrap();
    assert_eq!(count(&standby).await, 100);
    proxy.set(Behaviour::Pass);
    postgres::wait_replayed(&primary, &standby).await.unwrap();
    assert_eq!(count(&standby).await, 101);
}

#[tokio::test]
async fn a_logical_replica_copies_and_follows() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch).await;
    let replica =
        postgres::logical_replica(&primary, "l1", "CREATE TABLE t (id int PRIMARY KEY)", &["t"]).await.unwrap();
    assert_eq!(count(&replica).await, 100);
    primary.batch("postgres", "DELETE FROM t WHERE id <= 10").await.unwrap();
    postgres::wait_subscribed(&primary, &replica).await.unwrap();
    assert_eq!(count(&replica).await, 90);
    replica.batch("postgres", "DELETE FROM t WHERE id = 11").await.unwrap();
    assert_eq!((count(&primary).await, count(&replica).await), (90, 89));
}

#[tokio::test]
async fn a_paused_server_does_not_answer_until_resumed() {
    let scratch = Scratch::new().unwrap();
    let mut server = primary(&scratch).await;
    let client = server.client("postgres").await.unwrap();
    server.pause().unwrap();
    let query = client.query_one("SELECT 1", &[]);
    let mut query = std::pin::pin!(query);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut query).await.is_err());
    server.resume().unwrap();
    query.await.unwrap();
    server.pause().unwrap();
    let pid = server.pid().unwrap();
    drop(server);
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn settings_and_connection_rules_are_taken() {
    let scratch = Scratch::new().unwrap();
    let options = Options::default().set("work_mem", "7MB").hba("host all all 127.0.0.1/32 scram-sha-256");
    let server = Server::start(&Install::find().unwrap(), &scratch, "s", options).await.unwrap();
    let client = server.client("postgres").await.unwrap();
    let row = client.query_one("SHOW work_mem", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "7MB");
    let refused = tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await;
    assert!(refused.is_err(), "a password is asked for");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let scratch = Scratch::new().unwrap();
    let options = Options::default().set("shared_buffers", "nonsense");
    let error = Server::start(&Install::find().unwrap(), &scratch, "s", options).await.unwrap_err();
    assert!(error.detail().unwrap().contains("shared_buffers"), "{error}");
}

/// Not a test by itself: the process that the next test kills.
#[tokio::test]
#[ignore = "run by the test below"]
async fn helper_that_gets_killed() {
    let scratch = Scratch::new().unwrap();
    let server = primary(&scratch).await;
    println!("\nserver {} {}", server.pid().unwrap(), scratch.path().display());
    std::future::pending::<()>().await;
}

#[test]
fn a_killed_test_leaves_no_server() {
    let mut helper = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_gets_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(helper.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line =
        lines.find_map(|line| line.strip_prefix("server ").map(str::to_owned)).expect("the helper started a server");
    let (pid, folder) = line.split_once(' ').unwrap();
    let pid: i32 = pid.parse().unwrap();
    assert!(is_alive(pid));
    helper.kill().unwrap();
    helper.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "server {pid} still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::remove_dir_all(folder).unwrap();
}
