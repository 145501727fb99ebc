//! Real servers and real files for the demo, the tests and the benches.
//!
//! A [`Scratch`] folder holds everything; servers in it stop when they are dropped, and also when this process is
//! killed (where `setpriv` is installed). Every wait has a deadline.
//!
//! - [`postgres`]: servers, standbys, logical replicas
//! - [`pooler`]: PgBouncer in front of a server
//! - [`kafka`]: clusters of brokers, MirrorMaker 2 between them
//! - [`seaweed`]: an S3 server
//! - [`proxy`]: cuts, delays and corrupts what passes between a client and a server
//! - [`tls`]: an authority, good and bad certificates
//! - [`ledger`], [`bench`]: the data
//! - [`faults`]: damage with a description

pub mod bench;
mod cache;
mod error;
pub mod faults;
mod http;
pub mod kafka;
pub mod ledger;
pub mod pooler;
pub mod ports;
pub mod postgres;
mod process;
pub mod prometheus;
pub mod proxy;
pub mod scratch;
pub mod seaweed;
pub mod tls;
mod wait;

pub use error::{Error, Result};
pub use scratch::Scratch;
