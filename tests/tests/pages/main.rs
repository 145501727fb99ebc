//! Physical standbys compared page by page, through the binary and on real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod choice;
mod damage;
mod faults;
mod kinds;
mod large;
mod load;
mod manners;
mod passes;
mod stage;
mod versions;
