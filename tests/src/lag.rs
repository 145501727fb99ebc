//! Helpers of tests that measure lag: calls, parts of a report, and waiting for servers to come into a state.

use crate::{Run, command, run};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest wait for a server to come into a state.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A server `p1` with a table.
pub async fn primary(scratch: &Scratch, options: Options, table: &str) -> Server {
    let server = Server::start(&Install::find().unwrap(), scratch, "p1", options).await.unwrap();
    server.batch("postgres", table).await.unwrap();
    server
}

/// Calls the program in a thread of its own, so that proxies of this test go on.
pub async fn call(arguments: Vec<String>) -> Run {
    tokio::task::spawn_blocking(move || run(command(&arguments))).await.unwrap()
}

/// `paritas lag --json SOURCE REPLICA` with further options.
pub async fn pair(source: &str, replica: &str, more: &[&str]) -> Run {
    call(["lag", "--json", source, replica].iter().chain(more).map(|word| (*word).to_owned()).collect()).await
}

/// `paritas lag -c FILE` with further options.
pub async fn configured(file: &Path, more: &[&str]) -> Run {
    let file = file.display().to_string();
    call(["lag", "-c", &file].iter().chain(more).map(|word| (*word).to_owned()).collect()).await
}

/// A configuration with one link between the databases `postgres` of two servers, and what this text says of the link.
pub fn configuration(folder: &Path, source: &Server, replica: &Server, link: &str) -> PathBuf {
    configuration_of(folder, &source.url("postgres"), &replica.url("postgres"), link)
}

/// As [`configuration`], between two addresses.
pub fn configuration_of(folder: &Path, source: &str, replica: &str, link: &str) -> PathBuf {
    let store = |name: &str, url: &str| format!("[store.{name}]\nkind = \"postgres\"\nurl = \"{url}\"\n");
    let text = format!(
        "{}{}[[link]]\nname = \"trading\"\nsource = \"east\"\nreplica = \"west\"\n{link}\n",
        store("east", source),
        store("west", replica)
    );
    let file = folder.join("paritas.toml");
    fs::write(&file, text).unwrap();
    file
}

/// The first check of a kind.
pub fn check(run: &Run, kind: &str) -> Value {
    run.checks(kind).into_iter().next().unwrap_or_else(|| panic!("no {kind}: {run:#?}"))
}

/// All streams of the only link.
pub fn streams(run: &Run) -> Vec<Value> {
    check(run, "lag")["streams"].as_array().unwrap_or_else(|| panic!("{run:#?}")).clone()
}

/// The only stream of the only link.
pub fn stream(run: &Run) -> Value {
    let mut streams = streams(run);
    assert_eq!(streams.len(), 1, "{run:#?}");
    streams.remove(0)
}

/// The stream of that name.
pub fn named(run: &Run, name: &str) -> Value {
    let found = streams(run).into_iter().find(|stream| stream["stream"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {run:#?}"))
}

/// The state of the only stream.
pub fn state(run: &Run) -> String {
    stream(run)["state"].as_str().unwrap().to_owned()
}

/// Whether the reason of a stream holds these words.
pub fn says(stream: &Value, text: &str) -> bool {
    stream["reason"].as_str().is_some_and(|reason| reason.contains(text))
}

/// Measures until it is as wanted.
pub async fn until(what: &str, source: &str, replica: &str, wanted: impl Fn(&Run) -> bool) -> Run {
    let deadline = Instant::now() + LIMIT;
    loop {
        let run = pair(source, replica, &[]).await;
        if wanted(&run) {
            return run;
        }
        assert!(Instant::now() < deadline, "{what}: {run:#?}");
    }
}

/// What a statement of one text says.
pub async fn text(server: &Server, sql: &str) -> String {
    server.client("postgres").await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

/// Asks until the answer is as wanted.
pub async fn until_text(server: &Server, sql: &str, wanted: &str) {
    let client = server.client("postgres").await.unwrap();
    let deadline = Instant::now() + LIMIT;
    loop {
        let seen: String = client.query_one(sql, &[]).await.unwrap().get(0);
        if seen == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{seen} and not {wanted}: {sql}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A process of a server of this test that stands still until this is dropped.
#[derive(Debug)]
pub struct Frozen(String);

impl Frozen {
    /// Stops it in its tracks.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn new(pid: &str) -> Self {
        assert!(Command::new("kill").args(["-STOP", pid]).status().unwrap().success());
        Self(pid.to_owned())
    }

    /// The process that replays the log of a standby.
    pub async fn replay(standby: &Server) -> Self {
        let pid = "SELECT pid::text FROM pg_stat_activity WHERE backend_type = 'startup'";
        Self::new(&text(standby, pid).await)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // One that has ended meanwhile needs nothing more.
        drop(Command::new("kill").args(["-CONT", &self.0]).status());
    }
}
