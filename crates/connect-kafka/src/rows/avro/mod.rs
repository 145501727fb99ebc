//! Avro: schemas, and the binary form of values, decoded straight into columns.
//!
//! An own decoder and not a crate: values go into Arrow columns without a tree of them in between, decimals stay
//! exact up to 76 digits, nothing is allocated by a length that was only promised, and a value that leaves bytes over
//! is an error, which is what tells a wrong schema.

mod column;
mod schema;
mod shown;
mod wire;

pub(super) use column::{Builder, Rows};
pub(super) use schema::{SCHEMA_BYTES_MAX, Schema};
