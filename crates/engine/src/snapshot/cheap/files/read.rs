//! Reading files that have to be read, and bringing the digest up to date.

use super::super::decide::Before;
use super::decide::{Decided, SETTLED, UNSETTLED};
use super::{NotKept, Work, identity_of};
use paritas_connect::{Error, FailureKind, FiledPart, Result};
use paritas_digest::{PartSum, Sums};
use paritas_report::KeptReading;
use paritas_state::{KeptPart, KeptRange, RangesReader, RangesWriter};
use paritas_verify::filed::{self, Piece, PieceRead};
use std::collections::BTreeMap;

/// The code of an error that says that what was kept cannot be read.
const UNUSABLE: &str = "files.unusable";
/// Rows of one file that the index can count.
const ROWS_MAX: u64 = u32::MAX as u64;

/// What reading came to.
pub(super) struct Read {
    /// The digest of all rows now.
    pub(super) sums: Sums,
    /// Its files, for the next snapshot.
    pub(super) parts: Vec<KeptPart>,
    /// What they are written with, or why they cannot be kept.
    pub(super) writer: std::result::Result<RangesWriter, NotKept>,
    pub(super) reading: KeptReading,
    pub(super) bytes: u64,
    /// The first file that is not what was kept of it.
    pub(super) wrong: Option<String>,
}

