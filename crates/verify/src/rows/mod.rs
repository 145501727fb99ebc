//! Comparing all rows of one dataset on two stores.

mod explain;
mod outcome;
mod passes;

pub use outcome::{Origin, Outcome};

use crate::confirm::fence;
use crate::side::SideDigest;
use crate::{Plan, Side};
use paritas_connect::{Error, FailureKind};
use paritas_digest::{Capacity, Comparison, Digest, DigestKey, HeaderFacts, Spec, compare};
use paritas_model::SchemaFingerprint;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a comparison is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Connecting, describing, planning.
    #[default]
    Planning,
    /// Reading and digesting both sides.
    Digesting,
    /// Finding the rows behind the differences.
    Locating,
    /// Reading suspect rows again.
    Confirming,
}

/// One dataset to compare.
pub struct Request<'a> {
    /// Name of the dataset, part of the digest's keys.
    pub dataset: &'a str,
    /// The source.
    pub source: &'a Side,
    /// The replica.
    pub replica: &'a Side,
    /// What to compare.
    pub plan: &'a Plan,
    /// Fingerprint of the source's schema, for the stored digest.
    pub schema: SchemaFingerprint,
    /// Whether the replica follows the source, so that positions and fences mean something.
    pub live: bool,
    /// Key of the digests.
    pub key: &'a DigestKey,
    /// How many differing rows the first pass is made to name.
    pub capacity: u64,
    /// Most rows to list.
    pub items_max: usize,
    /// How long to wait for fences and for hot rows.
    pub settle: Duration,
    /// Told about every phase.
    pub watch: &'a (dyn Fn(Phase) + Send + Sync),
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("dataset", &self.dataset).field("live", &self.live).finish_non_exhaustive()
    }
}

/// A failure and the side it came from.
pub(crate) type Failure = (Origin, Error);

/// Compares one dataset. Never fails as a whole: what went wrong is part of the outcome.
pub async fn verify(request: &Request<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(failure) = run(request, &mut outcome).await {
        outcome.complete = false;
        outcome.problem = Some(failure);
    }
    outcome
}

async fn run(request: &Request<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
    let spec = Spec::new(request.key, request.dataset, (*request.plan.canon).clone())
        .map_err(|error| (Origin::Comparison, error.into()))?;
    (request.watch)(Phase::Digesting);
    let (source, replica) = digest_both(request, &spec, outcome).await?;
    let comparison = compare_sides(request, &spec, &source, &replica, outcome)?;
    outcome.equal = comparison.equal;
    if comparison.equal {
        outcome.complete = true;
        return Ok(());
    }
    // Two views that never change and have unequal digests do differ, whatever can be named.
    outcome.proven_unequal = !request.live;
    let named = passes::name_all(request, &spec, &source, &replica, comparison, outcome).await;
    outcome.complete = named.complete;
    explain::explain(request, &spec, &source, &replica, named.found, outcome).await?;
    named.failure.map_or(Ok(()), Err)
}

/// Opens and digests both sides at the same time; the replica waits for the fence first.
async fn digest_both(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    outcome: &mut Outcome,
) -> Result<(SideDigest, SideDigest), Failure> {
    let capacity = Capacity::for_differences(request.capacity);
    let at_source = |error| (Origin::Source, error);
    let at_replica = |error| (Origin::Replica, error);
    let source_scan = request.source.open(&request.plan.source).await.map_err(at_source)?;
    let source =
        async { request.source.digest(source_scan, &request.plan.source, spec, capacity).await.map_err(at_source) };
    let replica = async {
        let mut reached = (None, None);
        if request.live {
            match fence(request.source, request.replica, request.settle).await {
                Ok(position) => reached.0 = Some(position),
                Err(error) if error.kind() == FailureKind::Deadline && request.replica.cx.check().is_ok() => {
                    reached.1 = Some(format!("the replica did not reach the source's position: {error}"));
                }
                Err(error) => return Err(at_replica(error)),
            }
        }
        let scan = request.replica.open(&request.plan.replica).await.map_err(at_replica)?;
        let digest = request.replica.digest(scan, &request.plan.replica, spec, capacity).await.map_err(at_replica)?;
        Ok((reached, digest))
    };
    // Both run to their ends even when one fails: what the other side found is not lost.
    let (source, replica) = futures_util::future::join(source, replica).await;
    if let Ok(side) = &source {
        outcome.source_rows = Some(side.sums.rows());
        outcome.source_bytes = side.bytes;
        outcome.source_position = Some(side.scan.position());
    }
    if let Ok(((reached, why), side)) = &replica {
        outcome.replica_rows = Some(side.sums.rows());
        outcome.replica_bytes = side.bytes;
        outcome.replica_position = Some(side.scan.position());
        outcome.fence.clone_from(reached);
        outcome.notes.extend(why.clone());
    }
    match (source, replica) {
        (Ok(source), Ok((_, replica))) => Ok((source, replica)),
        // A damaged replica is a finding, an unreachable source only a fault: the finding wins.
        (Err(_), Err(failure)) if failure.1.kind() == FailureKind::Damaged => Err(failure),
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
    }
}

fn compare_sides(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    source: &SideDigest,
    replica: &SideDigest,
    outcome: &mut Outcome,
) -> Result<Comparison, Failure> {
    let digest = |side: &Side, read: &SideDigest| {
        let facts =
            HeaderFacts { schema: request.schema, position: read.scan.position(), store: side.store.name().to_owned() };
        Digest::new(spec, facts, read.sums.clone())
    };
    let (source, replica) = (digest(request.source, source), digest(request.replica, replica));
    let comparison = compare(&source, &replica).map_err(|error| {
        (Origin::Comparison, Error::new(FailureKind::Permanent, "digest.incomparable", error.to_string()))
    })?;
    outcome.digest = Some(source);
    Ok(comparison)
}
