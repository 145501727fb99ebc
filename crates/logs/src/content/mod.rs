//! Whether two partitions hold the same records in the same order, and which records differ.

mod chain;
mod finding;
mod id;
mod policy;

pub use chain::{CHAIN_VERSION, Chain, Segment, Step, Terms};
pub use finding::{Between, Class, Counts, Finding, Of, Part, Shown, Span};
pub use id::Id;
pub use policy::{Policy, Timestamps};
