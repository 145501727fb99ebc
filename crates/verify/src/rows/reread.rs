//! Reading differing buckets again, on live links whose suspects cannot be read by key.
//!
//! Every bucket that is equal in a later pair of fenced views is settled: its differences were in
//! flight. Clean buckets were proven equal before and are not read again. What still differs is
//! proven where the later views were pinned in a still moment, and goes into the next round otherwise.

use super::passes::{Differing, narrow_pass};
use super::views::{self, Views};
use super::{Failure, Outcome, Request};
use paritas_digest::{BucketSet, Capacity, Spec};
use std::sync::Arc;
use std::time::Instant;

/// Rounds, each of which reads both sides whole, at most.
const REREADS_MAX: u32 = 3;

/// What reading again came to.
pub(super) enum Reread {
    /// No bucket differs any more.
    Settled,
    /// These views still differ.
    Differs(Box<(Views, Differing)>),
}

/// Reads the buckets again until none differs, the source stood still, or the limits are reached.
pub(super) async fn reread(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    dirty: &BucketSet,
    outcome: &mut Outcome,
) -> Result<Reread, Failure> {
    let capacity = Capacity::for_differences(request.capacity);
    let started = Instant::now();
    let mut dirty = Arc::new(dirty.clone());
    let mut round = 1;
    loop {
        let before = dirty.len();
        let views = views::pin(request).await?;
        let delta = narrow_pass(request, spec, (&views.source, &views.replica), capacity, &dirty).await?;
        tracing::info!(round, before, now = delta.dirty.len(), still = views.still, "differing buckets read again");
        outcome.fence.clone_from(&views.fence);
        if delta.dirty.is_empty() && delta.complete {
            outcome.notes.push("rows that differed at first were in flight and have arrived".to_owned());
            return Ok(Reread::Settled);
        }
        let over = round == REREADS_MAX || views.missed.is_some() || started.elapsed() >= request.settle;
        if views.still || over {
            return Ok(Reread::Differs(Box::new((views, delta.into()))));
        }
        if !delta.dirty.is_empty() {
            dirty = Arc::new(delta.dirty);
        }
        round += 1;
    }
}
