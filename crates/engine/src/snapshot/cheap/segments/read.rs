//! Reading the segments that have to be read, and bringing the digest up to date.

use super::super::decide::{Before, Decided};
use super::Work;
use super::cut::{OFFSETS, runs, segments};
use paritas_connect::{Error, FailureKind, RangedPart, Result};
use paritas_digest::{RowEntries, Sums};
use paritas_report::{KeptReading, SegmentReading};
use paritas_state::{KeptPart, KeptRange, RangesReader, RangesWriter, StateError};
use paritas_verify::ranges::{self, Unit, UnitRead};
use std::collections::BTreeMap;
use std::ops::Range;

/// The code of an error that says that what was kept cannot be read.
const UNUSABLE: &str = "ranges.unusable";
/// Segments that are read in one go, at most: what their rows add is held in memory until they are taken.
const UNIT_SEGMENTS: usize = 256;
/// Runs of segments that are read in one go, at most.
const UNIT_RUNS: usize = 64;

/// What reading came to.
pub(super) struct Read {
    /// The digest of all rows now.
    pub(super) sums: Sums,
    /// Its segments, for the next snapshot.
    pub(super) parts: Vec<KeptPart>,
    /// What their rows are written with, or why they cannot be kept.
    pub(super) writer: std::result::Result<RangesWriter, StateError>,
    pub(super) reading: KeptReading,
    pub(super) bytes: u64,
    /// The first segment that is not what was kept of it, with the number of its partition.
    pub(super) wrong: Option<(usize, String)>,
}

/// What changes while segments come in.
struct Taking<'a> {
    work: &'a Work<'a>,
    decided: &'a Decided,
    /// The offsets of every segment.
    offsets: BTreeMap<(usize, u64), Range<u64>>,
    reader: RangesReader,
    writer: std::result::Result<RangesWriter, StateError>,
    plus: Sums,
    minus: Sums,
    ranges: BTreeMap<(usize, u64), KeptRange>,
    reading: SegmentReading,
    bytes: u64,
    wrong: Option<(usize, String)>,
}

