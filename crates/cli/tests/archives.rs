//! `paritas failover` with an archive in an object store: only what is needed is fetched, and nothing is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "../../pgwal/tests/common/mod.rs"]
mod common;

use common::Server;
use paritas_testbed::seaweed::S3;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

fn failover(store: &S3, new: &Server, archive: &str, state: &Path) -> (i32, Value) {
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", new.port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_paritas"));
    command.args(["failover", "postgres://postgres@127.0.0.1:1/postgres", &url, "--json", "--wal-archive", archive]);
    command.arg("--state").arg(state).env_remove("PARITAS_CONFIG").env_remove("PARITAS_STATE").current_dir("/");
    command.env("AWS_ACCESS_KEY_ID", store.access_key()).env("AWS_SECRET_ACCESS_KEY", store.secret_key());
    command.env("AWS_ENDPOINT_URL", store.endpoint()).env("AWS_REGION", store.region());
    command.env("AWS_ALLOW_HTTP", "true");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), json)
}

fn left(state: &Path) -> Vec<String> {
    let names = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("wal")).collect()
}

#[test]
fn an_archive_in_an_object_store_is_read_like_a_folder() {
    let Some(install) = common::install(15) else { return };
    if S3::find().is_err() {
        eprintln!("left out: no S3 server is installed");
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scratch = common::scratch();
    let store = runtime.block_on(S3::start(&scratch, "s3")).unwrap();
    let mut old = Server::start(&scratch, &install, "old", 1, &[]);
    old.sql("create table t (id int primary key, b text); insert into t select i, repeat('x', 500) from generate_series(1, 20000) i");
    let new = old.standby("new");
    let sent = old.sql("select pg_current_wal_lsn()");
    new.wait_for(&format!("select coalesce(pg_last_wal_replay_lsn() >= '{sent}', false)"));
    new.cut_off();
    old.sql("insert into t values (100001, 'lost'), (100002, 'lost')");
    old.sql("delete from t where id = 7");
    old.stop(true);
    new.promote();
    runtime.block_on(async {
        store.create_bucket("wal").await.unwrap();
        let mut segments: Vec<_> = fs::read_dir(old.pg_wal()).unwrap().map(|entry| entry.unwrap().path()).collect();
        segments.retain(|path| path.is_file());
        segments.sort();
        assert!(segments.len() > 10, "most of the archive is not needed");
        for path in &segments {
            let name = path.file_name().unwrap().to_str().unwrap();
            let packed = zstd::encode_all(fs::read(path).unwrap().as_slice(), 1).unwrap();
            store.put("wal", &format!("east/wal_005/{name}.zst"), &packed).await.unwrap();
        }
        // Unreadable, and never looked at: it is long before the switchpoint.
        store.put("wal", "east/wal_005/000000010000000000000001.zst", b"nothing").await.unwrap();
    });
    let state = tempfile::tempdir().unwrap();
    let (code, json) = failover(&store, &new, "s3://wal/east", state.path());
    let recovery = &json["links"][0]["recovery"];
    assert_eq!((code, &recovery["rpo"]["transactions_at_least"]), (1, &2.into()), "{json:#}");
    let rows = &recovery["timelines"][0]["rows"];
    assert_eq!(rows["tables"][0]["log"], serde_json::json!({"inserted": 2, "updated": 0, "deleted": 1}), "{rows:#}");
    assert_eq!(rows["tables"][0]["items"][0]["key"]["id"], 7, "{rows:#}");
    assert!(left(state.path()).is_empty(), "{:?}", left(state.path()));

    // What cannot be fetched is the first thing that is said.
    let (code, json) = failover(&store, &new, "s3://nowhere/east", state.path());
    let first = &json["links"][0]["recovery"]["reasons"][0];
    assert!(code == 3 && first["verdict"] == "unknown" && !first["text"].to_string().contains("promoted"), "{json:#}");
    assert!(left(state.path()).is_empty());
}
