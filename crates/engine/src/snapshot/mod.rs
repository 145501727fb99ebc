//! Snapshots of sources with rows or files: taken while the source is there, and compared with a replica when it is
//! gone.

mod against;
mod copies;
mod document;
mod files;
mod load;
mod rows;
mod take;

pub use against::{verify_links_against, verify_pair_against};
pub use load::Stored;

pub(crate) use against::verify as verify_loaded;
pub(crate) use copies::copy_all;
pub(crate) use load::{Loaded, load};

pub(crate) use take::{can_be_kept, one};
