//! `paritas probe` on real servers: failovers, outages, two primaries, and everything that must not be taken for one.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Folder;
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Mode, Options, Server, cut_off, promote, standby, wait_replayed};
use paritas_testbed::proxy::{Behaviour, Proxy};
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);
const TABLE: &str = "public.beat";

/// A primary with a table of heartbeats, its standby, and a folder for the probe.
struct Stage {
    folder: Folder,
    old: Server,
    new: Server,
    _scratch: Scratch,
}

/// What a probe came to.
struct Ended {
    code: i32,
    check: Value,
}

impl Stage {
    async fn new() -> Self {
        Self::on(&Install::find().unwrap()).await
    }

    async fn on(install: &Install) -> Self {
        let scratch = Scratch::new().unwrap();
        let options = Options::default().set("autovacuum", "off").set("checkpoint_timeout", "1d");
        let old = Server::start(install, &scratch, "p1", options).await.unwrap();
        let folder = Folder::new();
        let sql =
            folder.paritas(&["probe", &old.url("postgres"), "postgres://b/x", "--heartbeat", TABLE, "--print-sql"]);
        assert_eq!(sql.code, 0, "{sql:#?}");
        old.batch("postgres", &sql.stdout).await.unwrap();
        let new = standby(&old, "p2").await.unwrap();
        wait_replayed(&old, &new).await.unwrap();
        Self { folder, old, new, _scratch: scratch }
    }

    /// Starts a probe of both servers, with another address of the source if there is one.
    fn begin(&self, source: Option<String>, more: &[&str]) -> Child {
        let source = source.unwrap_or_else(|| self.old.url("postgres"));
        let state = self.folder.path().join("state");
        let words = ["probe", &source, &self.new.url("postgres"), "--json", "--every", "50ms", "--state"];
        let words: Vec<&str> = words.into_iter().chain([state.to_str().unwrap()]).chain(more.iter().copied()).collect();
        let mut command = self.folder.command(&words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The observation that is being kept.
    fn kept(&self) -> Option<Value> {
        let links = std::fs::read_dir(self.folder.path().join("state/observed")).ok()?;
        let files = links.flatten().flat_map(|link| std::fs::read_dir(link.path()).unwrap().flatten());
        let newest =
            files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "json")).max()?;
        serde_json::from_slice(&std::fs::read(newest).ok()?).ok()
    }

