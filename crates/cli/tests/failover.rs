//! `paritas failover` on real servers: exact losses, clean switchovers, and everything that must not be a GO.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "../../pgwal/tests/common/mod.rs"]
mod common;

use common::{Server, caught_up, primary, standby};
use rstest::rstest;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The version that Debian 12 has; the main cases run on all.
const MAJOR: u32 = 15;
const ROW: &str = "insert into t values (1, 'under load') returning xmin;\n";

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }

    /// The only link: its lineage check and its recovery.
    fn parts(&self) -> (Value, Value) {
        let json = self.json();
        let link = &json["links"][0];
        assert_eq!(link["checks"][0]["check"], "lineage", "{json:#}");
        (link["checks"][0].clone(), link["recovery"].clone())
    }
}

fn paritas(args: &[OsString]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paritas"));
    command.args(args).env_remove("PARITAS_CONFIG").env_remove("PARITAS_STATE").current_dir("/");
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn url(server: &Server) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres", server.port())
}

/// `paritas failover OLD NEW`, with these directories and further words.
fn failover(old: &Server, new: &Server, directories: &[&Path], more: &[&str]) -> Run {
    let mut args: Vec<OsString> = ["failover", &url(old), &url(new)].map(OsString::from).to_vec();
    for directory in directories {
        args.extend(["--data-directory".into(), directory.as_os_str().to_owned()]);
    }
    args.extend(more.iter().map(OsString::from));
    paritas(&args)
}

fn xids(timeline: &Value) -> BTreeSet<u64> {
    timeline["lost"].as_array().unwrap().iter().map(|lost| lost["xid"].as_u64().unwrap()).collect()
}

fn reasons(recovery: &Value) -> String {
    recovery["reasons"].to_string()
}

#[rstest]
#[case(14)]
#[case(15)]
#[case(16)]
#[case(17)]
#[case(18)]
fn a_failover_under_load_names_exactly_the_commits_that_are_gone(#[case] major: u32) {
    let Some(install) = common::install(major) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let new = standby(&old, "new");
    old.sql("insert into t values (1, 'kept')");
    caught_up(&old, &new);
    new.cut_off();
    let nested = old.sql(
        "begin; insert into t values (1, 'a') returning xmin; savepoint s; insert into t values (2, 'b'); \
         savepoint u; insert into t values (3, 'c'); rollback to u; release s; commit",
    );
    old.sql("begin; insert into t select i, 'rolled back' from generate_series(1, 300) i; rollback");
    let decided = old.sql("begin; insert into t values (4, 'd') returning xmin; prepare transaction 'decided'");
    old.sql("commit prepared 'decided'");
    old.sql("begin; insert into t values (5, 'e'); prepare transaction 'undecided'");
    old.sessions_until_killed(ROW, 4, 100, true);
    new.promote();

    // Right after the promotion, and before any checkpoint.
    let run = failover(&old, &new, &[&old.data()], &["--json", "--max-differences", "100000"]);
    let (lineage, recovery) = run.parts();
    assert_eq!(
        (run.code, &lineage["relation"], &lineage["verdict"]),
        (1, &"promoted".into(), &"pass".into()),
        "{recovery:#}"
    );
    let timeline = &recovery["timelines"][0];
    assert_eq!(
        (&timeline["timeline"], &timeline["exact"], &timeline["doubts"]),
        (&1.into(), &true.into(), &Value::Array(vec![]))
    );
    assert_eq!(lineage["forked_at"].as_str().unwrap(), format!("1/{}", timeline["switchpoint"].as_str().unwrap()));
    let lost = xids(timeline);
    assert_eq!(recovery["rpo"]["transactions"], lost.len());
    assert_eq!((&recovery["rpo"]["method"], &recovery["decision"]), (&"wal".into(), &"no-go".into()));
    assert!(lost.len() >= 102 && lost.contains(&nested.parse().unwrap()) && lost.contains(&decided.parse().unwrap()));
    assert_eq!(timeline["undecided"][0]["gid"], "undecided");
    let with_parts =
        timeline["lost"].as_array().unwrap().iter().filter(|lost| lost["subtransactions"] != Value::Array(vec![]));
    assert_eq!(with_parts.count(), 1);
    assert!(timeline["lost"].as_array().unwrap().iter().all(|lost| lost["database"] == "postgres"), "{timeline:#}");
    let seconds = |value: &Value| value.as_f64().unwrap();
    let rpo = &recovery["rpo"]["seconds"];
    assert!(seconds(&rpo["low"]) > 0.0 && seconds(&rpo["low"]) <= seconds(&rpo["high"]), "{rpo}");
    assert!(seconds(&timeline["surviving_to_failure"]["low"]) >= seconds(&timeline["surviving_to_last_lost"]));

    // The truth, from the old server started in isolation: rows that the new one does not have.
    old.start_again(&[]);
    let rows = |server: &Server| -> BTreeSet<u64> {
        server.sql("select distinct xmin from t").lines().map(|xid| xid.parse().unwrap()).collect()
    };
    let gone: BTreeSet<u64> = rows(&old).difference(&rows(&new)).copied().collect();
    // A subtransaction's rows carry its own number.
    let subtransactions =
        timeline["lost"].as_array().unwrap().iter().flat_map(|lost| lost["subtransactions"].as_array().unwrap());
    let named: BTreeSet<u64> = subtransactions.map(|xid| xid.as_u64().unwrap()).chain(lost).collect();
    assert_eq!(gone, named);
}

