//! `verify` on files and CSV, which need no server.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Folder, run};
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

const HEADER: &str = "id,amount,note\n";

/// Two exports: `equal` of the same rows in another order, `other` with one lost and one changed row.
fn exports() -> Folder {
    let folder = Folder::new();
    folder.write("east/a.csv", format!("{HEADER}1,10.00,x\n2,5.50,canary-value\n3,7.25,z\n"));
    folder.write("equal/b.csv", format!("{HEADER}3,7.25,z\n2,5.50,canary-value\n1,10.00,x\n"));
    folder.write("other/c.csv", format!("{HEADER}3,7.20,z\n1,10.00,x\n"));
    folder
}

const SAME: [&str; 3] = ["verify", "csv:east?key=id", "csv:equal"];
const OTHER: [&str; 3] = ["verify", "csv:east?key=id", "csv:other"];

#[test]
fn equal_rows_pass_and_differing_rows_are_named() {
    let folder = exports();
    let same = folder.paritas(&SAME).code(0);
    assert!(same.stdout.starts_with("PASS  ") && same.stderr.is_empty(), "{same:#?}");
    let other = folder.paritas(&OTHER).code(1);
    assert!(other.stdout.starts_with("FAIL  "), "{other:#?}");
    assert!(other.stdout.contains("2 rows differ: 1 lost (-), 1 changed (~)"), "{other:#?}");
    assert!(other.stdout.contains("- id=2") && other.stdout.contains("amount: 7.25 → 7.20"), "{other:#?}");
    assert!(other.stdout.lines().last().unwrap().starts_with("next: paritas verify"), "{other:#?}");
}

#[test]
fn json_has_the_verdict_and_the_exit_code_of_the_process() {
    let folder = exports();
    for (args, verdict, code) in [(SAME, "pass", 0), (OTHER, "fail", 1)] {
        let mut args = args.to_vec();
        args.push("--json");
        let json = folder.paritas(&args).code(code).json();
        assert_eq!((&json["message_type"], &json["verdict"]), (&"report".into(), &Value::from(verdict)), "{json}");
        assert_eq!(json["exit_code"], code);
    }
}

#[test]
fn monitoring_systems_get_their_own_codes() {
    let folder = exports();
    for (args, word, code) in [(SAME, "OK", 0), (OTHER, "CRITICAL", 2)] {
        let mut args = args.to_vec();
        args.extend(["--exit-style", "nagios"]);
        let run = folder.paritas(&args).code(code);
        assert!(run.stdout.starts_with(&format!("PARITAS {word} - ")) && run.stdout.lines().count() == 1, "{run:#?}");
    }
}

#[test]
fn at_most_as_many_rows_are_listed_as_asked_for() {
    let folder = exports();
    let text = folder.paritas(&[&OTHER[..], &["--max-differences", "1"]].concat()).code(1).stdout;
    assert!(text.contains("… 1 more; see them with --max-differences 2"), "{text}");
    let json = folder.paritas(&[&OTHER[..], &["--json", "--max-differences", "0"]].concat()).code(1).json();
    let checks = json["links"][0]["checks"].as_array().unwrap();
    let parity = checks.iter().find(|check| check["check"] == "parity").unwrap();
    assert_eq!((&parity["items"], &parity["items_truncated"]), (&Value::Array(Vec::new()), &true.into()));
    assert_eq!((&parity["differences"]["lost"], &parity["differences"]["changed"]), (&1.into(), &1.into()));
}

#[test]
fn a_proven_violation_keeps_its_code_when_nobody_reads_or_nothing_can_be_written() {
    let folder = exports();
    for (args, unread, unwritten) in [(SAME, 0, 3), (OTHER, 1, 1)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = folder.command(&args);
        assert_eq!(command.stdout(writer).status().unwrap().code(), Some(unread));
        let mut command = folder.command(&args);
        command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
        assert_eq!(command.stderr(Stdio::null()).status().unwrap().code(), Some(unwritten));
    }
}

#[test]
fn files_are_compared_by_their_content() {
    let folder = exports();
    folder.write("west/a.csv", format!("{HEADER}1,10.00,x\n2,5.50,canary-value\n3,7.25,z\n"));
    folder.paritas(&["verify", "east", "west"]).code(0);
    folder.write("west/b.csv", "new");
    let run = folder.paritas(&["verify", "east", "west"]).code(1);
    assert!(run.stdout.contains("- b.csv  missing on the source"), "{run:#?}");
}

#[test]
fn configured_links_win_over_paths_and_hide_values_if_told_to() {
    let folder = exports();
    let config = |privacy: &str| {
        format!(
            "[store.a]\nkind = \"csv\"\nurl = \"east\"\n[store.b]\nkind = \"csv\"\nurl = \"other\"\n\
             [[link]]\nname = \"east\"\nsource = \"a\"\nreplica = \"b\"\n{privacy}"
        )
    };
    folder.write("paritas.toml", config(""));
    assert!(folder.paritas(&["verify", "east"]).code(1).stdout.contains("canary-value"));
    for (privacy, shown) in [("[privacy]\nvalues = \"mask\"\n", "***"), ("[privacy]\nvalues = \"hash\"\n", "hash:")] {
        folder.write("paritas.toml", config(privacy));
        let mut command = folder.command(&["verify", "east"]);
        command.env("KEY", "secret");
        let refused = run(command);
        if shown == "hash:" {
            assert!(refused.code(2).stderr.contains("needs a digest_key"));
            folder.write("paritas.toml", format!("[paritas]\ndigest_key = {{ env = \"KEY\" }}\n{}", config(privacy)));
        }
        for format in ["--color=never", "--json"] {
            let mut command = folder.command(&["verify", "east", "-vvv", format]);
            command.env("KEY", "secret-key-of-the-deployment");
            let hidden = run(command).code(1);
            assert!(!format!("{hidden:?}").contains("canary-value"), "{hidden:#?}");
            assert!(hidden.stdout.contains(shown), "{hidden:#?}");
        }
    }
}

