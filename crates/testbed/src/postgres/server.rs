//! One PostgreSQL server in a scratch folder.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};

use super::clock::Clock;
use super::install::Install;
use super::options::{Options, ServerTls, lines};
use crate::process::{Process, ServerUser, Signal, Spec, log_tail};
use crate::scratch::{Scratch, set_mode};
use crate::wait::{Seen, until};
use crate::{Error, Result, ports};

/// Longest wait for `initdb` and other programs; two orders above what they take.
pub(super) const PROGRAM_LIMIT: Duration = Duration::from_secs(120);
/// Longest wait for a server to accept connections or to stop.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Ports tried when somebody else is quicker.
const PORT_TRIES_MAX: usize = 3;

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Waits until all clients have left.
    Smart,
    /// Ends the sessions, writes a checkpoint.
    Fast,
    /// Ends at once, like a crash: the next start recovers from the log.
    Immediate,
}

/// A running (or stopped) server; dropping it stops it at once and removes nothing but the process.
#[derive(Debug)]
pub struct Server {
    // First, so that it is stopped before the folder can go.
    process: Option<Process>,
    pub(super) install: Install,
    pub(super) scratch: Scratch,
    pub(super) name: String,
    home: PathBuf,
    port: u16,
    pub(super) user: Option<ServerUser>,
    pub(super) options: Options,
    pub(super) clock: Option<Clock>,
}

impl Server {
    /// Makes a new cluster and starts it. `name` is a short word of `a-z`, `0-9` and `_`.
    ///
    /// # Errors
    /// [`Error::Program`] with the end of the log when `initdb` or the server fails.
    pub async fn start(install: &Install, scratch: &Scratch, name: &str, options: Options) -> Result<Self> {
        let mut server = Self::prepare(install, scratch, name, options)?;
        let data = server.data_dir();
        let args =
            ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-k", "--no-sync", "--no-instructions"];
        let more = server.options.initdb().map(Into::into).into_iter().chain(["-D".into(), data.into_os_string()]);
        server.run("initdb", args.iter().map(Into::into).chain(more)).await?;
        server.append("postgresql.conf", &server.options.settings_file())?;
        server.start_on_free_port().await?;
        Ok(server)
    }

    /// The folder and the user, without data yet.
    pub(super) fn prepare(install: &Install, scratch: &Scratch, name: &str, options: Options) -> Result<Self> {
        let word = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if name.is_empty() || !word {
            let what = format!("{name:?} cannot be the name of a server");
            return Err(Error::Unfit { what, hint: "use only a-z, 0-9 and _, as in a slot's name" });
        }
        if scratch.path().join(name).exists() {
            let what = format!("there is already a server {name} in this scratch folder");
            return Err(Error::Unfit { what, hint: "give each server a name of its own" });
        }
        let home = scratch.folder(name)?;
        let user = ServerUser::find()?;
        if let Some(user) = user {
            user.own(&home)?;
        }
        if let Some(folder) = options.archive_folder() {
            fs::create_dir_all(folder).map_err(Error::io("create the archive", folder))?;
            user.map_or(Ok(()), |user| user.own(folder))?;
        }
        let port = 0;
        let (install, scratch, name) = (install.reachable(scratch, user)?, scratch.clone(), name.to_owned());
        Ok(Self { process: None, install, scratch, name, home, port, user, options, clock: None })
    }

    /// Writes what depends on the port, and starts; with another port if somebody took it meanwhile.
    pub(super) async fn start_on_free_port(&mut self) -> Result<()> {
        self.install_tls()?;
        self.write("pg_hba.conf", &self.options.hba_file())?;
        for attempt in 1.. {
            self.port = match self.options.fixed_port() {
                Some(port) => port,
                None => ports::free_port()?,
            };
            let (port, home) = (self.port.to_string(), self.home.display().to_string());
            let own = [
                ("listen_addresses", "127.0.0.1"),
                ("port", port.as_str()),
                ("unix_socket_directories", home.as_str()),
                ("cluster_name", self.name.as_str()),
            ];
            self.append("postgresql.conf", &lines(own))?;
            match self.launch().await {
                Err(Error::Program { output, .. })
                    if output.contains("could not bind")
                        && self.options.fixed_port().is_none()
                        && attempt < PORT_TRIES_MAX => {}
                other => return other,
            }
        }
        Ok(())
    }

    /// Starts the process on the existing data and waits until it accepts connections.
    async fn launch(&mut self) -> Result<()> {
        let mut process = Process::start(Spec {
            name: format!("postgres ({})", self.name),
            program: self.install.program("postgres"),
            args: vec!["-D".into(), self.data_dir().into_os_string()],
            env: self.install.env().into_iter().chain(self.clock.iter().flat_map(Clock::env)).collect(),
            log: self.log_file(),
            user: self.user,
            stop: Signal::QUIT,
        })?;
        let config = self.local("postgres");
        let waiting_for = format!("the start of server {}", self.name);
        until(&waiting_for, START_LIMIT, async || {
            if let Some(status) = process.status()? {
                return Err(process.failed(status));
            }
            match config.connect(NoTls).await {
                Ok(_) => Ok(Seen::Done(())),
                Err(error) => Ok(Seen::NotYet(format!("{error:?}\n{}", log_tail(&self.log_file())))),
            }
        })
        .await?;
        self.process = Some(process);
        Ok(())
    }

