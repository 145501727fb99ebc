//! What MirrorMaker 2 leaves in a cluster: offset syncs, checkpoints, heartbeats, and its own restart offsets.
//!
//! Everything here is free of any client: names of topics and bytes of records go in, [`Traces`] come out. The
//! formats are those of Apache Kafka's `connect/mirror` and `connect/mirror-client`; `docs/kafka.md` has them.
//!
//! [`Traces`]: paritas_connect::logs::Traces

mod collector;
#[cfg(test)]
mod encode;
mod names;
mod offsets;
mod syncs;
mod wire;

pub use collector::{Collector, SUBJECTS_MAX, TEXT_BYTES_MAX};
pub use names::{Kind, topic_kind};
pub use syncs::SYNCS_MAX;

/// Why a record is not what its topic is for.
type NoTrace = String;
