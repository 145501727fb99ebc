//! Snapshots of files that read only what was written since the one before (`docs/snapshot-cost.md`).
//!
//! The digest of a dataset is kept together with what the rows of each of its files add to it. A file that is what it was
//! is taken over; the others are taken out of the digest and read. Whatever is in doubt is read.

mod decide;
mod read;
mod rotate;

use super::facts::{Facts, other_term, own_terms};
use decide::Decided;
use paritas_connect::{Error, FailureKind, FiledPart, Result, Terms};
use paritas_digest::{Capacity, Digest, HeaderFacts, PartSum};
use paritas_report::KeptReading;
use paritas_state::{KeptRanges, ROWS_UNLIKE, RangesFolder};
use paritas_verify::filed::FiledView;
use paritas_verify::keep::{self, Kept, Request};
use rotate::Clock;
use std::time::Duration;

/// For so long after its last change a file may be written again without showing it: times of files are as coarse as 2 s,
/// and the clocks of stores are up to 10 s behind that of this machine.
pub(crate) const UNSETTLED: Duration = Duration::from_secs(12);
/// Reading a whole view anew after a file changed, at most.
const VIEWS_MAX: u32 = 3;

/// What of a run concerns reading less.
#[derive(Debug, Clone)]
pub struct FilesThrift {
    /// Where it is kept what files add.
    pub folder: RangesFolder,
    /// Within what time everything is read again.
    pub within: Duration,
    /// Bytes that it may take.
    pub bytes_max: u64,
    /// For how long after its last change a file is not believed to show the next one.
    pub unsettled: Duration,
}

/// How it ended.
enum Ended {
    Done(Box<Kept>, Box<KeptReading>),
    /// Nothing can be kept, for this reason.
    Whole(String),
    /// What was kept cannot be used, for this reason.
    Unusable(String),
}

/// Digests a dataset of files, reading no more of them than necessary.
///
/// # Errors
/// Those of the source; `internal.kept` when what was taken over before is not what is there.
pub async fn keep(request: &Request<'_>, thrift: &FilesThrift) -> Result<super::Thrifty> {
    let (mut view, mut unusable) = (1, None);
    let why = loop {
        match attempt(request, thrift, unusable.clone()).await {
            Ok(Some(Ended::Done(kept, reading))) => return Ok((*kept, Some(*reading))),
            Ok(Some(Ended::Whole(why))) => break why,
            Ok(Some(Ended::Unusable(why))) => {
                forget(thrift);
                unusable = Some(format!("what was kept cannot be used: {why}"));
            }
            Ok(None) => return Ok((keep::keep(request).await?, None)),
            Err(error) if error.is_transient() && view < VIEWS_MAX => {
                tracing::warn!(dataset = %request.scan.dataset, %error, view, "files changed, listing them again");
                view += 1;
            }
            Err(error) => return Err(error),
        }
    };
    tracing::info!(dataset = %request.scan.dataset, why, "everything is read");
    let kept = keep::keep(request).await?;
    let reading = KeptReading { rows_read: kept.digest.header.rows, why: Some(why), ..KeptReading::default() };
    Ok((kept, Some(reading)))
}

/// A run's own part of what is kept.
struct Work<'a> {
    request: &'a Request<'a>,
    thrift: &'a FilesThrift,
    view: FiledView,
    files: Vec<FiledPart>,
    capacity: Capacity,
    terms: Terms,
    /// A moment before the content of any file is read, in nanoseconds since 1970.
    began: i128,
}

impl Work<'_> {
    /// The moment in seconds since 1970.
    fn now(&self) -> i64 {
        i64::try_from(self.began / 1_000_000_000).unwrap_or(i64::MAX)
    }

    /// Whether whoever writes to a file from now on changes its identity.
    fn is_settled(&self, file: &FiledPart) -> bool {
        let unsettled = i128::try_from(self.thrift.unsettled.as_nanos()).unwrap_or(i128::MAX);
        file.identity.value().is_some() && file.changed_at.saturating_add(unsettled) <= self.began
    }

    /// Bytes that a file of so many rows takes.
    fn bytes_of(&self, rows: u64) -> u64 {
        PartSum::bytes_of(self.request.spec, self.capacity, rows)
    }
}