/// What changes while files come in.
struct Taking<'a> {
    work: &'a Work<'a>,
    decided: &'a Decided,
    reader: RangesReader,
    writer: std::result::Result<RangesWriter, NotKept>,
    plus: Sums,
    minus: Sums,
    /// Files of which some pieces have been read, with how many are to come.
    begun: BTreeMap<usize, (usize, PartSum)>,
    files: BTreeMap<usize, KeptRange>,
    reading: KeptReading,
    bytes: u64,
    /// Bytes that all files take in the state folder, about.
    held: u64,
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
    let writer = work.thrift.folder.begin().map_err(|error| NotKept::Why(error.to_string()));
    let mut taking = Taking {
        work,
        decided,
        reader: work.thrift.folder.reader(),
        writer,
        plus: before.cloned().unwrap_or_else(|| zero.clone()),
        minus: zero,
        begun: BTreeMap::new(),
        files: decided.kept.clone(),
        reading: KeptReading::default(),
        bytes: 0,
        held: decided.kept.values().fold(0, |sum, kept| work.bytes_of(kept.rows).saturating_add(sum)),
        wrong: None,
    };
    let pieces = |number: usize| {
        let file = work.files.get(number);
        let piece = move |file: &FiledPart, piece| Piece { file: number, piece, name: file.name.clone() };
        file.into_iter().flat_map(move |file| (0..file.pieces).map(move |number| piece(file, number)))
    };
    let pieces = decided.read.keys().flat_map(|number| pieces(*number)).collect();
    let outcome = async {
        filed::read(work.request.side, &work.view, (spec, work.capacity), pieces, |piece| taking.take(piece)).await?;
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
    fn take(&mut self, piece: PieceRead) -> Result<()> {
        self.bytes = self.bytes.saturating_add(piece.done.bytes);
        let number = piece.file;
        let pieces = self.work.files.get(number).map_or(1, |file| file.pieces);
        let (left, sum) = match self.begun.remove(&number) {
            None => (pieces, piece.sum),
            Some((left, mut sum)) => {
                sum.merge(self.work.request.spec, piece.sum).map_err(|error| defect(error.to_string()))?;
                (left, sum)
            }
        };
        match left.saturating_sub(1) {
            0 => self.file(number, &sum),
            left => {
                self.begun.insert(number, (left, sum));
                Ok(())
            }
        }
    }

    /// Takes a file whose rows have all been read.
    fn file(&mut self, number: usize, sum: &PartSum) -> Result<()> {
        self.reading.files_read += 1;
        self.reading.rows_read = self.reading.rows_read.saturating_add(sum.rows());
        let kept = match self.decided.read.get(&number).copied().unwrap_or(Before::Nothing) {
            Before::Same(kept) => self.compare(number, kept, sum)?,
            Before::Written(kept) => {
                self.take_out(&kept)?;
                self.put_in(number, sum)?
            }
            Before::Nothing => self.put_in(number, sum)?,
        };
        self.files.insert(number, kept);
        Ok(())
    }

    fn put_in(&mut self, number: usize, sum: &PartSum) -> Result<KeptRange> {
        let work = self.work;
        sum.add_to(&mut self.plus).map_err(|error| defect(error.to_string()))?;
        let mut place = None;
        self.held = self.held.saturating_add(work.bytes_of(sum.rows()));
        if self.held > work.thrift.bytes_max {
            let why = format!("its files would take more than {} bytes to keep", work.thrift.bytes_max);
            self.give_up(why);
        }
        if sum.rows() > ROWS_MAX {
            self.give_up(format!("a file has more than {ROWS_MAX} rows"));
        }
        if sum.rows() > 0
            && let Ok(writer) = &mut self.writer
        {
            match writer.add(&sum.encode(work.request.spec)) {
                Ok(written) => place = Some(written),
                // The digest needs none of it.
                Err(error) => self.give_up(error.to_string()),
            }
        }
        let is_settled = work.files.get(number).is_some_and(|file| work.is_settled(file));
        let at = if is_settled { SETTLED } else { UNSETTLED };
        Ok(KeptRange { blocks: 1, rows: sum.rows(), at, read_at: work.now(), place })
    }

    /// Keeps nothing for the next snapshot. The first reason counts.
    fn give_up(&mut self, why: String) {
        if self.writer.is_ok() {
            self.writer = Err(NotKept::Why(why));
        }
    }

    /// Takes out what a file was.
    fn take_out(&mut self, kept: &KeptRange) -> Result<()> {
        let sum = self.sum_of(kept)?;
        sum.add_to(&mut self.minus).map_err(|error| defect(error.to_string()))
    }

    /// Holds what was kept of a file against what is there.
    fn compare(&mut self, number: usize, kept: KeptRange, sum: &PartSum) -> Result<KeptRange> {
        self.reading.files_reread += 1;
        self.held = self.held.saturating_add(self.work.bytes_of(kept.rows));
        let then = self.sum_of(&kept)?;
        if !then.is_same(self.work.request.spec, sum) && self.wrong.is_none() {
            let name = self.work.files.get(number).map_or("", |file| file.name.as_str());
            self.wrong = Some(format!("{name}: {} rows were kept, {} are there", then.rows(), sum.rows()));
        }
        Ok(KeptRange { read_at: self.work.now(), ..kept })
    }

    fn sum_of(&mut self, kept: &KeptRange) -> Result<PartSum> {
        let unusable = |why: String| Error::new(FailureKind::Permanent, UNUSABLE, why);
        let Some(place) = &kept.place else {
            return if kept.rows == 0 {
                Ok(PartSum::new(self.work.capacity))
            } else {
                Err(unusable("what a file adds is not there".to_owned()))
            };
        };
        let bytes = self.reader.read(place).map_err(|error| unusable(error.to_string()))?;
        let sum = PartSum::decode(self.work.request.spec, self.work.capacity, &bytes);
        let sum = sum.filter(|sum| sum.rows() == kept.rows);
        sum.ok_or_else(|| unusable("what a file adds cannot be understood".to_owned()))
    }

    fn finish(mut self) -> Result<Read> {
        self.plus.subtract(&self.minus).map_err(|error| defect(error.to_string()))?;
        for kept in self.decided.kept.values() {
            self.reading.files_kept += 1;
            self.reading.rows_kept = self.reading.rows_kept.saturating_add(kept.rows);
        }
        let mut parts = Vec::with_capacity(self.work.files.len());
        for (number, file) in self.work.files.iter().enumerate() {
            let kept = self.files.get(&number).ok_or_else(|| defect(format!("{} was not read", file.name)))?;
            let (sql, storage) = (file.name.clone(), identity_of(file).to_owned());
            parts.push(KeptPart { sql, storage, ranges: vec![*kept] });
        }
        let Self { plus, writer, reading, bytes, wrong, .. } = self;
        Ok(Read { sums: plus, parts, writer, reading, bytes, wrong })
    }
}

fn defect(why: String) -> Error {
    Error::new(FailureKind::Permanent, "internal.files", why)
}
