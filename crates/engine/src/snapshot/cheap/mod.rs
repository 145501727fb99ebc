//! Snapshots that read only what was written since the one before (`docs/snapshot-cost.md`).
//!
//! The digest of a dataset is kept together with what each of its rows adds to it, by ranges of blocks. Where the store
//! proves that a range was not written since, its rows are taken over; the others are taken out of the digest and read.
//! Whatever is in doubt has everything read, and the report says why.

mod decide;
mod facts;
pub mod files;
mod read;
mod rotate;
pub(crate) mod segments;

use facts::{Facts, own_terms};
use paritas_connect::{Error, FailureKind, LogMark, Result, Survey, Terms};
use paritas_digest::{Capacity, Digest, HeaderFacts, RowEntries, Sums};
use paritas_model::Known;
use paritas_report::KeptReading;
use paritas_state::{KeptRanges, ROWS_UNLIKE, RangesFolder};
use paritas_verify::keep::{self, Kept, Request};
use paritas_verify::ranges::{RangedView, settled};
use std::collections::BTreeSet;
use std::time::Duration;

/// The code of the error that says that what was kept is not what is there.
const PROVED_WRONG: &str = "internal.kept";
/// Blocks of a range. Fewer make the index larger, more have more rows read that were not written: of pages written here
/// and there, eight times as many are read.
const BLOCKS: u64 = 8;
/// How long to wait for transactions that run when a snapshot begins, so that what it reads can be kept.
pub(super) const SETTLE: Duration = Duration::from_secs(1);

/// What of a run concerns reading less.
#[derive(Debug, Clone)]
pub struct Thrift {
    /// Where rows are kept.
    pub folder: RangesFolder,
    /// A mark from before the view was pinned, or why there is none.
    pub mark: Known<LogMark>,
    /// Within what time everything is read again.
    pub within: Duration,
    /// Bytes that the rows of a dataset may take.
    pub bytes_max: u64,
    /// Roughly how many rows there are.
    pub rows_estimate: u64,
}

/// A dataset that was read, and what of it was not.
pub type Thrifty = (Kept, Option<KeptReading>);

/// How it ended.
enum Ended {
    Done(Box<Kept>, Box<KeptReading>),
    /// Nothing may be taken over, for this reason.
    Everything(String),
}

/// Digests a dataset, reading no more than necessary.
///
/// # Errors
/// Those of the source; `internal.kept` when rows that were taken over before are not the ones that are there.
pub async fn keep(request: &Request<'_>, thrift: &Thrift) -> Result<Thrifty> {
    let why = match &thrift.mark {
        Known::Unknown { why } => why.clone(),
        Known::Known(mark) => match attempt(request, thrift, *mark).await {
            Ok(Some(Ended::Done(kept, reading))) => return Ok((*kept, Some(*reading))),
            Ok(Some(Ended::Everything(why))) => why,
            Ok(None) => return Ok((keep::keep(request).await?, None)),
            // Without a shared view another one can be opened.
            Err(error) if error.is_transient() && request.held.is_none() => error.to_string(),
            Err(error) => return Err(error),
        },
    };
    tracing::info!(dataset = %request.scan.dataset, why, "everything is read");
    let kept = keep::keep(request).await?;
    let reading = KeptReading { rows_read: kept.digest.header.rows, why: Some(why), ..KeptReading::default() };
    Ok((kept, Some(reading)))
}

/// Which of some units that need not be read are read again, by when each was read; of `total` units in all, with the
/// times of the snapshot before and of this one, so that all are within a time.
pub(crate) fn have_their_turn(
    units: Vec<((usize, u64), i64)>,
    total: usize,
    (before, now): (i64, i64),
    within: Duration,
) -> BTreeSet<(usize, u64)> {
    let units = units.into_iter().map(|(range, read_at)| rotate::Unwritten { range, read_at }).collect();
    rotate::due(units, total, rotate::Clock { before, now }, within)
}

/// A run's own part of what is kept.
struct Work<'a> {
    request: &'a Request<'a>,
    thrift: &'a Thrift,
    view: RangedView,
    survey: Survey,
    terms: Terms,
    capacity: Capacity,
    /// The place up to which what is read now stays valid; `None` while something old still runs.
    until: Option<u64>,
    now: i64,
}

async fn attempt(request: &Request<'_>, thrift: &Thrift, mark: LogMark) -> Result<Option<Ended>> {
    let Some(view) = RangedView::open(request.side, request.held, request.scan).await? else { return Ok(None) };
    let everything = |why: String| Ok(Some(Ended::Everything(why)));
    let surveyed = async {
        match view.survey(request.side, BLOCKS).await? {
            Known::Unknown { why } => Ok(Known::Unknown { why }),
            Known::Known(survey) => Ok(Known::Known((survey, view.terms(request.side).await?))),
        }
    };
    let (survey, mut terms) = match surveyed.await {
        Ok(Known::Known(found)) => found,
        Ok(Known::Unknown { why }) => return everything(why),
        // What cannot be seen by pages is left to the reading of rows, which says what is wrong.
        Err(error) if !passes(&error) => return everything(error.to_string()),
        Err(error) => return Err(error),
    };
    let capacity = Capacity::for_differences(request.capacity);
    terms.extend(own_terms(request.spec, &request.schema, capacity, BLOCKS));
    let Some(moment) = view.scan().moment() else {
        return everything("the view does not say which transactions it shows".to_owned());
    };
    let Loaded { old, marks, why } = load(thrift, &terms, mark);
    let rows = thrift.rows_estimate.max(old.as_ref().map_or(0, |(old, _)| old.digest.header.rows));
    if RowEntries::bytes_of(request.spec, rows) > thrift.bytes_max {
        forget(thrift);
        return everything(format!("its rows would take more than {} bytes to keep", thrift.bytes_max));
    }
    let now = jiff::Timestamp::now().as_second();
    let until = settled(&marks, moment.horizon.oldest);
    let work = Work { request, thrift, view, survey, terms: terms.clone(), capacity, until, now };
    work.run(old, why, Facts { terms, marks, taken_at: now }).await.map(Some)
}

