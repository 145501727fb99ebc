//! Whether two views are equal, decided by their row hashes alone before anything else is done.
//!
//! Most comparisons of files end here, at about half the cost of digests, which must also be able to
//! name what differs. It is done where reading a second time costs little, where the views cannot
//! change in between, and where nobody wants to keep the digest.

use super::{Outcome, Request};
use crate::Side;
use crate::side::View;
use paritas_connect::Datasets;
use paritas_digest::{RowSums, Spec};
use std::sync::Arc;

/// What is known after the first reading.
#[derive(Debug)]
pub(super) enum Equality {
    /// Both hold the same rows.
    Equal,
    /// They do not. The views are still open.
    Unequal(View, View),
    /// It was not decided, because that would not pay or because a side could not be read to its end:
    /// the reading that follows says why.
    Open,
}

/// Compares the sums of all row hashes, where that pays.
pub(super) async fn decide(request: &Request<'_>, spec: &Arc<Spec>, outcome: &mut Outcome) -> Equality {
    let cheap = |side: &Side| side.store.datasets().is_some_and(Datasets::rereads_cheaply);
    if request.live || request.keep_digest || !cheap(request.source) || !cheap(request.replica) {
        return Equality::Open;
    }
    let views = futures_util::future::join(
        request.source.open(&request.plan.source),
        request.replica.open(&request.plan.replica),
    );
    let (Ok(source), Ok(replica)) = views.await else {
        return Equality::Open;
    };
    let both =
        futures_util::future::join(request.source.sum_view(&source, spec), request.replica.sum_view(&replica, spec));
    let (Ok((ours, source_bytes)), Ok((theirs, replica_bytes))) = both.await else {
        return Equality::Open;
    };
    outcome.source_bytes = source_bytes;
    outcome.replica_bytes = replica_bytes;
    if ours == theirs {
        settle(outcome, &ours, &source, &replica);
        return Equality::Equal;
    }
    // All rows will go by once more.
    request.source.cx.progress().expect(ours.rows(), 0);
    request.replica.cx.progress().expect(theirs.rows(), 0);
    Equality::Unequal(source, replica)
}

fn settle(outcome: &mut Outcome, sums: &RowSums, source: &View, replica: &View) {
    outcome.source_rows = Some(sums.rows());
    outcome.replica_rows = Some(sums.rows());
    outcome.source_position = Some(source.position());
    outcome.replica_position = Some(replica.position());
    outcome.equal = true;
    outcome.complete = true;
}