#[rstest]
#[case(14)]
#[case(MAJOR)]
#[case(18)]
fn a_clean_switchover_loses_nothing_and_is_a_go(#[case] major: u32) {
    let Some(install) = common::install(major) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let new = standby(&old, "new");
    old.pgbench("insert into t values (7, 'kept');", 4, 25);
    old.stop(false);
    new.promote();
    let run = failover(&old, &new, &[&old.data()], &["--json"]);
    let (lineage, recovery) = run.parts();
    assert_eq!(
        (run.code, &lineage["relation"], &recovery["decision"]),
        (0, &"promoted".into(), &"go".into()),
        "{recovery:#}"
    );
    assert_eq!((&recovery["rpo"]["transactions"], &recovery["rpo"]["bytes"]), (&0.into(), &0.into()));
    assert_eq!(recovery["rpo"]["seconds"], serde_json::json!({"low": 0.0, "high": 0.0}));
    assert_eq!((&recovery["rto"]["seconds"], &recovery["rto"]["verdict"]), (&Value::Null, &Value::Null));
    assert!(recovery["rto"]["why"].as_str().unwrap().contains("probe"));
    let not_checked = run.json()["links"][0]["not_checked"].to_string();
    assert!(not_checked.contains("paritas verify digest:FILE"), "{not_checked}");
    assert!(not_checked.contains("synchronous_commit = off"), "{not_checked}");

    let text = failover(&old, &new, &[&old.data()], &[]);
    assert!(text.code == 0 && text.stdout.starts_with("GO  "), "{}", text.stdout);
    assert!(
        text.stdout.contains("no committed transaction is lost") && !text.stdout.contains("next:"),
        "{}",
        text.stdout
    );
    let nagios = failover(&old, &new, &[&old.data()], &["--exit-style", "nagios"]);
    assert!(nagios.code == 0 && nagios.stdout.starts_with("PARITAS OK - GO "), "{}", nagios.stdout);
    assert!(nagios.stdout.contains("| lost_transactions=0;;0 rpo=0.000s time="), "{}", nagios.stdout);

    // Without the directory nothing is known, and a cut network looks the same.
    let run = failover(&old, &new, &[], &["--json"]);
    let (lineage, recovery) = run.parts();
    assert_eq!((run.code, &lineage["verdict"], &recovery["decision"]), (3, &"unknown".into(), &"no-go".into()));
    assert_eq!((&recovery["rpo"]["transactions"], &recovery["rpo"]["method"]), (&Value::Null, &"interval".into()));
    assert_eq!(recovery["rpo"]["seconds"], serde_json::json!({"low": 0.0, "high": null}));
    assert!(recovery["rpo"]["why"].as_str().unwrap().contains("nothing is left"), "{recovery:#}");
    assert!(reasons(&recovery).contains("--data-directory"));
}

