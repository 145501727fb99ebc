//! Before a planned switch: both sides are there.

use crate::stage::{check, link, pair, reasons, step};
use serde_json::json;

#[test]
fn a_planned_switch_goes_when_both_sides_are_identical_and_the_fence_is_crossed() {
    let Some(mut pair) = pair("") else { return };
    let report = pair.call(&["failover", "--planned"]).code(0).json();
    assert_eq!(link(&report)["recovery"]["decision"], "go", "{report:#}");
    for name in ["source", "lineage", "lag", "parity", "ledger", "sequences", "slots"] {
        assert_eq!(step(&report, name), "pass", "{name}: {report:#}");
    }
    assert_eq!(step(&report, "fence"), "warn", "nothing keeps the source from taking writes");
    pair.old.sql("alter system set default_transaction_read_only = on");
    pair.old.sql("select pg_reload_conf()");
    let report = pair.call(&["failover", "--planned"]).code(0).json();
    assert_eq!(step(&report, "fence"), "pass", "{report:#}");

    // A reader that has its place on the source alone.
    pair.old.sql("select pg_create_physical_replication_slot('standby')");
    pair.call(&["failover", "--planned"]).code(0);
    pair.old.stop(false);
    let report = pair.call(&["failover", "--planned"]).code(3).json();
    assert!(reasons(&report, "unknown").contains("needs both sides"), "{report:#}");
}

#[test]
fn a_planned_switch_does_not_go_while_something_is_missing_on_the_other_side() {
    let Some(pair) = pair("") else { return };
    pair.new.sql("select pg_wal_replay_pause()");
    pair.old.sql("insert into orders (note) values ('on its way')");
    let report = pair.call(&["failover", "--planned", "--budget", "60s"]).code(1).json();
    assert_eq!((step(&report, "lag").as_str(), &link(&report)["recovery"]["decision"]), ("fail", &json!("no-go")));
    assert_eq!(link(&report)["recovery"]["rpo"]["verdict"], "unknown");
    pair.new.sql("select pg_wal_replay_resume()");
    pair.new.promote();
    let report = pair.call(&["failover", "--planned"]).code(1).json();
    assert_eq!(step(&report, "lineage"), "fail", "{report:#}");
    assert_eq!(check(&report, "lineage")["check"], "lineage");
}
