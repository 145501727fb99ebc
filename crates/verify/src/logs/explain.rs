//! From chains that differ to findings: reading the gaps again and sorting out what is in them.

use super::extend::{again, extend};
use super::gaps::Walk;
use super::load::Failure;
use super::pair::{Pair, contradiction};
use super::request::Request;
use crate::rows::Origin;
use paritas_connect::logs::Partition;
use paritas_logs::content::{Beside, Chain, Comparison, Explained, Explainer, Facts, Of, Policy, compare};

/// How often a log is explained anew because logs lost their beginnings meanwhile, at most.
const ROUNDS_MAX: u32 = 6;

const REPEATS: &str = "whole stretches of records repeat and the beginning of a log is gone, so that equal records need not be the same ones";

/// Explains what differs in the pairs of one log. Pairs that cannot be explained get their problem.
pub(super) async fn explain(request: &Request<'_>, pairs: &mut [Pair<'_>], policy: Policy) -> Explained {
    for _ in 0..ROUNDS_MAX {
        let (explained, failures) = once(request, pairs, policy).await;
        if !settle(request, pairs, failures).await {
            return explained;
        }
        for (of, side) in [(Of::Replica, request.replica), (Of::Source, request.source)] {
            let sound = pairs.iter_mut().filter(|pair| pair.problem.is_none());
            extend(request, side, sound.map(|pair| pair.log_mut(of)).collect()).await;
        }
    }
    for pair in pairs.iter_mut() {
        let error = contradiction(pair.source.partition());
        pair.fail(Origin::Comparison, error);
    }
    Explainer::new(policy, facts(pairs, &[])).explain()
}

async fn once(request: &Request<'_>, pairs: &mut [Pair<'_>], policy: Policy) -> (Explained, Vec<(usize, Failure)>) {
    let comparisons = beside_each_other(pairs);
    let pairs = &*pairs;
    let besides: Vec<Option<Beside<'_>>> = pairs.iter().zip(&comparisons).map(|(pair, c)| beside(pair, c)).collect();
    let mut explainer = Explainer::new(policy, facts(pairs, &besides));
    let mut walk = Walk::new(request, pairs, &besides, &mut explainer);
    for (index, comparison) in comparisons.iter().enumerate() {
        walk.gaps(index, comparison.iter().flat_map(|comparison| &comparison.gaps)).await;
    }
    walk.flush().await;
    walk.copies().await;
    let failures = walk.failures;
    (explainer.explain(), failures)
}

/// Lays the chains of all pairs beside each other, where there are any.
fn beside_each_other(pairs: &mut [Pair<'_>]) -> Vec<Option<Comparison>> {
    let one = |pair: &mut Pair<'_>| {
        if !pair.is_sound() {
            return None;
        }
        pair.source.chain();
        pair.replica.chain();
        Some(compare(pair.source.closed()?, pair.replica.closed()?, pair.lie()))
    };
    pairs.iter_mut().map(one).collect()
}

fn beside<'a>(pair: &'a Pair<'_>, comparison: &'a Option<Comparison>) -> Option<Beside<'a>> {
    Some(Beside::new(pair.source.closed()?, pair.replica.closed()?, comparison.as_ref()?, pair.lie()))
}

fn facts(pairs: &[Pair<'_>], besides: &[Option<Beside<'_>>]) -> Vec<Facts> {
    let besides = besides.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let fact = |(pair, beside): (&Pair<'_>, Option<&Beside<'_>>)| {
        let mut facts = Facts::new(pair.facing.source.index, pair.lie(), pair.fence);
        if let Some(beside) = beside {
            beside.matched(&mut facts);
            facts.doubt = beside.is_doubtful().then(|| REPEATS.to_owned());
        }
        facts
    };
    pairs.iter().zip(besides).map(fact).collect()
}

/// Which replicas lack something from before the fence, looking at the ends of the logs only.
pub(super) async fn behind(request: &Request<'_>, pairs: &mut [Pair<'_>], policy: Policy) -> Vec<bool> {
    let comparisons = beside_each_other(pairs);
    let pairs = &*pairs;
    let besides: Vec<Option<Beside<'_>>> = pairs.iter().zip(&comparisons).map(|(pair, c)| beside(pair, c)).collect();
    let mut explainer = Explainer::new(policy, facts(pairs, &besides));
    let mut walk = Walk::new(request, pairs, &besides, &mut explainer);
    for (index, (pair, comparison)) in pairs.iter().zip(&comparisons).enumerate() {
        let end = pair.source.closed().map_or(0, Chain::len);
        let last = comparison.iter().flat_map(|comparison| comparison.gaps.last());
        if !pair.open {
            continue;
        }
        let before = |at: usize| pair.source.closed()?.get(at).map(|segment| segment.first < pair.fence);
        let ours = last.filter(|gap| gap.source.end == end && before(gap.source.start) == Some(true));
        walk.gaps(index, ours).await;
    }
    walk.flush().await;
    let explained = explainer.explain();
    let behind = |(pair, offset): (&Pair<'_>, &Option<u64>)| offset.is_some_and(|offset| offset < pair.fence);
    pairs.iter().zip(&explained.behind).map(behind).collect()
}

/// Takes in what failed: a log that lost its beginning goes on without it (`true`), everything else is the problem of
/// its pair.
async fn settle(request: &Request<'_>, pairs: &mut [Pair<'_>], failures: Vec<(usize, Failure)>) -> bool {
    let mut moved = false;
    for (index, (origin, error)) in failures {
        let Some(pair) = pairs.get_mut(index) else { continue };
        let (of, side) = match origin {
            Origin::Source => (Of::Source, request.source),
            Origin::Replica | Origin::Comparison => (Of::Replica, request.replica),
        };
        let changed = matches!(error.code(), "log.truncated" | "data.changed");
        let partition: Partition = pair.log(of).partition().clone();
        let ends = if changed { side.ends(&[partition]).await.ok().and_then(|mut ends| ends.pop()) } else { None };
        match ends {
            Some(Ok(ends)) if ends.start > pair.log(of).from() => {
                pair.log_mut(of).lose_before(ends.start);
                moved = true;
            }
            // The same pair may have failed twice, and has gone on after the first time.
            _ if moved && changed => {}
            _ => pair.fail(origin, again(&error)),
        }
    }
    moved
}
