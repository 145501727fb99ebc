//! `paritas snapshot` and `paritas verify --against`: the last healthy snapshot names every lost row after the source
//! is gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "common/mod.rs"]
mod called;
#[path = "../../pgwal/tests/common/mod.rs"]
mod servers;

use called::{Folder, Run, run};
use paritas_testbed::faults::lake::Target;
use paritas_testbed::ledger::{self, ParquetOptions, Plan};
use serde_json::{Value, json};
use servers::Server;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const MAJOR: u32 = 15;

const TABLES: &str = "
create type side as enum ('buy', 'sell');
create table orders (id bigint primary key, account int, amount numeric(18,2), side side default 'buy');
insert into orders select i, i % 10, i * 1.25 from generate_series(1, 2000) i;
create table fills (venue text, id int, qty int, primary key (venue, id));
insert into fills select 'a venue with a long name', i, i from generate_series(1, 300) i;
";

/// A primary that streams to a standby.
struct Pair {
    folder: Folder,
    old: Server,
    new: Server,
    _scratch: servers::Scratch,
}

fn pair() -> Option<Pair> {
    let install = servers::install(MAJOR)?;
    let scratch = servers::scratch();
    let old = Server::start(&scratch, &install, "old", 16, &[]);
    old.sql(TABLES);
    let new = old.standby("new");
    servers::caught_up(&old, &new);
    Some(Pair { folder: Folder::new(), old, new, _scratch: scratch })
}

fn url(server: &Server) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres", server.port())
}

impl Pair {
    fn call(&self, command: &str, more: &[&str]) -> Run {
        let (source, replica) = (url(&self.old), url(&self.new));
        let fixed = [command, "--state", "state", "--json", &source, &replica];
        self.folder.paritas(&fixed.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
    }

    fn snapshot(&self, more: &[&str]) -> Value {
        let report = self.call("snapshot", more).code(0).json();
        report["links"][0]["checks"][0].clone()
    }

    /// Kills the source and removes all it had.
    fn lose_source(&mut self) {
        let data = self.old.data();
        self.old.stop(true);
        fs::remove_dir_all(data).unwrap();
    }

    /// Promotes, and waits until what the promotion asked for is done.
    fn promote(&self) {
        self.new.promote();
        let promoted = "select timeline_id > 1 from pg_control_checkpoint()";
        self.new.wait_for(promoted);
    }

    /// Verifies against a snapshot with options of the replica's URL.
    fn against(&self, snapshot: &str, options: &str, more: &[&str]) -> Run {
        let (source, replica) = (url(&self.old), format!("{}{options}", url(&self.new)));
        let fixed = ["verify", "--against", snapshot, "--state", "state", "--json", &source, &replica];
        self.folder.paritas(&fixed.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
    }
}

fn parity<'a>(report: &'a Value, dataset: &str) -> &'a Value {
    let checks = report["links"][0]["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["check"] == "parity" && check["dataset"] == dataset);
    found.unwrap_or_else(|| panic!("no {dataset} in {report:#}"))
}

/// Class, proof and key of each item.
fn items(check: &Value) -> Vec<(String, String, Value)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = check["items"].as_array().unwrap().iter();
    items.map(|item| (text(&item["class"]), text(&item["proof"]), item["key"].clone())).collect()
}

fn proven(class: &str, key: Value) -> (String, String, Value) {
    (class.to_owned(), "proven".to_owned(), key)
}

