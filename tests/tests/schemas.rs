//! What a database says beyond its rows: constraints, indexes, policies, sequences, extensions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server, standby};
use paritas_tests::{Run, verify};
use serde_json::Value;

const TABLES: &str = "CREATE TYPE side AS ENUM ('buy', 'sell'); \
    CREATE TABLE t (id bigserial PRIMARY KEY, account int NOT NULL DEFAULT 1, amount numeric(12,2) CHECK (amount >= 0), \
      kind side, note text); \
    CREATE INDEX t_account ON t (account); CREATE UNIQUE INDEX t_note ON t (lower(note)) WHERE note IS NOT NULL; \
    INSERT INTO t (amount) SELECT g FROM generate_series(1, 20) g; \
    CREATE TRIGGER stamp BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); \
    CREATE SEQUENCE invoice INCREMENT 10; CREATE SEQUENCE down INCREMENT -1";

/// A change of the replica, the words that name it, and whether it means other data.
const CASES: &[(&str, &str, bool)] = &[
    ("ALTER TABLE t ALTER account SET DEFAULT 2", "column \"account\" default 2", false),
    ("ALTER TABLE t ALTER account DROP NOT NULL", "column account", false),
    ("ALTER TABLE t DROP CONSTRAINT t_amount_check", "constraint CHECK", false),
    ("ALTER TABLE t ADD CHECK (id > 0)", "constraint CHECK ((id > 0))", false),
    ("ALTER TABLE t ALTER account TYPE bigint", "column account", true),
    ("ALTER TABLE t ALTER amount TYPE numeric(12,3)", "column amount", true),
    ("ALTER TABLE t ADD more int", "column more", true),
    ("ALTER TABLE t DROP note", "column note", true),
    ("ALTER TABLE t RENAME note TO remark", "column note", true),
    ("ALTER TYPE side ADD VALUE 'short'", "enum ", false),
    ("DROP INDEX t_account", "index btree (account)", false),
    ("DROP INDEX t_note", "unique index btree (lower(note))", false),
    ("CREATE INDEX ON t (amount DESC)", "index btree (amount DESC)", false),
    ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_account'::regclass", "(not valid)", false),
    ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "row security enabled", false),
    ("CREATE POLICY own ON t FOR SELECT USING (account = 1)", "policy \"own\" permissive for select", false),
    ("SELECT setval('t_id_seq', 5)", "sequence public.t_id_seq: behind", false),
    ("SELECT setval('invoice', 1, false), setval('t_id_seq', 20)", "", false),
    ("SELECT setval('down', -5), setval('invoice', 1000), setval('t_id_seq', 500)", "", false),
    ("ALTER SEQUENCE invoice INCREMENT 5", "sequence public.invoice", false),
    ("DROP SEQUENCE invoice", "sequence public.invoice", false),
    ("CREATE SEQUENCE more", "sequence public.more", false),
    ("CREATE EXTENSION pgcrypto", "extension \"pgcrypto\"", false),
    ("DROP EXTENSION plpgsql", "extension \"plpgsql\"", false),
    ("DROP TRIGGER stamp ON t", "trigger stamp BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION", false),
    ("ALTER TABLE t DISABLE TRIGGER stamp", "(disabled)", false),
    ("ALTER TABLE t ENABLE ALWAYS TRIGGER stamp", "(always, on replication too)", false),
    (
        "CREATE TRIGGER more BEFORE DELETE ON t EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "trigger more",
        false,
    ),
    // Owners and grants are the replica's own unless asked for.
    ("ALTER TABLE t OWNER TO desk; GRANT SELECT ON t TO PUBLIC", "", false),
    // Names mean nothing.
    ("ALTER INDEX t_account RENAME TO by_account", "", false),
    ("ALTER TABLE t RENAME CONSTRAINT t_amount_check TO positive", "", false),
];

