//! The rows in differing pages that the source leaves alone.
//!
//! Reading a row on the source may set a hint and so log the whole page, which overwrites the damaged
//! page of the replica with a good one. So the replica's rows are read first. That proves something
//! about the source's rows, read afterwards, where the source's page was the same before and after
//! and all transactions in it had ended before the fence: then its rows were the same all the time.

use super::{Pair, Place};
use crate::Side;
use crate::fence::{Fence, fence};
use crate::matching::{Mismatch, group, mismatches};
use crate::rows::{Failure, Origin};
use paritas_connect::{
    Error, FailureKind, FetchedRow, Likeness, Page, PagePair, PageRange, PageReader, PageRelation, ScanRequest,
    TransactionEnd, Transactions,
};

/// What the rows of some pages are.
#[derive(Debug, Default)]
pub(super) struct Still {
    /// Differing rows, all proven.
    pub(super) rows: Vec<Mismatch>,
    /// Pages that were written meanwhile, so that nothing about their rows is proven.
    pub(super) moving: Vec<u64>,
    /// Pages whose rows the replica cannot hand out, with what it said.
    pub(super) unread: Vec<(u64, String)>,
}

/// Compares the rows of these pages of one relation.
pub(super) async fn of_blocks(pair: &Pair<'_>, index: usize, blocks: &[u64]) -> Result<Still, Failure> {
    let mut still = Still::default();
    let Some(relation) = pair.relations.get(index) else { return Ok(still) };
    let (source, replica) = (pair.request.source, pair.request.replica);
    let at_source = |error: Error| (Origin::Source, error);
    let mut pages = Vec::with_capacity(blocks.len());
    for block in blocks {
        pages.push(page(source, &*pair.source, relation, *block).await.map_err(at_source)?);
    }
    let ended = all_ended(pair, index, blocks, &pages).await.map_err(at_source)?;
    if let Fence::Missed(_) = fence(source, replica, pair.request.settle).await? {
        still.moving = blocks.to_vec();
        return Ok(still);
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for ((block, before), ended) in blocks.iter().zip(&pages).zip(ended) {
        let there = match rows(replica, &*pair.replica, relation, &pair.request.plan.replica, *block).await {
            Ok(rows) => rows,
            // A damaged page may make any value unreadable, in many words.
            Err(error) if matches!(error.kind(), FailureKind::Damaged | FailureKind::Permanent) => {
                still.unread.push((*block, error.to_string()));
                continue;
            }
            Err(error) => return Err((Origin::Replica, error)),
        };
        let here = rows(source, &*pair.source, relation, &pair.request.plan.source, *block).await.map_err(at_source)?;
        let after = page(source, &*pair.source, relation, *block).await.map_err(at_source)?;
        if ended && same(&*pair.source, relation, Place { relation: index, block: *block }, before, &after) {
            ours.extend(here);
            theirs.extend(there);
        } else {
            still.moving.push(*block);
        }
    }
    still.rows = held_against(ours, theirs, pair.request.plan.canon.key_columns > 0);
    Ok(still)
}

/// Rows of equal pages cancel each other out over the whole table, so what differs between these pages
/// is what differs between the tables.
fn held_against(ours: Vec<FetchedRow>, theirs: Vec<FetchedRow>, keyed: bool) -> Vec<Mismatch> {
    if !keyed {
        return mismatches(&ours, &theirs, false);
    }
    let (ours, mut theirs) = (group(ours), group(theirs));
    let mut found = Vec::new();
    for (key, rows) in &ours {
        found.extend(mismatches(rows, &theirs.remove(key).unwrap_or_default(), true));
    }
    theirs.values().for_each(|rows| found.extend(mismatches(&[], rows, true)));
    found
}

/// Whether all transactions that each page depends on have ended on the source.
async fn all_ended(
    pair: &Pair<'_>,
    relation: usize,
    blocks: &[u64],
    pages: &[PageRange],
) -> paritas_connect::Result<Vec<bool>> {
    let (source, reader) = (pair.request.source, &*pair.source);
    let method = pair.relations.get(relation).map_or("", |relation| relation.method.as_str());
    let recent = source.again("read transactions", || reader.recent_transaction(&source.cx)).await?;
    let mut ended = Vec::with_capacity(blocks.len());
    for (block, range) in blocks.iter().zip(pages) {
        let Page::Bytes(bytes) = range.page(*block) else {
            ended.push(true);
            continue;
        };
        let mut transactions = Transactions::default();
        let own = PagePair { relation, method, block: *block, source: bytes, replica: bytes };
        reader.compare(&own, &mut transactions);
        let numbers = transactions.numbers(false).into_iter().map(|number| Transactions::full(number, recent));
        let numbers: Vec<u64> = numbers.collect();
        let ends = source.again("ask for transactions", || reader.ends(&source.cx, &numbers)).await?;
        let over = |end: &TransactionEnd| matches!(end, TransactionEnd::Committed | TransactionEnd::Aborted);
        ended.push(transactions.groups().is_empty() && ends.iter().all(over));
    }
    Ok(ended)
}

fn same(reader: &dyn PageReader, relation: &PageRelation, place: Place, before: &PageRange, after: &PageRange) -> bool {
    match (before.page(place.block), after.page(place.block)) {
        (Page::Empty, Page::Empty) => true,
        (Page::Bytes(source), Page::Bytes(replica)) => {
            let (method, block) = (relation.method.as_str(), place.block);
            let pages = PagePair { relation: place.relation, method, block, source, replica };
            reader.compare(&pages, &mut Transactions::default()) != Likeness::Different
        }
        _ => false,
    }
}

async fn page(
    side: &Side,
    reader: &dyn PageReader,
    relation: &PageRelation,
    block: u64,
) -> paritas_connect::Result<PageRange> {
    side.again("read a page", || reader.read(&side.cx, relation, block..block + 1)).await
}

async fn rows(
    side: &Side,
    reader: &dyn PageReader,
    relation: &PageRelation,
    request: &ScanRequest,
    block: u64,
) -> paritas_connect::Result<Vec<FetchedRow>> {
    let blocks = [block];
    side.again("read rows of a page", || reader.rows(&side.cx, relation, request, &blocks)).await
}
