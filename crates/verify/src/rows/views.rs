//! Pinning one view of each side, so that the two say something about each other.
//!
//! On a live link the replica's view is pinned after a fence, so it shows everything that the
//! source's view shows, and perhaps more. Where suspects cannot be read again by key (rows without a
//! key, stores without look-ups) that is not enough to prove a difference. There the two views are
//! pinned in a moment in which the source stands still, if one can be found: its position is the same
//! before its view is pinned, as the fence, and after the replica's view is pinned. Both views show
//! one state then, and whatever differs between them is proven. The source may be written again while
//! they are read.

use super::{Failure, Origin, Request};
use crate::fence::{Fence, fence, held, now};
use crate::side::View;
use paritas_model::Position;
use std::cmp::Ordering;
use std::time::{Duration, Instant};

/// Pairs of views pinned in search of a still moment, at most.
const PINS_MAX: u32 = 8;
/// How long the source must have stood still before its view is pinned. A commit becomes visible a
/// little after its record is in the log; this is the time it gets.
const STILL: Duration = Duration::from_millis(25);
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// A view of each side.
#[derive(Debug)]
pub(super) struct Views {
    pub(super) source: View,
    pub(super) replica: View,
    /// Position that the replica had reached before its view was pinned.
    pub(super) fence: Option<Position>,
    /// Why there is no fence, where one was missed.
    pub(super) missed: Option<String>,
    /// Whether both show one and the same state of the source.
    pub(super) still: bool,
}

/// Pins the source's view.
pub(super) async fn open_source(request: &Request<'_>) -> Result<View, Failure> {
    request.source.open(&request.plan.source).await.map_err(|error| (Origin::Source, error))
}

/// A replica's view, its fence, or why that was missed.
pub(super) type Fenced = (View, Option<Position>, Option<String>);

/// Pins the replica's view; on a live link after a fence.
pub(super) async fn open_replica(request: &Request<'_>) -> Result<Fenced, Failure> {
    let (mut reached, mut missed) = (None, None);
    if request.live {
        match fence(request.source, request.replica, request.settle).await? {
            Fence::Reached(position) => reached = Some(position),
            Fence::Missed(why) => missed = Some(why),
        }
    }
    let scan = request.replica.open(&request.plan.replica).await.map_err(|error| (Origin::Replica, error))?;
    Ok((scan, reached, missed))
}

/// Pins both views of a live link, in a moment in which the source stands still if there is one.
pub(super) async fn pin(request: &Request<'_>) -> Result<Views, Failure> {
    let at_source = |error| (Origin::Source, error);
    let started = Instant::now();
    let mut pause = STILL;
    let mut attempt = 1;
    loop {
        let before = now(request.source).await.map_err(at_source)?;
        // Before the view is pinned: what is let go later was not in it, and what was let go before is.
        let held = held(request.source).await.map_err(at_source)?;
        request.source.pause(STILL).await.map_err(at_source)?;
        let source = open_source(request).await?;
        let (replica, fence, missed) = open_replica(request).await?;
        let after = now(request.source).await.map_err(at_source)?;
        let same = |other: &Position| before.order(other) == Some(Ordering::Equal);
        let mut still = same(&after) && fence.as_ref().is_some_and(same);
        if let Some(why) = held.filter(|_| still) {
            tracing::info!(why, "the views may show different commits");
            still = false;
        }
        let over = attempt == PINS_MAX || missed.is_some() || started.elapsed() >= request.settle;
        if still || over {
            return Ok(Views { source, replica, fence, missed, still });
        }
        tracing::debug!(attempt, "the source moved while views were pinned");
        drop((source, replica));
        request.source.pause(pause).await.map_err(at_source)?;
        pause = (pause * 2).min(PAUSE_MAX);
        attempt += 1;
    }
}
