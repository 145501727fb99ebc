//! Guarding INT96 timestamps. The decoder gives nanoseconds in 64 bits and wraps what they cannot hold
//! (before 1677, after 2262); or, where the writer declared a coarser unit, cuts finer digits off. The
//! same column decoded in another unit shows whether either happened.

use super::footer::{Opened, guard};
use super::input::Input;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use paritas_connect::{Error, FailureKind, Result};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as Physical;
use parquet::schema::types::Type;
use std::sync::Arc;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The INT96 columns of one row group once more, in another unit.
pub(super) struct Twice {
    reader: ParquetRecordBatchReader,
    /// Place among the decoded columns, and name.
    columns: Vec<(usize, String)>,
}

impl Twice {
    /// A second reader, if any of the decoded top-level columns is INT96.
    pub(super) fn new(opened: &Opened, roots: &[usize], group: usize, batch_rows: usize) -> Result<Option<Self>> {
        let fields = opened.metadata.parquet_schema().root_schema().get_fields();
        let is_int96 = |root: usize| {
            let kind = fields.get(root).map(AsRef::as_ref);
            matches!(kind, Some(Type::PrimitiveType { physical_type: Physical::INT96, .. }))
        };
        let found = roots.iter().enumerate().filter(|(_, root)| is_int96(**root));
        let found: Vec<(usize, usize)> = found.map(|(position, root)| (position, *root)).collect();
        if found.is_empty() {
            return Ok(None);
        }
        let name = |root: usize| opened.columns.get(root).map(|column| column.name.clone()).unwrap_or_default();
        let columns = found.iter().map(|(position, root)| (*position, name(*root))).collect();
        let reader = guard(&opened.input, &format!("row group {group}"), || {
            let schema = opened.metadata.schema();
            let other =
                schema.fields().iter().enumerate().map(|(root, field)| match (is_int96(root), field.data_type()) {
                    (false, _) => Arc::clone(field),
                    (true, DataType::Timestamp(TimeUnit::Nanosecond, zone)) => with_unit(field, TimeUnit::Second, zone),
                    (true, DataType::Timestamp(_, zone)) => with_unit(field, TimeUnit::Nanosecond, zone),
                    (true, _) => with_unit(field, TimeUnit::Nanosecond, &None),
                });
            let other = Schema::new_with_metadata(other.collect::<Vec<Arc<Field>>>(), schema.metadata().clone());
            let options = ArrowReaderOptions::new().with_schema(Arc::new(other));
            let metadata = ArrowReaderMetadata::try_new(Arc::clone(opened.metadata.metadata()), options)?;
            let mask = ProjectionMask::roots(metadata.parquet_schema(), found.iter().map(|(_, root)| *root));
            ParquetRecordBatchReaderBuilder::<Input>::new_with_metadata(opened.input.clone(), metadata)
                .with_projection(mask)
                .with_row_groups(vec![group])
                .with_batch_size(batch_rows)
                .build()
        })?;
        Ok(Some(Self { reader, columns }))
    }

    /// Checks the next batch; `first_row` is the number of its first row in the file.
    pub(super) fn check(&mut self, opened: &Opened, batch: &RecordBatch, first_row: u64) -> Result<()> {
        let next = guard(&opened.input, "INT96 timestamps", || self.reader.next().transpose().map_err(Into::into))?;
        let file = &opened.input.pinned().file().name;
        for (index, (position, name)) in self.columns.iter().enumerate() {
            let one = batch.columns().get(*position);
            let two = next.as_ref().and_then(|batch| batch.columns().get(index));
            let bad = match one.zip(two).and_then(|(one, two)| disagreement(one, two)) {
                Some(Ok(())) => continue,
                Some(Err(row)) => row,
                None => {
                    let what = format!("{file}: column {name:?} could not be read twice alike");
                    return Err(crate::failure::damaged(what));
                }
            };
            let row = first_row.saturating_add(bad as u64);
            let message = format!("{file} row {row}: the INT96 timestamp in column {name:?} does not fit its unit");
            return Err(Error::new(FailureKind::Permanent, "data.unreadable", message)
                .detail("Nanoseconds in 64 bits reach from 1677 to 2262, and coarser units have fewer digits.")
                .hint("write the column as TIMESTAMP_MICROS, or leave it out of the comparison"));
        }
        Ok(())
    }
}

fn with_unit(field: &Field, unit: TimeUnit, zone: &Option<Arc<str>>) -> Arc<Field> {
    Arc::new(field.clone().with_data_type(DataType::Timestamp(unit, zone.clone())))
}

/// The first row in which the two readings do not mean the same; nothing if they cannot be compared.
fn disagreement(one: &dyn Array, two: &dyn Array) -> Option<Result<(), usize>> {
    let unit = |array: &dyn Array| match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => Some(1),
        DataType::Timestamp(TimeUnit::Millisecond, _) => Some(1_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(1_000_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(NANOS_PER_SECOND),
        _ => None,
    };
    let (a, b) = (unit(one)?, unit(two)?);
    // All units of time have the same layout underneath.
    let values = |array: &dyn Array| Some(array.to_data().buffers().first()?.typed_data::<i64>().to_vec());
    let (x, y) = (values(one)?, values(two)?);
    if one.len() != two.len() || x.len() < one.len() || y.len() < two.len() {
        return None;
    }
    let fits = |(x, y): (i64, i64)| match a < b {
        // Coarse first: nothing may be left in the finer one, which wraps.
        true => x.wrapping_mul(b / a) == y,
        false => x.div_euclid(a / b) == y,
    };
    let bad = x.into_iter().zip(y).enumerate().take(one.len()).find(|(row, pair)| one.is_valid(*row) && !fits(*pair));
    Some(bad.map_or(Ok(()), |(row, _)| Err(row)))
}
