//! One broker of a cluster: a process with its data folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::install::{Install, Program};
use super::options::{Lines, Listener, Options};
use super::storage::{self, Folder};
use crate::process::{Process, Signal, log_tail};
use crate::scratch::{Scratch, set_mode};
use crate::{Error, Result, ports};

const BASE: &str = include_str!("broker.properties");
/// Longest wait for a broker's end.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A broker, running or stopped. [`super::Cluster::start_broker`] starts it again.
#[derive(Debug)]
pub struct Broker {
    // First, so that it is stopped before the folder can go.
    process: Option<Process>,
    id: u32,
    name: String,
    home: PathBuf,
    log: PathBuf,
    ports: BTreeMap<Listener, u16>,
}

/// What all brokers of a cluster have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub install: Install,
    pub scratch: Scratch,
    pub options: Options,
    /// The cluster's id.
    pub cluster: String,
    /// The port of the only controller, which is on the first broker.
    pub controller: u16,
}

impl Broker {
    /// Makes the folder; nothing is in it yet.
    pub(super) fn new(scratch: &Scratch, cluster: &str, id: u32) -> Result<Self> {
        let name = format!("{cluster}-{id}");
        let home = scratch.folder(&name)?;
        let log = scratch.path().join(format!("{name}.log"));
        Ok(Self { process: None, id, name, home, log, ports: BTreeMap::new() })
    }

    /// Takes ports that are free now, and writes what depends on them.
    pub(super) fn configure(&mut self, common: &Common) -> Result<()> {
        let options = &common.options;
        self.ports.clear();
        for listener in Listener::ALL.into_iter().filter(|listener| options.has(*listener, self.id)) {
            let port = options.fixed_port(listener, self.id).map_or_else(ports::free_port, Ok)?;
            self.ports.insert(listener, port);
        }
        let store = self.home.join("server.pem");
        if let Some((certificate, key)) = options.tls_files() {
            let read = |path: &Path| fs::read_to_string(path).map_err(Error::io("read", path));
            let text = read(key)? + &read(certificate)?;
            fs::write(&store, text).map_err(Error::io("write", &store))?;
            set_mode(&store, 0o600)?;
        }
        let path = self.properties();
        let text = format!("{BASE}\n{}{}", self.own_properties(common), options.properties(&store));
        fs::write(&path, text).map_err(Error::io("write", &path))
    }

    fn own_properties(&self, common: &Common) -> String {
        let mut lines = Lines::default();
        let mut protocols = vec!["CONTROLLER:PLAINTEXT".to_owned()];
        let (mut listeners, mut advertised) = (Vec::new(), Vec::new());
        for (&listener, &port) in &self.ports {
            let name = listener.name();
            protocols.push(format!("{name}:{}", listener.protocol()));
            listeners.push(format!("{name}://127.0.0.1:{port}"));
            advertised.push(format!("{name}://{}", common.options.advertised(listener, self.id, port)));
        }
        if self.id == 1 {
            listeners.push(format!("CONTROLLER://127.0.0.1:{}", common.controller));
        }
        lines.add("process.roles", if self.id == 1 { "broker,controller" } else { "broker" });
        lines.add("node.id", &self.id.to_string());
        lines.add("controller.quorum.voters", &format!("1@127.0.0.1:{}", common.controller));
        lines.add("listeners", &listeners.join(","));
        lines.add("advertised.listeners", &advertised.join(","));
        lines.add("listener.security.protocol.map", &protocols.join(","));
        lines.add("log.dirs", &self.data_dir().display().to_string());
        lines.0
    }

    /// Makes the data folder ready for the first start.
    pub(super) async fn format(&self, common: &Common) -> Result<()> {
        let (path, properties) = (&self.data_dir(), &self.properties());
        let folder = Folder { path, cluster: &common.cluster, node: self.id, properties };
        storage::format(&common.install, &common.scratch, &folder, &common.options.format_args()).await
    }

    /// Starts the process, which answers some seconds later.
    pub(super) fn launch(&mut self, common: &Common) -> Result<()> {
        if self.process.is_none() {
            let program = Program {
                name: format!("kafka ({})", self.name),
                class: "kafka.Kafka",
                heap_mib: common.options.heap(),
                args: vec![self.properties().into_os_string()],
                log: self.log.clone(),
            };
            self.process = Some(Process::start(common.install.java(&common.scratch, program)?)?);
        }
        Ok(())
    }

    /// An error with the end of the log where the process has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        match process.status()? {
            Some(status) => {
                let error = process.failed(status);
                self.process = None;
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Its number in the cluster, from 1 on.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The port of a listener, where it has that one.
    #[must_use]
    pub fn port(&self, listener: Listener) -> Option<u16> {
        self.ports.get(&listener).copied()
    }

    /// The folder with the segments of its partitions.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    fn properties(&self) -> PathBuf {
        self.home.join("server.properties")
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(|process| process.pid().as_raw_nonzero().get())
    }

    /// The end of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tail(&self.log)
    }

    /// Asks it to stop: it hands over what it leads first.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when it does not end.
    pub async fn stop(&mut self) -> Result<()> {
        self.end(Signal::TERM).await
    }

    /// Kills it, as the end of the machine would. What the kernel has of its files stays.
    ///
    /// # Errors
    /// As [`Self::stop`].
    pub async fn kill(&mut self) -> Result<()> {
        self.end(Signal::KILL).await
    }

    async fn end(&mut self, signal: Signal) -> Result<()> {
        if let Some(process) = &mut self.process {
            process.signal(signal)?;
            process.ended(STOP_LIMIT).await?;
            self.process = None;
        }
        Ok(())
    }

    /// Freezes it: connections stay open and nothing answers.
    ///
    /// # Errors
    /// [`Error::Io`] when the signal cannot be sent.
    pub fn pause(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::pause)
    }

    /// Lets it go on after [`Self::pause`].
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub fn resume(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::resume)
    }
}
