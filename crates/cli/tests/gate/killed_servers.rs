//! Paritas is killed at random points while it asks servers; what it does next is what an uninterrupted run does.

use crate::called::{Run, run};
use crate::killed::{next, said};
use crate::stage::{Pair, pair, url};
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Rows of the table that takes most of the time.
const ROWS: u32 = 40_000;
/// Cuts that table into parts, so that there is something to go on with.
const PARTS: [&str; 4] = ["--view-max", "40ms", "--rate", "40000rows/s"];

/// A standby that was promoted and lacks what the old primary wrote last. The old primary still runs, so that it can be
/// read, and a second configuration names it where nobody answers, as if it were gone.
struct Scene {
    pair: Pair,
    gone: String,
}

impl Scene {
    fn start() -> Option<Self> {
        let pair = pair("")?;
        pair.old.sql(&format!(
            "create table fills (n int primary key, v text); \
             insert into fills select i, md5(i::text) from generate_series(1, {ROWS}) i; vacuum analyze fills;"
        ));
        crate::testbed::caught_up(&pair.old, &pair.new);
        pair.new.cut_off();
        pair.old.sql(
            "insert into fills values (0, 'lost'); update fills set v = 'changed' where n in (7, 33333); \
             delete from fills where n = 20000; insert into ledger (account, amount) values (7, 1.5);",
        );
        pair.promote();
        let file = pair.folder.path().join("paritas.toml");
        let configured = std::fs::read_to_string(&file).unwrap();
        let nobody = paritas_testbed::ports::free_port().unwrap();
        let dead = format!("postgres://postgres@127.0.0.1:{nobody}/postgres");
        let text = configured.replace(&url(&pair.old), &dead);
        let text: Vec<&str> = text.lines().filter(|line| !line.starts_with("recovery")).collect();
        let gone = pair.folder.write("gone.toml", text.join("\n")).display().to_string();
        Some(Self { pair, gone })
    }

    /// The arguments of a command; of one that is asked when the source is gone, with that configuration.
    fn args<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        let gone = matches!(command.first(), Some(&"failover")) || command.contains(&"--against");
        let paced = matches!(command, ["verify" | "snapshot", ..]) && !gone;
        let config: &[&str] = if gone { &["-c", self.gone.as_str()] } else { &[] };
        let pace: &[&str] = if paced { &PARTS } else { &[] };
        [command, config, pace, &["--json"]].concat()
    }

    fn call(&self, command: &[&str]) -> Run {
        run(self.pair.folder.command(&self.args(command)))
    }

    /// Kills a run of a command after so long. Whether it was still at work.
    fn kill(&self, command: &[&str], after: Duration) -> bool {
        let mut child = self.pair.folder.command(&self.args(command));
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        let at_work = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        at_work
    }
}

/// What a report of servers says: where their logs stand moves on by itself, and so do parts and notes about them.
fn told(report: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for name in [
                    "positions",
                    "lsn",
                    "position",
                    "reached",
                    "notes",
                    "why",
                    "text",
                    "summary",
                    "fence",
                    "next",
                    "hint",
                ] {
                    members.remove(name);
                }
                members.values_mut().for_each(strip);
            }
            Value::Array(all) => all.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut report = said(report);
    strip(&mut report);
    report
}

/// So many kills that some of them hit a verification in the middle.
const MANY: u32 = 50;

/// Kills runs of each command, `times` in all, and demands that the next one says what an uninterrupted one says.
fn survives(times: u32) {
    let Some(scene) = Scene::start() else { return };
    let began = Instant::now();
    scene.call(&["snapshot"]).code(0);
    let mut longest = vec![began.elapsed()];
    let mut expect = |command: &[&str]| {
        let began = Instant::now();
        let report = told(scene.call(command).code(1).json());
        longest.push(began.elapsed());
        report
    };
    let (verify, against, failover) =
        (expect(&["verify"]), expect(&["verify", "--against", "last"]), expect(&["failover"]));
    assert!(verify.to_string().contains("33333"), "{verify:#}");
    let (mut seed, mut killed, mut resumed) = (0x9E37_79B9_7F4A_7C15, 0, 0);
    for round in 0..times {
        let commands: [(&[&str], &Value); 4] = [
            (&["snapshot"], &against),
            (&["verify"], &verify),
            (&["verify", "--against", "last"], &against),
            (&["failover"], &failover),
        ];
        let at = (round % 4) as usize;
        let (command, expected) = commands[at];
        let span = u64::try_from(longest[at].as_millis()).unwrap().max(1);
        let after = Duration::from_millis(next(&mut seed) % span);
        killed += u32::from(scene.kill(command, after));
        let again: &[&str] = match command {
            ["snapshot"] => &["verify", "--against", "last"],
            ["verify"] => {
                let run = scene.call(&["verify", "--resume"]);
                if run.code == 1 {
                    assert_eq!(&told(run.json()), expected, "gone on with after {after:?}");
                    resumed += 1;
                } else {
                    // Killed before anything was kept, or after it had come to its end.
                    assert!([2, 3].contains(&run.code), "{run:#?}");
                }
                command
            }
            others => others,
        };
        assert_eq!(&told(scene.call(again).code(1).json()), expected, "{command:?} killed after {after:?}");
    }
    assert!(killed > times / 4, "only {killed} of {times} runs were still at work");
    // Of a few kills none may have hit a verification at the right moment.
    assert!(resumed > 0 || times < MANY, "no run was gone on with");
}

#[test]
fn a_run_on_servers_that_was_killed_changes_nothing_that_the_next_one_says() {
    survives(8);
}

#[test]
#[ignore = "takes minutes: `make soak` runs it"]
fn fifty_killed_runs_on_servers_change_nothing_that_the_next_ones_say() {
    survives(MANY);
}
