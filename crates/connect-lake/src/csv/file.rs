//! One CSV file: its columns, and its rows as typed batches.

use super::record::{Fault, Record, Records};
use crate::drive::Emit;
use crate::failure::{self, DAMAGED_HINT};
use crate::pinned::Pinned;
use crate::rows::Batches;
use crate::source::{FoundFile, Root};
use crate::{CsvOptions, partition::Partition};
use arrow_array::ArrayRef;
use flate2::read::MultiGzDecoder;
use paritas_connect::text::{Refused, TextColumn};
use paritas_connect::{Context, Error, FailureKind, Result, ScanRequest, SplitDone};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// Rows in a batch, at most, ...
const BATCH_ROWS_MAX: usize = 8 << 10;
/// ... and bytes, unless a single row is longer.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// What is fetched at a time over a network.
const FETCH_BYTES: u64 = 4 << 20;

/// The columns of a file, in its own order.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) file: Arc<FoundFile>,
    pub(super) names: Arc<[String]>,
}

/// An opened file.
struct Open {
    pinned: Arc<Pinned>,
    failure: Arc<Mutex<Option<Error>>>,
    records: Records<Box<dyn Read>>,
    record: Record,
}

/// Reads a pinned file from its first byte to its last.
struct Bytes {
    cx: Context,
    pinned: Arc<Pinned>,
    failure: Arc<Mutex<Option<Error>>>,
    at: u64,
    window: bytes::Bytes,
}

impl Read for Bytes {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.pinned.file().size.saturating_sub(self.at);
        if left == 0 && self.window.is_empty() {
            return Ok(0);
        }
        let read = self.cx.check().and_then(|()| self.fill(left, out));
        read.map_err(|error| {
            let text = error.to_string();
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            io::Error::other(text)
        })
    }
}

impl Bytes {
    fn fill(&mut self, left: u64, out: &mut [u8]) -> Result<usize> {
        if !self.pinned.is_remote() {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
            let part = out.get_mut(..length).unwrap_or_default();
            self.pinned.read_at(self.at, part)?;
            self.at += length as u64;
            self.cx.count(0, length as u64);
            return Ok(length);
        }
        if self.window.is_empty() {
            let length = left.min(FETCH_BYTES);
            self.window = self.pinned.fetch(self.at..self.at + length)?;
            self.at += length;
            self.cx.count(0, length);
        }
        let length = out.len().min(self.window.len());
        let part = self.window.split_to(length);
        if let Some(out) = out.get_mut(..length) {
            out.copy_from_slice(&part);
        }
        Ok(length)
    }
}

impl Open {
    fn new(cx: &Context, root: &Root, file: &Arc<FoundFile>, runtime: &Handle, options: &CsvOptions) -> Result<Self> {
        let pinned = Arc::new(Pinned::open(cx, root, file, runtime)?);
        let failure = Arc::new(Mutex::new(None));
        let bytes = Bytes {
            cx: cx.clone(),
            pinned: Arc::clone(&pinned),
            failure: Arc::clone(&failure),
            at: 0,
            window: bytes::Bytes::new(),
        };
        let input: Box<dyn Read> = if file.name.to_ascii_lowercase().ends_with(".gz") {
            Box::new(MultiGzDecoder::new(bytes))
        } else {
            Box::new(bytes)
        };
        Ok(Self { pinned, failure, records: Records::new(input, options), record: Record::default() })
    }

    fn name(&self) -> &str {
        &self.pinned.file().name
    }

