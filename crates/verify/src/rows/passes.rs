//! Naming more differences than the first pass could: further passes over dirty buckets.

use super::digests::incomparable;
use super::{Failure, Origin, Outcome, Request};
use crate::side::View;
use paritas_digest::{BucketSet, Capacity, Comparison, Decoded, Found, FoundKey, Spec, decode};
use paritas_model::Known;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most differing rows that a pass is made to name.
const NAMED_MAX: u64 = 143_000;
/// Passes over chosen buckets before giving up on naming.
const NARROW_PASSES_MAX: u32 = 4;
/// Differences in each bucket for which a table is sized when there is no estimate.
const PER_SATURATED_BUCKET: u64 = 64;

/// The two pinned views that are read.
pub(super) type Scans<'a> = (&'a View, &'a View);

/// What the sums of two views say about their differences.
#[derive(Debug)]
pub(super) struct Differing {
    found: Vec<Found>,
    complete: bool,
    dirty: BucketSet,
    estimate: Known<u64>,
}

impl From<Comparison> for Differing {
    fn from(comparison: Comparison) -> Self {
        let Comparison { found, complete, dirty, estimate, .. } = comparison;
        Self { found, complete, dirty, estimate }
    }
}

impl From<Decoded> for Differing {
    fn from(decoded: Decoded) -> Self {
        let Decoded { found, complete, dirty, estimate, .. } = decoded;
        Self { found, complete, dirty, estimate }
    }
}

impl Differing {
    /// The buckets in which something differs.
    pub(super) fn dirty(&self) -> &BucketSet {
        &self.dirty
    }
}

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
    scans: Scans<'_>,
    first: Differing,
    outcome: &mut Outcome,
) -> Named {
    if first.complete {
        return Named { found: first.found, complete: true, failure: None };
    }
    let dirty: Vec<u32> = first.dirty.iter().collect();
    let guess = (dirty.len() as u64).saturating_mul(PER_SATURATED_BUCKET);
    // Only sizes the next table. What is reported is the estimate itself, or why there is none.
    let mut sized_for = first.estimate.value().copied().unwrap_or(guess).max(1);
    let mut share = share_of(&dirty, sized_for);
    let mut part: Option<Part> = None;
    for pass in 1..=NARROW_PASSES_MAX {
        let whole = share == dirty.len();
        let wanted = if whole { with_margin(sized_for).min(NAMED_MAX) } else { NAMED_MAX };
        let buckets: Arc<BucketSet> = Arc::new(dirty.iter().copied().take(share).collect());
        tracing::info!(pass, buckets = share, of = dirty.len(), "reading dirty buckets again");
        let delta = match narrow_pass(request, spec, scans, Capacity::for_differences(wanted), &buckets).await {
            Ok(delta) => delta,
            Err(failure) => return Named { found: union(first.found, part), complete: false, failure: Some(failure) },
        };
        match (delta.complete, whole) {
            (true, true) => return Named { found: delta.found, complete: true, failure: None },
            (true, false) => {
                let about = (delta.found.len() as u64).saturating_mul(dirty.len() as u64) / share.max(1) as u64;
                part = Some(Part { found: delta.found, buckets: share, about });
                if about > NAMED_MAX {
                    break;
                }
                (sized_for, share) = (about.max(1), dirty.len());
            }
            (false, true) if wanted < NAMED_MAX => sized_for = sized_for.saturating_mul(2),
            // The part that was named tells more than a smaller one would.
            (false, true) if part.is_some() => break,
            (false, _) => share = (share / 16).max(1),
        }
    }
    outcome.notes.push(too_many(&first.estimate, part.as_ref(), dirty.len()));
    Named { found: union(first.found, part), complete: false, failure: None }
}

/// The keys of some buckets, complete for these.
struct Part {
    found: Vec<Found>,
    buckets: usize,
    /// How many keys that makes in all buckets.
    about: u64,
}

/// How many buckets a pass can read if `rows` differ in all.
fn share_of(dirty: &[u32], rows: u64) -> usize {
    if rows <= NAMED_MAX {
        return dirty.len();
    }
    let part = (dirty.len() as u64).saturating_mul(NAMED_MAX) / rows.saturating_mul(2);
    usize::try_from(part).unwrap_or(dirty.len()).clamp(1, dirty.len().max(1))
}

/// Room for half as many differences again as were estimated.
fn with_margin(estimate: u64) -> u64 {
    estimate.saturating_mul(3) / 2
}

fn too_many(estimate: &Known<u64>, part: Option<&Part>, dirty: usize) -> String {
    match (part, estimate) {
        (Some(part), _) => format!(
            "about {} rows differ, too many to name them all: those of {} out of {dirty} differing buckets are named \
             and counted",
            part.about, part.buckets
        ),
        (None, Known::Known(rows)) => format!("about {rows} rows differ; they could not all be named"),
        (None, Known::Unknown { why }) => format!("too many rows differ to name them all: {why}"),
    }
}

/// Keys found in either pass; both read the same views, so each is a difference.
fn union(first: Vec<Found>, part: Option<Part>) -> Vec<Found> {
    let part = part.map(|part| part.found).unwrap_or_default();
    let all: BTreeMap<FoundKey, Found> = first.into_iter().chain(part).map(|one| (one.key.clone(), one)).collect();
    all.into_values().collect()
}

/// Digests the rows of some buckets on both sides and decodes what differs.
pub(super) async fn narrow_pass(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    (source, replica): Scans<'_>,
    capacity: Capacity,
    buckets: &Arc<BucketSet>,
) -> Result<Decoded, Failure> {
    let (ours, theirs) = futures_util::future::join(
        request.source.digest_view(source, spec, capacity, Some(buckets)),
        request.replica.digest_view(replica, spec, capacity, Some(buckets)),
    )
    .await;
    let (mut delta, _) = ours.map_err(|error| (Origin::Source, error))?;
    let (theirs, _) = theirs.map_err(|error| (Origin::Replica, error))?;
    delta.subtract(&theirs).map_err(|error| incomparable(&error))?;
    Ok(decode(spec, &delta))
}
