//! Every command on the pages of `docs/guide` is run, on real servers, in the order of its page.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "common/mod.rs"]
mod called;
#[path = "guide/page.rs"]
mod page;
#[path = "guide/pages.rs"]
mod pages;
#[path = "guide/rights.rs"]
mod rights;
#[path = "guide/shell.rs"]
mod shell;
#[path = "guide/shown.rs"]
mod shown;
#[path = "../../pgwal/tests/common/mod.rs"]
mod testbed;
#[path = "guide/world.rs"]
mod world;
