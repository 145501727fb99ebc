//! Long tables are verified in parts with short views, at a set pace, and runs that were ended go on
//! where they were.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server, standby};
use paritas_tests::{Run, command, ended, paritas, verify};
use rstest::rstest;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// So short that every table of these tests is cut into many parts.
const SHORT: &str = "20ms";
/// Runs that are killed, each at another moment.
const KILLS: u64 = 12;

/// Two databases of one server.
struct Two {
    server: Server,
    scratch: Scratch,
}

impl Two {
    /// Both with the same tables; `west` is then changed by more statements.
    async fn start(tables: &str, changes: &str) -> Self {
        let scratch = Scratch::new().unwrap();
        let server = Server::start(&Install::find().unwrap(), &scratch, "one", Options::default()).await.unwrap();
        for database in ["east", "west"] {
            server.create_database(database).await.unwrap();
            server.batch(database, tables).await.unwrap();
        }
        server.batch("west", changes).await.unwrap();
        for database in ["east", "west"] {
            server.batch(database, "VACUUM ANALYZE").await.unwrap();
        }
        Self { server, scratch }
    }

    fn urls(&self, table: &str) -> (String, String) {
        let of = |database| format!("{}?table={table}", self.server.url(database));
        (of("east"), of("west"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}

/// What must not depend on how a table was cut.
fn result(check: &Value) -> Value {
    let mut items = check["items"].as_array().unwrap().clone();
    items.sort_by_key(|item| item["key"].to_string());
    let differences = check["differences"].clone();
    serde_json::json!([check["verdict"], check["complete"], check["rows"], differences, items, check["key"]])
}

fn note(check: &Value, part: &str) -> String {
    let notes = check["notes"].as_array().cloned().unwrap_or_default();
    let found = notes.iter().filter_map(Value::as_str).find(|note| note.contains(part));
    found.unwrap_or_else(|| panic!("no note says {part:?}: {check:#}")).to_owned()
}

const TABLE: &str = "CREATE TABLE t (id KIND PRIMARY KEY, amount numeric(12,2), note text); \
    INSERT INTO t SELECT VALUE, n / 7.0, repeat(md5(n::text), 3) FROM generate_series(1, 60000) AS n";
const CHANGES: &str = "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY id LIMIT 1); \
    DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY id DESC LIMIT 1); \
    UPDATE t SET amount = amount + 0.01 WHERE id IN (SELECT id FROM t ORDER BY id OFFSET 29000 LIMIT 40); \
    UPDATE t SET note = NULL WHERE id IN (SELECT id FROM t ORDER BY id OFFSET 100 LIMIT 1)";

#[rstest]
#[case::integers("bigint", "n - 30000")]
#[case::small_integers("int", "n")]
#[case::decimals("numeric", "n / 3.0")]
#[case::times("timestamptz", "'2026-03-29 00:30+00'::timestamptz + n * interval '1 s'")]
#[case::days("date", "'0044-03-15 BC'::date + n")]
#[case::uuids_in_order("uuid", "lpad(to_hex(n), 32, '0')::uuid")]
#[case::bytes("bytea", "decode(lpad(to_hex(n), 8, '0'), 'hex')")]
#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_parts_comes_to_the_same_as_in_one(#[case] kind: &str, #[case] value: &str) {
    let two = Two::start(&TABLE.replace("KIND", kind).replace("VALUE", value), CHANGES).await;
    let (east, west) = two.urls("t");
    let whole = verify(&east, &west, &[]).expect_code(1).parity();
    let parts = verify(&east, &west, &["--view-max", SHORT]).expect_code(1).parity();
    assert_eq!(result(&parts), result(&whole));
    assert_eq!(Run::counts(&parts), (2, 0, 41), "{parts:#}");
    let said = note(&parts, " parts, each in views of its own");
    assert!(!said.starts_with("verified in 1 "), "{said}");
    // The digest of all parts together is that of the whole.
    let digest = two.path("t.digest");
    let file = digest.to_str().unwrap();
    verify(&east, &west, &["--view-max", SHORT, "--save-digest", file]).expect_code(1);
    verify(&format!("digest:{file}"), &east, &[]).expect_code(0);
    let found = verify(&format!("digest:{file}"), &west, &[]).expect_code(1).parity();
    assert_eq!(Run::counts(&found), (2, 0, 41), "{found:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_value_in_the_key_and_keys_of_several_columns_belong_to_one_part_each() {
    let tables = "CREATE TABLE n (id int UNIQUE, v text); \
        INSERT INTO n SELECT CASE WHEN g % 100 = 0 THEN NULL ELSE g END, repeat('x', 200) || g FROM generate_series(1, 40000) g; \
        CREATE TABLE c (day date, id int, v text, PRIMARY KEY (day, id)); \
        INSERT INTO c SELECT '2026-01-01'::date + g / 500, g % 500, repeat('y', 200) || g FROM generate_series(1, 40000) g; \
        CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); \
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (15000); \
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (15000) TO (50000); \
        INSERT INTO p SELECT g, repeat('z', 200) || g FROM generate_series(1, 40000) g";
    let changes = "UPDATE n SET v = 'other' WHERE id = 7; DELETE FROM n WHERE v LIKE '%x300'; \
        UPDATE c SET v = 'other' WHERE id = 7 AND day = '2026-01-01'; UPDATE p SET v = 'other' WHERE id IN (14999, 15000)";
    let two = Two::start(tables, changes).await;
    for (table, counts) in [("n", (1, 0, 1)), ("c", (0, 0, 1)), ("p", (0, 0, 2))] {
        let (east, west) = two.urls(table);
        let (east, west) = (format!("{east}&key={}", key(table)), format!("{west}&key={}", key(table)));
        let whole = verify(&east, &west, &[]).expect_code(1).parity();
        let parts = verify(&east, &west, &["--view-max", SHORT]).expect_code(1).parity();
        assert_eq!(Run::counts(&parts), counts, "{table}: {parts:#}");
        assert_eq!(result(&parts), result(&whole), "{table}");
        note(&parts, " parts, each in views of its own");
    }
}

fn key(table: &str) -> &str {
    if table == "c" { "day,id" } else { "id" }
}

#[rstest]
#[case::no_order("id uuid PRIMARY KEY", "md5(n::text)::uuid", "order of its key")]
#[case::texts("id text PRIMARY KEY", "lpad(n::text, 9, '0')", "no order that all servers agree on")]
#[case::no_index("id int", "n", "no index begins with")]
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_cut_is_read_in_one_view_and_that_is_said(
    #[case] column: &str,
    #[case] value: &str,
    #[case] why: &str,
) {
    let tables = format!(
        "CREATE TABLE t ({column}, v text); INSERT INTO t SELECT {value}, repeat('x', 300) || n FROM generate_series(1, 40000) n"
    );
    let two = Two::start(&tables, "").await;
    let (east, west) = two.urls("t");
    let check =
        verify(&format!("{east}&key=id"), &format!("{west}&key=id"), &["--view-max", SHORT]).expect_code(0).parity();
    assert!(note(&check, "read in one view").contains(why), "{check:#}");
}

/// Ends the run after a while, as a crash would, unless it ended by itself.
fn killed(args: &[&str], after: Duration) -> bool {
    let mut child = command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + after;
    while Instant::now() < deadline {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_goes_on_where_it_was_and_ends_as_if_it_had_not_been_killed() {
    let two = Two::start(&TABLE.replace("KIND", "int").replace("VALUE", "n"), CHANGES).await;
    let (east, west) = two.urls("t");
    let limits = ["--view-max", "100ms", "--rate", "16MiB/s"];
    let whole = verify(&east, &west, &limits).expect_code(1).parity();
    let mut resumed = 0;
    for kill in 0..KILLS {
        let state = two.path(&format!("state{kill}"));
        let mut args = vec!["verify", "--json", "--state", state.to_str().unwrap(), &east, &west];
        args.extend(limits);
        if !killed(&args, Duration::from_millis(60 * kill)) {
            continue;
        }
        args.push("--resume");
        let run = paritas(&args);
        if run.code == 2 {
            // It was killed before it had begun to keep anything.
            assert_eq!(run.json()["code"], "state.missing", "{run:#?}");
            continue;
        }
        let run = run.expect_code(1);
        let check = run.parity();
        assert_eq!(result(&check), result(&whole), "killed after {kill} times 60 ms");
        assert!(run.json()["run"]["resumed_from"].is_string(), "{run:#?}");
        resumed += u64::from(check.to_string().contains("by the run that this one goes on from"));
        // It came to its end: nothing is left to go on with.
        assert_eq!(paritas(&args).expect_code(2).json()["code"], "state.missing");
    }
    assert!(resumed > 0, "no run had finished a part before it was killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_only_with_one_that_verifies_the_same() {
    let two = Two::start(&TABLE.replace("KIND", "int").replace("VALUE", "n"), "").await;
    let (east, west) = two.urls("t");
    let state = two.path("state");
    let state = state.to_str().unwrap();
    assert_eq!(verify(&east, &west, &["--resume"]).expect_code(2).json()["code"], "usage.resume");
    let limits = ["--state", state, "--view-max", SHORT];
    // Short of its budget, it can be gone on with.
    let short = verify(&east, &west, &[&limits[..], &["--budget", "50000rows"]].concat()).expect_code(3);
    let id = short.json()["run"]["id"].as_str().unwrap().to_owned();
    let said = paritas(&["verify", &east, &west, "--state", state, "--budget", "1000rows"]).expect_code(3);
    assert!(said.stdout.contains("paritas verify --resume --state"), "{said:#?}");
    let named = format!("--resume={id}");
    let other = verify(&west, &east, &[&limits[..], &["--resume"]].concat()).expect_code(2);
    assert_eq!(other.json()["code"], "usage.resume");
    verify(&east, &west, &[&limits[..], &["--resume", "--policy", "decimal=value"]].concat()).expect_code(2);
    verify(&east, &west, &[&limits[..], &["--resume=01ARZ3NDEKTSV4RRFFQ69G5FAV"]].concat()).expect_code(2);
    let run = verify(&east, &west, &[&limits[..], &[&named]].concat()).expect_code(0);
    assert_eq!(run.json()["run"]["resumed_from"], id.as_str());
    note(&run.parity(), "by the run that this one goes on from");
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_keeps_to_its_rate_and_to_its_connections() {
    let two = Two::start(&TABLE.replace("KIND", "int").replace("VALUE", "n"), "").await;
    let (east, west) = two.urls("t");
    for rate in ["64KiB/s", "500rows/s"] {
        // At this rate the table takes minutes.
        let mut call =
            command(&["verify", "--json", &east, &west, "--parallel", "2", "--rate", rate, "--budget", "3s"]);
        let mut child = call.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let watcher = two.server.client("postgres").await.unwrap();
        let mut most = 0_i64;
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'paritas' AND datname = 'east'";
        while child.try_wait().unwrap().is_none() {
            most = most.max(watcher.query_one(sql, &[]).await.unwrap().get(0));
        }
        let check = ended(child).expect_code(3).parity();
        assert_eq!(check["problem"]["code"], "run.deadline", "{check:#}");
        // Two that read, one that holds the view, one to look rows up with.
        assert!((1..=4).contains(&most), "{most} connections");
    }
    verify(&east, &west, &["--rate", "1GiB/s"]).expect_code(0);
    verify(&east, &west, &["--rate", "fast"]).expect_code(2);
    verify(&east, &west, &["--view-max", "0s"]).expect_code(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_look_is_never_a_pass_and_what_it_finds_is_read() {
    let scratch = Scratch::new().unwrap();
    let primary = Server::start(&Install::find().unwrap(), &scratch, "east", Options::default()).await.unwrap();
    let tables = "CREATE TABLE t AS SELECT g AS id, g / 7.0 AS amount FROM generate_series(1, 20000) g; \
        ALTER TABLE t ADD PRIMARY KEY (id); CREATE TABLE unhashable AS SELECT '{}'::json AS j; CREATE TABLE nothing (id int)";
    primary.batch("postgres", tables).await.unwrap();
    let standby = standby(&primary, "west").await.unwrap();
    let url = |server: &Server, table: &str| format!("{}?table={table}", server.url("postgres"));
    let quick = |table: &str| verify(&url(&primary, table), &url(&standby, table), &["--quick"]);
    for table in ["t", "nothing"] {
        let check = quick(table).expect_code(3).parity();
        assert_eq!((&check["verdict"], &check["problem"]["code"]), (&"unknown".into(), &"quick.equal".into()));
    }
    note(&quick("unhashable").expect_code(0).parity(), "no quick look");
    // A standby cannot be written to, so its answer is made to differ by what it has not replayed.
    standby.batch("postgres", "SELECT pg_wal_replay_pause()").await.unwrap();
    primary.batch("postgres", "UPDATE t SET amount = 1 WHERE id = 7").await.unwrap();
    let run = verify(&url(&primary, "t"), &url(&standby, "t"), &["--quick", "--settle", "200ms"]).expect_code(3);
    run.expect_no_difference();
    standby.batch("postgres", "SELECT pg_wal_replay_resume()").await.unwrap();
    // Sums that differ because rows are on their way lead to a comparison, and that knows better.
    let client = primary.client("postgres").await.unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let writes = tokio::spawn(async move {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            client.batch_execute("UPDATE t SET amount = amount + 1 WHERE id < 100").await.unwrap();
        }
    });
    let mut differed = false;
    for _ in 0..20 {
        let run = verify(&url(&primary, "t"), &url(&standby, "t"), &["--quick", "--settle", "10s"]);
        run.expect_no_difference();
        differed = run.stdout.contains("quick look: sums differ in");
        if differed {
            break;
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writes.await.unwrap();
    assert!(differed, "the sums never differed");
    // Copies that are no standbys are read.
    primary.create_database("copy").await.unwrap();
    primary.batch("copy", tables).await.unwrap();
    let copy = format!("{}?table=t", primary.url("copy"));
    let run = verify(&url(&primary, "t"), &copy, &["--quick"]).expect_code(1);
    assert_eq!(Run::counts(&run.parity()), (0, 0, 99), "what was updated above");
    note(&run.parity(), "no quick look");
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_is_held_while_the_replica_is_too_far_behind() {
    let scratch = Scratch::new().unwrap();
    let primary = Server::start(&Install::find().unwrap(), &scratch, "east", Options::default()).await.unwrap();
    let table = "CREATE TABLE t AS SELECT g AS id, repeat(md5(g::text), 8) AS v FROM generate_series(1, 40000) g; \
        ALTER TABLE t ADD PRIMARY KEY (id); CREATE TABLE noise (v text); VACUUM ANALYZE t";
    for sql in table.split("; ") {
        primary.batch("postgres", sql).await.unwrap();
    }
    let standby = standby(&primary, "west").await.unwrap();
    standby.batch("postgres", "SELECT pg_wal_replay_pause()").await.unwrap();
    primary
        .batch("postgres", "INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
        .await
        .unwrap();
    let (east, west) = (format!("{}?table=t", primary.url("postgres")), format!("{}?table=t", standby.url("postgres")));
    // The table itself is replicated whole, so nothing but the lag keeps it from being read.
    let options = ["--method", "rows", "--settle", "300ms", "--rate", "4MiB/s", "--view-max", "2s"];
    let held = verify(&east, &west, &[&options[..], &["--pause-lag", "1MiB"]].concat()).expect_code(3).parity();
    assert_eq!(held["problem"]["code"], "run.held", "{held:#}");
    standby.batch("postgres", "SELECT pg_wal_replay_resume()").await.unwrap();
    verify(&east, &west, &["--settle", "60s", "--rate", "4MiB/s", "--pause-lag", "1MiB"]).expect_code(0);
}
