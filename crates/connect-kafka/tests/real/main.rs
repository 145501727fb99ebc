//! The connector on real clusters: what it asks, what it reads, how it logs in, and what goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod asking;
mod bed;
mod groups;
mod reading;
mod security;
mod traces;
mod trouble;