#[test]
fn exactly_the_lost_rows_are_named_after_the_source_and_its_data_are_gone() {
    let Some(mut pair) = pair() else { return };
    pair.new.cut_off();
    pair.old.sql(
        "insert into orders select i, 1, 5 from generate_series(5001, 5500) i;
         update orders set amount = -1 where id in (7, 8); delete from orders where id = 9;
         delete from fills where id = 11;",
    );
    let taken = pair.snapshot(&[]);
    assert_eq!(taken["kept"]["one_view"], true);
    let rows: Vec<&Value> = taken["kept"]["datasets"].as_array().unwrap().iter().map(|one| &one["rows"]).collect();
    assert_eq!(rows, [&json!(299), &json!(2499)]);
    assert!(taken["kept"]["datasets"][0]["capacity"].as_u64().unwrap() >= 8_960);
    pair.old.sql("insert into orders select i, 1, 5 from generate_series(9001, 9100) i");
    pair.lose_source();
    pair.promote();

    let report = pair.against("last", "", &[]).code(1).json();
    let orders = parity(&report, "public.orders");
    assert_eq!(orders["against"]["relation"], "behind");
    assert_eq!((&orders["against"]["still"], &orders["complete"]), (&json!(true), &json!(true)));
    let mut expected = vec![
        proven("changed", json!({"id": 7})),
        proven("changed", json!({"id": 8})),
        proven("extra", json!({"id": 9})),
    ];
    expected.extend((5001..=5500).map(|id| proven("lost", json!({"id": id}))));
    let mut found = items(orders);
    found.sort_by_key(|(_, _, key)| key["id"].as_u64());
    assert_eq!(found, expected);
    let fills = items(parity(&report, "public.fills"));
    assert_eq!(fills, [proven("extra", json!({"venue": "a venue with a long name", "id": 11}))]);
    let beyond = report["links"][0]["not_checked"].to_string();
    assert!(beyond.contains("written on the source after"), "{beyond}");

    // Once applications write, a lost row may have been deleted, unless that never happens.
    pair.new.sql("insert into orders values (20000, 1, 1); update orders set amount = 3 where id = 8");
    let report = pair.against("last", "", &[]).code(1).json();
    let counts = &parity(&report, "public.orders")["differences"];
    assert_eq!([&counts["lost"], &counts["changed"], &counts["extra"], &counts["unproven"]], [0, 1, 1, 502]);
    let report = pair.against("last", "?writes=upserts", &[]).code(1).json();
    let counts = &parity(&report, "public.orders")["differences"];
    assert_eq!([&counts["lost"], &counts["changed"], &counts["extra"], &counts["unproven"]], [500, 1, 1, 2]);
}

#[test]
fn what_was_written_after_a_snapshot_that_arrived_is_told_apart() {
    let Some(mut pair) = pair() else { return };
    pair.snapshot(&[]);
    pair.old.sql("insert into orders values (3001, 1, 1); update orders set amount = 2 where id = 5");
    servers::caught_up(&pair.old, &pair.new);
    // A standby is verified as well, and what it has not replayed is no loss.
    let report = pair.against("last", "", &[]).code(0).json();
    let check = parity(&report, "public.orders");
    assert_eq!((&check["against"]["relation"], &check["against"]["written_since"]), (&json!("holds"), &json!(2)));
    pair.lose_source();
    pair.promote();
    pair.new.sql("insert into orders values (3002, 1, 1); update orders set amount = 2 where id = 6");
    let report = pair.against("last", "", &[]).code(0).json();
    let check = parity(&report, "public.orders");
    assert_eq!((&check["verdict"], &check["against"]["written_since"]), (&json!("pass"), &json!(4)));

    pair.new.sql("delete from orders where id = 10");
    let report = pair.against("last", "", &[]).code(3).json();
    let check = parity(&report, "public.orders");
    assert_eq!(items(check), [("lost".to_owned(), "unproven".to_owned(), json!({"id": 10}))]);
    assert!(check["notes"].to_string().contains("may have been written between"), "{check:#}");
    pair.against("last", "?writes=upserts", &[]).code(1);

    // A definition that was changed since changes rows and leaves their writers.
    pair.new.sql("alter type side rename value 'buy' to 'bid'");
    let report = pair.against("last", "", &[]).code(3).json();
    let check = parity(&report, "public.orders");
    assert_eq!(check["differences"]["changed"], 0);
    assert!(check["differences"]["unproven"].as_u64().unwrap() > 1_900);
}

