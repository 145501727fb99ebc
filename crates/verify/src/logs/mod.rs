//! Comparing mirrored logs: partition by partition, in order, record by record where they differ.
//!
//! Both sides are read once into chains of segments that are cut by content ([`paritas_logs::content`]). Equal chains
//! are equal logs. Where they differ both sides are read again record by record, and every difference gets a class.
//!
//! A mirror copies a partition in order, so what its replica has is the beginning of what the source had: the replica's
//! end is asked for before the source's, everything before the last record that both have is settled, and what follows
//! is in flight. Beginnings are different: where retention has cut a log, what the other one still has from before is
//! not compared.

mod begin;
mod compacted;
mod continuity;
mod explain;
mod extend;
mod gaps;
mod groups;
mod holes;
mod judge;
mod keep;
mod ledger;
mod load;
mod mirrors;
mod offsets;
mod outcome;
mod pair;
mod reading;
mod recovery;
mod request;
mod settle;
mod show;
mod side;
mod stored;
mod windows;

pub use continuity::{ContinuityAsk, Counted, continuity};
pub use groups::{Beside, groups};
pub use keep::{KeptChain, Led, Spared, Sparing, TakenTopic, Turn, Turns};
pub use ledger::{ChainOf, Ledger};
pub use mirrors::{MirrorAsk, SeekLimits, mirrors};
pub use offsets::{CertifyLimits, Kept, OffsetsAsk, Past, offsets};
pub use outcome::{Outcome, Read, Window};
pub use recovery::{Loss, LossAsk, loss};
pub use request::{Facing, Phase, Request, Topic};
pub use side::LogSide;
pub use windows::NamedPair;

use pair::Pair;
use paritas_logs::content::{Chain, Explained};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a replica that lacks something is given to bring it out of order, at most.
const STRAGGLERS_WAIT: Duration = Duration::from_secs(1);

/// Compares logs. Never fails as a whole: what went wrong is part of the outcomes, one for each log in the order of
/// the request.
pub async fn parity(request: &Request<'_>) -> Vec<Outcome> {
    (request.watch)(Phase::Planning);
    let mut pairs = Pair::all(request);
    begin::begin(request, &mut pairs).await;
    (request.watch)(Phase::Reading);
    settle::read_both(request, &mut pairs).await;
    (request.watch)(Phase::Settling);
    settle::settle(request, &mut pairs).await;
    (request.watch)(Phase::Explaining);
    let mut outcomes = Vec::with_capacity(request.topics.len());
    for (index, topic) in request.topics.iter().enumerate() {
        if topic.policy.compacted {
            let mut outcome = compacted::compare(request, topic).await;
            outcome.doubt(topic);
            show::show(request, topic, &mut outcome.findings).await;
            outcomes.push(outcome);
            continue;
        }
        let from = pairs.partition_point(|pair| pair.topic < index);
        let to = pairs.partition_point(|pair| pair.topic <= index);
        let own = pairs.get_mut(from..to).unwrap_or_default();
        let explained = explained(request, topic, own).await;
        let mut outcome = judge::outcome(own, explained, topic.policy, request.items_max);
        outcome.doubt(topic);
        show::show(request, topic, &mut outcome.findings).await;
        outcomes.push(outcome);
    }
    outcomes
}

/// Explains what differs. Where records are missing the replica is looked at once more: a mirror that works out of
/// order may have brought them meanwhile.
async fn explained(request: &Request<'_>, topic: &Topic, pairs: &mut [Pair<'_>]) -> Explained {
    let explained = explain::explain(request, pairs, topic.policy).await;
    let mut missing = false;
    for (pair, counts) in pairs.iter_mut().zip(&explained.counts) {
        pair.open = counts.missing > 0;
        missing |= pair.open;
    }
    if !missing || request.replica.pause(STRAGGLERS_WAIT.min(request.settle)).await.is_err() {
        return explained;
    }
    match settle::grow(request, pairs).await {
        Ok(true) => explain::explain(request, pairs, topic.policy).await,
        Ok(false) | Err(_) => explained,
    }
}

/// Compares the chains that are stored of a source with what the replica holds now: the source is gone, and not
/// asked. Facing partitions without a stored chain are listed under what is not checked.
pub async fn against(request: &Request<'_>) -> Vec<Outcome> {
    stored::against(request).await
}

/// Reads partitions of the source into chains that can be stored, with the last `trail` records one by one.
pub async fn snapshot(request: &Request<'_>, trail: usize) -> Vec<(Outcome, Vec<Option<Chain>>)> {
    let turns = |_, _| BTreeSet::new();
    let sparing = Sparing { kept: BTreeMap::new(), refused: BTreeMap::new(), turns: &turns, now: 0 };
    let (taken, _) = keep::take(request, trail, sparing).await;
    let chains = |kept: Vec<Option<KeptChain>>| kept.into_iter().map(|kept| kept.map(|kept| kept.chain)).collect();
    taken.into_iter().map(|(outcome, kept)| (outcome, chains(kept))).collect()
}

/// The same, taking over what need not be read again.
pub async fn snapshot_sparing(request: &Request<'_>, trail: usize, sparing: Sparing<'_>) -> (Vec<TakenTopic>, Spared) {
    keep::take(request, trail, sparing).await
}
