//! Snapshots that read only what was written: each is held against a reading of everything in the same view.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod cases;
mod command;
mod files;
mod load;
mod world;
mod wrong;
