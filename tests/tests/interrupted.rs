//! Runs that are ended from outside: by Ctrl-C, by a budget, by a replica that does not follow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server, standby};
use paritas_testbed::proxy::{Behaviour, Proxy};
use paritas_tests::{Run, command, ended, verify};
use rstest::rstest;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Rows of the table that is read slowly, and bytes of each.
const ROWS: u64 = 20_000;
/// So much of it has come when a run is well under way.
const UNDER_WAY_BYTES: u64 = 256 << 10;
/// Every 16 KiB of it take this long: minutes for all of it.
const SLOW: Duration = Duration::from_millis(100);

/// Two databases with a small table and a large one; the replica's server is behind a proxy.
struct Slow {
    server: Server,
    proxy: Proxy,
    scratch: Scratch,
}

impl Slow {
    async fn start(differs: bool) -> Self {
        let scratch = Scratch::new().unwrap();
        let server = Server::start(&Install::find().unwrap(), &scratch, "one", Options::default()).await.unwrap();
        for database in ["east", "west"] {
            server.create_database(database).await.unwrap();
            let amount = if differs && database == "west" { 2 } else { 1 };
            // Tables are taken in the order of their names.
            let sql = format!(
                "CREATE TABLE a_small (id int PRIMARY KEY, amount int); INSERT INTO a_small VALUES (7, {amount}); \
                 CREATE TABLE b_large AS SELECT n AS id, repeat(md5(n::text), 30) AS text FROM generate_series(1, {ROWS}) n; \
                 ALTER TABLE b_large ADD PRIMARY KEY (id)"
            );
            server.batch(database, &sql).await.unwrap();
        }
        let proxy = Proxy::start(server.port()).await.unwrap();
        Self { server, proxy, scratch }
    }

    fn urls(&self) -> (String, String) {
        let west =
            self.server.url("west").replace(&format!(":{}", self.server.port()), &format!(":{}", self.proxy.port()));
        (self.server.url("east"), west)
    }

    fn state(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    /// Starts a verification and waits until the large table is being read.
    async fn begin(&self) -> Child {
        let (east, west) = self.urls();
        let mut call = command(&["verify", "--json", &east, &west, "--parallel", "1", "--state"]);
        let child = call.arg(self.state()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while self.proxy.bytes_from_server() < UNDER_WAY_BYTES {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.proxy.set(Behaviour::Delay(SLOW));
        child
    }
}

fn interrupt(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

/// Waits for the line that says that an interrupt was seen.
fn seen(child: &mut Child) {
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.map_while(Result::ok).any(|line| line.contains("interrupt again to stop at once"));
    assert!(found, "nothing was said about the interrupt");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn check<'a>(report: &'a Value, dataset: &str) -> &'a Value {
    let checks = report["links"][0]["checks"].as_array().unwrap();
    checks.iter().find(|c| c["check"] == "parity" && c["dataset"] == dataset).unwrap_or(&Value::Null)
}

#[rstest]
#[case::nothing_found("-INT", false, "unknown")]
#[case::a_difference_found("-INT", true, "fail")]
#[case::asked_to_terminate("-TERM", false, "unknown")]
#[tokio::test(flavor = "multi_thread")]
async fn the_first_interrupt_keeps_what_was_found(#[case] signal: &str, #[case] differs: bool, #[case] verdict: &str) {
    let slow = Slow::start(differs).await;
    let child = slow.begin().await;
    interrupt(&child, signal);
    let run = ended(child).expect_code(130);
    let report = run.json();
    assert_eq!((&report["verdict"], &report["exit_code"]), (&verdict.into(), &130.into()), "{run:#?}");
    let large = check(&report, "public.b_large");
    assert!(*large == Value::Null || large["verdict"] == "unknown", "{large}");
    assert!(report.to_string().contains("run.cancelled") || report.to_string().contains("interrupted"), "{report}");
    if differs {
        assert_eq!(check(&report, "public.a_small")["differences"]["changed"], 1, "{report}");
    }
    // Kept apart from finished runs, and just as it was printed.
    assert_eq!(names(&slow.state().join("runs")), Vec::<String>::new());
    let kept = names(&slow.state().join("partial"));
    assert_eq!(kept.len(), 1, "{kept:?}");
    let kept: Value = serde_json::from_slice(&fs::read(slow.state().join("partial").join(&kept[0])).unwrap()).unwrap();
    assert_eq!((&kept["links"], &kept["run"]), (&report["links"], &report["run"]));
}

/// A run whose report nobody reads cannot end in good order; the second interrupt ends it all the same.
#[test]
fn the_second_interrupt_ends_a_run_at_once() {
    let scratch = Scratch::new().unwrap();
    for (name, amount) in [("east", 1), ("west", 2)] {
        let folder = scratch.folder(name).unwrap();
        let rows: String = (0..5_000).map(|id| format!("{id},{amount}\n")).collect();
        fs::write(folder.join("a.csv"), format!("id,amount\n{rows}")).unwrap();
    }
    let path = |name: &str| format!("csv:{}?key=id", scratch.path().join(name).display());
    let mut call = command(&["verify", "--json", &path("east"), &path("west"), "--max-differences", "5000"]);
    let mut child = call.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The report has begun, and is larger than any pipe.
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0]).unwrap();
    interrupt(&child, "-INT");
    seen(&mut child);
    interrupt(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(out);
}

#[rstest]
#[case::time("2s", "run.deadline")]
#[case::bytes("1MiB", "run.budget")]
#[case::rows("100rows", "run.budget")]
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_spent_is_never_a_pass(#[case] budget: &str, #[case] code: &str) {
    let slow = Slow::start(false).await;
    let (east, west) = slow.urls();
    slow.proxy.set(Behaviour::Delay(Duration::from_millis(5)));
    if budget == "2s" {
        slow.proxy.set(Behaviour::Delay(SLOW));
    }
    let state = slow.state();
    let run = verify(&east, &west, &["--budget", budget, "--state", state.to_str().unwrap()]).expect_code(3);
    let report = run.json();
    assert_eq!(report["verdict"], "unknown", "{report}");
    assert!(report.to_string().contains(code), "{report}");
    assert_ne!(check(&report, "public.b_large")["verdict"], "pass");
    assert_eq!(names(&state.join("runs")).len(), 1, "a run that came to its end is kept as one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_stands_still_is_waited_for_as_long_as_asked_and_no_pass() {
    let scratch = Scratch::new().unwrap();
    let primary = Server::start(&Install::find().unwrap(), &scratch, "east", Options::default()).await.unwrap();
    primary.batch("postgres", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await.unwrap();
    let standby = standby(&primary, "west").await.unwrap();
    standby.batch("postgres", "SELECT pg_wal_replay_pause()").await.unwrap();
    primary.batch("postgres", "INSERT INTO t VALUES (2)").await.unwrap();
    let (east, west) = (primary.url("postgres"), standby.url("postgres"));
    let run = verify(&east, &west, &["--settle", "500ms"]).expect_code(3);
    assert_eq!(run.json()["verdict"], "unknown");
    assert_eq!(Run::counts(&run.parity()), (0, 0, 0), "{run:#?}");
    standby.batch("postgres", "SELECT pg_wal_replay_resume()").await.unwrap();
    verify(&east, &west, &["--settle", "60s"]).expect_code(0);
}
