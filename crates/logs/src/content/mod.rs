//! Whether two partitions hold the same records in the same order, and which records differ.

mod align;
mod builder;
mod chain;
mod compare;
mod explain;
mod finding;
mod id;
mod image;
pub mod latest;
mod plan;
mod policy;
mod record;
pub mod splice;

pub use align::{Alignment, Lie, Run, align};
pub use builder::{Builder, SEGMENT_RECORDS_MAX};
pub use chain::{CHAIN_VERSION, Chain, Segment, Step, Terms};
pub use compare::{Comparison, Gap, compare};
pub use explain::{Explained, Explainer, Facts, Neighbours, Spot, Stretch, Wanted, Whole};
pub use finding::{Between, Class, Counts, Finding, Of, Part, Shown, Span};
pub use id::Id;
pub use image::{Content, Images, Namer, Names, Parts};
pub use plan::{Beside, Copied, Plan, READ_MAX, Slice};
pub use policy::{Policy, Timestamps};
pub use record::{Seen, State};
