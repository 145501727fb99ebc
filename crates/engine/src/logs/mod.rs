//! Links between stores of logs (topics): verified, measured, kept for the time when a source is gone.

mod continuity;
mod coverage;
mod failover;
mod groups;
mod health;
mod kept;
mod lag;
mod of_store;
mod offsets;
mod options;
mod parity;
mod seen;
mod snapshot;
mod sparing;
mod stored;
mod verify;

pub(crate) use failover::{Examined, examine};
pub(crate) use kept::Chains;
pub(crate) use lag::LogLink;
pub(crate) use options::{LogOptions, NAMES};
pub use snapshot::{SnapshotOptions, snapshot_links, snapshot_pair};
pub(crate) use verify::verify;
