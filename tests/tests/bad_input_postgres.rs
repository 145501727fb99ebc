//! Everything that can be wrong with a PostgreSQL pair that a user names: the code, the exit code, and words that lead
//! to the way out. Nothing of it passes, and no row counts as lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use paritas_testbed::Scratch;
use paritas_testbed::pooler::{Pooler, Pooling};
use paritas_testbed::postgres::{self, Install, Options, Server};
use paritas_testbed::tls::Authority;
use paritas_tests::{Run, paritas, verify};
use serde_json::Value;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text)";
const ROWS: &str = "INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 9) g";

async fn start(scratch: &Scratch, name: &str, options: Options, sql: &str) -> Server {
    let server = Server::start(&Install::find().unwrap(), scratch, name, options).await.unwrap();
    server.batch("postgres", sql).await.unwrap();
    server
}

/// Every problem of a report, or the error document itself.
fn problems(run: &Run) -> Vec<Value> {
    let json = run.json();
    if json["message_type"] == "error" {
        return vec![json];
    }
    let links = json["links"].as_array().cloned().unwrap_or_default();
    let checks = links.iter().flat_map(|link| link["checks"].as_array().cloned().unwrap_or_default());
    checks.map(|check| check["problem"].clone()).filter(|problem| !problem.is_null()).collect()
}

