//! Figures of groups: exact to the last digit, across kinds of store, in little memory, and without a false
//! mismatch on live links.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod configured;
mod cross;
mod exact;
mod live;
mod refused;
mod stage;
