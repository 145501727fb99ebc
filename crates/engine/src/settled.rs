//! Reading facts of both sides of a live link so that they belong together.
//!
//! A table that was created a moment ago is not yet on the replica, and that is no difference. So
//! what differs at first is read again: the source, a fence, the replica, the source, a fence, the replica.
//! Where each of both said the same both times, what the replica says differs for good: it had what the source
//! had not, and kept it beyond a position at which the source still had it not. Once is not enough, because what
//! is created and dropped between two readings of the source leaves no trace there.

use crate::error::problem_of;
use crate::job::{Failure, Sides};
use paritas_connect::{Error, FailureKind, Result};
use paritas_report::Problem;
use paritas_verify::rows::Origin;
use paritas_verify::{Side, catch_up, held};
use std::future::Future;
use std::time::Duration;

/// Readings of sides that keep changing, at most.
const ROUNDS_MAX: u32 = 8;

/// What both sides say about the same state.
pub(crate) async fn settled<T, F, G>(
    sides: &Sides,
    settle: Duration,
    source: impl Fn(Side) -> F,
    replica: impl Fn(Side) -> G,
) -> Result<(T, T), Failure>
where
    T: PartialEq,
    F: Future<Output = Result<T>>,
    G: Future<Output = Result<T>>,
{
    let at = |origin: Origin| move |error: Error| (origin, problem_of(&error));
    // What is changed and changed back is another version, though it looks the same.
    let source = async |side: Side| Ok((version(&side).await?, source(side).await?));
    let replica = async |side: Side| Ok((version(&side).await?, replica(side).await?));
    let mut before = source(sides.source.clone()).await.map_err(at(Origin::Source))?;
    let mut last = None;
    for _ in 0..ROUNDS_MAX {
        let missed = catch_up(&sides.source, &sides.replica, settle).await;
        if let Some(why) = missed.map_err(|(origin, error)| (origin, problem_of(&error)))? {
            return Err((Origin::Replica, moving("the replica did not follow", why)));
        }
        let theirs = replica(sides.replica.clone()).await.map_err(at(Origin::Replica))?;
        if let Some(why) = held(&sides.source).await.map_err(at(Origin::Source))? {
            return Err((Origin::Source, moving("the source does not show all of its commits yet", why)));
        }
        let after = source(sides.source.clone()).await.map_err(at(Origin::Source))?;
        if after != before {
            (before, last) = (after, None);
        } else if last.as_ref() == Some(&theirs) {
            return Ok((after.1, theirs.1));
        } else {
            last = Some(theirs);
        }
    }
    let why = "They were different each time they were read.".to_owned();
    Err((Origin::Source, moving("they were changed all the time", why)))
}

async fn version(side: &Side) -> Result<Option<String>> {
    let datasets = side.store.datasets().ok_or_else(|| Error::unsupported("rows"))?;
    side.cx.bound(datasets.catalog_version(&side.cx)).await
}

fn moving(what: &str, why: String) -> Problem {
    let error = Error::new(FailureKind::Transient, "schema.moving", format!("schemas differ, and {what}"));
    problem_of(&error.detail(why).hint("run again when no migration is under way, or wait longer (--settle)"))
}
