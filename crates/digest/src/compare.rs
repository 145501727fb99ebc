//! Comparing two digests.

use crate::capacity::BUCKET_WORDS;
use crate::decode::decode_with;
use crate::{BucketSet, Digest, Found, Incomparable, Sums};
use paritas_model::Known;
use std::borrow::Cow;

/// What two digests say about each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Whether both sides hold the same rows the same number of times.
    pub equal: bool,
    /// Rows of the source.
    pub source_rows: u64,
    /// Rows of the replica.
    pub replica_rows: u64,
    /// Keys that differ, as far as they could be named, sorted.
    pub found: Vec<Found>,
    /// Whether `found` is everything that differs.
    pub complete: bool,
    /// Dirty buckets that `found` does not explain.
    pub unexplained_buckets: u32,
    /// How many keys differ: exact when complete, otherwise estimated.
    pub estimate: Known<u64>,
    /// Buckets with a difference. Rows of all others are proven equal.
    pub dirty: BucketSet,
    /// Rows of the source minus rows of the replica, exact.
    pub net_lost: i128,
    /// At least so many rows are on the source only.
    pub lost_at_least: u64,
    /// At least so many rows are on the replica only.
    pub extra_at_least: u64,
}

/// Compares the digests of two sides. Sketches of different sizes are folded to the smaller, and if
/// one is blind, both are read as such.
///
/// # Errors
/// [`Incomparable`] with every header field in which the two should agree and do not.
pub fn compare(source: &Digest, replica: &Digest) -> Result<Comparison, Incomparable> {
    let fields = source.incomparable_with(replica);
    if !fields.is_empty() {
        return Err(Incomparable { fields });
    }
    let (mut delta, theirs) = alike(&source.sums, &replica.sums);
    delta.subtract(&theirs)?;
    let spec = source.spec.as_deref().or(replica.spec.as_deref());
    let decoded = decode_with(spec, delta.form, source.header.canon.key_width(), &delta);
    let (lost_at_least, extra_at_least) = net_by_bucket(&delta);
    Ok(Comparison {
        equal: delta.is_zero(),
        source_rows: source.sums.rows,
        replica_rows: replica.sums.rows,
        found: decoded.found,
        complete: decoded.complete,
        unexplained_buckets: decoded.unexplained_buckets,
        estimate: decoded.estimate,
        dirty: decoded.dirty,
        net_lost: i128::from(source.sums.rows) - i128::from(replica.sums.rows),
        lost_at_least,
        extra_at_least,
    })
}

/// Both sums with sketches of one size and blindness; the first as a copy to work on.
fn alike<'a>(source: &Sums, replica: &'a Sums) -> (Sums, Cow<'a, Sums>) {
    let mut ours = source.clone();
    let mut theirs = Cow::Borrowed(replica);
    while ours.capacity > theirs.capacity && ours.fold() {}
    while theirs.capacity > ours.capacity && theirs.to_mut().fold() {}
    if theirs.blind && !ours.blind {
        ours.blind();
    }
    if ours.blind && !theirs.blind {
        theirs.to_mut().blind();
    }
    (ours, theirs)
}

/// Net losses and net extras, bucket by bucket.
fn net_by_bucket(delta: &Sums) -> (u64, u64) {
    let counts = delta.buckets.chunks_exact(BUCKET_WORDS).filter_map(|words| words.first());
    counts.fold((0, 0), |(lost, extra): (u64, u64), count| match *count as i64 {
        net @ 0.. => (lost.saturating_add(net.unsigned_abs()), extra),
        net => (lost, extra.saturating_add(net.unsigned_abs())),
    })
}
