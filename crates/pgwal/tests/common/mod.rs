//! Real servers of every version, loaded through their own `psql` and stopped hard: the test bed's, without `async`.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use paritas_model::Lsn;
use paritas_pgwal::{Reader, Segment};
pub use paritas_testbed::Scratch;
pub use paritas_testbed::postgres::Install;
use paritas_testbed::postgres::{self, Mode, Options};
use tokio::runtime::Runtime;

/// Longest wait for a server to reach a state.
const LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// Runs on a runtime that lives as long as the process, and its servers.
fn wait<T>(future: impl Future<Output = paritas_testbed::Result<T>>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap()).block_on(future).unwrap()
}

/// The installation of a major version; nothing where the test is to be left out.
pub fn install(major: u32) -> Option<Install> {
    let found = Install::unless_missing(major).unwrap();
    if found.is_none() {
        eprintln!("left out: PostgreSQL {major} is not installed; run `make setup`");
    }
    found
}

pub fn scratch() -> Scratch {
    Scratch::new().unwrap()
}

/// A primary with a table of some rows.
pub fn primary(scratch: &Scratch, install: &Install, name: &str) -> Server {
    let primary = Server::start(scratch, install, name, 1, &[]);
    primary.sql("create table t (a int, b text); insert into t select i, md5(i::text) from generate_series(1, 5000) i");
    primary
}

/// A standby that has replayed everything. What it streams from may be a standby itself.
pub fn standby(primary: &Server, name: &str) -> Server {
    let standby = primary.standby(name);
    caught_up(primary, &standby);
    standby
}

/// Waits until a standby has replayed everything.
pub fn caught_up(primary: &Server, standby: &Server) {
    let sent =
        primary.sql("select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end");
    standby.wait_for(&format!("select coalesce(pg_last_wal_replay_lsn() >= '{sent}', false)"));
}

/// One server; stopped at once when dropped.
pub struct Server {
    inner: postgres::Server,
    folder: PathBuf,
}

impl Server {
    /// Makes a cluster with segments of this size, and starts it.
    pub fn start(
        scratch: &Scratch,
        install: &Install,
        name: &str,
        segment_mib: u32,
        settings: &[(&str, &str)],
    ) -> Self {
        let fixed = [
            ("autovacuum", "off"),
            ("wal_keep_size", "8GB"),
            ("max_wal_size", "4GB"),
            ("max_prepared_transactions", "20"),
            ("wal_level", "replica"),
            ("wal_log_hints", "off"),
            ("track_commit_timestamp", "off"),
        ];
        let options = Options::default().segment_mib(segment_mib);
        let options = fixed.iter().chain(settings).fold(options, |options, (name, value)| options.set(name, value));
        let inner = wait(postgres::Server::start(install, scratch, name, options));
        Self { inner, folder: scratch.path().to_path_buf() }
    }

    /// Makes a standby that streams from this server.
    pub fn standby(&self, name: &str) -> Self {
        let inner = wait(postgres::standby(&self.inner, name));
        Self { inner, folder: self.folder.clone() }
    }

    pub fn start_again(&mut self, settings: &[(&str, &str)]) {
        self.inner.configure(settings).unwrap();
        wait(self.inner.start_again());
    }

    pub fn port(&self) -> u16 {
        self.inner.port()
    }

    pub fn data(&self) -> PathBuf {
        self.inner.data_dir()
    }

    pub fn major(&self) -> u32 {
        self.inner.install().major()
    }

