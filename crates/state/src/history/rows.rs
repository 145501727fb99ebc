//! From rows of the tables to values and back, each with a checksum of its own.

use super::aggregate::{Aggregate, STATES, Sum, Values, state_number};
use super::entry::Sample;
use super::failure::damaged;
use crate::Result;
use paritas_model::Verdict;
use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement, params};
use std::path::Path;

/// A value of a row, as it is hashed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Absent,
    Number(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl From<i64> for Part<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for Part<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a, T: Into<Part<'a>>> From<Option<T>> for Part<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

/// The checksum of a row of a table.
pub(super) fn checksum(table: &str, parts: &[Part<'_>]) -> i64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(table.as_bytes());
    for part in parts {
        let (kind, bytes): (u8, &[u8]) = match part {
            Part::Absent => (0, &[]),
            Part::Number(number) => (1, &number.to_le_bytes()),
            Part::Text(text) => (2, text.as_bytes()),
            Part::Bytes(bytes) => (3, bytes),
        };
        hasher.update(&[kind]);
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    let mut short = [0; 8];
    for (own, byte) in short.iter_mut().zip(hasher.finalize().as_bytes()) {
        *own = *byte;
    }
    i64::from_le_bytes(short)
}

/// Whether the column after the first ones of a row is their checksum.
pub(super) fn check(path: &Path, table: &str, row: &Row<'_>, columns: usize) -> Result<()> {
    check_marked(path, table, row, columns, false)
}

/// The same of a row whose checksum is turned over where the row is marked, so that the mark is covered by it.
fn check_marked(path: &Path, table: &str, row: &Row<'_>, columns: usize, marked: bool) -> Result<()> {
    let own = |error| super::failed("read", path, error);
    let mut parts = Vec::with_capacity(columns);
    let bad = || damaged(path, format!("A row of {table} does not match its checksum."));
    for column in 0..columns {
        parts.push(match row.get_ref(column).map_err(own)? {
            ValueRef::Null => Part::Absent,
            ValueRef::Integer(number) => Part::Number(number),
            ValueRef::Text(text) => Part::Text(std::str::from_utf8(text).map_err(|_| bad())?),
            ValueRef::Blob(bytes) => Part::Bytes(bytes),
            ValueRef::Real(_) => return Err(bad()),
        });
    }
    let sum: i64 = row.get(columns).map_err(own)?;
    let expected = checksum(table, &parts);
    if sum == if marked { !expected } else { expected } { Ok(()) } else { Err(bad()) }
}

/// The verdict of a word.
pub(super) fn verdict(path: &Path, word: &str) -> Result<Verdict> {
    [Verdict::Pass, Verdict::Warn, Verdict::Unknown, Verdict::Fail]
        .into_iter()
        .find(|verdict| verdict.as_str() == word)
        .ok_or_else(|| damaged(path, format!("There is no verdict {word:?}.")))
}

/// A number for a column; what is too large for one is the largest.
fn number(value: Option<u64>) -> Option<i64> {
    value.map(|value| i64::try_from(value).unwrap_or(i64::MAX))
}

/// The columns of a sample, its checksum and its mark after them.
pub(super) const SAMPLE_COLUMNS: &str =
    "stream, at, state, bytes, records, versions, low, high, loss, method, why, sum, rolled";
const SAMPLE_PARTS: usize = 11;

/// Writes a sample; one that is there already stays.
pub(super) fn put_sample(statement: &mut Statement<'_>, stream: i64, sample: &Sample) -> rusqlite::Result<usize> {
    let state = i64::try_from(state_number(sample.state)).unwrap_or_default();
    let [bytes, records, versions] = [sample.bytes, sample.records, sample.versions].map(number);
    let [low, high, loss] = [sample.low, sample.high, sample.loss].map(number);
    let (method, why) = (sample.method.as_deref(), sample.why.as_deref());
    let parts: [Part<'_>; SAMPLE_PARTS] = [
        stream.into(),
        sample.at.into(),
        state.into(),
        bytes.into(),
        records.into(),
        versions.into(),
        low.into(),
        high.into(),
        loss.into(),
        method.into(),
        why.into(),
    ];
    let sum = checksum("samples", &parts);
    statement.execute(params![stream, sample.at, state, bytes, records, versions, low, high, loss, method, why, sum])
}

/// Reads a sample whose columns are [`SAMPLE_COLUMNS`].
pub(super) fn get_sample(path: &Path, row: &Row<'_>) -> Result<Sample> {
    let rolled = row.get::<_, i64>(SAMPLE_PARTS + 1).map_err(|error| super::failed("read", path, error))?;
    check_marked(path, "samples", row, SAMPLE_PARTS, rolled != 0)?;
    let read = || -> rusqlite::Result<Sample> {
        let figure = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(i64::cast_unsigned));
        let state: i64 = row.get(2)?;
        Ok(Sample {
            at: row.get(1)?,
            state: usize::try_from(state).ok().and_then(|index| STATES.get(index)).copied().unwrap_or(STATES[4]),
            bytes: figure(3)?,
            records: figure(4)?,
            versions: figure(5)?,
            low: figure(6)?,
            high: figure(7)?,
            loss: figure(8)?,
            method: row.get(9)?,
            why: row.get(10)?,
        })
    };
    read().map_err(|error| super::failed("read", path, error))
}

/// The columns of a bucket, `sum` after them.
pub(super) const BUCKET_COLUMNS: &str =
    "stream, step, at, samples, counts, low, high, before, loss, bytes, records, versions, sum";
const BUCKET_PARTS: usize = 12;

/// Where a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) stream: i64,
    /// Its length in microseconds.
    pub(super) step: i64,
    /// Where it begins.
    pub(super) at: i64,
}

/// Writes a bucket in the place of the one that was there.
pub(super) fn put_bucket(statement: &mut Statement<'_>, place: Place, all: &Aggregate) -> rusqlite::Result<usize> {
    let Place { stream, step, at } = place;
    let samples = number(Some(all.samples())).unwrap_or_default();
    let counts = all.counts();
    let blobs = all.all().map(Values::encode);
    let mut parts: Vec<Part<'_>> =
        vec![stream.into(), step.into(), at.into(), samples.into(), Part::Bytes(counts.as_slice())];
    parts.extend(blobs.iter().map(|blob| blob.as_deref().map_or(Part::Absent, Part::Bytes)));
    let sum = checksum("buckets", &parts);
    let [low, high, before, loss, bytes, records, versions] = blobs;
    statement
        .execute(params![stream, step, at, samples, counts, low, high, before, loss, bytes, records, versions, sum])
}

/// Reads a bucket whose columns are [`BUCKET_COLUMNS`].
pub(super) fn get_bucket(path: &Path, row: &Row<'_>) -> Result<(Place, Aggregate)> {
    let mut all = Aggregate::default();
    let place = bucket_parts(path, row, &mut all, |all, index, blob| {
        let values = all.all_mut().into_iter().nth(index)?;
        *values = Values::decode(blob)?;
        Some(())
    })?;
    Ok((place, all))
}

/// Adds a bucket whose columns are [`BUCKET_COLUMNS`]: its numbers to `all`, its histograms to `sums`.
pub(super) fn add_bucket(path: &Path, row: &Row<'_>, all: &mut Aggregate, sums: &mut [Sum; 7]) -> Result<()> {
    bucket_parts(path, row, all, |_, index, blob| match (sums.get_mut(index), blob) {
        (Some(sum), Some(blob)) => sum.add(blob),
        _ => Some(()),
    })?;
    Ok(())
}

/// How many samples a bucket has whose columns are [`BUCKET_COLUMNS`].
pub(super) fn bucket_samples(path: &Path, row: &Row<'_>) -> Result<u64> {
    let mut all = Aggregate::default();
    bucket_parts(path, row, &mut all, |_, _, _| Some(()))?;
    Ok(all.samples())
}

/// Checks a bucket, adds its numbers to `all`, and hands its histograms out.
fn bucket_parts(
    path: &Path,
    row: &Row<'_>,
    all: &mut Aggregate,
    mut histogram: impl FnMut(&mut Aggregate, usize, Option<&[u8]>) -> Option<()>,
) -> Result<Place> {
    check(path, "buckets", row, BUCKET_PARTS)?;
    let own = |error| super::failed("read", path, error);
    let bad = || damaged(path, "A histogram cannot be read.");
    let place =
        Place { stream: row.get(0).map_err(own)?, step: row.get(1).map_err(own)?, at: row.get(2).map_err(own)? };
    let counts = row.get_ref(4).map_err(own)?.as_blob().map_err(|_| bad())?;
    all.add_counts(counts).ok_or_else(bad)?;
    for index in 0..7 {
        let blob = row.get_ref(5 + index).map_err(own)?.as_blob_or_null().map_err(|_| bad())?;
        histogram(all, index, blob).ok_or_else(bad)?;
    }
    Ok(place)
}