/// What rows depend on beside their files.
fn terms(request: &Request<'_>, capacity: Capacity, of_files: Terms) -> Terms {
    let mut terms = own_terms(request.spec, &request.schema, capacity, 0);
    terms.extend(of_files);
    // Another version of the program may read the same bytes as other values.
    terms.push(("version of paritas".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    let pairs = request.scan.columns.iter().map(|pair| (&pair.canonical, &pair.own));
    terms.push(("columns".to_owned(), format!("{:?}", pairs.collect::<Vec<_>>())));
    terms.push(("condition".to_owned(), format!("{:?}", request.scan.filter)));
    terms
}

async fn attempt(request: &Request<'_>, thrift: &FilesThrift, unusable: Option<String>) -> Result<Option<Ended>> {
    let Some(view) = FiledView::open(request.side, request.scan).await? else { return Ok(None) };
    let capacity = Capacity::for_differences(request.capacity);
    let (files, terms) = (view.files()?, terms(request, capacity, view.terms()?));
    let began = jiff::Timestamp::now().as_nanosecond();
    let work = Work { request, thrift, view, files, capacity, terms, began };
    let known = work.files.iter().map(|file| file.rows.value().map_or(0, |rows| work.bytes_of(*rows)));
    if known.fold(0_u64, u64::saturating_add) > thrift.bytes_max {
        forget(thrift);
        return Ok(Some(Ended::Whole(format!("its files would take more than {} bytes to keep", thrift.bytes_max))));
    }
    let (old, why) = match unusable.map_or_else(|| load(thrift, &work.terms), Err) {
        Ok((old, facts)) => (Some((old, facts)), None),
        Err(why) => (None, Some(why)),
    };
    work.run(old, why).await.map(Some)
}

/// What the snapshot before has left, or why it cannot be used.
fn load(thrift: &FilesThrift, terms: &Terms) -> std::result::Result<(KeptRanges, Facts), String> {
    let kept = match thrift.folder.load() {
        Ok(Some(kept)) => kept,
        Ok(None) => return Err("nothing was kept by a snapshot before".to_owned()),
        Err(error) => return Err(format!("what was kept cannot be used: {error}")),
    };
    let facts: Facts = serde_json::from_value(kept.facts.clone())
        .map_err(|error| format!("what was kept cannot be understood: {error}"))?;
    match other_term(&facts.terms, terms) {
        Some(name) => Err(format!("the {name} is not what it was at the snapshot before")),
        None => Ok((kept, facts)),
    }
}

/// Removes what is kept.
fn forget(thrift: &FilesThrift) {
    if let Err(error) = thrift.folder.remove() {
        // It would be refused as well, or be found wrong again.
        tracing::warn!("what is kept of files cannot be removed: {error}");
    }
}

impl Work<'_> {
    async fn run(self, old: Option<(KeptRanges, Facts)>, mut why: Option<String>) -> Result<Ended> {
        let clock = Clock { before: old.as_ref().map_or(self.now(), |(_, facts)| facts.taken_at), now: self.now() };
        let decided = {
            let parts = old.as_ref().map(|(old, _)| old.parts.as_slice()).unwrap_or_default();
            Decided::since(parts, &self.files, clock, self.thrift.within)
        };
        let before = old.as_ref().map(|(old, _)| &old.digest.sums);
        let read = match read::read(&self, &decided, before).await? {
            Ok(read) => read,
            Err(why) => return Ok(Ended::Unusable(why)),
        };
        if let Some(wrong) = read.wrong {
            forget(self.thrift);
            return Err(proved_wrong(&wrong));
        }
        let (side, scan) = (self.request.side, self.view.scan());
        let schema = self.request.schema;
        let header = HeaderFacts { schema, position: scan.position(), store: side.store.name().to_owned() };
        let digest = Digest::new(self.request.spec, header, read.sums);
        let digest = digest.filtered(self.request.scan.filter.clone());
        let mut reading = read.reading;
        let counted = reading.rows_read.saturating_add(reading.rows_kept);
        if counted != digest.header.rows {
            forget(self.thrift);
            return Err(proved_wrong(&format!("the digest has {} rows, its files {counted}", digest.header.rows)));
        }
        if !self.files.is_empty() && self.files.iter().all(|file| file.identity.value().is_none()) {
            why = self.files.iter().find_map(|file| file.identity.why()).map(str::to_owned).or(why);
        }
        reading.why = why;
        let facts = Facts { terms: self.terms.clone(), marks: Vec::new(), taken_at: self.now() };
        let facts = serde_json::to_value(&facts).unwrap_or_default();
        let keep = KeptRanges { facts, digest: digest.clone(), parts: read.parts };
        match read.writer.and_then(|writer| self.finish(writer, keep)) {
            Ok(bytes) => reading.bytes = Some(bytes),
            Err(NotKept::Wrong(what)) => {
                forget(self.thrift);
                return Err(proved_wrong(&what));
            }
            Err(NotKept::Why(why)) => {
                tracing::warn!(dataset = %self.request.scan.dataset, "what files add cannot be kept: {why}");
                reading.not_kept = Some(why);
            }
        }
        let kept = Kept { digest, moment: scan.moment(), bytes: read.bytes };
        Ok(Ended::Done(Box::new(kept), Box::new(reading)))
    }

    fn finish(&self, writer: paritas_state::RangesWriter, keep: KeptRanges) -> std::result::Result<u64, NotKept> {
        let (spec, capacity) = (self.request.spec, self.capacity);
        let mut add = |total: &mut paritas_digest::Sums, bytes: &[u8]| {
            PartSum::decode(spec, capacity, bytes).is_some_and(|part| part.add_to(total).is_ok())
        };
        writer.finish_checked(keep, &mut add).map_err(|error| {
            match error.code() {
                ROWS_UNLIKE => return NotKept::Wrong(error.to_string()),
                "state.damaged" => forget(self.thrift),
                _ => {}
            }
            NotKept::Why(error.to_string())
        })
    }
}

/// Why nothing was kept for the next snapshot.
enum NotKept {
    /// It could not be, for this reason.
    Why(String),
    /// What was kept before is wrong.
    Wrong(String),
}

/// What was taken over is not what is there: a defect, or a file that was changed without showing it.
fn proved_wrong(what: &str) -> Error {
    Error::new(FailureKind::Permanent, "internal.kept", "what was kept of files that nobody wrote is not what is there")
        .detail(format!("{what}. Nothing of it is used any more; the next snapshot reads everything."))
        .hint(
            "look for damage first: the disk, whoever writes files without changing their times. If the files are sound \
             this is a defect of paritas, and snapshots since the one that read them may be wrong: please report it",
        )
}

/// The text that is another one once the file is; empty where there is none.
fn identity_of(file: &FiledPart) -> &str {
    file.identity.value().map_or("", String::as_str)
}
