//! Child processes that never outlive the test: stopped on drop, and by the kernel when this process is killed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, geteuid, kill_process};

use crate::{Error, Result};

/// How often a state is looked at while waiting for it.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// After this, a process that was asked to stop by dropping it is killed.
const DROP_LIMIT: Duration = Duration::from_secs(5);
/// At most this much of a log's end is read.
const TAIL_BYTES_MAX: u64 = 16 * 1024;
/// Rounds of stopping newly found children when a process is paused.
const PAUSE_ROUNDS_MAX: usize = 10;

/// The user that servers run as when the tests run as root, which PostgreSQL refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerUser {
    uid: u32,
    gid: u32,
}

impl ServerUser {
    /// `postgres` where it exists, else `nobody`; nothing when this process is not root.
    pub(crate) fn find() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let path = Path::new("/etc/passwd");
        let passwd = fs::read_to_string(path).map_err(Error::io("read the password file", path))?;
        let of = |name: &str| passwd.lines().find_map(|line| Self::parse(line, name));
        of("postgres").or_else(|| of("nobody")).map(Some).ok_or(Error::Unfit {
            what: "no user that PostgreSQL can run as: neither postgres nor nobody is in /etc/passwd".into(),
            hint: "run as an ordinary user, or add the user postgres",
        })
    }

    fn parse(line: &str, name: &str) -> Option<Self> {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { uid, gid })
    }

    /// Hands a file or folder to this user.
    pub(crate) fn own(self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(Error::io("change the owner", path))
    }
}

/// What to start.
#[derive(Debug)]
pub(crate) struct Spec {
    /// Short name for messages.
    pub name: String,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub env: Vec<(&'static str, OsString)>,
    /// Standard output and error go here, appended.
    pub log: PathBuf,
    pub user: Option<ServerUser>,
    /// The signal that makes it stop at once: sent on drop, and by the kernel when this process dies.
    pub stop: Signal,
}

/// A running child process.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    stop: Signal,
    paused: Vec<Pid>,
}

