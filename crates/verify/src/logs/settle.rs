//! Waiting for replicas to get what the sources had when the run began.

use super::explain::behind;
use super::extend::extend;
use super::pair::{Log, Pair, contradiction};
use super::request::Request;
use crate::rows::Origin;
use paritas_connect::Result;
use paritas_connect::logs::{Ends, Partition};
use paritas_logs::content::Of;
use std::time::{Duration, Instant};

/// Time between two looks at a replica.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Reads both sides of all pairs up to what is to be read.
pub(super) async fn read_both(request: &Request<'_>, pairs: &mut [Pair<'_>]) {
    let sound = pairs.iter_mut().filter(|pair| pair.problem.is_none());
    let (sources, replicas): (Vec<&mut Log>, Vec<&mut Log>) =
        sound.map(|pair| (&mut pair.source, &mut pair.replica)).unzip();
    tokio::join!(extend(request, request.source, sources), extend(request, request.replica, replicas));
}

/// Reads what arrives on replicas that lack something from before the fence, until they have it or the time is over.
pub(super) async fn settle(request: &Request<'_>, pairs: &mut [Pair<'_>]) {
    let begun = Instant::now();
    loop {
        for topic in pairs.chunk_by_mut(|a, b| a.topic == b.topic) {
            let Some(policy) = topic.first().map(|pair| pair.policy) else { continue };
            let open = behind(request, topic, policy).await;
            topic.iter_mut().zip(open).for_each(|(pair, open)| pair.open = open && pair.problem.is_none());
        }
        let left = request.settle.saturating_sub(begun.elapsed());
        if left.is_zero() || !pairs.iter().any(|pair| pair.open) {
            return;
        }
        // Pairs whose replicas stand still need no second look.
        if request.replica.pause(LOOK_AGAIN.min(left)).await.is_err() || grow(request, pairs).await.is_err() {
            return;
        }
    }
}

/// Reads what has been appended to the open pairs; says whether a replica had anything. The replica is asked before the
/// source, as at the beginning.
pub(super) async fn grow(request: &Request<'_>, pairs: &mut [Pair<'_>]) -> Result<bool> {
    let mut open: Vec<&mut Pair<'_>> = pairs.iter_mut().filter(|pair| pair.open && pair.problem.is_none()).collect();
    let names = |open: &[&mut Pair<'_>], of: Of| -> Vec<Partition> {
        open.iter().map(|pair| pair.log(of).partition().clone()).collect()
    };
    let ends = request.replica.ends(&names(&open, Of::Replica)).await?;
    let mut grown: Vec<&mut Pair<'_>> = Vec::new();
    for (pair, ends) in open.drain(..).zip(ends) {
        let before = pair.replica.stable;
        saw(pair, Of::Replica, ends);
        if pair.replica.stable > before && pair.problem.is_none() {
            grown.push(pair);
        }
    }
    let ends = request.source.ends(&names(&grown, Of::Source)).await?;
    for (pair, ends) in grown.iter_mut().zip(ends) {
        saw(pair, Of::Source, ends);
    }
    let any = !grown.is_empty();
    read_both(request, pairs).await;
    Ok(any)
}

fn saw(pair: &mut Pair<'_>, of: Of, ends: Result<Ends>) {
    let origin = if of == Of::Source { Origin::Source } else { Origin::Replica };
    match ends {
        // It has lost its end.
        Ok(ends) if ends.stable < pair.log(of).next() => pair.fail(origin, contradiction(pair.log(of).partition())),
        Ok(ends) => pair.log_mut(of).saw(&ends),
        Err(error) => pair.fail(origin, error),
    }
}
