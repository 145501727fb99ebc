//! Two servers: the source is gone with all it had, or its directory is left.

use crate::stage::{Pair, check, link, pair, reasons, step, steps, url};
use serde_json::json;

/// Every reason that is not a pass names a command that runs.
fn commands_run(pair: &Pair, report: &serde_json::Value) -> u64 {
    let mut ran = 0;
    for reason in link(report)["recovery"]["reasons"].as_array().unwrap() {
        let Some(next) = reason["next"].as_str() else {
            assert_eq!(reason["verdict"], "pass", "{reason:#}");
            continue;
        };
        // A probe runs until somebody ends it.
        let line = if next.starts_with("paritas probe") { format!("{next} --for 1s") } else { next.to_owned() };
        let run = pair.shell(&line);
        assert!([0, 1, 3].contains(&run.code), "{line}: {run:#?}");
        assert!(!run.stderr.contains("error:"), "{line}: {run:#?}");
        ran += 1;
    }
    ran
}

#[test]
fn a_source_that_is_gone_with_its_data_is_a_no_go_that_names_what_is_lost_and_a_clean_switch_is_a_go() {
    let Some(mut pair) = pair("objectives = { rpo = \"1h\", rto = \"1h\" }") else { return };
    pair.call(&["verify"]).code(0);
    pair.new.cut_off();
    pair.old.sql("insert into orders (note) values ('lost'); delete from orders where id = 17");
    pair.call(&["snapshot"]).code(0);
    pair.lose_source();
    pair.promote();
    let report = pair.call(&["failover"]).code(1).json();
    assert_eq!(link(&report)["recovery"]["decision"], "no-go");
    let order = ["new_primary", "lineage", "replay", "loss", "rpo", "rto", "parity", "ledger", "sequences"];
    assert_eq!(steps(&report).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), order, "{report:#}");
    let [primary, replay, loss, parity] = ["new_primary", "replay", "loss", "parity"].map(|name| step(&report, name));
    assert_eq!([primary, replay, loss, parity], ["pass", "pass", "unknown", "fail"]);
    let checks = link(&report)["checks"].as_array().unwrap();
    let orders = checks.iter().find(|one| one["check"] == "parity" && one["dataset"] == "public.orders").unwrap();
    let named: Vec<_> = orders["items"].as_array().unwrap().iter().map(|one| (&one["class"], &one["key"])).collect();
    assert!(named.contains(&(&json!("lost"), &json!({"id": 301}))), "{orders:#}");
    assert!(named.contains(&(&json!("extra"), &json!({"id": 17}))), "{orders:#}");
    assert!(commands_run(&pair, &report) >= 3, "{report:#}");
    let text = pair.folder.paritas(&["failover"]).stdout;
    assert!(text.starts_with("NO-GO  trading") && text.contains("steps:") && text.contains("next: paritas"), "{text}");
}

#[test]
fn sequences_that_would_give_numbers_out_again_keep_a_clean_failover_from_going() {
    let Some(mut pair) = pair("") else { return };
    pair.call(&["snapshot"]).code(0);
    pair.old.stop(false);
    pair.promote();
    let report = pair.call(&["failover", "--drill=spring 2027"]).code(0).json();
    assert_eq!(
        (&link(&report)["recovery"]["decision"], &report["run"]["drill"]),
        (&json!("go"), &json!("spring 2027"))
    );
    assert_eq!(report["recovery"]["whole"]["decision"], "go");
    assert_eq!(report["recovery"]["tiers"][0]["name"], "warm");
    assert_eq!(report["recovery"]["whole"]["rpo"]["transactions"], json!({"exact": 0, "at_least": 0}));
    let text = pair.folder.paritas(&["failover", "--drill"]).stdout;
    assert!(text.starts_with("DRILL"), "{text}");

    // As on a logical replica, which has the rows and not the numbers.
    pair.new.sql("select setval('orders_id_seq', 1, false)");
    let report = pair.call(&["failover", "--drill"]).code(1).json();
    assert_eq!((step(&report, "sequences").as_str(), &report["run"]["drill"]), ("fail", &json!("")));
    let item = &check(&report, "sequences")["items"][0];
    assert_eq!(
        (&item["sequence"], &item["next"], &item["used"]),
        (&json!("public.orders_id_seq"), &json!("1"), &json!("300"))
    );
    for item in check(&report, "sequences")["items"].as_array().unwrap() {
        pair.new.sql(item["repair"].as_str().unwrap());
    }
    pair.call(&["failover"]).code(0);
    // Ahead of its column, and behind where it was: numbers may be known outside.
    pair.new.sql("select setval('orders_id_seq', 300, true); delete from orders where id > 250");
    pair.new.sql("select setval('orders_id_seq', 260, true)");
    let report = pair.call(&["failover"]).code(1).json();
    let item = &check(&report, "sequences")["items"][0];
    assert_eq!((&item["snapshot"], &item["column"]), (&json!("301"), &json!(null)), "{report:#}");
}