    /// Reads the next record into `self.record`; false at the end of the file.
    fn next(&mut self) -> Result<bool> {
        self.records.read(&mut self.record).map_err(|fault| {
            if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return error;
            }
            if let Err(changed) = self.pinned.confirm() {
                return changed;
            }
            match fault {
                Fault::Malformed { line, why } => failure::damaged(format!("{} line {line}: {why}", self.name()))
                    .hint("fields with quotes, delimiters or line ends belong in quotes, with inner quotes doubled"),
                Fault::Io(error) => {
                    failure::damaged(format!("cannot unpack {}", self.name())).because(error).hint(DAMAGED_HINT)
                }
            }
        })
    }

    /// The column names; the first record is used up if it is the header.
    fn names(&mut self, options: &CsvOptions) -> Result<Vec<String>> {
        let some = self.next()?;
        if !options.header {
            return Ok((1..=self.record.len()).map(|number| format!("column{number}")).collect());
        }
        if !some {
            return Err(failure::damaged(format!("{} is empty and has no header", self.name()))
                .hint("an empty table has a header still; files without headers need header=false"));
        }
        let mut names = Vec::with_capacity(self.record.len());
        for index in 0..self.record.len() {
            names.push(text(&self.record, index, self.name())?.0.to_owned());
        }
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(failure::damaged(format!("{}: the header has {twice:?} twice", self.name()))
                .hint("give every column a name of its own"));
        }
        Ok(names)
    }
}

fn text<'r>(record: &'r Record, index: usize, file: &str) -> Result<(&'r str, bool)> {
    let line = record.line;
    match record.field(index) {
        Some(Ok(field)) => Ok(field),
        Some(Err(_)) => Err(failure::damaged(format!("{file} line {line}: field {} is not UTF-8", index + 1))
            .hint("write the file as UTF-8")),
        None => Err(failure::damaged(format!("{file} line {line}: there is no field {}", index + 1))),
    }
}

/// Reads the columns of a file.
pub(super) fn header(
    cx: &Context,
    root: &Root,
    file: &Arc<FoundFile>,
    runtime: &Handle,
    options: &CsvOptions,
) -> Result<Header> {
    let names = Open::new(cx, root, file, runtime, options)?.names(options)?;
    Ok(Header { file: Arc::clone(file), names: names.into() })
}

/// Where a compared column's text comes from.
enum Origin {
    Field(usize),
    Absent,
    Folder(Option<String>),
}

/// One compared column.
struct Target {
    name: String,
    origin: Origin,
    values: TextColumn,
    /// Rows since the last batch whose text is well-formed and beyond the slot; NULL among the values.
    beyond: BTreeMap<usize, String>,
}

/// What reading a file needs besides the file.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) root: Root,
    pub(super) options: CsvOptions,
    pub(super) partition: Partition,
    pub(super) request: ScanRequest,
}

impl Reading {
    fn targets(&self, header: &Header) -> Result<Vec<Target>> {
        let canon = &self.request.canon;
        let pairs = self.request.columns.iter().zip(&canon.columns);
        pairs
            .map(|(pair, column)| {
                let values = TextColumn::new(&column.slot, canon.policies).ok_or_else(|| {
                    let message = format!("column {:?} has a type without text form", pair.own);
                    Error::new(FailureKind::Permanent, "schema.mismatch", message)
                        .hint("leave the column out, or compare it as text through a view on the other side")
                })?;
                let origin = match header.names.iter().position(|name| *name == pair.own) {
                    Some(index) => Origin::Field(index),
                    None => self.partition.value(&header.file.name, &pair.own).map_or(Origin::Absent, Origin::Folder),
                };
                Ok(Target { name: pair.own.clone(), origin, values, beyond: BTreeMap::new() })
            })
            .collect()
    }

