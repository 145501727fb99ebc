//! What a connector is: traits, context, errors, retry, secrets, and the conformance suite.
//!
//! A connector has two small jobs: say where a store is, and hand out rows. All judgement lives
//! above. Everything here is free of any particular store.

mod arrow_rows;
mod arrow_types;
mod arrow_value;
mod clocks;
pub mod conformance;
mod context;
mod error;
mod faulty;
mod filed;
mod grouped;
mod heartbeat;
pub mod logs;
mod memory;
mod observe;
mod pace;
mod pages;
mod places;
mod ranged;
mod redact;
mod retry;
mod seals;
mod secret;
mod segmented;
pub mod shown;
mod standing;
mod store;
pub mod text;
mod transactions;
mod writers;

pub use arrow_rows::render_arrow;
pub use arrow_types::{logical_type, schema_of};
pub use arrow_value::show_arrow;
pub use clocks::{
    BEYOND_MAX, ClockReading, ClockShows, ClockStamp, Clocks, NewestRequest, NewestSeen, micros as micros_of,
};
pub use context::{Context, Progress};
pub use error::{Error, FailureKind, Result, hide_details};
pub use faulty::{Call, Fault, FaultyStore, Rule, When};
pub use filed::{Filed, FiledPart};
pub use grouped::{GroupRequest, GroupsNow, figures_field, figures_of};
pub use heartbeat::{Heartbeat, HeartbeatRow, Heartbeats, Look, Pen, Written};
pub use memory::{MemoryStore, MemoryTable};
pub use observe::{
    Coverage, Cursor, FACT_RELAYED, Fact, Feed, Followed, Halt, Mark, Observation, Offer, Offered, Produced, Reader,
    Take,
};
pub use pace::{Manners, Pace, Rate, RateLimit};
pub use pages::{Claim, Likeness, Page, PageKind, PagePair, PageRange, PageReader, PageRelation, PageTerms, Pages};
pub use places::{FileId, Holds, Placed, PlacedColumn, PlacedRow, PlacedShape, Places};
pub use ranged::{LogMark, PlacedSink, RangeState, Ranged, RangedPart, Survey, Terms};
pub use redact::{is_secret_name, redact_url};
pub use retry::{RetryPolicy, retry};
pub use seals::{SEAL_BYTES, Seal, SealRange, TransactionSpan};
pub use secret::{SECRET_BYTES_MAX, SECRET_COMMAND_TIME_MAX, SecretRef, is_variable_name};
pub use segmented::{Segmented, SegmentedPart, SegmentedSurvey};
pub use standing::{Lineages, PreparedTransaction, Slot, Standing, Synchrony};
pub use store::{
    Beside, BlockSink, ColumnPair, Counter, CounterUse, Datasets, Description, FACT_UNLOGGED, FetchedField, FetchedRow,
    FileEntry, FileManifest, Files, KeyRange, Lookup, Positions, QuickPart, QuickSum, ReplicaRole, Scan, ScanRequest,
    Split, SplitDone, Store, StoreIdentity, Surrounding,
};
pub use transactions::{Hint, Spot, TransactionEnd, Transactions};
pub use writers::{Authorship, Held, Horizon, Moment, Seen, Writers};