#[test]
fn a_failover_holds_the_new_primary_against_the_last_snapshot() {
    let Some(mut pair) = pair() else { return };
    pair.new.cut_off();
    pair.old.sql("insert into orders select i, 1, 5 from generate_series(5001, 5010) i");
    pair.snapshot(&[]);
    pair.lose_source();
    pair.promote();
    let report = pair.call("failover", &[]).code(1).json();
    let orders = parity(&report, "public.orders");
    assert_eq!((&orders["differences"]["lost"], &orders["complete"]), (&json!(10), &json!(true)));
    let recovery = &report["links"][0]["recovery"];
    assert_eq!(recovery["decision"], "no-go");
    let reasons = recovery["reasons"].to_string();
    assert!(reasons.contains("10 rows proven to differ"), "{reasons}");
    // Nothing of it where no snapshot is kept.
    let report = pair.folder.paritas(&["failover", "--json", &url(&pair.old), &url(&pair.new)]).json();
    assert_eq!(report["links"][0]["checks"].as_array().map(Vec::len), Some(1));
}

#[test]
fn lost_rows_of_parquet_files_are_named_when_the_source_is_gone() {
    let folder = Folder::new();
    let (east, west) = (folder.path().join("east"), folder.path().join("west"));
    for side in [&east, &west] {
        ledger::write_parquet(&ledger::FILLS, &Plan::small(), side, &ParquetOptions::default()).unwrap();
    }
    let call = |command: &[&str], options: &str| {
        let replica = format!("parquet:west{options}");
        let fixed = ["--state", "state", "--json", "parquet:east?key=fill_id", &replica];
        folder.paritas(&command.iter().chain(&fixed).copied().collect::<Vec<_>>())
    };
    let taken = call(&["snapshot"], "").code(0).json();
    assert_eq!(taken["links"][0]["checks"][0]["kept"]["datasets"][0]["position"], Value::Null);
    let target = Target::new(&west.join("part-00001.parquet"), "fills", &["fill_id"]);
    let lost = [target.lose(3).unwrap(), target.lose(8).unwrap()];
    let added = target.add(1).unwrap();
    fs::remove_dir_all(&east).unwrap();

    let key = |injected: &paritas_testbed::faults::Injected| json!({"fill_id": injected.key.first().unwrap().1});
    let check = call(&["verify", "--against", "last"], "").code(3).json();
    let check = parity(&check, "east");
    assert_eq!((&check["against"]["relation"], &check["differences"]["unproven"]), (&json!("unordered"), &json!(3)));
    let check = call(&["verify", "--against", "last"], "?writes=inserts").code(1).json();
    let mut expected = vec![
        proven("lost", key(&lost[0])),
        proven("lost", key(&lost[1])),
        ("extra".to_owned(), "unproven".to_owned(), key(&added)),
    ];
    expected.sort_by_key(|(_, _, key)| key.to_string());
    let mut found = items(parity(&check, "east"));
    found.sort_by_key(|(_, _, key)| key.to_string());
    assert_eq!(found, expected);

    // The time of the added row's execution lies years before the snapshot: it was not written since.
    let check = call(&["verify", "--against", "last"], "?writes=inserts&changed_at=executed_at").code(1).json();
    let counts = &parity(&check, "east")["differences"];
    assert_eq!([&counts["lost"], &counts["extra"], &counts["unproven"]], [2, 1, 0]);
    let check = call(&["verify", "--against", "last"], "?changed_at=nonsense").code(3).json();
    assert_eq!(parity(&check, "east")["problem"]["code"], "snapshot.columns");
}