#[test]
fn objectives_of_a_configured_link_decide() {
    let Some(install) = common::install(MAJOR) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let new = standby(&old, "new");
    new.cut_off();
    old.sql("insert into t values (8, 'lost')");
    old.sql("insert into t values (9, 'lost')");
    old.stop(true);
    new.promote();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("paritas.toml");
    let configured = |objectives: &str| {
        let text = format!(
            "[paritas]\nstate = {:?}\n[store.east]\nkind = \"postgres\"\nurl = {:?}\nrecovery = {{ data_directory = {:?} }}\n\
             [store.west]\nkind = \"postgres\"\nurl = {:?}\n[[link]]\nname = \"trading\"\nsource = \"east\"\n\
             replica = \"west\"\nobjectives = {objectives}\n",
            folder.path().join("state"),
            url(&old),
            old.data(),
            url(&new)
        );
        fs::write(&config, text).unwrap();
        let words: [OsString; 5] =
            ["failover".into(), "trading".into(), "--json".into(), "-c".into(), config.as_os_str().to_owned()];
        paritas(&words)
    };
    let within = configured("{ rpo = \"1h\" }");
    let (_, recovery) = within.parts();
    assert_eq!(
        (within.code, &recovery["decision"], &recovery["rpo"]["verdict"]),
        (0, &"go".into(), &"pass".into()),
        "{recovery:#}"
    );
    assert_eq!((&recovery["rpo"]["transactions"], &recovery["rpo"]["objective"]), (&2.into(), &3600.0.into()));
    let beyond = configured("{ rpo = \"1us\" }");
    assert_eq!((beyond.code, &beyond.parts().1["rpo"]["verdict"]), (1, &"fail".into()));
    // A time that nobody measured is not kept.
    let unmeasured = configured("{ rpo = \"1h\", rto = \"1h\" }");
    let (_, recovery) = unmeasured.parts();
    assert_eq!(
        (unmeasured.code, &recovery["decision"], &recovery["rto"]["verdict"]),
        (3, &"no-go".into(), &"unknown".into())
    );
    // The run is kept like any other.
    let kept = fs::read_dir(folder.path().join("state/runs")).unwrap().count();
    assert_eq!(kept, 3);
}

#[test]
fn a_source_that_still_runs_is_never_a_go() {
    let Some(install) = common::install(MAJOR) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let new = standby(&old, "new");
    // Not promoted yet.
    let run = failover(&old, &new, &[], &["--json"]);
    let (lineage, recovery) = run.parts();
    assert_eq!((run.code, &lineage["relation"], &lineage["verdict"]), (1, &"same".into(), &"pass".into()));
    assert_eq!(recovery["decision"], "no-go", "{recovery:#}");
    let text = failover(&old, &new, &[Path::new("/nowhere/at/all")], &[]).stdout;
    let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        unwrapped.contains(": nothing was promoted yet: the new primary is still a standby and takes no writes, and")
    );

    new.cut_off();
    old.sql("insert into t values (8, 'lost')");
    new.promote();
    let run = failover(&old, &new, &[&old.data()], &["--json"]);
    let (lineage, recovery) = run.parts();
    assert_eq!((run.code, &lineage["relation"]), (1, &"split_brain".into()), "{recovery:#}");
    assert!(recovery["rpo"]["transactions"].is_null() && reasons(&recovery).contains("a server runs"), "{recovery:#}");
    let text = failover(&old, &new, &[&old.data()], &[]);
    assert!(text.stdout.starts_with("NO-GO  ") && text.stdout.contains("split brain"), "{}", text.stdout);
    let nagios = failover(&old, &new, &[&old.data()], &["--exit-style", "nagios"]);
    assert!(nagios.code == 2 && nagios.stdout.starts_with("PARITAS CRITICAL - NO-GO "), "{}", nagios.stdout);
    assert!(!nagios.stdout.contains("lost_transactions"), "{}", nagios.stdout);

    // The new one, if nobody may write to it.
    old.sql("alter system set default_transaction_read_only = on");
    old.sql("select pg_reload_conf()");
    old.wait_for("select current_setting('default_transaction_read_only') = 'on'");
    let (lineage, _) = failover(&old, &new, &[], &["--json"]).parts();
    assert_eq!(
        (&lineage["relation"], &lineage["verdict"], &lineage["source"]["read_only"]),
        (&"forked".into(), &"fail".into(), &true.into())
    );
    old.stop(true);
    new.sql("alter database postgres set default_transaction_read_only = on");
    let run = failover(&old, &new, &[&old.data()], &["--json"]);
    assert!(run.code == 1 && reasons(&run.parts().1).contains("read only by default"), "{}", run.stdout);
}

