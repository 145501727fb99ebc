//! What two logs of records say about each other. Pure: no store, no clock.
//!
//! [`content`] says whether a mirrored partition holds the same records in the same order as its source,
//! and which records differ.
//!
//! [`ages`] and [`readers`] say how far groups of readers are behind.

pub mod ages;
pub mod content;
pub mod readers;
