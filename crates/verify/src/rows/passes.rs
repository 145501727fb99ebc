//! Naming more differences than the first pass could: further passes over dirty buckets.

use super::{Failure, Origin, Outcome, Request};
use crate::side::SideDigest;
use paritas_connect::{Error, FailureKind};
use paritas_digest::{BucketSet, Capacity, Comparison, Decoded, Found, Spec, decode};
use std::sync::Arc;

/// Most differing rows that a pass is made to name.
const NAMED_MAX: u64 = 143_000;
/// Passes over chosen buckets before giving up on naming.
const NARROW_PASSES_MAX: u32 = 4;
/// Differences assumed in each bucket when the estimate is saturated.
const PER_SATURATED_BUCKET: u64 = 64;

/// The differing keys that could be named.
pub(super) struct Named {
    pub(super) found: Vec<Found>,
    /// Whether these are all of them.
    pub(super) complete: bool,
    /// What ended a further pass; what was found before is in `found`.
    pub(super) failure: Option<Failure>,
}

/// All differing keys; with further passes over dirty buckets when the first could not name them.
pub(super) async fn name_all(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    source: &SideDigest,
    replica: &SideDigest,
    first: Comparison,
    outcome: &mut Outcome,
) -> Named {
    if first.complete {
        return Named { found: first.found, complete: true, failure: None };
    }
    let dirty: Vec<u32> = first.dirty.iter().collect();
    let net = source.sums.rows().abs_diff(replica.sums.rows());
    let guess = (dirty.len() as u64).saturating_mul(PER_SATURATED_BUCKET);
    let estimate = first.estimate.value().copied().unwrap_or(guess).max(net).max(1);
    let mut share = dirty.len();
    if with_margin(estimate) > NAMED_MAX {
        let part = (dirty.len() as u64).saturating_mul(NAMED_MAX) / estimate.saturating_mul(2);
        share = usize::try_from(part).unwrap_or(1).max(1);
    }
    for pass in 1..=NARROW_PASSES_MAX {
        let whole = share == dirty.len();
        let wanted = if whole { with_margin(estimate).saturating_mul(u64::from(pass)) } else { NAMED_MAX };
        let buckets: BucketSet = dirty.iter().copied().take(share).collect();
        tracing::info!(pass, buckets = share, of = dirty.len(), "reading dirty buckets again");
        let capacity = Capacity::for_differences(wanted.min(NAMED_MAX));
        let delta = match narrow_pass(request, spec, source, replica, capacity, &Arc::new(buckets)).await {
            Ok(delta) => delta,
            Err(failure) => return Named { found: first.found, complete: false, failure: Some(failure) },
        };
        if delta.complete {
            if !whole {
                let about = (delta.found.len() as u64).saturating_mul(dirty.len() as u64) / share.max(1) as u64;
                outcome.notes.push(format!(
                    "about {about} rows differ, too many to name them all: those of {share} out of {} differing \
                     buckets are named and counted",
                    dirty.len()
                ));
            }
            return Named { found: delta.found, complete: whole, failure: None };
        }
        share = (share / 16).max(1);
    }
    outcome.notes.push(format!("about {estimate} rows differ; they could not be named"));
    Named { found: first.found, complete: false, failure: None }
}

/// Room for half as many differences again as were estimated.
fn with_margin(estimate: u64) -> u64 {
    estimate.saturating_mul(3) / 2
}

/// Digests the rows of some buckets on both sides and decodes what differs.
async fn narrow_pass(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    source: &SideDigest,
    replica: &SideDigest,
    capacity: Capacity,
    buckets: &Arc<BucketSet>,
) -> Result<Decoded, Failure> {
    let (ours, theirs) = futures_util::future::join(
        request.source.digest_view(&*source.scan, spec, capacity, Some(buckets)),
        request.replica.digest_view(&*replica.scan, spec, capacity, Some(buckets)),
    )
    .await;
    let (mut delta, _) = ours.map_err(|error| (Origin::Source, error))?;
    let (theirs, _) = theirs.map_err(|error| (Origin::Replica, error))?;
    delta.subtract(&theirs).map_err(|error| {
        (Origin::Comparison, Error::new(FailureKind::Permanent, "digest.incomparable", error.to_string()))
    })?;
    Ok(decode(spec, &delta))
}
