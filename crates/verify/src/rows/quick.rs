//! A quick look: both stores sum up hashes of their rows, and only the sums are compared.
//!
//! Equal sums prove nothing: they may meet by chance, and the server takes some different values for
//! equal. Unequal ones mean that rows differ now, in flight or for good; which, the full comparison says.

use super::{Failure, Origin, Request};
use crate::Side;
use crate::fence::{Fence, fence};
use paritas_connect::{Error, QuickPart, QuickSum, Result, ScanRequest};
use paritas_model::Known;
use tokio::task::JoinSet;

/// What a quick look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuickLook {
    /// All parts have equal sums.
    Equal {
        /// Rows of either side.
        rows: u64,
        /// Number of parts.
        parts: usize,
    },
    /// These parts have unequal sums.
    Differs(Vec<String>),
    /// The stores cannot be looked at like this.
    Unavailable(String),
}

/// Looks at a dataset of a physical replica and its source.
///
/// # Errors
/// Those of either side.
pub async fn quick_look(request: &Request<'_>) -> Result<QuickLook, Failure> {
    let at_source = |error| (Origin::Source, error);
    let (source, plan) = (request.source, request.plan);
    let datasets = source.store.datasets().ok_or_else(|| at_source(Error::unsupported("rows")))?;
    let parts = source.again("cut into parts", || datasets.quick_parts(&source.cx, &plan.source)).await;
    let parts = match parts.map_err(at_source)? {
        Known::Known(parts) => parts,
        Known::Unknown { why } => return Ok(QuickLook::Unavailable(why)),
    };
    let ours = sums(source, &plan.source, &parts).await.map_err(at_source)?;
    if let Fence::Missed(why) = fence(source, request.replica, request.settle).await? {
        return Ok(QuickLook::Unavailable(why));
    }
    let theirs = sums(request.replica, &plan.replica, &parts).await.map_err(|error| (Origin::Replica, error))?;
    let differing: Vec<String> = parts
        .iter()
        .zip(ours.iter().zip(&theirs))
        .filter(|(_, (a, b))| a != b)
        .map(|(part, _)| part.to_string())
        .collect();
    Ok(match differing.is_empty() {
        true => QuickLook::Equal { rows: ours.iter().map(|sum| sum.rows).sum(), parts: parts.len() },
        false => QuickLook::Differs(differing),
    })
}

/// The sums of all parts in their order, some at a time.
async fn sums(side: &Side, request: &ScanRequest, parts: &[QuickPart]) -> Result<Vec<QuickSum>> {
    let one = |index: usize, part: &QuickPart| {
        let (side, request, part) = (side.clone(), request.clone(), part.clone());
        async move {
            let datasets = side.store.datasets().ok_or_else(|| Error::unsupported("rows"))?;
            let sum = side.again("sum up hashes", || datasets.quick_sum(&side.cx, &request, &part)).await?;
            Ok::<_, Error>((index, sum))
        }
    };
    let mut waiting = parts.iter().enumerate();
    let mut tasks = JoinSet::new();
    for (index, part) in waiting.by_ref().take(side.cx.parallel()) {
        tasks.spawn(one(index, part));
    }
    let mut sums: Vec<Option<QuickSum>> = vec![None; parts.len()];
    while let Some(ended) = tasks.join_next().await {
        let (index, sum) = ended.unwrap_or_else(|error| Err(crate::side::ended_early(error)))?;
        if let Some(slot) = sums.get_mut(index) {
            *slot = Some(sum);
        }
        if let Some((index, part)) = waiting.next() {
            tasks.spawn(one(index, part));
        }
    }
    Ok(sums.into_iter().flatten().collect())
}
