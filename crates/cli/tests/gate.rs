//! The gate after a failover and before a planned one: snapshots with figures and sequences, steps, next commands,
//! drills, times, and what happens when Paritas itself is killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "common/mod.rs"]
mod called;
#[path = "gate/figures.rs"]
mod figures;
#[path = "gate/files.rs"]
mod files;
#[path = "gate/killed.rs"]
mod killed;
#[path = "gate/killed_servers.rs"]
mod killed_servers;
#[path = "gate/never.rs"]
mod never;
#[path = "gate/planned.rs"]
mod planned;
#[path = "gate/servers.rs"]
mod servers;
#[path = "gate/stage.rs"]
mod stage;
#[path = "../../pgwal/tests/common/mod.rs"]
mod testbed;
#[path = "gate/together.rs"]
mod together;
