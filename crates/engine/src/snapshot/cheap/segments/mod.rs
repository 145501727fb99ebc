//! Snapshots of topics as rows that read only what came since the one before (`docs/snapshot-cost.md`).
//!
//! A partition is divided into segments of offsets. What each row of a segment adds to the digest is kept, so that it
//! can be taken out again when retention removes the segment. A segment is taken over where its partition provably still
//! has its records, and is read where that is in doubt; the report says why.

mod cut;
mod facts;
mod read;

use super::decide::Decided;
use super::facts::{other_term, own_terms};
use super::rotate::Clock;
use super::{PROVED_WRONG, Thrifty, passes};
use cut::Log;
use facts::{Facts, Led, Standing};
use paritas_connect::{Error, FailureKind, Result, Segmented, SegmentedSurvey, Terms};
use paritas_digest::{Capacity, Digest, HeaderFacts, RowEntries, Sums};
use paritas_model::Known;
use paritas_report::{KeptReading, SegmentReading};
use paritas_state::{KeptPart, KeptRanges, ROWS_UNLIKE, RangesFolder};
use paritas_verify::keep::{self, Kept, Request};
use paritas_verify::ranges::RangedView;
use std::time::Duration;

/// What of a run concerns reading less.
#[derive(Debug, Clone)]
pub struct Thrift {
    /// Where rows are kept.
    pub folder: RangesFolder,
    /// Within what time everything is read again.
    pub within: Duration,
    /// Bytes that the rows of a topic may take.
    pub bytes_max: u64,
}

/// How it ended.
enum Ended {
    Done(Box<Kept>, Box<KeptReading>),
    /// Nothing may be taken over, for this reason.
    Everything(String),
}

/// Digests a topic, reading no more than necessary.
///
/// # Errors
/// Those of the source; `internal.kept` when rows that were taken over before are not the ones that are there.
pub async fn keep(request: &Request<'_>, thrift: &Thrift) -> Result<Thrifty> {
    let why = match attempt(request, thrift).await {
        Ok(Some(Ended::Done(kept, reading))) => return Ok((*kept, Some(*reading))),
        Ok(Some(Ended::Everything(why))) => why,
        Ok(None) => return Ok((keep::keep(request).await?, None)),
        Err(error) if passes(&error) || error.code() == PROVED_WRONG => return Err(error),
        // What is wrong with a record, or moved meanwhile, is said by a reading of everything, if it still is.
        Err(error) => error.to_string(),
    };
    tracing::info!(dataset = %request.scan.dataset, why, "everything is read");
    let kept = keep::keep(request).await?;
    let rows_read = kept.digest.header.rows;
    let segments = SegmentReading { records_read: rows_read, ..SegmentReading::default() };
    let reading = KeptReading { rows_read, segments: Some(segments), why: Some(why), ..KeptReading::default() };
    Ok((kept, Some(reading)))
}

/// A run's own part of what is kept.
struct Work<'a> {
    request: &'a Request<'a>,
    thrift: &'a Thrift,
    view: RangedView,
    survey: SegmentedSurvey,
    terms: Terms,
    capacity: Capacity,
    logs: Vec<Standing>,
    now: i64,
}

async fn attempt(request: &Request<'_>, thrift: &Thrift) -> Result<Option<Ended>> {
    let side = request.side;
    let Some(view) = RangedView::open(side, request.held, request.scan).await? else { return Ok(None) };
    let Some(segmented) = view.segmented() else { return Ok(None) };
    let everything = |why: String| Ok(Some(Ended::Everything(why)));
    let survey = match side.cx.bound(segmented.logs(&side.cx)).await? {
        Known::Known(survey) => survey,
        Known::Unknown { why } => {
            // It would be right again only by chance.
            super::forget_folder(&thrift.folder);
            return everything(why);
        }
    };
    let capacity = Capacity::for_differences(request.capacity);
    let mut terms = survey.terms.clone();
    terms.extend(own_terms(request.spec, &request.schema, capacity, cut::OFFSETS));
    let (old, why) = match load(thrift, &terms) {
        Ok(old) => (Some(old), None),
        Err(why) => (None, Some(why)),
    };
    let shown: u64 = survey.parts.iter().map(|part| part.shown.end.saturating_sub(part.shown.start)).sum();
    if RowEntries::bytes_of(request.spec, shown) > thrift.bytes_max {
        super::forget_folder(&thrift.folder);
        return everything(format!("its rows would take more than {} bytes to keep", thrift.bytes_max));
    }
    let mut reading = SegmentReading::default();
    let logs = match &old {
        Some((old, facts)) => {
            segmented.expect(&facts.found);
            facts::standing(segmented, &side.cx, &survey, &old.parts, &mut reading).await?
        }
        None => survey.parts.iter().map(unknown).collect(),
    };
    let now = jiff::Timestamp::now().as_second();
    let work = Work { request, thrift, view, survey, terms, capacity, logs, now };
    work.run(old, why, reading).await.map(Some)
}

/// A partition of which nothing is kept.
fn unknown(part: &paritas_connect::SegmentedPart) -> Standing {
    let log = Log { key: part.key.clone(), shown: part.shown.clone(), stands: false };
    Standing { log, then: Led::default() }
}

/// What the snapshot before has left, or why it cannot be used.
fn load(thrift: &Thrift, terms: &Terms) -> std::result::Result<(KeptRanges, Facts), String> {
    let kept = match thrift.folder.load() {
        Ok(Some(kept)) => kept,
        Ok(None) => return Err("nothing was kept by a snapshot before".to_owned()),
        Err(error) => return Err(format!("what was kept cannot be used: {error}")),
    };
    let facts: Facts = serde_json::from_value(kept.facts.clone())
        .map_err(|error| format!("what was kept cannot be understood: {error}"))?;
    match facts.contradiction(terms) {
        Some(why) => Err(why),
        None => Ok((kept, facts)),
    }
}

