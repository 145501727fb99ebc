//! Servers that end, hold up or refuse what is asked of them, or are other ones than the user thinks: the code, the exit
//! code, and the way out. Nothing of it passes, and no row counts as lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Install, Options, Server};
use paritas_tests::{Run, paritas, verify};
use rstest::rstest;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const TABLE: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 9) g";
/// Every one of its nine rows takes its time.
const SLOW: &str = "CREATE VIEW slow AS SELECT id FROM t WHERE pg_sleep(0.1) IS NOT NULL";
const READER: &str = "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader";

async fn start(install: &Install, scratch: &Scratch, name: &str, sql: &str) -> Server {
    let server = Server::start(install, scratch, name, Options::default()).await.unwrap();
    server.batch("postgres", sql).await.unwrap();
    server
}

fn as_reader(server: &Server) -> String {
    server.url("postgres").replace("postgres@", "reader@")
}

fn problems(run: &Run) -> Vec<Value> {
    let json = run.json();
    if json["message_type"] == "error" {
        return vec![json];
    }
    let checks = json["links"][0]["checks"].as_array().unwrap().clone();
    checks.iter().map(|check| check["problem"].clone()).filter(|problem| !problem.is_null()).collect()
}

/// Demands an exit code and a problem with one of these codes, a hint, and these words.
fn refused(run: &Run, code: i32, codes: &[&str], words: &[&str]) {
    assert_eq!(run.code, code, "{run:#?}");
    let all = problems(run);
    let fits = |problem: &&Value| codes.contains(&problem["code"].as_str().unwrap());
    let found = all.iter().find(fits).unwrap_or_else(|| panic!("none of {codes:?} in {run:#?}"));
    let part = |name: &str| found[name].as_str().unwrap_or_default();
    assert!(!part("hint").is_empty() && !part("message").ends_with('.'), "{found:#}");
    let text = format!("{}\n{}\n{}", part("message"), part("detail"), part("hint"));
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
    if run.json()["message_type"] == "report" {
        run.expect_no_difference();
    }
}

