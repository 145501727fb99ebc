//! When pages are compared, and when rows.

use crate::stage::{Stage, TABLE, by_pages, notes, quiet};
use paritas_testbed::postgres::{Mode, Server};
use rstest::rstest;
use serde_json::Value;
use std::io::Write as _;

#[rstest]
#[case::asked_for(&["--method", "rows"], "", "")]
#[case::some_rows(&[], "&where=id%3C10", "only rows that meet a condition")]
#[case::some_columns(&[], "&columns=id,amount", "not all columns")]
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_compared_where_pages_would_not_answer_what_is_asked(
    #[case] options: &[&str],
    #[case] query: &str,
    #[case] why: &str,
) {
    let stage = Stage::new(quiet(), TABLE).await;
    let check = stage.verify(&format!("t{query}"), options).expect_code(0).parity();
    assert_eq!(check["method"], "rows", "{check:#}");
    assert!(check["pages"].is_null() && notes(&check).contains(why), "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_pages_from_being_compared_is_said() {
    let stage = Stage::new(quiet(), TABLE).await;
    stage.run("CREATE ROLE reader LOGIN; GRANT pg_read_all_data, pg_monitor TO reader").await;
    stage.replayed().await;
    let as_reader = |url: String| url.replace("postgres@", "reader@");
    let (source, replica) = (as_reader(stage.primary.url("postgres")), as_reader(stage.standby.url("postgres")));
    let source = format!("{source}?table=t");
    let check = paritas_tests::verify(&source, &replica, &[]).expect_code(0).parity();
    assert!(check["method"] == "rows" && notes(&check).contains("superuser"), "{check:#}");
    let check = paritas_tests::verify(&source, &replica, &["--method", "pages"]).expect_code(3).parity();
    assert_eq!(check["problem"]["code"], "method.pages", "{check:#}");
    stage.run("DROP EXTENSION pageinspect").await;
    stage.replayed().await;
    let check = stage.verify("t", &[]).expect_code(0).parity();
    assert!(check["method"] == "rows" && notes(&check).contains("CREATE EXTENSION pageinspect"), "{check:#}");
}

#[rstest]
#[case::bytes("100MiB/s", "pages")]
#[case::rows("100000rows/s", "rows")]
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_read_at_a_rate_of_bytes_and_not_of_rows(#[case] rate: &str, #[case] method: &str) {
    let stage = Stage::new(quiet(), TABLE).await;
    let check = stage.verify("t", &["--rate", rate]).expect_code(0).parity();
    assert_eq!(check["method"], method, "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_digest_needs_rows() {
    let stage = Stage::new(quiet(), TABLE).await;
    let folder = paritas_testbed::Scratch::new().unwrap();
    let file = folder.path().join("t.digest").display().to_string();
    let check = stage.verify("t", &["--save-digest", &file]).expect_code(0).parity();
    assert!(check["method"] == "rows" && notes(&check).contains("digest"), "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_compared_as_one_table_and_unknown_indexes_are_named() {
    let sql = "CREATE TABLE p (id int, tags text) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (500);
        CREATE TABLE \"P 2\" PARTITION OF p FOR VALUES FROM (500) TO (5000);
        CREATE EXTENSION bloom; CREATE INDEX ON p (id); CREATE INDEX p1_bloom ON p1 USING bloom (tags);
        INSERT INTO p SELECT n, 'tag ' || n FROM generate_series(1, 3000) n";
    let stage = Stage::new(quiet(), sql).await;
    let run = stage.verify("p", &[]);
    let not_checked = run.json()["links"][0]["not_checked"].to_string();
    assert!(not_checked.contains("public.p1_bloom") && not_checked.contains("bloom"), "{not_checked}");
    let check = by_pages(run, 0);
    let relations = check["pages"]["relations"].to_string();
    assert!(relations.contains("public.p1") && relations.contains("P 2"), "{relations}");
}

/// Switches data checksums off on a stopped server: beside them, `wal_log_hints` makes no difference.
fn without_checksums(server: &mut Server, hints: &str) {
    let data = server.data_dir();
    let program = server.install().program("pg_checksums");
    let ended = std::process::Command::new(program).arg("--disable").arg("-D").arg(&data).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let mut file = std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
    writeln!(file, "wal_log_hints = {hints}").unwrap();
}

#[rstest]
#[case::unlike("on", "off", "rows")]
#[case::both("off", "off", "pages")]
#[tokio::test(flavor = "multi_thread")]
async fn hints_must_be_logged_in_one_way_on_both_sides(#[case] ours: &str, #[case] theirs: &str, #[case] method: &str) {
    let mut stage = Stage::new(quiet(), TABLE).await;
    stage.stopped().await;
    stage.primary.stop(Mode::Fast).await.unwrap();
    without_checksums(&mut stage.primary, ours);
    without_checksums(&mut stage.standby, theirs);
    stage.primary.start_again().await.unwrap();
    stage.started().await;
    for sql in ["UPDATE t SET amount = 1 WHERE id < 2000", "VACUUM t", "SELECT count(*) FROM t"] {
        stage.run(sql).await;
    }
    stage.replayed().await;
    let check = stage.verify("t", &[]).expect_code(0).parity();
    assert_eq!(check["method"], method, "{check:#}");
    assert_eq!(notes(&check).contains("logging of hints"), method == "rows", "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_cross_only_where_digests_do_not_prove_enough() {
    let stage = Stage::new(quiet(), TABLE).await;
    let read = |side: &str, check: &Value| check["bytes_read"][side].as_u64().unwrap();
    let whole = |check: &Value| check["pages"]["compared"].as_u64().unwrap() * 8192;
    let check = by_pages(stage.verify("t", &[]), 0);
    assert!(notes(&check).contains("SHA-256"), "{check:#}");
    for side in ["source", "replica"] {
        assert!(read(side, &check) < whole(&check) / 4, "{check:#}");
    }
    // A group of transactions: a lock, and a change under a savepoint. Which groups there are is in the rows.
    let sql =
        "BEGIN; SELECT FROM t WHERE id = 1 FOR KEY SHARE; SAVEPOINT s; UPDATE t SET amount = 0 WHERE id = 1; COMMIT";
    stage.run(sql).await;
    stage.replayed().await;
    let check = by_pages(stage.verify("t", &[]), 0);
    assert!(read("source", &check) > whole(&check) / 2, "{check:#}");
    assert!(read("replica", &check) < whole(&check) / 4, "{check:#}");
}
