//! From binary values to Arrow columns, for comparing with other kinds of store.
//!
//! Types without an Arrow counterpart are selected as text. What Arrow cannot hold (infinite dates,
//! years beyond its range) is an error that names the column, never another value.

use crate::bytes::Reader;
use crate::errors::malformed;
use crate::numeric;
use crate::plan::{Plan, meaning};
use crate::types::{Kind, TypeInfo, Types};
use arrow_array::builder::*;
use arrow_array::types::IntervalMonthDayNanoType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::IntervalMonthDayNano;
use arrow_schema::{DataType, Field, IntervalUnit, Schema, TimeUnit};
use paritas_connect::{Error, FailureKind, Result};
use paritas_digest::Slot;
use paritas_model::LogicalType;
use std::sync::Arc;

/// From 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const DECIMAL128_DIGITS: u8 = 38;
const DECIMAL256_DIGITS: u8 = 76;
const DIMENSIONS_MAX: i32 = 6;

/// What binary values become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Bool,
    /// 2, 4 or 8 bytes, with or without a sign.
    Int {
        signed: bool,
    },
    Float,
    Decimal {
        wide: bool,
        scale: i8,
    },
    /// A decimal as text with its own scale.
    DecimalText,
    /// UTF-8 after that many bytes of something else.
    Text {
        skip: usize,
    },
    Bytes,
    Uuid,
    Date,
    Time,
    Timestamp {
        zoned: bool,
    },
    Interval,
    List(Box<Target>),
}

/// The target for a column, and the cast with which it has to be selected.
pub(crate) fn target(types: &Types, base: &TypeInfo, modifier: i32, slot: &Slot) -> (Option<&'static str>, Target) {
    let want = meaning(slot);
    if let Some(target) = native(types, base, &want) {
        return (None, target);
    }
    let text = || Target::Text { skip: 0 };
    match (&base.kind, &want) {
        // Items without a form of their own: cast them and keep the list.
        (Kind::Array(item), LogicalType::List(_)) if types.base(*item, modifier).is_ok() => {
            (Some("text[]"), Target::List(Box::new(text())))
        }
        _ => (Some("text"), text()),
    }
}

fn native(types: &Types, info: &TypeInfo, want: &LogicalType) -> Option<Target> {
    match (&info.kind, want) {
        (Kind::Enum, LogicalType::Text) => return Some(Target::Text { skip: 0 }),
        (Kind::Array(item), LogicalType::List(want)) => {
            let (item, _) = types.base(*item, -1).ok()?;
            return native(types, item, want).map(|item| Target::List(Box::new(item)));
        }
        (Kind::Base, LogicalType::Text) if info.name == "citext" => return Some(Target::Text { skip: 0 }),
        (Kind::Base, _) if info.schema == "pg_catalog" => {}
        _ => return None,
    }
    Some(match (info.name.as_str(), want) {
        ("bool", LogicalType::Bool) => Target::Bool,
        ("int2" | "int4" | "int8", LogicalType::Int { .. } | LogicalType::Decimal { .. }) => {
            Target::Int { signed: true }
        }
        ("oid" | "xid" | "cid", LogicalType::Int { .. } | LogicalType::Decimal { .. }) => Target::Int { signed: false },
        ("float4" | "float8", LogicalType::Float { .. }) => Target::Float,
        ("numeric", LogicalType::Decimal { precision, scale }) => {
            Target::Decimal { wide: *precision > DECIMAL128_DIGITS, scale: *scale }
        }
        ("numeric", LogicalType::DecimalAny) => Target::DecimalText,
        ("text" | "varchar" | "bpchar" | "name" | "char" | "xml", LogicalType::Text) => Target::Text { skip: 0 },
        ("json", LogicalType::Json) => Target::Text { skip: 0 },
        // The version of the form.
        ("jsonb", LogicalType::Json) => Target::Text { skip: 1 },
        ("bytea", LogicalType::Bytes) => Target::Bytes,
        ("uuid", LogicalType::Uuid) => Target::Uuid,
        ("date", LogicalType::Date) => Target::Date,
        ("time", LogicalType::Time { .. }) => Target::Time,
        ("timestamp" | "timestamptz", LogicalType::Timestamp { zoned, .. }) => Target::Timestamp { zoned: *zoned },
        ("interval", LogicalType::Interval) => Target::Interval,
        _ => return None,
    })
}

