//! Comparing mirrored logs in memory: faithful copies are never accused, and every planted fault is found, with its
//! class, partition and offset, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faults;
mod honest;
mod world;