/// Our own limits take the place of those that a role has for its sessions, as a dump's do.
#[rstest]
#[case(15)]
#[case(17)]
#[tokio::test(flavor = "multi_thread")]
async fn time_outs_of_a_role_do_not_end_a_comparison_and_our_own_does(#[case] major: u32) {
    let Some(install) = Install::unless_missing(major).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let sql = format!("{TABLE}; {SLOW}; {READER}");
    let server = start(&install, &scratch, "east", &sql).await;
    let replica = start(&install, &scratch, "west", &sql).await;
    for name in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"] {
        if name != "transaction_timeout" || major >= 17 {
            replica.batch("postgres", &format!("ALTER ROLE reader SET {name} = '500ms'")).await.unwrap();
        }
    }
    let of = |url: String| format!("{url}?table=slow&key=id");
    let (source, replica) = (of(server.url("postgres")), of(as_reader(&replica)));
    verify(&source, &replica, &[]).expect_code(0);
    let run = verify(&source, &replica, &["--budget", "400ms"]);
    refused(&run, 3, &["run.deadline"], &["--budget"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_somebody_cancels_and_tables_that_somebody_locks_are_named() {
    let scratch = Scratch::new().unwrap();
    let install = Install::find().unwrap();
    let sql = format!("{TABLE}; {SLOW}; {READER}");
    let (east, west) = (start(&install, &scratch, "east", &sql).await, start(&install, &scratch, "west", &sql).await);
    let of = |url: String, table: &str| format!("{url}?table={table}&key=id");
    let urls = |table: &str| (of(east.url("postgres"), table), of(as_reader(&west), table));
    let (source, replica) = urls("slow");
    verify(&source, &replica, &[]).expect_code(0);
    let stop = Arc::new(AtomicBool::new(false));
    let client = west.client("postgres").await.unwrap();
    let cancelling = tokio::spawn({
        let stop = stop.clone();
        async move {
            while !stop.load(Ordering::Relaxed) {
                let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity \
                              WHERE usename = 'reader' AND state = 'active' AND query LIKE '%slow%'";
                client.batch_execute(cancel).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    });
    let run = tokio::task::spawn_blocking(move || verify(&source, &replica, &["--budget", "60s"])).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    cancelling.await.unwrap();
    refused(&run, 3, &["store.cancelled"], &["statement_timeout", "57014"]);

    let (source, replica) = urls("t");
    verify(&source, &replica, &[]).expect_code(0);
    let holder = west.client("postgres").await.unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE t").await.unwrap();
    let run = verify(&source, &replica, &["--budget", "4s"]);
    refused(&run, 3, &["run.deadline", "store.busy"], &[]);
    holder.batch_execute("ROLLBACK").await.unwrap();
    verify(&source, &replica, &[]).expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_of_another_cluster_is_refused_even_where_its_rows_are_the_same() {
    let scratch = Scratch::new().unwrap();
    let install = Install::find().unwrap();
    let (one, other) = (start(&install, &scratch, "one", TABLE).await, start(&install, &scratch, "other", TABLE).await);
    let standby = postgres::standby(&other, "standby").await.unwrap();
    let url = |server: &Server| server.url("postgres");
    verify(&url(&other), &url(&standby), &[]).expect_code(0);
    let words = ["another cluster", "name a standby of the source", "the primary of the other one"];
    refused(&verify(&url(&one), &url(&standby), &[]), 3, &["replication.none"], &words);
    one.batch("postgres", "INSERT INTO t VALUES (10, 'not there')").await.unwrap();
    refused(&verify(&url(&one), &url(&standby), &[]), 3, &["replication.none"], &words);
    // Two primaries are two stores, and their rows are what they are.
    verify(&url(&one), &url(&other), &[]).expect_code(1);
    let reversed = verify(&url(&standby), &url(&other), &[]);
    refused(&reversed, 3, &["usage.direction"], &["paritas verify PRIMARY STANDBY"]);
    let reversed = paritas(&["lag", "--json", &url(&standby), &url(&other)]);
    refused(&reversed, 3, &["usage.direction"], &["paritas lag PRIMARY STANDBY"]);
    // Two primaries named as a pair of replication.
    let none = paritas(&["lag", "--json", &url(&one), &url(&other)]);
    refused(&none, 3, &["replication.none"], &["It is no standby"]);
}

/// Where the identity of a server was hidden from everybody, what gives it back is named, and no row on its way counts.
#[tokio::test(flavor = "multi_thread")]
async fn hidden_identities_prove_nothing_and_the_grant_is_named() {
    let scratch = Scratch::new().unwrap();
    let install = Install::find().unwrap();
    let revoke =
        "REVOKE EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint(), pg_control_recovery() FROM PUBLIC";
    let primary = start(&install, &scratch, "primary", &format!("{TABLE}; {READER}; GRANT pg_monitor TO reader")).await;
    let standby = postgres::standby(&primary, "standby").await.unwrap();
    let (source, replica) = (as_reader(&primary), as_reader(&standby));
    verify(&source, &replica, &[]).expect_code(0);
    primary.batch("postgres", revoke).await.unwrap();
    postgres::wait_replayed(&primary, &standby).await.unwrap();
    standby.batch("postgres", "SELECT pg_wal_replay_pause()").await.unwrap();
    primary.batch("postgres", "INSERT INTO t VALUES (10, 'on its way')").await.unwrap();
    let grant = "GRANT EXECUTE ON FUNCTION pg_control_system()";
    refused(&verify(&source, &replica, &[]), 3, &["replication.unproven"], &[grant, "\"reader\""]);
    let lag = paritas(&["lag", "--json", &source, &replica]).expect_code(3);
    assert!(lag.stdout.contains(grant), "{lag:#?}");
    standby.batch("postgres", "SELECT pg_wal_replay_resume()").await.unwrap();
}

/// What the text alone shows to be wrong is a usage error; what a store does not have is found by asking it.
#[tokio::test(flavor = "multi_thread")]
async fn columns_that_were_mistyped_are_named() {
    let scratch = Scratch::new().unwrap();
    let install = Install::find().unwrap();
    let (east, west) = (start(&install, &scratch, "east", TABLE).await, start(&install, &scratch, "west", TABLE).await);
    let compare = |options: &str| {
        let of = |server: &Server| format!("{}?table=t&{options}", server.url("postgres"));
        verify(&of(&east), &of(&west), &[])
    };
    compare("key=id&columns=id,v").expect_code(0);
    for option in ["key=id,id", "columns=v,v", "key=id&key=id"] {
        let run = compare(option);
        refused(&run, 2, &["usage.url"], &["twice"]);
    }
    for option in ["key=nope", "columns=id,nope", "where=nope%3D1", "table=nope"] {
        let run = compare(option).expect_code(3);
        let all = problems(&run);
        assert!(
            !all.is_empty() && all.iter().any(|problem| problem.to_string().contains("nope")),
            "{option}: {run:#?}"
        );
        assert!(all.iter().all(|problem| problem["hint"].as_str().is_some_and(|hint| !hint.is_empty())), "{run:#?}");
        run.expect_no_difference();
    }
}
