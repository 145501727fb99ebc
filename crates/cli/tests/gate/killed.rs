//! Paritas itself is killed at random points; what it does next is what an uninterrupted run does.

use crate::called::{Folder, run};
use serde_json::Value;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

/// Rows of each side.
const ROWS: u32 = 20_000;
/// Milliseconds after which a run is killed, at most.
const LONGEST_MS: u64 = 160;

/// A link of CSV files, of which the replica has lost two rows and changed one.
fn folder() -> Folder {
    let folder = Folder::new();
    let text = |skip: &[u32]| -> String {
        (0..ROWS).filter(|id| !skip.contains(id)).map(|id| format!("{id},{}\n", id * 3)).collect()
    };
    folder.write("east/a.csv", format!("id,v\n{}", text(&[])));
    folder.write("west/a.csv", format!("id,v\n{}", text(&[7, 11_111]).replace("\n5,15\n", "\n5,16\n")));
    let config = "[paritas]\nstate = \"state\"\n[store.e]\nkind = \"csv\"\nurl = \"east\"\n[store.w]\nkind = \"csv\"\nurl = \"west\"\n\
                  [[link]]\nname = \"fills\"\nsource = \"e\"\nreplica = \"w\"\n\
                  [[link.dataset]]\nsource_name = \"east\"\nreplica_name = \"west\"\nkey = [\"id\"]\nwrites = \"none\"\n\
                  [[link.ledger]]\nname = \"all\"\ndataset = \"east\"\nreplica_dataset = \"west\"\ncount = true\nsum = [\"v\"]\n";
    folder.write("paritas.toml", config);
    folder
}

/// What a report says, without what is another in every run.
pub fn said(mut report: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for name in
                    ["id", "started_at", "ended_at", "seconds", "snapshot", "taken_at", "resumed_from", "bytes_read"]
                {
                    members.remove(name);
                }
                // Sentences that name the snapshot, or when it was taken.
                let of_a_run = |text: &str| text.contains("napshot") || text.contains("on the source after");
                members.retain(|_, value| !value.as_str().is_some_and(of_a_run));
                members.values_mut().for_each(strip);
                members.retain(|name, value| name != "notes" || value != &Value::Array(Vec::new()));
            }
            Value::Array(all) => {
                // A resumed run says from which one it goes on.
                let of_a_run = |text: &str| text.contains("taken at") || text.contains("goes on from");
                all.retain(|value| !value.as_str().is_some_and(of_a_run));
                all.iter_mut().for_each(strip);
            }
            _ => {}
        }
    }
    strip(&mut report);
    report
}

/// A number from a fixed seed: the times at which runs are killed are the same each time.
pub fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// Kills runs of each command, `times` in all, and demands that the next one says what an uninterrupted one says.
fn survives(times: u32) {
    let folder = folder();
    let call = |args: &[&str]| folder.paritas(&[args, &["--json"]].concat());
    call(&["snapshot"]).code(0);
    let verify = said(call(&["verify"]).code(1).json());
    let against = said(call(&["verify", "--against", "last"]).code(1).json());
    let source = folder.path().join("east");
    let away = folder.path().join("away");
    fs::rename(&source, &away).unwrap();
    let failover = said(call(&["failover"]).code(1).json());
    fs::rename(&away, &source).unwrap();
    let mut seed = 0x9E37_79B9_7F4A_7C15;
    for round in 0..times {
        let (args, gone, expected): (&[&str], bool, &Value) = match round % 4 {
            0 => (&["snapshot"], false, &against),
            1 => (&["verify"], false, &verify),
            2 => (&["verify", "--against", "last"], true, &against),
            _ => (&["failover"], true, &failover),
        };
        if gone {
            fs::rename(&source, &away).unwrap();
        }
        let mut child = folder.command(args);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let patience = next(&mut seed) % LONGEST_MS;
        std::thread::sleep(Duration::from_millis(patience));
        child.kill().unwrap();
        child.wait().unwrap();
        let again: &[&str] = match args {
            ["snapshot"] => &["verify", "--against", "last"],
            // Gone on with where something was kept, begun anew where it was not.
            ["verify"] => {
                let resumed = run(folder.command(&["verify", "--json", "--resume"]));
                if resumed.code == 1 {
                    assert_eq!(&said(resumed.json()), expected, "resumed after {patience} ms");
                } else {
                    assert!([2, 3].contains(&resumed.code), "{resumed:#?}");
                }
                &["verify"]
            }
            others => others,
        };
        assert_eq!(&said(call(again).code(1).json()), expected, "{args:?} killed after {patience} ms");
        if gone {
            fs::rename(&away, &source).unwrap();
        }
    }
}

#[test]
fn a_run_that_was_killed_changes_nothing_that_the_next_one_says() {
    survives(8);
}

#[test]
#[ignore = "takes a minute: `make soak` runs it"]
fn fifty_runs_that_were_killed_change_nothing_that_the_next_ones_say() {
    survives(50);
}
