//! Everything that can be wrong with what a user names: a clear message with a hint, the right exit
//! code (1 where a difference is proven, 2 for usage, 3 otherwise, never 0), nothing found is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_testbed::faults;
use paritas_testbed::ledger::{self, CsvOptions, ParquetOptions, Plan};
use paritas_testbed::postgres::{Install, Mode, Options, Server};
use paritas_testbed::proxy::{Behaviour, Proxy};
use paritas_tests::{Run, command, paritas, run, verify};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Every problem in a report, or the error document itself.
fn problems(json: &Value) -> Vec<Value> {
    if json["message_type"] == "error" {
        return vec![json.clone()];
    }
    let links = json["links"].as_array().cloned().unwrap_or_default();
    let checks = links.iter().flat_map(|link| link["checks"].as_array().cloned().unwrap_or_default());
    checks.map(|check| check["problem"].clone()).filter(|problem| !problem.is_null()).collect()
}

/// Demands a code, and a problem with that stable code and a hint.
fn refused(run: Run, code: i32, problem: &str) -> Run {
    let run = run.expect_code(code);
    let problems = problems(&run.json());
    let found = problems.iter().find(|p| p["code"] == problem);
    let found = found.unwrap_or_else(|| panic!("no problem {problem:?} in {problems:#?}"));
    assert!(found["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "no hint: {found:#?}");
    let message = found["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty() && !message.ends_with('.'), "{message:?}");
    run
}

#[test]
fn what_cannot_be_a_store_is_a_usage_error() {
    refused(verify("mysql://h/db", "./x", &[]), 2, "usage.url");
    refused(verify("redis://h:6379/0", "./x", &[]), 2, "usage.url");
    refused(verify("parquet:", "parquet:x", &[]), 2, "usage.url");
    let one = paritas(&["verify", "--json", "postgres://127.0.0.1/db"]).expect_code(2);
    assert_eq!(one.json()["message_type"], "error");
}

#[test]
fn an_unknown_key_of_the_configuration_names_the_nearest_one() {
    let scratch = Scratch::new().unwrap();
    let file = scratch.path().join("paritas.toml");
    fs::write(&file, "[store.a]\nkind = \"files\"\nurll = \"/tmp\"\n").unwrap();
    let run = paritas(&["verify", "--json", "-c", file.to_str().unwrap()]).expect_code(2);
    let json = run.json();
    let text = format!("{} {} {}", json["message"], json["detail"], json["hint"]);
    assert!(text.contains("urll") && text.contains("url"), "{text}");
}

#[test]
fn an_unreachable_server_is_inconclusive() {
    let port = paritas_testbed::ports::free_port().unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?table=t&connect_timeout=2");
    refused(verify(&url, &url.replace("table=t", "table=u"), &[]), 3, "store.unreachable");
}

struct Lake {
    _scratch: Scratch,
    east: PathBuf,
    west: PathBuf,
}

/// Two equal folders of Parquet files with the fills of a small ledger.
fn lake() -> Lake {
    let scratch = Scratch::new().unwrap();
    let (east, west) = (scratch.path().join("east"), scratch.path().join("west"));
    for folder in [&east, &west] {
        ledger::write_parquet(&ledger::FILLS, &Plan::small(), folder, &ParquetOptions::default()).unwrap();
    }
    Lake { _scratch: scratch, east, west }
}

impl Lake {
    fn verify(&self, more: &[&str]) -> Run {
        verify(
            &format!("parquet:{}?key=fill_id", self.east.display()),
            &format!("parquet:{}", self.west.display()),
            more,
        )
    }

    fn part(folder: &Path, number: u32) -> PathBuf {
        folder.join(format!("part-{number:05}.parquet"))
    }
}

#[test]
fn a_place_without_files_proves_nothing() {
    let lake = lake();
    let missing = format!("parquet:{}", lake.west.join("missing").display());
    refused(verify(&format!("parquet:{}", lake.east.display()), &missing, &[]), 3, "dataset.missing");
    let empty = lake.west.join("empty");
    fs::create_dir(&empty).unwrap();
    let other = lake.west.join("empty2");
    fs::create_dir(&other).unwrap();
    verify(empty.to_str().unwrap(), other.to_str().unwrap(), &[]).expect_code(3);
}

#[test]
fn a_store_compared_with_itself_proves_nothing() {
    let lake = lake();
    let east = format!("parquet:{}", lake.east.display());
    refused(verify(&east, &east, &[]), 2, "usage.same");
}

#[test]
fn a_truncated_or_corrupt_parquet_file_on_the_replica_is_a_proven_violation() {
    let lake = lake();
    lake.verify(&[]).expect_code(0);
    faults::files::truncate(&Lake::part(&lake.west, 1), 2_000).unwrap();
    let run = refused(lake.verify(&[]), 1, "data.damaged");
    assert!(run.stdout.contains("part-00001.parquet"), "{}", run.stdout);
    fs::write(Lake::part(&lake.west, 1), b"not a parquet file at all").unwrap();
    refused(lake.verify(&[]), 1, "data.damaged");
}

#[test]
fn a_damaged_file_on_the_source_says_nothing_about_the_replica() {
    let lake = lake();
    faults::files::truncate(&Lake::part(&lake.east, 1), 2_000).unwrap();
    let run = refused(lake.verify(&[]), 3, "data.damaged");
    assert!(run.stdout.contains("source: "), "{}", run.stdout);
}

#[test]
fn a_key_that_does_not_exist_is_refused_with_the_columns() {
    let lake = lake();
    let (east, west) = (lake.east.display(), lake.west.display());
    let run = refused(verify(&format!("parquet:{east}?key=id"), &format!("parquet:{west}"), &[]), 3, "dataset.key");
    assert!(run.stdout.contains("fill_id"), "{}", run.stdout);
}

#[test]
fn another_key_gives_the_same_verdict() {
    let lake = lake();
    faults::lake::Target::new(&Lake::part(&lake.west, 0), "fills", &["fill_id"]).lose(3).unwrap();
    for key in ["fill_id", "order_id,fill_id", "fill_id,venue"] {
        let east = format!("parquet:{}?key={key}", lake.east.display());
        let run = verify(&east, &format!("parquet:{}", lake.west.display()), &[]).expect_code(1);
        assert_eq!(Run::counts(&run.parity()), (1, 0, 0), "{key}");
    }
    let run = verify(&format!("parquet:{}", lake.east.display()), &format!("parquet:{}", lake.west.display()), &[]);
    assert_eq!(Run::counts(&run.expect_code(1).parity()), (1, 0, 0), "without a key");
}

#[test]
fn other_columns_are_a_schema_difference_and_the_common_ones_are_compared() {
    let lake = lake();
    for number in 0..4 {
        let file = faults::lake::Target::new(&Lake::part(&lake.west, number), "fills", &["fill_id"]);
        file.retype("liquidity", &arrow_schema::DataType::Int64).unwrap();
    }
    for (arguments, code) in [(&[][..], 0), (&["--deny", "warnings"], 1)] {
        let run = lake.verify(arguments).expect_code(code);
        let schema = run.checks("schema");
        assert_eq!(
            (&schema[0]["verdict"], &schema[0]["differences"][0]["what"]),
            (&"warn".into(), &"column liquidity".into())
        );
        assert_eq!(run.parity()["verdict"], "pass", "int32 and int64 hold the same numbers");
    }
    for number in 0..4 {
        let file = faults::lake::Target::new(&Lake::part(&lake.west, number), "fills", &["fill_id"]);
        file.retype("liquidity", &arrow_schema::DataType::Utf8).unwrap();
    }
    let run = lake.verify(&[]).expect_code(1);
    assert_eq!(run.checks("schema")[0]["verdict"], "fail", "no number equals a text");
}

#[test]
fn a_csv_with_a_ragged_row_names_file_and_line() {
    let scratch = Scratch::new().unwrap();
    let (east, west) = (scratch.path().join("east"), scratch.path().join("west"));
    for folder in [&east, &west] {
        ledger::write_csv(&ledger::ORDERS, &Plan::small(), folder, &CsvOptions::default()).unwrap();
    }
    let file = west.join("part-00000.csv");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}1,2,3\n")).unwrap();
    let east = format!("csv:{}?key=order_id", east.display());
    let run = verify(&east, &format!("csv:{}", west.display()), &[]).expect_code(1);
    assert!(run.stdout.contains("part-00000.csv") && run.stdout.contains("line"), "{}", run.stdout);
}

#[test]
fn a_damaged_digest_is_refused_whatever_bit_is_wrong() {
    let lake = lake();
    let digest = lake.west.join("../fills.digest");
    let path = digest.to_str().unwrap();
    lake.verify(&["--save-digest", path]).expect_code(0);
    let west = format!("parquet:{}", lake.west.display());
    let whole = fs::read(&digest).unwrap();
    verify(&format!("digest:{path}"), &west, &[]).expect_code(0);
    for (place, bit) in [(0, 0), (9, 1), (100, 7), (whole.len() / 2, 3), (whole.len() - 1, 0)] {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << bit;
        fs::write(&digest, &bytes).unwrap();
        refused(verify(&format!("digest:{path}"), &west, &[]), 3, "digest.damaged");
    }
    for length in [0, 7, 100, whole.len() - 1] {
        fs::write(&digest, &whole[..length]).unwrap();
        refused(verify(&format!("digest:{path}"), &west, &[]), 3, "digest.damaged");
    }
    fs::remove_file(&digest).unwrap();
    refused(verify(&format!("digest:{path}"), &west, &[]), 3, "digest.unreadable");
}

#[test]
fn a_state_folder_that_cannot_be_written_never_costs_the_verdict() {
    let lake = lake();
    faults::lake::Target::new(&Lake::part(&lake.west, 0), "fills", &["fill_id"]).lose(3).unwrap();
    let state = lake.east.join("../state");
    fs::write(&state, "a file where the folder should be").unwrap();
    let run = lake.verify(&["--state", state.to_str().unwrap()]).expect_code(1);
    assert_eq!(Run::counts(&run.parity()), (1, 0, 0));
    assert!(run.stderr.contains("state"), "{}", run.stderr);
}

#[test]
fn standard_output_that_is_full_is_an_error() {
    let lake = lake();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let east = format!("parquet:{}?key=fill_id", lake.east.display());
    let mut call = command(&["verify", &east, &format!("parquet:{}", lake.west.display())]);
    call.stdout(full());
    let status = call.output().unwrap().status;
    assert_eq!(status.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_tables_that_are_missing_changed_or_forbidden_are_named() {
    let scratch = Scratch::new().unwrap();
    let server = Server::start(&Install::find().unwrap(), &scratch, "p", Options::default()).await.unwrap();
    for database in ["east", "west"] {
        server.create_database(database).await.unwrap();
        let sql = "CREATE TABLE same (id bigint PRIMARY KEY, v text); INSERT INTO same SELECT g, g::text FROM generate_series(1, 100) g; \
                   CREATE ROLE nobody_much LOGIN";
        let sql = if database == "west" { sql.split("; CREATE ROLE").next().unwrap() } else { sql };
        server.batch(database, sql).await.unwrap();
    }
    server.batch("east", "CREATE TABLE only_east (id int PRIMARY KEY)").await.unwrap();
    let (east, west) = (server.url("east"), server.url("west"));
    let table = |url: &str, table: &str| format!("{url}{}table={table}", if url.contains('?') { '&' } else { '?' });
    verify(&table(&east, "same"), &table(&west, "same"), &[]).expect_code(0);

    let run = verify(&table(&east, "only_east"), &table(&west, "only_east"), &[]).expect_code(1);
    assert_eq!(run.checks("schema")[0]["differences"][0]["replica"], Value::Null);
    let run = verify(&table(&west, "only_east"), &table(&east, "only_east"), &[]).expect_code(1);
    assert_eq!(run.checks("schema")[0]["differences"][0]["source"], Value::Null);
    refused(verify(&table(&east, "neither"), &table(&west, "neither"), &[]), 3, "dataset.missing");
    let run = verify(&east, &west, &[]).expect_code(1);
    assert!(run.stdout.contains("only_east"), "{}", run.stdout);

    let poor = east.replace("postgres@", "nobody_much@");
    assert_ne!(poor, east, "{east}");
    refused(verify(&table(&poor, "same"), &table(&west, "same"), &[]), 3, "dataset.denied");
    refused(verify(&table(&server.url("nowhere"), "same"), &table(&west, "same"), &[]), 3, "store.missing");

    server.batch("west", "ALTER TABLE same ADD COLUMN more int DEFAULT 1").await.unwrap();
    let run = verify(&table(&east, "same"), &table(&west, "same"), &[]).expect_code(1);
    assert_eq!(run.checks("schema")[0]["differences"][0]["what"], "column more");
    assert_eq!(run.parity()["verdict"], "pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_in_the_middle_is_inconclusive_and_ends_in_time() {
    let scratch = Scratch::new().unwrap();
    let install = Install::find().unwrap();
    let mut server = Server::start(&install, &scratch, "p", Options::default()).await.unwrap();
    for database in ["east", "west"] {
        server.create_database(database).await.unwrap();
        let client = server.client(database).await.unwrap();
        paritas_testbed::bench::bench_table(&client, "t", 200_000).await.unwrap();
    }
    let proxy = Proxy::start(server.port()).await.unwrap();
    let through =
        |database: &str| format!("postgres://postgres@127.0.0.1:{}/{database}?table=t&connect_timeout=2", proxy.port());
    let (east, west) = (server.url("east"), through("west"));
    let east = format!("{east}{}table=t", if east.contains('?') { '&' } else { '?' });
    let call = |east: &str, west: &str| {
        let (east, west) = (east.to_owned(), west.to_owned());
        tokio::task::spawn_blocking(move || {
            let mut call = command(&["verify", "--json", &east, &west, "--budget", "20s"]);
            call.stderr(std::process::Stdio::piped());
            run(call)
        })
    };
    call(&east, &west).await.unwrap().expect_code(0);
    for behaviour in [Behaviour::CutAfter(3_000_000), Behaviour::Refuse, Behaviour::Hang] {
        proxy.set(behaviour);
        let run = call(&east, &west).await.unwrap().expect_code(3);
        assert!(!problems(&run.json()).is_empty(), "{behaviour:?}: {run:#?}");
    }
    // A wrong byte on the way is noticed as a difference or a broken protocol, never as equal.
    proxy.set(Behaviour::CorruptAt(5_000_000));
    let run = call(&east, &west).await.unwrap();
    assert!([1, 3].contains(&run.code), "{run:#?}");
    proxy.set(Behaviour::Delay(std::time::Duration::from_millis(20)));
    let running = call(&east, &west);
    while proxy.bytes_from_server() < 30_000_000 && !running.is_finished() {
        tokio::task::yield_now().await;
    }
    server.stop(Mode::Immediate).await.unwrap();
    running.await.unwrap().expect_code(3);
}
