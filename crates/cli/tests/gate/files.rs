//! Stores without a history: files, and files with rows.

use crate::called::Folder;
use crate::stage::{link, reasons, step};
use serde_json::{Value, json};
use std::fs;

fn folder() -> Folder {
    let folder = Folder::new();
    for side in ["east", "west"] {
        for (name, text) in [("one.bin", "1"), ("two.bin", "2"), ("deep/three.bin", "3")] {
            folder.write(&format!("{side}/{name}"), text);
        }
    }
    folder
}

fn failover(folder: &Folder, options: &str, more: &[&str], code: i32) -> Value {
    let replica = format!("files:west{options}");
    let fixed = ["failover", "--state", "state", "--json", "files:east", &replica];
    folder.paritas(&fixed.into_iter().chain(more.iter().copied()).collect::<Vec<_>>()).code(code).json()
}

#[test]
fn every_file_of_the_snapshot_must_be_there_and_intact() {
    let folder = folder();
    // The source still can be read.
    let report = failover(&folder, "", &[], 0);
    assert_eq!(
        (step(&report, "files").as_str(), &link(&report)["recovery"]["rpo"]["method"]),
        ("pass", &json!("content"))
    );
    folder.paritas(&["snapshot", "--state", "state", "files:east", "files:west"]).code(0);
    fs::remove_dir_all(folder.path().join("east")).unwrap();
    let now = "2026-01-01T00:00:00Z";
    let report = failover(&folder, "", &[], 0);
    assert_eq!((step(&report, "files").as_str(), step(&report, "loss").as_str()), ("pass", "unknown"), "{report:#}");
    let rpo = &link(&report)["recovery"]["rpo"];
    assert_eq!((&rpo["seconds"]["high"], &rpo["verdict"]), (&json!(null), &json!("warn")));
    let early = failover(&folder, "", &["--failed-at", now], 0);
    let rpo = &link(&early)["recovery"]["rpo"];
    assert_eq!(rpo["seconds"]["high"], json!(null), "the failure lies before the snapshot: {rpo:#}");
    assert!(rpo["why"].as_str().unwrap().contains("before the snapshot"));

    folder.write("west/four.bin", "4");
    let report = failover(&folder, "", &[], 0);
    assert!(reasons(&report, "warn").contains("1 file more were written since"), "{report:#}");
    fs::remove_file(folder.path().join("west/one.bin")).unwrap();
    folder.write("west/two.bin", "other");
    let report = failover(&folder, "", &[], 3);
    assert!(reasons(&report, "unknown").contains("2 files of the snapshot missing or damaged"), "{report:#}");
    let report = failover(&folder, "?writes=inserts", &[], 1);
    assert_eq!((step(&report, "files").as_str(), &link(&report)["recovery"]["decision"]), ("fail", &json!("no-go")));
    assert_eq!(report["recovery"]["whole"]["rpo"]["files"]["at_least"], 1);
}

#[test]
fn without_source_and_snapshot_nothing_is_known() {
    let folder = folder();
    fs::remove_dir_all(folder.path().join("east")).unwrap();
    let report = failover(&folder, "", &[], 3);
    let next = link(&report)["recovery"]["reasons"][0]["next"].as_str().unwrap();
    assert_eq!(next, "paritas snapshot --state state files:east files:west");
    fs::remove_dir_all(folder.path().join("west")).unwrap();
    failover(&folder, "", &[], 3);
}

#[test]
fn rows_of_files_are_held_against_their_snapshot_and_the_window_is_bounded() {
    let folder = Folder::new();
    let rows: String = (0..500).map(|id| format!("{id},{id}.25\n")).collect();
    for side in ["east", "west"] {
        folder.write(&format!("{side}/a.csv"), format!("id,v\n{rows}"));
    }
    let config = "[paritas]\nstate = \"state\"\n[store.e]\nkind = \"csv\"\nurl = \"east\"\n[store.w]\nkind = \"csv\"\nurl = \"west\"\n\
                  [[link]]\nname = \"fills\"\nsource = \"e\"\nreplica = \"w\"\ntier = \"cold\"\nobjectives = { rpo = \"7d\" }\n\
                  [[link.dataset]]\nsource_name = \"east\"\nreplica_name = \"west\"\nkey = [\"id\"]\nwrites = \"inserts\"\n\
                  [[link.ledger]]\nname = \"all\"\ndataset = \"east\"\nreplica_dataset = \"west\"\ncount = true\nsum = [\"v\"]\n";
    folder.write("paritas.toml", config);
    folder.paritas(&["snapshot"]).code(0);
    fs::remove_dir_all(folder.path().join("east")).unwrap();
    let taken = folder.paritas(&["verify", "--json", "--against", "last"]).code(0).json();
    let at = taken["run"]["ended_at"].as_str().unwrap().to_owned();
    let report = folder.paritas(&["failover", "--json", "--failed-at", &at]).code(0).json();
    let rpo = &link(&report)["recovery"]["rpo"];
    assert_eq!((&rpo["verdict"], &rpo["method"]), (&json!("pass"), &json!("snapshot")), "{report:#}");
    assert!(rpo["seconds"]["high"].as_f64().unwrap() >= 0.0);
    assert_eq!(report["recovery"]["tiers"][0]["rpo"]["worst"], "fills");
    // Without the time of the failure nothing bounds it, and the objective is not proven.
    folder.paritas(&["failover"]).code(3);
    let fewer: String = (1..500).map(|id| format!("{id},{id}.25\n")).collect();
    folder.write("west/a.csv", format!("id,v\n{fewer}"));
    let report = folder.paritas(&["failover", "--json", "--failed-at", &at]).code(1).json();
    assert_eq!((step(&report, "parity").as_str(), step(&report, "ledger").as_str()), ("fail", "fail"), "{report:#}");
}
