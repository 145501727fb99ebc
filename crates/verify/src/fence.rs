//! Fences: waiting until the replica shows what the source shows now.

use crate::Side;
use crate::rows::{Failure, Origin};
use paritas_connect::{Error, FailureKind, Result};
use paritas_model::{Known, Position};
use std::time::Duration;

/// What waiting for a fence came to.
#[derive(Debug)]
pub(crate) enum Fence {
    /// The replica shows everything up to here.
    Reached(Position),
    /// It did not get there in time; the run itself has time left.
    Missed(String),
}

/// Where the source is now.
pub(crate) async fn now(source: &Side) -> Result<Position> {
    let stream = source.store.positions().ok_or_else(|| Error::unsupported("positions"))?;
    source.again("read the position", || stream.current(&source.cx)).await
}

/// Why the replica may show commits that the source does not show yet; `None` when it cannot. Asked between
/// a reading of the replica and one of the source, it covers both.
///
/// # Errors
/// Those of the source.
pub async fn held(source: &Side) -> Result<Option<String>> {
    let stream = source.store.positions().ok_or_else(|| Error::unsupported("positions"))?;
    Ok(match source.again("look for commits that wait", || stream.held_commits(&source.cx)).await? {
        Known::Known(0) => None,
        Known::Known(count) => Some(format!(
            "{count} commits of the source wait for a synchronous standby: replicas show them and the source does not yet"
        )),
        Known::Unknown { why } => Some(why),
    })
}

/// Waits at most `settle` until the replica shows everything that the source shows now.
pub(crate) async fn fence(source: &Side, replica: &Side, settle: Duration) -> Result<Fence, Failure> {
    let at_replica = |error| (Origin::Replica, error);
    let stream = replica.store.positions().ok_or_else(|| at_replica(Error::unsupported("positions")))?;
    let fence = now(source).await.map_err(|error| (Origin::Source, error))?;
    let cx = replica.cx.clone().with_timeout(settle);
    let reached = replica.again("wait for the source's position", || cx.bound(stream.wait_for(&cx, &fence))).await;
    match reached {
        Ok(_) => Ok(Fence::Reached(fence)),
        Err(error) if error.kind() == FailureKind::Deadline => {
            // Whether only this wait is over, or the whole run.
            replica.cx.check().map_err(at_replica)?;
            Ok(Fence::Missed(format!("the replica did not reach the source's position {fence} in time: {error}")))
        }
        Err(error) => Err(at_replica(error)),
    }
}

/// Waits at most `settle` until the replica shows everything that the source shows now; says why it did not
/// get there.
///
/// # Errors
/// Those of either side.
pub async fn catch_up(source: &Side, replica: &Side, settle: Duration) -> Result<Option<String>, Failure> {
    match fence(source, replica, settle).await? {
        Fence::Reached(_) => Ok(None),
        Fence::Missed(why) => Ok(Some(why)),
    }
}
