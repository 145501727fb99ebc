//! A hundred links in one run of `paritas lag`: all of them are right, and what it costs is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server, standby, wait_replayed};
use paritas_tests::{command, ended};
use std::fmt::Write as _;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

const LINKS: usize = 100;

/// The largest amount of memory that a process has had, in KiB, as long as it can be read.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_links_are_sampled_side_by_side() {
    let scratch = Scratch::new().unwrap();
    let options = Options::default().set("max_connections", "250");
    let primary = Server::start(&Install::find().unwrap(), &scratch, "p1", options).await.unwrap();
    let standby = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    let mut text = String::new();
    for (name, server) in [("east", &primary), ("west", &standby)] {
        write!(text, "[store.{name}]\nkind = \"postgres\"\nurl = \"{}\"\n", server.url("postgres")).unwrap();
    }
    for link in 0..LINKS {
        let objectives = "objectives = { lag = \"5s\" }";
        write!(text, "[[link]]\nname = \"l{link}\"\nsource = \"east\"\nreplica = \"west\"\n{objectives}\n").unwrap();
    }
    let file = scratch.path().join("paritas.toml");
    fs::write(&file, text).unwrap();
    for round in 1..=5 {
        let mut call = command(&["lag", "--json", "-c", file.to_str().unwrap()]);
        let out = fs::File::create(scratch.path().join("out.json")).unwrap();
        let begun = Instant::now();
        let mut child = call.stdout(out).stderr(Stdio::inherit()).spawn().unwrap();
        let mut memory = 0;
        while child.try_wait().unwrap().is_none() {
            memory = memory.max(peak(child.id()).unwrap_or(0));
            std::thread::sleep(Duration::from_millis(2));
        }
        let took = begun.elapsed();
        assert_eq!(ended(child).code, 0);
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(scratch.path().join("out.json")).unwrap()).unwrap();
        let links = json["links"].as_array().unwrap();
        assert_eq!(links.len(), LINKS);
        for (index, link) in links.iter().enumerate() {
            assert_eq!((&link["name"], &link["verdict"]), (&format!("l{index}").into(), &"pass".into()), "{link:#}");
        }
        eprintln!("round {round}: {LINKS} links in {:.3} s, {} KiB at most", took.as_secs_f64(), memory);
    }
}