    fn client(&self, program: &str) -> Command {
        let mut command = self.inner.install().command(program);
        command.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.inner.port().to_string()]);
        command
    }

    /// Runs statements, each in a transaction of its own unless they say otherwise; returns the rows, one a line.
    pub fn sql(&self, sql: &str) -> String {
        let output = self.try_sql(sql);
        assert!(output.status.success(), "{sql}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn try_sql(&self, sql: &str) -> Output {
        let mut psql = self.client("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-f", "-"]);
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Waits until a query answers `t`.
    pub fn wait_for(&self, query: &str) {
        let deadline = Instant::now() + LIMIT;
        while self.sql(query) != "t" {
            assert!(Instant::now() < deadline, "{query}\n{}", self.inner.log_tail());
            std::thread::sleep(POLL);
        }
    }

    /// Ends the replication into a standby, so that what follows on its primary is lost.
    pub fn cut_off(&self) {
        wait(postgres::cut_off(&self.inner));
    }

    pub fn promote(&self) {
        wait(postgres::promote(&self.inner));
    }

    /// Rewinds this stopped server to a primary that left its history, and has it follow that one.
    pub fn rewind_and_follow(&mut self, primary: &Self) {
        // Without a checkpoint of the new primary nothing would be rewound.
        primary.sql("checkpoint");
        wait(postgres::rewind(&self.inner, &primary.inner));
        wait(postgres::follow(&mut self.inner, &primary.inner));
    }

    /// Concurrent sessions, each running this script so many times.
    pub fn pgbench(&self, script: &str, clients: u32, times: u32) {
        let file = self.folder.join("pgbench.sql");
        fs::write(&file, script).unwrap();
        let mut bench = self.client("pgbench");
        bench.args(["-n", "-c", &clients.to_string(), "-t", &times.to_string(), "-f"]).arg(&file).arg("postgres");
        let output = bench.output().unwrap();
        assert!(output.status.success(), "{bench:?}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a script again and again in several sessions, and kills the server once so many rows were answered.
    /// Returns the first column of all rows: for a single statement, an answer means that its commit was acknowledged.
    pub fn sessions_until_killed(
        &mut self,
        script: &str,
        sessions: usize,
        rows: usize,
        abrupt: bool,
    ) -> BTreeSet<String> {
        let (sender, answers) = std::sync::mpsc::channel();
        let mut children = Vec::new();
        for _ in 0..sessions {
            let mut psql = self.client("psql");
            psql.args(["-X", "-q", "-A", "-t", "-d", "postgres", "-f", "-"]);
            let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let script = script.to_owned();
            // Ends when the session does: the pipe breaks.
            std::thread::spawn(move || while input.write_all(script.as_bytes()).is_ok() {});
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in std::io::BufReader::new(output).lines().map_while(Result::ok) {
                    if !line.is_empty() && sender.send(line).is_err() {
                        return;
                    }
                }
            });
            children.push(child);
        }
        drop(sender);
        let mut seen: BTreeSet<String> = BTreeSet::new();
        while seen.len() < rows {
            seen.insert(answers.recv_timeout(LIMIT).unwrap());
        }
        if abrupt {
            wait(self.inner.kill());
        } else {
            self.stop(true);
        }
        for mut child in children {
            child.wait().unwrap();
        }
        seen.extend(answers);
        seen
    }

    /// Stops by SIGINT (clean) or SIGQUIT (as in a crash).
    pub fn stop(&mut self, hard: bool) {
        wait(self.inner.stop(if hard { Mode::Immediate } else { Mode::Fast }));
    }

    /// The lines of this version's `pg_waldump`, from a position of timeline 1.
    pub fn waldump(&self, start: &str) -> Vec<String> {
        let lsn: Lsn = start.parse().unwrap();
        let size = Reader::open(&self.pg_wal(), 1, lsn).unwrap().segment_size();
        // Without a file named, 14 looks at any, and takes one that was never written amiss.
        let segment = Segment { timeline: 1, number: lsn.0 / size.bytes() }.name(size);
        let names = fs::read_dir(self.pg_wal()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let last = names.filter(|name| Segment::parse(name, size).is_some()).max().unwrap();
        let mut dump = self.inner.install().command("pg_waldump");
        // It always ends with a complaint, as every log ends with something that is no record.
        let output =
            dump.arg("-p").arg(self.pg_wal()).args(["-t", "1", "-s", start, &segment, &last]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    pub fn pg_wal(&self) -> PathBuf {
        self.inner.data_dir().join("pg_wal")
    }
}
