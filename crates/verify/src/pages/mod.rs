//! Comparing one dataset page by page, where the replica replays its source's log byte by byte.
//!
//! Both sides are read at the same time; a pair of pages in one version and equal in all that is
//! logged is settled, whenever each was read. The others are suspects and go through fenced rounds
//! ([`confirm`]). Rows are visible or not by how transactions ended, which is not in the pages, so the
//! transactions of all compared rows are held against each other as well ([`ends`]). Differing pages
//! are translated into rows ([`rows`]).

mod confirm;
mod ends;
mod judge;
mod maps;
mod pass;
mod report;
mod slice;
mod still;
mod ways;

use crate::Side;
use crate::fence::{Fence, fence, held, now};
use crate::rows::{Failure, Origin, Outcome, Phase, Request};
use judge::Fault;
use paritas_connect::{Error, FailureKind, PageKind, PageReader, PageRelation};
use paritas_model::{Known, Verdict};
use std::sync::Arc;
use ways::Ways;

/// How often it is tried again from the start when a relation was rewritten meanwhile.
const ATTEMPTS_MAX: u32 = 3;

/// The lowest number of a transaction; those below stand for nobody and for what has always been.
const LOWEST: u32 = 3;

/// What was compared, in pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// Pages that were compared to the end, in all relations.
    pub compared: u64,
    /// Those of them that were read again because of a write in flight, and are equal.
    pub arrived: u64,
    /// Those of them whose bytes did not come from both sides: a digest of at least one side did.
    pub sealed: u64,
    /// Pages that are proven to differ.
    pub differing: u64,
    /// Pages that kept changing, or could not be compared for another reason.
    pub unproven: u64,
    /// Transactions whose end was compared.
    pub transactions: u64,
    /// Relations whose pages were compared.
    pub relations: Vec<String>,
    /// Relations of the dataset that were not compared, each with the reason.
    pub left_out: Vec<(String, String)>,
}

/// Both sides with their readers, and what is compared.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) source: Arc<dyn PageReader>,
    pub(crate) replica: Arc<dyn PageReader>,
    /// Relations that are compared; pages are named by their place in this list.
    pub(crate) relations: Arc<Vec<PageRelation>>,
}

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) relation: usize,
    pub(crate) block: u64,
}

/// A page that is proven to differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Differing {
    pub(crate) place: Place,
    pub(crate) fault: Fault,
}

/// Compares one dataset page by page. Never fails as a whole: what went wrong is part of the outcome.
///
/// # Errors
/// Why pages say nothing about these two sides; then rows must be compared.
pub async fn verify(request: &Request<'_>) -> Result<Outcome, String> {
    let (source, replica) = match open(request).await {
        Ok(readers) => readers?,
        Err((origin, error)) => return Err(format!("pages could not be read: {} {error}", side_name(origin))),
    };
    match held(request.source).await {
        Ok(None) => {}
        Ok(Some(why)) => return Err(why),
        Err(error) => return Err(format!("pages could not be read: source: {error}")),
    }
    for attempt in 1..=ATTEMPTS_MAX {
        let mut outcome = Outcome { pages: Some(PageCounts::default()), ..Outcome::default() };
        (request.watch)(Phase::Digesting);
        let relations = match agree(request, &*source, &*replica, &mut outcome).await {
            Ok(Ok(relations)) => Arc::new(relations),
            Ok(Err(why)) => return Err(why),
            Err(failure) => return Ok(failed(outcome, failure)),
        };
        let pair = Pair { request, source: Arc::clone(&source), replica: Arc::clone(&replica), relations };
        match run(&pair, &mut outcome).await {
            Ok(Run::Done) if outcome.verdict() == Verdict::Pass => return Ok(outcome),
            // The replica may show commits that the source does not show yet; rows can be told apart.
            Ok(Run::Done) => match held(request.source).await {
                Ok(None) => return Ok(outcome),
                Ok(Some(why)) => return Err(why),
                Err(error) => return Ok(failed(outcome, (Origin::Source, error))),
            },
            Ok(Run::Void) => tracing::info!(attempt, "a relation was rewritten while its pages were compared"),
            Ok(Run::TooMany) => return Err("its rows depend on too many transactions".to_owned()),
            Err(failure) => return Ok(failed(outcome, failure)),
        }
    }
    Err("its files were made anew (by VACUUM FULL, TRUNCATE or the like) whenever their pages were compared".to_owned())
}

