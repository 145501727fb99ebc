//! Stores, links and objectives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A place where stores run, such as `us-east-1`. Free text chosen by the user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Region(pub String);

/// The kinds of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// A PostgreSQL server (also as TimescaleDB).
    Postgres,
    /// A Kafka cluster.
    Kafka,
    /// Any files below a path or an object store prefix.
    Files,
    /// Parquet files read as one table.
    Parquet,
    /// CSV files read as one table.
    Csv,
    /// A stored digest, standing in for a store that may be gone.
    Digest,
    /// Rows in memory, for tests.
    Memory,
}

impl StoreKind {
    /// The word used in configuration and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Files => "files",
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Digest => "digest",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One data store in one region, as it is named in reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Store {
    /// The name in the configuration, or the URL without credentials for ad-hoc stores.
    #[serde(rename = "store")]
    pub name: String,
    /// What kind of store it is.
    pub kind: StoreKind,
    /// Where it runs, if that was declared.
    pub region: Option<Region>,
}

/// How fast a link is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Sub-second replication.
    Hot,
    /// Replication within a minute.
    Warm,
    /// Replication by files, within minutes to hours.
    Cold,
}

/// What was promised for a link. An absent promise is not checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// Largest allowed replication lag.
    pub lag: Option<Duration>,
    /// Recovery point objective: how much history may be lost.
    pub rpo: Option<Duration>,
    /// Recovery time objective: how long a recovery may take.
    pub rto: Option<Duration>,
}

/// A source and a replica, and what is promised between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The name in the configuration and in reports.
    pub name: String,
    /// Where the data comes from.
    pub source: Store,
    /// Where the data is copied to.
    pub replica: Store,
    /// How fast it is meant to be.
    pub tier: Option<Tier>,
    /// What was promised.
    pub objectives: Objective,
}