#[test]
fn rows_that_say_when_they_were_written_are_told_apart() {
    let folder = Folder::new();
    folder.write("east/a.csv", "id,at\n1,2020-01-01 00:00:00\n2,2020-01-01 00:00:00\n");
    folder.write("west/a.csv", "id,at\n1,2020-01-01 00:00:00\n2,2999-01-01 00:00:00\n3,2999-01-01 00:00:00\n");
    let call = |command: &[&str]| {
        let fixed = ["--state", "state", "--json", "csv:east?key=id&changed_at=at", "csv:west"];
        folder.paritas(&command.iter().chain(&fixed).copied().collect::<Vec<_>>())
    };
    call(&["snapshot"]).code(0);
    fs::remove_dir_all(folder.path().join("east")).unwrap();
    let report = call(&["verify", "--against", "last"]).code(0).json();
    assert_eq!(parity(&report, "east")["against"]["written_since"], 2);
    folder.write("west/a.csv", "id,at\n1,2020-01-01 00:00:00\n2,2019-01-01 00:00:00\n3,2020-01-01 00:00:00\n");
    let report = call(&["verify", "--against", "last"]).code(1).json();
    let mut found = items(parity(&report, "east"));
    found.sort_by_key(|(class, _, _)| class.clone());
    assert_eq!(found, [proven("changed", json!({"id": "2"})), proven("extra", json!({"id": "3"}))]);
}

#[test]
fn files_are_held_against_those_of_a_snapshot() {
    let folder = Folder::new();
    for (name, text) in [("one.bin", "1"), ("two.bin", "2"), ("three.bin", "3")] {
        folder.write(&format!("east/{name}"), text);
        folder.write(&format!("west/{name}"), text);
    }
    let call = |command: &[&str], options: &str| {
        let replica = format!("files:west{options}");
        let fixed = ["--state", "state", "--json", "files:east", &replica];
        folder.paritas(&command.iter().chain(&fixed).copied().collect::<Vec<_>>())
    };
    call(&["snapshot"], "").code(0);
    fs::remove_dir_all(folder.path().join("east")).unwrap();
    call(&["verify", "--against", "last"], "").code(0);
    fs::remove_file(folder.path().join("west/one.bin")).unwrap();
    folder.write("west/two.bin", "other");
    let report = call(&["verify", "--against", "last"], "").code(3).json();
    assert_eq!(report["links"][0]["checks"][0]["differences"]["unproven"], 2);
    let report = call(&["verify", "--against", "last"], "?writes=upserts").code(1).json();
    let counts = &report["links"][0]["checks"][0]["differences"];
    assert_eq!([&counts["lost"], &counts["changed"], &counts["unproven"]], [1, 0, 1]);
}

/// The files of a folder whose name ends so.
fn named(folder: &Path, ending: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(links) = fs::read_dir(folder) else { return found };
    for link in links.flatten() {
        let files = fs::read_dir(link.path()).into_iter().flatten().flatten();
        found.extend(files.map(|file| file.path()).filter(|path| ending(path.file_name().unwrap().to_str().unwrap())));
    }
    found
}

fn many_rows(folder: &Folder, side: &str, rows: u32) {
    let text: String = (0..rows).map(|id| format!("{id},{}\n", id * 3)).collect();
    folder.write(&format!("{side}/a.csv"), format!("id,v\n{text}"));
}

#[test]
fn a_snapshot_that_is_killed_leaves_the_one_before() {
    let folder = Folder::new();
    many_rows(&folder, "east", 60_000);
    many_rows(&folder, "west", 60_000);
    let stores = ["--state", "state", "csv:east?key=id", "csv:west"];
    let with =
        |command: &[&str]| command.iter().chain(&stores).copied().map(ToOwned::to_owned).collect::<Vec<String>>();
    let call = |command: &[&str]| folder.command(&with(command).iter().map(String::as_str).collect::<Vec<_>>());
    run(call(&["snapshot"])).code(0);
    let snapshots = folder.path().join("state/snapshots");
    let whole = |name: &str| name.ends_with(".snapshot");
    let before = named(&snapshots, whole);
    assert_eq!(before.len(), 1);
    let mut slow = call(&["snapshot", "--rate", "1000rows/s"]);
    let mut child = slow.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while named(&snapshots, |name| name.starts_with(".unfinished-")).is_empty() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(named(&snapshots, whole), before);
    let report = run(call(&["verify", "--json", "--against", "last"])).code(0).json();
    let id = before[0].file_stem().unwrap().to_str().unwrap();
    assert_eq!(parity(&report, "east")["against"]["snapshot"], id);
}