fn side_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Source => "source:",
        Origin::Replica => "replica:",
        Origin::Comparison => "",
    }
}

fn failed(mut outcome: Outcome, failure: Failure) -> Outcome {
    outcome.complete = false;
    outcome.problem = Some(failure);
    outcome
}

type Readers = (Arc<dyn PageReader>, Arc<dyn PageReader>);

/// Opens both sides; the inner error says why pages cannot be compared.
async fn open(request: &Request<'_>) -> Result<Result<Readers, String>, Failure> {
    let one = |side: &Side, dataset| {
        let (side, dataset): (Side, paritas_model::Dataset) = (side.clone(), dataset);
        async move {
            let Some(pages) = side.store.pages() else { return Ok(Known::unknown("this kind of store has no pages")) };
            side.again("open pages", || pages.open(&side.cx, &dataset)).await
        }
    };
    let (ours, theirs) = futures_util::future::join(
        one(request.source, request.plan.source.dataset.clone()),
        one(request.replica, request.plan.replica.dataset.clone()),
    )
    .await;
    let (ours, theirs) = (ours.map_err(|e| (Origin::Source, e))?, theirs.map_err(|e| (Origin::Replica, e))?);
    Ok(match (ours, theirs) {
        (Known::Known(ours), Known::Known(theirs)) => match ours.terms().unlike(theirs.terms()) {
            None => Ok((Arc::from(ours), Arc::from(theirs))),
            Some(why) => Err(why),
        },
        (Known::Unknown { why }, _) => Err(format!("source: {why}")),
        (_, Known::Unknown { why }) => Err(format!("replica: {why}")),
    })
}

/// The relations to compare: those of the source, once the replica has the same under the same files.
async fn agree(
    request: &Request<'_>,
    source: &dyn PageReader,
    replica: &dyn PageReader,
    outcome: &mut Outcome,
) -> Result<Result<Vec<PageRelation>, String>, Failure> {
    let mut why = String::new();
    for _ in 1..=ATTEMPTS_MAX {
        let ours = list(request.source, source).await.map_err(|error| (Origin::Source, error))?;
        let fence = match fence(request.source, request.replica, request.settle).await? {
            Fence::Reached(fence) => fence,
            Fence::Missed(why) => {
                let error = Error::new(FailureKind::Deadline, "run.deadline", why);
                return Err((Origin::Replica, error));
            }
        };
        let theirs = list(request.replica, replica).await.map_err(|error| (Origin::Replica, error))?;
        if storages(&ours) != storages(&theirs) {
            "the two sides do not consist of the same files".clone_into(&mut why);
            continue;
        }
        outcome.source_position = Some(Known::Known(fence.clone()));
        outcome.replica_position = Some(Known::Known(fence.clone()));
        outcome.fence = Some(fence);
        return Ok(choose(ours, &theirs, outcome));
    }
    Ok(Err(why))
}

async fn list(side: &Side, reader: &dyn PageReader) -> paritas_connect::Result<Vec<PageRelation>> {
    side.again("list relations", || reader.relations(&side.cx)).await
}

/// What relations are and under which files.
fn storages(relations: &[PageRelation]) -> Vec<(String, PageKind, String)> {
    let mut all: Vec<_> = relations.iter().map(|one| (one.name.clone(), one.kind, one.storage.clone())).collect();
    all.sort();
    all
}

