//! Snapshots of topics that read only what came since the one before: each is held against one that reads everything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod chains;
mod election;
mod rows;
mod world;
