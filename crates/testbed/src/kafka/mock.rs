//! A cluster inside this process, for where Java is missing: librdkafka's mock of a broker.
//!
//! It keeps what is written and hands it out again, in memory and up to 5 MB per partition. It has no
//! controller, knows no settings of topics, no groups to list and no rights, and no mirror runs from it: tests want
//! real brokers.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::client::Client;
use crate::{Error, Result};

/// A cluster of one mocked broker on a free port of this machine. It ends with the value.
pub struct Mock {
    cluster: Mutex<MockCluster<'static, DefaultProducerContext>>,
    bootstrap: String,
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl Mock {
    /// Starts one.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the library refuses.
    pub fn start() -> Result<Self> {
        let cluster = MockCluster::new(1).map_err(Error::kafka("start a mocked cluster"))?;
        let bootstrap = cluster.bootstrap_servers();
        Ok(Self { cluster: Mutex::new(cluster), bootstrap })
    }

    /// Where it listens, as `bootstrap.servers` takes it.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A client of it.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn client(&self) -> Result<Client> {
        Client::new(&self.bootstrap)
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn create(&self, topic: &str, partitions: i32) -> Result<()> {
        let cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.create_topic(topic, partitions, 1).map_err(Error::kafka(&format!("create the mocked topic {topic}")))
    }
}
