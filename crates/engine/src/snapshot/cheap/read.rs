//! Reading what has to be read, and bringing the digest up to date.

use super::decide::{Before, Decided};
use super::{BLOCKS, Work};
use paritas_connect::{Error, FailureKind, Result};
use paritas_digest::{RowEntries, Sums};
use paritas_report::KeptReading;
use paritas_state::{KeptPart, KeptRange, RangesReader, RangesWriter, StateError};
use paritas_verify::ranges::{self, UnitRead};
use std::collections::BTreeMap;

/// The code of an error that says that what was kept cannot be read.
const UNUSABLE: &str = "ranges.unusable";

/// What reading came to.
pub(super) struct Read {
    /// The digest of all rows now.
    pub(super) sums: Sums,
    /// Its ranges, for the next snapshot.
    pub(super) parts: Vec<KeptPart>,
    /// What their rows are written with, or why they cannot be kept.
    pub(super) writer: std::result::Result<RangesWriter, StateError>,
    pub(super) reading: KeptReading,
    pub(super) bytes: u64,
    /// The first range that is not what was kept of it.
    pub(super) wrong: Option<String>,
}

/// What changes while ranges come in.
struct Taking<'a> {
    work: &'a Work<'a>,
    decided: &'a Decided,
    reader: RangesReader,
    writer: std::result::Result<RangesWriter, StateError>,
    plus: Sums,
    minus: Sums,
    ranges: BTreeMap<(usize, u64), KeptRange>,
    reading: KeptReading,
    bytes: u64,
    wrong: Option<String>,
}

/// Reads, and adds up. The inner error is why what was kept cannot be used.
pub(super) async fn read(
    work: &Work<'_>,
    decided: &Decided,
    before: Option<&Sums>,
) -> Result<std::result::Result<Read, String>> {
    let spec = work.request.spec;
    let zero = Sums::new(spec.key_form(), work.capacity);
    let mut taking = Taking {
        work,
        decided,
        reader: work.thrift.folder.reader(),
        writer: work.thrift.folder.begin(),
        plus: before.cloned().unwrap_or_else(|| zero.clone()),
        minus: zero,
        ranges: decided.kept.clone(),
        reading: KeptReading::default(),
        bytes: 0,
        wrong: None,
    };
    let parts = &work.survey.parts;
    let units = (0..parts.len()).flat_map(|part| ranges::units(part, &decided.read_of(part), BLOCKS)).collect();
    let outcome = async {
        ranges::read(work.request.side, &work.view, (parts, BLOCKS), spec, units, |unit| taking.take(unit)).await?;
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
    fn take(&mut self, unit: UnitRead) -> Result<()> {
        self.bytes += unit.done.bytes;
        for (index, rows) in unit.ranges {
            let range = (unit.part, index);
            let state = self.state(range);
            let before = self.decided.read.get(&range).copied().unwrap_or(Before::Nothing);
            self.reading.ranges_read += 1;
            self.reading.pages_read += state;
            self.reading.rows_read += rows.rows();
            let kept = match before {
                Before::Same(kept) => self.compare(range, kept, &rows)?,
                Before::Written(kept) => {
                    self.take_out(&kept)?;
                    self.put_in(state, &rows)
                }
                Before::Nothing => self.put_in(state, &rows),
            };
            self.ranges.insert(range, kept);
        }
        Ok(())
    }

    /// Blocks of a range.
    fn state(&self, (part, index): (usize, u64)) -> u64 {
        let ranges = self.work.survey.parts.get(part).map(|part| &part.ranges);
        let range = ranges.zip(usize::try_from(index).ok()).and_then(|(ranges, index)| ranges.get(index));
        range.map_or(0, |range| range.blocks)
    }

    fn put_in(&mut self, blocks: u64, rows: &RowEntries) -> KeptRange {
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
        // Of what is read while something old still runs, nothing is known later.
        let at = self.work.until.unwrap_or(0);
        KeptRange { blocks, rows: rows.rows(), at, read_at: self.work.now, place }
    }

    /// Takes out what a range was.
    fn take_out(&mut self, kept: &KeptRange) -> Result<()> {
        let rows = self.rows_of(kept)?;
        self.minus.add_entries(&rows);
        Ok(())
    }

    /// Holds what was kept of a range against what is there.
    fn compare(&mut self, range: (usize, u64), kept: KeptRange, rows: &RowEntries) -> Result<KeptRange> {
        self.reading.ranges_reread += 1;
        let then = self.rows_of(&kept)?;
        if !then.is_same(rows) && self.wrong.is_none() {
            let name = self.work.survey.parts.get(range.0).map_or("", |part| part.name.as_str());
            let (start, end) = (range.1 * BLOCKS, range.1 * BLOCKS + kept.blocks);
            let counts = format!("{} rows were kept, {} are there", then.rows(), rows.rows());
            self.wrong = Some(format!("{name}, blocks {start}..{end}: {counts}"));
        }
        let at = self.work.until.map_or(kept.at, |until| until.max(kept.at));
        Ok(KeptRange { at, read_at: self.work.now, ..kept })
    }

    fn rows_of(&mut self, kept: &KeptRange) -> Result<RowEntries> {
        let unusable = |why: String| Error::new(FailureKind::Permanent, UNUSABLE, why);
        let Some(place) = &kept.place else {
            return if kept.rows == 0 {
                Ok(RowEntries::default())
            } else {
                Err(unusable("the rows of a range are not there".to_owned()))
            };
        };
        let bytes = self.reader.read(place).map_err(|error| unusable(error.to_string()))?;
        let rows = RowEntries::decode(self.work.request.spec, &bytes).filter(|rows| rows.rows() == kept.rows);
        rows.ok_or_else(|| unusable("the rows of a range cannot be understood".to_owned()))
    }

    fn finish(mut self) -> Result<Read> {
        let defect = |why: String| Error::new(FailureKind::Permanent, "internal.ranges", why);
        self.plus.subtract(&self.minus).map_err(|error| defect(error.to_string()))?;
        for (range, kept) in &self.decided.kept {
            self.reading.ranges_kept += 1;
            self.reading.rows_kept += kept.rows;
            self.reading.pages_kept += self.state(*range);
        }
        let mut parts: Vec<KeptPart> = Vec::with_capacity(self.work.survey.parts.len());
        let mut ranges = std::mem::take(&mut self.ranges);
        for (number, part) in self.work.survey.parts.iter().enumerate() {
            let later = ranges.split_off(&(number + 1, 0));
            let own: Vec<KeptRange> = std::mem::replace(&mut ranges, later).into_values().collect();
            if own.len() != part.ranges.len() {
                return Err(defect(format!("{}: {} of {} ranges", part.name, own.len(), part.ranges.len())));
            }
            parts.push(KeptPart { sql: part.sql.clone(), storage: part.storage.clone(), ranges: own });
        }
        let Self { plus, writer, reading, bytes, wrong, .. } = self;
        Ok(Read { sums: plus, parts, writer, reading, bytes, wrong })
    }
}
