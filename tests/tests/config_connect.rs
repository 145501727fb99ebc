//! `config check --connect`: which stores can be used, and why the others cannot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server};
use paritas_tests::{Run, command, paritas, run};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn check(file: &Path) -> Run {
    let mut call = command(&["config", "check", "--connect", "--json", "-c"]);
    // A password of this user must not help.
    call.arg(file).env_remove("PGPASSWORD").env("PGPASSFILE", "/dev/null");
    run(call)
}

fn store<'a>(json: &'a Value, name: &str) -> &'a Value {
    json["stores"].as_array().unwrap().iter().find(|store| store["store"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_store_is_tried_and_each_failure_says_why() {
    let scratch = Scratch::new().unwrap();
    let options =
        Options::default().hba("host all guarded 127.0.0.1/32 scram-sha-256").hba("host all all 127.0.0.1/32 trust");
    let server = Server::start(&Install::find().unwrap(), &scratch, "one", options).await.unwrap();
    server
        .batch("postgres", "CREATE ROLE guarded LOGIN PASSWORD 'right'; CREATE TABLE t (id int PRIMARY KEY)")
        .await
        .unwrap();
    let port = server.port();
    let closed = paritas_testbed::ports::free_port().unwrap();
    let files = scratch.folder("files").unwrap();
    let store_of =
        |name: &str, url: &str, more: &str| format!("[store.{name}]\nkind = \"postgres\"\nurl = \"{url}\"\n{more}\n");
    let guarded = format!("postgres://guarded@127.0.0.1:{port}/postgres");
    fs::write(scratch.path().join("right"), "right").unwrap();
    fs::write(scratch.path().join("wrong"), "canary-wrong").unwrap();
    let secret = |name: &str| format!("password = {{ file = \"{}\" }}", scratch.path().join(name).display());
    let text = [
        store_of("open", &server.url("postgres"), ""),
        store_of("right", &guarded, &secret("right")),
        store_of("wrong", &guarded, &secret("wrong")),
        store_of("nobody", &format!("postgres://x@127.0.0.1:{closed}/postgres?connect_timeout=2"), ""),
        store_of("no-database", &server.url("missing"), ""),
        store_of("no-table", &format!("{}?table=public.missing", server.url("postgres")), ""),
        format!("[store.files]\nkind = \"files\"\nurl = \"{}\"\n", files.display()),
        format!("[store.no-files]\nkind = \"files\"\nurl = \"{}/missing\"\n", files.display()),
    ];
    let file = scratch.path().join("paritas.toml");
    fs::write(&file, text.concat()).unwrap();
    let run = check(&file).expect_code(3);
    assert!(!format!("{run:?}").contains("canary"), "{run:#?}");
    let json = run.json();
    assert_eq!(json["exit_code"], 3);
    for name in ["open", "right", "files"] {
        let store = store(&json, name);
        assert_eq!((&store["connected"], &store["problem"]), (&true.into(), &Value::Null), "{store}");
        assert!(store["version"].as_str().is_some_and(|version| !version.is_empty()), "{store}");
    }
    let failures = [
        ("wrong", "store.denied"),
        ("nobody", "store.unreachable"),
        ("no-database", "store.missing"),
        ("no-table", "dataset.missing"),
        ("no-files", "dataset.missing"),
    ];
    for (name, code) in failures {
        let store = store(&json, name);
        assert_eq!((&store["connected"], &store["problem"]["code"]), (&false.into(), &code.into()), "{store}");
        assert!(store["problem"]["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{store}");
    }

    // Without the stores that fail, all is well; as text too.
    fs::write(&file, [&text[0], &text[1], &text[6]].map(String::as_str).concat()).unwrap();
    assert_eq!(check(&file).expect_code(0).json()["exit_code"], 0);
    let shown = paritas(&["config", "check", "--connect", "-c", file.to_str().unwrap()]).expect_code(0);
    assert!(shown.stdout.contains("ok      right (postgres) "), "{shown:#?}");
}