    /// Waits until the observation is as wanted.
    async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            let kept = self.kept().unwrap_or_default();
            if wanted(&kept) {
                return kept;
            }
            assert!(Instant::now() < deadline, "{what}: {kept:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for so many writes of the old primary more than it had.
    async fn beats(&self, more: u64) -> u64 {
        let count = |kept: &Value| kept["beats"]["count"].as_u64().unwrap_or(0);
        let before = self.kept().map_or(0, |kept| count(&kept));
        count(&self.until("heartbeats", |kept| count(kept) >= before + more).await)
    }
}

async fn ended(child: Child) -> Ended {
    let wait = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = tokio::time::timeout(LIMIT, wait).await.expect("the probe ends").unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"));
    let check = json["links"][0]["checks"][0].clone();
    assert_eq!(check["check"], "probe", "{json:#}");
    Ended { code: output.status.code().unwrap_or(-1), check }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The bounds hold for what the test itself saw: the old server ended between the first two instants, the new one took
/// writes between the others.
fn contains(rto: &Value, killed: (Instant, Instant), promoted: (Instant, Instant)) {
    let (low, high) = (rto["seconds"]["low"].as_f64().unwrap(), rto["seconds"]["high"].as_f64().unwrap());
    let least = promoted.0.duration_since(killed.1).as_secs_f64();
    let most = promoted.1.duration_since(killed.0).as_secs_f64();
    assert!(low <= most && least <= high && low <= high, "{rto:#}: {least} to {most}");
}

async fn promoted(server: &Server) -> (Instant, Instant) {
    let begun = Instant::now();
    promote(server).await.unwrap();
    (begun, Instant::now())
}

async fn killed(server: &mut Server) -> (Instant, Instant) {
    let begun = Instant::now();
    server.kill().await.unwrap();
    (begun, Instant::now())
}

fn paritas_failover(stage: &Stage, objectives: &str) -> Value {
    let text = format!(
        "[paritas]\nstate = \"state\"\n[store.east]\nkind = \"postgres\"\nurl = {:?}\n[store.west]\nkind = \"postgres\"\n\
         url = {:?}\n[[link]]\nname = \"trading\"\nsource = \"east\"\nreplica = \"west\"\nobjectives = {objectives}\n",
        stage.old.url("postgres"),
        stage.new.url("postgres")
    );
    stage.folder.write("paritas.toml", text);
    let run = stage.folder.paritas(&["failover", "trading", "--json"]);
    let json = run.json();
    json["links"][0]["recovery"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_is_measured_its_losses_counted_and_failover_shows_both() {
    let mut stage = Stage::new().await;
    paritas_config(&stage);
    let state = stage.folder.path().join("state");
    let words =
        ["probe", "trading", "--json", "--every", "50ms", "--heartbeat", TABLE, "--until", "recovered", "--state"];
    let words: Vec<&str> = words.into_iter().chain([state.to_str().unwrap()]).collect();
    let probe = stage.folder.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    stage.beats(3).await;
    cut_off(&stage.new).await.unwrap();
    let acknowledged = stage.beats(5).await;
    let killed = killed(&mut stage.old).await;
    stage.until("attempts that fail", |kept| kept["source"]["failing"]["since"].is_object()).await;
    let promoted = promoted(&stage.new).await;
    let Ended { code, check } = ended(probe).await;
    assert_eq!((code, &check["verdict"], &check["ended"]), (1, &"fail".into(), &"recovered".into()), "{check:#}");
    contains(&check["rto"], killed, promoted);
    let failover = &check["failover"];
    assert_eq!((&failover["old_timeline"], &failover["new_timeline"]), (&1.into(), &2.into()));
    assert!(failover["heartbeats"]["lost"].as_u64().unwrap() >= 5, "{check:#}");
    assert!(check["source"]["acknowledged"].as_u64().unwrap() >= acknowledged);
    assert!(failover["heartbeats"]["seconds"]["high"].as_f64() > failover["heartbeats"]["seconds"]["low"].as_f64());

    // The old primary is gone without a trace: what the probe saw is all that is known.
    let recovery = paritas_failover(&stage, "{ rto = \"1h\" }");
    let (rto, rpo) = (&recovery["rto"], &recovery["rpo"]);
    assert_eq!(
        (&rto["verdict"], &rto["method"], &rto["seconds"]),
        (&"pass".into(), &"probe".into(), &check["rto"]["seconds"])
    );
    assert_eq!(rto["observation"], check["observation"]);
    assert_eq!(
        (&rpo["transactions_at_least"], &rpo["verdict"]),
        (&failover["heartbeats"]["lost"], &"fail".into()),
        "{rpo:#}"
    );
    assert!(rpo["bytes_at_least"].as_u64().unwrap() > 0 && rpo["transactions"].is_null(), "{rpo:#}");
    assert!(rpo["seconds"]["high"].is_null() && rpo["seconds_if_down"].as_f64().unwrap() > 0.0, "{rpo:#}");
    // With its log the number is exact, and the heartbeats are among them.
    let directory = stage.old.data_dir();
    let run = stage.folder.paritas(&["failover", "trading", "--json", "--data-directory", directory.to_str().unwrap()]);
    let json = run.json();
    let exact = &json["links"][0]["recovery"]["rpo"];
    assert!(exact["transactions"].as_u64() >= failover["heartbeats"]["lost"].as_u64(), "{exact:#}");
    assert!(exact["seconds_if_down"].is_null() && exact["seconds"]["high"].is_f64(), "{exact:#}");
    let breached = paritas_failover(&stage, "{ rto = \"1us\" }");
    let word = &breached["rto"]["verdict"];
    let low = check["rto"]["seconds"]["low"].as_f64().unwrap();
    assert_eq!(word, if low > 1e-6 { "fail" } else { "unknown" }, "{breached:#}");
    assert_ne!(paritas_failover(&stage, "{ rpo = \"1h\" }")["rpo"]["verdict"], "pass");

    // Another failover is another one.
    let third = standby(&stage.new, "p3").await.unwrap();
    promote(&third).await.unwrap();
    stage.new = third;
    let recovery = paritas_failover(&stage, "{ rto = \"1h\" }");
    assert_eq!((&recovery["rto"]["verdict"], &recovery["rto"]["seconds"]), (&"unknown".into(), &Value::Null));
    assert!(recovery["rto"]["why"].as_str().unwrap().contains("another failover"), "{recovery:#}");
}

/// The configuration that [`paritas_failover`] uses, before there is anything to look at.
fn paritas_config(stage: &Stage) {
    paritas_failover(stage, "{}");
}

#[rstest]
#[case(14)]
#[case(15)]
#[case(16)]
#[case(17)]
#[case(18)]
#[tokio::test(flavor = "multi_thread")]
async fn a_clean_switchover_loses_no_heartbeat(#[case] major: u32) {
    let Some(install) = Install::unless_missing(major).unwrap() else { return };
    let mut stage = Stage::on(&install).await;
    let probe = stage.begin(None, &["--heartbeat", TABLE, "--until", "recovered"]);
    stage.beats(5).await;
    let begun = Instant::now();
    stage.old.stop(Mode::Fast).await.unwrap();
    let stopped = (begun, Instant::now());
    let promoted = promoted(&stage.new).await;
    let Ended { code, check } = ended(probe).await;
    assert_eq!((code, &check["failover"]["heartbeats"]["lost"]), (0, &0.into()), "{check:#}");
    contains(&check["rto"], stopped, promoted);
    assert!(check["rto"]["verdict"].is_null() && check["split_brain"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_an_outage_and_no_failover() {
    let mut stage = Stage::new().await;
    let probe = stage.begin(None, &["--heartbeat", TABLE]);
    stage.beats(3).await;
    stage.old.restart().await.unwrap();
    stage
        .until("the new run of the old primary", |kept| kept["known"].as_array().is_some_and(|known| known.len() == 2))
        .await;
    stage.beats(2).await;
    signal(&probe, Signal::INT);
    let Ended { code, check } = ended(probe).await;
    assert_eq!((code, &check["verdict"], &check["ended"]), (130, &"warn".into(), &"interrupted".into()), "{check:#}");
    assert!(check["failover"].is_null() && check["rto"]["seconds"].is_null() && check["split_brain"].is_null());
    let kinds: Vec<&str> =
        check["outages"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"restart"), "{check:#}");
}

#[rstest]
#[case::written(Some(TABLE))]
#[case::watched(None)]
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_take_writes_are_a_split_brain(#[case] table: Option<&str>) {
    let stage = Stage::new().await;
    let more: Vec<&str> = table.into_iter().flat_map(|table| ["--heartbeat", table]).collect();
    let probe = stage.begin(None, &more);
    stage.beats(3).await;
    cut_off(&stage.new).await.unwrap();
    promote(&stage.new).await.unwrap();
    stage.until("the new primary", |kept| kept["servers"][0]["kin"]["new"].is_object()).await;
    stage.beats(3).await;
    signal(&probe, Signal::INT);
    let Ended { check, .. } = ended(probe).await;
    assert_eq!((&check["verdict"], &check["split_brain"]["promoted"]), (&"fail".into(), &true.into()), "{check:#}");
    assert!(check["rto"]["seconds"].is_null() && check["summary"].as_str().unwrap().contains("split brain"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_half_open_hides_nothing() {
    let stage = Stage::new().await;
    let proxy = Proxy::start(stage.old.port()).await.unwrap();
    let probe = stage.begin(
        Some(format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port())),
        &["--heartbeat", TABLE, "--timeout", "200ms", "--until", "recovered"],
    );
    stage.beats(3).await;
    let cut = Instant::now();
    proxy.set(Behaviour::Hang);
    let refused = |kept: &Value| kept["source"]["counts"]["down"].as_u64().unwrap_or(0) >= 2;
    stage.until("attempts without an answer", refused).await;
    let promoted = promoted(&stage.new).await;
    let Ended { check, .. } = ended(probe).await;
    // Nobody answered through the link from the moment it was cut.
    contains(&check["rto"], (cut, cut), promoted);
    assert_eq!(check["failover"]["side"], "replica");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_the_source_may_move_to_the_new_primary() {
    let mut stage = Stage::new().await;
    let (old, new) = (stage.old.port(), stage.new.port());
    let either = format!("postgres://postgres@127.0.0.1:{old},127.0.0.1:{new}/postgres?target_session_attrs=primary");
    let probe = stage.begin(Some(either), &["--heartbeat", TABLE]);
    stage.beats(3).await;
    let killed = killed(&mut stage.old).await;
    let promoted = promoted(&stage.new).await;
    stage.until("the new primary", |kept| kept["servers"][0]["kin"]["new"].is_object()).await;
    signal(&probe, Signal::INT);
    let Ended { check, .. } = ended(probe).await;
    contains(&check["rto"], killed, promoted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_is_killed_goes_on_and_says_so() {
    let mut stage = Stage::new().await;
    let words = ["--heartbeat", TABLE, "--until", "recovered"];
    let mut first = stage.begin(None, &words);
    let seen = stage.beats(5).await;
    signal(&first, Signal::KILL);
    first.wait().unwrap();
    wait_replayed(&stage.old, &stage.new).await.unwrap();
    let killed = killed(&mut stage.old).await;
    // Begun while nobody answers as a primary.
    let second = stage.begin(None, &words);
    stage.until("the second one", |kept| kept["gaps"]["restarts"] == 1).await;
    stage.until("its attempts", |kept| kept["source"]["failing"]["since"].is_object()).await;
    let promoted = promoted(&stage.new).await;
    let Ended { code, check } = ended(second).await;
    assert_eq!((code, &check["resumed"], &check["gaps"]["restarts"]), (0, &true.into(), &1.into()), "{check:#}");
    assert!(check["source"]["acknowledged"].as_u64().unwrap() >= seen);
    contains(&check["rto"], killed, promoted);
    assert_eq!(check["failover"]["heartbeats"]["lost"], 0, "{check:#}");
}

async fn text(server: &Server, sql: &str) -> String {
    server.client("postgres").await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_heartbeats_nothing_is_written_and_only_a_lower_bound_is_claimed() {
    let mut stage = Stage::new().await;
    // Hint bits and pruning are what loading left behind for any reader.
    for sql in ["ANALYZE", "VACUUM (FREEZE)", "CHECKPOINT"] {
        stage.old.batch("postgres", sql).await.unwrap();
    }
    let position = "SELECT pg_current_wal_insert_lsn()::text";
    let before = text(&stage.old, position).await;
    let probe = stage.begin(None, &["--until", "recovered"]);
    stage.beats(20).await;
    assert_eq!(text(&stage.old, position).await, before);
    assert_eq!(text(&stage.old, "SELECT count(*)::text FROM public.beat").await, "0");
    let killed = killed(&mut stage.old).await;
    stage.until("no answer", |kept| kept["source"]["counts"]["down"].as_u64().unwrap_or(0) >= 3).await;
    let promoted = promoted(&stage.new).await;
    let Ended { code, check } = ended(probe).await;
    assert_eq!(
        (code, &check["method"], &check["rto"]["method"]),
        (0, &"observed".into(), &"observed".into()),
        "{check:#}"
    );
    let low = check["rto"]["seconds"]["low"].as_f64().unwrap();
    assert!(check["rto"]["seconds"]["high"].is_null() && low > 0.0, "{check:#}");
    assert!(low <= promoted.1.duration_since(killed.0).as_secs_f64());
    assert!(check["failover"]["heartbeats"]["lost"].is_null(), "{check:#}");
    assert_eq!(text(&stage.new, "SELECT count(*)::text FROM public.beat").await, "0");
}

#[rstest]
#[case::no_table("public.absent", "", "dataset.missing", "--print-sql")]
#[case::columns("public.wrong", "CREATE TABLE wrong (link text PRIMARY KEY, n int)", "probe.table", "another table")]
#[case::a_view("public.wrong", "CREATE VIEW wrong AS SELECT * FROM beat", "probe.table", "another table")]
#[case::no_key(
    "public.wrong",
    "CREATE TABLE wrong AS SELECT * FROM beat; GRANT ALL ON wrong TO other",
    "probe.table",
    "another table"
)]
#[case::not_logged(
    "public.wrong",
    "CREATE UNLOGGED TABLE wrong (LIKE beat INCLUDING ALL)",
    "probe.table",
    "another table"
)]
#[case::no_privilege(
    TABLE,
    "REVOKE ALL ON beat FROM other",
    "dataset.denied",
    "GRANT SELECT, INSERT, UPDATE ON public.beat TO \"other\""
)]
#[case::some_privilege(
    TABLE,
    "GRANT SELECT, INSERT ON beat TO other",
    "dataset.denied",
    "GRANT UPDATE ON public.beat TO \"other\""
)]
#[case::no_schema(
    "hidden.beat",
    "CREATE SCHEMA hidden; CREATE TABLE hidden.beat (LIKE beat INCLUDING ALL)",
    "dataset.denied",
    "GRANT USAGE ON SCHEMA hidden TO \"other\""
)]
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_fit_is_told_with_what_to_do(
    #[case] table: &str,
    #[case] sql: &str,
    #[case] code: &str,
    #[case] hint: &str,
) {
    let stage = Stage::new().await;
    stage.old.batch("postgres", "CREATE ROLE other LOGIN REPLICATION").await.unwrap();
    stage.old.batch("postgres", sql).await.unwrap();
    wait_replayed(&stage.old, &stage.new).await.unwrap();
    let as_other = |server: &Server| server.url("postgres").replace("postgres@", "other@");
    let words = ["probe", &as_other(&stage.old), &as_other(&stage.new), "--json", "--heartbeat", table];
    let run = stage.folder.paritas(&words).code(3);
    let problem = run.json()["links"][0]["checks"][0]["problem"].clone();
    assert_eq!(problem["code"], code, "{problem:#}");
    assert!(problem["hint"].as_str().unwrap().contains(hint), "{problem:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_what_the_statements_grant_is_enough_and_two_probes_are_one_too_many() {
    let stage = Stage::new().await;
    stage.old.batch("postgres", "CREATE ROLE other LOGIN; DROP TABLE beat").await.unwrap();
    let as_other = |server: &Server| server.url("postgres").replace("postgres@", "other@");
    let (source, replica) = (as_other(&stage.old), as_other(&stage.new));
    let words = ["probe", &source, &replica, "--heartbeat", "\"Odd Schema\".beat"];
    let call = |more: &[&str]| {
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        stage.folder.paritas(&words)
    };
    stage.old.batch("postgres", &call(&["--print-sql"]).code(0).stdout).await.unwrap();
    wait_replayed(&stage.old, &stage.new).await.unwrap();
    let state = stage.folder.path().join("state");
    let state = state.to_str().unwrap();
    let run = call(&["--json", "--for", "1s", "--state", state]).code(0).json();
    let check = &run["links"][0]["checks"][0];
    assert!(check["source"]["acknowledged"].as_u64().unwrap() > 0 && check["replica"]["refused"].as_u64().unwrap() > 0);
    assert_eq!((&check["verdict"], &check["ended"]), (&"pass".into(), &"time".into()), "{check:#}");
    let rows = "SELECT count(*)::text FROM \"Odd Schema\".beat";
    assert_eq!(text(&stage.old, rows).await, "1");
    // What was asked for was not seen.
    call(&["--for", "300ms", "--until", "recovered", "--state", state]).code(3);
    // Without the state nobody knows that the other probe has ended.
    let taken = call(&["--json", "--for", "1s"]).code(3).json();
    assert_eq!(taken["links"][0]["checks"][0]["problem"]["code"], "probe.taken", "{taken:#}");
    assert_eq!(text(&stage.old, rows).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_transactions_that_the_new_primary_holds_are_named() {
    let mut stage = Stage::new().await;
    stage.old.batch("postgres", "BEGIN; CREATE TABLE held (a int); PREPARE TRANSACTION 'pay 7'").await.unwrap();
    wait_replayed(&stage.old, &stage.new).await.unwrap();
    stage.old.kill().await.unwrap();
    promote(&stage.new).await.unwrap();
    let recovery = paritas_failover(&stage, "{}");
    let [held] = recovery["prepared"].as_array().unwrap().as_slice() else { panic!("{recovery:#}") };
    assert_eq!(
        (&held["gid"], &held["database"], &held["owner"]),
        (&"pay 7".into(), &"postgres".into(), &"postgres".into())
    );
    assert_eq!(held["before_promotion"], true);
    assert!(recovery["reasons"].to_string().contains("COMMIT PREPARED or ROLLBACK PREPARED"), "{recovery:#}");
    stage.new.batch("postgres", "ROLLBACK PREPARED 'pay 7'").await.unwrap();
    let recovery = paritas_failover(&stage, "{}");
    assert!(recovery["prepared"].is_null() && !recovery["reasons"].to_string().contains("PREPARED"), "{recovery:#}");
}

#[test]
fn misuse_is_told_before_anything_is_asked() {
    let folder = Folder::new();
    for (words, expected) in [
        (vec!["probe", "postgres://a/db"], "is one store; two are needed"),
        (vec!["probe", "postgres://a/db", "postgres://a/db"], "source and replica are the same"),
        (vec!["probe", "parquet:/x", "postgres://a/db"], "not probed"),
        (vec!["probe", "postgres://a/db", "postgres://b/db", "--heartbeat", "beat"], "not the name of a table"),
        (vec!["probe", "postgres://a/db", "postgres://b/db", "--print-sql"], "--heartbeat"),
        (vec!["probe", "postgres://a/db", "postgres://b/db", "--every", "1ms"], "--every"),
        (vec!["probe", "postgres://a/db", "postgres://b/db", "--timeout", "0s"], "--timeout"),
    ] {
        let run = folder.paritas(&words).code(2);
        assert!(run.stderr.contains(expected), "{words:?}: {}", run.stderr);
    }
}
