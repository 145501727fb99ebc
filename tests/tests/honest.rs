//! Verdicts that say neither more nor less than what was proven, through the binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server, logical_replica, standby, wait_replayed, wait_subscribed};
use paritas_tests::{Run, command, paritas, run, verify};
use rstest::rstest;
use serde_json::Value;
use std::fs;

/// Two servers that know nothing of each other, with these tables.
async fn servers(scratch: &Scratch, east: &str, west: &str) -> (Server, Server) {
    let install = Install::find().unwrap();
    let start = async |name: &str, sql: &str| {
        let server = Server::start(&install, scratch, name, Options::default()).await.unwrap();
        server.batch("postgres", sql).await.unwrap();
        server
    };
    (start("east", east).await, start("west", west).await)
}

fn not_checked(json: &Value) -> String {
    json["links"][0]["not_checked"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_database_holds_beside_its_tables_is_said() {
    let scratch = Scratch::new().unwrap();
    let sql = "CREATE TABLE a (id serial PRIMARY KEY); CREATE VIEW v AS TABLE a; CREATE MATERIALIZED VIEW m AS TABLE a";
    let (east, west) = servers(&scratch, sql, sql).await;
    let (east, west) = (east.url("postgres"), west.url("postgres"));
    let json = verify(&east, &west, &[]).expect_code(0).json();
    for part in ["source: 1 views: public.v", "replica: 1 materialized views: public.m"] {
        assert!(not_checked(&json).contains(part), "{json}");
    }
    let json = verify(&format!("{east}?table=a"), &west, &[]).expect_code(0).json();
    assert!(!not_checked(&json).contains("views"), "{json}");
}

#[rstest]
#[case::as_many(3, 3, 0)]
#[case::fewer(3, 2, 1)]
#[case::none(0, 0, 0)]
#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_columns_is_a_number_of_rows(#[case] ours: u32, #[case] theirs: u32, #[case] code: i32) {
    let scratch = Scratch::new().unwrap();
    let sql = |rows: u32| {
        format!(
            "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE bare (); INSERT INTO bare SELECT FROM generate_series(1, {rows})"
        )
    };
    let (east, west) = servers(&scratch, &sql(ours), &sql(theirs)).await;
    let run = verify(&east.url("postgres"), &west.url("postgres"), &[]).expect_code(code);
    assert!(run.stdout.contains("public.bare"), "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlogged_table_is_not_expected_of_a_standby_unless_it_was_named() {
    let scratch = Scratch::new().unwrap();
    let install = Install::find().unwrap();
    let primary = Server::start(&install, &scratch, "primary", Options::default()).await.unwrap();
    let sql = "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1); \
               CREATE UNLOGGED TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)";
    primary.batch("postgres", sql).await.unwrap();
    let follower = standby(&primary, "standby").await.unwrap();
    wait_replayed(&primary, &follower).await.unwrap();
    let (east, west) = (primary.url("postgres"), follower.url("postgres"));
    let json = verify(&east, &west, &[]).expect_code(0).json();
    assert!(not_checked(&json).contains("rows of public.u"), "{json}");
    let text = paritas(&["verify", &east, &west]).stdout;
    assert!(text.contains("1 dataset equal"), "{text}");
    verify(&format!("{east}?table=u"), &west, &[]).expect_code(3);
    primary.batch("postgres", "DROP TABLE a").await.unwrap();
    wait_replayed(&primary, &follower).await.unwrap();
    verify(&east, &west, &[]).expect_code(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_named_on_one_side_faces_the_one_of_its_name() {
    let scratch = Scratch::new().unwrap();
    let (east, west) = servers(
        &scratch,
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)",
        "CREATE TABLE b (id int PRIMARY KEY)",
    )
    .await;
    let (east, west) = (east.url("postgres"), west.url("postgres"));
    verify(&format!("{east}?table=public.b"), &west, &[]).expect_code(0);
    let run = verify(&format!("{east}?table=public.a"), &west, &[]).expect_code(1);
    assert!(run.stdout.contains("missing on the replica"), "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_of_filtered_rows_is_compared_with_the_same_rows_only() {
    let scratch = Scratch::new().unwrap();
    let sql = "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a SELECT generate_series(1, 9)";
    let (east, west) = servers(&scratch, sql, sql).await;
    let url = |server: &Server, filter: &str| format!("{}?table=a{filter}", server.url("postgres"));
    let file = scratch.path().join("a.digest");
    let (some, other) = ("&where=id%3C5", "&where=id%3C6");
    verify(&url(&east, some), &url(&west, some), &["--save-digest", file.to_str().unwrap()]).expect_code(0);
    let digest = format!("digest:{}", file.display());
    verify(&digest, &url(&west, some), &[]).expect_code(0);
    for filter in ["", other] {
        let run = verify(&digest, &url(&west, filter), &[]).expect_code(3);
        assert!(run.stdout.contains("digest.incomparable") && run.stdout.contains("id<5"), "{}", run.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_quotes_is_hidden_with_the_values() {
    let scratch = Scratch::new().unwrap();
    let sql = "CREATE TABLE a (id int PRIMARY KEY, note text); INSERT INTO a VALUES (1, 'canary-value')";
    let (east, west) = servers(&scratch, sql, sql).await;
    let config = scratch.path().join("paritas.toml");
    let state = scratch.path().join("state");
    for (values, shown) in [("show", true), ("mask", false)] {
        let text = format!(
            "[paritas]\nstate = \"{}\"\n[privacy]\nvalues = \"{values}\"\n[store.a]\nkind = \"postgres\"\nurl = \"{}\"\n\
             [store.b]\nkind = \"postgres\"\nurl = \"{}\"\n[[link]]\nname = \"l\"\nsource = \"a\"\nreplica = \"b\"\n\
             [[link.dataset]]\nname = \"public.a\"\nwhere = \"note::int = 1\"\n",
            state.join(values).display(),
            east.url("postgres"),
            west.url("postgres")
        );
        fs::write(&config, text).unwrap();
        for format in ["--json", "--color=never"] {
            let run = run(command(&["verify", "-c", config.to_str().unwrap(), "-vvv", format]));
            assert_eq!(run.code, 3, "{run:?}");
            assert_eq!(format!("{run:?}").contains("canary-value"), shown, "{run:?}");
        }
        let runs = fs::read_dir(state.join(values).join("runs")).unwrap();
        let kept: String = runs.map(|run| fs::read_to_string(run.unwrap().path()).unwrap()).collect();
        assert_eq!(kept.contains("canary-value"), shown);
    }
}

/// A commit that waits for a synchronous standby is in the log: every other standby shows it, and the
/// primary does not yet. That is no difference.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_waits_for_another_standby_is_no_drift() {
    let scratch = Scratch::new().unwrap();
    let options = Options::default().set("synchronous_standby_names", "nobody");
    let primary = Server::start(&Install::find().unwrap(), &scratch, "east", options).await.unwrap();
    let tables = "SET synchronous_commit = local; CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE bag (v text); \
        CREATE EXTENSION pageinspect";
    primary.batch("postgres", tables).await.unwrap();
    let standby = standby(&primary, "west").await.unwrap();
    let mut waiting = Vec::new();
    for sql in ["INSERT INTO keyed VALUES (7)", "INSERT INTO bag VALUES ('x')", "CREATE TABLE more (id int)"] {
        let client = primary.client("postgres").await.unwrap();
        waiting.push(tokio::spawn(async move {
            client.batch_execute(&format!("SET synchronous_commit = on; {sql}")).await
        }));
    }
    let looking = primary.client("postgres").await.unwrap();
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while looking.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) < 3 {
        assert!(std::time::Instant::now() < deadline, "the commits do not wait");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let (east, west) = (primary.url("postgres"), standby.url("postgres"));
    for table in ["keyed", "bag"] {
        let run = verify(&format!("{east}?table={table}"), &format!("{west}?table={table}"), &["--settle", "1s"]);
        let run = run.expect_code(3);
        assert_eq!(Run::counts(&run.parity()), (0, 0, 0), "{run:#?}");
    }
    let run = verify(&east, &west, &["--settle", "1s"]).expect_code(3);
    assert!(!run.stdout.contains("\"fail\""), "{run:#?}");
    assert!(run.stdout.contains("synchronous standby"), "{run:#?}");
    primary.batch("postgres", "ALTER SYSTEM SET synchronous_standby_names = ''").await.unwrap();
    primary.batch("postgres", "SELECT pg_reload_conf()").await.unwrap();
    for one in waiting {
        one.await.unwrap().unwrap();
    }
    verify(&east, &west, &["--settle", "60s"]).expect_code(0);
}

/// Rows that an index hides from every look-up are seen by the scan, and a look-up does not explain them away.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_damaged_index_hides_are_found() {
    let scratch = Scratch::new().unwrap();
    let primary = Server::start(&Install::find().unwrap(), &scratch, "east", Options::default()).await.unwrap();
    let table = "CREATE TABLE t (id int PRIMARY KEY, v text)";
    let fill = "INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 500) g";
    primary.batch("postgres", table).await.unwrap();
    let replica = logical_replica(&primary, "west", table, &["t"]).await.unwrap();
    primary.batch("postgres", fill).await.unwrap();
    wait_subscribed(&primary, &replica).await.unwrap();
    let url = |server: &Server| format!("{}?table=t", server.url("postgres"));
    let look = || verify(&url(&primary), &url(&replica), &["--settle", "20s"]);
    look().expect_code(0);
    let index = |ready: bool| format!("UPDATE pg_index SET indisready = {ready} WHERE indexrelid = 't_pkey'::regclass");
    for (hidden, counts) in
        [("INSERT INTO t VALUES (9999, 'extra')", (0, 1, 0)), ("INSERT INTO t VALUES (77, 'row 77')", (0, 1, 0))]
    {
        replica.batch("postgres", &index(false)).await.unwrap();
        replica.batch("postgres", hidden).await.unwrap();
        replica.batch("postgres", &index(true)).await.unwrap();
        let check = look().expect_code(1).parity();
        assert_eq!(Run::counts(&check), counts, "{hidden}: {check:#}");
        replica
            .batch(
                "postgres",
                "SET enable_indexscan = off; SET enable_bitmapscan = off; DELETE FROM t WHERE ctid = \
            (SELECT max(ctid) FROM t)",
            )
            .await
            .unwrap();
        look().expect_code(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_one_side_only_is_refused() {
    let run = verify("postgres://a/d?table=t&where=id=1", "postgres://b/d?table=t", &[]).expect_code(2);
    assert_eq!(run.json()["code"], "usage.where", "{run:#?}");
}
