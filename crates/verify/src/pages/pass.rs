//! The first reading of all pages of both sides, side by side.

use super::confirm::runs;
use super::ways::{Way, Ways};
use super::{Pair, Place, maps};
use crate::Side;
use crate::rows::{Failure, Origin, Outcome};
use paritas_connect::{
    Error, FailureKind, Likeness, Page, PageKind, PagePair, PageRange, PageReader, PageRelation, SealRange,
    Transactions,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Pages of one range: 2 MiB of the usual size, read in about 5 ms.
pub(super) const RANGE: u64 = 256;
/// Pages of one part of the work: the most whose digests are asked for in one statement.
const PART: u64 = 4 * RANGE;
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
    /// Those of them of which only digests came from one side at least.
    pub(super) sealed: u64,
    /// Transactions of the rows in equal pages.
    pub(super) transactions: Transactions,
    /// The newest versions on the source with their places, at most one of each range.
    pub(super) newest: BinaryHeap<Reverse<(u64, Place)>>,
}

/// One part of the work, for a task of its own.
struct Part {
    source: (Side, Arc<dyn PageReader>),
    replica: (Side, Arc<dyn PageReader>),
    relations: Arc<Vec<PageRelation>>,
    relation: usize,
    range: Range<u64>,
    ways: Arc<Ways>,
}

/// What a part came to.
#[derive(Default)]
struct Done {
    suspects: Vec<Place>,
    equal: u64,
    sealed: u64,
    transactions: Transactions,
    newest: Option<(u64, Place)>,
    bytes: (u64, u64),
}

