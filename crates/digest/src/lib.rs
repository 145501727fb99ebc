//! The digest: canonical images, row hashes, buckets, the sketch, the artifact file.
//!
//! Bytes in, bytes out: nothing here does I/O except reading and writing a digest through
//! `std::io` traits, and nothing here knows a store.

mod block;
mod canon;

pub use block::{Block, RowBlock};
pub use canon::{
    Canon, CanonColumn, CanonKind, DecimalPolicy, FloatPolicy, ImagePolicy, JsonPolicy, KeyForm, Policies, Slot,
    ZonePolicy,
};
