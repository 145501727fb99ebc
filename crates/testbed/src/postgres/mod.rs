//! PostgreSQL servers of any installed version: single, with standbys, cascading ones, logical replicas, an archive;
//! promoted, and rewound.

mod archive;
mod clock;
mod install;
mod options;
mod replica;
mod rewind;
mod server;
mod versions;

pub use archive::archived;
pub use install::{BIN_VARIABLE, Install};
pub use options::{Options, ServerTls};
pub use replica::{
    cut_off, logical_replica, logical_replica_of, promote, standby, standby_through, subscribe, subscribe_through,
    wait_copied, wait_replayed, wait_streaming, wait_subscribed,
};
pub use rewind::{follow, rewind};
pub use server::{Mode, Server};
pub use versions::{MAJORS, REQUIRE_VARIABLE, for_each_version};