/// Those that can be compared. Rows that cannot, or none at all, leave nothing to compare.
fn choose(
    ours: Vec<PageRelation>,
    theirs: &[PageRelation],
    outcome: &mut Outcome,
) -> Result<Vec<PageRelation>, String> {
    let counts = outcome.pages.get_or_insert_default();
    let mut chosen = Vec::new();
    for mut relation in ours {
        match (relation.comparable.why(), relation.kind) {
            (None, _) => {
                let there = theirs.iter().find(|other| other.name == relation.name);
                relation.blocks = relation.blocks.max(there.map_or(0, |other| other.blocks));
                counts.relations.push(relation.name.clone());
                chosen.push(relation);
            }
            // The table itself is named.
            (Some(_), PageKind::Index | PageKind::Overflow) if !relation.logged => {}
            (Some(why), PageKind::Rows) if !relation.logged => {
                counts.left_out.push((relation.name.clone(), why.to_owned()));
            }
            (Some(why), PageKind::Index | PageKind::Sequence | PageKind::Map) => {
                counts.left_out.push((relation.name.clone(), why.to_owned()));
            }
            (Some(why), _) => return Err(format!("{}: {why}", relation.name)),
        }
    }
    match chosen.iter().any(|relation| relation.kind == PageKind::Rows) {
        true => Ok(chosen),
        false => Err("it has no pages of its own".to_owned()),
    }
}

/// How a comparison ended.
enum Run {
    Done,
    /// A relation was rewritten meanwhile, so that all of it says nothing.
    Void,
    /// There are more transactions than can be compared.
    TooMany,
}

/// One comparison.
async fn run(pair: &Pair<'_>, outcome: &mut Outcome) -> Result<Run, Failure> {
    let mut passed = first(pair, outcome).await?;
    if passed.transactions.overflowed() {
        return Ok(Run::TooMany);
    }
    let ahead = ahead(pair, &passed).await?;
    (pair.request.watch)(Phase::Confirming);
    let confirmed = confirm::rounds(pair, std::mem::take(&mut passed.suspects), &mut passed.transactions).await;
    let ended = match confirmed.failure {
        None => ends::compare(pair, &passed.transactions).await,
        // What was found by then counts; nothing more can be.
        Some(_) => Ok(ends::Ends::default()),
    };
    if !unchanged(pair).await? {
        return Ok(Run::Void);
    }
    report::write(pair, &passed, confirmed, ended, outcome).await?;
    report::note_ahead(pair, &ahead, outcome);
    Ok(Run::Done)
}

/// The first reading, and all transactions that the rows in its pages depend on.
async fn first(pair: &Pair<'_>, outcome: &mut Outcome) -> Result<pass::Passed, Failure> {
    let ways = Arc::new(Ways::choose(pair).await?);
    let mut passed = pass::first(pair, &ways, outcome).await?;
    match ways.unread(pair).await? {
        Some(unread) => passed.transactions.add_all(unread, LOWEST),
        None => {
            tracing::info!("too many transactions began while pages were digested: they are read");
            passed = pass::first(pair, &Arc::new(Ways::by_pages(pair)), outcome).await?;
        }
    }
    Ok(passed)
}

/// Pages of the source with versions beyond the end of its log, which no record of this log can have
/// written.
async fn ahead(pair: &Pair<'_>, passed: &pass::Passed) -> Result<Vec<Place>, Failure> {
    if !pair.source.is_origin() {
        return Ok(Vec::new());
    }
    let end = now(pair.request.source).await.map_err(|error| (Origin::Source, error))?;
    let newest = passed.newest.iter().map(|newest| newest.0);
    Ok(newest.filter(|(version, _)| *version > end.value).map(|(_, place)| place).collect())
}

/// Whether both sides still consist of the files that were read.
async fn unchanged(pair: &Pair<'_>) -> Result<bool, Failure> {
    let request = pair.request;
    let (ours, theirs) =
        futures_util::future::join(list(request.source, &*pair.source), list(request.replica, &*pair.replica)).await;
    let (ours, theirs) = (ours.map_err(|e| (Origin::Source, e))?, theirs.map_err(|e| (Origin::Replica, e))?);
    let still = |now: &[PageRelation]| {
        let is_there =
            |one: &PageRelation| now.iter().any(|other| other.name == one.name && other.storage == one.storage);
        pair.relations.iter().all(is_there)
    };
    Ok(still(&ours) && still(&theirs))
}
