//! Comparing mirrored logs in memory: faithful copies are never accused, and every planted fault is found, with its
//! class, partition and offset, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compacted;
mod faults;
mod holes;
mod honest;
mod large;
mod planted;
mod sparing;
mod trouble;
mod world;