/// An error document.
fn refusal(called: &Run) -> (String, bool) {
    let json = called.json();
    assert_eq!(json["message_type"], "error", "{json:#}");
    (json["code"].as_str().unwrap().to_owned(), json["hint"].is_string())
}

#[test]
fn a_snapshot_that_says_nothing_about_what_is_asked_is_refused() {
    let folder = Folder::new();
    for side in ["east", "west", "other"] {
        many_rows(&folder, side, 100);
    }
    let call = |args: &[&str]| folder.paritas(&[args, &["--json"]].concat());
    let (east, west) = ("csv:east?key=id", "csv:west");
    let refused = |args: &[&str], code: i32| refusal(&call(args).code(code));
    let error = |code: &str| (code.to_owned(), true);
    assert_eq!(refused(&["verify", "--against", "last", east, west], 2), error("usage.state"));
    let last = ["verify", "--against", "last", "--state", "state"];
    assert_eq!(refused(&[&last[..], &[east, west]].concat(), 3), error("state.missing"));
    call(&["snapshot", "--state", "state", east, west]).code(0);
    call(&[&last[..], &[east, west]].concat()).code(0);
    assert_eq!(refused(&[&last[..], &["csv:other", west]].concat(), 3), error("state.missing"));
    let id = ["verify", "--against", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "--state", "state", east, west];
    assert_eq!(refused(&id, 3), error("state.missing"));

    let file = named(&folder.path().join("state/snapshots"), |name| name.ends_with(".snapshot")).remove(0);
    let whole = fs::read(&file).unwrap();
    folder.write("copy.snapshot", &whole);
    let copied = |replica: &str, code| refused(&["verify", "--against", "copy.snapshot", east, replica], code);
    call(&["verify", "--against", "copy.snapshot", east, west]).code(0);
    assert_eq!(copied("files:west", 2), error("snapshot.dataset"));
    folder.write("copy.snapshot", &whole[..whole.len() / 2]);
    assert_eq!(copied(west, 3), error("state.damaged"));
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 4;
    folder.write("copy.snapshot", &flipped);
    assert_eq!(copied(west, 3), error("state.damaged"));
    folder.write("copy.snapshot", "id,v\n");
    assert_eq!(copied(west, 3), error("state.foreign"));

    folder.write("copy.snapshot", &whole);
    folder.write("key.toml", "[paritas]\ndigest_key = { env = \"THE_KEY\" }\n");
    let mut keyed = folder.command(&["verify", "-c", "key.toml", "--json", "--against", "copy.snapshot", east, west]);
    keyed.env("THE_KEY", "another secret of this deployment");
    assert_eq!(refusal(&run(keyed).code(2)), error("digest.key"));

    folder.write("west/a.csv", "id,w\n1,3\n");
    let report = call(&["verify", "--against", "copy.snapshot", east, west]).code(3).json();
    assert_eq!(parity(&report, "east")["problem"]["code"], "snapshot.schema");
}

#[test]
fn more_differences_than_a_snapshot_can_name_are_counted_and_never_a_pass() {
    let folder = Folder::new();
    many_rows(&folder, "east", 3_000);
    folder.write("west/a.csv", "id,v\n1,3\n");
    let stores = ["csv:east?key=id", "csv:west"];
    let call = |args: &[&str], replica: &str| {
        folder.paritas(&[args, &["--json", "--state", "state", stores[0], replica]].concat())
    };
    call(&["snapshot", "--capacity", "100"], stores[1]).code(0);
    let report = call(&["verify", "--against", "last"], stores[1]).code(3).json();
    let check = parity(&report, "east");
    assert_eq!((&check["complete"], &check["verdict"]), (&json!(false), &json!("unknown")));
    let notes = check["notes"].to_string();
    assert!(notes.contains("at least 2999 are lost") && notes.contains("--capacity"), "{notes}");
    let report = call(&["verify", "--against", "last"], "csv:west?writes=none").code(1).json();
    assert_eq!(parity(&report, "east")["complete"], false);
}

