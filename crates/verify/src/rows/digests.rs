//! Digesting both sides at the same time.

use super::views::{self, Views};
use super::{Failure, Origin, Outcome, Request};
use crate::Side;
use crate::side::{SideDigest, View};
use paritas_connect::{Error, FailureKind};
use paritas_digest::{Capacity, Comparison, Digest, HeaderFacts, KeyForm, Spec, compare};
use std::sync::Arc;

/// Both sides, read to their ends.
#[derive(Debug)]
pub(super) struct Both {
    pub(super) source: SideDigest,
    pub(super) replica: SideDigest,
    /// Whether both show one and the same state of the source.
    pub(super) still: bool,
}

/// Opens and digests both sides at the same time, or digests views of data at rest that are `opened`
/// already. What one side came to is in the outcome even when the other fails.
pub(super) async fn digest_both(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    opened: Option<(View, View)>,
    outcome: &mut Outcome,
) -> Result<Both, Failure> {
    let capacity = Capacity::for_differences(request.capacity);
    if request.live && spec.key_form() == KeyForm::WholeRow {
        let Views { source, replica, fence, missed, still } = views::pin(request).await?;
        outcome.fence = fence;
        outcome.notes.extend(missed);
        let source = async {
            request.source.digest(source, &request.plan.source, spec, capacity).await.map_err(at(Origin::Source))
        };
        let replica = async {
            request.replica.digest(replica, &request.plan.replica, spec, capacity).await.map_err(at(Origin::Replica))
        };
        let both = futures_util::future::join(source, replica).await;
        return take(request, spec, both, still, outcome);
    }
    let (source, opened) = match opened {
        Some((source, replica)) => (source, Some(replica)),
        None => (views::open_source(request).await?, None),
    };
    let source =
        async { request.source.digest(source, &request.plan.source, spec, capacity).await.map_err(at(Origin::Source)) };
    let (mut fence, mut missed) = (None, None);
    let replica = async {
        let scan;
        (scan, fence, missed) = match opened {
            Some(replica) => (replica, None, None),
            None => views::open_replica(request).await?,
        };
        request.replica.digest(scan, &request.plan.replica, spec, capacity).await.map_err(at(Origin::Replica))
    };
    // Both run to their ends even when one fails: what the other side found is not lost.
    let both = futures_util::future::join(source, replica).await;
    outcome.fence = fence;
    outcome.notes.extend(missed);
    take(request, spec, both, false, outcome)
}

fn at(origin: Origin) -> impl Fn(Error) -> Failure {
    move |error| (origin, error)
}

type Result2 = (Result<SideDigest, Failure>, Result<SideDigest, Failure>);

fn take(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    (source, replica): Result2,
    still: bool,
    outcome: &mut Outcome,
) -> Result<Both, Failure> {
    if let Ok(side) = &source {
        outcome.source_rows = Some(side.sums.rows());
        outcome.source_bytes += side.bytes;
        outcome.source_position = Some(side.scan.position());
        let digest = digest_of(request, spec, request.source, side);
        outcome.digest = Some(digest.filtered(request.plan.source.filter.clone()));
    }
    if let Ok(side) = &replica {
        outcome.replica_rows = Some(side.sums.rows());
        outcome.replica_bytes += side.bytes;
        outcome.replica_position = Some(side.scan.position());
    }
    match (source, replica) {
        (Ok(source), Ok(replica)) => {
            // A view opened anew shows another state.
            let still = still && !source.reopened && !replica.reopened;
            Ok(Both { source, replica, still })
        }
        // A damaged replica is a finding, an unreachable source only a fault: the finding wins. Where
        // the source cannot be decoded either, the replica may be a faithful copy of it.
        (Err((_, ours)), Err(failure))
            if failure.1.kind() == FailureKind::Damaged && ours.kind() != FailureKind::Damaged =>
        {
            outcome.notes.push(format!("the source could not be read either: {ours}"));
            Err(failure)
        }
        (Err(failure), Err((_, theirs))) => {
            outcome.notes.push(format!("the replica could not be read either: {theirs}"));
            Err(failure)
        }
        (Err(failure), Ok(_)) | (Ok(_), Err(failure)) => Err(failure),
    }
}

fn digest_of(request: &Request<'_>, spec: &Arc<Spec>, side: &Side, read: &SideDigest) -> Digest {
    let facts =
        HeaderFacts { schema: request.schema, position: read.scan.position(), store: side.store.name().to_owned() };
    Digest::new(spec, facts, read.sums.clone())
}

/// Compares what both sides were digested to.
pub(super) fn compare_both(request: &Request<'_>, spec: &Arc<Spec>, both: &Both) -> Result<Comparison, Failure> {
    let source = digest_of(request, spec, request.source, &both.source);
    let replica = digest_of(request, spec, request.replica, &both.replica);
    compare(&source, &replica).map_err(|error| incomparable(&error))
}

/// The failure for digests that say nothing about each other.
pub(crate) fn incomparable(error: &paritas_digest::Incomparable) -> Failure {
    let hint = error.hint();
    (Origin::Comparison, Error::new(FailureKind::Permanent, "digest.incomparable", error.to_string()).hint(hint))
}