/// Everything that the schema checks of a report name.
fn named(run: &Run) -> Vec<String> {
    let of = |check: &Value| check["differences"].as_array().cloned().unwrap_or_default();
    let all = run.checks("schema").iter().flat_map(of).collect::<Vec<Value>>();
    all.iter().map(|difference| difference["what"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_difference_of_a_schema_is_named_and_only_that() {
    let scratch = Scratch::new().unwrap();
    let server = Server::start(&Install::find().unwrap(), &scratch, "one", Options::default()).await.unwrap();
    server.batch("postgres", "CREATE ROLE desk").await.unwrap();
    server.create_database("east").await.unwrap();
    server.batch("east", TABLES).await.unwrap();
    for (index, (change, what, data)) in CASES.iter().enumerate() {
        let west = format!("west{index}");
        server.create_database(&west).await.unwrap();
        server.batch(&west, TABLES).await.unwrap();
        server.batch(&west, change).await.unwrap();
        let run = verify(&server.url("east"), &server.url(&west), &[]);
        let named = named(&run);
        if what.is_empty() {
            assert_eq!((named.len(), run.code), (0, 0), "{change}: {run:#?}");
            continue;
        }
        assert!(named.iter().any(|found| found.contains(what)), "{change}: {named:?}");
        assert_eq!(run.code, i32::from(*data), "{change}: {run:#?}");
        assert_eq!(run.json()["verdict"], if *data { "fail" } else { "warn" }, "{change}");
        assert_eq!(run.json()["links"][0]["checks"][0]["check"], "schema");
    }
}

/// A change of the replica, and what names it where owners and grants are compared.
const PRIVILEGES: &[(&str, &str)] = &[
    ("ALTER TABLE t OWNER TO desk", "owner \"desk\""),
    ("GRANT SELECT, UPDATE ON t TO desk WITH GRANT OPTION", "grant UPDATE to \"desk\" with grant option"),
    ("GRANT SELECT (amount) ON t TO PUBLIC", "grant SELECT on column \"amount\" to \"public\""),
    ("REVOKE DELETE ON t FROM clerk", "grant DELETE to \"clerk\""),
    ("REVOKE SELECT ON t FROM postgres", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_grants_are_compared_where_both_sides_ask_for_it() {
    let scratch = Scratch::new().unwrap();
    let server = Server::start(&Install::find().unwrap(), &scratch, "one", Options::default()).await.unwrap();
    server.batch("postgres", "CREATE ROLE desk; CREATE ROLE clerk").await.unwrap();
    let tables = format!("{TABLES}; GRANT DELETE ON t TO clerk");
    server.create_database("east").await.unwrap();
    server.batch("east", &tables).await.unwrap();
    let url = |database: &str| format!("{}?privileges=compare", server.url(database));
    for (index, (change, what)) in PRIVILEGES.iter().enumerate() {
        let west = format!("west{index}");
        server.create_database(&west).await.unwrap();
        server.batch(&west, &tables).await.unwrap();
        server.batch(&west, change).await.unwrap();
        let run = verify(&url("east"), &url(&west), &[]).expect_code(0);
        let named = named(&run);
        assert_eq!(named.is_empty(), what.is_empty(), "{change}: {named:?}");
        assert!(what.is_empty() || named.iter().any(|found| found.contains(what)), "{change}: {named:?}");
    }
    let run = verify(&url("east"), &server.url("west0"), &[]).expect_code(2);
    assert!(run.stdout.contains("usage.privileges"), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sequence_of_a_named_table_is_looked_at_and_no_other() {
    let scratch = Scratch::new().unwrap();
    let server = Server::start(&Install::find().unwrap(), &scratch, "one", Options::default()).await.unwrap();
    for database in ["east", "west"] {
        server.create_database(database).await.unwrap();
        server.batch(database, TABLES).await.unwrap();
    }
    server.batch("west", "SELECT setval('t_id_seq', 5); DROP SEQUENCE invoice").await.unwrap();
    let url = |database| format!("{}?table=t", server.url(database));
    let run = verify(&url("east"), &url("west"), &[]).expect_code(0);
    let named = named(&run);
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(named[0].starts_with("sequence public.t_id_seq: behind"), "{named:?}");
    verify(&url("east"), &url("west"), &["--deny", "warnings"]).expect_code(1);
    // Who may not read a sequence is told how to get there.
    server.batch("west", "CREATE ROLE reader LOGIN; GRANT SELECT ON t TO reader").await.unwrap();
    let reader = url("west").replace("postgres@", "reader@");
    let run = verify(&url("east"), &reader, &[]);
    assert!(run.stdout.contains("GRANT SELECT ON SEQUENCE"), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_primary_changed_a_moment_ago_is_no_difference_of_its_standby() {
    let scratch = Scratch::new().unwrap();
    let primary = Server::start(&Install::find().unwrap(), &scratch, "east", Options::default()).await.unwrap();
    primary.batch("postgres", TABLES).await.unwrap();
    let standby = standby(&primary, "west").await.unwrap();
    let urls = (primary.url("postgres"), standby.url("postgres"));
    let changes = [
        "CREATE TABLE u (id int PRIMARY KEY)",
        "ALTER TABLE t ADD more int DEFAULT 7",
        "DROP TABLE u",
        "SELECT nextval('invoice'), nextval('t_id_seq') FROM generate_series(1, 100)",
        "CREATE EXTENSION pgcrypto",
    ];
    for change in changes {
        standby.batch("postgres", "SELECT pg_wal_replay_pause()").await.unwrap();
        primary.batch("postgres", change).await.unwrap();
        let run = verify(&urls.0, &urls.1, &["--settle", "300ms"]);
        assert!(matches!(run.code, 0 | 3), "{change}: {run:#?}");
        assert_eq!(named(&run), Vec::<String>::new(), "{change}");
        run.expect_no_difference();
        standby.batch("postgres", "SELECT pg_wal_replay_resume()").await.unwrap();
        let run = verify(&urls.0, &urls.1, &["--settle", "60s"]).expect_code(0);
        assert_eq!((named(&run), &run.json()["verdict"]), (Vec::new(), &"pass".into()), "{change}: {run:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_under_way_never_look_like_drift() {
    let scratch = Scratch::new().unwrap();
    let primary = Server::start(&Install::find().unwrap(), &scratch, "east", Options::default()).await.unwrap();
    primary.batch("postgres", TABLES).await.unwrap();
    let standby = standby(&primary, "west").await.unwrap();
    let client = primary.client("postgres").await.unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let migrations = tokio::spawn(async move {
        let mut count = 0_u64;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let table = format!("m{}", count % 3);
            let sql = format!(
                "CREATE TABLE {table} (id int PRIMARY KEY); INSERT INTO {table} VALUES (1); \
                 ALTER TABLE {table} ADD more int DEFAULT 1; CREATE INDEX ON {table} (more); DROP TABLE {table}"
            );
            for statement in sql.split("; ") {
                client.batch_execute(statement).await.unwrap();
            }
            count += 1;
        }
        count
    });
    for _ in 0..10 {
        let run = verify(&primary.url("postgres"), &standby.url("postgres"), &["--settle", "5s"]);
        assert!(matches!(run.code, 0 | 3), "{run:#?}");
        run.expect_no_difference();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(migrations.await.unwrap() > 0);
}
