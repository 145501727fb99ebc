//! Maps that say something of the pages of another relation.
//!
//! What the replica's map says and the source's does not need not be wrong: clearing has no version of its
//! own, and a source that crashed may have forgotten what it said. It is wrong where the replica's own
//! page contradicts it. The replica's map is read before and after that page: in one version nothing was
//! said anew in between, so what both say stood there when the page was read.

use super::confirm::read;
use super::judge::{Fault, Judgement};
use super::{Pair, Place};
use crate::rows::{Failure, Origin};
use paritas_connect::{Claim, Page, PageRelation};

/// Pages that are read at a time: 2 MiB of the usual size.
const TOGETHER: usize = 256;
/// Pages that are named.
const NAMED_MAX: usize = 10;

/// The bytes of a map's page, none where it says nothing; `None` where the store cannot read it.
pub(super) fn said(page: Page<'_>) -> Option<&[u8]> {
    match page {
        Page::Empty => Some(&[]),
        Page::Bytes(bytes) => Some(bytes),
        Page::Damaged(_) => None,
    }
}

/// Judges one page of a map. The replica has replayed everything up to the last fence.
pub(super) async fn judge(pair: &Pair<'_>, map: &PageRelation, place: Place) -> Result<Judgement, Failure> {
    let (source, replica) = (pair.request.source, pair.request.replica);
    let range = place.block..place.block + 1;
    let at_replica = |error| (Origin::Replica, error);
    let ours = read(source, &*pair.source, map, range.clone()).await.map_err(|error| (Origin::Source, error))?;
    let before = read(replica, &*pair.replica, map, range.clone()).await.map_err(at_replica)?;
    let (ours, theirs) = match (ours.page(place.block), before.page(place.block)) {
        (Page::Damaged(text), _) => return Ok(Judgement::Unreadable(text.to_owned())),
        (_, Page::Damaged(text)) => return Ok(Judgement::Proven(Fault::Unreadable(text.to_owned()))),
        (ours, theirs) => (said(ours).unwrap_or_default(), said(theirs).unwrap_or_default()),
    };
    let claims = pair.source.claims(place.block, ours, theirs);
    let Some(table) = pair.relations.iter().find(|one| Some(&one.name) == map.of.as_ref()) else {
        return Ok(Judgement::Open(None));
    };
    for claims in claims.chunks(TOGETHER) {
        let wrong = contradicted(pair, table, claims).await.map_err(at_replica)?;
        if wrong.is_empty() {
            continue;
        }
        let after = read(replica, &*pair.replica, map, range.clone()).await.map_err(at_replica)?;
        let Some(now) = said(after.page(place.block)) else { return Ok(Judgement::Open(None)) };
        if now.is_empty() || pair.replica.version(now) != pair.replica.version(theirs) {
            return Ok(Judgement::Open(None));
        }
        let still = pair.source.claims(place.block, ours, now);
        let wrong = wrong.into_iter().filter(|claim| still.contains(claim)).map(|claim| claim.block);
        let wrong: Vec<u64> = wrong.take(NAMED_MAX).collect();
        return Ok(if wrong.is_empty() { Judgement::Open(None) } else { Judgement::Proven(Fault::Wrong(wrong)) });
    }
    Ok(Judgement::Settled)
}

/// The claims that the replica's own pages contradict.
async fn contradicted(pair: &Pair<'_>, table: &PageRelation, claims: &[Claim]) -> paritas_connect::Result<Vec<Claim>> {
    let mut wrong = Vec::new();
    let mut left = claims;
    while let Some(first) = left.first() {
        let near = |claim: &&Claim| claim.block < first.block + TOGETHER as u64;
        let (run, rest) = left.split_at(left.iter().take_while(near).count());
        left = rest;
        let end = run.last().map_or(first.block, |claim| claim.block) + 1;
        let pages = read(pair.request.replica, &*pair.replica, table, first.block..end).await?;
        for claim in run {
            // One that cannot be read is found by itself.
            if said(pages.page(claim.block)).is_some_and(|page| pair.replica.contradicts(*claim, page)) {
                wrong.push(*claim);
            }
        }
    }
    Ok(wrong)
}
