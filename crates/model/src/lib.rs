//! The words of Paritas as values: stores, positions, datasets, differences, verdicts.
//!
//! Nothing here does I/O and nothing here knows PostgreSQL or Parquet. The words are those of
//! `docs/contract.md`; one word means one thing in every crate.

mod ancestry;
mod difference;
mod known;
mod link;
mod position;
mod quantity;
mod schema;
mod value;
mod verdict;
mod writes;

pub use ancestry::{Ancestry, Kinship, ParseHistoryError, Switch};
pub use difference::{Class, Difference, DifferenceCounts, Proof, pairs};
pub use known::Known;
pub use link::{Link, Objective, Region, Store, StoreKind, Tier};
pub use position::{Lag, LagState, Lineage, Lsn, ParseLsnError, Position, SecondsInterval, Stream};
pub use quantity::{ByteSize, ParseQuantityError, format_duration, format_size, parse_duration, parse_size};
pub use schema::{Column, Dataset, Field, LogicalType, Schema, SchemaFingerprint, TimeUnit};
pub use value::Value;
pub use verdict::Verdict;
pub use writes::Writes;