    /// Reads all rows of a file and proves that it did not change meanwhile.
    pub(super) fn read(
        &self,
        cx: &Context,
        header: &Header,
        runtime: &Handle,
        emit: &mut Emit<'_>,
    ) -> Result<SplitDone> {
        let mut open = Open::new(cx, &self.root, &header.file, runtime, &self.options)?;
        let names = open.names(&self.options)?;
        if names[..] != header.names[..] {
            return Err(failure::changed(&header.file.name, "Its header is another one now."));
        }
        let mut targets = self.targets(header)?;
        let kinds: Vec<_> = targets.iter().map(|target| target.values.data_type()).collect();
        let canonical = self.request.columns.iter().map(|pair| pair.canonical.as_str());
        let batches = Batches::new(&header.file.name, canonical.zip(&kinds));
        let (mut done, mut rows, mut bytes) = (SplitDone::default(), 0_usize, 0_usize);
        // Without a header the first record was read already, and is a row.
        let mut some = if self.options.header { open.next()? } else { open.record.len() > 0 };
        while some {
            self.row(&open, names.len(), rows, &mut targets)?;
            rows += 1;
            bytes += open.record.bytes();
            if rows == BATCH_ROWS_MAX || bytes >= BATCH_BYTES_MAX {
                flush(&batches, &mut targets, &mut done, &mut rows, emit)?;
                bytes = 0;
            }
            some = open.next()?;
        }
        flush(&batches, &mut targets, &mut done, &mut rows, emit)?;
        open.pinned.confirm()?;
        done.bytes = open.pinned.bytes();
        Ok(done)
    }

    /// Takes one record apart.
    fn row(&self, open: &Open, columns: usize, row: usize, targets: &mut [Target]) -> Result<()> {
        let record = &open.record;
        if record.len() != columns {
            let (line, fields) = (record.line, record.len());
            let message = format!("{} line {line} has {fields} fields instead of {columns}", open.name());
            return Err(Error::new(FailureKind::Damaged, "data.ragged", message)
                .hint("look for unquoted delimiters or a cut line; rows are never padded or left out"));
        }
        for target in targets {
            let value = match &target.origin {
                Origin::Absent => None,
                Origin::Folder(value) => value.as_deref(),
                Origin::Field(index) => {
                    let (text, quoted) = text(record, *index, open.name())?;
                    (quoted || text != self.options.null).then_some(text)
                }
            };
            match value.map_or(Ok(()), |value| target.values.push(value)) {
                Ok(()) if value.is_some() => {}
                Ok(()) => target.values.null(),
                Err(Refused::Malformed(why)) => return Err(unparsable(open, &target.name, why)),
                Err(Refused::Beyond) => {
                    target.values.null();
                    target.beyond.insert(row, value.unwrap_or_default().to_owned());
                }
            }
        }
        Ok(())
    }
}

fn unparsable(open: &Open, column: &str, why: String) -> Error {
    let message = format!("{} line {}: column {column:?} cannot be read", open.name(), open.record.line);
    Error::new(FailureKind::Damaged, "data.unparsable", message)
        .detail(why)
        .hint("no value of the other side's type has this text; mend the file, or compare the column as text")
}

fn flush(
    batches: &Batches,
    targets: &mut [Target],
    done: &mut SplitDone,
    rows: &mut usize,
    emit: &mut Emit<'_>,
) -> Result<()> {
    let count = std::mem::take(rows);
    if count == 0 {
        return Ok(());
    }
    let columns: Vec<ArrayRef> = targets.iter_mut().map(|target| target.values.finish()).collect();
    let beyond: Vec<BTreeMap<usize, String>> =
        targets.iter_mut().map(|target| std::mem::take(&mut target.beyond)).collect();
    for part in parts(&beyond, count) {
        emit(batches.part(done.rows + 1, &columns, &beyond, part)?)?;
    }
    done.rows += count as u64;
    Ok(())
}

/// Rows put together so that in each part a column's values are all beyond its slot, or none is.
fn parts(beyond: &[BTreeMap<usize, String>], count: usize) -> Vec<Range<usize>> {
    let mut cuts: BTreeSet<usize> =
        beyond.iter().flat_map(|rows| rows.keys()).flat_map(|row| [*row, row + 1]).collect();
    cuts.extend([0, count]);
    cuts.iter().zip(cuts.iter().skip(1)).map(|(start, end)| *start..*end).collect()
}