impl Work<'_> {
    fn segmented(&self) -> Result<&dyn Segmented> {
        self.view.segmented().ok_or_else(|| Error::unsupported("segments"))
    }

    fn logs(&self) -> Vec<Log> {
        self.logs.iter().map(|one| one.log.clone()).collect()
    }

    fn decide(&self, old: Option<&(KeptRanges, Facts)>) -> Decided {
        match old {
            Some((old, facts)) => {
                let clock = Clock { before: facts.taken_at, now: self.now };
                cut::decide(&old.parts, &self.logs(), clock, self.thrift.within)
            }
            None => cut::everything(&self.logs()),
        }
    }

    async fn run(
        self,
        old: Option<(KeptRanges, Facts)>,
        why: Option<String>,
        reading: SegmentReading,
    ) -> Result<Ended> {
        let folder = &self.thrift.folder;
        let decided = self.decide(old.as_ref());
        let read = match read::read(&self, &decided, old.as_ref().map(|(old, _)| &old.digest.sums), reading).await? {
            Ok(read) => read,
            Err(why) => {
                super::forget_folder(folder);
                return Ok(Ended::Everything(format!("what was kept cannot be used: {why}")));
            }
        };
        let side = self.request.side;
        let mut terms = self.view.terms(side).await?;
        terms.extend(own_terms(self.request.spec, &self.request.schema, self.capacity, cut::OFFSETS));
        if let Some(name) = other_term(&self.terms, &terms) {
            return Ok(Ended::Everything(format!("the {name} changed while it was read")));
        }
        let epochs = side.cx.bound(self.segmented()?.epochs(&side.cx)).await?;
        if let Some((part, wrong)) = read.wrong {
            let same = |part: usize| Some(self.survey.parts.get(part)?.epoch == *epochs.get(part)?);
            if same(part) != Some(true) {
                return Ok(Ended::Everything("another leader was elected while it was read".to_owned()));
            }
            super::forget_folder(folder);
            return Err(proved_wrong(&wrong));
        }
        let parts = self.parts(read.parts, &epochs)?;
        let scan = self.view.scan();
        let header =
            HeaderFacts { schema: self.request.schema, position: scan.position(), store: side.store.name().to_owned() };
        let digest = Digest::new(self.request.spec, header, read.sums);
        let mut reading = read.reading;
        let counted = reading.rows_read + reading.rows_kept;
        if counted != digest.header.rows {
            super::forget_folder(folder);
            return Err(proved_wrong(&format!("the digest has {} rows, its segments {counted}", digest.header.rows)));
        }
        reading.why = why;
        let facts = Facts { segments: facts::VERSION, terms, taken_at: self.now, found: self.segmented()?.found() };
        let facts = serde_json::to_value(&facts).unwrap_or_default();
        let kept = KeptRanges { facts, digest: digest.clone(), parts };
        let mut add = |total: &mut Sums, rows: &[u8]| {
            let rows = RowEntries::decode(self.request.spec, rows);
            rows.as_ref().inspect(|rows| total.add_entries(rows)).is_some()
        };
        match read.writer.and_then(|writer| writer.finish_checked(kept, &mut add)) {
            Ok(bytes) => reading.bytes = Some(bytes),
            Err(error) if error.code() == ROWS_UNLIKE => {
                super::forget_folder(folder);
                return Err(proved_wrong(&error.to_string()));
            }
            Err(error) => {
                tracing::warn!("rows cannot be kept: {error}; hint: {}", error.hint_text());
                reading.not_kept = Some(error.to_string());
                if error.code() == "state.damaged" {
                    super::forget_folder(folder);
                }
            }
        }
        let kept = Kept { digest, moment: scan.moment(), bytes: read.bytes };
        Ok(Ended::Done(Box::new(kept), Box::new(reading)))
    }

    /// The partitions as they are kept, each with what will prove that it still has its records.
    fn parts(&self, read: Vec<KeptPart>, epochs: &[Option<i32>]) -> Result<Vec<KeptPart>> {
        let anchors = self.segmented()?.anchors();
        let logs = self.survey.parts.iter().zip(&self.logs).zip(epochs).zip(anchors);
        let led = logs.map(|(((part, one), epoch), anchor)| {
            // Nothing came, so that nothing was read at the end.
            let still = |anchor: &paritas_connect::logs::Anchor| {
                one.log.stands && anchor.offset.checked_add(1) == Some(part.shown.end)
            };
            match part.epoch == *epoch {
                true => Led { epoch: *epoch, anchor: anchor.or(one.then.anchor.filter(still)) },
                // What was read may be of two leaders.
                false => Led::default(),
            }
        });
        Ok(read.into_iter().zip(led).map(|(part, led)| KeptPart { storage: led.written(), ..part }).collect())
    }
}

/// Records that were taken over are not the ones that are there: a defect, or data that was changed behind the brokers.
fn proved_wrong(what: &str) -> Error {
    Error::new(
        FailureKind::Permanent,
        PROVED_WRONG,
        "what was kept of records that cannot have changed is not what is there",
    )
    .detail(format!("{what}. Nothing of it is used any more; the next snapshot reads everything."))
    .hint(
        "look for damage first: kafka-dump-log on the brokers that hold the partition, and the state folder. If both \
             are sound this is a defect of paritas, and snapshots since the one that read these records may be wrong: \
             please report it",
    )
}