/// One column under construction.
enum Column {
    Bool(BooleanBuilder),
    Int(Int64Builder, bool),
    Float(Float64Builder),
    Decimal128(Decimal128Builder, i8),
    Decimal256(Decimal256Builder, i8),
    DecimalText(StringBuilder),
    Text(StringBuilder, usize),
    Bytes(BinaryBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Interval(PrimitiveBuilder<IntervalMonthDayNanoType>),
    List(Box<Column>, DataType, Vec<i32>, NullBufferBuilder, i32),
}

impl Column {
    fn new(target: &Target) -> Self {
        match target {
            Target::Bool => Self::Bool(BooleanBuilder::new()),
            Target::Int { signed } => Self::Int(Int64Builder::new(), *signed),
            Target::Float => Self::Float(Float64Builder::new()),
            Target::Decimal { wide: false, scale } => {
                Self::Decimal128(Decimal128Builder::new().with_data_type(data_type(target)), *scale)
            }
            Target::Decimal { wide: true, scale } => {
                Self::Decimal256(Decimal256Builder::new().with_data_type(data_type(target)), *scale)
            }
            Target::DecimalText => Self::DecimalText(StringBuilder::new()),
            Target::Text { skip } => Self::Text(StringBuilder::new(), *skip),
            Target::Bytes => Self::Bytes(BinaryBuilder::new()),
            Target::Uuid => Self::Uuid(FixedSizeBinaryBuilder::new(16)),
            Target::Date => Self::Date(Date32Builder::new()),
            Target::Time => Self::Time(Time64MicrosecondBuilder::new()),
            Target::Timestamp { .. } => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(data_type(target)))
            }
            Target::Interval => Self::Interval(PrimitiveBuilder::new()),
            Target::List(item) => {
                Self::List(Box::new(Self::new(item)), data_type(item), vec![0], NullBufferBuilder::new(0), 0)
            }
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Bool(builder) => builder.append_null(),
            Self::Int(builder, _) => builder.append_null(),
            Self::Float(builder) => builder.append_null(),
            Self::Decimal128(builder, _) => builder.append_null(),
            Self::Decimal256(builder, _) => builder.append_null(),
            Self::DecimalText(builder) | Self::Text(builder, _) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
            Self::Uuid(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::Interval(builder) => builder.append_null(),
            Self::List(_, _, offsets, nulls, length) => {
                offsets.push(*length);
                nulls.append_null();
            }
        }
    }

