//! Real servers of every version: started in a temporary folder, loaded through `psql`, stopped hard.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use paritas_model::Lsn;
use paritas_pgwal::{Reader, Segment};
use rustix::process::{Pid, Signal, geteuid, kill_process};

/// Longest wait for a server to start, to stop, or to reach a state.
const LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);
const PORT_TRIES_MAX: usize = 5;

/// The programs of one version.
#[derive(Debug, Clone)]
pub struct Install {
    pub major: u32,
    root: PathBuf,
}

impl Install {
    /// `~/.cache/paritas/postgres/<version>`, which `make setup` fills, else Debian's folder.
    ///
    /// Nothing when it is on neither; a failure where `PARITAS_REQUIRE_SERVERS` is set.
    pub fn find(major: u32) -> Option<Self> {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let cache = std::env::var_os("PARITAS_CACHE").map_or_else(|| home.join(".cache/paritas"), PathBuf::from);
        let fetched = fs::read_dir(cache.join("postgres")).into_iter().flatten().flatten().map(|entry| entry.path());
        let prefix = format!("{major}.");
        let mut roots: Vec<PathBuf> = fetched
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
            .collect();
        roots.sort();
        roots.insert(0, PathBuf::from(format!("/usr/lib/postgresql/{major}")));
        let found = roots.into_iter().find(|root| root.join("bin/pg_waldump").is_file());
        if found.is_none() {
            let text = format!("PostgreSQL {major} is not installed; run `make setup`");
            let required = std::env::var("PARITAS_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
            assert!(!required, "{text}");
            eprintln!("left out: {text}");
        }
        found.map(|root| Self { major, root })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.root.join("bin").join(program));
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env("PGTZ", "UTC").current_dir("/");
        if !self.root.starts_with("/usr") {
            // An unpacked build must find its own client library, not the system's.
            command.env("LD_LIBRARY_PATH", self.root.join("lib"));
        }
        command
    }
}

/// A folder that servers can use, removed at the end.
pub struct Scratch {
    folder: tempfile::TempDir,
    /// The user servers run as, when this is root.
    user: Option<(u32, u32)>,
}

impl Scratch {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("paritas-wal-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let of = |name: &str| {
            let fields: Vec<&str> =
                passwd.lines().map(|l| l.split(':').collect()).find(|f: &Vec<&str>| f[0] == name)?;
            Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
        };
        let user = if geteuid().is_root() { of("postgres").or_else(|| of("nobody")) } else { None };
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        Self { folder, user }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The installation where the servers' user can reach it: root's home is closed to others.
    fn reachable(&self, install: &Install) -> Install {
        if self.user.is_none() || install.root.starts_with("/usr") {
            return install.clone();
        }
        let root = self.path().join(format!("postgresql-{}", install.major));
        if !root.exists() {
            let copy = |link: &[&str]| {
                Command::new("cp").arg("-a").args(link).arg(&install.root).arg(&root).stderr(Stdio::null()).status()
            };
            if !copy(&["--link"]).unwrap().success() {
                let _partly = fs::remove_dir_all(&root);
                assert!(copy(&[]).unwrap().success());
            }
        }
        Install { major: install.major, root }
    }

    fn as_user(&self, mut command: Command) -> Command {
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid).env("HOME", "/");
        }
        command
    }
}

/// One server; stopped at once when dropped.
pub struct Server<'a> {
    scratch: &'a Scratch,
    pub install: Install,
    pub data: PathBuf,
    pub port: u16,
    child: Option<Child>,
}

