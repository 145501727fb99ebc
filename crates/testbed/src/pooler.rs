//! PgBouncer in front of a server.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::postgres::Server;
use crate::process::{Process, ServerUser, Signal, Spec, log_tail, which};
use crate::scratch::{Scratch, set_mode};
use crate::wait::{Seen, until};
use crate::{Error, Result, cache, ports};

const PROGRAM: &str = "usr/sbin/pgbouncer";
/// Libraries that come with it.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long a client keeps a server session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// As long as it is connected.
    Session,
    /// For one transaction.
    Transaction,
}

/// A running pooler; dropping it stops it.
#[derive(Debug)]
pub struct Pooler {
    process: Process,
    port: u16,
}

impl Pooler {
    /// Starts a pooler for all databases of a server.
    ///
    /// # Errors
    /// [`Error::NotInstalled`]; [`Error::Program`] and [`Error::TimedOut`] with the end of the log.
    pub async fn start(scratch: &Scratch, name: &str, server: &Server, pooling: Pooling) -> Result<Self> {
        let home = scratch.folder(name)?;
        let (program, libraries) = reachable(&home)?;
        let port = ports::free_port()?;
        let mode = if pooling == Pooling::Session { "session" } else { "transaction" };
        let (config, users) = (home.join("pgbouncer.ini"), home.join("users.txt"));
        fs::write(&users, "\"postgres\" \"\"\n").map_err(Error::io("write", &users))?;
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = 4\n\
             ignore_startup_parameters = extra_float_digits,options\n",
            server.port(),
            users.display()
        );
        fs::write(&config, text).map_err(Error::io("write", &config))?;
        set_mode(&config, 0o644)?;
        set_mode(&users, 0o644)?;
        let log = scratch.path().join(format!("{name}.log"));
        let process = Process::start(Spec {
            name: format!("pgbouncer ({name})"),
            program,
            args: vec![OsString::from(config)],
            env: vec![("LD_LIBRARY_PATH", libraries.into_os_string())],
            log: log.clone(),
            user: ServerUser::find()?,
            stop: Signal::INT,
        })?;
        let mut pooler = Self { process, port };
        until(&format!("the start of {name}"), START_LIMIT, async || {
            if let Some(status) = pooler.process.status()? {
                return Err(pooler.process.failed(status));
            }
            Ok(match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                Ok(_) => Seen::Done(()),
                Err(error) => Seen::NotYet(format!("{error}\n{}", log_tail(&log))),
            })
        })
        .await?;
        Ok(pooler)
    }

    /// The port that it listens on, on the loopback address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// The program and its libraries where the servers' own user can read them.
fn reachable(home: &Path) -> Result<(PathBuf, PathBuf)> {
    let root = cache::folder().join("pgbouncer");
    if !root.join(PROGRAM).is_file() {
        return which("pgbouncer").map(|program| (program, home.to_path_buf())).ok_or_else(|| Error::NotInstalled {
            what: "PgBouncer",
            looked: "the cache of `make setup` and the PATH".into(),
            hint: "run `make setup`",
        });
    }
    let program = home.join("pgbouncer");
    fs::copy(root.join(PROGRAM), &program).map_err(Error::io("copy", &program))?;
    set_mode(&program, 0o755)?;
    let folder = root.join(LIBRARIES);
    for entry in fs::read_dir(&folder).map_err(Error::io("read", &folder))?.flatten() {
        // Links are followed, so every name holds the library itself.
        if entry.path().is_file() {
            let copy = home.join(entry.file_name());
            fs::copy(entry.path(), &copy).map_err(Error::io("copy", &copy))?;
            set_mode(&copy, 0o644)?;
        }
    }
    Ok((program, home.to_path_buf()))
}