    fn push(&mut self, value: &[u8]) -> Result<()> {
        let mut reader = Reader::new(value);
        match self {
            Self::Bool(builder) => builder.append_value(reader.u8()? != 0),
            Self::Int(builder, signed) => {
                builder.append_value(integer(value, *signed)?);
                return Ok(());
            }
            Self::Float(builder) if value.len() == 4 => builder.append_value(f32::from_bits(reader.u32()?).into()),
            Self::Float(builder) => builder.append_value(f64::from_bits(reader.u64()?)),
            Self::Decimal128(builder, scale) => {
                let unscaled = unscaled(value, *scale)?.to_i128().ok_or_else(|| does_not_fit(value, *scale))?;
                builder.append_value(unscaled);
                return Ok(());
            }
            Self::Decimal256(builder, scale) => {
                builder.append_value(unscaled(value, *scale)?);
                return Ok(());
            }
            Self::DecimalText(builder) => {
                builder.append_value(numeric::text(value, false)?);
                return Ok(());
            }
            Self::Text(builder, skip) => {
                reader.take(*skip)?;
                let text = std::str::from_utf8(reader.rest()).map_err(|_| malformed("text that is not UTF-8"))?;
                builder.append_value(text);
                return Ok(());
            }
            Self::Bytes(builder) => {
                builder.append_value(value);
                return Ok(());
            }
            Self::Uuid(builder) => {
                return builder.append_value(value).map_err(|_| malformed("a uuid of another length"));
            }
            Self::Date(builder) => builder.append_value(date(reader.i32()?)?),
            Self::Time(builder) => builder.append_value(reader.i64()?),
            Self::Timestamp(builder) => builder.append_value(timestamp(reader.i64()?)?),
            Self::Interval(builder) => builder.append_value(interval(&mut reader)?),
            Self::List(item, _, offsets, nulls, length) => {
                *length += push_items(&mut reader, item)?;
                offsets.push(*length);
                nulls.append_non_null();
            }
        }
        reader.end()
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Int(builder, _) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Decimal128(builder, _) => Arc::new(builder.finish()),
            Self::Decimal256(builder, _) => Arc::new(builder.finish()),
            Self::DecimalText(builder) | Self::Text(builder, _) => Arc::new(builder.finish()),
            Self::Bytes(builder) => Arc::new(builder.finish()),
            Self::Uuid(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Interval(builder) => Arc::new(builder.finish()),
            Self::List(item, kind, offsets, nulls, length) => {
                *length = 0;
                let offsets = std::mem::replace(offsets, vec![0]);
                let offsets = arrow_buffer::OffsetBuffer::new(offsets.into());
                let field = Arc::new(Field::new_list_field(kind.clone(), true));
                let list = arrow_array::ListArray::try_new(field, offsets, item.finish()?, nulls.finish());
                Arc::new(list.map_err(|error| malformed("a list that cannot be built").because(error))?)
            }
        })
    }
}

use arrow_buffer::NullBufferBuilder;

/// The Arrow type of a target.
fn data_type(target: &Target) -> DataType {
    match target {
        Target::Bool => DataType::Boolean,
        Target::Int { .. } => DataType::Int64,
        Target::Float => DataType::Float64,
        Target::Decimal { wide: false, scale } => DataType::Decimal128(DECIMAL128_DIGITS, *scale),
        Target::Decimal { wide: true, scale } => DataType::Decimal256(DECIMAL256_DIGITS, *scale),
        Target::DecimalText | Target::Text { .. } => DataType::Utf8,
        Target::Bytes => DataType::Binary,
        Target::Uuid => DataType::FixedSizeBinary(16),
        Target::Date => DataType::Date32,
        Target::Time => DataType::Time64(TimeUnit::Microsecond),
        Target::Timestamp { zoned } => DataType::Timestamp(TimeUnit::Microsecond, zoned.then(|| "UTC".into())),
        Target::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        Target::List(item) => DataType::new_list(data_type(item), true),
    }
}

fn integer(value: &[u8], signed: bool) -> Result<i64> {
    let mut reader = Reader::new(value);
    match (value.len(), signed) {
        (2, _) => reader.i16().map(Into::into),
        (4, true) => reader.i32().map(Into::into),
        (4, false) => reader.u32().map(Into::into),
        (8, _) => reader.i64(),
        _ => Err(malformed("an integer of another length")),
    }
}

fn refused(what: impl Into<String>) -> Error {
    Error::new(FailureKind::Permanent, "data.unreadable", what)
        .hint("leave the column out, or compare through a view that maps such values to others")
}

fn unscaled(value: &[u8], scale: i8) -> Result<arrow_buffer::i256> {
    numeric::unscaled(value, scale)?.ok_or_else(|| does_not_fit(value, scale))
}

fn does_not_fit(value: &[u8], scale: i8) -> Error {
    let shown = numeric::text(value, false).unwrap_or_default();
    refused(format!("{shown} is not a decimal with {scale} digits after the point"))
}

