//! The history is an index of the stored reports: nothing that happens to it loses a verdict, or hides one.

use paritas_testbed::Scratch;
use paritas_tests::{Run, command, paritas, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with two files that are the same, two that are not, and a state.
struct Place {
    dir: Scratch,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: Scratch::new().unwrap() };
        for (name, rows) in [("east", "id,v\n1,a\n2,b\n"), ("west", "id,v\n1,a\n2,b\n"), ("other", "id,v\n1,a\n2,c\n")]
        {
            fs::write(place.path(name), rows).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.csv"))
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn history_file(&self) -> PathBuf {
        self.state().join("history.sqlite3")
    }

    fn verify(&self, replica: &str) -> Run {
        let store = |name: &str| format!("csv:{}?key=id", self.path(name).display());
        paritas(&["verify", "--json", "--state", self.state().to_str().unwrap(), &store("east"), &store(replica)])
    }

    fn history(&self, more: &[&str]) -> Run {
        let state = self.state().display().to_string();
        let mut call = command(&[&["history", "--json", "--state", &state], more].concat());
        call.current_dir(self.dir.path());
        run(call)
    }

    fn report(&self, id: &str) -> PathBuf {
        self.state().join("runs").join(format!("{id}.json"))
    }
}

fn id(run: &Run) -> String {
    run.json()["run"]["id"].as_str().unwrap().to_owned()
}

/// What does not change from one question to the next.
fn found(run: &Run) -> Vec<Value> {
    let all = run.json();
    ["runs", "verdicts", "runs_by_verdict", "lag", "recoveries", "not_indexed"].map(|name| all[name].clone()).to_vec()
}

#[test]
fn runs_and_verdicts_are_listed_the_newest_first() {
    let place = Place::new();
    let (same, other) = (place.verify("west").expect_code(0), place.verify("other").expect_code(1));
    let all = place.history(&[]).expect_code(0).json();
    assert_eq!(all["message_type"], "history");
    assert_eq!(all["runs"][0]["id"], id(&other));
    assert_eq!((&all["runs"][0]["verdict"], &all["runs"][0]["exit_code"]), (&"fail".into(), &1.into()));
    assert_eq!(all["runs"][1]["id"], id(&same));
    assert_eq!(all["runs_by_verdict"], serde_json::json!({"pass": 1, "warn": 0, "unknown": 0, "fail": 1}));
    let parity = |replica: &str| {
        let all = all["verdicts"].as_array().unwrap();
        let of = |one: &&Value| one["check"] == "parity" && one["link"].as_str().unwrap().contains(replica);
        all.iter().find(of).unwrap().clone()
    };
    assert_eq!((&parity("west")["last"]["verdict"], &parity("west")["pass"]), (&"pass".into(), &1.into()));
    assert_eq!((&parity("other")["last"]["verdict"], &parity("other")["last_pass"]), (&"fail".into(), &Value::Null));
    let limited = place.history(&["--limit", "1"]).expect_code(0).json();
    assert_eq!((limited["runs"].as_array().unwrap().len(), &limited["runs_truncated"]), (1, &true.into()));
    let text = paritas(&["history", "--state", place.state().to_str().unwrap()]);
    for word in ["2 runs", "1 fail", "1 pass", "parity", &id(&same)] {
        assert!(text.stdout.contains(word), "{word}: {}", text.stdout);
    }
}

#[test]
fn a_history_that_is_gone_is_made_anew_from_the_reports() {
    let place = Place::new();
    place.verify("west");
    place.verify("other");
    let before = found(&place.history(&[]).expect_code(0));
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(place.state().join(format!("history.sqlite3{ending}")));
    }
    assert_eq!(found(&place.history(&[]).expect_code(0)), before);
}

#[test]
fn a_damaged_history_costs_no_verdict_and_says_how_it_is_made_anew() {
    let place = Place::new();
    place.verify("west");
    fs::write(place.history_file(), b"nothing that was ever a database").unwrap();
    let other = place.verify("other").expect_code(1);
    assert!(other.stderr.contains("history") && other.stderr.contains("hint: move"), "{}", other.stderr);
    assert_eq!(other.json()["verdict"], "fail");
    assert!(place.report(&id(&other)).exists());
    let error = place.history(&[]).expect_code(3).json();
    assert_eq!((&error["message_type"], &error["code"]), (&"error".into(), &"state.damaged".into()));
    assert!(error["hint"].as_str().unwrap().contains("history.sqlite3"));
    fs::rename(place.history_file(), place.dir.path().join("damaged")).unwrap();
    let runs = place.history(&[]).expect_code(0).json()["runs"].clone();
    assert_eq!((runs.as_array().unwrap().len(), &runs[0]["id"]), (2, &id(&other).into()));
}

#[test]
fn a_report_that_cannot_be_read_is_told_and_makes_the_answer_inconclusive() {
    let place = Place::new();
    let first = place.verify("west");
    place.verify("other");
    fs::remove_file(place.history_file()).unwrap();
    let path = place.report(&id(&first));
    let mut text = fs::read_to_string(&path).unwrap();
    text = text.replacen("\"pass\"", "\"fail\"", 1);
    fs::write(&path, text).unwrap();
    let all = place.history(&[]).expect_code(3).json();
    assert_eq!((&all["not_indexed"][0]["run"], all["runs"].as_array().unwrap().len()), (&id(&first).into(), 1));
    assert!(all["not_indexed"][0]["why"].as_str().unwrap().contains("checksum"));
}

#[test]
fn a_newer_history_is_refused() {
    let place = Place::new();
    place.verify("west");
    set_version(&place.history_file(), 99);
    let error = place.history(&[]).expect_code(3).json();
    assert_eq!(error["code"], "state.version");
}

/// Writes the version into the header of the file, where no log of writes is beside it.
fn set_version(path: &Path, version: u8) {
    assert!(!path.with_extension("sqlite3-wal").exists());
    let mut bytes = fs::read(path).unwrap();
    bytes[63] = version;
    fs::write(path, bytes).unwrap();
}

#[test]
fn without_a_state_and_of_an_unknown_link_it_is_a_mistake() {
    let place = Place::new();
    let mut call = command(&["history", "--json"]);
    call.current_dir(place.dir.path()).env("XDG_CONFIG_HOME", place.dir.path());
    assert_eq!(run(call).expect_code(2).json()["code"], "usage.state");
    place.verify("west");
    let error = place.history(&["nobody"]).expect_code(2).json();
    assert_eq!(error["code"], "usage.link");
    assert!(error["hint"].as_str().unwrap().contains("west.csv"));
    assert_eq!(place.history(&["--since", "yesterday"]).code, 2);
}

#[test]
fn a_full_disk_costs_the_history_and_not_the_verdict() {
    let place = Place::new();
    let state = place.state().display().to_string();
    let store = |name: &str| format!("csv:{}?key=id", place.path(name).display());
    // Room for a report, and none for a database: the smallest one is larger.
    let script = format!(
        "trap '' XFSZ; ulimit -f 40; exec '{}' verify --json --state '{state}' '{}' '{}'",
        paritas_tests::binary().display(),
        store("east"),
        store("other")
    );
    let mut call = std::process::Command::new("bash");
    call.args(["-c", &script]).stdin(std::process::Stdio::null());
    let found = run(call).expect_code(1);
    assert_eq!(found.json()["verdict"], "fail");
    assert!(found.stderr.contains("history"), "{}", found.stderr);
    let all = place.history(&[]).expect_code(0).json();
    assert_eq!(all["runs"][0]["id"], id(&found));
}