/// Compares all pages once.
pub(super) async fn first(pair: &Pair<'_>, ways: &Arc<Ways>, outcome: &mut Outcome) -> Result<Passed, Failure> {
    let request = pair.request;
    let ranges = pair.relations.iter().enumerate().flat_map(|(relation, one)| {
        let starts = (0..one.blocks.div_ceil(PART)).map(|index| index * PART);
        starts.map(move |start| (relation, start..(start + PART).min(one.blocks)))
    });
    let mut waiting = ranges.map(|(relation, range)| Part {
        source: (request.source.clone(), Arc::clone(&pair.source)),
        replica: (request.replica.clone(), Arc::clone(&pair.replica)),
        relations: Arc::clone(&pair.relations),
        relation,
        range,
        ways: Arc::clone(ways),
    });
    let mut tasks = JoinSet::new();
    for part in waiting.by_ref().take(request.source.cx.parallel().min(TASKS_MAX)) {
        tasks.spawn(part.compare());
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
            tasks.spawn(next.compare());
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
    passed.sealed += done.sealed;
    passed.transactions.merge(done.transactions);
    passed.newest.extend(done.newest.map(Reverse));
    if passed.newest.len() > NEWEST_MAX {
        passed.newest.pop();
    }
    outcome.source_bytes += done.bytes.0;
    outcome.replica_bytes += done.bytes.1;
}

impl Part {
    async fn compare(self) -> Result<Done, Failure> {
        let mut done = Done::default();
        let Some(relation) = self.relations.get(self.relation) else { return Ok(done) };
        match self.ways.of(self.relation, self.range.start / PART) {
            Way::Sealed => self.sealed(relation, &mut done).await?,
            Way::Against => self.in_ranges(relation, true, &mut done).await?,
            Way::Read => self.in_ranges(relation, false, &mut done).await?,
        }
        Ok(done)
    }

    /// Reads pages, at most so many at a time as there is memory for.
    async fn in_ranges(&self, relation: &PageRelation, against: bool, done: &mut Done) -> Result<(), Failure> {
        let mut start = self.range.start;
        while start < self.range.end {
            let range = start..(start + RANGE).min(self.range.end);
            start = range.end;
            if !(against && self.against(relation, &range, done).await?) {
                self.read(relation, &range, done).await?;
            }
        }
        Ok(())
    }

    /// Both sides digest their pages; those whose digests differ are read.
    async fn sealed(&self, relation: &PageRelation, done: &mut Done) -> Result<(), Failure> {
        let (ours, theirs) = futures_util::future::join(
            seals(&self.source, relation, &self.range),
            seals(&self.replica, relation, &self.range),
        )
        .await;
        let (ours, theirs) = (ours.map_err(|e| (Origin::Source, e))?, theirs.map_err(|e| (Origin::Replica, e))?);
        let (Some(ours), Some(theirs)) = (ours, theirs) else {
            return self.in_ranges(relation, false, done).await;
        };
        self.count(ours.bytes, theirs.bytes, done)?;
        let mut left = Vec::new();
        for block in self.range.clone() {
            let place = Place { relation: self.relation, block };
            let (ours, theirs) = (ours.seal(block), theirs.seal(block));
            if let Some(ours) = ours {
                done.newest = done.newest.max(Some((ours.version, place)));
            }
            match (ours, theirs) {
                (None, None) => done.equal += 1,
                (Some(ours), Some(theirs)) if self.source.1.alike(relation, ours, theirs) => {
                    done.equal += 1;
                    done.sealed += 1;
                }
                _ => left.push(place),
            }
        }
        self.ways.note(self.relation, self.range.end - self.range.start, left.len() as u64);
        for (_, run) in runs(&left) {
            let (ours, theirs) = self.both(relation, &run).await?;
            self.count(ours.bytes.len() as u64, theirs.bytes.len() as u64, done)?;
            self.settle(relation, &ours, &theirs, wanted(&left, &run), done);
        }
        Ok(())
    }

    /// The source's pages are read, for the transactions in them, and the replica digests its own; those whose
    /// digests differ are read there as well. False where the replica has no digests.
    async fn against(&self, relation: &PageRelation, range: &Range<u64>, done: &mut Done) -> Result<bool, Failure> {
        let (ours, theirs) =
            futures_util::future::join(pages(&self.source, relation, range), seals(&self.replica, relation, range))
                .await;
        let (ours, theirs) = (ours.map_err(|e| (Origin::Source, e))?, theirs.map_err(|e| (Origin::Replica, e))?);
        let Some(theirs) = theirs else { return Ok(false) };
        self.count(ours.bytes.len() as u64, theirs.bytes, done)?;
        let reader = &*self.source.1;
        let mut left = Vec::new();
        for block in range.clone() {
            let place = Place { relation: self.relation, block };
            let page = ours.page(block);
            self.newest(page, place, done);
            let alike = match (page, theirs.seal(block)) {
                (Page::Empty, None) => true,
                (Page::Bytes(bytes), Some(theirs)) => {
                    let sealed = reader.seal(relation, bytes).is_some_and(|ours| reader.alike(relation, &ours, theirs));
                    sealed && self.collect(relation, place, bytes, done)
                }
                _ => false,
            };
            match alike {
                true => (done.equal, done.sealed) = (done.equal + 1, done.sealed + 1),
                false => left.push(place),
            }
        }
        self.ways.note(self.relation, range.end - range.start, left.len() as u64);
        for (_, run) in runs(&left) {
            let theirs = pages(&self.replica, relation, &run).await.map_err(|error| (Origin::Replica, error))?;
            self.count(0, theirs.bytes.len() as u64, done)?;
            self.settle(relation, &ours, &theirs, wanted(&left, &run), done);
        }
        Ok(true)
    }

    /// Collects the transactions of a page that both sides have.
    fn collect(&self, relation: &PageRelation, place: Place, page: &[u8], done: &mut Done) -> bool {
        let (method, block) = (relation.method.as_str(), place.block);
        let pair = PagePair { relation: place.relation, method, block, source: page, replica: page };
        self.source.1.compare(&pair, &mut done.transactions) == Likeness::Equal
    }

    /// Reads the pages of both sides.
    async fn read(&self, relation: &PageRelation, range: &Range<u64>, done: &mut Done) -> Result<(), Failure> {
        let (ours, theirs) = self.both(relation, range).await?;
        self.count(ours.bytes.len() as u64, theirs.bytes.len() as u64, done)?;
        let places = range.clone().map(|block| Place { relation: self.relation, block });
        places.clone().for_each(|place| self.newest(ours.page(place.block), place, done));
        self.settle(relation, &ours, &theirs, places, done);
        Ok(())
    }

    async fn both(&self, relation: &PageRelation, range: &Range<u64>) -> Result<(PageRange, PageRange), Failure> {
        let (ours, theirs) =
            futures_util::future::join(pages(&self.source, relation, range), pages(&self.replica, relation, range))
                .await;
        Ok((ours.map_err(|e| (Origin::Source, e))?, theirs.map_err(|e| (Origin::Replica, e))?))
    }

    /// Tells equal pages from suspects.
    fn settle(
        &self,
        relation: &PageRelation,
        ours: &PageRange,
        theirs: &PageRange,
        places: impl Iterator<Item = Place>,
        done: &mut Done,
    ) {
        for place in places {
            match equal(&*self.source.1, relation, place, (ours, theirs), &mut done.transactions) {
                true => done.equal += 1,
                false => done.suspects.push(place),
            }
        }
    }

    fn newest(&self, page: Page<'_>, place: Place, done: &mut Done) {
        if let Page::Bytes(page) = page {
            done.newest = done.newest.max(Some((self.source.1.version(page), place)));
        }
    }

    /// Counts what came from both sides.
    fn count(&self, source: u64, replica: u64, done: &mut Done) -> Result<(), Failure> {
        done.bytes = (done.bytes.0.saturating_add(source), done.bytes.1.saturating_add(replica));
        self.source.0.budget.charge(0, source.saturating_add(replica)).map_err(|error| (Origin::Comparison, error))
    }
}

/// Those of these places that lie in a run.
fn wanted(places: &[Place], run: &Range<u64>) -> impl Iterator<Item = Place> {
    let start = places.partition_point(|place| place.block < run.start);
    let end = places.partition_point(|place| place.block < run.end);
    places.get(start..end).unwrap_or_default().iter().copied()
}

async fn pages(
    (side, reader): &(Side, Arc<dyn PageReader>),
    relation: &PageRelation,
    range: &Range<u64>,
) -> paritas_connect::Result<PageRange> {
    side.again("read pages", || reader.read(&side.cx, relation, range.clone())).await
}

async fn seals(
    (side, reader): &(Side, Arc<dyn PageReader>),
    relation: &PageRelation,
    range: &Range<u64>,
) -> paritas_connect::Result<Option<SealRange>> {
    side.again("digest pages", || reader.seals(&side.cx, relation, range.clone())).await
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
