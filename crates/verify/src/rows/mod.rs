//! Comparing all rows of one dataset on two stores.

mod digests;
mod equality;
mod explain;
mod live;
mod outcome;
mod parts;
mod passes;
mod quick;
mod reread;
mod views;

pub use outcome::{Origin, Outcome, Slice};
pub use parts::{Done, Ledger, Parting, Share};
pub use quick::{QuickLook, quick_look};

use crate::{Plan, Side};
pub(crate) use digests::incomparable;
use digests::{Both, compare_both, digest_both};
use equality::Equality;
use explain::explain_at_rest;
use live::explain_live;
use paritas_connect::{Error, FailureKind};
use paritas_digest::{DigestKey, KeyForm, Spec};
use paritas_model::SchemaFingerprint;
use passes::{Differing, name_all};
use reread::{Reread, reread};
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
    /// Whether the source's digest is wanted. Where it is not, equality may be decided without one.
    pub keep_digest: bool,
    /// Key of the digests.
    pub key: &'a DigestKey,
    /// How many differing rows the first pass is made to name.
    pub capacity: u64,
    /// Most rows to list.
    pub items_max: usize,
    /// How long to wait for fences and for hot rows.
    pub settle: Duration,
    /// How it is cut into parts, and where finished ones are kept.
    pub parting: Parting<'a>,
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
    match spec(request) {
        Ok(spec) => parts::verify(request, &spec).await,
        Err(failure) => Outcome { problem: Some(failure), ..Outcome::default() },
    }
}

fn spec(request: &Request<'_>) -> Result<Arc<Spec>, Failure> {
    Spec::new(request.key, request.dataset, (*request.plan.canon).clone())
        .map_err(|error| (Origin::Comparison, error.into()))
}

/// Compares what one view of each side shows.
async fn verify_views(request: &Request<'_>, spec: &Arc<Spec>) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(failure) = run(request, spec, &mut outcome).await {
        outcome.complete = false;
        outcome.problem = Some(failure);
    }
    outcome
}

/// Two readings of the same views disagree.
fn contradiction() -> Error {
    Error::new(FailureKind::Permanent, "data.changed", "two readings of the same rows came to different results")
        .detail("their hashes were unequal at first and equal when read again")
        .hint("see that nothing writes to either side during the run, and check the memory and disks of this machine")
}

async fn run(request: &Request<'_>, spec: &Arc<Spec>, outcome: &mut Outcome) -> Result<(), Failure> {
    (request.watch)(Phase::Digesting);
    let (opened, unequal) = match equality::decide(request, spec, outcome).await {
        Equality::Equal => return Ok(()),
        Equality::Unequal(source, replica) => (Some((source, replica)), true),
        Equality::Open => (None, false),
    };
    let both = match digest_both(request, spec, opened, outcome).await {
        Err(failure) => {
            // Time or budget ran out before a row could be named; that rows differ is known.
            outcome.proven_unequal =
                unequal && matches!(failure.1.kind(), FailureKind::Deadline | FailureKind::Cancelled);
            return Err(failure);
        }
        Ok(both) => both,
    };
    let comparison = compare_both(request, spec, &both)?;
    // Views that had to be opened anew may show something else by then.
    let same_views = !both.source.reopened && !both.replica.reopened;
    if comparison.equal && unequal && same_views {
        return Err((Origin::Comparison, contradiction()));
    }
    outcome.equal = comparison.equal;
    if comparison.equal {
        outcome.complete = true;
        return Ok(());
    }
    // Two views that show one state, or never change, and have unequal digests do differ, whatever
    // can be named.
    outcome.proven_unequal = !request.live || both.still;
    let by_key = both.source.scan.lookup().is_some() && both.replica.scan.lookup().is_some();
    let by_key = by_key && spec.key_form() != KeyForm::WholeRow;
    let Both { source, replica, still } = both;
    let mut views = (source.scan, replica.scan);
    let mut differing = Differing::from(comparison);
    let mut failure = None;
    if request.live && !still && !by_key {
        match reread(request, spec, differing.dirty(), outcome).await {
            Ok(Reread::Settled) => {
                outcome.complete = true;
                return Ok(());
            }
            Ok(Reread::Differs(newest)) => {
                let (newer, now) = *newest;
                outcome.proven_unequal = newer.still;
                views = (newer.source, newer.replica);
                differing = now;
            }
            // What the first pass found stays in the report, without proof.
            Err(error) => failure = Some(error),
        }
    }
    let scans = (&views.0, &views.1);
    let named = name_all(request, spec, scans, differing, outcome).await;
    outcome.complete = named.complete;
    if request.live && by_key && !still {
        explain_live(request, spec, scans, named.found, outcome).await?;
    } else {
        explain_at_rest(request, spec, scans, named.found, outcome).await?;
    }
    failure.or(named.failure).map_or(Ok(()), Err)
}