#[test]
fn an_old_primary_that_became_a_standby_without_a_rewind_is_found_out() {
    let Some(install) = common::install(MAJOR) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let new = standby(&old, "new");
    new.cut_off();
    old.sql("insert into t values (99999, 'diverged')");
    old.stop(false);
    new.promote();
    // What is left to do when pg_rewind says that no rewind is required: the row stays.
    let conninfo = format!("primary_conninfo = 'host=127.0.0.1 port={} user=postgres'\n", new.port());
    let auto = fs::read_to_string(old.data().join("postgresql.auto.conf")).unwrap();
    fs::write(old.data().join("postgresql.auto.conf"), auto + &conninfo).unwrap();
    fs::write(old.data().join("standby.signal"), "").unwrap();
    old.start_again(&[]);
    assert_eq!(old.sql("select count(*) from t where a = 99999"), "1");
    new.sql("insert into t values (1, 'new')");
    let run = failover(&old, &new, &[], &["--json"]);
    let (lineage, recovery) = run.parts();
    assert_eq!(
        (run.code, &lineage["relation"], &recovery["decision"]),
        (1, &"forked".into(), &"no-go".into()),
        "{recovery:#}"
    );
    assert!(reasons(&recovery).contains("CHECKPOINT"), "{recovery:#}");
    // Seen from the new primary, it is a replica that never streams.
    let words = ["verify", &url(&new), &url(&old), "--settle", "2s"].map(OsString::from);
    let verified = paritas(&words);
    assert!(verified.code == 1 || verified.code == 3, "{} {}", verified.stdout, verified.stderr);
    old.stop(false);
    // Its directory is a standby's by now: what it holds counts, and proves no end.
    let (_, recovery) = failover(&old, &new, &[&old.data()], &["--json"]).parts();
    assert_eq!(
        (&recovery["rpo"]["transactions"], &recovery["rpo"]["transactions_at_least"]),
        (&Value::Null, &1.into()),
        "{recovery:#}"
    );
}

#[test]
fn a_new_primary_whose_commits_hang_is_not_a_go() {
    let Some(install) = common::install(MAJOR) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let new = standby(&old, "new");
    old.stop(false);
    new.promote();
    let waits_for = |setting: &str, value: &str| {
        new.sql(&format!("alter system set {setting} = '{value}'"));
        new.sql("select pg_reload_conf()");
        new.wait_for(&format!("select current_setting('{setting}') = '{value}'"));
        failover(&old, &new, &[&old.data()], &["--json"])
    };
    // The test bed turns it off for speed.
    waits_for("synchronous_commit", "on");
    let run = waits_for("synchronous_standby_names", "gone");
    let (_, recovery) = run.parts();
    assert_eq!((run.code, &recovery["decision"]), (1, &"no-go".into()), "{recovery:#}");
    assert!(reasons(&recovery).contains("0 of 1 connected, synchronous_standby_names = 'gone'"), "{recovery:#}");
    // One who may not see the senders does not know.
    new.sql("set synchronous_commit = local; create role watcher login replication");
    let watcher = format!("postgres://watcher@127.0.0.1:{}/postgres", new.port());
    let mut words: Vec<OsString> =
        ["failover", &url(&old), &watcher, "--json", "--data-directory"].map(OsString::from).to_vec();
    words.push(old.data().into_os_string());
    let run = paritas(&words);
    let (_, recovery) = run.parts();
    assert_eq!((run.code, &recovery["decision"]), (3, &"no-go".into()), "{recovery:#}");
    assert!(reasons(&recovery).contains("GRANT pg_monitor"), "{recovery:#}");
    // Nobody waits unless a session asks for it.
    let run = waits_for("synchronous_commit", "local");
    assert_eq!((run.code, &run.parts().1["decision"]), (0, &"go".into()), "{}", run.stdout);
    assert!(reasons(&run.parts().1).contains("\"warn\""), "{}", run.stdout);
    waits_for("synchronous_commit", "on");
    // There is one, but not two.
    let follower = standby(&new, "follower");
    new.sql("alter system set synchronous_standby_names = '*'");
    new.sql("select pg_reload_conf()");
    new.wait_for("select count(*) = 1 from pg_stat_replication where sync_state = 'sync'");
    let run = failover(&old, &new, &[&old.data()], &["--json"]);
    assert_eq!((run.code, &run.parts().1["decision"]), (0, &"go".into()), "{}", run.stdout);
    let run = waits_for("synchronous_standby_names", "ANY 2 (*)");
    assert!(run.code == 1 && reasons(&run.parts().1).contains("1 of 2 connected"), "{}", run.stdout);
    drop(follower);
}

