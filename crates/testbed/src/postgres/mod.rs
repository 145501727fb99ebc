//! PostgreSQL servers: single, with a physical standby, with a logical replica.

mod install;
mod options;
mod replica;
mod server;

pub use install::{BIN_VARIABLE, Install};
pub use options::{Options, ServerTls};
pub use replica::{
    logical_replica, promote, standby, standby_through, subscribe, subscribe_through, wait_replayed, wait_streaming,
    wait_subscribed,
};
pub use server::{Mode, Server};
