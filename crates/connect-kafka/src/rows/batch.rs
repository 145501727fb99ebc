//! Batches of rows that know at which offsets their records stand.

use arrow_array::{Array as _, ArrayRef, RecordBatch, RecordBatchOptions, StringViewArray};
use arrow_schema::{Field, FieldRef, Schema};
use paritas_connect::logs::Partition;
use paritas_connect::{Error, FailureKind, FetchedRow, Result, render_arrow};
use paritas_digest::{Block, Canon, beyond_slot};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// The partition that a batch is from, in the metadata of its schema.
const PARTITION: &str = "paritas.partition";
/// The offsets of its records: `first+count`, separated by commas.
const OFFSETS: &str = "paritas.offsets";

/// Offsets in their order, as runs without gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offsets(Vec<(u64, u64)>);

impl Offsets {
    /// Appends an offset.
    pub(super) fn push(&mut self, offset: u64) {
        match self.0.last_mut() {
            Some((first, count)) if first.checked_add(*count) == Some(offset) => *count += 1,
            _ => self.0.push((offset, 1)),
        }
    }

    /// The offset of one row.
    fn get(&self, row: usize) -> Option<u64> {
        let mut left = row as u64;
        for (first, count) in &self.0 {
            if left < *count {
                return first.checked_add(left);
            }
            left -= count;
        }
        None
    }

    fn slice(&self, rows: Range<usize>) -> Self {
        let (start, end) = (rows.start as u64, rows.end as u64);
        let mut slice = Vec::new();
        let mut row = 0;
        for (first, count) in &self.0 {
            let (low, high) = (start.max(row), end.min(row.saturating_add(*count)));
            if low < high {
                slice.push((first.saturating_add(low - row), high - low));
            }
            row = row.saturating_add(*count);
        }
        Self(slice)
    }

    fn write(&self) -> String {
        self.0.iter().map(|(first, count)| format!("{first}+{count}")).collect::<Vec<_>>().join(",")
    }

    fn read(text: &str) -> Option<Self> {
        let run = |run: &str| {
            let (first, count) = run.split_once('+')?;
            Some((first.parse().ok()?, count.parse().ok()?))
        };
        text.split(',').map(run).collect::<Option<Vec<_>>>().map(Self)
    }
}

/// The columns of some rows, in the canon's order.
#[derive(Debug)]
pub(super) struct Columns {
    /// One array for each column.
    pub(super) arrays: Vec<ArrayRef>,
    /// For each column the values that its slot cannot hold, by row.
    pub(super) beyond: Vec<BTreeMap<usize, String>>,
    /// Where the rows are from.
    pub(super) offsets: Offsets,
}

/// Cuts rows into batches in which a column's values are all beyond its slot, or none is.
pub(super) fn batches(
    canon: &Canon,
    partition: &Partition,
    rows: usize,
    columns: &Columns,
) -> Result<Vec<RecordBatch>> {
    let beyond = &columns.beyond;
    let mut cuts: BTreeSet<usize> =
        beyond.iter().flat_map(|rows| rows.keys()).flat_map(|row| [*row, row + 1]).collect();
    cuts.extend([0, rows]);
    let parts = cuts.iter().zip(cuts.iter().skip(1)).map(|(start, end)| *start..*end);
    parts.map(|part| batch(canon, partition, columns, part, rows)).collect()
}

fn batch(
    canon: &Canon,
    partition: &Partition,
    columns: &Columns,
    rows: Range<usize>,
    all: usize,
) -> Result<RecordBatch> {
    let count = columns.arrays.len();
    let (mut fields, mut arrays) = (Vec::<FieldRef>::with_capacity(count), Vec::with_capacity(count));
    for ((column, array), beyond) in canon.columns.iter().zip(&columns.arrays).zip(&columns.beyond) {
        if array.len() != all {
            let message = format!("{partition}: column {:?} has {} values of {all} rows", column.name, array.len());
            return Err(Error::new(FailureKind::Permanent, "internal.columns", message));
        }
        if beyond.contains_key(&rows.start) {
            let texts = beyond.range(rows.clone()).map(|(_, text)| Some(text.as_str()));
            fields.push(Arc::new(beyond_slot(&column.name)));
            arrays.push(Arc::new(texts.collect::<StringViewArray>()) as ArrayRef);
        } else {
            fields.push(Arc::new(Field::new(&column.name, array.data_type().clone(), true)));
            arrays.push(array.slice(rows.start, rows.len()));
        }
    }
    let offsets = if rows.len() == all { columns.offsets.write() } else { columns.offsets.slice(rows.clone()).write() };
    let metadata = HashMap::from([(PARTITION.to_owned(), partition.to_string()), (OFFSETS.to_owned(), offsets)]);
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|error| {
        Error::new(FailureKind::Permanent, "internal.columns", format!("{partition}: columns do not fit together"))
            .because(error)
    })
}

/// Rows of a batch for people, with their places.
pub(super) fn render(canon: &Canon, block: &Block, rows: &[usize]) -> Result<Vec<FetchedRow>> {
    let Block::Arrow(batch) = block else {
        return Err(Error::unsupported("rows in wire form"));
    };
    let mut rendered = render_arrow(canon, batch, rows)?;
    let metadata = batch.schema_ref().metadata();
    let place = metadata.get(PARTITION).zip(metadata.get(OFFSETS).and_then(|text| Offsets::read(text)));
    if let Some((partition, offsets)) = place {
        for (fetched, row) in rendered.iter_mut().zip(rows) {
            fetched.place = offsets.get(*row).map(|offset| format!("{partition} offset {offset}"));
        }
    }
    Ok(rendered)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_row_knows_its_offset(gaps in prop::collection::vec(1..4_u64, 1..60), from in 0..50_usize, to in 0..60_usize) {
            let mut at = 0;
            let all: Vec<u64> = gaps.iter().map(|gap| { at += gap; at }).collect();
            let mut offsets = Offsets::default();
            all.iter().for_each(|offset| offsets.push(*offset));
            let read = Offsets::read(&offsets.write()).unwrap();
            prop_assert_eq!(&read, &offsets);
            for (row, offset) in all.iter().enumerate() {
                prop_assert_eq!(read.get(row), Some(*offset));
            }
            prop_assert_eq!(read.get(all.len()), None);
            let rows = from.min(all.len())..to.clamp(from.min(all.len()), all.len());
            let slice = read.slice(rows.clone());
            prop_assert_eq!(all.get(rows.clone()).unwrap().first().copied(), slice.get(0));
        }
    }
}