fn date(days: i32) -> Result<i32> {
    match days {
        i32::MAX | i32::MIN => Err(refused("an infinite date has no counterpart in other stores")),
        days => days.checked_add(EPOCH_DAYS).ok_or_else(|| refused("a date is out of range")),
    }
}

fn timestamp(micros: i64) -> Result<i64> {
    match micros {
        i64::MAX | i64::MIN => Err(refused("an infinite timestamp has no counterpart in other stores")),
        micros => micros.checked_add(EPOCH_MICROS).ok_or_else(|| refused("a timestamp is out of range")),
    }
}

fn interval(reader: &mut Reader<'_>) -> Result<IntervalMonthDayNano> {
    let (micros, days, months) = (reader.i64()?, reader.i32()?, reader.i32()?);
    // All ends of the range together mean infinity, from PostgreSQL 17 on.
    let infinite = [(i64::MAX, i32::MAX, i32::MAX), (i64::MIN, i32::MIN, i32::MIN)].contains(&(micros, days, months));
    match micros.checked_mul(1_000) {
        Some(nanos) if !infinite => Ok(IntervalMonthDayNano::new(months, days, nanos)),
        _ => Err(refused("an interval is out of range")),
    }
}

/// Appends the items of a one-dimensional array and says how many.
fn push_items(reader: &mut Reader<'_>, item: &mut Column) -> Result<i32> {
    let dimensions = reader.i32()?;
    reader.take(8)?;
    if !(0..=DIMENSIONS_MAX).contains(&dimensions) {
        return Err(malformed("an array with too many dimensions"));
    }
    if dimensions == 0 {
        return Ok(0);
    }
    if dimensions > 1 {
        return Err(refused("an array of several dimensions has no counterpart in other stores"));
    }
    let (count, lower) = (reader.i32()?, reader.i32()?);
    if count < 0 {
        return Err(malformed("an array of a negative length"));
    }
    if lower != 1 {
        return Err(refused("an array with another lower bound than 1 has no counterpart in other stores"));
    }
    for _ in 0..count {
        match reader.field()? {
            Some(value) => item.push(value)?,
            None => item.push_null(),
        }
    }
    Ok(count)
}

/// Builds batches from COPY tuples.
pub(crate) struct Decoder {
    columns: Vec<(String, Column)>,
    schema: Arc<Schema>,
    rows: usize,
    bytes: usize,
}

impl Decoder {
    /// For the columns of a plan in the logical canon.
    pub(crate) fn new(plan: &Plan) -> Result<Self> {
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        for (column, canonical) in plan.columns.iter().zip(&plan.canon.columns) {
            let target = column.target.as_ref().ok_or_else(|| malformed("a column without a target"))?;
            columns.push((column.name.clone(), Column::new(target)));
            fields.push(Field::new(&canonical.name, data_type(target), true));
        }
        Ok(Self { columns, schema: Arc::new(Schema::new(fields)), rows: 0, bytes: 0 })
    }

    /// Takes a tuple: fields, each with its length in front.
    pub(crate) fn push(&mut self, tuple: &[u8]) -> Result<()> {
        let mut reader = Reader::new(tuple);
        for (name, column) in &mut self.columns {
            match reader.field()? {
                Some(value) => column.push(value).map_err(|error| error.context(format_args!("column {name}")))?,
                None => column.push_null(),
            }
        }
        self.rows += 1;
        self.bytes += tuple.len();
        reader.end()
    }

    /// Rows since the last batch.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of those rows as they came.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The batch; the decoder is empty afterwards.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch> {
        let arrays: Result<Vec<ArrayRef>> = self.columns.iter_mut().map(|(_, column)| column.finish()).collect();
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(Arc::clone(&self.schema), arrays?)
            .map_err(|error| malformed("rows that do not make a batch").because(error))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_a_negative_length_is_malformed() {
        let mut column = Column::new(&Target::List(Box::new(Target::Int { signed: true })));
        let value: Vec<u8> = [1, 0, 23, -1, 1_i32].iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(column.push(&value).unwrap_err().code(), "data.unreadable");
    }
}
