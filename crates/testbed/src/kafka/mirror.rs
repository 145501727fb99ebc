//! MirrorMaker 2 in dedicated mode between two clusters.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::client::{CHANGE_LIMIT, Client, Isolation};
use super::cluster::Cluster;
use super::install::{Install, Program};
use super::mirror_options::MirrorOptions;
use crate::process::{Process, Signal, log_tail};
use crate::scratch::Scratch;
use crate::wait::{Seen, until};
use crate::{Error, Result};

/// Longest wait for the first heartbeat on the other side; some tens of what it takes.
const START_LIMIT: Duration = Duration::from_secs(240);
/// Longest wait for its end. Without brokers it takes a minute and a half: kill it then.
const STOP_LIMIT: Duration = Duration::from_secs(150);

/// A mirror from one cluster to another; dropping it kills it. Topics and offsets that it keeps are in the clusters,
/// so another one between the same clusters goes on where it has stopped.
#[derive(Debug)]
pub struct Mirror {
    process: Option<Process>,
    install: Install,
    scratch: Scratch,
    properties: PathBuf,
    log: PathBuf,
    options: MirrorOptions,
    source: Client,
    target: Client,
}

impl Mirror {
    /// Starts a mirror and waits until its heartbeats arrive on the other side: the whole way works then.
    ///
    /// # Errors
    /// [`Error::Program`] with the end of the log when it ends, [`Error::TimedOut`].
    pub async fn start(from: &Cluster, to: &Cluster, options: MirrorOptions) -> Result<Self> {
        let scratch = to.scratch().clone();
        let name = format!("mirror-{}-{}-{}", from.name(), to.name(), options.alias());
        let (properties, log) =
            (scratch.path().join(format!("{name}.properties")), scratch.path().join(format!("{name}.log")));
        let text = options.file(&from.bootstrap(), &to.bootstrap());
        fs::write(&properties, text).map_err(Error::io("write", &properties))?;
        let (install, source, target) = (to.install().clone(), from.client()?, to.client()?);
        let mut mirror = Self { process: None, install, scratch, properties, log, options, source, target };
        mirror.start_again().await?;
        Ok(mirror)
    }

    /// Starts a stopped or killed mirror again, and waits for a new heartbeat.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let before = self.heartbeats().await?;
        let program = Program {
            name: "MirrorMaker 2".to_owned(),
            class: "org.apache.kafka.connect.mirror.MirrorMaker",
            heap_mib: self.options.heap(),
            args: vec![self.properties.clone().into_os_string()],
            log: self.log.clone(),
        };
        let mut process = Process::start(self.install.java(&self.scratch, program)?)?;
        until("a heartbeat through the mirror", START_LIMIT, async || {
            if let Some(status) = process.status()? {
                return Err(process.failed(status));
            }
            let now = self.heartbeats().await?;
            Ok(if now > before { Seen::Done(()) } else { Seen::NotYet(log_tail(&self.log)) })
        })
        .await?;
        self.process = Some(process);
        Ok(())
    }

    /// The end of the source's heartbeats on the target; 0 as long as there are none.
    async fn heartbeats(&self) -> Result<u64> {
        let topic = self.options.heartbeats();
        if self.target.partitions(&topic).await?.is_empty() {
            return Ok(0);
        }
        let ends = self.target.ends(&topic, Isolation::Uncommitted).await?;
        Ok(ends.first().map_or(0, |ends| ends.end))
    }

    /// What the mirror calls its target.
    #[must_use]
    pub fn target(&self) -> &str {
        self.options.target()
    }

    /// What a topic of the source is called on the target.
    #[must_use]
    pub fn remote(&self, topic: &str) -> String {
        self.options.remote(topic)
    }

    /// Waits until the copy of a partition has at least this end, and returns it.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with the last end seen.
    pub async fn wait_mirrored(&self, topic: &str, partition: usize, end: u64) -> Result<u64> {
        self.target.wait_end(&self.remote(topic), partition, end).await
    }

    /// Waits until every partition of a topic has the same end on both sides. It never has where offsets differ for
    /// other reasons: records that were deleted, compacted or aborted, a mirror that writes transactions.
    ///
    /// # Errors
    /// As [`Self::wait_mirrored`].
    pub async fn wait_caught_up(&self, topic: &str) -> Result<()> {
        let (remote, isolation) = (self.remote(topic), Isolation::Uncommitted);
        until(&format!("the same ends of {topic} and {remote}"), CHANGE_LIMIT, async || {
            let source = self.source.ends(topic, isolation).await?;
            let there = !self.target.partitions(&remote).await?.is_empty();
            let target = if there { self.target.ends(&remote, isolation).await? } else { Vec::new() };
            let same = source.len() == target.len() && source.iter().zip(&target).all(|(a, b)| a.end == b.end);
            Ok(if same { Seen::Done(()) } else { Seen::NotYet(format!("{source:?} and {target:?}")) })
        })
        .await
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

    /// Freezes it: the cleanest way to make lag. Nothing is copied, and nothing twice later.
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

    /// Asks it to stop, which makes it note how far it has come. Stop it before its clusters.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when it does not end.
    pub async fn stop(&mut self) -> Result<()> {
        self.end(Signal::TERM).await
    }

    /// Kills it: what it has copied since it noted its place last, it copies again.
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

    /// Stops it and starts it again.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }
}
