//! Runs: what each command does, from configured links to a stored run.
//!
//! The only crate that knows every connector (`registry`). It opens stores, decides which datasets
//! face each other, lets `paritas-verify` judge them, and turns the outcomes into a report.

mod datasets;
mod error;
mod job;
mod keep;
mod links;
mod method;
mod options;
mod pair;
mod record;
mod registry;
mod stored;
mod tables;
mod target;

pub use error::{Error, Result};
pub use links::{StoreCheck, check_stores, verify_links, with_secrets};
pub use method::Method;
pub use options::{Budget, Monitor, Options, Phase, SideProgress};
pub use pair::verify_pair;
pub use target::{Target, looks_like_target};
