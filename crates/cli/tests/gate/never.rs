//! Replicas that were never in sync, and the way back after a failover.

use crate::called::Folder;
use crate::stage::{check, link, pair, reasons, step, url};
use serde_json::json;

#[test]
fn a_standby_that_never_caught_up_is_no_go_with_everything_named_that_it_never_had() {
    let Some(mut pair) = pair("objectives = { rpo = \"1s\" }") else { return };
    // Away from its first moment on, as one whose first copy never got past its beginning.
    pair.new.cut_off();
    pair.old.sql("create table late (id int primary key); insert into late select generate_series(1, 50)");
    pair.old.sql("insert into orders (note) select 'late ' || i from generate_series(1, 40) i");
    let planned = pair.call(&["failover", "--planned", "--settle", "1s"]);
    // An option that belongs to `verify` alone is a mistake; the gate has its own patience.
    assert_eq!(planned.code, 2, "{planned:#?}");
    let planned = pair.call(&["failover", "--planned"]).code(1).json();
    assert_eq!(step(&planned, "lag"), "fail", "{planned:#}");
    pair.call(&["snapshot"]).code(0);
    pair.lose_source();
    pair.promote();
    let report = pair.call(&["failover"]).code(1).json();
    let checks = link(&report)["checks"].as_array().unwrap();
    let orders = checks.iter().find(|one| one["check"] == "parity" && one["dataset"] == "public.orders").unwrap();
    assert_eq!((&orders["differences"]["lost"], &orders["complete"]), (&json!(40), &json!(true)), "{orders:#}");
    let late = checks.iter().find(|one| one["dataset"] == "public.late").unwrap();
    assert_eq!(late["problem"]["code"], "dataset.missing", "{late:#}");
    assert_eq!(link(&report)["recovery"]["decision"], "no-go");
}

#[test]
fn folders_that_were_never_copied_are_no_go_before_and_after() {
    let folder = Folder::new();
    for number in 0..5 {
        folder.write(&format!("east/{number}.bin"), number.to_string());
    }
    std::fs::create_dir(folder.path().join("west")).unwrap();
    let call = |command: &[&str], options: &str| {
        let replica = format!("files:west{options}");
        let fixed = ["--state", "state", "--json", "files:east", &replica];
        folder.paritas(&command.iter().chain(&fixed).copied().collect::<Vec<_>>())
    };
    // A folder without anything in it may be the wrong one, until somebody says that it may be empty.
    let report = call(&["failover", "--planned"], "").code(3).json();
    assert_eq!(link(&report)["recovery"]["decision"], "no-go");
    let report = call(&["failover", "--planned"], "?allow_empty=true").code(1).json();
    assert_eq!(link(&report)["recovery"]["decision"], "no-go");
    call(&["snapshot"], "").code(0);
    std::fs::remove_dir_all(folder.path().join("east")).unwrap();
    let report = call(&["failover"], "?allow_empty=true&writes=inserts").code(1).json();
    assert_eq!(report["recovery"]["whole"]["rpo"]["files"]["at_least"], 5, "{report:#}");
    // Without a word about what may happen to them, five missing files are no proof of anything, and no GO either.
    let report = call(&["failover"], "?allow_empty=true").code(3).json();
    assert_eq!(link(&report)["recovery"]["decision"], "no-go");
}

#[test]
fn the_way_back_goes_when_both_sides_are_identical_and_is_proven_to_lose_nothing() {
    let Some(mut pair) = pair("") else { return };
    pair.call(&["snapshot"]).code(0);
    pair.new.cut_off();
    pair.old.sql("insert into orders (note) values ('lost')");
    pair.old.stop(true);
    pair.promote();
    pair.call(&["failover"]).code(1);
    pair.new.sql("insert into orders (note) values ('after the failover')");
    // The old primary becomes a standby of the new one, and what it had more is gone.
    pair.old.rewind_and_follow(&pair.new);
    crate::testbed::caught_up(&pair.new, &pair.old);
    let back = |pair: &crate::stage::Pair, more: &[&str]| {
        let (source, replica) = (url(&pair.new), url(&pair.old));
        let fixed = ["failover", "--json", "--state", "state", &source, &replica];
        pair.folder.paritas(&fixed.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let report = back(&pair, &["--planned"]).code(0).json();
    assert_eq!((step(&report, "parity"), step(&report, "fence")), ("pass".into(), "warn".into()), "{report:#}");
    assert_eq!(link(&report)["recovery"]["planned"], true);
    pair.new.sql("alter system set default_transaction_read_only = on");
    pair.new.sql("select pg_reload_conf()");
    let report = back(&pair, &["--planned"]).code(0).json();
    assert_eq!(step(&report, "fence"), "pass", "{report:#}");
    // Nothing that was only asked beforehand counts as an incident.
    let history = pair.folder.paritas(&["history", "--json", "--state", "state"]).code(0).json();
    let kinds: Vec<_> = history["recoveries"].as_array().unwrap().iter().map(|one| &one["decision"]).collect();
    assert_eq!(kinds, [&json!("no-go")], "{history:#}");
    pair.new.stop(false);
    pair.old.promote();
    pair.old.wait_for("select timeline_id > 2 from pg_control_checkpoint()");
    let left = pair.new.data().display().to_string();
    let report = back(&pair, &["--data-directory", &left]).code(0).json();
    assert_eq!(link(&report)["recovery"]["rpo"]["transactions"], 0, "{report:#}");
    assert!(reasons(&report, "pass").contains("no committed transaction is lost"), "{report:#}");
    assert_eq!(check(&report, "lineage")["relation"], "promoted");
}
