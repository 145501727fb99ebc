//! What two logs of records say about each other. Pure: no store, no clock.
//!
//! [`content`] says whether a mirrored partition holds the same records in the same order as its source,
//! and which records differ.
//!
//! [`ages`] and [`readers`] say how far groups of readers are behind, [`health`] whether servers hold
//! partitions as they should, [`naming`] and [`coverage`] which logs a mirror carries,
//! [`position`] how far it has copied them, [`certify`] where groups of readers would go on there,
//! [`recovery`] what is lost with the source; [`sequence`] whether numbers that records carry are whole.

pub mod ages;
pub mod certify;
pub mod content;
pub mod coverage;
pub mod health;
pub mod items;
pub mod naming;
pub mod position;
pub mod readers;
pub mod recovery;
pub mod sequence;
pub mod settings;
