//! The first reading of all pages of both sides, side by side.

use super::{Pair, Place, maps};
use crate::rows::{Failure, Origin, Outcome};
use paritas_connect::{
    Error, FailureKind, Likeness, Page, PageKind, PagePair, PageRange, PageReader, PageRelation, Transactions,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Pages of one range: 2 MiB of the usual size, read in about 5 ms.
pub(super) const RANGE: u64 = 256;
/// Ranges that are read at a time, however many processors there are: each is in memory twice.
const TASKS_MAX: usize = 8;
/// Suspects that are remembered; a replica far behind makes every page one.
const SUSPECTS_MAX: usize = 1 << 20;

/// The newest pages that are remembered.
const NEWEST_MAX: usize = 10;

/// What the first reading came to.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Pages that are not equal in one version.
    pub(super) suspects: Vec<Place>,
    /// Suspects that could not be remembered.
    pub(super) forgotten: u64,
    /// Pages that are equal.
    pub(super) equal: u64,
    /// Transactions of the rows in equal pages.
    pub(super) transactions: Transactions,
    /// The newest versions on the source with their places, at most one of each range.
    pub(super) newest: BinaryHeap<Reverse<(u64, Place)>>,
}

/// One part of the work, for a task of its own.
struct Part {
    source: Arc<dyn PageReader>,
    replica: Arc<dyn PageReader>,
    relations: Arc<Vec<PageRelation>>,
    relation: usize,
    range: Range<u64>,
}

/// What a part came to.
#[derive(Default)]
struct Done {
    suspects: Vec<Place>,
    equal: u64,
    transactions: Transactions,
    newest: Option<(u64, Place)>,
    bytes: (u64, u64),
}

/// Compares all pages once.
pub(super) async fn first(pair: &Pair<'_>, outcome: &mut Outcome) -> Result<Passed, Failure> {
    let request = pair.request;
    let ranges = pair.relations.iter().enumerate().flat_map(|(relation, one)| {
        let starts = (0..one.blocks.div_ceil(RANGE)).map(|index| index * RANGE);
        starts.map(move |start| (relation, start..(start + RANGE).min(one.blocks)))
    });
    let mut waiting = ranges.map(|(relation, range)| Part {
        source: Arc::clone(&pair.source),
        replica: Arc::clone(&pair.replica),
        relations: Arc::clone(&pair.relations),
        relation,
        range,
    });
    let (source, replica) = (request.source.clone(), request.replica.clone());
    let work = |part: Part| {
        let sides = (source.clone(), replica.clone());
        async move { compare(part, sides).await }
    };
    let mut tasks = JoinSet::new();
    for part in waiting.by_ref().take(request.source.cx.parallel().min(TASKS_MAX)) {
        tasks.spawn(work(part));
    }
    let mut passed = Passed::default();
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        match ended.unwrap_or_else(|error| Err((Origin::Comparison, lost(error)))) {
            Ok(done) => take(done, &mut passed, outcome),
            Err(failure) => {
                result = Err(failure);
                break;
            }
        }
        if let Some(next) = waiting.next() {
            tasks.spawn(work(next));
        }
    }
    tasks.shutdown().await;
    result.map(|()| passed)
}

fn lost(error: tokio::task::JoinError) -> Error {
    Error::new(FailureKind::Permanent, "internal.task", "the reading of pages ended early").because(error)
}

fn take(done: Done, passed: &mut Passed, outcome: &mut Outcome) {
    let room = SUSPECTS_MAX.saturating_sub(passed.suspects.len());
    passed.forgotten += done.suspects.len().saturating_sub(room) as u64;
    passed.suspects.extend(done.suspects.into_iter().take(room));
    passed.equal += done.equal;
    passed.transactions.merge(done.transactions);
    passed.newest.extend(done.newest.map(Reverse));
    if passed.newest.len() > NEWEST_MAX {
        passed.newest.pop();
    }
    outcome.source_bytes += done.bytes.0;
    outcome.replica_bytes += done.bytes.1;
}

async fn compare(part: Part, (source, replica): (crate::Side, crate::Side)) -> Result<Done, Failure> {
    let Part { relation, range, .. } = &part;
    let Some(read) = part.relations.get(*relation) else { return Ok(Done::default()) };
    let (ours, theirs) = futures_util::future::join(
        source.again("read pages", || part.source.read(&source.cx, read, range.clone())),
        replica.again("read pages", || part.replica.read(&replica.cx, read, range.clone())),
    )
    .await;
    let (ours, theirs) = (ours.map_err(|e| (Origin::Source, e))?, theirs.map_err(|e| (Origin::Replica, e))?);
    let bytes = (ours.bytes.len() as u64, theirs.bytes.len() as u64);
    source.budget.charge(0, bytes.0.saturating_add(bytes.1)).map_err(|error| (Origin::Comparison, error))?;
    let mut done = Done { bytes, ..Done::default() };
    for block in range.clone() {
        let place = Place { relation: *relation, block };
        if let Page::Bytes(page) = ours.page(block) {
            done.newest = done.newest.max(Some((part.source.version(page), place)));
        }
        if equal(&*part.source, read, place, (&ours, &theirs), &mut done.transactions) {
            done.equal += 1;
        } else {
            done.suspects.push(place);
        }
    }
    Ok(done)
}

/// Whether both have this page in one version, or neither has it.
pub(super) fn equal(
    reader: &dyn PageReader,
    relation: &PageRelation,
    place: Place,
    (ours, theirs): (&PageRange, &PageRange),
    transactions: &mut Transactions,
) -> bool {
    match (ours.page(place.block), theirs.page(place.block)) {
        (Page::Empty, Page::Empty) => true,
        (ours, theirs) if relation.kind == PageKind::Map => match (maps::said(ours), maps::said(theirs)) {
            (Some(ours), Some(theirs)) => reader.claims(place.block, ours, theirs).is_empty(),
            _ => false,
        },
        (Page::Bytes(source), Page::Bytes(replica)) => {
            let (method, block) = (relation.method.as_str(), place.block);
            let pair = PagePair { relation: place.relation, method, block, source, replica };
            reader.compare(&pair, transactions) == Likeness::Equal
        }
        _ => false,
    }
}
