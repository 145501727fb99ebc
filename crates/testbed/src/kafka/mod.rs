//! Apache Kafka: clusters of one or more brokers, MirrorMaker 2 between two of them, and a client for tests.
//!
//! - [`Install`]: a version in the cache of `make setup`
//! - [`Cluster`], [`Broker`], [`Options`]: brokers with listeners, users and rights; stopped, killed, frozen one by one
//! - [`Mirror`], [`MirrorOptions`]: MirrorMaker 2 from one cluster to another
//! - [`Client`], [`Record`], [`Transaction`], [`Member`]: topics, records, groups
//! - [`Twins`]: two clusters and a mirror that all tests of a binary share

mod admin;
mod broker;
mod client;
mod cluster;
mod groups;
mod install;
mod login;
mod mirror;
mod mirror_options;
mod mock;
mod offsets;
mod options;
mod produce;
mod read;
mod record;
mod storage;
mod topics;
mod twins;

pub use admin::{Election, Resource};
pub use broker::Broker;
pub use client::{Client, Isolation};
pub use cluster::Cluster;
pub use groups::Member;
pub use install::{Install, VERSION, VERSION_VARIABLE, VERSIONS};
pub use login::Mechanism;
pub use mirror::Mirror;
pub use mirror_options::MirrorOptions;
pub use mock::Mock;
pub use offsets::Ends;
pub use options::{Listener, Options};
pub use produce::{Place, Transaction, value_of};
pub use record::{HeaderList, Record, Stored};
pub use topics::{Placed, Topic};
pub use twins::Twins;