/// All bytes of all files below a folder, as text.
fn everything(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        text.push_str(&path.display().to_string());
        text.push_str(&if path.is_dir() {
            everything(&path)
        } else {
            String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned()
        });
    }
    text
}

#[test]
fn hidden_values_are_not_in_the_state_either() {
    let folder = exports();
    folder.write("broken/c.csv", format!("{HEADER}1,10.00,x\n2,5.50,\"canary-value\"x\n"));
    for (values, kept) in [("show", true), ("mask", false), ("hash", false)] {
        for (replica, code) in [("other", 1), ("broken", 1)] {
            let config = format!(
                "[paritas]\nstate = \"state-{values}-{replica}\"\ndigest_key = {{ env = \"KEY\" }}\n[privacy]\nvalues = \"{values}\"\n\
                 [store.a]\nkind = \"csv\"\nurl = \"east\"\n[store.b]\nkind = \"csv\"\nurl = \"{replica}\"\n\
                 [[link]]\nname = \"east\"\nsource = \"a\"\nreplica = \"b\"\n"
            );
            folder.write("paritas.toml", config);
            let mut command = folder.command(&["verify", "east", "-vvv", "--json"]);
            command.env("KEY", "secret-key-of-the-deployment");
            let shown = run(command).code(code);
            let stored = everything(&folder.path().join(format!("state-{values}-{replica}")));
            assert!(stored.contains("\"checks\""), "a run is kept");
            let all = format!("{shown:?}{stored}");
            assert_eq!(all.contains("canary-value"), kept && replica == "other", "{values} {replica}");
        }
    }
}

#[test]
fn a_digest_that_cannot_be_written_is_no_success_and_the_verdict_is_told() {
    let folder = exports();
    for (args, word, code) in [(SAME, "PASS  ", 3), (OTHER, "FAIL  ", 1)] {
        let run = folder.paritas(&[&args[..], &["--save-digest", "nowhere/a.digest"]].concat()).code(code);
        assert!(run.stdout.starts_with(word), "{run:#?}");
        assert!(run.stderr.contains("nowhere/a.digest") && run.stderr.contains("hint"), "{run:#?}");
    }
}

#[test]
fn two_files_are_one_pair_whatever_their_names_are() {
    let folder = exports();
    folder.write("copy/of-a.csv", format!("{HEADER}1,10.00,x\n2,5.50,canary-value\n3,7.25,z\n"));
    folder.paritas(&["verify", "east/a.csv", "copy/of-a.csv"]).code(0);
    let run = folder.paritas(&["verify", "east/a.csv", "equal/b.csv"]).code(1);
    assert!(run.stdout.contains("a.csv") && !run.stdout.contains("missing"), "{run:#?}");
    folder.paritas(&["verify", "east", "copy"]).code(1);
}

#[test]
fn files_that_hold_no_rows_are_named_as_not_checked() {
    let folder = exports();
    folder.write("east/_delta_log/0.json", "{}");
    folder.write("east/.a.csv.crc", "x");
    folder.write("east/readme.txt", "x");
    let json = folder.paritas(&[&SAME[..], &["--json"]].concat()).code(0).json();
    let not_checked = json["links"][0]["not_checked"].to_string();
    for part in ["source: 2 hidden files: .a.csv.crc, _delta_log/0.json", "source: 1 other files: readme.txt"] {
        assert!(not_checked.contains(part), "{not_checked}");
    }
}

#[test]
fn a_password_appears_nowhere_however_much_is_logged() {
    let folder = exports();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://user:canary-pass@127.0.0.1:{port}/db?table=t&connect_timeout=1&sslmode=disable");
    for format in ["--color=never", "--json", "--exit-style=nagios"] {
        let shown = folder.paritas(&["verify", &url, "csv:east", "-vvv", format]).code(3);
        assert!(!format!("{shown:?}").contains("canary-pass"), "{shown:#?}");
    }
}

/// A run that waits for a server which never answers; returns when it has begun to.
fn waiting(folder: &Folder, server: &TcpListener) -> (Child, Vec<std::net::TcpStream>) {
    let port = server.local_addr().unwrap().port();
    let url =
        |table: &str| format!("postgres://u@127.0.0.1:{port}/db?table={table}&connect_timeout=60&sslmode=disable");
    let mut command = folder.command(&["verify", "--json", &url("a"), &url("b")]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let connection = server.accept().unwrap().0;
    (child, vec![connection])
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn an_interrupt_ends_the_run_with_a_report_and_code_130() {
    let folder = Folder::new();
    for name in ["INT", "TERM"] {
        // A server for each, or a connection of the first run would be taken for the second.
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut child, _open) = waiting(&folder, &server);
        signal(&child, name);
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["exit_code"], 130, "{json}");
        assert_eq!(json["verdict"], "unknown", "{json}");
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("interrupted: finishing with what was found so far"), "{said}");
    }
}
