//! Snapshots of sources with rows or files: taken while the source is there, and compared with a replica when it is
//! gone.

mod against;
pub(crate) mod cheap;
mod copies;
mod document;
mod figures;
mod files;
mod load;
mod rows;
mod sequences;
mod take;

pub use against::{verify_links_against, verify_pair_against};
pub use load::Stored;

pub(crate) use against::{ledgers_alone, verify as verify_loaded};
pub(crate) use copies::copy_all;
pub(crate) use load::{Loaded, load};
pub(crate) use sequences::verify as verify_sequences;

pub(crate) use take::{can_be_kept, one};