impl Process {
    /// Starts the program in a process group of its own.
    pub(crate) fn start(spec: Spec) -> Result<Self> {
        let open = || File::options().create(true).append(true).open(&spec.log);
        let out = open().map_err(Error::io("open the log", &spec.log))?;
        let err = out.try_clone().map_err(Error::io("open the log", &spec.log))?;
        let mut command = bound_to_parent(&spec);
        command.args(&spec.args).envs(spec.env.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        // The inherited working folder may be closed to the server's user.
        command.current_dir("/");
        if let Some(user) = spec.user {
            command.uid(user.uid).gid(user.gid).env("HOME", "/");
        }
        let child = spawn(command).map_err(|error| Error::Program {
            program: spec.program.display().to_string(),
            status: "could not be started".into(),
            output: error.to_string(),
        })?;
        Ok(Self { name: spec.name, child, log: spec.log, stop: spec.stop, paused: Vec::new() })
    }

    /// Runs a program to its end; an exit status other than 0 is an error with the end of its output.
    pub(crate) async fn run(spec: Spec, limit: Duration) -> Result<()> {
        let mut process = Self::start(spec)?;
        let status = process.ended(limit).await?;
        if status.success() { Ok(()) } else { Err(process.failed(status)) }
    }

    /// The process id; as the child is not yet waited for, it cannot belong to anybody else.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The exit status, if it has ended.
    pub(crate) fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(Error::io("wait for a process", &self.name))
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                let waiting_for = format!("the end of {}", self.name);
                return Err(Error::TimedOut { waiting_for, limit, last: log_tail(&self.log) });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// An error with the end of the log.
    pub(crate) fn failed(&self, status: ExitStatus) -> Error {
        Error::Program { program: self.name.clone(), status: status.to_string(), output: log_tail(&self.log) }
    }

    /// Sends a signal to the process itself.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.status()?.is_some() {
            return Ok(());
        }
        kill_process(self.pid(), signal).map_err(|e| Error::io("signal a process", &self.name)(e.into()))
    }

    /// Kills the process and its children, and waits until none of them runs.
    pub(crate) async fn kill_tree(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        // Stopped first: none can be made meanwhile.
        self.signal(Signal::STOP)?;
        let below = children(self.pid());
        self.signal(Signal::KILL)?;
        for pid in &below {
            // One that has just ended is fine.
            let _gone = kill_process(*pid, Signal::KILL);
        }
        self.ended(limit).await?;
        while below.iter().any(|pid| runs(*pid)) {
            if Instant::now() >= deadline {
                let waiting_for = format!("the end of the processes of {}", self.name);
                return Err(Error::TimedOut { waiting_for, limit, last: log_tail(&self.log) });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Stops the process and all its children in their tracks, as if the machine were frozen.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let parent = self.pid();
        // A server's children may be sessions of their own, so a signal to the group would not reach them.
        for _ in 0..PAUSE_ROUNDS_MAX {
            let found = children(parent);
            let new: Vec<Pid> = found.into_iter().filter(|pid| !self.paused.contains(pid)).collect();
            if new.is_empty() {
                return Ok(());
            }
            for pid in new {
                // A child that has just ended is fine.
                let _gone = kill_process(pid, Signal::STOP);
                self.paused.push(pid);
            }
        }
        Ok(())
    }

    /// Lets a paused process go on.
    pub(crate) fn resume(&mut self) -> Result<()> {
        let parent = self.pid();
        let still = children(parent);
        for pid in self.paused.drain(..).filter(|pid| still.contains(pid)) {
            let _gone = kill_process(pid, Signal::CONT);
        }
        self.signal(Signal::CONT)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let _resumed = self.resume();
        let _asked = self.signal(self.stop);
        let deadline = Instant::now() + DROP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                tracing::warn!(name = %self.name, "process did not stop when asked, killed");
                let _killed = self.child.kill();
                let _reaped = self.child.wait();
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}

/// The end of a log file, empty when it cannot be read.
pub(crate) fn log_tail(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    read().unwrap_or_default()
}

/// Finds a program on the PATH.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// `setpriv --pdeathsig` where it is installed: safe code cannot ask for the death signal itself.
fn bound_to_parent(spec: &Spec) -> Command {
    let name = match spec.stop {
        Signal::QUIT => "QUIT",
        Signal::TERM => "TERM",
        Signal::INT => "INT",
        _ => "KILL",
    };
    match which("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args([OsStr::new("--pdeathsig"), OsStr::new(name), OsStr::new("--"), spec.program.as_os_str()]);
            command
        }
        None => Command::new(&spec.program),
    }
}

type Job = (Command, SyncSender<io::Result<Child>>);

/// Spawns from one thread that lives as long as the process.
///
/// The kernel sends the death signal when the *thread* that made the child ends, and test threads and workers of a
/// runtime end long before their servers should.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    let gone = || io::Error::other("the spawning thread is gone");
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, todo) = channel::<Job>();
        let work = move || {
            for (mut command, reply) in todo {
                let _nobody_waits = reply.send(command.spawn());
            }
        };
        // Without the thread the receiver is dropped, and every send below fails.
        if let Err(error) = std::thread::Builder::new().name("testbed-spawner".into()).spawn(work) {
            tracing::error!(%error, "no thread for starting servers");
        }
        jobs
    });
    let (reply, answer) = sync_channel(1);
    spawner.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// Whether a process is there and no zombie, from `/proc`.
fn runs(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// The direct children of a process, from `/proc`.
fn children(parent: Pid) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let parent = parent.as_raw_nonzero().get().to_string();
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // pid (name) state parent ...; the name may hold spaces and brackets
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(parent.as_str())
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(is_child)
        .filter_map(Pid::from_raw)
        .collect()
}
