//! Records of one partition as rows in the order of the canon's columns.

use super::batch::{Columns, Offsets, batches};
use super::misfit::Misfit;
use super::options::{Extra, Format, RowOptions};
use super::part::{Collected, PartReader, Prefix};
use super::shape::{Origin, Part, Shape};
use arrow_array::builder::{BinaryBuilder, Int32Builder, Int64Builder, StringViewBuilder, TimestampMillisecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use paritas_connect::logs::{Partition, Record};
use paritas_connect::{Error, FailureKind, Result, ScanRequest};
use paritas_digest::Slot;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows in a batch, at most, ...
const BATCH_ROWS_MAX: usize = 8 << 10;
/// ... and bytes, unless a single record is longer.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// The prefixes of keys and values, shared by all splits of a scan.
#[derive(Debug, Clone)]
pub(super) struct Prefixes {
    pub(super) key: Option<Prefix>,
    pub(super) value: Option<Prefix>,
}

impl Prefixes {
    pub(super) fn new(options: &RowOptions) -> Self {
        let of =
            |format: Option<Format>, id| format.filter(|format| options.is_prefixed(*format)).map(|_| Prefix::new(id));
        Self { key: of(options.key_format(), None), value: of(Some(options.format), options.schema_id) }
    }
}

/// Where a column comes out.
#[derive(Debug, Clone, Copy)]
enum Place {
    Key(usize),
    Value(usize),
    Extra(usize),
}

/// Collects rows of one partition.
#[derive(Debug)]
pub(super) struct RowReader {
    partition: Partition,
    request: Arc<ScanRequest>,
    key: PartReader,
    value: PartReader,
    extras: Vec<ExtraColumn>,
    order: Vec<Place>,
    /// Whether a record without a value is a row.
    bare: bool,
    rows: usize,
    bytes: usize,
    offsets: Offsets,
}

impl RowReader {
    /// A reader of the columns that a request asks for.
    ///
    /// # Errors
    /// `column.missing` for a column that the topic does not have, `schema.mismatch` for one that cannot be read in the
    /// type that it is compared in.
    pub(super) fn new(
        partition: Partition,
        shape: &Shape,
        request: &Arc<ScanRequest>,
        prefixes: &Prefixes,
    ) -> Result<Self> {
        let canon = &request.canon;
        let (mut keys, mut values, mut extras, mut order) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (pair, column) in request.columns.iter().zip(&canon.columns) {
            let origin = shape.origin(&pair.own).ok_or_else(|| {
                let message = format!("there is no column {:?} in {}", pair.own, partition.log);
                Error::new(FailureKind::Permanent, "column.missing", message)
                    .hint("check `columns`, `key` and `rename` of this dataset, and `fields` of the topic")
            })?;
            let take = |list: &mut Vec<(usize, Slot)>, index| {
                list.push((index, column.slot.clone()));
                list.len() - 1
            };
            order.push(match origin {
                Origin::Key(index) => Place::Key(take(&mut keys, index)),
                Origin::Value(index) => Place::Value(take(&mut values, index)),
                Origin::Extra(extra) => {
                    extras.push(ExtraColumn::new(extra));
                    Place::Extra(extras.len() - 1)
                }
            });
        }
        let unreadable = |name: String| {
            let message = format!("column {name:?} of {} has a type without text form", partition.log);
            Error::new(FailureKind::Permanent, "schema.mismatch", message)
                .hint("leave the column out, or compare it as text or JSON through a view on the other side")
        };
        let key = if keys.is_empty() { &Part::Nothing } else { &shape.key };
        Ok(Self {
            request: Arc::clone(request),
            key: PartReader::new(key, &keys, canon.policies, prefixes.key.clone()).map_err(unreadable)?,
            value: PartReader::new(&shape.value, &values, canon.policies, prefixes.value.clone())
                .map_err(unreadable)?,
            extras,
            order,
            bare: matches!(shape.value, Part::Raw),
            rows: 0,
            bytes: 0,
            offsets: Offsets::default(),
            partition,
        })
    }

    /// Appends a record. What does not fit is an error that names its place, never left out.
    ///
    /// # Errors
    /// `data.unparsable`.
    pub(super) fn push(&mut self, record: &Record<'_>) -> Result<()> {
        if record.value.is_none() && !self.bare {
            return Err(Misfit::layout("it has no value").of(&self.partition, record.offset).hint(
                "in a topic of updates that means that the key is gone: set latest=key to compare the latest value of \
                 each key, or format=raw for the records as they are",
            ));
        }
        let row = self.rows;
        let key = self.key.push(row, record.key).map_err(|misfit| misfit.within("its key"));
        key.and_then(|()| self.value.push(row, record.value)).map_err(|misfit| {
            misfit.of(&self.partition, record.offset).hint(
                "look at the record with any consumer at that offset; if it is right, declare its columns accordingly \
                 (`fields`, `schema`, `key_fields`). Records are never left out",
            )
        })?;
        for extra in &mut self.extras {
            extra.push(&self.partition, record)?;
        }
        self.offsets.push(record.offset);
        self.rows += 1;
        self.bytes += size(record);
        Ok(())
    }

    /// Whether what was collected is enough for a batch.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// The rows so far, usually one batch; the reader is empty afterwards.
    ///
    /// # Errors
    /// `internal.columns` when columns have different lengths.
    pub(super) fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if rows == 0 {
            return Ok(Vec::new());
        }
        let (keys, values) = (self.key.finish(), self.value.finish());
        let extras: Vec<Collected> = self.extras.iter_mut().map(|extra| (extra.finish(), BTreeMap::new())).collect();
        let mut columns = Columns {
            arrays: Vec::with_capacity(self.order.len()),
            beyond: Vec::with_capacity(self.order.len()),
            offsets: std::mem::take(&mut self.offsets),
        };
        for place in &self.order {
            let collected = match place {
                Place::Key(index) => keys.get(*index),
                Place::Value(index) => values.get(*index),
                Place::Extra(index) => extras.get(*index),
            };
            let (array, beyond) = collected.cloned().ok_or_else(|| {
                Error::new(FailureKind::Permanent, "internal.columns", format!("{}: a column is gone", self.partition))
            })?;
            columns.arrays.push(array);
            columns.beyond.push(beyond);
        }
        batches(&self.request.canon, &self.partition, rows, &columns)
    }
}

