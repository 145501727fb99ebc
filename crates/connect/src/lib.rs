//! What a connector is: traits, context, errors, retry, secrets, and the conformance suite.
//!
//! A connector has two small jobs: say where a store is, and hand out rows. All judgement lives
//! above. Everything here is free of any particular store.

mod context;
mod error;
mod store;

pub use context::{Context, Progress};
pub use error::{Error, FailureKind, Result};
pub use store::{
    BlockSink, ColumnPair, Datasets, Description, FetchedField, FetchedRow, FileEntry, FileManifest, Files, Lookup,
    Positions, ReplicaRole, Scan, ScanRequest, Split, SplitDone, Store, StoreIdentity,
};