/// Whether another try may succeed.
fn passes(error: &Error) -> bool {
    matches!(error.kind(), FailureKind::Transient | FailureKind::Deadline | FailureKind::Cancelled)
}

/// What the snapshot before has left.
struct Loaded {
    /// Its rows, if they can be used.
    old: Option<(KeptRanges, Facts)>,
    /// Its marks as far as they can be used, and the one of now.
    marks: Vec<LogMark>,
    /// Why the rows cannot be used.
    why: Option<String>,
}

fn load(thrift: &Thrift, terms: &Terms, mark: LogMark) -> Loaded {
    let nothing = |why: String| Loaded { old: None, marks: vec![mark], why: Some(why) };
    let kept = match thrift.folder.load() {
        Ok(Some(kept)) => kept,
        Ok(None) => return nothing("nothing was kept by a snapshot before".to_owned()),
        Err(error) => return nothing(format!("what was kept cannot be used: {error}")),
    };
    let facts: Facts = match serde_json::from_value(kept.facts.clone()) {
        Ok(facts) => facts,
        Err(error) => return nothing(format!("what was kept cannot be understood: {error}")),
    };
    let marks = facts.marks_with(terms, mark);
    match facts.contradiction(terms, mark) {
        Some(why) => Loaded { old: None, marks, why: Some(why) },
        None => Loaded { old: Some((kept, facts)), marks, why: None },
    }
}

/// Removes what is kept.
fn forget(thrift: &Thrift) {
    forget_folder(&thrift.folder);
}

fn forget_folder(folder: &RangesFolder) {
    if let Err(error) = folder.remove() {
        // It would be refused as well, or be found wrong again.
        tracing::warn!("rows that were kept cannot be removed: {error}");
    }
}

impl Work<'_> {
    async fn run(self, old: Option<(KeptRanges, Facts)>, why: Option<String>, facts: Facts) -> Result<Ended> {
        let clock = rotate::Clock { before: old.as_ref().map_or(self.now, |(_, old)| old.taken_at), now: self.now };
        let decided = match &old {
            Some((old, _)) => decide::Decided::since(old, &self.survey, clock, self.thrift.within),
            None => decide::Decided::everything(&self.survey),
        };
        let before = old.as_ref().map(|(old, _)| &old.digest.sums);
        let read = match read::read(&self, &decided, before).await? {
            Ok(read) => read,
            Err(why) => {
                forget(self.thrift);
                return Ok(Ended::Everything(format!("what was kept cannot be used: {why}")));
            }
        };
        let side = self.request.side;
        let mut terms = self.view.terms(side).await?;
        terms.extend(own_terms(self.request.spec, &self.request.schema, self.capacity, BLOCKS));
        if let Some(name) = facts::other_term(&self.terms, &terms) {
            return Ok(Ended::Everything(format!("the {name} changed while it was read")));
        }
        if let Some(wrong) = read.wrong {
            forget(self.thrift);
            return Err(proved_wrong(&wrong));
        }
        let scan = self.view.scan();
        let header =
            HeaderFacts { schema: self.request.schema, position: scan.position(), store: side.store.name().to_owned() };
        let digest = Digest::new(self.request.spec, header, read.sums);
        let mut reading = read.reading;
        let counted = reading.rows_read + reading.rows_kept;
        if counted != digest.header.rows {
            forget(self.thrift);
            return Err(proved_wrong(&format!("the digest has {} rows, its ranges {counted}", digest.header.rows)));
        }
        reading.why = why;
        let facts = serde_json::to_value(&facts).unwrap_or_default();
        let kept = KeptRanges { facts, digest: digest.clone(), parts: read.parts };
        match read.writer.and_then(|writer| writer.finish_checked(kept, &mut |total, rows| self.add(total, rows))) {
            Ok(bytes) => reading.bytes = Some(bytes),
            Err(error) if error.code() == ROWS_UNLIKE => {
                forget(self.thrift);
                return Err(proved_wrong(&error.to_string()));
            }
            Err(error) => {
                tracing::warn!("rows cannot be kept: {error}; hint: {}", error.hint_text());
                reading.not_kept = Some(error.to_string());
                if error.code() == "state.damaged" {
                    forget(self.thrift);
                }
            }
        }
        let kept = Kept { digest, moment: scan.moment(), bytes: read.bytes };
        Ok(Ended::Done(Box::new(kept), Box::new(reading)))
    }

    /// Adds the rows of a range, as they are kept, to sums.
    fn add(&self, total: &mut Sums, rows: &[u8]) -> bool {
        let rows = RowEntries::decode(self.request.spec, rows);
        rows.as_ref().inspect(|rows| total.add_entries(rows)).is_some()
    }
}

/// Rows that were taken over are not the ones that are there: a defect, or data that was changed behind the server.
fn proved_wrong(what: &str) -> Error {
    Error::new(FailureKind::Permanent, PROVED_WRONG, "what was kept of rows that nobody wrote is not what is there")
        .detail(format!("{what}. Nothing of it is used any more; the next snapshot reads everything."))
        .hint(
            "look for damage first: paritas verify, pg_amcheck, the server's checksums. If the table is sound this is a \
             defect of paritas, and snapshots since the one that read these rows may be wrong: please report it",
        )
}