/// Bytes of a record: key, value, headers.
pub(super) fn size(record: &Record<'_>) -> usize {
    let headers = record.headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len));
    record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers.sum::<usize>()
}

/// Collects something of records beside fields.
#[derive(Debug)]
enum ExtraColumn {
    Key(BinaryBuilder),
    Headers(StringViewBuilder),
    Timestamp(TimestampMillisecondBuilder),
    Partition(Int32Builder),
    Offset(Int64Builder),
}

impl ExtraColumn {
    fn new(extra: Extra) -> Self {
        match extra {
            Extra::Key => Self::Key(BinaryBuilder::new()),
            Extra::Headers => Self::Headers(StringViewBuilder::new()),
            Extra::Timestamp => Self::Timestamp(TimestampMillisecondBuilder::new().with_timezone("UTC")),
            Extra::Partition => Self::Partition(Int32Builder::new()),
            Extra::Offset => Self::Offset(Int64Builder::new()),
        }
    }

    fn push(&mut self, partition: &Partition, record: &Record<'_>) -> Result<()> {
        match self {
            Self::Key(b) => b.append_option(record.key),
            Self::Headers(b) => b.append_value(headers(record)),
            Self::Timestamp(b) => b.append_option(record.timestamp),
            Self::Partition(b) => b.append_value(partition.index),
            Self::Offset(b) => {
                let offset = i64::try_from(record.offset);
                let large = |_| Misfit::layout("no offset is so large").of(partition, record.offset);
                b.append_value(offset.map_err(large)?);
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Key(b) => Arc::new(b.finish()),
            Self::Headers(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
            Self::Partition(b) => Arc::new(b.finish()),
            Self::Offset(b) => Arc::new(b.finish()),
        }
    }
}

/// Headers as a JSON list of pairs in their order. A value is a text, or an object with its bytes in hexadecimal digits
/// where it is none, or null.
fn headers(record: &Record<'_>) -> String {
    let value = |value: &Option<&[u8]>| match value.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => serde_json::Value::Null,
        Some((_, Ok(text))) => serde_json::Value::from(text),
        Some((bytes, Err(_))) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            serde_json::json!({ "hex": digits })
        }
    };
    let pairs = record.headers.iter().map(|(name, bytes)| serde_json::json!([name, value(bytes)]));
    serde_json::Value::Array(pairs.collect()).to_string()
}