    /// The server's name, also its `cluster_name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connection string over TCP as the superuser `postgres`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder with the UNIX socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.home
    }

    /// The data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The installation that it runs.
    #[must_use]
    pub fn install(&self) -> &Install {
        &self.install
    }

    /// The process id of the running server.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(|p| p.pid().as_raw_nonzero().get())
    }

    /// The end of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tail(&self.log_file())
    }

    fn log_file(&self) -> PathBuf {
        self.scratch.path().join(format!("{}.log", self.name))
    }

    /// Through the socket, which is open whatever the options say about TCP.
    fn local(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.home).port(self.port).user("postgres").dbname(database);
        config.application_name("paritas-testbed").connect_timeout(Duration::from_secs(10));
        config
    }

    /// A superuser's session over the socket; its connection lives until the client is dropped.
    ///
    /// # Errors
    /// [`Error::Postgres`] when the server refuses.
    pub async fn client(&self, database: &str) -> Result<Client> {
        let connected = self.local(database).connect(NoTls).await;
        let (client, connection) =
            connected.map_err(Error::postgres(format!("connect to {database} on server {}", self.name)))?;
        let name = self.name.clone();
        tokio::spawn(async move {
            // An ended connection shows itself to the client's next call.
            if let Err(error) = connection.await {
                tracing::debug!(%name, %error, "connection ended");
            }
        });
        Ok(client)
    }

    /// Runs statements separated by semicolons in a session of their own.
    ///
    /// # Errors
    /// [`Error::Postgres`] with what the server said.
    pub async fn batch(&self, database: &str, sql: &str) -> Result<()> {
        let client = self.client(database).await?;
        let doing = || format!("run on server {}: {}", self.name, shortened(sql));
        client.batch_execute(sql).await.map_err(|e| Error::postgres(doing())(e))
    }

    /// Makes a database.
    ///
    /// # Errors
    /// [`Error::Postgres`], for example when it exists already.
    pub async fn create_database(&self, database: &str) -> Result<()> {
        self.batch("postgres", &format!("CREATE DATABASE \"{}\"", database.replace('"', "\"\""))).await
    }

    /// Stops the server and keeps its data.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when it does not end (a smart stop waits for clients).
    pub async fn stop(&mut self, mode: Mode) -> Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.signal(match mode {
            Mode::Smart => Signal::TERM,
            Mode::Fast => Signal::INT,
            Mode::Immediate => Signal::QUIT,
        })?;
        process.ended(START_LIMIT).await?;
        self.process = None;
        Ok(())
    }

    /// Starts a stopped server again on the same data and port.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        if self.process.is_none() { self.launch().await } else { Ok(()) }
    }

    /// Stops (fast) and starts again on the same port.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop(Mode::Fast).await?;
        self.launch().await
    }

    /// Freezes the server and all its processes: connections stay open and nothing answers.
    ///
    /// # Errors
    /// [`Error::Io`] when a signal cannot be sent.
    pub fn pause(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::pause)
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub fn resume(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::resume)
    }

    /// Runs one of the installation's programs as the server's user.
    pub(super) async fn run(&self, program: &str, args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<()> {
        let spec = Spec {
            name: program.to_owned(),
            program: self.install.program(program),
            args: args.into_iter().collect(),
            env: self.install.env(),
            log: self.program_log(program),
            user: self.user,
            stop: Signal::KILL,
        };
        Process::run(spec, PROGRAM_LIMIT).await
    }

    /// Where the output of a program that was run for this server is.
    pub(super) fn program_log(&self, program: &str) -> PathBuf {
        self.scratch.path().join(format!("{}-{program}.log", self.name))
    }

    /// Sets configuration parameters for the next start.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn configure(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.append("postgresql.conf", &lines(settings.iter().copied()))
    }

    /// Kills the server and all its processes, as the end of the machine would. What the kernel has of its files stays.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when a process is still there.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill_tree(START_LIMIT).await?;
        // A new server refuses to start while it takes the old one for running.
        let _stale = fs::remove_file(self.data_dir().join("postmaster.pid"));
        Ok(())
    }

    fn install_tls(&self) -> Result<()> {
        let Some(ServerTls { certificate, key, client_ca }) = self.options.server_tls() else { return Ok(()) };
        let files =
            [(Some(certificate), "server.crt"), (Some(key), "server.key"), (client_ca.as_ref(), "client-ca.crt")];
        for (from, name) in files {
            let Some(from) = from else { continue };
            let text = fs::read_to_string(from).map_err(Error::io("read", from))?;
            self.write(name, &text)?;
        }
        Ok(())
    }

    /// Writes a file in the data folder that only the server's user can read, as it demands for keys.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.data_dir().join(name);
        fs::write(&path, text).map_err(Error::io("write", &path))?;
        set_mode(&path, 0o600)?;
        self.user.map_or(Ok(()), |user| user.own(&path))
    }

    /// Appends to a configuration file: a later line wins over an earlier one.
    pub(super) fn append(&self, name: &str, text: &str) -> Result<()> {
        let path = self.data_dir().join(name);
        let file = OpenOptions::new().append(true).open(&path);
        file.and_then(|mut f| f.write_all(text.as_bytes())).map_err(Error::io("append to", &path))
    }
}

/// Enough of a statement to recognise it in a message.
pub(super) fn shortened(sql: &str) -> String {
    const CHARS_MAX: usize = 120;
    let one_line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{} ...", one_line.get(..end).unwrap_or_default()),
        None => one_line,
    }
}
