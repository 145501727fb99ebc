//! `paritas run`: what is due is done, in slices, once, by one process at a time, and nothing is passed over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "timer/alerts.rs"]
mod alerts;

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server};
use paritas_tests::{Run, command, ended, paritas, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Slices of one verification.
const SLICES: u64 = 4;
/// Rows of the table; more bytes than slices are cut from.
const ROWS: u64 = 200_000;
/// Longest wait until every slice was due.
const LIMIT: Duration = Duration::from_secs(120);

/// Two databases with the same table, and a configuration that compares them.
struct World {
    server: Server,
    config: PathBuf,
    scratch: Scratch,
}

impl World {
    async fn start(schedule: &str) -> Option<Self> {
        let install = Install::find().unwrap();
        let scratch = Scratch::new().unwrap();
        let server = Server::start(&install, &scratch, "both", Options::default()).await.unwrap();
        for name in ["east", "west"] {
            server.batch("postgres", &format!("CREATE DATABASE {name}")).await.unwrap();
            let table = format!(
                "CREATE TABLE t (id bigint PRIMARY KEY, pad text NOT NULL);
                 INSERT INTO t SELECT g, repeat(md5(g::text), 5) FROM generate_series(1, {ROWS}) g;
                 CREATE TABLE u (id bigint PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 10)"
            );
            server.batch(name, &table).await.unwrap();
            server.batch(name, "VACUUM (ANALYZE)").await.unwrap();
        }
        let config = scratch.path().join("paritas.toml");
        let store = |name: &str| {
            format!("[store.{name}]\nkind = \"postgres\"\nregion = \"{name}\"\nurl = \"{}\"\n", server.url(name))
        };
        let text = format!(
            "[paritas]\nstate = {:?}\n{}{}[[link]]\nname = \"trading\"\nsource = \"east\"\nreplica = \"west\"\n{schedule}",
            scratch.path().join("state"),
            store("east"),
            store("west"),
        );
        fs::write(&config, text).unwrap();
        Some(Self { server, config, scratch })
    }

    fn call(&self, more: &[&str]) -> Command {
        let config = self.config.to_str().unwrap();
        command(&[&["--config", config, "run", "--json"], more].concat())
    }

    fn run(&self) -> Run {
        run(self.call(&[]))
    }

    /// The report that is kept of a run.
    fn kept(&self, id: &str) -> Value {
        let path = self.scratch.path().join("state/runs").join(format!("{id}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

fn jobs(run: &Run) -> Vec<Value> {
    run.json()["jobs"].as_array().unwrap().clone()
}

/// The check of the large table in a report.
fn large(report: &Value) -> Option<Value> {
    let checks = report["links"][0]["checks"].as_array()?;
    checks.iter().find(|check| check["check"] == "parity" && check["dataset"] == "public.t").cloned()
}

/// Calls until all slices are done, and returns what each call that did something came to.
fn cycle(world: &World) -> Vec<(Run, Value)> {
    let deadline = Instant::now() + LIMIT;
    let mut calls = Vec::new();
    loop {
        assert!(Instant::now() < deadline, "{calls:#?}");
        let run = world.run();
        if let [job] = jobs(&run).as_slice() {
            let done = job["slices"][0].as_u64().unwrap();
            let kept = world.kept(job["run"].as_str().unwrap());
            calls.push((run, kept));
            if done == SLICES {
                return calls;
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_add_up_to_everything_and_each_finds_what_is_in_it() {
    let Some(world) = World::start("[schedule]\nverify = { every = \"4s\", slices = 4 }\n").await else { return };
    // In the last part of the table.
    world.server.batch("west", &format!("UPDATE t SET pad = 'other' WHERE id = {}", ROWS - 5)).await.unwrap();
    let calls = cycle(&world);
    let (last, earlier) = calls.split_last().unwrap();
    for (run, kept) in earlier {
        assert_eq!((run.code, &run.json()["verdict"]), (0, &Value::from("pass")), "{run:#?}");
        let Some(check) = large(kept) else { continue };
        assert_eq!((check["verdict"].as_str(), check["complete"].as_bool()), (Some("pass"), Some(false)), "{check:#}");
        let (parts, of) = (check["slice"]["parts"].as_u64().unwrap(), check["slice"]["of"].as_u64().unwrap());
        assert!(parts > 0 && parts < of && of >= SLICES, "{check:#}");
        assert!(check["rows"]["source"].as_u64().unwrap() < ROWS, "{check:#}");
        let left = kept["links"][0]["not_checked"].to_string();
        assert!(left.contains("parts of the rows of public.t"), "{left}");
    }
    let (run, kept) = last;
    assert_eq!(run.code, 1, "{run:#?}");
    let check = large(kept).unwrap();
    assert_eq!(check["complete"], true, "{check:#}");
    assert_eq!((check["rows"]["source"].as_u64(), check["rows"]["replica"].as_u64()), (Some(ROWS), Some(ROWS)));
    assert_eq!(check["items"][0]["key"]["id"], Value::from(ROWS - 5), "{check:#}");
    let small = kept["links"][0]["checks"].as_array().unwrap();
    assert!(small.iter().any(|check| check["check"] == "parity" && check["dataset"] == "public.u"), "{kept:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_is_gone_on_with_and_nothing_is_done_twice() {
    let Some(world) = World::start("[schedule]\nverify = \"1d\"\n").await else { return };
    let child = world.call(&["--rate", "8MiB/s"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let parts = |folder: &Path| {
        let work = fs::read_dir(folder.join("state/work")).into_iter().flatten().flatten();
        let links = work.flat_map(|one| fs::read_dir(one.path().join("trading")).into_iter().flatten().flatten());
        links.flat_map(|one| fs::read_dir(one.path()).into_iter().flatten().flatten()).count()
    };
    let deadline = Instant::now() + LIMIT;
    while parts(world.scratch.path()) == 0 {
        assert!(Instant::now() < deadline, "nothing is kept");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Another one at the same time says so, and does nothing.
    let second = world.run().expect_code(3);
    assert_eq!(second.json()["code"], "state.locked", "{second:#?}");
    assert!(Command::new("kill").args(["-KILL", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(ended(child).code, -1);
    let run = world.run().expect_code(0);
    let job = &jobs(&run)[0];
    assert_eq!((job["job"].as_str(), &job["slices"]), (Some("verify"), &serde_json::json!([1, 1])), "{run:#?}");
    let kept = world.kept(job["run"].as_str().unwrap());
    assert!(kept["run"]["resumed_from"].is_string(), "{kept:#}");
    let check = large(&kept).unwrap();
    assert_eq!((check["complete"].as_bool(), check["rows"]["source"].as_u64()), (Some(true), Some(ROWS)), "{check:#}");
    let again = world.run().expect_code(0);
    assert_eq!((jobs(&again).len(), again.json()["idle"].as_u64()), (0, Some(1)), "{again:#?}");
    assert!(again.json()["next"].is_string(), "{again:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_done_stays_due() {
    let schedule = "[schedule]\nsnapshot = \"1d\"\nverify = { every = \"1d\", slices = 1, budget = \"1rows\" }\n";
    let Some(mut world) = World::start(schedule).await else { return };
    let short = world.run().expect_code(3);
    let named: Vec<_> = jobs(&short).iter().map(|job| (job["job"].clone(), job["verdict"].clone())).collect();
    let wanted = [("snapshot", "pass"), ("verify", "unknown")].map(|(job, verdict)| (job.into(), verdict.into()));
    assert_eq!(named, wanted, "{short:#?}");
    world.server.stop(paritas_testbed::postgres::Mode::Fast).await.unwrap();
    let gone = world.run().expect_code(3);
    assert_eq!((jobs(&gone).len(), jobs(&gone)[0]["job"].as_str()), (1, Some("verify")), "{gone:#?}");
    assert!(jobs(&gone)[0]["why"].is_string(), "{gone:#?}");
    world.server.start_again().await.unwrap();
    let done = run(world.call(&["--budget", "10m"])).expect_code(0);
    assert_eq!(jobs(&done).len(), 1, "{done:#?}");
    assert_eq!(jobs(&world.run().expect_code(0)).len(), 0);
}

#[test]
fn without_schedule_or_state_a_timer_is_told_what_is_missing() {
    let scratch = Scratch::new().unwrap();
    let config = scratch.path().join("paritas.toml");
    let links = "[store.a]\nkind = \"files\"\nurl = \"/nowhere/a\"\n[store.b]\nkind = \"files\"\nurl = \"/nowhere/b\"\n\
                 [[link]]\nname = \"l\"\nsource = \"a\"\nreplica = \"b\"\n";
    let told = |text: &str, code: &str| {
        fs::write(&config, text).unwrap();
        for command in [&["run"][..], &["export", "systemd"]] {
            let words = [&["--json", "--config", config.to_str().unwrap()], command].concat();
            let run = paritas(&words).expect_code(2);
            assert_eq!((run.json()["code"].as_str(), run.json()["hint"].is_string()), (Some(code), true), "{run:#?}");
        }
    };
    told(links, "config.schedule");
    told(&format!("{links}[schedule]\n"), "config.schedule");
    told(&format!("{links}[schedule]\nlag = \"30s\"\n"), "usage.state");
}

/// Links of a configuration in which nothing is due.
const LINKS: usize = 100;

/// The figures are for docs/benchmarks.md; only that nothing was done is demanded.
#[test]
fn many_links_with_nothing_due_cost_next_to_nothing() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path();
    for side in ["east", "west"] {
        fs::create_dir(folder.join(side)).unwrap();
        fs::write(folder.join(side).join("a.csv"), "id,amount\n1,10.00\n").unwrap();
    }
    let mut text = format!("[paritas]\nstate = {:?}\n", folder.join("state"));
    for side in ["east", "west"] {
        text += &format!("[store.{side}]\nkind = \"csv\"\nurl = {:?}\n", folder.join(side));
    }
    for number in 0..LINKS {
        text += &format!("[[link]]\nname = \"link{number}\"\nsource = \"east\"\nreplica = \"west\"\n");
    }
    text += "[schedule]\nsnapshot = \"1d\"\nverify = \"1d\"\n";
    let config = folder.join("paritas.toml");
    fs::write(&config, text).unwrap();
    let call = || {
        let mut call = command(&["--config", config.to_str().unwrap(), "--json", "run"]);
        call.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let all = ended(call()).expect_code(0);
    assert_eq!(jobs(&all).len(), 2 * LINKS, "{all:#?}");
    let begun = Instant::now();
    let child = call();
    let (mut memory, pid) = (0, child.id());
    while let Some(now) = peak(pid) {
        memory = memory.max(now);
        std::thread::sleep(Duration::from_micros(200));
    }
    let took = begun.elapsed();
    let nothing = ended(child).expect_code(0);
    assert_eq!((jobs(&nothing).len(), nothing.json()["idle"].as_u64()), (0, Some(LINKS as u64)), "{nothing:#?}");
    println!("{LINKS} links, nothing due: {took:?}, {memory} KiB");
}

/// The most memory that a process has had, in KiB; nothing once it has ended.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}
