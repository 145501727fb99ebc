//! Apache Kafka: clusters of one or more brokers, MirrorMaker 2 between two of them, and a client for tests.

mod broker;
mod client;
mod cluster;
mod groups;
mod install;
mod mirror;
mod mirror_options;
mod options;
mod produce;
mod read;
mod record;
mod storage;

pub use broker::Broker;
pub use client::{Client, Ends, Isolation, Placed, Topic};
pub use cluster::Cluster;
pub use groups::Member;
pub use install::{Install, VERSION, VERSION_VARIABLE, VERSIONS};
pub use mirror::Mirror;
pub use mirror_options::MirrorOptions;
pub use options::{Listener, Options};
pub use produce::{Place, Transaction, value_of};
pub use record::{HeaderList, Record, Stored};