/// Demands an exit code, a problem of this code with a hint, and these words in it.
fn refused(run: &Run, code: i32, problem: &str, words: &[&str]) {
    assert_eq!(run.code, code, "{run:#?}");
    let all = problems(run);
    let found = all.iter().find(|one| one["code"] == problem).unwrap_or_else(|| panic!("no {problem} in {run:#?}"));
    assert!(found["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "no hint: {found:#}");
    let message = found["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty() && !message.ends_with('.'), "{message:?}");
    let part = |name: &str| found[name].as_str().unwrap_or_default();
    let text = format!("{message}\n{}\n{}", part("detail"), part("hint"));
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
    if run.json()["message_type"] == "report" {
        run.expect_no_difference();
    }
}

fn as_user(server: &Server, user: &str) -> String {
    server.url("postgres").replace("postgres@", &format!("{user}@"))
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_and_unknown_names_are_told_apart() {
    let scratch = Scratch::new().unwrap();
    let options =
        Options::default().hba("host all guarded 127.0.0.1/32 scram-sha-256").hba("host all all 127.0.0.1/32 trust");
    let roles = "CREATE ROLE guarded LOGIN PASSWORD 'secret'; CREATE ROLE nologin";
    let server = start(&scratch, "p", options, &format!("{TABLE}; {ROWS}; {roles}")).await;
    let good = server.url("postgres");
    let wrong = format!("postgres://guarded:canary-91@127.0.0.1:{}/postgres", server.port());
    for (source, replica) in [(&good, &wrong), (&wrong, &good)] {
        let run = verify(source, replica, &[]);
        refused(&run, 3, "store.denied", &["guarded", "password"]);
        assert!(!format!("{run:?}").contains("canary-91"), "{run:?}");
    }
    refused(&verify(&good, &as_user(&server, "guarded"), &[]), 3, "store.denied", &["password"]);
    refused(&verify(&good, &as_user(&server, "nobody_known"), &[]), 3, "store.denied", &["nobody_known"]);
    refused(&verify(&good, &as_user(&server, "nologin"), &[]), 3, "store.denied", &["nologin"]);
    refused(&verify(&good, &server.url("nowhere"), &[]), 3, "store.missing", &["nowhere"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_missing_privilege_is_named_with_its_grant() {
    let scratch = Scratch::new().unwrap();
    let more = "CREATE SCHEMA closed; CREATE TABLE closed.t (id int PRIMARY KEY); GRANT SELECT ON closed.t TO reader; \
                CREATE TABLE partly (id int PRIMARY KEY, secret text); GRANT SELECT (id) ON partly TO reader; \
                CREATE TABLE policed (id int PRIMARY KEY); ALTER TABLE policed ENABLE ROW LEVEL SECURITY; \
                GRANT SELECT ON policed TO reader";
    let sql = format!("{TABLE}; {ROWS}; CREATE ROLE reader LOGIN; {more}");
    let (east, west) = (
        start(&scratch, "east", Options::default(), &sql).await,
        start(&scratch, "west", Options::default(), &sql).await,
    );
    let compare = |table: &str| {
        let of = |server: &Server, user: &str| format!("{}?table={table}", as_user(server, user));
        verify(&of(&east, "postgres"), &of(&west, "reader"), &[])
    };
    let grant = r#"GRANT SELECT ON "public"."t" TO "reader""#;
    refused(&compare("public.t"), 3, "dataset.denied", &[grant]);
    refused(&compare("closed.t"), 3, "dataset.denied", &[r#"GRANT USAGE ON SCHEMA "closed" TO "reader""#]);
    refused(&compare("public.partly"), 3, "dataset.denied", &[r#"GRANT SELECT ON "public"."partly" TO "reader""#]);
    // Rows that a policy would hide are never taken for lost.
    refused(&compare("public.policed"), 3, "dataset.denied", &["row-level security", "BYPASSRLS"]);
    // All of it at once: the tables that can be read are.
    west.batch("postgres", "GRANT SELECT ON t TO reader").await.unwrap();
    assert_eq!(compare("public.t").code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sides_that_are_the_wrong_way_round_or_strangers_are_recognised() {
    let scratch = Scratch::new().unwrap();
    let primary = start(&scratch, "primary", Options::default(), &format!("{TABLE}; {ROWS}")).await;
    let standby = postgres::standby(&primary, "standby").await.unwrap();
    let (here, there) = (primary.url("postgres"), standby.url("postgres"));
    assert_eq!(verify(&here, &there, &[]).code, 0);
    let reversed = verify(&there, &here, &[]);
    refused(&reversed, reversed.code, "usage.direction", &["primary"]);
    assert!([2, 3].contains(&reversed.code), "{reversed:#?}");
    let itself = verify(&here, &here.replace("postgres@", "postgres:x@"), &[]);
    refused(&itself, itself.code, "usage.same", &["two different stores"]);
    assert!([2, 3].contains(&itself.code), "{itself:#?}");
    // A cascade: the standby's standby follows the same history.
    let cascade = postgres::standby(&standby, "cascade").await.unwrap();
    postgres::wait_replayed(&primary, &cascade).await.unwrap();
    assert_eq!(verify(&here, &cascade.url("postgres"), &[]).code, 0);
    // Subscribers in a chain: the last one is subscribed to the middle one, and the first one's positions mean nothing
    // to it. A row that is still on its way is not lost.
    let install = Install::find().unwrap();
    let middle = Server::start(&install, &scratch, "middle", Options::default()).await.unwrap();
    let last = Server::start(&install, &scratch, "last", Options::default()).await.unwrap();
    for (from, to) in [(&primary, &middle), (&middle, &last)] {
        to.batch("postgres", TABLE).await.unwrap();
        postgres::subscribe(from, to, "postgres", &["t"]).await.unwrap();
    }
    assert_eq!(verify(&here, &middle.url("postgres"), &[]).code, 0);
    assert_eq!(verify(&middle.url("postgres"), &last.url("postgres"), &[]).code, 0);
    middle.batch("postgres", "ALTER SUBSCRIPTION middle DISABLE").await.unwrap();
    middle.batch("postgres", "SELECT pg_switch_wal()").await.unwrap();
    primary.batch("postgres", "INSERT INTO t VALUES (100, 'on its way')").await.unwrap();
    let chain = verify(&here, &last.url("postgres"), &["--settle", "2s"]);
    refused(&chain, 3, "replication.none", &["no replication slot \"last\"", "one step at a time"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_free_connection_is_inconclusive() {
    let scratch = Scratch::new().unwrap();
    let sql = format!("{TABLE}; INSERT INTO t SELECT g, repeat('x', 9000) FROM generate_series(1, 3000) g");
    let east = start(&scratch, "east", Options::default(), &sql).await;
    let west = start(
        &scratch,
        "west",
        Options::default().set("max_connections", "6").set("superuser_reserved_connections", "3"),
        &sql,
    )
    .await;
    west.batch("postgres", "CREATE ROLE reader LOGIN; GRANT SELECT ON t TO reader").await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(west.client("postgres").await.unwrap());
    }
    let run = verify(&east.url("postgres"), &as_user(&west, "reader"), &[]);
    refused(&run, 3, "store.busy", &["connection"]);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_do_not_fit_are_named() {
    let scratch = Scratch::new().unwrap();
    let (good, other) = (Authority::new(&scratch, "good").unwrap(), Authority::new(&scratch, "other").unwrap());
    let pairs = [
        ("right", good.server("right").unwrap()),
        ("expired", good.expired_server("expired").unwrap()),
        ("named", good.server_for("named", &["db.example.com"]).unwrap()),
    ];
    let plain = start(&scratch, "plain", Options::default(), &format!("{TABLE}; {ROWS}")).await;
    let mut urls = Vec::new();
    let mut servers = Vec::new();
    for (name, pair) in &pairs {
        let options = Options::default().tls(pair.for_postgres(None)).hba("hostssl all all 127.0.0.1/32 trust");
        let server = start(&scratch, name, options, &format!("{TABLE}; {ROWS}")).await;
        urls.push(format!("postgres://postgres@127.0.0.1:{}/postgres?table=t", server.port()));
        servers.push(server);
    }
    let source = format!("{}?table=t", plain.url("postgres"));
    let with = |url: &str, authority: &Authority| {
        verify(&source, &format!("{url}&sslmode=verify-full&sslrootcert={}", authority.certificate().display()), &[])
    };
    assert_eq!(with(&urls[0], &good).code, 0);
    refused(&with(&urls[0], &other), 3, "store.tls", &["sslrootcert"]);
    refused(&with(&urls[1], &good), 3, "store.tls", &["expired"]);
    refused(&with(&urls[2], &good), 3, "store.tls", &["name"]);
    refused(&verify(&source, &format!("{}&sslmode=disable", urls[0]), &[]), 3, "store.denied", &["pg_hba.conf"]);
    refused(
        &verify(&source, &format!("{source}&sslmode=require").replace("postgresql", "postgres"), &[]),
        3,
        "store.tls",
        &["sslmode"],
    );
}

/// A pooler that shares sessions between transactions is refused before anything is set in one of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_is_refused_unless_it_keeps_sessions() {
    let scratch = Scratch::new().unwrap();
    let server = Server::start(&Install::find().unwrap(), &scratch, "one", Options::default()).await.unwrap();
    for database in ["east", "west"] {
        server.create_database(database).await.unwrap();
        server.batch(database, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await.unwrap();
    }
    let pooler = match Pooler::start(&scratch, "transactions", &server, Pooling::Transaction).await {
        Err(error @ paritas_testbed::Error::NotInstalled { .. }) => return eprintln!("left out: {error}"),
        other => other.unwrap(),
    };
    let through = |port: u16, database: &str| format!("postgres://postgres@127.0.0.1:{port}/{database}?table=t");
    let direct = format!("{}?table=t", server.url("east"));
    for run in [
        verify(&direct, &through(pooler.port(), "west"), &[]),
        verify(&through(pooler.port(), "east"), &through(pooler.port(), "west"), &[]),
        paritas(&["lag", "--json", &direct, &through(pooler.port(), "west")]),
    ] {
        let run = run.expect_code(3);
        assert!(run.stdout.contains("store.pooler") && run.stdout.contains("pooler=session"), "{run:#?}");
    }
    // Whoever gets the pooled sessions next finds them as they were.
    let port = pooler.port();
    let shown = server
        .install()
        .command("psql")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres"])
        .args(["-d", "west", "-X", "-A", "-t", "-c", "SHOW search_path"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout).trim(), "\"$user\", public", "{shown:?}");
    let sessions = Pooler::start(&scratch, "sessions", &server, Pooling::Session).await.unwrap();
    let url = |database: &str| format!("{}&pooler=session", through(sessions.port(), database));
    verify(&url("east"), &url("west"), &["--parallel", "1"]).expect_code(0);
    verify(&format!("{direct}&pooler=statement"), &url("west"), &[]).expect_code(2);
}