/// Reads, and adds up. The inner error is why what was kept cannot be used.
pub(super) async fn read(
    work: &Work<'_>,
    decided: &Decided,
    before: Option<&Sums>,
    reading: SegmentReading,
) -> Result<std::result::Result<Read, String>> {
    let spec = work.request.spec;
    let zero = Sums::new(spec.key_form(), work.capacity);
    let all = |(number, part): (usize, &paritas_connect::SegmentedPart)| {
        segments(&part.shown).map(move |(index, offsets)| ((number, index), offsets))
    };
    let mut taking = Taking {
        work,
        decided,
        offsets: work.survey.parts.iter().enumerate().flat_map(all).collect(),
        reader: work.thrift.folder.reader(),
        writer: work.thrift.folder.begin(),
        plus: before.cloned().unwrap_or_else(|| zero.clone()),
        minus: zero,
        ranges: decided.kept.clone(),
        reading,
        bytes: 0,
        wrong: None,
    };
    let part = |part: &paritas_connect::SegmentedPart| RangedPart {
        name: part.name.clone(),
        sql: part.key.clone(),
        storage: String::new(),
        ranges: Vec::new(),
    };
    let parts: Vec<RangedPart> = work.survey.parts.iter().map(part).collect();
    let units = taking.units(parts.len());
    let outcome = async {
        ranges::read(work.request.side, &work.view, (&parts, OFFSETS), spec, units, |unit| taking.take(unit)).await?;
        for kept in &decided.gone {
            taking.take_out(kept)?;
        }
        Ok::<(), Error>(())
    };
    match outcome.await {
        Ok(()) => taking.finish().map(Ok),
        Err(error) if error.code() == UNUSABLE => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

impl Taking<'_> {
    /// What is read in one go.
    fn units(&self, parts: usize) -> Vec<Unit> {
        let of = |part: usize| {
            let wanted = self.decided.read_of(part).into_iter();
            let wanted = wanted.filter_map(|index| Some((index, self.offsets.get(&(part, index))?.clone())));
            let wanted: Vec<(u64, Range<u64>)> = wanted.collect();
            runs(&wanted, UNIT_SEGMENTS, UNIT_RUNS).into_iter().map(move |runs| Unit { part, runs })
        };
        (0..parts).flat_map(of).collect()
    }

    fn take(&mut self, unit: UnitRead) -> Result<()> {
        self.bytes += unit.done.bytes;
        for (index, rows) in unit.ranges {
            let range = (unit.part, index);
            let before = self.decided.read.get(&range).copied().unwrap_or(Before::Nothing);
            self.reading.segments_read += 1;
            self.reading.records_read += rows.rows();
            let kept = match before {
                Before::Same(kept) => self.compare(range, kept, &rows)?,
                Before::Written(kept) => {
                    self.take_out(&kept)?;
                    self.put_in(range, &rows)
                }
                Before::Nothing => self.put_in(range, &rows),
            };
            self.ranges.insert(range, kept);
        }
        Ok(())
    }

    fn put_in(&mut self, range: (usize, u64), rows: &RowEntries) -> KeptRange {
        self.plus.add_entries(rows);
        let mut place = None;
        if rows.rows() > 0
            && let Ok(writer) = &mut self.writer
        {
            let written = writer.add(&rows.encode(self.work.request.spec));
            match written {
                Ok(written) => place = Some(written),
                // The digest needs none of it.
                Err(error) => self.writer = Err(error),
            }
        }
        let offsets = self.offsets.get(&range).cloned().unwrap_or_default();
        let blocks = offsets.end.saturating_sub(offsets.start);
        KeptRange { blocks, rows: rows.rows(), at: offsets.start, read_at: self.work.now, place }
    }

    /// Takes out what a segment was.
    fn take_out(&mut self, kept: &KeptRange) -> Result<()> {
        let rows = self.rows_of(kept)?;
        self.minus.add_entries(&rows);
        Ok(())
    }

    /// Holds what was kept of a segment against what is there.
    fn compare(&mut self, range: (usize, u64), kept: KeptRange, rows: &RowEntries) -> Result<KeptRange> {
        self.reading.segments_reread += 1;
        let then = self.rows_of(&kept)?;
        if !then.is_same(rows) && self.wrong.is_none() {
            let name = self.work.survey.parts.get(range.0).map_or("", |part| part.name.as_str());
            let Range { start, end } = super::cut::offsets_of(&kept);
            let counts = format!("{} records were kept, {} are there", then.rows(), rows.rows());
            self.wrong = Some((range.0, format!("{name}, offsets {start}..{end}: {counts}")));
        }
        Ok(KeptRange { read_at: self.work.now, ..kept })
    }

    fn rows_of(&mut self, kept: &KeptRange) -> Result<RowEntries> {
        let unusable = |why: String| Error::new(FailureKind::Permanent, UNUSABLE, why);
        let Some(place) = &kept.place else {
            return if kept.rows == 0 {
                Ok(RowEntries::default())
            } else {
                Err(unusable("the rows of a segment are not there".to_owned()))
            };
        };
        let bytes = self.reader.read(place).map_err(|error| unusable(error.to_string()))?;
        let rows = RowEntries::decode(self.work.request.spec, &bytes).filter(|rows| rows.rows() == kept.rows);
        rows.ok_or_else(|| unusable("the rows of a segment cannot be understood".to_owned()))
    }

    fn finish(mut self) -> Result<Read> {
        let defect = |why: String| Error::new(FailureKind::Permanent, "internal.ranges", why);
        self.plus.subtract(&self.minus).map_err(|error| defect(error.to_string()))?;
        for kept in self.decided.kept.values() {
            self.reading.segments_kept += 1;
            self.reading.records_kept += kept.rows;
        }
        if !self.ranges.keys().eq(self.offsets.keys()) {
            return Err(defect(format!("{} of {} segments", self.ranges.len(), self.offsets.len())));
        }
        let mut parts: Vec<KeptPart> = Vec::with_capacity(self.work.survey.parts.len());
        let mut ranges = std::mem::take(&mut self.ranges);
        for (number, part) in self.work.survey.parts.iter().enumerate() {
            let later = ranges.split_off(&(number + 1, 0));
            let own: Vec<KeptRange> = std::mem::replace(&mut ranges, later).into_values().collect();
            parts.push(KeptPart { sql: part.key.clone(), storage: String::new(), ranges: own });
        }
        let Self { plus, writer, reading: segments, bytes, wrong, .. } = self;
        let reading = KeptReading {
            rows_read: segments.records_read,
            rows_kept: segments.records_kept,
            segments: Some(segments),
            ..KeptReading::default()
        };
        Ok(Read { sums: plus, parts, writer, reading, bytes, wrong })
    }
}
