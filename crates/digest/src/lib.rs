//! The digest: canonical images, row hashes, buckets, the sketch, the artifact file.
//!
//! Bytes in, bytes out: nothing here does I/O except reading and writing a digest through
//! `std::io` traits, and nothing here knows a store. The format is written down in
//! `docs/digest-format.md`.

mod artifact;
#[doc(hidden)]
pub mod bench;
mod block;
mod buckets;
mod canon;
mod capacity;
mod compare;
mod decode;
mod digest;
mod digester;
mod encoder;
mod entries;
mod error;
mod hash;
mod keys;
mod locate;
mod logical;
mod long;
mod messages;
mod negotiate;
mod part;
mod row_sums;
mod rows;
mod self_test;
mod spec;
mod sums;
mod trace;

pub use artifact::{ArtifactError, HEADER_BYTES_MAX};
pub use block::{Block, RowBlock};
pub use buckets::BucketSet;
pub use canon::{
    Canon, CanonColumn, CanonKind, DecimalPolicy, FloatPolicy, ImagePolicy, JsonPolicy, KeyForm, Policies, Slot,
    ZonePolicy,
};
pub use capacity::{BUCKETS, Capacity};
pub use compare::{Comparison, compare};
pub use decode::{Decoded, Found, FoundKey, decode};
pub use digest::{Digest, FORMAT, Header, HeaderFacts, schema_fingerprint};
pub use digester::Digester;
pub use encoder::Encoder;
pub use entries::{Recorder, RowEntries, RowEntry};
pub use error::{DigestError, HeaderDelta, Incomparable};
pub use keys::{DigestKey, KeyId};
pub use locate::Locator;
pub use logical::{beyond_slot, canonical_json};
pub use messages::{MessageHasher, Messages};
pub use negotiate::Incompatible;
pub use part::{PartSum, PartSummer};
pub use row_sums::{RowSummer, RowSums};
pub use self_test::{is_batched, self_test};
pub use spec::{KeyHash, Spec};
pub use sums::Sums;
pub use trace::{RowTrace, trace};