#[test]
fn two_standbys_promoted_to_one_timeline_number_have_no_common_history() {
    let Some(install) = common::install(MAJOR) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let (mut one, other) = (standby(&old, "one"), standby(&old, "other"));
    old.stop(false);
    one.promote();
    other.promote();
    one.sql("insert into t values (1, 'one')");
    other.sql("insert into t select i, 'other' from generate_series(1, 1000) i");
    let signal = one.data().join("standby.signal");
    one.stop(false);
    fs::write(&signal, "").unwrap();
    one.start_again(&[]);
    let run = failover(&one, &other, &[&old.data()], &["--json"]);
    let (lineage, recovery) = run.parts();
    assert_eq!((&lineage["relation"], &lineage["verdict"]), (&"same".into(), &"unknown".into()), "{lineage:#}");
    assert_eq!((run.code, &recovery["decision"]), (3, &"no-go".into()), "{recovery:#}");
    assert!(reasons(&recovery).contains("does not stream"), "{recovery:#}");
    // Once it is ahead, it is proven.
    one.stop(false);
    fs::remove_file(&signal).unwrap();
    one.start_again(&[]);
    one.sql("insert into t select i, 'one' from generate_series(1, 30000) i");
    one.stop(false);
    fs::write(&signal, "").unwrap();
    one.start_again(&[]);
    let run = failover(&one, &other, &[&old.data()], &["--json"]);
    let (lineage, _) = run.parts();
    assert_eq!((run.code, &lineage["relation"]), (1, &"forked".into()), "{lineage:#}");
    // One that was rebuilt from the new primary streams.
    let rebuilt = other.standby("rebuilt");
    rebuilt.wait_for("select count(*) = 1 from pg_stat_wal_receiver where status = 'streaming'");
    let run = failover(&rebuilt, &other, &[&old.data()], &["--json"]);
    let (lineage, recovery) = run.parts();
    assert_eq!(
        (run.code, &lineage["relation"], &recovery["decision"]),
        (0, &"same".into(), &"go".into()),
        "{recovery:#}"
    );
}

