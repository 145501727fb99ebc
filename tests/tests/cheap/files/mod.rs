//! Snapshots of files that read only those that were written: each is held against a reading of everything.

mod cases;
mod command;
mod objects;
mod property;
mod world;
mod wrong;
