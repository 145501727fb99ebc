//! The digest as its users see it: algebra, naming, overload, files, Arrow, known answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod algebra;
mod artifact;
mod entries;
mod logical;
mod naming;
mod negotiate;
mod overload;
mod parts;
mod support;
mod vectors;
