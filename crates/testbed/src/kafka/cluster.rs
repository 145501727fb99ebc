//! A cluster of one or more brokers.

use std::collections::BTreeSet;
use std::time::Duration;

use super::broker::{Broker, Common};
use super::client::Client;
use super::install::Install;
use super::options::{Listener, Options};
use super::storage::random_id;
use crate::scratch::Scratch;
use crate::wait::{Seen, until};
use crate::{Error, Result, ports};

/// Longest wait for brokers to be there. A killed one first waits for its old session to end.
const START_LIMIT: Duration = Duration::from_secs(240);
/// Ports tried when somebody else is quicker.
const PORT_TRIES_MAX: usize = 3;

/// A cluster on 127.0.0.1; dropping it kills its brokers and removes nothing but the processes.
#[derive(Debug)]
pub struct Cluster {
    brokers: Vec<Broker>,
    name: String,
    common: Common,
}

impl Cluster {
    /// Makes a cluster and starts it; it answers then. `name` is a short word of `a-z` and `0-9`.
    ///
    /// # Errors
    /// [`Error::Program`] with the end of the log when a broker does not start; [`Error::TimedOut`].
    pub async fn start(install: &Install, scratch: &Scratch, name: &str, options: Options) -> Result<Self> {
        let word = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if name.is_empty() || !word || scratch.path().join(format!("{name}-1")).exists() {
            let what = format!("{name:?} cannot be the name of a cluster");
            return Err(Error::Unfit { what, hint: "use a-z and 0-9, and another name for each cluster of a folder" });
        }
        let ids = 1..=options.count();
        let brokers: Vec<Broker> = ids.map(|id| Broker::new(scratch, name, id)).collect::<Result<_>>()?;
        let (install, scratch, cluster) = (install.clone(), scratch.clone(), random_id());
        let common = Common { install, scratch, options, cluster, controller: 0 };
        let mut cluster = Self { brokers, name: name.to_owned(), common };
        cluster.first_start().await?;
        Ok(cluster)
    }

    /// Starts all brokers, with other ports if somebody took one meanwhile.
    async fn first_start(&mut self) -> Result<()> {
        for attempt in 1.. {
            self.common.controller = ports::free_port()?;
            for broker in &mut self.brokers {
                broker.configure(&self.common)?;
                if attempt == 1 {
                    broker.format(&self.common).await?;
                }
            }
            match self.start_again().await {
                Err(Error::Program { output, .. })
                    if output.contains("Address already in use") && attempt < PORT_TRIES_MAX =>
                {
                    self.kill().await?;
                }
                other => return other,
            }
        }
        Ok(())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id, which clients can ask for.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.common.cluster
    }

    pub(super) fn first_user(&self) -> Option<(&str, &str)> {
        self.common.options.first_user()
    }

    /// The installation that it runs.
    #[must_use]
    pub fn install(&self) -> &Install {
        &self.common.install
    }

    /// The folder that everything is in.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        &self.common.scratch
    }

    /// Addresses of all brokers in plain text: `host:port`, separated by commas.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.bootstrap_of(Listener::Plain)
    }

    /// Addresses of a listener of all brokers that have it. Empty where none has.
    #[must_use]
    pub fn bootstrap_of(&self, listener: Listener) -> String {
        let ports = self.brokers.iter().filter_map(|broker| broker.port(listener));
        ports.map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the library refuses to make one.
    pub fn client(&self) -> Result<Client> {
        Client::new(&self.bootstrap())
    }

    /// One of the brokers, from 1 on.
    ///
    /// # Errors
    /// [`Error::Unfit`] when there is none of that number.
    pub fn broker(&mut self, id: u32) -> Result<&mut Broker> {
        let what = || format!("cluster {} has no broker {id}", self.name);
        let unfit = Error::Unfit { what: what(), hint: "brokers count from 1 on" };
        self.brokers.iter_mut().find(|broker| broker.id() == id).ok_or(unfit)
    }

    /// All brokers.
    #[must_use]
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// Starts a stopped or killed broker again in place, and waits until the cluster lists it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_broker(&mut self, id: u32) -> Result<()> {
        self.broker(id)?;
        if let Some(broker) = self.brokers.iter_mut().find(|broker| broker.id() == id) {
            broker.launch(&self.common)?;
        }
        self.wait_listed(&[id]).await
    }

    /// Starts every broker that does not run, and waits until the cluster lists all.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        for broker in &mut self.brokers {
            broker.launch(&self.common)?;
        }
        let ids: Vec<u32> = self.brokers.iter().map(Broker::id).collect();
        self.wait_listed(&ids).await
    }

    /// Asks all brokers to stop, the controller last, and keeps their data.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when one does not end.
    pub async fn stop(&mut self) -> Result<()> {
        for broker in self.brokers.iter_mut().rev() {
            broker.stop().await?;
        }
        Ok(())
    }

    /// Kills all brokers and keeps their data.
    ///
    /// # Errors
    /// As [`Self::stop`].
    pub async fn kill(&mut self) -> Result<()> {
        for broker in &mut self.brokers {
            broker.kill().await?;
        }
        Ok(())
    }

    /// Stops all brokers and starts them again in place.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// Freezes all brokers: connections stay open and nothing answers.
    ///
    /// # Errors
    /// [`Error::Io`] when a signal cannot be sent.
    pub fn pause(&mut self) -> Result<()> {
        self.brokers.iter_mut().try_for_each(Broker::pause)
    }

    /// Lets frozen brokers go on.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub fn resume(&mut self) -> Result<()> {
        self.brokers.iter_mut().try_for_each(Broker::resume)
    }

    /// An open port is no proof that a broker answers, and peers list one that was killed for some seconds more: so
    /// each of them is asked itself, and the last must list all.
    async fn wait_listed(&mut self, ids: &[u32]) -> Result<()> {
        let wanted = BTreeSet::from_iter(ids.iter().copied());
        for id in ids {
            let port = self.broker(*id)?.port(Listener::Plain).unwrap_or_default();
            let client = Client::new(&format!("127.0.0.1:{port}"))?;
            let waiting_for = format!("the start of broker {id} of cluster {}", self.name);
            until(&waiting_for, START_LIMIT, async || {
                self.brokers.iter_mut().try_for_each(Broker::check)?;
                let seen = client.broker_ids().await;
                let done =
                    |seen: &BTreeSet<u32>| seen.contains(id) && (ids.last() != Some(id) || wanted.is_subset(seen));
                Ok(if seen.as_ref().is_ok_and(done) {
                    Seen::Done(())
                } else {
                    let logs: Vec<String> = self.brokers.iter().map(Broker::log_tail).collect();
                    Seen::NotYet(format!("brokers seen: {seen:?}\n{}", logs.join("\n")))
                })
            })
            .await?;
        }
        Ok(())
    }

    /// Runs one of Kafka's own tools for the command line on this cluster, by the name of its class, and returns what
    /// it wrote. It takes a second or two to start.
    ///
    /// # Errors
    /// [`Error::Program`] with its output when it fails.
    pub async fn tool(&self, class: &str, args: &[&str]) -> Result<String> {
        let bootstrap = self.bootstrap();
        let mut all = vec!["--bootstrap-server", bootstrap.as_str()];
        all.extend(args);
        self.common.install.tool(&self.common.scratch, class, &all).await
    }
}
