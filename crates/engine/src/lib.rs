//! Runs: what each command does, from configured links to a stored run.

mod options;

pub use options::{Budget, Monitor, Options, Phase, SideProgress};