#[test]
fn a_snapshot_of_a_link_is_not_one_of_another() {
    let folder = Folder::new();
    many_rows(&folder, "east", 10);
    many_rows(&folder, "west", 10);
    let mut config = "[paritas]\nstate = \"state\"\n".to_owned();
    for (name, path) in [("e", "east"), ("w", "west")] {
        config += &format!("[store.{name}]\nkind = \"csv\"\nurl = \"{path}\"\n");
    }
    for name in ["one", "two"] {
        config += &format!("[[link]]\nname = \"{name}\"\nsource = \"e\"\nreplica = \"w\"\n");
        config +=
            "[[link.dataset]]\nsource_name = \"east\"\nreplica_name = \"west\"\nkey = [\"id\"]\nwrites = \"none\"\n";
    }
    folder.write("paritas.toml", config);
    folder.paritas(&["snapshot", "one"]).code(0);
    folder.paritas(&["verify", "one", "--against", "last"]).code(0);
    let file = named(&folder.path().join("state/snapshots"), |name| name.ends_with(".snapshot")).remove(0);
    let file = file.to_str().unwrap();
    let refused = folder.paritas(&["verify", "--json", "two", "--against", file]).code(2);
    assert_eq!(refusal(&refused), ("snapshot.link".to_owned(), true));
    let all = folder.paritas(&["verify", "--json", "--against", file]).code(2);
    assert_eq!(refusal(&all), ("usage.against".to_owned(), true));
    folder.write("west/a.csv", "id,v\n1,3\n");
    folder.paritas(&["verify", "one", "--against", "last"]).code(1);
}

#[test]
fn a_snapshot_of_the_old_source_is_not_held_against_it_when_the_sides_were_swapped() {
    let folder = Folder::new();
    many_rows(&folder, "east", 10);
    many_rows(&folder, "west", 10);
    let configure = |source: &str, replica: &str| {
        let mut config = "[paritas]\nstate = \"state\"\n".to_owned();
        for name in ["east", "west"] {
            config += &format!("[store.{name}]\nkind = \"csv\"\nurl = \"{name}\"\n");
        }
        config += &format!("[[link]]\nname = \"orders\"\nsource = \"{source}\"\nreplica = \"{replica}\"\n");
        config += &format!(
            "[[link.dataset]]\nsource_name = \"{source}\"\nreplica_name = \"{replica}\"\nkey = [\"id\"]\nwrites = \"none\"\n"
        );
        folder.write("paritas.toml", config);
    };
    configure("east", "west");
    folder.paritas(&["snapshot"]).code(0);
    folder.paritas(&["verify", "--against", "last"]).code(0);
    configure("west", "east");
    let refused = folder.paritas(&["verify", "--json", "--against", "last"]).code(2);
    assert_eq!(refusal(&refused), ("snapshot.sides".to_owned(), true));
    folder.paritas(&["snapshot"]).code(0);
    folder.paritas(&["verify", "--against", "last"]).code(0);
}

#[test]
fn a_snapshot_is_taken_while_the_replica_is_away() {
    let folder = Folder::new();
    many_rows(&folder, "east", 50);
    let call = |command: &[&str]| {
        let fixed = ["--state", "state", "--json", "csv:east?key=id", "csv:west"];
        folder.paritas(&command.iter().chain(&fixed).copied().collect::<Vec<_>>())
    };
    call(&["snapshot"]).code(0);
    fs::rename(folder.path().join("east"), folder.path().join("west")).unwrap();
    call(&["verify", "--against", "last"]).code(0);
}
