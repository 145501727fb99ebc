//! A hundred links in one run of `paritas lag`: all of them are right, and what it costs is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server, standby, wait_replayed};
use paritas_tests::{command, ended};
use rstest::rstest;
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

/// Seconds of processor time of a process and of its children that have ended (`/proc/PID/stat`, in
/// hundredths).
fn cpu(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.rsplit(')').next()?;
    let ticks: Vec<f64> = after.split_whitespace().skip(11).take(4).filter_map(|text| text.parse().ok()).collect();
    Some(ticks.iter().sum::<f64>() / 100.0)
}

/// Two stores that all links share, and two for each link.
#[rstest]
#[case::shared(1)]
#[case::apart(LINKS)]
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_links_are_sampled_side_by_side(#[case] stores: usize) {
    let scratch = Scratch::new().unwrap();
    let options = Options::default().set("max_connections", "250");
    let primary = Server::start(&Install::find().unwrap(), &scratch, "p1", options).await.unwrap();
    let standby = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &standby).await.unwrap();
    let mut text = String::new();
    for (name, server) in (0..stores).flat_map(|n| [(format!("east{n}"), &primary), (format!("west{n}"), &standby)]) {
        write!(text, "[store.{name}]\nkind = \"postgres\"\nurl = \"{}\"\n", server.url("postgres")).unwrap();
    }
    for link in 0..LINKS {
        let objectives = "objectives = { lag = \"5s\" }";
        let (source, replica) = (format!("east{}", link % stores), format!("west{}", link % stores));
        write!(text, "[[link]]\nname = \"l{link}\"\nsource = \"{source}\"\nreplica = \"{replica}\"\n{objectives}\n")
            .unwrap();
    }
    let file = scratch.path().join("paritas.toml");
    fs::write(&file, text).unwrap();
    for round in 1..=5 {
        let mut call = command(&["lag", "--json", "-c", file.to_str().unwrap()]);
        let out = fs::File::create(scratch.path().join("out.json")).unwrap();
        let begun = Instant::now();
        let mut child = call.stdout(out).stderr(Stdio::inherit()).spawn().unwrap();
        let (mut memory, mut own) = (0, 0.0);
        let servers = || -> f64 { [&primary, &standby].iter().filter_map(|s| cpu(s.pid()?.unsigned_abs())).sum() };
        let before = servers();
        while child.try_wait().unwrap().is_none() {
            memory = memory.max(peak(child.id()).unwrap_or(0));
            own = cpu(child.id()).unwrap_or(own);
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
        // Sessions end after the program, and count only once they were waited for.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (took, servers) = (took.as_secs_f64(), servers() - before);
        eprintln!(
            "round {round}: {LINKS} links of {stores} pairs in {took:.2} s; CPU {own:.2} s, servers {servers:.2} s; {memory} KiB"
        );
    }
}