#[test]
fn times_that_cannot_be_are_unknown_and_never_negative() {
    let Some(mut pair) = pair("objectives = { rto = \"1h\" }") else { return };
    let clock = |more: &str| {
        let form = "YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"";
        pair.new.sql(&format!("select to_char((clock_timestamp() {more}) at time zone 'utc', '{form}')"))
    };
    let before = clock("");
    pair.old.stop(false);
    pair.promote();
    let at = |time: &str, code: i32| pair.call(&["failover", "--failed-at", time]).code(code).json();
    let rto = |report: &serde_json::Value| link(report)["recovery"]["rto"].clone();
    let future = rto(&at("2999-01-01T00:00:00Z", 3));
    assert_eq!((&future["seconds"], &future["verdict"]), (&json!(null), &json!("unknown")));
    assert!(future["why"].as_str().unwrap().contains("future"), "{future:#}");
    // After the promotion, and so that no interval is negative.
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let clock = pair.new.sql("select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
    let late = rto(&at(&clock, 3));
    assert_eq!(late["seconds"], json!(null), "{late:#}");

    // Nothing was written yet: only the lower bound is known.
    let found = rto(&at(&before, 3));
    assert_eq!((&found["method"], &found["seconds"]["high"]), (&json!("failed_at"), &json!(null)), "{found:#}");
    assert!(found["seconds"]["low"].as_f64().unwrap() >= 0.0);
    let refused = pair.folder.paritas(&["failover", "--failed-at", "yesterday"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("no time with a zone"), "{refused:#?}");
    assert_eq!(pair.folder.paritas(&["failover", "--planned", "--failed-at", "2026-01-01T00:00:00Z"]).code, 2);
}

#[test]
fn a_snapshot_that_is_asked_for_and_absent_is_an_error_and_a_damaged_one_a_warning() {
    let Some(mut pair) = pair("") else { return };
    for (named, code) in [("last", 3), ("01ARZ3NDEKTSV4RRFFQ69G5FAV", 3), ("nowhere.snapshot", 3)] {
        let error = pair.call(&["failover", "--against", named]).code(code).json();
        assert_eq!((&error["message_type"], &error["code"]), (&json!("error"), &json!("state.missing")), "{error:#}");
    }
    pair.call(&["snapshot"]).code(0);
    pair.old.stop(false);
    pair.promote();
    pair.call(&["failover", "--against", "last"]).code(0);
    let folder = pair.folder.path().join("state/snapshots/trading");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 9]).unwrap();
    let report = pair.call(&["failover"]).code(0).json();
    assert!(reasons(&report, "warn").contains("cannot be used"), "{report:#}");
    pair.call(&["failover", "--against", "last"]).code(3);
}

#[test]
fn a_replica_that_still_replays_is_no_failover_and_one_that_never_followed_is_a_stranger() {
    let Some(pair) = pair("") else { return };
    let report = pair.call(&["failover"]).code(1).json();
    assert_eq!(step(&report, "replay"), "fail");
    assert!(reasons(&report, "fail").contains("nothing was promoted yet"), "{report:#}");
    let install = crate::testbed::install(15).unwrap();
    let scratch = crate::testbed::scratch();
    let other = crate::testbed::Server::start(&scratch, &install, "other", 16, &[]);
    let run = pair.folder.paritas(&["failover", "--json", &url(&pair.old), &url(&other)]).code(1);
    assert_eq!(check(&run.json(), "lineage")["relation"], "stranger");
}

#[test]
fn two_failovers_in_a_row_and_the_way_back_are_each_judged_by_their_own_history() {
    let Some(mut pair) = pair("") else { return };
    pair.old.stop(false);
    pair.promote();
    pair.call(&["failover"]).code(0);
    // The way on: a standby of the new primary is promoted after that.
    let third = pair.new.standby("third");
    crate::testbed::caught_up(&pair.new, &third);
    pair.new.sql("insert into orders (note) values ('after the first')");
    crate::testbed::caught_up(&pair.new, &third);
    pair.new.stop(false);
    third.promote();
    let (new, dirs) = (url(&third), [pair.old.data(), pair.new.data()]);
    let dirs: Vec<&str> = dirs.iter().map(|dir| dir.to_str().unwrap()).collect();
    let args = ["failover", "--json", &url(&pair.new), &new, "--data-directory", dirs[0], "--data-directory", dirs[1]];
    let report = pair.folder.paritas(&args).code(0).json();
    let timelines = link(&report)["recovery"]["timelines"].as_array().unwrap();
    assert_eq!(timelines.len(), 2, "{report:#}");
}

#[test]
fn why_rows_cannot_be_told_apart_is_said_where_the_checkpoint_of_the_promotion_is_not_the_last_one() {
    let Some(mut pair) = pair("") else { return };
    pair.new.cut_off();
    pair.old.sql("insert into orders (note) values ('lost')");
    pair.call(&["snapshot"]).code(0);
    pair.lose_source();
    pair.promote();
    pair.new.sql("insert into ledger (account, amount) values (1, 1)");
    pair.new.sql("checkpoint");
    let report = pair.call(&["failover"]).code(3).json();
    let checks = link(&report)["checks"].as_array().unwrap();
    let orders = checks.iter().find(|one| one["check"] == "parity" && one["dataset"] == "public.orders").unwrap();
    let why = "the checkpoint that the promotion asked for is not the last one any more";
    assert!(orders["against"]["unsettled"].as_str().unwrap().starts_with(why), "{orders:#}");
    assert!(reasons(&report, "warn").contains(why), "{report:#}");
    // What a person reads says it too.
    let text = pair.folder.paritas(&["failover"]).stdout;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(why), "{text}");
}
