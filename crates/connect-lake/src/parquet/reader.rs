//! Reading row groups: decode, check against the footer, hand out in the canon's order.

use super::footer::{Opened, guard};
use super::input::Input;
use super::int96::Twice;
use super::scan::{Inner, Part};
use crate::drive::Emit;
use crate::failure::{self, DAMAGED_HINT};
use crate::rows::Batches;
use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_schema::DataType;
use paritas_connect::text::{Refused, TextColumn};
use paritas_connect::{Context, Error, FailureKind, Result, SplitDone};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::RowGroupMetaData;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Rows in a batch, at most, ...
const BATCH_ROWS_MAX: usize = 8 << 10;
/// ... and fewer where rows are long, so that a batch has about this many bytes.
const BATCH_BYTES: u64 = 8 << 20;
/// Smallest batch.
const BATCH_ROWS_MIN: usize = 64;

/// Where the values of one compared column come from.
#[derive(Debug)]
enum Origin {
    /// A column of the file, by its place among those that are decoded.
    File { position: usize, root: usize },
    /// The file does not have it.
    Absent,
    /// The name of a folder; one value, repeated for a whole batch.
    Folder(ArrayRef),
}

/// How the columns of one file become those of the canon.
struct Plan {
    origins: Vec<Origin>,
    roots: Vec<usize>,
    batches: Batches,
}

/// Reads consecutive row groups of one file and proves that the file did not change meanwhile.
pub(super) fn read(
    cx: &Context,
    scan: &Inner,
    part: &Part,
    runtime: &Handle,
    emit: &mut Emit<'_>,
) -> Result<SplitDone> {
    let shape = scan.view.shapes.get(part.file).ok_or_else(|| Error::unsupported("a file outside of the view"))?;
    let opened = Opened::new(cx, &scan.view.root, &shape.file, runtime)?;
    let now: Vec<_> = opened.metadata.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    let then = shape.groups.iter().map(|group| i64::try_from(group.rows).unwrap_or(i64::MAX));
    if !then.eq(now.iter().copied()) {
        return Err(failure::changed(&shape.file.name, "Its footer is another one now."));
    }
    let plan = plan(scan, &opened, &shape.file.name)?;
    let mut first_row = 1 + shape.groups.iter().take(part.groups.start).map(|group| group.rows).sum::<u64>();
    let mut done = SplitDone::default();
    for index in part.groups.clone() {
        let rows = read_group(cx, &opened, &plan, index, first_row, emit)?;
        first_row += rows;
        done.rows += rows;
    }
    opened.input.pinned().confirm()?;
    done.bytes = opened.input.pinned().bytes();
    Ok(done)
}

fn plan(scan: &Inner, opened: &Opened, file: &str) -> Result<Plan> {
    let canon = &scan.request.canon;
    let mut roots: Vec<usize> = Vec::new();
    let found: Vec<Option<usize>> = scan
        .request
        .columns
        .iter()
        .map(|pair| opened.columns.iter().position(|column| column.name == pair.own))
        .collect();
    roots.extend(found.iter().flatten());
    roots.sort_unstable();
    roots.dedup();
    let mut origins = Vec::with_capacity(found.len());
    let mut fields = Vec::with_capacity(found.len());
    for (index, (pair, root)) in scan.request.columns.iter().zip(&found).enumerate() {
        let (origin, kind) = match root {
            Some(root) => {
                let position = roots.binary_search(root).unwrap_or_default();
                let kind = opened.metadata.schema().fields().get(*root).map(|field| field.data_type().clone());
                (Origin::File { position, root: *root }, kind.unwrap_or(DataType::Null))
            }
            None => match scan.view.partition.value(file, &pair.own) {
                None => (Origin::Absent, DataType::Null),
                Some(value) => {
                    let slot = canon.columns.get(index).map(|column| &column.slot);
                    let values = slot.and_then(|slot| TextColumn::new(slot, canon.policies));
                    let repeated = folder(values, value.as_deref(), file, &pair.own)?;
                    let kind = repeated.data_type().clone();
                    (Origin::Folder(repeated), kind)
                }
            },
        };
        origins.push(origin);
        fields.push((pair.canonical.as_str(), kind));
    }
    let batches = Batches::new(file, fields.iter().map(|(name, kind)| (*name, kind)));
    Ok(Plan { origins, roots, batches })
}

/// The value of a folder's name, repeated for the longest batch.
fn folder(column: Option<TextColumn>, value: Option<&str>, file: &str, name: &str) -> Result<ArrayRef> {
    let unparsable = |why: String| {
        Error::new(
            FailureKind::Damaged,
            "data.unparsable",
            format!("{file}: the folder's value of column {name:?} cannot be read"),
        )
        .detail(format!("{value:?}: {why}"))
        .hint("rename the folder, or leave the column out of the comparison")
    };
    let mut column = column.ok_or_else(|| unparsable("values of this type have no text form".into()))?;
    for _ in 0..BATCH_ROWS_MAX {
        match value {
            Some(text) => column.push(text).map_err(|refused| match refused {
                Refused::Malformed(why) => unparsable(why),
                Refused::Beyond => unparsable("the column's type has no such value".into()),
            })?,
            None => column.null(),
        }
    }
    Ok(column.finish())
}

