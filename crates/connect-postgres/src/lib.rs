//! The PostgreSQL connector: says where a server is in its log, and hands out rows.
//!
//! Rows come as `COPY ... BINARY` streams of one exported snapshot, cut into block ranges. Two
//! PostgreSQL servers are compared by their own binary values (wire canon), any other store by
//! Arrow columns (logical canon). Nothing is written to a server: sessions are read only, and
//! no temporary tables or slots are made. The one exception is `pen`, for a table that was made for it.

mod beside;
mod bytes;
mod catalog;
mod clock;
mod columns;
mod condition;
mod conninfo;
mod copy;
mod counters;
mod coverage;
mod cuts;
mod decode;
mod dial;
mod divert;
mod errors;
mod exported;
mod facts;
mod following;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grouped;
mod keys;
mod large;
mod lineage;
mod lookup;
mod numeric;
mod observe;
mod opening;
mod pages;
mod params;
mod passfile;
mod pen;
mod places;
mod plan;
mod positions;
mod probe;
mod quick;
mod quote;
mod ranged;
mod ranges;
mod raw;
mod relation;
mod rewrite;
mod rows;
mod scan;
mod session;
mod store;
mod surroundings;
mod tap;
mod tls;
mod types;
mod who;
mod wire;
mod writers;

pub use store::{Options, PostgresStore};
