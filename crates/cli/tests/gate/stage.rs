//! A primary with its standby under a configuration, and what a report says.

use crate::called::{Folder, Run, run};
use crate::testbed::{self, Scratch, Server};
use serde_json::Value;
use std::fs;
use std::process::Command;

/// The version that Debian 12 has.
const MAJOR: u32 = 15;

const TABLES: &str = "
create table ledger (id bigint generated always as identity primary key, account int, amount numeric(60,20));
insert into ledger (account, amount)
  select i % 20, i::numeric * 1000000007 / 7919 + 12345678901234567890.12345678901234567890
  from generate_series(1, 2000) i;
create table orders (id bigserial primary key, note text);
insert into orders (note) select 'order ' || i from generate_series(1, 300) i;
";

/// A primary that streams to a standby, with a configured link `trading`.
pub struct Pair {
    pub folder: Folder,
    pub old: Server,
    pub new: Server,
    _scratch: Scratch,
}

pub fn url(server: &Server) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres", server.port())
}

/// Nothing where that version of PostgreSQL is not installed.
pub fn pair(objectives: &str) -> Option<Pair> {
    let install = testbed::install(MAJOR)?;
    let scratch = testbed::scratch();
    let old = Server::start(&scratch, &install, "old", 16, &[]);
    old.sql(TABLES);
    let new = old.standby("new");
    testbed::caught_up(&old, &new);
    let pair = Pair { folder: Folder::new(), old, new, _scratch: scratch };
    pair.configure(objectives, "sum = [\"amount\"]");
    Some(pair)
}

impl Pair {
    /// Writes the configuration.
    pub fn configure(&self, objectives: &str, rule: &str) {
        let text = format!(
            "[paritas]\nstate = \"state\"\n[store.east]\nkind = \"postgres\"\nurl = {:?}\n\
             recovery = {{ data_directory = {:?} }}\n[store.west]\nkind = \"postgres\"\nurl = {:?}\n\
             [[link]]\nname = \"trading\"\nsource = \"east\"\nreplica = \"west\"\ntier = \"warm\"\n{objectives}\n\
             [[link.ledger]]\nname = \"balances\"\ndataset = \"public.ledger\"\ngroup_by = [\"account\"]\ncount = true\n{rule}\n",
            url(&self.old),
            self.old.data(),
            url(&self.new)
        );
        self.folder.write("paritas.toml", text);
    }

    pub fn call(&self, args: &[&str]) -> Run {
        self.folder.paritas(&[args, &["--json"]].concat())
    }

    /// Kills the source and removes all it had.
    pub fn lose_source(&mut self) {
        let data = self.old.data();
        self.old.stop(true);
        fs::remove_dir_all(data).unwrap();
    }

    /// Promotes, and waits until what the promotion asked for is done.
    pub fn promote(&self) {
        self.new.promote();
        self.new.wait_for("select timeline_id > 1 from pg_control_checkpoint()");
    }

    /// Runs a command line that a report names, as a shell would.
    pub fn shell(&self, line: &str) -> Run {
        let words = line.strip_prefix("paritas ").unwrap();
        let mut shell = Command::new("sh");
        let binary = env!("CARGO_BIN_EXE_paritas");
        shell.args(["-c", &format!("exec '{binary}' {words}")]).current_dir(self.folder.path());
        shell.env_remove("PARITAS_CONFIG").env_remove("PARITAS_STATE");
        run(shell)
    }
}

pub fn link(report: &Value) -> &Value {
    &report["links"][0]
}

/// The only check of a kind.
pub fn check<'a>(report: &'a Value, kind: &str) -> &'a Value {
    let checks = link(report)["checks"].as_array().unwrap();
    let mut found = checks.iter().filter(|check| check["check"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no check {kind}: {report:#}"));
    assert!(found.next().is_none(), "several checks {kind}: {report:#}");
    first
}

/// Names of the steps, each with its verdict.
pub fn steps(report: &Value) -> Vec<(String, String)> {
    let steps = link(report)["recovery"]["steps"].as_array().unwrap();
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    steps.iter().map(|step| (word(&step["step"]), word(&step["verdict"]))).collect()
}

/// The verdict of one step.
pub fn step(report: &Value, name: &str) -> String {
    let all = steps(report);
    all.iter().find(|(step, _)| step == name).unwrap_or_else(|| panic!("no step {name}: {all:?}")).1.clone()
}

/// Reasons with that verdict, as one text.
pub fn reasons(report: &Value, verdict: &str) -> String {
    let all = link(report)["recovery"]["reasons"].as_array().unwrap();
    let those: Vec<&Value> = all.iter().filter(|reason| reason["verdict"] == verdict).collect();
    those.iter().map(ToString::to_string).collect()
}
