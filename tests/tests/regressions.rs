//! Defects that were found once, each with its smallest reproduction through the binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server};
use paritas_tests::{paritas, verify};
use rstest::rstest;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Two folders with one CSV file each.
fn csv(scratch: &Scratch, east: &str, west: &str) -> (PathBuf, PathBuf) {
    let folder = |name: &str, text: &str| {
        let folder = scratch.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.csv"), text).unwrap();
        folder
    };
    (folder("east", east), folder("west", west))
}

fn url(kind: &str, path: &Path) -> String {
    format!("{kind}{}", path.display())
}

#[rstest]
#[case::csv("csv:", "west")]
#[case::csv_by_its_file("csv:", "west/a.csv")]
#[case::files("", "west")]
fn one_folder_under_two_names_proves_nothing(#[case] kind: &str, #[case] below: &str) {
    let scratch = Scratch::new().unwrap();
    let (_, west) = csv(&scratch, "id\n1\n", "id\n1\n");
    let link = scratch.path().join("link");
    symlink(&west, &link).unwrap();
    let other = if below == "west" { link } else { link.join("a.csv") };
    let source = scratch.path().join(below);
    let run = verify(&url(kind, &source), &url(kind, &other), &[]).expect_code(3);
    assert!(run.stdout.contains("usage.same"), "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_under_two_names_proves_nothing() {
    let scratch = Scratch::new().unwrap();
    let server = Server::start(&Install::find().unwrap(), &scratch, "one", Options::default()).await.unwrap();
    let sql = "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE b AS TABLE a";
    server.batch("postgres", sql).await.unwrap();
    let one = server.url("postgres");
    let other = one.replace("127.0.0.1", "localhost");
    assert_ne!(one, other);
    let run = verify(&one, &other, &[]).expect_code(3);
    assert!(run.stdout.contains("usage.same"), "{}", run.stdout);
    verify(&format!("{one}?table=a"), &format!("{other}?table=a"), &[]).expect_code(3);
    // Two tables of one database are two datasets.
    verify(&format!("{one}?table=a&key=id"), &format!("{other}?table=b"), &[]).expect_code(0);
}

#[rstest]
#[case::ragged("id,v\n1,a\n2,b,c\n")]
#[case::open_quote("id,v\n1,\"a\n")]
fn a_file_that_cannot_be_decoded_on_either_side_is_inconclusive(#[case] text: &str) {
    let scratch = Scratch::new().unwrap();
    let (east, west) = csv(&scratch, text, text);
    let run = verify(&format!("{}?key=id", url("csv:", &east)), &url("csv:", &west), &[]).expect_code(3);
    assert!(run.stdout.contains("could not be read either"), "{}", run.stdout);
}

#[test]
fn a_stored_digest_keeps_to_the_budget_and_lists_what_it_does_not_hold() {
    let scratch = Scratch::new().unwrap();
    let (east, west) = csv(&scratch, "id,v\n1,a\n2,b\n", "id,v\n1,a\n2,c\n");
    let (east, west) = (format!("{}?key=id&columns=id", url("csv:", &east)), url("csv:", &west));
    let file = scratch.path().join("a.digest");
    verify(&east, &west, &["--save-digest", file.to_str().unwrap()]).expect_code(0);
    let stored = url("digest:", &file);
    let run = verify(&stored, &west, &[]).expect_code(0);
    assert!(run.json()["links"][0]["not_checked"].to_string().contains("column v of "), "{}", run.stdout);
    let run = verify(&stored, &west, &["--budget", "1rows"]).expect_code(3);
    assert!(run.stdout.contains("run.budget"), "{}", run.stdout);
}

#[test]
fn a_digest_never_takes_the_place_of_a_device() {
    let scratch = Scratch::new().unwrap();
    let (east, west) = csv(&scratch, "id\n1\n", "id\n1\n");
    let folder = scratch.path().join("folder");
    fs::create_dir(&folder).unwrap();
    // A link to a device stands for it: the test must not put the device itself at risk.
    let null = scratch.path().join("null");
    symlink("/dev/null", &null).unwrap();
    for place in [&folder, &null] {
        let run = verify(&url("csv:", &east), &url("csv:", &west), &["--save-digest", place.to_str().unwrap()]);
        assert!(run.stdout.contains("not a regular file"), "{run:?}");
    }
    assert!(fs::symlink_metadata(&null).unwrap().is_symlink());
}

#[rstest]
#[case::slash("postgres://me:canary/x@127.0.0.1:5432/db")]
#[case::question("postgres://me:canary?x@127.0.0.1:5432/db")]
#[case::hash("postgres://me:canary#x@127.0.0.1:5432/db")]
#[case::at("postgres://me:canary@x@127.0.0.1:1/db")]
#[case::nothing_else("postgres://me:canary")]
#[case::words("host=127.0.0.1 port=1 user=me password='canary dbname=db")]
fn a_password_that_is_not_escaped_is_never_printed(#[case] url: &str) {
    for more in ["-vvv", "--json"] {
        let run = paritas(&["verify", url, "postgres://me@127.0.0.1:1/db", more]);
        assert!(matches!(run.code, 2 | 3), "{run:?}");
        assert!(!run.stdout.contains("canary") && !run.stderr.contains("canary"), "{run:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_file_holds_one_table_and_says_what_it_does_not_hold() {
    let scratch = Scratch::new().unwrap();
    let server = Server::start(&Install::find().unwrap(), &scratch, "many", Options::default()).await.unwrap();
    for database in ["east", "west"] {
        server.batch("postgres", &format!("CREATE DATABASE {database}")).await.unwrap();
        let tables = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)";
        server.batch(database, tables).await.unwrap();
    }
    let (east, west) = (server.url("east"), server.url("west"));
    let file = scratch.path().join("a.digest");
    let path = file.to_str().unwrap();
    let run = verify(&east, &west, &["--save-digest", path]).expect_code(3);
    assert!(run.stdout.contains("usage.save-digest") && !file.exists(), "{}", run.stdout);
    verify(&format!("{east}?table=a"), &west, &["--save-digest", path]).expect_code(0);
    let run = verify(&url("digest:", &file), &west, &[]).expect_code(0);
    let not_checked = run.json()["links"][0]["not_checked"].to_string();
    assert!(not_checked.contains("1 other datasets of the replica: public.b"), "{not_checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_cannot_leave_its_brackets() {
    let scratch = Scratch::new().unwrap();
    let server = Server::start(&Install::find().unwrap(), &scratch, "where", Options::default()).await.unwrap();
    for (database, rows) in [("east", 2), ("west", 1)] {
        server.batch("postgres", &format!("CREATE DATABASE {database}")).await.unwrap();
        let table = "CREATE TABLE t (id int); INSERT INTO t SELECT g FROM generate_series(1, 400) g";
        server.batch(database, &format!("{table}, generate_series(1, {rows})")).await.unwrap();
    }
    let url = |database: &str, condition: &str| format!("{}?table=t&where={condition}", server.url(database));
    for (condition, code) in [("true)%20OR%20(true", 3), ("true%20/*", 3), ("(true)%20OR%20(true)", 1)] {
        let run = verify(&url("east", condition), &url("west", condition), &[]).expect_code(code);
        assert_eq!(run.stdout.contains("query.where"), code == 3, "{}", run.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_before_christ_and_without_end_are_read_from_an_export() {
    let scratch = Scratch::new().unwrap();
    let server = Server::start(&Install::find().unwrap(), &scratch, "dates", Options::default()).await.unwrap();
    let sql = "CREATE TABLE t (id int PRIMARY KEY, d date, at timestamp, z timestamptz);
        INSERT INTO t VALUES (1, '0044-03-15 BC', '0044-03-15 12:00:01.5 BC', '0001-01-01 00:00:00+00 BC')";
    server.batch("postgres", sql).await.unwrap();
    let table = format!("{}?table=t", server.url("postgres"));
    let export = |d: &str| format!("id,d,at,z\n1,{d},0044-03-15 12:00:01.5 BC,0001-01-01 00:00:00+00 BC\n");
    let (equal, endless) = csv(&scratch, &export("0044-03-15 BC"), &export("infinity"));
    verify(&table, &url("csv:", &equal), &[]).expect_code(0);
    let run = verify(&table, &url("csv:", &endless), &[]).expect_code(1);
    assert!(run.stdout.contains("infinity"), "{}", run.stdout);
    server.batch("postgres", "UPDATE t SET d = 'infinity'").await.unwrap();
    // What the logical form cannot hold proves nothing about its copy.
    verify(&table, &url("csv:", &endless), &[]).expect_code(3);
}

#[rstest]
#[case::escapes_that_are_no_text("r=%FF/a.csv", "r=%FE/a.csv", 1)]
#[case::a_column_that_the_file_holds_too("id=1/a.csv", "id=2/a.csv", 0)]
fn folders_are_never_taken_for_what_they_do_not_say(#[case] east: &str, #[case] west: &str, #[case] code: u8) {
    let scratch = Scratch::new().unwrap();
    let write = |side: &str, name: &str| {
        let file = scratch.path().join(side).join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "id\n1\n").unwrap();
        url("csv:", &scratch.path().join(side))
    };
    let run = verify(&write("east", east), &write("west", west), &[]).expect_code(code.into());
    if code == 0 {
        let not_checked = run.json()["links"][0]["not_checked"].to_string();
        assert!(not_checked.contains("partition columns in names of folders"), "{not_checked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_for_tables_of_two_schemas_proves_nothing() {
    let scratch = Scratch::new().unwrap();
    let server = Server::start(&Install::find().unwrap(), &scratch, "paths", Options::default()).await.unwrap();
    for database in ["east", "west"] {
        server.batch("postgres", &format!("CREATE DATABASE {database}")).await.unwrap();
        let tables = "CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY)";
        server.batch(database, tables).await.unwrap();
    }
    server.batch("west", "ALTER DATABASE west SET search_path = app").await.unwrap();
    let url = |database: &str, table: &str| format!("{}?table={table}", server.url(database));
    let run = verify(&url("east", "t"), &url("west", "t"), &[]).expect_code(3);
    assert!(run.stdout.contains("t is public.t on the source and app.t on the replica"), "{}", run.stdout);
    verify(&url("east", "app.t"), &url("west", "app.t"), &[]).expect_code(0);
}
