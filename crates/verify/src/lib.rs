//! Plan, digest, compare, locate, confirm: over connector traits only.
//!
//! [`rows::verify`] compares one dataset on two stores, [`files::verify`] the files of two stores.
//! A verdict is a proof or unknown: whatever could not be read to its end, decoded or confirmed
//! ends as [`paritas_model::Verdict::Unknown`], with the reason.

pub mod filed;
pub mod files;
pub mod keep;
pub mod ledger;
pub mod logs;
pub mod pages;
pub mod ranges;
pub mod rows;
pub mod since;
pub mod stored;

mod budget;
mod columns;
mod confirm;
mod fence;
mod judge;
mod locate;
mod matching;
mod naming;
mod newest;
mod plan;
mod schemas;
mod side;
mod surroundings;

pub use budget::Budget;
pub use fence::{catch_up, held};
pub use newest::newest;
pub use plan::{Choice, Matching, Plan, PlanError};
pub use schemas::{SchemaDelta, Typing, compare_schemas};
pub use side::{Retry, Side};
pub use surroundings::{Surroundings, compare_surroundings};
