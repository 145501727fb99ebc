//! Real servers and real files for the demo, the tests and the benches.
//!
//! A [`Scratch`] folder holds everything; servers in it stop when they are dropped, and also when this process is
//! killed (where `setpriv` is installed). Every wait has a deadline.

pub mod bench;
mod error;
pub mod faults;
pub mod ledger;
pub mod ports;
pub mod postgres;
mod process;
pub mod scratch;
mod wait;

pub use error::{Error, Result};
pub use scratch::Scratch;