impl<'a> Server<'a> {
    /// Makes a cluster with segments of this size.
    pub fn create(scratch: &'a Scratch, install: &Install, name: &str, segment_mib: u32) -> Self {
        let install = scratch.reachable(install);
        let data = scratch.path().join(name);
        let mut initdb = scratch.as_user(install.command("initdb"));
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]).arg(&data);
        run(initdb.arg(format!("--wal-segsize={segment_mib}")));
        Self { scratch, install, data, port: 0, child: None }
    }

    /// Makes a standby that streams from this server.
    pub fn standby(&self, name: &str) -> Self {
        let data = self.scratch.path().join(name);
        let mut backup = self.scratch.as_user(self.install.command("pg_basebackup"));
        let source = format!("host=127.0.0.1 port={} user=postgres", self.port);
        run(backup.args(["-X", "stream", "-c", "fast", "--no-sync", "-d", &source, "-D"]).arg(&data));
        let conninfo = format!("primary_conninfo = '{source}'\n");
        let mut file = fs::OpenOptions::new().append(true).open(data.join("postgresql.auto.conf")).unwrap();
        file.write_all(conninfo.as_bytes()).unwrap();
        fs::write(data.join("standby.signal"), "").unwrap();
        Self { scratch: self.scratch, install: self.install.clone(), data, port: 0, child: None }
    }

    pub fn start(&mut self, settings: &[&str]) {
        for attempt in 1..=PORT_TRIES_MAX {
            self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let log = fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
            let postgres = self.install.command("postgres");
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "QUIT", "--"]).arg(postgres.get_program());
            command.envs(postgres.get_envs().filter_map(|(key, value)| Some((key, value?)))).current_dir("/");
            command.arg("-D").arg(&self.data).arg("-p").arg(self.port.to_string());
            let socket = format!("unix_socket_directories={}", self.scratch.path().display());
            let fixed = ["listen_addresses=127.0.0.1", &socket, "fsync=off", "autovacuum=off", "wal_keep_size=8GB"];
            for setting in
                fixed.iter().chain(["max_prepared_transactions=20", "max_wal_size=4GB"].iter()).chain(settings)
            {
                command.arg("-c").arg(setting);
            }
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
            let mut child = self.scratch.as_user(command).spawn().unwrap();
            let deadline = Instant::now() + LIMIT;
            let ended = loop {
                if child.try_wait().unwrap().is_some() {
                    break true;
                }
                if self.client("psql").args(["-d", "postgres", "-c", "select 1"]).output().unwrap().status.success() {
                    break false;
                }
                assert!(Instant::now() < deadline, "{}", self.log_text());
                std::thread::sleep(POLL);
            };
            if !ended {
                self.child = Some(child);
                return;
            }
            let taken = self.log_text().contains("could not bind");
            assert!(taken && attempt < PORT_TRIES_MAX, "{}", self.log_text());
        }
    }

    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn client(&self, program: &str) -> Command {
        let mut command = self.install.command(program);
        command.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string()]);
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
            assert!(Instant::now() < deadline, "{query}\n{}", self.log_text());
            std::thread::sleep(POLL);
        }
    }

    /// Concurrent sessions, each running this script so many times.
    pub fn pgbench(&self, script: &str, clients: u32, times: u32) {
        let file = self.scratch.path().join("pgbench.sql");
        fs::write(&file, script).unwrap();
        let mut bench = self.client("pgbench");
        bench.args(["-n", "-c", &clients.to_string(), "-t", &times.to_string(), "-f"]).arg(&file);
        run(bench.arg("postgres"));
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
        self.kill(abrupt);
        for mut child in children {
            child.wait().unwrap();
        }
        seen.extend(answers);
        seen
    }

    /// Stops by SIGQUIT to the server, or by SIGKILL to it and all its processes.
    fn kill(&mut self, abrupt: bool) {
        if !abrupt {
            return self.stop(true);
        }
        let Some(mut child) = self.child.take() else { return };
        let pid = Pid::from_child(&child);
        let parent = child.id().to_string();
        let of_server = |stat: &str| stat.rsplit(')').next().and_then(|r| r.split_whitespace().nth(1)) == Some(&parent);
        let mut pids = vec![];
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            if of_server(&stat) {
                pids.extend(entry.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?)));
            }
        }
        kill_process(pid, Signal::KILL).unwrap();
        for pid in &pids {
            // One that has just ended is fine.
            let _gone = kill_process(*pid, Signal::KILL);
        }
        child.wait().unwrap();
        let deadline = Instant::now() + LIMIT;
        let runs = |pid: &Pid| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
        };
        while pids.iter().any(runs) {
            assert!(Instant::now() < deadline, "a killed process is still there");
            std::thread::sleep(POLL);
        }
        // A new server refuses to start beside processes of the old one.
        let _stale = fs::remove_file(self.data.join("postmaster.pid"));
    }

    /// Stops by SIGINT (clean) or SIGQUIT (as in a crash).
    pub fn stop(&mut self, hard: bool) {
        let Some(mut child) = self.child.take() else { return };
        let signal = if hard { Signal::QUIT } else { Signal::INT };
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait().unwrap();
    }

    /// The lines of this version's `pg_waldump`, from a position of timeline 1.
    pub fn waldump(&self, start: &str) -> Vec<String> {
        let lsn: Lsn = start.parse().unwrap();
        let size = Reader::open(&self.pg_wal(), 1, lsn).unwrap().segment_size();
        // Without a file named, 14 looks at any, and takes one that was never written amiss.
        let segment = Segment { timeline: 1, number: lsn.0 / size.bytes() }.name(size);
        let names = fs::read_dir(self.pg_wal()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let last = names.filter(|name| Segment::parse(name, size).is_some()).max().unwrap();
        let mut dump = self.install.command("pg_waldump");
        // It always ends with a complaint, as every log ends with something that is no record.
        let output =
            dump.arg("-p").arg(self.pg_wal()).args(["-t", "1", "-s", start, &segment, &last]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    pub fn pg_wal(&self) -> PathBuf {
        self.data.join("pg_wal")
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.stop(true);
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}