#[test]
fn two_failovers_in_a_row_need_the_directory_of_each_old_primary() {
    let Some(install) = common::install(MAJOR) else { return };
    let scratch = common::scratch();
    let mut first = primary(&scratch, &install, "first");
    let mut second = standby(&first, "second");
    second.cut_off();
    first.sql("insert into t values (1, 'lost')");
    first.stop(true);
    second.promote();
    let third = standby(&second, "third");
    third.cut_off();
    second.sql("insert into t values (2, 'lost')");
    second.sql("insert into t values (3, 'lost')");
    second.stop(true);
    third.promote();
    let run = failover(&first, &third, &[&first.data(), &second.data()], &["--json"]);
    let (_, recovery) = run.parts();
    let lost: Vec<_> = recovery["timelines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["timeline"].as_u64(), xids(one).len()))
        .collect();
    assert_eq!((lost, &recovery["rpo"]["transactions"]), (vec![(Some(1), 1), (Some(2), 2)], &3.into()), "{recovery:#}");
    let run = failover(&first, &third, &[&first.data()], &["--json"]);
    let (_, recovery) = run.parts();
    assert_eq!(
        (&recovery["rpo"]["transactions"], &recovery["rpo"]["transactions_at_least"]),
        (&Value::Null, &1.into())
    );
    assert!(reasons(&recovery).contains("repeated"), "{recovery:#}");
    // The second failover alone.
    let run = failover(&second, &third, &[&second.data()], &["--json"]);
    assert_eq!(run.parts().1["rpo"]["transactions"], 2);
    let not_checked = run.json()["links"][0]["not_checked"].to_string();
    assert!(not_checked.contains("when timeline 1 was left"), "{not_checked}");
    // A cascading standby follows; its primary is alive.
    let fourth = standby(&third, "fourth");
    let run = failover(&third, &fourth, &[], &["--json"]);
    assert_eq!((run.code, &run.parts().0["relation"]), (1, &"same".into()));
}

#[test]
fn what_is_left_of_another_server_or_damaged_is_an_error_or_unknown() {
    let Some(install) = common::install(MAJOR) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let new = standby(&old, "new");
    new.cut_off();
    old.sql("insert into t values (1, 'lost')");
    old.sql("insert into t values (2, 'lost')");
    let last = old.sql("select pg_walfile_name(pg_current_wal_lsn())");
    old.stop(true);
    new.promote();
    let mut foreign = primary(&scratch, &install, "foreign");
    foreign.stop(false);
    let run = failover(&old, &new, &[&foreign.data()], &["--json"]);
    let text = reasons(&run.parts().1);
    assert!(run.code == 3 && text.contains("another cluster") && text.contains("system identifier"), "{text}");
    let run = failover(&old, &new, &[&old.pg_wal()], &["--json"]);
    assert!(run.code == 3 && reasons(&run.parts().1).contains("control file"), "{}", run.stdout);
    let run = failover(&foreign, &new, &[], &["--json"]);
    assert_eq!((run.code, &run.parts().0["verdict"]), (3, &"unknown".into()));
    // What was given and is not there comes first, with what to do.
    let run = failover(&old, &new, &[Path::new("/nowhere/at/all")], &["--json"]);
    let first = run.parts().1["reasons"][0].clone();
    assert!(first["hint"].as_str().unwrap().contains("check the path"), "{first}");
    let run = failover(&old, &new, &[], &["--json", "--wal-archive", old.data().to_str().unwrap()]);
    let first = run.parts().1["reasons"][0].clone();
    assert!(run.code == 3 && first["hint"].as_str().unwrap().contains("--data-directory"), "{first}");

    // An archive: at least so many, and no objective allows any.
    let pg_wal = old.pg_wal();
    let archived = failover(&old, &new, &[], &["--json", "--wal-archive", pg_wal.to_str().unwrap()]);
    let (_, recovery) = archived.parts();
    assert_eq!(
        (archived.code, &recovery["rpo"]["transactions"], &recovery["rpo"]["transactions_at_least"]),
        (1, &Value::Null, &2.into())
    );
    assert_eq!(recovery["timelines"][0]["read_from"], "archived segments");

    // A spoilt segment: never fewer than were found, never exact.
    let switchpoint = recovery["timelines"][0]["switchpoint"].as_str().unwrap().to_owned();
    let low = u64::from_str_radix(switchpoint.split('/').nth(1).unwrap(), 16).unwrap();
    let path = old.pg_wal().join(last);
    let mut bytes = fs::read(&path).unwrap();
    bytes[(low & 0xF_FFFF) as usize + 40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let run = failover(&old, &new, &[&old.data()], &["--json"]);
    let (_, recovery) = run.parts();
    assert_eq!(
        (run.code, &recovery["rpo"]["transactions"], &recovery["decision"]),
        (3, &Value::Null, &"no-go".into()),
        "{recovery:#}"
    );
}

#[test]
fn misuse_is_told_before_anything_is_asked() {
    for (words, expected) in [
        (vec!["failover", "postgres://a/db"], "is one store; two are needed"),
        (vec!["failover", "postgres://a/db", "postgres://a/db"], "source and replica are the same"),
        (vec!["failover", "parquet:/x", "postgres://a/db"], "not examined"),
        (vec!["failover", "--max-differences=many"], "--max-differences"),
    ] {
        let run = paritas(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(run.code == 2 && run.stderr.contains(expected), "{words:?}: {} {}", run.code, run.stderr);
    }
}