/// Reads one row group; returns its rows, which are as many as the footer says.
fn read_group(
    cx: &Context,
    opened: &Opened,
    plan: &Plan,
    index: usize,
    first_row: u64,
    emit: &mut Emit<'_>,
) -> Result<u64> {
    let Some(group) = opened.metadata.metadata().row_groups().get(index) else { return Ok(0) };
    let expected = u64::try_from(group.num_rows()).unwrap_or_default();
    if expected == 0 {
        return Ok(0);
    }
    let what = format!("row group {index}");
    let parquet = opened.metadata.parquet_schema();
    let leaves = (0..parquet.num_columns()).filter(|leaf| plan.roots.contains(&parquet.get_column_root_idx(*leaf)));
    let leaves: Vec<_> = leaves.filter_map(|leaf| group.columns().get(leaf)).collect();
    opened.input.expect(
        leaves
            .iter()
            .map(|chunk| {
                let (start, length) = chunk.byte_range();
                start..start.saturating_add(length)
            })
            .collect(),
    )?;
    let bytes: i64 = leaves.iter().map(|chunk| chunk.uncompressed_size().max(0)).fold(0, i64::saturating_add);
    let batch_rows = batch_rows(bytes.unsigned_abs(), expected);

    let mut reader = match guard(&opened.input, &what, || build(opened, plan.roots.iter().copied(), index, batch_rows))
    {
        Ok(reader) => reader,
        Err(error) => return Err(name_column(opened, plan, index, batch_rows, error)),
    };
    let mut twice = Twice::new(opened, &plan.roots, index, batch_rows)?;
    let mut rows = 0_u64;
    loop {
        cx.check()?;
        let next = guard(&opened.input, &what, || reader.next().transpose().map_err(Into::into));
        let batch = match next {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(error) => return Err(name_column(opened, plan, index, batch_rows, error)),
        };
        let count = batch.num_rows();
        rows += count as u64;
        if rows > expected {
            return Err(wrong_rows(opened, index, rows, expected, "at least"));
        }
        let first = first_row + rows - count as u64;
        if let Some(twice) = &mut twice {
            twice.check(opened, &batch, first)?;
        }
        emit(plan.batches.batch(first, count, columns(plan, &batch))?)?;
    }
    if rows != expected {
        return Err(wrong_rows(opened, index, rows, expected, "only"));
    }
    Ok(rows)
}

fn build(
    opened: &Opened,
    roots: impl IntoIterator<Item = usize>,
    group: usize,
    batch_rows: usize,
) -> Result<ParquetRecordBatchReader, parquet::errors::ParquetError> {
    let mask = ProjectionMask::roots(opened.metadata.parquet_schema(), roots);
    ParquetRecordBatchReaderBuilder::<Input>::new_with_metadata(opened.input.clone(), opened.metadata.clone())
        .with_projection(mask)
        .with_row_groups(vec![group])
        .with_batch_size(batch_rows)
        .build()
}

/// The columns of a batch in the canon's order.
fn columns(plan: &Plan, batch: &RecordBatch) -> Vec<ArrayRef> {
    let rows = batch.num_rows();
    let column = |origin: &Origin| match origin {
        Origin::File { position, .. } => {
            batch.columns().get(*position).map_or_else(|| new_null_array(&DataType::Null, rows), Arc::clone)
        }
        Origin::Absent => new_null_array(&DataType::Null, rows),
        Origin::Folder(repeated) => repeated.slice(0, rows.min(repeated.len())),
    };
    plan.origins.iter().map(column).collect()
}

fn batch_rows(bytes: u64, rows: u64) -> usize {
    let row_bytes = bytes.div_ceil(rows.max(1)).max(1);
    usize::try_from(BATCH_BYTES / row_bytes).unwrap_or(BATCH_ROWS_MAX).clamp(BATCH_ROWS_MIN, BATCH_ROWS_MAX)
}

fn wrong_rows(opened: &Opened, group: usize, rows: u64, expected: u64, how: &str) -> Error {
    let name = &opened.input.pinned().file().name;
    let detail = format!("The footer says {expected} rows, and there are {how} {rows}.");
    let error =
        failure::damaged(format!("row group {group} of {name} has another number of rows than its footer says"));
    match opened.input.pinned().confirm() {
        Ok(()) => error.detail(detail).hint(DAMAGED_HINT),
        Err(changed) => changed,
    }
}

/// Finds the column of a row group that cannot be decoded, by decoding each alone.
fn name_column(opened: &Opened, plan: &Plan, group: usize, batch_rows: usize, error: Error) -> Error {
    if error.kind() != FailureKind::Damaged {
        return error;
    }
    let fails = |root: usize| {
        let what = opened.columns.get(root).map(|column| format!("column {:?} in row group {group}", column.name))?;
        let decode = || {
            let mut reader = build(opened, [root], group, batch_rows)?;
            reader.try_for_each(|batch| batch.map(drop)).map_err(Into::into)
        };
        guard(&opened.input, &what, decode).err()
    };
    let alone = plan.origins.iter().find_map(|origin| match origin {
        Origin::File { root, .. } => fails(*root),
        _ => None,
    });
    alone.unwrap_or(error)
}
