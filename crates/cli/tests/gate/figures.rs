//! Figures of a snapshot in place of those of a source that is gone.

use crate::stage::{check, link, pair, step};
use serde_json::{Value, json};

#[test]
fn groups_that_lost_rows_are_listed_with_both_figures_when_the_source_is_gone() {
    let Some(mut pair) = pair("") else { return };
    let kept = pair.call(&["snapshot"]).code(0).json();
    let ledgers = &check(&kept, "snapshot")["kept"]["ledgers"];
    assert_eq!((&ledgers[0]["groups"], &ledgers[0]["by_group"]), (&json!(20), &json!(true)), "{kept:#}");
    let sum = |account: i32| pair.old.sql(&format!("select sum(amount) from ledger where account = {account}"));
    let (third, amount) = (sum(3), pair.old.sql("select amount from ledger where id = 43"));
    pair.lose_source();
    pair.promote();
    pair.call(&["ledger", "--against", "last"]).code(0);

    // A row is taken away behind the server's back, as far as its transactions tell.
    pair.new.sql("delete from ledger where id = 43");
    let report = pair.call(&["ledger", "--against", "last"]).code(3).json();
    let found = check(&report, "ledger");
    assert_eq!((&found["unproven"], &found["against"]["still"]), (&json!(1), &json!(false)), "{report:#}");
    let item = &found["items"][0];
    assert_eq!((&item["group"], &item["proof"]), (&json!({"account": 3}), &json!("unproven")));
    let sum = |side: &str| item[side]["columns"][0]["sum"].as_str().unwrap().to_owned();
    assert_eq!(sum("source"), third);
    let now = pair.new.sql("select sum(amount) from ledger where account = 3");
    assert_eq!(sum("replica"), now);
    assert_eq!(item["difference"]["amount"], format!("-{amount}"));
    assert_eq!(found["difference"]["amount"], format!("-{amount}"), "the whole as well");
    // What the link asks must be what was kept.
    pair.configure("", "sum = [\"amount\"]\nmin = [\"amount\"]");
    let report = pair.call(&["ledger", "--against", "last"]).code(3).json();
    assert_eq!(check(&report, "ledger")["problem"]["code"], "snapshot.ledger");
}

#[test]
fn figures_that_were_lost_are_proven_right_after_the_promotion_and_written_ones_are_told_apart() {
    let Some(mut pair) = pair("") else { return };
    pair.new.cut_off();
    pair.old.sql("insert into ledger (account, amount) values (7, 1000.25), (99, 0.5)");
    pair.call(&["snapshot"]).code(0);
    pair.lose_source();
    pair.promote();
    let report = pair.call(&["ledger", "--against", "last"]).code(1).json();
    let found = check(&report, "ledger");
    assert_eq!((&found["mismatched"], &found["unproven"]), (&json!(2), &json!(0)), "{report:#}");
    let groups: Vec<&Value> = found["items"].as_array().unwrap().iter().map(|item| &item["group"]["account"]).collect();
    assert_eq!(groups, [&json!(7), &json!(99)]);
    assert_eq!(found["items"][1]["deviations"], json!(["missing"]));
    assert_eq!(found["difference"]["amount"].as_str().unwrap().trim_end_matches('0'), "-1000.75");

    let report = pair.call(&["failover", "--max-differences", "5"]).code(1).json();
    assert_eq!((step(&report, "ledger").as_str(), step(&report, "parity").as_str()), ("fail", "fail"));
    let amounts = &report["recovery"]["whole"]["rpo"]["amounts"];
    assert_eq!((&amounts[0]["from"], &amounts[0]["exact"]), (&json!("ledger"), &json!(true)), "{amounts:#}");
    assert_eq!(amounts[0]["lost"].as_str().unwrap().trim_end_matches('0'), "1000.75");
}

#[test]
fn what_is_written_after_a_clean_switch_is_no_lost_figure() {
    let Some(mut pair) = pair("") else { return };
    pair.call(&["snapshot"]).code(0);
    pair.lose_source();
    pair.promote();
    pair.new.sql("insert into ledger (account, amount) values (5, 17)");
    // Alone nothing tells; its rows do.
    pair.call(&["ledger", "--against", "last"]).code(3);
    let report = pair.call(&["verify", "--against", "last"]).code(0).json();
    let found = check(&report, "ledger");
    assert_eq!((&found["verdict"], &found["against"]["written_since"]), (&json!("pass"), &json!(1)), "{report:#}");
    assert_eq!(link(&report)["verdict"], "pass");
}

#[test]
fn a_snapshot_without_figures_of_a_ledger_says_so() {
    let Some(pair) = pair("") else { return };
    let configured = std::fs::read_to_string(pair.folder.path().join("paritas.toml")).unwrap();
    let without = configured.split("[[link.ledger]]").next().unwrap().to_owned();
    pair.folder.write("paritas.toml", without);
    pair.call(&["snapshot"]).code(0);
    pair.folder.write("paritas.toml", configured);
    let report = pair.call(&["ledger", "--against", "last"]).code(3).json();
    assert_eq!(check(&report, "ledger")["problem"]["code"], "snapshot.ledger");
    pair.configure("", "sum = [\"note\"]");
    let report = pair.call(&["snapshot"]).code(3).json();
    let ledgers = &check(&report, "snapshot")["kept"]["ledgers"];
    assert_eq!(ledgers[0]["problem"]["code"], "ledger.column", "the rows are kept all the same: {report:#}");
    pair.call(&["verify", "--against", "last"]).code(3);
}
